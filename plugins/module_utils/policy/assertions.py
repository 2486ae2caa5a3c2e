"""Whether what people can really do is what a policy says they can, at the most or at the least."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ..access.model import is_token
from ..access.observe import rights_from
from ..access.paths import ancestors
from ..access.permissions import TREE_PATHS, Privileges
from ..access.releases import READS_MORE, reading_privileges
from ..client.errors import ApiError
from .document import AT_LEAST, AT_MOST, EXACTLY, LIMITS, NEVER, NOTHING, Assertion, Policy
from .findings import Judgement
from .observe import Observed
from .sources import NotInSnapshot, Source

# Stand for all guests, storages, nodes and pools that nobody has named: what holds there holds for those to come.
UNNAMED = ("/vms/999999999", "/storage/homelab-unnamed", "/nodes/homelab-unnamed", "/pool/homelab-unnamed")
_ALWAYS = "a user, unlike a token, may always change his own password and make API tokens for himself"


@dataclass(frozen=True)
class Outcome:
    """What became of an assertion. ``confirmed`` tells whether PVE's own answers were the same; None: not asked."""

    assertion: Assertion
    subjects: tuple[str, ...]
    holds: bool
    confirmed: bool | None = None
    notes: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """Return it as module results show it."""
        return {
            "assertion": str(self.assertion),
            "subjects": list(self.subjects),
            "holds": self.holds,
            "confirmed": self.confirmed,
            "notes": list(self.notes),
        }


def judge(observed: Observed, policy: Policy, judgement: Judgement, asked: Source | None) -> list[Outcome]:
    """Judge all assertions. ``asked`` is where PVE is asked to confirm them; None to leave that out.

    Subjects that are named in full are confirmed, with one request each; those of patterns are only worked out.
    """
    everybody = sorted({*observed.state.users, *observed.state.tokens})
    places = _places(observed)
    answers: dict[str, Mapping[str, Privileges] | None] = {}
    outcomes = []
    for assertion in policy.assertions:
        outcomes.append(_judge(observed, assertion, everybody, places, judgement, asked, answers))
    return outcomes


def _judge(
    observed: Observed,
    assertion: Assertion,
    everybody: Iterable[str],
    places: Sequence[str],
    judgement: Judgement,
    asked: Source | None,
    answers: dict[str, Mapping[str, Privileges] | None],
) -> Outcome:
    pattern = any(sign in assertion.subject for sign in "*?[")
    subjects = [one for one in everybody if fnmatchcase(one, assertion.subject)] if pattern else [assertion.subject]
    if not subjects or (not pattern and assertion.subject not in everybody):
        judgement.find(
            "assertion_unmatched",
            assertion.subject,
            assertion.path,
            f"The assertion '{assertion}' speaks of nobody: there is no such user or token.",
            expected=assertion.subject,
            fix="Correct the subject, or take the assertion out.",
        )
    holds = True
    confirmed: bool | None = None
    notes: dict[str, None] = {}
    for subject in subjects:
        for path in _matching(assertion, places):
            held = observed.evaluator.privileges(subject, path)
            wrong = _wrong(assertion, held, observed)
            if wrong:
                holds = False
                _tell(judgement, assertion, subject, path, held, wrong)
            notes.update(dict.fromkeys(_notes(assertion, subject, path, held)))
        if asked is not None and not pattern:
            confirmed = _confirm(observed, subject, _matching(assertion, places), judgement, asked, answers)
    return Outcome(assertion, tuple(subjects), holds, confirmed, tuple(notes))


def _places(observed: Observed) -> list[str]:
    """Return every path that an assertion can tell from others: those with entries, and those of all objects."""
    paths = {*TREE_PATHS, *UNNAMED, *observed.state.acl_paths, *observed.state.pools_of}
    paths.update(f"/vms/{vmid}" for vmid in observed.guests)
    for kind, above in (("node", "/nodes/"), ("storage", "/storage/"), ("pool", "/pool/")):
        paths.update(above + name for name in observed.names(kind))
    paths.update(f"/access/groups/{group}" for group in observed.state.groups)
    return sorted(paths)


