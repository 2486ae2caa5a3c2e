#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Remove tickets that a log-in to Proxmox VE left."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_logout
short_description: Remove tickets that a log-in to Proxmox VE left
version_added: 0.1.0
description:
  - Removes the tickets of one user at one host from O(ticket_cache), however the host was trusted, or with O(all)
    those of everybody.
  - Nothing is asked of PVE, which has no call that ends a ticket. Copies of it, if there are any, are good until their
    two hours are over, or the user is disabled.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.changes
  - homelab.pve.attributes.action_group
options:
  all:
    description: Whether to remove all tickets in the folder. It takes neither host nor user then.
    type: bool
    default: false
seealso:
  - module: homelab.pve.pve_login
"""

EXAMPLES = r"""
- name: Remove the ticket of this user
  homelab.pve.pve_logout:
    host: 192.168.40.60
    user: joe@pve
    ticket_cache: ~/.cache/pve-tickets

- name: Remove all tickets
  homelab.pve.pve_logout:
    ticket_cache: ~/.cache/pve-tickets
    all: true
"""

RETURN = r"""
removed:
  description: The files that were removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/home/joe/.cache/pve-tickets/192.168.40.60-8006-joe@pve-0123456789ab.ticket]
"""

from ansible_collections.homelab.pve.plugins.module_utils.login import LogoutTask
from ansible_collections.homelab.pve.plugins.module_utils.module import run_local

OPTIONS = {"all": {"type": "bool", "default": False}}


def main() -> None:
    run_local(OPTIONS, LogoutTask.of)


if __name__ == "__main__":
    main()
