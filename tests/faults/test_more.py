"""What is not about a request: files, tokens and markers of others, two runs at once, answers of those in between."""

from __future__ import annotations

import functools
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.pve.tests.faults.runner import MODULES, TREE, Outcome, Runner
from ansible_collections.homelab.pve.tests.faults.test_births import BY_NAME, Judge, chosen, struck
from ansible_collections.homelab.pve.tests.faults.world import CREATE, DEAD_SECRET, Json, Place, facts

PlaceOf = Callable[[str], Place]
SINGLE = ["create, 9.2", "renew, 9.2", "renew a dead secret, 8.4"]
TOKEN = "/access/users/joe@pve/token"
MOMENTS = ("before", "in", "done")


@pytest.mark.parametrize("name", BY_NAME)
def test_killed_at_any_step_in_a_file(place: PlaceOf, runner: Runner, name: str) -> None:
    judge = Judge(BY_NAME[name], place(BY_NAME[name].release), runner)
    # The scenarios go much the same way: between them, they meet every step.
    number = list(BY_NAME).index(name)
    stride = 2 if number == 0 else 4
    step, problems = -(number % stride), []
    while True:
        step += stride
        judge.place.reset(judge.scenario.files)
        outcome = judge.run(dies_at=step)
        if not outcome.killed:
            break
        try:
            judge.after_the_blow(outcome)
            judge.ends_well(outcome)
        except AssertionError as error:
            problems.append(f"step {step}: {error}")
    assert not problems, "\n".join(problems)
    assert step > 20


def fails(place: Place, runner: Runner, options: Json) -> str:
    """Run ``pve_token``, which has to fail, and return what it says."""
    outcome = runner.run("pve_token", {**place.connection, **options})
    assert outcome.result is not None
    assert outcome.failed, outcome.said
    return str(outcome.result["msg"])


@pytest.mark.parametrize("release", ["9.2", "8.4"])
@pytest.mark.parametrize("how", [{}, {"renew": "never", "verify_secret": "always"}])
@pytest.mark.parametrize("files", [{}, {"old": DEAD_SECRET}])
def test_a_token_without_a_marker_is_not_touched(
    place: PlaceOf, runner: Runner, release: str, how: Json, files: dict[str, str]
) -> None:
    here = place(release)
    here.reset(files)
    outcome = runner.run("pve_token", {**here.connection, "tokenid": "joe@pve!old", "secret_file": "~/old", **how})
    # Whether a secret that is there works is looked at only when that is asked for.
    assert outcome.failed == (not files or bool(how)), outcome.said
    if outcome.failed:
        assert outcome.result is not None
        assert "joe@pve!old" in outcome.result["msg"]
    assert facts(here.cluster.export()) == facts(here.before)
    assert here.files == set(files)


@pytest.mark.parametrize("release", ["9.2", "8.4"])
def test_a_token_that_comes_up_meanwhile_is_not_touched(place: PlaceOf, runner: Runner, release: str) -> None:
    here = place(release)
    here.reset()
    judge = Judge(replace(BY_NAME["create, 9.2"], release=release), here, runner)
    post = judge.requests.index(f"POST {TOKEN}/new") + 1
    here.reset()
    somebodys = {"tokenid": "joe@pve!new", "secret": "0b1f0000-0000-4000-8000-00000000cafe"}

    def make() -> None:
        state = here.cluster.export()
        here.cluster.load({**state, "tokens": [*state["tokens"], somebodys]})

    here.cluster.hold("before", post, make)
    assert "already exists" in fails(here, runner, CREATE)
    assert here.cluster.export()["secrets"]["joe@pve!new"] == somebodys["secret"]
    assert here.files == set()
    here.cluster.open()
    assert "joe@pve!new" in fails(here, runner, CREATE)
    assert here.cluster.export()["secrets"]["joe@pve!new"] == somebodys["secret"]


def unfinished(place: Place, runner: Runner) -> None:
    """Leave a marker for ``joe@pve!new``, and the token without its secret."""
    judge = Judge(BY_NAME["create, 9.2"], place, runner)
    assert struck(judge, "kill", "in", judge.requests.index(f"POST {TOKEN}/new") + 1).killed
    assert place.files == {".new.pending"}
    assert "joe@pve!new" in place.cluster.export()["secrets"]


