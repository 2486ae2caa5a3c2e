"""The inventory's cache: what is kept, for how long, who can read it, and what it is good for when PVE is away."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.pve.tests.integration.conftest import Ansible
from ansible_collections.homelab.pve.tests.integration.inventories import Inventory, paths
from ansible_collections.homelab.pve.tests.integration.test_inventory import guest, nodes
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, Simulator


@pytest.fixture
def inventory(ansible: Ansible, simulator: Simulator) -> Inventory:
    return Inventory(ansible, simulator)


@pytest.fixture
def cached(ansible: Ansible) -> dict[str, Any]:
    """The options of a cache in a folder of its own."""
    folder = ansible.home / "cache"
    return {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(folder)}


def only_file(ansible: Ansible) -> Path:
    (file,) = (ansible.home / "cache").iterdir()
    return file


def age(ansible: Ansible, seconds: float) -> None:
    """Make what is kept older, as time would."""
    file = only_file(ansible)
    entry = json.loads(file.read_text())
    held = entry.get("__payload__", entry)
    inner = json.loads(held) if isinstance(held, str) else held
    inner["taken"] -= seconds
    if isinstance(held, str):
        entry["__payload__"] = json.dumps(inner)
    file.write_text(json.dumps(entry))


def test_warm_it_asks_nothing(
    ansible: Ansible, inventory: Inventory, simulator: Simulator, cached: dict[str, Any]
) -> None:
    """With PVE down too, and with a secret that cannot be had."""
    cold = inventory.list(gather=["guest_config"], **cached)
    assert paths(simulator)
    simulator.clear_requests()
    warm = inventory.list(gather=["guest_config"], **cached, token_secret="{{ undefined_secret }}")
    assert warm.hosts == cold.hosts
    assert warm.groups == cold.groups
    assert not simulator.requests()
    flushed = inventory.list("--flush-cache", gather=["guest_config"], **cached)
    assert flushed.hosts == cold.hosts
    assert paths(simulator)


def test_what_makes_it_cold(
    ansible: Ansible, inventory: Inventory, simulator: Simulator, cached: dict[str, Any]
) -> None:
    """Another set of facts, and too great an age; other groups and filters do not."""
    inventory.list(**cached)
    simulator.clear_requests()
    inventory.list(**cached, filters=[{"exclude": "pve_template"}], keyed_groups=[{"key": "pve_tags"}])
    assert not simulator.requests()
    inventory.list(**cached, gather=["snapshots"])
    assert paths(simulator)
    simulator.clear_requests()
    age(ansible, 3601)
    inventory.list(**cached, gather=["snapshots"])
    assert paths(simulator)


def test_stale_is_better_than_nothing_where_that_is_said(
    ansible: Ansible, inventory: Inventory, simulator: Simulator, cached: dict[str, Any]
) -> None:
    fresh = inventory.list(**cached)
    age(ansible, 7200)
    simulator.fault(path="/cluster/resources", times=0)
    found = inventory.list(**cached, cache_stale=True)
    assert found.hosts == fresh.hosts
    assert "The inventory is 120 minutes old, from the cache:" in found.warnings
    assert "cluster/resources" in inventory.problem(**cached)
    simulator.clear_faults()
    simulator.load({"tokens": [], "users": [{"userid": "root@pam"}]})
    assert "401" in inventory.problem(**cached, cache_stale=True)


def test_names_outlive_the_cache(
    ansible: Ansible, inventory: Inventory, simulator: Simulator, cached: dict[str, Any]
) -> None:
    """Of guests on a node that is down PVE gives no names: they keep the last ones, for as long as that takes."""
    guests = [guest(100, called="web"), guest(101, "lxc", "two", called="web"), guest(102, node="two", called="db")]
    simulator.load({"nodes": nodes("one", "two"), "guests": guests})
    names = ["db", "web-100", "web-101"]
    assert sorted(inventory.list(include=["guests"], **cached).hosts) == names
    simulator.set_online("two", False)
    for unused in range(2):
        age(ansible, 10**6)
        found = inventory.list(include=["guests"], **cached)
        assert sorted(found.hosts) == names
        assert (found["db"]["pve_name"], found["db"]["pve_status"]) == ("db", "unknown")
        assert "two is offline: of 2 guests there, PVE tells neither name nor state." in found.warnings
    assert sorted(inventory.list("--flush-cache", include=["guests"], **cached).hosts) == names
    without = inventory.list(include=["guests"])
    assert sorted(without.hosts) == ["ct-101", "vm-102", "web"]
    assert without["vm-102"]["pve_name"] is None


def test_who_can_read_it_and_what_is_in_it(
    ansible: Ansible, inventory: Inventory, simulator: Simulator, cached: dict[str, Any]
) -> None:
    """All that the inventory shows and no credentials; Ansible's own plugin lets everybody read it."""
    held = {"cipassword": "Hush-1", "sshkeys": "ssh-ed25519%20Hush-2", "description": "Hush-3"}
    guests = [guest(100, called="web", node="ugreen", **held), guest(101, "lxc", "ugreen", env="Hush-4")]
    simulator.load({"guests": guests})
    inventory.list(gather=["guest_config", "snapshots"], **cached)
    file = only_file(ansible)
    assert os.stat(file).st_mode & 0o777 == 0o644
    text = file.read_text()
    assert "web" in text
    assert ROOT_SECRET not in text
    assert "Hush" not in text


def test_a_cache_that_somebody_broke(
    ansible: Ansible, inventory: Inventory, simulator: Simulator, cached: dict[str, Any]
) -> None:
    found = inventory.list(**cached)
    entry = only_file(ansible)
    entry.write_text('{"names": {}, "question": 1}')
    assert inventory.list(**cached).hosts == found.hosts


def test_the_cache_of_ansible_cfg_counts(ansible: Ansible, inventory: Inventory, simulator: Simulator) -> None:
    env = {
        "ANSIBLE_INVENTORY_CACHE": "true",
        "ANSIBLE_INVENTORY_CACHE_PLUGIN": "ansible.builtin.jsonfile",
        "ANSIBLE_INVENTORY_CACHE_CONNECTION": str(ansible.home / "cache"),
    }
    inventory.list(env=env)
    simulator.clear_requests()
    assert inventory.list(env=env).hosts
    assert not simulator.requests()
