"""A simulated cluster for clients that know nothing of this collection, and nothing of a simulator."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp")

from ansible_collections.homelab.pve.tests.simulator import Simulator

Json = dict[str, Any]
# The newest release that the simulator plays, and one with an older API tree.
RELEASES = ("9.2", "8.4")
NODES, GUESTS = 3, 60


@pytest.fixture(scope="module", params=RELEASES)
def running_simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    with Simulator(request.param, auth_delay=0, nodes=NODES, guests=GUESTS) as simulator:
        yield simulator


@pytest.fixture
def simulator(running_simulator: Simulator) -> Simulator:
    """The cluster with nothing left of other tests."""
    running_simulator.reset()
    running_simulator.clear_requests()
    return running_simulator


@pytest.fixture
def environment(simulator: Simulator, tmp_path: Path) -> dict[str, str]:
    """What programs are started with: nothing of the user's own, and the CA to trust."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PVE_", "PROXMOX_", "ANSIBLE_"))}
    return {**kept, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "REQUESTS_CA_BUNDLE": simulator.ca_file}


def without_nested_pools(simulator: Simulator) -> None:
    """Leave only the outermost pools, for clients that ask for each by its name: a nested one has no such path."""
    state = simulator.export()
    state["pools"] = [pool for pool in state["pools"] if "/" not in pool["poolid"]]
    simulator.load(state)


def guests_of(simulator: Simulator) -> dict[int, Json]:
    """The guests that are really there, by their numbers."""
    return {guest["vmid"]: guest for guest in simulator.export()["guests"]}


def name_of(guest: Json) -> str:
    return str(guest["config"]["name" if guest["type"] == "qemu" else "hostname"])
