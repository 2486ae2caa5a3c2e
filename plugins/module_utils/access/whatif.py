"""What a change of access means for people: who gains and who loses which privilege where.

Both states are known, so nothing is asked of the server. Rights count when they can be used: an id that cannot log in
holds none, and gains all that it has on paper when it is enabled. So do ids that are new.

A row says something about a path, about all below it, or about both; up to paths deeper down, where something else
holds. Rows add up: for one subject and one privilege the nearest row or exception tells, and where there is none,
nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..wording import some_of
from . import paths
from .model import AccessState, Pool, Principal, is_token, owner_of
from .observe import View, user_is_usable
from .permissions import Evaluator, entry_paths, gives_by_pools, sources, unnamed_below
from .releases import privileges

# Where a row, or an exception from one, holds: on the path, below it, or both.
HERE, BELOW, BOTH = "here", "below", "both"

# A name that no object can have. What is held on it is held on all objects beside it that have no entries.
_NOBODY = "*"
_NO_GUEST = 0
_MOST_PATHS = 5

_Place = tuple[str, str]  # path, and where
_Row = tuple[tuple[str, ...], str, str]  # paths, where, privilege
_Names = frozenset[str]
_NONE: _Names = frozenset()


@dataclass(frozen=True)
class RightsChange:
    """Privileges that one user or token gains (or else loses), the same ones in the same way on some paths.

    ``where`` is here, below or both. ``apart`` are places deeper down that are not meant. ``why`` says what makes the
    difference: created, deleted, enabled, disabled, expiry, acl, groups, roles, privsep or pools.
    """

    subject: str
    gained: bool
    privileges: tuple[str, ...]
    paths: tuple[str, ...]
    where: str
    apart: tuple[_Place, ...] = ()
    why: tuple[str, ...] = ()

    def as_data(self, everything: Iterable[str] = ()) -> dict[str, Any]:
        """Return the row as module results show it; for ``everything`` see ``text``."""
        return {
            "subject": self.subject,
            "privileges": list(self.privileges),
            "paths": list(self.paths),
            "where": self.where,
            "except": [{"path": path, "where": where} for path, where in self.apart],
            "why": list(self.why),
            "text": self.text(everything),
        }

    def text(self, everything: Iterable[str] = ()) -> str:
        """Return a sentence about it. ``everything`` are all privileges that there are, which need not be listed."""
        names = "all privileges" if self.privileges == tuple(sorted(everything)) else ", ".join(self.privileges)
        places = _some([_place(path, self.where) for path in self.paths])
        apart = f", but not {_some([_place(path, where) for path, where in self.apart])}" if self.apart else ""
        why = f" ({', '.join(self.why)})" if self.why and self.why != ("acl",) else ""
        return f"{self.subject} {'gains' if self.gained else 'loses'} {names} {places}{apart}{why}"


def _place(path: str, where: str) -> str:
    return f"below {path}" if where == BELOW else f"on {path} and below" if where == BOTH else f"on {path}"


def _some(places: Sequence[str]) -> str:
    return some_of(places, _MOST_PATHS)


@dataclass(frozen=True)
class Rights:
    """Who gains and who loses what between two states of a cluster; or why that is not known."""

    changes: tuple[RightsChange, ...]
    everything: frozenset[str] = frozenset()  # all privileges that there are
    unknown: str = ""

    def lines(self, *, gained: bool) -> list[str]:
        """Return a sentence for each row of those who gain something, or lose it."""
        return [change.text(self.everything) for change in self.changes if change.gained is gained]

    def as_data(self) -> dict[str, list[dict[str, Any]]] | None:
        """Return the rows as module results show them, None where they are not known."""
        if self.unknown:
            return None
        sides = {"gained": True, "lost": False}
        return {
            name: [change.as_data(self.everything) for change in self.changes if change.gained is gained]
            for name, gained in sides.items()
        }


def rights_between(view: View, before: AccessState, after: AccessState) -> Rights:
    """Compare two states of the cluster of a view, as far as it sees all that this takes."""
    everything = privileges(view.release)
    unseen = view.unseen()
    if unseen:
        return Rights((), everything, unseen)
    both = (before, after)
    guests, all_seen = view.guests is not None, "pools" in view.complete
    if "members" not in view.complete and hidden_pools_matter(*both, now=view.now, guests=guests, all_seen=all_seen):
        return Rights((), everything, "it depends on members of pools, not all of which were read")
    return Rights(tuple(rights_change(*both, now=view.now)), everything)


def rights_change(before: AccessState, after: AccessState, *, now: float) -> list[RightsChange]:
    """Return who gains and who loses which privilege where, by subject, gains first.

    ``now`` is in seconds since the epoch; it decides who has expired. Users that are named by ACL entries alone, and
    do not exist, do not count.
    """
    sides = (_Side(before, now), _Side(after, now))
    members = _members(before, after)
    changes: list[RightsChange] = []
    for subject, why in _concerned(*sides):
        spots = list(_spots(subject, sides, members))
        for gained in (True, False):
            changes += _rows(subject, gained, why, spots)
    return changes


def hidden_pools_matter(before: AccessState, after: AccessState, *, now: float, guests: bool, all_seen: bool) -> bool:
    """Tell whether members of pools that were not read could gain or lose what ``rights_change`` does not say.

    Pools with ACL entries of their own have been read, as far as the caller may: ``all_seen`` says that he may read
    all. ``guests`` says that the pools of all guests are known otherwise.
    """
    sides = (_Side(before, now), _Side(after, now))
    reached = [
        subject
        for subject, unused in _concerned(*sides)
        if any(gives_by_pools(path) for side in sides for path in side.paths(subject))
    ]
    if not reached:
        return False
    entries = sorted(before.acl_paths | after.acl_paths)
    hiding = [] if all_seen else [path[len("/pool/") :] for path in entries if path.startswith("/pool/")]
    storages = [_NOBODY, *(path[len("/storage/") :] for path in entries if path.startswith("/storage/"))]
    vms = frozenset() if guests and all_seen else frozenset({_NO_GUEST})
    for name in (_NOBODY, *hiding):
        hidden = Pool(name, vms=vms, storage=frozenset(storages))
        with_it = (_Side(_with_members(before, hidden), now), _Side(_with_members(after, hidden), now))
        for path in (*(f"/vms/{vmid}" for vmid in vms), *(f"/storage/{storage}" for storage in storages)):
            if any(_at(subject, path, sides) != _at(subject, path, with_it) for subject in reached):
                return True
    return False


def _with_members(state: AccessState, pool: Pool) -> AccessState:
    known = state.pools.get(pool.poolid)
    if known:
        pool = replace(pool, vms=pool.vms | known.vms, storage=pool.storage | known.storage)
    return state.put("pools", pool.poolid, pool)


# -- one state ----------------------------------------------------------------------------------------------------


class _Side:
    """A state, and what is asked of it. What users hold is remembered, because their tokens ask for it, too."""

    def __init__(self, state: AccessState, now: float) -> None:
        self.state = state
        self.now = now
        self._evaluator = Evaluator(state)
        self._known: dict[_Place, _Names] = {}
        self._usable: dict[str, bool] = {}

    def exists(self, subject: str) -> bool:
        there = not is_token(subject) or subject in self.state.tokens
        return there and owner_of(subject) in self.state.users

    def usable(self, subject: str) -> bool:
        """Tell whether a subject can log in."""
        if subject not in self._usable:
            self._usable[subject] = user_is_usable(self.state, subject, self.now)
        return self._usable[subject]

    def at(self, subject: str, path: str) -> _Names:
        """Return the privileges that ``subject`` can use on a path."""
        if not self.usable(subject):
            return _NONE
        token = self.state.tokens.get(subject)
        key = (owner_of(subject) if token is not None and not token.privsep else subject, path)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = frozenset(self._evaluator.privileges(*key))
        return found

    def paths(self, subject: str) -> frozenset[str]:
        """Return the paths with entries that decide about what a subject can use."""
        if not self.usable(subject):
            return frozenset()
        return entry_paths(self.state, subject)


_Sides = tuple[_Side, _Side]  # before, after
_Change = tuple[_Names, _Names]  # gained, lost


def _at(subject: str, path: str, sides: _Sides) -> _Change:
    was, will = (side.at(subject, path) for side in sides)
    return will - was, was - will


def _below(subject: str, path: str, sides: _Sides) -> _Change:
    """Return what a subject gains and loses on whatever is below a path and has no entries of its own."""
    return _at(subject, unnamed_below(path), sides)


# -- whom it concerns ---------------------------------------------------------------------------------------------


def _concerned(was: _Side, will: _Side) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the subjects whose rights may differ, with the reasons why."""
    before, after = was.state, will.state
    entries = {p for p in before.acl.keys() | after.acl.keys() if before.acl.get(p) != after.acl.get(p)}
    roles = {role for role in before.roles.keys() | after.roles.keys() if _privs(before, role) != _privs(after, role)}
    by_roles = _naming(before, roles) | _naming(after, roles)
    by_pools: set[Principal] = set()
    if before.pools_of != after.pools_of:
        by_pools = {p for state in (before, after) for p, at in state.acl.items() if any(map(gives_by_pools, at))}
    for subject in sorted({*before.users, *after.users, *before.tokens, *after.tokens}):
        usable = (was.usable(subject), will.usable(subject))
        if usable == (True, True):
            principals = {*sources(before, subject), *sources(after, subject)}
            found = {"acl": principals & entries, "roles": principals & by_roles, "pools": principals & by_pools}
            why = [word for word, by in found.items() if by]
            why += _own_reasons(before, after, subject)
            if why:
                yield subject, tuple(sorted(why))
        elif True in usable:
            yield subject, (_log_in_reason(was, will, subject),)


