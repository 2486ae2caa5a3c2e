"""Each step on a packet's way through the host's firewall, with the smallest rules that show it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.firewall.addresses import literals, network
from ansible_collections.homelab.pve.plugins.module_utils.firewall.model import (
    Alias,
    Entry,
    Group,
    IpSet,
    Rule,
    Ruleset,
)
from ansible_collections.homelab.pve.plugins.module_utils.firewall.reach import (
    Packet,
    Reach,
    Verdict,
    interesting_addresses,
)

LAN = "192.168.40.0/24"
FRIEND, STRANGER = "192.168.40.82", "203.0.113.9"


def rule(text: str, **other: Any) -> Rule:
    """Read a rule as PVE's files have it: ``IN ACCEPT -source 10.0.0.1 -p tcp``, or ``GROUP web -i vmbr0``."""
    kind, action, *switches = text.split()
    names = {"-i": "iface", "-p": "proto", "-icmp-type": "icmp_type"}
    fields = {names.get(name, name[1:]): value for name, value in zip(switches[::2], switches[1::2])}
    if "(" in action:
        fields["macro"], unused, action = action.rstrip(")").partition("(")
    return Rule(type=kind.lower(), action=action, **{**fields, **other})


def rules(*texts: str) -> tuple[Rule, ...]:
    return tuple(map(rule, texts))


def cluster(
    *texts: str,
    aliases: dict[str, str] | None = None,
    ipsets: dict[str, str] | None = None,
    groups: dict[str, tuple[str, ...]] | None = None,
    **options: Any,
) -> Ruleset:
    """Make a datacenter's firewall. Entries of a set stand apart by blanks, those with ``!`` are exceptions."""
    return Ruleset(
        options={"enable": 1, **options},
        rules=rules(*texts),
        aliases={name.lower(): Alias(name, cidr) for name, cidr in (aliases or {}).items()},
        ipsets={
            name: IpSet(name, entries=tuple(Entry(e.lstrip("!"), e.startswith("!")) for e in entries.split()))
            for name, entries in (ipsets or {}).items()
        },
        groups={name: Group(name, rules=rules(*texts)) for name, texts in (groups or {}).items()},
    )


def ask(
    source: str = STRANGER,
    dport: int = 8006,
    *,
    dc: Ruleset | None = None,
    node: tuple[str, ...] = (),
    local: str | None = LAN,
    nftables: bool = False,
    **packet: Any,
) -> Verdict:
    reach = Reach(dc or cluster(), Ruleset(rules=rules(*node)), local, nftables=nftables)
    return reach.verdict(Packet(source, dport, **packet))


def action(*args: Any, **kwargs: Any) -> str:
    return ask(*args, **kwargs).action


def test_without_any_rule():
    assert ask() == Verdict("DROP", "policy_in DROP")
    assert ask(FRIEND) == Verdict("ACCEPT", "built-in access for +management")
    assert ask(dc=cluster(policy_in="REJECT")) == Verdict("REJECT", "policy_in REJECT")
    assert ask(dc=cluster(policy_in="ACCEPT")) == Verdict("ACCEPT", "policy_in ACCEPT")


def test_switched_off():
    closed = cluster("IN DROP")
    assert ask(dc=Ruleset(rules=closed.rules)) == Verdict("ACCEPT", "firewall off")
    reach = Reach(closed, Ruleset(options={"enable": 0}), LAN)
    assert reach.verdict(Packet(STRANGER, 22)) == Verdict("ACCEPT", "firewall off on the node")


@pytest.mark.parametrize(
    ("dport", "protocol", "reaches"),
    [
        (8006, "tcp", True),
        (22, "tcp", True),
        (3128, "tcp", True),
        (5900, "tcp", True),
        (5999, "tcp", True),
        (60050, "tcp", True),
        (6000, "tcp", False),
        (443, "tcp", False),
        (8006, "udp", False),
    ],
)
def test_built_in_access(dport, protocol, reaches):
    assert action(FRIEND, dport, protocol=protocol) == ("ACCEPT" if reaches else "DROP")


