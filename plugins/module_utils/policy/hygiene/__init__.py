"""Whatever is unwise, declared or not."""

from __future__ import annotations

from ..document import Policy
from ..findings import Judgement
from ..logs import AccessLogs
from ..observe import Observed


def judge(observed: Observed, policy: Policy, judgement: Judgement, logs: AccessLogs | None) -> None:
    """Write down what every rule of hygiene finds that is not ignored."""
