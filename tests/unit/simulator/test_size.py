"""A cluster as large as they come: what its lists say fits together."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from ansible_collections.homelab.pve.tests.simulator.population import Size, extra_guests

from .conftest import ROOT_TOKEN, Direct

NODES, GUESTS = 64, 20_000


@pytest.fixture(scope="module")
def large() -> Direct:
    return Direct(nodes=NODES, guests=GUESTS)


@pytest.fixture(scope="module")
def rows(large: Direct) -> dict[int, dict[str, Any]]:
    """Return the rows of all guests."""
    return {row["vmid"]: row for row in large.get("/cluster/resources", type="vm")}


def test_everything_is_there(large: Direct, rows: dict[int, dict[str, Any]]) -> None:
    kinds = Counter(row["type"] for row in large.get("/cluster/resources"))
    assert kinds["qemu"] + kinds["lxc"] == len(rows) == GUESTS + 2
    assert (kinds["node"], kinds["storage"], kinds["pool"]) == (NODES, NODES, 5)
    per_node = Counter(row["node"] for row in rows.values())
    assert len(per_node) == NODES
    assert max(per_node.values()) - min(per_node.values()) <= 3


def test_the_guests_differ_as_real_ones_do(large: Direct, rows: dict[int, dict[str, Any]]) -> None:
    def share(found: int) -> float:
        return found / GUESTS

    guests = large.state.guests.values()
    machines = [guest for guest in guests if guest.type == "qemu"]
    assert 0.2 < share(sum(guest.type == "lxc" for guest in guests)) < 0.3
    assert 0.2 < share(sum(row["status"] == "stopped" for row in rows.values())) < 0.3
    assert 0.3 < sum("agent" in guest.config for guest in machines) / len(machines) < 0.4
    assert len({tag for guest in guests for tag in guest.config.get("tags", "").split(";")} - {""}) == 12
    assert len({guest.config["ostype"] for guest in guests}) > 5
    assert len({guest.name for guest in guests}) < len(guests)
    for what in ("ha", "snapshots", "lock", "qmpstatus"):
        assert 0 < share(sum(bool(getattr(guest, what)) for guest in guests)) < 0.1, what
    for key in ("template", "ipconfig0", "ciuser", "cipassword", "sshkeys", "description"):
        assert 0 < share(sum(key in guest.config for guest in guests)) < 0.4, key
    assert all(row["status"] == "stopped" for row in rows.values() if row["template"])


def test_lists_of_nodes_and_of_the_cluster_agree(large: Direct, rows: dict[int, dict[str, Any]]) -> None:
    for node in ("ugreen", "ugreen-64"):
        for kind in ("qemu", "lxc"):
            listed = {row["vmid"]: row for row in large.get(f"/nodes/{node}/{kind}")}
            expected = {vmid for vmid, row in rows.items() if (row["node"], row["type"]) == (node, kind)}
            assert listed.keys() == expected
            for vmid, row in listed.items():
                same = ("name", "maxmem", "maxdisk", "tags", "lock")
                assert {key: row.get(key) for key in same} == {key: rows[vmid].get(key) for key in same}


def test_single_guests_agree_with_the_lists(large: Direct, rows: dict[int, dict[str, Any]]) -> None:
    for vmid in range(1000, 1200):
        row = rows[vmid]
        base = f"/nodes/{row['node']}/{row['type']}/{vmid}"
        config = large.get(f"{base}/config")
        assert config["name" if row["type"] == "qemu" else "hostname"] == row["name"]
        assert config.get("tags") == row.get("tags")
        status = large.get(f"{base}/status/current")
        assert status["ha"]["managed"] == int("hastate" in row)
        assert len(large.get(f"{base}/snapshot")) == 1 + len(large.state.guests[vmid].snapshots)


def test_pools_agree_with_the_rows(large: Direct, rows: dict[int, dict[str, Any]]) -> None:
    members = {pool["poolid"]: set[int]() for pool in large.get("/pools")}
    assert set(members) == {"prod", "test", "dev", "prod/web", "prod/web/eu"}
    for vmid, row in rows.items():
        if "pool" in row:
            members[row["pool"]].add(vmid)
    for poolid, vmids in members.items():
        (pool,) = large.get("/pools", poolid=poolid)
        assert {member["vmid"] for member in pool["members"]} == vmids
        assert vmids


def test_rights_decide_row_by_row(rows: dict[int, dict[str, Any]]) -> None:
    few = Direct(nodes=3, guests=200)
    roles = {"/vms": "PVEAuditor", "/vms/1005": "NoAccess", "/vms/1006": "PVEPoolUser"}
    token = few.token({**roles, "/pool/prod": "PVEPoolUser"})
    seen = few.get("/cluster/resources", token, type="vm")
    hidden = {1005, 1006}
    assert {row["vmid"] for row in seen} == {*few.state.guests} - hidden
    assert {row["pool"] for row in seen if "pool" in row} == {"prod", "prod/web", "prod/web/eu"}
    everything = {row["vmid"]: row.get("pool") for row in few.get("/cluster/resources", ROOT_TOKEN, type="vm")}
    for row in seen:
        assert row.get("pool") in (everything[row["vmid"]], None)


def test_rights_on_guests_are_those_of_the_walk() -> None:
    few = Direct(guests=60)
    token = few.token(
        {"/": "PVEPoolUser", "/pool/test": "PVEAuditor", "/vms/1001": "PVEAuditor", "/vms/1002": "NoAccess"}
    )
    rights = few.state.rights
    visible = rights.guests_with(token, "VM.Audit")
    for vmid in [100, 102, *range(1000, 1070)]:
        by_walk = "VM.Audit" in rights.effective.privileges(token, f"/vms/{vmid}")
        assert visible(vmid) is rights.has_all(token, f"/vms/{vmid}", ["VM.Audit"]) is by_walk, vmid


def test_what_was_worked_out_is_forgotten_when_the_state_changes() -> None:
    few = Direct(nodes=2, guests=30)

    def row(vmid: int) -> dict[str, Any]:
        found: list[dict[str, Any]] = few.get("/cluster/resources", type="vm")
        return next(row for row in found if row["vmid"] == vmid)

    assert row(1001)["name"] == "vm1001"
    assert "pool" not in row(100)
    with few.state.edit("oops") as config:
        config.pools["prod"] = config.pools["prod"]._replace(vms=config.pools["prod"].vms | {100})
    assert row(100)["pool"] == "prod"
    few.state.load({"guests": [{"vmid": 1001, "type": "qemu", "node": "ugreen", "config": {"name": "renamed"}}]})
    assert row(1001)["name"] == "renamed"
    few.state.reset()
    assert row(1001)["name"] == "vm1001"


def test_disks_are_where_their_guests_are(large: Direct) -> None:
    content = large.get("/nodes/ugreen-3/storage/local/content", content="images")
    assert content
    assert {large.state.guests[row["vmid"]].node for row in content} == {"ugreen-3"}
    assert {row["volid"] for row in large.get("/nodes/ugreen-3/storage/local/content", content="iso")} == {
        "local:iso/debian-13.iso"
    }


def test_older_releases_have_no_nested_pools() -> None:
    assert {row["poolid"] for row in Direct((7, 4), guests=30).get("/pools")} == {"prod", "test", "dev"}


def test_guests_come_out_the_same_every_time() -> None:
    nodes = [f"n{number}" for number in range(8)]
    assert extra_guests(Size(guests=300), nodes) == extra_guests(Size(guests=300), nodes)


@pytest.mark.parametrize("number", [2, 3, 4, 8, 16, 64])
def test_no_node_has_guests_of_one_kind_only(number: int) -> None:
    nodes = [f"n{at}" for at in range(number)]
    kinds: dict[str, set[tuple[str, str]]] = {node: set() for node in nodes}
    for guest in extra_guests(Size(guests=20 * number), nodes):
        kinds[guest.node].add((guest.type, guest.status))
    assert all(len(found) >= 3 for found in kinds.values()), kinds


@pytest.mark.parametrize("size", [{"nodes": 0}, {"nodes": 65}, {"guests": -1}, {"guests": 20_001}])
def test_sizes_that_are_too_much(size: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="nodes are 1 to 64, guests 0 to 20000"):
        Size(**size)
