"""The playbook audit, as people and CI run it: what it says, what it costs, what it writes, and how it ends."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.policy.audit import audit
from ansible_collections.homelab.pve.plugins.module_utils.policy.document import Policy
from ansible_collections.homelab.pve.plugins.module_utils.policy.sources import Recorder
from ansible_collections.homelab.pve.tests.benchmarks.policy import POOLS, large
from ansible_collections.homelab.pve.tests.simulator import Simulator

from .conftest import Ansible, Run, connection

ROOT = Path(__file__).resolve().parents[2]
AUDITOR, SECRET = "auditor@pve!ci", "7a7a7a7a-0000-4000-8000-000000000007"
TELL, AUDIT = "Tell what was found", "Audit"
REPORTS = {"junit.xml", "audit.sarif", "audit.md", "audit.json", "audit.html"}
# What comes with every cluster, and this policy bears.
EXCEPTIONS = [
    {"rule": "*", "subject": subject, "reason": "Comes with the cluster", "until": "2099-12-31"}
    for subject in ("*root@pam*", "*admin@pve*", "cluster*", "node *")
]
POLICY: dict[str, Any] = {
    "pve_access": {
        "users": [{"userid": "joe@pve", "comment": "Joe"}],
        "acls": [{"path": "/vms/100", "role": "PVEVMUser", "users": ["joe@pve"]}],
        "exclusive": {"acls": {"paths": ["/vms/*"]}},
    },
    "pve_assertions": [
        {"subject": AUDITOR, "path": "/", "read_only": True},
        {"subject": "joe@pve", "path": "/vms/102", "nothing": True},
    ],
    "pve_hygiene": {"require_expiry": "ignore", "exception_unused": "ignore", "no_second_factor": "ignore"},
    "pve_exceptions": EXCEPTIONS,
}


def entry(path: str, kind: str, name: str, role: str) -> dict[str, Any]:
    return {"path": path, "type": kind, "ugid": name, "roleid": role, "propagate": 1}


class Auditor:
    """The playbook with an auditor's token in the environment, on a cluster that is as the policy says."""

    def __init__(self, ansible: Ansible, simulator: Simulator) -> None:
        self.ansible = ansible
        self.home = ansible.home
        self.simulator = simulator
        self.env = {
            "PVE_HOST": simulator.host,
            "PVE_PORT": str(simulator.port),
            "PVE_CA_PATH": simulator.ca_file,
            "PVE_TOKEN_ID": AUDITOR,
            "PVE_TOKEN_SECRET": SECRET,
        }
        state = simulator.export()
        state["users"] += [
            {"userid": "auditor@pve", "enable": 1},
            {"userid": "joe@pve", "enable": 1, "comment": "Joe"},
        ]
        state["tokens"].append({"tokenid": AUDITOR, "privsep": 1, "secret": SECRET})
        state["acl"] += [entry("/", kind, name, "PVEAuditor") for kind, name in halves()]
        state["acl"].append(entry("/vms/100", "user", "joe@pve", "PVEVMUser"))
        simulator.load(state)
        self.write(POLICY)

    def write(self, policy: dict[str, Any]) -> None:
        (self.home / "policy.yml").write_text(yaml.safe_dump(policy))

    def run(self, *arguments: str, env: dict[str, str] | None = None, **variables: Any) -> Run:
        told = {"policy": "policy.yml", **variables}
        return self.ansible.playbook(
            "homelab.pve.audit", *arguments, variables=told, env=self.env if env is None else env
        )

    def give(self, *entries: dict[str, Any]) -> None:
        state = self.simulator.export()
        state["acl"] += entries
        self.simulator.load(state)


def halves() -> list[tuple[str, str]]:
    return [("user", "auditor@pve"), ("token", AUDITOR)]


def rules(run: Run) -> list[tuple[str, str, str]]:
    return [(one["rule"], one["subject"], one["path"]) for one in run.result(AUDIT)["findings"]]


@pytest.fixture
def auditor(ansible: Ansible, simulator: Simulator) -> Auditor:
    return Auditor(ansible, simulator)


def test_a_cluster_that_is_as_declared_passes_and_is_only_read(auditor: Auditor) -> None:
    before = auditor.simulator.export()
    auditor.simulator.clear_requests()
    run = auditor.run(reports="audit")
    assert run.returncode == 0, run.output
    assert run.result(AUDIT)["status"] == "pass"
    assert rules(run) == []
    assert {request["method"] for request in auditor.simulator.requests()} == {"GET"}
    assert auditor.simulator.export() == before
    assert {path.name for path in (auditor.home / "audit").iterdir()} == REPORTS
    assert [one["confirmed"] for one in run.result(AUDIT)["assertions"]] == [True, True]
    assert run.result(TELL)["msg"][0].startswith("Audit: passed (0 error, 0 warn, 0 info")


