"""Clusters that can be struck, one for each release and worker, and a program that runs modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("ansible")

from ansible_collections.homelab.pve.tests.faults.cluster import Cluster
from ansible_collections.homelab.pve.tests.faults.runner import Runner
from ansible_collections.homelab.pve.tests.faults.world import Place

StartRunner = Callable[[], Runner]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    folder.chmod(0o700)
    return folder


@pytest.fixture(scope="session")
def start_runner(home: Path) -> Iterator[StartRunner]:
    """Start one more runner, with the common home folder."""
    with ExitStack() as stack:

        def start() -> Runner:
            runner = Runner(home)
            stack.callback(runner.close)
            return runner

        yield start


@pytest.fixture(scope="session")
def runner(start_runner: StartRunner) -> Runner:
    return start_runner()


@pytest.fixture(scope="session")
def second_runner(start_runner: StartRunner) -> Runner:
    return start_runner()


@pytest.fixture(scope="session")
def clusters() -> Iterator[Callable[[str], Cluster]]:
    running: dict[str, Cluster] = {}
    with ExitStack() as stack:

        def cluster(release: str) -> Cluster:
            if release not in running:
                running[release] = Cluster(release)
                stack.enter_context(running[release])
            return running[release]

        yield cluster


@pytest.fixture
def place(clusters: Callable[[str], Cluster], home: Path) -> Callable[[str], Place]:
    """The place of a test with a release; it comes as it was before anything happened."""
    return lambda release: Place(clusters(release), home)
