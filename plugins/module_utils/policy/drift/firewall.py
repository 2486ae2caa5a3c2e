"""The firewall as it is, held against what a policy declares, place by place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from ...client.errors import ApiError, OptionError, PveError
from ...firewall.comments import Comment, is_bridge
from ...firewall.model import Alias, Entry, Group, IpSet, Rule
from ...firewall.places import PlaceTarget, Target, gone_from
from ...firewall.reach import rule_text
from ...firewall.releases import FORWARD
from ...firewall.scope import CLUSTER, GROUP, GUEST, NODE, VNET, Scope
from ...firewall.sequence import Goal
from ...firewall.shown import alias_row, entry_row, group_row, rule_row, set_row
from ...firewall.target import make_target, same_option
from ...firewall.values import plain_network
from ...firewall.wanted import Document, ListSpec, PlaceSpec, RuleSpec, SetSpec
from ..findings import Gap, Judgement
from ..observe import Observed, guest_down, node_down, unread_datacenter
from ..sources import NotInSnapshot
from .findings import (
    capital,
    differing,
    tell_different,
    tell_missing,
    tell_open,
    tell_refused,
    tell_unexpected,
    told_fields,
)

ABSENT = "absent"
_VNETS = "/cluster/sdn/vnets"
# How problems name what others still need, a rule, and the field of it.
_OBJECTS = ("alias ", "IP set ", "security group ")
_OF_RULE = re.compile(r"rules\[(?P<rule>.*)\](?: (?P<field>\w+))?\Z")
T = TypeVar("T")
Pair = tuple[Mapping[str, Any], Mapping[str, Any]]


def judge_firewall(observed: Observed, document: Document, judgement: Judgement) -> None:
    """Write down all differences. A place that cannot be read leaves a gap, and the others are judged."""
    places = [spec for spec in document.places if _can_be_judged(observed, spec.scope, judgement)]
    wanted = replace(document, places=tuple(places))
    target = _target(observed, wanted, judgement)
    if target is not None:
        _Drift(wanted, target, judgement).run()


def subject_of(scope: Scope) -> str:
    """Return how findings name a place; a group of users is something else than one of rules."""
    return f"security {scope}" if scope.kind == GROUP else str(scope)


def _named(scope: Scope) -> str:
    return "the datacenter" if scope.kind == CLUSTER else subject_of(scope)


# -- what can be judged ------------------------------------------------------------------------------------------------


def _can_be_judged(observed: Observed, scope: Scope, judgement: Judgement) -> bool:
    """Tell whether a place is there and answers; what it is if not is written down."""
    gap: Gap | None = None
    if scope.kind == CLUSTER:
        if "Sys.Audit" not in observed.access.rights.get("/", {}):
            gap = unread_datacenter(observed.access.caller)
    elif scope.kind == NODE:
        status = {str(row["node"]): row.get("status") for row in observed.rows if row.get("type") == "node"}
        if scope.id not in status:
            names = ", ".join(sorted(status))
            return _refused(judgement, scope, f"There is no node {scope.id}.", f"The nodes are {names}.")
        if status[scope.id] == "offline":
            gap = node_down("firewall", scope.id)
    elif scope.kind == GUEST:
        row = observed.guests.get(int(scope.id))
        if row is None and "guests" in observed.access.complete:
            return _refused(judgement, scope, f"There is no guest {scope.id}.", "Correct the number, or take it out.")
        if row is None:
            reason = f"{observed.access.caller} sees no guest of that number, and does not see all guests."
            gap = Gap(f"firewall of {scope}", reason, f"Give it VM.Audit on /vms/{scope.id}, or correct the number.")
        elif row["node"] in observed.access.nodes_down:
            gap = guest_down(scope.id, row["node"])
    elif scope.kind == VNET and observed.access.release >= FORWARD:
        return _vnet_can_be_judged(observed, scope, judgement)
    if gap is not None:
        judgement.gap(gap.what, gap.reason, gap.fix)
    return gap is None


def _vnet_can_be_judged(observed: Observed, scope: Scope, judgement: Judgement) -> bool:
    try:
        names = {str(row["vnet"]) for row in observed.firewall.read(_VNETS)}
    except (ApiError, NotInSnapshot) as error:
        judgement.gap("vnets", error.message, error.hint)
        return False
    if scope.id in names:
        return True
    if observed.sees_all("/sdn/zones", "SDN.Audit", "SDN.Use", "SDN.Allocate"):
        return _refused(judgement, scope, f"There is no vnet {scope.id}.", "Correct the name, or take it out.")
    reason = f"{observed.access.caller} sees no vnet of that name, and may not see all of them."
    judgement.gap(f"firewall of {scope}", reason, "Give it SDN.Audit on /sdn/zones, propagated, or correct the name.")
    return False


def _refused(judgement: Judgement, scope: Scope, said: str, fix: str) -> bool:
    tell_refused(judgement, subject_of(scope), "", said, fix)
    return False


def _target(observed: Observed, wanted: Document, judgement: Judgement) -> Target | None:
    """Work out what is meant; places for which that fails are written down and left out."""
    view = observed.firewall
    try:
        return make_target(view, wanted)
    except (ApiError, NotInSnapshot, OptionError):
        good = [spec for spec in wanted.places if _works_alone(observed, wanted, spec, judgement)]
    try:
        return make_target(view, replace(wanted, places=tuple(good)))
    except (ApiError, NotInSnapshot, OptionError) as error:
        judgement.gap("the firewall", error.message, error.hint)
        return None


def _works_alone(observed: Observed, wanted: Document, spec: PlaceSpec, judgement: Judgement) -> bool:
    problem: PveError
    try:
        make_target(observed.firewall, replace(wanted, places=(spec,)))
    except OptionError as error:
        problem = error
    except (ApiError, NotInSnapshot) as error:
        judgement.gap(f"firewall of {_named(spec.scope)}", error.message, error.hint)
        return False
    else:
        return True
    said = f"{capital(_named(spec.scope))}: {problem.message} Nothing else of it was judged."
    return _refused(judgement, spec.scope, said, problem.hint)


# -- the differences ---------------------------------------------------------------------------------------------------


class _Drift:
    def __init__(self, wanted: Document, target: Target, judgement: Judgement) -> None:
        self.target = target
        self.judgement = judgement
        self.specs = {spec.scope: spec for spec in wanted.places}
        self.lists: dict[Scope, ListSpec] = {}
        for spec in wanted.places:
            self.lists.update({spec.scope: spec.rules} if spec.rules else {})
            self.lists.update({Scope(GROUP, group.name): group.rules for group in spec.groups if group.rules})
        # Rules that cannot be made, as findings name them.
        self.refused: set[tuple[str, str]] = set()
        # What stands against taking away aliases, IP sets and security groups, by their names.
        self.obstacles: dict[str, list[str]] = {}

    def run(self) -> None:
        """Write down everything."""
        self._problems()
        told: set[Scope] = set()
        for place in self.target.places:
            if place.groups is not None:
                told |= self._groups(place, place.groups)
        for place in self.target.places:
            if place.options is not None:
                self._options(place.scope, place.options)
            if place.aliases is not None:
                self._aliases(place.scope, place.aliases)
            if place.sets is not None:
                self._sets(place.scope, place.sets)
            if place.goal is not None and place.scope not in told:
                self._rules(place.scope, place.goal)
        for name, problems in self.obstacles.items():
            tell_refused(self.judgement, "firewall", name, " ".join(problems), "")

    def _problems(self) -> None:
        """Write down what speaks against the policy itself."""
        together: dict[tuple[str, str], list[str]] = {}
        for problem in dict.fromkeys(self.target.problems.found):
            where = problem.partition(": ")[0]
            if where.startswith(_OBJECTS):
                self.obstacles.setdefault(where, []).append(problem)
            else:
                together.setdefault(self._place_in(where), []).append(problem)
        for (subject, path), problems in together.items():
            self.refused.add((subject, path))
            tell_refused(self.judgement, subject, path, " ".join(problems), "")
        for name in dict.fromkeys(self.target.assumed):
            said = f"The policy needs {name}, which is not there, and does not declare it."
            tell_refused(self.judgement, "firewall", name, said, "Declare it.")

    def _place_in(self, where: str) -> tuple[str, str]:
        """Return the place that a problem is about and what of it, as findings name them."""
        for scope in (*self.specs, *(place.scope for place in self.target.places)):
            if where == str(scope) or where.startswith(f"{scope} "):
                rest = where[len(str(scope)) :].strip()
                rule = _OF_RULE.match(rest)
                return subject_of(scope), f"rule {rule['rule']}" if rule else rest
        return "firewall", where

    # -- objects -------------------------------------------------------------------------------------------------------

    def _options(self, scope: Scope, pair: Pair) -> None:
        before, after = pair
        for name in sorted({*before, *after}):
            path, what = f"option {name}", f"option {name} of {_named(scope)}"
            if name not in before:
                tell_missing(self.judgement, subject_of(scope), path, what, {name: after[name]})
            elif name not in after:
                absent = name in self.specs[scope].options.unset
                tell_unexpected(self.judgement, subject_of(scope), path, what, {name: before[name]}, absent=absent)
            elif not same_option(name, before[name], after[name]):
                self._tell_different(scope, path, what, {name: before[name]}, {name: after[name]})

    def _aliases(self, scope: Scope, pair: tuple[Mapping[str, Alias], Mapping[str, Alias]]) -> None:
        before, after = pair
        absent = {spec.name.lower() for spec in self.specs[scope].aliases if spec.state == ABSENT}
        for name in sorted({*before, *after}):
            old, new = before.get(name), after.get(name)
            self._tell(scope, f"alias {name}", _row(alias_row, old), _row(alias_row, new), name in absent)

    def _sets(self, scope: Scope, pair: tuple[Mapping[str, IpSet], Mapping[str, IpSet]]) -> None:
        before, after = pair
        specs = {spec.name: spec for spec in self.specs[scope].ipsets}
        for name in sorted({*before, *after}):
            old, new = before.get(name), after.get(name)
            path, spec = f"IP set {name}", specs.get(name)
            if old is None or new is None:
                absent = spec is not None and spec.state == ABSENT
                self._tell(scope, path, _row(set_row, old), _row(set_row, new), absent)
                continue
            self._tell(scope, path, {"comment": old.comment}, {"comment": new.comment}, False)
            gone = {entry.cidr for entry in spec.entries if entry.state == ABSENT} if spec else set()
            was, will = _by_network(old.entries or ()), _by_network(new.entries or ())
            for cidr in sorted({*was, *will}):
                one, other = _row(entry_row, was.get(cidr)), _row(entry_row, will.get(cidr))
                self._tell(scope, f"{path} {cidr}", one, other, cidr in gone)
            if spec is not None:
                self._open_entries(scope, path, spec, was)

    def _open_entries(self, scope: Scope, path: str, spec: SetSpec, was: Mapping[str, Entry]) -> None:
        """Judge that entries are exceptions whose declaration does not speak of it."""
        for entry in spec.entries:
            old = was.get(entry.cidr)
            if entry.state != ABSENT and entry.nomatch is None and old is not None and old.nomatch:
                self._tell_open(scope, f"{path} {entry.cidr}", {"nomatch": True}, spec.exclusive)

    def _tell_open(self, scope: Scope, path: str, left_open: Mapping[str, Any], exclusive: bool) -> None:
        """Write down what the policy leaves open: a finding where only what is declared may be, else a note."""
        what = f"{path} of {_named(scope)}"
        if exclusive:
            tell_open(self.judgement, subject_of(scope), path, what, left_open)
        else:
            self.judgement.note(f"{capital(what)}: {told_fields(left_open)}, and the policy leaves that open.")

    def _groups(self, place: PlaceTarget, pair: tuple[Mapping[str, Group], Mapping[str, Group]]) -> set[Scope]:
        """Judge the security groups, and return those whose rules are told with them."""
        before, after = pair
        absent = {spec.name for spec in self.specs[place.scope].groups if spec.state == ABSENT}
        for name in sorted({*before, *after}):
            old, new, scope = before.get(name), after.get(name), Scope(GROUP, name)
            inner = self.target.place(scope)
            goal = inner.goal if inner else None
            found, expected = _row(group_row, old), _row(group_row, new)
            if goal and found and not expected:
                found["rules"] = [rule_row(rule) for rule in goal.current]
            if goal and expected and not found:
                expected["rules"] = [rule_row(rule) for rule in goal.rules()]
            self._tell(scope, "", found, expected, name in absent)
        return {Scope(GROUP, name) for name in gone_from(pair) | gone_from((after, before))}

    def _tell(
        self, scope: Scope, path: str, found: dict[str, Any] | None, expected: dict[str, Any] | None, absent: bool
    ) -> None:
        """Write down what one object is and is not; None is where there is none."""
        subject = subject_of(scope)
        what = f"{path} of {_named(scope)}" if path else subject
        if found is None:
            tell_missing(self.judgement, subject, path, what, expected)
        elif expected is None:
            problems = self.obstacles.pop(path or subject, [])
            also = f"As it is, that is refused: {' '.join(problems)}" if problems else ""
            tell_unexpected(self.judgement, subject, path, what, found, absent=absent, also=also)
        else:
            self._tell_different(scope, path, what, found, expected)

    def _tell_different(
        self, scope: Scope, path: str, what: str, found: Mapping[str, Any], expected: Mapping[str, Any]
    ) -> None:
        was, will = differing(found, expected)
        if will:
            tell_different(self.judgement, subject_of(scope), path, what, was, will)

    # -- rules ---------------------------------------------------------------------------------------------------------

    def _rules(self, scope: Scope, goal: Goal) -> None:
        subject, there = subject_of(scope), len(goal.current)
        listed = self.lists.get(scope, ListSpec())
        present = [spec for spec in listed.rules if spec.state != ABSENT]
        for spec, (element, rule) in zip(present, goal.final.items()):
            path = _rule_path(rule)
            what = f"{path} of {_named(scope)}"
            if element >= there:
                if (subject, path) not in self.refused:
                    tell_missing(self.judgement, subject, path, what, rule_row(rule))
                continue
            old = goal.current[element]
            found, expected = rule_row(old), rule_row(rule)
            if found == expected and old.comment != rule.comment:
                found, expected = {"comment": old.comment}, {"comment": rule.comment}
            self._tell_different(scope, path, what, found, expected)
            left_open = _left_open(spec, rule)
            if left_open:
                self._tell_open(scope, path, left_open, listed.exclusive)
        absent = {spec.key for spec in listed.rules if spec.state == ABSENT and spec.key is not None}
        for element in sorted(goal.removed):
            old = goal.current[element]
            told = "the copy of a rule that a run which was cut off left behind" if is_bridge(old.comment) else ""
            tell_unexpected(
                self.judgement,
                subject,
                _rule_path(old),
                f"{told or _rule_path(old)} of {_named(scope)}",
                rule_row(old),
                absent=not told and (not listed.exclusive or Comment.parse(old.comment).key in absent),
            )
        self._order(scope, goal, listed)

    def _order(self, scope: Scope, goal: Goal, listed: ListSpec) -> None:
        """Judge the order of the rules that are there and stay; where new ones come to stand is not told twice."""
        keys = {Comment.parse(rule.comment).key for rule in goal.current}
        if listed.anchor is not None and listed.anchor not in keys:
            return  # that it is not there is told
        found = [element for element in range(len(goal.current)) if element not in goal.removed]
        expected = [element for element in goal.arrangement.order if element < len(goal.current)]
        if listed.position is None:
            found, expected = ([one for one in order if one in goal.final] for order in (found, expected))
        if found == expected:
            return
        was = [_called(goal.final.get(element, goal.current[element])) for element in found]
        will = [_called(goal.final.get(element, goal.current[element])) for element in expected]
        what = f"the order of the rules of {_named(scope)}"
        tell_different(self.judgement, subject_of(scope), "order of rules", what, {"rules": was}, {"rules": will})


def _left_open(spec: RuleSpec, rule: Rule) -> dict[str, Any]:
    """Return what a rule has, beside a comment, that its declaration does not speak of."""
    # PVE's web interface writes down that nothing is logged.
    silent = replace(rule, comment=None, log=None if rule.log == "nolog" else rule.log)
    spoken_of = {"type", "action", "enable", *spec.fields}
    found = {name: value for name, value in rule_row(silent).items() if name not in spoken_of}
    return {**found, "enable": False} if spec.enable is None and not rule.enable else found


def _by_network(entries: Iterable[Entry]) -> dict[str, Entry]:
    return {plain_network(entry.cidr): entry for entry in entries}


def _row(show: Callable[[T], dict[str, Any]], one: T | None) -> dict[str, Any] | None:
    return None if one is None else show(one)


def _called(rule: Rule) -> str:
    return Comment.parse(rule.comment).key or rule_text(rule)


def _rule_path(rule: Rule) -> str:
    return f"rule {_called(rule)}"
