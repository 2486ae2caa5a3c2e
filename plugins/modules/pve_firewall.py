#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reconcile the firewall of Proxmox VE with one document."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_firewall
short_description: Reconcile the firewall of Proxmox VE with one document
version_added: 0.1.0
description:
  - Takes a document about options, aliases, IP sets, security groups and rules of the datacenter, nodes, guests and
    vnets, and makes the cluster agree with it in one task.
  - The order of the changes is safe for the host. Whoever reaches its API or SSH before and after does so at every
    moment in between; where no order does this, the task says so.
  - What the document does not mention stays, apart from what C(exclusive) names. Within an object, what is left out
    stays as it is, and an empty text takes it away.
  - All that speaks against a document is told at once, before anything is changed.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.firewall
  - homelab.pve.attributes
  - homelab.pve.attributes.changes
  - homelab.pve.attributes.action_group
options:
  api_clients:
    description:
      - Addresses and networks that have to reach the API (TCP port 8006) of the host that the task talks to, and of the
        nodes in O(nodes).
      - They become rules of the datacenter with the keys V(api-clients) and V(api-clients-v6), on top where
        O(cluster.rules) is not given, else ahead of it. A rule of that key in O(cluster.rules) takes their place. With
        V([]), the rules go.
      - A plan after which one of them would not reach it is refused unless O(allow_lockout=true).
    type: list
    elements: str
  cluster:
    description: The datacenter.
    type: dict
    suboptions:
      options:
        description: Options, as with M(homelab.pve.pve_fw_options). What is left out stays.
        type: dict
        suboptions:
          enable:
            description: Main switch, off by default; without it nothing is filtered anywhere.
            type: bool
          policy_in:
            description: What becomes of incoming packets that no rule decides on.
            type: str
            choices: [ACCEPT, DROP, REJECT]
          policy_out:
            description: What becomes of outgoing packets that no rule decides on.
            type: str
            choices: [ACCEPT, DROP, REJECT]
          policy_forward:
            description: What becomes of forwarded packets that no rule decides on (PVE 8.3, under nftables).
            type: str
            choices: [ACCEPT, DROP]
          ebtables:
            description: Whether frames are filtered, too.
            type: bool
          log_ratelimit:
            description: How much is logged, such as V(enable=1,rate=1/second,burst=5).
            type: str
      unset:
        description: Names of options that go back to PVE's default.
        type: list
        elements: str
      aliases:
        description: Names for addresses, as with M(homelab.pve.pve_fw_alias).
        type: list
        elements: dict
        suboptions:
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
              - Whether the alias is to be there.
            type: str
            choices: [present, absent]
            default: present
      ipsets:
        description: Sets of addresses, as with M(homelab.pve.pve_fw_ipset).
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - Name of the set, in lower case. V(management), V(blacklist) and V(ipfilter-net0) mean something to PVE.
            type: str
            required: true
          comment:
            description: Comment. If it is left out, it stays as it is; an empty text takes it away.
            type: str
          entries:
            description: Entries of the set. The others stay unless O(cluster.ipsets[].exclusive=true).
            type: list
            elements: dict
            suboptions:
              cidr:
                description:
                  - Address or network without host bits, or the name of an alias (also as V(dc/NAME) and
                    V(guest/NAME)).
                  - PVE takes no network of all addresses; say both halves.
                type: str
                required: true
              nomatch:
                description:
                  - Whether it is taken out of the set. If it is left out, it stays as it is; a new entry is in it.
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
            description:
              - Whether every entry goes that is not declared. Without O(cluster.ipsets[].entries), the set becomes
                empty.
            type: bool
            default: false
          state:
            description:
              - Whether the set is to be there. It goes with its entries.
            type: str
            choices: [present, absent]
            default: present
      rules:
        description: Rules in their order, as with M(homelab.pve.pve_fw_rule).
        type: list
        elements: dict
        suboptions: &rule
          key:
            description:
              - Name by which the rule is found again, whatever else of it changes. It is kept in its comment, which
                then ends in C([key:NAME]).
              - Up to 32 letters, digits, C(.), C(_) and C(-). No two rules of a list have the same.
              - A rule without a key is found by its content, which is all but O(cluster.rules[].enable),
                O(cluster.rules[].log) and O(cluster.rules[].comment). A key is given to a rule of the same content that
                has none yet.
            type: str
          type:
            description:
              - Direction of the packets. V(forward) is there from PVE 8.3 on, and works under nftables only.
              - V(group) calls the security group that O(cluster.rules[].action) names.
              - Needed for a new rule, and for one without O(cluster.rules[].key).
            type: str
            choices: [in, out, forward, group]
          action:
            description:
              - V(ACCEPT), V(DROP) or V(REJECT), or with O(cluster.rules[].type=group) the name of a group. V(REJECT)
                does not go with O(cluster.rules[].type=forward).
              - Needed for a new rule, and for one without O(cluster.rules[].key).
            type: str
          enable:
            description:
              - Whether the rule is switched on. If it is left out, it stays as it is; a new rule is switched on.
            type: bool
          macro:
            description: One of PVE's macros, such as V(SSH). What it sets itself is left out beside it.
            type: str
          source:
            description:
              - Where packets come from. One address or network, several of one family with commas (no blanks) in
                between, a range V(10.0.0.1-10.0.0.9), the name of an alias, or V(+NAME) for an IP set.
              - A name is looked up in the guest and then in the datacenter. V(dc/NAME), V(guest/NAME), V(+dc/NAME) and
                V(+guest/NAME) say which (PVE 8.0), and V(+sdn/NAME) is a set of the software-defined network (PVE 8.3).
            type: str
          dest:
            description: Where packets go to, as O(cluster.rules[].source).
            type: str
          proto:
            description: Protocol by the name that PVE has for it, such as V(tcp), V(udp) or V(icmp), or by its number.
            type: str
          dport:
            description:
              - Ports that packets go to, such as V(22), V(http) or V(80,443,8000:8100). A range has a colon. Up to 15
                numbers, of which a range counts two.
              - With O(cluster.rules[].proto=icmp) it is the number of a type.
            type: str
          sport:
            description: Ports that packets come from, as O(cluster.rules[].dport).
            type: str
          icmp_type:
            description:
              - Type of ICMP by name, such as V(echo-request). Needs O(cluster.rules[].proto=icmp) or
                O(cluster.rules[].proto=ipv6-icmp).
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
              - Whether the rule is to be there. With V(absent), the rule of that O(cluster.rules[].key) goes; without a
                key, all of that content.
            type: str
            choices: [present, absent]
            default: present
      position:
        description:
          - Where the declared rules stand, as one block. If it is left out, those that are there stay where they are,
            as long as they are in order, and a new one goes right behind the one declared before it.
        type: str
        choices: [top, bottom, before, after]
      anchor:
        description: Key of the rule that O(cluster.position=before) and O(cluster.position=after) speak of.
        type: str
      groups:
        description: Security groups, as with M(homelab.pve.pve_fw_group).
        type: list
        elements: dict
        suboptions:
          name:
            description: Name of the group, in lower case, 2 to 18 characters.
            type: str
            required: true
          comment:
            description: Comment. If it is left out, it stays as it is; an empty text takes it away.
            type: str
          rules:
            description: Rules of the group in their order. The others stay unless O(cluster.groups[].exclusive=true).
            type: list
            elements: dict
            suboptions: *rule
          position:
            description:
              - Where the declared rules stand, as one block. If it is left out, those that are there stay where they
                are, as long as they are in order, and a new one goes right behind the one declared before it.
            type: str
            choices: [top, bottom, before, after]
          anchor:
            description:
              - Key of the rule that O(cluster.groups[].position=before) and O(cluster.groups[].position=after) speak
                of.
            type: str
          exclusive:
            description: Whether every rule goes that is not declared.
            type: bool
            default: false
          state:
            description:
              - Whether the group is to be there. Its rules go before it does.
            type: str
            choices: [present, absent]
            default: present
      exclusive:
        description:
          - Of what nothing is kept here that is not declared. The rules of a group have an own
            O(cluster.groups[].exclusive), and so have the entries of a set.
        type: list
        elements: str
        choices: [options, aliases, ipsets, groups, rules]
  nodes:
    description:
      - Nodes by their names. Each is a mapping of C(options), C(unset), C(rules), C(position), C(anchor) and
        C(exclusive), as O(cluster) has them; which options a node has, M(homelab.pve.pve_fw_options) says.
    type: dict
  guests:
    description:
      - Guests by their numbers; where they are is looked up. Each is a mapping as with O(nodes), and may have
        C(aliases) and C(ipsets), too.
    type: dict
  vnets:
    description:
      - Vnets by their names (PVE 8.3, under nftables, an experiment of PVE). Each is a mapping as with O(nodes).
    type: dict
