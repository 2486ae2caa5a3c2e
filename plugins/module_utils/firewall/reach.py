"""Whether a packet from some address still reaches a port of the host, worked out on paper.

What PVE compiles for the host, first match wins: the loopback interface; the IP set ``blacklist``; the node's rules;
the datacenter's rules; the built-in access of the IP set ``management`` (to which the local network always belongs);
``policy_in``. So a rule can lock out those for whom the built-in access is meant.

Not seen here: address translation on the way, packet filters other than PVE's, names of interfaces that stand for
another one (altname), the limit of new connections (``protection_synflood``), and the sets of the software-defined
network: a rule with ``+sdn/NAME`` matches nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from .addresses import Interval, Ranges, address, representatives
from .matching import BLACKLIST, MANAGEMENT, NO_LOCAL_NETWORK, Faulty, Line, Objects, Uncompilable, lines
from .model import Rule, Ruleset
from .names import PROTOCOLS

ACCEPT, DROP, REJECT = "ACCEPT", "DROP", "REJECT"
LOOPBACK = "lo"
NO_BRIDGE = "if it comes by a bridge that no rule names"
# What management may reach by TCP: API, consoles, SPICE and SSH; and migration, which nftables leaves out.
BUILT_IN: tuple[Interval, ...] = ((8006, 8006), (5900, 5999), (3128, 3128), (22, 22))
BUILT_IN_IPTABLES: tuple[Interval, ...] = (*BUILT_IN, (60000, 60050))

_TCP = PROTOCOLS["tcp"]


@dataclass(frozen=True)
class Packet:
    """The first packet of a connection from outside, by ``tcp`` or ``udp``.

    ``iface`` is the bridge on which it arrives; None is one that no rule names. ``dest`` is an address of the host;
    None is one that no rule names.
    """

    source: str
    dport: int
    protocol: str = "tcp"
    dest: str | None = None
    iface: str | None = None
    sport: int = 50000


@dataclass(frozen=True)
class Verdict:
    """``action`` is ACCEPT, DROP or REJECT; ``by`` names what decided."""

    action: str
    by: str


@dataclass(frozen=True)
class _Program:
    blacklist: Ranges | None
    lines: tuple[Line, ...]
    management: Ranges


class Reach:
    """The firewall of one host.

    ``local_network`` is what PVE derives from the node's route, None for nothing. PVE's own simulator looks at
    iptables alone, whatever the node's option ``nftables`` says, and so does this without ``nftables=True``: there,
    the built-in access comes before everything, without the ports of the migration, and an exception in an IP set
    holds whatever its prefix is.
    """

    def __init__(self, cluster: Ruleset, node: Ruleset, local_network: str | None, *, nftables: bool = False) -> None:
        self._cluster = cluster
        self._node = node
        self._local_network = local_network
        self._nftables = nftables
        self._programs: dict[int, _Program] = {}
        self._off = _off(cluster, node)
        policy = str(cluster.options.get("policy_in") or DROP)
        self._policy = Verdict(policy, f"policy_in {policy}")

    def verdict(self, packet: Packet) -> Verdict:
        """Say what becomes of a packet.

        Raises ValueError for an address or a protocol that is none, for a source and a dest of different families,
        and where a set or a group that counts was not read.
        """
        version, source = address(packet.source)
        protocol = PROTOCOLS.get(packet.protocol)
        if packet.protocol not in ("tcp", "udp"):
            raise ValueError(f"tcp or udp is needed, not {packet.protocol!r}")
        dest = -1
        if packet.dest is not None:
            other, dest = address(packet.dest)
            if other != version:
                raise ValueError(f"{packet.source} and {packet.dest} are of different families")
        if self._off:
            return self._off
        iface = packet.iface
        if iface == LOOPBACK:
            return Verdict(ACCEPT, "loopback")
        program = self._programs.get(version) or self._compile(version)
        if self._nftables and self._built_in(program, protocol, packet.dport, source):
            return Verdict(ACCEPT, f"built-in access for +{MANAGEMENT}")
        if program.blacklist and source in program.blacklist:
            return Verdict(DROP, f"IP set {BLACKLIST}")
        for line in program.lines:
            if (
                (line[0] is None or line[0] == protocol)
                and (line[1] is None or line[1] == iface)
                and (line[2] is None or has_port(line[2], packet.dport))
                and (line[3] is None or has_port(line[3], packet.sport))
                and (line[4] is None or source in line[4])
                and (line[5] is None or dest in line[5])
            ):
                return Verdict(line.action, f"{line.place} ({rule_text(line.rule)}){line.called_by}")
        if self._built_in(program, protocol, packet.dport, source):
            return Verdict(ACCEPT, f"built-in access for +{MANAGEMENT}")
        return self._policy

    def _built_in(self, program: _Program, protocol: int | None, dport: int, source: int) -> bool:
        allowed = BUILT_IN if self._nftables else BUILT_IN_IPTABLES
        return protocol == _TCP and has_port(allowed, dport) and source in program.management

    def _compile(self, version: int) -> _Program:
        objects = Objects(self._cluster, self._local_network, version, self._nftables)
        blacklist = objects.members(BLACKLIST) if BLACKLIST in self._cluster.ipsets else None
        program = _Program(blacklist, tuple(self._lines(objects)), objects.members(MANAGEMENT))
        self._programs[version] = program
        return program

    def _lines(self, objects: Objects) -> Iterator[Line]:
        chains: dict[str, list[Line]] = {}
        for owner, rules in (("node", self._node.rules), ("cluster", self._cluster.rules)):
            for position, rule in enumerate(rules):
                try:
                    if not rule.enable or rule.errors.keys() - {"source", "dest"}:
                        continue
                    if rule.type == "in":
                        yield from list(lines(rule, f"{owner} rule {position}", objects))
                    elif rule.type == "group":
                        called_by = f" called by {owner} rule {position}"
                        for line in self._group(rule.action, objects, chains):
                            yield line._replace(iface=rule.iface or None, called_by=called_by)
                except (Faulty, Uncompilable):
                    continue

    def _group(self, name: str, objects: Objects, chains: dict[str, list[Line]]) -> list[Line]:
        """Return the lines of a security group; none if there is no such group.

        Where one of its rules cannot be compiled, PVE drops the rule that calls the group first; a later call gets
        the rules before that one.
        """
        if name in chains:
            return chains[name]
        chain = chains[name] = []
        group = self._cluster.groups.get(name)
        rules = group.rules if group else ()
        if rules is None:
            raise ValueError(f"the rules of the security group {name} were not read")
        for kind in ("in", "out"):
            for position, rule in enumerate(rules):
                if rule.enable and rule.type == kind:
                    try:
                        found = list(lines(rule, f"security group {name} rule {position}", objects, True))
                    except Faulty:
                        continue
                    if kind == "in":
                        chain += found
        return chain


def _off(cluster: Ruleset, node: Ruleset) -> Verdict | None:
    if not int(cluster.options.get("enable") or 0):
        return Verdict(ACCEPT, "firewall off")
    if str(node.options.get("enable", 1)) == "0":
        return Verdict(ACCEPT, "firewall off on the node")
    return None


def has_port(ports: tuple[Interval, ...], port: int) -> bool:
    """Whether a port is in one of the intervals."""
    return any(first <= port <= last for first, last in ports)


def rule_text(rule: Rule) -> str:
    """Write a rule as PVE's files have it, such as ``IN SSH(ACCEPT) -source 10.0.0.0/8``."""
    if rule.type == "group":
        words = [f"GROUP {rule.action}"]
    else:
        words = [rule.type.upper(), f"{rule.macro}({rule.action})" if rule.macro else rule.action]
    switches: Mapping[str, str | None] = {
        "-i": rule.iface,
        "-source": rule.source,
        "-dest": rule.dest,
        "-p": rule.proto,
        "-dport": rule.dport,
        "-sport": rule.sport,
        "-icmp-type": rule.icmp_type,
    }
    return " ".join([*words, *(f"{switch} {value}" for switch, value in switches.items() if value)])


