"""No secret is lost and no token left without one, whatever request is struck, at whichever moment, by whatever."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from itertools import product
from typing import Any

import pytest
from ansible_collections.homelab.pve.tests.faults.cluster import WHAT, WHEN
from ansible_collections.homelab.pve.tests.faults.runner import Outcome, Runner
from ansible_collections.homelab.pve.tests.faults.world import SCENARIOS, Json, Place, Scenario, facts

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
# They go as "create, 9.2" does, with an older release or twice.
KNOWN = ("create, 8.4", "two readers, 9.2")


class Judge:
    """Runs a scenario, and says what has to hold after it was struck and after the next run."""

    def __init__(self, scenario: Scenario, place: Place, runner: Runner) -> None:
        self.scenario, self.place, self.runner = scenario, place, runner
        place.reset(scenario.files)
        place.cluster.clear_requests()
        self.succeeds()
        self.requests = [f"{row['method']} {row['path']}" for row in place.cluster.requests()]
        self.good_facts = facts(place.cluster.export(), scenario.tokens)
        self.good_files = place.files
        self.is_good()

    def run(self, **how: Any) -> Outcome:
        return self.runner.run(self.scenario.module, {**self.place.connection, **self.scenario.options}, **how)

    def succeeds(self) -> Json:
        result = self.run().result
        assert result is not None
        assert not result.get("failed"), result["msg"]
        return result

    def is_good(self) -> None:
        """Everything is as it is after a run that nothing happened to, and stays so."""
        for tokenid, name in self.scenario.tokens.items():
            assert self.place.works(tokenid, name), f"{tokenid} has no working secret"
        assert facts(self.place.cluster.export(), self.scenario.tokens) == self.good_facts
        assert self.place.files == self.good_files
        assert not self.succeeds()["changed"]

    def ends_well(self, outcome: Outcome) -> None:
        """The next run, which nothing happens to, makes everything good."""
        untouched = facts(self.place.cluster.export()) == facts(self.place.before)
        if untouched and self.place.files == set(self.scenario.files):
            return  # That run would be the very first one again.
        if outcome.failed:
            self.succeeds()
        self.is_good()

    def files_may_hold_more(self) -> None:
        """What stood in a file before is kept beside it: so does the secret of another run that came first."""
        self.good_files |= {f"{name}.previous" for name in self.scenario.tokens.values()} & self.place.files

    def after_the_blow(self, outcome: Outcome) -> None:
        """Nothing else was touched, and whatever is unfinished can be seen to be."""
        place, tokens = self.place, self.scenario.tokens
        state = place.cluster.export()
        now = facts(state)
        for fact, value in facts(place.before).items():
            if not any(name in fact.split() for name in tokens):
                assert now.get(fact) == value, f"{fact} was touched"
        for tokenid, name in tokens.items():
            new = state["secrets"].get(tokenid) not in (None, place.before["secrets"].get(tokenid))
            kept = place.works(tokenid, name)
            assert kept or not new or f".{name}.pending" in place.files, f"{tokenid} has no secret, and no marker"
            if not outcome.failed:
                assert kept, f"{tokenid} was told to be well"
        for path in place.home.iterdir():
            assert path.stat().st_mode & 0o077 == 0, path.name


def struck(judge: Judge, what: str, when: str, nth: int) -> Outcome:
    pid: Future[int] = Future()
    judge.place.reset(judge.scenario.files)
    judge.place.cluster.strike(what, when, nth, pid)
    outcome = judge.run(pid=pid)
    assert judge.place.cluster.was_struck
    judge.place.cluster.open()
    return outcome


def chosen(nth: int, request: str, what: str, when: str, *, known: bool = False) -> bool:
    """Whether this is to happen at the request: at one that changes something all does, at every moment.

    A read is the same to PVE at every moment: it meets all that can happen, and every moment, but not each with each.
    So does a change whose like is ``known`` from another scenario.
    """
    every_pair = not (known or request.startswith("GET "))
    return every_pair or (nth + WHAT.index(what) + WHEN.index(when)) % len(WHEN) == 0


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("name", BY_NAME)
def test_whatever_happens_at_any_request(place: Callable[[str], Place], runner: Runner, name: str, what: str) -> None:
    scenario = BY_NAME[name]
    judge = Judge(scenario, place(scenario.release), runner)
    problems = []
    for (nth, request), when in product(enumerate(judge.requests, 1), WHEN):
        if not chosen(nth, request, what, when, known=name in KNOWN):
            continue
        outcome = None
        try:
            outcome = struck(judge, what, when, nth)
            check_outcome(judge, what, outcome)
            judge.after_the_blow(outcome)
            judge.ends_well(outcome)
        except AssertionError as error:
            problems.append(f"{when} {nth} {request}: {error}\n    {outcome and outcome.said}")
    assert not problems, "\n".join(problems)


def test_every_request_meets_every_blow_and_every_moment() -> None:
    for nth, request in product(range(1, 9), ("GET /version", "POST /pools")):
        met = [(what, when) for what, when in product(WHAT, WHEN) if chosen(nth, request, what, when)]
        assert {what for what, unused in met} == set(WHAT)
        assert {when for unused, when in met} == set(WHEN)
        assert len(met) == (4 if request.startswith("GET") else 16)


def check_outcome(judge: Judge, what: str, outcome: Outcome) -> None:
    """One cut is made good in the same run; a server that stays away makes it fail, naming the tokens."""
    if what == "kill":
        assert outcome.killed
    elif what == "cut":
        assert not outcome.failed, "one cut made it fail"
    elif outcome.failed:
        assert outcome.result is not None
        for tokenid in judge.scenario.tokens:
            assert tokenid in outcome.result["msg"], "the failure does not name the token"
