"""What the recordings do not show: TLS, connections, headers, delays."""

from __future__ import annotations

import concurrent.futures
import gzip
import hashlib
import http.client
import os
import ssl
import stat
import time
from pathlib import Path

import pytest
from ansible_collections.homelab.pve.tests.simulator import Simulator

from .conftest import ROOT, Wire


def test_certificate_is_signed_by_the_ca_and_has_the_fingerprint(simulator: Simulator, wire: Wire) -> None:
    wire.connection.connect()
    certificate = wire.connection.sock.getpeercert(binary_form=True)
    assert hashlib.sha256(certificate).hexdigest().upper() == simulator.fingerprint.replace(":", "")


def test_certificate_of_an_unknown_ca_is_refused(simulator: Simulator) -> None:
    connection = http.client.HTTPSConnection(simulator.host, simulator.port, context=ssl.create_default_context())
    with pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", "/api2/json/version")


def test_state_folder_and_key_are_private(simulator: Simulator) -> None:
    assert stat.S_IMODE(os.stat(simulator.state_dir).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(simulator.state_dir / "server.key").st_mode) == 0o600


def test_temporary_state_folder_goes_away() -> None:
    with Simulator(auth_delay=0) as simulator:
        folder = simulator.state_dir
    assert not folder.exists()


def test_given_state_folder_stays(tmp_path: Path) -> None:
    with Simulator(auth_delay=0, state_dir=tmp_path / "sim") as simulator:
        assert Path(simulator.ca_file).parent == tmp_path / "sim"
    assert Path(simulator.ca_file).exists()


def test_headers(wire: Wire) -> None:
    answer = wire.call("GET", "/version")
    assert answer.headers["Server"] == "pve-api-daemon/3.0"
    assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert answer.headers["Connection"] == "Keep-Alive"
    assert answer.headers["Cache-Control"] == "max-age=0"
    assert answer.headers["Expires"] == answer.headers["Date"]


@pytest.mark.parametrize("path", ["/nope", "/access/users/no@pve", "/access/groups?foo=1"])
def test_an_error_closes_the_connection(wire: Wire, path: str) -> None:
    answer = wire.call("GET", path)
    assert answer.status >= 400
    assert answer.headers["Connection"] == "close"
    assert answer.closes


def test_the_hundredth_answer_closes_the_connection(wire: Wire) -> None:
    answers = [wire.call("GET", "/version") for unused in range(100)]
    assert [answer.closes for answer in answers] == [False] * 99 + [True]
    assert answers[-1].headers["Connection"] == "close"


def test_an_idle_connection_is_closed(wire: Wire) -> None:
    wire.call("GET", "/version")
    time.sleep(4)
    wire.call("GET", "/version")  # the clock starts again
    sock = wire.connection.sock
    sock.settimeout(8)
    started = time.monotonic()
    assert sock.recv(1) == b""
    assert 4 < time.monotonic() - started < 7


def test_a_401_takes_the_configured_time() -> None:
    with Simulator(auth_delay=0.3) as simulator:
        wire = Wire(simulator)
        started = time.monotonic()
        assert wire.call("GET", "/version", headers={}).status == 401
        assert time.monotonic() - started >= 0.3
        started = time.monotonic()
        assert wire.call("GET", "/version").status == 200
        assert time.monotonic() - started < 0.3


def test_latency() -> None:
    with Simulator(auth_delay=0, latency=0.2) as simulator:
        started = time.monotonic()
        assert Wire(simulator).call("GET", "/version").status == 200
        assert time.monotonic() - started >= 0.2


def test_the_status_line_has_the_first_line_of_the_message(wire: Wire) -> None:
    answer = wire.call("POST", "/access/ticket", {"username": "a@pve", "password": "b"})
    assert answer.reason.startswith("Permission check failed (URI '/access/ticket' not available with API token")
    assert answer.body["message"].startswith(answer.reason + "\n")


def test_a_401_has_no_body(wire: Wire) -> None:
    answer = wire.call("GET", "/version", headers={})
    assert (answer.status, answer.reason, answer.raw) == (401, "No ticket", b"")


@pytest.mark.parametrize("method", ["PATCH", "OPTIONS"])
def test_other_methods_are_not_available(wire: Wire, method: str) -> None:
    answer = wire.call(method, "/version", headers={})
    assert (answer.status, answer.reason, answer.raw) == (501, f"method '{method}' not available", b"")


def test_a_body_where_none_may_be(wire: Wire) -> None:
    wire.connection.request("DELETE", "/api2/json/access/users/a@pve", body="x=1", headers=ROOT)
    response = wire.connection.getresponse()
    assert (response.status, response.reason) == (501, "Unexpected content for method 'DELETE'")


def test_content_types(wire: Wire) -> None:
    answer = wire.call("POST", "/access/users", {}, headers={**ROOT, "Content-Type": "text/plain"})
    assert (answer.status, answer.reason) == (506, "upload 'Content-Type 'text/plain' not implemented")


@pytest.mark.parametrize(("size", "status"), [((512 << 10) - 200, 400), ((512 << 10) + 1, 501)])
def test_large_bodies(wire: Wire, size: int, status: int) -> None:
    answer = wire.call("POST", "/access/users", {"userid": "big@pve", "comment": "x" * size})
    assert answer.status == status


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/api2/JSON/version", 501, "no such uri"),
        ("/api2", 501, "no such uri"),
        ("/api2/yaml/version", 501, "no formatter for uri /version, yaml"),
        ("/nothing", 500, "no such file '/nothing'"),
        ("//api2/json//version/", 200, "OK"),
        ("/api2/json/access%2Fgroups", 200, "OK"),
    ],
)
def test_paths(wire: Wire, path: str, status: int, reason: str) -> None:
    wire.connection.request("GET", path, headers=ROOT)
    response = wire.connection.getresponse()
    assert (response.status, response.reason) == (status, reason)


def test_large_answers_are_compressed_for_those_who_take_it(wire: Wire) -> None:
    plain = wire.call("GET", "/access/roles")
    packed = wire.call("GET", "/access/roles", headers={**ROOT, "Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.raw) == plain.raw
    small = wire.call("GET", "/version", headers={**ROOT, "Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in small.headers


def test_parallel_writes_all_happen(simulator: Simulator) -> None:
    def create(number: int) -> int:
        wire = Wire(simulator)
        status = wire.call("POST", "/access/users", {"userid": f"u{number}@pve"}).status
        wire.connection.close()
        return status

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(create, range(40))) == {200}
    assert len(simulator.export()["users"]) == 42
