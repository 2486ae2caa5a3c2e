"""Rules as ``iptables-save``, ``ip6tables-save`` and ``ipset save`` print them, for the packet filter's judgement."""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from .packet_filter import Filter, Knock, Step, Truth, every, inside

# These do something else and let the packet go on.
_PASSING = frozenset({"LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "TRACE", "NOTRACK", "CT", "TCPMSS", "SET", "AUDIT"})
_HARMLESS = frozenset(
    {"comment", "tcp", "udp", "conntrack", "state", "multiport", "set", "iprange", "addrtype", "pkttype"}
)
_NEW = frozenset({"NEW"})
# The flags of a first packet.
_FLAGS = frozenset({"SYN"})

Sets = Mapping[str, Sequence[str]]


def read_iptables(saved: str, sets: str = "", *, version: int = 4) -> Filter:
    """Read the table ``filter`` of one family, with the content of the sets that it names."""
    known = _sets(sets)
    chains: dict[str, list[Step]] = {}
    policies: dict[str, str] = {}
    is_filter = False
    for line in saved.splitlines():
        if line.startswith("*"):
            is_filter = line[1:].strip() == "filter"
        elif is_filter and line.startswith(":"):
            name, policy = line[1:].split()[:2]
            chains.setdefault(name, [])
            if policy != "-":
                policies[name] = policy
        elif is_filter and line.startswith("-A "):
            unused, chain, *words = shlex.split(line)
            verb, target = _target(words)
            where = "" if target in _PASSING else target
            chains.setdefault(chain, []).append(Step(line, partial(_fits, words, known), where, verb == "-g"))
    return Filter(chains, policies, versions=(version,))


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


def _fits(words: Sequence[str], sets: Sets, knock: Knock) -> Truth:
    """Tell whether a rule is for the packet."""
    answers: list[Truth] = []
    negated = False
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word == "!":
            negated = True
            continue
        answer, taken = _condition(word, words[position:], sets, knock)
        position += taken
        if word.startswith("-"):
            answers.append(answer if answer is None or not negated else not answer)
            negated = False
    return every(answers)


def _condition(word: str, rest: Sequence[str], sets: Sets, knock: Knock) -> tuple[Truth, int]:
    """Judge one condition, and say how many words belong to it."""
    value = rest[0] if rest else ""
    if word in ("-j", "-g"):
        return True, len(rest)  # what follows are words of the target
    if word == "--match-set":
        by_source = rest[1:2] == ["src"] and value in sets
        return (_member(knock, sets[value], sets) if by_source else None), 2
    if word == "--tcp-flags":
        looked_at, wanted = ({*text.split(",")} - {"NONE"} for text in (*rest[:2], "", "")[:2])
        return (looked_at | wanted if "ALL" in looked_at else looked_at) & _FLAGS == wanted, 2
    answers: dict[str, Truth] = {
        "-s": inside(knock.address, value),
        "-p": value in ("tcp", "6", "all"),
        "--dport": _has_port(value, knock.port),
        "--dports": any(_has_port(one, knock.port) for one in value.split(",")),
        "--ctstate": not _NEW.isdisjoint(value.split(",")),
        "--state": not _NEW.isdisjoint(value.split(",")),
        "--src-range": inside(knock.address, value),
        "--src-type": "UNICAST" in value.split(","),
        "--dst-type": not {"LOCAL", "UNICAST"}.isdisjoint(value.split(",")),
        "--pkt-type": value == "unicast",
        "--sport": False if value in ("0", "0:0") else None,
        "-i": False if value == "lo" else None,
        "-m": True if value in _HARMLESS else None,
        "--comment": True,
    }
    return (answers[word], 1) if word in answers else (None, 0)


def _member(knock: Knock, entries: Iterable[str], sets: Sets) -> bool:
    """The longest prefix that fits decides, for exceptions are members too. A member may be a set itself."""
    best, found = -1, False
    for entry in entries:
        member, unused, options = entry.partition(" ")
        if member in sets:
            if _member(knock, sets[member], sets):
                return True
        elif inside(knock.address, member):
            length = ipaddress.ip_network(member, strict=False).prefixlen if "-" not in member else 0
            if length > best:
                best, found = length, "nomatch" not in options.split()
    return found


def _has_port(text: str, port: int) -> bool:
    first, colon, last = text.partition(":")
    low = int(first) if first.isdigit() else 0
    high = (int(last) if last.isdigit() else 65535) if colon else low
    return low <= port <= high
