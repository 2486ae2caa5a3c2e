"""How the objects of access control look in results, whichever module returns them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

from .model import AccessState, Entry, Group, Pool, Role, Token, User

Fields = dict[str, Any]

# What names an object of each kind.
KEYS = {"users": "userid", "groups": "groupid", "roles": "roleid", "tokens": "tokenid", "pools": "poolid"}


def role_fields(role: Role) -> Fields:
    """Return a role as results show it."""
    return {"privs": sorted(role.privs)}


def group_fields(group: Group) -> Fields:
    """Return a group as results show it."""
    return {"comment": group.comment}


def user_fields(user: User) -> Fields:
    """Return a user as results show it."""
    return {
        "enable": user.enable,
        "expire": user.expire,
        "groups": sorted(user.groups),
        "firstname": user.firstname,
        "lastname": user.lastname,
        "email": user.email,
        "comment": user.comment,
    }


def token_fields(token: Token) -> Fields:
    """Return a token as results show it; its secret is no part of it."""
    return {"privsep": token.privsep, "expire": token.expire, "comment": token.comment}


def pool_fields(pool: Pool) -> Fields:
    """Return a pool as results show it."""
    return {"comment": pool.comment, "vms": sorted(pool.vms), "storage": sorted(pool.storage)}


FIELDS: Mapping[str, Callable[[Any], Fields]] = {
    "users": user_fields,
    "groups": group_fields,
    "roles": role_fields,
    "tokens": token_fields,
    "pools": pool_fields,
}


def object_rows(state: AccessState, kind: str) -> list[Fields]:
    """Return all objects of a kind (see ``KEYS``) in the order of their ids, each with its id."""
    objects: Mapping[str, Any] = getattr(state, kind)
    return [{KEYS[kind]: name, **FIELDS[kind](one)} for name, one in sorted(objects.items())]


def acl_row(entry: Entry, propagate: bool | None) -> Fields:
    """Return an ACL entry as results show it."""
    return {
        "path": entry.path,
        "type": entry.principal.kind,
        "ugid": entry.principal.name,
        "roleid": entry.role,
        "propagate": propagate,
    }
