"""New secrets while they are in use, by the playbook that users run."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import PveError
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN, Simulator

from .conftest import Ansible, Json, Run

SECRET = "0b1f0000-0000-4000-8000-000000000001"
TOKEN, OTHER = "joe@pve!ci", "joe@pve!other"
DEADLINE = 2145916800  # 2038-01-01
GRANTS = (("/", "PVEAuditor", 1), ("/vms/100", "PVEVMUser", 0), ("/vms/100", "PVEAuditor", 0))
# What somebody gives for his own program: it is told of another token, and says when it uses it.
HAND_OVER = [
    {
        "name": "Tell the consumer",
        "ansible.builtin.copy": {
            "dest": "{{ consumer }}/config",
            "mode": "0600",
            "content": "{{ {'token': rotation_token, 'secret_file': rotation_secret_file} | to_json }}",
        },
    },
    {
        "name": "Wait for the consumer",
        "ansible.builtin.wait_for": {
            "path": "{{ consumer }}/used",
            "search_regex": "{{ rotation_token | regex_escape }}$",
            "timeout": 60,
        },
    },
]


class Consumer:
    """A program that asks ten times a second, and reads its configuration and the secret anew each time."""

    def __init__(self, folder: Path, options: ConnectionOptions) -> None:
        self.folder, self.options = folder, options
        self.polls, self.failures = 0, list[str]()
        self.used: list[str] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._poll)

    def __enter__(self) -> Consumer:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._done.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._done.wait(0.1):
            try:
                config = json.loads((self.folder / "config").read_text())
                secret = Path(config["secret_file"]).read_text().strip()
                with Client(replace(self.options, token_id=config["token"], token_secret=secret)) as client:
                    assert client.get("/access/permissions")["/vms/100"]
            except (PveError, OSError, KeyError, ValueError) as error:
                self.failures.append(str(error))
                continue
            self.polls += 1
            if self.used[-1:] != [config["token"]]:
                self.used.append(config["token"])
            (self.folder / "used").write_text(config["token"])


class World:
    """A simulator with two tokens whose secrets are in files, and the playbook."""

    def __init__(self, ansible: Ansible, simulator: Simulator) -> None:
        self.ansible, self.home, self.simulator = ansible, ansible.home, simulator
        state = simulator.export()
        state["users"].append({"userid": "joe@pve"})
        for number, token in enumerate((TOKEN, OTHER), 1):
            secret = SECRET[:-1] + str(number)
            state["tokens"].append({"tokenid": token, "privsep": 1, "comment": "CI", "secret": secret})
            self.keep(token.rpartition("!")[2], secret)
        for path, role, propagate in GRANTS:
            for kind, name in (("user", "joe@pve"), ("token", TOKEN)):
                state["acl"].append({"path": path, "type": kind, "ugid": name, "roleid": role, "propagate": propagate})
        simulator.load(state)
        simulator.clear_requests()
        self.before = simulator.export()
        self.policy({"token": TOKEN, "role": "PVEAuditor", "path": "/", "secret_file": "~/ci"})

    def keep(self, name: str, text: str) -> None:
        path = self.home / name
        path.touch(mode=0o600)
        path.write_text(text + "\n")

    def policy(self, *readers: Json, tokens: Any = ()) -> None:
        self.keep("policy.json", json.dumps({"pve_access": {"readers": readers, "tokens": [*tokens]}}))

    def options(self, token: str = ROOT_TOKEN, secret: str = ROOT_SECRET) -> ConnectionOptions:
        return ConnectionOptions(
            self.simulator.host,
            self.simulator.port,
            token_id=token,
            token_secret=secret,
            ca_path=self.simulator.ca_file,
        )

    def rotate(self, *arguments: str, caller: dict[str, str] | None = None, **variables: Any) -> Run:
        address = {"PVE_HOST": self.simulator.host, "PVE_PORT": str(self.simulator.port)}
        asking = caller or {"PVE_TOKEN_ID": ROOT_TOKEN, "PVE_TOKEN_SECRET": ROOT_SECRET}
        return self.ansible.playbook(
            "homelab.pve.rotate",
            *arguments,
            variables={"policy": "policy.json", **variables},
            env={**address, "PVE_CA_PATH": self.simulator.ca_file, **asking},
        )

    def secret(self, name: str = "ci") -> str:
        return (self.home / name).read_text().strip()

    def is_rotated(self, token: str = TOKEN, name: str = "ci") -> None:
        """The token has another secret that is in its file, and all is as it was but for that."""
        state = self.simulator.export()
        assert self.secret(name) == state["secrets"][token]
        assert self.secret(name) != self.before["secrets"][token]
        assert entries(state) == entries(self.before)
        assert {row["tokenid"] for row in state["tokens"]} == {row["tokenid"] for row in self.before["tokens"]}
        files = {path.name for path in self.home.iterdir()}
        assert not {one for one in files if "interim" in one or one.endswith((".pending", ".rotation", ".new"))}


def entries(state: Json) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in state["acl"])


@pytest.fixture(scope="module", params=["9.2", "8.4"])
def release(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    with Simulator(request.param, auth_delay=0) as simulator:
        yield simulator


@pytest.fixture
def world(ansible: Ansible, release: Simulator) -> World:
    release.reset()
    return World(ansible, release)


def test_a_consumer_sees_no_failure(world: World) -> None:
    folder = world.home / "consumer"
    folder.mkdir()
    (folder / "config").write_text(json.dumps({"token": TOKEN, "secret_file": str(world.home / "ci")}))
    world.keep("handover.yml", json.dumps(HAND_OVER))
    with Consumer(folder, world.options()) as consumer:
        done = world.rotate(rotate="always", overlap=True, handover="handover.yml", consumer=str(folder))
        assert done.returncode == 0, done.output
    assert consumer.failures == []
    assert consumer.used == [TOKEN, f"{TOKEN}-2", TOKEN]
    assert consumer.polls > 10
    world.is_rotated()
    assert world.secret() not in done.output
    assert done.result("Tell what was done")["msg"] == [f"Renewed: {TOKEN}, with {TOKEN}-2 standing in"]
