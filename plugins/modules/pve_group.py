#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage groups of Proxmox VE."""

from __future__ import annotations

DOCUMENTATION = r"""
"""

EXAMPLES = r"""
"""

RETURN = r"""
"""

from ansible_collections.homelab.pve.plugins.module_utils.access import spec
from ansible_collections.homelab.pve.plugins.module_utils.access.document import Document, parse_group
from ansible_collections.homelab.pve.plugins.module_utils.module import one_object, run_access


def main() -> None:
    """Run the module."""
    run_access(
        {**spec.GROUP, **spec.LOCKOUT},
        lambda params: Document(groups=(parse_group(params),), allow_lockout=params["allow_lockout"]),
        one_object("group", "groups", "groupid"),
    )


if __name__ == "__main__":
    main()
