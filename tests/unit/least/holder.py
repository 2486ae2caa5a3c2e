"""Somebody who holds certain ACL entries and nothing else, and what is left when something of them is taken away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ansible_collections.homelab.pve.plugins.module_utils.access.model import AccessState, Principal, Role, Token, User
from ansible_collections.homelab.pve.plugins.module_utils.access.model import Entry as AclEntry
from ansible_collections.homelab.pve.plugins.module_utils.access.permissions import Evaluator
from ansible_collections.homelab.pve.plugins.module_utils.least.work_out import Entry

USER, TOKEN = "joe@pve", "joe@pve!app"


def holder(entries: Sequence[Entry]) -> Evaluator:
    """Return who has just these entries, a token and its user."""
    roles = {str(number): Role(str(number), entry.privileges) for number, entry in enumerate(entries)}
    state = AccessState(users={USER: User(USER)}, tokens={TOKEN: Token(TOKEN)}, roles=roles)
    halves = (Principal("user", USER), Principal("token", TOKEN))
    return Evaluator(
        state.grant(
            {
                AclEntry(entry.path, half, str(number)): entry.propagate
                for number, entry in enumerate(entries)
                for half in halves
            }
        )
    )


def weaker(entries: Sequence[Entry]) -> Iterator[tuple[str, set[tuple[str, str]], list[Entry]]]:
    """Yield the entries with something taken away: one privilege, one propagation, one entry.

    With each comes which (path, privilege) it is about.
    """
    for number, entry in enumerate(entries):
        rest = [*entries[:number], *entries[number + 1 :]]
        gone = {(entry.path, privilege) for privilege in entry.privileges}
        yield f"without {entry}", gone, rest
        if entry.propagate:
            yield f"without propagation of {entry}", gone, [*rest, replace(entry, propagate=False)]
        for privilege in sorted(entry.privileges) if len(entry.privileges) > 1 else ():
            less = replace(entry, privileges=entry.privileges - {privilege})
            yield f"without {privilege} of {entry}", {(entry.path, privilege)}, [*rest, less]
