"""What is wrong on the way to PVE, each fault made for real: the port, the certificate, who answers."""

from __future__ import annotations

import datetime
import email.utils
import json
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("aiohttp")

from ansible_collections.homelab.pve.plugins.module_utils.doctor import reach, tls
from ansible_collections.homelab.pve.plugins.module_utils.doctor.client_side import Question, examine
from ansible_collections.homelab.pve.plugins.module_utils.doctor.report import SKIPPED
from ansible_collections.homelab.pve.tests.unit.client.servers import DAY, NOW, Certificate, Proxy
from ansible_collections.homelab.pve.tests.unit.doctor.worlds import (
    DAEMON,
    SECRET,
    TOKEN,
    Authority,
    Cluster,
    Json,
    Reply,
    Server,
    as_pve,
    closed_port,
    only,
    passing_on,
    talking,
)
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID


def options(authority: Authority, port: int, **given: Any) -> Json:
    told = {"host": "127.0.0.1", "port": port, "token_id": TOKEN, "token_secret": SECRET, "timeout": 5}
    return {**told, "ca_path": str(authority.ca_file), **given}


@pytest.fixture(scope="module")
def fine(authority: Authority) -> Certificate:
    return authority.certificate()


@pytest.fixture
def server(fine: Certificate) -> Iterator[Server]:
    with Server(fine) as running:
        running.default = as_pve()
        yield running


def diagnosis(options: Json) -> str:
    return only(examine(Question(options, {}))).diagnosis


# -- the way -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"host": "http://127.0.0.1"}, "https"),
        ({"host": "127.0.0.1/pve"}, "path"),
        ({"host": " "}, "empty"),
        ({"port": 70000}, "65535"),
        ({"host": "127.0.0.1:1", "port": 2}, "port 1"),
        ({"proxy": "127.0.0.1"}, "proxy"),
        ({"fingerprint": "AB:CD", "ca_path": None}, "fingerprint"),
        ({"ca_path": "/nonexistent"}, "ca_path"),
    ],
)
def test_an_option_that_means_nothing(server: Server, authority: Authority, given: Json, word: str) -> None:
    found = only(examine(Question({**options(authority, server.port), **given}, {})))
    assert found.diagnosis == "option_wrong"
    assert word in found.said


def test_a_name_that_nobody_knows(authority: Authority) -> None:
    report = examine(Question(options(authority, 8006, host=f"{'x' * 64}.invalid"), {}))
    assert only(report).diagnosis == "name_unknown"
    assert [check.name for check in report.checks if check.status == SKIPPED][:2] == ["route", "port"]


def test_a_closed_port(authority: Authority) -> None:
    found = only(examine(Question(options(authority, closed_port()), {})))
    assert found.diagnosis == "port_refused"
    assert "systemctl status pveproxy" in found.mend


