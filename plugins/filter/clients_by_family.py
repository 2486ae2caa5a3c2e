"""The filter ``clients_by_family``: addresses as a packet filter takes them."""

from __future__ import annotations

import ipaddress
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.firewall.values import network_problem

DOCUMENTATION = r"""
name: clients_by_family
short_description: Addresses of API clients, by family and in one spelling
description:
  - Takes addresses and networks apart into IPv4 and IPv6, writes each as the packet filter of Linux does, and leaves
    out what is there twice.
  - Refuses what is no address or network, and whatever would let in more than it seems to.
version_added: 0.1.0
author: The homelab.pve maintainers (@homelab-pve)
positional: _input
options:
  _input:
    description:
      - Addresses or networks. A network has no host bits.
      - Ranges, names, and networks that hold everybody are refused.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: 192.168.40.82/32 and fd00:40::/64
  ansible.builtin.debug:
    msg: "{{ clients.ipv4 | first }} and {{ clients.ipv6 | first }}"
  vars:
    clients: "{{ ['192.168.40.82', 'fd00:0040::/64'] | homelab.pve.clients_by_family }}"
"""

RETURN = r"""
_value:
  description: Two lists, RV(_value.ipv4) and RV(_value.ipv6).
  type: dict
  contains:
    ipv4:
      description: Networks of IPv4; an address has the prefix 32.
      type: list
      elements: str
    ipv6:
      description: Networks of IPv6; an address has the prefix 128.
      type: list
      elements: str
"""


def _problem(client: Any) -> str | None:
    if not isinstance(client, str):
        return f"{client!r} is no text; put it in quotes"
    if "-" in client:
        return f"{client!r} is a range or a name; say addresses, or networks such as 192.168.40.80/29"
    problem = network_problem(client)
    if problem:
        return problem
    network = ipaddress.ip_network(client)
    if network.prefixlen == 0:
        return f"{client!r} is everybody"
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        return f"{client!r} is an IPv4 address in disguise; say {network.network_address.ipv4_mapped}"
    return None


def clients_by_family(clients: Any) -> dict[str, list[str]]:
    """Return the networks of each family, or refuse them all."""
    if not isinstance(clients, list):
        raise AnsibleFilterError(f"API clients are a list of addresses and networks, not {clients!r}.")
    problems = [problem for problem in map(_problem, clients) if problem]
    if problems:
        raise AnsibleFilterError(f"API clients: {'; '.join(problems)}.")
    networks = dict.fromkeys(ipaddress.ip_network(client) for client in clients)
    return {f"ipv{version}": [str(network) for network in networks if network.version == version] for version in (4, 6)}


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Any]:
        return {"clients_by_family": clients_by_family}
