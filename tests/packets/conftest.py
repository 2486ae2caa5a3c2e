"""Worlds of namespaces, and Ansible in them. Where they cannot be made, tests are skipped; with CI=true they fail."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("ansible")

from ansible_collections.homelab.pve.tests.integration.conftest import SECONDS, Ansible, Run
from ansible_collections.homelab.pve.tests.packets.world import HOST, MACHINES, World, lacks

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "host_firewall.md"
MakeWorld = Callable[[str], World]


@pytest.fixture(scope="session")
def able() -> None:
    missing = lacks()
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"with CI=true these tests have to run, and this machine lacks: {', '.join(missing)}")
    if missing:
        pytest.skip(f"this machine lacks: {', '.join(missing)}")


@pytest.fixture
def make_world(able: None, tmp_path: Path) -> Iterator[MakeWorld]:
    worlds = []

    def make(back_end: str) -> World:
        folder = tmp_path / f"world-{len(worlds)}"
        folder.mkdir()
        worlds.append(World(folder, back_end))
        return worlds[-1]

    yield make
    for world in worlds:
        world.end()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world("legacy")


class Role(Ansible):
    """Ansible on the host of a world, which is how the tests reach it; the others are reached through their Pythons."""

    def __init__(self, home: Path, world: World) -> None:
        super().__init__(home)
        self.world = world
        self.env = {**self.env, "PATH": world.env["PATH"]}
        lines = [f"pve ansible_connection=local ansible_host={HOST[0]}"]
        lines += [
            f"{name} ansible_connection=local ansible_python_interpreter={self.python(name)}" for name in MACHINES
        ]
        self.inventory = str(home / "inventory.ini")
        Path(self.inventory).write_text("\n".join([*lines, "[proxmox]", "pve", ""]))

    def python(self, machine: str) -> Path:
        return self.world.folder / f"{machine}-python"

    def command(self, *command: str) -> list[str]:
        program, *arguments = command
        return [*self.world.prefix, str(Path(sys.executable).with_name(program)), *arguments]

    def run(
        self, *command: str, env: Mapping[str, str] | None = None, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*command),
            env={**self.env, **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def __call__(self, *arguments: str, **variables: Any) -> Run:
        """Run the role with some of its variables, their prefix left out."""
        play = {"hosts": "pve", "gather_facts": False, "tasks": [self.task(**variables)]}
        return self.playbook([play], "-i", self.inventory, *arguments)

    def task(self, **variables: Any) -> dict[str, Any]:
        given = {"check_from": ["container"], **variables}
        return {
            "include_role": {"name": "homelab.pve.host_firewall"},
            "vars": {f"host_firewall_{name}": value for name, value in given.items()},
        }

    def shown(self, *arguments: str) -> Run:
        """Give a command that the guide shows, with the playbook that it shows."""
        (text,) = re.findall(r"```yaml\n(# api-clients.yml\n.*?)```", GUIDE.read_text(), re.DOTALL)
        (self.home / "api-clients.yml").write_text(text)
        command = shlex.join(["ansible-playbook", "-i", "inventory.ini", "api-clients.yml", *arguments])
        assert f"$ {command}\n" in GUIDE.read_text(), command
        return self.playbook(self.home / "api-clients.yml", "-i", self.inventory, *arguments)


@pytest.fixture
def role(world: World, tmp_path: Path) -> Role:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return Role(home, world)
