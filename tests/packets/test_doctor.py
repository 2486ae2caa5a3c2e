"""What the doctor says of packets that are really dropped or rejected: from the client's side, and from the host's."""

from __future__ import annotations

import json
import sys
from typing import Any

from ansible_collections.homelab.pve.tests.packets.world import CONTAINER, HOST, TREE, World

# In a machine of the world: options in, checks out.
CLIENT = """
import json, sys
from ansible_collections.homelab.pve.plugins.module_utils.doctor.client_side import Question, examine
for options in json.load(sys.stdin):
    print(json.dumps(examine(Question(options, {})).as_data()))
"""
NODE = """
import json, sys
from ansible_collections.homelab.pve.plugins.module_utils.doctor.host_reads import HostQuestion, _packet_filter
for client, configured in json.load(sys.stdin):
    print(json.dumps(_packet_filter(HostQuestion(clients=(client,)), configured=configured).as_data()))
"""
REFUSING = {
    "-p tcp --dport 8006 -j REJECT --reject-with icmp-admin-prohibited": "port_rejected",
    "-p tcp --dport 8006 -j REJECT --reject-with tcp-reset": "port_refused",
    "-j DROP": "host_silent",
}
# In the manner of proxmox-firewall: verdicts by the state of the connection, sets, a chain for the host.
PROXMOX_FIREWALL = """
table inet proxmox-firewall {
  set management { type ipv4_addr; flags interval; elements = { 192.168.40.0/28, 192.168.40.200-192.168.40.210 } }
  chain host-in {
    ip saddr @management tcp dport { 22, 8006 } accept
    tcp dport 8000-8010 counter drop
  }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname "lo" accept
    ct state vmap { established : accept, related : accept, invalid : drop }
    meta nfproto ipv4 jump host-in
  }
}
"""
ADMIN = "192.168.40.1"
NOWHERE = "10.99.0.1"


def ask(world: World, python: str, script: str, questions: list[Any]) -> list[dict[str, Any]]:
    command = f"PYTHONPATH={TREE} {python} -c '{script}'"
    said = world.sh(command, input=json.dumps(questions)).stdout
    return [json.loads(line) for line in said.splitlines()]


def from_machine(world: World, machine: str, *hosts: str) -> list[dict[str, Any]]:
    """Examine hosts from a machine, and return what failed first of each."""
    told = {"token_id": "reader@pve!token", "token_secret": "0f0f0f0f-1111-4222-8333-abcdefabcdef", "timeout": 1}
    found = ask(world, f"{world.folder}/{machine}-python", CLIENT, [{**told, "host": host} for host in hosts])
    return [next(check for check in one["checks"] if check["status"] == "failed") for one in found]


def from_node(world: World, *asked: tuple[str, bool]) -> list[dict[str, Any]]:
    """Ask the node about clients, each with whether PVE's firewall, as configured, lets it in."""
    return ask(world, sys.executable, NODE, list(asked))


def test_packets_that_do_not_arrive(world: World) -> None:
    """The firewall lets the admin in alone; each of the others is told what happens to it, on both sides."""
    (admin,) = from_machine(world, "admin", HOST[0])
    assert admin["name"] not in ("name", "route", "port"), admin
    four, six, nowhere = from_machine(world, "container", *HOST, NOWHERE)
    assert (four["diagnosis"], six["diagnosis"]) == ("port_filtered", "port_filtered")
    assert f"source: {CONTAINER[0]}" in four["mend"]
    assert f"source: {CONTAINER[1]}" in six["mend"]
    assert nowhere["diagnosis"] == "no_route"
    asked = [(CONTAINER[0], False), (CONTAINER[1], False), (CONTAINER[0], True), (ADMIN, False)]
    *kept_out, not_applied, let_in = from_node(world, *asked)
    for client, found in zip(CONTAINER, kept_out, strict=True):
        assert found["diagnosis"] == "packet_filter"
        assert "-A PVEFW-HOST-IN -p tcp -m tcp --dport 8006 -j DROP" in found["said"]
        assert client in found["mend"]
    assert not_applied["diagnosis"] == "firewall_not_applied"
    assert let_in["status"] == "passed"


def test_packets_that_are_refused(world: World) -> None:
    world.sh(f"iptables -I INPUT 1 -s {CONTAINER[0]} -p tcp --dport 8006 -j ACCEPT")
    for rule, seen in REFUSING.items():
        world.sh(f"iptables -I INPUT 1 -s {CONTAINER[0]} {rule}")
        (found,) = from_machine(world, "container", HOST[0])
        assert found["diagnosis"] == seen
        (on_node,) = from_node(world, (CONTAINER[0], False))
        assert on_node["diagnosis"] == "packet_filter"
        assert CONTAINER[0] in on_node["said"]
        world.sh("iptables -D INPUT 1")
    world.sh("nft -f -", input=PROXMOX_FIREWALL)
    (found,) = from_machine(world, "container", HOST[0])
    assert found["diagnosis"] == "port_filtered"
    (on_node, configured, let_in) = from_node(world, (CONTAINER[0], False), (CONTAINER[0], True), (ADMIN, False))
    assert on_node["diagnosis"] == "packet_filter"
    assert "nft table inet proxmox-firewall, chain host-in" in on_node["said"]
    assert configured["diagnosis"] == "firewall_not_applied"
    assert let_in["status"] == "passed"
    world.sh("nft delete table inet proxmox-firewall")
    # As the guide does it by hand: then both sides are content.
    (on_node,) = from_node(world, (CONTAINER[0], False))
    assert on_node["status"] == "passed"
    (found,) = from_machine(world, "container", HOST[0])
    assert found["name"] not in ("name", "route", "port"), found