seealso:
  - module: homelab.pve.pve_fw_options
  - module: homelab.pve.pve_fw_alias
  - module: homelab.pve.pve_fw_ipset
  - module: homelab.pve.pve_fw_group
  - module: homelab.pve.pve_fw_rule
"""

EXAMPLES = r"""
---
- name: A host that lets in who manages it, and a group for web servers
  homelab.pve.pve_firewall:
    api_clients: [192.168.40.82]
    management_source: 192.168.40.82
    cluster:
      options:
        enable: true
        policy_in: DROP
      aliases:
        - name: lan
          cidr: 192.168.40.0/24
      ipsets:
        - name: management
          entries:
            - cidr: 192.168.40.82
          exclusive: true
      groups:
        - name: web
          rules:
            - {key: http, type: in, action: ACCEPT, proto: tcp, dport: "80,443"}
            - {key: ping, type: in, action: ACCEPT, macro: Ping, source: lan}
          exclusive: true

- name: A guest that is a web server, and a node that answers pings
  homelab.pve.pve_firewall:
    guests:
      100:
        options:
          enable: true
          policy_in: DROP
        rules:
          - {key: web, type: group, action: web, iface: net0}
        exclusive: [rules]
    nodes:
      ugreen:
        rules:
          - {key: ping, type: in, action: ACCEPT, macro: Ping}

