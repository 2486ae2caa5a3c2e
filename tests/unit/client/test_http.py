"""The four verbs: what goes over the wire, what is sent again, and what never is."""

from __future__ import annotations

import gzip
import json
import logging
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.client import https
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import (
    ApiError,
    AuthenticationError,
    OptionError,
    PermissionDenied,
    PveError,
    TransportError,
    is_digest_conflict,
    is_lock_timeout,
)
from ansible_collections.homelab.pve.plugins.module_utils.client.http import PAUSES, Client, Reader
from ansible_collections.homelab.pve.tests.unit.client.servers import (
    SECRET,
    TOKEN,
    Authority,
    Clock,
    Received,
    Reply,
    Server,
    data,
)

Connect = Callable[..., Client]
PASSWORD = "correct horse; battery=staple ü"
NEW_PASSWORD = "canary of a new user"
TICKET = "PVE:joe@pam:65A0::ab+/cd=="
CSRF = "65A0:ab+/cd"
NEW_SECRET = "ffffffff-ffff-ffff-ffff-ffffffffffff"
LOCKED = Reply(500, "create group failed: cfs-lock 'file-user_cfg' error: got lock request timeout", b"")
CHANGED = Reply(500, "detected modified configuration - file changed by other user? Try again.", b"")


def methods(server: Server) -> list[str]:
    return [request.method for request in server.received]


# What goes over the wire.


def test_ids_and_values_arrive_as_they_are(server: Server, connect: Connect) -> None:
    client = connect()
    client.send("PUT", "/access/users/jör g!%2f?#@pve", {"comment": "a=b;c&d+e ü", "enable": False, "keys": None})
    client.send("POST", "/access/acl", {"roles": ["A", "B"], "users": ("x@pve",), "propagate": True, "n": 3})
    client.send("DELETE", "/access/users/x@pve", {"force": True, "text": "a b"})
    client.get("/access/acl", {"exact": 1})
    put, post, delete, get = server.received
    assert put.target == "/api2/json/access/users/j%C3%B6r%20g!%252f%3F%23@pve"
    assert put.body == "comment=a%3Db%3Bc%26d%2Be%20%C3%BC&enable=0"
    assert put.headers["content-type"] == "application/x-www-form-urlencoded"
    assert post.body == "roles=A%2CB&users=x%40pve&propagate=1&n=3"
    assert delete.target == "/api2/json/access/users/x@pve?force=1&text=a%20b"
    assert get.target == "/api2/json/access/acl?exact=1"
    assert delete.body == get.body == ""
    assert "transfer-encoding" not in post.headers


def test_a_write_without_parameters_has_an_empty_body(server: Server, connect: Connect) -> None:
    connect().send("POST", "/access/groups")
    assert server.received[0].headers["content-length"] == "0"


def test_a_token_id_is_encoded_where_it_would_end_the_header(server: Server, connect: Connect) -> None:
    connect(token_id="jö;e=@pve!ci").get("/version")
    assert server.received[0].headers["authorization"] == f"PVEAPIToken=j%C3%B6%3Be%3D@pve!ci={SECRET}"


@pytest.mark.parametrize("path", ["version", "/", "/access//users", "/access/users/", "/a/../b", "/a/./b", ""])
def test_paths_that_would_reach_something_else_are_refused(server: Server, connect: Connect, path: str) -> None:
    with pytest.raises(OptionError, match="no path of the API"):
        connect().send("DELETE", path)
    assert server.connections == 0


def test_compressed_answers_are_read(server: Server, connect: Connect) -> None:
    body = gzip.compress(json.dumps({"data": ["ü" * 2000]}).encode())
    server.script = [Reply(body=body, headers={"Content-Encoding": "gzip"})]
    assert connect().get("/access/users") == ["ü" * 2000]
    assert server.received[0].headers["accept-encoding"] == "gzip"


def test_texts_of_both_places_are_utf_8(server: Server, connect: Connect) -> None:
    server.script = [
        Reply(500, "no such user ('Jörg@pve')", b""),
        Reply(500, "x", {"message": "no such user ('Jörg')"}),
    ]
    for unused in range(2):
        with pytest.raises(ApiError, match="Jörg"):
            connect().get("/access/users/x")


