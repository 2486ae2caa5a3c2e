"""Inventories as files, and what ansible-inventory makes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.homelab.pve.tests.integration.conftest import Ansible, connection
from ansible_collections.homelab.pve.tests.simulator import Simulator

Json = dict[str, Any]

# How text that is not trusted is marked.
_UNSAFE = "__ansible_unsafe"


@dataclass(frozen=True)
class Listing:
    """What ``ansible-inventory --list`` said: variables by host, hosts and children by group."""

    hosts: dict[str, Json]
    groups: dict[str, Json]
    warnings: str

    def members(self, group: str) -> list[str]:
        """Return the hosts of a group itself."""
        return list(self.groups.get(group, {}).get("hosts", []))

    def __getitem__(self, host: str) -> Json:
        return self.hosts[host]


class Inventory:
    """Inventory files in the home folder of an Ansible."""

    def __init__(self, ansible: Ansible, simulator: Simulator | None) -> None:
        self.ansible = ansible
        self.connection = connection(simulator) if simulator else {}

    def write(self, options: Mapping[str, Any], name: str = "lab.pve.yml", *, connect: bool = True) -> Path:
        """Write an inventory file; one option of the connection after the other may be replaced."""
        path = self.ansible.home / name
        given = {"plugin": "homelab.pve.pve", **(self.connection if connect else {}), **options}
        path.write_text(json.dumps({key: value for key, value in given.items() if value is not None}))
        path.chmod(0o600)
        return path

    def run(self, path: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Any:
        """Run ansible-inventory."""
        return self.ansible.run("ansible-inventory", "-i", str(path), *arguments, env=env)

    def list(
        self, *arguments: str, env: Mapping[str, str] | None = None, connect: bool = True, **options: Any
    ) -> Listing:
        """Write a file and list what is in it. Whatever fails, fails."""
        done = self.run(self.write(options, connect=connect), "--list", *arguments, env=env)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout, object_hook=plain)
        hosts = found.pop("_meta")["hostvars"]
        return Listing(hosts, found, " ".join(done.stderr.split()))

    def problem(self, **options: Any) -> str:
        """Return what is said of a file that cannot be used."""
        done = self.run(self.write(options), "--list", env={"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true"})
        assert done.returncode != 0, done.stdout
        assert "Traceback" not in done.stderr
        return " ".join(done.stderr.split())


def plain(found: Json) -> Any:
    """Return a value without its mark; for reading JSON."""
    return found[_UNSAFE] if set(found) == {_UNSAFE} else found


def paths(simulator: Simulator) -> list[str]:
    """Return what the simulator was asked, in order: nothing but GETs by the token."""
    log = simulator.requests()
    assert {row["method"] for row in log} <= {"GET"}
    return [str(row["path"]).removeprefix("/api2/json") for row in log]
