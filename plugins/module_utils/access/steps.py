"""From two states to the calls that lead from the one to the other, in no order yet.

Each step knows its API call, what it does to the state, what has to be there before it, and whose rights it touches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Callable

from ..reconcile import Call, Change
from .document import Document, TokenSpec, UserSpec
from .model import NO_ACCESS, AccessState, Entry, Pool, Principal, User, is_token, owner_of
from .observe import View
from .permissions import gives_by_pools
from .releases import Release
from .shown import Fields, group_fields, pool_fields, role_fields, token_fields, user_fields

# A request body may hold 64 KiB before 8.4; so many principals of the longest kind fit well into that.
PRINCIPALS_PER_CALL = 200


def _always(_state: AccessState) -> bool:
    return True


@dataclass(frozen=True)
class Step:
    """One call. ``touches`` are the principals whose rights it may change, before it and after it.

    ``parts`` do the same in smaller steps, for when the whole one would give somebody too much on the way.
    """

    change: Change
    effect: Callable[[AccessState], AccessState]
    touches: Callable[[AccessState], Iterable[Principal]]
    ready: Callable[[AccessState], bool] = _always
    parts: tuple[Step, ...] = ()


def make_steps(view: View, before: AccessState, target: AccessState, wanted: Document) -> list[Step]:
    """Return the steps from ``before`` to ``target``, in the order in which they mostly can be taken."""
    steps: list[Step] = []
    steps += _roles(before, target)
    steps += _groups(before, target)
    steps += _users(view, before, target, {user.userid: user for user in wanted.users})
    steps += _tokens(before, target, {token.tokenid: token for token in wanted.tokens})
    steps += _pools(before, target, view.release)
    steps += _acl(before, target, view.caller)
    return steps


# -- objects ------------------------------------------------------------------------------------------------------


def _differing(before: Fields, after: Fields) -> tuple[Fields, Fields]:
    keys = [key for key in after if before.get(key) != after[key]]
    return {key: before.get(key) for key in keys}, {key: after[key] for key in keys}


def _put(kind: str, key: str, value: Any) -> Callable[[AccessState], AccessState]:
    return lambda state: state.put(kind, key, value)


def _drop(kind: str, key: str) -> Callable[[AccessState], AccessState]:
    return lambda state: state.drop(kind, key)


def _nobody(_state: AccessState) -> Iterable[Principal]:
    return ()


def _just(principal: Principal) -> Callable[[AccessState], Iterable[Principal]]:
    return lambda _state: (principal,)


def _holders(role: str) -> Callable[[AccessState], Iterable[Principal]]:
    def touches(state: AccessState) -> Iterable[Principal]:
        return [principal for principal, paths in state.acl.items() if any(role in roles for roles in paths.values())]

    return touches


def _roles(before: AccessState, target: AccessState) -> Iterator[Step]:
    for name, role in target.roles.items():
        old = before.roles.get(name)
        if old == role:
            continue
        after = role_fields(role)
        privs = {"privs": ",".join(after["privs"])}
        if old is None:
            change = Change(
                "role", name, "create", None, after, Call("POST", "/access/roles", {"roleid": name, **privs})
            )
        else:
            call = Call("PUT", f"/access/roles/{name}", privs)
            change = Change("role", name, "update", role_fields(old), after, call)
        # Nobody can hold a role before it is made; what needs it, whoever is concerned, comes after it.
        yield Step(change, _put("roles", name, role), _nobody if old is None else _holders(name))
    for name, old in before.roles.items():
        if name not in target.roles:
            call = Call("DELETE", f"/access/roles/{name}")
            yield Step(
                Change("role", name, "delete", role_fields(old), None, call), _drop("roles", name), _holders(name)
            )


def _groups(before: AccessState, target: AccessState) -> Iterator[Step]:
    for name, group in target.groups.items():
        old = before.groups.get(name)
        after = group_fields(group)
        if old is None:
            call = Call("POST", "/access/groups", {"groupid": name, **given(after)})
            yield Step(Change("group", name, "create", None, after, call), _put("groups", name, group), _nobody)
        elif old != group:
            call = Call("PUT", f"/access/groups/{name}", after)
            change = Change("group", name, "update", group_fields(old), after, call)
            yield Step(change, _put("groups", name, group), _nobody)
    for name, old in before.groups.items():
        if name not in target.groups:
            change = Change("group", name, "delete", group_fields(old), None, Call("DELETE", f"/access/groups/{name}"))
            yield Step(change, _drop("groups", name), _just(Principal("group", name)))


def given(fields: Fields) -> Fields:
    """Return the fields that have a value; on creation the others are empty anyway."""
    return {key: value for key, value in fields.items() if value not in ("", None)}


def _user_params(fields: Fields) -> Fields:
    params = dict(fields)
    if "groups" in params:
        params["groups"] = ",".join(params["groups"])
    return params


def _users(view: View, before: AccessState, target: AccessState, specs: Mapping[str, UserSpec]) -> Iterator[Step]:
    # An administrator of single groups has to send a group of his with every change, or PVE refuses it.
    mine = None if "User.Modify" in view.rights.get("/access/groups", {}) else _groups_of(view)
    for name, user in target.users.items():
        old = before.users.get(name)
        spec = specs.get(name)
        if old is None:
            yield _create_user(user, spec)
            continue
        if old != user:
            yield _update_user(old, user, mine)
        if spec and spec.password is not None and spec.update_password == "always" and name not in view.passwords:
            yield _password_step(name, spec.password)
    for name, old in before.users.items():
        if name not in target.users:
            call = Call("DELETE", f"/access/users/{name}")
            change = Change("user", name, "delete", user_fields(old), None, call)
            yield Step(change, _drop("users", name), _just(Principal("user", name)))


def _groups_of(view: View) -> frozenset[str]:
    """Return the groups whose members the caller may change."""
    above = "/access/groups/"
    return frozenset(
        path[len(above) :] for path in view.rights if path.startswith(above) and "User.Modify" in view.rights[path]
    )


def _create_user(user: User, spec: UserSpec | None) -> Step:
    after = user_fields(user)
    params = {"userid": user.userid, **_user_params(given({k: v for k, v in after.items() if v != []}))}
    if spec and spec.password is not None:
        params["password"] = spec.password
        after["password"] = "set"
    call = Call("POST", "/access/users", params, frozenset({"password"}))
    parts: tuple[Step, ...] = ()
    if user.groups:
        alone = replace(user, groups=frozenset())
        parts = (_create_user(alone, spec), _update_user(alone, user, None))
    return Step(
        Change("user", user.userid, "create", None, after, call),
        _put("users", user.userid, user),
        _just(Principal("user", user.userid)),
        _groups_exist(user.groups),
        parts,
    )


def _update_user(old: User, user: User, mine: frozenset[str] | None) -> Step:
    """Return the step; ``mine`` are the groups of a caller who may change members of these alone."""
    was, will = _differing(user_fields(old), user_fields(user))
    params = _user_params(will)
    if mine is not None and "groups" not in params:
        params["groups"] = ",".join(sorted(old.groups & mine))
        if not old.groups <= mine:
            params["append"] = 1  # he stays in the others
    return Step(
        Change("user", user.userid, "update", was, will, Call("PUT", f"/access/users/{user.userid}", params)),
        _put("users", user.userid, user),
        _just(Principal("user", user.userid)),
        # Groups that he is in already are there, be it that the caller does not see them.
        lambda state: user.userid in state.users and user.groups - old.groups <= set(state.groups),
    )


def _password_step(userid: str, password: str) -> Step:
    params = {"userid": userid, "password": password}
    call = Call("PUT", "/access/password", params, frozenset({"password", "confirmation-password"}))
    change = Change("password", userid, "update", {"password": "another"}, {"password": "as declared"}, call)
    return Step(change, lambda state: state, _nobody, lambda state: userid in state.users)


def _groups_exist(groups: frozenset[str]) -> Callable[[AccessState], bool]:
    return lambda state: groups <= set(state.groups)


def token_path(tokenid: str) -> str:
    """Return the API path of a token."""
    userid, unused, name = tokenid.rpartition("!")
    return f"/access/users/{userid}/token/{name}"


def _tokens(before: AccessState, target: AccessState, specs: Mapping[str, TokenSpec]) -> Iterator[Step]:
    for name, token in target.tokens.items():
        old = before.tokens.get(name)
        touches = _just(Principal("token", name))
        ready = _user_exists(token.userid)
        after = token_fields(token)
        if old is None:
            call = Call("POST", token_path(name), given(after))
            shown = dict(after)
            spec = specs.get(name)
            if spec and spec.secret_file:
                shown["secret_file"] = spec.secret_file
            yield Step(Change("token", name, "create", None, shown, call), _put("tokens", name, token), touches, ready)
        elif old != token:
            was, will = _differing(token_fields(old), after)
            change = Change("token", name, "update", was, will, Call("PUT", token_path(name), will))
            yield Step(change, _put("tokens", name, token), touches, ready)
    for name, dropped in before.tokens.items():
        if name not in target.tokens and dropped.userid in target.users:
            change = Change("token", name, "delete", token_fields(dropped), None, Call("DELETE", token_path(name)))
            yield Step(change, _drop("tokens", name), _just(Principal("token", name)))


def _user_exists(userid: str) -> Callable[[AccessState], bool]:
    return lambda state: userid in state.users


# -- pools --------------------------------------------------------------------------------------------------------


def _pool_call(method: str, poolid: str, release: Release, params: Fields | None = None) -> Call:
    if release >= (8, 1):
        return Call(method, "/pools", {"poolid": poolid, **(params or {})})
    return Call(method, f"/pools/{poolid}", params or {})


def _any_holder(state: AccessState) -> Iterable[Principal]:
    """A pool gives rights to whoever holds any on it, and these may come from the root of the tree."""
    return [p for p, paths in state.acl.items() if any(map(gives_by_pools, paths))]


def _pools(before: AccessState, target: AccessState, release: Release) -> Iterator[Step]:
    moved: frozenset[int] = frozenset()
    if release >= (8, 1):
        was_in = {vmid: pool.poolid for pool in before.pools.values() for vmid in pool.vms}
        moved = frozenset(
            vmid for pool in target.pools.values() for vmid in pool.vms if was_in.get(vmid, pool.poolid) != pool.poolid
        )
    for name in sorted(target.pools):  # a parent comes before what is nested in it
        pool, old = target.pools[name], before.pools.get(name)
        parent = name.rpartition("/")[0]
        if old is None:
            params = {"poolid": name, **given({"comment": pool.comment})}
            change = Change("pool", name, "create", None, {"comment": pool.comment}, Call("POST", "/pools", params))
            empty = Pool(name, pool.comment)
            yield Step(change, _put("pools", name, empty), _any_holder, _parent_exists(parent))
            old = empty
        elif old.comment != pool.comment:
            was, will = {"comment": old.comment}, {"comment": pool.comment}
            change = Change("pool", name, "update", was, will, _pool_call("PUT", name, release, dict(will)))
            yield Step(change, _recomment(name, pool.comment), _nobody)
        # Who joins another pool is moved there by that call, and no longer a member that could leave. Before 8.1 he
        # has to leave first.
        yield from _pool_members(name, replace(old, vms=old.vms - moved), pool, moved, release)
    for name in sorted(before.pools, reverse=True):
        if name not in target.pools:
            old = before.pools[name]
            change = Change("pool", name, "delete", pool_fields(old), None, _pool_call("DELETE", name, release))
            yield Step(change, _drop("pools", name), _any_holder, _pool_is_empty(name))


def _pool_members(name: str, old: Pool, new: Pool, moved: frozenset[int], release: Release) -> Iterator[Step]:
    leaving: Fields = _given_lists({"vms": sorted(old.vms - new.vms), "storage": sorted(old.storage - new.storage)})
    joining: Fields = _given_lists({"vms": sorted(new.vms - old.vms), "storage": sorted(new.storage - old.storage)})
    if leaving:
        params: Fields = {key: _joined(members) for key, members in leaving.items()}
        call = _pool_call("PUT", name, release, {**params, "delete": True})
        change = Change("pool", name, "update", dict(leaving), {key: [] for key in leaving}, call, "members leave")
        yield Step(change, _change_members(name, leaving, join=False), _any_holder, _pool_exists(name))
    if joining:
        params = {key: _joined(members) for key, members in joining.items()}
        moving = moved.intersection(joining.get("vms", ()))
        if moving:
            params["allow-move"] = True
        call = _pool_call("PUT", name, release, params)
        change = Change("pool", name, "update", {key: [] for key in joining}, dict(joining), call, "members join")
        ready = _can_join(name, frozenset(joining.get("vms", ())) - moving)
        yield Step(change, _change_members(name, joining, join=True), _any_holder, ready)


def _given_lists(lists: Mapping[str, list[Any]]) -> Fields:
    return {key: members for key, members in lists.items() if members}


def _joined(members: list[Any]) -> str:
    return ",".join(str(member) for member in members)


def _change_members(name: str, members: Fields, *, join: bool) -> Callable[[AccessState], AccessState]:
    vms = frozenset(members.get("vms", ()))
    storage = frozenset(members.get("storage", ()))

    def effect(state: AccessState) -> AccessState:
        pool = state.pools[name]
        if not join:
            return state.put("pools", name, replace(pool, vms=pool.vms - vms, storage=pool.storage - storage))
        for other in state.pools.values():
            if other.poolid != name and other.vms & vms:
                state = state.put("pools", other.poolid, replace(other, vms=other.vms - vms))
        return state.put("pools", name, replace(pool, vms=pool.vms | vms, storage=pool.storage | storage))

    return effect


def _recomment(name: str, comment: str) -> Callable[[AccessState], AccessState]:
    return lambda state: state.put("pools", name, replace(state.pools[name], comment=comment))


def _parent_exists(parent: str) -> Callable[[AccessState], bool]:
    return lambda state: not parent or parent in state.pools


def _pool_exists(name: str) -> Callable[[AccessState], bool]:
    return lambda state: name in state.pools


def _can_join(name: str, vms: frozenset[int]) -> Callable[[AccessState], bool]:
    """Tell when guests can join a pool without being moved there: as soon as they are in no other."""
    return lambda state: (
        name in state.pools and not any(pool.vms & vms for pool in state.pools.values() if pool.poolid != name)
    )


def _pool_is_empty(name: str) -> Callable[[AccessState], bool]:
    def ready(state: AccessState) -> bool:
        pool = state.pools[name]
        nested = any(other.startswith(name + "/") for other in state.pools)
        return not pool.vms and not pool.storage and not nested

    return ready


# -- ACL ----------------------------------------------------------------------------------------------------------


def _acl(before: AccessState, target: AccessState, caller: str) -> Iterator[Step]:
    was, will = dict(before.entries()), dict(target.entries())
    granted: dict[tuple[str, bool, bool, Principal], set[str]] = {}
    for entry, propagate in will.items():
        if was.get(entry) != propagate:
            own = owner_of(entry.principal.name) == owner_of(caller)
            granted.setdefault((entry.path, propagate, own, entry.principal), set()).add(entry.role)
    for (path, propagate, roles), principals in _batches(granted):
        yield _grant_step(before, path, propagate, roles, principals)
    revoked: dict[tuple[str, bool, bool, Principal], set[str]] = {}
    for entry in was:
        if entry not in will and not _goes_by_itself(entry, before, target):
            own = owner_of(entry.principal.name) == owner_of(caller)
            revoked.setdefault((entry.path, False, own, entry.principal), set()).add(entry.role)
    for (path, unused, roles), principals in _batches(revoked):
        yield _revoke_step(before, path, roles, principals)


def _batches(
    wanted: Mapping[tuple[str, bool, bool, Principal], set[str]],
) -> Iterator[tuple[tuple[str, bool, tuple[str, ...]], list[Principal]]]:
    """Put together the principals that get the same roles at the same path. The caller's own entries stay apart."""
    batches: dict[tuple[str, bool, bool, tuple[str, ...]], list[Principal]] = {}
    for (path, propagate, own, principal), names in wanted.items():
        batches.setdefault((path, propagate, own, tuple(sorted(names))), []).append(principal)
    for (path, propagate, unused, roles), principals in sorted(batches.items()):
        ordered = sorted(principals)
        for start in range(0, len(ordered), PRINCIPALS_PER_CALL):
            yield (path, propagate, roles), ordered[start : start + PRINCIPALS_PER_CALL]


