"""The inventory plugin of community.proxmox, as ``ansible-inventory`` shows it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ansible")

from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN, Simulator

from . import peer
from .conftest import NODES, guests_of, name_of, without_nested_pools

SECONDS = 120  # until a program counts as hung

Json = dict[str, Any]


@pytest.fixture
def inventory(simulator: Simulator, environment: dict[str, str], tmp_path: Path) -> Json:
    """All that the plugin finds, with facts."""
    without_nested_pools(simulator)
    user, unused, name = ROOT_TOKEN.partition("!")
    source = tmp_path / "cluster.proxmox.yml"
    source.write_text(
        json.dumps(
            {
                "plugin": "community.proxmox.proxmox",
                "url": simulator.base_url,
                "user": user,
                "token_id": name,
                "token_secret": ROOT_SECRET,
                "want_facts": True,
                "keyed_groups": [{"key": "proxmox_tags_parsed", "prefix": "tag"}],
                "strict": False,
            }
        )
    )
    (tmp_path / "ansible.cfg").touch()
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-inventory"), "-i", source, "--list", "--export"],
        cwd=tmp_path,
        env={
            **environment,
            "ANSIBLE_COLLECTIONS_PATH": str(peer.collections()),
            "ANSIBLE_INVENTORY_UNPARSED_FAILED": "true",
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: Json = plain(json.loads(done.stdout))
    return found


def plain(value: Any) -> Any:
    """Take off what marks values that are not to be templated."""
    if isinstance(value, dict):
        return (
            plain(value["__ansible_unsafe"]) if "__ansible_unsafe" in value else {k: plain(v) for k, v in value.items()}
        )
    return [plain(item) for item in value] if isinstance(value, list) else value


def hosts(inventory: Json, group: str) -> set[str]:
    return set(inventory[group].get("hosts", []))


def test_it_finds_hosts_groups_and_facts(simulator: Simulator, inventory: Json) -> None:
    # Guests of one name are one host to it: of those it cannot tell which it is.
    names = [name_of(guest) for guest in guests_of(simulator).values()]
    guests = {name_of(guest): guest for guest in guests_of(simulator).values() if names.count(name_of(guest)) == 1}
    nodes = {node["name"] for node in simulator.export()["nodes"]}
    facts = inventory["_meta"]["hostvars"]

    assert set(facts) == set(names)
    assert hosts(inventory, "proxmox_nodes") == nodes
    assert len(nodes) == NODES
    templates = {name for name, guest in guests.items() if guest["config"].get("template") == "1"}
    assert hosts(inventory, "proxmox_all_templates") >= templates
    assert templates
    for kind in ("qemu", "lxc"):
        of_kind = {name for name, guest in guests.items() if guest["type"] == kind}
        assert hosts(inventory, f"proxmox_all_{kind}") & set(guests) == of_kind - templates
    running = {name for name, guest in guests.items() if guest["status"] == "running"}
    assert hosts(inventory, "proxmox_all_running") & set(guests) == running - templates
    members = {vmid for pool in simulator.export()["pools"] if pool["poolid"] == "prod" for vmid in pool["vms"]}
    in_pool = {name for name, guest in guests.items() if guest["vmid"] in members}
    assert hosts(inventory, "proxmox_pool_prod") & set(guests) == in_pool
    assert in_pool

    for name, guest in guests.items():
        seen, config = facts[name], guest["config"]
        assert (seen["proxmox_vmid"], seen["proxmox_node"]) == (guest["vmid"], guest["node"])
        assert seen["proxmox_status"] == guest["status"]
        assert seen.get("proxmox_tags_parsed", []) == [tag for tag in config.get("tags", "").split(";") if tag]
        assert seen["proxmox_snapshots"] == [row["name"] for row in guest["snapshots"]]
        assert str(seen["proxmox_memory"]) == config["memory"]
    # Addresses: of a machine with an agent, and of a container that runs.
    assert any(row["ip-addresses"] for row in facts["vm100"]["proxmox_agent_interfaces"])
    assert [row["name"] for row in facts["ct102"]["proxmox_lxc_interfaces"]] == ["lo", "eth0"]
    assert "192.168.40.102/24" in json.dumps(facts["ct102"]["proxmox_lxc_interfaces"])
    assert hosts(inventory, "tag_dns") & set(guests) == {
        name for name, guest in guests.items() if "dns" in guest["config"].get("tags", "").split(";")
    }
