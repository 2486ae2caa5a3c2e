"""The catalogue in docs/rules.md is that of the code, and all of it."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.homelab.pve.plugins.module_utils.policy.catalogue import HYGIENE, RULES

PAGE = (Path(__file__).parents[3] / "docs" / "rules.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)
NAMED = re.compile(r"`(\w+)`")
# Sections and checks of the references, as the column of references and as the tables further down name them.
REFERENCE = re.compile(r"H (\d+(?:\.\d+)+)|M ([a-z-]+)")
SECTION = re.compile(r"^\| ([\d., ]+) \|", re.MULTILINE)
CHECK = re.compile(r"^\| ([a-z][a-z-]+(?:, [a-z-]+)*)(?: and [a-z ]+)? \|", re.MULTILINE)
# What a policy has besides rules under pve_hygiene, options of an audit, and of the objects that rules speak of.
OTHERS = frozenset(
    (
        *("error", "expire", "ignore", "incomplete", "info", "warn"),
        *("access_logs", "expiring_days", "unused_days", "pve_assertions", "pve_exceptions", "pve_firewall"),
        *("pve_hygiene",),
    )
)


def test_each_rule_is_there_as_it_is() -> None:
    rows = {rule: (level, title, why) for rule, level, title, why, *unused in ROW.findall(PAGE)}
    assert rows == {rule.rule: (rule.level, rule.title, rule.why) for rule in RULES.values()}
    assert len(ROW.findall(PAGE)) == len(RULES)


def test_each_rule_says_how_to_put_it_right() -> None:
    assert all(cure.endswith(".") for *unused, cure, references in ROW.findall(PAGE))


def test_only_rules_that_there_are_are_named() -> None:
    assert set(NAMED.findall(PAGE)) - set(RULES) <= OTHERS


def test_references_lead_to_what_becomes_of_them() -> None:
    sections = {one.strip() for found in SECTION.findall(PAGE) for one in found.split(",")}
    checks = {one for found in CHECK.findall(PAGE) for one in found.split(", ")}
    named: set[str] = set()
    for *unused, references in ROW.findall(PAGE):
        for section, check in REFERENCE.findall(references):
            assert (section in sections) if section else (check in checks)
            named.add(section or check)
    assert {"1.2.4", "2.1.3", "2.2.4", "2.3.1"} <= named
    assert len(checks) > 15


def test_hygiene_says_why() -> None:
    for rule in RULES.values():
        assert rule.title[:1].isupper() or rule.title.startswith("root@pam")
        assert not rule.title.endswith(".")
        assert rule.why.endswith(".")
    assert sum(rule.family == HYGIENE for rule in RULES.values()) > 40
