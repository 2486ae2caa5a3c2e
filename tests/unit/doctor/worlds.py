"""Faults made for real: servers that are not PVE, or not as they should be, and a reader on a simulated cluster."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

# The simulator is tooling: it may use more than the oldest Python that the collection runs on.
pytest.importorskip("aiohttp")

from ansible_collections.homelab.pve.plugins.module_utils.doctor.client_side import Question, examine
from ansible_collections.homelab.pve.plugins.module_utils.doctor.report import FAILED, Check, Report
from ansible_collections.homelab.pve.tests.simulator import Simulator
from ansible_collections.homelab.pve.tests.unit.client.servers import Authority, Received, Reply, Server

USER = "reader@pve"
TOKEN = "reader@pve!token"
SECRET = "0f0f0f0f-1111-4222-8333-abcdefabcdef"
PAST = 1_600_000_000
DAEMON = {"Server": "pve-api-daemon/3.0"}

Json = dict[str, Any]


class Cluster:
    """A simulated cluster with a reader."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    def reader(self, *acl: tuple[str, str, str], user: Json | None = None, token: Json | None = None) -> Cluster:
        """Start anew with the reader: entries are (path, role, whose), whose being user, token or both."""
        self.simulator.reset()
        state = self.simulator.export()
        told = {"userid": USER, "enable": 1, "expire": 0, **(user or {})}
        tokens = [{"tokenid": TOKEN, "privsep": 1, "expire": 0, "secret": SECRET, **(token or {})}]
        rows = [
            {"path": path, "type": kind, "ugid": ugid, "roleid": role, "propagate": 1}
            for path, role, whose in acl
            for kind, ugid in (("user", USER), ("token", TOKEN))
            if whose in (kind, "both")
        ]
        self.simulator.load(
            {
                "users": [*state["users"], told],
                "tokens": [*state["tokens"], *tokens],
                "acl": [*state["acl"], *rows],
                "groups": state["groups"],
                "roles": state["roles"],
                "pools": state["pools"],
            }
        )
        self.simulator.clear_requests()
        return self

    def options(self, **given: Any) -> Json:
        """Return the reader's connection options; those given as None are left out."""
        told = {
            "host": self.simulator.host,
            "port": self.simulator.port,
            "ca_path": self.simulator.ca_file,
            "token_id": TOKEN,
            "token_secret": SECRET,
            "timeout": 10,
            **given,
        }
        return {name: value for name, value in told.items() if value is not None}

    def ask(self, *, path: str | None = None, application: str | None = None, **given: Any) -> Report:
        return examine(Question(self.options(**given), {}, path=path, application=application))


def only(report: Report) -> Check:
    """Return the one check that failed, after a look that it tells all that a failure has to."""
    failures = [check for check in report.checks if check.status == FAILED]
    assert len(failures) == 1, [(check.name, check.diagnosis, check.said) for check in failures]
    (found,) = failures
    assert found.said
    assert found.mend
    assert found.cause in report.summary()
    assert not report.healthy
    # What is shown has no secret in it, not even a part.
    assert SECRET not in str(report.as_data())
    return found


def answering(reply: Callable[[Received], Reply]) -> Callable[[Server], None]:
    """Return what makes a server answer every request like this."""

    def set_up(server: Server) -> None:
        server.default = reply

    return set_up


def as_pve(version: Mapping[str, Any] | None = None, realms: Any = None) -> Callable[[Received], Reply]:
    """Answer the realms as PVE does, /version with what is given, and everything else with nothing."""

    def reply(request: Received) -> Reply:
        data: Any = {}
        if request.target.endswith("/access/domains"):
            data = realms or [{"realm": "pam", "type": "pam"}, {"realm": "pve", "type": "pve"}]
        elif request.target.endswith("/version"):
            data = version or {"release": "9.2", "version": "9.2.11"}
        elif request.target.endswith(("/nodes", "/lxc")):
            data = []
        return Reply(body={"data": data}, headers=DAEMON)

    return reply


def passing_on(simulator: Simulator, *, without: str) -> Callable[[Received], Reply]:
    """Be a web proxy in front of a cluster that leaves one header out."""

    def reply(request: Received) -> Reply:
        context = ssl.create_default_context(cafile=simulator.ca_file)
        inner = http.client.HTTPSConnection(simulator.host, simulator.port, context=context)
        with contextlib.closing(inner):
            kept = {name: value for name, value in request.headers.items() if name not in (without, "accept-encoding")}
            inner.request(request.method, request.target, headers=kept)
            answer = inner.getresponse()
            headers = {"Server": "nginx/1.22.1", "Date": answer.getheader("Date") or ""}
            return Reply(answer.status, answer.reason, answer.read(), headers)

    return reply


@contextlib.contextmanager
def talking(say: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listen on loopback, do something with each connection, and hang up; gives the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, unused = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                say(connection)

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def closed_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


__all__ = [
    "DAEMON",
    "PAST",
    "SECRET",
    "TOKEN",
    "USER",
    "Authority",
    "Cluster",
    "Json",
    "Reply",
    "Server",
    "answering",
    "as_pve",
    "closed_port",
    "only",
    "passing_on",
    "talking",
]
