"""Log-ins in plays: one serves all tasks and forks, and what is shown of them runs."""

from __future__ import annotations

import json
import re
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.pve.plugins.modules import pve_login, pve_logout
from ansible_collections.homelab.pve.tests.simulator import Simulator
from ansible_collections.homelab.pve.tests.simulator.second_factors import totp_now

from .conftest import Ansible

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "login.md"
SECRET = "JBSWY3DPEHPK3PXP"
JOE, PASSWORD = "joe@pve", "joe's own password"
KEYS = ["0000-1111", "2222-3333"]
HOSTS = ",".join(f"host{number}" for number in range(10))

Json = dict[str, Any]


@pytest.fixture
def joe(simulator: Simulator) -> Json:
    """The connection options of an administrator who has a second factor, without any."""
    state = simulator.export()
    entries = [{"id": kind, "type": kind, "created": 1, "description": ""} for kind in ("totp", "recovery")]
    simulator.load(
        {
            **state,
            "users": [*state["users"], {"userid": JOE, "password": PASSWORD}],
            "acl": [*state["acl"], {"path": "/", "type": "user", "ugid": JOE, "roleid": "Administrator"}],
            "tfa": [{"userid": JOE, "entries": entries}],
            "factors": {JOE: {"totp": SECRET, "recovery": list(KEYS)}},
        }
    )
    return {"host": simulator.host, "port": simulator.port, "ca_path": simulator.ca_file, "user": JOE}


def with_code(joe: Json, **more: str) -> Json:
    return {**joe, "password": PASSWORD, "second_factor": totp_now(SECRET), **more}


def log_ins(simulator: Simulator) -> list[str]:
    """Return what PVE was asked for tickets: with a password (or a ticket for one), or with a code."""
    asked = [each["params"] for each in simulator.requests() if each["path"] == "/access/ticket"]
    return ["code" if "tfa-challenge" in params else "password" for params in asked]


def test_one_log_in_serves_all_tasks_on_all_forks(simulator: Simulator, joe: Json, ansible: Ansible) -> None:
    cache = ansible.home / "tickets"
    group = {"homelab.pve.pve_group": {"groupid": "{{ inventory_hostname }}"}, "name": "Make a group"}
    read = {"homelab.pve.pve_info": {"gather": ["version"]}, "name": "Read"}

    def play(connection: Json, tasks: list[Json], results: int) -> None:
        defaults = {"group/homelab.pve.all": {**connection, "ticket_cache": str(cache)}}
        plays = [{"hosts": "all", "gather_facts": False, "module_defaults": defaults, "tasks": tasks}]
        done = ansible.playbook(plays, "-i", HOSTS, "-c", "local", "-f", "10")
        assert done.returncode == 0, done.output
        assert {task["outcome"] for task in done.tasks} == {"ok"}
        assert len(done.tasks) == results

    # All ten hosts begin at once; what comes after that could not be many log-ins, and takes its time.
    play(with_code(joe), [group, *[{**read, "run_once": True}] * 19], 29)
    assert log_ins(simulator) == ["password", "code"]
    assert not any(request["status"] == 401 for request in simulator.requests())
    (file,) = cache.glob("*.ticket")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in cache.iterdir()}
    assert (stat.S_IMODE(cache.stat().st_mode), modes) == (0o700, {0o600})

    # An hour and a half later, nobody has password or code at hand.
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "since": kept["since"] - 5400}))
    simulator.clear_requests()
    play(joe, [read], 10)
    assert log_ins(simulator) == ["password"]
    assert json.loads(file.read_text())["since"] > kept["since"]


