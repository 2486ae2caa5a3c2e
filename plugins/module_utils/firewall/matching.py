"""A firewall's rules for the host as lines that can be compared with a packet.

What PVE lists with errors has no effect, so it yields no line. The errors that depend on other objects (names of
aliases and IP sets, their families) are worked out here, because a planned state has not been through PVE yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from .addresses import Interval, Ranges, address, address_text, literals, longest_prefix, network
from .model import Entry, Rule, Ruleset
from .names import (
    ICMP_TYPES,
    ICMPV6_TYPES,
    IPV6_ONLY_MACROS,
    MACROS,
    MACROS_IPV6,
    PROTOCOLS,
    PROTOCOLS_WITH_PORTS,
    SERVICES,
    canonical_macro,
)

BLACKLIST, MANAGEMENT, LOCAL_NETWORK = "blacklist", "management", "local_network"
NO_LOCAL_NETWORK = "127.0.0.0/8"  # what PVE takes where it finds none
MOST_PORTS = 15  # numbers in a list; a range counts as two

Ports = tuple[Interval, ...]

_REFERENCE = re.compile(r"(\+)?(dc/|guest/|sdn/)?([A-Za-z][A-Za-z0-9_-]+)")
_ICMP: Mapping[str, frozenset[str]] = {"icmp": ICMP_TYPES, "icmpv6": ICMPV6_TYPES, "ipv6-icmp": frozenset()}
_FAMILY_OF_PROTOCOL = {"icmp": 4, "icmpv6": 6, "ipv6-icmp": 6}
_NUMBERS = frozenset(str(number) for number in PROTOCOLS.values())
_SERVICE_PROTOCOLS = {PROTOCOLS[name]: name for name in ("tcp", "udp")}
_CHECKED_HERE = frozenset({"source", "dest"})


class Faulty(Exception):
    """PVE lists the rule with errors and passes it over."""


class Uncompilable(Exception):
    """PVE takes the rule for valid, and drops it with a warning when it makes the ruleset."""


class Line(NamedTuple):
    """What a packet must have, None for anything; then where that stands, and what called it if that is a group."""

    protocol: int | None
    iface: str | None
    dports: Ports | None
    sports: Ports | None
    source: Ranges | None
    dest: Ranges | None
    action: str
    place: str
    rule: Rule
    called_by: str = ""


class Objects:
    """The datacenter's aliases and IP sets for one family of addresses.

    ``local_network`` is what PVE derives from the node's address, None for nothing; the alias of that name wins.
    With ``nftables``, an exception in a set holds whatever its prefix is; with iptables, the longest prefix decides.
    """

    def __init__(self, cluster: Ruleset, local_network: str | None, version: int, nftables: bool) -> None:
        self.cluster = cluster
        self.version = version
        self.nftables = nftables
        alias = cluster.aliases.get(LOCAL_NETWORK)
        self.local_network = alias.cidr if alias else local_network or NO_LOCAL_NETWORK
        self._members: dict[str, Ranges] = {}

    def members(self, name: str) -> Ranges:
        """Return the addresses in a set (``management`` has some even if it is not defined). Raises ValueError."""
        if name not in self._members:
            self._members[name] = self._read(name)
        return self._members[name]

    def _read(self, name: str) -> Ranges:
        ipset = self.cluster.ipsets.get(name)
        entries: tuple[Entry, ...] | None = ipset.entries if ipset else ()
        if entries is None:
            raise ValueError(f"the entries of the IP set {name} were not read")
        by_text: dict[str, bool] = {}
        seen = set()
        for entry in entries:
            written = _shortened(entry.cidr)
            if written not in seen and not set(entry.errors) - {"cidr"}:
                self._add(by_text, self._cidr(entry.cidr), entry.nomatch)
            seen.add(written)
        if name == MANAGEMENT:
            self._add(by_text, self.local_network, False)
        networks = {network(text)[1]: nomatch for text, nomatch in sorted(by_text.items())}
        if self.nftables:
            without = [interval for interval, nomatch in networks.items() if nomatch]
            return _difference(Ranges(i for i, nomatch in networks.items() if not nomatch), Ranges(without))
        return longest_prefix({interval: not nomatch for interval, nomatch in networks.items()})

    def _cidr(self, text: str) -> str | None:
        scope, name = _alias(text)
        if name is None:
            return text
        alias = self.cluster.aliases.get(name)
        return alias.cidr if alias and scope != "guest/" else None

    def _add(self, by_text: dict[str, bool], cidr: str | None, nomatch: bool) -> None:
        """Note an entry under the text by which PVE tells entries apart; a later one of the same text replaces it."""
        try:
            version = network(cidr or "")[0]
        except ValueError:
            return
        text = _shortened(cidr or "")
        if version != self.version or text.endswith("/0"):
            return
        if version == 6:
            base, slash, prefix = text.partition("/")
            text = address_text(6, address(base)[1]) + slash + prefix
        by_text[text] = nomatch

    def where(self, text: str | None) -> tuple[int | None, Ranges | None]:
        """Return the family (None for either) and the addresses of a rule's source or dest.

        None instead of the addresses means that PVE will not find them. Raises Faulty.
        """
        match = _REFERENCE.fullmatch(text or "")
        if not match:
            try:
                return literals(text or "")
            except ValueError as error:
                raise Faulty(str(error)) from error
        plus, scope, name = match.groups()
        if plus:
            if name in self.cluster.ipsets:
                return None, None if scope in ("guest/", "sdn/") else self.members(name)
            if scope == "sdn/":
                return None, Ranges(())
            raise Faulty(f"no such IP set {name!r}")
        alias = self.cluster.aliases.get(name.lower())
        if alias is None or scope == "sdn/":
            raise Faulty(f"no such alias {text!r}")
        if scope == "guest/":
            return None, None
        try:
            version, interval = network(alias.cidr)
        except ValueError as error:
            raise Faulty(str(error)) from error
        return version, Ranges([interval])


def _alias(text: str) -> tuple[str | None, str | None]:
    match = _REFERENCE.fullmatch(text)
    return (None, None) if not match or match.group(1) else (match.group(2), match.group(3).lower())


def _shortened(text: str) -> str:
    suffix = "/128" if ":" in text else "/32"
    return text[: -len(suffix)] if text.endswith(suffix) else text


def _difference(ranges: Ranges, without: Ranges) -> Ranges:
    cuts = sorted({*ranges.starts, *without.starts, *(end + 1 for end in (*ranges.ends, *without.ends))})
    return Ranges(
        (start, following - 1) for start, following in zip(cuts, cuts[1:]) if start in ranges and start not in without
    )


@lru_cache(maxsize=4096)
def ports(text: str, protocol: int) -> Ports | None:
    """Return the ports that a rule names. None: a service that the protocol does not have. Raises Faulty."""
    found: list[Interval] = []
    numbers = 0
    missing = False
    for item in text.split(","):
        first, colon, last = item.partition(":")
        if item in SERVICES:
            port = SERVICES[item].get(_SERVICE_PROTOCOLS.get(protocol, ""))
            missing = missing or port is None
            found.append((port or 0, port or 0))
            continue
        numbers += 2 if colon else 1
        if not all(part.isascii() and part.isdigit() and int(part) < 65536 for part in (first, last or first)):
            raise Faulty(f"no such port {item!r}")
        found.append((int(first), int(last) if colon else int(first)))
    if numbers > MOST_PORTS or any(first > last for first, last in found) or text.endswith(":"):
        raise Faulty(f"{text!r} is no list of ports")
    return None if missing else tuple(found)


def lines(rule: Rule, place: str, objects: Objects, in_group: bool = False) -> Iterator[Line]:
    """Yield the lines of a rule of type in or out. Raises Faulty, Uncompilable, and ValueError for an unread set."""
    if set(rule.errors) - _CHECKED_HERE or rule.action not in ("ACCEPT", "DROP", "REJECT"):
        raise Faulty("PVE lists it with errors")
    if in_group and rule.iface:
        raise Faulty("the rules of a group have no interface")
    source_family, source = objects.where(rule.source) if rule.source else (None, None)
    dest_family, dest = objects.where(rule.dest) if rule.dest else (None, None)
    families = {source_family, dest_family, _FAMILY_OF_PROTOCOL.get(rule.proto or "")} - {None}
    if len(families) > 1:
        raise Faulty("IPv4 and IPv6 are mixed")
    expanded = list(_expanded(rule, objects.version))
    for fields in expanded:
        _check(fields)
    if families and objects.version not in families:
        return
    if (rule.source and source is None) or (rule.dest and dest is None):
        raise Uncompilable("no such name in that scope")
    for fields in expanded:
        match = _ports_of(fields)
        if match:
            yield Line(
                match[0],
                rule.iface or None,
                match[1],
                match[2],
                None if source and source.covers(objects.version) else source,
                None if dest and dest.covers(objects.version) else dest,
                rule.action,
                place,
                rule,
            )


def _expanded(rule: Rule, version: int) -> Iterator[Mapping[str, str]]:
    """Yield proto, dport and sport of a rule, or of each rule that its macro stands for."""
    given = {
        name: value
        for name, value in (("proto", rule.proto), ("dport", rule.dport), ("sport", rule.sport))
        if value and value != "0"
    }
    if not rule.macro:
        yield given
        return
    macro = canonical_macro(rule.macro)
    if macro is None:
        raise Faulty(f"no such macro {rule.macro!r}")
    _check(given)
    if version == 4 and macro in IPV6_ONLY_MACROS:
        return
    for fields in MACROS_IPV6.get(macro, MACROS[macro]) if version == 6 else MACROS[macro]:
        if any(fields.get(name, value) != value for name, value in given.items()):
            raise Faulty(f"the macro {macro} sets another value")
        yield {**given, **fields}


def _check(fields: Mapping[str, str]) -> None:
    proto = fields.get("proto")
    if proto is None:
        if fields:
            raise Faulty("ports without a protocol")
        return
    if proto not in PROTOCOLS and proto not in _NUMBERS:
        raise Faulty(f"no such protocol {proto!r}")
    if proto not in PROTOCOLS_WITH_PORTS and ("sport" in fields or ("dport" in fields and proto not in _ICMP)):
        raise Faulty(f"protocol {proto!r} has no ports")


def _ports_of(fields: Mapping[str, str]) -> tuple[int | None, Ports | None, Ports | None] | None:
    """Return protocol, destination and source ports; None where no TCP or UDP packet can match."""
    proto = fields.get("proto")
    if proto is None:
        return None, None, None
    dport, sport = fields.get("dport"), fields.get("sport")
    if proto in _ICMP:
        if dport and dport not in _ICMP[proto] and not (proto != "ipv6-icmp" and dport.isdigit() and int(dport) < 256):
            raise Uncompilable(f"no such type of {proto}")
        return None
    number = PROTOCOLS[proto] if proto in PROTOCOLS else int(proto)
    dports = ports(dport, number) if dport else None
    sports = ports(sport, number) if sport else None
    if (dport and dports is None) or (sport and sports is None):
        return None
    return number or None, dports, sports  # iptables takes number 0 (ip, hopopt) for all protocols