def all_rules(ruleset: Ruleset) -> Iterator[Rule]:
    """Yield the rules of a ruleset and of its groups. Groups that were not read are passed over."""
    yield from ruleset.rules
    for group in ruleset.groups.values():
        yield from group.rules or ()


def interesting_addresses(
    rulesets: Iterable[Ruleset], within: str | None = None, networks: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return one source address out of every class that the rulesets can tell apart, IPv4 first.

    ``within`` (an address or a network) limits the answer to itself; ``networks`` are more that matter, such as the
    local network, which no ruleset holds.
    """
    return representatives(named_addresses(rulesets, networks), within)


def named_addresses(rulesets: Iterable[Ruleset], networks: Iterable[str] = ()) -> Iterator[str]:
    """Yield all texts that say something about addresses, names of aliases and sets among them."""
    yield NO_LOCAL_NETWORK
    yield from networks
    for ruleset in rulesets:
        for rule in all_rules(ruleset):
            yield from (text for text in (rule.source, rule.dest) if text)
        yield from (alias.cidr for alias in ruleset.aliases.values())
        for ipset in ruleset.ipsets.values():
            yield from (entry.cidr for entry in ipset.entries or ())


@dataclass(frozen=True)
class Way:
    """How a packet may come: ``iface`` and ``dest`` as in ``Packet``, and what that assumes, in words."""

    iface: str | None
    dest: str | None
    assumed: tuple[str, ...]


def ways(rulesets: Iterable[Ruleset], version: int, own: Iterable[str] = (), networks: Iterable[str] = ()) -> list[Way]:
    """Return all ways from outside to the host that rules can tell apart, for a family of addresses.

    ``own`` are the addresses of the host, where they are known; ``networks`` are as for ``interesting_addresses``.
    """
    sets = list(rulesets)
    ifaces, dests = _ifaces(sets), _dests(sets, version, own, networks)
    found = []
    for iface, dest in product(ifaces, dests):
        assumed = []
        if len(ifaces) > 1:
            assumed.append(f"if it comes by the bridge {iface}" if iface else NO_BRIDGE)
        if len(dests) > 1:
            assumed.append(f"if it asks for {dest}")
        found.append(Way(iface, dest, tuple(assumed)))
    return found


def _ifaces(rulesets: Iterable[Ruleset]) -> list[str | None]:
    """Return a bridge that nobody names, and those that rules name. Nothing from outside arrives on loopback."""
    named = {rule.iface for ruleset in rulesets for rule in all_rules(ruleset) if rule.enable and rule.iface}
    return [None, *sorted(named - {LOOPBACK})]


def _dests(
    rulesets: Sequence[Ruleset], version: int, own: Iterable[str], networks: Iterable[str]
) -> Sequence[str | None]:
    """Return the host's addresses of a family; if none is known, one of every class that the rules tell apart."""
    known = [text for text in own if address(text)[0] == version]
    named = {rule.dest for ruleset in rulesets for rule in all_rules(ruleset) if rule.enable and rule.dest}
    if known or not named:
        return known or [None]
    texts = {text for name in named for text in _meant(name, rulesets)}
    return [text for text in representatives({*texts, *networks}) if address(text)[0] == version]


def _meant(name: str, rulesets: Iterable[Ruleset]) -> Iterator[str]:
    """Yield what a rule's dest stands for: itself, the address of an alias, or the entries of a set."""
    yield name
    plain = name.lstrip("+").rpartition("/")[2]
    for ruleset in rulesets:
        if plain.lower() in ruleset.aliases:
            yield ruleset.aliases[plain.lower()].cidr
        if plain in ruleset.ipsets:
            for entry in ruleset.ipsets[plain].entries or ():
                alias = ruleset.aliases.get(entry.cidr.rpartition("/")[2].lower())
                yield alias.cidr if alias else entry.cidr