def test_management_adds_to_the_local_network():
    dc = cluster(ipsets={"management": f"{STRANGER} !192.168.40.0/24 !192.168.40.90"})
    assert action(STRANGER, dc=dc) == "ACCEPT"
    assert action(FRIEND, dc=dc) == "ACCEPT", "the local network undoes an exception of the same text"
    assert action("192.168.40.90", dc=dc) == "DROP", "a smaller exception stands"


def test_the_alias_local_network_wins():
    dc = cluster(aliases={"Local_Network": "10.0.0.7/8"})
    assert action("10.1.1.1", dc=dc) == "ACCEPT"
    assert action(FRIEND, dc=dc) == "DROP"
    assert action(FRIEND, dc=cluster(aliases={"local_network": "fd00::/64"})) == "DROP"


def test_no_local_network_is_the_loopback_network():
    assert action(FRIEND, local=None) == "DROP"
    assert action("127.0.0.5", local=None) == "ACCEPT"


def test_the_blacklist_comes_first():
    dc = cluster(f"IN ACCEPT -source {FRIEND}", ipsets={"blacklist": "192.168.40.80/30 !192.168.40.83"})
    assert ask(FRIEND, dc=dc, node=("IN ACCEPT",)) == Verdict("DROP", "IP set blacklist")
    assert action("192.168.40.83", dc=dc) == "ACCEPT"


def test_node_rules_come_before_cluster_rules():
    dc = cluster("OUT DROP", "IN ACCEPT -p tcp -dport 8006")
    assert ask(dc=dc).by == "cluster rule 1 (IN ACCEPT -p tcp -dport 8006)"
    found = ask(dc=dc, node=("FORWARD DROP", "IN REJECT -p tcp -dport 8000:8010"))
    assert found == Verdict("REJECT", "node rule 1 (IN REJECT -p tcp -dport 8000:8010)")


def test_rules_override_the_built_in_access():
    assert action(FRIEND, dc=cluster("IN DROP -p tcp -dport 8006")) == "DROP"


def test_a_disabled_rule_does_nothing():
    assert action(FRIEND, dc=Ruleset(options={"enable": 1}, rules=(rule("IN DROP", enable=False),))) == "ACCEPT"


def test_a_group_decides_and_what_it_leaves_goes_on():
    groups = {"web": ("OUT DROP", "IN HTTPS(ACCEPT)", f"IN REJECT -source {STRANGER} -p tcp -dport 22")}
    dc = cluster("GROUP web", "IN DROP", groups=groups)
    found = ask(dport=443, dc=dc)
    assert found == Verdict("ACCEPT", "security group web rule 1 (IN HTTPS(ACCEPT)) called by cluster rule 0")
    assert action(dport=22, dc=dc) == "REJECT"
    assert ask(FRIEND, 22, dc=dc).by == "cluster rule 1 (IN DROP)"


def test_the_interface_of_a_group_rule():
    dc = cluster("GROUP web -i vmbr1", groups={"web": ("IN HTTPS(ACCEPT)", "IN ACCEPT -p tcp -dport 22 -i vmbr1")})
    assert action(dport=443, dc=dc, iface="vmbr1") == "ACCEPT"
    assert action(dport=443, dc=dc, iface="vmbr0") == "DROP"
    assert action(dport=22, dc=dc, iface="vmbr1") == "DROP", "PVE refuses an interface in a group's rules"


def test_groups_that_are_not_there():
    assert action(FRIEND, dc=cluster("GROUP missing", "GROUP Web", groups={"web": ("IN DROP",)})) == "ACCEPT"