def test_what_somebody_did_by_hand_fails_it_and_is_named(auditor: Auditor) -> None:
    auditor.give(entry("/vms/102", "user", "joe@pve", "PVEVMUser"))
    run = auditor.run(reports="audit")
    assert run.returncode != 0
    assert rules(run) == [("assertion", "joe@pve", "/vms/102"), ("drift_unexpected", "user joe@pve", "/vms/102")]
    told = "\n".join(run.result(TELL)["msg"])
    assert "error drift_unexpected: " in told
    assert "/vms/102" in told
    failed = [
        case
        for case in ET.parse(auditor.home / "audit" / "junit.xml").iter("testcase")
        if case.find("failure") is not None
    ]
    assert failed
    assert "/vms/102" in (auditor.home / "audit" / "audit.md").read_text()
    # Only told, where that is asked for.
    assert auditor.run(fail_on="never").returncode == 0


def test_what_cannot_be_seen_is_never_passed(auditor: Auditor) -> None:
    state = auditor.simulator.export()
    state["acl"] = [row for row in state["acl"] if row["path"] != "/"] + [
        entry("/vms", kind, name, "PVEAuditor") for kind, name in halves()
    ]
    auditor.simulator.load(state)
    run = auditor.run(fail_on="never")
    assert run.returncode != 0
    assert run.result(AUDIT)["status"] == "incomplete"
    hidden = {gap["what"]: gap["fix"] for gap in run.result(AUDIT)["incomplete"]}
    assert hidden["ACL entries"] == "Give it Sys.Audit on /access."
    assert "users and tokens" in hidden


def test_a_snapshot_is_audited_without_a_cluster(auditor: Auditor) -> None:
    auditor.give(entry("/vms/102", "user", "joe@pve", "PVEVMUser"))
    live = auditor.run()
    taken = auditor.ansible.run(
        *("ansible", "localhost", "-m", "homelab.pve.pve_snapshot", "-a", "dest=snapshot.json"), env=auditor.env
    )
    assert taken.returncode == 0, taken.stdout + taken.stderr
    auditor.simulator.clear_requests()
    offline = auditor.run(env={}, snapshot="snapshot.json")
    assert not auditor.simulator.requests()
    assert offline.returncode != 0
    for part in ("findings", "excepted", "notes", "incomplete", "would_change"):
        assert offline.result(AUDIT)[part] == live.result(AUDIT)[part], part
    old = json.loads((auditor.home / "snapshot.json").read_text())
    (auditor.home / "snapshot.json").write_text(json.dumps({**old, "taken": old["taken"] - 8 * 24 * 3600}))
    stale = auditor.run(env={}, snapshot="snapshot.json", snapshot_max_age="7d", fail_on="never")
    assert stale.returncode != 0
    assert "8 days ago" in " ".join(gap["reason"] for gap in stale.result(AUDIT)["incomplete"])


def test_check_mode_writes_no_reports(auditor: Auditor) -> None:
    run = auditor.run("--check", reports="audit")
    assert run.returncode == 0, run.output
    assert run.result(AUDIT)["status"] == "pass"
    assert not (auditor.home / "audit").exists() or not list((auditor.home / "audit").iterdir())


def test_an_exception_ends(auditor: Auditor) -> None:
    auditor.give(entry("/vms/102", "user", "joe@pve", "PVEVMUser"))
    bearing = [{"rule": rule, "subject": "*joe@pve", "reason": "For the move"} for rule in ("assertion", "drift_*")]
    # A day that nobody has put in quotes is a date in YAML.
    text = yaml.safe_dump({**POLICY, "pve_exceptions": [*EXCEPTIONS, *[{**one, "until": "DAY"} for one in bearing]]})
    (auditor.home / "policy.yml").write_text(text.replace("DAY", "2099-01-31"))
    run = auditor.run()
    assert run.returncode == 0, run.output
    assert [one["excepted"] for one in run.result(AUDIT)["excepted"] if "joe" in one["subject"]] == ["For the move"] * 2
    (auditor.home / "policy.yml").write_text(text.replace("DAY", "2026-01-31"))
    run = auditor.run()
    assert run.returncode != 0
    assert {rule for rule, *unused in rules(run)} == {"assertion", "drift_unexpected", "exception_over"}


