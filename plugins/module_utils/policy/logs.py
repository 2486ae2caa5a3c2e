"""When tokens were used, by the access logs of PVE's web server that people hand in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class AccessLogs:
    """The last use of each id that used the API, and from when to when the logs tell, in seconds since the epoch."""

    last_used: Mapping[str, int]
    since: int
    until: int