- name: A document from a file
  homelab.pve.pve_firewall:
    api_clients: "{{ policy.api_clients | default(omit) }}"
    cluster: "{{ policy.cluster | default(omit) }}"
    guests: "{{ policy.guests | default(omit) }}"
  vars:
    policy: "{{ lookup('ansible.builtin.file', policy_file) | from_yaml if policy_file is defined else {} }}"
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
      description: What it is about, V(options), V(alias), V(ipset), V(ipset entry), V(group) or V(rule).
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
  sample: [{kind: rule, id: 'cluster [web]', action: move, before: {position: 2}, after: {position: 0}}]
assumed:
  description: What was taken for granted in check mode because an earlier task would have made it; else empty.
  returned: success
  type: list
  elements: str
  sample: []
places:
  description:
    - What was declared, as it is now or in check mode would be, by place (V(cluster), V(node ugreen), V(guest 100),
      V(group web), V(vnet v1)).
    - A place has those of V(options), V(aliases), V(ipsets), V(groups) and V(rules) that the document speaks of, each
      as the module of its own returns it.
  returned: success
  type: dict
  sample:
    guest 100:
      rules: [{position: 0, key: web, type: group, action: web, iface: net0, enable: true}]
"""

from ansible_collections.homelab.pve.plugins.module_utils.documents import whole_firewall
from ansible_collections.homelab.pve.plugins.module_utils.firewall import spec
from ansible_collections.homelab.pve.plugins.module_utils.module import run_firewall


def main() -> None:
    """Run the module."""
    run_firewall(spec.DOCUMENT, whole_firewall, lambda params, plan: {"places": plan.result["places"]})


if __name__ == "__main__":
    main()
