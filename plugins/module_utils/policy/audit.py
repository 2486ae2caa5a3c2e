"""An audit: what a policy says, held against a cluster or its snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..access.model import AccessState
from ..access.releases import as_text
from ..access.whatif import Rights, RightsChange, rights_between
from ..wording import ago, day, some_of
from . import assertions, drift, hygiene
from .assertions import Outcome
from .document import Policy
from .findings import LEVELS, Finding, Gap, Judgement, except_, in_order
from .logs import AccessLogs
from .observe import Observed, look
from .sources import Source

PASS, FAIL, INCOMPLETE = "pass", "fail", "incomplete"


@dataclass(frozen=True)
class Audit:
    """What came of an audit.

    ``after`` is the state of access that the policy means, and ``rights`` say who would gain and lose what if it was
    applied; both are None where the policy does not speak of access.
    """

    policy: Policy
    observed: Observed
    findings: tuple[Finding, ...]
    excepted: tuple[Finding, ...] = ()
    gaps: tuple[Gap, ...] = ()
    notes: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    after: AccessState | None = None
    rights: Rights | None = None
    requests: int = 0

    @property
    def changes(self) -> tuple[RightsChange, ...]:
        """Who would gain and lose what; empty where that is not known."""
        return self.rights.changes if self.rights else ()

    def status(self, fail_on: str) -> str:
        """Return pass, fail or incomplete: it fails on findings of the level ``fail_on`` (or "never") and above.

        What could not be seen never counts as passed.
        """
        if fail_on in LEVELS and any(LEVELS.index(one.level) >= LEVELS.index(fail_on) for one in self.findings):
            return FAIL
        return INCOMPLETE if self.gaps else PASS

    def failure(self, status: str) -> str:
        """Say in a few sentences why an audit of this status did not pass."""
        told = [f"{one.level}: {one.message}" for one in self.findings]
        told += [f"not judged: {gap.what} ({gap.reason} {gap.fix})" for gap in self.gaps]
        counts = ", ".join(f"{number} {level}" for level, number in self.counts().items() if number)
        head = f"The audit found {counts}"
        if status == INCOMPLETE:
            head = f"The audit is incomplete{f', and found {counts}' if counts else ''}"
        return f"{head}. {some_of(told, between=' ')}."

    def counts(self) -> dict[str, int]:
        """Return how many findings there are of each level."""
        return {level: sum(one.level == level for one in self.findings) for level in reversed(LEVELS[1:])}

    def as_data(self) -> dict[str, Any]:
        """Return the audit as module results show it."""
        return {
            "findings": [one.as_data() for one in self.findings],
            "excepted": [one.as_data() for one in self.excepted],
            "incomplete": [gap.as_data() for gap in self.gaps],
            "notes": list(self.notes),
            "assertions": [one.as_data() for one in self.outcomes],
            "counts": self.counts(),
            "would_change": self.rights.as_data() if self.rights else None,
            "release": as_text(self.observed.access.release),
            "caller": self.observed.access.caller,
            "requests": self.requests,
        }


def audit(
    source: Source,
    policy: Policy,
    now: float,
    *,
    confirm: bool = True,
    guests: bool = False,
    logs: AccessLogs | None = None,
    today: float | None = None,
    max_age: int | None = None,
) -> Audit:
    """Hold a policy against what a source says, as of ``now``.

    ``confirm`` has PVE itself confirm assertions, ``guests`` looks at the firewall of every guest, and ``logs`` are
    what tells when tokens were used. ``today`` is when the audit is made, where what the source says is older: that
    decides which exceptions are over. If it is older than ``max_age`` seconds, that is a gap. Raises PveError where PVE
    does not answer, OptionError where the policy contradicts itself.
    """
    today = now if today is None else today
    observed = look(source, policy, now, guests=guests)
    judgement = Judgement(policy.hygiene.levels, gaps=list(observed.gaps))
    if max_age is not None and today - now > max_age:
        judgement.gap(
            "what became of the cluster since",
            f"The snapshot is of {day(now)}, {ago(today - now)}, which is longer than snapshot_max_age.",
            "Take a new one.",
        )
    after = drift.judge(observed, policy, judgement)
    outcomes = assertions.judge(observed, policy, judgement, source if confirm else None)
    hygiene.judge(observed, policy, judgement, logs)
    findings, excepted, over, unused = except_(judgement.findings, policy.exemptions, today)
    of_exceptions = Judgement(policy.hygiene.levels)
    for exemptions, rule, said, fix in (
        (
            over,
            "exception_over",
            "is over, and what it excepted is still there.",
            "Put it right, or give the exception another end.",
        ),
        (unused, "exception_unused", "covers nothing.", "Take it out of the policy."),
    ):
        for exemption in exemptions:
            of_exceptions.find(
                rule,
                str(exemption),
                exemption.path if exemption.path != "*" else "",
                f"The exception '{exemption}' ({exemption.reason}) {said}",
                fix=fix,
                apart=exemption.reason,
            )
    return Audit(
        policy,
        observed,
        tuple(in_order([*findings, *of_exceptions.findings])),
        tuple(in_order(excepted)),
        tuple(judgement.gaps),
        tuple(judgement.notes),
        tuple(outcomes),
        after,
        None if after is None else rights_between(observed.access, observed.state, after),
        source.requests,
    )
