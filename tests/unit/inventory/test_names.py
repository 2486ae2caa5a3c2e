"""Names of hosts: no two alike, safe, and the same in every run."""

from __future__ import annotations

import random
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.facts.model import Guest
from ansible_collections.homelab.pve.plugins.module_utils.facts.names import RESERVED, host_names, safe_name
from hypothesis import given
from hypothesis import strategies as st


def guest(vmid: int, name: str | None, kind: str = "qemu", node: str = "one") -> Guest:
    return Guest.from_api({"vmid": vmid, "type": kind, "node": node, "name": name, "status": "running"})


def named(*guests: tuple[Any, ...], nodes: tuple[str, ...] = ("one",), known: dict[int, str] | None = None) -> Any:
    return host_names([guest(*each) for each in guests], nodes, known or {})


def test_a_name_of_its_own_stays() -> None:
    assert named((100, "web"), (101, "db.example.org")) == {100: "web", 101: "db.example.org"}


def test_all_who_share_a_name_get_their_numbers() -> None:
    assert named((100, "web"), (101, "Web"), (102, "db")) == {100: "web-100", 101: "Web-101", 102: "db"}


def test_a_node_keeps_its_name() -> None:
    assert named((100, "ONE"), (101, "two")) == {100: "ONE-100", 101: "two"}


def test_a_computed_name_that_somebody_has_already() -> None:
    found = named((100, "web"), (101, "web"), (205, "web-101"))
    assert found == {100: "web-100", 101: "web-101", 205: "web-101-205"}
    assert named((100, "web"), (101, "web"), nodes=("web-101",)) == {100: "web-100", 101: "web-101-101"}


def test_without_a_name_the_number_is_one() -> None:
    assert named((100, None), (101, None, "lxc"), (102, ""), (103, "..")) == {
        100: "vm-100",
        101: "ct-101",
        102: "vm-102",
        103: "vm-103",
    }


def test_the_last_known_name_counts() -> None:
    assert named((100, None), (101, "web"), known={100: "web"}) == {100: "web-100", 101: "web-101"}
    assert named((100, "new"), known={100: "old"}) == {100: "new"}


def test_a_nameless_guest_renames_nobody() -> None:
    assert named((100, None), (205, "vm-100")) == {100: "vm-100-100", 205: "vm-100"}


@pytest.mark.parametrize("name", RESERVED)
def test_names_that_mean_something_to_ansible(name: str) -> None:
    assert named((100, name)) == {100: f"{name}-100"}


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("VM 100", "VM-100"),
        ("-web-", "web"),
        ("a,b:c[1:3]", "a-b-c-1-3"),
        ("../../etc", "etc"),
        ("{{ lookup('pipe', 'id') }}", "lookup-pipe-id"),
        ("käse", "k-se"),
        ("line\nbreak", "line-break"),
        ("", ""),
    ],
)
def test_odd_names_are_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


NAMES = st.one_of(st.none(), st.sampled_from(["web", "Web", "web-1", "web-2", "web-1-1", "one", "vm-1", "VM-2", "a b"]))


@given(st.lists(NAMES, max_size=8), st.randoms(use_true_random=False))
def test_names_are_unique_whatever_the_order(names: list[str | None], chance: random.Random) -> None:
    guests = [guest(vmid, name) for vmid, name in enumerate(names, 1)]
    found = host_names(guests, ["one", "web-2"], {})
    taken = [name.casefold() for name in found.values()] + ["one", "web-2"]
    assert len(set(taken)) == len(taken)
    chance.shuffle(guests)
    assert host_names(guests, ["one", "web-2"], {}) == found


@given(st.lists(NAMES, max_size=8))
def test_a_node_that_goes_down_renames_nobody_else(names: list[str | None]) -> None:
    """With the names of the last run, the guests of a node that is down are called what they were."""
    guests = [guest(vmid, name) for vmid, name in enumerate(names, 1)]
    before = host_names(guests, ["one"], {})
    known = {each.vmid: each.name for each in guests if each.name}
    silent = [guest(each.vmid, None) if each.vmid % 2 else each for each in guests]
    assert host_names(silent, ["one"], known) == before
