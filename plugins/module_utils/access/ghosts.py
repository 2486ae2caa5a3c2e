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
from .model import AccessState, Group, PathRoles, Principal, User
from .steps import Step

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
