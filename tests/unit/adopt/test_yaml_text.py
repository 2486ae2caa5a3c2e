"""Whatever is written comes back as it was, whoever reads it as YAML."""

from __future__ import annotations

import pytest

pytest.importorskip("yaml")

import yaml
from ansible_collections.homelab.pve.plugins.module_utils.adopt.yaml_text import WIDTH, to_yaml
from ansible_collections.homelab.pve.tests.unit.examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

# What YAML 1.1 and 1.2 take for something else, and what ends a line or begins a comment.
WORDS = """
    yes No ON off y n Y true False null ~ 0x1f 0o17 017 1_000 1e3 .5 .inf -.INF .nan 12:30 12:30:45 2027-01-01 = << *
    &a !x !!str ? - -- --- ... % @ ` > | [a] {a} a:b a,b #c +1 -1 + / // 10.0 10.0.0.1 10.0.0.1/24 fd00::1 +set a@pve!t
    {{x}} é 日本 😀 "q" 'q' \\
"""
ODD = [*WORDS.split(), "\ufeff", "\u2028", "\x85", "\x07", "", " ", "a ", " a", "a #c", "a: b", "a :b", "- a", "null "]
ODD += ["a\nb", "a\r\n", "\t", "a b", "a - b", "a, b", "'", '"']
texts = st.sampled_from(ODD) | st.text(max_size=12) | st.tuples(st.sampled_from(ODD), st.sampled_from(ODD)).map("".join)
scalars = texts | st.integers(-10, 100_000) | st.booleans() | st.none()
keys = texts | st.integers(100, 999)
data = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)
documents = st.dictionaries(st.sampled_from(["users", "acls", "rules", "exclusive"]) | keys, data, max_size=4)


@settings(max_examples=examples(200), deadline=None, derandomize=True)
@given(document=documents, comments=st.dictionaries(st.lists(keys, max_size=2).map(tuple), st.lists(texts, max_size=3)))
def test_it_reads_as_it_was_written(document, comments) -> None:
    every = {(key,): ["a comment", "\n# two\nlines: 1", ""] for key in document}
    assert (yaml.safe_load(to_yaml(document, {**comments, **every})) or {}) == document


@pytest.mark.parametrize("text", ODD)
def test_a_text_stays_a_text(text: str) -> None:
    document = {"key": text, "list": [text], "users": [{"comment": text, "groups": [text]}], text: 1}
    assert yaml.safe_load(to_yaml(document, {})) == document


def test_it_is_as_people_write_it() -> None:
    document = {
        "pve_access": {
            "users": [{"userid": "joe@pve", "groups": ["ops"], "comment": "Joe, on call"}, {"userid": "x" * WIDTH}],
            "acls": [{"paths": ["/vms/100"], "roles": ["PVEAuditor"], "propagate": True}],
            "privs": ["VM.Config.Options"] * 8,
        },
        "pve_firewall": {"guests": {100: {"exclusive": []}, 101: {"options": {}, "exclusive": ["rules"]}}},
    }
    comments = {("pve_access", "acls"): ["", "Who may do what."], ("pve_access", "users", 0): ["word " * 30]}
    assert to_yaml(document, comments).splitlines() == [
        "pve_access:",
        "  users:",
        f"    # {' '.join(['word'] * 22)}",
        f"    # {' '.join(['word'] * 8)}",
        '    - {userid: joe@pve, groups: [ops], comment: "Joe, on call"}',
        f"    - userid: {'x' * WIDTH}",
        "",
        "  # Who may do what.",
        "  acls:",
        "    - paths: [/vms/100]",
        "      roles: [PVEAuditor]",
        "      propagate: true",
        "  privs:",
        *["    - VM.Config.Options"] * 8,
        "pve_firewall:",
        "  guests:",
        "    100: {exclusive: []}",
        "    101:",
        "      options: {}",
        "      exclusive: [rules]",
    ]
