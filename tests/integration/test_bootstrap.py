"""The first contact: no credentials but SSH, and in the end a secret here that works."""

from __future__ import annotations

import json
import os
import shutil
import socket
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
SYSTEM = "/usr/local/sbin:/usr/sbin:/sbin"
# An address of this machine at which no API listens.
ALIAS = "127.0.0.9"


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

    again = host.bootstrap(renew="when_lost")
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


@pytest.fixture
def sshd(tmp_path: Path, standin: Standin) -> Iterator[str]:
    """An SSH server of this machine's own, as a line of an inventory tells of it."""
    if os.geteuid() or not shutil.which("sshd", path=SYSTEM) or not shutil.which("unshare"):
        pytest.skip("it takes root, sshd and unshare")
    for name in ("key", "host"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    with socket.socket() as free:
        free.bind((ALIAS, 0))
        port = free.getsockname()[1]
    (tmp_path / "sshd_config").write_text(
        f"Port {port}\nListenAddress {ALIAS}\nHostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/key.pub\n"
        f"UsePAM no\nStrictModes no\nPidFile none\nSetEnv PATH={standin.folder}:{os.environ['PATH']}\n"
    )
    # The server wants a folder of its own in /run, which is nobody else's business.
    own = f"mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec {shutil.which('sshd', path=SYSTEM)}"
    server = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", f"{own} -D -e -f {tmp_path}/sshd_config"], stderr=subprocess.PIPE, text=True
    )
    assert server.stderr
    said = server.stderr.readline()
    if "listening" not in said:
        server.wait()
        pytest.skip(f"sshd does not start here: {said}")
    yield (
        f"node ansible_host={ALIAS} ansible_port={port} ansible_user=root ansible_remote_tmp={tmp_path}/elsewhere/tmp "
        f"ansible_ssh_private_key_file={tmp_path}/key "
        # In place of Ansible's own, which share connections over a socket: its path may be too long here.
        "ansible_ssh_args='-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ControlMaster=no'\n"
    )
    server.terminate()
    server.wait()
    server.stderr.close()


def test_over_ssh_with_other_names_and_without_a_way_to_the_api(host: Host, sshd: str) -> None:
    before = host.simulator.export()["secrets"]
    names = {"token": "ci@pve!pipe", "role": "PVEVMUser", "path": "/vms", "secret_file": "ci", "expire": "90d"}
    (host.home / "hosts").write_text(sshd)
    run = host.bootstrap(**names)
    assert not run.returncode, run.output
    host.works("ci@pve!pipe", "ci")
    assert f"  not tried from here: https://{ALIAS}:{host.simulator.port} cannot be reached. " in "\n".join(told(run))
    new = {name: secret for name, secret in host.simulator.export()["secrets"].items() if name not in before}
    assert "ESTABLISH SSH CONNECTION" in run.output
    assert len(new) == 1
    assert find(new, {"output": run.output.encode()}) == set(), shown(new, {"output": run.output.encode()})


def test_a_policy(host: Host, simulator: Simulator) -> None:
    reader = {"token": "one@pve!reader", "role": "PVEAuditor", "path": "/vms", "secret_file": "~/one"}
    policy: Json = {"pve_access": {"readers": [reader], "roles": [{"roleid": "Watcher", "privs": ["Sys.Audit"]}]}}
    policy["pve_firewall"] = {"cluster": {"aliases": [{"name": "desk", "cidr": "192.168.40.82"}]}}
    (host.home / "policy.yml").write_text(json.dumps(policy))
    run = host.bootstrap(policy="policy.yml", firewall=True)
    assert not run.returncode, run.output
    assert "desk" in simulator.export()["firewall"]["cluster"]
    host.works("one@pve!reader", "one")
    assert TOKEN not in simulator.export()["secrets"]
