"""PVE's own permission algorithm: what a user or a token may do on a path.

Roles are looked up from the root of the tree down to the path. At each node the entries of the principal itself, or
else those of the user's groups, replace all that was inherited, provided that at least one of them counts there: one
that propagates, or any at the path that was asked for. Pools add to what their members have, and a token with
privilege separation has only what both it and its user have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .model import ADMINISTRATOR, NO_ACCESS, ROOT, AccessState, PathRoles, Principal, is_token, owner_of

Privileges = dict[str, int]  # privilege -> propagate flag, 0 or 1; one with flag 0 is held all the same
_Roles = dict[str, bool]

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


class Evaluator:
    """Answers questions about effective rights in one state."""

    def __init__(self, state: AccessState) -> None:
        self.state = state

    def privileges(self, subject: str, path: str) -> Privileges:
        """Return what ``subject`` (a userid or a full tokenid) holds on ``path``: privilege -> propagate flag.

        The path is taken as it is, as PVE takes it: ``vms/100`` does not see the entries of ``/``, and pool rights
        hold on exactly ``/vms/N`` and ``/storage/S``. Disabled and expired ids keep their rights on paper. An unknown
        token holds nothing; an unknown user holds what entries that outlived him give.
        """
        if not is_token(subject):
            return self._of(Principal("user", subject), path)
        token = self.state.tokens.get(subject)
        if token is None:
            return {}
        of_user = self._of(Principal("user", token.userid), path)
        if not token.privsep:
            return of_user
        of_token = self._of(Principal("token", subject), path)
        return {priv: flag & of_user[priv] for priv, flag in of_token.items() if priv in of_user}

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

    def _of(self, principal: Principal, path: str) -> Privileges:
        held: Privileges = {}
        for role, propagate in self._roles_with_pools(principal, path).items():
            for privilege in self._privs(role):
                held[privilege] = held.get(privilege, 0) | int(propagate)
        return held

    def _privs(self, role: str) -> frozenset[str]:
        found = self.state.roles.get(role)
        return found.privs if found else frozenset()

    def _roles_with_pools(self, principal: Principal, path: str) -> _Roles:
        roles = self._roles(principal, path)
        pools = self.state.pools_of.get(path)
        if not pools or NO_ACCESS in roles:
            return roles
        merged = dict(roles)
        for pool in pools:
            from_pool = self._roles(principal, "/pool/" + pool)
            if NO_ACCESS in from_pool:
                return {NO_ACCESS: False}
            for role in from_pool:
                merged.setdefault(role, False)
        return merged

    def _roles(self, principal: Principal, path: str) -> _Roles:
        if principal == ("user", ROOT):
            return {ADMINISTRATOR: True}
        own, groups = self._sources(principal)
        if not own and not groups:
            return {}
        found: _Roles = {}
        for node, last in _nodes(path):
            here = self._counting(own, node, last)
            if not here:
                for group in groups:
                    for role, propagate in self._counting(group, node, last).items():
                        here[role] = here.get(role, False) or propagate
            if here:
                found = here
        return {NO_ACCESS: found[NO_ACCESS]} if NO_ACCESS in found else found

    def _sources(self, principal: Principal) -> tuple[PathRoles, list[PathRoles]]:
        """Return the entries of the principal itself, and those of each of his groups (a token has no groups)."""
        acl = self.state.acl
        own = acl.get(principal, {})
        user = self.state.users.get(principal.name) if principal.kind == "user" else None
        if user is None:
            return own, []
        entries = [acl.get(Principal("group", group), {}) for group in sorted(user.groups)]
        return own, [entry for entry in entries if entry]

    def _counting(self, entries: PathRoles, node: str, last: bool) -> _Roles:
        """Return the roles at a node that count; entries of roles that do not exist (any more) never do."""
        at_node: Mapping[str, bool] = entries.get(node, {})
        return {
            role: propagate for role, propagate in at_node.items() if (last or propagate) and role in self.state.roles
        }


def sources(state: AccessState, subject: str) -> Iterator[Principal]:
    """Yield the principals whose ACL entries decide about a subject: itself, its owner, and the owner's groups."""
    if is_token(subject):
        yield Principal("token", subject)
    owner = owner_of(subject)
    yield Principal("user", owner)
    user = state.users.get(owner)
    for group in user.groups if user else ():
        yield Principal("group", group)