def _matching(assertion: Assertion, places: Sequence[str]) -> list[str]:
    if any(sign in assertion.path for sign in "*?["):
        found = [path for path in places if fnmatchcase(path, assertion.path)]
    else:
        found = [assertion.path]
    if assertion.below:
        tops = set(found)
        found = sorted(tops.union(path for path in places if tops.intersection(ancestors(path))))
    return found


def _wrong(assertion: Assertion, held: Privileges, observed: Observed) -> str:
    """Return what is wrong with what somebody holds on a path, empty where nothing is."""
    names = frozenset(held)
    if assertion.kind == NOTHING:
        return _list("holds", names)
    if assertion.kind == NEVER:
        return _list("holds", names & assertion.privs)
    if assertion.kind == AT_MOST:
        return _list("holds besides", names - assertion.privs)
    if assertion.kind == AT_LEAST:
        return _list("lacks", assertion.privs - names)
    if assertion.kind == EXACTLY:
        parts = (_list("lacks", assertion.privs - names), _list("holds besides", names - assertion.privs))
        return " and ".join(part for part in parts if part)
    return _list("holds, and can change things with it,", _writing(names, observed))


def _writing(names: Iterable[str], observed: Observed) -> frozenset[str]:
    return frozenset(names) - reading_privileges(observed.access.release) - READS_MORE


def _list(what: str, names: Iterable[str]) -> str:
    told = ", ".join(sorted(names))
    return f"{what} {told}" if told else ""


def _notes(assertion: Assertion, subject: str, path: str, held: Privileges) -> Iterator[str]:
    if assertion.kind != "read_only":
        return
    more = READS_MORE.intersection(held)
    if more:
        yield f"{subject} also reads logs or files: {', '.join(sorted(more))} on {path}"
    if not is_token(subject):
        yield f"{subject}: {_ALWAYS}"


def _tell(judgement: Judgement, assertion: Assertion, subject: str, path: str, held: Privileges, wrong: str) -> None:
    limit = assertion.kind in LIMITS or assertion.kind == EXACTLY
    judgement.find(
        "assertion",
        subject,
        path,
        f"{subject} {wrong} on {path}, against the assertion '{assertion}'.",
        expected=str(assertion),
        found=sorted(held),
        fix=(
            f"Find the ACL entries that give it, on {path} or above, for the id itself, its user, his groups or a pool "
            "(`pveum user permissions` lists what holds), and take them away; or correct the assertion."
            if limit
            else "Give the id, and with privilege separation its user too, a role that holds it on this path or above."
        ),
        level=assertion.level,
    )


def _confirm(
    observed: Observed,
    subject: str,
    paths: Iterable[str],
    judgement: Judgement,
    asked: Source,
    answers: dict[str, Mapping[str, Privileges] | None],
) -> bool | None:
    """Compare PVE's own answer about a subject with what was worked out. None where PVE does not tell."""
    if subject not in answers:
        try:
            answers[subject] = rights_from(asked.get("/access/permissions", {"userid": subject}))
        except (ApiError, NotInSnapshot):
            answers[subject] = None
    told = answers[subject]
    if told is None:
        return None
    same = True
    for path in paths:
        # A path that PVE's tree does not have is not told apart from those above it.
        if path in told and dict(told[path]) != observed.evaluator.privileges(subject, path):
            same = False
            judgement.find(
                "assertion_unconfirmed",
                subject,
                path,
                f"PVE says that {subject} holds other rights on {path} than follow from its lists.",
                expected=sorted(observed.evaluator.privileges(subject, path)),
                found=sorted(told[path]),
                fix="Audit again; if it stays, please report it with the output of `pveum user permissions`.",
            )
    return same
