"""A whole policy: what is to be there, what is to hold, how much each rule matters, and what is excepted."""

from __future__ import annotations

import calendar
import datetime
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..access import paths, releases
from ..access.document import Document as AccessDocument
from ..client.errors import OptionError
from ..firewall.wanted import Document as FirewallDocument
from ..wording import DAY
from .catalogue import RULES, default_levels
from .findings import Exemption

Raw = Mapping[str, Any]

EXACTLY, AT_LEAST, AT_MOST, NEVER, NOTHING, READ_ONLY = (
    "exactly",
    "at_least",
    "at_most",
    "never",
    "nothing",
    "read_only",
)
# Those that say what must not be held: they speak of all below their path, too, unless they say otherwise.
LIMITS = (AT_MOST, NEVER, NOTHING, READ_ONLY)
_KINDS = (EXACTLY, AT_LEAST, *LIMITS)
# Between them, these know every path that any release has.
_GRAMMARS = ((7, 4), releases.NEWEST)


@dataclass(frozen=True)
class Assertion:
    """What somebody has to hold on a path, or must not. ``subject`` and ``path`` may be shell patterns.

    ``kind`` is one of exactly, at_least, at_most, never (with ``privs``), nothing and read_only. With ``below`` it
    speaks of all that is below the path, too.
    """

    subject: str
    path: str
    kind: str
    privs: frozenset[str] = frozenset()
    below: bool = False
    level: str | None = None

    def __str__(self) -> str:
        """Say it as in ``joe@pve on /vms: never VM.Console``."""
        privs = f" {', '.join(sorted(self.privs)) or 'nothing'}" if self.kind not in (NOTHING, READ_ONLY) else ""
        return f"{self.subject} on {self.path}: {self.kind.replace('_', ' ')}{privs}"


@dataclass(frozen=True)
class Hygiene:
    """How much each rule matters, and the numbers that some of them take."""

    levels: Mapping[str, str] = field(default_factory=default_levels)
    # The rules whose levels the policy itself gives.
    given: frozenset[str] = frozenset()
    # A token or user that expires within so many days is found.
    expiring_days: int = 14
    # A token that was not used for so many days is found, where access logs are handed in.
    unused_days: int = 90


@dataclass(frozen=True)
class Policy:
    """A policy file. What it does not speak of is None, and not judged."""

    access: AccessDocument | None = None
    firewall: FirewallDocument | None = None
    assertions: tuple[Assertion, ...] = ()
    hygiene: Hygiene = field(default_factory=Hygiene)
    exemptions: tuple[Exemption, ...] = ()


def parse_policy(raw: Raw, access: AccessDocument | None, firewall: FirewallDocument | None) -> Policy:
    """Read what a policy says beside its documents of access and firewall. Raises OptionError, naming the field.

    ``raw`` has been through an argument spec.
    """
    return Policy(
        access,
        firewall,
        tuple(one for row in _numbered(raw, "pve_assertions") for one in _assertion(*row)),
        _hygiene(raw.get("pve_hygiene") or {}),
        tuple(_exemption(*row) for row in _numbered(raw, "pve_exceptions")),
    )


def _numbered(raw: Raw, key: str) -> Iterable[tuple[str, Raw]]:
    return [(f"{key}, entry {number}", row) for number, row in enumerate(raw.get(key) or (), 1)]


def _assertion(where: str, raw: Raw) -> Iterable[Assertion]:
    """Read one entry: an assertion for each of its paths and of the things it says about them."""
    kinds = [kind for kind in _KINDS if raw.get(kind) not in (None, False)]
    if not kinds:
        raise OptionError(f"{where}: says nothing about {raw['subject']}.", f"Give one of {', '.join(_KINDS)}.")
    if not raw["subject"]:
        raise OptionError(f"{where}: subject is empty.", "Name a user or a token, or give a pattern such as '*@pve'.")
    if not raw["paths"]:
        raise OptionError(f"{where}: paths is empty, so it says nothing.", "Name a path; / is the one above all.")
    for kind in (AT_LEAST, NEVER):
        if kind in kinds and not raw[kind]:
            hint = "nothing: true says that no privilege may be held." if kind == NEVER else "Name privileges."
            raise OptionError(f"{where}: {kind} is empty, which always holds.", hint)
    found = []
    for path in raw["paths"]:
        normal = path if is_pattern(path) else paths.normalise(path)
        if normal is None or not normal.startswith("/"):
            raise OptionError(f"{where}: {path!r} is no ACL path.", "Paths look like /vms/100; patterns like /vms/*.")
        if not is_pattern(path) and not any(paths.is_valid(normal, release) for release in _GRAMMARS):
            guess = paths.meant(normal, releases.NEWEST)
            raise OptionError(f"{where}: PVE has no ACL path {path!r}.", f"You probably mean {guess}." if guess else "")
        for kind in kinds:
            privs = frozenset(raw[kind]) if kind not in (NOTHING, READ_ONLY) else frozenset()
            _known(where, privs)
            below = kind in LIMITS if raw.get("below") is None else bool(raw["below"])
            found.append(Assertion(raw["subject"], normal, kind, privs, below, raw.get("level")))
    return found


def is_pattern(text: str) -> bool:
    """Tell whether a text is a shell pattern, and not a name."""
    return any(sign in text for sign in "*?[")


def _known(where: str, privs: Iterable[str]) -> None:
    """Refuse privileges that no release knows: an assertion with a misspelt one would never fail."""
    every = releases.every_privilege()
    for name in sorted(set(privs) - every):
        close = difflib.get_close_matches(name, sorted(every), 1, 0.5)
        raise OptionError(f"{where}: PVE has no privilege {name!r}.", f"Did you mean {close[0]}?" if close else "")


def _hygiene(raw: Raw) -> Hygiene:
    given = {rule: str(raw[rule]) for rule in RULES if raw.get(rule) is not None}
    days = {name: int(raw[name]) for name in ("expiring_days", "unused_days") if raw.get(name) is not None}
    for name, value in days.items():
        if value < 1:
            raise OptionError(f"pve_hygiene, {name}: {value} is no number of days.")
    return Hygiene({**default_levels(), **given}, frozenset(given), **days)


def _exemption(where: str, raw: Raw) -> Exemption:
    if not raw["reason"].strip():
        raise OptionError(f"{where}: the reason is empty.", "Say why this is borne, for those who read it later.")
    if not is_pattern(raw["rule"]) and raw["rule"] not in RULES:
        close = difflib.get_close_matches(raw["rule"], sorted(RULES), 1, 0.5)
        raise OptionError(f"{where}: there is no rule {raw['rule']!r}.", f"Did you mean {close[0]}?" if close else "")
    try:
        day = datetime.datetime.strptime(str(raw["until"]), "%Y-%m-%d")
    except ValueError:
        raise OptionError(f"{where}: until: {raw['until']!r} is no day.", "Write it as 2027-01-31.") from None
    return Exemption(
        raw["rule"],
        raw.get("subject") or "*",
        raw.get("path") or "*",
        raw["reason"].strip(),
        calendar.timegm(day.timetuple()) + DAY,
    )
