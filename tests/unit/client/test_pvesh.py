"""pvesh as a transport: how it is run, what must never be handed to it, and how it is read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.client import loopback
from ansible_collections.homelab.pve.plugins.module_utils.client.cluster_fw import parse_options
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import (
    ApiError,
    AuthenticationError,
    NodeUnreachable,
    OptionError,
    ParameterError,
    TlsError,
    TransportError,
    UnknownEndpoint,
    error_from_answer,
    is_digest_conflict,
    is_lock_timeout,
)
from ansible_collections.homelab.pve.plugins.module_utils.client.http import LOCK_PAUSES, Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.client.pvesh import SECRETS, PveshTransport
from ansible_collections.homelab.pve.plugins.module_utils.client.pvesh_answer import Said, read_answer
from ansible_collections.homelab.pve.tests.unit.client.servers import SECRET, TOKEN, Authority, Clock, Reply, Server

Program = Callable[..., Path]
ENDPOINTS = Path(__file__).resolve().parents[2] / "simulator" / "data" / "endpoints.jsonl"
USAGE = "pvesh create <api_path> --groupid <string> [OPTIONS] [FORMAT_OPTIONS]\n"
BROKEN = "unknown schema type (not an object?)\nCompilation failed in require at /usr/bin/pvesh line 6.\n"
# The arguments and what of the environment there is, each with a NUL behind it.
NOTES = 'printf "%s\\0" "$@" > {folder}/arguments; env -0 > {folder}/environment; cat > {folder}/input\n'


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Put a shell script called pvesh in front of all programs, and return the folder where it notes its arguments."""

    def make(script: str = "") -> Path:
        file = tmp_path / "pvesh"
        file.write_text("#!/bin/sh\n" + (NOTES + script).format(folder=tmp_path))
        file.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return tmp_path

    return make


def options(**more: Any) -> ConnectionOptions:
    return ConnectionOptions.from_params({"transport": "pvesh", "host": "127.0.0.1", "timeout": 20, **more}, {})


def noted(folder: Path, name: str = "arguments") -> list[str]:
    return (folder / name).read_bytes().decode().split("\0")[:-1]


def said(err: str, code: int = 255, out: str = "", path: str = "/access/groups", method: str = "POST") -> ApiError:
    """Return the error that comes of what pvesh says."""
    answer = read_answer(method, path, Said(code, out.encode(), err.encode()))
    return error_from_answer(method, path, answer.status, answer.reason, answer.body)


# What pvesh is given.


def test_values_arrive_as_they_are(program: Program) -> None:
    folder = program()
    values = {
        "a": "-x",
        "b": "",
        "c": "--output-format",
        "d": "l1\nl2",
        "e": 'ü "$HOME" `id` \\',
        "f": "--",
        "g": "=a=b",
    }
    with Client(options()) as client:
        assert client.send("PUT", "/access/users/jö'e@pve", {**values, "h": True, "i": ["x", "y"], "j": None}) is None
    told = [word for name, value in values.items() for word in (f"--{name}", value)]
    more = ["--h", "1", "--i", "x,y", "--output-format", "json"]
    assert noted(folder) == ["set", "/access/users/jö'e@pve", *told, *more]
    assert (folder / "input").read_bytes() == b""


@pytest.mark.parametrize(
    ("method", "command"), [("GET", "get"), ("POST", "create"), ("PUT", "set"), ("DELETE", "delete")]
)
def test_each_method_has_its_command(program: Program, method: str, command: str) -> None:
    folder = program()
    PveshTransport(options()).send(method, "/version", [], {})
    assert noted(folder)[:2] == [command, "/version"]


def test_nothing_of_the_environment_changes_what_pvesh_does(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PERL5OPT", "PERL5LIB", "POSIXLY_CORRECT", "LANGUAGE", "PVE_LOG_ID"):
        monkeypatch.setenv(name, "something")
    monkeypatch.setenv("LC_ALL", "C")
    folder = program()
    PveshTransport(options()).send("GET", "/version", [], {})
    given = dict(line.split("=", 1) for line in noted(folder, "environment"))
    assert given.keys() - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "HOME", "LC_ALL", "LANG"}
    assert given["LC_ALL"] == "C.UTF-8"
    assert "/usr/sbin" in given["PATH"].split(":")


