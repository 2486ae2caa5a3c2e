"""A cluster in which somebody has been at work already: for each kind of object, one with every field set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Json = dict[str, Any]
Module = Callable[..., Json]

EXPIRE = 2145916800  # 2038-01-01
SECRET = "0b1f0000-0000-4000-8000-000000000001"
# Beside the pristine state. Ids begin alike, so that the tables of cases stay readable.
WORLD: Mapping[str, list[Json]] = {
    "roles": [{"roleid": "operator", "privs": ["VM.Audit", "VM.PowerMgmt"]}],
    "groups": [
        {"groupid": "dev", "comment": "Developers"},
        {"groupid": "ops", "comment": "On call"},
    ],
    "users": [
        {
            "userid": "joe@pve",
            "enable": 0,
            "expire": EXPIRE,
            "firstname": "Joe",
            "lastname": "Doe",
            "email": "joe@example.org",
            "comment": "Night shift",
            "groups": ["dev", "ops"],
            "password": "joes-password",
        },
        {"userid": "ann@pve", "password": "anns-password"},
    ],
    "tokens": [
        {"tokenid": "joe@pve!ci", "expire": EXPIRE, "privsep": 1, "comment": "Pipeline"},
        {"tokenid": "ann@pve!ci", "expire": 0, "privsep": 1, "comment": "Pipeline", "secret": SECRET},
        {"tokenid": "ann@pve!lost", "expire": 0, "privsep": 1},
    ],
    "pools": [{"poolid": "lab", "comment": "To play with", "vms": [100], "storage": ["local"]}],
    "acl": [
        {"path": "/vms", "type": "group", "ugid": "ops", "roleid": "operator", "propagate": 1},
        {"path": "/vms/100", "type": "user", "ugid": "ann@pve", "roleid": "PVEAuditor", "propagate": 0},
        {"path": "/vms/100", "type": "token", "ugid": "ann@pve!ci", "roleid": "PVEAuditor", "propagate": 1},
        {"path": "/pool/lab", "type": "user", "ugid": "joe@pve", "roleid": "PVEPoolUser", "propagate": 1},
        {"path": "/pool/lab", "type": "token", "ugid": "joe@pve!ci", "roleid": "PVEPoolUser", "propagate": 1},
    ],
}


def succeeded(result: Json) -> Json:
    """Return the result of a run that went well, and said nothing beside."""
    assert not result.get("failed"), result["msg"]
    assert not result.get("warnings"), result["warnings"]
    assert not result.get("deprecations"), result["deprecations"]
    return result


def difference(before: Json, after: Json) -> dict[str, tuple[Any, Any]]:
    """Return what differs between two exports, by kind and id, each as (before, after)."""
    keys = {"users": "userid", "groups": "groupid", "roles": "roleid", "tokens": "tokenid", "pools": "poolid"}

    def rows(state: Json) -> dict[str, Any]:
        found = {f"{kind} {row[key]}": row for kind, key in keys.items() for row in state[kind]}
        for row in state["acl"]:
            found["acl {path} {ugid} {roleid}".format(**row)] = row["propagate"]
        found |= {f"password {userid}": value for userid, value in state["passwords"].items()}
        return found | {f"secret {tokenid}": value for tokenid, value in state["secrets"].items()}

    was, will = rows(before), rows(after)
    return {
        name: (was.get(name), will.get(name)) for name in was.keys() | will.keys() if was.get(name) != will.get(name)
    }
