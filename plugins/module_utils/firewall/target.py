"""What each place is to hold in the end, and what speaks against it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..client.errors import OptionError
from .arrange import arrange
from .comments import Comment
from .document import Problems
from .identity import final_rule, match
from .model import Alias, Entry, Group, IpSet, Rule
from .observe import View, known_places
from .rule_checks import ip_version, rule_problems
from .scope import DATACENTER, GROUP, GUEST, VNET, Scope
from .sequence import Goal
from .values import family, plain_alias, plain_network, reference
from .wanted import AFTER, BEFORE, Document, ListSpec, OptionsSpec, PlaceSpec, SetSpec

Option = Any

# What came with which release; older ones are as strict, but do not say what is wrong.
_FORWARD = (8, 3)
_PREFIXES = (8, 0)
_SINCE: Mapping[str, tuple[int, int]] = {
    "policy_forward": _FORWARD,
    "log_level_forward": _FORWARD,
    "nftables": (8, 2),
    "nf_conntrack_helpers": (7, 4),
}


@dataclass(frozen=True)
class PlaceTarget:
    """What one place holds and is to hold. What is not declared there is None.

    Of sets and groups, ``before`` has those that the task is about with their content, the others without.
    """

    scope: Scope
    goal: Goal | None = None
    options: tuple[Mapping[str, Option], Mapping[str, Option]] | None = None
    aliases: tuple[Mapping[str, Alias], Mapping[str, Alias]] | None = None
    sets: tuple[Mapping[str, IpSet], Mapping[str, IpSet]] | None = None
    groups: tuple[Mapping[str, Group], Mapping[str, Group]] | None = None


@dataclass
class Target:
    """All places, and what is to be said. ``assumed`` are names that nobody has made yet."""

    places: list[PlaceTarget] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)

    def place(self, scope: Scope) -> PlaceTarget | None:
        return next((place for place in self.places if place.scope == scope), None)


def make_target(view: View, wanted: Document) -> Target:
    """Work out what is meant, reading what that takes while the view is open.

    Raises OptionError where a place is not there or a key is not unique; other problems are collected.
    """
    target = Target()
    _check_releases(view, wanted, target.problems)
    for spec in wanted.places:
        if spec.scope.kind == VNET and view.release < _FORWARD:
            continue  # There is nothing to read.
        view.check(spec.scope)
        if spec.scope.kind == GROUP and spec.scope.id not in view.groups():
            target.assumed.append(f"security group {spec.scope.id}")
        place = _place(view, spec)
        target.places.append(place)
        gone = _gone(place.groups)
        target.places += [_group_rules(view, name, ListSpec(exclusive=True)) for name in sorted(gone)]
        lists = [(place, spec.rules)] if spec.rules else []
        for group in spec.groups:
            if group.rules and group.state == "present":
                lists.append((_group_rules(view, group.name, group.rules), group.rules))
        target.places += [inner for inner, unused in lists if inner is not place]
        target.assumed += [
            f"rule {listed.anchor} of {one.scope}" for one, listed in lists if _misses_anchor(one, listed)
        ]
    for place in target.places:
        _check_place(view, target, place)
    target.places = [_with_families(view, target, place) for place in target.places]
    _check_removals(view, target)
    return target


def _check_releases(view: View, wanted: Document, problems: Problems) -> None:
    """Ask for the release only where it decides. What rules take is looked at when one of them is to be written."""
    for spec in wanted.places:
        needs: list[tuple[str, tuple[int, int]]] = []
        if spec.scope.kind == VNET:
            needs.append((f"{spec.scope}", _FORWARD))
        needs += [(f"options {name}", _SINCE[name]) for name in {*spec.options.values, *spec.options.unset} & {*_SINCE}]
        for where, since in sorted(needs):
            _check_release(view, problems, where, since)


def _check_release(view: View, problems: Problems, where: str, since: tuple[int, int]) -> None:
    if view.release < since:
        has = ".".join(str(part) for part in view.release)
        problems.add(where, f"is there from PVE {since[0]}.{since[1]} on, and this is {has}")


# -- one place ---------------------------------------------------------------------------------------------------------


def _place(view: View, spec: PlaceSpec) -> PlaceTarget:
    scope = spec.scope
    return PlaceTarget(
        scope,
        None if spec.rules is None else list_goal(spec.rules, _rules(view, scope)),
        _options(view.options(scope), spec.options) if spec.options.given else None,
        _aliases(view, spec) if spec.aliases or "aliases" in spec.exclusive else None,
        _sets(view, spec) if spec.ipsets or "ipsets" in spec.exclusive else None,
        _groups(view, spec) if spec.groups or "groups" in spec.exclusive else None,
    )


def _rules(view: View, scope: Scope) -> tuple[Rule, ...]:
    return () if scope.kind == GROUP and scope.id not in view.groups() else view.rules(scope)


def _group_rules(view: View, name: str, listed: ListSpec) -> PlaceTarget:
    place = Scope(GROUP, name)
    return PlaceTarget(place, list_goal(listed, _rules(view, place)))


def list_goal(spec: ListSpec, current: tuple[Rule, ...]) -> Goal:
    """Return where a declaration takes a list. Raises OptionError (see ``match``), and where the anchor is to go."""
    found = match(spec, current)
    final: dict[int, Rule] = {}
    ours: list[int] = []
    made: list[int] = []
    for number, item in enumerate(found.declared):
        element = len(current) + number if item.index is None else item.index
        made += [element] if item.index is None else []
        ours.append(element)
        final[element] = final_rule(item.spec, None if item.index is None else current[item.index])
    gone = found.removed | found.bridges
    start = [*made, *(index for index in range(len(current)) if index not in gone)]
    anchor = _anchor(spec, current, gone)
    return Goal(current, final, tuple(made), gone, arrange(start, ours, spec.position, anchor, frozenset(made)))


def _anchor(spec: ListSpec, current: tuple[Rule, ...], gone: frozenset[int]) -> int | None:
    """Return the index of the anchor; None where there is none (yet)."""
    found = _indexes(spec.anchor, current) if spec.position in (BEFORE, AFTER) else []
    staying = [index for index in found if index not in gone]
    if found and not staying:
        raise OptionError(f"anchor: the rule with the key {spec.anchor} is to go.", "Keep it, or say position: top.")
    return staying[0] if staying else None


def _indexes(key: str | None, rules: tuple[Rule, ...]) -> list[int]:
    return [index for index, rule in enumerate(rules) if Comment.parse(rule.comment).key == key]


def _misses_anchor(place: PlaceTarget, spec: ListSpec) -> bool:
    return spec.anchor is not None and place.goal is not None and not _indexes(spec.anchor, place.goal.current)


def _options(current: Mapping[str, Option], spec: OptionsSpec) -> tuple[Mapping[str, Option], Mapping[str, Option]]:
    gone = set(current) - set(spec.values) if spec.exclusive else set(spec.unset)
    after = {name: value for name, value in current.items() if name not in gone}
    for name, value in spec.values.items():
        if name not in current or not same_option(name, current[name], value):
            after[name] = value
    return current, after


def same_option(name: str, one: Option, other: Option) -> bool:
    """Tell whether two values of an option mean the same."""
    if name in ("log_ratelimit", "nf_conntrack_helpers"):
        return set(str(one).replace(" ", ",").split(",")) == set(str(other).split(","))
    return str(one) == str(other)


def _aliases(view: View, spec: PlaceSpec) -> tuple[Mapping[str, Alias], Mapping[str, Alias]]:
    current = view.aliases(spec.scope)
    declared = {alias.name.lower() for alias in spec.aliases}
    after = {name: alias for name, alias in current.items() if "aliases" not in spec.exclusive or name in declared}
    for wish in spec.aliases:
        name = wish.name.lower()
        old = current.get(name)
        if wish.state == "absent":
            after.pop(name, None)
            continue
        if wish.cidr is None and old is None:
            raise OptionError(f"aliases[{wish.name}] cidr: is needed, as there is no such alias yet.")
        cidr = old.cidr if old and (wish.cidr is None or plain_alias(wish.cidr) == plain_alias(old.cidr)) else wish.cidr
        comment = (old.comment if old else None) if wish.comment is None else wish.comment or None
        after[name] = Alias(old.name if old else wish.name, _shortened(cidr or ""), comment, family(cidr))
    return current, after


def _shortened(cidr: str) -> str:
    """Return an alias's address as PVE keeps it: without a prefix that says nothing."""
    full = "/128" if ":" in cidr else "/32"
    return cidr[: -len(full)] if cidr.endswith(full) else cidr


