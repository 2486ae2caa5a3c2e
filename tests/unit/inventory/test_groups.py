"""Groups of guests, and what is missing in few words."""

from __future__ import annotations

from ansible_collections.homelab.pve.plugins.module_utils.facts.ask import FAILED, OFFLINE, Missing
from ansible_collections.homelab.pve.plugins.module_utils.facts.groups import KINDS, Groups
from ansible_collections.homelab.pve.plugins.module_utils.facts.lacks import aggregated, sentence


def safe(name: str) -> str:
    return "".join(sign if sign.isalnum() else "_" for sign in name)


def test_nested_pools_are_lines_of_groups() -> None:
    facts = {"node": "n-1", "pools": ["a", "a/b"], "tags": ["x", "y"], "status": None, "type": "lxc", "hastate": ""}
    assert list(Groups(list(KINDS), "", safe).of(facts)) == [
        ("node_n_1",),
        ("pool_a", "pool_a_b"),
        ("tag_x",),
        ("tag_y",),
        ("type_lxc",),
    ]


def test_a_group_that_stands_for_two_things_is_known() -> None:
    groups = Groups(["tag"], "pve_", safe)
    assert list(groups.of({"tags": ["a-b", "a_b"]})) == [("pve_tag_a_b",), ("pve_tag_a_b",)]
    assert groups.shared == {"pve_tag_a_b": ["tag a-b", "tag a_b"]}


def test_many_guests_with_one_fate_are_one_line() -> None:
    missing = [Missing("guest_addresses", FAILED, f"no agent in {vmid}", "n", vmid) for vmid in range(100, 10_100)]
    missing += [Missing("guests", OFFLINE, f"{node} is offline", node) for node in ("a", "b")]
    rows = aggregated(missing)
    assert [(row["subset"], row["count"], row["guests"]) for row in rows] == [
        ("guest_addresses", 10_000, 10_000),
        ("guests", 2, 0),
    ]
    assert rows[0]["vmids"] == [100, 101, 102, 103, 104]
    assert sentence(rows[0]).endswith("The same or the like 10000 times, guests 100, 101, 102, 103, 104 and 9995 more.")
    assert sentence(rows[1]).endswith("a is offline The same or the like 2 times, nodes a, b.")
