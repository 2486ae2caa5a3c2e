"""PVE's own permission algorithm: what a user or a token may do on a path.

Roles are looked up from the root of the tree down to the path. At each node the entries of the principal itself, or
else those of the user's groups, replace all that was inherited, provided that at least one of them counts there: one
that propagates, or any at the path that was asked for. Pools add to what their members have, and a token with
privilege separation has only what both it and its user have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from .model import ADMINISTRATOR, NO_ACCESS, ROOT, AccessState, PathRoles, Principal, is_token, owner_of

Privileges = Mapping[str, int]  # privilege -> propagate flag, 0 or 1; one with flag 0 is held all the same
_Roles = Mapping[str, bool]
_Entries = tuple[Principal, PathRoles]
_ROOT_USER = Principal("user", ROOT)

# The paths that PVE always puts into a permission tree, beside those that have ACL entries and pool members.
TREE_PATHS = ("/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms")


def _nodes(path: str) -> Iterator[tuple[str, bool]]:
    """Yield each node that PVE visits for a path as it was written, and whether it is the last.

    An empty piece stays where it is, so ``/vms`` visits the root first and ``vms`` never does.
    """
    pieces = path.rstrip("/").split("/") if path != "/" else [""]
    at = ""
    for number, piece in enumerate(pieces, 1):
        if piece:
            at += "/" + piece
        yield at or "/", number == len(pieces)


class _Held(NamedTuple):
    """The roles that count for somebody on a path, and the privileges in them."""

    roles: _Roles
    privileges: Privileges


_NOTHING = _Held({}, {})


class Standing(NamedTuple):
    """The entries that count for a principal on a path: all of them stand at one ``node`` on the way to it.

    ``rows`` tells of each whose it is (the principal's own, or one of his groups'), its role and its propagate flag.
    ``denies`` tells whether the role is NoAccess, which leaves nothing of the others.
    """

    node: str
    rows: tuple[tuple[Principal, str, bool], ...]
    held: _Held
    denies: bool = False


_NOWHERE = Standing("/", (), _NOTHING)


class Evaluator:
    """Answers questions about effective rights in one state.

    Most paths have no entries of their own, so what is worked out for one is remembered for all that inherit it.
    """

    def __init__(self, state: AccessState) -> None:
        self.state = state
        self._walks: dict[Principal, _Walk] = {}
        self._halves: dict[str, tuple[Principal, ...]] = {}
        # Whoever has the same roles holds the same: one object for all of them, by which what is put together of the
        # same parts is known again.
        self._known: dict[frozenset[tuple[str, bool]], _Held] = {frozenset(): _NOTHING}
        self._by_pools: dict[tuple[int, ...], _Held] = {}
        self._both: dict[tuple[int, int], Privileges] = {}

    def privileges(self, subject: str, path: str) -> Privileges:
        """Return what ``subject`` (a userid or a full tokenid) holds on ``path``: privilege -> propagate flag.

        The path is taken as it is, as PVE takes it: ``vms/100`` does not see the entries of ``/``, and pool rights
        hold on exactly ``/vms/N`` and ``/storage/S``. Disabled and expired ids keep their rights on paper. An unknown
        token holds nothing; an unknown user holds what entries that outlived him give.
        """
        halves = self._halves.get(subject)
        if halves is None:
            halves = self._halves[subject] = halves_of(self.state, subject)
        if not halves:
            return {}
        of_owner = self._of(halves[0], path)
        if len(halves) == 1:
            return of_owner.privileges
        of_token = self._of(halves[1], path)
        key = (id(of_token), id(of_owner))
        if key not in self._both:
            held = of_owner.privileges
            self._both[key] = {name: flag & held[name] for name, flag in of_token.privileges.items() if name in held}
        return self._both[key]

    def tree(self, subject: str) -> dict[str, Privileges]:
        """Return what ``subject`` holds on every path that matters; paths without any privilege are left out."""
        paths = set(TREE_PATHS) | self.state.acl_paths | set(self.state.pools_of)
        held = {path: self.privileges(subject, path) for path in sorted(paths)}
        return {path: privileges for path, privileges in held.items() if privileges}

    def effective(self, subject: str) -> dict[str, Privileges]:
        """Return what ``subject`` holds where its own entries, its owner's and its groups' stand, and by pools.

        What holds on a path with flag 1 holds below it too, up to where other entries stand. As in PVE's own answer,
        paths on which nothing is left are not among them.
        """
        own = set(entry_paths(self.state, subject))
        if owner_of(subject) == ROOT:
            own.add("/")
        held = {path: self.privileges(subject, path) for path in own}
        if any(map(gives_by_pools, own)):
            for members in self._alike:
                without = [path for path in members if path not in own]
                if without:
                    # None of them has entries of its own: what holds on the first, holds on all.
                    here = self.privileges(subject, without[0])
                    if here != self.privileges(subject, unnamed_below(without[0].rpartition("/")[0])):
                        held.update(dict.fromkeys(without, here))
        return {path: held[path] for path in sorted(held) if held[path]}

    def standings(self, principal: Principal, path: str) -> list[tuple[Standing, str]]:
        """Return the entries that count for a principal on a path, each time with the pool by which they do.

        First come those that stand on the path itself or above it, with an empty text for the pool.
        """
        walk = self._walk(principal)
        direct = walk.standing(path)
        found = [(direct, "")]
        if direct.denies or walk.always:
            return found
        for pool, at in self._pools.get(path, ()):
            by_pool = walk.standing(at)
            if by_pool.denies:
                return [(_NOWHERE, ""), (by_pool, pool)]
            if by_pool.rows:
                found.append((by_pool, pool))
        return found

    @cached_property
    def _pools(self) -> Mapping[str, tuple[tuple[str, str], ...]]:
        """The pools of each path that is in any, with the paths of these."""
        return {
            path: tuple((pool, "/pool/" + pool) for pool in sorted(pools))
            for path, pools in self.state.pools_of.items()
        }

    @cached_property
    def _alike(self) -> list[list[str]]:
        """The members of pools, those of the same kind and in the same pools together."""
        found: dict[tuple[str, frozenset[str]], list[str]] = {}
        for path, pools in self.state.pools_of.items():
            found.setdefault((path.rpartition("/")[0], pools), []).append(path)
        return list(found.values())

    def _of(self, principal: Principal, path: str) -> _Held:
        """Return what a principal holds on a path, by pools too."""
        if path not in self._pools:
            return self._walk(principal).standing(path).held
        standings = self.standings(principal, path)
        if len(standings) == 1:
            return standings[0][0].held
        key = tuple([id(standing.held) for standing, unused in standings])
        known = self._by_pools.get(key)
        if known is None:
            roles = dict(standings[0][0].held.roles)
            for by_pool, unused in standings[1:]:
                for role in by_pool.held.roles:
                    roles.setdefault(role, False)
            known = self._by_pools[key] = self._with(roles)
        return known

    def _walk(self, principal: Principal) -> _Walk:
        walk = self._walks.get(principal)
        if walk is None:
            walk = self._walks[principal] = _Walk(self.state, principal, self._with)
        return walk

    def _with(self, roles: _Roles) -> _Held:
        """Return what roles hold together."""
        key = frozenset(roles.items())
        known = self._known.get(key)
        if known is None:
            privileges: dict[str, int] = {}
            for role, propagate in roles.items():
                for name in self.state.roles[role].privs:
                    privileges[name] = privileges.get(name, 0) | int(propagate)
            known = self._known[key] = _Held(roles, privileges)
        return known


class _Walk:
    """The way from the root of the tree to a path, for one principal, by entries alone: see the head of this file."""

    def __init__(self, state: AccessState, principal: Principal, held_with: Callable[[_Roles], _Held]) -> None:
        self._held_with = held_with
        self._roles = state.roles
        self._own, self._groups = _entries(state, principal)
        self._paths = {path for unused, entries in (self._own, *self._groups) for path in entries}
        # root@pam may do everything, everywhere, whatever entries say.
        self.always = self._standing("/", [(principal, ADMINISTRATOR, True)]) if principal == _ROOT_USER else None
        # What comes down through a node, and what holds on a path that has entries.
        self._through: dict[str, Standing] = {}
        self._at: dict[str, Standing] = {}

    def standing(self, path: str) -> Standing:
        """Return the entries that count on a path."""
        if self.always:
            return self.always
        if not self._paths:
            return _NOWHERE
        if path in self._paths:
            known = self._at.get(path)
            if known is None:
                known = self._at[path] = self._counting(path, last=True) or self._from_above(path)
            return known
        if path.startswith("/") and not path.endswith("/") and "//" not in path:
            return self._from_above(path)
        return self._as_written(path)

    def _from_above(self, path: str) -> Standing:
        return _NOWHERE if path == "/" else self._inherited(path.rpartition("/")[0] or "/")

    def _inherited(self, node: str) -> Standing:
        known = self._through.get(node)
        if known is None:
            here = self._counting(node, last=False) if node in self._paths else None
            known = self._through[node] = here or self._from_above(node)
        return known

    def _as_written(self, path: str) -> Standing:
        """Walk a path that is not in PVE's own form, as PVE would."""
        found = _NOWHERE
        for node, last in _nodes(path):
            found = self._counting(node, last=last) or found
        return found

    def _counting(self, node: str, *, last: bool) -> Standing | None:
        """Return the entries at a node if any of them count: the principal's own, else those of his groups."""
        for entries in ([self._own], self._groups):
            rows = [
                (whose, role, propagate)
                for whose, at in entries
                for role, propagate in sorted(at.get(node, {}).items())
                if last or propagate
            ]
            found = self._standing(node, rows)
            if found.rows:
                return found
        return None

    def _standing(self, node: str, rows: Iterable[tuple[Principal, str, bool]]) -> Standing:
        """Put entries together. Those of roles that do not exist never count, and NoAccess outdoes all others."""
        kept = [row for row in rows if row[1] in self._roles]
        kept = [row for row in kept if row[1] == NO_ACCESS] or kept
        roles: dict[str, bool] = {}
        for unused, role, propagate in kept:
            roles[role] = roles.get(role, False) or propagate
        return Standing(node, tuple(kept), self._held_with(roles), NO_ACCESS in roles)


