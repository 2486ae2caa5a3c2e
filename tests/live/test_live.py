"""``make live`` against simulated clusters that are nothing like the homelab, with other people's things on them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("ansible")

from ansible_collections.homelab.pve.tests.live.run import PLAYBOOKS, parse
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN, Simulator
from ansible_collections.homelab.pve.tests.warm import start as warm

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "tests" / "live" / "run.py"
SECONDS = 300  # until a run counts as hung
DELEGATE = "delegate@pve!some"
# Other people's, on, and with names and comments that look like those of the tests.
FIREWALL = """\
[OPTIONS]

enable: 1
policy_in: DROP

[ALIASES]

Desk 192.168.40.10
xhomelab-test-alias 192.0.2.0/25 # Not theirs

[IPSET homelab-tests] # Not theirs

!192.0.2.7
Desk
xhomelab-test-alias

[RULES]

|GROUP homelab-tests -i vmbr0
IN ACCEPT -source +homelab-tests -p tcp -dport 8006 -log nolog # homelab-test-first
IN DROP -source xhomelab-test-alias # [key:xhomelab-test-first]
IN ACCEPT -source 127.0.0.0/8 # [key:homelab-tests]

[group homelab-tests] # Not theirs

OUT ACCEPT # homelab-test-
IN DROP -p tcp -dport 9 # [key:homelab-testfirst]

"""

Json = dict[str, Any]


def populate(simulator: Simulator, vmids: list[int]) -> None:
    """Put other people's things on the cluster, some of them with names or places that look like those of the tests."""
    state = simulator.export()
    state["guests"] = [{**state["guests"][0], "vmid": vmid} for vmid in vmids]
    state["users"] += [
        {
            "userid": "jane@pve",
            "comment": "Ünï",
            "email": "jane@example.org",
            "groups": ["staff", "xhomelab-test-group"],
        },
        {"userid": "late@pam", "enable": 0, "expire": 86400},
        {"userid": "delegate@pve"},
        {"userid": "homelab-tests@pve", "groups": ["homelab-tests"]},
        {"userid": "xhomelab-test-a@pve"},
        {"userid": "homelab-test-user@pam"},
    ]
    state["tokens"] += [
        {"tokenid": "jane@pve!homelab-test-token", "comment": "Hers", "expire": 4102444800},
        {"tokenid": "homelab-tests@pve!token", "privsep": 0},
        {"tokenid": DELEGATE, "privsep": 0},
    ]
    state["secrets"] |= {
        token["tokenid"]: f"00000000-0000-4000-8000-{number:012}" for number, token in enumerate(state["tokens"][1:])
    }
    state["groups"] += [{"groupid": name} for name in ("staff", "homelab-tests", "xhomelab-test-group")]
    state["roles"] += [{"roleid": name, "privs": ["VM.Audit"]} for name in ("watch", "homelab-tests", "Homelab-test-x")]
    state["pools"] += [
        {"poolid": "homelab-tests", "comment": "Not theirs", "vms": vmids[:1], "storage": ["local"]},
        {"poolid": "lab"},
    ]
    given = [
        ("/vms", "user", "jane@pve", "watch", 1),
        ("/storage/local", "group", "staff", "PVEDatastoreUser", 0),
        (f"/nodes/{state['nodes'][0]['name']}", "group", "homelab-tests", "PVEAuditor", 1),
        ("/pool/homelab-tests", "user", "homelab-tests@pve", "homelab-tests", 1),
        # For a pool that is yet to be made: PVE would take it away together with one of that name.
        ("/pool/homelab-test-pool", "user", "jane@pve", "PVEPoolUser", 1),
        ("/", "user", "homelab-test-user@pam", "PVEAuditor", 1),
        ("/", "user", "deleted@pve", "PVEAdmin", 1),
        ("/", "group", "deleted", "PVEAuditor", 1),
        # Some of what the tests need.
        ("/access", "user", "delegate@pve", "PVEUserAdmin", 1),
        *((f"/vms/{vmid}", "token", "jane@pve!homelab-test-token", "PVEVMUser", 1) for vmid in vmids),
        *((f"/vms/{vmid}", "user", "xhomelab-test-a@pve", "Homelab-test-x", 0) for vmid in vmids),
    ]
    state["acl"] += [dict(zip(("path", "type", "ugid", "roleid", "propagate"), entry, strict=True)) for entry in given]
    state["firewall"] = {
        "cluster": FIREWALL,
        "nodes": {state["nodes"][0]["name"]: "[RULES]\n\nIN ACCEPT -p udp -dport 53 # [key:homelab-tests]\n\n"},
        "guests": {str(vmid): "[OPTIONS]\n\nlog_level_in: info\n\n" for vmid in vmids[:1]},
    }
    simulator.load(state)