@pytest.mark.parametrize(
    ("answer", "release"),
    [
        ({"release": "9.2", "version": "9.2.11", "console": "html5"}, (9, 2)),
        ({"release": "7.4", "version": "7.4-3"}, (7, 4)),
        ({"release": "10.0", "version": "10.0.1"}, (10, 0)),
    ],
)
def test_the_release_is_asked_for_once(
    server: Server, connect: Connect, answer: dict[str, str], release: tuple[int, int]
) -> None:
    server.default = lambda request: data(answer)
    client = connect()
    assert client.release == client.release == client.read_only().release == client.clone().release == release
    assert client.requests_sent == len(server.received) == 1


@pytest.mark.parametrize("answer", [None, {}, {"release": "rolling"}, []])
def test_what_names_no_release_is_not_pve(server: Server, connect: Connect, answer: object) -> None:
    server.default = lambda request: data(answer)
    with pytest.raises(PveError, match="did not name a release"):
        unused = connect().release


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b"[1]", b'{"ok": true}', b"\xff", b"[" * 100000])
def test_what_does_not_answer_like_pve_is_not_pve(server: Server, connect: Connect, body: bytes) -> None:
    server.script = [Reply(body=body)]
    with pytest.raises(TransportError, match="not one of PVE's") as caught:
        connect().send("POST", "/access/groups")
    assert caught.value.sent


def test_the_own_address_is_that_of_the_connection(connect: Connect) -> None:
    client = connect()
    assert client.local_address == client.read_only().local_address == "127.0.0.1"
    assert client.requests_sent == 1


# What is sent again, and what is not.


def test_a_connection_is_kept(server: Server, connect: Connect) -> None:
    client = connect()
    for unused in range(5):
        client.get("/version")
        client.send("POST", "/access/groups", {"groupid": "x"})
    assert server.connections == 1


def test_hundreds_of_requests_outlast_the_connections_of_pve(server: Server, connect: Connect) -> None:
    client = connect()
    for number in range(250):
        if number % 3:
            client.get("/version")
        else:
            client.send("POST", "/access/groups", {"groupid": f"g{number}"})
    posts = [request.body for request in server.received if request.method == "POST"]
    assert posts == [f"groupid=g{number}" for number in range(0, 250, 3)]
    assert len(server.received) == 250


def test_a_hundred_reads_and_then_a_write(server: Server, connect: Connect) -> None:
    client = connect()
    for unused in range(99):
        client.get("/version")
    client.send("POST", "/access/groups", {"groupid": "x"})
    client.send("POST", "/access/groups", {"groupid": "y"})
    assert methods(server) == ["GET"] * 99 + ["POST"] * 2
    assert server.received[-1].connection == 2


def test_a_write_does_not_trust_an_idle_connection(server: Server, connect: Connect, clock: Clock) -> None:
    client = connect()
    client.get("/version")
    clock.now += 2
    client.send("POST", "/access/groups")
    clock.now += 4
    client.send("POST", "/access/groups")
    assert [request.connection for request in server.received] == [1, 1, 2]


def test_a_write_leaves_a_connection_before_pve_does(server: Server, connect: Connect) -> None:
    client = connect()
    for unused in range(95):
        client.get("/version")
    client.send("POST", "/access/groups")
    assert {request.connection for request in server.received[:-1]} == {1}
    assert server.received[-1].connection == 2


@pytest.mark.parametrize("status", [400, 401, 403, 500, 595])
def test_an_error_ends_the_connection_and_the_next_write_knows(server: Server, connect: Connect, status: int) -> None:
    # The end of it may come late: the client does not wait to see it.
    server.script = [Reply(status, "no", b"", close=False)]
    client = connect()
    with pytest.raises(ApiError):
        client.get("/nodes")
    client.send("POST", "/access/groups")
    # No answer of PVE is asked for twice, 595 included: it has looked for the node itself.
    assert [request.connection for request in server.received] == [1, 2]


def test_a_read_on_a_connection_that_was_closed_meanwhile_is_repeated(server: Server, connect: Connect) -> None:
    client = connect()
    client.get("/version")
    server.hang_up()
    assert client.get("/version")
    assert methods(server) == ["GET", "GET"]


CUTS = [0, 1, 11, 15, 40, 67, 84, 90, -1]


