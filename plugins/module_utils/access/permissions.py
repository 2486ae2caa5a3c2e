"""PVE's own permission algorithm: what a user or a token may do on a path.

Roles are looked up from the root of the tree down to the path. At each node the entries of the principal itself, or
else those of the user's groups, replace all that was inherited, provided that at least one of them counts there: one
that propagates, or any at the path that was asked for. Pools add to what their members have, and a token with
privilege separation has only what both it and its user have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from .model import ADMINISTRATOR, NO_ACCESS, ROOT, AccessState, PathRoles, Principal, is_token, owner_of

Privileges = Mapping[str, int]  # privilege -> propagate flag, 0 or 1; one with flag 0 is held all the same
_Roles = Mapping[str, bool]

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


@dataclass(frozen=True)
class _Held:
    """The roles that count for somebody on a path, and the privileges in them."""

    roles: _Roles
    privileges: Privileges


_NOTHING = _Held({}, {})


class Evaluator:
    """Answers questions about effective rights in one state.

    Most paths have no entries of their own, so what is worked out for one is remembered for all that inherit it.
    """

    def __init__(self, state: AccessState) -> None:
        self.state = state
        self._walks: dict[Principal, _Walk] = {}
        # Whoever has the same roles holds the same: one object for all of them, by which both halves of a token are
        # told apart.
        self._known: dict[frozenset[tuple[str, bool]], _Held] = {frozenset(): _NOTHING}
        self._both: dict[tuple[int, int], Privileges] = {}

    def privileges(self, subject: str, path: str) -> Privileges:
        """Return what ``subject`` (a userid or a full tokenid) holds on ``path``: privilege -> propagate flag.

        The path is taken as it is, as PVE takes it: ``vms/100`` does not see the entries of ``/``, and pool rights
        hold on exactly ``/vms/N`` and ``/storage/S``. Disabled and expired ids keep their rights on paper. An unknown
        token holds nothing; an unknown user holds what entries that outlived him give.
        """
        if not is_token(subject):
            return self._of(Principal("user", subject), path).privileges
        token = self.state.tokens.get(subject)
        if token is None:
            return {}
        of_user = self._of(Principal("user", token.userid), path)
        if not token.privsep:
            return of_user.privileges
        of_token = self._of(Principal("token", subject), path)
        key = (id(of_token), id(of_user))
        if key not in self._both:
            held = of_user.privileges
            self._both[key] = {name: flag & held[name] for name, flag in of_token.privileges.items() if name in held}
        return self._both[key]

    def tree(self, subject: str) -> dict[str, Privileges]:
        """Return what ``subject`` holds on every path that matters; paths without any privilege are left out."""
        paths = set(TREE_PATHS) | self.state.acl_paths | set(self.state.pools_of)
        held = {path: self.privileges(subject, path) for path in sorted(paths)}
        return {path: privileges for path, privileges in held.items() if privileges}

    def effective(self, subject: str) -> dict[str, Privileges]:
        """Return what ``subject`` holds where its own entries, its owner's and its groups' stand, and by pools.

        All its rights follow from these: what holds on a path with flag 1 holds below it up to the next one.
        """
        paths = {path for principal in sources(self.state, subject) for path in self.state.acl.get(principal, {})}
        if owner_of(subject) == ROOT:
            paths.add("/")
        if any(path.startswith("/pool") for path in paths):
            paths |= set(self.state.pools_of)
        held = {path: self.privileges(subject, path) for path in sorted(paths)}
        return {path: privileges for path, privileges in held.items() if privileges}

    def _of(self, principal: Principal, path: str) -> _Held:
        """Return what a principal holds on a path, by pools too."""
        held = self._walk(principal).held(path)
        pools = self.state.pools_of.get(path)
        if not pools or NO_ACCESS in held.roles:
            return held
        merged = dict(held.roles)
        for pool in pools:
            from_pool = self._walk(principal).held("/pool/" + pool).roles
            if NO_ACCESS in from_pool:
                return self._with({NO_ACCESS: False})
            for role in from_pool:
                merged.setdefault(role, False)
        return self._with(merged)

    def _walk(self, principal: Principal) -> _Walk:
        walk = self._walks.get(principal)
        if walk is None:
            walk = self._walks[principal] = _Walk(self.state, principal, self._with)
        return walk

    def _with(self, roles: _Roles) -> _Held:
        """Return what roles hold. NoAccess among them leaves nothing of the others."""
        key = frozenset(roles.items())
        known = self._known.get(key)
        if known is None:
            kept = {NO_ACCESS: roles[NO_ACCESS]} if NO_ACCESS in roles else roles
            privileges: dict[str, int] = {}
            for role, propagate in kept.items():
                found = self.state.roles.get(role)
                for name in found.privs if found else ():
                    privileges[name] = privileges.get(name, 0) | int(propagate)
            known = self._known[key] = _Held(kept, privileges)
        return known


class _Walk:
    """The way from the root of the tree to a path, for one principal, by entries alone: see the head of this file."""

    def __init__(self, state: AccessState, principal: Principal, held_with: Callable[[_Roles], _Held]) -> None:
        self._held_with = held_with
        self._roles = state.roles
        self._root = principal == ("user", ROOT)
        self._own, self._groups = _entries(state, principal)
        self._paths = {*self._own, *(path for entries in self._groups for path in entries)}
        # What comes down through a node, and what holds on a path that has entries.
        self._through: dict[str, _Held] = {}
        self._at: dict[str, _Held] = {}

    def held(self, path: str) -> _Held:
        """Return what holds on a path."""
        if self._root:
            return self._held_with({ADMINISTRATOR: True})
        if not self._paths:
            return _NOTHING
        if path in self._paths:
            known = self._at.get(path)
            if known is None:
                here = self._counting(path, last=True)
                known = self._at[path] = self._held_with(here) if here else self._from_above(path)
            return known
        if path.startswith("/") and not path.endswith("/") and "//" not in path:
            return self._from_above(path)
        return self._as_written(path)

    def _from_above(self, path: str) -> _Held:
        return _NOTHING if path == "/" else self._inherited(path.rpartition("/")[0] or "/")

    def _inherited(self, node: str) -> _Held:
        known = self._through.get(node)
        if known is None:
            here = self._counting(node, last=False) if node in self._paths else {}
            known = self._through[node] = self._held_with(here) if here else self._from_above(node)
        return known

    def _as_written(self, path: str) -> _Held:
        """Walk a path that is not in PVE's own form, as PVE would."""
        found: _Roles = {}
        for node, last in _nodes(path):
            found = self._counting(node, last=last) or found
        return self._held_with(found)

    def _counting(self, node: str, *, last: bool) -> _Roles:
        """Return the roles at a node that count: the principal's own, else those of his groups."""
        here = self._of_entries(self._own, node, last)
        if here:
            return here
        for group in self._groups:
            for role, propagate in self._of_entries(group, node, last).items():
                here[role] = here.get(role, False) or propagate
        return here

    def _of_entries(self, entries: PathRoles, node: str, last: bool) -> dict[str, bool]:
        """Return the roles that count in entries; those of roles that do not exist (any more) never do."""
        at_node: Mapping[str, bool] = entries.get(node, {})
        return {role: propagate for role, propagate in at_node.items() if (last or propagate) and role in self._roles}


def _entries(state: AccessState, principal: Principal) -> tuple[PathRoles, list[PathRoles]]:
    """Return the entries of the principal itself, and those of each of his groups (a token has no groups)."""
    own = state.acl.get(principal, {})
    user = state.users.get(principal.name) if principal.kind == "user" else None
    if user is None:
        return own, []
    entries = [state.acl.get(Principal("group", group), {}) for group in sorted(user.groups)]
    return own, [entry for entry in entries if entry]


def sources(state: AccessState, subject: str) -> Iterator[Principal]:
    """Yield the principals whose ACL entries decide about a subject: itself, its owner, and the owner's groups."""
    if is_token(subject):
        yield Principal("token", subject)
    owner = owner_of(subject)
    yield Principal("user", owner)
    user = state.users.get(owner)
    for group in user.groups if user else ():
        yield Principal("group", group)
