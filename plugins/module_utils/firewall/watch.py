"""Whether a plan would cut somebody off from the host, and what has to be read to know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ipaddress import ip_interface, ip_network
from itertools import islice, product

from .document import API_PORT
from .guard import CutOff, Host, Situation, cut_off, not_reaching
from .model import Group, IpSet, Rule, Ruleset
from .observe import View
from .packets import Packets, content
from .places import PlaceTarget, Target
from .reach import ACCEPT, Packet, Reach, all_rules, interesting_addresses
from .scope import CLUSTER, DATACENTER, GROUP, NODE, Scope
from .sequence import touched_rules
from .steps import MAKE, NARROW, REMOVE, RULES, RULES_OF_GROUPS, Held, Piece
from .values import reference
from .wanted import Document

SSH_PORT = 22
PORTS = (API_PORT, SSH_PORT)
_SPECIAL_SETS = ("blacklist", "management")
_PARTS = ("rules", "aliases", "ipset")
# Whoever knocks there, from wherever.
_KNOCK = Rule("in", ACCEPT, proto="tcp", dport=",".join(map(str, PORTS)))
# How many packets are looked at while a plan is ordered, over all of its steps; the clients' own always are.
MOST_LOOKS = 100_000


@dataclass(frozen=True)
class Watch:
    """What the guard knows. ``held`` is what places hold now; ``unseen`` says what the caller may not read.

    ``nodes`` are the addresses of the other nodes, which call this one on the same port.
    """

    hosts: tuple[Host, ...] = ()
    held: Held = field(default_factory=dict)
    caller: str = ""
    api_clients: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    unseen: str = ""


def make_watch(view: View, wanted: Document, target: Target, pieces: Sequence[Piece]) -> Watch | None:
    """Read what it takes to judge a plan. None where nothing in it can cut anybody off from the host."""
    if not any(place.scope.kind in (CLUSTER, NODE, GROUP) for place in target.places):
        return None
    # A link-local address comes with the name of this machine's interface, which means nothing to the host.
    caller = (wanted.management_source or view.local_address).partition("%")[0]
    clients = (caller, *wanted.api_clients)
    if not wanted.api_clients:
        if is_one_list(pieces) and _is_the_host(caller):
            return None
        if not any(_may_cut(place, clients) for place in target.places):
            return None
    if not _filters(view, target):
        return None
    if not wanted.api_clients and is_one_list(pieces) and {piece.scope for piece in pieces} == {DATACENTER}:
        # The node's own rules come first: if those of the datacenter do not cut the caller off where the node leaves it
        # to them, nothing does.
        unknown = Scope(NODE, "")
        if all(view.try_to_read(f"/cluster/firewall/{part}") is not None for part in _PARTS):
            held = {unknown: Ruleset(), DATACENTER: _datacenter(view, target, {})}
            if judge(Watch((Host(""),), held, caller), pieces) is None:
                return None
    nodes = [row for row in view.read("/cluster/status") if row["type"] == "node"]
    local: Mapping[str, object] = next((row for row in nodes if row.get("local")), {})
    names = [str(local.get("name", ""))] + [
        place.scope.id for place in target.places if place.scope.kind == NODE and place.scope.id != local.get("name")
    ]
    held = {}
    for scope in [Scope(NODE, name) for name in names]:
        base = view.base(scope)
        for part in ("rules", "options"):
            if view.try_to_read(f"{base}/{part}") is None:
                return Watch(unseen=f"{base}/{part} ({view.denied[f'{base}/{part}']})")
        held[scope] = Ruleset(view.options(scope), view.rules(scope))
    for part in _PARTS:
        path = f"/cluster/firewall/{part}"
        if view.try_to_read(path) is None:
            return Watch(unseen=f"{path} ({view.denied[path]})")
    held[DATACENTER] = _datacenter(view, target, held)
    hosts = tuple(_host(view, name, str(local.get("ip", "")) if name == names[0] else "") for name in names)
    others = tuple(str(row["ip"]) for row in nodes if row.get("ip") and not row.get("local"))
    return Watch(hosts, held, caller, wanted.api_clients, others)


def _filters(view: View, target: Target) -> bool:
    """Tell whether the firewall is on, before or after."""
    declared = target.place(DATACENTER)
    before = view.options(DATACENTER)
    after = declared.options[1] if declared and declared.options else before
    return any(str(options.get("enable") or 0) != "0" for options in (before, after))


def _may_cut(place: PlaceTarget, clients: Sequence[str]) -> bool:
    """Tell whether what changes in a place could matter to one of the clients; when in doubt, it does."""
    if place.scope.kind not in (CLUSTER, NODE, GROUP):
        return False
    for pair in (place.options, place.aliases, place.sets):
        if pair is not None and pair[0] != pair[1]:
            return True
    if place.goal is None:
        return False
    knocking = [Rule("in", ACCEPT, source=client, proto="tcp", dport=str(port)) for client in clients for port in PORTS]
    touched = list(touched_rules(place.goal))
    return any(Packets.overlap(rule, knock) for rule in touched for knock in knocking)


def _datacenter(view: View, target: Target, nodes: Mapping[Scope, Ruleset]) -> Ruleset:
    """Return the datacenter's firewall, with the content of the sets and groups that can matter."""
    rules = list(view.rules(DATACENTER))
    for ruleset in nodes.values():
        rules += ruleset.rules
    for place in target.places:
        if place.goal is not None and place.scope.kind in (CLUSTER, NODE, GROUP):
            rules += place.goal.final.values()
    known = view.groups() if any(rule.type == "group" for rule in rules) else {}
    groups: dict[str, Group] = {}
    for name, group in known.items():
        if any(rule.type == "group" and rule.action == name for rule in rules):
            groups[name] = replace(group, rules=view.rules(Scope(GROUP, name)))
        else:
            groups[name] = group
    rules += [rule for group in groups.values() for rule in group.rules or ()]
    used = {*_SPECIAL_SETS}
    for rule in filter(_matters, rules):
        for value in (rule.source, rule.dest):
            named = reference(value or "")
            if named and named.is_set:
                used.add(named.name)
    sets: dict[str, IpSet] = {}
    for name, found in view.sets(DATACENTER).items():
        sets[name] = replace(found, entries=view.entries(DATACENTER, name)) if name in used else found
    return Ruleset(view.options(DATACENTER), view.rules(DATACENTER), view.aliases(DATACENTER), sets, groups)


