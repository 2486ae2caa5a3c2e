"""Which objects a proof asks about: those at the reader's path, and one example of each type that it sees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..access.paths import guest_of
from ..endpoints.checks import Values
from .reader import Reader

Row = Mapping[str, Any]

# Nobody's: no guest gets the highest VMID there is, and no object has this name.
NO_VMID = "999999999"
NO_NAME = "homelab-proof"
# The node that answers, whatever its name.
ANY_NODE = "localhost"
GUESTS = ("qemu", "lxc")

_NOWHERE: dict[str, str] = {
    **dict.fromkeys(
        ("cputype", "dns", "flag", "group", "groupid", "id", "iface", "ipam", "monid", "name", "rule", "service"),
        NO_NAME,
    ),
    **dict.fromkeys(("snapname", "storage", "tokenid", "controller", "roleid", "volume", "poolid"), NO_NAME),
    **dict.fromkeys(("vnet", "zone"), "noproof"),
    "cidr": "192.0.2.1",
    "newid": NO_VMID,
    "osdid": NO_VMID,
    "pos": NO_VMID,
    "realm": "pve",
    "sid": f"vm:{NO_VMID}",
    "vmid": NO_VMID,
    "node": ANY_NODE,
}


@dataclass(frozen=True)
class Objects:
    """What to ask about.

    ``own`` has the ids of the object at the reader's path, or of an example; of guests, there is one set of ids for
    each type in ``guests``. ``real`` names the ids that stand for something that exists. ``problem`` says why the
    object at the reader's path cannot be read although it may be, or is empty.
    """

    own: Values
    guests: Mapping[str, Values] = field(default_factory=dict)
    real: frozenset[str] = frozenset()
    problem: str = ""

    def values(self, kind: str) -> Values:
        """Return the ids for calls on objects of a type (see ``Write.kind``)."""
        return self.guests.get(kind, self.own)


def strangers(reader: Reader) -> Values:
    """Return ids of objects that do not exist, so that they are certainly not the reader's."""
    realm = reader.userid.rpartition("@")[2]
    # PVE has another answer for users that do not exist, so this is the reader's own.
    return {**_NOWHERE, "userid": reader.userid, "userid_realm": realm, "kind": "qemu", "path": "/"}


def find_objects(reader: Reader, resources: Iterable[Row]) -> Objects:
    """Choose the objects, from what GET /cluster/resources shows to the reader."""
    rows = sorted(resources, key=lambda row: str(row.get("id", "")))
    nodes = {str(row["node"]): row.get("status") != "offline" for row in rows if row.get("type") == "node"}
    alive = [name for name, online in sorted(nodes.items()) if online]
    own = {**strangers(reader), **_ids_in(reader.path), "path": reader.path}
    if not reader.path.startswith("/access/realm/"):
        own["realm"] = own["userid_realm"]
    real = {"userid", "path", "realm"}
    problem = ""
    if reader.path.startswith("/nodes/"):
        real.add("node")
        if not nodes.get(own["node"]):
            state = "is offline" if own["node"] in nodes else "does not exist in this cluster"
            problem = f"node {own['node']} {state}"
            real.discard("node")
    elif alive:
        own["node"] = alive[0]
        real.add("node")

    storages = [row for row in rows if row.get("type") == "storage" and nodes.get(str(row.get("node")), False)]
    if reader.path.startswith("/storage/"):
        storages = [row for row in storages if row.get("storage") == own["storage"]]
        if not storages:
            problem = f"storage {own['storage']} does not exist, is disabled, or is on no node that is online"
    if storages:
        own["storage"] = str(storages[0]["storage"])
        own["storage_node"] = str(storages[0]["node"])
        real.add("storage")

    pools = [row for row in rows if row.get("type") == "pool"]
    if reader.path.startswith("/pool/"):
        pools = [row for row in pools if row.get("pool") == own["poolid"]]
        if not pools:
            problem = f"pool {own['poolid']} does not exist"
    if pools:
        own["poolid"] = str(pools[0]["pool"])
        real.add("poolid")

    guests, seen, trouble = _guests(reader, rows, nodes, own)
    return Objects(own, guests, frozenset(real | seen), problem or trouble)


def _guests(
    reader: Reader, rows: list[Row], nodes: Mapping[str, bool], own: Values
) -> tuple[dict[str, Values], set[str], str]:
    """Return the ids for each type of guest, which of these types are real, and what is wrong with the reader's."""
    vmid = guest_of(reader.path)
    there = [row for row in rows if row.get("type") in GUESTS]
    if vmid is not None:
        mine = next((row for row in there if row.get("vmid") == vmid), None)
        if mine is None:
            # Both of them: what is not there now may become either.
            return {kind: {**own, "kind": kind} for kind in GUESTS}, set(), f"guest {vmid} does not exist"
        kind, node = str(mine["type"]), str(mine["node"])
        if not nodes.get(node):
            # Rights on guests do not depend on the node that is asked.
            offline = f"guest {vmid} is on node {node}, which is offline"
            return {kind: {**own, "kind": kind, "node": ANY_NODE}}, set(), offline
        return {kind: {**own, "kind": kind, "node": node}}, {kind}, ""
    found: dict[str, Values] = {kind: {**own, "kind": kind} for kind in GUESTS}
    real: set[str] = set()
    for row in there:
        kind = str(row["type"])
        if kind not in real and nodes.get(str(row["node"])):
            found[kind] = {**own, "kind": kind, "node": str(row["node"]), "vmid": str(row["vmid"])}
            real.add(kind)
    return found, real, ""


def _ids_in(path: str) -> dict[str, str]:
    """Return the ids that an ACL path names."""
    piece = path.split("/")[1:]
    kind, last = piece[0], "/".join(piece[1:])
    if not last:
        return {}
    if kind == "access" and len(piece) == 3:
        return {"groupid" if piece[1] == "groups" else "realm": piece[2]}
    if kind == "sdn":
        names = {"zones": ("zone", "vnet"), "controllers": ("controller",), "dns": ("dns",), "ipams": ("ipam",)}
        return dict(zip(names.get(piece[1], ()), piece[2:]))
    if kind == "mapping":
        return {"id": piece[2]} if len(piece) > 2 else {}
    name = {"vms": "vmid", "nodes": "node", "storage": "storage", "pool": "poolid"}.get(kind)
    return {name: last} if name else {}
