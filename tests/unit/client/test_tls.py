"""Who gets the credentials: only a host that proved itself, on the very connection that they travel on."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import ApiError, TlsError, TransportError
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.tests.unit.client.servers import (
    SECRET,
    TOKEN,
    Authority,
    Clock,
    Proxy,
    Reply,
    Server,
)

Connect = Callable[..., Client]
PASSWORD = "correct horse battery"
VARIABLES = (
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NETRC",
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def pinned(server: Server, connect: Connect, authority: Authority) -> Client:
    certificate = authority.certificate()
    server.swap(certificate)
    return connect(ca_path=None, fingerprint=certificate.fingerprint)


def test_a_ca_as_pve_makes_it_is_good_enough(server: Server, connect: Connect) -> None:
    assert connect().release == (9, 2)
    assert server.received[0].headers["authorization"] == f"PVEAPIToken={TOKEN}={SECRET}"


def test_the_name_in_the_certificate_counts(server: Server, connect: Connect) -> None:
    assert connect(host="localhost").release == (9, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"address": "127.0.0.9"}, "not for 127.0.0.1"),
        ({"days": -1}, "has expired"),
        ({"self_signed": True}, "CA that is not trusted"),
    ],
)
def test_a_bad_certificate_gets_nothing(
    server: Server, connect: Connect, authority: Authority, options: dict[str, Any], said: str
) -> None:
    certificate = authority.certificate(**options)
    server.swap(certificate)
    with pytest.raises(TlsError, match=said) as caught:
        connect().send("POST", "/access/users", {"userid": "x@pve"})
    assert not caught.value.sent
    assert server.received == []
    assert server.stray == []
    if "days" not in options:
        assert certificate.fingerprint in caught.value.hint


def test_an_unknown_ca_is_refused_and_the_hint_shows_the_fingerprint(
    server: Server, connect: Connect, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path).certificate()
    server.swap(stranger)
    with pytest.raises(TlsError, match="CA that is not trusted") as caught:
        connect().get("/version")
    assert "ca_path" in caught.value.hint
    assert stranger.fingerprint in caught.value.hint
    assert server.received == []


def test_the_system_store_does_not_know_the_ca(server: Server, connect: Connect) -> None:
    with pytest.raises(TlsError):
        connect(ca_path=None).get("/version")
    assert server.received == []


def test_a_folder_of_hashed_certificates_is_a_ca_path(connect: Connect, authority: Authority, tmp_path: Path) -> None:
    (tmp_path / f"{authority.subject_hash()}.0").write_bytes(authority.ca_file.read_bytes())
    assert connect(ca_path=str(tmp_path)).release == (9, 2)


def test_a_pin_takes_the_place_of_a_ca(pinned: Client) -> None:
    assert pinned.release == (9, 2)
    assert pinned.warnings == []


@pytest.mark.parametrize("validate_certs", [True, False])
def test_another_certificate_than_the_pinned_one_gets_nothing(
    server: Server, connect: Connect, authority: Authority, validate_certs: bool
) -> None:
    # A good one even, of the right CA: a pin is a pin.
    client = connect(ca_path=None, fingerprint=authority.certificate().fingerprint, validate_certs=validate_certs)
    with pytest.raises(TlsError, match="does not show the certificate with the fingerprint") as caught:
        client.get("/version")
    assert server.certificate_fingerprint in caught.value.hint
    assert server.received == []
    assert server.stray == []


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_certificate_swapped_between_two_connections_gets_nothing(
    server: Server, pinned: Client, authority: Authority, clock: Clock, method: str
) -> None:
    assert pinned.get("/version")
    server.swap(authority.certificate())
    server.hang_up()
    clock.now += 10
    with pytest.raises(TlsError):
        pinned.get("/version") if method == "GET" else pinned.send(method, "/access/users", {"userid": "x@pve"})
    assert len(server.received) == 1
    assert server.connections > 1
    assert server.stray == []


def test_a_swapped_certificate_of_a_strange_ca_gets_nothing(server: Server, connect: Connect, tmp_path: Path) -> None:
    client = connect()
    assert client.get("/version")
    server.swap(Authority(tmp_path).certificate())
    server.hang_up()
    with pytest.raises(TlsError):
        client.get("/version")
    assert len(server.received) == 1


def test_turning_verification_off_works_and_warns(
    server: Server, connect: Connect, authority: Authority, recwarn: pytest.WarningsRecorder
) -> None:
    server.swap(authority.certificate("127.0.0.9", days=-1, self_signed=True))
    client = connect(ca_path=None, validate_certs=False)
    assert client.release == (9, 2)
    assert len(client.warnings) == 1
    assert "validate_certs" in client.warnings[0]
    assert not recwarn.list


def test_a_server_without_tls_gets_nothing_but_the_handshake(connect: Connect) -> None:
    with Server(None) as plain:
        with pytest.raises(TransportError) as caught:
            connect(port=plain.port).get("/version")
        assert not caught.value.sent
        assert plain.received == []
        assert not any(SECRET.encode() in bytes_ for bytes_ in plain.stray)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_environment_adds_no_trust(
    server: Server, connect: Connect, authority: Authority, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(authority.ca_file))
    with pytest.raises(TlsError):
        connect(ca_path=None).get("/version")
    assert server.received == []
    monkeypatch.setenv(variable, "/dev/null")
    assert connect().get("/version")


def test_session_keys_are_not_written_down(connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert connect().release == (9, 2)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".netrc"
    file.write_text("machine 127.0.0.1 login mallory password from-netrc\ndefault login mallory password from-netrc\n")
    file.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(file))


@pytest.mark.usefixtures("netrc")
def test_netrc_is_not_looked_at(server: Server, connect: Connect) -> None:
    connect().get("/version")
    server.default = lambda request: Reply(body={"data": {"ticket": "T", "CSRFPreventionToken": "C"}})
    connect(token_id=None, token_secret=None, user="joe@pam", password=PASSWORD).get("/version")
    assert [request.headers.get("authorization") for request in server.received] == [
        f"PVEAPIToken={TOKEN}={SECRET}",
        None,
        None,
    ]


def test_the_proxies_of_the_environment_are_not_used(
    server: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy() as proxy:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert connect().get("/version")
        assert proxy.heads == []


@pytest.fixture
def elsewhere(authority: Authority) -> Iterator[Server]:
    with Server(authority.certificate()) as running:
        yield running


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_redirects_are_not_followed(
    server: Server, elsewhere: Server, connect: Connect, status: int, method: str
) -> None:
    target = f"https://127.0.0.1:{elsewhere.port}/api2/json/version"
    server.script = [Reply(status, "Moved", b"", {"Location": target})]
    client = connect()
    with pytest.raises(ApiError, match="Redirects are not followed") as caught:
        client.get("/version") if method == "GET" else client.send(method, "/access/users")
    assert caught.value.status == status
    assert elsewhere.connections == 0
    assert len(server.received) == 1


def test_a_proxy_sees_the_tunnel_and_nothing_of_what_is_in_it(server: Server, connect: Connect) -> None:
    with Proxy() as proxy:
        client = connect(proxy=proxy.url.replace("//", "//me:let%20me%20in@"))
        assert client.get("/version")
        assert client.send("POST", "/access/users", {"userid": "x@pve"})
        assert [head.split()[:2] for head in proxy.heads] == [["CONNECT", f"127.0.0.1:{server.port}"]]
        assert "Proxy-Authorization: Basic bWU6bGV0IG1lIGlu" in proxy.heads[0]
        assert not any("PVEAPIToken" in head for head in proxy.heads)
        assert SECRET.encode() not in proxy.passed
        assert "proxy-authorization" not in server.received[0].headers
        assert "let me in" not in repr(client.options)


def test_a_proxy_cannot_show_its_own_certificate(
    server: Server, connect: Connect, clock: Clock, tmp_path: Path
) -> None:
    pin = server.certificate_fingerprint
    with Proxy() as proxy:
        by_pin, by_ca = connect(ca_path=None, fingerprint=pin, proxy=proxy.url), connect(proxy=proxy.url)
        assert by_pin.get("/version")
        assert by_ca.get("/version")
        stranger = Authority(tmp_path).certificate()
        server.swap(stranger)
        server.hang_up()
        # Long enough for a write not to trust the connection any more.
        clock.now += 10
        for client in (by_pin, by_ca):
            with pytest.raises(TlsError, match="through the proxy") as caught:
                client.send("POST", "/access/users", {"userid": "x@pve"})
            assert stranger.fingerprint in caught.value.hint
    assert len(server.received) == 2
    assert server.stray == []


def test_a_proxy_that_refuses_is_named(server: Server, connect: Connect) -> None:
    with Proxy(refuse="407 Proxy Authentication Required") as proxy:
        with pytest.raises(TransportError, match="407 Proxy Authentication Required") as caught:
            connect(proxy=proxy.url.replace("//", "//me:let-me-in@")).send("POST", "/access/users")
        assert not caught.value.sent
        assert "proxy" in caught.value.hint
        assert "let-me-in" not in str(caught.value)
    assert server.connections == 0


def test_a_connection_cut_during_the_handshake_was_not_used(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def cut() -> None:
            for unused in range(4):
                listener.accept()[0].close()

        thread = threading.Thread(target=cut, daemon=True)
        thread.start()
        with pytest.raises(TransportError) as caught:
            connect(port=listener.getsockname()[1]).send("POST", "/access/users")
        assert not isinstance(caught.value, TlsError)
        assert not caught.value.sent
        thread.join(5)
        assert not thread.is_alive()