def test_what_is_shown_runs(simulator: Simulator, joe: Json, ansible: Ansible) -> None:
    """The play of the guide, and then the examples, which find its ticket."""
    shutil.copy(simulator.ca_file, ansible.home / "pve-root-ca.pem")
    place = f"https://{simulator.host}:{simulator.port}"

    def here(text: str) -> Any:
        return yaml.safe_load(text.replace("192.168.40.60", place))

    play, tasks = map(here, re.findall(r"^```yaml\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL))
    (ansible.home / "login.yml").write_text(yaml.safe_dump(play))
    variables = {"joe_password": PASSWORD, "totp_code": totp_now(SECRET)}
    done = ansible.playbook(ansible.home / "login.yml", variables=variables)
    assert done.returncode == 0, done.output
    assert done.changed == ["Make a user"]
    examples = [*here(pve_login.EXAMPLES), *here(pve_logout.EXAMPLES)]
    plays = [
        {"hosts": "localhost", "gather_facts": False, "vars": {"recovery_key": key}, "tasks": shown}
        for key, shown in ((KEYS[0], tasks), (KEYS[1], examples))
    ]
    done = ansible.playbook(plays, variables=variables)
    assert done.returncode == 0, done.output
    assert "WARNING" not in done.output, done.output
    assert {task["outcome"] for task in done.tasks} == {"ok"}
    assert done.changed == ["Remove the ticket of this user"]
    assert log_ins(simulator) == ["password", "code"] * 3
    assert list((ansible.home / ".cache" / "pve-tickets").iterdir()) == []


def test_the_task_logs_in_where_that_is_needed(simulator: Simulator, joe: Json, ansible: Ansible) -> None:
    cached = {"ticket_cache": str(ansible.home / "tickets")}
    dry = ansible.module("pve_login", with_code(joe, **cached), check=True)
    assert (dry["changed"], dry["expires"], simulator.requests()) == (True, None, [])
    assert not (ansible.home / "tickets").exists()
    for changed in (True, False):
        done = ansible.module("pve_login", with_code(joe, **cached))
        assert (done["changed"], done["user"], "ticket" in done) == (changed, JOE, False)
        assert Path(done["ticket_file"]).parent == ansible.home / "tickets"
    assert log_ins(simulator) == ["password", "code"]
    assert ansible.module("pve_login", {**joe, **cached}, check=True)["changed"] is False
    for check, changed in ((True, True), (False, True), (False, False)):
        assert ansible.module("pve_logout", {**joe, **cached}, check=check)["changed"] is changed


def test_a_ticket_is_returned_where_it_is_not_logged(simulator: Simulator, joe: Json, ansible: Ansible) -> None:
    assert "no_log: true" in ansible.module("pve_login", with_code(joe))["msg"]
    assert simulator.requests() == []
    dry = ansible.module("pve_login", with_code(joe), check=True, no_log=True)
    assert (dry["changed"], "ticket" in dry, simulator.requests()) == (False, False, [])
    assert "check_mode: false" in str(dry["warnings"])
    done = ansible.module("pve_login", with_code(joe), no_log=True)
    handed_on = {**joe, "ticket": done["ticket"], "csrf_token": done["csrf_token"]}
    assert ansible.module("pve_group", {**handed_on, "groupid": "g"})["changed"] is True
    assert log_ins(simulator) == ["password", "code"]
    simulator.load({"users": [{"userid": JOE, "enable": 0}]})
    assert "A ticket lasts two hours" in ansible.module("pve_group", {**handed_on, "groupid": "h"})["msg"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"token_id": "joe@pve!t1", "token_secret": "00000000-0000-0000-0000-000000000000"}, "no user is given"),
        ({"transport": "pvesh"}, "no user is given"),
        ({"ticket": "PVE:joe@pve:00000000::x", "csrf_token": "0:x"}, "a ticket is given"),
    ],
)
def test_what_is_logged_in_already_is_told(ansible: Ansible, given: Json, says: str) -> None:
    place = {} if "transport" in given else {"host": "192.0.2.1"}
    assert says in ansible.module("pve_login", {**place, **given}, no_log=True)["msg"]


def test_logging_out_takes_a_folder(ansible: Ansible) -> None:
    assert "No ticket_cache is given" in ansible.module("pve_logout", {"all": True})["msg"]


def test_a_ticket_that_pve_no_longer_takes_is_replaced(simulator: Simulator, joe: Json, ansible: Ansible) -> None:
    cached = {"ticket_cache": str(ansible.home / "tickets")}
    assert ansible.module("pve_login", with_code(joe, **cached))["changed"]
    authenticator = simulator._server.authenticator
    authenticator._key = bytes(reversed(authenticator._key))
    simulator.clear_requests()
    options = {**joe, **cached, "groupid": "g"}
    assert "holds no ticket of joe@pve" in ansible.module("pve_group", options)["msg"]
    again = {**options, "password": PASSWORD, "second_factor": f"recovery:{KEYS[0]}"}
    assert ansible.module("pve_group", again)["changed"] is True
    assert [request["status"] for request in simulator.requests()].count(401) == 1
    assert log_ins(simulator) == ["password", "code"]


def test_a_code_whose_answer_was_lost_is_not_sent_again(simulator: Simulator, joe: Json, ansible: Ansible) -> None:
    options = with_code(joe, ticket_cache=str(ansible.home / "tickets"), groupid="g")
    simulator.fault("POST", "/access/ticket", nth=2, when="in", do="close")
    assert "It may be used up" in ansible.module("pve_group", options)["msg"]
    assert "has been sent to PVE already" in ansible.module("pve_group", options)["msg"]
    assert log_ins(simulator) == ["password", "code"]
