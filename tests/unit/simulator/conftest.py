"""A simulator for the module, and a small raw client that shows what is on the wire."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

# The simulator is tooling: it may use more than the oldest Python that the collection runs on.
pytest.importorskip("aiohttp")
pytest.importorskip("cryptography")

from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN, Simulator

ROOT = {"Authorization": f"PVEAPIToken={ROOT_TOKEN}={ROOT_SECRET}"}


class Answer:
    """An answer, its body read and, where it is JSON, decoded."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.reason = response.reason
        self.headers = response.headers
        self.raw = response.read()
        self.closes = response.will_close

    @property
    def body(self) -> Any:
        return json.loads(self.raw) if self.raw else None

    @property
    def data(self) -> Any:
        return self.body["data"]


class Wire:
    """One connection after another to a simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.context = ssl.create_default_context(cafile=simulator.ca_file)
        self.connection = self.connect()

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self.simulator.host, self.simulator.port, timeout=10, context=self.context)

    def call(
        self,
        method: str,
        path: str,
        form: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        sent = dict(ROOT if headers is None else headers)
        body = None
        if form is not None and method in ("GET", "DELETE"):
            path += "?" + urlencode(form, doseq=True)
        elif method in ("POST", "PUT"):
            body = urlencode(form or {}, doseq=True)
            sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
        target = path if path.startswith("/_sim") else "/api2/json" + path
        self.connection.request(method, target, body=body, headers=sent)
        return Answer(self.connection.getresponse())

    def login(self, user: str, password: str) -> dict[str, str]:
        """Return the headers of a log-in."""
        data = self.call("POST", "/access/ticket", {"username": user, "password": password}, headers={}).data
        return {
            "Cookie": "PVEAuthCookie=" + data["ticket"].replace("+", "%2B").replace("=", "%3D"),
            "CSRFPreventionToken": data["CSRFPreventionToken"],
        }


@pytest.fixture(scope="module")
def shared_simulator() -> Iterator[Simulator]:
    with Simulator(auth_delay=0) as simulator:
        yield simulator


@pytest.fixture
def simulator(shared_simulator: Simulator) -> Simulator:
    shared_simulator.reset()
    shared_simulator.clear_requests()
    return shared_simulator


@pytest.fixture
def wire(simulator: Simulator) -> Iterator[Wire]:
    client = Wire(simulator)
    yield client
    client.connection.close()