@pytest.mark.parametrize(
    "other",
    [{"tokenid": "joe@pve!another"}, {"host": "localhost"}, {"tokenid": "ann@pve!new"}],
    ids=lambda other: next(iter(other.values())),
)
def test_a_marker_of_another_token_or_host_is_refused(place: PlaceOf, runner: Runner, other: Json) -> None:
    here = place("9.2")
    unfinished(here, runner)
    state, marker = here.cluster.export(), (here.home / ".new.pending").read_text()
    said = fails(here, runner, {**CREATE, **other, "validate_certs": False, "ca_path": None})
    assert str(here.home / ".new.pending") in said
    assert "joe@pve!new" in said
    assert here.cluster.export() == state
    assert (here.home / ".new.pending").read_text() == marker


def test_a_marker_does_not_give_power_over_a_token_that_somebody_else_made(place: PlaceOf, runner: Runner) -> None:
    here = place("9.2")
    unfinished(here, runner)
    state = here.cluster.export()
    for row in state["tokens"]:
        if row["tokenid"] == "joe@pve!new":
            row["comment"] = "Another one"
    here.cluster.load(state)
    assert "did not ask for" in fails(here, runner, CREATE)
    assert here.cluster.export() == state


@pytest.mark.parametrize("content", ["", "{", "[]", '{"tokenid": "joe@pve!new"}'])
def test_a_marker_that_makes_no_sense_is_refused(place: PlaceOf, runner: Runner, content: str) -> None:
    here = place("9.2")
    here.reset()
    marker = here.home / ".new.pending"
    marker.touch(mode=0o600)
    marker.write_text(content)
    assert str(marker) in fails(here, runner, CREATE)
    assert facts(here.cluster.export()) == facts(here.before)
    assert marker.read_text() == content


@pytest.mark.parametrize("name", SINGLE)
def test_no_full_disk_costs_a_secret(place: PlaceOf, runner: Runner, name: str) -> None:
    """The place is proved before; here it fills up only while PVE makes the token."""
    judge = Judge(BY_NAME[name], place(BY_NAME[name].release), runner)
    ((tokenid, file),) = judge.scenario.tokens.items()
    asked = next(n for n, row in enumerate(judge.requests, 1) if row.startswith(("POST", "PUT", "DELETE")))
    judge.place.reset(judge.scenario.files)
    blocked = judge.place.home / f".{file}.new"
    judge.place.cluster.hold("in", asked, blocked.mkdir)
    outcome = judge.run()
    assert outcome.failed
    blocked.rmdir()
    if name.startswith("create"):
        assert facts(judge.place.cluster.export()) == facts(judge.place.before)
        assert judge.place.files == set()
        assert tokenid in outcome.said
    judge.place.cluster.open()
    judge.after_the_blow(outcome)
    judge.succeeds()
    judge.is_good()


# A 500 is PVE's own, and means that nothing was done. A read does nothing, so for it there is no difference.
@pytest.mark.parametrize(("status", "when"), [(500, "before"), *((s, w) for s in (502, 596) for w in ("before", "in"))])
@pytest.mark.parametrize("name", SINGLE)
def test_the_answer_of_somebody_in_between_says_nothing_about_what_was_done(
    place: PlaceOf, runner: Runner, name: str, status: int, when: str
) -> None:
    judge = Judge(BY_NAME[name], place(BY_NAME[name].release), runner)
    for nth, request in enumerate(judge.requests, 1):
        if when == "in" and request.startswith("GET "):
            continue
        judge.place.reset(judge.scenario.files)
        judge.place.cluster.fault(nth=nth, when=when, do="status", status=status, reason="Who knows")
        outcome = judge.run()
        judge.place.cluster.clear_faults()
        assert outcome.failed
        judge.after_the_blow(outcome)
        judge.ends_well(outcome)