def _privs(state: AccessState, role: str) -> _Names | None:
    return state.roles[role].privs if role in state.roles else None


def _naming(state: AccessState, roles: set[str]) -> set[Principal]:
    """Return the principals with entries that name one of some roles."""
    if not roles:
        return set()
    return {p for p, at in state.acl.items() if any(not roles.isdisjoint(named) for named in at.values())}


def _own_reasons(before: AccessState, after: AccessState, subject: str) -> Iterator[str]:
    owner = owner_of(subject)
    if before.users[owner].groups != after.users[owner].groups:
        yield "groups"
    if is_token(subject) and before.tokens[subject].privsep != after.tokens[subject].privsep:
        yield "privsep"


def _log_in_reason(was: _Side, will: _Side, subject: str) -> str:
    """Return why a subject can log in where it could not, or the other way round."""
    if not was.exists(subject):
        return "created"
    if not will.exists(subject):
        return "deleted"
    enabled = [side.state.users[owner_of(subject)].enable for side in (was, will)]
    if enabled[0] != enabled[1]:
        return "enabled" if enabled[1] else "disabled"
    return "expiry"


# -- where --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Spot:
    """What is gained and lost on some paths, below them, and above: below the nearest path where something stands."""

    paths: tuple[str, ...]
    above: str  # the path of that
    at: _Change
    below: _Change
    over: _Change


