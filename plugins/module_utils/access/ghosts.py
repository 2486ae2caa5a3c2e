"""ACL entries of users and groups that are gone, and how PVE is brought to drop them.

PVE drops the entries of a user or a group together with it. Files that were edited by hand, or restored from a backup,
can hold others: PVE lists them, refuses to delete them while there is nobody of that name, and gives them to whoever
gets it next. So the name is given to a disabled user, or to a group without members, and that is deleted: nobody can
log in as the one, and nobody is in the other, so nothing comes to life on the way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ..client.errors import OptionError
from ..reconcile import Call, Change
from ..wording import some_of
from .model import AccessState, Entry, Group, PathRoles, Principal, User
from .observe import View
from .refusals import STATE, Target
from .steps import Step, goes_with_role_or_pool

# Who made the user or group that goes again, for whoever sees it, and for the next run where this one ends half-way.
MARK = "homelab.pve: made to be deleted, with the ACL entries of an earlier one"
# What to do about them.
CURE = "Have homelab.pve.pve_access take them away, with purge_ghosts: true."
_NOTE = "only to take away the ACL entries of an earlier one"


@dataclass(frozen=True)
class Purge:
    """The steps that make PVE drop all ghosts, in order, and the state after them."""

    steps: tuple[Step, ...]
    after: AccessState

    @property
    def changes(self) -> tuple[Change, ...]:
        return tuple(step.change for step in self.steps)


def ghosts(state: AccessState, complete: Collection[str]) -> dict[Principal, PathRoles]:
    """Return the entries of users and groups that are not there, in order.

    ``complete`` holds the lists that are whole, as in a view; of a list that is not, nobody is known to be gone.
    """
    there = {"user": ("users", state.users), "group": ("groups", state.groups)}
    found = {}
    for principal in sorted(state.acl):
        listed, names = there.get(principal.kind, ("", ()))
        if listed in complete and principal.name not in names:
            found[principal] = state.acl[principal]
    return found


def purge(state: AccessState, complete: Collection[str]) -> Purge:
    """Plan the cure for all ghosts, those that an earlier run left half-way among them.

    Raises OptionError where the caller does not see all users, groups and ACL entries: then nobody knows who is gone.
    """
    for listed in ("acl", "users", "groups"):
        if listed not in complete:
            raise OptionError(
                "purge_ghosts: whose ACL entries are those of nobody is not known, because the caller may not see all "
                f"of {'the ACL' if listed == 'acl' else listed}.",
                "Give it Sys.Audit on /access, propagated.",
            )
    gone = ghosts(state, complete)
    steps = [step for principal in gone for step in (_make(principal), _unmake(principal, gone[principal]))]
    steps += [_unmake(principal, state.acl.get(principal, {})) for principal in _left_half_way(state)]
    for step in steps:
        state = step.effect(state)
    return Purge(tuple(steps), state)


def _left_half_way(state: AccessState) -> list[Principal]:
    users = [Principal("user", one.userid) for one in state.users.values() if one.comment == MARK and not one.enable]
    groups = [
        Principal("group", one.groupid)
        for one in state.groups.values()
        if one.comment == MARK and not state.members.get(one.groupid)
    ]
    return sorted(users + groups)


def _make(principal: Principal) -> Step:
    kind, name = principal
    fields: Mapping[str, object]
    new: User | Group
    if kind == "user":
        fields, new = {"enable": False, "comment": MARK}, User(name, enable=False, comment=MARK)
        call = Call("POST", "/access/users", {"userid": name, "enable": 0, "comment": MARK})
    else:
        fields, new = {"comment": MARK}, Group(name, MARK)
        call = Call("POST", "/access/groups", {"groupid": name, "comment": MARK})
    change = Change(kind, name, "create", None, fields, call, _NOTE)
    return Step(change, lambda state: state.put(f"{kind}s", name, new), lambda _state: (principal,))


def _unmake(principal: Principal, entries: PathRoles) -> Step:
    kind, name = principal
    acls = sorted(f"{role} on {path}" for path, roles in entries.items() for role in roles)
    call = Call("DELETE", f"/access/{kind}s/{name}")
    change = Change(kind, name, "delete", {"acls": acls}, None, call, _NOTE)
    return Step(change, lambda state: state.drop(f"{kind}s", name), lambda _state: (principal,))


# -- what a plan says of those that stay ------------------------------------------------------------------------------


def leave_ghosts(target: Target, view: View) -> None:
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


def warn_of_ghosts(target: Target) -> None:
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
            back = sorted(e for e in entries - asked_for if target.base.propagate(e) is not None)
            if back:
                told = ", ".join(f"{entry.role} on {entry.path}" for entry in back)
                target.warnings.append(f"ACL entries of an earlier {kind} {name} come back to life: {told}.")
