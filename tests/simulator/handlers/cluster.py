"""What there is of the cluster as a whole: version, status, resources and the cheap questions."""

from __future__ import annotations

from typing import Any

from ..errors import ParameterError
from ..state import CLUSTER_NAME
from ..versions import version_of
from . import Call, index, route
from .guests import resource_row as guest_row
from .nodes import list_row as node_row
from .storage import resource_row as storage_row

_FIRST_VMID = 100

index("/", "version", "cluster", "nodes", "storage", "access", "pools")
index(
    "/cluster",
    *("acme", "backup", "backup-info", "bulk-action", "ceph", "config", "firewall", "ha", "jobs", "log", "mapping"),
    *("metrics", "notifications", "nextid", "options", "qemu", "replication", "resources", "status", "tasks", "sdn"),
    key="name",
)


@route("GET", "/version")
def read_version(call: Call) -> dict[str, str]:
    return version_of(call.release)


@route("GET", "/cluster/status")
def read_status(call: Call) -> list[dict[str, Any]]:
    nodes = list(call.state.nodes.values())
    alone = len(nodes) == 1
    rows: list[dict[str, Any]] = [
        {
            "type": "node",
            "id": f"node/{node.name}",
            "name": node.name,
            "nodeid": 0 if alone else number,
            "ip": node.ip,
            "online": int(node.online),
            "local": int(node.name == call.state.node),
            "level": "",
        }
        for number, node in enumerate(nodes, 1)
    ]
    if not alone:
        online = sum(node.online for node in nodes)
        summary = {"nodes": len(nodes), "quorate": int(online * 2 > len(nodes)), "version": len(nodes)}
        rows.insert(0, {"type": "cluster", "id": "cluster", "name": CLUSTER_NAME, **summary})
    return rows


@route("GET", "/cluster/resources")
def list_resources(call: Call) -> list[dict[str, Any]]:
    state, rights, caller = call.state, call.rights, call.caller
    kind = call.get("type")
    rows: list[dict[str, Any]] = []
    if kind is None:
        rows += [
            _pool_row(call, poolid)
            for poolid in sorted(state.access.pools)
            if rights.has_all(caller, f"/pool/{poolid}", ["Pool.Audit"])
        ]
    if kind in (None, "vm"):
        for guest in state.guests.values():
            if rights.has_all(caller, f"/vms/{guest.vmid}", ["VM.Audit"]):
                row = guest_row(state, guest, with_tags=True)
                pool = state.access.pool_of(guest.vmid)
                if pool and rights.has_all(caller, f"/pool/{pool}", ["Pool.Audit"]):
                    row["pool"] = pool
                rows.append(row)
    if kind in (None, "node"):
        for node in state.nodes.values():
            row = node_row(call, node)
            row.pop("ssl_fingerprint")
            if node.online:
                row["cgroup-mode"] = 2
            rows.append(row)
    if kind in (None, "storage"):
        rows += [
            storage_row(state, storage, node)
            for storage in state.storages.values()
            if rights.has_all(caller, f"/storage/{storage.storage}", ["Datastore.Audit"])
            for node in state.nodes
        ]
    if (kind is None and call.release >= (9, 1)) or (kind in (None, "sdn") and call.release < (9, 1)):
        rows += _networks(call)
    return rows


def _pool_row(call: Call, poolid: str) -> dict[str, Any]:
    """Return a pool with sums over all of its guests, also over those that the caller may not see."""
    row: dict[str, Any] = {"id": f"/pool/{poolid}", "type": "pool", "pool": poolid}
    vms = call.state.access.pools[poolid].vms
    members = [guest_row(call.state, call.state.guests[vmid]) for vmid in vms if vmid in call.state.guests]
    running = [member for member in members if "maxcpu" in member]
    if running:
        row.update({name: sum(member[name] for member in running) for name in ("cpu", "mem", "maxmem", "maxcpu")})
        row["uptime"] = max(member["uptime"] for member in running)
    return row


def _networks(call: Call) -> list[dict[str, Any]]:
    """Return the one zone that every node has: its own bridges."""
    zone = "localnetwork"
    if not call.rights.has_any(call.caller, f"/sdn/zones/{zone}", ["SDN.Audit", "SDN.Use", "SDN.Allocate"]):
        return []
    if call.release < (9, 1):
        return [
            {"id": f"sdn/{node}/{zone}", "type": "sdn", "sdn": zone, "node": node, "status": "ok"}
            for node in call.state.nodes
        ]
    return [
        {
            "id": f"network/{node}/zone/{zone}",
            "type": "network",
            "network": zone,
            "network-type": "zone",
            "node": node,
            "status": "ok",
        }
        for node in call.state.nodes
    ]


@route("GET", "/cluster/nextid")
def next_id(call: Call) -> str:
    asked = call.get("vmid")
    if asked is not None:
        if int(asked) in call.state.guests:
            raise ParameterError({"vmid": f"VM {asked} already exists"})
        return asked
    vmid = _FIRST_VMID
    while vmid in call.state.guests:
        vmid += 1
    return str(vmid)


@route("GET", "/cluster/tasks")
def list_tasks(call: Call) -> list[dict[str, Any]]:
    return []
