"""The module that finds out what is wrong, and its playbook, as Ansible runs them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.pve.tests.integration.conftest import Ansible
from ansible_collections.homelab.pve.tests.pvesh.standin import Standin
from ansible_collections.homelab.pve.tests.simulator import Simulator
from ansible_collections.homelab.pve.tests.unit.doctor.worlds import SECRET, TOKEN, Cluster

Json = dict[str, Any]
READER = ("/", "PVEAuditor", "both")


@pytest.fixture
def cluster(simulator: Simulator) -> Cluster:
    return Cluster(simulator).reader(READER)


def test_the_module_fails_for_what_it_finds(cluster: Cluster, ansible: Ansible) -> None:
    """A colon and the secret behind the id: hidden, and a diagnosis."""
    told = cluster.options(token_id=f"{TOKEN}:{SECRET}", token_secret=None, path="/vms/100")
    result = ansible.module("pve_doctor", told, check=True)
    assert result["failed"]
    assert not result["changed"]
    assert result["diagnoses"] == ["separator_wrong"]
    assert result["msg"].startswith("Token id and secret are joined")
    assert SECRET not in json.dumps(result)
    assert not ansible.module("pve_doctor", {**told, "fail": False}).get("failed")


def test_the_module_as_its_examples_show_it(cluster: Cluster, ansible: Ansible, documentation: dict[str, Json]) -> None:
    """The first of them; the other runs on a node, and so do its tests."""
    (ansible.home / ".proxmox-api-token").touch(mode=0o600)
    (ansible.home / ".proxmox-api-token").write_text(SECRET + "\n")
    first, second = yaml.safe_load(documentation["pve_doctor"]["examples"])
    shown = {**first["homelab.pve.pve_doctor"], "token_id": TOKEN}
    here = cluster.options(token_id=None, token_secret=None)
    result = ansible.module("pve_doctor", {**shown, **here})
    assert result["healthy"], result["msg"]
    assert set(result) >= {"changed", "checks", "diagnoses", "lines", "summary", "identity", "release", "fingerprint"}
    returned = documentation["pve_doctor"]["return"].keys()
    assert result.keys() - {"changed", "diff", "invocation"} <= returned
    # On a node, it takes no credentials.
    assert second["homelab.pve.pve_doctor"]["side"] == "host"
    (ansible.home / "secret").touch()
    both = ansible.module("pve_doctor", {"checks": result["checks"]})
    assert both["healthy"]


def test_the_playbook_finds_nothing(cluster: Cluster, ansible: Ansible) -> None:
    variables = {f"pve_{name}": value for name, value in cluster.options().items()}
    run = ansible.playbook("homelab.pve.doctor", variables={**variables, "application": "labby"})
    assert not run.returncode, run.output
    assert SECRET not in run.output
    assert not run.changed
    lines = run.result("Say what was looked at")["msg"]
    assert lines[-1] == f"passed  client application: {TOKEN} holds all that labby needs."


def test_the_playbook_looks_from_both_sides(cluster: Cluster, ansible: Ansible) -> None:
    """The consumer is one host of the inventory, and the node another, which gets none of his credentials."""
    cluster.reader(("/", "PVEAuditor", "token"))
    inventory = ansible.home / "inventory.ini"
    inventory.write_text("container ansible_connection=local\nugreen ansible_connection=local ansible_become=false\n")
    told = {f"PVE_{name.upper()}": str(value) for name, value in cluster.options().items()}
    with Standin(cluster.simulator) as pvesh:
        run = ansible.playbook(
            "homelab.pve.doctor",
            *("-i", str(inventory), "-e", "client=container", "-e", "node=ugreen"),
            *("-e", "told='Access forbidden'"),
            env={**told, "PATH": f"{pvesh.folder}:{ansible.env['PATH']}"},
        )
    assert run.returncode == 2
    assert SECRET not in run.output
    found = run.result("Put both sides together")
    assert {check["side"] for check in found["checks"]} == {"client", "host"}
    # The one names the cause, the other what it leads to. Nothing of PVE's own services is on this machine.
    ours = [one for one in found["diagnoses"] if one not in ("api_down", "daemon_down", "listens_elsewhere")]
    assert ours == ["user_without_acl", "no_rights"]
    assert run.result("Say what is wrong")["msg"] == found["summary"]
    means = [one["diagnosis"] for one in run.result("Say what can be behind what one was told")["msg"]]
    assert means[:2] == ["token_without_acl", "user_without_acl"]
