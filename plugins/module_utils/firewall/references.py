"""What rules and sets name: whether it is there when they come, and whether anything still needs what goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from .comments import Comment
from .model import Alias, Rule
from .observe import View, known_places
from .places import PlaceTarget, Target, gone_from
from .reach import rule_text
from .releases import FORWARD, PREFIXES, check_release
from .rule_checks import ip_version, rule_problems
from .scope import DATACENTER, GROUP, GUEST, NODE, Scope
from .values import family, reference

# -- what the rules speak of -------------------------------------------------------------------------------------------


def check_references(view: View, target: Target) -> None:
    """Judge what is declared as a whole: whether each rule fits its place, and what it names is there."""
    for place in target.places:
        if place.goal is not None:
            for element, rule in place.goal.final.items():
                old = place.goal.current[element] if element < len(place.goal.current) else None
                if old is None or replace(old, comment=rule.comment, enable=rule.enable) != rule or old.errors:
                    _check_rule(view, target, place.scope, rule)
        if place.sets is not None:
            before, after = place.sets
            for name, found in after.items():
                known = {entry.cidr for entry in (before[name].entries or ())} if name in before else set()
                for entry in found.entries or ():
                    if entry.cidr not in known and family(entry.cidr) is None:
                        _check_name(view, target, place.scope, entry.cidr, f"ipsets[{name}] entries[{entry.cidr}]")


def _check_rule(view: View, target: Target, scope: Scope, rule: Rule) -> None:
    label = f"{scope} rules[{_called(rule)}]"
    if rule.type == "forward":
        check_release(view, target.problems, label, FORWARD)
    for name in ("source", "dest"):
        named = reference(getattr(rule, name) or "")
        if named and named.scope:
            check_release(view, target.problems, f"{label} {name}", FORWARD if named.scope == "sdn" else PREFIXES)
    problems = list(rule_problems(rule, scope))
    for name, problem in problems:
        target.problems.add(f"{label} {name}", problem)
    if problems:
        return
    if rule.type == "group":
        if rule.action not in _groups_after(view, target):
            target.assumed.append(f"security group {rule.action}")
        return
    for name in ("source", "dest"):
        value = getattr(rule, name)
        if value and reference(value):
            _check_name(view, target, scope, value, f"{label} {name}")
    families = {
        number for number in (_family(view, target, scope, value) for value in (rule.source, rule.dest)) if number
    }
    if len(families) > 1:
        target.problems.add(f"{label} dest", "IPv4 and IPv6 do not mix in one rule, nor do aliases of them")


def _called(rule: Rule) -> str:
    return Comment.parse(rule.comment).key or rule_text(rule)


def _check_name(view: View, target: Target, scope: Scope, value: str, where: str) -> None:
    named = reference(value)
    if named is None or named.scope == "sdn":
        return
    if named.is_set and named.name != named.name.lower():
        target.problems.add(where, f"IP sets have names in lower case: say +{named.name.lower()}")
        return
    places = known_places(_asking(scope), named.scope)
    if named.is_set:
        # Which of two sets of one name it is makes no difference here, and most are the datacenter's.
        known: Iterable[Iterable[str]] = (_set_names(view, target, scope, place) for place in reversed(places))
    else:
        known = (_alias_names(view, target, scope, place) for place in places)
    if not any(named.name.lower() in names for names in known):
        kind = "IP set" if named.is_set else "alias"
        target.assumed.append(f"{kind} {named.scope + '/' if named.scope else ''}{named.name}")


def with_families(view: View, target: Target, place: PlaceTarget) -> PlaceTarget:
    """Work out ``ipversion`` as PVE will, for the rules that are made or changed."""
    if place.goal is None:
        return place
    goal = place.goal
    final = {
        element: rule
        if element < len(goal.current) and rule == goal.current[element]
        else replace(rule, ipversion=ip_version(rule, lambda value: _family(view, target, place.scope, value)))
        for element, rule in goal.final.items()
    }
    return replace(place, goal=replace(goal, final=final))


def _family(view: View, target: Target, scope: Scope, value: str | None) -> int | None:
    if not value:
        return None
    named = reference(value)
    if named is None:
        return family(value)
    if named.is_set or named.scope == "sdn":
        return None
    for place in known_places(_asking(scope), named.scope):
        found = _alias_names(view, target, scope, place).get(named.name.lower())
        if found is not None:
            return found.ipversion
    return None


def _alias_names(view: View, target: Target, scope: Scope, place: Scope) -> Mapping[str, Alias | None]:
    declared = target.place(place)
    return declared.aliases[1] if declared and declared.aliases else view.known_aliases(_asking(scope), place)


def _set_names(view: View, target: Target, scope: Scope, place: Scope) -> Iterable[str]:
    declared = target.place(place)
    return declared.sets[1] if declared and declared.sets else view.known_sets(_asking(scope), place)


def _groups_after(view: View, target: Target) -> Iterable[str]:
    declared = target.place(DATACENTER)
    return declared.groups[1] if declared and declared.groups else view.groups()


def _asking(scope: Scope) -> Scope:
    return scope if scope.kind == GUEST else DATACENTER


# -- what would be left without what it speaks of ----------------------------------------------------------------------


def check_removals(view: View, target: Target) -> None:
    """Refuse to take away what rules or entries that stay still name; PVE would let these dangle, without effect.

    The rules of guests are looked at as far as the task is about them: there may be thousands of them.
    """
    for place in target.places:
        gone = {
            "alias": gone_from(place.aliases),
            "IP set": gone_from(place.sets),
            "security group": gone_from(place.groups),
        }
        if not any(gone.values()):
            continue
        for scope in dict.fromkeys(_users(view, target, place.scope)):
            for rule in _rules_after(view, target, scope):
                for kind, name in _names_in(rule):
                    if name in gone[kind] and not _meant_elsewhere(rule, place.scope):
                        said = f"a rule of {scope} still names it ({_called(rule)})"
                        target.problems.add(f"{kind} {name}", f"{said}; take that away first, or in the same document")
        if gone["alias"]:
            _check_entries(view, target, place, gone["alias"])


def _check_entries(view: View, target: Target, place: PlaceTarget, gone: set[str]) -> None:
    sets = place.sets[1] if place.sets else view.sets(place.scope)
    for name, found in sets.items():
        entries = view.entries(place.scope, name) if found.entries is None else found.entries
        for entry in entries:
            named = reference(entry.cidr)
            if named and named.name.lower() in gone and (place.scope.kind == GUEST) == (named.scope == "guest"):
                said = f"the IP set {name} still holds it"
                target.problems.add(f"alias {named.name}", f"{said}; take that out first, or in the same document")


def _users(view: View, target: Target, scope: Scope) -> Iterator[Scope]:
    """Yield the places whose rules may name what is in this one."""
    yield scope
    if scope != DATACENTER:
        return
    for name in view.groups():
        yield Scope(GROUP, name)
    # A node that is down cannot be asked.
    for row in view.read("/nodes"):
        if row.get("status") == "online":
            yield Scope(NODE, str(row["node"]))
    yield from (place.scope for place in target.places if place.goal is not None)


def _rules_after(view: View, target: Target, scope: Scope) -> Iterable[Rule]:
    declared = target.place(scope)
    if declared and declared.goal:
        return declared.goal.rules()
    everything = target.place(DATACENTER)
    if scope.kind == GROUP and everything and everything.groups and scope.id in gone_from(everything.groups):
        return ()
    return view.rules(scope)


def _names_in(rule: Rule) -> Iterator[tuple[str, str]]:
    if rule.type == "group":
        yield "security group", rule.action
    for value in (rule.source, rule.dest):
        named = reference(value or "")
        if named:
            yield ("IP set" if named.is_set else "alias"), named.name.lower()


def _meant_elsewhere(rule: Rule, scope: Scope) -> bool:
    """Tell whether a rule that names something with a prefix means another place than this one."""
    prefix = "dc" if scope.kind == GUEST else "guest"
    return any((value or "").lstrip("+").startswith(f"{prefix}/") for value in (rule.source, rule.dest))
