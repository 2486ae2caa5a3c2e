"""Access as it is, held against what a policy declares.

One thing that somebody has done is one finding: what goes with an object (the tokens of a user, the ACL entries of a
token or with a role) is told with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ...access.document import Document, TokenSpec, UserSpec
from ...access.entries import powerless
from ...access.expiry import Expiry
from ...access.ghosts import ghosts, purge
from ...access.model import AccessState, Entry, is_token, owner_of
from ...access.observe import View
from ...access.paths import ancestors
from ...access.refusals import ENTRIES, STATE, UNSEEN, Refusal, Target
from ...access.releases import privileges
from ...access.rotation import NEVER
from ...access.shown import FIELDS, KEYS, acl_row
from ...access.target import make_target
from ...wording import some_of
from ..findings import Judgement
from ..observe import Observed, unseen
from .findings import LEFT_ALONE, differing, tell_different, tell_missing, tell_refused, tell_unexpected

Fields = dict[str, Any]
Thing = tuple[str, str]  # a kind of objects (users, groups, ...) and an id
_NEW_SECRET = "A token that is made anew has a new secret."
_NOT_EMPTY = "Take its members out first; PVE insists."
_NO_END = (
    "It gets an end again if that is declared as a day: a span is reckoned when something is made or renewed, and what "
    "is there is left alone."
)


def judge_access(observed: Observed, document: Document, judgement: Judgement) -> AccessState:
    """Write down all differences, and return the state that the document means."""
    # Where secrets are kept, and when they are renewed, is for those who apply the policy.
    tokens = tuple(replace(spec, return_secret=True, rotate=NEVER) for spec in document.tokens)
    wanted = replace(document, tokens=tokens).for_release(observed.access.release)
    view = observed.access
    if wanted.purge_ghosts and view.complete >= {"users", "groups", "acl"}:
        # They go before all else.
        view = replace(view, state=purge(view.state, view.complete).after)
    target = make_target(view, wanted, judging=True)
    _Drift(observed.access, wanted, target, judgement).run()
    return target.state


class _Drift:
    def __init__(self, view: View, wanted: Document, target: Target, judgement: Judgement) -> None:
        self.view, self.wanted, self.target, self.judgement = view, wanted, target, judgement
        self.before, self.after = view.state, target.state
        # What goes with an object that is missing or unexpected, or with what is refused, and is told with it.
        self.with_missing: dict[Thing, list[Fields]] = {}
        self.with_unexpected: dict[Thing, list[Fields]] = {}
        self.with_refused: dict[str, list[Fields]] = {}
        # What is refused, by what it is about and the path.
        self.refusals: dict[tuple[str, str], dict[str, Refusal]] = {}
        # What stands against applying the policy as things are now.
        self.obstacles: dict[tuple[str, str], dict[str, Refusal]] = {}
        self.absent = _absent(wanted)
        # Groups that are there on one side only: membership in them goes without saying.
        self.one_sided = frozenset(self.before.groups.keys() ^ self.after.groups.keys())

    def run(self) -> None:
        """Write down everything."""
        self._sort_problems()
        self._entries()
        for kind in KEYS:
            self._objects(kind)
        self._memberships()
        self._pool_members()
        self._refused()
        for kept in self.target.kept:
            self.judgement.note(f"Not declared, and left alone all the same: {kept}.")

    # -- what speaks against the policy itself -------------------------------------------------------------------------

    def _sort_problems(self) -> None:
        for problem in self.target.problems:
            if problem.cause == UNSEEN:
                gap = unseen(self.view.caller, problem.unseen)
                self.judgement.gap(gap.what, gap.reason, gap.fix)
                continue
            found = self.obstacles if problem.cause == STATE else self.refusals
            found.setdefault((problem.about, problem.path), {})[str(problem)] = problem

    def _refused(self) -> None:
        for key, left in self.obstacles.items():
            self.refusals.setdefault(key, {}).update(left)
        for (about, path), problems in self.refusals.items():
            said = " ".join(problem.message for problem in problems.values())
            hints = " ".join(dict.fromkeys(problem.hint for problem in problems.values() if problem.hint))
            rows = self.with_refused.get(path if about == ENTRIES else about)
            tell_refused(self.judgement, about, path, said, hints, expected=rows)
        owners = {name for kind, name in self._assumed() if kind == "users"}
        for kind, name in self._assumed():
            if kind == "tokens" and owner_of(name) in owners:
                continue
            about = _subject(kind, name)
            tell_refused(
                self.judgement,
                about,
                "",
                f"The policy needs {about}, which is not there, and does not declare it.",
                f"Declare it{self._meant(about)}.",
                expected={"acl": rows} if (rows := self.with_missing.get((kind, name))) else None,
            )
        if not (self.target.problems or self.target.assumed):
            for problem in powerless(self.view, self.wanted, self.target):
                tell_refused(self.judgement, problem.about, problem.path, problem.message, problem.hint)

    def _assumed(self) -> Iterator[Thing]:
        for kind in KEYS:
            there = getattr(self.before, kind)
            yield from ((kind, name) for name in getattr(self.target.base, kind) if name not in there)

    def _meant(self, about: str) -> str:
        """Return the guess that goes with what nobody declares."""
        for said in self.target.assumed:
            if said.startswith(about + " ("):
                return " " + said[len(about) + 1 :]
        return ""

    # -- objects -------------------------------------------------------------------------------------------------------

    def _objects(self, kind: str) -> None:
        before: Mapping[str, Any] = getattr(self.before, kind)
        after: Mapping[str, Any] = getattr(self.after, kind)
        assumed: Mapping[str, Any] = getattr(self.target.base, kind)
        for name in sorted({*before, *after}):
            old, new = before.get(name), after.get(name)
            if old == new:
                continue
            if old is None:
                if name not in assumed:
                    self._missing(kind, name, new)
            elif new is None:
                self._unexpected(kind, name, old)
            else:
                self._different(kind, name, old, new)

    def _missing(self, kind: str, name: str, new: Any) -> None:
        if kind == "tokens" and owner_of(name) not in self.before.users:
            return  # it is told with its user
        subject = _subject(kind, name)
        fields = {**FIELDS[kind](new), **self._company(self.after, self.before, kind, name)}
        if (subject, "") in self.refusals:
            self.with_refused[subject] = [fields]
            return
        tell_missing(self.judgement, subject, "", subject, fields, self._obstacle(subject, kind == "tokens"))

    def _unexpected(self, kind: str, name: str, old: Any) -> None:
        if kind == "tokens" and owner_of(name) not in self.after.users:
            return
        subject = _subject(kind, name)
        fields = {**FIELDS[kind](old), **self._company(self.before, self.after, kind, name)}
        absent = (kind, name) in self.absent
        also = _NOT_EMPTY if kind == "pools" and (old.vms or old.storage) and not absent else ""
        tell_unexpected(self.judgement, subject, "", subject, fields, absent=absent, also=also)

    def _company(self, state: AccessState, other: AccessState, kind: str, name: str) -> Fields:
        """Return what goes with an object that is in one of two states only."""
        rows = (self.with_missing if state is self.after else self.with_unexpected).get((kind, name), [])
        company: Fields = {"acl": rows}
        if kind == "users":
            company["tokens"] = sorted(state.tokens_of.get(name, ()))
        if kind == "groups":
            company["users"] = sorted(state.members.get(name, ()))
        return {key: value for key, value in company.items() if value}

    def _different(self, kind: str, name: str, old: Any, new: Any) -> None:
        found, expected = FIELDS[kind](old), FIELDS[kind](new)
        if kind == "users":
            for fields in (found, expected):
                fields["groups"] = [group for group in fields["groups"] if group not in self.one_sided]
        if kind == "roles":
            # What no role can have is refused, and told as that.
            known = privileges(self.view.release) | old.privs
            expected["privs"] = [name for name in expected["privs"] if name in known]
        if kind == "pools":
            if "pools" not in self.view.complete or all(spec.poolid != name for spec in self.wanted.pools):
                return
            if self.view.guests is not None and "guests" in self.view.complete:
                there = self.view.guests | old.vms
                expected["vms"] = [vmid for vmid in expected["vms"] if vmid in there]
        found, expected = differing(found, expected)
        if expected:
            subject = _subject(kind, name)
            also = [self._obstacle(subject)]
            if "expire" in expected and _expiry(self.wanted, kind, name).span:
                also.append(_NO_END)
            tell_different(self.judgement, subject, "", subject, found, expected, " ".join(filter(None, also)))

    def _obstacle(self, subject: str, secret: bool = False, path: str = "") -> str:
        """Return what stands against putting something right by applying the policy, and what that brings with it."""
        problems = self.obstacles.pop((subject, path), {})
        parts = [f"As it is, that is refused: {problem}" for problem in problems.values()]
        return " ".join([*parts, _NEW_SECRET] if secret else parts)

    # -- what is left open -------------------------------------------------------------------------------------------

    def _memberships(self) -> None:
        """Judge who is in which group where the policy leaves that open, and only what is declared may be there.

        Of groups that are only on one side, the members are told with them.
        """
        declared = {spec.userid: spec for spec in self.wanted.users}
        for name in sorted(self.before.users.keys() & self.after.users.keys()):
            spec = declared.get(name)
            if spec and spec.groups is not None and not spec.append:
                continue
            undeclared = self.before.users[name].groups - ((spec.groups if spec else None) or frozenset())
            for group in sorted(undeclared & self.after.groups.keys()):
                if self.wanted.keeps(name) or self.wanted.keeps(group):
                    continue
                if self.wanted.is_exclusive("users", name) or self.wanted.is_exclusive("groups", group):
                    what = f"the membership of user {name} in group {group}"
                    found = {"groups": [group]}
                    tell_unexpected(
                        self.judgement,
                        _subject("users", name),
                        "",
                        what,
                        found,
                        fix=f"Declare which groups the user is in, 'groups: []' if it is none, and apply the policy: "
                        f"as long as it does not say, {LEFT_ALONE}",
                        apart=group,
                    )

    def _pool_members(self) -> None:
        """Judge the members of declared pools where the policy leaves them open, and only declared ones may be."""
        for spec in self.wanted.pools:
            old, new = self.before.pools.get(spec.poolid), self.after.pools.get(spec.poolid)
            if old is None or new is None or not self.wanted.is_exclusive("pools", spec.poolid):
                continue
            found: Fields = {}
            if spec.vms is None or spec.append:
                found["vms"] = sorted((old.vms & new.vms) - (spec.vms or frozenset()))
            if spec.storage is None or spec.append:
                found["storage"] = sorted((old.storage & new.storage) - (spec.storage or frozenset()))
            found = {field: names for field, names in found.items() if names}
            if not found:
                continue
            told = some_of(str(name) for names in found.values() for name in names)
            tell_unexpected(
                self.judgement,
                _subject("pools", spec.poolid),
                "",
                f"what is in pool {spec.poolid} ({told})",
                found,
                fix=f"Declare its {' and '.join(found)}, '[]' if it has none, and apply the policy: as long as it does "
                f"not say, {LEFT_ALONE}",
                apart="members",
            )

    # -- ACL entries ---------------------------------------------------------------------------------------------------

    def _entries(self) -> None:
        before, after = dict(self.before.entries()), dict(self.after.entries())
        for entry in sorted(after.keys() - before.keys()):
            self._missing_entry(entry, after[entry])
        # The rule `ghosts` tells of the entries of what is gone.
        gone = ghosts(self.before, self.view.complete)
        for entry in sorted(before.keys() - after.keys()):
            if entry.principal not in gone:
                self._unexpected_entry(entry, before[entry])
        for entry in sorted(before.keys() & after.keys()):
            if before[entry] != after[entry]:
                subject, said = _told_entry(entry)
                found, expected = {"propagate": before[entry]}, {"propagate": after[entry]}
                tell_different(
                    self.judgement,
                    subject,
                    entry.path,
                    said,
                    {"role": entry.role, **found},
                    {"role": entry.role, **expected},
                    apart=entry.role,
                )

    def _missing_entry(self, entry: Entry, propagate: bool) -> None:
        row = acl_row(entry, propagate)
        subject, said = _told_entry(entry)
        owner = _only_in(self.after, self.before, entry)
        if owner is not None:
            self.with_missing.setdefault(owner, []).append(row)
            problems = self.obstacles.pop((subject, entry.path), {})
            if problems and owner[1] not in getattr(self.target.base, owner[0]):
                self.obstacles.setdefault((_subject(*owner), ""), {}).update(problems)
        elif (ENTRIES, entry.path) in self.refusals:
            self.with_refused.setdefault(entry.path, []).append(row)
            self.obstacles.pop((subject, entry.path), None)
        elif "acl" in self.view.complete:
            told = {"role": entry.role, "propagate": propagate}
            also = self._obstacle(subject, path=entry.path)
            tell_missing(self.judgement, subject, entry.path, said, told, also, apart=entry.role)

    def _unexpected_entry(self, entry: Entry, propagate: bool) -> None:
        owner = _only_in(self.before, self.after, entry)
        if owner is not None:
            self.with_unexpected.setdefault(owner, []).append(acl_row(entry, propagate))
            return
        subject, said = _told_entry(entry)
        told = {"role": entry.role, "propagate": propagate}
        absent = entry in self.absent
        tell_unexpected(self.judgement, subject, entry.path, said, told, absent=absent, apart=entry.role)


def _only_in(state: AccessState, other: AccessState, entry: Entry) -> Thing | None:
    """Return the object that an entry goes with, where that is in one state and not in the other."""
    kind, name = entry.principal
    things: list[Thing] = [(f"{kind}s", name), ("roles", entry.role)]
    if kind == "token" and is_token(name):
        things.insert(0, ("users", owner_of(name)))
    if entry.path.startswith("/pool/"):
        things += [("pools", path[len("/pool/") :]) for path in ancestors(entry.path) if path.startswith("/pool/")]
    for thing in things:
        if thing[1] in getattr(state, thing[0]) and thing[1] not in getattr(other, thing[0]):
            return thing
    return None


def _absent(wanted: Document) -> frozenset[Any]:
    """Return what is declared to be absent: objects by kind and id, and ACL entries."""
    found: set[Any] = set()
    for kind, key in KEYS.items():
        found.update((kind, getattr(spec, key)) for spec in getattr(wanted, kind) if spec.state == "absent")
    for acl in wanted.acls:
        if acl.state == "absent":
            found.update(Entry(path, who, role) for path in acl.paths for who in acl.principals for role in acl.roles)
    return frozenset(found)


def _expiry(wanted: Document, kind: str, name: str) -> Expiry:
    specs: Iterable[UserSpec | TokenSpec] = wanted.users if kind == "users" else wanted.tokens
    return next((spec.expire for spec in specs if getattr(spec, KEYS[kind]) == name and spec.expire), Expiry())


def _subject(kind: str, name: str) -> str:
    return f"{kind[:-1]} {name}"


def _told_entry(entry: Entry) -> tuple[str, str]:
    """Return the subject of findings about an entry, and how a sentence about it begins."""
    subject = f"{entry.principal.kind} {entry.principal.name}"
    return subject, f"{entry.role} for {subject} on {entry.path}"
