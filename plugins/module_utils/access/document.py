"""The ``pve_access`` document: what should be, as the task or the policy file says it.

A field that is None was not given, and leaves the server's value alone. Everything that can be judged without the
server is judged here, before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Callable, TypeVar

from ..client.errors import OptionError
from ..client.options import TOKENID, USERID
from . import paths
from .expiry import Expiry, parse_expiry
from .model import ROOT, Entry, Principal, is_token, owner_of
from .releases import Release
from .rotation import NEVER, Rotate, parse_rotate

T = TypeVar("T")

# Where PVE ends one element of a list and begins the next. Its user ids may have these characters in them.
_BETWEEN = re.compile(r"[,;\0]")
_GROUPID = re.compile(r"[A-Za-z0-9._-]+\Z")
_POOLID = re.compile(r"[A-Za-z][A-Za-z0-9._-]*(?:/[A-Za-z][A-Za-z0-9._-]*){0,2}\Z")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\Z")
_LENGTHS = {"firstname": 1024, "lastname": 1024, "email": 254, "comment": 2048}


@dataclass(frozen=True)
class RoleSpec:
    roleid: str
    privs: frozenset[str] | None = None
    append: bool = False
    state: str = "present"


@dataclass(frozen=True)
class GroupSpec:
    groupid: str
    comment: str | None = None
    state: str = "present"


@dataclass(frozen=True)
class UserSpec:
    userid: str
    enable: bool | None = None
    expire: Expiry | None = None
    groups: frozenset[str] | None = None
    append: bool = False
    firstname: str | None = None
    lastname: str | None = None
    email: str | None = None
    comment: str | None = None
    password: str | None = field(default=None, repr=False)
    update_password: str = "on_create"
    state: str = "present"


@dataclass(frozen=True)
class TokenSpec:
    tokenid: str
    privsep: bool | None = None
    expire: Expiry | None = None
    comment: str | None = None
    secret_file: str | None = None
    return_secret: bool = False
    verify_secret: str = "on_create"
    renew: str = "never"
    rotate: Rotate = NEVER
    state: str = "present"


@dataclass(frozen=True)
class AclSpec:
    """Every combination of ``paths``, ``principals`` and ``roles``. ``grant_user`` adds the owners of the tokens."""

    paths: tuple[str, ...]
    principals: tuple[Principal, ...]
    roles: tuple[str, ...]
    propagate: bool | None = None
    grant_user: bool = False
    allow_narrowing: bool = False
    allow_missing: bool = False
    state: str = "present"


@dataclass(frozen=True)
class PoolSpec:
    poolid: str
    comment: str | None = None
    vms: frozenset[int] | None = None
    storage: frozenset[str] | None = None
    append: bool = False
    allow_move: bool = False
    state: str = "present"


@dataclass(frozen=True)
class Scope:
    """What of one kind is to hold nothing but what is declared: shell patterns of ids, paths or owners."""

    kind: str
    patterns: tuple[str, ...]
    # For ACL entries, both have to match where both are given.
    principals: tuple[str, ...] = ()

    def covers(self, entry: Entry) -> bool:
        """Tell whether an ACL entry is inside of this scope for ACL entries."""
        whom = self.principals or ("*",)
        return matches(entry.path, self.patterns) and matches(entry.principal.name, whom)


@dataclass(frozen=True)
class ApplicationSpec:
    """The least rights of an application, for a token and its user. What they are depends on the release."""

    name: str
    tokenid: str


@dataclass(frozen=True)
class Document:
    roles: tuple[RoleSpec, ...] = ()
    groups: tuple[GroupSpec, ...] = ()
    users: tuple[UserSpec, ...] = ()
    tokens: tuple[TokenSpec, ...] = ()
    acls: tuple[AclSpec, ...] = ()
    pools: tuple[PoolSpec, ...] = ()
    applications: tuple[ApplicationSpec, ...] = ()
    exclusive: tuple[Scope, ...] = ()
    keep: tuple[str, ...] = ()
    allow_lockout: bool = False
    allow_narrowing: bool = False
    allow_missing: bool = False
    # A document is judged as a whole: a token that can do nothing at its end is a mistake.
    whole: bool = False
    # Whether anybody may gain a right: any, or none.
    max_widening: str = "any"
    # Take away the ACL entries of users and groups that are gone.
    purge_ghosts: bool = False

    def is_exclusive(self, kind: str, name: str) -> bool:
        """Tell whether a user, group, role or pool is inside of an exclusive scope of its kind, and not to be kept."""
        inside = any(scope.kind == kind and matches(name, scope.patterns) for scope in self.exclusive)
        return inside and not self.keeps(name)

    def is_exclusive_entry(self, entry: Entry) -> bool:
        """Tell whether an ACL entry is inside of an exclusive scope, and not to be kept."""
        inside = any(scope.kind == "acls" and scope.covers(entry) for scope in self.exclusive)
        return inside and not self.keeps(entry.principal.name)

    def keeps(self, name: str) -> bool:
        """Tell whether exclusive scopes spare what has this name, whoever applies them."""
        return name == ROOT or matches(name, self.keep)

    def for_release(self, release: Release) -> Document:
        """Return the document with roles and ACL entries in place of applications. Raises OptionError.

        A role of an application may be declared besides, as just what it is.
        """
        if not self.applications:
            return self
        # The catalogue and the tables behind it are large: only documents that speak of applications wait for them.
        from ..least.applications import rights_of
        from ..least.policy import as_policy

        roles = {role.roleid: role for role in self.roles}
        acls: list[AclSpec] = []
        for spec in self.applications:
            policy = as_policy(rights_of(spec.name, release), spec.name)
            for roleid, privileges in policy.roles.items():
                role = RoleSpec(roleid, privileges)
                if roles.setdefault(roleid, role) != role:
                    raise OptionError(
                        f"roles: {roleid} is the role of the application {spec.name}, and is declared otherwise.",
                        "Leave it out; it comes with the reader.",
                    )
            acls += [_shared(spec.tokenid, list(acl.paths), [acl.role], acl.propagate) for acl in policy.acls]
        return replace(self, roles=tuple(roles.values()), acls=(*self.acls, *acls), applications=())


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a name is like one of some shell patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def parse_document(raw: Mapping[str, Any]) -> Document:
    """Read a whole ``pve_access`` document, the shorthand ``readers`` included. Raises OptionError, naming the field.

    ``raw`` has been through an argument spec: every key is there, and None where it was not given.
    """
    readers = _each(raw, "readers", expand_reader)
    roles = _each(raw, "roles", parse_role)
    if any(reader.get("logs") for reader in raw.get("readers") or []):
        roles = _with_logs_role(roles)
    users = _each(raw, "users", parse_user)
    declared = {user.userid for user in users}
    for userid in dict.fromkeys(reader.owner for reader in readers):
        if userid not in declared and userid != ROOT:
            users.append(UserSpec(userid))
    document = Document(
        roles=tuple(roles),
        groups=tuple(_each(raw, "groups", parse_group)),
        users=tuple(users),
        tokens=tuple(_each(raw, "tokens", parse_token) + [reader.token for reader in readers]),
        acls=tuple(_each(raw, "acls", parse_acl) + [acl for reader in readers for acl in reader.acls]),
        pools=tuple(_each(raw, "pools", parse_pool)),
        applications=tuple(
            ApplicationSpec(reader.application, reader.token.tokenid) for reader in readers if reader.application
        ),
        exclusive=tuple(parse_exclusive(raw.get("exclusive") or {})),
        keep=tuple(raw.get("keep") or ()),
        allow_lockout=bool(raw.get("allow_lockout")),
        allow_narrowing=bool(raw.get("allow_narrowing")),
        allow_missing=bool(raw.get("allow_missing")),
        whole=True,
        max_widening=raw.get("max_widening") or "any",
        purge_ghosts=bool(raw.get("purge_ghosts")),
    )
    _refuse_contradictions(document)
    return document


# -- readers ------------------------------------------------------------------------------------------------------

LOGS_ROLE = "homelab-logs"


@dataclass(frozen=True)
class Reader:
    """What a reader stands for. With an ``application``, its ACL entries come when the release is known."""

    owner: str
    token: TokenSpec
    acls: tuple[AclSpec, ...]
    application: str | None = None


def expand_reader(raw: Mapping[str, Any]) -> Reader:
    """Turn a reader into what it stands for: the token, and an ACL entry that both its halves share."""
    token = parse_token({**raw, "tokenid": raw["token"], "privsep": True, "state": "present"})
    owner = owner_of(token.tokenid)
    given = [name for name in ("role", "path", "propagate") if raw.get(name) is not None]
    given += ["logs"] if raw.get("logs") else []
    if raw.get("application"):
        if given:
            raise OptionError(
                f"{token.tokenid}: the rights of an application are worked out, so there is no place for "
                f"{' and '.join(given)}.",
                "Leave that out, or leave out application; what the reader is to have besides goes under acls.",
            )
        from ..least.applications import application  # large: see Document.for_release

        return Reader(owner, token, (), application(raw["application"]).name)
    missing = [name for name in ("role", "path") if raw.get(name) is None]
    if missing:
        raise OptionError(
            f"{token.tokenid}: {' and '.join(missing)} missing.",
            "A reader gets a role on a path, or the rights that an application needs: role and path, or application.",
        )
    roles = [raw["role"], *([LOGS_ROLE] if raw.get("logs") else [])]
    return Reader(owner, token, (_shared(token.tokenid, [raw["path"]], roles, raw.get("propagate")),))


def _shared(tokenid: str, places: list[str], roles: list[str], propagate: bool | None) -> AclSpec:
    """Return ACL entries for a token and its user."""
    entry = {"paths": places, "tokens": [tokenid], "roles": roles, "propagate": propagate, "grant_user": True}
    return parse_acl(entry)


def _with_logs_role(roles: list[RoleSpec]) -> list[RoleSpec]:
    if any(role.roleid == LOGS_ROLE for role in roles):
        return roles
    return [*roles, RoleSpec(LOGS_ROLE, frozenset({"Sys.Syslog"}))]


# -- single objects -----------------------------------------------------------------------------------------------


def parse_role(raw: Mapping[str, Any]) -> RoleSpec:
    """Read a role: ``roleid``, ``privs``, ``append``, ``state``."""
    roleid = _matching(raw["roleid"], _GROUPID, "roleid", "Role ids hold letters, digits, '.', '-' and '_'.")
    privs = raw.get("privs")
    return RoleSpec(
        roleid,
        None if privs is None else frozenset(privs),
        bool(raw.get("append")),
        raw.get("state") or "present",
    )


def parse_group(raw: Mapping[str, Any]) -> GroupSpec:
    """Read a group: ``groupid``, ``comment``, ``state``."""
    groupid = _matching(raw["groupid"], _GROUPID, "groupid", "Group ids hold letters, digits, '.', '-' and '_'.")
    return GroupSpec(groupid, stored_text(raw.get("comment")), raw.get("state") or "present")


def parse_user(raw: Mapping[str, Any]) -> UserSpec:
    """Read a user. Deleting or disabling root@pam is refused: PVE does both without a word."""
    userid = check_userid(raw["userid"], "userid")
    state = raw.get("state") or "present"
    if userid == ROOT and (state == "absent" or raw.get("enable") is False or raw.get("expire") not in (None, "never")):
        raise OptionError(
            "root@pam is not deleted, disabled or made to expire.",
            "PVE would do it, and take all of its tokens with it. Make a user of your own and leave root@pam alone.",
        )
    groups = raw.get("groups")
    for group in groups or ():
        _matching(group, _GROUPID, "groups", "Group ids hold letters, digits, '.', '-' and '_'.")
    if groups:
        _listable(userid, "groups")
    for name, limit in _LENGTHS.items():
        if len(raw.get(name) or "") > limit:
            raise OptionError(f"{name}: longer than the {limit} characters that PVE takes.")
    email = stored_text(raw.get("email"))
    if email and not _EMAIL.match(email):
        raise OptionError(f"email: {email!r} is no e-mail address.")
    password = raw.get("user_password")
    if password is not None and not 8 <= len(password) <= 64:
        raise OptionError("user_password: PVE takes 8 to 64 characters.")
    if password is not None and not userid.endswith("@pve"):
        raise OptionError(
            f"user_password: {userid} is not in the realm pve, so its password is not kept by PVE.",
            "Leave the password out; set it where the realm keeps it.",
        )
    update = raw.get("update_password") or "on_create"
    if update == "always" and password is None:
        raise OptionError("update_password: always needs a user_password.")
    return UserSpec(
        userid,
        raw.get("enable"),
        parse_expiry(raw.get("expire"), "expire"),
        None if groups is None else frozenset(groups),
        bool(raw.get("append")),
        stored_text(raw.get("firstname")),
        stored_text(raw.get("lastname")),
        email,
        stored_text(raw.get("comment")),
        password,
        update,
        state,
    )


def parse_token(raw: Mapping[str, Any]) -> TokenSpec:
    """Read a token, named by its full id."""
    spec = TokenSpec(
        check_tokenid(raw["tokenid"], "tokenid"),
        raw.get("privsep"),
        parse_expiry(raw.get("expire"), "expire"),
        stored_text(raw.get("comment")),
        raw.get("secret_file"),
        bool(raw.get("return_secret")),
        raw.get("verify_secret") or "on_create",
        raw.get("renew") or "never",
        parse_rotate(raw.get("rotate"), "rotate"),
        raw.get("state") or "present",
    )
    _check_rotation(spec)
    return spec


def _check_rotation(spec: TokenSpec) -> None:
    rotate = spec.rotate
    if rotate != NEVER and not (spec.secret_file or spec.return_secret):
        raise OptionError(
            f"rotate: {spec.tokenid} would get a new secret, and nobody would have it.", "Name a secret_file for it."
        )
    if rotate.older_than and not spec.secret_file:
        raise OptionError(
            f"rotate.older_than: without its file, nobody knows how old the secret of {spec.tokenid} is.",
            "Name the secret_file, or say expires_within or always.",
        )
    if rotate.expires_within and spec.expire and 0 < spec.expire.span <= rotate.expires_within:
        raise OptionError(
            f"rotate.expires_within: it is not shorter than the expire of {spec.tokenid}: each run would rotate it.",
            "Make expire longer, or expires_within shorter.",
        )


def parse_acl(raw: Mapping[str, Any]) -> AclSpec:
    """Read ACL entries. Paths are normalised here; whether PVE has them depends on its release."""
    found = [path for path in (*(raw.get("paths") or ()), raw.get("path")) if path is not None]
    if not found:
        raise OptionError("paths: at least one path is needed.")
    users = [_listable(check_userid(user, "users"), "users") for user in raw.get("users") or ()]
    tokens = [_listable(check_tokenid(token, "tokens"), "tokens") for token in raw.get("tokens") or ()]
    groups = [
        _matching(group, _GROUPID, "groups", "Groups are named without the '@' that the web interface shows.")
        for group in raw.get("groups") or ()
    ]
    roles = [role for role in (*(raw.get("roles") or ()), raw.get("role")) if role is not None]
    if not (users or tokens or groups):
        raise OptionError("users, groups, tokens: at least one principal is needed.")
    if not roles:
        raise OptionError("roles: at least one role is needed.")
    state = raw.get("state") or "present"
    if ROOT in users and state == "present":
        raise OptionError(
            "users: root@pam has all rights anyway; PVE answers 200 to an ACL entry for it and stores nothing.",
            "Leave it out. A token of root@pam can have entries: name it under tokens.",
        )
    grant_user = bool(raw.get("grant_user"))
    if grant_user and not tokens:
        raise OptionError("grant_user: it speaks of the owners of tokens, and no token is named.")
    return AclSpec(
        tuple(dict.fromkeys(_normal(path) for path in found)),
        tuple(
            dict.fromkeys(
                [Principal("user", name) for name in users]
                + [Principal("group", name) for name in groups]
                + [Principal("token", name) for name in tokens]
            )
        ),
        tuple(dict.fromkeys(roles)),
        raw.get("propagate"),
        grant_user,
        bool(raw.get("allow_narrowing")),
        bool(raw.get("allow_missing")),
        state,
    )


def parse_pool(raw: Mapping[str, Any]) -> PoolSpec:
    """Read a pool. ``vms`` and ``storage`` are all of its members, or with ``append`` some of them."""
    poolid = _matching(
        raw["poolid"],
        _POOLID,
        "poolid",
        "Each level starts with a letter and holds letters, digits, '.', '-' and '_'; three levels at most.",
    )
    vms, storage = raw.get("vms"), raw.get("storage")
    return PoolSpec(
        poolid,
        stored_text(raw.get("comment")),
        None if vms is None else frozenset(int(vmid) for vmid in vms),
        None if storage is None else frozenset(storage),
        bool(raw.get("append")),
        bool(raw.get("allow_move")),
        raw.get("state") or "present",
    )


def parse_exclusive(raw: Mapping[str, Any]) -> Iterable[Scope]:
    """Read the scopes that hold nothing but what is declared."""
    for kind, key in (("tokens", "users"), ("users", "ids"), ("groups", "ids"), ("roles", "ids"), ("pools", "ids")):
        given = (raw.get(kind) or {}).get(key)
        if given:
            yield Scope(kind, tuple(given))
    acls = raw.get("acls") or {}
    if acls.get("paths") or acls.get("principals"):
        yield Scope("acls", tuple(acls.get("paths") or ("*",)), tuple(acls.get("principals") or ()))


# -- the pieces ---------------------------------------------------------------------------------------------------


def stored_text(value: str | None) -> str | None:
    """Return a text as PVE gives it back: white space at the ends is cut, and ``0`` counts as empty."""
    if value is None:
        return None
    text = value.strip()
    return "" if text == "0" else text


def check_userid(value: str, name: str) -> str:
    """Return a userid, or raise OptionError saying what is wrong with it."""
    if is_token(value):
        raise OptionError(f"{name}: {value!r} is a token id.", "Name the user, or use the option for tokens.")
    if not USERID.fullmatch(value) or not 3 <= len(value) <= 64:
        raise OptionError(
            f"{name}: {value!r} is no user id.",
            "User ids are written name@realm, 3 to 64 characters, without blanks, ':' and '/'.",
        )
    return value


def check_tokenid(value: str, name: str) -> str:
    """Return a full token id, or raise OptionError saying what is wrong with it."""
    if not TOKENID.fullmatch(value):
        hint = "Token ids are written user@realm!name; the name starts with a letter and has two characters or more."
        if "!" in value and ("=" in value.rpartition("!")[2] or ":" in value.rpartition("!")[2]):
            hint = "The secret is no part of the token id, and should not stand here."
            value = value.rpartition("!")[0] + "!..."
        elif "@" in value and "!" not in value:
            hint = "This is a user; a token of his is written user@realm!name."
        raise OptionError(f"{name}: {value!r} is no token id.", hint)
    return value


def _listable(value: str, name: str) -> str:
    if _BETWEEN.search(value):
        raise OptionError(
            f"{name}: {value!r} can be in no group and in no ACL entry: PVE keeps these as lists, and would read its "
            "',' or ';' as the end of an id.",
            "Make a user with another name.",
        )
    return value


def _normal(path: str) -> str:
    normal = paths.normalise(path)
    if normal is None:
        raise OptionError(
            f"paths: {path!r} is no ACL path.", "ACL paths hold letters, digits, '.', '-', '_' and '/': /vms/100."
        )
    return normal


def _matching(value: str, pattern: re.Pattern[str], name: str, hint: str) -> str:
    if not pattern.match(value):
        raise OptionError(f"{name}: {value!r} is not accepted by PVE.", hint)
    return value


def _each(raw: Mapping[str, Any], key: str, parse: Callable[[Mapping[str, Any]], T]) -> list[T]:
    found = []
    for number, item in enumerate(raw.get(key) or [], 1):
        try:
            found.append(parse(item))
        except OptionError as error:
            raise OptionError(f"{key}, entry {number}: {error.message}", error.hint) from None
    return found


def _refuse_contradictions(document: Document) -> None:
    kinds: Sequence[tuple[str, list[str]]] = (
        ("roles", [role.roleid for role in document.roles]),
        ("groups", [group.groupid for group in document.groups]),
        ("users", [user.userid for user in document.users]),
        ("tokens and readers", [token.tokenid for token in document.tokens]),
        ("pools", [pool.poolid for pool in document.pools]),
        ("secret files", [token.secret_file for token in document.tokens if token.secret_file]),
    )
    for kind, ids in kinds:
        twice = sorted({name for name in ids if ids.count(name) > 1}) if len(set(ids)) < len(ids) else []
        if twice:
            raise OptionError(f"{kind}: declared more than once: {', '.join(twice)}.", "Say each thing once.")
    pools_of: dict[int, list[str]] = {}
    for pool in document.pools:
        for vmid in pool.vms or () if pool.state == "present" else ():
            pools_of.setdefault(vmid, []).append(pool.poolid)
    for vmid, pools in sorted(pools_of.items()):
        if len(pools) > 1:
            raise OptionError(
                f"pools: guest {vmid} is declared as a member of {' and '.join(pools)}.",
                "A guest is in one pool at the most: leave it in one of them.",
            )