def _members(before: AccessState, after: AccessState) -> list[tuple[str, ...]]:
    """Return the members of pools, those of the same kind and in the same pools together."""
    alike: dict[tuple[str, _Names, _Names], list[str]] = {}
    for path in sorted(before.pools_of.keys() | after.pools_of.keys()):
        kind = path[: path.rindex("/")]
        key = (kind, before.pools_of.get(path, _NONE), after.pools_of.get(path, _NONE))
        alike.setdefault(key, []).append(path)
    return [tuple(found) for found in alike.values()]


def _spots(subject: str, sides: _Sides, members: Iterable[tuple[str, ...]]) -> Iterator[_Spot]:
    """Yield all paths on which a subject's rights can change otherwise than above them, from the root down."""
    own = sides[0].paths(subject) | sides[1].paths(subject)
    below: dict[str, _Change] = {}
    for path in sorted({"/", *own}):
        above = _nearest(path, below)
        below[path] = _below(subject, path, sides)
        yield _Spot((path,), above, _at(subject, path, sides), below[path], below.get(above, (_NONE, _NONE)))
    if not any(map(gives_by_pools, own)):
        return
    for alike in members:
        rest = tuple(path for path in alike if path not in own)
        if rest:
            # None of them has entries of its own: what holds on the first, holds on all.
            above = _nearest(rest[0], below)
            at = _at(subject, rest[0], sides)
            if at != below[above]:
                yield _Spot(rest, above, at, below[above], below[above])


def _nearest(path: str, known: Mapping[str, object]) -> str:
    """Return the nearest of some paths that is above a path; an empty text if there is none."""
    return next((at for at in reversed(list(paths.ancestors(path))) if at != path and at in known), "")


# -- rows ---------------------------------------------------------------------------------------------------------


def _rows(subject: str, gained: bool, why: tuple[str, ...], spots: Iterable[_Spot]) -> list[RightsChange]:
    """Put what holds on single paths into as few rows as can be."""
    rows: dict[_Row, list[_Place]] = {}  # -> exceptions
    covers: dict[str, dict[str, _Row]] = {}  # path -> privilege -> row that holds below the path
    side = 0 if gained else 1
    for spot in spots:
        at, below, over = spot.at[side], spot.below[side], spot.over[side]
        inherited = covers.get(spot.above, {})
        covering = {name: inherited[name] for name in below & over}
        for name in (at | below) - over:
            row = (spot.paths, BOTH if name in at and name in below else BELOW if name in below else HERE, name)
            rows[row] = []
            if name in below:
                covering[name] = row
        for name in over - (at & below):
            where = BELOW if name in at else HERE if name in below else BOTH
            rows[inherited[name]] += [(path, where) for path in spot.paths]
        for path in spot.paths:
            covers[path] = covering
    together: dict[tuple[tuple[str, ...], str, tuple[_Place, ...]], list[str]] = {}
    for (at_paths, where, name), apart in rows.items():
        together.setdefault((at_paths, where, tuple(apart)), []).append(name)
    alike: dict[tuple[str, tuple[_Place, ...], tuple[str, ...]], list[str]] = {}
    for (at_paths, where, exceptions), names in together.items():
        alike.setdefault((where, exceptions, tuple(sorted(names))), []).extend(at_paths)
    return [
        RightsChange(subject, gained, names, tuple(sorted(found)), where, exceptions, why)
        for (where, exceptions, names), found in sorted(alike.items(), key=lambda item: (item[1], item[0]))
    ]
