"""The report for CI servers: JUnit XML, with a test case for each rule and each assertion.

So a run without findings shows what was looked at, and what could not be seen is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from xml.etree import ElementTree

from ..policy.assertions import Outcome
from ..policy.catalogue import ASSERTION, DRIFT, HYGIENE, Rule
from ..policy.findings import Finding
from .report import Report, about, clean, one_line

_RULE = "assertion"
_FAMILIES = {DRIFT: "Drift", ASSERTION: "Assertions on effective rights", HYGIENE: "Hygiene"}


def render(report: Report) -> str:
    """Return the audit as JUnit XML."""
    suites = [_suite(report, family, name, list(_cases(report, family))) for family, name in _FAMILIES.items()]
    if report.audit.gaps:
        suites.append(_suite(report, "sight", "What could not be seen", list(_gaps(report))))
    suites = [suite for suite in suites if len(suite)]
    root = ElementTree.Element("testsuites", {"name": _text(f"Audit of {report.cluster}"), **_sums(suites)})
    root.extend(suites)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(report: Report, family: str, name: str, cases: Sequence[ElementTree.Element]) -> ElementTree.Element:
    sums = {
        "tests": len(cases),
        "failures": sum(case.find("failure") is not None for case in cases),
        "errors": sum(case.find("error") is not None for case in cases),
        "skipped": sum(case.find("skipped") is not None for case in cases),
    }
    suite = ElementTree.Element(
        "testsuite",
        {
            "name": name,
            "id": family,
            "hostname": _text(report.cluster),
            "timestamp": report.time[:-1],
            "time": "0",
            **{key: str(number) for key, number in sums.items()},
        },
    )
    suite.extend(cases)
    return suite


def _sums(suites: Iterable[ElementTree.Element]) -> dict[str, str]:
    """Add up what suites count. The schema has no skipped ones here."""
    found = list(suites)
    return {key: str(sum(int(suite.get(key, 0)) for suite in found)) for key in ("tests", "failures", "errors")}


def _cases(report: Report, family: str) -> Iterator[ElementTree.Element]:
    if family == ASSERTION:
        for outcome in report.audit.outcomes:
            yield _assertion(report, outcome)
    for rule in report.checked:
        if rule.family != family or (rule.rule == _RULE and report.audit.outcomes):
            continue
        yield _rule(report, rule)
        for finding in report.audit.excepted:
            if finding.rule == rule.rule:
                case = _case(family, f"{rule.rule}: {about(finding)}")
                _add(case, "skipped", finding.excepted)
                _add(case, "system-out", body=_lines([finding]))
                yield case


def _rule(report: Report, rule: Rule) -> ElementTree.Element:
    case = _case(rule.family, f"{rule.rule}: {rule.title}")
    _findings(case, report, [finding for finding in report.audit.findings if finding.rule == rule.rule])
    return case


def _assertion(report: Report, outcome: Outcome) -> ElementTree.Element:
    case = _case(ASSERTION, str(outcome.assertion))
    mine = [found for found in report.audit.findings if _is_of(found, outcome)]
    excepted = [found for found in report.audit.excepted if _is_of(found, outcome)]
    if excepted and not mine:
        _add(case, "skipped", excepted[0].excepted)
    _findings(case, report, mine, outcome.notes)
    return case


def _is_of(finding: Finding, outcome: Outcome) -> bool:
    return finding.rule == _RULE and finding.expected == str(outcome.assertion)


def _findings(
    case: ElementTree.Element, report: Report, findings: Sequence[Finding], notes: Iterable[str] = ()
) -> None:
    """Write findings into a test case: those that count as its failure, the others beside it."""
    failing = [finding for finding in findings if report.counts(finding)]
    if failing:
        more = f" (and {len(failing) - 1} more)" if len(failing) > 1 else ""
        _add(case, "failure", failing[0].message + more, failing[0].rule, _lines(failing))
    told = _lines(finding for finding in findings if not report.counts(finding))
    said = "\n".join([told, *notes]).strip()
    if said:
        _add(case, "system-out", body=said)


def _gaps(report: Report) -> Iterator[ElementTree.Element]:
    for gap in report.audit.gaps:
        case = _case("sight", gap.what)
        _add(case, "error", gap.reason, "incomplete", " ".join(part for part in (gap.reason, gap.fix) if part))
        yield case


def _case(family: str, name: str) -> ElementTree.Element:
    return ElementTree.Element("testcase", {"classname": f"homelab.pve.{family}", "name": _text(name), "time": "0"})


def _add(parent: ElementTree.Element, tag: str, message: str = "", kind: str = "", body: str = "") -> None:
    attributes = {"message": _text(message), "type": _text(kind)}
    child = ElementTree.SubElement(parent, tag, {key: value for key, value in attributes.items() if value})
    if body:
        child.text = clean(body)


def _lines(findings: Iterable[Finding]) -> str:
    return "\n".join(_line(finding) for finding in findings)


def _line(finding: Finding) -> str:
    fix = f"\n    {one_line(finding.fix)}" if finding.fix else ""
    return f"{finding.level} {finding.rule}: {one_line(finding.message)}{fix}"


def _text(text: str) -> str:
    return one_line(text)
