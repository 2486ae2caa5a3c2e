"""A secret that is kept on the machine that Ansible runs on: no end of either side, and no lost answer, loses it."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils import secret_file
from ansible_collections.homelab.pve.plugins.module_utils.carried import KEY
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import PveError
from ansible_collections.homelab.pve.plugins.module_utils.secret_file import SecretPlace
from ansible_collections.homelab.pve.plugins.plugin_utils.keeping import Keeper, Kept
from ansible_collections.homelab.pve.tests.faults.cluster import WHAT, WHEN
from ansible_collections.homelab.pve.tests.faults.runner import Runner, _DyingOs
from ansible_collections.homelab.pve.tests.faults.world import SCENARIOS, Json, Place, Scenario, facts

# Each step of every scenario is taken by hand, with 1; the suite's time is short.
STRIDE = int(os.environ.get("TEST_STRIDE", "17"))
CHOSEN = ("two readers, 9.2", "renew a dead secret, 8.4")
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS if scenario.name in CHOSEN or STRIDE == 1}


class ConnectionLost(Exception):
    """What Ansible raises where a host can no longer be reached."""


class Elsewhere:
    """A scenario whose module runs in one home folder, and whose secrets are kept in another."""

    def __init__(self, scenario: Scenario, place: Place, runner: Runner, folder: Path) -> None:
        self.scenario, self.place, self.runner, self.folder = scenario, place, runner, folder
        self.requests: list[str] = []
        self.reset()
        place.cluster.clear_requests()
        assert not self.carry_out()["failed"]
        self.requests = [f"{row['method']} {row['path']}" for row in place.cluster.requests()]
        self.good = facts(place.cluster.export(), scenario.tokens)

    def reset(self) -> None:
        self.place.reset()
        for path in self.folder.iterdir():
            path.unlink()
        for name, secret in self.scenario.files.items():
            (self.folder / name).touch(mode=0o600)
            (self.folder / name).write_text(secret + "\n")

    def carry_out(self, pid: Future[int] | None = None, ends: Callable[[str, int], None] | None = None) -> Json:
        """Run the task. ``pid`` is told the process of the module's second run, ``ends`` when which run is to come."""
        runs = itertools.count(1)

        def run(told: Json) -> Json:
            nth = next(runs)
            if ends:
                ends("before", nth)
            options = {**self.place.connection, **self.options, KEY: told}
            outcome = self.runner.run(self.scenario.module, options, pid=pid if nth == 2 else None)
            if ends:
                ends("after", nth)
            if outcome.result is None:
                raise ConnectionLost
            return {"failed": False, **outcome.result}

        tried = self.scenario.options.get("verify_secret") == "always"
        kept = [Kept(tokenid, SecretPlace(str(self.folder / name)), tried) for tokenid, name in self.tokens.items()]
        return Keeper(kept, run).carry_out()

    @property
    def tokens(self) -> dict[str, str]:
        return self.scenario.tokens

    @property
    def options(self) -> Json:
        def moved(value: Any) -> Any:
            if isinstance(value, list):
                return [moved(each) for each in value]
            if isinstance(value, dict):
                return {key: moved(each) for key, each in value.items()}
            return str(self.folder / value[2:]) if isinstance(value, str) and value.startswith("~/") else value

        options: Json = moved(self.scenario.options)
        return options

    def ends_well(self) -> None:
        """The next run makes everything good, and the one after it has nothing to do."""
        result = self.carry_out()
        assert not result["failed"], result["msg"]
        self.is_good()

    def is_good(self) -> None:
        secrets = self.place.cluster.export()["secrets"]
        for tokenid, name in self.tokens.items():
            assert (self.folder / name).read_text() == secrets[tokenid] + "\n", f"{tokenid} has no working secret"
        assert facts(self.place.cluster.export(), self.tokens) == self.good
        assert not [path.name for path in self.folder.iterdir() if path.name.endswith((".pending", ".new", ".tmp"))]
        assert all(path.stat().st_mode & 0o077 == 0 for path in self.folder.iterdir())
        assert not list(self.place.home.iterdir()), "something was kept where the task ran"
        assert not self.carry_out()["changed"]


