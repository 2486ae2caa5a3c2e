# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The part of pve_token that belongs to the machine that Ansible runs on: secrets are kept there."""

from __future__ import annotations

from ..plugin_utils.keeping import KeepingAction


class ActionModule(KeepingAction):
    """Runs the module pve_token, and keeps the secrets that it speaks of."""
