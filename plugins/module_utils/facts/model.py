"""Nodes and guests as /cluster/resources tells them: what can be known of all of them from one answer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .fields import Fields, Row, flag, integer, number, text, typed, words

GUEST_TYPES = ("qemu", "lxc")
RUNNING = "running"

_NODE: Fields = {
    "status": text,
    "level": text,
    "hastate": text,
    "cpu": number,
    "maxcpu": integer,
    "mem": integer,
    "maxmem": integer,
    "disk": integer,
    "maxdisk": integer,
    "uptime": integer,
}
_GUEST: Fields = {
    "status": text,
    "template": flag,
    "pool": text,
    "lock": text,
    "hastate": text,
    "cpu": number,
    "maxcpu": integer,
    "mem": integer,
    "memhost": integer,
    "maxmem": integer,
    "disk": integer,
    "maxdisk": integer,
    "uptime": integer,
    "netin": integer,
    "netout": integer,
    "diskread": integer,
    "diskwrite": integer,
}


@dataclass(frozen=True)
class Node:
    """A node. Sizes are bytes, ``uptime`` seconds, ``cpu`` the used part of ``maxcpu`` (0 to 1).

    None is what PVE did not say: figures of a node that is down, or that the caller may not audit. ``address``,
    ``nodeid`` and ``local`` (the node that answers) come from the cluster's status, which takes Sys.Audit on /.
    """

    node: str
    status: str | None
    level: str | None
    hastate: str | None
    cpu: float | None
    maxcpu: int | None
    mem: int | None
    maxmem: int | None
    disk: int | None
    maxdisk: int | None
    uptime: int | None
    address: str | None = None
    nodeid: int | None = None
    local: bool | None = None

    @classmethod
    def from_api(cls, row: Row, status: Row | None = None) -> Node:
        """Make a node from its row of the resources (or of /nodes) and its row of the cluster's status."""
        seen = status or {}
        return cls(
            node=str(row["node"]),
            address=seen.get("ip") or None,
            nodeid=int(seen["nodeid"]) if "nodeid" in seen else None,
            local=flag(seen["local"]) if "local" in seen else None,
            **typed(row, _NODE),
        )

    @property
    def online(self) -> bool:
        """Whether the node takes part in the cluster; one without figures (status unknown) may well be up."""
        return self.status != "offline"

    def as_data(self) -> dict[str, Any]:
        """Return it as modules do."""
        return asdict(self)


@dataclass(frozen=True)
class Guest:
    """A virtual machine (``type`` qemu) or container (lxc). Units as for a node.

    Of a guest on a node that is down PVE gives only number, type, node, tags and pool: ``status`` is unknown, and
    ``name`` is None.
    """

    vmid: int
    type: str
    node: str
    name: str | None
    tags: tuple[str, ...]
    status: str | None
    template: bool | None
    pool: str | None
    lock: str | None
    hastate: str | None
    cpu: float | None
    maxcpu: int | None
    mem: int | None
    memhost: int | None
    maxmem: int | None
    disk: int | None
    maxdisk: int | None
    uptime: int | None
    netin: int | None
    netout: int | None
    diskread: int | None
    diskwrite: int | None

    @classmethod
    def from_api(cls, row: Row) -> Guest:
        """Make a guest from its row of the resources."""
        return cls(
            vmid=int(row["vmid"]),
            type=str(row["type"]),
            node=str(row["node"]),
            name=str(row["name"]) if row.get("name") else None,
            tags=tuple(words(row.get("tags") or "")),
            **typed(row, _GUEST),
        )

    @property
    def path(self) -> str:
        """Where the API has it."""
        return f"/nodes/{self.node}/{self.type}/{self.vmid}"

    @property
    def pools(self) -> list[str]:
        """The guest's pool and those around it, from the outermost: a/b is inside of a."""
        parts = (self.pool or "").split("/")
        return ["/".join(parts[: depth + 1]) for depth in range(len(parts))] if self.pool else []

    @property
    def running(self) -> bool:
        return self.status == RUNNING

    def as_data(self) -> dict[str, Any]:
        """Return it as modules do."""
        return {**asdict(self), "tags": list(self.tags)}


def is_guest(row: Row) -> bool:
    return row.get("type") in GUEST_TYPES