@pytest.mark.parametrize("cut", CUTS)
def test_a_read_that_was_cut_is_repeated(server: Server, connect: Connect, cut: int) -> None:
    server.script = [data("lost", cut=cut), data("found")]
    assert connect().get("/access/users") == "found"
    assert methods(server) == ["GET", "GET"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("cut", CUTS)
def test_a_write_that_was_cut_is_not_repeated(server: Server, connect: Connect, method: str, cut: int) -> None:
    client = connect()
    client.get("/version")
    server.script = [data("lost", cut=cut)]
    with pytest.raises(TransportError, match=rf"{method} /access/groups/g: The connection to .* was cut") as caught:
        client.send(method, "/access/groups/g")
    assert caught.value.sent
    assert methods(server) == ["GET", method]
    assert client.get("/version")


def test_reading_ends_after_a_bounded_number_of_attempts(server: Server, connect: Connect, clock: Clock) -> None:
    server.default = lambda request: data("lost", cut=0)
    client = connect()
    with pytest.raises(TransportError):
        client.get("/version")
    assert len(server.received) == client.requests_sent == len(PAUSES) + 1
    assert clock.slept == list(PAUSES)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_where_nobody_listens_nothing_was_sent(server: Server, connect: Connect, clock: Clock, method: str) -> None:
    client = connect()
    server.stop()
    with pytest.raises(TransportError, match="Connection refused") as caught:
        client.get("/version") if method == "GET" else client.send(method, "/access/groups")
    assert not caught.value.sent
    assert "systemctl status pveproxy" in caught.value.hint
    assert clock.slept == list(PAUSES)


def test_a_write_waits_for_a_server_that_comes_back(server: Server, authority: Authority, connect: Connect) -> None:
    client = connect()
    server.stop()
    revived: list[Server] = []

    def revive(seconds: float) -> None:
        if seconds and not revived:
            revived.append(Server(authority.certificate(), port=server.port).__enter__())

    client._sleep = revive
    client.send("POST", "/access/groups")
    revived[0].stop()
    assert methods(revived[0]) == ["POST"]


def test_a_name_that_does_not_exist_is_told(connect: Connect) -> None:
    with pytest.raises(TransportError, match=r"Cannot connect to https://pve\.invalid") as caught:
        connect(host="pve.invalid").get("/version")
    assert not caught.value.sent


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_who_waited_for_the_whole_timeout_does_not_wait_again(server: Server, connect: Connect, method: str) -> None:
    release = threading.Event()

    def slow(request: Received) -> Reply:
        release.wait(30)
        return data(None)

    server.default = slow
    client = connect(timeout=1)
    with pytest.raises(TransportError, match="within 1 seconds") as caught:
        client.get("/version") if method == "GET" else client.send(method, "/access/groups")
    release.set()
    assert caught.value.sent
    assert client.requests_sent == 1


def test_a_lock_that_could_not_be_had_is_tried_again(server: Server, connect: Connect, clock: Clock) -> None:
    server.script = [LOCKED, LOCKED, data("done")]
    assert connect().send("POST", "/access/groups", {"groupid": "x"}) == "done"
    assert methods(server) == ["POST"] * 3
    assert len(clock.slept) == 2


def test_a_lock_is_not_tried_for_forever(server: Server, connect: Connect) -> None:
    server.default = lambda request: LOCKED
    with pytest.raises(ApiError) as caught:
        connect().send("POST", "/access/groups", {"groupid": "x"})
    assert is_lock_timeout(caught.value)
    assert methods(server) == ["POST"] * 3


def test_a_digest_conflict_is_not_tried_again(server: Server, connect: Connect) -> None:
    server.script = [CHANGED]
    with pytest.raises(ApiError) as caught:
        connect().send("PUT", "/cluster/firewall/options", {"digest": "x"})
    assert is_digest_conflict(caught.value)
    assert methods(server) == ["PUT"]


# Who asks.


def login(server: Server, **more: object) -> None:
    """Let ``server`` give tickets, count them, and set cookies that nobody asked for."""
    tickets = iter(range(1, 100))

    def answer(request: Received) -> Reply:
        if request.target.endswith("/access/ticket"):
            ticket = {"ticket": f"{TICKET}{next(tickets)}", "CSRFPreventionToken": CSRF, **more}
            return Reply(body={"data": ticket}, headers={"Set-Cookie": "PVEAuthCookie=stale; Path=/; Secure"})
        return data({"release": "9.2"}, headers={"Set-Cookie": "other=1; Path=/"})

    server.default = answer


@pytest.fixture
def password_client(server: Server, connect: Connect) -> Client:
    login(server)
    return connect(token_id=None, token_secret=None, user="joe@pam", password=PASSWORD)


def test_a_password_is_sent_once(server: Server, password_client: Client) -> None:
    password_client.get("/version")
    password_client.send("POST", "/access/groups", {"groupid": "x"})
    ticket, get, post = server.received
    assert ticket.body == "username=joe%40pam&password=correct%20horse%3B%20battery%3Dstaple%20%C3%BC"
    assert "cookie" not in ticket.headers
    assert (
        get.headers["cookie"] == post.headers["cookie"] == "PVEAuthCookie=PVE%3Ajoe%40pam%3A65A0%3A%3Aab%2B%2Fcd%3D%3D1"
    )
    assert "csrfpreventiontoken" not in get.headers
    assert post.headers["csrfpreventiontoken"] == CSRF
    assert not any("authorization" in request.headers for request in server.received)
    assert password_client.identity == "joe@pam"
    assert password_client.requests_sent == 3


def test_cookies_that_nobody_asked_for_are_not_kept(server: Server, connect: Connect) -> None:
    # PVE prefers a cookie to a token: a stale one would lock the token out.
    server.default = lambda request: data(None, headers={"Set-Cookie": "PVEAuthCookie=stale; Path=/"})
    client = connect()
    client.get("/version")
    client.send("POST", "/access/groups")
    assert not any("cookie" in request.headers for request in server.received)


def test_a_ticket_is_renewed_before_it_ends(server: Server, password_client: Client, clock: Clock) -> None:
    password_client.get("/version")
    clock.now += 59 * 60
    password_client.get("/version")
    clock.now += 2 * 60
    password_client.get("/version")
    assert methods(server) == ["POST", "GET", "GET", "POST", "GET"]
    # The ticket serves for a password then, so that no second factor is asked for.
    assert server.received[3].body == "username=joe%40pam&password=PVE%3Ajoe%40pam%3A65A0%3A%3Aab%2B%2Fcd%3D%3D1"
    assert server.received[-1].headers["cookie"].endswith("2")


def test_a_ticket_that_is_over_is_no_password(server: Server, password_client: Client, clock: Clock) -> None:
    password_client.get("/version")
    clock.now += 2 * 60 * 60
    password_client.get("/version")
    assert server.received[2].body == server.received[0].body


def test_a_login_that_was_cut_is_repeated(server: Server, password_client: Client) -> None:
    server.script = [data(None, cut=0)]
    password_client.send("POST", "/access/groups")
    assert [request.target.rpartition("/")[2] for request in server.received] == ["ticket", "ticket", "groups"]


def test_a_second_factor_is_told(server: Server, connect: Connect) -> None:
    login(server, NeedTFA=1)
    with pytest.raises(PveError, match="second factor") as caught:
        connect(token_id=None, token_secret=None, user="joe@pam", password=PASSWORD).get("/version")
    assert "API token" in caught.value.hint


def test_a_wrong_password_is_a_401(server: Server, connect: Connect) -> None:
    server.script = [Reply(401, "authentication failure", {"data": None, "message": "authentication failure\n"})]
    with pytest.raises(AuthenticationError):
        connect(token_id=None, token_secret=None, user="joe@pam", password=PASSWORD).get("/version")
    assert methods(server) == ["POST"]


def test_another_token_asks_with_nothing_of_the_first(server: Server, password_client: Client) -> None:
    password_client.get("/version")
    other = password_client.with_token("vm@pve!reader", NEW_SECRET)
    other.get("/version")
    last = server.received[-1].headers
    assert last["authorization"] == f"PVEAPIToken=vm@pve!reader={NEW_SECRET}"
    assert "cookie" not in last
    assert other.identity == "vm@pve!reader"
    assert other.options.ca_path == password_client.options.ca_path
    other.close()


@pytest.mark.parametrize(("token_id", "secret"), [("vm@pve", NEW_SECRET), ("vm@pve!reader", NEW_SECRET.upper())])
def test_another_token_is_checked_like_any(connect: Connect, token_id: str, secret: str) -> None:
    with pytest.raises(OptionError):
        connect().with_token(token_id, secret)


def test_clones_work_side_by_side(server: Server, password_client: Client) -> None:
    password_client.get("/version")

    def work(number: int) -> object:
        with password_client.clone() as clone:
            return [clone.get("/version") for unused in range(5)]

    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(work, range(16)))) == 16
    # The ticket is shared; connections are not.
    assert methods(server).count("POST") == 1
    assert len(server.received) == 1 + 1 + 16 * 5