@pytest.fixture(params=BY_NAME)
def elsewhere(
    request: pytest.FixtureRequest, place: Callable[[str], Place], runner: Runner, tmp_path: Path
) -> Elsewhere:
    scenario = BY_NAME[request.param]
    tmp_path.chmod(0o700)
    return Elsewhere(scenario, place(scenario.release), runner, tmp_path)


def in_a_child(work: Callable[[], object]) -> bool:
    """Do something in a process of its own. Return whether that was killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    unused, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def file_steps(elsewhere: Elsewhere) -> Iterator[Callable[[], object]]:
    """Runs that die at one step in a file, one after the other."""
    first = 1 + sum(map(ord, elsewhere.scenario.name)) % STRIDE
    for nth in itertools.count(first, STRIDE):

        def work(nth: int = nth) -> object:
            pytest.MonkeyPatch().setattr(secret_file, "os", _DyingOs(nth))
            return elsewhere.carry_out()

        yield work


def test_a_controller_that_is_killed_loses_nothing(elsewhere: Elsewhere) -> None:
    def dies(when: str, nth: int) -> Callable[[], object]:
        def ends(*now: object) -> None:
            if now == (when, nth):
                os.kill(os.getpid(), signal.SIGKILL)

        return lambda: elsewhere.carry_out(ends=ends)

    for when, nth in itertools.product(("before", "after"), (1, 2)):
        elsewhere.reset()
        assert in_a_child(dies(when, nth))
        elsewhere.ends_well()
    died = 0
    for work in file_steps(elsewhere):
        elsewhere.reset()
        if not in_a_child(work):
            break
        died += 1
        elsewhere.ends_well()
    assert died >= 60 // STRIDE


def test_a_secret_that_cannot_be_kept_is_told_and_renewed(elsewhere: Elsewhere) -> None:
    tokenid, name = list(elsewhere.tokens.items())[-1]
    path = elsewhere.folder / name

    def ends(*now: object) -> None:
        if now == ("after", 2):
            path.unlink(missing_ok=True)
            path.mkdir()

    elsewhere.reset()
    result = elsewhere.carry_out(ends=ends)
    assert result["failed"]
    assert f"The secret of {tokenid} could not be kept" in result["msg"]
    assert (elsewhere.folder / f".{name}.pending").exists()
    path.rmdir()
    elsewhere.ends_well()


def test_all_places_are_fit_or_nothing_is_asked_for(elsewhere: Elsewhere) -> None:
    name = list(elsewhere.tokens.values())[-1]

    def ends(*now: object) -> None:
        if now == ("after", 1):
            (elsewhere.folder / name).unlink(missing_ok=True)
            (elsewhere.folder / name).mkdir()

    elsewhere.reset()
    with pytest.raises(PveError, match=name):
        elsewhere.carry_out(ends=ends)
    assert facts(elsewhere.place.cluster.export()) == facts(elsewhere.place.before)
    assert not [path for path in elsewhere.folder.iterdir() if path.name.endswith(".pending")]


@pytest.mark.parametrize("what", WHAT)
def test_a_module_that_is_killed_and_an_answer_that_is_lost_lose_nothing(elsewhere: Elsewhere, what: str) -> None:
    for nth, request in enumerate(elsewhere.requests, 1):
        if request.startswith("GET"):
            continue
        # Thinned, each request meets one moment.
        for when in WHEN if STRIDE == 1 else WHEN[nth % len(WHEN) :][:1]:
            elsewhere.reset()
            pid: Future[int] = Future()
            elsewhere.place.cluster.strike(what, when, nth, pid)
            try:
                result = elsewhere.carry_out(pid=pid)
            except ConnectionLost:
                assert what == "kill"
            else:
                assert what != "kill"
                if what == "cut":
                    assert not result["failed"], result["msg"]
            assert elsewhere.place.cluster.was_struck
            elsewhere.place.cluster.open()
            elsewhere.ends_well()