@pytest.mark.parametrize(
    ("path", "params", "problem"),
    [
        ("/access/users", {"password": "canary-1"}, "password is a secret"),
        ("/access/domains", {"client-key": "canary-1"}, "client-key is a secret"),
        ("/access/users", {"quiet": "canary-1"}, "cannot pass on a parameter called quiet"),
        ("/access/users", {"a=b": "canary-1"}, "cannot pass on a parameter"),
        ("/access/users", {"comment": "canary-1\0"}, "NUL"),
        ("/access/users", {"comment": "canary-1\udc80"}, "not valid Unicode"),
        ("/access/users", {"comment": "canary-1" * 20_000}, "longer than an argument"),
        ("/nodes/n;id/firewall/options", {"comment": "canary-1"}, "a shell of another node"),
        ("/nodes/$(id)/status", {}, "a shell of another node"),
    ],
)
def test_what_pvesh_must_not_be_given_is_refused_before_it_runs(
    program: Program, path: str, params: dict[str, str], problem: str
) -> None:
    folder = program()
    with Client(options()) as client:
        for ask in (client.check, client.send):
            with pytest.raises(OptionError, match=problem) as caught:
                ask("POST", path, params)
            assert "canary-1" not in str(caught.value)
    assert not (folder / "arguments").exists()


def test_no_parameter_of_the_api_that_holds_a_secret_is_passed_on() -> None:
    """A new parameter whose name speaks of a secret is either refused or known to hold none."""
    named = re.compile(r"pass|secret|key|token|otp|cred|ticket|tfa|chall|private|cookie|code", re.IGNORECASE)
    harmless = {
        *("certkey", "config-keys", "encode", "decode", "generate-password", "keyboard", "lock-token", "master-pubkey"),
        *("ssh-public-keys", "sshkeys", "token-coefficient", "tokenid", "tokens", "hotplug"),
    }
    rows = [json.loads(line) for line in ENDPOINTS.read_text(encoding="utf-8").splitlines()]
    names = {name for row in rows for name in row.get("a", {})}
    names |= {name for group in rows[0]["groups"].values() for name in group}
    assert {name for name in names if named.search(name)} - harmless <= SECRETS


# Where it cannot be run, or does not come to its end.


def test_where_there_is_no_pvesh_the_failure_says_where_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "pvesh").touch(mode=0o644)
    with pytest.raises(OptionError, match="no pvesh") as caught:
        Client(options()).get("/version")
    assert "on a node of the cluster, as root (become: true)" in str(caught.value)


