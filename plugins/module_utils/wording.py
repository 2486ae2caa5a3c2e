"""How things are put into words, wherever people read them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone

DAY = 24 * 60 * 60


def some_of(names: Iterable[str], most: int = 10, *, total: int | None = None, between: str = ", ") -> str:
    """Return names, not too many of them, and how many more there are. ``total`` counts what ``names`` leaves out."""
    listed = list(names)
    more = (len(listed) if total is None else total) - most
    return between.join(listed[:most]) + (f" and {more} more" if more > 0 else "")


def one_line(said: str) -> str:
    """Return what may have many lines on one."""
    return "; ".join(line.strip() for line in said.splitlines() if line.strip())


def moment(seconds: float) -> str:
    """Return a time (seconds since the epoch) as ``2027-01-31T12:00:00Z``."""
    return datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(seconds: float) -> str:
    """Return the day of a time, by UTC. PVE takes any number for an end: one beyond the calendar is told as such."""
    try:
        return datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%d")
    except (OverflowError, OSError, ValueError):
        return "far away"


def days(seconds: float) -> str:
    """Say a span of time in full days."""
    count = int(seconds // DAY)
    return "1 day" if count == 1 else f"{count} days"


def ago(seconds: float) -> str:
    """Say how long ago something was, in full days, or in hours where it is less than two of them."""
    hours = int(seconds // 3600)
    return f"{days(seconds) if hours >= 48 else '1 hour' if hours == 1 else f'{hours} hours'} ago"
