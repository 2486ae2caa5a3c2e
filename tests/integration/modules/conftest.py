"""Modules as they run on a managed host, against a cluster that is not new."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.homelab.pve.tests.integration.modules.world import (
    FIREWALL,
    SECRET,
    VNETS,
    WORLD,
    Json,
    Module,
)
from ansible_collections.homelab.pve.tests.simulator import Simulator


@pytest.fixture
def world(simulator: Simulator) -> Simulator:
    """The simulator with objects of every kind."""
    pristine = simulator.export()
    access = {kind: [*pristine[kind], *rows] for kind, rows in WORLD.items()}
    simulator.load({**access, "vnets": VNETS, "firewall": FIREWALL})
    return simulator


@pytest.fixture
def run(world: Simulator, ansible: Any, connected: Json) -> Module:
    """Run a module against the world. The secret of ``ann@pve!ci`` stands in ``~/.ci``."""
    secret = ansible.home / ".ci"
    secret.touch(mode=0o600)
    secret.write_text(SECRET + "\n")

    def run(name: str, options: Mapping[str, Any], **how: Any) -> Json:
        return ansible.module(name, {**connected, **options}, **how)

    return run
