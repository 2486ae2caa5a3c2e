"""The gate: every recorded answer of the themes that the simulator has reached, and the project's own scenarios."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.homelab.pve.tests.contract.compare import canonical, differences
from ansible_collections.homelab.pve.tests.contract.replay import (
    PERMISSIONS,
    REACH,
    Count,
    UnusableFolder,
    check_permissions,
    check_reach,
    default_folder,
    replay,
    scenarios,
)

OWN = Path(__file__).parent / "scenarios"
THEMES = ("access", "facts", "firewall")


def recordings() -> Path:
    folder = default_folder()
    if not folder.is_dir():
        pytest.skip("contract: SKIPPED (no recordings here)")
    return folder


def assert_all_match(count: Count) -> None:
    assert count.total, "nothing was replayed"
    assert count.matching == count.total, "\n".join(count.found[:20])


@pytest.mark.parametrize("theme", THEMES)
def test_recorded_scenarios(theme: str) -> None:
    for count in replay(scenarios(recordings(), f"{theme}-*")).values():
        assert_all_match(count)


def test_recorded_permissions() -> None:
    assert_all_match(check_permissions(recordings() / PERMISSIONS))


def test_recorded_reach() -> None:
    count = check_reach(recordings() / REACH)
    assert count.total, "nothing was asked"
    assert not count.wrong, "\n".join(count.wrong[:20])


@pytest.mark.parametrize("file", scenarios(OWN), ids=lambda file: file.stem)
def test_own_scenarios(file: Path) -> None:
    for count in replay([file]).values():
        assert_all_match(count)


def test_a_wrong_answer_is_noticed(tmp_path: Path) -> None:
    """A replayer that cannot fail proves nothing."""
    step = '{"method": "GET", "path": "/version", "response": {"status": 200, "reason": "OK", "body": {"data": {}}}}'
    file = tmp_path / "wrong-version.json"
    file.write_text('{"scenario": "wrong", "steps": [' + step + "]}")
    count = replay([file])["wrong"]
    assert (count.matching, count.total) == (0, 1)
    assert any("body.data.version: not expected" in line for line in count.found)


@pytest.mark.parametrize("folder", ["", "not-there"])
def test_nothing_to_replay_is_an_error(tmp_path: Path, folder: str) -> None:
    with pytest.raises(UnusableFolder):
        scenarios(tmp_path / folder)


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        (1, "1", True),
        (1, True, False),
        ([1, 2], ["2", "1"], True),
        ([1, 1], [1], False),
        (None, {}, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ("0b1f0000-0000-4000-8000-000000000000", "ffffffff-0000-4000-8000-000000000000", True),
        ("died at /a/b.pm line 3.", "died at /c.pm line 77.", True),
        ("text\n", "text", False),
    ],
)
def test_comparison(expected: object, actual: object, same: bool) -> None:
    assert (not differences(canonical(expected), canonical(actual), "body")) is same


def test_ignored_keys_must_be_there() -> None:
    assert not differences(canonical({"a": 1}, ["a"]), canonical({"a": 2}, ["a"]), "body")
    assert differences(canonical({"a": 1}, ["a"]), canonical({}, ["a"]), "body")
