"""What a change of the firewall would cut off from the host.

What is not known of a packet is tried out in every way that can matter: the bridge on which it arrives, the address of
the host that it is for, and whether the client is in the local network. Translated addresses (NAT) and packet filters
that PVE does not manage cannot be seen from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

from .addresses import address, network
from .matching import LOCAL_NETWORK
from .model import Ruleset
from .reach import ACCEPT, BUILT_IN, Packet, Reach, Verdict, has_port, interesting_addresses, ways

NOT_SEEN = "Translated addresses (NAT) and packet filters other than PVE's cannot be seen from here."


@dataclass(frozen=True)
class Host:
    """The host that is talked to: its own addresses, all of them or none, and the local network that PVE derives.

    ``local_network`` is None where it is not known.
    """

    node: str
    addresses: tuple[str, ...] = ()
    local_network: str | None = None


@dataclass(frozen=True)
class Situation:
    """What holds for a host at one time: the datacenter's firewall and the node's."""

    cluster: Ruleset
    node: Ruleset

    @property
    def rulesets(self) -> tuple[Ruleset, Ruleset]:
        return self.cluster, self.node


@dataclass(frozen=True)
class CutOff:
    """A client that does not reach a port of the host afterwards, the first one found.

    ``packet`` is what was tried, and ``assumed`` says in words what is not known of it and was tried out; ``before`` is
    None where the client has to reach the port whether or not it did before.
    """

    node: str
    packet: Packet
    before: Verdict | None
    after: Verdict
    assumed: str = ""

    @property
    def client(self) -> str:
        return self.packet.source

    @property
    def port(self) -> int:
        return self.packet.dport

    def __str__(self) -> str:
        if self.before is None:
            what = f"{self.client} has to reach TCP port {self.port} of the node {self.node} and would not"
        else:
            what = f"{self.client} reaches TCP port {self.port} of the node {self.node} now and would be cut off"
        why = f"{self.after.by} answers {self.after.action}" + (f" ({self.assumed})" if self.assumed else "")
        return f"{what}: {why}. {self._advice()} {NOT_SEEN}"

    def _advice(self) -> str:
        if self.after.by.startswith("IP set"):
            return f"Take {self.client} out of that set, or make an exception for it there."
        if self.after.by.startswith("policy"):
            built_in = has_port(BUILT_IN, self.port)
            return (
                f"Add a rule that accepts it{f', or put {self.client} into the IP set management' if built_in else ''}."
            )
        return (
            "Put a rule that accepts it before that one, or narrow that one: what management may do comes after both."
        )


def cut_off(
    host: Host, before: Situation, after: Situation, clients: Iterable[str], ports: Iterable[int]
) -> CutOff | None:
    """Return the first client that reaches a port by TCP before, and may not reach it after; None if there is none.

    A client is an address or a network; of a network, an address out of every class that the rules tell apart is
    tried. Raises ValueError for a client that is neither, and where a set or a group that counts was not read.
    """
    if before == after:
        return None
    return _search(host, before, after, clients, tuple(ports))


def not_reaching(host: Host, after: Situation, clients: Iterable[str], ports: Iterable[int]) -> CutOff | None:
    """Return the first client that may not reach a port by TCP after; None if all do. Like ``cut_off`` otherwise."""
    return _search(host, None, after, clients, tuple(ports))


def _search(
    host: Host, before: Situation | None, after: Situation, clients: Iterable[str], ports: tuple[int, ...]
) -> CutOff | None:
    situations = [after, before] if before else [after]
    rulesets = [ruleset for situation in situations for ruleset in situation.rulesets]
    known = (host.local_network,) if host.local_network else ()
    own = [_bare(text) for text in host.addresses]
    firewalls = _Firewalls()
    for client in clients:
        every_way = ways(rulesets, network(client)[0], own, known)
        for source in _addresses_of(client, rulesets, known):
            if _is_own(host, source):
                continue
            for local_network, assumed in _local_networks(host, situations, source):
                for port, way in product(ports, every_way):
                    packet = Packet(source, port, dest=way.dest, iface=way.iface)
                    earlier = firewalls.best(before, local_network, packet) if before else None
                    if earlier and earlier.action != ACCEPT:
                        continue
                    later = firewalls.worst(after, local_network, packet)
                    if later.action != ACCEPT:
                        said = ", ".join(part for part in (assumed, *way.assumed) if part)
                        return CutOff(host.node, packet, earlier, later, said)
    return None


class _Firewalls:
    """The evaluators of the situations, made once for each local network.

    With the node's option ``nftables``, another program makes the rules, in another order, and it is not known when
    it takes over: a client has to reach the port either way, and counts as reaching it in either.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[int, str | None], list[Reach]] = {}

    def best(self, situation: Situation, local_network: str | None, packet: Packet) -> Verdict:
        found = self._verdicts(situation, local_network, packet)
        return next((verdict for verdict in found if verdict.action == ACCEPT), found[0])

    def worst(self, situation: Situation, local_network: str | None, packet: Packet) -> Verdict:
        found = self._verdicts(situation, local_network, packet)
        return next((verdict for verdict in found if verdict.action != ACCEPT), found[0])

    def _verdicts(self, situation: Situation, local_network: str | None, packet: Packet) -> list[Verdict]:
        key = (id(situation), local_network)
        if key not in self._made:
            both = (False, True) if str(situation.node.options.get("nftables") or 0) != "0" else (False,)
            self._made[key] = [
                Reach(situation.cluster, situation.node, local_network, nftables=nftables) for nftables in both
            ]
        return [reach.verdict(packet) for reach in self._made[key]]


def _addresses_of(client: str, rulesets: Iterable[Ruleset], networks: Iterable[str]) -> tuple[str, ...]:
    first, last = network(client)[1]
    return interesting_addresses(rulesets, client, networks) if first != last else (client.partition("/")[0],)


def _local_networks(host: Host, situations: Iterable[Situation], client: str) -> Iterator[tuple[str | None, str]]:
    """Yield the local networks to try, each with what that assumes of the client."""
    if host.local_network or all(LOCAL_NETWORK in situation.cluster.aliases for situation in situations):
        yield host.local_network, ""
    else:
        # As narrow as can be, as it mostly is, and elsewhere: exceptions in management may be wider or narrower.
        yield client, "if it is in the local network, which is not known here"
        yield f"{client}/{64 if ':' in client else 24}", "if it is in the local network, which is not known here"
        yield None, "if it is not in the local network, which is not known here"


def _is_own(host: Host, client: str) -> bool:
    """Whether the client is the host itself, whose packets arrive on loopback and are always accepted."""
    version, number = address(client)
    own = [*map(_bare, host.addresses), "::1"]
    return (version, number) in map(address, own) or (version == 4 and number >> 24 == 127)


def _bare(text: str) -> str:
    return text.partition("/")[0]
