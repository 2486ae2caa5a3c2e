"""What older releases do differently."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.homelab.pve.tests.simulator import Simulator

from .conftest import Wire


@pytest.fixture(scope="module", params=["7.4", "8.4", "9.2"])
def aged(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    with Simulator(request.param, auth_delay=0) as simulator:
        yield simulator


@pytest.fixture
def old(aged: Simulator) -> Wire:
    aged.reset()
    return Wire(aged)


def is_since(wire: Wire, release: str) -> bool:
    return float(wire.simulator.release) >= float(release)


def test_version(old: Wire) -> None:
    assert old.call("GET", "/version").data["release"] == old.simulator.release


def test_the_message_is_in_the_body_since_8_4(old: Wire) -> None:
    answer = old.call("GET", "/access/groups/none")
    assert (answer.status, answer.reason) == (500, "group 'none' does not exist")
    assert answer.body.get("message") == ("group 'none' does not exist\n" if is_since(old, "8.4") else None)
    wrong = old.call("GET", "/access/groups", {"foo": 1})
    assert set(wrong.body["errors"]) == {"foo"}


def test_roles_and_privileges(old: Wire) -> None:
    roles = {row["roleid"]: row["privs"].split(",") for row in old.call("GET", "/access/roles").data}
    assert ("PVEMappingUser" in roles) == is_since(old, "8.0")
    assert ("Permissions.Modify" in roles["PVEAdmin"]) == (not is_since(old, "8.0"))
    assert ("VM.Monitor" in roles["Administrator"]) == (not is_since(old, "9.0"))
    wrong = "VM.Monitor" if is_since(old, "9.0") else "VM.GuestAgent.Audit"
    answer = old.call("POST", "/access/roles", {"roleid": "r", "privs": wrong})
    assert answer.body["errors"] == {"privs": f"invalid format - invalid privilege '{wrong}'\n"}


def test_reserved_role_ids(old: Wire) -> None:
    assert old.call("POST", "/access/roles", {"roleid": "PVEMine"}).status == (400 if is_since(old, "8.0") else 200)


def test_regenerate_and_clearing_of_comments(old: Wire) -> None:
    token = "/access/users/root@pam/token/tk"
    old.call("POST", token, {"comment": "first"})
    assert old.call("PUT", token, {"regenerate": 1}).status == (200 if is_since(old, "9.2") else 400)
    assert old.call("PUT", token, {"delete": "comment"}).status == (200 if is_since(old, "9.1") else 400)
    old.call("PUT", token, {"comment": "second"})
    old.call("PUT", token, {"comment": ""})
    assert old.call("GET", token).data.get("comment") == (None if is_since(old, "9.1") else "second")


def test_pool_by_parameter_and_nested(old: Wire) -> None:
    assert old.call("POST", "/pools", {"poolid": "a"}).status == 200
    assert old.call("GET", "/pools", {"poolid": "a"}).status == (200 if is_since(old, "8.1") else 400)
    assert old.call("DELETE", "/pools", {"poolid": "a"}).status == (200 if is_since(old, "8.1") else 501)
    old.call("POST", "/pools", {"poolid": "b"})
    assert old.call("POST", "/pools", {"poolid": "b/c"}).status == (200 if is_since(old, "8.1") else 400)
    assert old.call("GET", "/pools/b").status == 200


@pytest.mark.parametrize(
    ("path", "since", "until"),
    [
        ("/mapping/pci", "8.0", None),
        ("/sdn/zones/z/v/12", "8.0", None),
        ("/sdn/fabrics", "9.0", None),
        ("/sdn/route-maps", "9.2", None),
        ("/pool/a/b", "8.1", None),
        ("/sdn/vnets/v1", None, "8.0"),
    ],
)
def test_acl_paths(old: Wire, path: str, since: str | None, until: str | None) -> None:
    valid = (since is None or is_since(old, since)) and (until is None or not is_since(old, until))
    answer = old.call("PUT", "/access/acl", {"path": path, "roles": "PVEAuditor", "users": "admin@pve"})
    assert answer.status == (200 if valid else 400)


def test_guest_agent_calls_have_their_own_privileges_since_9_0(old: Wire) -> None:
    old.call("POST", "/access/users", {"userid": "low@pve"})
    secret = old.call("POST", "/access/users/low@pve/token/tk", {"privsep": 0}).data["value"]
    answer = old.call(
        "GET",
        "/nodes/ugreen/qemu/100/agent/info",
        headers={"Authorization": f"PVEAPIToken=low@pve!tk={secret}"},
    )
    wanted = "VM.GuestAgent.Audit|VM.GuestAgent.Unrestricted" if is_since(old, "9.0") else "VM.Monitor"
    assert answer.reason == f"Permission check failed (/vms/100, {wanted})"
