"""Secrets are kept on the machine that Ansible runs on, wherever the task itself runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ansible_collections.homelab.pve.tests.integration.conftest import Ansible, Json, Run
from ansible_collections.homelab.pve.tests.leaks.scan import find, shown
from ansible_collections.homelab.pve.tests.simulator import Simulator

CONNECTION = Path(__file__).with_name("connections") / "elsewhere.py"
READER = {"token": "reader@pam!one", "role": "PVEAuditor", "path": "/", "secret_file": "$HOME/kept/one"}


class Elsewhere:
    """Plays on a host that is not this machine, as far as Ansible can tell."""

    def __init__(self, ansible: Ansible, connected: Json) -> None:
        self.ansible = ansible
        self.connected = connected
        self.kept = ansible.home / "kept"
        self.kept.mkdir(mode=0o700)
        self.remote = ansible.home.with_name("elsewhere")
        self.remote.mkdir(mode=0o700)
        (ansible.home / "connection_plugins").mkdir()
        shutil.copy(CONNECTION, ansible.home / "connection_plugins")

    def play(self, *tasks: Json, check: bool = False, host: str = "node", env: Json | None = None) -> Run:
        defaults = {
            "group/homelab.pve.all": self.connected,
            "homelab.pve.pve_token": {"secret_file": "~/kept/by-default"},
        }
        plays = [{"hosts": host, "gather_facts": False, "module_defaults": defaults, "tasks": list(tasks)}]
        arguments = ["-i", "node,", "-vvvv", "--diff", *(["--check"] if check else [])]
        return self.ansible.playbook(
            plays, *arguments, variables={"ansible_connection": "elsewhere"} if host == "node" else None, env=env
        )

    @property
    def files(self) -> dict[str, str]:
        assert all(path.stat().st_mode & 0o077 == 0 for path in self.kept.iterdir())
        return {path.name: path.read_text().strip() for path in self.kept.iterdir() if not path.name.endswith(".born")}

    @property
    def left_there(self) -> list[Path]:
        """The files on the other side, but for what Ansible itself has there."""
        return [path for path in self.remote.rglob("*") if path.is_file() and ".ansible" not in path.parts]


@pytest.fixture
def elsewhere(ansible: Ansible, connected: Json) -> Elsewhere:
    return Elsewhere(ansible, connected)


def named(name: str, module: str, options: Json, **keywords: object) -> Json:
    return {"name": name, f"homelab.pve.{module}": options, **keywords}


TASKS = [
    named("user", "pve_user", {"userid": "joe@pve"}),
    named("default", "pve_token", {"tokenid": "joe@pve!default"}),
    named(
        "loop", "pve_token", {"tokenid": "joe@pve!{{ item }}", "secret_file": "~/kept/{{ item }}"}, loop=["la", "lb"]
    ),
    named(
        "document",
        "pve_access",
        {
            "readers": [READER],
            "tokens": ["tokenid=joe@pve!text secret_file=~/kept/text"],
            "acls": [{"path": "/vms", "role": "PVEAuditor", "tokens": "joe@pve!text", "grant_user": True}],
        },
    ),
    named("registered", "pve_token", {"tokenid": "joe@pve!last", "secret_file": "../home/kept/last"}, register="last"),
    {"name": "shown", "ansible.builtin.debug": {"var": "last"}},
]
TOKENS = {
    **{name: f"joe@pve!{name}" for name in ("la", "lb", "text", "last")},
    "by-default": "joe@pve!default",
    "one": "reader@pam!one",
}


def test_whatever_names_a_secret_file(elsewhere: Elsewhere, simulator: Simulator) -> None:
    before = simulator.export()
    few = [task for task in TASKS if task["name"] in ("default", "document")]
    tried = elsewhere.play(*few, check=True)
    assert not tried.returncode, tried.output
    assert elsewhere.files == {}
    assert simulator.export() == before

    run = elsewhere.play(*TASKS)
    assert not run.returncode, run.output
    secrets = simulator.export()["secrets"]
    assert elsewhere.files == {name: secrets[tokenid] for name, tokenid in TOKENS.items()}
    assert elsewhere.left_there == []
    assert "_keeping" not in repr(run.tasks)
    # The dry run said what the real one does.
    said = {task["task"]: task["result"]["changes"] for task in tried.tasks}
    assert {name: run.result(name)["changes"] for name in said} == said
    new = {name: secret for name, secret in secrets.items() if name not in before["secrets"]}
    channels = {"output": run.output.encode(), "results": repr(run.tasks).encode()}
    assert find(new, channels) == set(), shown(new, channels)

    simulator.clear_requests()
    again = elsewhere.play(*few)
    assert [task["outcome"] for task in again.tasks] == ["ok", "ok"]
    assert again.changed == []
    assert {row["method"] for row in simulator.requests()} == {"GET"}


def test_on_this_machine_the_module_does_it_itself(elsewhere: Elsewhere, simulator: Simulator) -> None:
    """So it can also do it while Ansible does something else."""
    options = {"tokenid": "joe@pve!later", "secret_file": "~/kept/later"}
    later = named("later", "pve_token", options, **{"async": 60, "poll": 1})
    jobs = {"ANSIBLE_ASYNC_DIR": str(elsewhere.ansible.home / "jobs")}
    run = elsewhere.play(*TASKS[:2], later, host="localhost", env=jobs)
    assert not run.returncode, run.output
    secrets = simulator.export()["secrets"]
    assert elsewhere.files == {"by-default": secrets["joe@pve!default"], "later": secrets["joe@pve!later"]}


def test_on_the_machine_that_a_task_is_delegated_to(elsewhere: Elsewhere, simulator: Simulator) -> None:
    """It is kept here all the same, by the options of whoever asks, not by those of the other host."""
    away = {"delegate_to": "box", "vars": {"ansible_connection": "elsewhere"}}
    run = elsewhere.play(TASKS[0], {**TASKS[1], **away}, host="localhost")
    assert not run.returncode, run.output
    assert elsewhere.files == {"by-default": simulator.export()["secrets"]["joe@pve!default"]}
    assert elsewhere.left_there == []


def test_what_cannot_be_kept_is_not_asked_for(elsewhere: Elsewhere, simulator: Simulator) -> None:
    options = {"tokenid": "root@pam!new", "secret_file": "~/missing/new"}
    run = elsewhere.play(
        named("missing", "pve_token", options, ignore_errors=True),
        named("async", "pve_token", {"tokenid": "root@pam!new"}, ignore_errors=True, **{"async": 60, "poll": 5}),
        named("hidden", "pve_token", {"tokenid": "root@pam!new", "_keeping": {"only_plan": False}}, ignore_errors=True),
        named("absent", "pve_token", {**options, "state": "absent"}),
    )
    assert f"mkdir -m 700 {elsewhere.ansible.home}/missing" in run.result("missing")["msg"]
    assert "async" in run.result("async")["msg"]
    assert "_keeping" in run.result("hidden")["msg"]
    assert not run.result("absent")["changed"]
    assert {row["method"] for row in simulator.requests()} == {"GET"}
    assert elsewhere.files == {}
