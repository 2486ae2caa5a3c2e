"""The report for people: one page that needs nothing but itself.

What people wrote is escaped, and a policy inside of the page lets no other script run and nothing be loaded.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import islice
from typing import Any

from ..firewall.exposure import Exposure, Span
from ..firewall.guard import NOT_SEEN
from ..policy.assertions import Outcome
from ..policy.findings import LEVELS, Finding
from ..wording import DAY, day
from .report import LEVEL_WORDS, NodeReach, Report, Would, clean, plural
from .rights import data, standing
from .script import JS
from .style import CSS
from .timeline import Ending, timeline

# A page has to open quickly; all there is, is in the other reports.
_MOST_FINDINGS, _MOST_STANDING, _MOST_DRAWN, _MOST_OVER, _MOST_LISTED, _MOST_SPANS = 1000, 400, 40, 10, 1000, 12
_SERVICES = {8006: "TCP 8006, API and web interface", 22: "TCP 22, SSH"}


def render(report: Report) -> str:
    """Return the audit as a page."""
    body = "\n".join(_body(report))
    access = report.audit.observed.access
    told = json.dumps(data(access.state, access.release, report.audit.observed.now), separators=(",", ":"))
    # Nothing in it may end the element that it stands in.
    told = told.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    policy = f"default-src 'none'; style-src {_hash(CSS)}; script-src {_hash(JS)}; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>Audit of {_text(report.cluster)}: {report.status}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        f'{body}\n<script type="application/json" id="data">{told}</script>\n<script>{JS}</script>\n</body>\n</html>\n'
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


def _text(said: Any) -> str:
    return escape(clean(said))


def _code(said: Any) -> str:
    return f"<code>{_text(said)}</code>"


def _tag(kind: str, said: str) -> str:
    return f'<span class="tag {kind}">{said}</span>'


def _body(report: Report) -> Iterator[str]:
    made = {part: _section(part, title, list(content(report))) for part, (title, content) in _PARTS.items()}
    yield '<a class="skip" href="#findings">To the findings</a>'
    yield from _head(report, [part for part, section in made.items() if section])
    yield '<main id="main">'
    yield from made.values()
    yield "</main>"
    yield f"<footer>Made by homelab.pve from what {_code(report.caller)} could see at {report.time}.</footer>"


def _table(titles: Iterable[str], rows: Iterable[str], kind: str = "") -> str:
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead><tbody>\n'
        + "\n".join(rows)
        + "\n</tbody></table></div>"
    )


def _section(part: str, title: str, content: Sequence[str]) -> str:
    """Return a part of the page, nothing where there is nothing to say."""
    if not content:
        return ""
    head = f'<section id="{part}" aria-labelledby="{part}-title"><h2 id="{part}-title">{title}</h2>'
    return "\n".join([head, *content, "</section>"])


# -- head -------------------------------------------------------------------------------------------------------------


def _head(report: Report, parts: Iterable[str]) -> Iterator[str]:
    audit, state = report.audit, report.audit.observed.state
    yield '<header><div class="title">'
    yield f'<h1>Audit of {_text(report.cluster)}</h1><span class="badge {report.status}">{report.status}</span></div>'
    yield f'<p class="lead">{report.said}</p><dl class="facts">'
    facts = {
        "Time": report.time,
        "PVE": report.release,
        "Seen by": _code(report.caller),
        "Fails on": "nothing" if report.fail_on == "never" else f"{report.fail_on} and above",
        "Ids": f"{plural(len(state.users), 'user')}, {plural(len(state.tokens), 'token')}",
    }
    yield from (f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts.items())
    yield '</dl><ul class="tiles">'
    for level, number in audit.counts().items():
        yield _tile("findings", level if number else "", number, f"{LEVEL_WORDS[level]}s")
    held = sum(outcome.holds for outcome in audit.outcomes)
    if audit.gaps:
        yield _tile("gaps", "warn", len(audit.gaps), "not judged")
    if report.would:
        yield _tile("changes", "", len({one.subject for one in report.would}), "would gain or lose")
    if audit.outcomes:
        yield _tile("assertions", "", f"{held}/{len(audit.outcomes)}", "assertions held")
    if audit.excepted:
        yield _tile("excepted", "", len(audit.excepted), "excepted")
    yield _tile("rules", "", len(report.checked), "rules judged")
    yield '</ul><nav aria-label="Parts of this page"><ul>'
    yield from (f'<li><a href="#{part}">{_PARTS[part][0]}</a></li>' for part in parts)
    yield "</ul></nav></header>"


def _tile(where: str, kind: str, number: Any, word: str) -> str:
    return f'<li><a class="{kind}" href="#{where}"><b>{number}</b>{word}</a></li>'


# -- findings ---------------------------------------------------------------------------------------------------------


def _findings(report: Report) -> Iterator[str]:
    findings = report.audit.findings
    if not findings:
        yield "<p>None.</p>"
        return
    yield '<div class="tools needs-script">'
    yield '<label>Find <input type="search" id="find" autocomplete="off"></label> '
    yield " ".join(
        f'<label><input type="checkbox" value="{level}" checked> {LEVEL_WORDS[level]}s</label>'
        for level in reversed(LEVELS)
        if any(finding.level == level for finding in findings)
    )
    yield f' <span id="found" class="soft" role="status" data-all="{len(findings)}"></span></div>'
    rows = [_row(finding) for finding in findings[:_MOST_FINDINGS]]
    yield _table(("Level", "About", "What"), rows, "findings stack")
    yield _rest(len(findings), _MOST_FINDINGS, "finding")


def _row(finding: Finding) -> str:
    fix = f'<p class="fix">{_text(finding.fix)}</p>' if finding.fix else ""
    return (
        f'<tr data-level="{finding.level}"><td>{_tag(finding.level, finding.level)}</td>'
        f"<td>{_about(finding)}</td><td><p>{_text(finding.message)}</p>{fix}</td></tr>"
    )


def _about(finding: Finding) -> str:
    """Return whom and what a finding is about, and the rule, from which it is one step to why that matters."""
    about = "<br>".join(_code(part) for part in (finding.subject, finding.path) if part)
    return f'{about}<p><a class="rule" href="#rule-{_text(finding.rule)}">{_text(finding.rule)}</a></p>'


def _rest(number: int, shown: int, word: str) -> str:
    return "" if number <= shown else f'<p class="soft">And {plural(number - shown, f"more {word}")}.</p>'


def _gaps(report: Report) -> Iterator[str]:
    gaps = report.audit.gaps
    if gaps:
        yield "<ul>"
        yield from (
            f'<li><b>{_text(gap.what)}</b>: {_text(gap.reason)} <span class="soft">{_text(gap.fix)}</span></li>'
            for gap in gaps[:_MOST_LISTED]
        )
        yield f"</ul>{_rest(len(gaps), _MOST_LISTED, 'gap')}"


def _notes(report: Report) -> Iterator[str]:
    notes = report.audit.notes
    if notes:
        yield "<ul>"
        yield from (f"<li>{_text(note)}</li>" for note in notes[:_MOST_LISTED])
        yield f"</ul>{_rest(len(notes), _MOST_LISTED, 'note')}"


def _changes(report: Report) -> Iterator[str]:
    if not report.would and not report.would_unknown:
        return
    if report.would_unknown:
        yield f"<p>Who would gain or lose is not known: {_text(report.would_unknown)}.</p>"
    if report.would:
        yield f'<p>{report.would_said[:1].upper()}{report.would_said[1:]}.</p><ul class="changes">'
        yield from (_would(one) for one in report.would[:_MOST_LISTED])
        yield "</ul>"
    yield f"{_rest(len(report.would), _MOST_LISTED, 'change')}"


def _would(one: Would) -> str:
    tag = _tag("warn", "gains") if one.gained else _tag("info", "loses")
    more = ""
    if one.privileges:
        listed = ", ".join(map(_text, one.privileges))
        more = f"<details><summary>all {len(one.privileges)} privileges</summary><p>{listed}</p></details>"
    return f"<li>{tag}<div>{_text(one.text)}{more}</div></li>"


def _assertions(report: Report) -> Iterator[str]:
    outcomes = report.audit.outcomes
    if not outcomes:
        return
    # What does not hold comes first.
    rows = [_outcome(one) for one in sorted(outcomes, key=lambda one: one.holds)[:_MOST_LISTED]]
    yield _table(("Outcome", "Assertion", "Ids", "Confirmed by PVE"), rows, "stack")
    yield _rest(len(outcomes), _MOST_LISTED, "assertion")


def _outcome(outcome: Outcome) -> str:
    tag = _tag("good", "holds") if outcome.holds else _tag("error", "does not hold")
    notes = "".join(f'<p class="soft">{_text(note)}</p>' for note in outcome.notes)
    confirmed = {True: "yes", False: "no", None: "not asked"}[outcome.confirmed]
    return (
        f"<tr><td>{tag}</td><td>{_code(outcome.assertion)}{notes}</td>"
        f'<td data-title="Ids">{len(outcome.subjects)}</td><td data-title="Confirmed by PVE">{confirmed}</td></tr>'
    )


# -- rights -----------------------------------------------------------------------------------------------------------

_MATRIX = """
<div class="needs-script">
<div class="tools">
<label>Ids <input type="search" id="id" autocomplete="off" placeholder="part of an id"></label>
<label>Paths <input type="search" id="path" autocomplete="off" placeholder="part of a path, or /vms/123"></label>
<label>Privilege <select id="privilege"><option value="">any</option></select></label>
<label><input type="checkbox" id="some"> only ids that hold something here</label>
</div>
<ul class="legend" aria-label="What the signs mean"><li><i>·</i>nothing</li>
<li><i class="read">r3</i>can read, by 3 privileges</li><li><i class="change">w9</i>can change things</li>
<li><i class="give">a40</i>can give rights, to others or itself</li></ul>
<div class="who" id="who-grid">
<div>
<div class="grid" id="grid"></div>
<div class="more"><span id="shown" role="status"></span>
<button type="button" id="more-ids">More ids</button><button type="button" id="more-paths">More paths</button></div>
</div>
<div class="panel" id="panel" role="region" aria-label="Why" hidden></div>
</div>
</div>
"""


def _who(report: Report) -> Iterator[str]:
    access = report.audit.observed.access
    yield "<p>On paths that stand here nowhere, the same holds as on the nearest path above them. "
    yield '<span class="needs-script">Choose a cell, with the mouse or with arrows and Enter, to see which entries of '
    yield "the ACL give it. Ids that are struck out cannot log in.</span></p>"
    if report.unseen:
        lists = " and ".join(report.unseen)
        yield f"<p>{_tag('warn', 'not all of it')} {_text(report.caller)} may not see all {lists}, so ids may hold "
        yield "other rights than are shown here.</p>"
    yield _MATRIX
    rows = list(islice(standing(access.state, access.release), _MOST_STANDING + 1))
    told = [
        f"<tr><td>{_code(row.subject)}</td><td>{_code(row.path)}</td><td>{row.what}</td><td>{_text(row.by)}</td></tr>"
        for row in rows[:_MOST_STANDING]
    ]
    yield '<div class="still"><p>What ids hold where an entry changes it, and below:</p>'
    yield _table(("Id", "Path", "Holds", "By"), told)
    more = "<p>There are more, which the page shows on a screen.</p>" if len(rows) > _MOST_STANDING else ""
    yield f"{more}</div>"


# -- tokens -----------------------------------------------------------------------------------------------------------


def _tokens(report: Report) -> Iterator[str]:
    tokens = report.audit.observed.state.tokens
    if not tokens:
        return
    now, soon = report.audit.observed.now, report.audit.policy.hygiene.expiring_days
    endings = sorted(
        (Ending(token.tokenid, token.expire) for token in tokens.values() if token.expire),
        key=lambda ending: (ending.expire, ending.tokenid),
    )
    never = sorted(token.tokenid for token in tokens.values() if not token.expire)
    over = sum(ending.expire < now for ending in endings)
    near = sum(now <= ending.expire < now + soon * DAY for ending in endings)
    said = [f"{over} {'has' if over == 1 else 'have'} expired", f"{near} will within {plural(soon, 'day')}"]
    yield f"<p>Of {plural(len(tokens), 'token')}, {', '.join(said)}, {len(never)} never will.</p>"
    # Those that are over have been found already: the last few of them will do.
    past = max(0, over - _MOST_OVER) if len(endings) > _MOST_DRAWN else 0
    drawn, others = endings[past : past + _MOST_DRAWN], [*endings[:past], *endings[past + _MOST_DRAWN :]]
    if drawn:
        yield f'<div class="scroll">{timeline(drawn, now, soon)}</div>'
    if others:
        yield f"<details><summary>{plural(len(others), 'other token')}</summary><ul>"
        yield from (f"<li>{_code(one.tokenid)} {day(one.expire)}</li>" for one in others[:_MOST_LISTED])
        yield f"</ul>{_rest(len(others), _MOST_LISTED, 'token')}</details>"
    if never:
        yield f"<details><summary>{plural(len(never), 'token')} without an expiry</summary><ul>"
        yield from (f"<li>{_code(name)}</li>" for name in never[:_MOST_LISTED])
        yield f"</ul>{_rest(len(never), _MOST_LISTED, 'token')}</details>"


# -- firewall ---------------------------------------------------------------------------------------------------------


def _reach(report: Report) -> Iterator[str]:
    if not report.reach:
        yield "<p>The firewall was not read.</p>"
        return
    yield f'<p>By the rules of PVE\'s firewall, worked out on paper. <span class="soft">{_text(NOT_SEEN)}</span></p>'
    yield '<div class="nodes">'
    for nodes, ports in _alike(report.reach):
        yield f'<div class="node"><h3>{", ".join(map(_code, nodes))}</h3><div class="ports">'
        for found in ports:
            yield f"<div><h4>{_SERVICES[found.port]}</h4>{_port(found)}</div>"
        yield "</div></div>"
    yield "</div>"


def _alike(reach: Iterable[NodeReach]) -> Iterable[tuple[Sequence[str], tuple[Exposure, ...]]]:
    """Put nodes with the same answers together."""
    found: dict[tuple[Exposure, ...], list[str]] = {}
    for one in reach:
        found.setdefault(one.ports, []).append(one.node)
    return [(nodes, ports) for ports, nodes in found.items()]


def _port(found: Exposure) -> str:
    if found.unknown:
        return f"<p>{_tag('warn', 'not known')} {_text(found.unknown)}</p>"
    let_in = [_span(span, found.everybody) for span in found.spans if span.open]
    kept_out = [_span(span) for span in found.spans if not span.open]
    said = f"<p>{_tag('error', 'everybody')}</p>" if found.everybody else ""
    said += (
        _table(("Let in", "Answer", "By"), let_in[:_MOST_SPANS])
        if let_in
        else "<p>Nobody is let in for his address.</p>"
    )
    said += _folded("let in", let_in[_MOST_SPANS:])
    said += f'<p class="soft">{_text(found.local_network)}</p>' if found.local_network else ""
    return said + _folded("kept out", kept_out)


def _folded(title: str, rows: Sequence[str]) -> str:
    if not rows:
        return ""
    listed = _table((title.capitalize(), "Answer", "By"), rows[:_MOST_LISTED]) + _rest(len(rows), _MOST_LISTED, "range")
    return f"<details><summary>{plural(len(rows), 'range')} {title}</summary>{listed}</details>"


def _span(span: Span, everybody: bool = False) -> str:
    kind = "off" if not span.open else "error" if everybody else "warn" if span.condition else "good"
    condition = f'<p class="soft">{_text(span.condition)}</p>' if span.condition else ""
    return f"<tr><td>{_code(span)}</td><td>{_tag(kind, span.action)}{condition}</td><td>{_text(span.by)}</td></tr>"


# -- the rest ---------------------------------------------------------------------------------------------------------


def _excepted(report: Report) -> Iterator[str]:
    excepted = report.audit.excepted
    if not excepted:
        return
    rows = [_borne(finding) for finding in excepted[:_MOST_LISTED]]
    yield _table(("Level", "About", "What", "Why it is borne"), rows, "stack")
    yield _rest(len(excepted), _MOST_LISTED, "finding")


def _borne(finding: Finding) -> str:
    return (
        f"<tr><td>{_tag('off', finding.level)}</td><td>{_about(finding)}</td><td>{_text(finding.message)}</td>"
        f'<td data-title="Borne, because">{_text(finding.excepted)}</td></tr>'
    )


def _rules(report: Report) -> Iterator[str]:
    found = Counter(finding.rule for finding in report.audit.findings)
    levels = report.audit.policy.hygiene.levels
    yield f"<details><summary>{plural(len(report.checked), 'rule')}</summary>"
    rows = [
        f'<tr id="rule-{rule.rule}"><td>{_code(rule.rule)}</td><td>{levels.get(rule.rule, rule.level)}</td>'
        f'<td>{_text(rule.title)}. <span class="soft">{_text(rule.why)}</span></td><td>{found[rule.rule]}</td></tr>'
        for rule in report.checked
    ]
    yield _table(("Rule", "Level", "What it finds, and why that matters", "Findings"), rows)
    yield "</details>"


_PARTS: Mapping[str, tuple[str, Callable[[Report], Iterable[str]]]] = {
    "findings": ("Findings", _findings),
    "gaps": ("What could not be judged", _gaps),
    "changes": ("What applying the policy would change", _changes),
    "assertions": ("Assertions", _assertions),
    "who": ("Who can do what", _who),
    "tokens": ("When tokens expire", _tokens),
    "reach": ("Who reaches the nodes", _reach),
    "excepted": ("Excepted", _excepted),
    "notes": ("Worth knowing", _notes),
    "rules": ("What was looked for", _rules),
}
