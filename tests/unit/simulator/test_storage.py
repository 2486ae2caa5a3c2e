"""Storages that are not everywhere, and what is on them."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Direct

VOLUMES = [
    {"volid": "nas:iso/a.iso", "content": "iso", "format": "iso", "size": 5},
    {"volid": "nas:100/vm-100-disk-1.qcow2", "content": "images", "format": "qcow2", "size": 6, "vmid": 100},
    {"volid": "nas:backup/b.vma.zst", "content": "backup", "format": "vma.zst", "size": 7, "vmid": 100},
]
STORAGES: list[dict[str, Any]] = [
    {"storage": "local"},
    {"storage": "nas", "type": "nfs", "path": "/mnt/pve/nas", "server": "10.0.0.9", "export": "/e", "volumes": VOLUMES},
    {"storage": "off", "disable": 1},
    {"storage": "there", "nodes": "ugreen-2", "options": {"prune-backups": "keep-last=3"}},
    {"storage": "broken", "active": False},
]


@pytest.fixture
def stored() -> Direct:
    direct = Direct(nodes=2)
    direct.state.load({"storages": STORAGES})
    return direct


def by_name(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["storage"]: row for row in rows}


def test_definitions(stored: Direct) -> None:
    rows = by_name(stored.get("/storage"))
    assert (rows["nas"]["server"], rows["nas"]["export"], rows["nas"]["shared"]) == ("10.0.0.9", "/e", 1)
    assert rows["off"]["disable"] == 1
    assert (rows["there"]["nodes"], rows["there"]["prune-backups"]) == ("ugreen-2", "keep-last=3")
    assert len({row["digest"] for row in rows.values()}) == 1
    assert not {"nodes", "disable", "shared", "server"} & rows["local"].keys()


def test_a_node_lists_what_is_not_meant_for_it_without_figures(stored: Direct) -> None:
    rows = by_name(stored.get("/nodes/ugreen/storage"))
    flags = {name: (row["enabled"], row["active"], row["total"] > 0) for name, row in rows.items()}
    works, not_here, down = (1, 1, True), (0, 0, False), (1, 0, False)
    assert flags == {"local": works, "nas": works, "off": not_here, "there": not_here, "broken": down}
    assert "used_fraction" not in rows["off"]
    assert by_name(stored.get("/nodes/ugreen-2/storage"))["there"]["enabled"] == 1
    assert set(by_name(stored.get("/nodes/ugreen/storage", content="iso"))) == {"local", "nas", "broken"}
    assert set(by_name(stored.get("/nodes/ugreen/storage", target="ugreen-2"))) == {"nas"}


def test_resources_leave_out_what_is_disabled_or_elsewhere(stored: Direct) -> None:
    rows = {row["id"]: row for row in stored.get("/cluster/resources", type="storage")}
    names = ["broken", "local", "nas"]
    assert sorted(rows) == [f"storage/ugreen-2/{name}" for name in [*names, "there"]] + [
        f"storage/ugreen/{name}" for name in names
    ]
    assert rows["storage/ugreen/broken"]["status"] == "unknown"
    assert "maxdisk" not in rows["storage/ugreen/broken"]


def test_content_and_its_filters(stored: Direct) -> None:
    path = "/nodes/ugreen/storage/nas/content"
    assert stored.get(path) == VOLUMES
    assert stored.get(path, content="iso") == VOLUMES[:1]
    assert stored.get(path, vmid=100) == VOLUMES[1:]
    assert stored.get(path, vmid=101) == []


def test_volumes_of_one_node(stored: Direct) -> None:
    stored.state.storages["local"].volumes = [{**VOLUMES[0], "node": "ugreen-2"}]
    assert stored.get("/nodes/ugreen/storage/local/content") == []
    assert stored.get("/nodes/ugreen-2/storage/local/content") == VOLUMES[:1]


@pytest.mark.parametrize(
    ("roles", "seen"),
    [
        ({"/": "PVEAuditor"}, [0]),
        ({"/storage": "PVEDatastoreUser", "/vms": "PVEVMAdmin"}, [0, 1, 2]),
        ({"/storage": "PVEDatastoreUser", "/vms": "PVEVMUser"}, [0, 2]),
        ({"/storage": "PVEDatastoreAdmin"}, [0, 1, 2]),
    ],
)
def test_volumes_are_listed_to_those_who_may_use_them(stored: Direct, roles: dict[str, str], seen: list[int]) -> None:
    token = stored.token(roles)
    assert stored.get("/nodes/ugreen/storage/nas/content", token) == [VOLUMES[number] for number in seen]


@pytest.mark.parametrize(
    ("storage", "reason"),
    [
        ("off", "storage 'off' is disabled"),
        ("there", "storage 'there' is not available on node 'ugreen'"),
        ("none", "storage 'none' does not exist"),
    ],
)
def test_content_of_what_is_not_there(stored: Direct, storage: str, reason: str) -> None:
    assert stored.refusal(f"/nodes/ugreen/storage/{storage}/content") == (500, reason)


def test_a_storage_on_a_dead_node_has_no_figures(stored: Direct) -> None:
    stored.state.nodes["ugreen-2"].online = False
    rows = {row["id"]: row for row in stored.get("/cluster/resources", type="storage")}
    assert rows["storage/ugreen-2/nas"]["status"] == "unknown"
    assert rows["storage/ugreen/nas"]["status"] == "available"
