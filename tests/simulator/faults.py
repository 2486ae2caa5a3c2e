"""Faults to order: connections that break, answers that are not PVE's own or late, at a chosen request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

WHEN = ("before", "in", "after")
DO = ("close", "status", "slow")


@dataclass
class Fault:
    """One rule. ``path`` is a shell pattern for the path with ``/api2/json`` or without it.

    It strikes at the ``nth`` matching request (from 1) and the ``times - 1`` after it; ``times`` 0 means for ever.
    ``do`` close: ``before`` drops the connection with nothing done, ``in`` does the work and drops the connection
    before the first byte of the answer, ``after`` sends half of the answer. ``do`` status: answers ``status`` with
    ``reason``, for ``before`` without and for the others after having done the work. ``do`` slow: the answer is the
    right one, ``seconds`` later; other requests are answered in the meantime. With ``when`` before, the work is done at
    the end of the wait, else at its beginning.
    """

    method: str = "*"
    path: str = "*"
    nth: int = 1
    times: int = 1
    when: str = "before"
    do: str = "close"
    status: int = 595
    reason: str = "Connection refused"
    seconds: float = 1
    seen: int = 0

    def __post_init__(self) -> None:
        if self.when not in WHEN or self.do not in DO:
            raise ValueError(f"when is one of {', '.join(WHEN)}, do one of {', '.join(DO)}")
        if self.seconds < 0:
            raise ValueError("seconds are not less than 0")

    def strikes(self, method: str, path: str) -> bool:
        """Count the request if it matches, and tell whether it is hit."""
        short = path.removeprefix("/api2/json")
        matches = any(fnmatchcase(text, self.path) for text in (path, short))
        if not (fnmatchcase(method, self.method) and matches):
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.times == 0 or self.seen < self.nth + self.times)


@dataclass(frozen=True)
class Strike:
    """What hits a request: the first fault that is not mere slowness, and seconds to wait before and after the work."""

    fault: Fault | None = None
    before: float = 0
    after: float = 0


_NOTHING = Strike()


class Faults:
    """The rules in force, in the order of their arrival."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []

    def add(self, rules: Iterable[Mapping[str, Any]]) -> None:
        """Add rules. Raises TypeError or ValueError for one that cannot be."""
        self._rules += [Fault(**rule) for rule in rules]

    def clear(self) -> None:
        self._rules.clear()

    def pick(self, method: str, path: str) -> Strike:
        """Count a request against every rule, and return what hits it."""
        if not self._rules:
            return _NOTHING
        hits = [rule for rule in self._rules if rule.strikes(method, path)]
        slow = [rule for rule in hits if rule.do == "slow"]
        return Strike(
            next((rule for rule in hits if rule.do != "slow"), None),
            before=sum(rule.seconds for rule in slow if rule.when == "before"),
            after=sum(rule.seconds for rule in slow if rule.when != "before"),
        )
