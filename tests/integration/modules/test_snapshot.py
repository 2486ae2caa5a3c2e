"""The modules that keep a cluster in a file, as a snapshot or as a policy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from ansible_collections.homelab.pve.tests.integration.modules.world import SECRET, Json, Module, succeeded
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, Simulator

MODULES = ("pve_snapshot", "pve_export")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.mark.parametrize("name", MODULES)
def test_a_file_is_written_once(world: Simulator, run: Module, file: Path, name: str) -> None:
    before = world.export()
    dry = succeeded(run(name, {"dest": str(file)}, check=True))
    assert dry["written"] == [str(file)]
    assert not file.exists()
    done = succeeded(run(name, {"dest": str(file)}))
    assert done["changed"]
    text = file.read_text()
    for secret in (SECRET, ROOT_SECRET, "joes-password"):
        assert secret not in text
    again = succeeded(run(name, {"dest": str(file)}))
    assert not again["changed"]
    assert again["written"] == []
    assert file.read_text() == text
    assert {request["method"] for request in world.requests()} == {"GET"}
    assert world.export() == before


def test_a_file_that_is_there_keeps_its_mode(run: Module, file: Path) -> None:
    file.write_text("no snapshot")
    file.chmod(0o640)
    assert succeeded(run("pve_snapshot", {"dest": str(file)}))["changed"]
    assert json.loads(file.read_text())["format"] == "homelab.pve snapshot"
    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", MODULES)
def test_a_place_that_is_none_is_refused(run: Module, file: Path, name: str) -> None:
    file.mkdir()
    assert "it is a folder" in run(name, {"dest": str(file)})["msg"]


def test_what_a_snapshot_does_not_hold_is_told(run: Module, file: Path) -> None:
    poor = {"token_id": "ann@pve!ci", "token_secret": SECRET}
    made = succeeded(run("pve_snapshot", {"dest": str(file), **poor}))
    assert {gap["what"] for gap in made["incomplete"]} >= {"users and tokens", "the datacenter's firewall"}
    found = succeeded(run("pve_export", {"snapshot": str(file)}))
    assert "pve_firewall" not in found["policy"]
    assert any("the datacenter's firewall: not seen" in note for note in found["notes"])


@pytest.mark.parametrize(("text", "told"), [("{", "no JSON"), ("{}", "This is no snapshot"), (None, "cannot be read")])
def test_what_is_no_snapshot_is_refused(run: Module, file: Path, text: str | None, told: str) -> None:
    if text is not None:
        file.write_text(text)
    assert told in run("pve_export", {"snapshot": str(file)})["msg"]


@pytest.mark.parametrize("name", MODULES)
def test_the_documentation_is_true(run: Module, documentation: dict[str, Json], file: Path, name: str) -> None:
    (task,) = yaml.safe_load(documentation[name]["examples"])
    told = task[f"homelab.pve.{name}"]
    own = {key: value for key, value in told.items() if key not in ("host", "ca_path", "token_id", "token_file")}
    result = succeeded(run(name, {**own, "dest": str(file)}))
    # Ansible adds what it knows of a file that is named in a result.
    assert result.keys() >= documentation[name]["return"].keys()
    assert documentation[name]["doc"]["attributes"]["check_mode"]["support"] == "full"
