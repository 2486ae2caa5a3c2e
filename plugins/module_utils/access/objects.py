"""Roles, groups, users, tokens and pools of a document, put into the state that is meant, each by itself."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace

from . import releases
from .document import Document, GroupSpec, PoolSpec, RoleSpec, TokenSpec, UserSpec
from .expiry import Expiry
from .model import Group, Pool, Role, Token, User, is_over, owner_of
from .observe import View
from .refusals import STATE, Target, must_be_seen, refuse_missing_guests
from .renewal import renewed_end, to_restore, why_renewed


def put_role(target: Target, view: View, spec: RoleSpec) -> None:
    old = target.base.roles.get(spec.roleid)
    about = f"role {spec.roleid}"
    if spec.state == "absent":
        if old is not None and old.special:
            target.refuse(f"Role {spec.roleid} is built in and cannot be deleted.", about=about)
        elif old is not None:
            target.state = target.state.drop("roles", spec.roleid)
        return
    privs = (old.privs if old else frozenset()) if spec.privs is None else spec.privs
    if spec.append and old:
        privs |= old.privs
    known = releases.privileges(view.release)
    for name in sorted(privs - known):
        target.refuse(
            f"Role {spec.roleid}: PVE {releases.as_text(view.release)} has no privilege {name!r}.",
            _nearest(name, known),
            about=about,
        )
    if old is not None and old.special:
        if privs != old.privs:
            target.refuse(
                f"Role {spec.roleid} is built in and cannot be changed.", "Make a role of your own.", about=about
            )
        return
    if old is None:
        if is_reserved(view, spec.roleid):
            target.refuse(
                f"Role {spec.roleid}: names that begin with PVE are reserved.", "Choose another name.", about=about
            )
        twin = next((name for name in view.state.roles if name.lower() == spec.roleid.lower()), None)
        if twin and view.state.roles[twin].special:
            target.warnings.append(f"Role {spec.roleid} differs from the built-in role {twin} only by its case.")
    target.state = target.state.put("roles", spec.roleid, Role(spec.roleid, privs))


def is_reserved(view: View, roleid: str) -> bool:
    return view.release >= (8, 0) and roleid.upper().startswith("PVE")


def _nearest(name: str, known: Iterable[str]) -> str:
    by_case = {candidate.lower(): candidate for candidate in known}
    guess = by_case.get(name.lower()) or next(iter(difflib.get_close_matches(name, sorted(known), 1, 0.5)), None)
    if name == "VM.Monitor":
        return "It went away in 9.0; the VM.GuestAgent privileges came in its place."
    return f"Did you mean {guess}?" if guess else ""


def put_group(target: Target, view: View, spec: GroupSpec) -> None:
    old = target.base.groups.get(spec.groupid)
    if old is None and not must_be_seen(target, view, "groups", f"group {spec.groupid}"):
        return
    if spec.state == "absent":
        if old is not None:
            target.state = target.state.drop("groups", spec.groupid)
        return
    comment = (old.comment if old else "") if spec.comment is None else spec.comment
    target.state = target.state.put("groups", spec.groupid, Group(spec.groupid, comment))


def put_user(target: Target, view: View, spec: UserSpec) -> None:
    old = target.base.users.get(spec.userid)
    if old is None and not must_be_seen(target, view, "users", f"user {spec.userid}"):
        return
    if spec.state == "absent":
        if old is not None:
            target.state = target.state.drop("users", spec.userid)
        return
    realm = spec.userid.rpartition("@")[2]
    if old is None and view.state.realms and realm not in view.state.realms:
        target.refuse(
            f"User {spec.userid}: there is no realm {realm!r}; PVE would make the user all the same.",
            f"Realms here: {', '.join(sorted(view.state.realms))}.",
            about=f"user {spec.userid}",
        )
        return
    was = target.state.users.get(spec.userid) or User(spec.userid)
    for group in sorted((spec.groups or frozenset()) - set(target.state.groups)):
        if group in target.base.groups or "groups" in view.complete:
            target.refuse(
                f"User {spec.userid}: group {group} is to be absent, so nobody can be in it.",
                about=f"user {spec.userid}",
            )
    groups = was.groups if spec.groups is None else (spec.groups | was.groups if spec.append else spec.groups)
    target.state = target.state.put(
        "users",
        spec.userid,
        User(
            spec.userid,
            enable=was.enable if spec.enable is None else spec.enable,
            expire=_expire(target, view, spec.expire, old.expire if old else None),
            groups=groups,
            firstname=_kept(spec.firstname, was.firstname),
            lastname=_kept(spec.lastname, was.lastname),
            email=_kept(spec.email, was.email),
            comment=_kept(spec.comment, was.comment),
        ),
    )
    _say_if_over(target, view, f"User {spec.userid}", target.state.users[spec.userid].expire)


def put_token(target: Target, view: View, spec: TokenSpec) -> None:
    old = target.base.tokens.get(spec.tokenid)
    if old is None and not must_be_seen(target, view, "users", f"token {spec.tokenid}"):
        return
    if spec.state == "absent":
        if old is not None:
            target.state = target.state.drop("tokens", spec.tokenid)
        return
    about = f"token {spec.tokenid}"
    if owner_of(spec.tokenid) not in target.state.users:
        if not target.refused(f"user {owner_of(spec.tokenid)}"):
            target.refuse(
                f"Token {spec.tokenid}: its user is to be deleted.", "A token goes with its user.", about=about
            )
        return
    was = old or Token(spec.tokenid)
    expire = _expire(target, view, spec.expire, old.expire if old else None)
    if old and spec.expire and not target.judging and why_renewed(view, spec):
        expire = renewed_end(view, spec, spec.expire)
    token = Token(
        spec.tokenid,
        privsep=was.privsep if spec.privsep is None else spec.privsep,
        expire=expire,
        comment=_kept(spec.comment, was.comment),
    )
    if old and old.comment and not token.comment and view.release < (9, 1):
        target.refuse(
            f"Token {spec.tokenid}: PVE {releases.as_text(view.release)} cannot take a token's comment away (9.1 and "
            "later can).",
            "Give another comment.",
            about=about,
            cause=STATE,
        )
    target.state = target.state.put("tokens", spec.tokenid, token)
    marker = view.markers.get(spec.tokenid)
    if marker:
        target.state = target.state.grant(to_restore(spec.tokenid, marker))
    if old is None and not spec.secret_file and not spec.return_secret:
        target.refuse(
            f"Token {spec.tokenid} would be made and its secret, which PVE shows only once, be lost.",
            "Name a secret_file to keep it in.",
            about=about,
        )
    _say_if_over(target, view, f"Token {spec.tokenid}", token.expire)


def put_pool(target: Target, view: View, wanted: Document, spec: PoolSpec) -> None:
    old = target.base.pools.get(spec.poolid)
    if old is None and not must_be_seen(target, view, "pools", f"pool {spec.poolid}"):
        return
    about = f"pool {spec.poolid}"
    if "/" in spec.poolid and view.release < (8, 1):
        target.refuse(
            f"Pool {spec.poolid}: PVE {releases.as_text(view.release)} has no nested pools (8.1 and later have).",
            about=about,
        )
        return
    if spec.state == "absent":
        if old is None:
            return
        left = target.state.pools[spec.poolid]
        if left.vms or left.storage:
            members = [str(vmid) for vmid in sorted(left.vms)] + sorted(left.storage)
            target.refuse(
                f"Pool {spec.poolid} is not empty: {', '.join(members)}.",
                "Take its members out first; PVE insists.",
                about=about,
                cause=STATE,
            )
            return
        target.state = target.state.drop("pools", spec.poolid)
        return
    was = target.state.pools.get(spec.poolid) or Pool(spec.poolid)
    vms = was.vms if spec.vms is None else (was.vms | spec.vms if spec.append else spec.vms)
    storage = was.storage if spec.storage is None else (was.storage | spec.storage if spec.append else spec.storage)
    refuse_missing_guests(target, view, sorted(vms - was.vms), f"Pool {spec.poolid}", about, allowed=False)
    for vmid in sorted(vms - was.vms):
        for other in list(target.state.pools.values()):
            if other.poolid == spec.poolid or vmid not in other.vms:
                continue
            if _releases(wanted, other.poolid, vmid):
                pass
            elif not spec.allow_move:
                target.refuse(
                    f"Pool {spec.poolid}: guest {vmid} is in pool {other.poolid}.",
                    "A guest is in one pool at the most; allow_move: true moves it.",
                    about=about,
                    cause=STATE,
                )
            elif view.release < (8, 1):
                target.refuse(
                    f"Pool {spec.poolid}: PVE {releases.as_text(view.release)} cannot move guest {vmid} between pools.",
                    about=about,
                    cause=STATE,
                )
            target.state = target.state.put("pools", other.poolid, replace(other, vms=other.vms - {vmid}))
    pool = Pool(spec.poolid, _kept(spec.comment, was.comment), vms, storage)
    target.state = target.state.put("pools", spec.poolid, pool)


def _releases(wanted: Document, poolid: str, vmid: int) -> bool:
    """Tell whether a document itself says that a guest is not in a pool."""
    return any(
        spec.poolid == poolid and spec.vms is not None and vmid not in spec.vms and not spec.append
        for spec in wanted.pools
    )


def _kept(given: str | None, was: str) -> str:
    return was if given is None else given


def _expire(target: Target, view: View, given: Expiry | None, was: int | None) -> int:
    if given is None:
        return was or 0
    # A span that was reckoned once has left an end.
    never_reckoned = was is None or (target.judging and was == 0)
    return given.at(view.now) if never_reckoned else given.compared_with(was or 0)


def _say_if_over(target: Target, view: View, what: str, expire: int) -> None:
    if is_over(expire, view.now):
        target.warnings.append(f"{what} has expired; it stays so until it is renewed or its expiry is changed.")