def _goes_by_itself(entry: Entry, before: AccessState, target: AccessState) -> bool:
    """Tell whether PVE drops the entry together with its role, its principal or its pool."""
    kind, name = entry.principal
    return name not in getattr(target, f"{kind}s") or goes_with_role_or_pool(entry, before, target)


def goes_with_role_or_pool(entry: Entry, before: AccessState, target: AccessState) -> bool:
    """Tell whether PVE drops the entry because its role or its pool is deleted."""
    pool = entry.path.split("/")[2] if entry.path.startswith("/pool/") else None
    return entry.role not in target.roles or (pool in before.pools and pool not in target.pools)


def _acl_params(path: str, roles: Iterable[str], principals: Iterable[Principal]) -> Fields:
    params: Fields = {"path": path, "roles": ",".join(roles)}
    for kind in ("user", "group", "token"):
        names = [principal.name for principal in principals if principal.kind == kind]
        if names:
            params[kind + "s"] = ",".join(names)
    return params


def _shown(principal: Principal, role: str) -> str:
    return f"{principal.kind} {principal.name} {role}"


def _flag(propagate: bool) -> str:
    return "and below" if propagate else "this path only"


def _grant_step(
    before: AccessState, path: str, propagate: bool, roles: tuple[str, ...], principals: list[Principal]
) -> Step:
    entries = {Entry(path, principal, role): propagate for principal in principals for role in roles}
    had = {entry: before.propagate(entry) for entry in entries}
    old = {_shown(e.principal, e.role): _flag(flag) for e, flag in had.items() if flag is not None}
    new = {_shown(entry.principal, entry.role): _flag(propagate) for entry in entries}
    call = Call("PUT", "/access/acl", {**_acl_params(path, roles, principals), "propagate": propagate})
    change = Change("acl", path, "update" if old else "create", old or None, new, call)
    return Step(
        change,
        lambda state: state.grant(entries),
        lambda _state: principals,
        lambda state: set(roles) <= set(state.roles) and all(_exists(state, principal) for principal in principals),
    )


