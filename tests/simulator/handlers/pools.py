"""Pools, in both spellings: /pools/{poolid}, and /pools with the id as a parameter (since 8.1)."""

from __future__ import annotations

from typing import Any

from ..errors import Failure
from ..state import State
from ..userconfig import PoolRow, UserConfig
from ..verify import split_list
from . import Call, route
from .guests import resource_row as guest_row
from .storage import resource_row as storage_row


def _pool(config: UserConfig, poolid: str) -> PoolRow:
    if poolid not in config.pools:
        raise Failure(f"pool '{poolid}' does not exist")
    return config.pools[poolid]


def _shown(state: State, poolid: str, kind: str | None) -> dict[str, Any]:
    pool = _pool(state.access, poolid)
    members: list[dict[str, Any]] = []
    for vmid in sorted(pool.vms):
        guest = state.guests.get(vmid)
        if guest and kind in (None, guest.type):
            members.append(guest_row(state, guest))
    for name in sorted(pool.storage):
        storage = state.storages.get(name)
        if storage and kind in (None, "storage"):
            members.append(storage_row(state, storage, state.node))
    found: dict[str, Any] = {"poolid": poolid, "members": members}
    return found if pool.comment is None else {**found, "comment": pool.comment}


@route("GET", "/pools")
def list_pools(call: Call) -> list[dict[str, Any]]:
    if call.get("poolid"):
        # No right is asked for here: so it is in PVE, too.
        return [_shown(call.state, call["poolid"], call.get("type"))]
    seen_with = "Pool.Audit" if call.release >= (7, 0) else "Pool.Allocate"
    return [
        {"poolid": poolid} if pool.comment is None else {"poolid": poolid, "comment": pool.comment}
        for poolid, pool in sorted(call.state.access.pools.items())
        if call.rights.has_all(call.caller, f"/pool/{poolid}", [seen_with])
    ]


@route("GET", "/pools/{poolid}")
def read_pool(call: Call) -> dict[str, Any]:
    return _shown(call.state, call["poolid"], call.get("type"))


@route("POST", "/pools")
def create_pool(call: Call) -> None:
    poolid = call["poolid"]
    with call.state.edit("create pool failed") as config:
        if poolid in config.pools:
            raise Failure(f"pool '{poolid}' already exists")
        parent, nested, name = poolid.rpartition("/")
        if not name[:1].isalpha():
            raise Failure("pool name must start with a letter")
        if nested and parent not in config.pools:
            raise Failure(f"parent '{parent}' of pool '{poolid}' does not exist")
        config.pools[poolid] = PoolRow(call.get("comment"))


@route("PUT", "/pools", "/pools/{poolid}")
def update_pool(call: Call) -> None:
    poolid, delete = call["poolid"], call.flag("delete")
    with call.state.edit("update pools failed") as config:
        pool = _pool(config, poolid)
        if "comment" in call:
            config.pools[poolid] = pool._replace(comment=call["comment"])
        for vmid in split_list(call.get("vms") or ""):
            call.rights.require_any(call.caller, *call.rights.to_modify(f"/vms/{vmid}"))
            _change_guest(call, config, poolid, int(vmid), delete)
        for storage in split_list(call.get("storage") or ""):
            call.rights.require_any(call.caller, *call.rights.to_modify(f"/storage/{storage}"))
            _change_storage(config, poolid, storage, delete)


def _change_guest(call: Call, config: UserConfig, poolid: str, vmid: int, delete: bool) -> None:
    pool = config.pools[poolid]
    if delete:
        if vmid not in pool.vms:
            raise Failure(f"VM {vmid} is not a pool member")
        config.pools[poolid] = pool._replace(vms=pool.vms - {vmid})
        return
    if vmid in pool.vms:
        raise Failure(f"VM {vmid} is already a pool member")
    other = config.pool_of(vmid)
    if other is not None:
        if not call.flag("allow-move"):
            raise Failure(f"VM {vmid} belongs already to pool '{other}' and 'allow-move' is not set")
        call.rights.require_all(call.caller, f"/pool/{other}", ["Pool.Allocate"])
        config.pools[other] = config.pools[other]._replace(vms=config.pools[other].vms - {vmid})
    config.pools[poolid] = pool._replace(vms=pool.vms | {vmid})


def _change_storage(config: UserConfig, poolid: str, storage: str, delete: bool) -> None:
    pool = config.pools[poolid]
    if delete:
        if storage not in pool.storage:
            raise Failure(f"Storage '{storage}' is not a pool member")
        config.pools[poolid] = pool._replace(storage=pool.storage - {storage})
        return
    if storage in pool.storage:
        raise Failure(f"Storage '{storage}' is already a pool member")
    config.pools[poolid] = pool._replace(storage=pool.storage | {storage})


@route("DELETE", "/pools", "/pools/{poolid}")
def delete_pool(call: Call) -> None:
    poolid = call["poolid"]
    with call.state.edit("delete pool failed") as config:
        pool = _pool(config, poolid)
        contains = [f"pool '{child}'" for child in sorted(config.pools) if child.startswith(poolid + "/")]
        contains += [f"VM {vmid}" for vmid in sorted(pool.vms) if vmid in call.state.guests]
        contains += [f"storage '{name}'" for name in sorted(pool.storage) if name in call.state.storages]
        if contains:
            raise Failure(f"pool '{poolid}' is not empty (contains {contains[0]})")
        del config.pools[poolid]
        if "/" not in poolid:  # the entries of a nested pool stay
            top = f"/pool/{poolid}"
            config.acl = {k: f for k, f in config.acl.items() if k.path != top and not k.path.startswith(top + "/")}