def _sets(view: View, spec: PlaceSpec) -> tuple[Mapping[str, IpSet], Mapping[str, IpSet]]:
    current = view.sets(spec.scope)
    declared = {wish.name for wish in spec.ipsets if wish.state == "present"}
    for wish in spec.ipsets:
        if wish.name in current:
            entries = view.entries(spec.scope, wish.name)
            current[wish.name] = replace(current[wish.name], entries=entries)
    after = {name: found for name, found in current.items() if "ipsets" not in spec.exclusive or name in declared}
    for wish in spec.ipsets:
        if wish.state == "absent":
            after.pop(wish.name, None)
            continue
        old = current.get(wish.name, IpSet(wish.name))
        comment = old.comment if wish.comment is None else wish.comment or None
        after[wish.name] = IpSet(wish.name, comment, _entries(old.entries or (), wish))
    return current, after


def _entries(current: Iterable[Entry], wish: SetSpec) -> tuple[Entry, ...]:
    found = {plain_network(entry.cidr): entry for entry in current}
    if wish.exclusive:
        declared = {entry.cidr for entry in wish.entries}
        found = {cidr: entry for cidr, entry in found.items() if cidr in declared}
    for entry in wish.entries:
        if entry.state == "absent":
            found.pop(entry.cidr, None)
            continue
        old = found.get(entry.cidr, Entry(entry.cidr))
        comment = old.comment if entry.comment is None else entry.comment or None
        found[entry.cidr] = replace(
            old, nomatch=old.nomatch if entry.nomatch is None else entry.nomatch, comment=comment
        )
    return tuple(sorted(found.values(), key=lambda entry: entry.cidr))


