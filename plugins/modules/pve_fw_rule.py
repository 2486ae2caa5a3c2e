#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage firewall rules of Proxmox VE."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_fw_rule
short_description: Manage firewall rules of Proxmox VE
version_added: 0.1.0
description:
  - Makes, changes, moves and deletes rules of one list, that of the datacenter, a node, a guest, a security group or a
    vnet. Give one rule, or several in their order as O(rules).
  - A rule is found by its key, else by its content, and never by its position.
  - What is left out of a rule that is there stays as it is; an empty text takes it away.
  - Vnets have rules from PVE 8.3 on, of types V(forward) and V(group); they work under nftables only, and are an
    experiment of PVE.
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
  scope:
    description: Where the list is.
    type: str
    choices: [cluster, node, guest, group, vnet]
    default: cluster
  node:
    description: Name of the node, with O(scope=node).
    type: str
  vmid:
    description: Number of the guest, with O(scope=guest). Its node and type are looked up; it has to exist.
    type: int
  group:
    description: Name of the security group, with O(scope=group). It has to exist; see M(homelab.pve.pve_fw_group).
    type: str
  vnet:
    description: Name of the vnet, with O(scope=vnet).
    type: str
  rules:
    description:
      - Rules in their order. Does not go with the options of a single rule; with O(state=absent), all of them go.
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
  key:
    description:
      - Name by which the rule is found again, whatever else of it changes. It is kept in its comment, which then ends
        in C([key:NAME]).
      - Up to 32 letters, digits, C(.), C(_) and C(-). No two rules of a list have the same.
      - A rule without a key is found by its content, which is all but O(enable), O(log) and O(comment). A key is given
        to a rule of the same content that has none yet.
    type: str
  type:
    description:
      - Direction of the packets. V(forward) is there from PVE 8.3 on, and works under nftables only.
      - V(group) calls the security group that O(action) names.
      - Needed for a new rule, and for one without O(key).
    type: str
    choices: [in, out, forward, group]
  action:
    description:
      - V(ACCEPT), V(DROP) or V(REJECT), or with O(type=group) the name of a group. V(REJECT) does not go with
        O(type=forward).
      - Needed for a new rule, and for one without O(key).
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
    description: Where packets go to, as O(source).
    type: str
  proto:
    description: Protocol by the name that PVE has for it, such as V(tcp), V(udp) or V(icmp), or by its number.
    type: str
  dport:
    description:
      - Ports that packets go to, such as V(22), V(http) or V(80,443,8000:8100). A range has a colon. Up to 15 numbers,
        of which a range counts two.
      - With O(proto=icmp) it is the number of a type.
    type: str
  sport:
    description: Ports that packets come from, as O(dport).
    type: str
  icmp_type:
    description: Type of ICMP by name, such as V(echo-request). Needs O(proto=icmp) or O(proto=ipv6-icmp).
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
      - Whether the rule is to be there. With V(absent), the rule of that O(key) goes; without a key, all of that
        content.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: homelab.pve.pve_fw_group
  - module: homelab.pve.pve_fw_ipset
  - module: homelab.pve.pve_fw_alias
  - module: homelab.pve.pve_firewall
"""

EXAMPLES = r"""
---
- name: Let the workstation reach the API of every node
  homelab.pve.pve_fw_rule:
    key: workstation-api
    type: in
    action: ACCEPT
    proto: tcp
    dport: 8006
    source: 192.168.40.82

- name: Let it in by SSH as well, right behind that
  homelab.pve.pve_fw_rule:
    key: workstation-ssh
    type: in
    action: ACCEPT
    macro: SSH
    source: 192.168.40.82
    position: after
    anchor: workstation-api

- name: Move to another port and log it, without touching the rest of the rule
  homelab.pve.pve_fw_rule:
    key: workstation-ssh
    type: in
    action: ACCEPT
    macro: ""
    proto: tcp
    dport: 2222
    log: info

- name: Rules of a guest, in this order, and no others
  homelab.pve.pve_fw_rule:
    scope: guest
    vmid: 100
    exclusive: true
    rules:
      - key: web
        type: in
        action: ACCEPT
        proto: tcp
        dport: 80,443
      - key: metrics
        type: in
        action: ACCEPT
        proto: tcp
        dport: 9100
        source: 192.168.40.0/24
      - key: the-rest
        type: in
        action: DROP
        comment: Nobody else

- name: A rule of one node, found by what it says
  homelab.pve.pve_fw_rule:
    scope: node
    node: ugreen
    type: in
    action: ACCEPT
    proto: icmp
    icmp_type: echo-request

- name: Take a rule away again
  homelab.pve.pve_fw_rule:
    key: workstation-ssh
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
      description: What it is about, V(rule).
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
  sample: [{kind: rule, id: 'cluster [web]', action: update, before: {dport: '80'}, after: {dport: '80,443'}}]
assumed:
  description: What was taken for granted in check mode because an earlier task would have made it; else empty.
  returned: success
  type: list
  elements: str
  sample: []
rules:
  description: The whole list as it is now, or in check mode would be.
  returned: success
  type: list
  elements: dict
  contains:
    position:
      description: Where it stands, from 0 on.
      type: int
      returned: always
    key:
      description: Its key.
      type: str
      returned: when it has one
    type:
      description: V(in), V(out), V(forward) or V(group).
      type: str
      returned: always
    action:
      description: What becomes of the packets, or the name of the group.
      type: str
      returned: always
    enable:
      description: Whether it is switched on.
      type: bool
      returned: always
    comment:
      description: Its comment without the key. So it is with the other fields of a rule.
      type: str
      returned: when it has one
    errors:
      description: What PVE finds wrong with it, by field. Such a rule has no effect.
      type: dict
      returned: when there is something wrong
  sample: [{position: 0, key: web, type: in, action: ACCEPT, proto: tcp, dport: '80,443', enable: true}]
"""

from ansible_collections.homelab.pve.plugins.module_utils.firewall import spec
from ansible_collections.homelab.pve.plugins.module_utils.firewall.document import parse_scope, rules_document
from ansible_collections.homelab.pve.plugins.module_utils.module import Params, run_firewall
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import Plan


def result(params: Params, plan: Plan) -> Params:
    """Return the whole list as it is now."""
    return {"rules": plan.result["places"][str(parse_scope(params))]["rules"]}


def main() -> None:
    """Run the module."""
    options = {
        **spec.scope("cluster", "node", "guest", "group", "vnet"),
        **spec.RULES,
        **spec.RULE,
    }
    run_firewall(options, rules_document, result, mutually_exclusive=[["rules", name] for name in spec.SINGLE_RULE])


if __name__ == "__main__":
    main()
