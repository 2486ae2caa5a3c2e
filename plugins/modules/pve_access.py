#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reconcile all of access in Proxmox VE with one document."""

from __future__ import annotations

DOCUMENTATION = r"""
"""

EXAMPLES = r"""
"""

RETURN = r"""
"""

from ansible_collections.homelab.pve.plugins.module_utils.access import spec
from ansible_collections.homelab.pve.plugins.module_utils.access.document import parse_document
from ansible_collections.homelab.pve.plugins.module_utils.module import run_access


def main() -> None:
    """Run the module."""
    allowances = {name: {"type": "bool", "default": False} for name in ("allow_missing", "allow_narrowing")}
    run_access(
        {**spec.DOCUMENT, **allowances, **spec.LOCKOUT},
        parse_document,
        lambda params, plan, task: plan.result,
    )


if __name__ == "__main__":
    main()
