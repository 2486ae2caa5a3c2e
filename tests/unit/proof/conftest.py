"""Fixtures of the proof's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def make_cluster(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Make simulated clusters with a reader that has no rights yet."""
    from ansible_collections.homelab.pve.tests.unit.proof.cluster import Cluster, Simulator

    with ExitStack() as stack:

        def make(*, extra: dict[str, Any] | None = None, token: dict[str, Any] | None = None, **size: Any) -> Cluster:
            simulator = stack.enter_context(Simulator(auth_delay=0, **size))
            cluster = Cluster(simulator, tmp_path)
            cluster.extra = dict(extra or {})
            cluster.reader(**(token or {}))
            return cluster

        yield make


@pytest.fixture
def cluster(make_cluster: Callable[..., Any]) -> Any:
    """One node, VM 100, CT 102, storage local; 9.2."""
    return make_cluster()
