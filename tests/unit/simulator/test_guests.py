"""Guests: snapshots, pending changes, locks, agents, addresses, HA."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Direct

VM, CT = "/nodes/ugreen/qemu/100", "/nodes/ugreen/lxc/102"
MACHINE: dict[str, Any] = {"vmid": 100, "type": "qemu", "node": "ugreen"}
CONTAINER: dict[str, Any] = {"vmid": 102, "type": "lxc", "node": "ugreen"}
CONFIG = {"name": "web", "agent": "1", "net0": "virtio=BC:24:11:00:01:07,bridge=vmbr0", "cores": "2"}


def with_machine(direct: Direct, **fields: Any) -> Direct:
    direct.state.load({"guests": [{**MACHINE, "config": CONFIG, **fields}, CONTAINER]})
    return direct


def resource(direct: Direct, vmid: int) -> dict[str, Any]:
    rows: list[dict[str, Any]] = direct.get("/cluster/resources", type="vm")
    return next(row for row in rows if row["vmid"] == vmid)


SNAPSHOTS = [
    {
        "name": "first",
        "snaptime": 10,
        "description": "d",
        "config": {"name": "old", "cores": "1", "cipassword": "$5$x"},
    },
    {"name": "second", "snaptime": 20, "parent": "first", "vmstate": 1, "config": {"name": "newer"}},
]


def test_snapshots(direct: Direct) -> None:
    with_machine(direct, snapshots=SNAPSHOTS)
    rows = {row["name"]: row for row in direct.get(f"{VM}/snapshot")}
    assert rows["first"] == {"name": "first", "snaptime": 10, "description": "d", "vmstate": 0}
    assert rows["second"] == {"name": "second", "snaptime": 20, "description": "", "vmstate": 1, "parent": "first"}
    assert (rows["current"]["parent"], rows["current"]["running"]) == ("second", 1)
    assert direct.get(f"{VM}/config")["parent"] == "second"


def test_the_configuration_of_a_snapshot(direct: Direct) -> None:
    with_machine(direct, snapshots=SNAPSHOTS)
    config = direct.get(f"{VM}/config", snapshot="first")
    assert (config["name"], config["cores"], config["cipassword"]) == ("old", 1, "**********")
    assert config["digest"] == direct.get(f"{VM}/config")["digest"]
    assert direct.get(f"{VM}/snapshot/first/config")["cipassword"] == "$5$x", "PVE does not mask it here"
    assert direct.refusal(f"{VM}/config", snapshot="third") == (500, "snapshot 'third' does not exist")
    both = direct.ask(f"{VM}/config", snapshot="first", current=1)
    assert set(both["errors"]) == {"snapshot", "current"}


def test_containers_have_snapshots_without_memory(direct: Direct) -> None:
    direct.state.load({"guests": [{**CONTAINER, "snapshots": SNAPSHOTS[:1]}]})
    assert "vmstate" not in direct.get(f"{CT}/snapshot")[0]


def test_secrets_of_cloud_init(direct: Direct) -> None:
    config = {"cipassword": "$5$hash", "sshkeys": "ssh-ed25519%20AAAA", "description": "a\nb"}
    with_machine(direct, config=config, pending={"cipassword": "$5$new"})
    shown = direct.get(f"{VM}/config")
    assert (shown["cipassword"], shown["sshkeys"], shown["description"]) == ("**********", "ssh-ed25519%20AAAA", "a\nb")
    rows = {row["key"]: row for row in direct.get(f"{VM}/pending")}
    assert rows["cipassword"] == {"key": "cipassword", "value": "**********", "pending": "********** "}


def test_changes_that_wait_for_a_start(direct: Direct) -> None:
    with_machine(direct, pending={"cores": "8", "agent": None, "onboot": "1"})
    config, current = direct.get(f"{VM}/config"), direct.get(f"{VM}/config", current=1)
    assert (config["cores"], "agent" in config, config["onboot"]) == (8, False, 1)
    assert (current["cores"], "agent" in current, "onboot" in current) == (2, True, False)
    rows = {row["key"]: row for row in direct.get(f"{VM}/pending")}
    assert rows["cores"] == {"key": "cores", "value": 2, "pending": 8}
    assert rows["agent"] == {"key": "agent", "value": "1", "delete": 1}
    assert rows["onboot"] == {"key": "onboot", "pending": 1}


def test_locks_and_states_of_the_monitor(direct: Direct) -> None:
    with_machine(direct, lock="backup", qmpstatus="paused")
    row = resource(direct, 100)
    assert (row["lock"], row["status"]) == ("backup", "paused")
    (listed,) = direct.get("/nodes/ugreen/qemu", full=1)
    assert (listed["lock"], listed["status"], listed["qmpstatus"]) == ("backup", "running", "paused")
    assert direct.get(f"{VM}/config")["lock"] == "backup"
    assert not {"lock"} & resource(direct, 102).keys()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"agent_running": False}, "QEMU guest agent is not running"),
        ({"agent_running": False, "status": "stopped"}, "VM 100 is not running"),
        ({"config": {}}, "No QEMU guest agent configured"),
        ({"config": {"agent": "enabled=0,type=virtio"}}, "No QEMU guest agent configured"),
    ],
)
@pytest.mark.parametrize("command", ["network-get-interfaces", "get-osinfo", "get-host-name", "get-fsinfo", "info"])
def test_agents_that_do_not_answer(direct: Direct, fields: dict[str, Any], reason: str, command: str) -> None:
    with_machine(direct, **fields)
    assert direct.refusal(f"{VM}/agent/{command}") == (500, reason)


def test_what_an_agent_says(direct: Direct) -> None:
    rows = [{"name": "eth7"}]
    with_machine(direct, addresses=rows, filesystems=[{"name": "sda"}], config={"agent": "type=virtio,enabled=1"})
    assert direct.get(f"{VM}/agent/network-get-interfaces") == {"result": rows}
    assert direct.get(f"{VM}/agent/get-fsinfo") == {"result": [{"name": "sda"}]}
    assert direct.get(f"{VM}/agent/info")["result"]["supported_commands"]


@pytest.mark.parametrize(
    ("config", "address"),
    [
        ({}, ("192.168.40.107", 24)),
        ({"ipconfig0": "ip=10.9.8.7/16,gw=10.9.0.1"}, ("10.9.8.7", 16)),
        ({"ipconfig0": "ip=dhcp"}, ("192.168.40.107", 24)),
        ({"net0": "virtio=BC:24:11:00:01:FE,bridge=vmbr0"}, ("10.0.1.254", 8)),
        ({"net0": "virtio=BC:24:12:01:02:03,bridge=vmbr0"}, ("10.1.2.3", 8)),
    ],
)
def test_addresses_that_are_made_up(direct: Direct, config: dict[str, str], address: tuple[str, int]) -> None:
    with_machine(direct, config={**CONFIG, **config})
    local, card = direct.get(f"{VM}/agent/network-get-interfaces")["result"]
    (found,) = card["ip-addresses"]
    assert (found["ip-address"], found["prefix"]) == address
    assert local["name"] == "lo"


@pytest.mark.parametrize(
    ("ip", "inet"), [("ip=10.1.1.1/8", "10.1.1.1/8"), ("ip=dhcp", "10.1.2.3/8"), ("ip=manual", None), ("", None)]
)
def test_interfaces_of_containers(direct: Direct, ip: str, inet: str | None) -> None:
    config = {"net0": f"name=eth0,hwaddr=BC:24:12:01:02:03,{ip}"}
    direct.state.load({"guests": [{**CONTAINER, "config": config}]})
    local, card = direct.get(f"{CT}/interfaces")
    assert (local["inet"], local["inet6"]) == ("127.0.0.1/8", "::1/128")
    assert card.get("inet") == inet
    assert card["inet6"] == "fe80::be24:12ff:fe01:203/64"
    direct.state.load({"guests": [{**CONTAINER, "config": config, "status": "stopped"}]})
    assert direct.get(f"{CT}/interfaces") is None


def test_ha(direct: Direct) -> None:
    assert direct.get("/cluster/ha/resources") == []
    guests = [{**MACHINE, "ha": "error"}, {**CONTAINER, "ha": "stopped"}, {**MACHINE, "vmid": 103, "ha": "ignored"}]
    direct.state.load(
        {"guests": guests, "ha": {"rules": [{"rule": "r", "type": "node-affinity", "resources": "vm:100"}]}}
    )
    assert (resource(direct, 100)["hastate"], resource(direct, 102)["hastate"]) == ("error", "stopped")
    assert direct.get(f"{VM}/status/current")["ha"] == {"managed": 1, "state": "error"}
    assert direct.get("/nodes/ugreen/qemu/103/status/current")["ha"] == {"managed": 0}
    rows = {row["sid"]: row for row in direct.get("/cluster/ha/resources")}
    assert {sid: row["state"] for sid, row in rows.items()} == {
        "vm:100": "started",
        "ct:102": "stopped",
        "vm:103": "ignored",
    }
    assert [row["sid"] for row in direct.get("/cluster/ha/resources", type="ct")] == ["ct:102"]
    assert direct.get("/cluster/ha/resources/vm:100")["type"] == "vm"
    status = direct.get("/cluster/ha/status/current")
    assert [row["type"] for row in status] == ["quorum", "master", "fencing", "lrm", "service", "service", "service"]
    assert {row["sid"]: row["state"] for row in status if row["type"] == "service"}["vm:100"] == "error"
    manager = direct.get("/cluster/ha/status/manager_status")["manager_status"]
    assert manager["service_status"]["ct:102"]["state"] == "stopped"
    assert [row["rule"] for row in direct.get("/cluster/ha/rules", resource="vm:100")] == ["r"]
    assert direct.get("/cluster/ha/rules", type="resource-affinity") == []


def test_ha_groups_of_older_releases() -> None:
    direct = Direct((8, 4))
    assert direct.get("/cluster/ha/groups") == []
    direct.state.load({"ha": {"groups": [{"group": "g1", "type": "group", "nodes": "ugreen"}]}})
    assert direct.get("/cluster/ha/groups/g1")["nodes"] == "ugreen"
    assert "fencing" not in {row["type"] for row in direct.get("/cluster/ha/status/current")}


def test_lists_of_containers_have_numbers_as_text_in_old_releases() -> None:
    assert [row["vmid"] for row in Direct((7, 4)).get("/nodes/ugreen/lxc")] == ["102"]
    assert [row["vmid"] for row in Direct((8, 4)).get("/nodes/ugreen/lxc")] == [102]


def test_what_is_loaded_comes_out_again(direct: Direct) -> None:
    with_machine(direct, snapshots=SNAPSHOTS, pending={"cores": None}, addresses=[{"name": "x"}], ha="started")
    exported = direct.state.export()
    again = Direct()
    again.state.load(exported)
    assert again.state.export() == exported
    exported["guests"][0]["snapshots"][0]["config"]["name"] = "changed outside"
    assert direct.get(f"{VM}/config", snapshot="first")["name"] == "old"
