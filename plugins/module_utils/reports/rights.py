"""Who can do what, as the page takes it: all of access in few numbers, from which the page works rights out itself.

For a thousand ids and a thousand paths that is a hundredth of what the rights themselves would take.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ..access.explain import Explainer, Grant
from ..access.giving import GIVING, gives
from ..access.model import ADMINISTRATOR, NO_ACCESS, ROOT, AccessState, Principal, is_over, is_token, owner_of
from ..access.observe import user_is_usable
from ..access.permissions import TREE_PATHS, Evaluator, Privileges, sources
from ..access.releases import READS_MORE, Release, reading_privileges
from .report import clean

KINDS = ("user", "group", "token")


def subjects(state: AccessState) -> list[str]:
    """Return all users, each followed by his tokens."""
    found = []
    for user in sorted(state.users):
        found.append(user)
        found += sorted(state.tokens_of.get(user, ()))
    return found


def data(state: AccessState, release: Release, now: float) -> dict[str, Any]:
    """Return what the page's script reads.

    ``acl`` has rows of path, kind (0 user, 1 group, 2 token), name, role and propagate flag, the path, the group and
    the role by number. ``subjects`` has rows of id, the numbers of the groups of a user, else whether a token is
    privilege separated, and why the id cannot log in. Nothing that people wrote is in it but names.
    """
    privileges = sorted({name for role in state.roles.values() for name in role.privs})
    of_privilege = {name: number for number, name in enumerate(privileges)}
    roles = sorted(state.roles)
    of_role = {name: number for number, name in enumerate(roles)}
    groups = sorted({*state.groups, *(group for user in state.users.values() for group in user.groups)})
    of_group = {name: number for number, name in enumerate(groups)}
    paths = sorted({*TREE_PATHS, *state.acl_paths, *state.pools_of})
    of_path = {path: number for number, path in enumerate(paths)}
    reading = reading_privileges(release) | READS_MORE
    return {
        "privileges": privileges,
        "reading": [number for number, name in enumerate(privileges) if name in reading],
        "giving": [
            [of_privilege[name], path, int(below)] for name, (path, below) in GIVING.items() if name in of_privilege
        ],
        "roles": [[name, sorted(of_privilege[priv] for priv in state.roles[name].privs)] for name in roles],
        "groups": groups,
        "paths": paths,
        "acl": [
            [
                of_path[entry.path],
                KINDS.index(entry.principal.kind),
                entry.principal.name,
                of_role[entry.role],
                int(propagate),
            ]
            # Entries of roles that do not exist never count.
            for entry, propagate in sorted(state.entries())
            if entry.role in of_role and entry.principal.kind in KINDS
        ],
        "subjects": [_subject(state, subject, of_group, now) for subject in subjects(state)],
        "pools": [
            [of_path[path], sorted(pools)] for path, pools in sorted(state.pools_of.items(), key=lambda item: item[0])
        ],
        "root": ROOT,
        "administrator": ADMINISTRATOR,
        "no_access": NO_ACCESS,
    }


def _subject(state: AccessState, subject: str, of_group: dict[str, int], now: float) -> list[Any]:
    off = why_off(state, subject, now)
    if is_token(subject):
        return [subject, int(state.tokens[subject].privsep), off]
    return [subject, sorted(of_group[group] for group in state.users[subject].groups), off]


def why_off(state: AccessState, subject: str, now: float) -> str:
    """Return in a word or two why an id cannot log in; empty where it can."""
    if user_is_usable(state, subject, now):
        return ""
    user = state.users.get(owner_of(subject))
    if is_token(subject):
        token = state.tokens[subject]
        if is_over(token.expire, now):
            return "expired"
        return "user disabled" if user and not user.enable else "user expired"
    return "disabled" if user and not user.enable else "expired"


class Standing(NamedTuple):
    """What an id holds from a path on, and by which entries: in words."""

    subject: str
    path: str
    what: str
    by: str


def standing(state: AccessState, release: Release) -> Iterator[Standing]:
    """Yield what everybody holds where an entry changes it, for those who read without the page's script."""
    evaluator, explainer = Evaluator(state), Explainer(state)
    reading = reading_privileges(release) | READS_MORE
    for subject in subjects(state):
        paths = {path for principal in sources(state, subject) for path in state.acl.get(principal, {})}
        if owner_of(subject) == ROOT:
            paths.add("/")
        for path in sorted(paths):
            grants = [grant for half in explainer.halves(subject, path) for grant in half]
            if not grants:
                continue
            yield Standing(
                subject, path, _what(path, evaluator.privileges(subject, path), reading), "; ".join(map(told, grants))
            )


def _what(path: str, held: Privileges, reading: frozenset[str]) -> str:
    if not held:
        return "nothing"
    if gives(path, held):
        return f"can give rights ({len(held)})"
    return f"can change ({len(held)})" if held.keys() - reading else f"can read ({len(held)})"


def told(grant: Grant) -> str:
    """Say an entry in words."""
    who = "" if grant.entry.principal == Principal("user", ROOT) else f" for {grant.entry.principal.kind} "
    name = grant.entry.principal.name if who else ""
    pool = f", by pool {grant.pool}" if grant.pool else ""
    below = "" if grant.propagate or grant.pool else ", not below"
    return clean(f"{grant.entry.role} on {grant.entry.path}{who}{name}{pool}{below}")
