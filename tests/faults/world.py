"""What is made or renewed under faults, in a cluster where others have tokens, too."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN

from .cluster import Cluster

Json = dict[str, Any]

EXPIRE = 2145916800  # 2038-01-01
OLD_SECRET = "0b1f0000-0000-4000-8000-000000000001"
DEAD_SECRET = "0b1f0000-0000-4000-8000-00000000dead"
WORLD: Mapping[str, list[Json]] = {
    "users": [{"userid": "joe@pve", "password": "joes-password"}, {"userid": "ann@pve"}],
    "tokens": [
        {"tokenid": "joe@pve!old", "expire": EXPIRE, "privsep": 1, "comment": "Old", "secret": OLD_SECRET},
        {"tokenid": "joe@pve!other", "privsep": 0, "secret": "0b1f0000-0000-4000-8000-000000000002"},
        {"tokenid": "ann@pve!new", "secret": "0b1f0000-0000-4000-8000-000000000003"},
    ],
    "acl": [
        {"path": "/", "type": "user", "ugid": "joe@pve", "roleid": "PVEAuditor", "propagate": 1},
        {"path": "/", "type": "token", "ugid": "joe@pve!old", "roleid": "PVEAuditor", "propagate": 1},
        {"path": "/vms/100", "type": "token", "ugid": "joe@pve!old", "roleid": "PVEVMUser", "propagate": 0},
        {"path": "/vms/100", "type": "token", "ugid": "joe@pve!old", "roleid": "PVEAuditor", "propagate": 0},
        {"path": "/vms", "type": "token", "ugid": "ann@pve!new", "roleid": "PVEAuditor", "propagate": 1},
    ],
}


@dataclass(frozen=True)
class Scenario:
    """A task, the tokens whose secrets it is about with the names of their files, and files that are there before."""

    name: str
    release: str
    module: str
    options: Json
    tokens: dict[str, str]
    files: dict[str, str] = field(default_factory=dict)


def _reader(token: str, path: str) -> Json:
    return {"token": token, "role": "PVEAuditor", "path": path, "secret_file": "~/" + token.rpartition("!")[2]}


CREATE: Json = {"tokenid": "joe@pve!new", "comment": "CI", "expire": "2038-01-01", "secret_file": "~/new"}
RENEW: Json = {"tokenid": "joe@pve!old", "secret_file": "~/old", "renew": "when_lost"}
SCENARIOS = [
    Scenario("create, 9.2", "9.2", "pve_token", CREATE, {"joe@pve!new": "new"}),
    Scenario("create, 8.4", "8.4", "pve_token", CREATE, {"joe@pve!new": "new"}),
    Scenario(
        "two readers, 9.2",
        "9.2",
        "pve_access",
        {"readers": [_reader("new@pam!one", "/vms/102"), _reader("joe@pve!two", "/vms/100")]},
        {"new@pam!one": "one", "joe@pve!two": "two"},
    ),
    Scenario("renew, 9.2", "9.2", "pve_token", RENEW, {"joe@pve!old": "old"}),
    Scenario(
        "renew a dead secret, 8.4",
        "8.4",
        "pve_token",
        {**RENEW, "verify_secret": "always"},
        {"joe@pve!old": "old"},
        {"old": DEAD_SECRET},
    ),
]


class Place:
    """A cluster in the state of the world, and a home folder with the files of a scenario."""

    def __init__(self, cluster: Cluster, home: Path) -> None:
        self.cluster = cluster
        self.home = home
        cluster.reset()
        pristine = cluster.export()
        cluster.load({kind: [*pristine[kind], *rows] for kind, rows in WORLD.items()})
        self.before = cluster.export()

    def reset(self, files: Mapping[str, str] | None = None) -> None:
        """Make everything as it was before, with these files in the home folder."""
        self.cluster.open()
        self.cluster.load(self.before)
        for path in self.home.iterdir():
            path.unlink()
        for name, secret in (files or {}).items():
            path = self.home / name
            path.touch(mode=0o600)
            path.write_text(secret + "\n")

    @property
    def connection(self) -> Json:
        cluster = self.cluster
        return {
            "host": cluster.host,
            "port": cluster.door,
            "ca_path": cluster.ca_file,
            "token_id": ROOT_TOKEN,
            "token_secret": ROOT_SECRET,
        }

    @property
    def files(self) -> set[str]:
        return {path.name for path in self.home.iterdir()}

    def works(self, tokenid: str, name: str) -> bool:
        """Whether a closed file of that name holds the secret of the token, and nothing but it."""
        path = self.home / name
        if not path.exists():
            return False
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        assert path.lstat().st_uid == os.geteuid()
        return path.read_text() == self.cluster.export()["secrets"].get(tokenid, "") + "\n"


def facts(state: Mapping[str, Any], but: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what an export says about access, a fact at a time; without the secrets of the tokens in ``but``."""
    keys = {"users": "userid", "groups": "groupid", "roles": "roleid", "tokens": "tokenid", "pools": "poolid"}
    found = {f"{kind} {row[key]}": row for kind, key in keys.items() for row in state[kind]}
    for row in state["acl"]:
        found["acl {path} {ugid} {roleid}".format(**row)] = row["propagate"]
    found |= {f"secret {name}": value for name, value in state["secrets"].items() if name not in (but or {})}
    return found | {f"password {name}": value for name, value in state["passwords"].items()}
