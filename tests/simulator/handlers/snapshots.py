"""Snapshots of guests: the list, and the configuration that each of them kept."""

from __future__ import annotations

from typing import Any

from . import Call, index, route
from .guests import digest_of, kept, parent_of

for _kind in ("qemu", "lxc"):
    index(f"/nodes/{{node}}/{_kind}/{{vmid}}/snapshot/{{snapname}}", "rollback", "config", key="cmd")


def _list(call: Call, kind: str) -> list[dict[str, Any]]:
    guest = call.state.guest(int(call["vmid"]), kind, call["node"])
    rows: list[dict[str, Any]] = []
    for snapshot in guest.snapshots:
        row = {
            "name": snapshot["name"],
            "snaptime": snapshot.get("snaptime", 0),
            "description": snapshot.get("description", ""),
        }
        if kind == "qemu":
            row["vmstate"] = 1 if snapshot.get("vmstate") else 0
        if snapshot.get("parent"):
            row["parent"] = snapshot["parent"]
        rows.append(row)
    current = {"name": "current", "description": "You are here!", "digest": digest_of(guest)}
    parent = parent_of(guest)
    return [*rows, {**current, "running": int(guest.running), **({"parent": parent} if parent else {})}]


@route("GET", "/nodes/{node}/qemu/{vmid}/snapshot")
def list_of_machine(call: Call) -> list[dict[str, Any]]:
    return _list(call, "qemu")


@route("GET", "/nodes/{node}/lxc/{vmid}/snapshot")
def list_of_container(call: Call) -> list[dict[str, Any]]:
    return _list(call, "lxc")


@route("GET", "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config")
def read_of_machine(call: Call) -> dict[str, Any]:
    # PVE masks a cloud-init password in /config, and does not do so here.
    return kept(call.state.guest(int(call["vmid"]), "qemu", call["node"]), call["snapname"])


@route("GET", "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config")
def read_of_container(call: Call) -> dict[str, Any]:
    return kept(call.state.guest(int(call["vmid"]), "lxc", call["node"]), call["snapname"])
