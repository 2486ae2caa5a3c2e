"""Lines of the access log that PVE's web server, pveproxy, writes: one for each request, as other web servers do.

::

    ::ffff:192.168.40.82 - joe@pve!ci [21/11/2026:08:00:01 +0100] "GET /api2/json/version HTTP/1.1" 200 91

Who asked is a userid or a full token id, and a dash where nobody was let in.
"""

from __future__ import annotations

import re
from typing import NamedTuple

NOBODY = "-"
_LINE = re.compile(r'\s*\S+ - (?P<who>\S+) \[(?P<stamp>[^\]]*)\] "(?P<rest>.*)')


class Line(NamedTuple):
    """What a line tells: who asked, when as it is written, and what stands behind the first quotation mark."""

    who: str
    stamp: str
    rest: str


def read_line(text: str) -> Line | None:
    """Take a line apart; None for one that is none of an access log."""
    match = _LINE.match(text)
    return Line(match["who"], match["stamp"], match["rest"]) if match else None
