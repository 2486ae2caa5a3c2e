"""Random firewalls against a second, slow reading of the same rules, and the classes of addresses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network

from ansible_collections.homelab.pve.plugins.module_utils.firewall.model import (
    Alias,
    Entry,
    Group,
    IpSet,
    Rule,
    Ruleset,
)
from ansible_collections.homelab.pve.plugins.module_utils.firewall.names import MACROS, SERVICES
from ansible_collections.homelab.pve.plugins.module_utils.firewall.reach import Packet, Reach, interesting_addresses
from ansible_collections.homelab.pve.tests.unit.examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HOSTS = ("10.0.0.1", "10.0.0.6", "10.0.1.1", "10.0.2.9", "192.0.2.7", "fd00::1", "fd00::1:0:0:9", "2001:db8::1")
NETWORKS = ("10.0.0.0/24", "10.0.0.0/23", "10.0.0.4/30", "192.0.2.0/24", "fd00::/64", "fd00::/32", "2001:db8::/127")
PLAIN = (*HOSTS, *NETWORKS)
ALIASES = ("lan", "Pc", "local_network")
SETS = ("net", "management", "blacklist")
GROUPS = ("web", "ops")
BRIDGES = ("vmbr0", "vmbr1")
PORTS = (22, 443, 8006)


LISTS = ("10.0.0.6,192.0.2.0/24", "fd00::1,2001:db8::/127", "10.0.0.5-10.0.1.1", "fd00::-fd00::ff", "10.0.0.1,fd00::1")
NAMES = (*ALIASES, "dc/LAN", "guest/lan", "gone", "+net", "+dc/net", "+guest/net", "+management", "+gone")
where = st.none() | st.sampled_from((*PLAIN, *LISTS, *NAMES))
verdicts = st.sampled_from(("ACCEPT", "DROP", "REJECT"))
what = st.sampled_from(
    (
        {},
        {"proto": "tcp"},
        {"proto": "udp", "dport": "22,443"},
        {"proto": "6", "dport": "ssh,8000:8010"},
        {"proto": "tcp", "dport": "443", "sport": "1024:65535"},
        {"proto": "tcp", "sport": "1:1023"},
        {"proto": "icmp"},
        {"dport": "22"},
        {"macro": "ssh"},
        {"macro": "Web"},
    )
)


@st.composite
def plain_rules(draw: st.DrawFn, bridges: bool = True) -> Rule:
    return Rule(
        type=draw(st.sampled_from(("in", "in", "in", "out"))),
        action=draw(verdicts),
        enable=draw(st.sampled_from((True, True, True, False))),
        source=draw(where if bridges else where | st.sampled_from(("guest/lan", "+guest/net"))),
        dest=draw(st.none() | where),
        iface=draw(st.none() | st.sampled_from(BRIDGES)) if bridges else None,
        **draw(what),
    )


def group_rules() -> st.SearchStrategy[Rule]:
    iface = st.none() | st.sampled_from(BRIDGES)
    return st.builds(Rule, type=st.just("group"), action=st.sampled_from((*GROUPS, "none")), iface=iface)


entries = st.builds(Entry, cidr=st.sampled_from((*PLAIN, *ALIASES, "dc/lan", "guest/lan")), nomatch=st.booleans())
places = st.lists(plain_rules() | plain_rules() | group_rules(), max_size=4).map(tuple)


@st.composite
def clusters(draw: st.DrawFn) -> Ruleset:
    aliases = {
        name.lower(): Alias(name, draw(st.sampled_from(PLAIN))) for name in draw(st.sets(st.sampled_from(ALIASES)))
    }
    sets = draw(st.sets(st.sampled_from(SETS)))
    return Ruleset(
        options={"enable": 1, "policy_in": draw(verdicts)},
        rules=draw(places),
        aliases=aliases,
        ipsets={name: IpSet(name, entries=draw(st.lists(entries, max_size=5).map(tuple))) for name in sets},
        groups={
            name: Group(name, rules=draw(st.lists(plain_rules(bridges=False), max_size=3).map(tuple)))
            for name in draw(st.sets(st.sampled_from(GROUPS)))
        },
    )


nodes = st.builds(Ruleset, rules=places)
packets = st.builds(
    Packet,
    source=st.sampled_from(HOSTS),
    dport=st.sampled_from(PORTS),
    protocol=st.sampled_from(("tcp", "tcp", "udp")),
    iface=st.none() | st.sampled_from(BRIDGES),
    sport=st.sampled_from((50000, 1000)),
)
local_networks = st.sampled_from((None, "10.0.0.0/24", "fd00::/64"))
quietly = settings(max_examples=examples(200), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


class Broken(Exception):
    """The rule has no effect."""


class Died(Exception):
    """The rule ends the making of the group that it is in."""


class Naive:
    """Reads the rules anew for every packet, with the standard library's addresses."""

    def __init__(self, cluster: Ruleset, node: Ruleset, local_network: str | None) -> None:
        self.cluster, self.node = cluster, node
        alias = cluster.aliases.get("local_network")
        self.local_network = alias.cidr if alias else local_network or "127.0.0.0/8"

    def action(self, packet: Packet) -> str:
        source = ip_address(packet.source)
        if "blacklist" in self.cluster.ipsets and self.in_set("blacklist", packet.source):
            return "DROP"
        begun: dict[str, list[Rule]] = {}
        for rule in (*self.node.rules, *self.cluster.rules):
            if rule.enable and rule.type == "group":
                for inner in self.group(rule.action, source.version, begun):
                    if rule.iface in (None, packet.iface) and self.matches(inner, packet, grouped=True):
                        return inner.action
            elif rule.enable and rule.type == "in" and self.matches(rule, packet):
                return rule.action
        built_in = packet.protocol == "tcp" and packet.dport in (22, 8006)
        if built_in and self.in_set("management", packet.source):
            return "ACCEPT"
        return str(self.cluster.options["policy_in"])

    def group(self, name: str, version: int, begun: dict[str, list[Rule]]) -> list[Rule]:
        if name in begun:
            return begun[name]
        begun[name] = []
        rules = self.cluster.groups[name].rules or () if name in self.cluster.groups else ()
        try:
            for kind in ("in", "out"):
                for rule in rules:
                    if rule.enable and rule.type == kind:
                        self.dies(rule, version)
                        begun[name] += [rule] if kind == "in" else []
        except Died:
            return []
        return begun[name]

    def dies(self, rule: Rule, version: int) -> None:
        try:
            family = self.family(rule)
        except Broken:
            return
        if family in (None, version) and any(
            (text or "").lstrip("+").startswith("guest/") for text in (rule.source, rule.dest)
        ):
            raise Died

    def family(self, rule: Rule) -> int | None:
        """Check a rule as PVE does; return its family."""
        families = {4} if rule.proto == "icmp" else set()
        for text in filter(None, (rule.source, rule.dest)):
            name = text.rpartition("/")[2] if not text[-1].isdigit() else text.lstrip("+")
            if text.startswith("+"):
                if name.lstrip("+") not in self.cluster.ipsets:
                    raise Broken
            elif name.isidentifier() or text.startswith("guest/"):
                if name.lower() not in self.cluster.aliases:
                    raise Broken
                if not text.startswith("guest/"):
                    families.add(ip_network(self.cluster.aliases[name.lower()].cidr).version)
            else:
                families |= {ip_network(part).version for part in text.replace("-", ",").split(",")}
        if len(families) > 1 or (rule.dport and not rule.proto):
            raise Broken
        return families.pop() if families else None

    def matches(self, rule: Rule, packet: Packet, grouped: bool = False) -> bool:
        try:
            family = self.family(rule)
        except Broken:
            return False
        if family not in (None, ip_address(packet.source).version) or (grouped and rule.iface):
            return False
        if rule.iface not in (None, packet.iface) or not self.holds(rule.source, packet.source):
            return False
        if rule.dest is not None and (packet.dest is None or not self.holds(rule.dest, packet.dest)):
            return False
        return any(self.carries(fields, packet) for fields in self.expanded(rule))

    def expanded(self, rule: Rule) -> Iterator[dict[str, str | None]]:
        if rule.macro:
            name = {"ssh": "SSH"}.get(rule.macro, rule.macro)
            yield from (dict(fields) for fields in MACROS[name])
        else:
            yield {"proto": rule.proto, "dport": rule.dport, "sport": rule.sport}

    def carries(self, fields: dict[str, str | None], packet: Packet) -> bool:
        proto = fields.get("proto")
        if proto not in (None, packet.protocol, {"tcp": "6", "udp": "17"}[packet.protocol]):
            return False
        for text, port in ((fields.get("dport"), packet.dport), (fields.get("sport"), packet.sport)):
            spans = [item.split(":") for item in text.split(",")] if text else [["0", "65535"]]
            numbers = [[int(SERVICES[end]["tcp"] if end in SERVICES else end) for end in span] for span in spans]
            if not any(span[0] <= port <= span[-1] for span in numbers):
                return False
        return True

    def holds(self, text: str | None, address: str) -> bool:
        if text is None:
            return True
        if text.lstrip("+").startswith("guest/"):
            return False
        if text.startswith("+"):
            return self.in_set(text.lstrip("+").removeprefix("dc/"), address)
        if "-" in text:
            first, last = map(ip_address, text.split("-"))
            own = ip_address(address)
            return own.version == first.version and int(first) <= int(own) <= int(last)
        alias = self.cluster.aliases.get(text.removeprefix("dc/").lower())
        return any(ip_address(address) in ip_network(part) for part in (alias.cidr if alias else text).split(","))

    def in_set(self, name: str, address: str) -> bool:
        said: dict[str, bool] = {}
        seen = set()
        for entry in self.cluster.ipsets[name].entries or () if name in self.cluster.ipsets else ():
            alias = self.cluster.aliases.get(entry.cidr.removeprefix("dc/").lower())
            if entry.cidr not in seen and (alias or entry.cidr in PLAIN):
                said[alias.cidr if alias else entry.cidr] = not entry.nomatch
            seen.add(entry.cidr)
        if name == "management":
            said[self.local_network] = True
        around = [ip_network(text) for text in said if ip_address(address) in ip_network(text)]
        smallest = max(around, key=lambda network: network.prefixlen, default=None)
        return smallest is not None and any(inside for text, inside in said.items() if ip_network(text) == smallest)


