"""Who reaches a port of a host: all addresses there are, cut where the firewall tells them apart.

What is not known of a packet is tried out in every way that can matter: the bridge on which it arrives, the address of
the host that it is for, and which of the two firewalls of PVE is at work. A local network that is not known is spoken
of apart: PVE lets it in wherever it lets management in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from ..wording import some_of
from .addresses import WIDTH, Interval, address_text, inside, interval, network, pieces
from .matching import LOCAL_NETWORK, NO_LOCAL_NETWORK
from .model import Ruleset
from .reach import ACCEPT, BUILT_IN_IPTABLES, Packet, Reach, Verdict, has_port, named_addresses, ways

_EVERYTHING = {4: "all of IPv4", 6: "all of IPv6"}
# How large a local network mostly is; it decides about exceptions in management that are larger or smaller.
_USUAL = {4: 24, 6: 64}
_MOST = 5
_MOST_TRIED = 200
_LOOPBACK = network(NO_LOCAL_NETWORK)[1]
# Where strangers send from. Private networks are the smallest part of it.
_WORLD = {4: interval("1.0.0.0-223.255.255.255")[1], 6: network("2000::/3")[1]}


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
        """Whether at least half of the world reaches the port, of one family of addresses and on one way."""
        return self.widest is not None

    @property
    def widest(self) -> Span | None:
        """What lets in most of everybody, None where everybody is not let in."""
        for version, (first, last) in _WORLD.items():
            spans = [span for span in self.spans if span.version == version and span.open]
            for condition in dict.fromkeys(span.condition for span in spans):
                together = [span for span in spans if span.condition in ("", condition)]
                if sum(map(_strangers, together)) * 2 > last - first:
                    return max(together, key=_strangers)
        return None

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


def _strangers(span: Span) -> int:
    """Return how many addresses of strangers there are in a span."""
    first, last = _WORLD[span.version]
    return max(0, min(last, span.last) - max(first, span.first) + 1)


def exposures(cluster: Ruleset, nodes: Mapping[str, Ruleset], ports: Sequence[int]) -> dict[str, tuple[Exposure, ...]]:
    """Work out who reaches the ports of each node, in their order. Most nodes are alike: each kind once."""
    alike: dict[object, tuple[Exposure, ...]] = {}
    found = {}
    for node, rules in nodes.items():
        key = (rules.rules, *(str(rules.options.get(name)) for name in ("enable", "nftables")))
        if key not in alike:
            alike[key] = tuple(exposure(cluster, rules, port) for port in ports)
        found[node] = alike[key]
    return found


def exposure(cluster: Ruleset, node: Ruleset, port: int, local_network: str | None = None) -> Exposure:
    """Work out who reaches a TCP port of a node. ``local_network`` is what PVE derives from its route, if known.

    The alias ``local_network`` of the datacenter is as good as that.
    """
    known = local_network is not None or LOCAL_NETWORK in cluster.aliases
    trial = _Trial(cluster, node, port, local_network)
    networks = [local_network] if local_network else []
    try:
        spans = [_span(*piece, trial) for piece in pieces(named_addresses((cluster, node), networks))]
        said = "" if known else _of_local_network(spans, trial)
    except ValueError as error:
        said = str(error).rstrip(".")
        return Exposure(port, unknown=f"{said[:1].upper()}{said[1:]}.")
    return Exposure(port, tuple(_joined(spans)), said)


def _of_local_network(spans: Iterable[Span], trial: _Trial) -> str:
    """Say what the local network reaches beyond what everybody at the same addresses does."""
    closed = [span for span in spans if not span.open or span.condition]
    if not closed or not has_port(BUILT_IN_IPTABLES, trial.port):
        return ""
    said = "Whoever is in the node's local network, which is not known here, reaches it too"
    if len(closed) > _MOST_TRIED:
        return said + ", unless a rule or an exception keeps him out."
    still = [span for span in closed if not trial.lets_in_as_local(inside((span.first, span.last)), span.version)]
    if len(still) == len(closed):
        return ""
    if still:
        said += f", unless from {some_of(map(str, _joined(still)), _MOST)}"
    return said + "."


class _Trial:
    """Every way in which a packet to the port may come."""

    def __init__(self, cluster: Ruleset, node: Ruleset, port: int, local_network: str | None) -> None:
        self.port = port
        self._rulesets = (cluster, node)
        self._both = (False, True) if str(node.options.get("nftables") or 0) != "0" else (False,)
        self._reaches = self._made(local_network)
        networks = [local_network] if local_network else []
        self._ways = {version: ways(self._rulesets, version, networks=networks) for version in WIDTH}

    def _made(self, local_network: str | None) -> list[tuple[bool, Reach]]:
        return [(nftables, Reach(*self._rulesets, local_network, nftables=nftables)) for nftables in self._both]

    def verdicts(self, number: int, version: int) -> list[tuple[Verdict, tuple[str, ...]]]:
        """Return what becomes of each packet from an address, with what that assumes, in words."""
        return list(self._verdicts(self._reaches, address_text(version, number), version))

    def lets_in_as_local(self, number: int, version: int) -> bool:
        """Tell whether an address gets in by some way if it is in the local network."""
        source = address_text(version, number)
        reaches = self._made(f"{source}/{_USUAL[version]}")
        return any(verdict.action == ACCEPT for verdict, unused in self._verdicts(reaches, source, version))

    def _verdicts(
        self, reaches: Iterable[tuple[bool, Reach]], source: str, version: int
    ) -> Iterator[tuple[Verdict, tuple[str, ...]]]:
        for (nftables, reach), way in product(reaches, self._ways[version]):
            by = ("with nftables" if nftables else "with iptables",) if len(self._both) > 1 else ()
            packet = Packet(source, self.port, dest=way.dest, iface=way.iface)
            yield reach.verdict(packet), (*way.assumed, *by)


def _span(version: int, piece: Interval, trial: _Trial) -> Span:
    found = trial.verdicts(inside(piece), version)
    verdict, assumed = next(((verdict, assumed) for verdict, assumed in found if verdict.action == ACCEPT), found[0])
    same = all((other.action == ACCEPT) == (verdict.action == ACCEPT) for other, unused in found)
    return Span(version, *piece, verdict.action, verdict.by, "" if same else _condition(verdict, assumed, found))


def _condition(verdict: Verdict, assumed: Sequence[str], found: Iterable[tuple[Verdict, tuple[str, ...]]]) -> str:
    """Return what an open way assumes, without what makes no difference."""
    closed = [set(words) for other, words in found if other.action != verdict.action]
    needed = [word for word in assumed if any(word not in words for words in closed)]
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
