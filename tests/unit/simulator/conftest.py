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
from ansible_collections.homelab.pve.tests.simulator.api import Api, Request
from ansible_collections.homelab.pve.tests.simulator.population import Size
from ansible_collections.homelab.pve.tests.simulator.state import State

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


class Direct:
    """The API without a wire: what is asked, and by whom."""

    def __init__(self, release: tuple[int, int] = (9, 2), **size: Any) -> None:
        self.state = State(release, Size(**size))
        self.api = Api(self.state)

    def ask(self, path: str, caller: str = ROOT_TOKEN, **query: Any) -> Any:
        """Return the whole body of an answer, its status and reason added."""
        target = "/api2/json" + path + (f"?{urlencode(query)}" if query else "")
        secret = self.state.secrets[caller]
        answer = self.api.answer(Request("GET", target, {"Authorization": f"PVEAPIToken={caller}={secret}"}))
        body = json.loads(answer.body) if answer.body else {}
        return {**body, "status": answer.status, "reason": answer.reason}

    def get(self, path: str, caller: str = ROOT_TOKEN, **query: Any) -> Any:
        """Return the data of an answer that has to be a good one."""
        answer = self.ask(path, caller, **query)
        assert answer["status"] == 200, (path, answer)
        return answer["data"]

    def refusal(self, path: str, caller: str = ROOT_TOKEN, **query: Any) -> tuple[int, str]:
        answer = self.ask(path, caller, **query)
        return answer["status"], answer["reason"]

    def token(self, roles: dict[str, str], tokenid: str = "ann@pve!tk") -> str:
        """Make a user with a token that has his rights: roles by path. Returns the token's id."""
        userid = tokenid.partition("!")[0]
        data = self.state.access.export()
        data["users"].append({"userid": userid})
        data["tokens"].append({"tokenid": tokenid, "privsep": 0, "secret": "s"})
        data["acl"] += [{"path": path, "type": "user", "ugid": userid, "roleid": roles[path]} for path in roles]
        self.state.load(data)
        return tokenid


@pytest.fixture
def direct() -> Direct:
    return Direct()


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