def test_what_lies_about_where_the_task_runs_is_not_run(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = program("exit 0")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", f".::{folder.name}:../{folder.name}")
    with pytest.raises(OptionError, match="no pvesh"):
        Client(options()).get("/version")


def test_what_is_no_program_is_told(program: Program) -> None:
    folder = program()
    (folder / "pvesh").write_text("#!/nonexistent/interpreter\n")
    with pytest.raises(OptionError, match="cannot be run: No such file"):
        Client(options()).get("/version")


def test_who_is_not_root_is_told_to_become_it(program: Program) -> None:
    program('echo "please run as root" >&2; exit 255')
    with pytest.raises(OptionError, match=r"was not run by root. Set become: true"):
        Client(options()).get("/version")


def test_what_takes_too_long_is_killed_with_all_that_it_started(program: Program) -> None:
    folder = program("sleep 600 & echo $! > {folder}/child; wait")
    client = Client(options(timeout=1))
    with pytest.raises(TransportError, match="within 1 seconds") as caught:
        client.send("POST", "/access/groups", {"groupid": "g"})
    assert caught.value.sent
    assert caught.value.timed_out
    assert client.requests_sent == 1
    child = Path("/proc", (folder / "child").read_text().strip(), "stat")
    for unused in range(100):
        if not child.exists() or child.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("what it started still runs")


def test_what_is_killed_may_have_done_its_work(program: Program) -> None:
    folder = program("echo x >> {folder}/runs; kill -9 $$")
    clock = Clock()
    client = Client(options(), sleep=clock.sleep)
    with pytest.raises(TransportError, match="ended by SIGKILL") as caught:
        client.send("DELETE", "/access/groups/g")
    assert caught.value.sent
    with pytest.raises(TransportError):
        client.get("/version")
    assert (folder / "runs").read_text().count("x") == 1 + 4  # reading is repeated


def test_a_lock_that_cannot_be_had_is_tried_for_again(program: Program) -> None:
    program("""echo "create group failed: cfs-lock 'file-user_cfg' error: got lock request timeout" >&2; exit 4""")
    clock = Clock()
    with pytest.raises(ApiError, match="lock request timeout") as caught:
        Client(options(), sleep=clock.sleep).send("POST", "/access/groups", {"groupid": "g"})
    assert is_lock_timeout(caught.value)
    assert clock.slept == list(LOCK_PAUSES)


# How it is read.


@pytest.mark.parametrize(
    ("out", "data"),
    [
        ("", None),
        ("null\n", None),
        ('"102"\n', "102"),
        ("[]\n", []),
        ('{"comment":"ü\\nx"}\n', {"comment": "ü\nx"}),
        ('starting task\n50%\n"UPID:ugreen:1"\n', "UPID:ugreen:1"),
    ],
)
def test_what_it_prints_is_the_data(program: Program, out: str, data: object) -> None:
    folder = program("cat {folder}/out; echo 'a warning at /usr/share/perl5/PVE/X.pm line 1.' >&2")
    (folder / "out").write_text(out, encoding="utf-8")
    assert Client(options()).get("/cluster/nextid") == data


def test_what_is_no_json_is_no_answer(program: Program) -> None:
    program("echo hello")
    with pytest.raises(TransportError, match="not one of PVE's"):
        Client(options()).send("POST", "/access/groups", {"groupid": "g"})


def test_parameters_that_are_wrong_are_named() -> None:
    found = said(
        "400 Parameter verification failed.\n"
        "log_ratelimit: invalid format - format error\n"
        "log_ratelimit.enable: property is missing and it is not optional\n\n"
        "net[n]: what\ngroupid: property is missing and it is not optional\n" + USAGE
    )
    assert isinstance(found, ParameterError)
    assert found.errors == {
        "log_ratelimit": "invalid format - format error\nlog_ratelimit.enable: property is missing "
        "and it is not optional",
        "net[n]": "what",
        "groupid": "property is missing and it is not optional",
    }
    assert "pvesh create" not in str(found)


def test_unknown_parameters_are_said_as_over_https() -> None:
    found = said("Unknown option: foo\nOption p is ambiguous (path, pos)\n400 unable to parse option\n" + USAGE)
    assert isinstance(found, ParameterError)
    assert found.errors.keys() == {"foo", "p"}
    assert found.errors["foo"].startswith("property is not defined in schema")
    assert "Parameter verification failed." in str(found)


@pytest.mark.parametrize(
    ("err", "text"),
    [
        ("group 'nope' does not exist\n", "group 'nope' does not exist"),
        ("Use of x at /usr/share/perl5/PVE/Y.pm line 9.\ngroup 'nope' does not exist\n", "group 'nope' does not exist"),
        ("/etc/pve/firewall/cluster.fw (line 7) - errors\nno rule at position 9\n", "no rule at position 9"),
        ("unexpected at /usr/share/perl5/PVE/Y.pm line 9.\n", "unexpected at /usr/share/perl5/PVE/Y.pm line 9."),
        ("", "pvesh ended with exit code 3 and said nothing"),
    ],
)
def test_what_a_handler_died_of_is_a_500_without_what_it_warned_of(err: str, text: str) -> None:
    found = said(err, 3)
    assert (found.status, found.text, found.reason) == (500, text, text)


def test_texts_that_mean_something_keep_their_meaning() -> None:
    assert is_digest_conflict(said("detected modified configuration - file changed by other user? Try again.\n", 2))
    inner = said("ACL update failed: 400 Parameter verification failed.\nrole: Cannot add role 'X'\n", 2)
    assert (inner.status, inner.errors) == (500, {"role": "Cannot add role 'X'"})
    assert said("404 no such thing\n").status == 404


@pytest.mark.parametrize("err", ["No 'get' handler defined for '/foo'\n", "no 'get' handler for '/foo'\n", BROKEN])
def test_what_it_does_not_know_is_an_unknown_endpoint(err: str) -> None:
    assert isinstance(said(err, 1, method="GET", path="/foo"), UnknownEndpoint)


@pytest.mark.parametrize(
    ("err", "status", "reason"),
    [
        ("proxy handler failed: ssh: connect to host 10.0.0.2 port 22: No route to host\n", 595, "No route to host"),
        ("proxy handler failed: ssh: connect to host n port 22: Connection timed out\n", 596, "Connection timed out"),
        ("Host key verification failed.\nproxy handler failed: exit code 255\n", 595, "Host key verification failed."),
        ("root@10.0.0.2: Permission denied (publickey).\n", 595, "root@10.0.0.2: Permission denied (publickey)."),
        ("proxy handler failed: Connection closed by 10.0.0.2 port 22\n", 595, "Connection closed by 10.0.0.2 port 22"),
    ],
)
def test_a_node_that_ssh_does_not_reach_is_unreachable(err: str, status: int, reason: str) -> None:
    found = said(err, method="GET", path="/nodes/n/status")
    assert isinstance(found, NodeUnreachable)
    assert (found.status, found.reason) == (status, reason)


def test_what_another_node_says_is_read_as_if_it_were_said_here() -> None:
    usage = "proxy handler failed: pvesh set <api_path> [OPTIONS] [FORMAT_OPTIONS]\n"
    path = "/nodes/n/firewall/options"
    found = said(f"400 Parameter verification failed.\nenable: type check\n{usage}", method="PUT", path=path)
    assert found.errors == {"enable": "type check"}
    assert said("proxy handler failed: no such thing\n", method="PUT", path=path).text == "no such thing"


# What a broken pvesh cannot show.


def test_options_are_read_from_their_file_where_pvesh_breaks_down(program: Program, tmp_path: Path) -> None:
    program(f"printf '%s' '{BROKEN}' >&2; exit 255")
    cluster = tmp_path / "pve"
    (cluster / "firewall").mkdir(parents=True)
    transport = PveshTransport(options(), folder=str(cluster))

    def ask() -> Any:
        answer = transport.send("GET", "/cluster/firewall/options", [], {})
        return answer.status, json.loads(answer.body)

    status, body = ask()
    assert status == 500
    assert "is not mounted" in body["message"]
    (cluster / ".version").touch()
    assert ask() == (200, {"data": {"digest": "da39a3ee5e6b4b0d3255bfef95601890afd80709"}})
    file = cluster / "firewall" / "cluster.fw"
    file.write_bytes(b"[OPTIONS]\n\nenable: 1\n\n[RULES]\n\nIN ACCEPT # \xff\n")
    assert ask() == (200, {"data": {"enable": 1, "digest": "bb9ed91416c7ca9fe0bdb701360217e37ab4497f"}})
    file.unlink()
    file.mkdir()
    assert ask()[0] == 500


def test_the_file_is_read_as_pve_does() -> None:
    text = (
        "enable: 1\n[options]\n  POLICY_IN:  drop \n#policy_out: DROP\nEnable: 0010\nebtables: 2\nnonsense\n"
        "log_ratelimit: enable=1,rate=1/second\n[Aliases]\nebtables: 1\n[group x] # y\nebtables: 1\n[OPTIONS]\n"
        "policy_forward: ACCEPT\n[group]\nebtables: 0\n"
    )
    assert parse_options(text, 60.0) == {
        "policy_in": "DROP",
        "enable": 10,
        "log_ratelimit": "enable=1,rate=1/second",
        "policy_forward": "ACCEPT",
        "ebtables": 0,
    }
    assert parse_options(text, 71.0)["enable"] == 0


# Others than root@pam, by HTTPS from the host to itself.


def beside(server: Server, **more: Any) -> Client:
    clock = Clock()
    client = Client(options(port=server.port, **more), clock=clock.read, sleep=clock.sleep)
    return client.with_token(TOKEN, SECRET)


def test_a_token_is_tried_by_https(server: Server, authority: Authority) -> None:
    client = beside(server, ca_path=str(authority.ca_file))
    server.script = [Reply(body={"data": {"ü": 1}}), Reply(401, "Authentication failed!", b""), Reply(body={"data": 1})]
    assert client.get("/version", {"a": "b c"}) == {"ü": 1}
    with pytest.raises(AuthenticationError):
        client.get("/version")
    with client.clone() as clone:
        clone.send("PUT", "/access/users/joe@pve", {"comment": "ü;"})
    get, unused, put = server.received
    assert get.headers["authorization"] == f"PVEAPIToken={TOKEN}={SECRET}"
    assert get.target == "/api2/json/version?a=b%20c"
    assert put.body == "comment=%C3%BC%3B"
    assert (client.identity, client.options.address) == (TOKEN, f"https://127.0.0.1:{server.port}")


def test_only_the_certificate_that_is_meant_gets_a_secret(
    server: Server, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = authority.certificate()
    server.swap(shown)
    right = shown.fingerprint
    assert beside(server, fingerprint=right).get("/version")["release"]
    with pytest.raises(TlsError, match="does not show the certificate"):
        beside(server, fingerprint="AA:" * 31 + "AA").get("/version")
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(TlsError, match="broke off"):
        beside(server, ca_path=str(Authority(other).ca_file)).get("/version")
    with pytest.raises(TlsError, match="broke off"):
        beside(server, ca_path=str(authority.ca_file), host="pve.example.org").get("/version")
    # Without either, the host's own certificate it is.
    monkeypatch.setattr(loopback, "OWN", (str(tmp_path / "none"), str(shown.file)))
    assert beside(server).get("/version")["release"]
    monkeypatch.setattr(loopback, "OWN", (str(authority.certificate().file),))
    with pytest.raises(TlsError):
        beside(server).get("/version")
    monkeypatch.setattr(loopback, "OWN", (str(tmp_path / "none"),))
    with pytest.raises(TransportError, match="certificate of this host cannot be read") as caught:
        beside(server).get("/version")
    assert not caught.value.sent
    assert all(request.headers["authorization"].endswith(SECRET) for request in server.received)
    assert len(server.received) == 2


def test_an_answer_that_is_cut_may_stand_for_work_done(server: Server, authority: Authority) -> None:
    server.script = [Reply(body={"data": "x" * 100}, cut=60)]
    with pytest.raises(TransportError, match="was cut") as caught:
        beside(server, ca_path=str(authority.ca_file)).send("POST", "/access/groups")
    assert caught.value.sent
    assert SECRET not in "".join(map(str, (caught.value, caught.value.__context__, caught.value.__cause__)))


def test_where_nothing_listens_nothing_was_sent(authority: Authority) -> None:
    client = Client(options(port=1, ca_path=str(authority.ca_file)), sleep=Clock().sleep).with_token(TOKEN, SECRET)
    with pytest.raises(TransportError, match="Cannot connect to https:") as caught:
        client.get("/version")
    assert not caught.value.sent
    assert "pveproxy" in caught.value.hint


# What is around it.


def test_who_came_by_ssh_is_where_the_task_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    assert PveshTransport(options()).local_address == "127.0.0.1"
    monkeypatch.setenv("SSH_CONNECTION", "192.168.40.82 51000 192.168.40.60 22")
    assert PveshTransport(options()).local_address == "192.168.40.82"


def test_a_clone_asks_the_same_way(program: Program) -> None:
    folder = program()
    with Client(options()) as client, client.clone() as clone:
        clone.get("/nodes")
        assert (clone.identity, clone.warnings, clone.read_only().identity) == ("root@pam", [], "root@pam")
    assert noted(folder)[:2] == ["get", "/nodes"]


def test_it_takes_no_library() -> None:
    program = (
        "import sys; sys.modules['requests'] = sys.modules['urllib3'] = None\n"
        f"sys.path[:0] = {[path for path in sys.path if '.nox' in path]!r}\n"
        "from ansible_collections.homelab.pve.plugins.module_utils.client import http, options\n"
        "client = http.Client(options.ConnectionOptions.from_params({'transport': 'pvesh', 'host': 'pve'}, {}))\n"
        f"print(client, client.with_token({TOKEN!r}, {SECRET!r}), client.with_password('joe@pve', 'x'))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    here = "https://127.0.0.1:8006"
    assert done.stdout == f"<Client root@pam at pvesh on pve> <Client {TOKEN} at {here}> <Client joe@pve at {here}>\n"
