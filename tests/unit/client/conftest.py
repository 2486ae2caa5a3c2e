"""Fixtures of the client's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.tests.unit.client.servers import SECRET, TOKEN, Authority, Clock, Server


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def server(authority: Authority) -> Iterator[Server]:
    with Server(authority.certificate()) as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connect(server: Server, authority: Authority, clock: Clock) -> Iterator[Callable[..., Client]]:
    """Make clients of ``server``. An option given as None is left out; sleeping only moves the clock."""
    clients: list[Client] = []

    def make(**params: Any) -> Client:
        given = {
            "host": "127.0.0.1",
            "port": server.port,
            "token_id": TOKEN,
            "token_secret": SECRET,
            "ca_path": str(authority.ca_file),
            "timeout": 20,
            **params,
        }
        options = ConnectionOptions.from_params(given, {})
        clients.append(Client(options, clock=clock.read, sleep=clock.sleep))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
