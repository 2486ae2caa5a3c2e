"""The playbook that users run: from a policy file to proven tokens."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.tests.pvesh import transport
from ansible_collections.homelab.pve.tests.simulator import ADMIN, ADMIN_PASSWORD, ROOT_SECRET, ROOT_TOKEN, Simulator
from ansible_collections.homelab.pve.tests.warm import start as warm

from .conftest import TREE, Ansible, Run

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "tests" / "demo" / "run.py"
PROOF = "Prove readers from here"
PROOF_THERE = "Prove readers from where their secrets were delivered"
SUMMARY = "Tell what was done"
RULES = "Apply the firewall policy"

Json = dict[str, Any]

LET_IN = {"key": "admins", "type": "in", "action": "ACCEPT", "source": "+admins", "proto": "tcp", "dport": "8006"}
FIREWALL: Json = {
    "api_clients": ["192.168.40.82"],
    "cluster": {
        "options": {"enable": True, "policy_in": "DROP"},
        "aliases": [{"name": "desk", "cidr": "192.168.40.10"}],
        "ipsets": [{"name": "admins", "entries": [{"cidr": "desk"}]}],
        "groups": [{"name": "web", "rules": [{"key": "http", "type": "in", "action": "ACCEPT", "macro": "HTTP"}]}],
        "rules": [LET_IN, {"key": "rest", "type": "in", "action": "REJECT", "proto": "tcp", "dport": "8006"}],
    },
    "guests": {100: {"options": {"enable": True}, "rules": [{"key": "web", "type": "group", "action": "web"}]}},
}


def reader(name: str, path: str = "/vms/100", **more: Any) -> Json:
    return {
        "token": f"{name}@pve!token",
        "role": "PVEAuditor",
        "path": path,
        "secret_file": f"~/{name}",
        **more,
    }


class Site:
    """The playbook site with the simulator named in the environment, as somebody at a shell has it."""

    def __init__(self, ansible: Ansible, simulator: Simulator) -> None:
        self.ansible = ansible
        self.home = ansible.home
        self.simulator = simulator
        self.address = {
            "PVE_HOST": simulator.host,
            "PVE_PORT": str(simulator.port),
            "PVE_FINGERPRINT": simulator.fingerprint,
        }
        self.env = {**transport.environment(simulator), **self.address}
        self.env.pop("PVE_CA_PATH", None)  # the fingerprint is enough

    def write(self, policy: Json) -> None:
        (self.home / "policy.json").write_text(json.dumps(policy))

    def run(self, *readers: Json, **more: Any) -> Run:
        self.write({"pve_access": {"readers": readers}})
        return self.again(**more)

    def again(self, *arguments: str, env: dict[str, str] | None = None, **variables: Any) -> Run:
        return self.ansible.playbook(
            "homelab.pve.site",
            *arguments,
            variables={"policy": "policy.json", **transport.variables(self.simulator), **variables},
            env=self.env if env is None else env,
        )

    def give(self, token: str, path: str, role: str) -> None:
        """Give rights to a token and its user, as somebody else may do by hand."""
        state = self.simulator.export()
        for kind, name in (("token", token), ("user", token.partition("!")[0])):
            state["acl"].append({"path": path, "type": kind, "ugid": name, "roleid": role, "propagate": 1})
        self.simulator.load(state)


@pytest.fixture
def site(ansible: Ansible, simulator: Simulator) -> Site:
    return Site(ansible, simulator)


def proved(run: Run, task: str = PROOF) -> list[str]:
    return [result["item"]["token"] for result in run.result(task).get("results", []) if result.get("proved")]


def test_from_plan_to_proof_and_no_change_the_second_time(site: Site) -> None:
    pristine = site.simulator.export()
    site.write({"pve_access": {"readers": [reader("joe"), reader("jane", "/", logs=True)]}})

    planned = site.again("--check", "--diff")
    assert planned.returncode == 0, planned.output
    assert site.simulator.export() == pristine
    assert not proved(planned)

    done = site.again("--diff")
    assert done.returncode == 0, done.output
    for key in ("changed", "changes", "tokens", "acl"):
        assert done.result("Apply the policy")[key] == planned.result("Apply the policy")[key]
    assert proved(done) == ["joe@pve!token", "jane@pve!token"]
    for name in ("joe", "jane"):
        secret = site.home / name
        assert secret.stat().st_mode & 0o777 == 0o600
        options = ConnectionOptions(
            site.simulator.host,
            site.simulator.port,
            token_id=f"{name}@pve!token",
            token_secret=secret.read_text().strip(),
            ca_path=site.simulator.ca_file,
        )
        with Client(options) as client:
            assert client.get("/version")
        assert secret.read_text().strip() not in done.output

    again = site.again()
    assert again.returncode == 0
    assert again.changed == []
    assert proved(again) == ["joe@pve!token", "jane@pve!token"]


def test_a_reader_with_too_many_rights_fails_the_run(site: Site) -> None:
    assert site.run(reader("joe"), reader("jane", "/vms/102"), prove="none").returncode == 0
    site.give("joe@pve!token", "/vms/100", "PVEVMUser")
    run = site.again()
    assert run.returncode != 0
    assert proved(run) == ["jane@pve!token"], "the others are proved all the same"
    assert "Not proved: joe@pve!token." in run.output


def test_which_readers_are_proved(site: Site) -> None:
    run = site.run(reader("joe"), reader("jane", "/vms/102"), prove="none")
    assert run.returncode == 0, run.output
    assert proved(run) == []
    assert "Not tried: joe@pve!token, access_prove is none" in run.result(SUMMARY)["msg"]
    run = site.run(reader("joe"), reader("jane", "/vms/102", comment="new"), prove="changed")
    assert proved(run) == ["jane@pve!token"]
    assert "Not tried: joe@pve!token, nothing was changed about it" in run.result(SUMMARY)["msg"]


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ({"pve_access": {"reader": [reader("joe")]}}, "access_policy.reader"),
        ({"pve_access": {"readers": [{**reader("joe"), "paths": "/"}]}}, "paths"),
        ({"pve_acces": {"readers": [reader("joe")]}}, "keys that mean nothing here: pve_acces"),
        ({"pve_firewall": {"vms": {100: {}}, "cluster": {"rule": []}}}, "firewall_policy.cluster.rule"),
        ({"pve_firewall": {"guests": {100: {"rule": []}}}}, "guests[100]"),
        ({"pve_access": {"readers": [reader("joe", deliver_to="nobody:/token")]}}, "cannot be delivered"),
        (None, "-e policy=FILE"),
    ],
)
def test_what_is_wrong_with_the_policy_is_told_before_anything_is_sent(site: Site, policy: Json, told: str) -> None:
    if policy is None:
        run = site.ansible.playbook("homelab.pve.site", env=site.env)
    else:
        site.write(policy)
        run = site.again()
    assert run.returncode != 0
    assert told in run.output
    assert site.simulator.requests() == []


# -- the firewall ----------------------------------------------------------------------------------------


def test_the_firewall_of_a_policy_file(site: Site) -> None:
    pristine = site.simulator.export()
    site.write({"pve_access": {"readers": [reader("joe")]}, "pve_firewall": FIREWALL})

    # What the guard says of somebody who is not let in stops everything, also what is planned for access.
    refused = site.again(firewall_management_source="192.168.40.77")
    assert refused.returncode == 2
    assert "192.168.40.77 reaches TCP port 8006 of the node ugreen now and would be cut off" in refused.output
    assert site.simulator.export() == pristine

    planned = site.again("--check", "--diff", firewall_management_source="192.168.40.10")
    assert planned.returncode == 0, planned.output
    assert site.simulator.export() == pristine
    done = site.again("--diff", firewall_management_source="192.168.40.10")
    assert done.returncode == 0, done.output
    for key in ("changed", "changes", "places"):
        assert done.result(RULES)[key] == planned.result(RULES)[key]
    assert proved(done) == ["joe@pve!token"], "the proof is made with the firewall as it stays"
    tasks = [task["task"].rpartition(" : ")[2] for task in done.tasks]
    assert tasks.index(RULES) < tasks.index("Apply the policy") < tasks.index(PROOF)
    assert site.simulator.export()["firewall"]["cluster"].count("[key:") == 4

    site.write({"pve_access": None, "pve_firewall": FIREWALL})
    again = site.again(prove="none")
    assert again.returncode == 0, again.output
    assert again.changed == []


# -- delivery ------------------------------------------------------------------------------------------------------


@pytest.fixture
def box(site: Site) -> Path:
    """Another host, in a way: it keeps everything that it is sent in ``seen``."""
    folder = site.home / "box"
    folder.mkdir(mode=0o700)
    python = folder / "python"
    # Ansible calls it with the file of a module, which has the options in it.
    python.write_text(f'#!/bin/sh\n{{ env; echo "$@"; cat "$1"; }} >> {folder}/seen 2>&1\nexec {sys.executable} "$@"\n')
    python.chmod(0o700)
    (site.home / "inventory").write_text(
        "localhost ansible_connection=local\n"
        f"box ansible_connection=local ansible_python_interpreter={python} ansible_remote_tmp={folder}/tmp"
        " ansible_pipelining=false\n"
    )
    return folder


def by_password_in_module_defaults(site: Site) -> Run:
    options = {name.lower().removeprefix("pve_"): value for name, value in site.address.items()}
    return play(site, module_defaults={"group/homelab.pve.all": {**options, "user": ADMIN, "password": ADMIN_PASSWORD}})


def by_environment_of_the_play(site: Site) -> Run:
    return play(site, environment=site.env)


def play(site: Site, **keywords: Any) -> Run:
    plays = [{"hosts": "localhost", "gather_facts": False, "roles": ["homelab.pve.access"], **keywords}]
    return site.ansible.playbook(plays, "-i", "inventory", "-e", "@policy.json")


@pytest.mark.parametrize("connect", [by_password_in_module_defaults, by_environment_of_the_play])
def test_a_delivered_secret_is_proved_from_there_and_nothing_else_goes_there(site: Site, box: Path, connect) -> None:
    place = box / "token"
    # Its owner can only be somebody else where root delivers; what is tested is that it is asked for.
    owner = {"deliver_owner": "root"} if os.geteuid() == 0 else {}
    site.write({"pve_access": {"readers": [reader("joe", deliver_to=f"box:{place}", **owner)]}})
    run = connect(site)
    assert run.returncode == 0, run.output
    assert proved(run, PROOF_THERE) == ["joe@pve!token"]
    assert place.read_text() == (site.home / "joe").read_text()
    assert place.stat().st_mode & 0o777 == 0o600

    seen = (box / "seen").read_text()
    assert "pve_proof" in seen
    assert "joe@pve!token" in seen, "the options of what runs there would be seen"
    for secret in (ROOT_SECRET, ROOT_TOKEN, ADMIN_PASSWORD):
        assert secret not in seen
        assert base64.b64encode(secret.encode()).decode().rstrip("=") not in seen
    assert place.read_text().strip() not in run.output + seen


def test_a_delivery_is_foreseen_and_made_once(site: Site, box: Path) -> None:
    site.write({"pve_access": {"readers": [reader("joe", deliver_to=f"box:{box}/token")]}})
    for arguments, changes in (["--check"], True), ([], True), ([], False), (["--check"], False):
        run = site.again("-i", "inventory", *arguments, prove="none")
        assert run.returncode == 0, run.output
        assert ("Make the file" in " ".join(run.changed)) == changes
        assert bool(run.changed) == changes
        assert (box / "token").exists() == (arguments == [] or not changes)


# -- what newcomers see --------------------------------------------------------------------------------------------


def test_the_demo() -> None:
    env = {**os.environ, "PYTHONPATH": str(TREE)}
    done = subprocess.run(warm.script(DEMO), env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    plan, refused, apply, again, gathered, audited, *life = done.stdout.split("\n== ")[1:]
    for step, done_to_rules, done_to_access in (plan, 18, 18), (apply, 18, 18), (again, "none", "none"):
        assert f"changes of the firewall: {done_to_rules}\n" in step
        assert f"changes: {done_to_access}\n" in step
    assert "Planned" in plan
    assert "\n     labby@pve!phone gains VM.Audit on /vms and below (created)\n" in plan
    assert "Applied" in apply
    assert "would be cut off: cluster rule 3" in refused
    assert "changed=0," in refused
    assert "changed=0," in again
    for step in (apply, again):
        assert len(re.findall("^   Proved: ", step, re.MULTILINE)) == 3
    assert "guests: 2\n   storage: 1\n" in gathered
    (page,) = re.findall(r": (/.*/index\.html)$", gathered, re.MULTILINE)
    assert Path(page).is_file()
    assert re.search("^   Audit: passed ", audited, re.MULTILINE)
    assert audited.count("\n     holds: ") == 4
    (report,) = re.findall(r"report for reviewers: (.*audit\.html)$", audited, re.MULTILINE)
    assert (ROOT / report).read_text().startswith("<!doctype html>")
    rotated, verified, revoked, diagnosed = life
    assert "Renewed: vm100-reader@pam!vm100-token, with vm100-reader@pam!vm100-token-2 standing in\n" in rotated
    assert len(re.findall("^   Verified: ", verified, re.MULTILINE)) == 3
    assert "Proved: PVE refuses the secret of labby@pve!phone\n" in revoked
    assert re.search("^   failed  client login: ", diagnosed, re.MULTILINE)
    assert "There is no token labby@pve!phone." in diagnosed
    # The likely cause is the one that is told in the end.
    assert "\n   The token does not exist." in diagnosed


class Page:
    """A page of the documentation: its files are written, and its commands can be given."""

    def __init__(self, site: Site, name: str) -> None:
        self.site = site
        self.text = (ROOT / "docs" / name).read_text()
        for file, content in re.findall(r"```yaml\n# (\S+)\n(.*?)```", self.text, re.DOTALL):
            (site.home / file).write_text(content)
        self.commands = re.findall(r"^\$ (.*)$", self.text, re.MULTILINE)
        self.shown = re.findall(r"```text\n(.*?)```", self.text, re.DOTALL)

    def give(self, command: str) -> str:
        done = self.site.ansible.run(*command.split(), env=self.site.env)
        # What is refused is shown with an address that is not let in.
        assert bool(done.returncode) == ("management_source" in command), done.stdout + done.stderr
        return done.stdout


def test_the_guide(site: Site) -> None:
    """Its commands, one after the other, with its policy."""
    page = Page(site, "site.md")
    assert len(page.commands) == 5
    outputs = [page.give(command) for command in page.commands]
    assert [line for line in page.shown[0].splitlines() if line not in outputs[1]] == []
    assert all("changed=0" in output for output in outputs[2:])


def test_the_guide_to_the_firewall(site: Site) -> None:
    """Its commands, one after the other, with its policy, where there is the line that was written by hand."""
    page = Page(site, "firewall.md")
    by_hand, refusal, summary = page.shown
    site.simulator.load({"firewall": {"cluster": f"[RULES]\n\n{by_hand}\n"}})
    assert len(page.commands) == 4
    outputs = [page.give(command) for command in page.commands]
    assert refusal.strip() in outputs[0]
    assert [line for line in summary.splitlines() if line not in outputs[2]] == []
    assert "changed=0" in outputs[3]
    assert site.simulator.export()["firewall"]["cluster"].count("192.168.40.82") == 1


def test_the_readme(site: Site) -> None:
    """Its commands, from the plan to the inventory; the first two as a user starts them, with nothing loaded yet."""
    site.ansible.plainly = True
    text = (ROOT / "README.md").read_text()
    (policy,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (site.home / "policy.yml").write_text(policy)
    (inventory,) = re.findall(r"^\$ echo '(.*)' > lab.pve.yml$", text, re.MULTILINE)
    (site.home / "lab.pve.yml").write_text(inventory)
    commands = re.findall(r"^\$ (ansible-(?:playbook|inventory) .*)$", text, re.MULTILINE)
    # The first token is made over SSH, see test_bootstrap.py.
    plan, apply, audit, unused, verify, rotate, doctor, revoke, gather, graph = commands
    for command, told in (
        (plan, "Planned changes"),
        (apply, "Proved: vm100-reader@pam!vm100-token"),
        (verify, "Verified: labby@pve!phone"),
        (rotate, "Not due: labby@pve!phone"),
        (doctor, "holds all that labby needs"),
        (revoke, "Revoked: token labby@pve!phone"),
        (gather, "pve-facts/index.html"),
        (graph, "|--vm100"),
    ):
        done = site.ansible.run(*shlex.split(command), env=site.env)
        assert done.returncode == 0, done.stdout + done.stderr
        assert told in done.stdout
        site.ansible.plainly = command == plan
    done = site.ansible.run(*audit.split(), env=site.env)
    assert done.returncode != 0
    told = re.findall(r"^ +\"  error (\w+): ", done.stdout, re.MULTILINE)
    # The first of them is the token that was revoked, and that the policy still declares.
    assert sorted(told) == ["drift_missing", "firewall_off", "root_tokens"], done.stdout
    assert (site.home / "audit" / "audit.html").is_file()
