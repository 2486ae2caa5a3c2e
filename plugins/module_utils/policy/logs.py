"""When tokens were used, by the access logs of PVE's web server that people hand in.

Each node has logs of its own, of about a week: ``access.log`` and older ones, ``access.log.1``, ``access.log.2.gz``.
"""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..access_log import NOBODY, read_line
from ..client.errors import OptionError
from ..wording import DAY, day

_STAMP = re.compile(
    r"(?P<day>[0-9]{2})/(?P<month>[0-9]{2}|[A-Z][a-z]{2})/(?P<year>[0-9]{4})"
    r":(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2}) (?P<offset>[+-][0-9]{4})\Z"
)
# Old releases wrote the name of the month.
_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_OLDER = re.compile(r"(?:\.[0-9]+)?(?:\.gz)?\Z")
_NAME = "access.log"
# So many lines in a hundred may be damaged (a node that crashed leaves some) before the logs are doubted.
_BEARABLE = 1
# So many seconds may the clock of a node be ahead.
_BEARABLE_LEAD = DAY


@dataclass(frozen=True)
class AccessLogs:
    """The last use of each id that used the API, and from when to when the logs tell, in seconds since the epoch.

    Where there are logs of several nodes (``sources`` counts them), ``since`` and ``until`` are the time of which all
    of them tell. ``lines`` counts what was read, ``unread`` the lines that are none of an access log, or of a time to
    come.
    """

    last_used: Mapping[str, int]
    since: int
    until: int
    sources: int = 1
    lines: int = 0
    unread: int = 0

    @property
    def doubtful(self) -> bool:
        """Whether so many lines could not be read that uses may have been missed."""
        return self.unread * 100 > (self.lines + self.unread) * _BEARABLE


def parse_logs(files: Iterable[tuple[str, str]], now: float = math.inf) -> AccessLogs:
    """Read access logs: pairs of a file's name and its (unpacked) text, in any order.

    Logs whose names are the same up to ``access.log`` (``pve1/access.log``, ``pve1/access.log.2.gz``) are taken for
    those of one node. Raises OptionError where no file is given, and for a file that holds lines but none of an access
    log, or none of times that were before ``now``.
    """
    last_used: dict[str, int] = {}
    spans: dict[str, tuple[int, int]] = {}
    lines = unread = 0
    for name, text in files:
        times, lost, ahead = _read(text, last_used, now + _BEARABLE_LEAD)
        if ahead and not times:
            raise OptionError(
                f"{name}: the lines are of times to come, the last of {day(ahead)}.",
                "Hand in those of nodes whose clocks are right.",
            )
        if lost and not times:
            raise OptionError(
                f"{name} is no access log: not one of its {lost} lines is like those that PVE's web server writes.",
                "Hand in /var/log/pveproxy/access.log and the older ones beside it.",
            )
        lines += len(times)
        unread += lost
        if times:
            source = _source(name)
            first, last = spans.get(source, (times[0], times[0]))
            spans[source] = min(first, *times), max(last, *times)
    if not spans:
        raise OptionError("There is no line in the access logs.", "Hand in /var/log/pveproxy/access.log of every node.")
    since = max(first for first, unused in spans.values())
    until = min(last for unused, last in spans.values())
    return AccessLogs(last_used, since, until, len(spans), lines, unread)


def _source(name: str) -> str:
    """Return what tells the logs of one node from those of another."""
    before, found, unused = name.rpartition(_NAME)
    return before if found else _OLDER.sub("", name)


def _read(text: str, last_used: dict[str, int], latest: float) -> tuple[list[int], int, int]:
    """Note the last use of everybody in a text.

    Returns the times of all lines, how many lines are none or after ``latest``, and the last time of these (0 if there
    are none).
    """
    midnights: dict[tuple[str, ...], int | None] = {}
    times = []
    unread = ahead = 0
    for line in text.split("\n"):
        if not line.strip():
            continue
        found = read_line(line)
        when = _time(found.stamp, midnights) if found else None
        if found is None or when is None or when > latest:
            unread += 1
            ahead = max(ahead, when or 0)
            continue
        times.append(when)
        if found.who != NOBODY and last_used.get(found.who, 0) < when:
            last_used[found.who] = when
    return times, unread, ahead


def _time(stamp: str, midnights: dict[tuple[str, ...], int | None]) -> int | None:
    """Return the time that a line names; None where it is none, or there is no such day."""
    match = _STAMP.match(stamp)
    if match is None:
        return None
    day = match.group("year", "month", "day", "offset")
    if day not in midnights:
        midnights[day] = _midnight(*day)
    midnight = midnights[day]
    if midnight is None:
        return None
    return midnight + int(match["hour"]) * 3600 + int(match["minute"]) * 60 + int(match["second"])


def _midnight(year: str, month: str, day: str, offset: str) -> int | None:
    number = int(month) if month.isdigit() else _MONTHS.index(month) if month in _MONTHS else 0
    if not 1 <= number <= 12 or not 1 <= int(day) <= calendar.monthrange(int(year), number)[1]:
        return None
    minutes = int(offset[1:3]) * 60 + int(offset[3:])
    east = -60 if offset.startswith("-") else 60
    return calendar.timegm((int(year), number, int(day), 0, 0, 0)) - minutes * east
