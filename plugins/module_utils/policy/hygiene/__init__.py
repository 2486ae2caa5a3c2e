"""Whatever is unwise, declared or not.

Each thing that is wrong is found once, by the rule that says most about it: a token that is over is not found again for
what it could do, nor is a firewall that is off for what its rules let in.
"""

from __future__ import annotations

from ..document import Policy
from ..findings import Judgement
from ..logs import AccessLogs
from ..observe import Observed
from . import admins, certificates, entries, factors, firewall, people, reach, roles, tokens, usage
from .subjects import Case


def judge(observed: Observed, policy: Policy, judgement: Judgement, logs: AccessLogs | None) -> None:
    """Write down what every rule of hygiene finds that is not ignored."""
    case = Case(observed, policy.hygiene, judgement)
    tokens.judge(case)
    people.judge(case)
    admins.judge(case)
    factors.judge(case)
    entries.judge(case)
    roles.judge(case)
    firewall.judge(case)
    reach.judge(case)
    certificates.judge(case)
    usage.judge(case, logs)
