"""What rows about gained and lost rights say about single paths, told apart from how they are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def expand(rows: Iterable[Mapping[str, Any]], subject: str, path: str) -> frozenset[str]:
    """Return the privileges that some rows (all gained, or all lost) mean for a subject on a path.

    For each privilege, the nearest row or exception tells. A row may stand on several paths.
    """
    nearest: dict[str, tuple[str, bool]] = {}
    for row in rows:
        if row["subject"] != subject:
            continue
        places = [(at, row["where"], True) for at in row["paths"]]
        places += [(place["path"], place["where"], False) for place in row["except"]]
        for at, where, said in places:
            here = at == path
            if not here and not path.startswith(at.rstrip("/") + "/"):
                continue
            covered = where == "both" or (where == "here") == here
            for privilege in row["privileges"]:
                if len(at) >= len(nearest.get(privilege, ("", False))[0]):
                    if len(at) == len(nearest.get(privilege, ("", False))[0]):
                        raise AssertionError(f"{privilege} is told of twice at {at}")
                    nearest[privilege] = (at, said if covered else not said)
    return frozenset(privilege for privilege, (unused, means) in nearest.items() if means)