@quietly
@given(clusters(), nodes, local_networks, st.lists(packets, min_size=5, max_size=5), st.sampled_from((None, *HOSTS)))
def test_agrees_with_the_slow_reading(cluster, node, local_network, asked, dest):
    reach, naive = Reach(cluster, node, local_network), Naive(cluster, node, local_network)
    for drawn in asked:
        fits = dest and ip_address(dest).version == ip_address(drawn.source).version
        packet = replace(drawn, dest=dest if fits else None)
        verdict = reach.verdict(packet)
        assert verdict.action == naive.action(packet), f"{packet}: {verdict.by}"


@settings(quietly, max_examples=examples(150))
@given(clusters(), nodes, st.booleans(), st.sampled_from(PORTS), st.sampled_from(BRIDGES))
def test_every_class_of_addresses_has_a_representative(cluster, node, nftables, dport, bridge):
    """From one representative to the next, all addresses get the same verdict.

    A representative is the first or the second address of its class, so the address before one is left out.
    """
    local_network = "10.0.0.0/24"
    chosen = {int(ip_address(text)) for text in interesting_addresses((cluster, node), "10.0.0.0/22", [local_network])}
    reach = Reach(cluster, node, local_network, nftables=nftables)
    start = int(ip_address("10.0.0.0"))
    expected = None
    for number in range(start, start + 1024):
        if number + 1 in chosen and number not in chosen:
            continue
        action = reach.verdict(Packet(str(ip_address(number)), dport, iface=bridge)).action
        expected = action if number in chosen else expected
        assert action == expected, f"{ip_address(number)}: {action} instead of {expected}"
