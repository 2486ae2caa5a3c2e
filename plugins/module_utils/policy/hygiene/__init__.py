"""Whatever is unwise, declared or not.

Each thing that is wrong is found once, by the rule that says most about it: a token that is over is not found again for
what it could do, nor is a firewall that is off for what its rules let in.
"""

from __future__ import annotations

from ..document import Policy
from ..findings import Judgement
from ..logs import AccessLogs
from ..observe import Observed
from .admins import judge as admins
from .certificates import judge as certificates
from .entries import judge as entries
from .factors import judge as factors
from .firewall import judge as firewall
from .people import judge as people
from .reach import judge as reach
from .roles import judge as roles
from .subjects import Case
from .tokens import judge as tokens
from .usage import judge as usage


def judge(observed: Observed, policy: Policy, judgement: Judgement, logs: AccessLogs | None) -> None:
    """Write down what every rule of hygiene finds that is not ignored."""
    case = Case(observed, policy.hygiene, judgement)
    tokens(case)
    people(case)
    admins(case)
    factors(case)
    entries(case, policy.access)
    roles(case)
    firewall(case)
    reach(case)
    certificates(case)
    usage(case, logs)
