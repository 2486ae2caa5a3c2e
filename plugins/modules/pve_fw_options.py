#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage firewall options of Proxmox VE."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_fw_options
short_description: Manage firewall options of Proxmox VE
version_added: 0.1.0
description:
  - Sets options of the firewall of the datacenter, a node, a guest or a vnet, or takes them back to PVE's default.
  - An option that is left out stays as it is. A place has not all of the options; one that it does not have is refused.
  - Vnets have options from PVE 8.3 on; they work under nftables only, and are an experiment of PVE.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.firewall
  - homelab.pve.attributes
  - homelab.pve.attributes.changes
  - homelab.pve.attributes.action_group
options:
  scope:
    description: Whose options they are.
    type: str
    choices: [cluster, node, guest, vnet]
    default: cluster
  node:
    description: Name of the node, with O(scope=node).
    type: str
  vmid:
    description: Number of the guest, with O(scope=guest). Its node and type are looked up; it has to exist.
    type: int
  vnet:
    description: Name of the vnet, with O(scope=vnet).
    type: str
  enable:
    description:
      - Whether it is switched on. In the datacenter this is the main switch, off by default; without it nothing is
        filtered anywhere.
      - Of the datacenter, nodes, guests and vnets.
    type: bool
  policy_in:
    description:
      - What becomes of incoming packets that no rule decides on.
      - Of the datacenter and guests.
    type: str
    choices: [ACCEPT, DROP, REJECT]
  policy_out:
    description:
      - What becomes of outgoing packets that no rule decides on.
      - Of the datacenter and guests.
    type: str
    choices: [ACCEPT, DROP, REJECT]
  policy_forward:
    description:
      - What becomes of forwarded packets that no rule decides on (PVE 8.3, under nftables).
      - Of the datacenter and vnets.
    type: str
    choices: [ACCEPT, DROP]
  ebtables:
    description:
      - Whether frames are filtered, too.
      - Of the datacenter.
    type: bool
  log_ratelimit:
    description:
      - How much is logged, such as V(enable=1,rate=1/second,burst=5).
      - Of the datacenter.
    type: str
  log_level_in:
    description:
      - Level at which incoming packets are logged.
      - Of nodes and guests.
    type: str
    choices: [emerg, alert, crit, err, warning, notice, info, debug, nolog]
  log_level_out:
    description:
      - Level at which outgoing packets are logged.
      - Of nodes and guests.
    type: str
    choices: [emerg, alert, crit, err, warning, notice, info, debug, nolog]
  log_level_forward:
    description:
      - Level at which forwarded packets are logged (PVE 8.3).
      - Of nodes and vnets.
    type: str
    choices: [emerg, alert, crit, err, warning, notice, info, debug, nolog]
  tcp_flags_log_level:
    description:
      - Level at which packets with odd TCP flags are logged.
      - Of nodes.
    type: str
    choices: [emerg, alert, crit, err, warning, notice, info, debug, nolog]
  smurf_log_level:
    description:
      - Level at which packets from broadcast addresses are logged.
      - Of nodes.
    type: str
    choices: [emerg, alert, crit, err, warning, notice, info, debug, nolog]
  nosmurfs:
    description:
      - Whether packets from broadcast addresses are dropped.
      - Of nodes.
    type: bool
  tcpflags:
    description:
      - Whether packets with odd TCP flags are dropped.
      - Of nodes.
    type: bool
  ndp:
    description:
      - Whether neighbour discovery of IPv6 is let through.
      - Of nodes and guests.
    type: bool
  nf_conntrack_allow_invalid:
    description:
      - Whether packets that belong to no connection are let through.
      - Of nodes.
    type: bool
  log_nf_conntrack:
    description:
      - Whether connections are logged.
      - Of nodes.
    type: bool
  nftables:
    description:
      - Whether nftables does the work in place of iptables (PVE 8.2).
      - Of nodes.
    type: bool
  protection_synflood:
    description:
      - Whether new connections are limited for each source.
      - Of nodes.
    type: bool
  protection_synflood_rate:
    description:
      - New connections per second, from 1 on.
      - Of nodes.
    type: int
  protection_synflood_burst:
    description:
      - New connections at once, from 1 on.
      - Of nodes.
    type: int
  nf_conntrack_max:
    description:
      - Connections that are tracked at the most, from 32768 on.
      - Of nodes.
    type: int
  nf_conntrack_tcp_timeout_established:
    description:
      - Seconds until a silent connection is forgotten, from 7875 on.
      - Of nodes.
    type: int
  nf_conntrack_tcp_timeout_syn_recv:
    description:
      - Seconds until half a connection is forgotten, 30 to 60.
      - Of nodes.
    type: int
  nf_conntrack_helpers:
    description:
      - Protocols whose side channels are followed (PVE 7.4). Of V(amanda), V(ftp), V(irc), V(netbios-ns), V(pptp),
        V(sane), V(sip), V(snmp) and V(tftp).
      - Of nodes.
    type: list
    elements: str
  dhcp:
    description:
      - Whether DHCP is let through.
      - Of guests.
    type: bool
  ipfilter:
    description:
      - Whether the guest may only use its own addresses, those of the sets V(ipfilter-net0) and so on.
      - Of guests.
    type: bool
  macfilter:
    description:
      - Whether the guest may only use its own MAC address.
      - Of guests.
    type: bool
  radv:
    description:
      - Whether the guest may send router advertisements.
      - Of guests.
    type: bool
  unset:
    description: Names of options that go back to PVE's default.
    type: list
    elements: str
  exclusive:
    description: Whether every option goes back to its default that the task does not give a value.
    type: bool
    default: false
