"""Least rights as a policy has them: roles, and ACL entries as ``pve_access`` takes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .work_out import Entry, Rights

PREFIX = "app-"


@dataclass(frozen=True)
class Acl:
    """One item under ``acls``: a role on paths, with one propagate flag."""

    paths: tuple[str, ...]
    role: str
    propagate: bool


@dataclass(frozen=True)
class Policy:
    """``roles`` has the privileges of each role by its name."""

    roles: dict[str, frozenset[str]]
    acls: tuple[Acl, ...]


def as_policy(rights: Rights, name: str) -> Policy:
    """Return roles and ACL items. Equal sets of privileges are one role, named after the first path that has it."""
    roles: dict[frozenset[str], str] = {}
    alone = len({entry.privileges for entry in rights.entries}) == 1
    for entry in rights.entries:
        if entry.privileges not in roles:
            roles[entry.privileges] = _role(PREFIX + name, entry, alone, roles.values())
    paths: dict[tuple[str, bool], list[str]] = {}
    for entry in rights.entries:
        paths.setdefault((roles[entry.privileges], entry.propagate), []).append(entry.path)
    acls = tuple(Acl(tuple(there), role, propagate) for (role, propagate), there in paths.items())
    return Policy({role: privileges for privileges, role in roles.items()}, acls)


def _role(base: str, entry: Entry, alone: bool, taken: Iterable[str]) -> str:
    pieces = [] if alone else [piece for piece in entry.path.split("/") if piece]
    name = "-".join([base, *pieces])
    # On one path there may be two: one that propagates, and one for the path itself.
    return f"{name}-here" if name in taken else name


def as_data(rights: Rights, name: str) -> dict[str, Any]:
    """Return the rights as plain data: ``roles`` and ``acls`` for a policy, ``privileges`` with their reasons."""
    policy = as_policy(rights, name)
    return {
        "roles": [{"roleid": role, "privs": sorted(privileges)} for role, privileges in policy.roles.items()],
        "acls": [{"paths": list(acl.paths), "roles": [acl.role], "propagate": acl.propagate} for acl in policy.acls],
        "privileges": [
            {"path": path, "propagate": propagate, "privilege": privilege, "endpoints": list(endpoints)}
            for (path, propagate, privilege), endpoints in rights.reasons.items()
        ],
        "not_understood": [{"endpoint": problem.name, "reason": problem.reason} for problem in rights.problems],
    }
