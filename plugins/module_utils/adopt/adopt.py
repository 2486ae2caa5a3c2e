"""A live cluster as a policy file: applied at once it changes nothing, and from then on it says what is meant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..policy.findings import Finding, in_order
from ..policy.observe import Observed
from .access import adopt_access
from .firewall import adopt_firewall
from .parts import pattern_of
from .yaml_text import to_yaml

_EXCEPTIONS, _ASSERTIONS = "pve_exceptions", "pve_assertions"
# The parts of a cluster that a policy does not speak of; that they could not be seen does not matter here.
_ELSEWHERE = ("certificates", "second factors", "network devices", "realms", "storages")


@dataclass(frozen=True)
class Adopted:
    """A policy: as data, and as the ``text`` of a file. ``notes`` say what of the cluster is not in it, and why."""

    document: dict[str, Any]
    text: str
    notes: tuple[str, ...]


def adopt(observed: Observed, *, exclusive: bool = True, borne: Iterable[Finding] = (), until: str = "") -> Adopted:
    """Write down access and firewall of a cluster that was surveyed.

    With ``exclusive``, everything that comes later and is not declared is unexpected. ``borne`` are findings of an
    audit that are to be excepted up to a day, such as 2027-01-31. The same state gives the same text. No secrets are
    read, and none are needed to apply it.
    """
    access = adopt_access(observed, exclusive=exclusive)
    firewall = adopt_firewall(observed, exclusive=exclusive)
    notes = [*access.notes, *firewall.notes]
    notes += [
        f"{gap.what}: not seen. {gap.reason} {gap.fix}".strip()
        for gap in observed.gaps
        if not gap.what.startswith(_ELSEWHERE)
    ]
    document: dict[str, Any] = {}
    comments: dict[Any, list[str]] = {}
    for key, part in (("pve_access", access), ("pve_firewall", firewall)):
        if part.document:
            document[key] = part.document
            comments.update(part.below(key))
    if access.assertions:
        document[_ASSERTIONS] = access.assertions
        comments[_ASSERTIONS,] = ["What is kept may be given rights without being found: this finds it."]
    rows, lines = _exceptions(borne, until)
    if rows:
        document[_EXCEPTIONS] = rows
        comments.update(lines)
    first = next(iter(document), None)
    for key in document:
        comments[key,] = [*(_head(notes) if key == first else [""]), *comments.get((key,), ())]
    return Adopted(document, "---\n" + to_yaml(document, comments), tuple(notes))


def _exceptions(borne: Iterable[Finding], until: str) -> tuple[list[dict[str, Any]], dict[Any, list[str]]]:
    """Return exceptions for findings, and the comments that say what each of them bears."""
    rows: list[dict[str, Any]] = []
    comments: dict[Any, list[str]] = {(_EXCEPTIONS,): ["What an audit found on the day that this was written."]}
    told: set[tuple[str, str, str]] = set()
    for finding in in_order(borne):
        about = (finding.rule, finding.subject, finding.path)
        if about in told:
            continue
        told.add(about)
        subject, path = pattern_of(finding.subject), pattern_of(finding.path)
        row = {"rule": finding.rule, "subject": subject, **({"path": path} if path else {})}
        comments[_EXCEPTIONS, len(rows)] = [finding.message]
        rows.append({**row, "reason": "Found when this was adopted", "until": until})
    return rows, comments


def _head(notes: list[str]) -> list[str]:
    head = [
        "Who may do what on this cluster, and through which firewall, as it was found. Applied at once, it changes "
        "nothing:",
        " ",
        "  ansible-playbook homelab.pve.site -e policy=FILE",
    ]
    if notes:
        head += [" ", "What is not in here:", " ", *(f"- {note}" for note in notes)]
    return head
