"""The report for services that scan code: SARIF 2.1.0. Findings point to the policy file, which says what was meant."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PureWindowsPath
from typing import Any
from urllib.parse import quote

from ..policy.catalogue import RULES, Rule
from ..policy.findings import ERROR, IGNORE, INFO, WARN, Finding
from .report import Report, clean, one_line

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
HOME = "https://github.com/homelab-pve/homelab.pve"
_LEVELS = {IGNORE: "none", INFO: "note", WARN: "warning", ERROR: "error"}
_SOMEWHERE = "policy.yml"

Json = dict[str, Any]


def render(report: Report) -> str:
    """Return the audit as SARIF."""
    levels = report.audit.policy.hygiene.levels
    rules = [_rule(rule, levels.get(rule.rule, rule.level)) for rule in RULES.values()]
    found = [*report.audit.findings, *report.audit.excepted]
    run = {
        "tool": {"driver": {"name": "homelab.pve", "informationUri": HOME, "rules": rules}},
        "automationDetails": {"id": f"homelab.pve/{one_line(report.cluster)}/"},
        "invocations": [
            {
                "executionSuccessful": not report.audit.gaps,
                "endTimeUtc": report.time,
                "toolExecutionNotifications": [
                    {"level": "error", "message": {"text": _said(f"Not judged: {gap.what}.", gap.reason, gap.fix)}}
                    for gap in report.audit.gaps
                ]
                + [{"level": "note", "message": {"text": clean(note)}} for note in report.audit.notes],
            }
        ],
        "artifacts": [{"location": {"uri": _uri(report.policy_file)}}],
        "results": _results(found, _uri(report.policy_file)),
        "columnKind": "unicodeCodePoints",
        "properties": {
            "cluster": clean(report.cluster),
            "release": report.release,
            "caller": clean(report.caller),
            "status": report.status,
            "failOn": report.fail_on,
        },
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(rule: Rule, level: str) -> Json:
    return {
        "id": rule.rule,
        "shortDescription": {"text": f"{rule.title}."},
        "fullDescription": {"text": rule.why},
        "help": {"text": f"{rule.title}. {rule.why}"},
        "defaultConfiguration": {"level": _LEVELS[rule.level], "enabled": level != IGNORE},
        "properties": {"tags": [rule.family, "security"]},
    }


def _results(findings: Iterable[Finding], uri: str) -> list[Json]:
    numbers = {rule: number for number, rule in enumerate(RULES)}
    seen: Counter[str] = Counter()
    results = []
    for finding in findings:
        # Services take findings with the same fingerprint for one.
        seen[finding.fingerprint] += 1
        fingerprint = f"{finding.fingerprint}:{seen[finding.fingerprint]}"
        result: Json = {
            "ruleId": finding.rule,
            "ruleIndex": numbers[finding.rule],
            "level": _LEVELS[finding.level],
            "message": {"text": _said(finding.message, finding.fix)},
            "locations": [
                {
                    "physicalLocation": {"artifactLocation": {"uri": uri, "index": 0}, "region": {"startLine": 1}},
                    "logicalLocations": _places(finding),
                }
            ],
            # The first of these is what services look for; without it they would take the line of the file.
            "partialFingerprints": {"primaryLocationLineHash": fingerprint, "homelabPve/v1": fingerprint},
            "properties": {"expected": finding.expected, "found": finding.found},
        }
        if finding.excepted:
            result["suppressions"] = [
                {"kind": "external", "status": "accepted", "justification": clean(finding.excepted)}
            ]
        results.append(result)
    return results


def _places(finding: Finding) -> list[Mapping[str, str]]:
    subject, path = one_line(finding.subject), one_line(finding.path)
    return [{"name": subject or path, "fullyQualifiedName": f"{path} {subject}".strip(), "kind": "resource"}]


def _said(*parts: str) -> str:
    return " ".join(clean(part) for part in parts if part)


def _uri(policy_file: str) -> str:
    """Return a file's name as a URI: relative to the repository where it is relative."""
    path = PureWindowsPath(policy_file or _SOMEWHERE)
    if path.drive:
        return "file:///" + path.drive + quote(path.as_posix()[len(path.drive) :])
    text = path.as_posix()
    return ("file://" if text.startswith("/") else "") + quote(text.removeprefix("./"))
