"""Configurations of guests: typed, taken apart, and without what is secret."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.facts.config import Config, Shown, parts
from ansible_collections.homelab.pve.plugins.module_utils.facts.model import Guest

MACHINE = Guest.from_api({"vmid": 100, "type": "qemu", "node": "pve1", "status": "running"})
CONTAINER = Guest.from_api({"vmid": 101, "type": "lxc", "node": "pve1", "status": "running"})
NOTHING_MORE = Shown()


def machine(**settings: Any) -> Config:
    return Config(MACHINE, settings)


@pytest.mark.parametrize(
    ("written", "first", "expected"),
    [
        ("a,b=1,c=2", "x", {"x": "a", "b": "1", "c": "2"}),
        ("b=1,a", "x", {"b": "1", "x": "a"}),
        ("a=b=c", "", {"a": "b=c"}),
        ("a", "", {}),
        ("", "x", {}),
        (",,b=,", "x", {"b": ""}),
    ],
)
def test_parts(written: str, first: str, expected: dict[str, str]) -> None:
    assert parts(written, first) == expected


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ("1", True),
        (1, True),
        ("0", False),
        (None, False),
        ("enabled=1,fstrim_cloned_disks=1", True),
        ("fstrim_cloned_disks=1,enabled=0", False),
        ("1,type=virtio", True),
    ],
)
def test_whether_there_is_an_agent(agent: Any, expected: bool) -> None:
    assert machine(agent=agent).has_agent is expected


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("virtio=BC:24:11:00:00:01,bridge=vmbr0", {"model": "virtio", "mac": "bc:24:11:00:00:01", "bridge": "vmbr0"}),
        ("e1000,bridge=vmbr0,tag=7", {"model": "e1000", "mac": None, "tag": 7}),
        ("model=virtio,macaddr=BC:24:11:00:00:01", {"model": "virtio", "mac": "bc:24:11:00:00:01"}),
        ("virtio=BC:24:11:00:00:01,firewall=1,link_down=1", {"firewall": True, "link_down": True, "bridge": None}),
        ("virtio=BC:24:11:00:00:01,tag=all", {"tag": None}),
    ],
)
def test_network_cards_of_machines(card: str, expected: dict[str, Any]) -> None:
    (found,) = machine(net0=card).networks
    assert {name: found[name] for name in expected} == expected


def test_network_cards_come_in_the_order_of_their_numbers() -> None:
    cards = machine(net10="virtio", net2="virtio", netdev="x", ipconfig10="ip=dhcp,ip6=auto").networks
    assert [(card["id"], card["ip"], card["ip6"]) for card in cards] == [
        ("net2", None, None),
        ("net10", "dhcp", "auto"),
    ]


def test_network_cards_of_containers() -> None:
    card = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:02,ip=10.0.0.2/24,gw=10.0.0.1,type=veth"
    (found,) = Config(CONTAINER, {"net0": card}).networks
    expected = {"model": "veth", "name": "eth0", "mac": "bc:24:11:00:00:02", "ip": "10.0.0.2/24", "gw": "10.0.0.1"}
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("name", "written", "expected"),
    [
        ("scsi0", "local:100/x.qcow2,size=8G", {"storage": "local", "size": 8 << 30, "media": "disk"}),
        ("scsi0", "size=4M,file=lvm:vm-100-disk-0", {"storage": "lvm", "volume": "lvm:vm-100-disk-0", "size": 4 << 20}),
        ("ide2", "none,media=cdrom", {"storage": None, "volume": None, "size": None, "media": "cdrom"}),
        ("sata0", "/dev/disk/by-id/ata-x:1,size=512", {"storage": None, "volume": "/dev/disk/by-id/ata-x:1"}),
        ("efidisk0", "local:100/efi.raw,size=528K", {"size": 528 << 10}),
        ("rootfs", "local:101/root.raw,size=1.5G", {"size": 3 << 29, "mountpoint": "/"}),
        ("mp0", "/srv,mp=/data", {"mountpoint": "/data", "storage": None}),
        ("unused0", "local:100/old.raw", {"storage": "local"}),
    ],
)
def test_disks(name: str, written: str, expected: dict[str, Any]) -> None:
    (found,) = machine(**{name: written}).disks
    assert {key: found[key] for key in expected} == expected


def test_what_is_no_disk() -> None:
    assert machine(scsihw="virtio-scsi-single", virtiofs0="x", sata="1").disks == []


def test_values_are_typed() -> None:
    settings = {"cores": "2", "memory": "2048", "onboot": 1, "numa": "0", "tags": "b;a", "cpulimit": 0.5, "name": "x"}
    found = machine(**settings, digest="d").as_data(NOTHING_MORE)
    expected = {"cores": 2, "memory": 2048, "onboot": True, "numa": False, "tags": ["b", "a"], "cpulimit": 0.5}
    assert found["config"] == {**expected, "name": "x"}
    assert found["digest"] == "d"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cipassword", "**********"),
        ("env", "PASSWORD=x"),
        ("args", "-object secret,id=x,data=y"),
        ("args", "-vnc :1,password=on"),
        ("lxc", [["lxc.environment", "KEY=x"], ["lxc.apparmor.profile", "unconfined"]]),
    ],
)
def test_secrets_are_named_and_never_shown(name: str, value: Any) -> None:
    found = machine(**{name: value}).as_data(Shown(descriptions=True, ssh_keys=True))
    assert (found["config"], found["hidden"]) == ({}, [name])


def test_raw_settings_that_are_harmless_are_shown() -> None:
    found = Config(CONTAINER, {"lxc": [["lxc.apparmor.profile", "unconfined"]]}).as_data(NOTHING_MORE)
    assert found["config"] == {"lxc": ["lxc.apparmor.profile: unconfined"]}


def test_what_is_shown_on_request() -> None:
    config = machine(description="Whatever", sshkeys="ssh-ed25519%20AAAA%0A")
    assert config.as_data(NOTHING_MORE)["hidden"] == ["description", "sshkeys"]
    assert config.as_data(Shown(descriptions=True, ssh_keys=True))["config"] == {
        "description": "Whatever",
        "sshkeys": "ssh-ed25519 AAAA\n",
    }
