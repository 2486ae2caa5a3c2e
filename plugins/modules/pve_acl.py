#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage ACL entries of Proxmox VE."""

from __future__ import annotations

DOCUMENTATION = r"""
"""

EXAMPLES = r"""
"""

RETURN = r"""
"""

from ansible_collections.homelab.pve.plugins.module_utils.access import spec
from ansible_collections.homelab.pve.plugins.module_utils.access.document import Document, parse_acl
from ansible_collections.homelab.pve.plugins.module_utils.module import run_access


def main() -> None:
    """Run the module."""
    run_access(
        {**spec.ACL, **spec.LOCKOUT},
        lambda params: Document(acls=(parse_acl(params),), allow_lockout=params["allow_lockout"]),
        lambda params, plan, task: {"acl": plan.result["acl"]},
        required_one_of=[("users", "groups", "tokens")],
    )


if __name__ == "__main__":
    main()
