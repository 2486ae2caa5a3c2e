"""From the observed state and a document to the state that is meant, and everything that speaks against it.

Here stand the refusals: what PVE would accept in silence and should not, and what it would refuse only half-way.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..client.errors import OptionError
from ..wording import some_of
from . import paths, releases
from .births import DEAD, KEPT, MISSING, STAGED, UNFINISHED, to_restore
from .document import AclSpec, Document, GroupSpec, PoolSpec, RoleSpec, TokenSpec, UserSpec, matches
from .expiry import Expiry
from .ghosts import CURE, ghosts
from .model import NO_ACCESS, AccessState, Entry, Group, Pool, Principal, Role, Token, User, is_over, owner_of
from .observe import View
from .permissions import Evaluator, unnamed_below
from .rotation import due, rotations
from .steps import goes_with_role_or_pool

# What a refusal comes from: what the document says, what is there now, or a list that the caller does not see in full.
POLICY, STATE, UNSEEN = "policy", "state", "unseen"


class Refusal(OptionError):
    """A reason not to do what a document says. ``about`` is what it speaks of, such as ``role Ops``; maybe at a path.

    ``cause`` is one of POLICY, STATE and UNSEEN; ``unseen`` is the kind of list that is not seen in full.
    """

    def __init__(self, message: str, hint: str, about: str, path: str, cause: str, unseen: str = "") -> None:
        super().__init__(message, hint)
        self.about = about
        self.path = path
        self.cause = cause
        self.unseen = unseen


@dataclass
class Target:
    """The state that is meant, and what was noticed on the way to it."""

    base: AccessState  # the observed state, with what an earlier task would have made
    state: AccessState
    # Nothing is applied: things are judged (see ``make_target``).
    judging: bool = False
    assumed: list[str] = field(default_factory=list)
    problems: list[Refusal] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    # The ACL entries that the document asks for.
    declared: set[Entry] = field(default_factory=set)
    # Entries of owners that ``grant_user`` asked for; not all of them have to be there.
    for_owners: set[Entry] = field(default_factory=set)
    # Entries under which hiding inherited rights is meant.
    may_hide: set[Entry] = field(default_factory=set)

    def refuse(
        self, message: str, hint: str = "", *, about: str = "", path: str = "", cause: str = POLICY, unseen: str = ""
    ) -> None:
        """Note a reason not to do any of it (see ``Refusal``). All of them are told at once."""
        self.problems.append(Refusal(message, hint, about, path, cause, unseen))

    def refused(self, about: str) -> bool:
        """Tell whether something was refused already, so that what follows from it need not be told."""
        return any(one.about == about for one in self.problems)


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
        _role(target, view, role)
    for group in wanted.groups:
        _group(target, view, group)
    for user in wanted.users:
        _user(target, view, user)
    for token in wanted.tokens:
        _token(target, view, token)
    # What a document says of one pool may concern another: its guests come from there, and leave it empty.
    for pool in sorted(wanted.pools, key=lambda spec: spec.state == "absent"):
        _pool(target, view, wanted, pool)
    for acl in wanted.acls:
        _acl(target, view, wanted, acl)
    # Those that are there already belong to the document, even where the owner would not need them: what he holds
    # otherwise may be gone tomorrow.
    target.for_owners = {entry for acl in wanted.acls for entry in _owners_entries(acl)}
    _exclusive(target, view, wanted)
    _leave_ghosts(target, view)
    _refuse_self_contradiction(target)
    for acl in wanted.acls:
        if acl.grant_user and acl.state == "present":
            _grant_owners(target, acl)
    target.kept = sorted(set(target.kept))
    _warn_of_ghosts(target)
    _refuse_hiding(target, wanted)
    return target


# -- what an earlier task would have made ---------------------------------------------------------------------------


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
        if kind == "roles" and _is_reserved(view, name):
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


# -- single objects -----------------------------------------------------------------------------------------------


def _must_be_seen(target: Target, view: View, kind: str, what: str) -> bool:
    """Refuse to make or delete something on the word of a list that may not be whole."""
    if kind in view.complete:
        return True
    needed = {
        "users": "User.Modify or Sys.Audit on /access/groups",
        "groups": "Group.Allocate or Sys.Audit on /access/groups, propagated",
        "acl": "Sys.Audit on /access",
        "pools": "Pool.Audit on /pool, propagated",
    }[kind]
    target.refuse(
        f"Whether {what} exists cannot be known: {view.caller} does not see all {kind}, and PVE does not say so.",
        f"Give it {needed}.",
        about=what,
        cause=UNSEEN,
        unseen=kind,
    )
    return False


def _role(target: Target, view: View, spec: RoleSpec) -> None:
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
            f"Role {spec.roleid}: PVE {_shown(view.release)} has no privilege {name!r}.",
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
        if _is_reserved(view, spec.roleid):
            target.refuse(
                f"Role {spec.roleid}: names that begin with PVE are reserved.", "Choose another name.", about=about
            )
        twin = next((name for name in view.state.roles if name.lower() == spec.roleid.lower()), None)
        if twin and view.state.roles[twin].special:
            target.warnings.append(f"Role {spec.roleid} differs from the built-in role {twin} only by its case.")
    target.state = target.state.put("roles", spec.roleid, Role(spec.roleid, privs))


def _is_reserved(view: View, roleid: str) -> bool:
    return view.release >= (8, 0) and roleid.upper().startswith("PVE")


def _nearest(name: str, known: Iterable[str]) -> str:
    by_case = {candidate.lower(): candidate for candidate in known}
    guess = by_case.get(name.lower()) or next(iter(difflib.get_close_matches(name, sorted(known), 1, 0.5)), None)
    if name == "VM.Monitor":
        return "It went away in 9.0; the VM.GuestAgent privileges came in its place."
    return f"Did you mean {guess}?" if guess else ""


def _shown(release: releases.Release) -> str:
    return "{}.{}".format(*release)


def _group(target: Target, view: View, spec: GroupSpec) -> None:
    old = target.base.groups.get(spec.groupid)
    if old is None and not _must_be_seen(target, view, "groups", f"group {spec.groupid}"):
        return
    if spec.state == "absent":
        if old is not None:
            target.state = target.state.drop("groups", spec.groupid)
        return
    comment = (old.comment if old else "") if spec.comment is None else spec.comment
    target.state = target.state.put("groups", spec.groupid, Group(spec.groupid, comment))


def _user(target: Target, view: View, spec: UserSpec) -> None:
    old = target.base.users.get(spec.userid)
    if old is None and not _must_be_seen(target, view, "users", f"user {spec.userid}"):
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


def _kept(given: str | None, was: str) -> str:
    return was if given is None else given


def _expire(target: Target, view: View, given: Expiry | None, was: int | None) -> int:
    if given is None:
        return was or 0
    # A span that was reckoned once has left an end.
    never_reckoned = was is None or (target.judging and was == 0)
    return given.at(view.now) if never_reckoned else given.compared_with(was or 0)


def why_renewed(view: View, spec: TokenSpec) -> str:
    """Return why a token that is there gets a new secret; empty where it keeps the one it has."""
    token, fate = view.state.tokens.get(spec.tokenid), view.secrets.get(spec.tokenid, "")
    if token is None or spec.state != "present" or fate in (STAGED, KEPT):
        return ""
    if fate == UNFINISHED:
        return fate
    # The age of what does not work is the age of nothing.
    birth = view.births.get(spec.tokenid) if fate != DEAD else None
    found = due(spec.rotate, birth, token.expire, view.now)
    return found or (fate if fate in (MISSING, DEAD) and spec.renew == "when_lost" else "")


def _renewed_end(view: View, spec: TokenSpec, expire: Expiry) -> int:
    """Return when a token ends that is renewed. What an interrupted run had reckoned stays as it was."""
    if expire.span and view.secrets.get(spec.tokenid) == UNFINISHED:
        reckoned = (view.markers.get(spec.tokenid, {}).get("fields") or {}).get("expire")
        if reckoned is not None:
            return int(reckoned)
    return expire.at(view.now)


def _say_if_over(target: Target, view: View, what: str, expire: int) -> None:
    if is_over(expire, view.now):
        target.warnings.append(f"{what} has expired; it stays so until it is renewed or its expiry is changed.")


def _token(target: Target, view: View, spec: TokenSpec) -> None:
    old = target.base.tokens.get(spec.tokenid)
    if old is None and not _must_be_seen(target, view, "users", f"token {spec.tokenid}"):
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
        expire = _renewed_end(view, spec, spec.expire)
    token = Token(
        spec.tokenid,
        privsep=was.privsep if spec.privsep is None else spec.privsep,
        expire=expire,
        comment=_kept(spec.comment, was.comment),
    )
    if old and old.comment and not token.comment and view.release < (9, 1):
        target.refuse(
            f"Token {spec.tokenid}: PVE {_shown(view.release)} cannot take a token's comment away (9.1 and later can).",
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


def _pool(target: Target, view: View, wanted: Document, spec: PoolSpec) -> None:
    old = target.base.pools.get(spec.poolid)
    if old is None and not _must_be_seen(target, view, "pools", f"pool {spec.poolid}"):
        return
    about = f"pool {spec.poolid}"
    if "/" in spec.poolid and view.release < (8, 1):
        target.refuse(
            f"Pool {spec.poolid}: PVE {_shown(view.release)} has no nested pools (8.1 and later have).", about=about
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
    _refuse_missing_guests(target, view, sorted(vms - was.vms), f"Pool {spec.poolid}", about, allowed=False)
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
                    f"Pool {spec.poolid}: PVE {_shown(view.release)} cannot move guest {vmid} between pools.",
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


def _refuse_missing_guests(
    target: Target, view: View, vmids: Iterable[int], what: str, about: str, *, allowed: bool
) -> None:
    """Refuse guests that do not exist, where the caller would have seen them."""
    if allowed or view.guests is None or "guests" not in view.complete:
        return
    for vmid in vmids:
        if vmid not in view.guests:
            target.refuse(
                f"{what}: there is no guest {vmid}; PVE would accept it all the same.",
                "allow_missing: true grants access before the guest is made." if about == ENTRIES else "",
                about=about,
                path=f"/vms/{vmid}" if about == ENTRIES else "",
            )


# -- ACL ----------------------------------------------------------------------------------------------------------

# What a refusal is about that speaks of all entries at a path.
ENTRIES = "ACL entries"


def _acl(target: Target, view: View, wanted: Document, spec: AclSpec) -> None:
    """Put in (or take out) the entries of one item."""
    entries = [Entry(path, who, role) for path in spec.paths for who in spec.principals for role in spec.roles]
    if spec.state == "absent":
        target.state = target.state.revoke(frozenset(entries))
        return
    for path in spec.paths:
        _check_path(target, view, path)
    _check_roles(target, spec)
    if not _principals_stay(target, view, spec):
        return
    guests = {path: paths.guest_of(path) for path in spec.paths}
    fresh = [e.path for e in entries if target.base.propagate(e) is None]
    vmids = sorted({vmid for path in fresh for vmid in [guests[path]] if vmid is not None})
    allowed = spec.allow_missing or wanted.allow_missing
    _refuse_missing_guests(target, view, vmids, f"ACL {', '.join(spec.paths)}", ENTRIES, allowed=allowed)
    flags = {entry: _flag(target, entry, spec.propagate) for entry in entries}
    target.state = target.state.grant(flags)
    if spec.allow_narrowing:
        target.may_hide |= set(entries)
    target.declared |= set(entries)


def _flag(target: Target, entry: Entry, given: bool | None) -> bool:
    if given is not None:
        return given
    now = target.base.propagate(entry)
    return True if now is None else now


def _check_path(target: Target, view: View, path: str) -> None:
    if paths.is_valid(path, view.release):
        return
    guess = paths.meant(path, view.release)
    target.refuse(
        f"ACL path {path!r} does not exist in PVE {_shown(view.release)}.",
        f"You probably mean {guess}." if guess else "See the list of ACL paths in the documentation.",
        about=ENTRIES,
        path=path,
    )


def _check_roles(target: Target, spec: AclSpec) -> None:
    for role in spec.roles:
        if role not in target.state.roles:
            close = difflib.get_close_matches(role, sorted(target.state.roles), 1, 0.6)
            target.refuse(
                f"There is no role {role!r}.", f"Did you mean {close[0]}?" if close else "", about=f"role {role}"
            )


def _principals_stay(target: Target, view: View, spec: AclSpec) -> bool:
    """Refuse entries for whom the same document deletes."""
    gone = [
        who
        for who in spec.principals
        if who.name in getattr(target.base, who.kind + "s") and who.name not in getattr(target.state, who.kind + "s")
    ]
    # With a list that is not whole, PVE will say itself whether there is such a user.
    for who in spec.principals:
        kind = "users" if who.kind == "token" else who.kind + "s"
        if kind in view.complete and who.name not in getattr(target.state, who.kind + "s"):
            gone.append(who)
    for who in dict.fromkeys(gone):
        if not any(target.refused(about) for about in (f"{who.kind} {who.name}", f"user {owner_of(who.name)}")):
            target.refuse(
                f"ACL {', '.join(spec.paths)}: {who.name} is to be absent, so it can have no entry.",
                about=f"{who.kind} {who.name}",
                path=spec.paths[0],
            )
    return not gone


def _refuse_self_contradiction(target: Target) -> None:
    """Refuse entries whose role, principal or pool an exclusive scope of the same document removes."""
    for entry in sorted(target.declared):
        if target.state.propagate(entry) is None:
            target.refuse(
                f"ACL {entry.path}: {entry.principal.name} is given {entry.role}, and an exclusive scope of the same "
                "document removes one of them.",
                "Declare it, or put it under keep.",
                about=f"{entry.principal.kind} {entry.principal.name}",
                path=entry.path,
            )


def _owners_entries(spec: AclSpec) -> Iterator[Entry]:
    if spec.grant_user and spec.state == "present":
        owners = {owner_of(who.name) for who in spec.principals if who.kind == "token"}
        yield from (
            Entry(path, Principal("user", o), role) for path in spec.paths for o in owners for role in spec.roles
        )


def _grant_owners(target: Target, spec: AclSpec) -> None:
    """Give the owners of tokens what their tokens are given, where they do not hold it already."""
    privs = frozenset(p for role in spec.roles if role in target.state.roles for p in target.state.roles[role].privs)
    for path in spec.paths:
        for token in (who.name for who in spec.principals if who.kind == "token"):
            owner = owner_of(token)
            flag = spec.propagate is not False
            held = Evaluator(target.state).privileges(owner, path)
            entries = {Entry(path, Principal("user", owner), role): flag for role in spec.roles}
            if all(held.get(name, -1) >= int(flag) for name in privs):
                continue
            target.state = target.state.grant(entries)
            if spec.allow_narrowing:
                target.may_hide |= set(entries)


# -- exclusive scopes -----------------------------------------------------------------------------------------------


def _exclusive(target: Target, view: View, wanted: Document) -> None:
    """Drop what stands undeclared inside an exclusive scope."""
    surplus: set[Entry] = set()
    stand_ins = rotations(target.state, view.now)
    of_stand_ins: set[Entry] = set()
    asked_for = target.declared | target.for_owners
    names = {
        "users": {spec.userid for spec in wanted.users},
        "groups": {spec.groupid for spec in wanted.groups},
        "roles": {spec.roleid for spec in wanted.roles},
        "tokens": {spec.tokenid for spec in wanted.tokens},
        "pools": {spec.poolid for spec in wanted.pools},
    }
    for scope in wanted.exclusive:
        list_name = {"tokens": "users", "acls": "acl"}.get(scope.kind, scope.kind)
        if list_name not in view.complete:
            _must_be_seen(target, view, list_name, f"something undeclared among the {scope.kind}")
            continue
        if scope.kind == "acls":
            for entry, unused in target.state.entries():
                if not scope.covers(entry) or entry in asked_for:
                    continue
                if entry.principal.name in stand_ins:
                    of_stand_ins.add(entry)
                    continue
                if not _protected(target, view, wanted, entry.principal.name, entry):
                    surplus.add(entry)
            continue
        for name in list(getattr(target.state, scope.kind)):
            key = owner_of(name) if scope.kind == "tokens" else name
            if not matches(key, scope.patterns) or name in names[scope.kind]:
                continue
            if scope.kind == "roles" and target.state.roles[name].special:
                continue
            if _protected(target, view, wanted, name, None):
                continue
            original = stand_ins.get(name, "") if scope.kind == "tokens" else ""
            if original and (original in names["tokens"] or _protected(target, view, wanted, original, None)):
                target.kept.append(f"{name} (it stands in for {original}, whose secret is being renewed)")
                continue
            pool = target.state.pools[name] if scope.kind == "pools" else None
            if pool is not None and (pool.vms or pool.storage) and not target.judging:
                target.kept.append(f"pool {name} (it has members)")
                continue
            target.state = target.state.drop(scope.kind, name)
    # A token that stands in for another has what that has, and loses what that loses.
    for entry in of_stand_ins:
        twin = entry._replace(principal=Principal("token", stand_ins[entry.principal.name]))
        if twin in surplus or target.state.propagate(twin) is None:
            surplus.add(entry)
    target.state = target.state.revoke(frozenset(surplus))


def _protected(target: Target, view: View, wanted: Document, name: str, entry: Entry | None) -> bool:
    """Tell whether something is outside every exclusive scope: the caller's own, root@pam, and what is to be kept.

    The caller is spared so that he does not lock himself out; where he is only judged, he is as everybody else.
    """
    what = f"{entry.path} {name} {entry.role}" if entry else name
    mine = set() if target.judging else {view.caller, view.caller_user}
    if mine and view.caller_user in target.state.users:
        mine |= target.state.users[view.caller_user].groups
    if name in mine or wanted.keeps(name):
        target.kept.append(what)
        return True
    # A user whose token is kept is kept too: the one cannot be without the other.
    tokens = target.state.tokens_of.get(name, frozenset())
    if entry is None and any(matches(token, wanted.keep) for token in tokens):
        target.kept.append(what)
        return True
    return False


# -- entries of users and groups that are gone ------------------------------------------------------------------------


def _leave_ghosts(target: Target, view: View) -> None:
    """Leave the entries of users and groups that are gone, and say so: PVE refuses to delete them by themselves."""
    left: list[str] = []
    for principal, at_paths in ghosts(view.state, view.complete).items():
        kind, name = principal
        entries = [Entry(path, principal, role) for path, roles in at_paths.items() for role in roles]
        going = {
            entry: at_paths[entry.path][entry.role]
            for entry in entries
            if target.state.propagate(entry) is None and not goes_with_role_or_pool(entry, target.base, target.state)
        }
        # A group is made without members, and its entries go before anybody is in it.
        if not going or name in getattr(target.base, f"{kind}s") or (kind == "group" and name in target.state.groups):
            continue
        told = ", ".join(sorted(f"{entry.role} on {entry.path}" for entry in going))
        if kind == "user" and name in target.state.users:
            target.refuse(
                f"User {name} is to be made, and ACL entries of an earlier one are to go: {told}. PVE deletes them "
                "only when he is there, and then he has them.",
                CURE,
                about=f"user {name}",
                cause=STATE,
            )
            continue
        target.state = target.state.grant(going)
        left.append(f"{kind} {name} ({told})")
    if left:
        told = some_of(left)
        target.warnings.append(f"ACL entries of what is gone stay, as PVE refuses to delete them: {told}. {CURE}")


def _warn_of_ghosts(target: Target) -> None:
    """Say where entries of an earlier user or group come back to life with the name; PVE keeps them for that."""
    for kind, there, made in (
        ("user", target.base.users, target.state.users),
        ("group", target.base.groups, target.state.groups),
    ):
        for name in sorted(set(made) - set(there)):
            principal = Principal(kind, name)
            at_paths = target.state.acl.get(principal, {})
            entries = {Entry(path, principal, role) for path, roles in at_paths.items() for role in roles}
            asked_for = target.declared | target.for_owners
            ghosts = sorted(e for e in entries - asked_for if target.base.propagate(e) is not None)
            if ghosts:
                told = ", ".join(f"{entry.role} on {entry.path}" for entry in ghosts)
                target.warnings.append(f"ACL entries of an earlier {kind} {name} come back to life: {told}.")


# -- entries that hide ----------------------------------------------------------------------------------------------


def _refuse_hiding(target: Target, wanted: Document) -> None:
    """Refuse new entries under which somebody loses rights that he would inherit without them."""
    if wanted.allow_narrowing:
        return
    fresh: dict[tuple[str, Principal], set[Entry]] = {}
    for principal, at_paths in target.state.acl.items():
        if at_paths is target.base.acl.get(principal):
            continue
        for path, given in at_paths.items():
            for role in given:
                entry = Entry(path, principal, role)
                # Nobody gives NoAccess but to take rights away.
                if target.base.propagate(entry) is None and entry not in target.may_hide and role != NO_ACCESS:
                    fresh.setdefault((path, principal), set()).add(entry)
    with_them = Evaluator(target.state)
    for (path, principal), entries in fresh.items():
        without = Evaluator(target.state.revoke(frozenset(entries)))
        members = target.state.members.get(principal.name, frozenset())
        for subject in sorted(members) if principal.kind == "group" else [principal.name]:
            lost = _lost(without, with_them, subject, path)
            if lost:
                roles = ", ".join(sorted(entry.role for entry in entries))
                target.refuse(
                    f"{roles} for {principal.kind} {principal.name} on {path} would hide what {subject} inherits "
                    f"there: {', '.join(sorted(lost))}. In PVE a deeper entry replaces what comes from above.",
                    "Give a role that holds these too, or say allow_narrowing: true where this is meant.",
                    about=f"{principal.kind} {principal.name}",
                    path=path,
                    cause=STATE,
                )
                break


def _lost(without: Evaluator, with_them: Evaluator, subject: str, path: str) -> frozenset[str]:
    """Return what a subject holds on a path, or just below it, only without certain entries."""
    at = (path, unnamed_below(path))
    return frozenset(
        name
        for place in at
        for name in without.privileges(subject, place)
        if name not in with_them.privileges(subject, place)
    )


def powerless(view: View, wanted: Document, target: Target) -> Iterator[Refusal]:
    """Yield a reason against each declared token that could do nothing in the end, where all of its rights are seen."""
    if not wanted.whole or not {"acl", "users"} <= view.complete:
        return
    evaluator = Evaluator(target.state)
    for spec in wanted.tokens:
        if spec.state == "present" and not evaluator.effective(spec.tokenid):
            yield Refusal(
                f"Token {spec.tokenid} could do nothing: neither it nor its user is given a right that both have.",
                "A token with privilege separation needs an ACL entry for the user and one for the token; "
                "list it under readers, or use grant_user.",
                f"token {spec.tokenid}",
                "",
                POLICY,
            )