def test_pve_on_another_port(server: Server, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The port of PVE is another one here, because others may use it on this machine."""
    monkeypatch.setattr(reach, "API_PORT", server.port)
    monkeypatch.setattr(reach, "_OTHERS", {server.port: "PVE"})
    found = only(examine(Question(options(authority, closed_port()), {})))
    assert found.diagnosis == "wrong_port"
    assert str(server.port) in found.mend


def test_a_name_with_several_addresses_of_which_one_answers(server: Server) -> None:
    way = reach.Way("localhost", server.port)
    way.addresses = ["::1", "127.0.0.1"]
    found = way.knock()
    assert found.status == "passed"
    assert "But not at every address: ::1" in found.said
    assert way.addresses == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("error", "others", "expected"),
    [
        (None, {22: 0}, "port_filtered"),
        (None, {}, "host_silent"),
        (113, {22: 0}, "port_rejected"),
        (113, {}, "host_silent"),
        (111, {8007: 0}, "port_refused"),
    ],
)
def test_what_other_ports_tell(error: int | None, others: dict[int, int], expected: str) -> None:
    way = reach.Way("192.0.2.1", 8006, addresses=["192.0.2.1"], own=["192.0.2.82"])
    seen = {("192.0.2.1", port): reach.Knock(number) for port, number in others.items()}
    found = way._closed([reach.Knock(error)], seen)
    assert found.diagnosis == expected
    assert expected == "port_refused" or "192.0.2.82" in found.mend


# -- a proxy on the way ------------------------------------------------------------------------------------------------


def test_a_proxy_that_is_not_there(server: Server, authority: Authority) -> None:
    found = only(examine(Question(options(authority, server.port, proxy=f"http://127.0.0.1:{closed_port()}"), {})))
    assert found.diagnosis == "proxy_unreachable"
    assert "leave proxy (PVE_PROXY) out" in found.mend


def test_a_proxy_that_refuses(server: Server, authority: Authority) -> None:
    with Proxy(refuse="403 Forbidden") as proxy:
        url = proxy.url.replace("//", "//me:proxy-password@")
        found = only(examine(Question(options(authority, server.port, proxy=url), {})))
    assert found.diagnosis == "proxy_refuses"
    assert "403" in found.said
    assert "proxy-password" not in str(found.as_data())


def test_a_proxy_that_lets_through(cluster: Cluster) -> None:
    cluster.reader(("/", "PVEAuditor", "both"))
    with Proxy() as proxy:
        assert cluster.ask(proxy=proxy.url).healthy


# -- the handshake -----------------------------------------------------------------------------------------------------


def test_plain_http(authority: Authority) -> None:
    with Server(None) as server:
        assert diagnosis(options(authority, server.port)) == "plain_http"


def test_something_else_than_tls(authority: Authority) -> None:
    with talking(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")) as port:
        found = only(examine(Question(options(authority, port), {})))
    assert found.diagnosis == "not_tls"
    assert "OpenSSH" in found.said


def test_bytes_that_are_no_tls(authority: Authority) -> None:
    with talking(lambda connection: connection.sendall(b"\x16\x16\x16\x16\x16\x16\x16\x16")) as port:
        assert diagnosis(options(authority, port)) == "not_tls"


@pytest.mark.parametrize("head", ["", "Content-Length: 100000\r\n\r\n"])
def test_somebody_who_never_comes_to_an_end(
    authority: Authority, fine: Certificate, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    """A byte now and then keeps a connection within its timeout for ever."""
    monkeypatch.setattr(tls, "WHOLE_SECONDS", 0.3)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(fine.file)

    def say(connection: Any) -> None:
        with context.wrap_socket(connection, server_side=True) as spoken:
            spoken.recv(10)
            spoken.sendall(f"HTTP/1.1 200 OK\r\n{head}".encode())
            while True:
                spoken.sendall(b"X: x\r\n")
                time.sleep(0.01)

    with talking(say) as port:
        assert diagnosis(options(authority, port)) == "not_pve"


def test_a_connection_that_is_cut(authority: Authority) -> None:
    """As pveproxy does with clients that ALLOW_FROM does not name."""
    with talking(lambda connection: connection.recv(10)) as port:
        found = only(examine(Question(options(authority, port), {})))
    assert found.diagnosis == "connection_cut"
    assert "ALLOW_FROM" in found.mend


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_that_is_too_old(authority: Authority, fine: Certificate) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.load_cert_chain(fine.file)
    with talking(lambda connection: context.wrap_socket(connection, server_side=True).close()) as port:
        assert diagnosis(options(authority, port)) == "tls_version"


def test_a_certificate_for_other_names(authority: Authority) -> None:
    with Server(authority.certificate("192.0.2.9")) as server:
        server.default = as_pve()
        found = only(examine(Question(options(authority, server.port), {})))
    assert found.diagnosis == "certificate_name"
    assert "192.0.2.9" in found.said


def test_a_certificate_that_has_expired(authority: Authority) -> None:
    with Server(authority.certificate(days=-2)) as server:
        server.default = as_pve()
        found = only(examine(Question(options(authority, server.port), {})))
    assert found.diagnosis == "certificate_expired"
    assert (NOW - 2 * DAY).strftime("%Y-%m-%d") in found.said


def test_a_certificate_that_is_not_valid_yet(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.homelab.pve.tests.unit.client import servers

    monkeypatch.setattr(servers, "NOW", NOW + datetime.timedelta(days=60))
    with Server(authority.certificate()) as server:
        server.default = as_pve()
        assert diagnosis(options(authority, server.port)) == "certificate_not_yet"


def test_a_certificate_of_a_ca_that_is_not_trusted(server: Server, authority: Authority) -> None:
    found = only(examine(Question(options(authority, server.port, ca_path=None), {})))
    assert found.diagnosis == "certificate_untrusted"
    assert "Proxmox Virtual Environment" in found.said
    assert server.certificate_fingerprint in found.mend


def test_a_certificate_for_something_else(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of a client cannot prove a server."""
    builder = authority._builder
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    monkeypatch.setattr(
        authority, "_builder", lambda *told: builder(*told).add_extension(usage, critical=True), raising=True
    )
    with Server(authority.certificate()) as server:
        server.default = as_pve()
        assert diagnosis(options(authority, server.port)) == "certificate_invalid"


def test_a_certificate_that_was_changed(server: Server, authority: Authority) -> None:
    pinned = server.certificate_fingerprint
    other = authority.certificate(self_signed=True)
    server.swap(other)
    found = only(examine(Question(options(authority, server.port, ca_path=None, fingerprint=pinned), {})))
    assert found.diagnosis == "fingerprint_changed"
    assert other.fingerprint in found.said
    assert not any("authorization" in request.headers for request in server.received)


def test_a_certificate_that_nobody_checks(server: Server, authority: Authority) -> None:
    report = examine(Question(options(authority, server.port, ca_path=None, validate_certs=False), {}))
    (check,) = (check for check in report.checks if check.name == "certificate")
    assert server.certificate_fingerprint in check.said
    assert report.known["fingerprint"] == server.certificate_fingerprint


# -- who answers -------------------------------------------------------------------------------------------------------

PBS = [{"realm": "pam", "type": "pam"}, {"realm": "pbs", "type": "pbs"}]
HTML = b"<html><body>Welcome</body></html>"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(body={"data": PBS}), "pbs_server"),
        (Reply(401, "Unauthorized", b"authentication failed - no authentication credentials provided."), "pbs_server"),
        (Reply(body={"data": [{"realm": "pmg", "type": "pmg"}]}, headers=DAEMON), "not_pve"),
        (Reply(502, "Bad Gateway", HTML, {"Server": "nginx/1.22.1"}), "proxy_answers"),
        (Reply(200, "OK", HTML, {"Server": "Caddy"}), "proxy_answers"),
        (Reply(302, "Found", b"", {"Location": "https://login.example.org/"}), "proxy_answers"),
        (Reply(200, "OK", HTML, {"Server": "lighttpd"}), "not_pve"),
        (Reply(595, "Connection refused", b"", DAEMON), "api_down"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_who_answers(server: Server, authority: Authority, reply: Reply, expected: str) -> None:
    server.default = lambda request: reply
    assert diagnosis(options(authority, server.port)) == expected
    # Nobody but PVE is told who asks.
    assert not any("authorization" in request.headers for request in server.received)


def test_a_proxy_that_takes_the_token_away(cluster: Cluster, server: Server, authority: Authority) -> None:
    cluster.reader(("/", "PVEAuditor", "both"))
    server.default = passing_on(cluster.simulator, without="authorization")
    found = only(examine(Question(options(authority, server.port), {})))
    assert found.diagnosis == "header_not_recognised"
    assert "nginx/1.22.1" in found.said


def test_a_proxy_that_does_no_harm(cluster: Cluster, server: Server, authority: Authority) -> None:
    cluster.reader(("/", "PVEAuditor", "both"))
    server.default = passing_on(cluster.simulator, without="x-nothing")
    report = examine(Question(options(authority, server.port), {}))
    assert report.healthy
    assert "nginx/1.22.1" in next(check.said for check in report.checks if check.name == "server")


@pytest.mark.parametrize("minutes", [-20, 20])
def test_clocks_that_differ(server: Server, authority: Authority, minutes: int) -> None:
    inner = as_pve()
    date = email.utils.formatdate(time.time() + 60 * minutes, usegmt=True)

    def reply(request: Any) -> Reply:
        fine = inner(request)
        return Reply(body=fine.body, headers={**DAEMON, "Date": date})

    server.default = reply
    checks = {check.name: check for check in examine(Question(options(authority, server.port), {})).checks}
    assert checks["clock"].diagnosis == "clock_differs"
    assert f"20 minutes {'ahead of' if minutes > 0 else 'behind'}" in checks["clock"].said


def test_a_release_without_tokens(server: Server, authority: Authority) -> None:
    server.default = as_pve({"release": "6.1", "version": "6.1-3"})
    checks = {check.name: check for check in examine(Question(options(authority, server.port), {})).checks}
    assert checks["release"].diagnosis == "release_too_old"


def test_steps_that_need_a_failed_one_say_so(authority: Authority) -> None:
    report = examine(Question(options(authority, closed_port()), {}))
    assert "port" in next(check.said for check in report.checks if check.name == "tls")
    assert json.dumps(report.as_data())
