"""Exclusive scopes: what stands undeclared inside them goes, but for what is protected."""

from __future__ import annotations

from .document import Document, matches
from .model import Entry, Principal, owner_of
from .observe import View
from .refusals import Target, must_be_seen
from .rotation import rotations


def drop_undeclared(target: Target, view: View, wanted: Document) -> None:
    """Drop what stands undeclared inside an exclusive scope."""
    surplus: set[Entry] = set()
    stand_ins = rotations(target.state, view.now)
    of_stand_ins: set[Entry] = set()
    asked_for = target.declared | target.for_owners
    names = {
        "users": {spec.userid for spec in wanted.users},
        "groups": {spec.groupid for spec in wanted.groups},
        "roles": {spec.roleid for spec in wanted.roles},
        "tokens": {spec.tokenid for spec in wanted.tokens},
        "pools": {spec.poolid for spec in wanted.pools},
    }
    for scope in wanted.exclusive:
        list_name = {"tokens": "users", "acls": "acl"}.get(scope.kind, scope.kind)
        if list_name not in view.complete:
            must_be_seen(target, view, list_name, f"something undeclared among the {scope.kind}")
            continue
        if scope.kind == "acls":
            for entry, unused in target.state.entries():
                if not scope.covers(entry) or entry in asked_for:
                    continue
                if entry.principal.name in stand_ins:
                    of_stand_ins.add(entry)
                    continue
                if not _protected(target, view, wanted, entry.principal.name, entry):
                    surplus.add(entry)
            continue
        for name in list(getattr(target.state, scope.kind)):
            key = owner_of(name) if scope.kind == "tokens" else name
            if not matches(key, scope.patterns) or name in names[scope.kind]:
                continue
            if scope.kind == "roles" and target.state.roles[name].special:
                continue
            if _protected(target, view, wanted, name, None):
                continue
            original = stand_ins.get(name, "") if scope.kind == "tokens" else ""
            if original and (original in names["tokens"] or _protected(target, view, wanted, original, None)):
                target.kept.append(f"{name} (it stands in for {original}, whose secret is being renewed)")
                continue
            pool = target.state.pools[name] if scope.kind == "pools" else None
            if pool is not None and (pool.vms or pool.storage) and not target.judging:
                target.kept.append(f"pool {name} (it has members)")
                continue
            target.state = target.state.drop(scope.kind, name)
    # A token that stands in for another has what that has, and loses what that loses.
    for entry in of_stand_ins:
        twin = entry._replace(principal=Principal("token", stand_ins[entry.principal.name]))
        if twin in surplus or target.state.propagate(twin) is None:
            surplus.add(entry)
    target.state = target.state.revoke(frozenset(surplus))


def _protected(target: Target, view: View, wanted: Document, name: str, entry: Entry | None) -> bool:
    """Tell whether something is outside every exclusive scope: the caller's own, root@pam, and what is to be kept.

    The caller is spared so that he does not lock himself out; where he is only judged, he is as everybody else.
    """
    what = f"{entry.path} {name} {entry.role}" if entry else name
    mine = set() if target.judging else {view.caller, view.caller_user}
    if mine and view.caller_user in target.state.users:
        mine |= target.state.users[view.caller_user].groups
    if name in mine or wanted.keeps(name):
        target.kept.append(what)
        return True
    # A user whose token is kept is kept too: the one cannot be without the other.
    tokens = target.state.tokens_of.get(name, frozenset())
    if entry is None and any(matches(token, wanted.keep) for token in tokens):
        target.kept.append(what)
        return True
    return False
