"""The options of a policy beside its documents of access and firewall."""

from __future__ import annotations

from typing import Any

from .catalogue import RULES
from .findings import LEVELS

Spec = dict[str, dict[str, Any]]
_SHOWN_LEVELS = [level for level in LEVELS if level != "ignore"]


def _items(options: Spec) -> dict[str, Any]:
    return {"type": "list", "elements": "dict", "options": options}


def _names() -> dict[str, Any]:
    return {"type": "list", "elements": "str"}


ASSERTION: Spec = {
    "subject": {"type": "str", "required": True},
    "paths": {"type": "list", "elements": "str", "required": True, "aliases": ["path"]},
    "exactly": _names(),
    "at_least": _names(),
    "at_most": _names(),
    "never": _names(),
    "nothing": {"type": "bool", "default": False},
    "read_only": {"type": "bool", "default": False},
    "below": {"type": "bool"},
    "level": {"type": "str", "choices": _SHOWN_LEVELS},
}

HYGIENE: Spec = {
    **{rule: {"type": "str", "choices": list(LEVELS)} for rule in RULES},
    "expiring_days": {"type": "int"},
    "unused_days": {"type": "int"},
}

EXCEPTION: Spec = {
    "rule": {"type": "str", "required": True},
    "subject": {"type": "str"},
    "path": {"type": "str"},
    "reason": {"type": "str", "required": True},
    "until": {"type": "str", "required": True},
}

# The keys of a policy file that options of a module can say in full; the others are put to specs of their own.
TYPED: Spec = {"pve_assertions": _items(ASSERTION), "pve_exceptions": _items(EXCEPTION)}
