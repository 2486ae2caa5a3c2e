#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage firewall security groups of Proxmox VE."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_fw_group
short_description: Manage firewall security groups of Proxmox VE
version_added: 0.1.0
description:
  - Makes, changes and deletes a security group, a list of rules that rules of type V(group) call from the datacenter,
    nodes and guests.
  - The rules of a group cannot call groups; they name aliases and IP sets of the datacenter, and no interfaces.
  - What is left out of a rule that is there stays as it is; an empty text takes it away.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.firewall
  - homelab.pve.firewall.list
  - homelab.pve.attributes
  - homelab.pve.attributes.changes
  - homelab.pve.attributes.action_group
options:
  name:
    description: Name of the group, in lower case, 2 to 18 characters.
    type: str
    required: true
  comment:
    description: Comment. If it is left out, it stays as it is; an empty text takes it away.
    type: str
  rules:
    description: Rules of the group in their order. The others stay unless O(exclusive=true).
    type: list
    elements: dict
    suboptions:
      key:
        description:
          - Name by which the rule is found again, whatever else of it changes. It is kept in its comment, which then
            ends in C([key:NAME]).
          - Up to 32 letters, digits, C(.), C(_) and C(-). No two rules of a list have the same.
          - A rule without a key is found by its content, which is all but O(rules[].enable), O(rules[].log) and
            O(rules[].comment). A key is given to a rule of the same content that has none yet.
        type: str
      type:
        description:
          - Direction of the packets. V(forward) is there from PVE 8.3 on, and works under nftables only.
          - V(group) calls the security group that O(rules[].action) names.
          - Needed for a new rule, and for one without O(rules[].key).
        type: str
        choices: [in, out, forward, group]
      action:
        description:
          - V(ACCEPT), V(DROP) or V(REJECT), or with O(rules[].type=group) the name of a group. V(REJECT) does not go
            with O(rules[].type=forward).
          - Needed for a new rule, and for one without O(rules[].key).
        type: str
      enable:
        description: Whether the rule is switched on. If it is left out, it stays as it is; a new rule is switched on.
        type: bool
      macro:
        description: One of PVE's macros, such as V(SSH). What it sets itself is left out beside it.
        type: str
      source:
        description:
          - Where packets come from. One address or network, several of one family with commas (no blanks) in between, a
            range V(10.0.0.1-10.0.0.9), the name of an alias, or V(+NAME) for an IP set.
          - A name is looked up in the guest and then in the datacenter. V(dc/NAME), V(guest/NAME), V(+dc/NAME) and
            V(+guest/NAME) say which (PVE 8.0), and V(+sdn/NAME) is a set of the software-defined network (PVE 8.3).
        type: str
      dest:
        description: Where packets go to, as O(rules[].source).
        type: str
      proto:
        description: Protocol by the name that PVE has for it, such as V(tcp), V(udp) or V(icmp), or by its number.
        type: str
      dport:
        description:
          - Ports that packets go to, such as V(22), V(http) or V(80,443,8000:8100). A range has a colon. Up to 15
            numbers, of which a range counts two.
          - With O(rules[].proto=icmp) it is the number of a type.
        type: str
      sport:
        description: Ports that packets come from, as O(rules[].dport).
        type: str
      icmp_type:
        description:
          - Type of ICMP by name, such as V(echo-request). Needs O(rules[].proto=icmp) or O(rules[].proto=ipv6-icmp).
        type: str
      iface:
        description: Network interface, such as V(vmbr0); in a guest V(net0) and so on. Groups and vnets have none.
        type: str
      log:
        description: Level at which packets are logged, from V(emerg) to V(debug), or V(nolog).
        type: str
      comment:
        description: Comment, without the key. It has no line breaks.
        type: str
      state:
        description:
          - Whether the rule is to be there. With V(absent), the rule of that O(rules[].key) goes; without a key, all of
            that content.
        type: str
        choices: [present, absent]
        default: present
  state:
    description:
      - Whether the group is to be there. Its rules are deleted before it is. The task fails as long as a rule of the
        datacenter or of a node calls it; PVE would let that rule dangle. Rules of guests are not looked at.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: homelab.pve.pve_fw_rule
  - module: homelab.pve.pve_firewall
"""

EXAMPLES = r"""
---
- name: What web servers let in
  homelab.pve.pve_fw_group:
    name: web
    comment: Web servers
    rules:
      - key: http
        type: in
        action: ACCEPT
        proto: tcp
        dport: 80,443
      - key: ping
        type: in
        action: ACCEPT
        macro: Ping
        source: 192.168.40.0/24

- name: A rule that calls the group
  homelab.pve.pve_fw_rule:
    scope: guest
    vmid: 100
    type: group
    action: web
    iface: net0

- name: Another rule, on top of the group
  homelab.pve.pve_fw_group:
    name: web
    position: top
    rules:
      - key: not-this-one
        type: in
        action: DROP
        source: 192.168.40.66

- name: Take the call away again
  homelab.pve.pve_fw_rule:
    scope: guest
    vmid: 100
    type: group
    action: web
    iface: net0
    state: absent

- name: Delete the group with its rules
  homelab.pve.pve_fw_group:
    name: web
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
      description: What it is about, V(group) or V(rule).
      type: str
      returned: always
    id:
      description: Its place, and the key or what else tells it apart there.
      type: str
      returned: always
    action:
      description: V(create), V(update), V(move) or V(delete).
      type: str
      returned: always
    before:
      description: The fields that differ, as they were, or the position.
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
  sample: [{kind: group, id: cluster web, action: create, before: null, after: {comment: Web servers}}]
assumed:
  description: What was taken for granted in check mode because an earlier task would have made it; else empty.
  returned: success
  type: list
  elements: str
  sample: []
group:
  description: The group as it is now, or in check mode would be; null when it is not there.
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
    rules:
      description: Its whole list of rules, as M(homelab.pve.pve_fw_rule) returns it.
      type: list
      elements: dict
      returned: when the task speaks of rules
  sample:
    name: web
    rules: [{position: 0, key: http, type: in, action: ACCEPT, proto: tcp, dport: '80,443', enable: true}]
"""

from ansible_collections.homelab.pve.plugins.module_utils.firewall import spec
from ansible_collections.homelab.pve.plugins.module_utils.firewall.document import group_document
from ansible_collections.homelab.pve.plugins.module_utils.module import one_of_place, run_firewall


def main() -> None:
    """Run the module."""
    run_firewall(spec.GROUP, group_document, one_of_place("group", "groups"))


if __name__ == "__main__":
    main()
