"""A simulated cluster, and Ansible and its modules as programs that run against it, away from the user's own things."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("ansible")

from ansible_collections.homelab.pve.tests.faults.runner import Runner
from ansible_collections.homelab.pve.tests.pvesh import exceptions, transport
from ansible_collections.homelab.pve.tests.simulator import Simulator
from ansible_collections.homelab.pve.tests.warm import start as warm

TREE = Path(__file__).resolve().parents[2] / ".nox" / "tree"
SECONDS = 180  # until a program counts as hung

Json = dict[str, Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if transport.PVESH:
        exceptions.skip(items)


@pytest.fixture(scope="session")
def running_simulator() -> Iterator[Simulator]:
    """One simulator for each worker; ``simulator`` is it with nothing left of other tests."""
    with Simulator(auth_delay=0) as simulator:
        yield simulator


@pytest.fixture
def simulator(running_simulator: Simulator) -> Simulator:
    running_simulator.reset()
    running_simulator.clear_requests()
    return running_simulator


def connection(simulator: Simulator) -> Json:
    """The connection options of root's own token, or of root on the host itself where tests go by pvesh."""
    return transport.connection(simulator)


@dataclass(frozen=True)
class Run:
    """What became of a playbook: ``tasks`` are its results, one for each task that was run."""

    returncode: int
    stdout: str
    stderr: str
    tasks: list[Json]

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    @property
    def changed(self) -> list[str]:
        """The names of the tasks that changed something."""
        return [task["task"] for task in self.tasks if task["result"].get("changed")]

    def result(self, name: str) -> Json:
        """Return the result of the task of that name, the last one if it ran several times."""
        return [task["result"] for task in self.tasks if task["task"].rpartition(" : ")[2] == name][-1]


class Ansible:
    """Ansible as a program, with a home folder and an environment of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "ansible.cfg").touch()
        if transport.PVESH:
            transport.standin()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PVE_", "ANSIBLE_", "XDG_"))}
        self.env = {
            **kept,
            **warm.COMMON,
            "HOME": str(home),
            "ANSIBLE_CONFIG": str(home / "ansible.cfg"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        }
        # Whether programs and modules start as they do for a user, and not from what is loaded already (tests/warm).
        self.plainly = bool(os.environ.get("TEST_PLAINLY"))

    def run(self, *command: str, env: Mapping[str, str] | None = None, stdin: str = "") -> subprocess.CompletedProcess:
        """Run a program from the folder that this Python is in."""
        program, *arguments = command
        environment = {**self.env, **(env or {})}
        folder = Path(sys.executable).parent
        if not self.plainly and warm.serves(program, environment):
            folder = warm.programs()
            environment["ANSIBLE_PYTHON_INTERPRETER"] = str(folder / "python")
        return subprocess.run(
            [str(folder / program), *arguments],
            cwd=self.home,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def playbook(
        self,
        playbook: Path | str | Sequence[Mapping[str, Any]],
        *arguments: str,
        variables: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Run:
        """Run a playbook: a file, the name of one in the collection (``homelab.pve.site``), or plays as data."""
        if not isinstance(playbook, (str, Path)):
            file = self.home / "playbook.json"  # JSON is YAML, too
            file.write_text(json.dumps(playbook))
            playbook = file
        log = self.home / "results.jsonl"
        log.unlink(missing_ok=True)
        extra = ("-e", json.dumps(variables)) if variables else ()
        done = self.run(
            "ansible-playbook", str(playbook), *extra, *arguments, env={"TEST_RESULTS": str(log), **(env or {})}
        )
        tasks = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return Run(done.returncode, done.stdout, done.stderr, tasks)

    def module(self, name: str, options: Mapping[str, Any], *, check: bool = False, no_log: bool = False) -> Json:
        """Run a module as Ansible does on the managed host, in diff mode, and return what it says."""
        told = {"_ansible_check_mode": check, "_ansible_diff": True, "_ansible_no_log": no_log}
        outcome = forks().run(name, {**options, **told}, env=self.env)
        assert outcome.result is not None, outcome.said
        return outcome.result


@functools.cache
def forks() -> Runner:
    """The program that runs modules for all tests of a worker; it ends with the worker."""
    return Runner(Path("/nonexistent"))


@pytest.fixture
def ansible(tmp_path: Path) -> Ansible:
    """Ansible with a new home folder."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return Ansible(home)


@pytest.fixture
def connected(simulator: Simulator) -> Json:
    """The connection options for the simulator, for a module's options or a play's module_defaults."""
    return connection(simulator)


@pytest.fixture(scope="session")
def documentation(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Json]:
    """What ansible-doc knows of the collection's modules, by their short names."""
    names = sorted(f"homelab.pve.{path.stem}" for path in (TREE.parents[1] / "plugins" / "modules").glob("*.py"))
    done = Ansible(tmp_path_factory.mktemp("doc")).run("ansible-doc", "-t", "module", "--json", *names)
    assert not done.returncode, done.stderr
    return {name.rpartition(".")[2]: found for name, found in json.loads(done.stdout).items()}
