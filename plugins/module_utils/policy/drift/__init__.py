"""What is not as the policy declares it: missing, unexpected or different, in access and in the firewall."""

from __future__ import annotations

from ...access.model import AccessState
from ..document import Policy
from ..findings import Judgement
from ..observe import Observed
from .access import judge_access
from .findings import RULES
from .firewall import judge_firewall


def judge(observed: Observed, policy: Policy, judgement: Judgement) -> AccessState | None:
    """Write down all differences, and return the access state that the policy means; None where it says nothing."""
    if policy.firewall is not None and judgement.wants(*RULES):
        judge_firewall(observed, policy.firewall, judgement)
    return None if policy.access is None else judge_access(observed, policy.access, judgement)