def test_a_reader_cannot_write(server: Server, connect: Connect) -> None:
    client = connect()
    reader: Reader = client.read_only()
    assert reader.get("/version")
    assert reader.identity == TOKEN
    public = {name for name in dir(reader) if not name.startswith("_")}
    assert public == {"get", "version", "release", "identity", "local_address", "clone", "close"}
    assert type(reader.clone()) is type(reader)


def test_every_request_can_be_observed(server: Server, authority: Authority, connect: Connect) -> None:
    seen: list[tuple[str, str]] = []
    with Client(connect().options, on_request=lambda method, path: seen.append((method, path))) as client:
        client.get("/version")
        client.send("POST", "/access/groups")
    assert seen == [("GET", "/version"), ("POST", "/access/groups")]


# No secret where it does not belong.


def everything_said(error: BaseException) -> str:
    """Return what can be printed of an exception: all it is chained to, its attributes and its traceback."""
    texts, current = ["".join(traceback.format_exception(type(error), error, error.__traceback__))], error
    while current is not None:
        texts += [str(current), repr(current), repr(vars(current))]
        assert not hasattr(current, "request")
        current = current.__cause__ or current.__context__  # type: ignore[assignment]  # both may be None
    return "\n".join(texts)


FAILURES: list[Any] = [
    Reply(400, "Parameter verification failed.", {"errors": {"password": "value must be longer"}}),
    Reply(401, "Authentication failed!", b""),
    Reply(403, "Permission check failed", b""),
    Reply(500, "odd", b""),
    Reply(301, "Moved", b"", {"Location": "http://127.0.0.1/"}),
    Reply(200, "OK", b"<html>"),
    Reply(cut=0),
    Reply(cut=20),
    Reply(200, "OK", b"{}", {"Content-Encoding": "gzip"}),
    Reply(200, "OK", b"{}", {"Content-Length": "soon"}, close=True),
]


