"""How things are put into words, wherever people read them."""

from __future__ import annotations

from collections.abc import Iterable


def some_of(names: Iterable[str], most: int = 10, *, total: int | None = None, between: str = ", ") -> str:
    """Return names, not too many of them, and how many more there are. ``total`` counts what ``names`` leaves out."""
    listed = list(names)
    more = (len(listed) if total is None else total) - most
    return between.join(listed[:most]) + (f" and {more} more" if more > 0 else "")


def one_line(said: str) -> str:
    """Return what may have many lines on one."""
    return "; ".join(line.strip() for line in said.splitlines() if line.strip())
