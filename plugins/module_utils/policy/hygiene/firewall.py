"""The firewall: whether it is on, what it does with the rest, and which of its rules have no effect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ...facts.config import parts
from ...firewall.comments import key_of
from ...firewall.model import Rule, Ruleset
from ...firewall.reach import rule_text
from ...firewall.scope import DATACENTER, GROUP, GUEST, NODE, VNET, Scope
from ..drift.firewall import subject_of
from ..observe import Place
from .subjects import Case

_ACCEPT, _DROP = "ACCEPT", "DROP"
_SILENT = "nolog"
_NFTABLES = (8, 3)


def judge(case: Case) -> None:
    """Find what is wrong with the firewall of each place. Where the datacenter's is off, nothing else counts."""
    places = case.observed.places
    cluster = places.get(DATACENTER)
    if cluster is None:
        return
    if not cluster.on:
        _off(case, cluster, "Nothing is filtered anywhere, whatever the rules of the datacenter, nodes and guests say.")
        return
    _policy(case, cluster)
    for scope, place in sorted(places.items()):
        if scope.kind == NODE:
            _node(case, place)
        elif scope.kind == GUEST:
            _guest(case, place)
        elif scope.kind == VNET:
            _vnet(case, place)
        if place.on:
            _faults(case, place, cluster.rules)
    nodes = [place for scope, place in sorted(places.items()) if scope.kind == NODE]
    _forward(case, cluster, nodes)
    if not any(_in_force(place) for place in (cluster, *nodes)):
        case.judgement.find(
            "no_rules",
            str(cluster.scope),
            "rules",
            "The firewall is on, and there is no rule in it, neither of the datacenter nor of a node.",
            expected="rules for who may reach the nodes",
            found=[],
            fix="Write rules that let in those who manage the cluster, and one that keeps the others out.",
        )


def _off(case: Case, place: Place, effect: str) -> None:
    case.judgement.find(
        "firewall_off",
        str(place.scope),
        "option enable",
        f"The firewall of {_of(place.scope)} is off. {effect}",
        expected=1,
        found=place.rules.options.get("enable", 0),
        fix="Write the rules that let in who has to get in, then switch it on.",
    )


def _of(scope: Scope) -> str:
    return "the datacenter" if scope == DATACENTER else subject_of(scope)


def _policy(case: Case, place: Place) -> None:
    policy = place.rules.options.get("policy_in", _DROP)
    if policy == _ACCEPT:
        case.judgement.find(
            "policy_in",
            str(place.scope),
            "option policy_in",
            f"The firewall of {_of(place.scope)} lets in whatever no rule speaks of.",
            expected=_DROP,
            found=policy,
            fix="Write rules for what has to get in, then set policy_in: DROP.",
        )


def _node(case: Case, place: Place) -> None:
    if not place.on:
        _off(case, place, "Nothing that is sent to this node is filtered.")
        return
    level = place.rules.options.get("log_level_in", _SILENT)
    if level == _SILENT:
        case.judgement.find(
            "firewall_logging",
            str(place.scope),
            "option log_level_in",
            f"The firewall of {_of(place.scope)} does not log what it drops.",
            expected="a log level",
            found=level,
            fix="Set log_level_in: info, and have the log collected.",
        )


def _guest(case: Case, place: Place) -> None:
    if not place.on:
        _off(case, place, "Nothing that is sent to this guest is filtered.")
        return
    _policy(case, place)
    for name, device in case.observed.interfaces.get(int(place.scope.id), {}).items():
        if parts(device, "model").get("firewall") != "1":
            case.judgement.find(
                "guest_interfaces",
                str(place.scope),
                name,
                f"The network device {name} of {place.scope} has firewall switched off: the guest's rules do not hold "
                "for it.",
                expected="firewall=1",
                found=device,
                fix=f"Set firewall=1 for {name} in the guest's hardware.",
            )


def _vnet(case: Case, place: Place) -> None:
    policy = place.rules.options.get("policy_forward", _ACCEPT)
    if place.on and policy == _DROP:
        return
    case.judgement.find(
        "vnet_firewall",
        str(place.scope),
        "option policy_forward" if place.on else "option enable",
        f"The firewall of {place.scope} is {'on, but passes on what no rule speaks of' if place.on else 'off'}.",
        expected={"enable": 1, "policy_forward": _DROP},
        found={"enable": int(place.on), "policy_forward": policy},
        fix="Write rules for what guests in it need, then set enable: true and policy_forward: DROP. It takes effect "
        "on nodes that use nftables.",
    )


def _forward(case: Case, cluster: Place, nodes: Iterable[Place]) -> None:
    if case.observed.access.release < _NFTABLES:
        return
    policy = cluster.rules.options.get("policy_forward", _ACCEPT)
    if policy != _DROP:
        case.judgement.find(
            "policy_forward",
            str(cluster.scope),
            "option policy_forward",
            "The firewall of the datacenter passes on whatever no rule speaks of.",
            expected=_DROP,
            found=policy,
            fix="Write rules for what guests need of each other, then set policy_forward: DROP, and nftables: true on "
            "every node.",
        )
        return
    for place in nodes:
        if place.on and str(place.rules.options.get("nftables", 0)) == "0":
            case.judgement.find(
                "policy_forward",
                str(place.scope),
                "option nftables",
                f"The policy_forward of the datacenter has no effect on {place.scope}, which uses iptables.",
                expected=1,
                found=0,
                fix="Set nftables: true for the node.",
            )


def _in_force(place: Place) -> bool:
    return any(rule.enable for rule in place.rules.rules)


# -- what has no effect -----------------------------------------------------------------------------------------------


def _faults(case: Case, place: Place, cluster: Ruleset) -> None:
    _faulty_rules(case, place.scope, place.rules.rules, cluster)
    for name, group in sorted(place.rules.groups.items()):
        _faulty_rules(case, Scope(GROUP, name), group.rules or (), cluster)
    for name, ipset in sorted(place.rules.ipsets.items()):
        for entry in ipset.entries or ():
            if entry.errors:
                _fault(case, place.scope, f"IP set {name} {entry.cidr}", dict(entry.errors))


def _faulty_rules(case: Case, scope: Scope, rules: Iterable[Rule], cluster: Ruleset) -> None:
    seen: dict[str, int] = {}
    for rule in rules:
        if not rule.enable:
            continue
        errors = dict(_errors(rule, cluster))
        if errors:
            name = f"rule {key_of(rule.comment) or rule_text(rule)}"
            seen[name] = seen.get(name, 0) + 1
            # Rules that are alike are told apart by their number, so that each is a finding of its own.
            _fault(case, scope, name if seen[name] == 1 else f"{name} ({seen[name]})", errors)


def _errors(rule: Rule, cluster: Ruleset) -> Iterator[tuple[str, str]]:
    yield from rule.errors.items()
    if rule.type == GROUP and rule.action not in cluster.groups and not rule.errors:
        yield "action", f"there is no security group {rule.action}"


def _fault(case: Case, scope: Scope, what: str, errors: dict[str, Any]) -> None:
    told = "; ".join(f"{name}: {str(text).strip()}" for name, text in sorted(errors.items()))
    case.judgement.find(
        "faulty_rules",
        subject_of(scope),
        what,
        f"In {_of(scope)}, {what} has no effect: {told}.",
        expected="something that PVE can compile",
        found=errors,
        fix="Correct it, or delete it.",
    )