def _entries(state: AccessState, principal: Principal) -> tuple[_Entries, list[_Entries]]:
    """Return the entries of the principal itself, and those of each of his groups (a token has no groups)."""
    own = (principal, state.acl.get(principal, {}))
    user = state.users.get(principal.name) if principal.kind == "user" else None
    groups = [Principal("group", group) for group in sorted(user.groups)] if user else []
    return own, [(group, state.acl[group]) for group in groups if group in state.acl]


def halves_of(state: AccessState, subject: str) -> tuple[Principal, ...]:
    """Return the principals that have to hold what a subject is to hold: a user, or the owner of a token.

    For a token with privilege separation, that is the token, too. For an unknown one it is nobody.
    """
    if not is_token(subject):
        return (Principal("user", subject),)
    token = state.tokens.get(subject)
    if token is None:
        return ()
    owner = Principal("user", token.userid)
    return (owner, Principal("token", subject)) if token.privsep else (owner,)


def gives_by_pools(path: str) -> bool:
    """Tell whether an entry on a path may give rights on what is in pools."""
    return path in ("/", "/pool") or path.startswith("/pool/")


def unnamed_below(path: str) -> str:
    """Return the path of what has a name that no object can have: what holds there, comes down through ``path``."""
    return path.rstrip("/") + "/*"


def sources(state: AccessState, subject: str) -> Iterator[Principal]:
    """Yield the principals whose ACL entries decide about a subject: itself, its owner, and the owner's groups."""
    if is_token(subject):
        yield Principal("token", subject)
    owner = owner_of(subject)
    yield Principal("user", owner)
    user = state.users.get(owner)
    for group in user.groups if user else ():
        yield Principal("group", group)


def entry_paths(state: AccessState, subject: str) -> frozenset[str]:
    """Return the paths of the ACL entries that decide about a subject."""
    return frozenset(path for principal in sources(state, subject) for path in state.acl.get(principal, ()))
