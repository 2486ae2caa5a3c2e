"""What applications ask, as people write it, as PVE logs it, and as browsers record it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError
from ansible_collections.homelab.pve.plugins.module_utils.least.applications import APPLICATIONS, application
from ansible_collections.homelab.pve.plugins.module_utils.least.parse import Calls, from_access_log, from_har, from_list

NEWEST = (9, 2)
SECRET = "hunter2-hunter2"


def paths(calls: Calls) -> list[str]:
    return [f"{endpoint.method} {endpoint.path}" for endpoint in calls.endpoints.values()]


def reasons(calls: Calls) -> dict[str, str]:
    return {problem.name: problem.reason for problem in calls.problems.values()}


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("GET /nodes/{node}/status", "GET /nodes/{node}/status"),
        ("/nodes/ugreen/status", "GET /nodes/{node}/status"),
        ("GET /api2/json/nodes/ugreen/status/", "GET /nodes/{node}/status"),
        ("get https://192.168.40.60:8006/api2/extjs/nodes/ugreen/status?a=b", "GET /nodes/{node}/status"),
        ("GET //nodes//:node/status", "GET /nodes/{node}/status"),
        ("GET /nodes/<node>/lxc/<id>/config", "GET /nodes/{node}/lxc/{vmid}/config"),
        ({"method": "PUT", "path": "/access/acl"}, "PUT /access/acl"),
        ({"path": "/version"}, "GET /version"),
        ("GET /access/users/joe%40pve", "GET /access/users/{userid}"),
        ("GET /cluster/firewall/ipset/lan/10.0.0.0/24", "GET /cluster/firewall/ipset/{name}/{cidr}"),
        ("GET /nodes/a/qemu/100", "GET /nodes/{node}/qemu/{vmid}"),
        ("GET /cluster/resources?type=vm", "GET /cluster/resources"),
        ("GET /", "GET /"),
    ],
)
def test_an_endpoint_is_found_however_it_is_written(written: Any, means: str) -> None:
    calls = from_list([written], NEWEST)
    assert (paths(calls), reasons(calls)) == ([means], {})


def test_a_placeholder_for_the_kind_of_guest_stands_for_both() -> None:
    calls = from_list(["GET /nodes/{node}/{type}/{vmid}/config"], NEWEST)
    assert paths(calls) == ["GET /nodes/{node}/lxc/{vmid}/config", "GET /nodes/{node}/qemu/{vmid}/config"]


@pytest.mark.parametrize(
    ("line", "release", "says"),
    [
        ("GET /nodes/a/nothing", NEWEST, "PVE has no such path"),
        ("GET /cluster/ceph/df", NEWEST, "PVE has no such path"),
        ("POST /version", NEWEST, "PVE has GET there, and no POST"),
        ("PATCH /version", NEWEST, "PVE has GET, POST, PUT and DELETE, and no PATCH"),
        ("GET /nodes/a/lxc/100/interfaces", (7, 4), "PVE 7.4 does not have it"),
    ],
)
def test_what_pve_does_not_have_is_reported(line: str, release: tuple[int, int], says: str) -> None:
    calls = from_list([line], release)
    assert (paths(calls), reasons(calls)) == ([], {line: says})


@pytest.mark.parametrize("item", ["nodes", "", "GET nodes", {"method": "GET"}, {"path": 5}, "GET https://[x/version"])
def test_what_is_no_endpoint_is_refused(item: Any) -> None:
    with pytest.raises(OptionError, match=r"entry 2: .* is no endpoint"):
        from_list(["GET /version", item], NEWEST)


def test_nothing_about_an_endpoint_goes_unnoticed() -> None:
    with pytest.raises(OptionError, match="entry 1: there is no place for params"):
        from_list([{"path": "/cluster/resources", "params": {"type": "vm"}}], NEWEST)


@pytest.mark.parametrize("line", ["GET /storage/{{x}}/status", "GET /nodes/x{y/status", "GET /nodes/a/qemu/5/config"])
def test_an_id_that_can_be_none_is_reported(line: str) -> None:
    calls = from_list([line], NEWEST)
    assert not calls.endpoints
    assert len(calls.problems) == 1


def test_the_same_call_counts_once_whatever_else_it_says() -> None:
    lines = [f"GET /nodes/a/tasks?start={start}&limit=50" for start in range(0, 500, 50)]
    assert [endpoint.name for endpoint in from_list(lines, NEWEST).endpoints.values()] == ["GET /nodes/a/tasks"]
    assert len(from_list(["GET /nodes/a/status", "GET /nodes/b/status"], NEWEST).endpoints) == 2


# -- access logs -----------------------------------------------------------------------------------------------------

LOG = "\n".join(
    f'::ffff:192.168.40.82 - {who} [22/11/2026:08:00:01 +0000] "{call} HTTP/1.1" {status} 345'
    for who, call, status in (
        ("labby@pve!phone", "GET /api2/json/cluster/status", 200),
        ("labby@pve!phone", "GET /api2/json/cluster/resources?type=vm", 200),
        ("labby@pve!phone", "GET /api2/json/cluster/resources?type=lxc", 400),
        ("labby@pve!phone", "GET /api2/json/access/acl/x", 501),
        ("labby@pve!phone", "GET /api2/json/nodes/a/status", 403),
        ("labby@pve!phone", "GET /api2/json/nodes/b/status", 595),
        ("root@pam", "GET /pve2/js/pvemanagerlib.js?ver=9.2.11", 200),
        ("root@pam", "PUT /api2/extjs/access/acl", 200),
        ("-", "POST /api2/json/access/ticket", 200),
    )
)
LOG += "\n\ngarbage\n"
CALL = '::1 - joe@pve [22/11/2026:08:00:01 +0000] "GET /api2/json{} HTTP/1.1" {} 345'


def test_an_access_log_tells_what_one_token_asked_for() -> None:
    calls = from_access_log(LOG.splitlines(), "labby@pve!phone", NEWEST)
    assert paths(calls) == ["GET /cluster/status", "GET /cluster/resources", "GET /nodes/{node}/status"]
    assert {name: reason.partition(":")[0] for name, reason in reasons(calls).items()} == {
        "GET /api2/json/cluster/resources": "400",
        "GET /api2/json/access/acl/x": "501",
        "GET /api2/json/nodes/a/status": "403",
    }


def test_a_user_stands_for_his_tokens_and_nobody_for_everybody() -> None:
    assert len(from_access_log(LOG.splitlines(), "labby@pve", NEWEST).endpoints) == 3
    assert paths(from_access_log(LOG.splitlines(), "root@pam", NEWEST)) == ["PUT /access/acl"]
    assert len(from_access_log(LOG.splitlines(), None, NEWEST).endpoints) == 5


def test_a_user_who_is_not_in_the_log_is_an_error_that_names_those_who_are() -> None:
    with pytest.raises(OptionError, match="labby@pve!phone, root@pam"):
        from_access_log(LOG.splitlines(), "labby@pve!tablet", NEWEST)


def test_another_kind_of_log_is_an_error() -> None:
    with pytest.raises(OptionError, match="no line of it looks like"):
        from_access_log(["Nov 22 08:00:01 pve pvedaemon[1]: starting task"], None, NEWEST)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "there is no line in it"),
        (["", "  "], "there is no line in it"),
        ([line for line in LOG.splitlines() if "pve2" in line], "there is no call of PVE's API in it"),
    ],
)
def test_a_log_that_says_nothing_is_an_error(lines: list[str], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        from_access_log(lines, None, NEWEST)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/nodes/a/qemu/99/config", "'99' is no number of a guest, as these begin at 100"),
        ("/nodes/a/qemu/abc/config", "'abc' is no number of a guest, as these begin at 100"),
        ("/nodes/a%3brm/status", "'a;rm' is no node"),
        ("/nodes/%2e%2e/status", "'..' is no node"),
        ("/nodes/:node/status", "':node' is no node"),
        ("/nodes/%7Bnode%7D/status", "it has braces, which stand for ids and are in none"),
        ("/nodes/{node}/status", "it has braces, which stand for ids and are in none"),
        ("/storage/{{x}}", "it has braces, which stand for ids and are in none"),
        ("/nodes/a/replication/5-0/status", "'5' is no number of a guest, as these begin at 100"),
        ("/access/users/joe", "'joe' is no userid"),
    ],
)
def test_what_can_be_no_id_gives_no_right(target: str, reason: str) -> None:
    calls = from_access_log([CALL.format(target, 200)], None, NEWEST)
    assert paths(calls) == []
    assert list(reasons(calls).values()) == [reason]


def test_the_path_of_an_entry_is_one_that_pve_has() -> None:
    asked = har(
        entry("PUT", "/api2/json/access/acl", path="/vms/5", roles="PVEAuditor"),
        entry("PUT", "/api2/json/access/acl", path="/vms/100/", roles="PVEAuditor"),
    )
    calls = from_har(asked, NEWEST)
    assert paths(calls) == ["PUT /access/acl"]
    assert list(reasons(calls).values()) == ["'/vms/5' is no ACL path"]


@pytest.mark.parametrize(
    ("status", "counts"), [(200, True), (500, True), (595, True), (596, True), (501, False), (400, False), (404, False)]
)
def test_what_failed_on_the_server_was_allowed_and_what_it_does_not_have_was_not(status: int, counts: bool) -> None:
    calls = from_access_log([CALL.format("/nodes/a/status", status)], None, NEWEST)
    assert bool(calls.endpoints) is counts
    assert bool(calls.problems) is not counts


# -- HAR -------------------------------------------------------------------------------------------------------------


def har(*entries: dict[str, Any]) -> str:
    return json.dumps({"log": {"version": "1.2", "entries": list(entries)}})


def entry(method: str, target: str, status: int = 200, **posted: str) -> dict[str, Any]:
    params = [{"name": name, "value": value} for name, value in posted.items()]
    data = {"postData": {"params": params}} if posted else {}
    request = {"method": method, "url": f"https://pve:8006{target}", **data}
    return {"request": request, "response": {"status": status}}


def test_a_recording_tells_what_was_asked_and_with_what() -> None:
    calls = from_har(
        har(
            entry("GET", "/api2/json/nodes/a/qemu/100/status/current"),
            entry("GET", "/pve2/images/logo.svg"),
            entry("GET", "/api2/json/access/acl", 403),
            entry("PUT", "/api2/json/access/acl", path="/vms/100", roles="PVEAuditor"),
        ),
        NEWEST,
    )
    assert paths(calls) == ["GET /nodes/{node}/qemu/{vmid}/status/current", "PUT /access/acl"]
    assert [endpoint.values.get("path") for endpoint in calls.endpoints.values()] == [None, "/vms/100"]
    assert list(reasons(calls)) == ["GET /api2/json/access/acl"]


def test_secrets_in_a_recording_are_not_kept() -> None:
    calls = from_har(
        har(
            entry("POST", "/api2/json/access/ticket", username="root@pam", password=SECRET),
            entry("POST", f"/api2/json/nope?password={SECRET}", 501),
            entry("GET", f"/api2/json/nope?password={SECRET}"),
        ),
        NEWEST,
    )
    assert SECRET not in repr(calls)


def test_a_recording_without_calls_is_an_error() -> None:
    for text in (har(), har(entry("GET", "/pve2/images/logo.svg"))):
        with pytest.raises(OptionError, match="har: there is no call of PVE's API in it"):
            from_har(text, NEWEST)


_ENDLESS = har(entry("GET", "/api2/json/nodes", 999)).replace("999", "Infinity")


@pytest.mark.parametrize(
    "text",
    ["", "[" * 100_000, _ENDLESS, "[]", '{"log": {}}', '{"log": {"entries": [1]}}', '{"log": {"entries": 1}}'],
    ids=range(7),
)
def test_what_is_no_recording_is_an_error(text: str) -> None:
    with pytest.raises(OptionError, match="this is no HAR file"):
        from_har(text, NEWEST)


# -- the catalogue's names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "meant"), [("Laby", "labby"), ("check_pve", "check-pve"), ("Home Assistant", "home-assistant")]
)
def test_an_unknown_application_is_told_which_ones_there_are(wrong: str, meant: str) -> None:
    with pytest.raises(OptionError) as refused:
        application(wrong)
    assert f"Did you mean {meant}?" in str(refused.value)
    assert all(one.name in str(refused.value) for one in APPLICATIONS)


def test_a_name_like_none_of_them_gets_no_guess() -> None:
    with pytest.raises(OptionError, match="catalogue") as refused:
        application("zzz")
    assert "Did you mean" not in str(refused.value)