def _revoke_step(before: AccessState, path: str, roles: tuple[str, ...], principals: list[Principal]) -> Step:
    entries = frozenset(Entry(path, principal, role) for principal in principals for role in roles)
    old = {_shown(entry.principal, entry.role): _flag(bool(before.propagate(entry))) for entry in entries}
    call = Call("PUT", "/access/acl", {**_acl_params(path, roles, principals), "delete": True})
    change = Change("acl", path, "delete", old, None, call)
    return Step(
        change,
        lambda state: state.revoke(entries),
        lambda _state: principals,
        lambda state: all(_exists(state, principal) for principal in principals),
    )


def _exists(state: AccessState, principal: Principal) -> bool:
    kind, name = principal
    if kind == "group":
        return name in state.groups
    return name in (state.tokens if is_token(name) else state.users)


def block_steps(principal: Principal, nodes: Iterable[str]) -> list[Step]:
    """Return the steps that take all rights from a principal for a while.

    A NoAccess entry at a node wipes whatever is inherited or given there, so adding one never widens.
    """
    return [_grant_step(AccessState(), node, True, (NO_ACCESS,), [principal]) for node in sorted(nodes)]


def unblock_steps(principal: Principal, meant: Mapping[str, bool | None]) -> list[Step]:
    """Return the steps that undo ``block_steps``: from the deepest node up, each shows only what stands there.

    ``meant`` says for each node with which flag the entry is to stay, None where it is to go.
    """
    steps = []
    for node, flag in sorted(meant.items(), reverse=True):
        if flag is None:
            steps.append(_revoke_step(AccessState(), node, (NO_ACCESS,), [principal]))
        elif not flag:
            steps.append(_grant_step(AccessState(), node, False, (NO_ACCESS,), [principal]))
    return steps
