"""What the rules in the kernel do with a connection from a client, by what ``iptables-save`` and ``ipset save`` print.

Of a packet is known where it comes from, that it is the first of a TCP connection, and its port. Whatever else a rule
asks (interfaces, marks, limits) may be so or not: then both ways are followed.
"""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

ACCEPT, DROP, REJECT, UNKNOWN = "ACCEPT", "DROP", "REJECT", "UNKNOWN"
# These do something else and let the packet go on.
_PASSING = frozenset({"LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "TRACE", "NOTRACK", "CT", "TCPMSS", "SET", "AUDIT"})
_HARMLESS = frozenset({"comment", "tcp", "udp", "conntrack", "state", "multiport", "set", "iprange"})
_NEW = frozenset({"NEW"})
Outcomes = dict[str, str]  # what may become of a packet -> the rule that does it
Truth = Optional[bool]


class Rule(NamedTuple):
    """A rule as it was printed, and its words."""

    chain: str
    text: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Knock:
    """The first packet of a connection by TCP."""

    source: str
    port: int

    @property
    def address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        return ipaddress.ip_address(self.source)


@dataclass(frozen=True)
class Filter:
    """The table ``filter`` of one family: rules by chain, the policies of built-in chains, and all sets."""

    chains: Mapping[str, Sequence[Rule]] = field(default_factory=dict)
    policies: Mapping[str, str] = field(default_factory=dict)
    sets: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, saved: str, sets: str = "", *, table: str = "filter") -> Filter:
        """Read what ``iptables-save`` (or ``ip6tables-save``) and ``ipset save`` printed."""
        chains: dict[str, list[Rule]] = {}
        policies: dict[str, str] = {}
        inside = False
        for line in saved.splitlines():
            if line.startswith("*"):
                inside = line[1:].strip() == table
            elif inside and line.startswith(":"):
                name, policy, *unused = line[1:].split()
                chains.setdefault(name, [])
                if policy != "-":
                    policies[name] = policy
            elif inside and line.startswith("-A "):
                words = tuple(shlex.split(line))
                chains.setdefault(words[1], []).append(Rule(words[1], line, words[2:]))
        return cls(chains, policies, _sets(sets))

    def outcomes(self, knock: Knock, chain: str = "INPUT") -> Outcomes:
        """Return all that may become of a packet, each with the rule (or policy) that does it."""
        found: Outcomes = {}
        if self._walk(chain, knock, found, ()):
            policy = self.policies.get(chain, ACCEPT)
            found.setdefault(policy, f"-P {chain} {policy}")
        return found

    def _walk(self, chain: str, knock: Knock, found: Outcomes, above: tuple[str, ...]) -> bool:
        """Follow a chain, and return whether the packet may come out of its end."""
        falls = False
        for rule in self.chains.get(chain, ()):
            fits = self._fits(rule.words, knock)
            if fits is False:
                continue
            verb, target = _target(rule.words)
            if target in (ACCEPT, DROP, REJECT):
                found.setdefault(target, rule.text)
                through = False
            elif target == "RETURN":
                if fits:
                    return True
                falls, through = True, True
            elif target in self.chains and target not in above:
                through = self._walk(target, knock, found, (*above, chain))
                if verb == "-g" and fits:
                    return falls or through
                if verb == "-g":
                    falls, through = falls or through, True
            elif not target or target in _PASSING:
                through = True
            else:
                found.setdefault(UNKNOWN, rule.text)
                through = True
            if fits and not through:
                return falls
        return True

    def _fits(self, words: Sequence[str], knock: Knock) -> Truth:
        """Tell whether a rule is for the packet; None where that depends on what is not known of it."""
        answers: list[Truth] = []
        negated = False
        position = 0
        while position < len(words):
            word = words[position]
            value = words[position + 1] if position + 1 < len(words) else ""
            position += 1
            if word == "!":
                negated = True
                continue
            answer, taken = self._condition(word, value, words[position + 1 :], knock)
            position += taken
            if word.startswith("-"):
                answers.append(answer if answer is None or not negated else not answer)
                negated = False
        if any(answer is False for answer in answers):
            return False
        return None if any(answer is None for answer in answers) else True

    def _condition(self, word: str, value: str, rest: Sequence[str], knock: Knock) -> tuple[Truth, int]:
        """Judge one condition, and say how many words follow it."""
        if word in ("-j", "-g"):
            return True, 1 + len(rest)  # what follows are words of the target
        if word == "-s":
            return _inside(knock, value), 1
        if word == "-p":
            return value in ("tcp", "6", "all"), 1
        if word == "--dport":
            return _has_port(value, knock.port), 1
        if word == "--dports":
            return any(_has_port(one, knock.port) for one in value.split(",")), 1
        if word in ("--ctstate", "--state"):
            return not _NEW.isdisjoint(value.split(",")), 1
        if word == "--match-set":
            direction = rest[0] if rest else ""
            return self._in_set(value, knock) if direction == "src" else None, 2
        if word == "--src-range":
            return _in_range(knock, value), 1
        if word == "-i":
            return (False if value == "lo" else None), 1
        if word == "--tcp-flags":
            return (True if rest[:1] == ("SYN",) or "SYN" in rest[:1] else None), 2
        if word == "-m":
            return (True if value in _HARMLESS else None), 1
        if word == "--comment":
            return True, 1
        return None, 0

    def _in_set(self, name: str, knock: Knock) -> Truth:
        if name not in self.sets:
            return None
        return _member(knock, self.sets[name], self.sets)


def _target(words: Sequence[str]) -> tuple[str, str]:
    """Return how a rule goes on (``-j`` or ``-g``) and where; empty where it only counts."""
    for verb in ("-j", "-g"):
        if verb in words[:-1]:
            return verb, words[words.index(verb) + 1]
    return "", ""


def _sets(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["create"] and len(words) > 1:
            found.setdefault(words[1], [])
        elif words[:1] == ["add"] and len(words) > 2:
            found.setdefault(words[1], []).append(" ".join(words[2:]))
    return found


def _member(knock: Knock, entries: Iterable[str], sets: Mapping[str, Sequence[str]]) -> bool:
    """The longest prefix that fits decides, for exceptions are members too. A member may be a set itself."""
    best, inside = -1, False
    for entry in entries:
        member, unused, options = entry.partition(" ")
        if member in sets:
            if _member(knock, sets[member], sets):
                return True
        elif _inside(knock, member):
            length = _network(member).prefixlen
            if length > best:
                best, inside = length, "nomatch" not in options.split()
    return inside


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


def _inside(knock: Knock, text: str) -> bool:
    try:
        network = _network(text)
    except ValueError:
        return False
    return network.version == knock.address.version and knock.address in network


def _in_range(knock: Knock, text: str) -> Truth:
    first, unused, last = text.partition("-")
    try:
        ends = ipaddress.ip_address(first), ipaddress.ip_address(last or first)
    except ValueError:
        return None
    number = int(knock.address)
    return ends[0].version == knock.address.version and int(ends[0]) <= number <= int(ends[1])


def _has_port(text: str, port: int) -> bool:
    first, colon, last = text.partition(":")
    low = int(first) if first.isdigit() else 0
    high = (int(last) if last.isdigit() else 65535) if colon else low
    return low <= port <= high


def refusals(found: Outcomes) -> Iterator[tuple[str, str]]:
    """Yield what keeps a packet out, with the rule."""
    yield from ((action, rule) for action, rule in found.items() if action in (DROP, REJECT))
