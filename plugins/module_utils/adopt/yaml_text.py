"""Plain data as YAML that people read and edit: in order, with comments, and short things on one line.

What YAML could read as anything but the text that it is, stands in quotes.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union

# Where something stands in the data: keys of mappings and positions in lists, from the outside in.
Place = tuple[Union[str, int], ...]
Comments = Mapping[Place, Sequence[str]]

WIDTH = 120
# Lists of these names hold things of which each is a line, if it fits: what belongs together is seen together.
_ONE_LINE_EACH = frozenset(
    ("users", "tokens", "groups", "aliases", "entries", "rules", "pools", "pve_assertions", "pve_exceptions")
)
# Places of the firewall of which there is no more to say than that nothing may be there.
_PLACES = frozenset(("nodes", "guests", "vnets"))
# Nothing here begins with a digit or a sign, holds a mark of YAML's own, or ends in a blank.
_PLAIN = re.compile(r"[+/]?[A-Za-z](?:[A-Za-z0-9_./@!+ -]*[A-Za-z0-9_./@!+-])?\Z|/\Z")
_ADDRESS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?:/[0-9]{1,2})?\Z")
# Words that some version of YAML takes for truth values or for nothing.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def to_yaml(data: Mapping[str, Any], comments: Comments) -> str:
    """Return data as YAML. ``comments`` are lines to put ahead of what stands in a place; a blank is a blank comment.

    An empty line stays empty.

    Data are mappings, lists, texts, whole numbers, truth values and None; keys are texts or numbers.
    """
    return "".join(f"{line}\n" for line in _mapping(data, "", (), comments))


def _mapping(data: Mapping[Any, Any], indent: str, place: Place, comments: Comments) -> Iterator[str]:
    for number, (key, value) in enumerate(data.items()):
        here = (*place, key)
        lines = list(_comment(comments.get(here, ()), indent))
        # Nothing stands ahead of the first that it would have to be kept apart from.
        yield from lines[1:] if lines[:1] == [""] and number == 0 else lines
        yield from _value(f"{indent}{_scalar(key)}:", value, indent, here, comments)


def _value(start: str, value: Any, indent: str, place: Place, comments: Comments) -> Iterator[str]:
    inline = _inline(value)
    if len(place) > 1 and place[-2] in _PLACES and isinstance(value, Mapping) and value.keys() == {"exclusive"}:
        yield f"{start} {inline}"
        return
    short = inline is not None and len(start) + 1 + len(inline) <= WIDTH
    if inline is not None and (short or not isinstance(value, list)) and not (isinstance(value, Mapping) and value):
        yield f"{start} {inline}"
        return
    yield start
    if isinstance(value, Mapping):
        yield from _mapping(value, indent + "  ", place, comments)
    else:
        yield from _items(value, indent + "  ", place, comments)


def _items(items: Sequence[Any], indent: str, place: Place, comments: Comments) -> Iterator[str]:
    for number, item in enumerate(items):
        here = (*place, number)
        yield from _comment(comments.get(here, ()), indent)
        inline = _inline(item) if not isinstance(item, Mapping) or place[-1] in _ONE_LINE_EACH or not item else None
        if inline is not None and (len(indent) + 2 + len(inline) <= WIDTH or not isinstance(item, (Mapping, list))):
            yield f"{indent}- {inline}"
        elif isinstance(item, Mapping):
            first, *rest = _mapping(item, indent + "  ", here, comments)
            yield f"{indent}- {first[len(indent) + 2 :]}"
            yield from rest
        else:
            yield f"{indent}-"
            yield from _items(item, indent + "  ", here, comments)


def _inline(value: Any) -> str | None:
    """Return a value as part of a line; None where it goes too deep for that."""
    if isinstance(value, Mapping):
        parts = {key: _inline(one) for key, one in value.items()}
        if None in parts.values() or any(isinstance(one, Mapping) for one in value.values()):
            return None
        return "{" + ", ".join(f"{_scalar(key)}: {part}" for key, part in parts.items()) + "}"
    if isinstance(value, list):
        if any(isinstance(one, (Mapping, list)) for one in value):
            return None
        return "[" + ", ".join(_scalar(one) for one in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = str(value)
    plain = (_PLAIN.match(text) and text.lower() not in _WORDS) or _ADDRESS.match(text)
    return text if plain else f'"{"".join(_quoted(character) for character in text)}"'


def _quoted(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _comment(lines: Sequence[str], indent: str) -> Iterator[str]:
    for line in lines:
        told = "".join(character if character.isprintable() else "?" for character in line)
        if not told.strip():
            yield f"{indent}#" if told else ""
            continue
        # What is indented is a command or a list: it keeps its form.
        inner = told[: len(told) - len(told.lstrip())]
        room = max(WIDTH - len(indent) - 2, 40)
        wrapped = textwrap.wrap(told.strip(), room - len(inner) - 2, break_long_words=False, break_on_hyphens=False)
        for number, part in enumerate(wrapped):
            hanging = "  " if number and told.lstrip().startswith("- ") else ""
            yield f"{indent}# {inner}{hanging}{part}"
