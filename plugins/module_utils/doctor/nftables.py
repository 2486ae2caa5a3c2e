"""Rules as ``nft --json list ruleset`` prints them, for the packet filter's judgement."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Union

from .packet_filter import ACCEPT, DROP, REJECT, RETURN, UNKNOWN, Address, Filter, Knock, Step, Truth, every, inside

# Tables that iptables makes and shows itself.
_OF_IPTABLES = re.compile(r"ip6? (?:filter|raw|mangle|nat|security)")
_VERSIONS = {"ip": (4,), "ip6": (6,), "inet": (4, 6)}
_VERDICTS = {"accept": ACCEPT, "drop": DROP, "reject": REJECT, "return": RETURN, "queue": UNKNOWN}
# What only counts, marks or writes a log.
_PASSING = frozenset({"counter", "log", "mangle", "notrack", "ct helper", "comment"})

Json = Mapping[str, Any]
# What is known of the packet: its source, a number, or words that all name the same thing.
Known = Union[Address, int, frozenset[str]]


def read_nftables(text: str) -> list[Filter]:
    """Return a filter for each chain that packets to the host go through. Raises ValueError for what is no such text.

    A packet has to be let through by all of them.
    """
    rows = json.loads(text).get("nftables", [])
    tables: dict[str, list[tuple[str, Json]]] = {}
    for row in rows:
        for kind, what in row.items():
            if kind in ("chain", "rule", "set", "map"):
                tables.setdefault(f"{what['family']} {what['table']}", []).append((kind, what))
    found: list[Filter] = []
    for name, parts in tables.items():
        family = parts[0][1]["family"]
        if family in _VERSIONS and not _OF_IPTABLES.fullmatch(name):
            found += _filters(name, parts, _VERSIONS[family])
    return found


def _filters(table: str, parts: Iterable[tuple[str, Json]], versions: tuple[int, ...]) -> Iterator[Filter]:
    sets = {f"@{what['name']}": what.get("elem", []) for kind, what in parts if kind in ("set", "map")}
    chains: dict[str, list[Step]] = {what["name"]: [] for kind, what in parts if kind == "chain"}
    for kind, what in parts:
        if kind == "rule":
            chains.setdefault(what["chain"], []).extend(_steps(table, what, sets))
    for kind, what in parts:
        if kind == "chain" and what.get("hook") == "input" and what.get("type") == "filter":
            policies = {what["name"]: _VERDICTS.get(str(what.get("policy")), ACCEPT)}
            yield Filter(chains, policies, what["name"], versions)


def _steps(table: str, rule: Json, sets: Json) -> Iterator[Step]:
    """Yield what a rule does: one step, or one for each verdict of a map."""
    text = f"nft table {table}, chain {rule['chain']}, handle {rule.get('handle')}"
    conditions: list[Json] = []
    target, goes = "", False
    for part in rule.get("expr", []):
        for kind, what in part.items():
            if kind == "vmap":
                data = sets.get(what["data"], []) if isinstance(what["data"], str) else what["data"]["set"]
                for key, verdict in data:
                    wanted = {"left": what["key"], "op": "==", "right": key}
                    where = _verdict(verdict)
                    if where:
                        yield Step(text, partial(_fits, [*conditions, wanted], sets), *where)
                continue
            if kind == "match":
                conditions.append(what)
            elif kind not in _PASSING:
                verdict_of = _verdict({kind: what})
                if verdict_of:
                    target, goes = verdict_of
                else:
                    # A limit, or something that is not known here: it may hold or not.
                    conditions.append({"left": {}, "op": "==", "right": ""})
    if target:
        yield Step(text, partial(_fits, conditions, sets), target, goes)


def _verdict(part: Json) -> tuple[str, bool] | None:
    """Return where a verdict leads, and whether the packet does not come back; None for what is no verdict."""
    for kind, what in part.items():
        if kind in ("jump", "goto"):
            return str(what["target"]), kind == "goto"
        if kind in _VERDICTS:
            return _VERDICTS[kind], False
    return None


def _fits(conditions: Iterable[Json], sets: Json, knock: Knock) -> Truth:
    return every([_holds(condition, sets, knock) for condition in conditions])


def _holds(condition: Json, sets: Json, knock: Knock) -> Truth:
    known = _known(condition["left"], knock)
    if known is None or known is False:
        return known
    found = _among(known, condition["right"], sets)
    return not found if condition["op"] == "!=" and found is not None else found


def _known(left: Any, knock: Knock) -> Known | Truth:
    """Return what is known of the part of the packet that is compared.

    None where it is not known, False where this packet has no such part, so that no comparison holds.
    """
    if not isinstance(left, Mapping):
        return None
    version = knock.address.version
    payload, meta = left.get("payload", {}), left.get("meta", {})
    of = (payload.get("protocol"), payload.get("field"))
    if of[0] in ("ip", "ip6"):
        if of[0] != ("ip" if version == 4 else "ip6"):
            return False
        if of[1] in ("protocol", "nexthdr"):
            return frozenset({"tcp", "6"})
        return knock.address if of[1] == "saddr" else None
    if of[0] in ("tcp", "th") and of[1] == "dport":
        return knock.port
    if of[0] in ("udp", "icmp", "icmpv6", "sctp", "dccp"):
        return False
    key = meta.get("key") if isinstance(meta, Mapping) else None
    words = {
        "nfproto": {f"ipv{version}"},
        "l4proto": {"tcp", "6"},
        "protocol": {"ip" if version == 4 else "ip6"},
    }
    if key in words:
        return frozenset(words[key])
    if key in ("iifname", "iif"):
        return frozenset({_OUTSIDE})
    return frozenset({"new"}) if left.get("ct") == {"key": "state"} else None


# It comes in by some interface, and not by loopback.
_OUTSIDE = "(some interface)"


def _among(known: Known, right: Any, sets: Json) -> Truth:
    """Tell whether what is known of the packet is what a rule compares it with."""
    if isinstance(right, str) and right.startswith("@"):
        return _any(known, sets[right], sets) if right in sets else None
    if isinstance(right, list):
        return _any(known, right, sets)
    if isinstance(right, Mapping):
        if "set" in right:
            return _any(known, right["set"], sets)
        if "elem" in right:
            return _among(known, right["elem"]["val"], sets)
        if "prefix" in right and not isinstance(known, (int, frozenset)):
            return inside(known, f"{right['prefix']['addr']}/{right['prefix']['len']}")
        if "range" in right:
            first, last = right["range"]
            if isinstance(known, int):
                return int(first) <= known <= int(last)
            return None if isinstance(known, frozenset) else inside(known, f"{first}-{last}")
        return None
    if isinstance(known, int):
        return str(known) == str(right)
    if isinstance(known, frozenset):
        if _OUTSIDE in known:
            return False if str(right) == "lo" else None
        return str(right) in known
    return inside(known, str(right))


def _any(known: Known, elements: Iterable[Any], sets: Json) -> Truth:
    answers = [_among(known, element, sets) for element in elements]
    if any(answers):
        return True
    return None if any(answer is None for answer in answers) else False
