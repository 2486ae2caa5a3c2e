"""What an audit finds, what it could not see, and what was excepted from being found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

IGNORE, INFO, WARN, ERROR = "ignore", "info", "warn", "error"
# From the one that matters least to the one that matters most.
LEVELS = (IGNORE, INFO, WARN, ERROR)
# When a task fails: on findings of this level and above.
FAIL_ON = (INFO, WARN, ERROR, "never")


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    ``rule`` is an id of the catalogue. ``subject`` names whom or what it is about (``token joe@pve!ci``, ``role Ops``,
    ``cluster``), ``path`` the ACL path, or for the firewall what of the place it is about (``rule admins-ssh``).
    ``expected`` and ``found`` are plain data, None where there is nothing. ``apart`` tells it from other findings of
    the rule about the same subject and path, by what does not change with time: a role, an assertion.
    """

    rule: str
    level: str
    subject: str
    path: str
    message: str
    expected: Any = None
    found: Any = None
    fix: str = ""
    # Why it is excepted; empty for those that count.
    excepted: str = ""
    apart: str = ""

    @property
    def fingerprint(self) -> str:
        """Return what stays the same from run to run, for services that track findings."""
        told = json.dumps([self.rule, self.subject, self.path, self.apart])
        return hashlib.sha256(told.encode("utf-8")).hexdigest()[:32]

    def as_data(self) -> dict[str, Any]:
        """Return the finding as module results show it."""
        shown = {
            "rule": self.rule,
            "level": self.level,
            "subject": self.subject,
            "path": self.path,
            "message": self.message,
            "expected": self.expected,
            "found": self.found,
            "fix": self.fix,
            "fingerprint": self.fingerprint,
        }
        return {**shown, "excepted": self.excepted} if self.excepted else shown


@dataclass(frozen=True)
class Gap:
    """Something that could not be judged: ``what``, why, and what would make it visible."""

    what: str
    reason: str
    fix: str = ""

    def as_data(self) -> dict[str, str]:
        """Return the gap as module results show it."""
        return {"what": self.what, "reason": self.reason, "fix": self.fix}


@dataclass(frozen=True)
class Exemption:
    """A finding that is known and borne for a while: shell patterns of rule, subject and path, a reason and an end.

    ``until`` is in seconds since the epoch: the end of the day that was named.
    """

    rule: str
    subject: str
    path: str
    reason: str
    until: int

    def covers(self, finding: Finding) -> bool:
        """Tell whether it speaks of a finding, in force or not."""
        return (
            fnmatchcase(finding.rule, self.rule)
            and fnmatchcase(finding.subject, self.subject)
            and fnmatchcase(finding.path, self.path)
        )

    def __str__(self) -> str:
        return " ".join(part for part in (self.rule, self.subject, self.path) if part != "*") or "*"


@dataclass
class Judgement:
    """Where rules write down what they find, at the level that the policy gives each of them."""

    levels: Mapping[str, str]
    findings: list[Finding] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    # What is worth knowing and no finding.
    notes: list[str] = field(default_factory=list)

    def wants(self, *rules: str) -> bool:
        """Tell whether any of these rules is to be judged at all."""
        return any(self.levels[rule] != IGNORE for rule in rules)

    def find(
        self,
        rule: str,
        subject: str,
        path: str,
        message: str,
        *,
        expected: Any = None,
        found: Any = None,
        fix: str = "",
        level: str | None = None,
        apart: str = "",
    ) -> None:
        """Write down a finding (see ``Finding``); ``level`` is that of the rule unless it is given."""
        level = level or self.levels[rule]
        if level != IGNORE:
            self.findings.append(Finding(rule, level, subject, path, message, expected, found, fix, apart=apart))

    def gap(self, what: str, reason: str, fix: str = "") -> None:
        """Write down, once, what could not be judged."""
        gap = Gap(what, reason, fix)
        if gap not in self.gaps:
            self.gaps.append(gap)

    def note(self, said: str) -> None:
        """Write down, once, what is worth knowing."""
        if said not in self.notes:
            self.notes.append(said)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings, the gravest first, and otherwise in the order of rules, subjects and paths."""
    return sorted(findings, key=lambda one: (-LEVELS.index(one.level), one.rule, one.subject, one.path, one.message))


def except_(
    findings: Iterable[Finding], exemptions: Iterable[Exemption], now: float
) -> tuple[list[Finding], list[Finding], list[Exemption], list[Exemption]]:
    """Part findings by the exemptions.

    Returns those that count, those that are excepted, the exemptions that are over and still cover something, and
    those in force that cover nothing.
    """
    every = list(exemptions)
    counting, excepted = [], []
    over: dict[Exemption, None] = {}
    used: set[Exemption] = set()
    for finding in findings:
        covering = [one for one in every if one.covers(finding)]
        in_force = [one for one in covering if one.until > now]
        used.update(in_force)
        if in_force:
            excepted.append(replace(finding, excepted=in_force[0].reason))
        else:
            counting.append(finding)
            over.update(dict.fromkeys(covering))
    unused = [one for one in every if one.until > now and one not in used]
    return counting, excepted, list(over), unused
