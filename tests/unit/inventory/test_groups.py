"""Groups of guests, what is missing in few words, and expressions that are worked out once."""

from __future__ import annotations

from typing import Any

import jinja2
import pytest
from ansible_collections.homelab.pve.plugins.module_utils.facts.ask import FAILED, OFFLINE, Missing
from ansible_collections.homelab.pve.plugins.module_utils.facts.groups import KINDS, Groups
from ansible_collections.homelab.pve.plugins.module_utils.facts.lacks import aggregated, sentence
from ansible_collections.homelab.pve.plugins.plugin_utils.expressions import Memory, parsed


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


@pytest.mark.parametrize(
    ("text", "names", "steady"),
    [
        ("pve_status == 'running'", ("pve_status",), True),
        ("'a' if pve_x else pve_y", ("pve_x", "pve_y"), True),
        ("pve_name.startswith('x')", ("pve_name",), True),
        ("pve_tags | map('upper') | list", ("pve_tags",), True),
        ("100 | random", (), False),
        ("lookup('env', pve_name)", ("lookup", "pve_name"), False),
        ("now()", ("now",), False),
        ("pve_name | community.crypto.something", ("pve_name",), False),
        ("pve_address | password_hash", ("pve_address",), False),
    ],
)
def test_what_an_expression_speaks_of(text: str, names: tuple[str, ...], steady: bool) -> None:
    found = parsed(text)
    assert (found.names, found.steady) == (names, steady)


@pytest.mark.parametrize("text", ["a ==", "a b", "{{ a }}", ""])
def test_what_is_no_expression(text: str) -> None:
    with pytest.raises(jinja2.TemplateSyntaxError):
        parsed(text)


@pytest.mark.parametrize(
    ("text", "hosts", "times"),
    [
        ("a + 1", [{"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 3}], 2),
        ("b", [{"a": 1, "b": 1}, {"a": 1, "b": 2}], 2),
        ("a | random", [{"a": 1}, {"a": 1}], 2),
        ("a", [{}, {"a": None}], 2),
        ("a", [{"a": "{{ b }}"}, {"a": "{{ b }}"}], 2),
        ("a", [{"a": ["x"]}, {"a": ["x"]}], 1),
        ("a", [{"a": True}, {"a": 1}], 2),
        ("a b", [{}, {}], 2),
        (["a"], [{}, {}], 2),
    ],
)
def test_hosts_that_are_alike_are_worked_out_once(text: Any, hosts: list[dict[str, Any]], times: int) -> None:
    memory, done = Memory(), []
    for variables in hosts:
        memory.recall("x", text, variables, lambda: done.append(1))
    assert len(done) == times
