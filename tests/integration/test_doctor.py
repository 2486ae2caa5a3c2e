"""The module that finds out what is wrong, and its playbook, as Ansible runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.pve.tests.integration.conftest import Ansible
from ansible_collections.homelab.pve.tests.simulator import Simulator
from ansible_collections.homelab.pve.tests.unit.doctor.worlds import SECRET, TOKEN, Cluster, closed_port

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


def test_the_playbook_says_the_likely_cause_of_both_sides(cluster: Cluster, ansible: Ansible, tmp_path: Path) -> None:
    """The consumer finds no open port; on the node, which is this machine here, nothing of PVE runs."""
    environment = {
        "PVE_HOST": "127.0.0.1",
        "PVE_PORT": str(closed_port()),
        "PVE_TOKEN_ID": TOKEN,
        "PVE_TOKEN_SECRET": SECRET,
    }
    become = {"ansible_become": False, "message": "Cannot connect to server"}
    run = ansible.playbook("homelab.pve.doctor", variables={"node": "localhost", **become}, env=environment)
    assert run.returncode == 2
    assert SECRET not in run.output
    assert {check["side"] for check in run.result("Put both sides together")["checks"]} == {"client", "host"}
    found = run.result("Put both sides together")["diagnoses"]
    assert found[0] in ("api_down", "listens_elsewhere")
    assert "port_refused" in found
    means = [one["diagnosis"] for one in run.result("Say what a message can mean")["msg"]]
    assert "port_filtered" in means
