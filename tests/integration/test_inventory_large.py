"""The inventory of a cluster that is as large as they get."""

from __future__ import annotations

from collections import Counter

from ansible_collections.homelab.pve.tests.integration.conftest import Ansible
from ansible_collections.homelab.pve.tests.integration.inventories import Inventory
from ansible_collections.homelab.pve.tests.simulator import Simulator

GUESTS, NODES = 10_000, 64


def test_ten_thousand_guests(ansible: Ansible) -> None:
    """Every guest is a host once, in the groups of what it is, and with the variables that are made of others."""
    with Simulator(auth_delay=0, nodes=NODES, guests=GUESTS) as simulator:
        listed = Inventory(ansible, simulator).list(
            strict=True,
            group_by=["node", "tag", "type", "status"],
            compose={"memory_gib": "pve_maxmem // 1024 ** 3", "ansible_user": "'root'"},
            groups={"busy_web": "'web' in pve_tags and pve_status == 'running'"},
            keyed_groups=[{"key": "pve_maxcpu | string", "prefix": "cpus", "separator": "_"}],
            include=["guests"],
        )
        requests = [(request["method"], request["path"]) for request in simulator.requests()]
        guests = simulator.export()["guests"]
    assert sorted(requests) == [("GET", "/access/permissions"), ("GET", "/cluster/resources")], listed.warnings
    assert Counter(host["pve_vmid"] for host in listed.hosts.values()) == Counter(guest["vmid"] for guest in guests)
    by_number = {host["pve_vmid"]: (name, host) for name, host in listed.hosts.items()}
    names = {guest["vmid"]: by_number[guest["vmid"]][0] for guest in guests}
    for node in {guest["node"] for guest in guests}:
        there = {names[guest["vmid"]] for guest in guests if guest["node"] == node}
        assert set(listed.members(f"pve_node_{node.replace('-', '_')}")) == there
    web = [guest for guest in guests if "web" in guest["config"].get("tags", "").split(";")]
    assert set(listed.members("pve_tag_web")) == {names[guest["vmid"]] for guest in web}
    busy = {names[guest["vmid"]] for guest in web if by_number[guest["vmid"]][1]["pve_status"] == "running"}
    assert busy
    assert set(listed.members("busy_web")) == busy
    memory = {guest["vmid"]: int(guest["config"]["memory"]) >> 10 for guest in guests}
    assert {number: host["memory_gib"] for number, (unused, host) in by_number.items()} == memory
    assert sum(len(listed.members(group)) for group in listed.groups if group.startswith("cpus_")) == len(guests)
