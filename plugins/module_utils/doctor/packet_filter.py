"""What the rules in the kernel do with a connection from a client, whatever they were written with.

Of a packet is known where it comes from, that it is the first of a TCP connection, and its port. Whatever else a rule
asks (interfaces, marks, limits) may be so or not: then both ways are followed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Callable, NamedTuple, Optional, Union

ACCEPT, DROP, REJECT, UNKNOWN = "ACCEPT", "DROP", "REJECT", "UNKNOWN"
RETURN = "RETURN"
INPUT = "INPUT"
Outcomes = dict[str, str]  # what may become of a packet -> the rule that does it
Truth = Optional[bool]  # None: it depends on what is not known of the packet
Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


@dataclass(frozen=True)
class Knock:
    """The first packet of a connection by TCP."""

    source: str
    port: int

    @property
    def address(self) -> Address:
        return ipaddress.ip_address(self.source)


class Step(NamedTuple):
    """A rule: how it is written, for which packets it is, and where they go.

    ``target`` is what becomes of them, or a chain; empty where the rule only counts or writes a log. ``goes`` tells
    that they do not come back from that chain.
    """

    text: str
    fits: Callable[[Knock], Truth]
    target: str = ""
    goes: bool = False


@dataclass(frozen=True)
class Filter:
    """Chains that packets to the host go through, from ``first`` on. ``policies`` are those of chains that have one.

    ``versions`` are those of IP that it is for.
    """

    chains: Mapping[str, Sequence[Step]] = field(default_factory=dict)
    policies: Mapping[str, str] = field(default_factory=dict)
    first: str = INPUT
    versions: tuple[int, ...] = (4, 6)

    def outcomes(self, knock: Knock) -> Outcomes:
        """Return all that may become of a packet, each with the rule (or policy) that does it."""
        found: Outcomes = {}
        if self._walk(self.first, knock, found, ()):
            policy = self.policies.get(self.first, ACCEPT)
            found.setdefault(policy, f"policy of {self.first}: {policy}")
        return found

    def _walk(self, chain: str, knock: Knock, found: Outcomes, above: tuple[str, ...]) -> bool:
        """Follow a chain, and return whether the packet may come out of its end."""
        falls = False
        for step in self.chains.get(chain, ()):
            fits = step.fits(knock)
            if fits is False:
                continue
            through = True
            if step.target in (ACCEPT, DROP, REJECT):
                found.setdefault(step.target, step.text)
                through = False
            elif step.target == RETURN:
                if fits:
                    return True
                falls = True
            elif step.target in self.chains and step.target not in above:
                through = self._walk(step.target, knock, found, (*above, chain))
                if step.goes:
                    falls, through = falls or through, not fits
            elif step.target:
                found.setdefault(UNKNOWN, step.text)
            if fits and not through:
                return falls
        return True


def refusals(found: Outcomes) -> Iterator[tuple[str, str]]:
    """Yield what keeps a packet out, with the rule."""
    yield from ((action, rule) for action, rule in found.items() if action in (DROP, REJECT))


def every(answers: Sequence[Truth]) -> Truth:
    """Return whether all conditions hold."""
    if any(answer is False for answer in answers):
        return False
    return None if any(answer is None for answer in answers) else True


def inside(address: Address, text: str) -> bool:
    """Tell whether an address is that, in that network, or in that range (FIRST-LAST); False for what is none."""
    first, dash, last = text.partition("-")
    try:
        if dash:
            ends = ipaddress.ip_address(first), ipaddress.ip_address(last)
            return ends[0].version == address.version and int(ends[0]) <= int(address) <= int(ends[1])
        return _in(address, ipaddress.ip_network(text, strict=False))
    except ValueError:
        return False


def _in(address: Address, network: Network) -> bool:
    return network.version == address.version and address in network
