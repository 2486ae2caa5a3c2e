"""Who reaches a port of a host: all addresses there are, cut where the firewall tells them apart.

What is not known of a packet is tried out in every way that can matter: the bridge on which it arrives, the address of
the host that it is for, and which of the two firewalls of PVE is at work. A local network that is not known is spoken
of apart: PVE lets it in wherever it lets management in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from .addresses import WIDTH, Interval, address, address_text, interval, network, representatives
from .guard import NO_BRIDGE
from .matching import LOCAL_NETWORK, NO_LOCAL_NETWORK
from .model import Ruleset
from .reach import ACCEPT, BUILT_IN_IPTABLES, LOOPBACK, Packet, Reach, Verdict, all_rules, has_port

_EVERYTHING = {4: "all of IPv4", 6: "all of IPv6"}
# How large a local network mostly is; it decides about exceptions in management that are larger or smaller.
_USUAL = {4: 24, 6: 64}
_MOST = 5
_MOST_TRIED = 200
_LOOPBACK = network(NO_LOCAL_NETWORK)[1]


@dataclass(frozen=True)
class Span:
    """Neighbouring addresses with the same answer.

    ``action`` is that of the way in that is most open, ``by`` what decides about it, and ``condition`` says in words
    which way that is where others are not as open; empty where all are.
    """

    version: int
    first: int
    last: int
    action: str
    by: str
    condition: str = ""

    @property
    def open(self) -> bool:
        return self.action == ACCEPT

    def __str__(self) -> str:
        """Say it as a network, else as a range; ``all of IPv4`` for everything."""
        if (self.first, self.last) == (0, (1 << WIDTH[self.version]) - 1):
            return _EVERYTHING[self.version]
        first, last = (address_text(self.version, number) for number in (self.first, self.last))
        if self.first == self.last:
            return first
        size = self.last - self.first + 1
        if size & (size - 1) == 0 and self.first % size == 0:
            return str(ipaddress.ip_network(f"{first}/{WIDTH[self.version] - size.bit_length() + 1}"))
        return f"{first} - {last}"


@dataclass(frozen=True)
class Exposure:
    """Who reaches a TCP port.

    ``local_network`` says what the node's local network may do beside that where it is not known, and ``unknown`` why
    nothing can be said; both are empty otherwise.
    """

    port: int
    spans: tuple[Span, ...] = ()
    local_network: str = ""
    unknown: str = ""

    @property
    def everybody(self) -> bool:
        """Whether every address of a family reaches the port, without a condition."""
        return any(span.open and not span.condition and str(span) in _EVERYTHING.values() for span in self.spans)

    def as_data(self) -> dict[str, Any]:
        """Return it as results show it."""
        return {
            "port": self.port,
            "everybody": self.everybody,
            "local_network": self.local_network,
            "unknown": self.unknown,
            "addresses": [
                {"addresses": str(span), "action": span.action, "by": span.by, "condition": span.condition}
                for span in self.spans
            ],
        }


def exposure(cluster: Ruleset, node: Ruleset, port: int, local_network: str | None = None) -> Exposure:
    """Work out who reaches a TCP port of a node. ``local_network`` is what PVE derives from its route, if known.

    The alias ``local_network`` of the datacenter is as good as that.
    """
    known = local_network is not None or LOCAL_NETWORK in cluster.aliases
    trial = _Trial(cluster, node, port, local_network)
    pieces = list(_pieces((cluster, node), local_network))
    try:
        spans = [_span(version, piece, trial) for version, piece in pieces]
        said = "" if known else _of_local_network(spans, trial)
    except ValueError as error:
        return Exposure(port, unknown=f"{error}".rstrip(".") + ".")
    return Exposure(port, tuple(_joined(spans)), said)


def _of_local_network(spans: Iterable[Span], trial: _Trial) -> str:
    """Say what the local network reaches beyond what everybody at the same addresses does."""
    closed = [span for span in spans if not span.open or span.condition]
    if not closed or not has_port(BUILT_IN_IPTABLES, trial.port):
        return ""
    said = "Whoever is in the node's local network, which is not known here, reaches it too"
    if len(closed) > _MOST_TRIED:
        return said + ", unless a rule or an exception keeps him out."
    still = [span for span in closed if not trial.lets_in_as_local(_inside(span.first, span.last), span.version)]
    if len(still) == len(closed):
        return ""
    if still:
        named = [str(span) for span in _joined(still)]
        more = len(named) - _MOST
        said += f", unless from {', '.join(named[:_MOST])}" + (f" and {more} more" if more > 0 else "")
    return said + "."


class _Trial:
    """Every way in which a packet to the port may come."""

    def __init__(self, cluster: Ruleset, node: Ruleset, port: int, local_network: str | None) -> None:
        self.port = port
        self._rulesets = (cluster, node)
        self._both = (False, True) if str(node.options.get("nftables") or 0) != "0" else (False,)
        self._reaches = self._made(local_network)
        self._bridges: list[str | None] = [None, *sorted(_named_bridges(self._rulesets))]
        self._dests = {version: _destinations(self._rulesets, version) for version in WIDTH}

    def _made(self, local_network: str | None) -> list[tuple[bool, Reach]]:
        return [(nftables, Reach(*self._rulesets, local_network, nftables=nftables)) for nftables in self._both]

    def ways(self, number: int, version: int) -> list[tuple[Verdict, tuple[str, ...]]]:
        """Return what becomes of each packet from an address, with what that assumes, in words."""
        return list(self._ways(self._reaches, address_text(version, number), version))

    def lets_in_as_local(self, number: int, version: int) -> bool:
        """Tell whether an address gets in by some way if it is in the local network."""
        source = address_text(version, number)
        reaches = self._made(f"{source}/{_USUAL[version]}")
        return any(verdict.action == ACCEPT for verdict, unused in self._ways(reaches, source, version))

    def _ways(
        self, reaches: Iterable[tuple[bool, Reach]], source: str, version: int
    ) -> Iterator[tuple[Verdict, tuple[str, ...]]]:
        for (nftables, reach), bridge, dest in product(reaches, self._bridges, self._dests[version]):
            said = []
            if len(self._bridges) > 1:
                said.append(f"if it comes by the bridge {bridge}" if bridge else NO_BRIDGE)
            if dest is not None:
                said.append(f"if it asks for {dest}")
            if len(self._both) > 1:
                said.append("with nftables" if nftables else "with iptables")
            yield reach.verdict(Packet(source, self.port, dest=dest, iface=bridge)), tuple(said)


def _span(version: int, piece: Interval, trial: _Trial) -> Span:
    first, last = piece
    ways = trial.ways(_inside(first, last), version)
    verdict, said = next(((verdict, said) for verdict, said in ways if verdict.action == ACCEPT), ways[0])
    same = all((other.action == ACCEPT) == (verdict.action == ACCEPT) for other, unused in ways)
    return Span(version, first, last, verdict.action, verdict.by, "" if same else _condition(verdict, said, ways))


def _inside(first: int, last: int) -> int:
    """Return an address out of some that can be a host's: a network's first one never is."""
    return first + 1 if last - first > 1 else first


def _condition(verdict: Verdict, said: Sequence[str], ways: Iterable[tuple[Verdict, tuple[str, ...]]]) -> str:
    """Return what an open way assumes, without what makes no difference."""
    closed = [set(other) for found, other in ways if found.action != verdict.action]
    needed = [word for word in said if any(word not in other for other in closed)]
    return " and ".join(needed)


def _joined(spans: Iterable[Span]) -> Iterator[Span]:
    """Join neighbours with the same answer. Nobody sends from addresses of the loopback: they part nobody."""
    held: Span | None = None
    for one in spans:
        loopback = held and one.version == 4 and _LOOPBACK[0] <= one.first and one.last <= _LOOPBACK[1]
        span = replace(held, first=one.first, last=one.last) if held and loopback else one
        if held and replace(span, first=held.first) == replace(held, last=span.last) and span.first == held.last + 1:
            held = replace(held, last=span.last)
        else:
            if held:
                yield held
            held = span
    if held:
        yield held


def _pieces(rulesets: Sequence[Ruleset], local_network: str | None) -> Iterator[tuple[int, Interval]]:
    """Yield the pieces into which all that the rulesets name cuts the addresses, IPv4 first."""
    cuts: dict[int, set[int]] = {version: {0, 1 << width} for version, width in WIDTH.items()}
    for version, (first, last) in _intervals([NO_LOCAL_NETWORK, local_network or "", *_named(rulesets)]):
        cuts[version] |= {first, last + 1}
    for version in sorted(cuts):
        starts = sorted(cuts[version])
        for first, following in zip(starts, starts[1:]):
            yield version, (first, following - 1)


def _named(rulesets: Iterable[Ruleset]) -> Iterator[str]:
    for ruleset in rulesets:
        yield from (rule.source for rule in all_rules(ruleset) if rule.source)
        yield from (alias.cidr for alias in ruleset.aliases.values())
        for ipset in ruleset.ipsets.values():
            yield from (entry.cidr for entry in ipset.entries or ())


def _intervals(texts: Iterable[str]) -> Iterator[tuple[int, Interval]]:
    for element in (element for text in texts for element in text.split(",")):
        try:
            yield interval(element)
        except ValueError:
            continue  # the name of an alias or of a set: what it stands for is among the texts


def _named_bridges(rulesets: Iterable[Ruleset]) -> set[str]:
    named = {rule.iface for ruleset in rulesets for rule in all_rules(ruleset) if rule.enable and rule.iface}
    return {bridge for bridge in named if bridge != LOOPBACK}


def _destinations(rulesets: Sequence[Ruleset], version: int) -> list[str | None]:
    """Return an address of every class of a family that the rules tell apart as the host's; None if none does."""
    dests = [rule.dest for ruleset in rulesets for rule in all_rules(ruleset) if rule.enable and rule.dest]
    if not dests:
        return [None]
    texts = [text for name in dests for text in _meant(name, rulesets)]
    return [text for text in representatives(texts) if address(text)[0] == version]


def _meant(name: str, rulesets: Iterable[Ruleset]) -> Iterator[str]:
    """Yield what a rule's dest stands for: itself, the address of an alias, or the entries of a set."""
    yield name
    plain = name.lstrip("+").rpartition("/")[2] if not name[:1].isdigit() else name
    for ruleset in rulesets:
        if plain.lower() in ruleset.aliases:
            yield ruleset.aliases[plain.lower()].cidr
        if plain in ruleset.ipsets:
            for entry in ruleset.ipsets[plain].entries or ():
                alias = ruleset.aliases.get(entry.cidr.rpartition("/")[2].lower())
                yield alias.cidr if alias else entry.cidr
