"""Whether PVE would take a rule: each field for itself, and the rule as a whole in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from .model import Rule
from .names import ICMP_TYPES, ICMPV6_TYPES, MACROS, PROTOCOLS_WITH_PORTS, canonical_macro
from .scope import GROUP, RULE_TYPES, VNET, Scope
from .values import (
    address_problem,
    family,
    icmp_type_problem,
    iface_problem,
    log_problem,
    macro_problem,
    port_problem,
    protocol_number,
    protocol_problem,
)

VERDICTS = ("ACCEPT", "DROP", "REJECT")
LONGEST_ADDRESS = 512
_ICMP, _ICMPV6 = 1, 58

_JUDGES: Mapping[str, Callable[[str], str | None]] = {
    "macro": macro_problem,
    "source": address_problem,
    "dest": address_problem,
    "proto": protocol_problem,
    "icmp_type": icmp_type_problem,
    "log": log_problem,
}


def field_problems(fields: Mapping[str, str], *, of_guest: bool) -> Iterator[tuple[str, str]]:
    """Judge each given field for itself; an empty one takes the value away."""
    for name, value in fields.items():
        problem = None
        if not value:
            problem = "cannot be empty" if name in ("type", "action") else None
        elif name in _JUDGES:
            problem = _JUDGES[name](value)
            if not problem and len(value) > LONGEST_ADDRESS:
                problem = f"is longer than {LONGEST_ADDRESS} characters; use an IP set"
        elif name == "iface":
            problem = iface_problem(value, of_guest=of_guest)
        elif name in ("dport", "sport") and not _is_icmp(fields.get("proto")):
            problem = port_problem(value)
        if problem:
            yield name, problem


def _is_icmp(proto: str | None) -> bool:
    return proto is not None and protocol_number(proto) in (_ICMP, _ICMPV6)


def rule_problems(rule: Rule, scope: Scope) -> Iterator[tuple[str, str]]:
    """Judge a rule as a whole in its place: (field, what is wrong)."""
    types = RULE_TYPES[scope.kind]
    if rule.type not in types:
        yield "type", f"{rule.type!r} is not for a {scope.kind}, which has {', '.join(types)}"
        return
    if rule.type == "group":
        for name in ("macro", "source", "dest", "proto", "dport", "sport", "icmp_type", "log"):
            if getattr(rule, name) is not None:
                yield name, "PVE keeps no more than iface and comment of a rule that calls a group"
    else:
        yield from _direct(rule)
    if rule.iface is not None and scope.kind in (GROUP, VNET):
        yield "iface", f"the rules of a {scope.kind} have none"


def _direct(rule: Rule) -> Iterator[tuple[str, str]]:
    if rule.action not in VERDICTS:
        yield "action", f"{rule.action!r} is none of {', '.join(VERDICTS)}"
    elif rule.type == "forward" and rule.action == "REJECT":
        yield "action", "forward rules take ACCEPT and DROP"
    if rule.macro is not None:
        yield from _beside_macro(rule)
    yield from _protocol(rule)
    families = {number for number in (family(rule.source), family(rule.dest), _icmp_family(rule)) if number}
    if len(families) > 1:
        yield "dest" if family(rule.dest) else "source", "IPv4 and IPv6 do not mix in one rule"


def _beside_macro(rule: Rule) -> Iterator[tuple[str, str]]:
    for row in MACROS.get(canonical_macro(rule.macro or "") or "", ()):
        for name in ("proto", "dport", "sport"):
            given, set_by_macro = getattr(rule, name), row.get(name)
            if given is not None and set_by_macro is not None and given != set_by_macro:
                yield name, f"the macro {rule.macro} sets it to {set_by_macro}; leave it out"
                return


def _protocol(rule: Rule) -> Iterator[tuple[str, str]]:
    number = None if rule.proto is None else protocol_number(rule.proto)
    for name in ("dport", "sport"):
        if getattr(rule, name) is None:
            continue
        if rule.proto is None:
            yield "proto", f"{name} needs a protocol, such as tcp"
        elif number in (_ICMP, _ICMPV6):
            if name == "sport":
                yield name, f"protocol {rule.proto!r} has no ports"
            elif rule.icmp_type is not None:
                yield "icmp_type", "goes alone, without dport"
            elif not _is_icmp_type(getattr(rule, name), number or 0):
                yield name, f"{getattr(rule, name)!r} is no type of {rule.proto}"
        elif rule.proto not in PROTOCOLS_WITH_PORTS:
            yield name, f"protocol {rule.proto!r} has no ports"
        elif problem := port_problem(getattr(rule, name)):
            yield name, problem
    if rule.icmp_type is not None:
        if number not in (_ICMP, _ICMPV6):
            yield "proto", "icmp_type needs proto icmp or ipv6-icmp"
        elif rule.icmp_type not in (ICMP_TYPES if number == _ICMP else ICMPV6_TYPES):
            yield "icmp_type", f"{rule.icmp_type!r} is no type of {rule.proto}"


def _is_icmp_type(value: str, number: int) -> bool:
    return value.isdigit() or value in (ICMP_TYPES if number == _ICMP else ICMPV6_TYPES)


def _icmp_family(rule: Rule) -> int | None:
    number = None if rule.proto is None else protocol_number(rule.proto)
    return {_ICMP: 4, _ICMPV6: 6}.get(number or 0)


def ip_version(rule: Rule, of_name: Callable[[str], int | None]) -> int | None:
    """Return 4 or 6 as PVE works it out for a rule. ``of_name`` tells the family of what a name stands for."""
    found = family(rule.source) or family(rule.dest)
    for value in (rule.source, rule.dest):
        if found is None and value and not value.startswith("+"):
            found = of_name(value)
    return found or _icmp_family(rule)
