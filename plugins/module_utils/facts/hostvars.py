"""What the inventory says of a host: the same base variables for guests and nodes, more where it was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .addresses import Address, IpNetwork, best
from .model import Guest, Node

PREFIX = "pve_"
Data = dict[str, Any]

# For each subset of facts that can be gathered, its variables, and what they are for a node, which has none of it.
GATHERED: Mapping[str, Mapping[str, Any]] = {
    "guest_config": {"config": {}, "networks": [], "disks": [], "ostype": None, "agent": None},
    "guest_addresses": {"addresses": []},
    "snapshots": {"snapshots": []},
    "guest_status": {"guest_status": {}},
}


def of_guest(guest: Guest, name: str | None) -> Data:
    """Return the base facts of a guest; ``name`` is what it was last known as."""
    own = {"name": name, "tags": list(guest.tags), "pools": guest.pools, "template": bool(guest.template)}
    return {**vars(guest), **own, "address": None}


def of_node(node: Node) -> Data:
    """Return the base facts of a node, with nothing in the place of what only guests have."""
    nothing: Data = dict.fromkeys(Guest.__dataclass_fields__)
    return {**nothing, **vars(node), "type": "node", "name": node.node, "tags": [], "pools": [], "template": False}


def gathered(subsets: Iterable[str], details: Mapping[str, Any] | None, *, of_node: bool) -> Data:
    """Return the gathered facts of a host: null is what there is no answer about."""
    found: Data = {}
    for subset in subsets:
        for name, nothing in GATHERED[subset].items():
            found[name] = nothing if of_node else (details or {}).get(name)
    return found


def address_of(details: Mapping[str, Any], networks: Iterable[IpNetwork]) -> str | None:
    """Return the address to reach a guest at, out of its details; None where none of them says one."""
    rows = details.get("addresses") or details.get("static") or ()
    chosen = best([Address(**row) for row in rows], networks)
    return chosen.address if chosen else None


def prefixed(facts: Mapping[str, Any]) -> Data:
    """Return facts as host variables."""
    return {PREFIX + name: value for name, value in facts.items()}
