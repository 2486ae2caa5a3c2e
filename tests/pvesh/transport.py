"""The transport that tests talk to simulators by: HTTPS, or with TEST_TRANSPORT=pvesh the stand-in."""

from __future__ import annotations

import atexit
import functools
import os
from typing import Any

from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.tests.pvesh.standin import Standin
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN, Simulator

PVESH = os.environ.get("TEST_TRANSPORT") == "pvesh"


@functools.cache
def standin() -> Standin:
    """Return the stand-in of this process, in front of all other programs; it goes with the process."""
    running = Standin()
    running.__enter__()
    os.environ["PATH"] = f"{running.folder}:{os.environ['PATH']}"
    atexit.register(running.__exit__, None, None, None)
    return running


def connection(simulator: Simulator, *, pvesh: bool = PVESH) -> dict[str, Any]:
    """Return the connection options of whoever may do everything, by the transport of this run.

    There is one pvesh in a process: it asks the simulator that this was last called for.
    """
    where = {"host": simulator.host, "port": simulator.port, "ca_path": simulator.ca_file}
    if pvesh:
        standin().simulator = simulator
        return {**where, "transport": "pvesh"}
    return {**where, "token_id": ROOT_TOKEN, "token_secret": ROOT_SECRET}


def options(simulator: Simulator, *, pvesh: bool = PVESH) -> ConnectionOptions:
    """Return these options as a client takes them."""
    return ConnectionOptions.from_params(connection(simulator, pvesh=pvesh), {})


def environment(simulator: Simulator) -> dict[str, str]:
    """Return these options as variables of the environment; pvesh takes nothing of where PVE is from there."""
    told = connection(simulator)
    names = ["transport"] if PVESH else list(told)
    return {f"PVE_{name.upper()}": str(told[name]) for name in names}


def variables(simulator: Simulator) -> dict[str, Any]:
    """Return what playbooks take as variables beside the environment: where PVE is, for pvesh."""
    return {f"pve_{name}": value for name, value in connection(simulator).items()} if PVESH else {}