@pytest.mark.parametrize("reply", FAILURES)
def test_no_failure_holds_a_secret(
    server: Server, connect: Connect, reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.default = lambda request: reply
    token = connect()
    user = connect(token_id=None, token_secret=None, user="joe@pam", password=PASSWORD)
    said = [repr(token), repr(user), repr(token.options), repr(user.options)]
    for client in (token, user):
        with pytest.raises(PveError) as caught:
            client.send("POST", "/access/users", {"userid": "x@pve", "password": NEW_PASSWORD})
        said.append(everything_said(caught.value))
    text = "\n".join([*said, caplog.text])
    for secret in (SECRET, PASSWORD, "horse", TICKET, CSRF, NEW_PASSWORD):
        assert secret not in text


def test_a_ticket_is_not_shown_either(
    server: Server, password_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    password_client.get("/version")
    server.script = [Reply(403, "no", b"")]
    with pytest.raises(PermissionDenied) as caught:
        password_client.send("POST", "/access/users", {})
    text = caplog.text + everything_said(caught.value) + repr(password_client.log_in)
    assert TICKET not in text
    assert "65A0" not in text


# Without the library.


def test_without_requests_the_failure_says_what_to_install(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    options = connect().options
    monkeypatch.setattr(https, "HAS_REQUESTS", False)
    with pytest.raises(OptionError, match="requests is missing") as caught:
        Client(options)
    assert "python3-requests" in caught.value.hint


def test_the_client_can_be_imported_without_requests() -> None:
    program = (
        "import sys; sys.modules['requests'] = None; sys.modules['urllib3'] = None\n"
        f"sys.path[:0] = {[path for path in sys.path if '.nox' in path]!r}\n"
        "from ansible_collections.homelab.pve.plugins.module_utils.client import http, https\n"
        "print(https.HAS_REQUESTS)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
