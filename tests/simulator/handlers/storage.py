"""Storages: the cluster's definitions, and what a node sees of them."""

from __future__ import annotations

import hashlib
from typing import Any

from ..errors import Failure, ParameterError
from ..objects import Storage
from ..state import State
from ..verify import split_list
from . import Call, index, route

_SEERS = ["Datastore.Audit", "Datastore.AllocateSpace"]
_TOTAL, _USED = 270553174016, 24779710464  # bytes

index(
    "/nodes/{node}/storage/{storage}",
    *("content", "download-url", "file-restore", "import-metadata", "identity", "oci-registry-pull", "prunebackups"),
    *("rrd", "rrddata", "status", "upload"),
)


def resource_row(state: State, storage: Storage, node: str) -> dict[str, Any]:
    """Return a storage on a node as /cluster/resources and pools show it."""
    row: dict[str, Any] = {
        "id": f"storage/{node}/{storage.storage}",
        "type": "storage",
        "storage": storage.storage,
        "node": node,
        "plugintype": storage.type,
        "content": storage.content,
        "shared": storage.shared,
        "status": "unknown",
    }
    if state.nodes[node].known and storage.active and storage.on(node):
        row.update(status="available", disk=_USED, maxdisk=_TOTAL)
    return row


def _lines(storage: Storage) -> dict[str, Any]:
    """Return the lines of a definition: those that are not given are not there."""
    further = {"nodes": storage.nodes, "disable": storage.disable, "server": storage.server, "export": storage.export}
    found = {name: value for name, value in further.items() if value}
    return {"path": storage.path, "content": storage.content, **found, **storage.options}


def _digest(state: State) -> str:
    text = ""
    for storage in state.storages.values():
        text += f"{storage.type}: {storage.storage}\n"
        text += "".join(f"\t{name} {value}\n" for name, value in _lines(storage).items() if value != "") + "\n"
    return hashlib.sha1(text.encode()).hexdigest()  # PVE's digest, no signature


def _definition(state: State, storage: Storage) -> dict[str, Any]:
    row = {"storage": storage.storage, "type": storage.type, **_lines(storage), "digest": _digest(state)}
    if not storage.path:
        del row["path"]
    return {**row, "shared": 1} if storage.shared else row


@route("GET", "/storage")
def list_storages(call: Call) -> list[dict[str, Any]]:
    return [
        _definition(call.state, storage)
        for storage in call.state.storages.values()
        if call.get("type") in (None, storage.type)
        and call.rights.has_any(call.caller, f"/storage/{storage.storage}", _SEERS)
    ]


@route("GET", "/storage/{storage}")
def read_storage(call: Call) -> dict[str, Any]:
    storage = call.state.storages.get(call["storage"])
    if storage is None:
        raise Failure(f"storage '{call['storage']}' does not exist")
    return _definition(call.state, storage)


def _on_node(storage: Storage, node: str) -> dict[str, Any]:
    """Return a storage as a node sees it: without figures where it is not meant for the node, or does not work."""
    enabled = storage.on(node)
    works = enabled and storage.active
    return {
        "type": storage.type,
        "content": storage.content,
        "enabled": int(enabled),
        "active": int(works),
        "shared": storage.shared,
        "total": _TOTAL if works else 0,
        "used": _USED if works else 0,
        "avail": _TOTAL - _USED if works else 0,
    }


def _node_row(storage: Storage, node: str) -> dict[str, Any]:
    row = {"storage": storage.storage, **_on_node(storage, node)}
    return {**row, "used_fraction": row["used"] / row["total"]} if row["total"] else row


def _has_content(storage: Storage, asked: list[str], node: str) -> bool:
    return not asked or (storage.on(node) and bool(set(asked) & set(split_list(storage.content))))


@route("GET", "/nodes/{node}/storage")
def list_node_storages(call: Call) -> list[dict[str, Any]]:
    asked, node, target = call.get("storage"), call.node_name, call.get("target")
    if target in (node, "localhost"):
        target = None
    contents = split_list(call.get("content") or "")
    known = [storage for storage in call.state.storages.values() if _has_content(storage, contents, node)]
    if asked is not None and asked not in {storage.storage for storage in known}:
        raise ParameterError({"storage": "No such storage."})
    return [
        _node_row(storage, node)
        for storage in known
        if asked in (None, storage.storage)
        and not (call.flag("enabled") and storage.disable)
        and (target is None or (storage.shared and storage.allowed(node) and storage.allowed(target)))
        and call.rights.has_any(call.caller, f"/storage/{storage.storage}", _SEERS)
    ]


@route("GET", "/nodes/{node}/storage/{storage}/status")
def read_status(call: Call) -> dict[str, Any]:
    storage = call.state.storages.get(call["storage"])
    if storage is None:
        raise ParameterError({"storage": "No such storage."})
    return _on_node(storage, call.node_name)


@route("GET", "/nodes/{node}/storage/{storage}/content")
def list_content(call: Call) -> list[dict[str, Any]]:
    storage = call.state.storages.get(call["storage"])
    node = call.node_name
    if storage is None:
        raise Failure(f"storage '{call['storage']}' does not exist")
    if storage.disable:
        raise Failure(f"storage '{storage.storage}' is disabled")
    if not storage.on(node):
        raise Failure(f"storage '{storage.storage}' is not available on node '{node}'")
    vmid = call.get("vmid")
    return [
        {name: value for name, value in volume.items() if name != "node"}
        for volume in storage.volumes
        if volume.get("node", node) == node
        and call.get("content") in (None, volume["content"])
        and vmid in (None, str(volume.get("vmid", "")))
        and _may_use(call, storage, volume)
    ]


def _may_use(call: Call, storage: Storage, volume: dict[str, Any]) -> bool:
    """Tell whether the caller may use a volume: PVE lists no other. To read is not enough for disks and backups."""
    rights, path = call.rights, f"/storage/{storage.storage}"

    def has(where: str, privilege: str) -> bool:
        return rights.has_all(call.caller, where, [privilege])

    if has(path, "Datastore.Allocate"):
        return True
    owner = f"/vms/{volume['vmid']}" if volume.get("vmid") else None
    if volume["content"] in ("iso", "vztmpl", "import"):
        return rights.has_any(call.caller, path, _SEERS)
    if volume["content"] == "backup":
        return owner is not None and has(path, "Datastore.AllocateSpace") and has(owner, "VM.Backup")
    if volume["content"] in ("images", "rootdir"):
        return owner is not None and has(path, "Datastore.Audit") and has(owner, "VM.Config.Disk")
    return False