# Each blow at each moment, but not each with each.
@pytest.mark.parametrize(
    ("first", "second", "when"),
    [
        *(("kill", "cut", when) for when in MOMENTS),
        ("kill", "refuse", MOMENTS[0]),
        ("refuse", "kill", MOMENTS[1]),
        ("refuse", "kill", MOMENTS[2]),
    ],
)
def test_struck_twice_while_a_token_is_made_anew(
    place: PlaceOf, runner: Runner, first: str, second: str, when: str
) -> None:
    """Before 9.2, renewing takes the token and its entries away: the second blow must not make us forget them."""
    name = "renew a dead secret, 8.4"
    judge = Judge(BY_NAME[name], place("8.4"), runner)
    deleted = judge.requests.index(f"DELETE {TOKEN}/old") + 1
    struck(judge, first, "done", deleted)
    judge.place.cluster.clear_requests()
    judge.succeeds()
    requests = judge.place.cluster.requests()
    assert [row for row in requests if row["method"] != "GET"]
    for nth, row in enumerate(requests, 1):
        # A read is the same to PVE at every moment: one will do.
        if row["method"] == "GET" and nth % len(MOMENTS) != MOMENTS.index(when):
            continue
        struck(judge, first, "done", deleted)
        judge.place.cluster.strike(second, when, nth, pid := Future())
        outcome = judge.run(pid=pid)
        assert judge.place.cluster.was_struck
        judge.place.cluster.open()
        judge.after_the_blow(outcome)
        judge.succeeds()
        judge.is_good()


@pytest.mark.parametrize("release", ["9.2", "8.4"])
@pytest.mark.parametrize("when", ["before", "in", "after", "done"])
def test_a_returned_secret_works_though_the_connection_was_cut(
    place: PlaceOf, runner: Runner, release: str, when: str
) -> None:
    options = {"tokenid": "joe@pve!new", "return_secret": True, "_ansible_no_log": True}
    scenario = replace(BY_NAME["create, 9.2"], release=release, options=options, tokens={})
    judge = Judge(scenario, place(release), runner)
    for nth, request in enumerate(judge.requests, 1):
        if not chosen(nth, request, "cut", when):
            continue
        outcome = struck(judge, "cut", when, nth)
        assert outcome.result is not None
        assert outcome.result["secret"] == judge.place.cluster.export()["secrets"]["joe@pve!new"], f"request {nth}"


@pytest.mark.parametrize("when", ["before", "in"])
@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("left", [False, True], ids=["from the start", "after an interrupted run"])
def test_two_runs_at_once(
    place: PlaceOf, runner: Runner, second_runner: Runner, name: str, when: str, left: bool
) -> None:
    """While one run waits for any of its answers, another does its work from beginning to end."""
    judge = Judge(BY_NAME[name], place(BY_NAME[name].release), runner)
    asked = next(n for n, row in enumerate(judge.requests, 1) if row.startswith(("POST", "PUT", "DELETE")))
    for nth in itertools.count(1):
        # A read is the same to PVE at every moment: one will do.
        reads = nth <= len(judge.requests) and judge.requests[nth - 1].startswith("GET ")
        if reads and nth % 2 != ("before", "in").index(when):
            continue
        judge.place.reset(judge.scenario.files)
        if left:
            struck(judge, "kill", "in", asked)
        others: list[Outcome] = []
        options = {**judge.place.connection, **judge.scenario.options}
        meanwhile = functools.partial(second_runner.run, judge.scenario.module, options)
        judge.place.cluster.hold(when, nth, lambda heard=others, run=meanwhile: heard.append(run()))
        outcome = judge.run()
        judge.place.cluster.open()
        if not others:
            break  # What is left to do after an interrupted run takes fewer requests.
        (other,) = others
        assert not (outcome.failed and other.failed), f"request {nth}: both failed: {outcome.said} {other.said}"
        judge.after_the_blow(outcome if outcome.failed else other)
        judge.succeeds()
        judge.files_may_hold_more()
        judge.is_good()


def test_the_module_as_a_program(place: PlaceOf, home: Path, runner: Runner) -> None:
    """Once without the runner that all other tests use: from its own file, as Ansible starts it."""
    here = place("9.2")
    unfinished(here, runner)
    here.cluster.open()

    def run() -> Any:
        done = subprocess.run(
            [sys.executable, "-m", f"{MODULES}.pve_token"],
            env={**os.environ, "HOME": str(home), "PYTHONPATH": str(TREE)},
            input=json.dumps({"ANSIBLE_MODULE_ARGS": {**here.connection, **CREATE}}),
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return json.loads(done.stdout)

    assert run()["changed"]
    assert here.works("joe@pve!new", "new")
    assert here.files == {"new", ".new.born"}
    assert not run()["changed"]