def test_a_group_that_cannot_be_compiled():
    """The first call fails; a later one gets what came before the rule that is to blame."""
    groups = {
        "web": ("IN HTTPS(ACCEPT)", "IN ACCEPT -source guest/office", "IN ACCEPT -p tcp -dport 22"),
        "out": ("IN HTTPS(ACCEPT)", "OUT ACCEPT -dest guest/office"),
    }
    dc = {"aliases": {"office": "10.0.0.0/8"}, "groups": groups}
    assert action(dport=443, dc=cluster("GROUP out", **dc)) == "DROP"
    assert action(dport=443, dc=cluster("GROUP web", **dc)) == "DROP"
    assert action(dport=443, dc=cluster("GROUP web", "GROUP web", **dc)) == "ACCEPT"
    assert action(dport=22, dc=cluster("GROUP web", "GROUP web", **dc)) == "DROP"


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("-i vmbr0", True),
        ("-i vmbr1", False),
        ("-dest 192.168.40.2", True),
        ("-dest 192.168.40.0/24", True),
        ("-dest 10.20.0.2", False),
        ("-dest +ours", True),
        ("-p tcp -sport 50000", True),
        ("-p tcp -sport 1024:49999", False),
        ("-p udp -dport 8006", False),
        ("-p 6 -dport 8006", True),
        ("-p 17", False),
        ("-p ip", True),
        ("-p icmp", False),
        ("-p sctp -dport 8006", False),
        ("-p tcp -dport 22,8000:8010", True),
        ("-p tcp -dport ssh,8006", True),
        ("-p tcp -dport ssh", False),
        ("-p udp -dport ssh,8006", False),
        ("-source 203.0.113.1-203.0.113.9", True),
        ("-source 203.0.113.1-203.0.113.8", False),
        ("-source 10.0.0.0/8,203.0.113.9", True),
        ("-source 203.0.113.9/255.255.255.0", True),
        ("-source 0.0.0.0/0", True),
        ("-source office", True),
        ("-source dc/OFFICE", True),
        ("-source +net", True),
        ("-source +dc/net", True),
        ("-source 2001:db8::/32", False),
    ],
)
def test_what_a_rule_matches(text, matches):
    dc = cluster(
        f"IN REJECT {text}",
        aliases={"Office": "203.0.113.77/24"},
        ipsets={"net": "office", "ours": "192.168.40.2"},
    )
    assert action(dc=dc, dest="192.168.40.2", iface="vmbr0") == ("REJECT" if matches else "DROP")


@pytest.mark.parametrize(
    "text",
    [
        "-source gone",
        "-source +gone",
        "-source +NET",
        "-source +management",
        "-source local_network",
        "-source x",
        "-source 203.0.113.9/24",
        "-source 203.0.113.9-203.0.113.1",
        "-source 203.0.113.0/24,2001:db8::1",
        "-source 203.0.113.9,office",
        "-source office -dest six",
        "-source six -p icmp",
        "-dport 8006",
        "-p tcp -dport 8006:22",
        "-p tcp -dport 70000",
        "-p tcp -dport nothing",
        "-p tcp -dport 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,8006",
        "-p gre -dport 8006",
        "-p nothing",
        "-source guest/office",
        "-source +guest/net",
        "-source +sdn/vnet-all",
    ],
)
def test_what_pve_passes_over(text):
    """Whether or not PVE has told yet that the rule has errors."""
    dc = cluster(f"IN REJECT {text}", aliases={"office": "203.0.113.0/24", "six": "fd00::1"}, ipsets={"net": STRANGER})
    assert action(dc=dc) == "DROP"


def test_errors_that_pve_tells():
    listed = rule("IN REJECT", errors={"macro": "unknown macro 'x'"})
    assert action(dc=Ruleset(options={"enable": 1}, rules=(listed,))) == "DROP"
    mended = rule("IN REJECT -source office", errors={"source": "no such alias 'office'"})
    dc = Ruleset(options={"enable": 1}, rules=(mended,), aliases={"office": Alias("office", STRANGER)})
    assert action(dc=dc) == "REJECT", "the alias is there by now"


@pytest.mark.parametrize(
    ("text", "reaches"),
    [("Web(ACCEPT)", True), ("ssh(ACCEPT)", False), ("HTTPS(ACCEPT) -p tcp -dport 443", True)],
)
def test_macros(text, reaches):
    assert action(dport=443, dc=cluster(f"IN {text}")) == ("ACCEPT" if reaches else "DROP")
    assert action(dport=443, dc=cluster("IN HTTPS(ACCEPT) -p tcp -dport 22")) == "DROP"


def test_the_longest_prefix_in_a_set_decides():
    dc = cluster("IN ACCEPT -source +net", ipsets={"net": "10.0.0.0/8 !10.1.0.0/16 10.1.1.0/24 !10.1.1.1"})
    found = {text: action(text, dc=dc) for text in ("10.0.0.1", "10.1.0.1", "10.1.1.2", "10.1.1.1", "10.2.0.1")}
    assert [text for text, answer in found.items() if answer == "ACCEPT"] == ["10.0.0.1", "10.1.1.2", "10.2.0.1"]


