"""The page about the doctor has every diagnosis, and each of them is one that a test comes to."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.homelab.pve.plugins.module_utils.doctor.report import DIAGNOSES, meant_by

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "doctor.md").read_text()
TESTS = [*sorted(Path(__file__).parent.glob("test_*.py")), ROOT / "tests" / "packets" / "test_doctor.py"]


def test_the_page_has_every_diagnosis() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \|$", PAGE.partition("## All diagnoses")[2], re.MULTILINE)
    assert {name: cause for name, cause, unused in rows} == dict(DIAGNOSES)
    assert [name for name, *unused in rows] == list(DIAGNOSES)
    assert all(re.match(r"(client|host|both)\b", side) for *unused, side in rows)


def test_what_consumers_say_leads_to_diagnoses() -> None:
    table = PAGE.partition("## What consumers say")[2].partition("## ")[0]
    rows = re.findall(r"^\| (.*) \| (.*) \|$", table, re.MULTILINE)
    named = {name for unused, said in rows for name in re.findall(r"`([a-z]+_[a-z_]+)`", said)}
    assert named <= DIAGNOSES.keys()
    for said, ids in rows:
        for text in said.replace("`", "").split("; "):
            found = meant_by(text)
            assert not found or set(found) & set(re.findall(r"`(\w+)`", ids)), text


def test_every_diagnosis_is_one_that_a_test_comes_to() -> None:
    texts = "".join(file.read_text() for file in TESTS if file != Path(__file__))
    assert not [name for name in DIAGNOSES if f'"{name}"' not in texts]
