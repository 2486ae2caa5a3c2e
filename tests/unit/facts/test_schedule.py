"""Which question comes next, and how many a node is asked at a time."""

from __future__ import annotations

import threading

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.facts.ask import OFFLINE, Ask
from ansible_collections.homelab.pve.plugins.module_utils.facts.fetch import together
from ansible_collections.homelab.pve.plugins.module_utils.facts.schedule import NodeState, Schedule


def asks(node: str | None, many: int, *, agent: bool = False) -> list[Ask]:
    return [Ask("x", f"/{node}/{number}", (), node, agent=agent) for number in range(many)]


def takeable(schedule: Schedule, most: int = 100) -> list[Ask]:
    """Take all that may be asked at once, without waiting for more."""
    found: list[Ask] = []
    while len(found) < most:
        ask = schedule._next() if schedule._lanes else None
        if ask is None:
            break
        found.append(ask)
    return found


def known(*names: str) -> dict[str, NodeState]:
    return {name: NodeState(answering=True) for name in names}


def test_a_node_that_has_not_answered_yet_is_asked_one_question() -> None:
    nodes: dict[str, NodeState] = {}
    schedule = Schedule([*asks("a", 5), *asks("b", 5)], nodes, 8)
    first = takeable(schedule)
    assert [ask.node for ask in first] == ["a", "b"]
    nodes["a"].answering = True
    schedule.done(first[0])
    assert [ask.node for ask in takeable(schedule)] == ["a"] * 4


def test_what_any_node_can_answer_needs_no_trial() -> None:
    assert len(takeable(Schedule(asks(None, 5), {}, 8))) == 5


def test_nodes_take_turns_and_none_takes_all_connections() -> None:
    schedule = Schedule([*asks("a", 9), *asks("b", 2)], known("a", "b"), 8)
    assert [ask.node for ask in takeable(schedule)] == ["a", "b", "a", "b", "a", "a"]


def test_one_node_alone_may_have_all_connections() -> None:
    assert len(takeable(Schedule(asks("a", 9), known("a"), 8))) == 8


def test_agents_are_asked_two_at_a_time() -> None:
    schedule = Schedule([*asks("a", 9, agent=True), *asks("a", 3)], known("a"), 32)
    taken = takeable(schedule)
    assert sum(ask.agent for ask in taken) == 2
    assert len(taken) == 5
    schedule.done(next(ask for ask in taken if ask.agent))
    assert [ask.agent for ask in takeable(schedule)] == [True]


def test_what_is_not_asked_any_more_waits_for_nothing() -> None:
    nodes = {"a": NodeState(in_flight=1, down=(OFFLINE, "down"))}
    assert len(takeable(Schedule(asks("a", 9), nodes, 2))) == 9


def test_whoever_waits_goes_on_when_there_is_room_and_ends_when_all_is_stopped() -> None:
    schedule = Schedule(asks("a", 3), {}, 2)
    first = schedule.take()
    assert first is not None
    found: list[Ask | None] = []
    waiting = threading.Thread(target=lambda: found.append(schedule.take()))
    waiting.start()
    assert not found
    schedule.done(first)
    waiting.join(5)
    assert found[0] is not None
    stopping = threading.Thread(target=lambda: found.append(schedule.take()))
    stopping.start()
    schedule.stop()
    stopping.join(5)
    assert found[1] is None
    assert schedule.take() is None


def test_collectors_side_by_side() -> None:
    """A round is one question list for all; who has no question in it goes on all the same."""

    def counting(name: str, rounds: int) -> object:
        said = []
        for number in range(rounds):
            said += yield [Ask(name, f"/{name}/{number}")] * number
        return said

    both = together({"a": counting("a", 3), "b": counting("b", 1), "c": counting("c", 0)})  # type: ignore[dict-item]  # as plain as can be
    assert both.send(None) == []  # type: ignore[arg-type]  # None starts it
    assert [ask.path for ask in both.send([])] == ["/a/1"]
    assert [ask.path for ask in both.send([1])] == ["/a/2", "/a/2"]
    with pytest.raises(StopIteration) as end:
        both.send([2, 3])
    assert end.value.value == {"a": [1, 2, 3], "b": [], "c": []}
