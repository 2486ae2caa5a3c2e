"""The objects of PVE's access control, and the state that they make up together.

Everything here is immutable: a plan is worked out by making new states from old ones. ``AccessState`` copies what it
replaces and shares the rest, so that a plan of thousands of steps stays cheap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

ROOT = "root@pam"
NO_ACCESS = "NoAccess"
ADMINISTRATOR = "Administrator"


class Principal(NamedTuple):
    """Whom an ACL entry speaks of: ``kind`` is user, group or token; ``name`` its userid, groupid or full tokenid."""

    kind: str
    name: str


class Entry(NamedTuple):
    """The identity of an ACL entry. Its propagate flag is a value, not part of it."""

    path: str
    principal: Principal
    role: str


@dataclass(frozen=True)
class User:
    """A user. ``expire`` is in seconds since the epoch, 0 for never."""

    userid: str
    enable: bool = True
    expire: int = 0
    groups: frozenset[str] = frozenset()
    firstname: str = ""
    lastname: str = ""
    email: str = ""
    comment: str = ""


@dataclass(frozen=True)
class Group:
    groupid: str
    comment: str = ""


@dataclass(frozen=True)
class Role:
    """A role. ``special`` roles are built in: PVE neither changes nor deletes them."""

    roleid: str
    privs: frozenset[str] = frozenset()
    special: bool = False


@dataclass(frozen=True)
class Token:
    """An API token, named by its full id ``user@realm!name``. ``expire`` as for a user."""

    tokenid: str
    privsep: bool = True
    expire: int = 0
    comment: str = ""

    @property
    def userid(self) -> str:
        return owner_of(self.tokenid)


@dataclass(frozen=True)
class Pool:
    """A pool with its direct members. A guest is in at most one pool, a storage in any number."""

    poolid: str
    comment: str = ""
    vms: frozenset[int] = frozenset()
    storage: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Realm:
    """A realm. ``type`` is pam, pve, ldap, ad or openid."""

    realm: str
    type: str = "pve"


def owner_of(subject: str) -> str:
    """Return the user of a full token id; a userid is its own owner."""
    return subject.rpartition("!")[0] if is_token(subject) else subject


def name_of(tokenid: str) -> str:
    """Return the name of a token, without its user."""
    return tokenid.rpartition("!")[2]


def is_token(subject: str) -> bool:
    """Tell a full token id from a userid. A ``!`` may stand in a user name, but never in a realm or a token name."""
    return "!" in subject.rpartition("@")[2]


def is_over(expire: int, now: float) -> bool:
    """Tell whether an end has passed, both in seconds since the epoch; 0 stands for none."""
    return 0 < expire < now


PathRoles = Mapping[str, Mapping[str, bool]]  # path -> role -> propagate


@dataclass(frozen=True)
class AccessState:
    """Users, groups, roles, tokens, ACL, pools and realms, each by its id.

    The ACL is kept by principal, because every question about rights starts from one.
    """

    users: Mapping[str, User] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    tokens: Mapping[str, Token] = field(default_factory=dict)
    acl: Mapping[Principal, PathRoles] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)
    realms: Mapping[str, Realm] = field(default_factory=dict)

    # -- reading ----------------------------------------------------------------------------------------------

    def entries(self) -> Iterator[tuple[Entry, bool]]:
        """Yield every ACL entry with its propagate flag."""
        for principal, paths in self.acl.items():
            for path, roles in paths.items():
                for role, propagate in roles.items():
                    yield Entry(path, principal, role), propagate

    def propagate(self, entry: Entry) -> bool | None:
        """Return the flag of an entry, or None where there is no such entry."""
        return self.acl.get(entry.principal, {}).get(entry.path, {}).get(entry.role)

    @cached_property
    def pools_of(self) -> Mapping[str, frozenset[str]]:
        """Return, for each ``/vms/N`` and ``/storage/S`` in a pool, the pools that it is in."""
        found: dict[str, set[str]] = {}
        for pool in self.pools.values():
            for vmid in pool.vms:
                found.setdefault(f"/vms/{vmid}", set()).add(pool.poolid)
            for storage in pool.storage:
                found.setdefault("/storage/" + storage, set()).add(pool.poolid)
        return {path: frozenset(pools) for path, pools in found.items()}

    @cached_property
    def members(self) -> Mapping[str, frozenset[str]]:
        """Return the users of each group that has any."""
        found: dict[str, set[str]] = {}
        for user in self.users.values():
            for group in user.groups:
                found.setdefault(group, set()).add(user.userid)
        return {group: frozenset(users) for group, users in found.items()}

    @cached_property
    def tokens_of(self) -> Mapping[str, frozenset[str]]:
        """Return the full ids of the tokens of each user that has any."""
        found: dict[str, set[str]] = {}
        for token in self.tokens.values():
            found.setdefault(token.userid, set()).add(token.tokenid)
        return {userid: frozenset(tokens) for userid, tokens in found.items()}

    @cached_property
    def acl_paths(self) -> frozenset[str]:
        """Return every path that has an ACL entry of anybody."""
        return frozenset(path for paths in self.acl.values() for path in paths)

    def end_of(self, tokenid: str) -> int | None:
        """Return when a token ends, by itself or with its user; 0 for never, None where one of them is not there."""
        token, user = self.tokens.get(tokenid), self.users.get(owner_of(tokenid))
        if token is None or user is None:
            return None
        return min((one.expire for one in (token, user) if one.expire), default=0)

    # -- making new states ------------------------------------------------------------------------------------

    def put(self, kind: str, key: str, value: Any) -> AccessState:
        """Return the state with an object of ``kind`` (users, groups, roles, tokens, pools) put in or replaced."""
        changed = dict(getattr(self, kind))
        changed[key] = value
        return replace(self, **{kind: changed})

    def drop(self, kind: str, key: str) -> AccessState:
        """Return the state without an object, and without what PVE drops together with it."""
        kept = {k: v for k, v in getattr(self, kind).items() if k != key}
        state = replace(self, **{kind: kept})
        if kind == "users":
            tokens = {k: v for k, v in self.tokens.items() if v.userid != key}
            gone = {Principal("user", key)} | {Principal("token", t) for t in self.tokens if t not in tokens}
            return replace(state, tokens=tokens, acl={p: e for p, e in self.acl.items() if p not in gone})
        if kind == "tokens":
            return replace(state, acl={p: e for p, e in self.acl.items() if p != Principal("token", key)})
        if kind == "groups":
            users = {k: replace(u, groups=u.groups - {key}) if key in u.groups else u for k, u in self.users.items()}
            acl = {p: e for p, e in self.acl.items() if p != Principal("group", key)}
            return replace(state, users=users, acl=acl)
        if kind == "roles":
            return replace(state, acl=_without_role(self.acl, key))
        if kind == "pools":
            # Deleting a pool drops the ACL subtree of a top-level pool; a nested one keeps its entries.
            if "/" in key:
                return state
            top = "/pool/" + key
            return replace(
                state,
                acl=_prune(
                    {
                        principal: {p: r for p, r in paths.items() if p != top and not p.startswith(top + "/")}
                        for principal, paths in self.acl.items()
                    }
                ),
            )
        return state

    def grant(self, entries: Mapping[Entry, bool]) -> AccessState:
        """Return the state with ACL entries added, or their flags changed."""
        acl: dict[Principal, dict[str, dict[str, bool]]] = dict(self.acl)  # type: ignore[arg-type]  # copied below
        fresh: set[Principal] = set()
        for entry, propagate in entries.items():
            if entry.principal not in fresh:
                fresh.add(entry.principal)
                acl[entry.principal] = {path: dict(roles) for path, roles in acl.get(entry.principal, {}).items()}
            acl[entry.principal].setdefault(entry.path, {})[entry.role] = propagate
        return replace(self, acl=acl)

    def revoke(self, entries: frozenset[Entry]) -> AccessState:
        """Return the state without these ACL entries; absent ones do not matter."""
        acl = dict(self.acl)
        for principal in {entry.principal for entry in entries} & set(acl):
            kept = {
                path: {role: flag for role, flag in roles.items() if Entry(path, principal, role) not in entries}
                for path, roles in acl[principal].items()
            }
            left = {path: roles for path, roles in kept.items() if roles}
            if left:
                acl[principal] = left
            else:
                del acl[principal]
        return replace(self, acl=acl)


def _prune(acl: Mapping[Principal, PathRoles]) -> Mapping[Principal, PathRoles]:
    pruned = {p: {path: roles for path, roles in paths.items() if roles} for p, paths in acl.items()}
    return {principal: paths for principal, paths in pruned.items() if paths}


def _without_role(acl: Mapping[Principal, PathRoles], role: str) -> Mapping[Principal, PathRoles]:
    return _prune(
        {
            principal: {path: {r: f for r, f in roles.items() if r != role} for path, roles in paths.items()}
            for principal, paths in acl.items()
        }
    )
