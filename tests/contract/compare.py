"""Comparison of a recorded answer with one that a server just gave.

What may rightly differ does not count: the order of lists, a number against the same number as text, UUIDs among each
other, tickets among each other, and the place in PVE's source that an error text names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

ANY = "<any>"
_PLACE = re.compile(r" at \S+ line \d+\.?")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TICKETS = ("PVE:", "PVEVNC:")
_SHOWN = 160  # characters of a value in a report


def canonical(value: Any, ignored: Collection[str] = ()) -> Any:
    """Return the value in a form in which equal means the same. Ignored keys have to be there, with any value."""
    if isinstance(value, dict):
        return {key: ANY if key in ignored else canonical(item, ignored) for key, item in value.items()}
    if isinstance(value, list):
        return sorted((canonical(item, ignored) for item in value), key=_sort_key)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return value


def text(value: str) -> str:
    """Return a text in canonical form."""
    if _UUID.fullmatch(value):
        return "<uuid>"
    if value.startswith(_TICKETS):
        return "<ticket>"
    return _PLACE.sub(" at PLACE", value)


def _sort_key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def differences(expected: Any, actual: Any, where: str) -> list[str]:
    """Return what differs between two canonical values, a line for each difference."""
    if expected == actual and type(expected) is type(actual):
        return []
    if isinstance(expected, dict) and isinstance(actual, dict):
        return _in_dict(expected, actual, where)
    if isinstance(expected, list) and isinstance(actual, list):
        return _in_list(expected, actual, where)
    return [f"{where}: expected {_short(expected)}, got {_short(actual)}"]


def _in_dict(expected: dict[str, Any], actual: dict[str, Any], where: str) -> list[str]:
    found = []
    for key in sorted({*expected, *actual}):
        place = f"{where}.{key}"
        if key not in actual:
            found.append(f"{place}: missing, expected {_short(expected[key])}")
        elif key not in expected:
            found.append(f"{place}: not expected, got {_short(actual[key])}")
        else:
            found += differences(expected[key], actual[key], place)
    return found


def _in_list(expected: list[Any], actual: list[Any], where: str) -> list[str]:
    missing, extra = list(expected), []
    for item in actual:
        if item in missing:
            missing.remove(item)
        else:
            extra.append(item)
    if len(missing) == len(extra):  # as many left on both sides: show how the entries differ, not the entries
        return [
            line
            for number, (old, new) in enumerate(zip(missing, extra, strict=True))
            for line in differences(old, new, f"{where}[{number}]")
        ]
    return [f"{where}: no entry {_short(item)}" for item in missing] + [
        f"{where}: an entry too many {_short(item)}" for item in extra
    ]


def _short(value: Any) -> str:
    written = json.dumps(value, ensure_ascii=False)
    return written if len(written) <= _SHOWN else written[:_SHOWN] + "..."
