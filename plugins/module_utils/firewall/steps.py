"""The difference between what places hold and are to hold, as changes: each with its call and its effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Callable

from ..reconcile import Call, Change
from .comments import Comment
from .model import Alias, Entry, Group, IpSet, Rule, Ruleset
from .observe import Rows, View
from .places import PlaceTarget, Target
from .reach import rule_text
from .scope import DATACENTER, GROUP, GUEST, Scope
from .sequence import Step, sequence, touched_rules
from .shown import alias_row, entry_row, given, rule_row, set_row
from .target import same_option
from .values import reference

# When things are done, where nothing else decides: first what widens, last what narrows.
WIDEN, MAKE, RULES_OF_GROUPS, RULES, READDRESS, TAKE_OUT, REMOVE, NARROW = range(8)

Held = Mapping[Scope, Ruleset]


@dataclass(frozen=True)
class Piece:
    """One change. ``effect`` turns what places hold into what they hold after it.

    ``listing`` is the path of the list (or the options) that it changes, and ``record`` turns the rows of that into
    those after it; a change that takes a digest is ``guarded`` by that of the list.
    """

    phase: int
    scope: Scope
    change: Change
    effect: Callable[[Held], Held]
    listing: str
    record: Callable[[Rows], Rows]

    @property
    def guarded(self) -> bool:
        call = self.change.call
        if call is None or call.path == self.listing:
            # PVE takes a digest for a new name, and for nothing else that is made.
            return call is not None and (call.method == "PUT" or "rename" in call.params)
        return self.change.kind not in ("ipset", "group")


def make_pieces(view: View, target: Target) -> tuple[list[Piece], list[str]]:
    """Return all changes, in the order in which they are made if nothing speaks against it, and what is to be said."""
    pieces: list[Piece] = []
    warnings: list[str] = []
    for place in target.places:
        base = view.base(place.scope)
        if place.options is not None:
            pieces += _options(place, base)
        if place.aliases is not None:
            pieces += _aliases(place, base)
        if place.sets is not None:
            pieces += _sets(place, base)
        if place.groups is not None:
            pieces += _groups(place, base)
        if place.goal is not None:
            concerned = any(True for unused in touched_rules(place.goal))
            resolve = partial(_address_of, view, target, place.scope) if concerned else _unknown
            steps, said = sequence(place.goal, resolve)
            emptied = place.scope.kind == GROUP and not place.goal.rules()
            pieces += [_rule_piece(view, place.scope, step, emptied) for step in steps]
            warnings += [f"{place.scope}: {one}" for one in said]
    return sorted(pieces, key=lambda piece: piece.phase), warnings


def _unknown(name: str) -> None:
    """Resolve no alias: where nothing changes for packets, no address matters."""


def _address_of(view: View, target: Target, scope: Scope, name: str) -> str | None:
    """Return what an alias stands for, if that does not change and the name means one thing."""
    named = reference(name)
    if named is None or named.scope or scope.kind == GUEST:
        return None
    declared = target.place(DATACENTER)
    pair = declared.aliases if declared else None
    before, after = pair if pair else (view.aliases(DATACENTER),) * 2
    one, other = before.get(named.name.lower()), after.get(named.name.lower())
    if other is None or (one is not None and one.cidr != other.cidr):
        return None
    return other.cidr


def _edit(scope: Scope, change: Callable[[Ruleset], Ruleset]) -> Callable[[Held], Held]:
    return lambda held: {**held, scope: change(held[scope])} if scope in held else held


def _nothing(held: Held) -> Held:
    return held


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields that differ, of both sides; a field that is not there is None."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {name: before.get(name) for name in names}, {name: after.get(name) for name in names}


# -- rules -------------------------------------------------------------------------------------------------------------


def _rule_piece(view: View, scope: Scope, step: Step, emptied: bool) -> Piece:
    path = view.rules_path(scope)
    rule = step.after or step.before
    key = Comment.parse(rule.comment).key if rule else None
    before = rule_row(step.before) if step.before else None
    after = rule_row(step.after) if step.after else None
    if step.action == "move":
        before, after = {"position": step.position}, {"position": step.to}
    elif before is not None and after is not None:
        before, after = _difference(before, after)
    method = {"create": "POST", "delete": "DELETE"}.get(step.action, "PUT")
    call = Call(method, path if step.position is None else f"{path}/{step.position}", step.params)
    identity = f"{scope} [{key}]" if key else f"{scope} {rule_text(rule)}" if rule else str(scope)
    change = Change("rule", identity, step.action, before, after, call, step.note)
    # A group that is to go loses its rules after the rules that call it.
    phase = TAKE_OUT if emptied else RULES_OF_GROUPS if scope.kind == GROUP else RULES
    return Piece(
        phase, scope, change, _rules_effect(scope, step.rules), path, lambda rows: [one.to_api() for one in step.rules]
    )


def _rules_effect(scope: Scope, rules: tuple[Rule, ...]) -> Callable[[Held], Held]:
    if scope.kind != GROUP:
        return _edit(scope, lambda held: replace(held, rules=rules))

    def in_group(held: Ruleset) -> Ruleset:
        group = held.groups.get(scope.id, Group(scope.id))
        return replace(held, groups={**held.groups, scope.id: replace(group, rules=rules)})

    return _edit(DATACENTER, in_group)


# -- options -----------------------------------------------------------------------------------------------------------


def _options(place: PlaceTarget, base: str) -> Iterator[Piece]:
    before, after = place.options or ({}, {})
    names = [
        name
        for name in sorted({*before, *after})
        if name not in before or name not in after or not same_option(name, before[name], after[name])
    ]
    if not names:
        return
    params = {name: after[name] for name in names if name in after}
    if gone := [name for name in names if name not in after]:
        params["delete"] = ",".join(gone)
    change = Change(
        "options",
        str(place.scope),
        "update",
        {name: before.get(name) for name in names},
        {name: after.get(name) for name in names},
        Call("PUT", f"{base}/options", params),
    )
    phase = WIDEN if _widens(before, after) else NARROW
    effect = _edit(place.scope, lambda held: replace(held, options=after))
    yield Piece(phase, place.scope, change, effect, f"{base}/options", lambda rows: [dict(after)])


def _widens(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    if str(before.get("enable")) != str(after.get("enable")):
        return str(after.get("enable")) == "0"
    policies = [
        after.get(name) for name in ("policy_in", "policy_out", "policy_forward") if before.get(name) != after.get(name)
    ]
    return bool(policies) and all(policy == "ACCEPT" for policy in policies)


# -- aliases -----------------------------------------------------------------------------------------------------------


def _aliases(place: PlaceTarget, base: str) -> Iterator[Piece]:
    before, after = place.aliases or ({}, {})
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        was, will = (None if one is None else alias_row(one) for one in (old, new))
        if new is None:
            action, phase, call = "delete", REMOVE, Call("DELETE", f"{base}/aliases/{name}")
        elif old is None:
            action, phase = "create", MAKE
            call = Call("POST", f"{base}/aliases", given({"name": new.name, "cidr": new.cidr, "comment": new.comment}))
        else:
            action, phase = "update", READDRESS
            # PVE takes the spelling of the name from the path, and clears a comment that is not sent.
            call = Call("PUT", f"{base}/aliases/{new.name}", given({"cidr": new.cidr, "comment": new.comment}))
        if was is not None and will is not None:
            was, will = _difference(was, will)
        change = Change("alias", f"{place.scope} {(new or old or Alias(name, '')).name}", action, was, will, call)
        row = None if new is None else {**alias_row(new), "ipversion": new.ipversion}
        record = partial(_recorded, "name", name, row)
        yield Piece(
            phase, place.scope, change, _edit(place.scope, _put("aliases", name, new)), f"{base}/aliases", record
        )


def _recorded(key: str, name: str, row: Mapping[str, Any] | None, rows: Rows) -> Rows:
    """Return the rows of a list that PVE sorts by name, with one of them made, replaced or taken out."""
    kept = [one for one in rows if str(one[key]).lower() != name]
    return sorted([*kept, *([dict(row)] if row else [])], key=lambda one: str(one[key]).lower())


def _put(kind: str, name: str, value: Any) -> Callable[[Ruleset], Ruleset]:
    """Return what puts one object into a ruleset, or takes it out where it is None."""

    def put(held: Ruleset) -> Ruleset:
        objects = {key: one for key, one in getattr(held, kind).items() if key != name}
        if value is not None:
            objects[name] = value
        changed: dict[str, Any] = {kind: objects}
        return replace(held, **changed)

    return put


# -- IP sets -----------------------------------------------------------------------------------------------------------


def _sets(place: PlaceTarget, base: str) -> Iterator[Piece]:
    before, after = place.sets or ({}, {})
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        identity = f"{place.scope} +{name}"
        if new is None:
            was = set_row(old) if old else None
            change = Change(
                "ipset", identity, "delete", was, None, Call("DELETE", f"{base}/ipset/{name}", {"force": 1})
            )
            effect, record = _edit(place.scope, _put("ipsets", name, None)), partial(_recorded, "name", name, None)
            yield Piece(REMOVE, place.scope, change, effect, f"{base}/ipset", record)
            continue
        yield from _set_itself(place.scope, base, identity, old, new)
        yield from _entries(place.scope, f"{base}/ipset/{name}", identity, old, new)


def _set_itself(scope: Scope, base: str, identity: str, old: IpSet | None, new: IpSet) -> Iterator[Piece]:
    params = {"name": new.name, "comment": new.comment or ""}
    listing = f"{base}/ipset"
    record = partial(_recorded, "name", new.name, given({"name": new.name, "comment": new.comment}))
    if old is None:
        change = Change(
            "ipset", identity, "create", None, {"comment": new.comment}, Call("POST", listing, _given(params))
        )
        effect = _edit(scope, _put("ipsets", new.name, IpSet(new.name, new.comment)))
        yield Piece(MAKE, scope, change, effect, listing, record)
    elif old.comment != new.comment:
        # PVE changes a comment by giving a set its own name.
        call = Call("POST", listing, {**params, "rename": new.name})
        change = Change("ipset", identity, "update", {"comment": old.comment}, {"comment": new.comment}, call)
        yield Piece(MAKE, scope, change, _nothing, listing, record)


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value != ""}


def _entries(scope: Scope, path: str, identity: str, old: IpSet | None, new: IpSet) -> Iterator[Piece]:
    was = {entry.cidr: entry for entry in (old.entries or ())} if old else {}
    will = {entry.cidr: entry for entry in new.entries or ()}
    blocks = new.name == "blacklist"
    for cidr in sorted({*was, *will}):
        before, after = was.get(cidr), will.get(cidr)
        if before == after:
            continue
        # An alias may have a prefix with a slash, and so has a network.
        if after is None:
            action, call = "delete", Call("DELETE", f"{path}/{cidr}")
        elif before is None:
            action, call = "create", Call("POST", path, _entry_params(after, cidr=True))
        else:
            # What is not sent would be cleared.
            action, call = "update", Call("PUT", f"{path}/{cidr}", _entry_params(after, cidr=False))
        shown = [None if one is None else entry_row(one) for one in (before, after)]
        if before is not None and after is not None:
            shown = list(_difference(shown[0] or {}, shown[1] or {}))
        holds_less = after is None or after.nomatch
        narrows = holds_less is not blocks
        if before is not None and before.nomatch and after is None:
            narrows = blocks
        change = Change("ipset entry", f"{identity} {cidr}", action, shown[0], shown[1], call)
        effect = _edit(scope, _entry_effect(new.name, cidr, after))
        row = None if after is None else {**_entry_params(after, cidr=True)}
        yield Piece(TAKE_OUT if narrows else MAKE, scope, change, effect, path, partial(_recorded, "cidr", cidr, row))


def _entry_params(entry: Entry, *, cidr: bool) -> dict[str, Any]:
    params = {"cidr": entry.cidr} if cidr else {}
    return {**params, **given({"comment": entry.comment}), **({"nomatch": 1} if entry.nomatch else {})}


def _entry_effect(name: str, cidr: str, entry: Entry | None) -> Callable[[Ruleset], Ruleset]:
    def change(held: Ruleset) -> Ruleset:
        found = held.ipsets.get(name, IpSet(name))
        entries = [one for one in found.entries or () if one.cidr != cidr]
        entries += [entry] if entry else []
        return _put("ipsets", name, replace(found, entries=tuple(entries)))(held)

    return change


# -- security groups ---------------------------------------------------------------------------------------------------


def _groups(place: PlaceTarget, base: str) -> Iterator[Piece]:
    before, after = place.groups or ({}, {})
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        identity = f"{place.scope} {name}"
        effect: Callable[[Held], Held] = _nothing
        if new is None:
            was = given({"comment": old.comment if old else None})
            change = Change("group", identity, "delete", was, None, Call("DELETE", f"{base}/groups/{name}"))
            effect, phase = _edit(place.scope, _put("groups", name, None)), REMOVE
        elif old is None:
            call = Call("POST", f"{base}/groups", _given({"group": name, "comment": new.comment or ""}))
            change = Change("group", identity, "create", None, {"comment": new.comment}, call)
            effect, phase = _edit(place.scope, _put("groups", name, Group(name, new.comment))), MAKE
        else:
            call = Call("POST", f"{base}/groups", {"group": name, "rename": name, "comment": new.comment or ""})
            shown = {"comment": old.comment}, {"comment": new.comment}
            change, phase = Change("group", identity, "update", *shown, call), MAKE
        row = None if new is None else given({"group": name, "comment": new.comment})
        record = partial(_recorded, "group", name, row)
        yield Piece(phase, place.scope, change, effect, f"{base}/groups", record)