def interrupt(pid: int) -> None:
    os.kill(pid, signal.SIGINT)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def kill_all(pid: int) -> None:
    """Kill a process and all that it has started, from the top: none has the time to start another one."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    kill(pid)
    for child in children:
        # One that has ended meanwhile is as good.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            kill_all(int(child))


class Cluster:
    """A simulated cluster, and ``run.py`` as a program that is started against it."""

    def __init__(self, simulator: Simulator, folder: Path) -> None:
        self.simulator = simulator
        self.folder = folder
        self.secret(ROOT_SECRET)
        self.pristine = self.state()

    def secret(self, text: str) -> None:
        file = self.folder / "secret"
        file.touch(mode=0o600)
        file.write_text(text + "\n")

    def state(self) -> str:
        return json.dumps(self.simulator.export(), sort_keys=True)

    def start(self, *only: str, token: str = ROOT_TOKEN, by: Sequence[str] = ()) -> subprocess.Popen[str]:
        arguments = {
            "host": self.simulator.host,
            "port": self.simulator.port,
            "token-id": token,
            "token-file": self.folder / "secret",
            "fingerprint": self.simulator.fingerprint,
        }
        return subprocess.Popen(
            [
                *(by or (sys.executable, str(RUN))),
                *(f"--{name}={value}" for name, value in arguments.items()),
                *(f"--only={name}" for name in only),
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT / ".nox" / "tree")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *only: str, token: str = ROOT_TOKEN) -> tuple[int, str]:
        """Run it to its end, with programs that are loaded already; what is to be interrupted starts them itself."""
        process = self.start(*only, token=token, by=warm.script(RUN))
        output, unused = process.communicate(timeout=SECONDS)
        return process.returncode, output

    def interrupt(self, process: subprocess.Popen[str], how: Callable[[int], None], once_there_is: str) -> str:
        """Interrupt a run as soon as something is on the cluster, and return what it had to say."""
        until = time.monotonic() + SECONDS
        while once_there_is not in self.state():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < until
            time.sleep(0.02)
        how(process.pid)
        return process.communicate(timeout=SECONDS)[0]


@pytest.fixture
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    release, vmids = request.param
    with Simulator(release, auth_delay=0, node="hv-01", nodes=2) as simulator:
        populate(simulator, vmids)
        yield Cluster(simulator, tmp_path)


# In two halves, which can run at the same time; the others run on another release, below.
@pytest.mark.parametrize("playbooks", [["role", "group", "user", "acl"], list(PLAYBOOKS)[6:]], ids=["single", "whole"])
@pytest.mark.parametrize("cluster", [("8.4", [214, 999])], indirect=True, ids=["8.4"])
def test_everything_passes_and_nothing_is_different_afterwards(cluster: Cluster, playbooks: list[str]) -> None:
    status, output = cluster.run(*playbooks)
    assert status == 0, output
    assert cluster.state() == cluster.pristine
    table = output.partition("\nresult ")[2].splitlines()[1:]
    names = [line.split()[1] for line in table]
    assert names == [*playbooks, "server"]
    assert all(line.startswith("passed") for line in table)
    assert "/vms/214" in output, "the tests look for a guest that is there"


@pytest.mark.parametrize(
    ("cluster", "playbooks"),
    [(("7.4", [101]), ["pool", "token"]), (("9.2", []), ["readers"])],
    indirect=["cluster"],
    ids=["7.4", "9.2, no guests"],
)
def test_what_differs_between_releases_and_without_guests(cluster: Cluster, playbooks: list[str]) -> None:
    status, output = cluster.run(*playbooks)
    assert status == 0, output
    assert cluster.state() == cluster.pristine
    assert ("/vms/101" in output) != ("/nodes/hv-01" in output)


@pytest.mark.parametrize("cluster", [("8.4", [])], indirect=True, ids=["8.4"])
def test_a_run_that_was_interrupted_is_cleaned_up_after(cluster: Cluster) -> None:
    # Nothing of it goes on, as when the power fails.
    cluster.interrupt(cluster.start("firewall"), kill_all, "[IPSET homelab-test-set]")
    left = cluster.state()
    assert left != cluster.pristine

    # The next run removes that, and is killed itself; its playbook lives on.
    cluster.interrupt(cluster.start("group"), kill, '"comment": "Made by tests, ends soon"')

    # This one is stopped as from the keyboard, and cleans up at once.
    process = cluster.start("readers")
    output = cluster.interrupt(process, interrupt, "homelab-test-pool@pve!reader")
    assert process.returncode == 130, output
    assert cluster.state() == cluster.pristine, output

    status, output = cluster.run("role")
    assert status == 0, output
    assert cluster.state() == cluster.pristine


@pytest.mark.parametrize("cluster", [("8.4", [214])], indirect=True, ids=["8.4"])
def test_whatever_is_left_goes_and_what_merely_looks_like_it_stays(cluster: Cluster) -> None:
    state = cluster.simulator.export()
    state["users"] += [{"userid": "homelab-test-left@pve", "groups": ["homelab-test-left"]}]
    state["tokens"] += [{"tokenid": "homelab-test-left@pve!left"}]
    state["secrets"]["homelab-test-left@pve!left"] = "22222222-0000-4000-8000-000000000000"
    state["groups"] += [{"groupid": "homelab-test-left"}]
    state["roles"] += [{"roleid": "homelab-test-left", "privs": []}]
    state["pools"] += [{"poolid": "homelab-test-left"}, {"poolid": "homelab-test-left/inner"}]
    state["acl"] += [
        {"path": "/vms", "type": kind, "ugid": ugid, "roleid": "homelab-test-left"}
        for kind, ugid in [
            ("user", "homelab-test-left@pve"),
            ("token", "homelab-test-left@pve!left"),
            # PVE would give these to the next ones of these names.
            ("user", "homelab-test-user@pve"),
            ("group", "homelab-test-group"),
        ]
    ]
    ours = "IN ACCEPT -source homelab-test-left # [key:homelab-test-left]\n"
    state["firewall"]["cluster"] = (
        FIREWALL.replace("xhomelab", "homelab-test-left 192.0.2.0/24\nxhomelab", 1)
        .replace("[IPSET", "[IPSET homelab-test-left]\n\nhomelab-test-left\n\n[IPSET", 1)
        .replace("IN DROP", f"GROUP homelab-test-left # [key:homelab-test-other]\n{ours}IN DROP", 1)
        .replace("[group", f"[group homelab-test-left]\n\n{ours}IN DROP\n\n[group", 1)
    )
    state["firewall"]["guests"]["214"] += f"[RULES]\n\n{ours}\n"
    cluster.simulator.load(state)
    status, output = cluster.run("group")
    assert status == 0, output
    assert cluster.state() == cluster.pristine


@pytest.mark.parametrize("cluster", [("9.2", [])], indirect=True, ids=["9.2"])
def test_what_cannot_be_run_is_told_before_anything_is_changed(cluster: Cluster) -> None:
    def told(text: str, token: str = ROOT_TOKEN) -> None:
        cluster.simulator.clear_requests()
        before = cluster.state()
        status, output = cluster.run(token=token)
        assert status == 2, output
        assert text in output
        assert "Traceback" not in output
        assert {request["method"] for request in cluster.simulator.requests()} <= {"GET"}
        assert cluster.state() == before

    told("would be deleted", token="homelab-test-admin@pve!token")

    cluster.secret(json.loads(cluster.pristine)["secrets"][DELEGATE])
    told(
        "lacks Permissions.Modify on /, Sys.Audit on /, Sys.Modify on /, Sys.Audit on /access, Sys.Modify on /access",
        token=DELEGATE,
    )

    cluster.secret(ROOT_SECRET)
    state = cluster.simulator.export()
    state["roles"] += [{"roleid": "homelab-test-used", "privs": []}]
    state["acl"] += [{"path": "/", "type": "user", "ugid": "jane@pve", "roleid": "homelab-test-used"}]
    cluster.simulator.load(state)
    told("jane@pve (role homelab-test-used on /)")

    for there, added, said in (
        ("IN DROP", "IN ACCEPT -source +homelab-test-set\n", "homelab-test-set, which belongs to these tests"),
        ("Desk", "Homelab-Test-Alias 192.0.2.1\n", "Homelab-Test-Alias has a name of these tests"),
    ):
        state = json.loads(cluster.pristine)
        state["firewall"]["cluster"] = FIREWALL.replace(there, added + there, 1)
        cluster.simulator.load(state)
        told(said)


def test_without_only_everything_is_run(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text(ROOT_SECRET)
    given = ["--host=pve.example.org", f"--token-id={ROOT_TOKEN}", f"--token-file={secret}"]
    assert parse(given)[2] == list(PLAYBOOKS)
    assert {file.stem for file in (RUN.parent / "playbooks").glob("*.yml")} == set(PLAYBOOKS)


def test_what_is_missing_is_asked_for() -> None:
    done = subprocess.run(
        [sys.executable, RUN, "--host", "pve.example.org"],
        env={**os.environ, "PYTHONPATH": str(ROOT / ".nox" / "tree")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Missing: TOKEN_ID, TOKEN_FILE." in done.stderr
    assert "Administrator" in done.stderr
