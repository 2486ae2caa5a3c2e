"""Whether what people can really do is what a policy says they can, at the most or at the least."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from ..access.explain import Explainer
from ..access.model import ROOT, Entry, is_token
from ..access.observe import pools_matter, rights_from
from ..access.paths import ancestors
from ..access.permissions import TREE_PATHS, Evaluator, Privileges, entry_paths
from ..access.releases import READS_MORE, privileges, reading_privileges
from ..client.errors import ApiError
from ..wording import some_of
from .document import AT_LEAST, AT_MOST, EXACTLY, LIMITS, NEVER, NOTHING, READ_ONLY, Assertion, Policy, is_pattern
from .findings import Judgement
from .observe import Observed
from .sources import NotInSnapshot, Source

# Stand for all guests, storages, nodes and pools that nobody has named: what holds there holds for those to come.
UNNAMED = ("/vms/999999999", "/storage/homelab-unnamed", "/nodes/homelab-unnamed", "/pool/homelab-unnamed")
_ALWAYS = "a user, unlike a token, may always change his own password and make API tokens for himself"
_NONE: frozenset[str] = frozenset()
_MOST_PATHS = 5


@dataclass(frozen=True)
class Outcome:
    """What became of an assertion. ``confirmed`` tells whether PVE's own answers were the same; None: not asked.

    One that could not be judged, because nobody is there or not enough is seen, does not hold.
    """

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


class _Wrong(NamedTuple):
    """The privileges that somebody lacks on a path, and those that he holds and should not."""

    lacks: frozenset[str] = _NONE
    more: frozenset[str] = _NONE

    def within(self, other: _Wrong) -> bool:
        return self.lacks <= other.lacks and self.more <= other.more


_RIGHT = _Wrong()


class Area:
    """Paths that are looked at together, in their order, with what can be told of them whoever it is about."""

    def __init__(self, paths: Iterable[str], in_pools: Container[str]) -> None:
        self.lines = {path: tuple(ancestors(path)) for path in sorted(paths)}
        self.paths = tuple(self.lines)
        # The nearest of the others that is above a path.
        self.above = {
            path: nearest
            for path, line in self.lines.items()
            for nearest in [next((one for one in reversed(line[:-1]) if one in self.lines), None)]
            if nearest is not None
        }
        # What has neither entries nor pools has what its parent hands down.
        self._alike: dict[str, list[str]] = {}
        self._alone = [path for path in self.paths if path == "/" or path in in_pools]
        for path in self.paths:
            if path != "/" and path not in in_pools:
                self._alike.setdefault(path.rpartition("/")[0], []).append(path)

    def rights(
        self, evaluator: Evaluator, subject: str, entries: Set[str]
    ) -> Iterator[tuple[Privileges, Sequence[str]]]:
        """Yield what somebody holds, with the paths where he does. ``entries`` are the paths of what decides about it.

        Each path comes once. It makes a difference: there are thousands of guests, and few places with entries.
        """
        for path in {*self._alone, *(path for path in entries if path in self.lines)}:
            yield evaluator.privileges(subject, path), (path,)
        for paths in self._alike.values():
            plain = next((path for path in paths if path not in entries), None)
            if plain is not None:
                yield evaluator.privileges(subject, plain), [path for path in paths if path not in entries]


def judge(observed: Observed, policy: Policy, judgement: Judgement, asked: Source | None) -> list[Outcome]:
    """Judge all assertions. ``asked`` is where PVE is asked to confirm them; None to leave that out.

    Subjects that are named in full are confirmed, with one request each; those of patterns are only worked out.
    """
    judge_one = _Judge(observed, judgement, asked)
    return [judge_one(assertion) for assertion in policy.assertions]


class _Judge:
    def __init__(self, observed: Observed, judgement: Judgement, asked: Source | None) -> None:
        self.observed, self.judgement, self.asked = observed, judgement, asked
        self.state, self.evaluator = observed.state, observed.evaluator
        self.everybody = sorted({*self.state.users, *self.state.tokens})
        self.places = _places(observed)
        lists = {"users", "groups", "acl", *(["pools"] if pools_matter(self.state) else [])}
        # What is worked out from lists that may not be whole can be too little.
        self.sees_all = lists <= observed.access.complete
        self.explainer = Explainer(self.state, self.evaluator)
        # Where PVE's own answers about somebody differ; None where it does not tell.
        self.differences: dict[str, Mapping[str, Privileges] | None] = {}
        self.told: set[tuple[str, str]] = set()
        self.areas: dict[tuple[str, bool], Area] = {}

    def __call__(self, assertion: Assertion) -> Outcome:
        pattern = is_pattern(assertion.subject)
        subjects = [one for one in self.everybody if fnmatchcase(one, assertion.subject)] if pattern else []
        known = assertion.subject in self.state.users or assertion.subject in self.state.tokens
        area = self._area(assertion)
        if not (subjects or known or assertion.subject == ROOT):
            self._tell_unmatched(assertion)
            # What entries that outlived a user would give whoever gets his name counts as held.
            judged = not pattern and assertion.kind in LIMITS and "users" in self.observed.access.complete
            holds = judged and self._holds(assertion, assertion.subject, area)
            return Outcome(assertion, () if pattern else (assertion.subject,), holds)
        if not area.paths:
            self._tell_unmatched(assertion, path=True)
        if not pattern:
            subjects = [assertion.subject]
        holds = bool(area.paths)
        for subject in subjects:
            holds = self._holds(assertion, subject, area) and holds
        confirmed = None if pattern or self.asked is None else self._confirm(subjects[0], area.paths)
        return Outcome(assertion, tuple(subjects), holds, confirmed, tuple(self._notes(assertion, subjects, area)))

    def _area(self, assertion: Assertion) -> Area:
        """Return the paths that an assertion speaks of."""
        key = (assertion.path, assertion.below)
        if key not in self.areas:
            self.areas[key] = Area(self._matching(assertion), self.state.pools_of)
        return self.areas[key]

    def _matching(self, assertion: Assertion) -> Iterable[str]:
        found = [assertion.path]
        if is_pattern(assertion.path):
            found = [path for path in self.places if fnmatchcase(path, assertion.path)]
        if assertion.below:
            tops = set(found)
            return tops.union(path for path in self.places if not tops.isdisjoint(ancestors(path)))
        return found

    def _tell_unmatched(self, assertion: Assertion, *, path: bool = False) -> None:
        if not path and "users" not in self.observed.access.complete:
            return  # there may be one all the same, and that this is not known is a gap
        nothing = "nothing: no path is like that" if path else "nobody: there is no such user or token"
        self.judgement.find(
            "assertion_unmatched",
            assertion.subject,
            assertion.path,
            f"The assertion '{assertion}' speaks of {nothing}.",
            expected=assertion.path if path else assertion.subject,
            fix=f"Correct the {'path' if path else 'subject'}, or take the assertion out.",
            apart=str(assertion),
        )

    # -- what is wrong -------------------------------------------------------------------------------------------------

    def _holds(self, assertion: Assertion, subject: str, area: Area) -> bool:
        """Tell whether an assertion holds for somebody, and write down where it does not."""
        entries = entry_paths(self.state, subject)
        wrong: dict[str, _Wrong] = {}
        for held, paths in area.rights(self.evaluator, subject, entries):
            found = self._wrong(assertion, held)
            if found != _RIGHT:
                wrong.update(dict.fromkeys(paths, found))
        for path in UNNAMED:
            if path in wrong and wrong[path].lacks:
                # Nobody has to hold anything on what is not there.
                wrong[path] = _Wrong(more=wrong[path].more)
                if wrong[path] == _RIGHT:
                    del wrong[path]
        if wrong:
            self._tell(assertion, subject, {path: wrong[path] for path in sorted(wrong)}, area, entries)
        return not wrong

    def _wrong(self, assertion: Assertion, held: Privileges) -> _Wrong:
        names, privs, kind = frozenset(held), assertion.privs, assertion.kind
        if kind == NOTHING:
            return _Wrong(more=names)
        if kind == NEVER:
            return _Wrong(more=names & privs)
        if kind == AT_MOST:
            return _Wrong(more=names - privs)
        if kind == AT_LEAST:
            return _Wrong(privs - names)
        if kind == EXACTLY:
            return _Wrong(privs - names, names - privs)
        return _Wrong(more=names - reading_privileges(self.observed.access.release) - READS_MORE)

    def _tell(
        self, assertion: Assertion, subject: str, wrong: Mapping[str, _Wrong], area: Area, entries: Set[str]
    ) -> None:
        """Write down what is wrong, once for all that has it from the same place."""
        together: dict[tuple[Any, ...], list[str]] = {}
        for path, found in wrong.items():
            top = area.above.get(path, "")
            if top in wrong:
                between = area.lines[path][len(area.lines[top]) :]
                inherits = found.within(wrong[top]) and entries.isdisjoint(between)
                if found == wrong[top] or (inherits and not self._by_pools(subject, path)):
                    continue
            giver = next((one for one in reversed(area.lines[path]) if one in entries), "")
            key = (path.rpartition("/")[0], found, giver, self._by_pools(subject, path))
            together.setdefault(key, []).append(path)
        shown: set[str] = set()
        for (parent, wrong_here, *unused), paths in together.items():
            found = wrong_here if self.sees_all else _Wrong(more=wrong_here.more)
            if found == _RIGHT:
                continue
            named = [path for path in paths if path not in UNNAMED]
            all_below = f"{parent}/*"
            several = len(paths) > 1 or not named
            at = all_below if several and all_below not in shown else paths[0]
            shown.add(at)
            where = some_of(named, _MOST_PATHS) or f"whatever is new below {parent}"
            self._find(assertion, subject, at, where, paths[0], found)

    def _by_pools(self, subject: str, path: str) -> frozenset[Entry]:
        """Return the entries that count on a path only by the pools that it is in."""
        if path not in self.state.pools_of:
            return frozenset()
        grants = [grant for half in self.explainer.halves(subject, path) for grant in half]
        return frozenset(grant.entry for grant in grants if grant.pool) - {
            grant.entry for grant in grants if not grant.pool
        }

    def _find(self, assertion: Assertion, subject: str, at: str, where: str, path: str, wrong: _Wrong) -> None:
        besides = {
            READ_ONLY: "holds, and can change things with it,",
            AT_MOST: "holds besides",
            EXACTLY: "holds besides",
        }
        parts = (
            f"lacks {some_of(sorted(wrong.lacks))}" if wrong.lacks else "",
            f"{besides.get(assertion.kind, 'holds')} {some_of(sorted(wrong.more))}" if wrong.more else "",
        )
        fixes = (self._fix_of_more(subject, path, wrong.more), self._fix_of_lacks(subject, path, wrong.lacks))
        said = " and ".join(part for part in parts if part)
        self.judgement.find(
            "assertion",
            subject,
            at,
            f"{subject} {said} on {where}, against the assertion '{assertion}'.",
            expected=str(assertion),
            found=sorted(self.evaluator.privileges(subject, path)),
            fix=" ".join(part for part in fixes if part) + " Or correct the assertion.",
            level=assertion.level,
            apart=str(assertion),
        )

    def _fix_of_more(self, subject: str, path: str, more: frozenset[str]) -> str:
        if not more:
            return ""
        if subject == ROOT:
            return "root@pam may do everything, always: use another id."
        grants = self.explainer.explain(subject, path)
        told = dict.fromkeys(
            f"{grant.entry.role} for {grant.entry.principal.kind} {grant.entry.principal.name} on {grant.entry.path}"
            + (f" (by the pool {grant.pool})" if grant.pool else "")
            for name in sorted(more)
            for grant in grants.get(name, ())
        )
        return f"It comes from {some_of(told, _MOST_PATHS)}: take that away, or give a role without it."

    def _fix_of_lacks(self, subject: str, path: str, lacks: frozenset[str]) -> str:
        if not lacks:
            return ""
        release = self.observed.access.release
        unknown = sorted(lacks - privileges(release))
        if unknown:
            return f"PVE {release[0]}.{release[1]} has no {', '.join(unknown)}: name what took its place."
        token = self.state.tokens.get(subject)
        whom = "the token and its user both" if token and token.privsep else "the id, or a group that it is in,"
        return f"Give {whom} a role with it on {path} or above; an entry in between may hide it."

    # -- what else is to be said ---------------------------------------------------------------------------------------

    def _notes(self, assertion: Assertion, subjects: Sequence[str], area: Area) -> Iterator[str]:
        release = self.observed.access.release
        unknown = sorted(assertion.privs - privileges(release))
        if unknown:
            yield f"PVE {release[0]}.{release[1]} has no {', '.join(unknown)}, and nobody can hold it"
        if assertion.kind != READ_ONLY:
            return
        for subject in subjects:
            yield from self._reads_more(subject, area)
        users = [subject for subject in subjects if not is_token(subject)]
        if users:
            yield f"{some_of(users)}: {_ALWAYS}"

    def _reads_more(self, subject: str, area: Area) -> Iterator[str]:
        more: dict[str, frozenset[str]] = {}
        for held, paths in area.rights(self.evaluator, subject, entry_paths(self.state, subject)):
            names = READS_MORE.intersection(held)
            more.update(dict.fromkeys(paths if names else (), names))
        together: dict[frozenset[str], list[str]] = {}
        for path, names in sorted(more.items()):
            if path not in UNNAMED and not names <= more.get(area.above.get(path, ""), _NONE):
                together.setdefault(names, []).append(path)
        for names, found in together.items():
            where = some_of(found, _MOST_PATHS)
            yield f"{subject} also reads logs or files: {', '.join(sorted(names))} on {where}"

    # -- asking PVE itself ---------------------------------------------------------------------------------------------

    def _confirm(self, subject: str, paths: Iterable[str]) -> bool | None:
        """Compare PVE's own answer about a subject with what was worked out. None where PVE does not tell."""
        if subject not in self.differences:
            self.differences[subject] = self._ask(subject)
        differing = self.differences[subject]
        if differing is None:
            return None
        # What holds on a path that PVE's tree does not have follows from those above it.
        concerned = sorted({one for path in paths for one in ancestors(path)} & differing.keys())
        for path in concerned:
            if (subject, path) in self.told or not differing.keys().isdisjoint([*ancestors(path)][:-1]):
                continue
            self.told.add((subject, path))
            self.judgement.find(
                "assertion_unconfirmed",
                subject,
                path,
                f"PVE says that {subject} holds other rights on {path} than follow from its lists.",
                expected=sorted(self.evaluator.privileges(subject, path)),
                found=sorted(differing[path]),
                fix="Audit again; if it stays, please report it with the output of `pveum user permissions`.",
            )
        return not concerned

    def _ask(self, subject: str) -> Mapping[str, Privileges] | None:
        """Return what PVE says about a subject wherever that is not what was worked out."""
        if self.asked is None or not self.sees_all:
            return None
        try:
            told = rights_from(self.asked.get("/access/permissions", {"userid": subject}))
        except (ApiError, NotInSnapshot):
            return None
        # PVE leaves out the paths on which nothing is held.
        every = {*told, *TREE_PATHS, *self.state.acl_paths, *self.state.pools_of}
        return {
            path: told.get(path, {})
            for path in sorted(every)
            if told.get(path, {}) != self.evaluator.privileges(subject, path)
        }


def _places(observed: Observed) -> list[str]:
    """Return every path that an assertion can tell from others: those with entries, and those of all objects."""
    paths = {*TREE_PATHS, *UNNAMED, *observed.state.acl_paths, *observed.state.pools_of}
    paths.update(f"/vms/{vmid}" for vmid in observed.guests)
    for kind, above in (("node", "/nodes/"), ("storage", "/storage/"), ("pool", "/pool/")):
        paths.update(above + name for name in observed.names(kind))
    paths.update(f"/access/groups/{group}" for group in observed.state.groups)
    return sorted(paths)
