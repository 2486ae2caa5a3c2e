"""PVE's values as types, addresses of guests, and what is wanted of whom."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError
from ansible_collections.homelab.pve.plugins.module_utils.facts.addresses import (
    best,
    from_agent,
    from_config,
    from_interfaces,
    refusal,
)
from ansible_collections.homelab.pve.plugins.module_utils.facts.config import Config
from ansible_collections.homelab.pve.plugins.module_utils.facts.fields import (
    flag,
    integer,
    number,
    text,
    typed,
    words,
)
from ansible_collections.homelab.pve.plugins.module_utils.facts.filters import Filters
from ansible_collections.homelab.pve.plugins.module_utils.facts.model import Guest
from ansible_collections.homelab.pve.plugins.module_utils.facts.rights import may_hold
from ansible_collections.homelab.pve.plugins.module_utils.facts.subsets import BASE, NAMES, choose

# -- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (integer, "7", 7),
        (integer, "7.0", 7),
        (integer, 7.0, 7),
        (integer, 9007199254740993, 9007199254740993),
        (integer, "9007199254740993", 9007199254740993),
        (integer, "x", None),
        (integer, "inf", None),
        (integer, [], None),
        (number, "0.56", 0.56),
        (number, 0, 0.0),
        (flag, 0, False),
        (flag, "0", False),
        (flag, 1, True),
        (flag, "", False),
        (flag, False, False),
        (flag, "no", False),
        (flag, "yes", True),
        (text, 5, "5"),
        (words, "b;a, c\td", ["b", "a", "c", "d"]),
        (words, "", []),
        (text, None, None),
    ],
)
def test_values(kind: Any, value: Any, expected: Any) -> None:
    found = typed({"x": value}, {"x": kind})["x"]
    assert (found, type(found)) == (expected, type(expected))


def test_what_is_not_said_is_none() -> None:
    assert typed({}, {"mem": integer, "tags": words}) == {"mem": None, "tags": None}


# -- addresses ----------------------------------------------------------------------------------------------------


def test_addresses_of_an_agent() -> None:
    loopback = {"name": "lo", "ip-addresses": [{"ip-address": "127.0.0.1", "ip-address-type": "ipv4", "prefix": 8}]}
    silent = {"name": "eth1", "hardware-address": "BC:24:11:00:00:02"}
    eth0 = {
        "name": "eth0",
        "hardware-address": "BC:24:11:00:00:01",
        "ip-addresses": [
            {"ip-address": "fe80::1%eth0", "prefix": 64},
            {"ip-address": "2001:db8::1", "prefix": "64"},
            {"ip-address": "10.0.0.1", "prefix": 24},
            {"ip-address": "no address"},
            "nonsense",
        ],
    }
    found = from_agent({"result": [loopback, silent, eth0, None]})
    assert [(one.address, one.prefix, one.family) for one in found] == [
        ("fe80::1", 64, 6),
        ("2001:db8::1", 64, 6),
        ("10.0.0.1", 24, 4),
    ]
    chosen = best(found)
    assert chosen is found[2]
    assert chosen.mac == "bc:24:11:00:00:01"
    assert best(found, [ipaddress.ip_network("2001:db8::/32")]) is found[1]
    assert best(found[:1]) is None


@pytest.mark.parametrize("answer", [None, {}, {"result": None}, {"result": {"error": {"desc": "Unknown"}}}, []])
def test_an_agent_that_says_nothing(answer: Any) -> None:
    assert from_agent(answer) == []


def test_what_an_agent_says_in_place_of_addresses() -> None:
    assert refusal({"result": {"error": {"class": "CommandNotFound", "desc": "Unknown command"}}}) == "Unknown command"
    assert refusal({"result": []}) is None
    assert refusal(None) is None


def test_addresses_of_containers_in_both_forms() -> None:
    old = {"name": "eth0", "hwaddr": "bc:24:11:00:00:02", "inet": "10.0.0.2/24", "inet6": "fe80::2/64"}
    new = {**old, "ip-addresses": [{"ip-address": "10.0.0.2", "ip-address-type": "inet", "prefix": "24"}]}
    assert [one.address for one in from_interfaces([old])] == ["10.0.0.2", "fe80::2"]
    assert [(one.address, one.prefix) for one in from_interfaces([new])] == [("10.0.0.2", 24)]
    assert from_interfaces(None) == []


def test_addresses_of_configurations() -> None:
    guest = Guest.from_api({"vmid": 100, "type": "qemu", "node": "pve1"})
    settings = {"net0": "virtio=BC:24:11:00:00:01", "ipconfig0": "ip=10.0.0.1/24,ip6=auto", "ipconfig1": "ip=10.0.0.9"}
    (found,) = from_config(Config(guest, settings))
    assert (found.interface, found.address, found.prefix, found.source) == ("net0", "10.0.0.1", 24, "config")


# -- subsets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gather", "expected"),
    [
        (["base"], BASE),
        (["all"], NAMES),
        ([], NAMES),
        (["!log"], tuple(name for name in NAMES if name != "log")),
        (["!base", "users"], ("users",)),
        (["!all", "users"], ("users",)),
        (["base", "!storage", "users"], ("version", "cluster", "nodes", "guests", "users")),
        (["all", "!base"], tuple(name for name in NAMES if name not in BASE)),
        (["users", "version", "users"], ("version", "users")),
        (["!base", "guests", "users"], ("guests", "users")),
    ],
)
def test_subsets(gather: list[str], expected: tuple[str, ...]) -> None:
    assert choose(gather) == expected


@pytest.mark.parametrize(
    ("gather", "said"),
    [
        (["user"], "Did you mean users?"),
        (["!guest-config"], "Did you mean guest_config?"),
        (["zzz"], "There are version,"),
        (["users", "!users"], "asked for and taken away"),
        (["!all"], "nothing is left"),
        ([""], "'' is no subset"),
    ],
)
def test_subsets_that_make_no_sense(gather: list[str], said: str) -> None:
    with pytest.raises(OptionError, match=r".") as caught:
        choose(gather)
    assert said in str(caught.value)


# -- filters ------------------------------------------------------------------------------------------------------

GUEST = Guest.from_api(
    {"vmid": 100, "type": "qemu", "node": "pve1", "name": "web1", "tags": "a;b", "status": "running", "pool": "x/y"}
)


@pytest.mark.parametrize(
    ("filters", "taken"),
    [
        ({}, True),
        ({"vmid": []}, True),
        ({"vmid": [100]}, True),
        ({"vmid": [101]}, False),
        ({"node": ["pve*"]}, True),
        ({"node": ["pve2", "pve1"], "tag": ["b"]}, True),
        ({"node": ["pve1"], "tag": ["c"]}, False),
        ({"pool": ["x"]}, True),
        ({"pool": ["y"]}, False),
        ({"name": ["web?"]}, True),
        ({"name": ["web"]}, False),
        ({"status": ["stopped"]}, False),
        ({"type": ["lxc"]}, False),
    ],
)
def test_filters(filters: dict[str, Any], taken: bool) -> None:
    assert Filters.from_params(filters).takes(GUEST) is taken


def test_a_guest_that_nothing_is_known_of_has_no_name_to_fit() -> None:
    unknown = Guest.from_api({"vmid": 100, "type": "qemu", "node": "pve1", "status": "unknown"})
    assert not Filters(name=("web*",)).takes(unknown)
    assert Filters(status=("unknown",)).takes(unknown)


@pytest.mark.parametrize("filters", [{"vmid": [99]}, {"type": ["kvm"]}, {"nodes": ["pve1"]}, {"vmid": [10**9]}])
def test_filters_that_make_no_sense(filters: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="filters: "):
        Filters.from_params(filters)


# -- rights -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({}, False),
        ({"/": {"VM.Audit": 1}}, True),
        ({"/": {"VM.Audit": 0}}, False),
        ({"/vms": {"VM.Audit": 1}}, True),
        ({"/vms/100": {"VM.Audit": 0}}, True),
        ({"/": {"VM.Audit": 1}, "/vms/100": {"VM.Console": 1}}, False),
        ({"/vms/101": {"VM.Audit": 1}}, False),
    ],
)
def test_what_the_caller_can_hold(tree: dict[str, dict[str, int]], expected: bool) -> None:
    assert may_hold(tree, "/vms/100", "VM.Audit", "VM.Allocate") is expected
