"""New secrets while they are in use, by the playbook that users run."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
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
DAY = 24 * 60 * 60
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
            # In one piece: what waits for it may be reading it.
            (self.folder / "uses").write_text(config["token"])
            (self.folder / "uses").replace(self.folder / "used")


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


# -- the module for single tokens -----------------------------------------------------------------------------------


def token(world: World, rotate: Any, *, check: bool = False, **more: Any) -> Json:
    """Have ``pve_token`` keep the secret of the token in ``~/ci``, and return what it says."""
    options = world.options()
    asking = {"token_id": options.token_id, "token_secret": options.token_secret, "ca_path": options.ca_path}
    own = {"tokenid": TOKEN, "secret_file": "~/ci", "rotate": rotate, **more}
    return world.ansible.module("pve_token", {"host": options.host, "port": options.port, **asking, **own}, check=check)


def test_by_age(world: World) -> None:
    """First by the age of the file, as nothing is noted; from then on by the note."""
    limit = {"older_than": "60d"}
    assert not token(world, limit)["changed"]
    long_ago = time.time() - 61 * DAY
    os.utime(world.home / "ci", (long_ago, long_ago))
    planned = token(world, limit, check=True)
    assert world.simulator.export() == world.before
    done = token(world, limit)
    assert done["changes"] == planned["changes"]
    assert "as old as its file" in done["changes"][0]["note"]
    world.is_rotated()
    assert world.secret() not in json.dumps(done)

    os.utime(world.home / "ci", (long_ago, long_ago))
    assert not token(world, limit)["changed"], "the note counts, and not the file"
    note = world.home / ".ci.born"
    born = json.loads(note.read_text())
    assert (born["tokenid"], born["host"], born["port"]) == (TOKEN, world.simulator.host, world.simulator.port)
    note.write_text(json.dumps({**born, "sha256": "0" * 64}))
    assert token(world, limit, check=True)["changed"], "a note about another secret counts for nothing"


def test_by_the_end_of_the_token(world: World) -> None:
    near = int(time.time()) + 5 * DAY
    assert token(world, "never", expire=near)["changed"]
    refused = token(world, "expires_within: 14d")
    assert "the next run would renew it again" in refused["msg"]
    assert token(world, "expires_within: 14d", expire="90d")["changed"]
    assert not token(world, "expires_within: 14d", expire="90d")["changed"]
    (row,) = [row for row in world.simulator.export()["tokens"] if row["tokenid"] == TOKEN]
    assert row["expire"] > near + 80 * DAY
    world.is_rotated()


def test_in_each_run(world: World) -> None:
    secrets = {world.secret()}
    for unused in range(2):
        assert token(world, "always")["changed"]
        secrets.add(world.secret())
    assert len(secrets) == 3
    world.is_rotated()


# -- the steps --------------------------------------------------------------------------------------------------------


def rotation(world: World, step: str, **more: Any) -> Json:
    options = world.options()
    asking = {"token_id": options.token_id, "token_secret": options.token_secret, "ca_path": options.ca_path}
    address = {"host": options.host, "port": options.port}
    own = {"tokenid": TOKEN, "secret_file": "~/ci", "step": step}
    return world.ansible.module("pve_rotation", {**address, **asking, **own, **more})


def test_requests(world: World) -> None:
    """What docs/rotate.md says, of a token with entries on two paths."""
    anew = 1 if world.simulator.release == "9.2" else 4  # deleted, made, and two entries given back
    for step, more, expected in (
        ("begin", {"rotate": {"older_than": "60d"}}, 0),
        ("begin", {}, 2 + len({path for path, *unused in GRANTS})),
        ("renew", {}, 1 + anew),
        ("end", {}, 2),
    ):
        world.simulator.clear_requests()
        result = rotation(world, step, **more)
        assert not result.get("failed"), result["msg"]
        assert len(world.simulator.requests()) == 7 + expected, step
    world.is_rotated()


def test_a_step_out_of_turn_is_refused(world: World) -> None:
    for step in ("renew", "end"):
        assert f"a rotation of {TOKEN} that was begun" in rotation(world, step)["msg"]
    assert world.simulator.export() == world.before
    assert not rotation(world, "begin").get("failed")
    assert "is not renewed yet" in rotation(world, "end")["msg"]
    state = world.simulator.export()
    for row in state["tokens"]:
        if row["tokenid"] == f"{TOKEN}-2":
            row["comment"] = "Mine"
    world.simulator.load(state)
    assert "says nothing of it any more" in rotation(world, "begin")["msg"]


def test_a_token_that_somebody_deletes_meanwhile_is_not_made_again(world: World) -> None:
    assert not rotation(world, "begin").get("failed")
    state = world.simulator.export()
    world.simulator.load({**state, "tokens": [row for row in state["tokens"] if row["tokenid"] != TOKEN]})
    for step in ("begin", "renew"):
        assert f"{TOKEN} was deleted while its secret was being renewed" in rotation(world, step)["msg"]
    assert TOKEN not in {row["tokenid"] for row in world.simulator.export()["tokens"]}


# -- the playbook ---------------------------------------------------------------------------------------------------

# Whatever runs them ends there, the first time in each phase.
SUDDEN_END = [
    {
        "name": "Note what is to be used",
        "ansible.builtin.shell": "echo {{ rotation_phase }} {{ rotation_token }} >> {{ told }}",
    },
    {
        "name": "End suddenly",
        "ansible.builtin.debug": {"msg": "{{ lookup('pipe', 'kill -9 $(cut -d \" \" -f 4 /proc/$PPID/stat) $PPID') }}"},
        "when": "lookup('file', told).split('\n') | select('match', rotation_phase) | length == 1",
    },
]


def test_a_run_that_is_killed_is_taken_up(ansible: Ansible, simulator: Simulator) -> None:
    """Between any two of its steps where somebody else is at work, on another host here."""
    world = World(ansible, simulator)
    box = world.home / "box"
    box.mkdir(mode=0o700)
    here = f"ansible_connection=local ansible_remote_tmp={box}/tmp ansible_python_interpreter={sys.executable}"
    world.keep("inventory", f"box {here}")
    reader = {"token": TOKEN, "role": "PVEAuditor", "path": "/", "secret_file": "~/ci", "rotate": "always"}
    other = {"tokenid": OTHER, "secret_file": "~/other", "rotate": {"older_than": "60d"}}
    world.policy({**reader, "deliver_to": f"box:{box}/token"}, tokens=[other])
    world.keep("handover.yml", json.dumps(SUDDEN_END))
    told = world.home / "told"
    how = {"overlap": True, "handover": "handover.yml", "told": str(told)}

    assert world.rotate("-i", "inventory", **how).returncode != 0
    assert told.read_text().split() == ["interim", f"{TOKEN}-2"]
    assert (box / "token.interim").read_text().strip() == world.simulator.export()["secrets"][f"{TOKEN}-2"]
    assert world.rotate("-i", "inventory", **how).returncode != 0
    assert told.read_text().split()[2:] == ["interim", f"{TOKEN}-2", "final", TOKEN]
    done = world.rotate("-i", "inventory", **how)
    assert done.returncode == 0, done.output
    assert told.read_text().split()[6:] == ["final", TOKEN]
    world.is_rotated()
    assert {path.name for path in box.iterdir()} - {"tmp"} == {"token"}
    assert (box / "token").read_text().strip() == world.secret()
    msg = done.result("Tell what was done")["msg"]
    assert msg == [f"Renewed: {TOKEN}, with {TOKEN}-2 standing in", f"Not due: {OTHER}"]


def test_what_is_asked_of_the_playbook(ansible: Ansible, simulator: Simulator) -> None:
    world = World(ansible, simulator)
    planned = world.rotate("--check", rotate="always", overlap=True)
    assert planned.returncode == 0, planned.output
    assert planned.result("Tell what was done")["msg"] == [f"To be renewed: {TOKEN}, with {TOKEN}-2 standing in"]
    assert simulator.export() == world.before
    for told, variables in {
        "Nothing says when a secret is due": {},
        "no token with a secret_file of the name joe@pve!x": {"rotate": "always", "tokens": ["joe@pve!x"]},
    }.items():
        run = world.rotate(**variables)
        assert run.returncode != 0
        assert told in run.output
    assert simulator.export() == world.before