def _matters(rule: Rule) -> bool:
    return _meets_a_knock(content(rule))


@lru_cache(maxsize=4096)
def _meets_a_knock(rule: Rule) -> bool:
    return Packets.overlap(rule, _KNOCK)


def _is_the_host(address: str) -> bool:
    """Tell whether somebody is the host itself, from which everything gets in."""
    return ip_network(address, strict=False).is_loopback


def _host(view: View, name: str, address: str) -> Host:
    """Return a node with its own addresses, and the network that PVE takes for the local one, where they are shown."""
    rows = view.try_to_read(f"/nodes/{name}/network") or []
    cidrs = [str(row[key]) for row in rows for key in ("cidr", "cidr6") if row.get(key)]
    local = next((str(ip_interface(cidr).network) for cidr in cidrs if cidr.partition("/")[0] == address), None)
    return Host(name, tuple(cidrs) or ((address,) if address else ()), local)


# -- judging -----------------------------------------------------------------------------------------------------------


def judge(watch: Watch, pieces: Sequence[Piece]) -> CutOff | None:
    """Return who would be cut off by a plan, in the middle or at its end; None if nobody who must not be."""
    moments: list[Held] = [watch.held]
    for piece in pieces:
        moments.append(piece.effect(moments[-1]))
    if is_one_list(pieces):
        # Its own steps let in whoever gets in before and after.
        moments = [moments[0], moments[-1]]
    for number, host in enumerate(watch.hosts):
        before, last = _situation(watch.held, host), _situation(moments[-1], host)
        # Only of the host that is talked to is it known that the caller comes this way.
        clients = [(() if number else (watch.caller,), PORTS), (watch.api_clients, (API_PORT,))]
        for moment in [moments[-1], *moments[1:-1]]:
            for who, ports in clients:
                found = cut_off(host, before, _situation(moment, host), who, ports)
                if found:
                    return found
        found = not_reaching(host, last, watch.api_clients, [API_PORT])
        if found:
            return found
    return None


def nodes_cut_off(watch: Watch, pieces: Sequence[Piece]) -> list[str]:
    """Say which nodes of the cluster would not reach each other's API any more, as they do for each other's users."""
    last: Held = watch.held
    for piece in pieces:
        last = piece.effect(last)
    host = watch.hosts[0]
    before, after = _situation(watch.held, host), _situation(last, host)
    found = {address: cut_off(host, before, after, [address], [API_PORT]) for address in watch.nodes}
    cut = {address: one for address, one in found.items() if one}
    if not cut:
        return []
    verdict = next(iter(cut.values())).after
    return [
        f"Other nodes pass their users' calls on to port {API_PORT} of {host.node}, and would not get in "
        f"any more: {', '.join(cut)} ({verdict.by} answers {verdict.action})."
    ]


