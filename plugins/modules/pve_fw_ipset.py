#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage firewall IP sets of Proxmox VE."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_fw_ipset
short_description: Manage firewall IP sets of Proxmox VE
version_added: 0.1.0
description:
  - Makes, changes and deletes a set of addresses, in the datacenter or in a guest, and puts entries into it or takes
    them out.
  - Entries are compared by what they mean; only those that differ are touched.
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
    description: Name of the set, in lower case. V(management), V(blacklist) and V(ipfilter-net0) mean something to PVE.
    type: str
    required: true
  comment:
    description: Comment. If it is left out, it stays as it is; an empty text takes it away.
    type: str
  entries:
    description: Entries of the set. The others stay unless O(exclusive=true).
    type: list
    elements: dict
    suboptions:
      cidr:
        description:
          - Address or network without host bits, or the name of an alias (also as V(dc/NAME) and V(guest/NAME)).
          - PVE takes no network of all addresses; say both halves.
        type: str
        required: true
      nomatch:
        description: Whether it is taken out of the set. If it is left out, it stays as it is; a new entry is in it.
        type: bool
      comment:
        description: Comment. If it is left out, it stays as it is; an empty text takes it away.
        type: str
      state:
        description: Whether the entry is to be there.
        type: str
        choices: [present, absent]
        default: present
  exclusive:
    description: Whether every entry goes that is not declared. Without O(entries), the set becomes empty.
    type: bool
    default: false
  state:
    description:
      - Whether the set is to be there. It goes with all of its entries, but the task fails as long as a rule of the
        same place names it, or for the datacenter one of a security group or of a node.
      - Rules of guests that name a set of the datacenter are not looked at.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: homelab.pve.pve_fw_alias
  - module: homelab.pve.pve_fw_rule
  - module: homelab.pve.pve_firewall
"""

EXAMPLES = r"""
---
- name: Let the workstation manage the nodes, whatever the rules say below
  homelab.pve.pve_fw_ipset:
    name: management
    entries:
      - cidr: 192.168.40.82
        comment: Workstation

- name: A set of these entries and no others
  homelab.pve.pve_fw_ipset:
    name: trusted
    comment: May reach the guests
    entries:
      - cidr: 192.168.40.0/24
      - cidr: 192.168.40.66
        nomatch: true
        comment: All but this one
    exclusive: true

- name: Take one entry out
  homelab.pve.pve_fw_ipset:
    name: trusted
    entries:
      - cidr: 192.168.40.66
        state: absent

- name: The only addresses that a guest may use on its first interface
  homelab.pve.pve_fw_ipset:
    scope: guest
    vmid: 100
    name: ipfilter-net0
    entries:
      - cidr: 192.168.40.100
    exclusive: true

- name: Delete a set with its entries
  homelab.pve.pve_fw_ipset:
    name: trusted
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
      description: What it is about, V(ipset) or V(ipset entry).
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
  sample: [{kind: ipset entry, id: cluster +web 10.0.0.5, action: delete, before: {cidr: 10.0.0.5}, after: null}]
assumed:
  description: What was taken for granted in check mode because an earlier task would have made it; else empty.
  returned: success
  type: list
  elements: str
  sample: []
ipset:
  description: The set as it is now, or in check mode would be; null when it is not there.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
      returned: always
    comment:
      description: Its comment.
      type: str
      returned: when it has one
    entries:
      description: Its entries, all of them, each with C(cidr), C(nomatch), and C(comment) when it has one.
      type: list
      elements: dict
      returned: always
  sample: {name: trusted, entries: [{cidr: 192.168.40.0/24, nomatch: false}]}
"""

from ansible_collections.homelab.pve.plugins.module_utils.firewall import spec
from ansible_collections.homelab.pve.plugins.module_utils.firewall.document import set_document
from ansible_collections.homelab.pve.plugins.module_utils.module import one_of_place, run_firewall


def main() -> None:
    """Run the module."""
    run_firewall({**spec.scope("cluster", "guest"), **spec.IPSET}, set_document, one_of_place("ipset", "ipsets"))


if __name__ == "__main__":
    main()
