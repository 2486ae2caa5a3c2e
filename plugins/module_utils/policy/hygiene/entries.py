"""ACL entries that speak of what is gone: of people, and of things."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ...access.document import Document
from ...access.ghosts import CURE, ghosts
from ...access.model import Entry, Principal
from ...access.paths import guest_of
from ..findings import ERROR
from .subjects import Case, called, entries_text, whose

# What stands at the start of a path, and the rule and the kind of thing that the rest of it names.
_NAMED: Mapping[str, tuple[str, str]] = {
    "/storage/": ("gone_storages", "storage"),
    "/pool/": ("gone_pools", "pool"),
    "/nodes/": ("gone_nodes", "node"),
    "/access/groups/": ("gone_groups", "group"),
    "/access/realm/": ("gone_realms", "realm"),
}


def judge(case: Case, declared: Document | None) -> None:
    """Find entries of principals, on things and with roles that are not there, where that is known."""
    if case.knows_rights:
        _roles(case)
        _things(case)
        for principal, paths in ghosts(case.state, case.observed.access.complete).items():
            _ghost(case, principal, paths, declared)
    _users(case)


def _ghost(
    case: Case, principal: Principal, paths: Mapping[str, Mapping[str, bool]], declared: Document | None
) -> None:
    # Where only declared entries may be, it matters as much as any other that is not.
    entries = [Entry(path, principal, role) for path, roles in paths.items() for role in roles]
    undeclared = declared is not None and any(map(declared.is_exclusive_entry, entries))
    raised = undeclared and "ghosts" not in case.hygiene.given and case.judgement.wants("ghosts")
    case.judgement.find(
        "ghosts",
        whose(principal),
        "",
        f"There is no {whose(principal)} any more, but ACL entries that name it: whoever gets that name has them.",
        expected=[],
        found=entries_text(paths),
        fix=f"{CURE} PVE refuses to delete them by themselves.",
        level=ERROR if raised else None,
    )


def _roles(case: Case) -> None:
    gone: dict[str, list[str]] = {}
    for entry, unused in case.state.entries():
        if entry.role not in case.state.roles:
            gone.setdefault(entry.role, []).append(f"{whose(entry.principal)} on {entry.path}")
    for role, entries in sorted(gone.items()):
        case.judgement.find(
            "gone_roles",
            f"role {role}",
            "",
            f"There is no role {role}, but ACL entries with it.",
            expected=[],
            found=sorted(entries),
            fix="Delete the entries, or make the role again.",
        )


def _things(case: Case) -> None:
    at_paths: dict[str, list[str]] = {}
    for entry, unused in case.state.entries():
        at_paths.setdefault(entry.path, []).append(f"{entry.role} for {whose(entry.principal)}")
    for path, entries in sorted(at_paths.items()):
        rule, kind, name = _of(path)
        if kind and _is_gone(case, kind, name):
            case.judgement.find(
                rule,
                f"{kind} {name}",
                path,
                f"There is no {kind} {name}, but ACL entries on {path}.",
                expected=[],
                found=sorted(entries),
                fix="Delete the entries.",
            )


def _of(path: str) -> tuple[str, str, str]:
    """Return rule, kind and name of the thing that a path speaks of; empty texts for one that speaks of none."""
    vmid = guest_of(path)
    if vmid is not None:
        return "gone_guests", "guest", str(vmid)
    for start, (rule, kind) in _NAMED.items():
        if path.startswith(start):
            return rule, kind, path[len(start) :]
    return "", "", ""


def _is_gone(case: Case, kind: str, name: str) -> bool:
    """Tell whether a thing is known not to be there."""
    observed = case.observed
    complete = observed.access.complete
    if kind == "guest":
        if int(name) in observed.guests or not case.judgement.wants("gone_guests"):
            return False
        if "guests" not in complete:
            case.judgement.gap(
                "ACL entries on guests",
                f"{observed.access.caller} may not see all guests, or a node is offline, so none is known to be gone.",
                "Give it VM.Audit on /vms, propagated, and audit when all nodes are there.",
            )
        return "guests" in complete
    known: Mapping[str, Collection[str] | None] = {
        # The resources tell all but those that are switched off; where that matters, all of them were read.
        "storage": observed.storages,
        "pool": observed.names("pool") if "pools" in complete else None,
        "node": observed.names("node"),
        "group": observed.state.groups if "groups" in complete else None,
        "realm": observed.realms,
    }
    names = known[kind]
    return names is not None and name not in names


def _users(case: Case) -> None:
    realms = case.observed.realms
    for user in case.state.users.values():
        realm = user.userid.rpartition("@")[2]
        if realms is not None and realm not in realms:
            case.judgement.find(
                "gone_realms",
                called(user.userid),
                "",
                f"The user {user.userid} is of the realm {realm}, which is not there: he cannot log in, but his tokens "
                "can.",
                expected="a realm that is there",
                found=realm,
                fix="Delete the user, or make the realm again.",
            )
