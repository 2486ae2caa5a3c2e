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
    if state.nodes[node].online:
        row.update(status="available", disk=_USED, maxdisk=_TOTAL)
    return row


def _digest(state: State) -> str:
    text = "".join(
        f"{s.type}: {s.storage}\n\tpath {s.path}\n\tcontent {s.content}\n\n" for s in state.storages.values()
    )
    return hashlib.sha1(text.encode()).hexdigest()  # PVE's digest, no signature


def _definition(state: State, storage: Storage) -> dict[str, Any]:
    row: dict[str, Any] = {
        "storage": storage.storage,
        "type": storage.type,
        "content": storage.content,
        "path": storage.path,
        "digest": _digest(state),
    }
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


def _on_node(storage: Storage) -> dict[str, Any]:
    return {
        "type": storage.type,
        "content": storage.content,
        "enabled": 1,
        "active": 1,
        "shared": storage.shared,
        "total": _TOTAL,
        "used": _USED,
        "avail": _TOTAL - _USED,
    }


@route("GET", "/nodes/{node}/storage")
def list_node_storages(call: Call) -> list[dict[str, Any]]:
    asked = call.get("storage")
    if asked is not None and asked not in call.state.storages:
        raise ParameterError({"storage": "No such storage."})
    contents = split_list(call.get("content") or "")
    return [
        {"storage": storage.storage, **_on_node(storage), "used_fraction": _USED / _TOTAL}
        for storage in call.state.storages.values()
        if asked in (None, storage.storage)
        and (not contents or set(contents) & set(split_list(storage.content)))
        and call.rights.has_any(call.caller, f"/storage/{storage.storage}", _SEERS)
    ]


@route("GET", "/nodes/{node}/storage/{storage}/status")
def read_status(call: Call) -> dict[str, Any]:
    storage = call.state.storages.get(call["storage"])
    if storage is None:
        raise ParameterError({"storage": "No such storage."})
    return _on_node(storage)


@route("GET", "/nodes/{node}/storage/{storage}/content")
def list_content(call: Call) -> list[dict[str, Any]]:
    if call["storage"] not in call.state.storages:
        raise Failure(f"storage '{call['storage']}' does not exist")
    return []
