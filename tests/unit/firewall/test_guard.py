"""Who would be cut off, and what the guard says about it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.firewall.guard import Host, Situation, cut_off, not_reaching
from ansible_collections.homelab.pve.plugins.module_utils.firewall.model import Alias, Entry, IpSet, Rule, Ruleset

LAN = "192.168.40.0/24"
ADMIN, STRANGER = "192.168.40.82", "203.0.113.9"
HOST = Host("ugreen", ("192.168.40.2", "10.20.0.2"), LAN)
DROP_API = Rule("in", "DROP", proto="tcp", dport="8006")
ACCEPT_API = Rule("in", "ACCEPT", proto="tcp", dport="8006")


def situation(*rules: Rule, node: Ruleset | None = None, enable: int = 1, **objects: object) -> Situation:
    cluster = Ruleset(options={"enable": enable}, rules=rules, **objects)
    return Situation(cluster, node or Ruleset())


def ipset(name: str, *entries: str) -> dict[str, IpSet]:
    return {name: IpSet(name, entries=tuple(Entry(entry.lstrip("!"), entry.startswith("!")) for entry in entries))}


OPEN, OFF = situation(), situation(enable=0)


def test_a_rule_that_cuts_off_is_named():
    found = cut_off(HOST, OPEN, situation(DROP_API), [ADMIN], [8006, 22])
    assert found is not None
    assert (found.client, found.port, found.before.action, found.after.action) == (ADMIN, 8006, "ACCEPT", "DROP")
    text = str(found)
    assert text.startswith(
        "192.168.40.82 reaches TCP port 8006 of the node ugreen now and would be cut off: "
        "cluster rule 0 (IN DROP -p tcp -dport 8006) answers DROP"
    )
    assert "NAT" in text
    assert "before that one" in text


def test_other_ports_and_clients_are_no_matter():
    after = situation(DROP_API)
    assert cut_off(HOST, OPEN, after, [ADMIN], [22]) is None
    assert cut_off(HOST, OPEN, after, [STRANGER], [8006]) is None, "it does not reach the port before"
    assert cut_off(HOST, OPEN, OPEN, [ADMIN], [8006]) is None


def test_switching_the_firewall_on():
    """The classical accident: who administers from elsewhere reaches the host only as long as nothing is filtered."""
    found = cut_off(HOST, OFF, OPEN, [ADMIN, STRANGER], [8006])
    assert found is not None
    assert found.client == STRANGER
    assert "put 203.0.113.9 into the IP set management" in str(found)
    assert "IP set management" not in str(cut_off(HOST, OFF, OPEN, [STRANGER], [443]))
    assert cut_off(HOST, OFF, situation(ipsets=ipset("management", STRANGER)), [ADMIN, STRANGER], [8006]) is None


def test_the_blacklist():
    found = cut_off(HOST, OPEN, situation(ipsets=ipset("blacklist", ADMIN)), [ADMIN], [22])
    assert "Take 192.168.40.82 out of that set" in str(found)


def test_a_network_is_tried_in_every_class():
    after = situation(Rule("in", "DROP", source="192.168.40.128/25"))
    assert cut_off(HOST, OPEN, after, ["192.168.40.0/25"], [8006]) is None
    found = cut_off(HOST, OPEN, after, [LAN], [8006])
    assert found is not None
    assert found.client == "192.168.40.129"


def test_any_bridge_may_be_the_one():
    after = situation(replace(DROP_API, iface="vmbr1"))
    assert "if it comes by the bridge vmbr1" in str(cut_off(HOST, OPEN, after, [ADMIN], [8006]))
    only = situation(replace(ACCEPT_API, iface="vmbr1"))
    assert cut_off(HOST, only, only, [STRANGER], [8006]) is None
    assert cut_off(HOST, only, situation(replace(ACCEPT_API, iface="vmbr1", log="info")), [STRANGER], [8006]) is None
    found = not_reaching(HOST, only, [STRANGER], [8006])
    assert "a bridge that no rule names" in str(found)


def test_nothing_from_outside_comes_by_loopback():
    assert cut_off(HOST, OPEN, situation(replace(DROP_API, iface="lo")), [ADMIN], [8006]) is None


def test_any_address_of_the_host_may_be_asked():
    after = situation(replace(DROP_API, dest="10.20.0.2"))
    assert "if it asks for 10.20.0.2" in str(cut_off(HOST, OPEN, after, [ADMIN], [8006]))
    assert cut_off(replace(HOST, addresses=("192.168.40.2/24",)), OPEN, after, [ADMIN], [8006]) is None
    assert cut_off(replace(HOST, addresses=()), OPEN, after, [ADMIN], [8006]) is not None
    named = situation(replace(DROP_API, dest="+here"), ipsets=ipset("here", "10.20.0.0/16"))
    assert cut_off(replace(HOST, addresses=("fd00::2",)), OPEN, named, [ADMIN], [8006]) is not None


def test_a_local_network_that_is_not_known():
    host = replace(HOST, local_network=None)
    assert cut_off(host, OPEN, situation(ACCEPT_API), [ADMIN], [8006]) is None
    assert cut_off(host, OPEN, situation(DROP_API), [ADMIN], [8006]) is not None
    outside = not_reaching(host, OPEN, [ADMIN], [8006])
    assert "if it is not in the local network, which is not known here" in str(outside)
    excepted = situation(ipsets=ipset("management", f"!{ADMIN}"))
    assert cut_off(host, OPEN, excepted, [ADMIN], [8006]) is not None
    alias = {"local_network": Alias("local_network", LAN)}
    assert not_reaching(host, situation(aliases=alias), [ADMIN], [8006]) is None


def test_the_host_itself_always_reaches():
    after = situation(Rule("in", "DROP"))
    assert cut_off(HOST, OFF, after, ["192.168.40.2", "127.0.0.1", "::1"], [8006]) is None


def test_clients_that_have_to_reach():
    found = not_reaching(HOST, OPEN, [ADMIN, STRANGER], [8006])
    assert str(found).startswith("203.0.113.9 has to reach TCP port 8006 of the node ugreen and would not: policy_in")
    assert not_reaching(HOST, situation(ACCEPT_API), [ADMIN, STRANGER, "fd00::9"], [8006]) is None


def test_ipv6():
    host = Host("ugreen", ("fd00::2",), "fd00::/64")
    assert cut_off(host, OFF, OPEN, ["fd00::/64"], [8006, 22]) is None
    assert cut_off(host, OFF, OPEN, ["fd00::/63"], [8006]) is not None


def test_with_nftables_both_orders_count():
    """There the built-in access comes first; but nobody knows when the other program takes over."""
    new = Ruleset(options={"nftables": 1})
    before = situation(DROP_API, node=new)
    found = cut_off(HOST, before, situation(DROP_API), [ADMIN], [8006])
    assert found is not None, "it reaches the port now, as nftables goes"
    assert cut_off(HOST, OPEN, situation(DROP_API, node=new), [ADMIN], [8006]) is not None


def test_a_client_that_is_none():
    with pytest.raises(ValueError, match="office"):
        cut_off(HOST, OFF, OPEN, ["office"], [8006])