seealso:
  - module: homelab.pve.pve_fw_rule
  - module: homelab.pve.pve_firewall
"""

EXAMPLES = r"""
---
- name: Let the workstation in before anything is filtered
  homelab.pve.pve_fw_ipset:
    name: management
    entries:
      - cidr: 192.168.40.82

- name: Switch the firewall on
  homelab.pve.pve_fw_options:
    enable: true
    policy_in: DROP
    management_source: 192.168.40.82
    log_ratelimit: enable=1,rate=1/second,burst=5

- name: Protect a node from floods of connections
  homelab.pve.pve_fw_options:
    scope: node
    node: ugreen
    protection_synflood: true
    protection_synflood_rate: 100

- name: Filter what reaches a guest, and nothing else of it
  homelab.pve.pve_fw_options:
    scope: guest
    vmid: 100
    enable: true
    policy_in: REJECT
    exclusive: true

- name: Leave the rate of the node to PVE again
  homelab.pve.pve_fw_options:
    scope: node
    node: ugreen
    unset: [protection_synflood_rate]
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
      description: What it is about, V(options).
      type: str
      returned: always
    id:
      description: Its place, and the key or what else tells it apart there.
      type: str
      returned: always
    action:
      description: V(update).
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
  sample: [{kind: options, id: guest 100, action: update, before: {policy_in: null}, after: {policy_in: REJECT}}]
assumed:
  description: What was taken for granted in check mode because an earlier task would have made it; else empty.
  returned: success
  type: list
  elements: str
  sample: []
options:
  description: The options that are set now, or in check mode would be; switches are 0 and 1, as PVE has them.
  returned: success
  type: dict
  sample: {enable: 1, policy_in: DROP}
"""

from ansible_collections.homelab.pve.plugins.module_utils.firewall import spec
from ansible_collections.homelab.pve.plugins.module_utils.firewall.document import options_document, parse_scope
from ansible_collections.homelab.pve.plugins.module_utils.module import Params, run_firewall
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import Plan


def result(params: Params, plan: Plan) -> Params:
    """Return the options that are set now."""
    return {"options": plan.result["places"][str(parse_scope(params))].get("options")}


def main() -> None:
    """Run the module."""
    options = {**spec.scope("cluster", "node", "guest", "vnet"), **spec.ALL_OPTIONS, **spec.UNSET}
    run_firewall(options, options_document, result)


if __name__ == "__main__":
    main()
