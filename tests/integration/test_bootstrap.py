"""The first contact: no credentials but SSH, and in the end a secret here that works."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.homelab.pve.tests.integration.conftest import Ansible, Json, Run
from ansible_collections.homelab.pve.tests.leaks.scan import find, shown
from ansible_collections.homelab.pve.tests.pvesh.standin import Standin
from ansible_collections.homelab.pve.tests.simulator import Simulator

CONNECTION = Path(__file__).with_name("connections") / "elsewhere.py"
TOKEN = "auditor@pve!ansible"


@pytest.fixture(scope="module")
def standin() -> Iterator[Standin]:
    with Standin() as standin:
        yield standin


class Host:
    """A node with pvesh, its API and its certificate, which Ansible reaches by a connection that is not local."""

    def __init__(self, ansible: Ansible, simulator: Simulator, standin: Standin) -> None:
        self.ansible, self.simulator = ansible, simulator
        standin.simulator = simulator
        standin.habits.calls.clear()
        self.home = ansible.home
        self.remote = ansible.home.with_name("elsewhere")
        self.remote.mkdir(mode=0o700)
        (self.home / "connection_plugins").mkdir()
        shutil.copy(CONNECTION, self.home / "connection_plugins")
        self.certificate = ansible.home.with_name("pve-ssl.pem")
        self.certificate.write_text(ssl.get_server_certificate((simulator.host, simulator.port)))
        (self.home / "hosts").write_text(
            f"first ansible_host={simulator.host} ansible_connection=elsewhere\n"
            "second ansible_host=second.invalid ansible_connection=elsewhere\n"
        )
        self.path = f"{standin.folder}:{os.environ['PATH']}"

    def bootstrap(self, *arguments: str, **variables: object) -> Run:
        told = {
            "bootstrap_certificates": ["/nonexistent.pem", str(self.certificate)],
            "pve_port": self.simulator.port,
            **variables,
        }
        plays = [{"import_playbook": "homelab.pve.bootstrap"}]
        return self.ansible.playbook(
            plays, "-i", "hosts", "-vvv", "--diff", *arguments, variables=told, env={"PATH": self.path}
        )

    def works(self, tokenid: str, file: str) -> None:
        assert (self.home / file).read_text() == self.simulator.export()["secrets"][tokenid] + "\n"
        assert (self.home / file).stat().st_mode & 0o777 == 0o600


@pytest.fixture
def host(ansible: Ansible, simulator: Simulator, standin: Standin) -> Host:
    return Host(ansible, simulator, standin)


def told(run: Run) -> list[str]:
    lines: list[str] = run.result("Tell what there is now")["msg"]
    return lines


def test_an_auditor(host: Host, simulator: Simulator) -> None:
    before = simulator.export()
    tried = host.bootstrap("--check")
    assert not tried.returncode, tried.output
    assert simulator.export() == before
    assert not (host.home / ".proxmox-auditor").exists()
    assert f"Would be made: {TOKEN}, its secret in {host.home}/.proxmox-auditor" in told(tried)

    run = host.bootstrap()
    assert not run.returncode, run.output
    host.works(TOKEN, ".proxmox-auditor")
    state = simulator.export()
    assert [row for row in state["acl"] if "auditor" in row["ugid"]] == [
        {"path": "/", "propagate": 1, "roleid": "PVEAuditor", "type": kind, "ugid": name}
        for kind, name in (("token", TOKEN), ("user", "auditor@pve"))
    ]
    new = {name: secret for name, secret in state["secrets"].items() if name not in before["secrets"]}
    channels = {"output": run.output.encode(), "results": json.dumps(run.tasks).encode()}
    assert find(new, channels) == set(), shown(new, channels)
    assert [path for path in host.remote.rglob("*") if path.is_file()] == []
    by_hand(host, told(run))

    again = host.bootstrap()
    assert not again.returncode, again.output
    assert again.changed == []
    assert f"There already: {TOKEN}, its secret in {host.home}/.proxmox-auditor" in told(again)


def by_hand(host: Host, lines: list[str]) -> None:
    """The commands that are told are good as they are."""
    pinned = next(line for line in lines if line.startswith("Fingerprint"))
    assert pinned.rpartition(" ")[2] in next(line for line in lines if line.startswith("  export"))
    assert "  logs in from here" in lines
    printf = next(line for line in lines if line.startswith("  printf"))
    done = subprocess.run(
        ["sh", "-c", f"{printf} --silent --fail --cacert {host.simulator.ca_file}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(done.stdout)["data"]["release"], done.stderr


def test_what_may_be_said_otherwise(host: Host) -> None:
    files = {"token": "ci@pve!pipe", "role": "PVEVMUser", "path": "/vms", "secret_file": "ci", "expire": "90d"}
    # Behind the same port nobody answers at this name.
    (host.home / "hosts").write_text("first ansible_host=127.0.0.9 ansible_connection=elsewhere\n")
    run = host.bootstrap(**files)
    assert not run.returncode, run.output
    host.works("ci@pve!pipe", "ci")


def test_a_policy(host: Host, simulator: Simulator) -> None:
    reader = {"token": "one@pve!reader", "role": "PVEAuditor", "path": "/vms", "secret_file": "~/one"}
    policy: Json = {"pve_access": {"readers": [reader], "roles": [{"roleid": "Watcher", "privs": ["Sys.Audit"]}]}}
    (host.home / "policy.yml").write_text(json.dumps(policy))
    run = host.bootstrap(policy="policy.yml")
    assert not run.returncode, run.output
    host.works("one@pve!reader", "one")
    assert TOKEN not in simulator.export()["secrets"]
