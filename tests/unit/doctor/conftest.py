"""Fixtures of the doctor's tests: one simulated cluster of two releases each, and servers with certificates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest


@pytest.fixture(scope="session")
def clusters() -> Iterator[Any]:
    """Return the cluster of a release, made when it is first asked for."""
    from ansible_collections.homelab.pve.tests.unit.doctor.worlds import Cluster, Simulator

    made: dict[str, Cluster] = {}
    with ExitStack() as stack:

        def of(release: str) -> Cluster:
            if release not in made:
                made[release] = Cluster(stack.enter_context(Simulator(release, auth_delay=0, nodes=2)))
            return made[release].reader()

        yield of


@pytest.fixture
def cluster(clusters: Any) -> Any:
    """A cluster of 9.2 whose reader has no rights yet."""
    return clusters("9.2")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from ansible_collections.homelab.pve.tests.unit.client.servers import Authority

    return Authority(tmp_path_factory.mktemp("ca"))
