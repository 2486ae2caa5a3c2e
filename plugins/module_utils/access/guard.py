"""What PVE will refuse, told before anything is sent; and what would cut the caller off.

``refusal`` follows PVE's own permission checks of the calls that change access, as far as they are declared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Callable

from ..reconcile import Call
from .model import NO_ACCESS, ROOT, AccessState, is_token, owner_of
from .observe import View, user_is_usable
from .permissions import Evaluator, Privileges
from .steps import Step

Held = Callable[[str], Privileges]

# For an ACL path below one of these, the holder of the privilege may hand out what he has himself.
_DELEGATES = {"vms": "VM.Allocate", "storage": "Datastore.Allocate", "pool": "Pool.Allocate"}


def caller_rights(view: View, state: AccessState) -> Held:
    """Return a function from a path to what the caller holds there in ``state``.

    Where the caller does not see all of access, his rights are what PVE says of them now: the paths that the tree does
    not name have what propagates from above.
    """
    if {"users", "groups", "acl"} <= view.complete:
        evaluator = Evaluator(state)
        return lambda path: evaluator.privileges(view.caller, path)
    return lambda path: _from_tree(view.rights, path)


def _from_tree(tree: Mapping[str, Privileges], path: str) -> Privileges:
    if path in tree:
        return tree[path]
    above = path
    while above != "/":
        above = above.rpartition("/")[0] or "/"
        if above in tree:
            return {name: 1 for name, flag in tree[above].items() if flag}
    return {}


def refusal(call: Call | None, view: View, state: AccessState, held: Held) -> str:
    """Return what the caller lacks for a call in a state, in PVE's words, or nothing where PVE will do it."""
    if call is None or view.caller == ROOT:
        return ""
    parts = call.path.strip("/").split("/")
    if parts[0] == "pools":
        poolid = call.params.get("poolid") or "/".join(parts[1:])
        return _needs(held, f"/pool/{poolid}", "Pool.Allocate")
    if parts[1] == "acl":
        return _acl_refusal(call, state, held)
    if parts[1] == "roles":
        return _needs(held, "/access", "Sys.Modify")
    if parts[1] == "groups":
        return _needs(held, "/access/groups", "Group.Allocate")
    if parts[1] == "password":
        return "a ticket: API tokens cannot change passwords" if is_token(view.caller) else ""
    return _user_refusal(call, parts, view, state, held)


def _needs(held: Held, path: str, *any_of: str) -> str:
    here = held(path)
    return "" if any(name in here for name in any_of) else f"{' or '.join(any_of)} on {path}"


def _user_refusal(call: Call, parts: Sequence[str], view: View, state: AccessState, held: Held) -> str:
    creating = len(parts) == 2
    userid = str(call.params["userid"]) if creating else parts[2]
    if len(parts) > 3 and view.caller == userid:
        return ""  # a user may always manage his own tokens; a token is not its user
    if creating or (call.method == "DELETE" and len(parts) == 3):
        realm = _needs(held, f"/access/realm/{userid.rpartition('@')[2]}", "Realm.AllocateUser")
        if realm:
            return realm
    given = [group for group in str(call.params.get("groups") or "").split(",") if group]
    whole = _needs(held, "/access/groups", "User.Modify")
    if not whole:
        return ""
    if creating and not given:
        return whole
    if given and any(_needs(held, f"/access/groups/{group}", "User.Modify") for group in given):
        return f"User.Modify on every one of the groups {', '.join(given)}"
    if creating:
        return ""
    groups = state.users[userid].groups if userid in state.users else frozenset()
    if all(_needs(held, f"/access/groups/{group}", "User.Modify") for group in groups):
        return f"User.Modify on /access/groups, or on a group of {userid}"
    return ""


def _acl_refusal(call: Call, state: AccessState, held: Held) -> str:
    path = str(call.params["path"])
    here = held(path)
    if "Permissions.Modify" in here:
        return ""
    kind, unused, rest = path.strip("/").partition("/")
    delegate = _DELEGATES.get(kind) if rest else None
    if delegate is None or delegate not in here:
        return f"Permissions.Modify{f' or {delegate}' if delegate else ''} on {path}"
    propagate = bool(call.params.get("propagate"))
    for role in str(call.params["roles"]).split(","):
        privs = state.roles[role].privs if role in state.roles else frozenset()
        short = sorted(name for name in privs if here.get(name, -1) < int(propagate))
        if role == NO_ACCESS or short:
            detail = f" ({', '.join(short)} of it are not his to give)" if short else ""
            return f"Permissions.Modify on {path}, to hand out the role {role}{detail}"
    return ""


def refused_steps(steps: Iterable[Step], view: View, base: AccessState) -> list[str]:
    """Return what PVE will refuse of an ordered plan, each as a sentence. The state goes along with the plan."""
    found = []
    state = base
    for step in steps:
        lacking = refusal(step.change.call, view, state, caller_rights(view, state))
        if lacking:
            found.append(f"PVE will refuse to {step.change} (403): {view.caller} needs {lacking}.")
        state = step.effect(state)
    return found


def lockout(steps: Sequence[Step], view: View, base: AccessState, target: AccessState) -> str | None:
    """Return why the caller could not undo the plan after it, or None.

    He has to be there, enabled and not expired, and to hold what each call of the plan needed.
    """
    if view.caller == ROOT or not steps:
        return None
    if "users" in view.complete and not user_is_usable(target, view.caller, view.now):
        return f"{view.caller} itself would be deleted, disabled or expired by this plan."
    held = caller_rights(view, target)
    for step in steps:
        # The objects are looked up as they were: it is the rights that must not have gone.
        lacking = refusal(step.change.call, view, base, held)
        if lacking:
            return f"{view.caller} would lose {lacking}, and could not undo this plan."
    return None


def touches_caller_unseen(steps: Iterable[Step], view: View) -> bool:
    """Tell whether the plan speaks of the caller while he does not see all that gives him his rights."""
    if {"users", "groups", "acl"} <= view.complete or view.caller == ROOT:
        return False
    user = view.state.users.get(view.caller_user)
    mine = {view.caller, view.caller_user} | (set(user.groups) if user else set())
    return any(owner_of(name) in mine or name in mine for step in steps for unused, name in step.touches(view.state))
