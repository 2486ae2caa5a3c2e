"""What monitoring asks about and there is none of: backup jobs, replication, a quorum device."""

from __future__ import annotations

from typing import Any

from . import Call, index, route

index("/cluster/backup-info", "not-backed-up")


@route("GET", "/cluster/backup-info/not-backed-up")
def list_not_backed_up(call: Call) -> list[dict[str, Any]]:
    """List the guests that no backup job is for: all that the caller may audit."""
    return [
        {"vmid": guest.vmid, "name": guest.name, "type": guest.type}
        for guest in sorted(call.state.guests.values(), key=lambda guest: guest.vmid)
        if call.rights.has_all(call.caller, f"/vms/{guest.vmid}", ["VM.Audit"])
    ]


@route("GET", "/nodes/{node}/replication")
def list_replication(call: Call) -> list[dict[str, Any]]:
    return []


@route("GET", "/cluster/config/qdevice")
def read_quorum_device(call: Call) -> dict[str, Any]:
    return {}
