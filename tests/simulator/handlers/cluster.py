"""What there is of the cluster as a whole: version, status, resources and the cheap questions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ..errors import ParameterError
from ..objects import Guest
from ..state import CLUSTER_NAME, State
from ..verify import split_list
from ..versions import version_of
from ..wire import Fragments, to_json
from . import Call, index, route
from .guests import resource_row as guest_row
from .ha import of_node as node_in_ha
from .nodes import level_of
from .nodes import list_row as node_row
from .sdn import resource_rows as network_rows
from .storage import resource_row as storage_row

_FIRST_VMID = 100
_OPEN_OPTIONS = ("console", "tag-style")  # of the datacenter, what everybody is told

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
            **({"ip": node.ip} if node.ip else {}),  # of one that was never seen, it is not known
            "online": int(node.online),
            "local": int(node.name == call.state.node),
            "level": level_of(node),
        }
        for number, node in enumerate(nodes, 1)
    ]
    if not alone:
        summary = {"nodes": len(nodes), "quorate": int(call.state.quorate), "version": len(nodes)}
        rows.insert(0, {"type": "cluster", "id": "cluster", "name": CLUSTER_NAME, **summary})
    return rows


@route("GET", "/cluster/resources")
def list_resources(call: Call) -> Fragments:
    state, rights, caller = call.state, call.rights, call.caller
    kind = call.get("type")
    found: list[str] = []
    if kind is None:
        found += [
            _pool_row(state, poolid)
            for poolid in sorted(state.access.pools)
            if rights.has_all(caller, f"/pool/{poolid}", ["Pool.Audit"])
        ]
    if kind in (None, "vm"):
        found += _guest_rows(call)
    if kind in (None, "node"):
        for node in state.nodes.values():
            row = node_row(call, node)
            row.pop("ssl_fingerprint")
            if node.online:
                row["cgroup-mode"] = 2
            hastate = node_in_ha(state, node.name)
            found.append(to_json({**row, "hastate": hastate} if hastate else row))
    if kind in (None, "storage"):
        found += [
            to_json(storage_row(state, storage, node))
            for storage in state.storages.values()
            if rights.has_all(caller, f"/storage/{storage.storage}", ["Datastore.Audit"])
            for node in state.nodes
            if storage.on(node)
        ]
    if (kind is None and call.release >= (9, 1)) or (kind in (None, "sdn") and call.release < (9, 1)):
        found += [to_json(row) for row in network_rows(call)]
    return Fragments(found)


class _Row(NamedTuple):
    """A guest's row without its pool, and the figures that pools sum up."""

    text: str
    uptime: int
    cpu: float
    maxcpu: int
    mem: int
    maxmem: int


def _rows(state: State) -> dict[int, _Row]:
    return state.derived("guest rows", lambda: {guest.vmid: _row(state, guest) for guest in state.guests.values()})


def _row(state: State, guest: Guest) -> _Row:
    row = guest_row(state, guest, with_properties=True)
    return _Row(to_json(row), *(row.get(name, 0) for name in _Row._fields[1:]))


def _guest_rows(call: Call) -> Iterator[str]:
    """Yield a row for each guest that the caller may see, with its pool where he may see that, too."""
    rights, caller = call.rights, call.caller
    pools = call.state.access.pools
    visible = rights.guests_with(caller, "VM.Audit")
    seen = {pool for pool in pools if rights.has_all(caller, f"/pool/{pool}", ["Pool.Audit"])}
    pool_of = {vmid: pool for pool in seen for vmid in pools[pool].vms}
    for vmid, row in _rows(call.state).items():
        if visible(vmid):
            yield f'{row.text[:-1]},"pool":{to_json(pool_of[vmid])}}}' if vmid in pool_of else row.text


def _pool_row(state: State, poolid: str) -> str:
    return state.derived(("pool row", poolid), lambda: to_json(_sums(state, poolid)), of_access=True)


def _sums(state: State, poolid: str) -> dict[str, Any]:
    """Return a pool with sums over all of its guests that run, also over those that the caller may not see."""
    found: dict[str, Any] = {"id": f"/pool/{poolid}", "type": "pool", "pool": poolid}
    rows = _rows(state)
    running = [rows[vmid] for vmid in state.access.pools[poolid].vms if vmid in rows and rows[vmid].uptime]
    if running:
        cores = sum(row.maxcpu for row in running)
        found.update(mem=sum(row.mem for row in running), maxmem=sum(row.maxmem for row in running), maxcpu=cores)
        found["cpu"] = sum(row.cpu * row.maxcpu for row in running) / cores
        found["uptime"] = max(row.uptime for row in running)
    return found


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


@route("GET", "/cluster/options")
def read_options(call: Call) -> dict[str, Any]:
    tags: set[str] = set()
    visible = call.rights.guests_with(call.caller, "VM.Audit")
    for vmid, own in call.state.derived("tags", lambda: _tags(call.state)):
        if visible(vmid):
            tags |= own
    sees_all = call.rights.has_all(call.caller, "/", ["Sys.Audit"])
    options = call.state.options.items()
    return {"allowed-tags": sorted(tags)} | {n: value for n, value in options if sees_all or n in _OPEN_OPTIONS}


def _tags(state: State) -> list[tuple[int, frozenset[str]]]:
    found = ((guest.vmid, frozenset(split_list(guest.config.get("tags", "")))) for guest in state.guests.values())
    return [(vmid, tags) for vmid, tags in found if tags]


index("/cluster/config", "nodes", "totem", "join", "qdevice", "apiversion", key="name")


@route("GET", "/cluster/config/nodes")
def list_members(call: Call) -> list[dict[str, Any]]:
    """Return the members as corosync.conf names them; a node that stands alone has no such file."""
    nodes = list(call.state.nodes.values())
    if len(nodes) == 1:
        return []
    return [
        {"node": node.name, "name": node.name, "nodeid": str(number), "quorum_votes": "1", "ring0_addr": node.ip}
        for number, node in enumerate(nodes, 1)
    ]
