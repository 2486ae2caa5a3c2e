"""A cluster in which somebody has been at work already: for each kind of object, one with every field set."""

from __future__ import annotations

import re
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
        # Nobody: PVE lists such entries, and does not delete them.
        {"path": "/storage/local", "type": "user", "ugid": "gone@pve", "roleid": "PVEDatastoreUser", "propagate": 1},
        {"path": "/storage/local", "type": "group", "ugid": "gone", "roleid": "PVEAuditor", "propagate": 1},
    ],
}

# The firewall is on, and the tests get in by the set ``management``. "api" has every field that goes together.
FIREWALL: Json = {
    "cluster": {
        "options": {"enable": 1, "policy_in": "DROP", "log_ratelimit": "enable=1,rate=5/second"},
        "aliases": [{"name": "LAN", "cidr": "192.168.40.0/24", "comment": "At home"}, {"name": "spare", "cidr": "::1"}],
        "ipsets": [
            {"name": "management", "comment": "Admins", "entries": [{"cidr": "127.0.0.1"}, {"cidr": "198.51.100.7"}]},
            {
                "name": "web",
                "entries": [
                    {"cidr": "10.0.0.0/24", "comment": "Servers"},
                    {"cidr": "10.0.0.66", "nomatch": 1, "comment": "Not this one"},
                ],
            },
            {"name": "spare"},
        ],
        "groups": [
            {
                "group": "web",
                "comment": "Web servers",
                "rules": [
                    {"type": "in", "action": "ACCEPT", "macro": "HTTP", "comment": "[key:http]"},
                    {"type": "in", "action": "ACCEPT", "macro": "HTTPS", "comment": "[key:https]"},
                ],
            },
            {"group": "spare", "rules": [{"type": "in", "action": "DROP"}]},
        ],
        "rules": [
            {
                "type": "in",
                "action": "ACCEPT",
                "source": "LAN",
                "dest": "192.168.40.60",
                "proto": "tcp",
                "dport": "8006",
                "sport": "1024:65535",
                "iface": "vmbr0",
                "log": "info",
                "comment": "The API [key:api]",
            },
            {"type": "group", "action": "web", "iface": "vmbr0", "comment": "By hand"},
            {"type": "in", "action": "ACCEPT", "macro": "SSH", "source": "+web", "enable": 0, "comment": "[key:ssh]"},
            {"type": "in", "action": "DROP", "source": "10.9.9.9"},
        ],
    },
    "nodes": {
        "ugreen": {
            "options": {"log_level_in": "info", "tcpflags": 1},
            "rules": [{"type": "in", "action": "ACCEPT", "macro": "Ping", "comment": "[key:ping]"}],
        }
    },
    "guests": {
        "100": {
            "options": {"enable": 1, "macfilter": 0},
            "aliases": [{"name": "db", "cidr": "10.0.0.5"}],
            "ipsets": [{"name": "clients", "entries": [{"cidr": "db"}]}],
            "rules": [
                {"type": "in", "action": "ACCEPT", "source": "+clients", "comment": "[key:clients]"},
                {"type": "out", "action": "REJECT", "proto": "tcp", "dport": "25", "iface": "net0"},
            ],
        }
    },
    "vnets": {
        "v1": {
            "options": {"enable": 1},
            "rules": [{"type": "forward", "action": "ACCEPT", "comment": "[key:all]"}],
        }
    },
}
VNETS = [{"vnet": "v1", "zone": "z"}]


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
        found |= firewall(state["firewall"])
        found |= {f"password {userid}": value for userid, value in state["passwords"].items()}
        return found | {f"secret {tokenid}": value for tokenid, value in state["secrets"].items()}

    was, will = rows(before), rows(after)
    return {
        name: (was.get(name), will.get(name)) for name in was.keys() | will.keys() if was.get(name) != will.get(name)
    }


def firewall(files: Json) -> dict[str, list[str]]:
    """Return the lines of firewall files by place and section, such as ``guest 100 rules`` or ``cluster ipset web``."""
    texts = {"cluster": files["cluster"]}
    texts |= {
        f"{kind[:-1]} {name}": text for kind in ("nodes", "guests", "vnets") for name, text in files[kind].items()
    }
    found: dict[str, list[str]] = {}
    for place, text in texts.items():
        for line in filter(None, (text or "").splitlines()):
            header = re.match(r"\[([^]]+)\](.*)", line)
            if header:
                section = found.setdefault(f"{place} {header[1].lower()}", [header[2]])
            else:
                section.append(line)
    return found
