"""PVE's values as types: numbers may come as text and text as numbers, flags as 0 and 1, and much may be left out.

A table of fields says for each name how its value is read. What PVE does not say becomes None, never a zero.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Callable

Row = Mapping[str, Any]
Fields = Mapping[str, Callable[[Any], Any]]


def integer(value: Any) -> int:
    """Return a whole number; PVE gives some as text, and some with a fraction of zero."""
    try:
        return int(value)
    except ValueError:
        return int(float(value))


def number(value: Any) -> float:
    """Return a number with a fraction."""
    return float(value)


def flag(value: Any) -> bool:
    """Return a truth value of PVE: 0 and the empty text are false, and so is what configuration files say for it."""
    return str(value).lower() not in ("", "0", "false", "no", "off", "none")


def text(value: Any) -> str:
    """Return text."""
    return str(value)


def words(value: Any) -> list[str]:
    """Return the words of a list that PVE keeps as text, in its order: tags are split by any of three signs."""
    return [word for word in re.split(r"[;,\s]+", str(value)) if word]


def typed(row: Row, fields: Fields) -> dict[str, Any]:
    """Return the named fields of a row with their types; None where PVE said nothing, or nothing that can be read."""
    return {name: _read(convert, row.get(name)) for name, convert in fields.items()}


def _read(convert: Callable[[Any], Any], value: Any) -> Any:
    if value is None:
        return None
    try:
        return convert(value)
    except (OverflowError, TypeError, ValueError):
        return None
