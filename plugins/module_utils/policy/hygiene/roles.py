"""Roles that are not what their names say, and roles and groups that nobody needs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...access.model import Principal, Role
from .subjects import Case

# Words of names that promise to change nothing, and what such a role may hold all the same.
_READING: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(
        (
            *("audit", "auditor", "auditing", "exporter", "inspector", "inventory", "metrics", "observer", "read"),
            *("reader", "reading", "readonly", "view", "viewer", "watch", "watcher"),
        ),
        frozenset(),
    ),
    # Before 9.0 the guest agent answered nobody without it.
    **dict.fromkeys(("monitor", "monitoring"), frozenset({"VM.Monitor"})),
}
# Words that promise something else besides, as in ReadWrite or InventoryAdmin: then nothing is promised.
_MORE = frozenset(
    (
        *("admin", "administrator", "administrators", "admins", "and", "control", "edit", "editor", "full", "manage"),
        *("manager", "modify", "operate", "operator", "operators", "plus", "power", "rw", "write", "writer", "writing"),
    )
)
# Words of names of work on guests, which takes nothing that rules over people or nodes.
_WORKING = frozenset(
    ("backup", "backups", "clone", "console", "migrate", "migration", "power", "replication", "restart", "snapshot")
)
_RULING = frozenset(
    (
        *("Group.Allocate", "Permissions.Modify", "Realm.Allocate", "Realm.AllocateUser", "Sys.Modify"),
        *("Sys.PowerMgmt", "User.Modify"),
    )
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_RESERVED = "pve"


def judge(case: Case) -> None:
    """Find roles and groups by their names and by their use."""
    used = {entry.role for entry, unused in case.state.entries()}
    builtin = {role.roleid.lower(): role.roleid for role in case.state.roles.values() if role.special}
    for role in case.state.roles.values():
        if role.special:
            continue
        _broad(case, role)
        _confusing(case, role, builtin)
        if role.roleid not in used and case.knows_rights:
            case.judgement.find(
                "unused_roles",
                f"role {role.roleid}",
                "",
                f"No ACL entry has the role {role.roleid}.",
                expected="an ACL entry",
                found=[],
                fix="Delete it, unless it is meant for somebody who is to come.",
            )
    if case.observed.access.complete >= {"acl", "groups", "users"}:
        _groups(case)


def _broad(case: Case, role: Role) -> None:
    words = {word.lower() for word in _WORD.findall(role.roleid)}
    promised = [word for word in _READING if word in words]
    if promised and not words & _MORE:
        allowed = frozenset().union(*(_READING[word] for word in promised))
        more = case.writing(role.privs) - allowed
        promise = "only reads"
    elif words & _WORKING:
        more = role.privs & _RULING
        promise = "works on guests"
    else:
        return
    if more:
        case.judgement.find(
            "broad_roles",
            f"role {role.roleid}",
            "",
            f"By its name, the role {role.roleid} {promise}; it holds {', '.join(sorted(more))}.",
            expected=sorted(role.privs - more),
            found=sorted(role.privs),
            fix="Take these privileges out of the role, or give it another name.",
        )


def _confusing(case: Case, role: Role, builtin: Mapping[str, str]) -> None:
    name = role.roleid.lower()
    if name in builtin:
        said = f"differs from the built-in role {builtin[name]} in nothing but capital letters"
    elif name.startswith(_RESERVED):
        said = "begins like PVE's own roles, which PVE 8 and later let nobody make"
    else:
        return
    case.judgement.find(
        "confusing_roles",
        f"role {role.roleid}",
        "",
        f"The name of the role {role.roleid} {said}.",
        expected="a name of its own",
        found=role.roleid,
        fix="Make a role of another name, give it where this one is given, and delete this one.",
    )


def _groups(case: Case) -> None:
    over = {path for path in case.state.acl_paths if path.startswith("/access/groups/")}
    for group in case.state.groups:
        members = case.state.members.get(group, frozenset())
        entries = case.state.acl.get(Principal("group", group), {})
        # A group is also for those who look after its members.
        if members and (entries or f"/access/groups/{group}" in over):
            continue
        lacks = "members" if not members else "rights"
        case.judgement.find(
            "unused_groups",
            f"group {group}",
            "",
            f"The group {group} has no {lacks}.",
            expected="an ACL entry" if members else "at least one member",
            found=[],
            fix="Delete it, unless it is meant for somebody who is to come.",
        )
