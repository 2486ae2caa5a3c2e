"""What is missing, in few words: many guests with the same fate are one line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from ..wording import some_of
from .ask import Missing

# So many are named.
_MOST = 5
_SAID = {"hidden": "hidden", "offline": "offline", "timeout": "no answer in time", "failed": "failed"}


def aggregated(missing: Iterable[Missing]) -> list[dict[str, Any]]:
    """Return one row for each subset and kind. ``reason`` is that of the first, ``count`` how many there are.

    ``nodes`` are all that are concerned, ``vmids`` the first few guests.
    """
    alike: dict[tuple[str, str], list[Missing]] = defaultdict(list)
    for one in missing:
        alike[one.subset, one.kind].append(one)
    return [_row(subset, kind, rows) for (subset, kind), rows in sorted(alike.items())]


def _row(subset: str, kind: str, rows: list[Missing]) -> dict[str, Any]:
    vmids = sorted({one.vmid for one in rows if one.vmid is not None})
    return {
        "subset": subset,
        "kind": kind,
        "nodes": sorted({one.node for one in rows if one.node is not None}),
        "guests": len(vmids),
        "vmids": vmids[:_MOST],
        "count": len(rows),
        "reason": rows[0].reason,
    }


def sentence(row: Mapping[str, Any]) -> str:
    """Return a row as a warning."""
    return f"Incomplete ({row['subset']}, {_SAID[row['kind']]}): {in_words(row)}"


def in_words(row: Mapping[str, Any]) -> str:
    """Return the reason of a row, and how many others have the like."""
    said = str(row["reason"])
    if row["count"] == 1:
        return said
    where = _named([str(vmid) for vmid in row["vmids"]], row["guests"], "guests") or _named(
        row["nodes"], len(row["nodes"]), "nodes"
    )
    return f"{said} The same or the like {row['count']} times{where}."


def _named(names: list[str], count: int, what: str) -> str:
    if not names:
        return ""
    return f", {what} {some_of(names, _MOST, total=count)}"
