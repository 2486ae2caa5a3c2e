"""What audits look at beside users and rights: second factors, certificates, options, and entries of nobody."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import ROOT_SECRET, ROOT_TOKEN, Direct, Simulator, Wire

TOTP = {"id": "aaaaaaaa-0000-4000-8000-000000000001", "type": "totp", "description": "phone", "created": 1760000000}
RECOVERY = {"id": "recovery", "type": "recovery", "description": "", "created": 1760000001, "enable": 0}
SHOWN = [TOTP, {"id": "recovery", "type": "recovery", "created": 1760000001, "enable": 0}]
LOCKED = {"totp-locked": 1, "tfa-locked-until": 1760003600}
STATE: dict[str, Any] = {
    "users": [
        {"userid": "root@pam"},
        {"userid": "ann@pve", "groups": "ops", "keys": "x"},
        {"userid": "bob@corp"},
        {"userid": "eve@pve"},
    ],
    "tokens": [
        {"tokenid": ROOT_TOKEN, "privsep": 0, "secret": ROOT_SECRET},
        {"tokenid": "eve@pve!tk", "privsep": 0, "secret": "s"},
    ],
    "groups": [{"groupid": "ops"}],
    "realms": [
        {"realm": "pam", "type": "pam"},
        {"realm": "pve", "type": "pve"},
        {"realm": "corp", "type": "ldap", "options": {"tfa": "type=oath,digits=8", "default": 1}},
    ],
    "tfa": [
        {"userid": "ann@pve", "entries": [{**TOTP, "enable": 1}, RECOVERY], **LOCKED},
        {"userid": "bob@corp", "entries": [TOTP]},
    ],
}


def cluster(release: tuple[int, int] = (9, 2), eve: dict[str, str] | None = None) -> Direct:
    """Return the API of a cluster with second factors, where eve's token has roles by path."""
    direct = Direct(release)
    entries = [{"path": path, "type": "user", "ugid": "eve@pve", "roleid": role} for path, role in (eve or {}).items()]
    direct.state.load({**STATE, "acl": entries})
    return direct


def test_second_factors() -> None:
    direct = cluster()
    assert direct.get("/access/tfa") == [
        {"userid": "ann@pve", "entries": SHOWN, **LOCKED},
        {"userid": "bob@corp", "entries": [TOTP]},
    ]
    assert direct.get("/access/tfa/ann@pve") == SHOWN
    assert direct.get("/access/tfa/eve@pve") == []
    assert direct.get("/access/tfa/ann@pve/recovery") == SHOWN[1]
    assert direct.refusal("/access/tfa/ann@pve/nope")[0] == 404
    assert direct.get("/access/users/ann@pve/tfa") == {}
    assert direct.get("/access/users/ann@pve/tfa", multiple=1) == {"types": ["recovery", "totp"]}
    assert direct.get("/access/users/bob@corp/tfa", multiple=1) == {"realm": "oath", "types": ["totp"]}


@pytest.mark.parametrize(
    ("eve", "seen"),
    [
        pytest.param({}, set(), id="nothing"),
        pytest.param({"/access/groups/ops": "PVEAuditor"}, {"ann@pve"}, id="a group"),
        pytest.param({"/access": "PVEAuditor"}, {"ann@pve", "bob@corp"}, id="everybody"),
        pytest.param({"/access/groups": "PVEUserAdmin"}, {"ann@pve", "bob@corp"}, id="an administrator of users"),
        pytest.param({"/": "PVEVMAdmin"}, set(), id="the wrong rights"),
    ],
)
def test_who_sees_second_factors(eve: dict[str, str], seen: set[str]) -> None:
    direct = cluster(eve=eve)
    assert {row["userid"] for row in direct.get("/access/tfa", "eve@pve!tk")} == seen
    for userid in ("ann@pve", "bob@corp"):
        status = direct.refusal(f"/access/tfa/{userid}", "eve@pve!tk")[0]
        assert status == (200 if userid in seen else 403)


def test_lists_of_users_and_realms_tell_of_them() -> None:
    direct = cluster()
    ann, bob = (row for row in direct.get("/access/users") if row["userid"] in ("ann@pve", "bob@corp"))
    assert {name: ann.get(name) for name in (*LOCKED, "keys")} == {**LOCKED, "keys": "x"}
    assert not {*LOCKED, "keys"} & bob.keys()
    realms = {row["realm"]: row for row in direct.get("/access/domains")}
    assert realms["corp"] == {"realm": "corp", "type": "ldap", "tfa": "oath", "default": 1}
    assert "tfa" not in realms["pve"]
    assert direct.get("/access/domains/corp")["tfa"] == "type=oath,digits=8"
    old = next(row for row in cluster((7, 4)).get("/access/users") if row["userid"] == "ann@pve")
    assert not LOCKED.keys() & old.keys()


