"""Expressions of inventories, worked out once for all hosts that are alike."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("jinja2", reason="it comes with Ansible, on the controller")

import jinja2
from ansible_collections.homelab.pve.plugins.plugin_utils.expressions import Memory, parsed


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
