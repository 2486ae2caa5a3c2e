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

from . import paths
from .model import AccessState, Pool, Principal, is_token, owner_of
from .observe import user_is_usable
from .permissions import Evaluator, sources

# Where a row, or an exception from one, holds: on the path, below it, or both.
HERE, BELOW, BOTH = "here", "below", "both"

# A name that no object can have. What is held on it is held on all objects beside it that have no entries.
_NOBODY = "*"
_NO_GUEST = 0
_MOST_PATHS = 5

_Place = tuple[str, str]  # path, and where
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
    more = len(places) - _MOST_PATHS
    return ", ".join(places[:_MOST_PATHS]) + (f" and {more} more" if more > 0 else "")


def rights_change(before: AccessState, after: AccessState, *, now: float) -> list[RightsChange]:
    """Return who gains and who loses which privilege where, by subject, gains first.

    ``now`` is in seconds since the epoch; it decides who has expired. Users that are named by ACL entries alone, and
    do not exist, do not count.
    """
    was, will = _Side(before, now), _Side(after, now)
    changes: list[RightsChange] = []
    for subject, why in _concerned(was, will):
        spots = list(_spots(subject, was, will))
        for gained in (True, False):
            changes += _rows(subject, gained, why, spots)
    return changes


def hidden_pools_matter(
    before: AccessState, after: AccessState, *, now: float, read: bool, in_full: bool, changes: Sequence[RightsChange]
) -> bool:
    """Tell whether members of pools that were not read could gain or lose anything that ``changes`` do not say.

    ``read`` says that the pools of all guests are known, ``in_full`` that no pool hides its members from the caller.
    Pools with ACL entries of their own are always read, as far as the caller may.
    """
    names = [_NOBODY]
    if not in_full:
        names += sorted(
            {path[len("/pool/") :] for state in (before, after) for path in state.acl_paths if _in_pool(path)}
        )
    storages = {path for state in (before, after) for path in state.acl_paths if path.startswith("/storage/")}
    for number, name in enumerate(names):
        hidden = Pool(
            name,
            vms=frozenset() if read and in_full else frozenset({_NO_GUEST - number}),
            storage=frozenset({_NOBODY, *(path[len("/storage/") :] for path in storages)}),
        )
        with_it = [_with_members(state, hidden) for state in (before, after)]
        if rights_change(*with_it, now=now) != changes:
            return True
    return False


def _in_pool(path: str) -> bool:
    return path.startswith("/pool/")


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

    def exists(self, subject: str) -> bool:
        there = not is_token(subject) or subject in self.state.tokens
        return there and owner_of(subject) in self.state.users

    def usable(self, subject: str) -> bool:
        return user_is_usable(self.state, subject, self.now)

    def at(self, subject: str, path: str) -> _Names:
        """Return the privileges that ``subject`` can use on a path."""
        token = self.state.tokens.get(subject)
        key = (owner_of(subject) if token is not None and not token.privsep else subject, path)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = frozenset(self._evaluator.privileges(*key))
        return found

    def below(self, subject: str, path: str) -> _Names:
        """Return the privileges that ``subject`` can use on whatever is below a path and has no entries of its own."""
        return self.at(subject, f"{path.rstrip('/')}/{_NOBODY}")

    def paths(self, subject: str) -> set[str]:
        """Return the paths with entries that decide about a subject."""
        acl = self.state.acl
        return {path for principal in sources(self.state, subject) for path in acl.get(principal, {})}


# -- whom it concerns ---------------------------------------------------------------------------------------------


