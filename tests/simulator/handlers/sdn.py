"""Software-defined networks: zones, VNets and controllers, as far as they are configured and applied."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from ..errors import Failure
from ..state import State
from . import Call, index, route

_SEERS = ["SDN.Audit", "SDN.Allocate"]
LOCAL = "localnetwork"  # the zone of each node's own bridges, which nobody configures

index("/cluster/sdn", "vnets", "zones", "controllers", "ipams", "dns", key="id")


def _digest(rows: list[dict[str, Any]]) -> str:
    return hashlib.sha1(json.dumps(rows, sort_keys=True).encode()).hexdigest()


@route("GET", "/cluster/sdn/zones")
def list_zones(call: Call) -> list[dict[str, Any]]:
    digest = _digest(call.state.zones)
    return [
        {**zone, "digest": digest}
        for zone in call.state.zones
        if call.get("type") in (None, zone["type"])
        and call.rights.has_any(call.caller, f"/sdn/zones/{zone['zone']}", _SEERS)
    ]


@route("GET", "/cluster/sdn/zones/{zone}")
def read_zone(call: Call) -> dict[str, Any]:
    for zone in call.state.zones:
        if zone["zone"] == call["zone"]:
            return {**zone, "digest": _digest(call.state.zones)}
    raise Failure(f"sdn zone '{call['zone']}' does not exist")


def _vnets(state: State) -> list[dict[str, Any]]:
    return [
        {"vnet": vnet, "type": "vnet", "zone": zone, **state.vnet_options.get(vnet, {})}
        for vnet, zone in sorted(state.vnets.items())
    ]


@route("GET", "/cluster/sdn/vnets")
def list_vnets(call: Call) -> list[dict[str, Any]]:
    rows = _vnets(call.state)
    digest = _digest(rows)
    return [
        {**row, "digest": digest}
        for row in rows
        if call.rights.has_any(call.caller, f"/sdn/zones/{row['zone']}/{row['vnet']}", _SEERS)
    ]


@route("GET", "/cluster/sdn/vnets/{vnet}")
def read_vnet(call: Call) -> dict[str, Any]:
    rows = _vnets(call.state)
    for row in rows:
        if row["vnet"] == call["vnet"]:
            call.rights.require_any(call.caller, f"/sdn/zones/{row['zone']}/{row['vnet']}", _SEERS)
            return {**row, "digest": _digest(rows)}
    raise Failure(f"sdn '{call['vnet']}' does not exist")


@route("GET", "/cluster/sdn/controllers")
def list_controllers(call: Call) -> list[dict[str, Any]]:
    digest = _digest(call.state.controllers)
    return [
        {**row, "digest": digest}
        for row in call.state.controllers
        if call.get("type") in (None, row["type"])
        and call.rights.has_any(call.caller, f"/sdn/controllers/{row['controller']}", _SEERS)
    ]


def resource_rows(call: Call) -> list[dict[str, Any]]:
    """Return the zones of all nodes as /cluster/resources shows them; those of dead nodes are not known."""
    modern = call.release >= (9, 1)
    found = []
    for node, zone, kind, status in _on_nodes(call.state, modern):
        if not call.rights.has_all(call.caller, f"/sdn/zones/{zone}", ["SDN.Audit"]):
            continue
        if modern:
            row = {"id": f"network/{node}/zone/{zone}", "type": "network", "network": zone, "network-type": "zone"}
        else:
            row = {"id": f"sdn/{node}/{zone}", "type": "sdn", "sdn": zone}
        found.append({**row, "node": node, "status": status, **({"zone-type": kind} if kind and modern else {})})
    return found


def _on_nodes(state: State, modern: bool) -> Iterator[tuple[str, str, str, str]]:
    for node in state.nodes.values():
        if node.online or modern:  # since 9.1 the answering node adds this zone by itself
            yield node.name, LOCAL, "", "ok"
        for zone in state.zones if node.online else ():
            if not zone.get("nodes") or node.name in zone["nodes"].split(","):
                yield node.name, zone["zone"], zone["type"], "available"
