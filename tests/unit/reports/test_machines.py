"""Reports for machines keep to their schemas, whatever people wrote, and say what was found and what was not."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError
from ansible_collections.homelab.pve.plugins.module_utils.policy.audit import Audit
from ansible_collections.homelab.pve.plugins.module_utils.policy.catalogue import RULES
from ansible_collections.homelab.pve.plugins.module_utils.reports import KINDS, render
from ansible_collections.homelab.pve.tests.unit.reports.world import (
    BROKEN,
    CALLER,
    HELD,
    NASTY,
    clean_audit,
    hostile,
    ordinary,
)

SCHEMAS = Path(__file__).parents[2] / "schemas"
AUDITS = {"ordinary": ordinary, "clean": clean_audit, "hostile": hostile}
every_audit = pytest.mark.parametrize("name", AUDITS)


def told(audit: Audit, kind: str, fail_on: str = "error", **options: Any) -> str:
    return render(audit, kind, fail_on=fail_on, cluster="pve.example", **options)


def junit(audit: Audit, fail_on: str = "error") -> ElementTree.Element:
    return ElementTree.fromstring(told(audit, "junit", fail_on).encode())


def cases(root: ElementTree.Element, tag: str) -> list[str]:
    return [str(case.get("name")) for case in root.iter("testcase") if case.find(tag) is not None]


def sarif(audit: Audit, **options: Any) -> dict[str, Any]:
    run: dict[str, Any] = json.loads(told(audit, "sarif", **options))["runs"][0]
    return run


@every_audit
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_audit_gives_the_same_text_that_can_be_written_down(name: str, kind: str) -> None:
    first, second = told(AUDITS[name](), kind), told(AUDITS[name](), kind)
    assert first == second
    assert first.endswith("\n")
    assert first.encode("utf-8")
    assert "\r" not in first


def test_a_kind_that_there_is_not_is_refused() -> None:
    with pytest.raises(OptionError, match="pdf"):
        told(ordinary(), "pdf")


# -- JUnit ------------------------------------------------------------------------------------------------------------


@every_audit
def test_junit_keeps_to_its_schema(name: str) -> None:
    xmlschema = pytest.importorskip("xmlschema")
    xmlschema.XMLSchema(str(SCHEMAS / "junit-10.xsd")).validate(ElementTree.ElementTree(junit(AUDITS[name]())))


def test_junit_has_a_case_for_each_rule_and_each_assertion() -> None:
    root = junit(clean_audit())
    judged = {name for name, level in clean_audit().policy.hygiene.levels.items() if level != "ignore"}
    names = [str(case.get("name")) for case in root.iter("testcase")]
    assert str(HELD) in names
    told_of = {name.partition(":")[0] for name in names if name != str(HELD)}
    assert told_of == judged - {"assertion"}
    assert [suite.get("id") for suite in root] == ["drift", "assertion", "hygiene"]
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == (str(len(judged)), "0", "0")


def test_junit_leaves_out_rules_that_the_policy_ignores() -> None:
    audit = clean_audit()
    levels = {**audit.policy.hygiene.levels, "drift_missing": "ignore"}
    audit = replace(audit, policy=replace(audit.policy, hygiene=replace(audit.policy.hygiene, levels=levels)))
    assert not any("drift_missing" in str(case.get("name")) for case in junit(audit).iter("testcase"))


def test_junit_fails_for_what_counts_and_tells_of_the_rest() -> None:
    root = junit(ordinary())
    assert cases(root, "failure") == [f"drift_unexpected: {RULES['drift_unexpected'].title}", str(BROKEN)]
    assert cases(root, "error") == ["firewall of delta"]
    assert cases(root, "skipped") == ["drift_unexpected: token root@pam!old /"]
    skipped = next(root.iter("skipped"))
    assert skipped.get("message") == "Goes with the old backup server in March."
    (missing,) = (case for case in root.iter("testcase") if str(case.get("name")).startswith("drift_missing"))
    assert "Apply the policy." in str(missing.findtext("system-out"))
    assert {suite.get("id"): suite.get("failures") for suite in root}["drift"] == "1"


@pytest.mark.parametrize(("fail_on", "failures"), [("error", 2), ("warn", 3), ("info", 4), ("never", 0)])
def test_junit_fails_from_the_level_that_was_asked_for(fail_on: str, failures: int) -> None:
    root = junit(ordinary(), fail_on)
    assert root.get("failures") == str(failures)
    assert len(cases(root, "failure")) == failures
    assert root.get("errors") == "1"


def test_junit_skips_an_assertion_that_is_excepted() -> None:
    audit = ordinary()
    finding = replace(audit.findings[0], excepted="Known.")
    root = junit(replace(audit, findings=(), excepted=(finding,)))
    assert cases(root, "skipped") == [str(BROKEN)]
    assert cases(root, "failure") == []


def test_junit_puts_many_findings_of_a_rule_into_one_failure() -> None:
    audit = ordinary()
    more = tuple(replace(audit.findings[1], path=f"/vms/{number}") for number in range(5))
    failure = next(junit(replace(audit, findings=more)).iter("failure"))
    assert str(failure.get("message")).endswith("(and 4 more)")
    assert str(failure.text).count("error drift_unexpected") == 5


# -- SARIF ------------------------------------------------------------------------------------------------------------


@every_audit
def test_sarif_keeps_to_its_schema(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((SCHEMAS / "sarif-2.1.0-rtm.5.json").read_text())
    checked = jsonschema.Draft4Validator(schema, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER)
    for policy_file in (None, "site/pol icy#1.yml", "C:\\Users\\Jö\\policy.yml", "/srv/policy.yml"):
        checked.validate(json.loads(told(AUDITS[name](), "sarif", policy_file=policy_file)))


def test_sarif_knows_all_rules() -> None:
    driver = sarif(ordinary())["tool"]["driver"]
    assert [rule["id"] for rule in driver["rules"]] == list(RULES)
    levels = {rule["id"]: rule["defaultConfiguration"]["level"] for rule in driver["rules"]}
    assert (levels["drift_missing"], levels["assertion_unmatched"], levels["exception_unused"]) == (
        "error",
        "warning",
        "note",
    )


def test_sarif_points_to_the_policy_file_and_to_the_subject() -> None:
    run = sarif(ordinary(), policy_file=".\\site\\policy.yml")
    result = run["results"][0]
    place = result["locations"][0]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "site/policy.yml", "index": 0},
        "region": {"startLine": 1},
    }
    assert place["logicalLocations"] == [
        {"name": "joe@pve", "fullyQualifiedName": "/vms/100 joe@pve", "kind": "resource"}
    ]
    assert run["artifacts"] == [{"location": {"uri": "site/policy.yml"}}]
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "assertion"
    assert "Take the ACL entry away" in result["message"]["text"]


@pytest.mark.parametrize(
    ("given", "uri"),
    [
        (None, "policy.yml"),
        ("a b#c%.yml", "a%20b%23c%25.yml"),
        ("/srv/policy.yml", "file:///srv/policy.yml"),
        ("C:\\ü\\policy.yml", "file:///C:/%C3%BC/policy.yml"),
    ],
)
def test_sarif_names_the_file_as_uris_do(given: str | None, uri: str) -> None:
    assert sarif(ordinary(), policy_file=given)["artifacts"][0]["location"]["uri"] == uri


def test_sarif_says_what_was_excepted_and_what_was_not_seen() -> None:
    run = sarif(ordinary())
    assert [len(result.get("suppressions", [])) for result in run["results"]] == [0, 0, 0, 0, 1]
    assert run["results"][-1]["suppressions"][0]["justification"] == "Goes with the old backup server in March."
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert "firewall of delta" in invocation["toolExecutionNotifications"][0]["message"]["text"]
    assert sarif(clean_audit())["invocations"][0]["executionSuccessful"] is True


def test_sarif_tells_findings_apart_and_knows_them_again() -> None:
    audit = ordinary()
    twice = replace(audit, findings=(audit.findings[0], replace(audit.findings[0], message="Another assertion.")))
    prints = [result["partialFingerprints"]["primaryLocationLineHash"] for result in sarif(twice)["results"]]
    assert len(set(prints)) == len(prints) == 3
    assert prints[0] == f"{audit.findings[0].fingerprint}:1"


# -- JSON -------------------------------------------------------------------------------------------------------------


def test_json_has_all_there_is() -> None:
    shown = json.loads(told(ordinary(), "json"))
    assert (shown["status"], shown["cluster"], shown["time"]) == ("fail", "pve.example", "2027-01-15T08:00:00Z")
    assert shown["caller"] == CALLER
    assert shown["counts"] == {"error": 2, "warn": 1, "info": 1}
    assert [len(shown[key]) for key in ("findings", "excepted", "incomplete", "assertions")] == [4, 1, 1, 2]
    reach = {row["node"]: {port["port"]: port for port in row["ports"]} for row in shown["reach"]}
    assert reach["gamma"][8006]["everybody"]
    assert not reach["alpha"][22]["everybody"]
    assert reach["delta"][22]["unknown"] == "The firewall of the node was not read."


def test_what_people_wrote_is_kept_as_far_as_it_is_text() -> None:
    shown = json.loads(told(hostile(), "json"))
    assert shown["findings"][0]["message"] == NASTY
    failure = next(junit(hostile()).iter("failure"))
    assert "alert(1)</script>" in str(failure.text)
    assert "äß漢" in str(failure.text)
    assert not re.search("[\x00-\x08\x0b-\x1f\ud800-\udfff\uffff]", told(hostile(), "junit"))
