"""When tokens expire, drawn on a line of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from html import escape
from typing import NamedTuple

from ..wording import DAY, day
from .report import clean

_LEFT, _WIDTH, _ROW, _TOP = 290, 980, 24, 30
_LONGEST = 36
# What is over for longer, or lasts longer, stands at the edge.
_BACK, _AHEAD, _LEAST = 60 * DAY, 730 * DAY, 90 * DAY


class Ending(NamedTuple):
    """A token and when it expires, in seconds since the epoch."""

    tokenid: str
    expire: int


def timeline(endings: Sequence[Ending], now: float, soon: int) -> str:
    """Return a drawing of when tokens expire, the first one on top. Those within ``soon`` days stand out."""
    last = max((ending.expire for ending in endings), default=int(now))
    first = min((ending.expire for ending in endings), default=int(now))
    low = max(min(first, now) - 7 * DAY, now - _BACK)
    high = min(max(last + 7 * DAY, now + _LEAST), now + _AHEAD)
    height = _TOP + _ROW * len(endings) + 8

    def at(moment: float) -> float:
        inside = min(max(moment, low), high)
        return round(_LEFT + (inside - low) / (high - low) * (_WIDTH - _LEFT - 90), 1)

    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="chart-title">',
        '<title id="chart-title">When tokens expire</title>',
    ]
    for text, moment in _ticks(low, high):
        x = at(moment)
        parts.append(f'<line x1="{x}" x2="{x}" y1="{_TOP - 8}" y2="{height}"/>')
        parts.append(f'<text class="faint" x="{x}" y="{_TOP - 14}" text-anchor="middle">{text}</text>')
    x = at(now)
    parts.append(f'<line class="now" x1="{x}" x2="{x}" y1="{_TOP - 8}" y2="{height}"/>')
    for number, ending in enumerate(endings):
        y = _TOP + _ROW * number + _ROW // 2
        name = clean(ending.tokenid)
        shown = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
        kind = "over" if ending.expire < now else "soon" if ending.expire < now + soon * DAY else "later"
        x, word = at(ending.expire), day(ending.expire)
        parts.append(f"<g><title>{escape(name)}: {word}</title>")
        parts.append(f'<text x="{_LEFT - 14}" y="{y + 4}" text-anchor="end">{escape(shown)}</text>')
        parts.append(f'<line class="bar" x1="{at(min(now, ending.expire))}" x2="{max(x, at(now))}" y1="{y}" y2="{y}"/>')
        parts.append(f'<circle class="{kind}" cx="{x}" cy="{y}" r="5"/>')
        parts.append(f'<text class="faint" x="{max(x, at(now)) + 10}" y="{y + 4}">{word}</text></g>')
    parts.append("</svg>")
    return "".join(parts)


def _ticks(low: float, high: float) -> Iterator[tuple[str, float]]:
    """Yield beginnings of months, as many as can be read."""
    months = (high - low) / (30 * DAY)
    step = 1 if months <= 8 else 3 if months <= 20 else 6
    start = datetime.fromtimestamp(low, timezone.utc)
    year, month = start.year, start.month
    while True:
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        moment = datetime(year, month, 1, tzinfo=timezone.utc).timestamp()
        if moment > high:
            return
        if (month - 1) % step == 0:
            yield f"{year}-{month:02}", moment
