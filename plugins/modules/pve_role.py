#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage roles of Proxmox VE."""

from __future__ import annotations

DOCUMENTATION = r"""
"""

EXAMPLES = r"""
"""

RETURN = r"""
"""

from ansible_collections.homelab.pve.plugins.module_utils.access import spec
from ansible_collections.homelab.pve.plugins.module_utils.access.document import Document, parse_role
from ansible_collections.homelab.pve.plugins.module_utils.module import one_object, run_access


def main() -> None:
    """Run the module."""
    run_access(
        {**spec.ROLE, **spec.LOCKOUT},
        lambda params: Document(roles=(parse_role(params),), allow_lockout=params["allow_lockout"]),
        one_object("role", "roles", "roleid"),
    )


if __name__ == "__main__":
    main()
