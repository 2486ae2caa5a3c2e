"""A cluster's answers as a file, for audits and for adopting where there is no way to the cluster itself."""

from __future__ import annotations

import json
from typing import Any

from ..policy.sources import Recorder

# PVE lists these in an order that is another one from call to call, and that means nothing.
_UNORDERED = ("/access/", "/pools", "/nodes", "/storage", "/cluster/sdn/vnets")


def snapshot_text(recorder: Recorder, now: float, before: str | None) -> str:
    """Return all that was answered as the text of a snapshot file.

    ``before`` is what the file holds now. Where that says the same but for the time, it stays as it is.
    """
    data = recorder.as_data(now)
    data["answers"] = {asked: _in_order(asked, answer) for asked, answer in data["answers"].items()}
    if before is not None and _without_time(_read(before)) == _without_time(_read(json.dumps(data))):
        return before
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _in_order(asked: str, answer: Any) -> Any:
    path = asked.partition("?")[0]
    whole = path == "/nodes" or not path.startswith("/nodes/")
    if not isinstance(answer, list) or not whole or not path.startswith(_UNORDERED):
        return answer
    return sorted((_row_in_order(row) for row in answer), key=_text)


def _row_in_order(row: Any) -> Any:
    """Return a row with the lists that are in it (tokens of a user, members of a pool) in one order."""
    if not isinstance(row, dict):
        return row
    return {name: sorted(value, key=_text) if isinstance(value, list) else value for name, value in row.items()}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _without_time(data: Any) -> Any:
    return {name: value for name, value in data.items() if name != "taken"} if isinstance(data, dict) else data
