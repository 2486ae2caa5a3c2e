"""Users, groups, roles, tokens, pools and ACL as PVE keeps them in user.cfg, and what writing and reading does to them.

PVE writes the whole file after every change and reads it again before the next call. On that way texts are trimmed,
the text "0" gets lost, and references to things that are gone disappear. ``settle`` does the same to a configuration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ansible_collections.homelab.pve.plugins.module_utils.access import model
from ansible_collections.homelab.pve.plugins.module_utils.access.releases import Release, builtin_roles, privileges

Json = dict[str, Any]


class UserRow(NamedTuple):
    """A user as stored. None is "not there", which is not the same as an empty text: answers show the difference."""

    enable: int = 1
    expire: int | None = 0
    firstname: str | None = None
    lastname: str | None = None
    email: str | None = None
    comment: str | None = None
    keys: str | None = None
    groups: frozenset[str] = frozenset()


class TokenRow(NamedTuple):
    expire: int = 0
    privsep: int = 1
    comment: str | None = None


class PoolRow(NamedTuple):
    comment: str | None = None
    vms: frozenset[int] = frozenset()
    storage: frozenset[str] = frozenset()


class AclKey(NamedTuple):
    """The identity of an ACL entry; ``kind`` is user, group or token."""

    path: str
    kind: str
    ugid: str
    role: str


def _text(value: str | None) -> str | None:
    """Return what is left of a text after writing and reading: no blanks at its ends, and nothing of a "0"."""
    if value is None or value in ("", "0"):
        return None
    trimmed = value.strip(" ")
    return trimmed if trimmed not in ("", "0") else None


def _settled_user(user: UserRow) -> UserRow:
    email = user.email if user.email not in (None, "0") else ""
    # Empty fields at the end of a line are lost, so an empty address shows only when something follows it.
    followed = any(value not in (None, "", "0") for value in (user.comment, user.keys))
    return user._replace(
        enable=1 if user.enable else 0,
        expire=user.expire or 0,
        firstname=_text(user.firstname),
        lastname=_text(user.lastname),
        email=email if email or followed else None,
        comment=_text(user.comment),
        keys=_text(user.keys),
    )


@dataclass
class UserConfig:
    """The content of user.cfg. Tokens are keyed by (userid, name), roles are the custom ones only."""

    users: dict[str, UserRow] = field(default_factory=dict)
    tokens: dict[tuple[str, str], TokenRow] = field(default_factory=dict)
    groups: dict[str, str | None] = field(default_factory=dict)  # groupid -> comment
    roles: dict[str, frozenset[str]] = field(default_factory=dict)
    pools: dict[str, PoolRow] = field(default_factory=dict)
    acl: dict[AclKey, int] = field(default_factory=dict)  # -> propagate

    def copy(self) -> UserConfig:
        return UserConfig(
            dict(self.users),
            dict(self.tokens),
            dict(self.groups),
            dict(self.roles),
            dict(self.pools),
            dict(self.acl),
        )

    def settle(self, release: Release) -> None:
        """Bring the configuration into the form that it has after being written and read again."""
        builtin, known = builtin_roles(release), privileges(release)
        self.users = {userid: _settled_user(row) for userid, row in self.users.items()}
        # root@pam cannot be removed; it comes back without a date until the next write.
        self.users.setdefault(model.ROOT, UserRow(expire=None))
        self.groups = {groupid: _text(comment) for groupid, comment in self.groups.items()}
        self.roles = {r: p if p <= known else p & known for r, p in self.roles.items() if r not in builtin}
        self.tokens = {
            key: row._replace(privsep=1 if row.privsep else 0, comment=_text(row.comment))
            for key, row in self.tokens.items()
            if key[0] in self.users
        }
        for userid, user in self.users.items():
            if not user.groups <= self.groups.keys():
                self.users[userid] = user._replace(groups=user.groups & self.groups.keys())
        self._settle_pools()
        tokenids = {f"{userid}!{name}" for userid, name in self.tokens}
        self.acl = {
            key: flag
            for key, flag in self.acl.items()
            if (key.role in self.roles or key.role in builtin)
            and (key.kind != "token" or key.ugid in tokenids)
            and not (key.kind == "user" and key.ugid == model.ROOT)
        }

    def _settle_pools(self) -> None:
        taken: set[int] = set()
        for poolid in sorted(self.pools):
            pool = self.pools[poolid]
            vms = pool.vms - taken  # a guest is in one pool only, the first
            taken |= vms
            self.pools[poolid] = pool._replace(comment=_text(pool.comment), vms=vms)

    # -- questions --------------------------------------------------------------------------------------------

    def all_roles(self, release: Release) -> Mapping[str, frozenset[str]]:
        return {**self.roles, **builtin_roles(release)}

    def members(self, groupid: str) -> list[str]:
        return sorted(userid for userid, user in self.users.items() if groupid in user.groups)

    def tokens_of(self, userid: str) -> dict[str, TokenRow]:
        return {name: row for (owner, name), row in self.tokens.items() if owner == userid}

    def pool_of(self, vmid: int) -> str | None:
        return next((poolid for poolid, pool in self.pools.items() if vmid in pool.vms), None)

    def access_state(self, release: Release) -> model.AccessState:
        """Return the state as the collection's own permission evaluator reads it."""
        acl: dict[model.Principal, dict[str, dict[str, bool]]] = {}
        for key, flag in self.acl.items():
            principal = model.Principal(key.kind, key.ugid)
            acl.setdefault(principal, {}).setdefault(key.path, {})[key.role] = bool(flag)
        builtin = builtin_roles(release)
        return model.AccessState(
            users={userid: model.User(userid, groups=row.groups) for userid, row in self.users.items()},
            groups={groupid: model.Group(groupid) for groupid in self.groups},
            roles={r: model.Role(r, p, special=r in builtin) for r, p in self.all_roles(release).items()},
            tokens={
                f"{userid}!{name}": model.Token(f"{userid}!{name}", privsep=bool(row.privsep))
                for (userid, name), row in self.tokens.items()
            },
            acl=acl,
            pools={p: model.Pool(p, vms=row.vms, storage=row.storage) for p, row in self.pools.items()},
        )

    # -- as JSON ----------------------------------------------------------------------------------------------

    def export(self) -> Json:
        """Return everything as plain lists, sorted, so that equal configurations give equal texts."""
        return {
            "users": [
                {"userid": userid, **_given(row), "groups": sorted(row.groups)}
                for userid, row in sorted(self.users.items())
            ],
            "tokens": [
                {"tokenid": f"{userid}!{name}", **_given(row)} for (userid, name), row in sorted(self.tokens.items())
            ],
            "groups": [
                {"groupid": groupid, **({"comment": comment} if comment else {})}
                for groupid, comment in sorted(self.groups.items())
            ],
            "roles": [{"roleid": roleid, "privs": sorted(privs)} for roleid, privs in sorted(self.roles.items())],
            "pools": [
                {"poolid": poolid, **_given(row), "vms": sorted(row.vms), "storage": sorted(row.storage)}
                for poolid, row in sorted(self.pools.items())
            ],
            "acl": [
                {"path": key.path, "type": key.kind, "ugid": key.ugid, "roleid": key.role, "propagate": flag}
                for key, flag in sorted(self.acl.items())
            ],
        }

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> UserConfig:
        """Read what ``export`` gives. Lists may be left out, and so may every field but the id of a row.

        Privileges, groups and members may be lists or texts, in the places where PVE's own answers have them: users
        in a group's ``users``, tokens in a user's ``tokens``, the members of a pool in ``members``.
        """
        config = cls()
        for row in data.get("users", []):
            fields = {name: row.get(name) for name in ("firstname", "lastname", "email", "comment", "keys")}
            groups = frozenset(_items(row.get("groups")))
            config.users[row["userid"]] = UserRow(
                int(row.get("enable", 1)), int(row.get("expire") or 0), groups=groups, **fields
            )
            for token in row.get("tokens") or []:
                config._load_token(f"{row['userid']}!{token['tokenid']}", token)
        for row in data.get("tokens", []):
            config._load_token(row["tokenid"], row)
        for row in data.get("groups", []):
            config.groups[row["groupid"]] = row.get("comment")
            for userid in _items(row.get("users")):
                user = config.users.get(userid)
                if user:
                    config.users[userid] = user._replace(groups=user.groups | {row["groupid"]})
        for row in data.get("roles", []):
            config.roles[row["roleid"]] = frozenset(_items(row.get("privs")))
        for row in data.get("pools", []):
            members = row.get("members") or []
            vms = [*_items(row.get("vms")), *(member["vmid"] for member in members if "vmid" in member)]
            storage = [*_items(row.get("storage")), *(m["storage"] for m in members if m["type"] == "storage")]
            config.pools[row["poolid"]] = PoolRow(
                row.get("comment"), frozenset(int(vmid) for vmid in vms), frozenset(storage)
            )
        for row in data.get("acl", []):
            key = AclKey(row["path"], row["type"], row["ugid"], row["roleid"])
            config.acl[key] = 1 if row.get("propagate", 1) else 0
        return config

    def _load_token(self, tokenid: str, row: Mapping[str, Any]) -> None:
        userid, unused, name = tokenid.rpartition("!")
        self.tokens[userid, name] = TokenRow(
            int(row.get("expire") or 0), int(row.get("privsep", 1)), row.get("comment") or None
        )


def _given(row: UserRow | TokenRow | PoolRow) -> Json:
    return {
        name: value for name, value in row._asdict().items() if value is not None and not isinstance(value, frozenset)
    }


def _items(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [item for item in re.split(r"[,;\s]+", value) if item]
    return [str(item) for item in value]
