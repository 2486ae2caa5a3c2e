#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage firewall aliases of Proxmox VE."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_fw_alias
short_description: Manage firewall aliases of Proxmox VE
version_added: 0.1.0
description:
  - Makes, changes and deletes a name for an address or a network, in the datacenter or in a guest.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.firewall
  - homelab.pve.firewall.objects
  - homelab.pve.attributes
  - homelab.pve.attributes.changes
  - homelab.pve.attributes.action_group
options:
  name:
    description: Name of the alias. Upper and lower case are the same; it is kept as it was first written.
    type: str
    required: true
  cidr:
    description: Address or network. Needed for a new alias.
    type: str
  comment:
    description: Comment. If it is left out, it stays as it is; an empty text takes it away.
    type: str
  state:
    description:
      - Whether the alias is to be there. It stays, and the task fails, as long as a rule or an entry of an IP set of
        the same place names it, or for the datacenter a rule of a security group or of a node. PVE would let these
        dangle without effect.
      - Rules of guests that name an alias of the datacenter are not looked at.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: homelab.pve.pve_fw_ipset
  - module: homelab.pve.pve_fw_rule
  - module: homelab.pve.pve_firewall
"""

EXAMPLES = r"""
---
- name: Give the workstation a name
  homelab.pve.pve_fw_alias:
    name: workstation
    cidr: 192.168.40.82
    comment: Where the cluster is managed

- name: Name a network for the rules of one guest
  homelab.pve.pve_fw_alias:
    scope: guest
    vmid: 100
    name: clients
    cidr: 192.168.40.0/24

- name: Take the name away again
  homelab.pve.pve_fw_alias:
    scope: guest
    vmid: 100
    name: clients
    state: absent
"""

RETURN = r"""
---
changes:
  description:
    - What was changed, or in check mode would be, in the order of the calls.
    - RV(changes[].before) and RV(changes[].after) hold the fields that differ; null stands for an object that is not
      there.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: What it is about, V(alias).
      type: str
      returned: always
    id:
      description: Its place, and the key or what else tells it apart there.
      type: str
      returned: always
    action:
      description: V(create), V(update) or V(delete).
      type: str
      returned: always
    before:
      description: The fields that differ, as they were.
      type: dict
      returned: always
    after:
      description: The fields that differ, as they are now.
      type: dict
      returned: always
    note:
      description: What the fields do not tell.
      type: str
      returned: when there is something to tell
  sample: [{kind: alias, id: cluster lan, action: update, before: {cidr: 10.0.0.0/24}, after: {cidr: 10.0.1.0/24}}]
assumed:
  description: What was taken for granted in check mode because an earlier task would have made it; else empty.
  returned: success
  type: list
  elements: str
  sample: []
alias:
  description: The alias as it is now, or in check mode would be; null when it is not there.
  returned: success
  type: dict
  contains:
    name:
      description: Its name, in the letter case in which it is kept.
      type: str
      returned: always
    cidr:
      description: Its address or network.
      type: str
      returned: always
    comment:
      description: Its comment.
      type: str
      returned: when it has one
  sample: {name: workstation, cidr: 192.168.40.82}
"""

from ansible_collections.homelab.pve.plugins.module_utils.firewall import spec
from ansible_collections.homelab.pve.plugins.module_utils.firewall.document import alias_document
from ansible_collections.homelab.pve.plugins.module_utils.module import one_of_place, run_firewall


def main() -> None:
    """Run the module."""
    run_firewall({**spec.scope("cluster", "guest"), **spec.ALIAS}, alias_document, one_of_place("alias", "aliases"))


if __name__ == "__main__":
    main()
