"""Texts as PVE's code sees them: what is true, and how the bytes of a file become characters.

The text of a file is held with one character for each byte. Comments are UTF-8 within it.
"""

from __future__ import annotations

from collections.abc import Iterable


def true(value: object) -> bool:
    """Tell whether Perl takes a value for true: an empty text and "0" are not, "00" is."""
    return value is not None and value not in ("", "0", 0)


def to_file(comment: str) -> str:
    return comment.encode("utf-8", "replace").decode("latin-1")


def from_file(comment: str) -> str:
    return comment.encode("latin-1").decode("utf-8", "replace")


def is_blank(comment: str) -> bool:
    return not comment.strip()


def split_commas(text: str) -> list[str]:
    """Split at commas, empty pieces at the end left out. Raises ValueError when that leaves something out."""
    pieces = text.split(",")
    while pieces and not pieces[-1]:
        pieces.pop()
    if ",".join(pieces) != text:
        raise ValueError("extraneous commas in list")
    return pieces


def without_line_end(text: str) -> str:
    """Return a text without one line end at its end, which most patterns of PVE let pass."""
    return text.removesuffix("\n")


def export_bytes(text: str) -> str:
    """Return a file's text for JSON: read as UTF-8, bytes that are not as lone surrogates."""
    return text.encode("latin-1").decode("utf-8", "surrogateescape")


def import_bytes(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
