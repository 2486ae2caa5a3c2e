"""The digests that PVE guards its lists with: SHA-1 over the entries, in the order in which the API lists them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

_NOT_COUNTED = ("digest", "pos", "errors")


def list_digest(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the digest of a list of rules, aliases, sets, groups or entries; of options, as a list of one."""
    digest = hashlib.sha1()  # PVE's choice; it guards against accidents, not against attackers
    for row in rows:
        for key in sorted(row):
            if key not in _NOT_COUNTED and row[key] is not None:
                digest.update(f"{key}:{row[key]}\n".encode())
    return digest.hexdigest()