def test_second_factors_are_unlocked_and_go_with_their_user(wire: Wire, simulator: Simulator) -> None:
    simulator.load(STATE)
    assert simulator.export()["tfa"][0]["tfa-locked-until"] == LOCKED["tfa-locked-until"]
    assert wire.call("PUT", "/access/users/ann@pve/unlock-tfa").data == 1
    assert wire.call("PUT", "/access/users/ann@pve/unlock-tfa").data == 0
    assert simulator.export()["tfa"][0].keys() == {"userid", "entries"}
    wire.call("DELETE", "/access/users/ann@pve")
    assert [row["userid"] for row in simulator.export()["tfa"]] == ["bob@corp"]


def test_what_is_exported_is_loaded_again() -> None:
    direct = cluster()
    direct.state.load({"options": {"console": "html5", "webauthn": {"rp": "pve.example.org"}}})
    exported = direct.state.export()
    other = Direct()
    other.state.load(exported)
    assert other.state.export() == exported
    other.state.reset()
    assert (other.state.export()["tfa"], other.get("/access/tfa")) == ([], [])


def test_options_of_the_datacenter() -> None:
    direct = cluster()
    options = {"console": "html5", "tag-style": {"shape": "full"}, "webauthn": {"rp": "pve.example.org"}}
    direct.state.load({"options": options})
    assert direct.get("/cluster/options") == {"allowed-tags": ["dns", "prod", "web"], **options}
    seen = direct.get("/cluster/options", "eve@pve!tk")
    assert seen == {"allowed-tags": [], "console": "html5", "tag-style": {"shape": "full"}}


def test_nodes_have_settings_and_certificates() -> None:
    direct = cluster(eve={"/nodes": "PVEAuditor"})
    mine = {"filename": "pveproxy-ssl.pem", "subject": "/CN=pve", "issuer": "/CN=pve", "notafter": 1700000000}
    config = {"acme": "account=default,domains=pve.example.org", "description": "rack 3"}
    direct.state.load({"nodes": [{"name": "ugreen", "ip": "192.0.2.2", "config": config, "certificates": [mine]}]})
    assert direct.get("/nodes/ugreen/config") == config
    assert direct.get("/nodes/ugreen/config", property="acme") == {"acme": config["acme"]}
    assert direct.get("/nodes/ugreen/certificates/info", "eve@pve!tk") == [mine]
    assert direct.refusal("/nodes/ugreen/config", "eve@pve!tk") == (403, "Permission check failed (/, Sys.Audit)")


@pytest.mark.parametrize(("kind", "key"), [("user", "userid"), ("group", "groupid")])
def test_entries_of_nobody_live_on_and_go_with_the_next_of_that_name(
    wire: Wire, simulator: Simulator, kind: str, key: str
) -> None:
    ghost = {"path": "/vms", "type": kind, "ugid": "gone@pve" if kind == "user" else "gone", "roleid": "PVEAuditor"}
    state = simulator.export()
    simulator.load({**state, "acl": [*state["acl"], ghost]})
    listed = {**ghost, "propagate": 1}
    assert listed in wire.call("GET", "/access/acl").data
    wire.call("PUT", "/access/acl", {"path": "/nodes", "roles": "PVEAuditor", "users": "admin@pve"})
    assert listed in wire.call("GET", "/access/acl").data, "writing the file changes nothing about it"
    form = {"path": "/vms", "roles": "PVEAuditor", f"{kind}s": ghost["ugid"], "delete": 1}
    refused = wire.call("PUT", "/access/acl", form)
    assert refused.reason == f"ACL update failed: {kind} '{ghost['ugid']}' does not exist"
    assert wire.call("POST", f"/access/{kind}s", {key: ghost["ugid"]}).status == 200
    assert wire.call("DELETE", f"/access/{kind}s/{ghost['ugid']}").status == 200
    assert listed not in wire.call("GET", "/access/acl").data
    wire.call("POST", f"/access/{kind}s", {key: ghost["ugid"]})
    assert listed not in wire.call("GET", "/access/acl").data


@pytest.mark.parametrize(
    ("roles", "seen"),
    [
        ({"/vms": "PVEAuditor"}, set()),
        ({"/pool/prod": "PVEPoolUser"}, {"prod", "prod/web", "prod/web/eu"}),
        ({"/pool": "PVEAuditor", "/pool/prod/web": "NoAccess"}, {"dev", "prod", "test"}),
    ],
)
def test_pools_are_rows_for_those_who_may_see_them(roles: dict[str, str], seen: set[str]) -> None:
    few = Direct(guests=30)
    rows = few.get("/cluster/resources", few.token(roles))
    assert {row["pool"] for row in rows if row["type"] == "pool"} == seen
