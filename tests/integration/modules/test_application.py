"""The least rights as the module tells them: with a server and without one."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.pve.tests.integration.modules.world import Json, Module, succeeded
from ansible_collections.homelab.pve.tests.simulator import Simulator

LOG = "\n".join(
    f'::ffff:192.168.40.82 - {who} [22/11/2026:08:00:01 +0000] "GET /api2/json{path} HTTP/1.1" {status} 345'
    for who, path, status in (
        ("backup@pve!check", "/cluster/tasks?limit=50", 200),
        ("backup@pve!check", "/nodes/ugreen/qemu/100/config", 200),
        ("backup@pve!check", "/nodes/ugreen/syslog", 403),
        ("root@pam", "/access/acl", 200),
    )
)
ASKED = {"release": "9.2", "name": "it"}


@pytest.fixture
def alone(ansible: Any) -> Any:
    """Run the module without any way to a server."""
    return lambda **options: ansible.module("pve_application", options)


@pytest.mark.parametrize("check", [False, True])
def test_the_server_tells_the_release(run: Module, world: Simulator, check: bool) -> None:
    world.clear_requests()
    result = succeeded(run("pve_application", {"application": "labby"}, check=check))
    assert (result["release"], result["changed"]) == ("9.2", False)
    assert {role["roleid"]: role["privs"] for role in result["roles"]} == {
        "app-labby": ["Sys.Audit"],
        "app-labby-pool": ["Pool.Audit"],
        "app-labby-storage": ["Datastore.Audit"],
        "app-labby-vms": ["VM.Audit"],
    }
    assert result["acls"][:2] == [
        {"paths": ["/"], "roles": ["app-labby"], "propagate": False},
        {"paths": ["/nodes"], "roles": ["app-labby"], "propagate": True},
    ]
    assert result["not_understood"] == []
    assert [row["path"] for row in world.requests()] == ["/version"]


def test_what_is_returned_is_what_pve_access_takes(run: Module, world: Simulator) -> None:
    needed = succeeded(run("pve_application", {"application": "labby"}))
    acls = [{**acl, "tokens": ["ann@pve!ci"], "grant_user": True} for acl in needed["acls"]]
    document = {"roles": needed["roles"], "acls": acls, "allow_narrowing": True}
    assert succeeded(run("pve_access", document))["changed"]
    assert not succeeded(run("pve_access", document))["changed"]


def test_no_server_is_needed_for_a_given_release(alone: Any) -> None:
    result = succeeded(alone(endpoints=["GET /nodes/{node}/qemu/{vmid}/agent/info"], scope={"vmid": [100]}, **ASKED))
    assert result["privileges"] == [
        {
            "path": "/vms/100",
            "propagate": False,
            "privilege": "VM.GuestAgent.Audit",
            "endpoints": ["GET /nodes/{node}/qemu/{vmid}/agent/info"],
        }
    ]


@pytest.mark.parametrize("scope", [{"vmid": [0]}, {"node": ["../x"]}, {"storage": ["a b"]}, {"poolid": [""]}], ids=str)
def test_a_scope_names_what_pve_can_have(alone: Any, scope: dict[str, Any]) -> None:
    result = alone(endpoints=["GET /cluster/resources"], scope=scope, **ASKED)
    assert result["failed"]
    assert f"scope: {next(iter(scope))}: " in result["msg"]


@pytest.mark.parametrize("packed", [False, True])
def test_a_log_tells_what_a_token_asked_for(alone: Any, ansible: Any, packed: bool) -> None:
    file = ansible.home / "access.log.gz"
    file.write_bytes(gzip.compress(LOG.encode()) if packed else LOG.encode())
    result = succeeded(alone(access_log=[str(file)], log_user="backup@pve!check", **ASKED))
    assert result["endpoints"] == ["GET /cluster/tasks", "GET /nodes/ugreen/qemu/100/config"]
    assert [(row["path"], row["privilege"]) for row in result["privileges"]] == [
        ("/", "Sys.Audit"),
        ("/vms/100", "VM.Audit"),
    ]
    (refused,) = result["not_understood"]
    assert refused["endpoint"] == "GET /api2/json/nodes/ugreen/syslog"
    assert refused["reason"].startswith("403")


def test_sources_add_up(alone: Any, ansible: Any) -> None:
    entry = {"request": {"method": "GET", "url": "https://x/api2/json/storage"}, "response": {"status": 200}}
    (ansible.home / "it.har").write_text(json.dumps({"log": {"entries": [entry]}}))
    (ansible.home / "it.log").write_text(LOG)
    given: Json = {"har": str(ansible.home / "it.har"), "access_log": [str(ansible.home / "it.log")]}
    result = succeeded(alone(application="homepage", endpoints=["GET /access/tfa"], **given, **ASKED))
    assert {"GET /storage", "GET /access/tfa", "GET /access/acl", "GET /cluster/resources"} <= set(result["endpoints"])
    assert all(role["roleid"].startswith("app-it") for role in result["roles"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "one of the following is required: application, endpoints, access_log, har"),
        ({"application": "Laby", "release": "9.2"}, "Did you mean labby?"),
        ({"application": "labby", "release": "5.4"}, "6.2 to 9.2"),
        ({"application": "labby", "release": "new"}, "Write 9.2 or 8.4"),
        ({"application": "labby", "release": "9.2", "name": "my app"}, "no name for roles"),
        ({"endpoints": ["nodes"], "release": "9.2"}, "Write GET /nodes/{node}/status"),
        ({"access_log": ["/nonexistent/access.log"], "release": "9.2"}, "access_log: /nonexistent/access.log"),
        ({"log_user": "joe@pve", "application": "labby"}, "access_log"),
        ({"application": "labby"}, "host"),
    ],
)
def test_what_is_wrong_is_told(alone: Any, options: Json, says: str) -> None:
    result = alone(**options)
    assert result["failed"]
    assert says in result["msg"]


def test_the_examples_run(documentation: dict[str, Json], run: Module, ansible: Any) -> None:
    """As they stand, but for the files of a real node."""
    (ansible.home / "access.log").write_text(LOG)
    for task in yaml.safe_load(documentation["pve_application"]["examples"]):
        options = task["homelab.pve.pve_application"]
        if "access_log" in options:
            options["access_log"] = [str(ansible.home / "access.log")]
        server = {} if "release" in options else {"token_file": None, "token_id": None}
        ours = {name: value for name, value in options.items() if name not in ("host", "ca_path", *server)}
        result = succeeded(run("pve_application", ours))
        assert result["roles"]
        assert result["acls"]


def test_what_is_returned_is_documented(documentation: dict[str, Json], run: Module) -> None:
    result = succeeded(run("pve_application", {"application": "pulse"}))
    assert result.keys() - {"changed", "diff", "invocation"} == documentation["pve_application"]["return"].keys()
