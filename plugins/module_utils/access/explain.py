"""Why somebody holds a right: the ACL entries that give it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .model import ADMINISTRATOR, NO_ACCESS, ROOT, AccessState, Entry, PathRoles, Principal, is_token
from .paths import ancestors

# What root@pam may do stands nowhere; this entry is what it would be.
OF_ROOT = Entry("/", Principal("user", ROOT), ADMINISTRATOR)


class Grant(NamedTuple):
    """An ACL entry that counts on a path: for the id itself, its owner or one of his groups, as ``entry`` says.

    ``propagate`` tells whether what it gives holds below the path too. ``pool`` names the pool by which it counts,
    empty where it stands on the path itself or above it.
    """

    entry: Entry
    propagate: bool
    pool: str = ""


Half = tuple[Grant, ...]


class Explainer:
    """Answers why somebody holds a right, in one state. It goes the same way as ``permissions.Evaluator``."""

    def __init__(self, state: AccessState) -> None:
        self.state = state
        self._sources: dict[Principal, tuple[tuple[Principal, PathRoles], Sequence[tuple[Principal, PathRoles]]]] = {}

    def halves(self, subject: str, path: str) -> tuple[Half, ...]:
        """Return the entries that count for ``subject`` on a (normalised) path.

        A token with privilege separation has two halves, that of its owner and its own, and holds what both give.
        Everybody else has one; an unknown token has none.
        """
        if not is_token(subject):
            return (self._half(Principal("user", subject), path),)
        token = self.state.tokens.get(subject)
        if token is None:
            return ()
        of_owner = self._half(Principal("user", token.userid), path)
        return (of_owner, self._half(Principal("token", subject), path)) if token.privsep else (of_owner,)

    def explain(self, subject: str, path: str) -> dict[str, list[Grant]]:
        """Return each privilege that ``subject`` holds on a path, with the entries that give it.

        For a token with privilege separation these are the entries of both its halves.
        """
        found: dict[str, list[Grant]] = {}
        halves = self.halves(subject, path)
        for number, half in enumerate(halves):
            given = self._by_privilege(half)
            if number:
                found = {name: [*grants, *given[name]] for name, grants in found.items() if name in given}
            else:
                found = given
        return found

    def _by_privilege(self, half: Half) -> dict[str, list[Grant]]:
        found: dict[str, list[Grant]] = {}
        for grant in half:
            for name in self.state.roles[grant.entry.role].privs:
                found.setdefault(name, []).append(grant)
        return found

    def _half(self, principal: Principal, path: str) -> Half:
        """Return the entries that count for a user or a token by itself, those of pools included."""
        direct = self._standing(principal, path)
        pools = self.state.pools_of.get(path)
        if not pools or _denied(direct):
            return direct
        found = [*direct]
        for pool in sorted(pools):
            by_pool = tuple(grant._replace(propagate=False, pool=pool) for grant in self._on_pool(principal, pool))
            if _denied(by_pool):
                return by_pool
            found += by_pool
        return tuple(found)

    def _on_pool(self, principal: Principal, pool: str) -> Half:
        # What root@pam may do has nothing to do with pools.
        return () if principal.name == ROOT else self._standing(principal, "/pool/" + pool)

    def _standing(self, principal: Principal, path: str) -> Half:
        """Return the entries that count where the last of them stand on the way from the root to a path."""
        if principal == ("user", ROOT):
            return (Grant(OF_ROOT, True),) if ADMINISTRATOR in self.state.roles else ()
        own, groups = self._entries(principal)
        if not own[1] and not groups:
            return ()
        found: list[Grant] = []
        for node in ancestors(path):
            last = node == path
            found = self._counting([own], node, last) or self._counting(groups, node, last) or found
        return tuple(grant for grant in found if grant.entry.role == NO_ACCESS) or tuple(found)

    def _counting(self, sources: Iterable[tuple[Principal, PathRoles]], node: str, last: bool) -> list[Grant]:
        """Return the entries at a node that count; those of roles that do not exist never do."""
        return [
            Grant(Entry(node, principal, role), propagate)
            for principal, entries in sources
            for role, propagate in sorted(entries.get(node, {}).items())
            if (last or propagate) and role in self.state.roles
        ]

    def _entries(
        self, principal: Principal
    ) -> tuple[tuple[Principal, PathRoles], Sequence[tuple[Principal, PathRoles]]]:
        """Return the entries of a principal itself and those of each of his groups."""
        if principal not in self._sources:
            acl = self.state.acl
            user = self.state.users.get(principal.name) if principal.kind == "user" else None
            groups = [Principal("group", name) for name in sorted(user.groups)] if user else []
            self._sources[principal] = (
                (principal, acl.get(principal, {})),
                [(group, acl[group]) for group in groups if group in acl],
            )
        return self._sources[principal]


def explain(state: AccessState, subject: str, path: str) -> dict[str, list[Grant]]:
    """Return each privilege that a user or token holds on a path, with the ACL entries that give it."""
    return Explainer(state).explain(subject, path)


def _denied(grants: Iterable[Grant]) -> bool:
    return any(grant.entry.role == NO_ACCESS for grant in grants)
