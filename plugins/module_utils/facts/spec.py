"""The options of facts, as Ansible checks them."""

from __future__ import annotations

from typing import Any

from .fetch import CONCURRENCY
from .model import GUEST_TYPES
from .wanted import TASKS_LIMIT


def _words(**more: Any) -> dict[str, Any]:
    return {"type": "list", "elements": "str", **more}


FILTERS: dict[str, Any] = {
    "node": _words(),
    "vmid": {"type": "list", "elements": "int"},
    "type": _words(choices=list(GUEST_TYPES)),
    "pool": _words(),
    "tag": _words(),
    "status": _words(),
    "name": _words(),
}
OPTIONS: dict[str, Any] = {
    "gather": _words(default=["base"]),
    "filters": {"type": "dict", "options": FILTERS},
    "concurrency": {"type": "int", "default": CONCURRENCY},
    "tasks_limit": {"type": "int", "default": TASKS_LIMIT},
    "descriptions": {"type": "bool", "default": False},
    "ssh_keys": {"type": "bool", "default": False, "no_log": False},
}
