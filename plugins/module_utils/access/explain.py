"""Why somebody holds a right: the ACL entries that give it."""

from __future__ import annotations

from typing import NamedTuple

from .model import ADMINISTRATOR, ROOT, AccessState, Entry, Principal
from .permissions import Evaluator, halves_of

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

    def __str__(self) -> str:
        path, whose, role = self.entry
        return f"{role} of {whose.kind} {whose.name} on {path}{f' by pool {self.pool}' if self.pool else ''}"


Half = tuple[Grant, ...]


class Explainer:
    """Answers why somebody holds a right, in one state, by what an evaluator finds on its way."""

    def __init__(self, state: AccessState, evaluator: Evaluator | None = None) -> None:
        self.state = state
        self._evaluator = evaluator or Evaluator(state)

    def halves(self, subject: str, path: str) -> tuple[Half, ...]:
        """Return the entries that count for ``subject`` on a path.

        A token with privilege separation has two halves, that of its owner and its own, and holds what both give.
        Everybody else has one; an unknown token has none.
        """
        return tuple(self._half(principal, path) for principal in halves_of(self.state, subject))

    def explain(self, subject: str, path: str) -> dict[str, list[Grant]]:
        """Return each privilege that ``subject`` holds on a path, with the entries that give it.

        For a token with privilege separation these are the entries of both its halves.
        """
        found: dict[str, list[Grant]] = {}
        for number, half in enumerate(self.halves(subject, path)):
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
        return tuple(
            Grant(Entry(standing.node, whose, role), propagate and not pool, pool)
            for standing, pool in self._evaluator.standings(principal, path)
            for whose, role, propagate in standing.rows
        )


def explain(state: AccessState, subject: str, path: str) -> dict[str, list[Grant]]:
    """Return each privilege that a user or token holds on a path, with the ACL entries that give it."""
    return Explainer(state).explain(subject, path)
