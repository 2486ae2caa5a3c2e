"""An embedded PVE API: HTTPS on loopback, stateful, with permissions, parameter checks and error texts as PVE's own."""

from __future__ import annotations

from .simulation import Simulator
from .state import ADMIN, ADMIN_PASSWORD, ROOT_SECRET, ROOT_TOKEN

__all__ = ["ADMIN", "ADMIN_PASSWORD", "ROOT_SECRET", "ROOT_TOKEN", "Simulator"]
