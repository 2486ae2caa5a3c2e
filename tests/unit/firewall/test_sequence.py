"""From any list of rules to any declared one: reached, by the fewest moves, and nobody cut off on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import pytest

pytest.importorskip("hypothesis")

from ansible_collections.homelab.pve.plugins.module_utils.firewall.comments import BRIDGE, Comment, is_bridge
from ansible_collections.homelab.pve.plugins.module_utils.firewall.identity import match
from ansible_collections.homelab.pve.plugins.module_utils.firewall.model import Rule, Ruleset
from ansible_collections.homelab.pve.plugins.module_utils.firewall.reach import Packet, Reach
from ansible_collections.homelab.pve.plugins.module_utils.firewall.sequence import Goal, Step, sequence
from ansible_collections.homelab.pve.plugins.module_utils.firewall.target import list_goal
from ansible_collections.homelab.pve.plugins.module_utils.firewall.wanted import ListSpec, RuleSpec
from ansible_collections.homelab.pve.tests.unit.examples import examples
from ansible_collections.homelab.pve.tests.unit.firewall.strategies import (
    ADDRESSES,
    PORTS,
    WORLD,
    declarations,
    lists,
)
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

ORDINARY = settings(
    max_examples=examples(100),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)


def apply(rules: Sequence[Rule], step: Step) -> list[Rule]:
    """Do to a list what PVE does for a call."""
    rules = list(rules)
    params: dict[str, Any] = dict(step.params)
    if step.action == "create":
        assert step.position is None
        return [Rule.from_api(params), *rules]
    assert step.position is not None
    rule = rules.pop(step.position)
    if step.action == "delete":
        assert not params
        return rules
    if "moveto" in params:
        assert set(params) == {"moveto"}
        target = params["moveto"]
        assert target not in (step.position, step.position + 1), "a move that moves nothing"
        rules.insert(target - (target > step.position), rule)
        return rules
    gone = params.pop("delete", "").split(",")
    assert "enable" not in gone, "that would switch it on"
    row = {name: value for name, value in {**rule.to_api(), **params}.items() if name not in gone}
    if row["type"] == "group":
        row = {name: value for name, value in row.items() if name in ("type", "action", "enable", "comment", "iface")}
    rules.insert(step.position, Rule.from_api(row))
    return rules


def resolve(name: str) -> str | None:
    alias = WORLD.aliases.get(name)
    return alias.cidr if alias else None


def let_in(rules: Sequence[Rule], policy: str) -> set[tuple[str, int]]:
    """Return who reaches what."""
    cluster = replace(WORLD, rules=tuple(rules), options={"enable": 1, "policy_in": policy})
    reach = Reach(cluster, Ruleset(), None)
    return {
        (source, port)
        for source, port in product(ADDRESSES, PORTS)
        if reach.verdict(Packet(source, port)).action == "ACCEPT"
    }


def cases(*, groups: bool = True) -> st.SearchStrategy[tuple[tuple[Rule, ...], ListSpec]]:
    return lists(groups=groups).flatmap(
        lambda current: st.tuples(st.just(current), declarations(current, groups=groups))
    )


def key_of(rule: Rule) -> str | None:
    return Comment.parse(rule.comment).key


def states(goal: Goal) -> Iterator[list[Rule]]:
    rules = list(goal.current)
    steps, unused = sequence(goal, resolve)
    for step in steps:
        rules = apply(rules, step)
        yield rules


@ORDINARY
@given(cases())
def test_any_declared_list_is_reached(case: tuple[tuple[Rule, ...], ListSpec]) -> None:
    current, wanted = case
    goal = list_goal(wanted, current)
    rules = list(current)
    steps, unused = sequence(goal, resolve)
    for step in steps:
        note(f"{step.action} {step.position} {dict(step.params)}")
        rules = apply(rules, step)
        assert tuple(rules) == step.rules, "what the plan believes is not what PVE holds"
    assert tuple(rules) == goal.rules()

    declared = [spec for spec in wanted.rules if spec.state == "present"]
    found = {key_of(rule): rule for rule in rules if key_of(rule)}
    for spec in wanted.rules:
        if spec.key is not None:
            assert (spec.key in found) == (spec.state == "present")
    for spec in declared:
        if spec.key is not None:
            rule = found[spec.key]
            assert not Comment.parse(rule.comment).pending
            for name, value in spec.fields.items():
                told = Comment.parse(rule.comment).text if name == "comment" else getattr(rule, name)
                assert (told or None) == (value or None)
            assert spec.enable is None or rule.enable == spec.enable
    order = [key_of(rule) for rule in rules if key_of(rule) in {spec.key for spec in declared}]
    assert [key for key in order if key] == [spec.key for spec in declared if spec.key]

    again = list_goal(wanted, tuple(rules))
    assert sequence(again, resolve) == ([], [])


@ORDINARY
@given(cases())
def test_foreign_rules_keep_content_and_order(case: tuple[tuple[Rule, ...], ListSpec]) -> None:
    current, wanted = case
    goal = list_goal(wanted, current)
    ours = {item.index for item in match(wanted, current).declared} | goal.removed
    foreign = [rule for index, rule in enumerate(current) if index not in ours]
    known = [*goal.final.values()]
    for rules in [list(current), *states(goal)]:
        rest = list(rules)
        for rule in foreign:
            assert rule in rest
            rest = rest[rest.index(rule) + 1 :]
    assert len(goal.rules()) == len(foreign) + len(known)


@ORDINARY
@given(cases(groups=False))
def test_nobody_is_cut_off_at_any_step(case: tuple[tuple[Rule, ...], ListSpec]) -> None:
    current, wanted = case
    goal = list_goal(wanted, current)
    steps, warnings = sequence(goal, resolve)
    assert warnings == []
    for policy in ("ACCEPT", "DROP"):
        protected = let_in(current, policy) & let_in(goal.rules(), policy)
        rules = list(current)
        for step in steps:
            note(f"{step.action} {step.position} {dict(step.params)}")
            rules = apply(rules, step)
            assert protected <= let_in(rules, policy)


@ORDINARY
@given(cases())
def test_calls_of_groups_cut_nobody_off_without_a_word(case: tuple[tuple[Rule, ...], ListSpec]) -> None:
    current, wanted = case
    goal = list_goal(wanted, current)
    unused, warnings = sequence(goal, resolve)
    if warnings:
        return
    for policy in ("ACCEPT", "DROP"):
        protected = let_in(current, policy) & let_in(goal.rules(), policy)
        for rules in states(goal):
            assert protected <= let_in(rules, policy)


@ORDINARY
@given(cases())
def test_no_other_way_takes_fewer_moves(case: tuple[tuple[Rule, ...], ListSpec]) -> None:
    current, wanted = case
    goal = list_goal(wanted, current)
    steps, unused = sequence(goal, resolve)
    moves = sum(step.action == "move" for step in steps)
    gone = goal.removed
    start = [*goal.made, *(index for index in range(len(current)) if index not in gone)]
    ours = [element for element in goal.arrangement.order if element in goal.final]
    others = [element for element in start if element not in goal.final]
    assert moves <= len(ours) - _most_that_stay(start, ours, others, goal, wanted.position)


def _most_that_stay(start: list[int], ours: list[int], others: list[int], goal: Goal, position: str | None) -> int:
    """Try every set of declared rules that could stay where they are: nothing that is not ours is moved."""
    for size in range(len(ours), -1, -1):
        for staying in combinations(ours, size):
            among = set(staying) if position is None else {*staying, *others}
            order = ours if position is None else list(goal.arrangement.order)
            if [element for element in start if element in among] == [e for e in order if e in among]:
                return size
    return 0


@ORDINARY
@given(cases())
def test_new_rules_land_on_top_and_what_cuts_off_is_made_switched_off(
    case: tuple[tuple[Rule, ...], ListSpec],
) -> None:
    current, wanted = case
    goal = list_goal(wanted, current)
    steps, unused = sequence(goal, resolve)
    made = [step for step in steps if step.action == "create" and step.after and not is_bridge(step.after.comment)]
    assert len(made) == len(goal.made)
    for step in made:
        assert step.after is not None
        assert step.rules[0] == step.after
        assert step.after.action not in ("DROP", "REJECT") or not step.after.enable
    # A call of a group is made switched on where it cuts off nobody.
    least = sum(
        goal.final[element].enable and goal.final[element].action in ("DROP", "REJECT") for element in goal.made
    )
    most = sum(goal.final[element].enable and goal.final[element].action != "ACCEPT" for element in goal.made)
    if not any(step.note and step.action == "update" for step in steps):
        assert least <= sum(step.element in goal.made and step.action == "update" for step in steps) <= most


def _accept(key: str, source: str) -> Rule:
    return Rule("in", "ACCEPT", source=source, comment=f"[key:{key}]")


@pytest.mark.parametrize(
    ("current", "sources", "helped"),
    [
        pytest.param(
            [_accept("a", "10.0.0.1"), _accept("b", "10.0.0.2"), Rule("in", "DROP")],
            {"a": "10.0.0.2", "b": "10.0.0.1"},
            "bridges",
            id="two change places",
        ),
        pytest.param(
            [_accept("a", "10.0.0.1"), _accept("b", "10.0.0.2"), _accept("c", "10.0.0.5"), Rule("in", "DROP")],
            {"a": "10.0.0.2", "b": "10.0.0.5", "c": "10.0.0.1"},
            "bridges",
            id="three in a circle",
        ),
        pytest.param(
            [
                _accept("a", "10.0.0.1"),
                Rule("in", "DROP", source="10.0.0.1", comment="[key:d]"),
                _accept("c", "10.0.0.2"),
                Rule("in", "DROP"),
            ],
            {"a": "10.0.0.2", "d": "10.0.0.2", "c": "10.0.0.1"},
            "switched off",
            id="what cuts off changes, too",
        ),
        pytest.param(
            [_accept("a", "10.0.0.1"), _accept("b", "10.0.0.1,10.0.0.5"), Rule("in", "DROP")],
            {"a": "10.0.0.1,10.0.0.5", "b": "10.0.0.2"},
            "",
            id="one order will do",
        ),
    ],
)
def test_gaps_are_bridged_where_no_order_will_do(current: list[Rule], sources: dict[str, str], helped: str) -> None:
    wanted = ListSpec(tuple(RuleSpec(key, {"source": source}) for key, source in sources.items()))
    goal = list_goal(wanted, tuple(current))
    steps, warnings = sequence(goal, resolve)
    assert warnings == []
    notes = [step.note for step in steps if step.note]
    assert any(helped in said for said in notes) if helped else not notes
    protected = let_in(current, "DROP") & let_in(goal.rules(), "DROP")
    assert protected
    for rules in states(goal):
        assert protected <= let_in(rules, "DROP")


def test_a_run_that_was_cut_off_is_finished() -> None:
    """At every step: the rest is made by the next run, the marks of unfinished work are gone."""
    current = (
        Rule("in", "ACCEPT", source="10.0.0.1", comment="[key:a]"),
        Rule("in", "ACCEPT", source="10.0.0.2", comment="[key:b]"),
        Rule("in", "DROP"),
    )
    wanted = ListSpec(
        (
            RuleSpec("a", {"source": "10.0.0.2"}),
            RuleSpec("b", {"source": "10.0.0.1"}),
            RuleSpec("c", {"type": "in", "action": "DROP", "source": "10.0.0.5"}),
        )
    )
    goal = list_goal(wanted, current)
    reached = goal.rules()
    seen = list(states(goal))
    assert any(is_bridge(rule.comment) for rules in seen for rule in rules), "this case needs a bridge"
    for rules in seen:
        rest = list_goal(wanted, tuple(rules))
        last = rules
        for step in sequence(rest, resolve)[0]:
            last = apply(last, step)
        assert tuple(last) == reached
        assert not any(rule.comment == BRIDGE or Comment.parse(rule.comment).pending for rule in last)
