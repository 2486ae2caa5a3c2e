"""Who reaches a port: all addresses are told of, and of each what the packet by packet answer is."""

from __future__ import annotations

from itertools import product

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.firewall.addresses import WIDTH, address
from ansible_collections.homelab.pve.plugins.module_utils.firewall.exposure import Exposure, Span, exposure, exposures
from ansible_collections.homelab.pve.plugins.module_utils.firewall.model import Group, IpSet, Ruleset
from ansible_collections.homelab.pve.plugins.module_utils.firewall.reach import ACCEPT, Packet, Reach, all_rules
from ansible_collections.homelab.pve.tests.unit.examples import examples
from ansible_collections.homelab.pve.tests.unit.firewall.test_reach import LAN, cluster, rules
from ansible_collections.homelab.pve.tests.unit.firewall.test_reach_random import (
    BRIDGES,
    HOSTS,
    clusters,
    local_networks,
    nodes,
)
from hypothesis import HealthCheck, given, settings

NODE = Ruleset()


def told(found: Exposure) -> list[tuple[str, str]]:
    """Return addresses and actions, without those of IPv6 unless somebody gets in."""
    return [(str(span), span.action) for span in found.spans if span.version == 4 or span.open]


def holding(found: Exposure, text: str) -> Span:
    version, number = address(text)
    (span,) = (span for span in found.spans if span.version == version and span.first <= number <= span.last)
    return span


