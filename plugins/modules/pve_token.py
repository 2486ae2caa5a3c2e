#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage API tokens of Proxmox VE."""

from __future__ import annotations

DOCUMENTATION = r"""
"""

EXAMPLES = r"""
"""

RETURN = r"""
"""

from ansible_collections.homelab.pve.plugins.module_utils.access import spec
from ansible_collections.homelab.pve.plugins.module_utils.access.document import Document, parse_token
from ansible_collections.homelab.pve.plugins.module_utils.access.plan import powerless_hint
from ansible_collections.homelab.pve.plugins.module_utils.access.task import AccessTask
from ansible_collections.homelab.pve.plugins.module_utils.module import Params, one_object, run_access
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import Plan

_one_token = one_object("token", "tokens", "tokenid")


def _result(params: Params, plan: Plan, task: AccessTask) -> Params:
    """Return the token, a hint where it can do nothing yet, and its secret where the task asked for it."""
    result = dict(_one_token(params, plan, task))
    if result["token"] and result["token"].get("effective") == {}:
        result["hint"] = powerless_hint(params["tokenid"], result["token"]["privsep"])
    if params["return_secret"] and params["tokenid"] in task.births.returned:
        result["secret"] = task.births.returned[params["tokenid"]]
    return result


def main() -> None:
    """Run the module."""
    run_access(
        {**spec.TOKEN, "return_secret": {"type": "bool", "default": False, "no_log": False}, **spec.LOCKOUT},
        lambda params: Document(tokens=(parse_token(params),), allow_lockout=params["allow_lockout"]),
        _result,
    )


if __name__ == "__main__":
    main()
