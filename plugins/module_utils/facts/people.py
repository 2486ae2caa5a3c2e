"""Who may do what: the lists of access control, in the shapes that the modules about them return."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..access.model import AccessState
from ..access.observe import (
    acl_from,
    complete_lists,
    groups_from,
    pool_from,
    pool_question,
    rights_from,
    roles_from,
    tokens_from,
    user_is_usable,
    users_from,
)
from ..access.shown import acl_row, object_rows
from .ask import NOTHING, Ask
from .context import Context
from .fetch import Collector
from .fields import Fields, flag, text, typed
from .scene import PERMISSIONS

USERS, TOKENS, GROUPS, ROLES, ACL, POOLS = "users", "tokens", "groups", "roles", "acl", "pools"
OWN_RIGHTS, REALMS = "permissions", "realms"

Rows = list[dict[str, Any]]
_ALL_USERS = ("/access/users", (("full", 1),))
# What a list leaves out, and what would show it.
_HIDDEN = {
    USERS: "Only users whom {who} may see are listed; all of them take Sys.Audit or User.Modify on /access/groups.",
    TOKENS: "Only tokens of users whom {who} may see are listed; all take Sys.Audit or User.Modify on /access/groups.",
    GROUPS: "Only groups that {who} may see are listed; all of them take Sys.Audit on /access/groups.",
    ACL: "Only ACL entries that {who} may change are listed; all of them take Sys.Audit on /access.",
    POOLS: "Only pools on which {who} holds Pool.Audit are listed; it does not hold it on all of /pool.",
}
_COMPLETE_WITH = {TOKENS: USERS}
_REALM: Fields = {"realm": text, "type": text, "comment": text, "tfa": text}


def users(context: Context) -> Collector[Rows | None]:
    """Read the users."""
    return (yield from _listed(context, USERS, *_ALL_USERS, read=lambda rows: AccessState(users=users_from(rows))))


def groups(context: Context) -> Collector[Rows | None]:
    """Read the groups."""
    return (
        yield from _listed(context, GROUPS, "/access/groups", read=lambda rows: AccessState(groups=groups_from(rows)))
    )


def roles(context: Context) -> Collector[Rows | None]:
    """Read the roles, those that come with PVE too: everybody sees them."""
    return (yield from _listed(context, ROLES, "/access/roles", read=lambda rows: AccessState(roles=roles_from(rows))))


def tokens(context: Context) -> Collector[Rows | None]:
    """Read the tokens, and whether they could log in now."""
    known = AccessState()

    def read(rows: Any) -> AccessState:
        nonlocal known
        known = AccessState(users=users_from(rows), tokens=tokens_from(rows))
        return known

    found = yield from _listed(context, TOKENS, *_ALL_USERS, read=read)
    if found is None:
        return None
    return [{**row, "usable": user_is_usable(known, row["tokenid"], context.now)} for row in found]


def acl(context: Context) -> Collector[Rows | None]:
    """Read the ACL entries."""
    tree, rows = yield [Ask(ACL, PERMISSIONS), Ask(ACL, "/access/acl")]
    if rows is NOTHING:
        return None
    _note(context, ACL, tree)
    entries = AccessState(acl=acl_from(rows)).entries()
    return [acl_row(entry, propagate) for entry, propagate in sorted(entries)]


def pools(context: Context) -> Collector[Rows | None]:
    """Read the pools with their members, one question for each."""
    tree, rows = yield [Ask(POOLS, PERMISSIONS), Ask(POOLS, "/pools")]
    if rows is NOTHING:
        return None
    _note(context, POOLS, tree)
    names = sorted(str(row["poolid"]) for row in rows)
    answers = yield [_about_pool(name, context) for name in names]
    found = {name: pool_from(name, answer) for name, answer in zip(names, answers) if answer is not NOTHING}
    return object_rows(AccessState(pools=found), POOLS)


def _about_pool(name: str, context: Context) -> Ask:
    path, params = pool_question(name, context.release)
    return Ask(POOLS, path, tuple(params.items()))


def own_rights(_context: Context) -> Collector[dict[str, dict[str, bool]] | None]:
    """Read the caller's own rights: path, privilege, and whether it holds below the path too."""
    (tree,) = yield [Ask(OWN_RIGHTS, PERMISSIONS)]
    if tree is NOTHING:
        return None
    held = rights_from(tree)
    return {path: {name: bool(held[path][name]) for name in sorted(held[path])} for path in sorted(held)}


def realms(_context: Context) -> Collector[Rows | None]:
    """Read the realms: what the login shows of them, never their configuration."""
    (rows,) = yield [Ask(REALMS, "/access/domains")]
    if rows is NOTHING:
        return None
    found = [{**typed(row, _REALM), "default": flag(row.get("default") or 0)} for row in rows]
    return sorted(found, key=lambda row: str(row["realm"]))


def _listed(
    context: Context,
    kind: str,
    path: str,
    params: tuple[tuple[str, Any], ...] = (),
    *,
    read: Callable[[Any], AccessState],
) -> Collector[Rows | None]:
    tree, rows = yield [Ask(kind, PERMISSIONS), Ask(kind, path, params)]
    if rows is NOTHING:
        return None
    _note(context, kind, tree)
    return object_rows(read(rows), kind)


def _note(context: Context, kind: str, tree: Any) -> None:
    """Note it where a list is not known to be whole. Where the rights were not told, that is noted already."""
    if tree is NOTHING:
        return
    held: Mapping[str, Any] = rights_from(tree)
    if _COMPLETE_WITH.get(kind, kind) not in complete_lists(held, context.release, ()):
        context.hide(kind, _HIDDEN[kind].format(who=context.caller))
