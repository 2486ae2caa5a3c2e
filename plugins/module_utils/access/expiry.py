"""Expiry as people write it: an epoch, a date, a span from now, or never."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

from ..client.errors import OptionError

_SPANS = {"h": 3600, "d": 86400, "w": 7 * 86400, "m": 30 * 86400, "y": 365 * 86400}
_SPAN = re.compile(r"([1-9][0-9]*)\s*([hdwmy])\Z")
_DATE_FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")


@dataclass(frozen=True)
class Expiry:
    """When something ends: at ``epoch`` (0 for never), or ``span`` seconds after it is made or renewed."""

    epoch: int = 0
    span: int = 0

    def at(self, now: float) -> int:
        """Return the moment that is meant for something that is made ``now``, in seconds since the epoch.

        A span ends with its last full hour or day (UTC), so that a plan and the run that follows it agree.
        """
        if not self.span:
            return self.epoch
        unit = 3600 if self.span % 86400 else 86400
        return -int(-(now + self.span) // unit) * unit

    def compared_with(self, current: int) -> int:
        """Return what an existing object should have: a span was reckoned when it was made, and is left alone."""
        return current if self.span else self.epoch


def parse_expiry(value: str | int | None, field: str) -> Expiry | None:
    """Read an ``expire`` option: epoch seconds, ``YYYY-MM-DD[ HH:MM[:SS]]`` (UTC), a span like ``90d``, or ``never``.

    Raises OptionError for anything else.
    """
    if value is None:
        return None
    text = str(value).strip()
    if text in ("never", "0"):
        return Expiry()
    if text.isascii() and text.isdigit():
        return Expiry(epoch=int(text))
    span = _SPAN.match(text)
    if span:
        return Expiry(span=int(span[1]) * _SPANS[span[2]])
    for form in _DATE_FORMS:
        try:
            moment = datetime.strptime(text.rstrip("Z"), form)
        except ValueError:
            continue
        return Expiry(epoch=int(moment.replace(tzinfo=timezone.utc).timestamp()))
    raise OptionError(
        f"{field}: {text!r} is no expiry.",
        "Write epoch seconds, a date (2027-01-31 or 2027-01-31T12:00:00, UTC), a span (90d, 12h, 4w, 6m, 1y) or never.",
    )