@settings(max_examples=examples(60), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(clusters(), nodes, local_networks)
def test_every_address_is_told_of_and_as_packets_fare(datacenter, node, local_network):
    found = exposure(datacenter, node, 8006, local_network)
    for version, width in WIDTH.items():
        spans = [span for span in found.spans if span.version == version]
        assert [span.first for span in spans] == [0, *(span.last + 1 for span in spans[:-1])]
        assert spans[-1].last == (1 << width) - 1
    reach = Reach(datacenter, node, local_network)
    any_dest = any(rule.enable and rule.dest for ruleset in (datacenter, node) for rule in all_rules(ruleset))
    for source in HOSTS:
        span = holding(found, source)
        dests = [None, *(dest for dest in HOSTS if address(dest)[0] == span.version)]
        ways = [
            reach.verdict(Packet(source, 8006, dest=dest, iface=bridge)).action == ACCEPT
            for dest, bridge in product(dests, (None, *BRIDGES))
        ]
        assert span.open or not any(ways)
        if span.open and not span.condition:
            assert any_dest or all(ways)
        if span.open and not any_dest:
            assert any(ways)
        assert span.open or not span.condition


def test_a_firewall_that_is_off_lets_everybody_in():
    found = exposure(Ruleset(), NODE, 22)
    assert found.everybody
    assert told(found) == [("all of IPv4", ACCEPT), ("all of IPv6", ACCEPT)]
    assert found.spans[0].by == "firewall off"
    assert exposure(cluster(), Ruleset(options={"enable": 0}), 22).everybody


@pytest.mark.parametrize(
    ("rule", "everybody"),
    [
        ("IN ACCEPT -p tcp -dport 22", True),
        ("IN ACCEPT -source 0.0.0.0/1 -p tcp -dport 22", True),
        ("IN ACCEPT -source 2000::/3 -p tcp -dport 22", True),
        ("IN ACCEPT -i vmbr1 -p tcp -dport 22", True),
        ("IN ACCEPT -dest 10.0.0.1 -p tcp -dport 22", True),
        ("IN ACCEPT -source 128.0.0.0/1 -p tcp -dport 22", False),
        ("IN ACCEPT -source 2000::/5 -p tcp -dport 22", False),
        ("IN ACCEPT -source 5.77.0.0/16 -p tcp -dport 22", False),
        ("IN ACCEPT -p tcp -dport 8006", False),
    ],
)
def test_who_lets_in_half_of_the_world_lets_in_everybody(rule, everybody):
    found = exposure(cluster(rule), NODE, 22)
    assert found.everybody is everybody
    assert not found.widest or found.widest.by.startswith("cluster rule 0")


def test_halves_of_the_world_on_two_bridges_are_not_everybody():
    quarters = ("0.0.0.0/2 -i vmbr1", "64.0.0.0/2 -i vmbr2")
    datacenter = cluster(*(f"IN ACCEPT -source {quarter} -p tcp" for quarter in quarters))
    assert not exposure(datacenter, NODE, 22).everybody


def test_nodes_are_told_of_by_themselves():
    nodes = {
        "a": NODE,
        "b": Ruleset(),
        "c": Ruleset(rules=rules("IN ACCEPT -p tcp -dport 22")),
        "d": Ruleset(options={"enable": 0}),
    }
    found = exposures(cluster(), nodes, [8006, 22])
    assert {node: [one.everybody for one in ports] for node, ports in found.items()} == {
        "a": [False, False],
        "b": [False, False],
        "c": [False, True],
        "d": [True, True],
    }
    assert [one.port for one in found["a"]] == [8006, 22]


def test_neighbours_with_the_same_answer_are_told_of_as_one():
    datacenter = cluster(
        "IN ACCEPT -source 10.0.0.0/9 -p tcp -dport 8006",
        "IN DROP -source 10.0.0.7 -p tcp",
        "IN ACCEPT -source 198.51.100.4-198.51.100.9 -p tcp -dport 8006",
        aliases={"local_network": LAN, "half": "10.128.0.0/9"},
    )
    assert told(exposure(datacenter, NODE, 8006)) == [
        ("0.0.0.0 - 9.255.255.255", "DROP"),
        ("10.0.0.0/9", "ACCEPT"),
        ("10.128.0.0 - 192.168.39.255", "DROP"),
        (LAN, "ACCEPT"),
        ("192.168.41.0 - 198.51.100.3", "DROP"),
        ("198.51.100.4 - 198.51.100.9", "ACCEPT"),
        ("198.51.100.10 - 255.255.255.255", "DROP"),
    ]


def test_a_local_network_that_is_not_known_is_said():
    datacenter = cluster("IN DROP -source 192.0.2.9", ipsets={"management": "192.0.2.0/24"})
    found = exposure(datacenter, NODE, 8006)
    assert not found.everybody
    assert "which is not known here, reaches it too, unless from 192.0.2.9." in found.local_network
    assert "not known" not in exposure(datacenter, NODE, 8006, LAN).local_network
    assert exposure(datacenter, NODE, 4711).local_network == ""
    assert exposure(cluster(policy_in="ACCEPT"), NODE, 8006).local_network == "", (
        "there is nothing more to be said where everybody gets in"
    )


def test_what_it_depends_on_is_said():
    datacenter = cluster("IN ACCEPT -i vmbr1 -p tcp", aliases={"local_network": LAN})
    stranger = holding(exposure(datacenter, NODE, 22), "203.0.113.9")
    assert (stranger.action, stranger.condition) == (ACCEPT, "if it comes by the bridge vmbr1")
    datacenter = cluster("IN ACCEPT -dest 10.0.0.1 -p tcp", aliases={"local_network": LAN})
    assert holding(exposure(datacenter, NODE, 22), "203.0.113.9").condition == "if it asks for 10.0.0.1"
    datacenter = cluster("IN ACCEPT -dest +mine -p tcp", aliases={"local_network": LAN}, ipsets={"mine": "10.0.0.1"})
    assert holding(exposure(datacenter, NODE, 22), "203.0.113.9").condition == "if it asks for 10.0.0.1"
    migration = exposure(cluster(aliases={"local_network": LAN}), Ruleset(options={"nftables": 1}), 60000)
    assert holding(migration, "192.168.40.9").condition == "with iptables"


def test_exceptions_hold_for_both_ports_alike_unless_a_rule_names_one():
    datacenter = cluster("IN DROP -p tcp -dport 22", aliases={"local_network": LAN})
    assert holding(exposure(datacenter, NODE, 22), "192.168.40.9").by.startswith("cluster rule 0")
    assert holding(exposure(datacenter, NODE, 8006), "192.168.40.9").open


@pytest.mark.parametrize(
    "missing",
    [
        {"ipsets": {"management": IpSet("management", entries=None)}},
        {"rules": rules("GROUP web"), "groups": {"web": Group("web", rules=None)}},
    ],
)
def test_what_was_not_read_is_not_guessed(missing):
    found = exposure(Ruleset(options={"enable": 1}, **missing), NODE, 22)
    assert "read" in found.unknown
    assert not found.spans
    assert not found.everybody


def test_many_addresses_are_no_matter():
    entries = " ".join(f"10.{number // 250}.{number % 250}.7" for number in range(600))
    found = exposure(cluster(ipsets={"management": entries}), NODE, 22)
    assert sum(span.open for span in found.spans) == 600
    assert found.local_network.endswith("unless a rule or an exception keeps him out.")
    assert found.as_data()["addresses"][1] == {
        "addresses": "10.0.0.7",
        "action": "ACCEPT",
        "by": "built-in access for +management",
        "condition": "",
    }