def _groups(view: View, spec: PlaceSpec) -> tuple[Mapping[str, Group], Mapping[str, Group]]:
    current = view.groups()
    declared = {wish.name for wish in spec.groups if wish.state == "present"}
    after = {name: found for name, found in current.items() if "groups" not in spec.exclusive or name in declared}
    for wish in spec.groups:
        if wish.state == "absent":
            after.pop(wish.name, None)
            continue
        old = current.get(wish.name, Group(wish.name))
        after[wish.name] = replace(old, comment=old.comment if wish.comment is None else wish.comment or None)
    return current, after


# -- what the rules speak of -------------------------------------------------------------------------------------------


def _check_place(view: View, target: Target, place: PlaceTarget) -> None:
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
    label = f"{scope} rules[{Comment.parse(rule.comment).key or rule.action}]"
    if rule.type == "forward":
        _check_release(view, target.problems, label, _FORWARD)
    for name in ("source", "dest"):
        named = reference(getattr(rule, name) or "")
        if named and named.scope:
            _check_release(view, target.problems, f"{label} {name}", _FORWARD if named.scope == "sdn" else _PREFIXES)
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


def _with_families(view: View, target: Target, place: PlaceTarget) -> PlaceTarget:
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


def _check_removals(view: View, target: Target) -> None:
    """Refuse to take away what rules that stay still name; PVE would let them dangle, without effect."""
    for place in target.places:
        gone = {
            "alias": _gone(place.aliases),
            "IP set": _gone(place.sets),
            "security group": _gone(place.groups),
        }
        if not any(gone.values()):
            continue
        for scope in _users(view, place.scope):
            for rule in _rules_after(view, target, scope):
                for kind, name in _names_in(rule):
                    if name in gone[kind] and not _meant_elsewhere(rule, place.scope):
                        key = Comment.parse(rule.comment).key
                        target.problems.add(
                            f"{kind} {name}",
                            f"a rule of {scope} still names it ({key or rule.action}); take that away first, or in "
                            "the same document",
                        )


def _gone(pair: tuple[Mapping[str, Any], Mapping[str, Any]] | None) -> set[str]:
    return set() if pair is None else set(pair[0]) - set(pair[1])


def _users(view: View, scope: Scope) -> Iterator[Scope]:
    """Yield the places whose rules may name what is in this one, as far as they can be listed cheaply."""
    yield scope
    if scope == DATACENTER:
        for name in view.groups():
            yield Scope(GROUP, name)


def _rules_after(view: View, target: Target, scope: Scope) -> Iterable[Rule]:
    declared = target.place(scope)
    if declared and declared.goal:
        return declared.goal.rules()
    everything = target.place(DATACENTER)
    if scope.kind == GROUP and everything and everything.groups and scope.id in _gone(everything.groups):
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