def _concerned(was: _Side, will: _Side) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the subjects whose rights may differ, with the reasons why."""
    before, after = was.state, will.state
    entries = {p for p in before.acl.keys() | after.acl.keys() if before.acl.get(p) != after.acl.get(p)}
    roles = {role for role in before.roles.keys() | after.roles.keys() if _privs(before, role) != _privs(after, role)}
    by_roles = _naming(before, roles) | _naming(after, roles)
    by_pools: set[Principal] = set()
    if before.pools_of != after.pools_of:
        by_pools = {p for state in (before, after) for p, at in state.acl.items() if any(map(_reaches_pools, at))}
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


def _reaches_pools(path: str) -> bool:
    return path in ("/", "/pool") or _in_pool(path)


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
    """What is gained and lost on a path, below it, and just above: below the nearest path where something stands."""

    path: str
    above: str  # the path of that
    at: tuple[_Names, _Names]  # gained, lost
    below: tuple[_Names, _Names]
    over: tuple[_Names, _Names]


def _spots(subject: str, was: _Side, will: _Side) -> Iterator[_Spot]:
    """Yield all paths on which a subject's rights can change otherwise than above them, from the root down."""
    sides = (was if was.usable(subject) else None, will if will.usable(subject) else None)
    own = {path for side in sides if side for path in side.paths(subject)}
    below: dict[str, tuple[_Names, _Names]] = {}
    for path in sorted({"/", *own}):
        above = _nearest(path, below)
        below[path] = _difference(*(side.below(subject, path) if side else _NONE for side in sides))
        at = _difference(*(side.at(subject, path) if side else _NONE for side in sides))
        yield _Spot(path, above, at, below[path], below[above] if above else (_NONE, _NONE))
    if not any(map(_reaches_pools, own)):
        return
    # Members of the same pools that have no entries of their own are all alike.
    alike: dict[tuple[str, _Names, _Names], tuple[_Names, _Names]] = {}
    for path in sorted((was.state.pools_of.keys() | will.state.pools_of.keys()) - own):
        above = _nearest(path, below)
        key = (above, was.state.pools_of.get(path, _NONE), will.state.pools_of.get(path, _NONE))
        if key not in alike:
            alike[key] = _difference(*(side.at(subject, path) if side else _NONE for side in sides))
        if alike[key] != below[above]:
            yield _Spot(path, above, alike[key], below[above], below[above])


def _nearest(path: str, known: Mapping[str, object]) -> str:
    """Return the nearest of some paths that is above a path; an empty text if there is none."""
    return next((at for at in reversed(list(paths.ancestors(path))) if at != path and at in known), "")


def _difference(was: _Names, will: _Names) -> tuple[_Names, _Names]:
    return will - was, was - will


# -- rows ---------------------------------------------------------------------------------------------------------


def _rows(subject: str, gained: bool, why: tuple[str, ...], spots: Iterable[_Spot]) -> list[RightsChange]:
    """Put what holds on single paths into as few rows as can be."""
    rows: dict[tuple[str, str, str], list[_Place]] = {}  # path, where, privilege -> exceptions
    covers: dict[str, dict[str, tuple[str, str, str]]] = {}  # path -> privilege -> row that holds below the path
    side = 0 if gained else 1
    for spot in spots:
        at, below, over = spot.at[side], spot.below[side], spot.over[side]
        inherited = covers.get(spot.above, {})
        covers[spot.path] = covering = {name: inherited[name] for name in below & over}
        for name in (at | below) - over:
            row = (spot.path, BOTH if name in at and name in below else BELOW if name in below else HERE, name)
            rows[row] = []
            if name in below:
                covering[name] = row
        for name in over - (at & below):
            where = BELOW if name in at else HERE if name in below else BOTH
            rows[inherited[name]].append((spot.path, where))
    together: dict[tuple[str, str, tuple[_Place, ...]], list[str]] = {}
    for (path, where, name), apart in rows.items():
        together.setdefault((path, where, tuple(apart)), []).append(name)
    alike: dict[tuple[str, tuple[_Place, ...], tuple[str, ...]], list[str]] = {}
    for (path, where, exceptions), names in together.items():
        alike.setdefault((where, exceptions, tuple(sorted(names))), []).append(path)
    return [
        RightsChange(subject, gained, names, tuple(at), where, exceptions, why)
        for (where, exceptions, names), at in sorted(alike.items(), key=lambda item: (item[1], item[0]))
    ]
