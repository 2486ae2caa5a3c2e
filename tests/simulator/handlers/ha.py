"""High availability: resources, what the manager makes of them, groups and rules."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import Any

from ..errors import Failure
from ..objects import Guest
from ..state import State
from . import Call, index, route

_FENCING_SINCE = (9, 2)
_REQUESTS = ("started", "stopped", "disabled", "ignored")

index("/cluster/ha", "resources", "groups", "rules", "status", key="id")
index("/cluster/ha/status", "current", "manager_status", key="name")


def managed(state: State) -> list[Guest]:
    """Return the guests that are HA resources, in the order of their numbers."""
    return state.derived("ha", lambda: [guest for unused, guest in sorted(state.guests.items()) if guest.ha])


def of_guest(guest: Guest) -> dict[str, Any]:
    """Return what a guest's status says about it."""
    if not guest.ha or guest.ha == "ignored":
        return {"managed": 0}
    return {"managed": 1, "state": guest.ha}


def of_node(state: State, node: str) -> str | None:
    """Return how the manager sees a node; nothing while it has never had a resource."""
    if not managed(state):
        return None
    return "online" if state.nodes[node].online else "unknown"


def _requested(guest: Guest) -> str:
    return guest.ha if guest.ha in _REQUESTS else "started"


def _master(state: State) -> str:
    return next((node.name for node in state.nodes.values() if node.online), state.node)


def _clock(now: int) -> str:
    return time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(now))


@route("GET", "/cluster/ha/status/current")
def read_status(call: Call) -> list[dict[str, Any]]:
    state = call.state
    quorum = {"id": "quorum", "type": "quorum", "node": state.node, "quorate": int(state.quorate)}
    rows: list[dict[str, Any]] = [{**quorum, "status": "OK" if state.quorate else f"No quorum on node '{state.node}'!"}]
    if not managed(state):
        return [*rows, *_fencing(call, state.node, "standby")]
    now, master = int(time.time()), _master(state)
    text = f"{master} (active, {_clock(now)})"
    rows.append({"id": "master", "type": "master", "node": master, "status": text, "timestamp": now})
    return [*rows, *_fencing(call, master, "armed"), *_local_managers(state, now), *_services(call)]


def _fencing(call: Call, node: str, how: str) -> Iterator[dict[str, Any]]:
    if call.release < _FENCING_SINCE:
        return
    watchdog = "active" if how == "armed" else "standby"
    row = {"id": "fencing", "type": "fencing", "node": node, "status": f"{how} (CRM watchdog {watchdog})"}
    yield {**row, "armed-state": how}


def _local_managers(state: State, now: int) -> Iterator[dict[str, Any]]:
    busy = {guest.node for guest in managed(state)}
    for node in sorted(state.nodes):
        kind = ("active" if node in busy else "idle") if state.nodes[node].online else "old timestamp - dead?"
        status = f"{node} ({kind}, {_clock(now)})"
        yield {"id": f"lrm:{node}", "type": "lrm", "node": node, "status": status, "timestamp": now}


def _services(call: Call) -> Iterator[dict[str, Any]]:
    for guest in managed(call.state):
        sid = guest.sid
        row = {"id": f"service:{sid}", "type": "service", "sid": sid, "node": guest.node, "state": guest.ha}
        row.update(crm_state=guest.ha, request_state=_requested(guest), status=f"{sid} ({guest.node}, {guest.ha})")
        yield {**row, **_settings(call)}


def _settings(call: Call) -> dict[str, Any]:
    return {"max_relocate": 1, "max_restart": 1, **({"failback": 1} if call.release >= (9, 0) else {})}


@route("GET", "/cluster/ha/status/manager_status")
def read_manager(call: Call) -> dict[str, Any]:
    state = call.state
    quorum = {"node": state.node, "quorate": "1" if state.quorate else ""}
    if not managed(state):
        return {"manager_status": {"node_status": {}}, "quorum": quorum}
    now = int(time.time())
    services = {g.sid: {"node": g.node, "state": g.ha, "uid": f"{g.vmid:022d}"} for g in managed(state)}
    found = {"master_node": _master(state), "timestamp": now, "service_status": services}
    nodes = {node: of_node(state, node) for node in state.nodes}
    local = {node: {"mode": "active", "state": "active", "timestamp": now, "results": {}} for node in state.nodes}
    return {"manager_status": {**found, "node_status": nodes}, "quorum": quorum, "lrm_status": local}


def _resource(call: Call, guest: Guest) -> dict[str, Any]:
    kind = guest.sid.partition(":")[0]
    text = "".join(f"{g.sid.replace(':', ': ')}\n\tstate {_requested(g)}\n\n" for g in managed(call.state))
    digest = hashlib.sha1(text.encode()).hexdigest()  # PVE's digest, no signature
    row = {"sid": guest.sid, "type": kind, "state": _requested(guest), "digest": digest}
    return {**row, **_settings(call)}


@route("GET", "/cluster/ha/resources")
def list_resources(call: Call) -> list[dict[str, Any]]:
    rows = [_resource(call, guest) for guest in managed(call.state)]
    return [row for row in rows if call.get("type") in (None, row["type"])]


@route("GET", "/cluster/ha/resources/{sid}")
def read_resource(call: Call) -> dict[str, Any]:
    for guest in managed(call.state):
        if call["sid"] in (guest.sid, str(guest.vmid)):
            return _resource(call, guest)
    raise Failure(f"no such resource '{call['sid']}'")


@route("GET", "/cluster/ha/groups")
def list_groups(call: Call) -> list[dict[str, Any]]:
    if call.release >= (9, 0):
        raise Failure("cannot index groups: ha groups have been migrated to rules")
    return call.state.ha_groups


@route("GET", "/cluster/ha/groups/{group}")
def read_group(call: Call) -> dict[str, Any]:
    if call.release >= (9, 0):
        raise Failure("cannot read group: ha groups have been migrated to rules")
    for row in call.state.ha_groups:
        if row["group"] == call["group"]:
            return row
    raise Failure(f"no such ha group '{call['group']}'")


@route("GET", "/cluster/ha/rules")
def list_rules(call: Call) -> list[dict[str, Any]]:
    return [
        row
        for row in call.state.ha_rules
        if call.get("type") in (None, row["type"])
        and ("resource" not in call or call["resource"] in row["resources"].split(","))
    ]


@route("GET", "/cluster/ha/rules/{rule}")
def read_rule(call: Call) -> dict[str, Any]:
    for row in call.state.ha_rules:
        if row["rule"] == call["rule"]:
            return row
    raise Failure(f"no such ha rule '{call['rule']}'")