def is_one_list(pieces: Sequence[Piece]) -> bool:
    """Tell whether a plan changes one list of rules and nothing else."""
    return all(piece.phase in (RULES_OF_GROUPS, RULES) for piece in pieces) and len({p.scope for p in pieces}) < 2


def _situation(held: Held, host: Host) -> Situation:
    return Situation(_judged(held[DATACENTER]), _judged(held[Scope(NODE, host.node)]))


def _judged(ruleset: Ruleset) -> Ruleset:
    """Return a ruleset in which what cannot matter here is switched off: the sets that it names were not read."""
    groups = {name: replace(group, rules=_only_what_matters(group.rules)) for name, group in ruleset.groups.items()}
    return replace(ruleset, rules=_only_what_matters(ruleset.rules) or (), groups=groups)


def _only_what_matters(rules: tuple[Rule, ...] | None) -> tuple[Rule, ...] | None:
    if rules is None:
        return None
    return tuple(rule if _matters(rule) else replace(rule, enable=False) for rule in rules)


def safely_ordered(watch: Watch, pieces: Sequence[Piece]) -> tuple[list[Piece], list[str]]:
    """Return the changes in an order in which, at every moment, whoever gets in before and after gets in.

    Where there is none, the usual order, and what is to be said about it.
    """
    if is_one_list(pieces):
        return list(pieces), []
    last: Held = watch.held
    for piece in pieces:
        last = piece.effect(last)
    most = MOST_LOOKS // len(pieces)
    protected = [(host, list(islice(_let_in(watch, host, last), most))) for host in watch.hosts]
    left, ordered = list(pieces), list[Piece]()
    held: Held = dict(watch.held)
    warnings: list[str] = []
    while left:
        allowed = [piece for number, piece in enumerate(left) if _may_come(piece, left[:number], left)]
        chosen = next((piece for piece in allowed if not _cut(protected, piece.effect(held))), None)
        if chosen is None:
            chosen = allowed[0]
            cut = _cut(protected, chosen.effect(held))
            warnings.append(f"While this is applied, {cut} may not get in for a moment (at: {chosen.change}).")
        left.remove(chosen)
        ordered.append(chosen)
        held = chosen.effect(held)
    return ordered, list(dict.fromkeys(warnings))


def _may_come(piece: Piece, ahead: Sequence[Piece], left: Sequence[Piece]) -> bool:
    """Tell whether a change may come now: lists keep their order, what is used is there, what goes is not used."""
    if any(other.scope == piece.scope and other.change.kind == piece.change.kind for other in ahead):
        return False
    if piece.phase in (RULES_OF_GROUPS, RULES):
        return not any(other.phase == MAKE and other.change.action == "create" for other in left)
    if piece.phase == REMOVE:
        return all(other.phase in (REMOVE, NARROW) for other in left)
    return True


def _let_in(watch: Watch, host: Host, last: Held) -> Iterator[Packet]:
    """Yield the packets to the host's own services that get in before and after."""
    before, after = _reach(watch.held, host), _reach(last, host)
    rulesets = [held[scope] for held in (watch.held, last) for scope in (DATACENTER, Scope(NODE, host.node))]
    bridges: set[str | None] = {rule.iface for ruleset in rulesets for rule in all_rules(ruleset) if rule.iface}
    sources = interesting_addresses(rulesets, None, [host.local_network] if host.local_network else [])
    own = [cidr.partition("/")[0] for cidr in host.addresses]
    for source, port, bridge in product(sources, PORTS, sorted({*bridges, None}, key=str)):
        destinations: list[str | None] = [one for one in own if (":" in one) == (":" in source)]
        for dest in destinations or [None]:
            packet = Packet(source, port, dest=dest, iface=bridge)
            if before.verdict(packet).action == after.verdict(packet).action == ACCEPT:
                yield packet


def _reach(held: Held, host: Host) -> Reach:
    both = _situation(held, host)
    nftables = str(both.node.options.get("nftables") or 0) != "0"
    return Reach(both.cluster, both.node, host.local_network, nftables=nftables)


def _cut(protected: Iterable[tuple[Host, Sequence[Packet]]], held: Held) -> str | None:
    for host, packets in protected:
        reach = _reach(held, host)
        for packet in packets:
            if reach.verdict(packet).action != ACCEPT:
                return f"{packet.source} to port {packet.dport} of {host.node}"
    return None
