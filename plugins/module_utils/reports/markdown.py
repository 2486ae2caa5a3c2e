"""The report for pull requests: short Markdown, in which nothing that people wrote does anything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from ..policy.audit import FAIL, INCOMPLETE, PASS
from ..policy.findings import Finding
from ..wording import some_of
from .report import NodeReach, Report, one_line, plural

_MOST = 50
_LONGEST = 600
# A comment takes 65,536 characters, and something may be written before it.
_ROOM = 60_000
_SIGNS = {PASS: "✅", FAIL: "❌", INCOMPLETE: "⚠️"}
_SPECIAL = re.compile(r"[\\`*_\[\]()|~$]|^[-+#=]|(?<=^\d)[.)]")
_FOLD_ENDS = "</details>"
_TICKS = re.compile("`+")
# What services take for a name that is spoken of, or for an address.
_LIVE = re.compile(r"(?<!\w)@|(?<=:)//")


def render(report: Report) -> str:
    """Return the audit as Markdown, no longer than what fits into a comment."""
    lines: list[str] = []
    room = _ROOM
    for line in _all(report):
        room -= len(line) + 1
        if room < 0:
            folded = sum(line.startswith("<details>") for line in lines) > lines.count(_FOLD_ENDS)
            lines += ["", *([_FOLD_ENDS, ""] if folded else []), "There is more, which does not fit here."]
            break
        lines.append(line)
    return "\n".join(lines) + "\n"


def _all(report: Report) -> Iterator[str]:
    audit = report.audit
    counts = ", ".join(plural(number, word) for word, number in _counted(report).items())
    yield f"## {_SIGNS[report.status]} Audit of {code(report.cluster)}: {report.status}"
    yield ""
    yield f"**{report.said}** {counts or 'No findings'}."
    if report.would:
        yield ""
        yield f"**By applying the policy, {report.would_said}.**"
    yield ""
    yield f"As seen by {code(report.caller)} at {report.time}, PVE {report.release}."
    yield from _changes(report)
    counting = [finding for finding in audit.findings if report.counts(finding)]
    others = [finding for finding in audit.findings if not report.counts(finding)]
    if counting:
        yield from ("", "### To be put right", "", *_table(counting))
    if audit.gaps:
        yield from ("", "### What could not be seen", "")
        yield from (
            f"* **{text(gap.what)}**: {text(gap.reason)} {text(gap.fix)}".rstrip() for gap in audit.gaps[:_MOST]
        )
        yield from _more(audit.gaps, "gap")
    yield from _reach(report.reach)
    if others:
        yield from _folded(f"{plural(len(others), 'finding')} that the audit does not fail on", _table(others))
    if audit.excepted:
        told = [f"* {_about(one)}: {text(one.excepted)}" for one in audit.excepted[:_MOST]]
        yield from _folded(
            f"{plural(len(audit.excepted), 'finding')} excepted", [*told, *_more(audit.excepted, "finding")]
        )
    if audit.outcomes:
        held = sum(outcome.holds for outcome in audit.outcomes)
        yield from ("", f"{held} of {plural(len(audit.outcomes), 'assertion')} on effective rights held.")


def _folded(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield from ("", f"<details><summary>{title}</summary>", "", *lines, "", _FOLD_ENDS)


def _counted(report: Report) -> dict[str, int]:
    beside = {"exception": len(report.audit.excepted), "gap": len(report.audit.gaps)}
    return {**report.counted, **{word: number for word, number in beside.items() if number}}


def _table(findings: Sequence[Finding]) -> Iterator[str]:
    yield from ("| | what | how to put it right |", "|---|---|---|")
    yield from (_row(finding) for finding in findings[:_MOST])
    yield from _more(findings, "finding")


def _row(finding: Finding) -> str:
    what = f"{text(finding.message)}<br>{_about(finding, in_table=True)}"
    return f"| **{finding.level}** | {what} | {text(finding.fix)} |"


def _about(finding: Finding, *, in_table: bool = False) -> str:
    return " ".join(code(part, in_table=in_table) for part in (finding.rule, finding.subject, finding.path) if part)


def _changes(report: Report) -> Iterator[str]:
    for gained, title in ((True, "gain"), (False, "lose")):
        rows = report.would_of(gained=gained)
        if rows:
            yield from ("", f"### Who would {title} by applying the policy", "")
            yield from (f"* {text(row.text)}" for row in rows[:_MOST])
            yield from _more(rows, "change")
    if report.would_unknown:
        yield from ("", f"Who would gain or lose by applying the policy is not known: {text(report.would_unknown)}.")


def _reach(reach: Sequence[NodeReach]) -> Iterator[str]:
    open_nodes = {port: [one.node for one in reach if one.ports[at].everybody] for at, port in enumerate(_ports(reach))}
    said = [f"* TCP {port} of {some_of(map(code, nodes), _MOST)}" for port, nodes in open_nodes.items() if nodes]
    if said:
        yield from ("", "### Open to everybody by the firewall", "", *said)


def _ports(reach: Sequence[NodeReach]) -> list[int]:
    return [found.port for found in reach[0].ports] if reach else []


def _more(rows: Sequence[object], word: str) -> Iterator[str]:
    if len(rows) > _MOST:
        yield from ("", f"And {plural(len(rows) - _MOST, f'more {word}')}.")


def _short(said: object) -> str:
    line = one_line(said)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def text(said: object) -> str:
    """Return a text in one line that Markdown shows as it is: no markup, no mentions, no HTML."""
    line = _short(said).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A comment in it keeps people from being called by their names, and addresses from becoming links.
    return _LIVE.sub(lambda found: f"{found[0]}<!-- -->", _SPECIAL.sub(r"\\\g<0>", line))


def code(said: object, *, in_table: bool = False) -> str:
    """Return a text as code. In a table, and only there, a bar would end the cell."""
    line = _short(said)
    fence = "`" * (max((len(ticks) for ticks in _TICKS.findall(line)), default=0) + 1)
    blank = " " if line.startswith("`") or line.endswith("`") else ""
    shown = line.replace("|", "\\|") if in_table else line
    return f"{fence}{blank}{shown}{blank}{fence}" if line else ""