def test_entries_of_one_address():
    """Of one text the first counts; an alias and the address it stands for are two texts, and the later one wins."""
    assert action(dc=cluster("IN ACCEPT -source +net", ipsets={"net": f"{STRANGER} !{STRANGER}"})) == "ACCEPT"
    dc = cluster("IN ACCEPT -source +net", aliases={"pc": STRANGER}, ipsets={"net": f"{STRANGER} !pc"})
    assert action(dc=dc) == "DROP"


def test_ipv6():
    dc = cluster("IN DROP -source 10.0.0.0/8", "IN ACCEPT -source 2001:DB8::/32 -p tcp -dport 443")
    assert action("2001:db8::1", 443, dc=dc) == "ACCEPT"
    assert action("2001:db9::1", 443, dc=dc) == "DROP"
    assert action("fd00::5", 22, dc=dc, local="fd00::/64") == "ACCEPT"
    assert action("fd00::5", 22, dc=dc) == "DROP", "the local network is IPv4"
    dc = cluster("IN ACCEPT -source +net", ipsets={"net": "2001:DB8::/48 !2001:db8:0::5"})
    assert action("2001:db8::6", dc=dc) == "ACCEPT"
    assert action("2001:db8::5", dc=dc) == "DROP"


def test_loopback():
    assert action(dc=cluster("IN DROP"), iface="lo") == "ACCEPT"


def test_nftables():
    dc = cluster("IN DROP", ipsets={"blacklist": FRIEND, "management": "203.0.113.9 !203.0.113.0/24"})
    assert action(FRIEND, dc=dc) == "DROP"
    assert action(FRIEND, dc=dc, nftables=True) == "ACCEPT", "built-in access comes first"
    assert action(FRIEND, 60000, nftables=True) == "DROP", "migration is no part of it"
    assert action(dc=cluster(ipsets={"management": "203.0.113.9 !203.0.113.0/24"})) == "ACCEPT"
    assert action(dc=dc, nftables=True) == "DROP", "a wide exception covers a narrow entry"


def test_what_was_not_read_is_no_empty_set():
    unread = Ruleset(options={"enable": 1}, rules=rules("GROUP web"), groups={"web": Group("web", rules=None)})
    with pytest.raises(ValueError, match="security group web were not read"):
        ask(dc=unread)
    for name, using in (("management", ()), ("blacklist", ()), ("net", rules("IN ACCEPT -source +net"))):
        unread = Ruleset(options={"enable": 1}, rules=using, ipsets={name: IpSet(name, entries=None)})
        with pytest.raises(ValueError, match=f"IP set {name} were not read"):
            ask(dc=unread)


@pytest.mark.parametrize(
    "packet", [Packet("nonsense", 22), Packet(STRANGER, 22, "icmp"), Packet(STRANGER, 22, dest="fd00::1")]
)
def test_packets_that_are_none(packet):
    with pytest.raises(ValueError, match=r"nonsense|icmp|families"):
        Reach(cluster(), Ruleset(), LAN).verdict(packet)


def test_interesting_addresses():
    dc = cluster("IN DROP -source 10.0.0.5-10.0.0.9", aliases={"a": "10.0.1.0/24"}, ipsets={"s": "10.0.1.7 fd00::/64"})
    inside = interesting_addresses([dc], "10.0.0.0/23")
    assert inside == ("10.0.0.1", "10.0.0.6", "10.0.0.11", "10.0.1.1", "10.0.1.7", "10.0.1.9")
    assert interesting_addresses([dc], "10.0.0.6") == ("10.0.0.6",)
    assert "fd00::1" in interesting_addresses([dc])
    assert interesting_addresses([dc], "10.9.0.0/24", ["10.9.0.128/25"]) == ("10.9.0.1", "10.9.0.129")


def test_addresses_as_iptables_reads_them():
    assert network("10.1") == network("10.1.0.0")
    assert network("10/8") == network("10.0.0.0/8")
    for text in ("10.0.0.0/33", "10.0.0.0/", "fe80::1%eth0", "", "10.0.0.1-", "10.0.0.1-fd00::1"):
        with pytest.raises(ValueError, match=r"prefix|zone|address|no range"):
            literals(text)
