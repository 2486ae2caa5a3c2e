"""What each place is to hold in the end, and what speaks against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..client.errors import OptionError
from .arrange import arrange
from .comments import Comment
from .identity import final_rule, match
from .model import Alias, Entry, Group, IpSet, Option, Rule
from .observe import View
from .places import PlaceTarget, Target, gone_from
from .references import check_references, check_removals, with_families
from .releases import FORWARD, check_releases
from .scope import GROUP, VNET, Scope
from .sequence import Goal
from .values import family, plain_alias, plain_network
from .wanted import AFTER, BEFORE, Document, ListSpec, OptionsSpec, PlaceSpec, SetSpec


def make_target(view: View, wanted: Document) -> Target:
    """Work out what is meant, reading what that takes while the view is open.

    Raises OptionError where a place is not there or a key is not unique; other problems are collected.
    """
    target = Target()
    check_releases(view, wanted, target.problems)
    for spec in wanted.places:
        if spec.scope.kind == VNET and view.release < FORWARD:
            continue  # There is nothing to read.
        view.check(spec.scope)
        if spec.scope.kind == GROUP and spec.scope.id not in view.groups():
            target.assumed.append(f"security group {spec.scope.id}")
        place = _place(view, spec)
        target.places.append(place)
        gone = gone_from(place.groups)
        target.places += [_group_rules(view, name, ListSpec(exclusive=True)) for name in sorted(gone)]
        lists = [(place, spec.rules)] if spec.rules else []
        for group in spec.groups:
            if group.rules and group.state == "present":
                lists.append((_group_rules(view, group.name, group.rules), group.rules))
        target.places += [inner for inner, unused in lists if inner is not place]
        target.assumed += [
            f"rule {listed.anchor} of {one.scope}" for one, listed in lists if _misses_anchor(one, listed)
        ]
    check_references(view, target)
    target.places = [with_families(view, target, place) for place in target.places]
    check_removals(view, target)
    return target


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
    # Of what goes, people want to see what was in it.
    going = set(current) - declared if "ipsets" in spec.exclusive else set()
    for name in sorted({*(wish.name for wish in spec.ipsets), *going} & set(current)):
        current[name] = replace(current[name], entries=view.entries(spec.scope, name))
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
