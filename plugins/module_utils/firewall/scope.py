"""Where rules live: the datacenter, a node, a guest, a security group or a vnet."""

from __future__ import annotations

from dataclasses import dataclass

CLUSTER, NODE, GUEST, GROUP, VNET = "cluster", "node", "guest", "group", "vnet"

# The directions that PVE takes in each kind of place, and the parts that a place has beside its rules.
RULE_TYPES = {
    CLUSTER: ("in", "out", "forward", "group"),
    NODE: ("in", "out", "forward", "group"),
    GROUP: ("in", "out", "forward"),
    GUEST: ("in", "out", "group"),
    VNET: ("forward", "group"),
}
WITH_OBJECTS = (CLUSTER, GUEST)


@dataclass(frozen=True, order=True)
class Scope:
    """One place. ``id`` is the node's name, the guest's number, the name of the group or of the vnet."""

    kind: str
    id: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.id}" if self.id else self.kind


DATACENTER = Scope(CLUSTER)


@dataclass(frozen=True)
class Guest:
    """Where a guest is: PVE's paths name its node and type. ``type`` is qemu or lxc."""

    vmid: int
    type: str
    node: str


def base_path(scope: Scope, guest: Guest | None = None) -> str:
    """Return the API path of a place. For a guest, say where it is."""
    if scope.kind == NODE:
        return f"/nodes/{scope.id}/firewall"
    if scope.kind == VNET:
        return f"/cluster/sdn/vnets/{scope.id}/firewall"
    if scope.kind == GUEST:
        if guest is None:
            raise ValueError(f"where {scope} is was not looked up")
        return f"/nodes/{guest.node}/{guest.type}/{guest.vmid}/firewall"
    if scope.kind == GROUP:
        return f"/cluster/firewall/groups/{scope.id}"
    return "/cluster/firewall"


def rules_path(scope: Scope, base: str) -> str:
    """Return the path of the list of rules: those of a group are the group itself."""
    return base if scope.kind == GROUP else f"{base}/rules"
