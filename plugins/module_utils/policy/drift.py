"""What is not as the policy declares it: missing, unexpected or different, in access and in the firewall."""

from __future__ import annotations

from ..access.model import AccessState
from .document import Policy
from .findings import Judgement
from .observe import Observed


def judge(observed: Observed, policy: Policy, judgement: Judgement) -> AccessState | None:
    """Write down all differences, and return the access state that the policy means."""
    return None
