"""A rotation ends well wherever it is cut short: at any request, at any step in a file, between its steps."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest
from ansible_collections.homelab.pve.tests.faults.runner import Outcome, Runner
from ansible_collections.homelab.pve.tests.faults.world import OLD_SECRET, Json, Place, facts

PlaceOf = Callable[[str], Place]
TOKEN, STAND_IN = "joe@pve!old", "joe@pve!old-2"
STEPS = ("begin", "renew", "end")
# One of how many cases is tried: all of them take a quarter of an hour.
THINNED = int(os.environ.get("ROTATION_FAULTS", "120"))


@dataclass(frozen=True)
class Scenario:
    """``own``: the token that is renewed is the one that asks."""

    release: str
    overlap: bool = True
    own: bool = False

    def __str__(self) -> str:
        return f"{self.release}{'' if self.overlap else ' in place'}{' by itself' if self.own else ''}"


SCENARIOS = [Scenario("9.2"), Scenario("8.4"), Scenario("8.4", own=True), Scenario("9.2", own=True)]
SCENARIOS += [Scenario("9.2", overlap=False), Scenario("8.4", overlap=False)]


class Rotating:
    """Does the steps of a rotation as a play does, with a consumer that is told where to go, and says if it cannot."""

    def __init__(self, scenario: Scenario, place: Place, runner: Runner) -> None:
        self.scenario, self.place, self.runner = scenario, place, runner
        if scenario.own:
            state = place.cluster.export()
            for kind, name in (("user", "joe@pve"), ("token", TOKEN)):
                row = {"path": "/", "type": kind, "ugid": name, "roleid": "Administrator", "propagate": 1}
                state["acl"].append(row)
            # What is given further down would hide the rights to give it to the other.
            state["acl"] = [row for row in state["acl"] if (row["path"], row["ugid"]) != ("/vms/100", TOKEN)]
            place.cluster.load(state)
            place.before = place.cluster.export()

    def reset(self) -> None:
        self.place.reset({"old": OLD_SECRET})
        self.consumer = (TOKEN, "old")

    def step(self, step: str, **how: Any) -> Outcome:
        options = {"tokenid": TOKEN, "secret_file": "~/old", "step": step, "overlap": self.scenario.overlap}
        connection = self.place.connection
        if self.scenario.own:
            connection |= {"token_id": TOKEN, "token_secret": None, "token_file": "~/old"}
        return self.runner.run("pve_rotation", {**connection, **options, "expire": "90d"}, **how)

    def consume(self) -> None:
        """Ask with what the consumer was last told; in place, there is a moment when that does not work."""
        token, name = self.consumer
        assert self.place.works(token, name), f"the consumer cannot use {token}"

    def all_steps(self, strike: Callable[[str], Json] | None = None) -> Outcome | None:
        """Do what a play does. ``strike`` orders what happens in a step; returns the outcome that ended it early."""
        strike = strike or (lambda _step: {})
        outcome = self.step("begin", **strike("begin"))
        if outcome.failed:
            return outcome
        assert outcome.result is not None
        result = outcome.result
        for step in result["steps"]:
            if step == "interim":
                self.consumer = (STAND_IN, "old.interim")
            elif step == "final":
                self.consumer = (TOKEN, "old")
            else:
                outcome = self.step(step, **strike(step))
                if outcome.failed:
                    return outcome
            self.consume()
        return None

    def never_without(self) -> None:
        """Whatever the consumer was told to use works, where another token stands in; and all files are closed."""
        if self.scenario.overlap:
            self.consume()
        for path in self.place.home.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name

    def is_rotated(self) -> None:
        state = self.place.cluster.export()
        assert self.place.works(TOKEN, "old")
        assert state["secrets"][TOKEN] != self.place.before["secrets"][TOKEN]
        now, before = facts(state, {TOKEN: ""}), facts(self.place.before, {TOKEN: ""})
        end = now[f"tokens {TOKEN}"]["expire"]
        assert end > 0
        before[f"tokens {TOKEN}"]["expire"] = end
        assert now == before
        assert self.place.files - {"old.previous"} == {"old", ".old.born"}
        assert self.consumer == (TOKEN, "old")


@pytest.fixture(params=SCENARIOS, ids=str)
def rotating(request: pytest.FixtureRequest, place: PlaceOf, runner: Runner) -> Rotating:
    return Rotating(request.param, place(request.param.release), runner)


def requests_of(rotating: Rotating) -> dict[str, int]:
    """Return how many requests each step takes."""
    counts: dict[str, int] = {}
    rotating.reset()

    def counting(step: str) -> Json:
        counts[step] = 0
        return {}

    for step in STEPS:
        rotating.place.cluster.clear_requests()
        assert not rotating.step(step).failed
        counts[step] = len(rotating.place.cluster.requests())
    return counts


def offset(scenario: Scenario) -> int:
    """Return where in its cases a scenario begins, so that each meets others."""
    return SCENARIOS.index(scenario) * THINNED // len(SCENARIOS)


def taken_up(rotating: Rotating, step: str, struck: Outcome | None) -> None:
    """The next run, which nothing happens to, ends as any other; the one after it begins with nothing to be done."""
    assert struck is None or struck.killed, struck and struck.said
    rotating.never_without()
    rotating.place.cluster.open()
    again = rotating.all_steps()
    assert again is None, again and again.said
    rotating.is_rotated()
    if step == "end" and struck and rotating.all_steps() is not None:
        raise AssertionError("a rotation that has ended could not be begun again")


def test_killed_at_any_request(rotating: Rotating) -> None:
    counts = requests_of(rotating)
    every = (
        (step, nth, when) for step in STEPS for nth in range(1, counts[step] + 1) for when in ("before", "in", "done")
    )
    problems = []
    for step, nth, when in list(every)[offset(rotating.scenario) :: THINNED]:
        rotating.reset()

        def strike(now: str, at: str = step, nth: int = nth, when: str = when) -> Json:
            if now != at:
                return {}
            pid: Future[int] = Future()
            rotating.place.cluster.strike("kill", when, nth, pid)
            return {"pid": pid}

        try:
            taken_up(rotating, step, rotating.all_steps(strike))
        except AssertionError as error:
            problems.append(f"{step}, {when} request {nth}: {error}")
    assert not problems, "\n".join(problems)


def test_killed_at_any_step_in_a_file(rotating: Rotating) -> None:
    problems = []
    for step in STEPS:
        dies_at = 1 + offset(rotating.scenario)
        while True:
            rotating.reset()
            ended = rotating.all_steps(lambda now, at=step, nth=dies_at: {"dies_at": nth} if now == at else {})
            if ended is None:
                break
            try:
                taken_up(rotating, step, ended)
            except AssertionError as error:
                problems.append(f"{step}, step {dies_at} in a file: {error}")
            dies_at += THINNED
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("scenario", [one for one in SCENARIOS if one.own or not one.overlap or THINNED == 1], ids=str)
def test_left_between_two_steps(place: PlaceOf, runner: Runner, scenario: Scenario) -> None:
    rotating = Rotating(scenario, place(scenario.release), runner)
    for done in (STEPS[:1], STEPS[:2]):
        rotating.reset()
        for step in done:
            assert not rotating.step(step).failed
        taken_up(rotating, done[-1], None)