def test_a_key_that_nobody_looks_at_is_an_error(auditor: Auditor) -> None:
    auditor.write({"pve_acces": {}})
    auditor.simulator.clear_requests()
    run = auditor.run()
    assert run.returncode != 0
    assert "keys that mean nothing here: pve_acces" in run.output
    assert not auditor.simulator.requests()


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"pve_assertions": [{"subject": "joe@pve", "path": "/nodes/x/qemu/100", "nothing": True}]}, "/vms/100"),
        ({"pve_assertions": [{"subject": "joe@pve", "path": "/vms", "never": ["VM.Adit"]}]}, "VM.Audit"),
        ({"pve_assertions": [{"subject": "joe@pve", "path": "/vms"}]}, "says nothing"),
        ({"pve_hygiene": {"privseps": "warn"}}, "privseps"),
        ({"pve_exceptions": [{"rule": "privsep", "reason": " ", "until": "2099-01-01"}]}, "reason is empty"),
        ({"pve_exceptions": [{"rule": "privsepp", "reason": "x", "until": "2099-01-01"}]}, "privsep?"),
        ({"pve_exceptions": [{"rule": "privsep", "reason": "x", "until": "soon"}]}, "2027-01-31"),
    ],
)
def test_what_is_wrong_with_a_policy_is_told_before_anything_is_asked(
    ansible: Ansible, simulator: Simulator, connected: dict[str, Any], policy: dict[str, Any], said: str
) -> None:
    result = ansible.module("pve_policy", {**connected, **policy})
    assert result["failed"]
    assert said in result["msg"]
    assert not simulator.requests()


def test_passwords_in_a_policy_are_not_shown(auditor: Auditor) -> None:
    access = {**POLICY["pve_access"], "users": [{"userid": "joe@pve", "user_password": "hunter2-but-longer"}]}
    auditor.write({**POLICY, "pve_access": access})
    run = auditor.run("-vvvv", "--diff", reports="audit")
    assert run.returncode == 0, run.output
    assert "hunter2" not in run.output
    assert not any("hunter2" in path.read_text() for path in (auditor.home / "audit").iterdir())


def test_passwords_out_of_place_are_not_shown_either(auditor: Auditor) -> None:
    users = [{"userid": "joe@pve", "user_pasword": "hunter2-but-longer", "Passwords": ["hunter2-as-well"]}]
    tokens = [{"tokenid": "joe@pve!ci", "secret": "hunter2-in-the-end", "secret_file": "~/kept-there"}]
    auditor.write({**POLICY, "pve_access": {**POLICY["pve_access"], "users": users, "tokens": tokens}})
    run = auditor.run("-vvvv")
    assert run.returncode != 0
    assert "user_pasword" in run.output
    assert "hunter2" not in run.output
    assert "kept-there" in run.output


def test_the_jobs_for_ci_work(auditor: Auditor) -> None:
    texts = {name: (ROOT / "examples" / "ci" / f"{name}.yml").read_text() for name in ("github", "gitlab")}
    steps = [step.get("run", "") for step in yaml.safe_load(texts["github"])["jobs"]["audit"]["steps"]]
    # As it is on a merge request.
    steps += [step.replace("${FAIL_ON:-error}", "never") for step in yaml.safe_load(texts["gitlab"])["audit"]["script"]]
    commands = {step for step in steps if step.startswith("ansible-playbook ")}
    assert len(commands) == 2
    for command in commands:
        run = auditor.ansible.playbook(*command.split()[1:], env=auditor.env)
        assert run.returncode == 0, run.output
        assert {path.name for path in (auditor.home / "audit").iterdir()} == REPORTS
    for text in texts.values():
        assert set(re.findall(r"audit/([\w.]+\w)", text)) <= REPORTS


def test_a_large_cluster_takes_ten_requests_and_one_for_each_pool_with_entries(simulator: Simulator) -> None:
    state = simulator.export()
    state.update({name: state[name] + rows for name, rows in large().items()})
    state["pools"] = [{"poolid": f"pool{number}"} for number in range(POOLS)]
    simulator.load(state)
    simulator.clear_requests()
    with Client(ConnectionOptions.from_params(connection(simulator), {})) as client:
        found = audit(Recorder(client.read_only()), Policy(), 1_800_000_000.0)
    assert found.requests <= 9 + POOLS
    assert len(simulator.requests()) <= 10 + POOLS
    assert len(found.observed.state.tokens) > 1000
    assert not found.gaps
    assert json.dumps(found.as_data())


def test_the_examples_run(
    ansible: Ansible, simulator: Simulator, connected: dict[str, Any], documentation: dict[str, Any]
) -> None:
    before = simulator.export()
    for task in yaml.safe_load(documentation["pve_policy"]["examples"]):
        result = ansible.module("pve_policy", {**connected, **task["homelab.pve.pve_policy"]})
        assert not result.get("failed"), result["msg"]
        # All that is returned is documented, and the other way round, but for what comes only with reports.
        returned = set(result) - {"changed", "failed", "msg", "diff", "invocation", "warnings", "written"}
        assert returned == set(documentation["pve_policy"]["return"]) - {"written"}
    assert (ansible.home / "pve-audit.html").is_file()
    assert simulator.export() == before
