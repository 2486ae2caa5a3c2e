"""The module as Ansible runs it: options in, JSON out, nothing changed and no secret shown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("ansible")

from ansible_collections.homelab.pve.tests.unit.proof.cluster import SECRET, Cluster

MODULE = "ansible_collections.homelab.pve.plugins.modules.pve_proof"
ROOT = next(path for path in Path(__file__).parents if (path / "galaxy.yml").exists())


def run(cluster: Cluster, *, check_mode: bool = False, **options: Any) -> dict[str, Any]:
    """Run the module in a process of its own and return what it printed."""
    arguments = {
        **cluster.params(),
        **options,
        "_ansible_check_mode": check_mode,
        "_ansible_remote_tmp": str(cluster.secret_file.parent),
    }
    before = cluster.simulator.export()
    done = subprocess.run(
        [sys.executable, "-m", MODULE],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT / ".nox" / "tree"), "PATH": "/usr/bin:/bin"},
    )
    assert cluster.simulator.export() == before
    assert SECRET not in done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    result["rc"] = done.returncode
    return result


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_good_reader_is_proved_in_check_mode_and_without(cluster: Cluster, check_mode: bool) -> None:
    cluster.grant("/vms/100", "PVEAuditor")
    result = run(cluster, path="//vms/100/", role="PVEAuditor", check_mode=check_mode)
    assert (result["rc"], result["proved"], result["changed"], result["findings"]) == (0, True, False, [])
    assert (result["path"], result["tokenid"]) == ("/vms/100", "reader@pve!token")
    assert "VM.Audit" in result["privileges"]
    assert result["requests"] == 90
    assert result["counts"]["refused"] == result["counts"]["writes"] == 52


def test_a_bad_reader_fails_the_task_with_all_findings(cluster: Cluster) -> None:
    cluster.grant("/vms/100", "PVEAdmin")
    result = run(cluster, path="/vms/100", privileges=["VM.Audit"])
    assert (result["rc"], result["failed"], result["proved"], result["changed"]) == (1, True, False, False)
    assert "reader@pve!token is not proved on /vms/100" in result["msg"]
    assert "VM.PowerMgmt" in result["msg"]
    assert {finding["check"] for finding in result["findings"]} >= {"permissions", "read", "list", "write"}
    assert all(set(f) == {"check", "severity", "subject", "expected", "found", "hint"} for f in result["findings"])


def test_a_secret_that_does_not_work_fails_the_task_with_the_likely_causes(cluster: Cluster) -> None:
    cluster.secret_file.write_text("99999999-1111-4222-8333-abcdefabcdef\n")
    result = run(cluster, path="/vms/100", role="PVEAuditor")
    assert (result["rc"], result["proved"]) == (1, False)
    assert "401" in result["msg"]
    assert [finding["check"] for finding in result["findings"]] == ["login"]


def test_a_secret_file_that_others_can_read_is_refused_before_anything_is_sent(cluster: Cluster) -> None:
    cluster.secret_file.chmod(0o644)
    result = run(cluster, path="/", role="PVEAuditor")
    assert "chmod" in result["msg"]
    assert cluster.simulator.requests() == []


@pytest.mark.parametrize("options", [{}, {"role": "PVEAuditor", "privileges": ["VM.Audit"]}])
def test_role_or_privileges_have_to_be_given_and_not_both(cluster: Cluster, options: dict[str, Any]) -> None:
    assert run(cluster, path="/", **options)["failed"]
