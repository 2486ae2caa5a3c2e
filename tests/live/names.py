"""The name space of the tests, and what the parts of ``run.py`` share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
Seen = dict[str, str]  # what there is, as "kind id" -> all that the server says about it

OURS = "homelab-test-"
REALM = "@pve"
_LISTS = ("groups", "privs", "users")


class Stop(Exception):
    """The run cannot begin; the text says why, and what to do."""


def is_ours(kind: str, name: str) -> bool:
    """Tell whether something belongs to the tests: by its name, and users and tokens by their realm, too."""
    if not name.startswith(OURS):
        return False
    return name.partition("!")[0].endswith(REALM) if kind in ("user", "token") else "@" not in name


def text(row: Mapping[str, Any]) -> str:
    """Return all that a row says, in one order."""
    settled = {key: sorted(str(row[key]).split(",")) if key in _LISTS and row[key] else row[key] for key in row}
    return json.dumps(settled, sort_keys=True)
