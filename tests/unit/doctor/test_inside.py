"""What is wrong with a token and its rights, each fault made for real on a simulated cluster, on 7.4 and 9.2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp")

from ansible_collections.homelab.pve.plugins.module_utils.client import https
from ansible_collections.homelab.pve.plugins.module_utils.client.options import OPTIONS
from ansible_collections.homelab.pve.plugins.module_utils.doctor.client_side import Question, examine
from ansible_collections.homelab.pve.plugins.module_utils.doctor.report import DIAGNOSES, meant_by
from ansible_collections.homelab.pve.tests.unit.doctor.worlds import PAST, SECRET, TOKEN, USER, Cluster, Json, only

OLD, NEW = "7.4", "9.2"
READER = ("/", "PVEAuditor", "both")
# The other releases speak with the tongue of one of these.
BOTH = pytest.mark.parametrize("release", [OLD, NEW])


def test_nothing_is_wrong(cluster: Cluster) -> None:
    cluster.reader(READER)
    report = cluster.ask(path="/nodes/ugreen/qemu/100/status/current", application="labby")
    assert report.healthy
    assert not report.summary()
    assert not [check for check in report.checks if check.status != "passed"]
    assert SECRET not in str(report.as_data())


def test_what_a_look_costs(cluster: Cluster) -> None:
    """docs/doctor.md has the same numbers."""
    cluster.reader(READER)
    for path, requests in (None, 5), ("/nodes/ugreen/qemu/100/status/current", 6), ("/vms/100", 7):
        cluster.simulator.clear_requests()
        assert cluster.ask(path=path).healthy
        assert len(cluster.simulator.requests()) == requests, path


# -- the form of what one logs in with ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"token_id": "reader@pve"}, "token_id_not_whole"),
        ({"token_id": "token"}, "token_id_not_whole"),
        ({"token_id": "reader!token"}, "token_id_not_whole"),
        ({"token_id": "reader@pve!t"}, "token_id_not_whole"),
        ({"token_id": SECRET}, "token_id_not_whole"),
        ({"token_id": f"PVEAPIToken={TOKEN}"}, "token_id_not_whole"),
        ({"token_id": f"{TOKEN}:{SECRET}"}, "separator_wrong"),
        ({"token_id": f"{TOKEN}={SECRET}"}, "separator_wrong"),
        ({"token_id": f"PVEAPIToken={TOKEN}:{SECRET}"}, "separator_wrong"),
        ({"token_secret": SECRET.upper()}, "secret_malformed"),
        ({"token_secret": f'"{SECRET}"'}, "secret_malformed"),
        ({"token_secret": f"{SECRET} "}, "secret_malformed"),
        ({"token_secret": SECRET[:-1]}, "secret_malformed"),
        ({"token_secret": f"{TOKEN}={SECRET}"}, "secret_malformed"),
        ({"token_id": None, "token_secret": None}, "no_credentials"),
        ({"token_id": None}, "no_credentials"),
        ({"token_secret": None}, "no_credentials"),
    ],
)
def test_what_cannot_be_right(cluster: Cluster, given: Json, expected: str) -> None:
    report = cluster.ask(**given)
    found = only(report)
    assert found.diagnosis == expected
    assert SECRET.upper() not in str(report.as_data())
    assert SECRET[:-1] not in str(report.as_data())
    # Nothing was tried with it.
    assert [request["path"] for request in cluster.simulator.requests()] == ["/access/domains"]


@pytest.mark.parametrize(
    ("header", "expected", "word"),
    [
        (f"PVEAPIToken={TOKEN}:{SECRET}", "separator_wrong", "':'"),
        (f"Authorization: PVEAPIToken={TOKEN}", "separator_wrong", "no '='"),
        (f"pveapitoken={TOKEN}={SECRET}", "header_malformed", "PVEAPIToken"),
        (f"PVEAPIToken: {TOKEN}={SECRET}", "header_malformed", "PVEAPIToken"),
        (f"PBSAPIToken={TOKEN}:{SECRET}", "header_malformed", "Backup"),
        (f"Basic {SECRET}", "header_malformed", "Basic"),
        (f"Bearer {SECRET}", "header_malformed", "PVEAPIToken"),
        (f'PVEAPIToken="{TOKEN}={SECRET}"', "header_malformed", "quotes"),
        (f"PVEAPIToken={TOKEN}={SECRET} ", "header_malformed", "blanks"),
        (f"PVEAPIToken=reader@pve={SECRET}", "token_id_not_whole", "'!'"),
        (f"PVEAPIToken={TOKEN}={SECRET.upper()}", "secret_malformed", "upper-case"),
    ],
)
def test_a_header_that_pve_does_not_take(cluster: Cluster, header: str, expected: str, word: str) -> None:
    report = examine(Question(cluster.options(token_id=None, token_secret=None), {}, header=header))
    found = only(report)
    assert (found.diagnosis, word in found.said) == (expected, True), found.said
    assert SECRET.upper() not in str(report.as_data())


@pytest.mark.parametrize("header", [f"PVEAPIToken={TOKEN}={SECRET}", f"Authorization: PVEAPIToken {TOKEN}={SECRET}; x"])
def test_a_header_that_pve_takes(cluster: Cluster, header: str) -> None:
    cluster.reader(READER)
    report = examine(Question(cluster.options(token_id=None, token_secret=None), {}, header=header))
    assert report.healthy
    assert report.known["identity"] == TOKEN


@pytest.mark.parametrize(
    ("content", "mode", "expected", "word"),
    [
        (None, 0o600, "secret_file_missing", "no file"),
        (SECRET, 0o644, "secret_file_unusable", "0644"),
        ("", 0o600, "secret_file_content", "empty"),
        (f"Authorization: PVEAPIToken={TOKEN}={SECRET}", 0o600, "secret_file_content", "whole header"),
        (f"{TOKEN}={SECRET}", 0o600, "secret_file_content", "token id"),
        (f'{{"value":"{SECRET}"}}', 0o600, "secret_file_content", "JSON"),
        (f'"{SECRET}"', 0o600, "secret_file_content", "quotes"),
        (f" {SECRET.upper()}", 0o600, "secret_file_content", "upper-case"),
        (f"\ufeff{SECRET}", 0o600, "secret_file_content", "BOM"),
        (f"PVE_TOKEN={SECRET}", 0o600, "secret_file_content", "besides"),
    ],
)
def test_a_secret_file(
    cluster: Cluster, tmp_path: Path, content: str | None, mode: int, expected: str, word: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_text(content)
        file.chmod(mode)
    report = cluster.ask(token_secret=None, token_file=str(file))
    found = only(report)
    assert found.diagnosis == expected
    assert word in found.said
    assert SECRET.upper() not in str(report.as_data())


def test_a_folder_is_no_secret_file(cluster: Cluster, tmp_path: Path) -> None:
    assert only(cluster.ask(token_secret=None, token_file=str(tmp_path))).diagnosis == "secret_file_unusable"


def test_credentials_of_the_environment(cluster: Cluster) -> None:
    """They count, and are judged, as the modules would take them."""
    cluster.reader(READER)
    bare = cluster.options(token_id=None, token_secret=None)
    told = {"PVE_TOKEN_ID": TOKEN, "PVE_TOKEN_SECRET": SECRET}
    assert examine(Question(bare, told)).healthy
    assert only(examine(Question(bare, {**told, "PVE_TOKEN_ID": USER}))).diagnosis == "token_id_not_whole"
    # What belongs to a token means nothing where somebody logs in with a password.
    with_password = {**bare, "user": "nobody@pve", "password": "wrong-password"}
    assert only(examine(Question(with_password, {"PVE_TOKEN_ID": USER}))).diagnosis == "password_refused"


# -- the log-in --------------------------------------------------------------------------------------------------------

REFUSED = [
    ("user_unknown", {"userid": "other@pve"}, {"tokenid": "other@pve!token"}),
    ("user_disabled", {"enable": 0}, {}),
    ("user_expired", {"expire": PAST}, {}),
    ("token_unknown", {}, {"tokenid": f"{USER}!other"}),
    ("token_expired", {}, {"expire": PAST}),
    ("secret_wrong", {}, {"secret": "11111111-1111-4222-8333-abcdefabcdef"}),
]


@BOTH
@pytest.mark.parametrize(("expected", "user", "token"), REFUSED, ids=[row[0] for row in REFUSED])
def test_why_a_token_is_refused(clusters: Any, release: str, expected: str, user: Json, token: Json) -> None:
    """Before 9.1.5 the text tells, after it nothing does."""
    cluster = clusters(release).reader(READER, user=user, token=token)
    found = only(cluster.ask())
    assert found.diagnosis == (expected if release == OLD else "token_refused")
    assert USER in found.mend
    # Each refusal takes three seconds: one is enough.
    assert [request["status"] for request in cluster.simulator.requests()].count(401) == 1


@BOTH
def test_a_password_that_is_refused(clusters: Any, release: str) -> None:
    cluster = clusters(release)
    found = only(cluster.ask(token_id=None, token_secret=None, user="root@pam", password="wrong-password"))
    assert found.diagnosis == "password_refused"
    assert "wrong-password" not in str(found.as_data())


@pytest.mark.parametrize("given", [None, "totp:000000"])
def test_a_second_factor(cluster: Cluster, given: str | None) -> None:
    entry = {"id": "t", "type": "totp", "description": "phone", "enable": 1, "created": PAST}
    cluster.simulator.load(
        {
            "passwords": {USER: "right-password"},
            "tfa": [{"userid": USER, "entries": [entry]}],
            "factors": {USER: {"totp": "JBSWY3DPEHPK3PXP"}},
        }
    )
    password = {"token_id": None, "token_secret": None, "user": USER, "password": "right-password"}
    assert only(cluster.ask(**password, second_factor=given)).diagnosis == "second_factor"


def test_what_nothing_explains(cluster: Cluster) -> None:
    cluster.reader(READER)
    cluster.simulator.fault("GET", "/nodes", do="status", status=500, reason="some Perl error", times=0)
    found = only(cluster.ask())
    assert found.diagnosis == "call_failed"
    assert "some Perl error" in found.said


def test_a_machine_without_the_library(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "HAS_REQUESTS", False)
    found = only(cluster.ask())
    assert found.diagnosis == "library_missing"
    assert "python3-requests" in found.mend


# -- behind the API ----------------------------------------------------------------------------------------------------


@BOTH
def test_a_daemon_that_is_down(clusters: Any, release: str) -> None:
    cluster = clusters(release).reader(READER)
    cluster.simulator.fault("GET", "/nodes/localhost/*", do="status", status=595, reason="Connection refused", times=0)
    found = only(cluster.ask())
    assert found.diagnosis == "daemon_down"
    assert "systemctl restart pvedaemon" in found.mend


@BOTH
@pytest.mark.parametrize("answers", ["unreachable", "refused", "timeout"])
def test_a_node_that_is_down(clusters: Any, release: str, answers: str) -> None:
    cluster = clusters(release).reader(READER)
    cluster.simulator.set_online("ugreen-2", False, answers=answers, seconds=0)
    report = cluster.ask(path="/nodes/ugreen-2/status")
    assert report.as_data()["diagnoses"] == ["node_down"]
    assert {check.name for check in report.failures} == {"nodes", "path"}


# -- rights ------------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("whose", ["nobody", "user", "token"])
def test_a_half_that_is_missing(clusters: Any, release: str, whose: str) -> None:
    """The token alone cannot see which one, so both are named."""
    cluster = clusters(release).reader(("/", "PVEAuditor", whose))
    found = only(cluster.ask())
    assert found.diagnosis == "no_rights"
    assert f"pveum acl modify / --users {USER}" in found.mend
    assert f"pveum acl modify / --tokens '{TOKEN}'" in found.mend
    assert "grant_user: true" in found.mend


@BOTH
@pytest.mark.parametrize(
    ("path", "expected", "word"),
    [
        ("/nodes/ugreen/qemu/100", "acl_path_wrong", "/vms/100"),
        ("/access/realms/pve", "acl_path_wrong", "/access/realm/pve"),
        ("/cluster/resources?type=lxc", "type_refused", "type=vm"),
        ("GET /cluster/resources?type=vm&nothing=1", "parameter_refused", "parameter"),
        ("https://pve:8006/api2/json/nodes/ugreen/nothing", "api_path_unknown", "release"),
        ("/nodes/nosuch/status", "node_unknown", "ugreen"),
        ("/nodes/nosuch", "node_unknown", "ugreen"),
        ("/vms/999", "guest_not_there", "type=vm"),
        ("/pool/nosuch", "object_unknown", "GET /pools"),
        ("/pools/nosuch", "object_unknown", "GET /pools"),
        ("/storage/nosuch", "object_unknown", "GET /storage"),
        ("/nodes/ugreen-2/qemu/100/status/current", "guest_not_there", "type=vm"),
        ("/nodes/ugreen/lxc/100/status/current", "guest_not_there", "lxc"),
        ("/cluster/backup-info", "not_for_tokens", "password"),
    ],
)
def test_a_path_that_is_wrong(clusters: Any, release: str, path: str, expected: str, word: str) -> None:
    found = only(clusters(release).reader(READER).ask(path=path))
    assert (found.diagnosis, word in found.mend) == (expected, True), (found.said, found.mend)


@BOTH
@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/nodes/ugreen/status", "/nodes/ugreen"),
        ("/nodes/ugreen/lxc/102/status/current", "/vms/102"),
        ("/vms/102", "/vms/102"),
        ("/storage", "/storage"),
    ],
)
def test_a_right_that_is_missing(clusters: Any, release: str, path: str, where: str) -> None:
    """The second token of the guide: made for VM 100 alone."""
    cluster = clusters(release).reader(("/vms/100", "PVEAuditor", "both"))
    assert cluster.ask(path="/nodes/ugreen/qemu/100/status/current").healthy
    found = only(cluster.ask(path=path))
    assert found.diagnosis == "right_missing"
    assert f"pveum acl modify {where} --tokens" in found.mend
    assert "PVEAuditor" in found.mend


def test_noaccess_on_the_way(cluster: Cluster) -> None:
    """Nothing is given beside it, for it would stay."""
    cluster.reader(READER, ("/vms/100", "NoAccess", "token"))
    found = only(cluster.ask(path="/vms/100"))
    assert found.diagnosis == "right_missing"
    assert "NoAccess" in found.said
    assert "PVEAuditor" not in found.mend


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({"path": "/nodes/ugreen/qemu/100/status/current"}, "path: /vms/100,"),
        ({"path": "/vms/100"}, "path: /vms/100,"),
        ({"path": "/nodes/ugreen/qemu/100"}, "path: /vms/100,"),
        ({"application": "labby"}, f"readers: [{{token: {TOKEN}, application: labby}}]"),
    ],
)
def test_what_nobody_needs_is_not_given(cluster: Cluster, asked: Json, given: str) -> None:
    """A reader of one guest must not become an auditor of everything by what the doctor says."""
    report = cluster.ask(**asked)
    (found,) = [check for check in report.checks if check.diagnosis == "no_rights"]
    assert given in found.mend


def test_a_right_that_no_reading_role_has(cluster: Cluster) -> None:
    """The smallest built-in role with the logs can switch the node off. An entry also hides what comes from above."""
    found = only(cluster.reader(READER).ask(path="/nodes/ugreen/syslog"))
    assert "roleid: homelab-logs and privs: [Sys.Syslog]" in found.mend
    assert "roles: [PVEAuditor, homelab-logs]" in found.mend
    assert "--roles PVEAuditor,homelab-logs" in found.mend
    # Where PVE does not name the right, the tables of its calls do.
    found = only(cluster.ask(path="/access/users/root@pam/token"))
    assert "User.Modify" in found.mend


@BOTH
def test_an_application_that_starves(clusters: Any, release: str) -> None:
    cluster = clusters(release).reader(("/vms", "PVEAuditor", "both"))
    found = only(cluster.ask(application="labby"))
    assert found.diagnosis == "application_starved"
    assert "Sys.Audit on /" in found.said


# -- what somebody was told --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("401 No ticket", "header_not_recognised"),
        ("401 no tokenid specified", "separator_wrong"),
        ("401 'x' is not a valid token ID - not able to split into user and token parts", "token_id_not_whole"),
        ("401 no such user ('no@pve')", "user_unknown"),
        ("user 'dis@pve' is disabled", "user_disabled"),
        ("user 'exp@pve' access expired", "user_expired"),
        ("no such token 'nope' for user 'u@pve'", "token_unknown"),
        ("token 'old' access expired", "token_expired"),
        ("invalid token value!", "secret_wrong"),
        ("401 Authentication failed!", "token_refused"),
        ("Authentication failed - invalid API token", "separator_wrong"),
        ("SSL/Certificate error", "certificate_untrusted"),
        ("Cannot connect to server", "packet_filter"),
        ("curl: (7) Failed to connect: Connection refused", "port_refused"),
        ("curl: (28) Connection timed out", "port_filtered"),
        ("Access forbidden", "token_without_acl"),
        ("Permission check failed (/vms/100, VM.Audit)", "right_missing"),
        ("Permission check failed (user != root@pam)", "not_for_tokens"),
        ("ERROR: no command specified", "pveum_syntax"),
        ("path: invalid ACL path '/nodes/ugreen/qemu/100'", "acl_path_wrong"),
        ("595 No route to host", "node_down"),
        ("hostname lookup 'nosuch' failed", "node_unknown"),
        ("Method 'GET /x' not implemented", "api_path_unknown"),
        ("502 Bad Gateway", "proxy_answers"),
        ("all is well", ""),
    ],
)
def test_what_a_text_means(text: str, expected: str) -> None:
    found = meant_by(text)
    assert expected in found if expected else not found
    assert set(found) <= DIAGNOSES.keys()


def test_no_option_of_a_connection_is_passed_over() -> None:
    from ansible_collections.homelab.pve.plugins.module_utils.doctor import client_side, credentials

    looked_at = {*client_side._WHERE, *client_side._TRUST, *credentials._NAMES, "transport"}
    assert looked_at == {option.name for option in OPTIONS}
