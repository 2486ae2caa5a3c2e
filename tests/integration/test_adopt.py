"""A cluster becomes a policy file: applied it changes nothing, audited it differs in nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.pve.plugins.module_utils.access.task import AccessTask
from ansible_collections.homelab.pve.plugins.module_utils.adopt.adopt import adopt
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.firewall.task import FirewallTask
from ansible_collections.homelab.pve.plugins.module_utils.policy.audit import audit
from ansible_collections.homelab.pve.plugins.module_utils.policy.catalogue import ASSERTION, DRIFT, RULES
from ansible_collections.homelab.pve.plugins.module_utils.policy.document import Policy
from ansible_collections.homelab.pve.plugins.module_utils.policy.observe import survey
from ansible_collections.homelab.pve.plugins.module_utils.policy.sources import Recorder
from ansible_collections.homelab.pve.plugins.module_utils.policy_file import whole_policy
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import reconcile
from ansible_collections.homelab.pve.tests.integration.conftest import Ansible, Run, connection
from ansible_collections.homelab.pve.tests.integration.infos import everything
from ansible_collections.homelab.pve.tests.pvesh import transport
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, Simulator
from ansible_collections.homelab.pve.tests.unit.access.strategies import states
from ansible_collections.homelab.pve.tests.unit.adopt.clusters import access, ruleset
from ansible_collections.homelab.pve.tests.unit.firewall.strategies import NODE, lists, rulesets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
TELL = "Tell what was adopted"


# -- random clusters --------------------------------------------------------------------------------------------------


def from_document(document: Json) -> Policy:
    """Read a policy as the modules do, after a way through JSON as it is between Ansible and them."""
    return whole_policy(json.loads(json.dumps(document)))


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(state=states(), cluster=rulesets(), node=lists(), guest=lists(), exclusive=st.booleans())
def test_adopt_apply_audit(running_simulator: Simulator, state, cluster, node, guest, exclusive: bool) -> None:
    running_simulator.reset()
    places = {
        "cluster": ruleset(cluster),
        "nodes": {NODE.id: {"rules": [rule.to_api() for rule in node]}},
        "guests": {"100": {"options": {"enable": 1}, "rules": [rule.to_api() for rule in guest]}},
    }
    running_simulator.load({**access(state), "firewall": places})
    before = running_simulator.export()
    options = connection(running_simulator)
    now = 1_800_000_000.0
    with Client(ConnectionOptions.from_params(options, {})) as client:
        observed = survey(Recorder(client.read_only()), now)
        found = adopt(observed, exclusive=exclusive)
        policy = from_document(found.document)
        assert policy.access is not None
        assert policy.firewall is not None
        for task in (FirewallTask(client, policy.firewall), AccessTask(client, policy.access, now)):
            assert reconcile(task.observe, task.plan, task.perform, dry_run=False).changes == ()
        judged = audit(Recorder(client.read_only()), policy, now, guests=True)
        borne = adopt(observed, exclusive=exclusive, borne=judged.findings, until="2099-12-31")
        quiet = audit(Recorder(client.read_only()), from_document(borne.document), now, guests=True)
    assert running_simulator.export() == before
    assert [one for one in judged.findings if RULES[one.rule].family in (ASSERTION, DRIFT)] == []
    assert quiet.findings == ()
    assert len(quiet.excepted) == len(judged.findings)
    assert yaml.safe_load(borne.text) == borne.document


# -- the playbook and the modules -------------------------------------------------------------------------------------


class Cluster:
    """The playbooks, as somebody at a shell runs them, against a cluster in which there is something of every kind."""

    def __init__(self, ansible: Ansible, simulator: Simulator) -> None:
        self.ansible = ansible
        self.home = ansible.home
        self.simulator = simulator
        self.env = transport.environment(simulator)

    def play(self, name: str, *arguments: str, policy: str = "policy.yml", **variables: Any) -> Run:
        told = {"policy": policy, **variables}
        return self.ansible.playbook(f"homelab.pve.{name}", *arguments, variables=told, env=self.env)


# A comment is anybody's: a template in it would run on the machine that reads the policy.
NASTY = "{{ lookup('ansible.builtin.pipe', 'touch adopted') }}"


@pytest.fixture
def cluster(ansible: Ansible, simulator: Simulator) -> Cluster:
    everything(simulator)
    state = simulator.export()
    for kind in ("users", "groups", "tokens"):
        state[kind][-1]["comment"] = NASTY
    rule = {"type": "in", "action": "ACCEPT", "source": "+office", "enable": 1, "comment": NASTY}
    places = {
        "options": {"enable": 0},
        "ipsets": [{"name": "office", "entries": [{"cidr": "10.0.0.0/24", "comment": NASTY}], "comment": NASTY}],
        "rules": [rule, {"type": "out", "action": "DROP", "dest": "10.0.0.1", "comment": "Last [key:last]"}],
    }
    simulator.load({**state, "firewall": {"cluster": places, "nodes": {"ugreen": {"options": {"ndp": 0}}}}})
    return Cluster(ansible, simulator)


def test_from_a_cluster_to_a_policy_that_changes_nothing(cluster: Cluster) -> None:
    before = cluster.simulator.export()
    run = cluster.play("adopt")
    assert run.returncode == 0, run.output
    assert "Applying it changes nothing." in run.result(TELL)["msg"]
    text = (cluster.home / "policy.yml").read_text()
    assert "joe@pve!ci" in text
    assert ROOT_SECRET not in text

    applied = cluster.play("site")
    assert applied.returncode == 0, applied.output
    assert applied.changed == []
    assert cluster.simulator.export() == before
    assert not (cluster.home / "adopted").exists()

    again = cluster.play("adopt")
    assert again.returncode != 0
    assert "overwrite=true" in again.output
    # The same again, and in check mode.
    dry = cluster.play("adopt", "--check", overwrite=True)
    assert dry.returncode == 0, dry.output
    assert dry.changed == []


def test_what_comes_up_later_is_taken_away(cluster: Cluster) -> None:
    file = str(cluster.home / "policy.yml")
    failed = cluster.ansible.module("pve_export", {**connection(cluster.simulator), "except_until": "tomorrow"})
    assert "'tomorrow' is no day" in failed["msg"]
    dry = cluster.ansible.module("pve_export", {**connection(cluster.simulator), "dest": file}, check=True)
    assert dry["written"] == [file]
    assert not Path(file).exists()
    assert cluster.ansible.module("pve_export", {**connection(cluster.simulator), "dest": file})["changed"]
    assert not cluster.ansible.module("pve_export", {**connection(cluster.simulator), "dest": file})["changed"]
    before = cluster.simulator.export()
    with Client(ConnectionOptions.from_params(connection(cluster.simulator), {})) as client:
        entry = {"path": "/", "users": "joe@pve", "roles": "Administrator"}
        client.send("PUT", "/access/acl", entry)
        client.send("POST", "/access/users", {"userid": "eve@pve", "groups": "ops"})
        client.send("POST", "/cluster/firewall/rules", {"type": "in", "action": "ACCEPT", "enable": 1})
        client.send("PUT", "/cluster/firewall/options", {"policy_in": "ACCEPT"})
    run = cluster.play("site")
    assert run.returncode == 0, run.output
    assert cluster.simulator.export() == before


def test_a_snapshot_gives_the_same_policy(cluster: Cluster) -> None:
    file = cluster.home / "snapshot.json"
    options = {**connection(cluster.simulator), "dest": str(file)}
    dry = cluster.ansible.module("pve_snapshot", options, check=True)
    assert dry["changed"]
    assert not file.exists()
    made = cluster.ansible.module("pve_snapshot", options)
    assert made["written"] == [str(file)]
    assert made["incomplete"] == []
    assert file.stat().st_mode & 0o777 == 0o600
    assert ROOT_SECRET not in file.read_text()
    assert not cluster.ansible.module("pve_snapshot", options)["changed"]

    until = {"except_until": "2099-12-31"}
    live = cluster.ansible.module("pve_export", {**connection(cluster.simulator), **until})
    cluster.simulator.clear_requests()
    stored = cluster.ansible.module("pve_export", {"snapshot": str(file), **until})
    assert cluster.simulator.requests() == []
    assert stored["text"] == live["text"]
    assert stored["policy"] == live["policy"]

    assert live["policy"]["pve_exceptions"]
    run = cluster.play("adopt", snapshot=str(file), **until)
    assert run.returncode == 0, run.output
    assert (cluster.home / "policy.yml").read_text() == live["text"]


def test_a_policy_file_has_to_be_named(cluster: Cluster) -> None:
    run = cluster.ansible.playbook("homelab.pve.adopt", env=cluster.env)
    assert run.returncode != 0
    assert "-e policy=FILE" in run.output
