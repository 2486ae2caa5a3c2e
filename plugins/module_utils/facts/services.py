"""High availability and software-defined networks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..access.observe import held_below
from .ask import NOTHING, Ask
from .context import Context
from .fetch import Collector
from .fields import Fields, Row, flag, integer, text, typed, words

HA, SDN = "ha", "sdn"
# Before it, HA has groups; since then, rules.
_RULES_SINCE = (9, 0)

_STATUS: Fields = {
    "id": text,
    "type": text,
    "node": text,
    "status": text,
    "quorate": flag,
    "timestamp": integer,
    "sid": text,
    "state": text,
    "crm_state": text,
    "request_state": text,
}
_RESOURCE: Fields = {
    "sid": text,
    "type": text,
    "state": text,
    "group": text,
    "comment": text,
    "max_restart": integer,
    "max_relocate": integer,
    "failback": flag,
}
_GROUP: Fields = {"group": text, "nodes": words, "restricted": flag, "nofailback": flag, "comment": text}
_RULE: Fields = {
    "rule": text,
    "type": text,
    "resources": words,
    "nodes": words,
    "affinity": text,
    "strict": flag,
    "disable": flag,
    "comment": text,
}
_ZONE: Fields = {
    "zone": text,
    "type": text,
    "nodes": words,
    "bridge": text,
    "tag": integer,
    "vlan-protocol": text,
    "peers": words,
    "vxlan-port": integer,
    "controller": text,
    "vrf-vxlan": integer,
    "exitnodes": words,
    "mtu": integer,
    "ipam": text,
    "dns": text,
    "reversedns": text,
    "dnszone": text,
    "dhcp": text,
}
_VNET: Fields = {
    "vnet": text,
    "zone": text,
    "alias": text,
    "tag": integer,
    "vlanaware": flag,
    "isolate-ports": flag,
}

Rows = list[dict[str, Any]]


def ha(context: Context) -> Collector[dict[str, Any] | None]:
    """Read what high availability does, and with what: rules, or before 9.0 groups."""
    with_rules = context.release >= _RULES_SINCE
    paths = ("status/current", "resources", "rules" if with_rules else "groups")
    status, resources, more = yield [Ask(HA, f"/cluster/ha/{path}") for path in paths]
    found = {
        "status": _rows(status, _STATUS, "id"),
        "resources": _rows(resources, _RESOURCE, "sid"),
        "groups": None if with_rules else _rows(more, _GROUP, "group"),
        "rules": _rows(more, _RULE, "rule") if with_rules else None,
    }
    return found if any(part is not None for part in found.values()) else None


def sdn(context: Context) -> Collector[dict[str, Any] | None]:
    """Read zones and VNets as they are configured, and what each node says of its networks."""
    zones, vnets = yield [Ask(SDN, "/cluster/sdn/zones"), Ask(SDN, "/cluster/sdn/vnets")]
    scene = yield from context.scene()
    partly = scene.rights_known and not held_below(scene.rights, "/sdn", "SDN.Audit")
    if partly:
        context.hide(SDN, f"Only networks on which {context.caller} holds SDN.Audit are listed, not all of them.")
    wanted = {node.node for node in scene.nodes}
    networks = [_network(row) for row in scene.others if row.get("type") in ("sdn", "network")]
    found = {
        "zones": _rows(zones, _ZONE, "zone"),
        "vnets": _rows(vnets, _VNET, "vnet"),
        "networks": _in_order(row for row in networks if row["node"] in wanted) if scene.read else None,
    }
    # Where some are hidden, none does not mean that there are none.
    found = {name: rows or None if partly else rows for name, rows in found.items()}
    return found if any(part is not None for part in found.values()) else None


def _in_order(networks: Iterable[dict[str, Any]]) -> Rows:
    return sorted(networks, key=lambda row: (str(row["node"]), str(row["type"]), str(row["network"])))


def _network(row: Row) -> dict[str, Any]:
    """Return the state of a network on a node: since 9.1 as PVE says, before that all of them are zones."""
    old = row.get("type") == "sdn"
    return {
        "node": row.get("node"),
        "network": row.get("sdn") if old else row.get("network"),
        "type": "zone" if old else row.get("network-type"),
        "status": row.get("status"),
    }


def _rows(answer: Any, fields: Fields, key: str) -> Rows | None:
    if answer is NOTHING:
        return None
    found = [{name.replace("-", "_"): value for name, value in typed(row, fields).items()} for row in answer]
    return sorted(found, key=lambda row: str(row[key]))
