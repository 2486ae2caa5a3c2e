"""A simulated cluster with a reader on it, for the tests of the proof."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

# The simulator is tooling: it may use more than the oldest Python that the collection runs on.
pytest.importorskip("aiohttp")

from ansible_collections.homelab.pve.plugins.module_utils.access.releases import Release
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.least.applications import rights_of
from ansible_collections.homelab.pve.plugins.module_utils.least.policy import as_policy
from ansible_collections.homelab.pve.plugins.module_utils.proof.prove import Claim, Proof, prove
from ansible_collections.homelab.pve.tests.simulator import Simulator

USER = "reader@pve"
TOKEN = "reader@pve!token"
SECRET = "0f0f0f0f-1111-4222-8333-abcdefabcdef"


class Cluster:
    """A simulator, and how the reader's state on it is made."""

    def __init__(self, simulator: Simulator, folder: Path) -> None:
        self.simulator = simulator
        self.secret_file = folder / "secret"
        self.secret_file.write_text(SECRET + "\n")
        self.secret_file.chmod(0o600)
        self.extra: dict[str, Any] = {}

    def reader(self, **token: Any) -> None:
        """Make the reader's user and token, without rights. ``extra`` says more of the state, by its lists."""
        state = self.simulator.export()
        user = {"userid": USER, "enable": 1, "expire": 0, "groups": self.extra.pop("groups_of_user", [])}
        additions = {
            "users": [user],
            "tokens": [{"tokenid": TOKEN, "privsep": 1, "expire": 0, **token}],
            **self.extra,
        }
        for kind, rows in additions.items():
            state[kind] = [*state[kind], *rows]
        state["secrets"][TOKEN] = SECRET
        self.simulator.load(state)

    def grant(self, path: str, role: str, *, user: bool = True, token: bool = True, propagate: int = 1) -> None:
        """Give a role on a path to the user, the token or both."""
        for wanted, kind, ugid in ((user, "user", USER), (token, "token", TOKEN)):
            if wanted:
                self.entry(path, role, kind, ugid, propagate)

    def entry(self, path: str, role: str, kind: str, ugid: str, propagate: int = 1) -> None:
        """Add an ACL entry."""
        state = self.simulator.export()
        entry = {"path": path, "type": kind, "ugid": ugid, "roleid": role, "propagate": propagate}
        self.simulator.load({**state, "acl": [*state["acl"], entry]})

    def grant_application(self, name: str, release: Release = (9, 2)) -> None:
        """Give the user and the token what an application needs, as a policy does."""
        policy = as_policy(rights_of(name, release), name)
        state = self.simulator.export()
        roles = [{"roleid": role, "privs": sorted(privileges)} for role, privileges in policy.roles.items()]
        self.simulator.load({**state, "roles": [*state["roles"], *roles]})
        for acl in policy.acls:
            for path in acl.paths:
                self.grant(path, acl.role, propagate=int(acl.propagate))

    def take(self, path: str) -> None:
        """Take away all entries on a path."""
        state = self.simulator.export()
        self.simulator.load({**state, "acl": [entry for entry in state["acl"] if entry["path"] != path]})

    def params(self, **changed: Any) -> dict[str, Any]:
        """Return the connection options of the reader."""
        return {
            "host": self.simulator.host,
            "port": self.simulator.port,
            "ca_path": self.simulator.ca_file,
            "token_id": TOKEN,
            "token_file": str(self.secret_file),
            **changed,
        }

    def prove(self, path: str | None, role: str | None = "PVEAuditor", **claim: Any) -> Proof:
        """Prove the reader, and see that the proof changed nothing and counted right."""
        if "privileges" in claim or "application" in claim:
            role = None
        before = self.simulator.export()
        self.simulator.clear_requests()
        with Client(ConnectionOptions.from_params(self.params(), {})) as client:
            proof = prove(client, Claim(path, role, **claim))
        assert self.simulator.export() == before
        assert proof.requests == len(self.simulator.requests())
        return proof


def red(proof: Proof, check: str) -> list[str]:
    """Return what is red in one part of the proof, as one text each."""
    return [
        f"{finding}. {finding.hint}"
        for finding in proof.findings
        if (finding.check, finding.severity) == (check, "red")
    ]


def not_proved(proof: Proof) -> list[str]:
    """Return what could not be found out."""
    return [str(finding) for finding in proof.findings if finding.severity == "not_proved"]
