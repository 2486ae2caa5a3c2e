"""From the observed state and a document to the state that is meant, and everything that speaks against it.

Here stands what an earlier task would have made, and the order in which the parts of a document are taken. The
refusals stand with what they are about: what PVE would accept in silence and should not, and what it would refuse only
half-way.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .document import Document
from .entries import grant_owners, owners_entries, put_entries, refuse_hiding, refuse_self_contradiction
from .exclusive import drop_undeclared
from .ghosts import leave_ghosts, warn_of_ghosts
from .model import Group, Role, Token, User, owner_of
from .objects import is_reserved, put_group, put_pool, put_role, put_token, put_user
from .observe import View
from .refusals import Target


def make_target(view: View, wanted: Document, *, judging: bool = False) -> Target:
    """Work out what is meant. Problems are collected, not raised: the user wants to see all of them.

    ``judging`` is for those who change nothing. Then what applying leaves alone, so that nobody is locked out or
    nothing is lost, is not meant all the same: undeclared rights of the caller and undeclared pools with members in
    exclusive scopes, and that there is no end at all where one is declared.
    """
    wanted = wanted.for_release(view.release)
    target = Target(view.state, view.state, judging)
    _assume(target, view, wanted)
    for role in wanted.roles:
        put_role(target, view, role)
    for group in wanted.groups:
        put_group(target, view, group)
    for user in wanted.users:
        put_user(target, view, user)
    for token in wanted.tokens:
        put_token(target, view, token)
    # What a document says of one pool may concern another: its guests come from there, and leave it empty.
    for pool in sorted(wanted.pools, key=lambda spec: spec.state == "absent"):
        put_pool(target, view, wanted, pool)
    for acl in wanted.acls:
        put_entries(target, view, wanted, acl)
    # Those that are there already belong to the document, even where the owner would not need them: what he holds
    # otherwise may be gone tomorrow.
    target.for_owners = {entry for acl in wanted.acls for entry in owners_entries(acl)}
    drop_undeclared(target, view, wanted)
    leave_ghosts(target, view)
    refuse_self_contradiction(target)
    for acl in wanted.acls:
        if acl.grant_user and acl.state == "present":
            grant_owners(target, acl)
    target.kept = sorted(set(target.kept))
    warn_of_ghosts(target)
    refuse_hiding(target, wanted)
    return target


def _assume(target: Target, view: View, wanted: Document) -> None:
    """Put in what the document needs and nobody has made, so that the rest of the plan can be worked out.

    A dry run reports it; a real one refuses to start.
    """
    makes: Mapping[str, set[str]] = {
        "users": {spec.userid for spec in wanted.users},
        "groups": {spec.groupid for spec in wanted.groups},
        "tokens": {spec.tokenid for spec in wanted.tokens},
        "roles": {spec.roleid for spec in wanted.roles},
    }
    fresh: Mapping[str, Callable[[str], Any]] = {"users": User, "groups": Group, "tokens": Token, "roles": Role}
    for kind, name in _needed(wanted):
        if name in makes[kind] or name in getattr(target.base, kind):
            continue
        if kind not in view.complete and not (kind == "tokens" and "users" in view.complete):
            continue  # it may well be there; PVE will say
        if kind == "roles" and is_reserved(view, name):
            continue  # no task can have made it: it is a built-in role, misspelt
        target.base = target.base.put(kind, name, fresh[kind](name))
        close = difflib.get_close_matches(name, sorted(view.state.roles), 1, 0.8) if kind == "roles" else []
        target.assumed.append(f"{kind[:-1]} {name}" + (f" (did you mean {close[0]}?)" if close else ""))
    target.state = target.base


def _needed(wanted: Document) -> Iterator[tuple[str, str]]:
    for user in wanted.users:
        if user.state == "present":
            for group in sorted(user.groups or ()):
                yield "groups", group
    for token in wanted.tokens:
        if token.state == "present":
            yield "users", owner_of(token.tokenid)
    for acl in wanted.acls:
        if acl.state == "present":
            for kind, name in acl.principals:
                if kind == "token":
                    yield "users", owner_of(name)
                yield kind + "s", name
            for role in acl.roles:
                yield "roles", role
