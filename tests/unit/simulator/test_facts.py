"""What collectors ask beside guests, storages and tasks: nodes that are down, networks, packages, services."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Direct


def row_of(rows: list[dict[str, Any]], node: str) -> dict[str, Any]:
    return next(row for row in rows if row.get("node") == node and row["type"] == "node")


def test_a_node_that_is_down_keeps_what_is_known_of_it() -> None:
    direct = Direct(nodes=3, guests=9)
    direct.state.nodes["ugreen-2"].online = False
    direct.state.touch()
    for rows in (direct.get("/nodes"), direct.get("/cluster/resources", type="node")):
        row = row_of(rows, "ugreen-2")
        assert (row["status"], row["maxcpu"], row["level"]) == ("offline", 4, "")
        assert not {"cpu", "mem", "disk", "uptime", "cgroup-mode"} & row.keys()
    cluster, *nodes = direct.get("/cluster/status")
    assert (cluster["quorate"], [node["online"] for node in nodes]) == (1, [1, 0, 1])
    away = [row for row in direct.get("/cluster/resources", type="vm") if row["node"] == "ugreen-2"]
    assert away
    for row in away:
        assert row["status"] == "unknown"
        assert not {"name", "maxmem", "template", "uptime"} & row.keys()
    assert any("tags" in row for row in away), "these are read from files that all nodes have"


def test_a_node_without_statistics_is_unknown() -> None:
    direct = Direct(nodes=2)
    direct.state.nodes["ugreen-2"].statistics = False
    row = row_of(direct.get("/nodes"), "ugreen-2")
    assert row["status"] == "unknown"
    assert not {"level", "maxcpu", "cpu"} & row.keys()
    assert direct.get("/nodes/ugreen-2/status")["uptime"], "it answers all the same"
    assert direct.get("/cluster/status")[2]["online"] == 1


def test_members_of_the_cluster() -> None:
    assert Direct().get("/cluster/config/nodes") == []
    rows = Direct(nodes=2).get("/cluster/config/nodes")
    assert [(row["node"], row["nodeid"]) for row in rows] == [("ugreen", "1"), ("ugreen-2", "2")]


def test_a_cluster_without_quorum() -> None:
    direct = Direct(nodes=2)
    direct.state.nodes["ugreen-2"].online = False
    assert direct.get("/cluster/status")[0]["quorate"] == 0
    (quorum,) = [row for row in direct.get("/cluster/ha/status/current") if row["type"] == "quorum"]
    assert (quorum["quorate"], quorum["status"]) == (0, "No quorum on node 'ugreen'!")


SDN = {
    "zones": [{"zone": "lab", "type": "simple"}, {"zone": "dmz", "type": "vlan", "bridge": "vmbr0", "nodes": "ugreen"}],
    "vnets": [{"vnet": "lab1", "zone": "lab", "alias": "first"}, {"vnet": "dmz1", "zone": "dmz", "tag": 12}],
    "controllers": [{"controller": "c1", "type": "evpn", "asn": 65000}],
}


def test_networks() -> None:
    direct = Direct(nodes=2)
    assert direct.get("/cluster/sdn/zones") == direct.get("/cluster/sdn/vnets") == []
    direct.state.load({"sdn": SDN})
    assert [row["zone"] for row in direct.get("/cluster/sdn/zones")] == ["lab", "dmz"]
    assert [row["zone"] for row in direct.get("/cluster/sdn/zones", type="vlan")] == ["dmz"]
    vnets = {row["vnet"]: row for row in direct.get("/cluster/sdn/vnets")}
    assert (vnets["dmz1"]["tag"], vnets["lab1"]["alias"], vnets["lab1"]["type"]) == (12, "first", "vnet")
    assert direct.get("/cluster/sdn/vnets/lab1")["zone"] == "lab"
    assert direct.get("/cluster/sdn/controllers")[0]["asn"] == 65000
    rows = [row["id"] for row in direct.get("/cluster/resources") if row["type"] == "network"]
    assert sorted(rows) == [
        "network/ugreen-2/zone/lab",
        "network/ugreen-2/zone/localnetwork",
        "network/ugreen/zone/dmz",
        "network/ugreen/zone/lab",
        "network/ugreen/zone/localnetwork",
    ]


def test_networks_are_listed_to_those_who_may_see_them(direct: Direct) -> None:
    direct.state.load({"sdn": SDN})
    token = direct.token({"/sdn/zones/dmz": "PVESDNUser"})
    assert [row["zone"] for row in direct.get("/cluster/sdn/zones", token)] == ["dmz"]
    assert [row["vnet"] for row in direct.get("/cluster/sdn/vnets", token)] == ["dmz1"]
    assert direct.get("/cluster/sdn/controllers", token) == []
    assert direct.refusal("/cluster/sdn/vnets/lab1", token)[0] == 403
    networks = [row for row in direct.get("/cluster/resources", token) if row["type"] == "network"]
    assert [row["network"] for row in networks] == ["dmz"]


def test_networks_of_older_releases() -> None:
    direct = Direct((8, 4))
    direct.state.load({"sdn": SDN})
    rows = direct.get("/cluster/resources", type="sdn")
    assert sorted(row["id"] for row in rows) == ["sdn/ugreen/dmz", "sdn/ugreen/lab", "sdn/ugreen/localnetwork"]


def test_vnets_of_the_firewall_are_those_of_the_networks(direct: Direct) -> None:
    direct.state.load({"vnets": [{"vnet": "v1", "zone": "z"}]})
    assert direct.get("/cluster/sdn/vnets/v1")["zone"] == "z"
    assert direct.state.export()["vnets"] == [{"vnet": "v1", "zone": "z"}]


def test_updates_are_for_those_who_may_install_them(direct: Direct) -> None:
    updates = [{"Package": "pve-manager", "OldVersion": "9.2.10", "Version": "9.2.11", "Origin": "Proxmox"}]
    direct.state.load({"nodes": [{"name": "ugreen", "ip": "192.168.40.2", "updates": updates}]})
    path = "/nodes/ugreen/apt/update"
    assert direct.get(path) == updates
    token = direct.token({"/": "PVEAuditor"})
    assert direct.refusal(path, token) == (403, "Permission check failed (/nodes/ugreen, Sys.Modify)")
    rows = {row["Package"]: row for row in direct.get("/nodes/ugreen/apt/versions", token)}
    assert rows["pve-manager"]["ManagerVersion"].startswith(direct.get("/version")["version"])


def test_subscription(direct: Direct) -> None:
    path, token = "/nodes/ugreen/subscription", direct.token({})
    assert direct.get(path)["serverid"] is None
    assert set(direct.get(path, token)) == {"status", "message", "url"}
    paid = {"status": "active", "level": "c", "productname": "Community", "key": "pve1c-0123456789"}
    direct.state.load({"nodes": [{"name": "ugreen", "ip": "192.168.40.2", "subscription": paid}]})
    assert direct.get(path)["key"] == "pve1c-0123456789"
    assert "key" not in direct.get(path, token)
    assert direct.get("/nodes")[0]["level"] == direct.get("/cluster/status")[0]["level"] == "c"


def test_certificates(direct: Direct) -> None:
    rows = direct.get("/nodes/ugreen/certificates/info")
    assert [row["filename"] for row in rows] == ["pve-root-ca.pem", "pve-ssl.pem"]
    old = [{"filename": "pve-ssl.pem", "notafter": 1700000000}]
    direct.state.load({"nodes": [{"name": "ugreen", "ip": "192.168.40.2", "certificates": old}]})
    assert direct.get("/nodes/ugreen/certificates/info") == old


def test_services_time_and_logs(direct: Direct) -> None:
    services = {row["service"]: row for row in direct.get("/nodes/ugreen/services")}
    assert services["pveproxy"]["state"] == "running"
    assert services["corosync"]["active-state"] == "inactive", "a node that stands alone does not need it"
    assert set(direct.get("/nodes/ugreen/time")) == {"timezone", "time", "localtime"}
    assert len(direct.get("/nodes/ugreen/syslog", limit=3)) == 3
    (line,) = direct.get("/nodes/ugreen/syslog", service="pveproxy")
    assert "pveproxy[" in line["t"]
    assert len(direct.get("/nodes/ugreen/journal", lastentries=2)) == 4, "two lines between two cursors"


@pytest.mark.parametrize(
    ("path", "role", "status"),
    [
        ("/nodes/ugreen/syslog", "PVEAuditor", 403),
        ("/nodes/ugreen/journal", "PVEAuditor", 403),
        ("/nodes/ugreen/syslog", "PVESysAdmin", 200),
        ("/nodes/ugreen/services", "PVEAuditor", 200),
        ("/nodes/ugreen/certificates/info", "NoAccess", 200),
        ("/nodes/ugreen/apt/versions", "NoAccess", 403),
        ("/nodes/ugreen/hosts", "NoAccess", 403),
        ("/cluster/ha/status/current", "NoAccess", 403),
        ("/cluster/config/nodes", "NoAccess", 403),
    ],
)
def test_who_may_ask(direct: Direct, path: str, role: str, status: int) -> None:
    assert direct.ask(path, direct.token({"/": role}))["status"] == status


def test_pools_sum_over_guests_that_run(direct: Direct) -> None:
    guests = [
        {"vmid": 100, "type": "qemu", "node": "ugreen", "config": {"cores": "2", "memory": "1024"}},
        {"vmid": 101, "type": "qemu", "node": "ugreen", "status": "stopped", "config": {"cores": "8"}},
    ]
    pools = [{"poolid": "p", "vms": [100, 101]}, {"poolid": "empty"}]
    direct.state.load({**direct.state.access.export(), "guests": guests, "pools": pools})
    rows = {row["pool"]: row for row in direct.get("/cluster/resources") if row["type"] == "pool"}
    assert (rows["p"]["maxcpu"], rows["p"]["maxmem"]) == (2, 1024 << 20)
    assert rows["empty"] == {"id": "/pool/empty", "type": "pool", "pool": "empty"}
