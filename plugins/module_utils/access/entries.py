"""ACL entries of a document, put into the state that is meant, and what they must not do in silence."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from . import paths, releases
from .document import AclSpec, Document
from .model import NO_ACCESS, Entry, Principal, owner_of
from .observe import View
from .permissions import Evaluator, unnamed_below
from .refusals import ENTRIES, POLICY, STATE, Refusal, Target, refuse_missing_guests


def put_entries(target: Target, view: View, wanted: Document, spec: AclSpec) -> None:
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
    refuse_missing_guests(target, view, vmids, f"ACL {', '.join(spec.paths)}", ENTRIES, allowed=allowed)
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
        f"ACL path {path!r} does not exist in PVE {releases.as_text(view.release)}.",
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


def refuse_self_contradiction(target: Target) -> None:
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


def owners_entries(spec: AclSpec) -> Iterator[Entry]:
    if spec.grant_user and spec.state == "present":
        owners = {owner_of(who.name) for who in spec.principals if who.kind == "token"}
        yield from (
            Entry(path, Principal("user", o), role) for path in spec.paths for o in owners for role in spec.roles
        )


def grant_owners(target: Target, spec: AclSpec) -> None:
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


# -- entries that hide ----------------------------------------------------------------------------------------------


def refuse_hiding(target: Target, wanted: Document) -> None:
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


# -- entries that are missing ---------------------------------------------------------------------------------------


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
