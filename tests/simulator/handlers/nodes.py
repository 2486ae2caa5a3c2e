"""Nodes."""

from __future__ import annotations

from typing import Any

from ..objects import Node
from ..versions import version_of
from . import Call, index, route

_FINGERPRINT = ":".join(["F4"] * 32)

index(
    "/nodes/{node}",
    *("aplinfo", "apt", "capabilities", "ceph", "certificates", "config", "disks", "dns", "firewall", "hardware"),
    *("hosts", "journal", "lxc", "migrateall", "netstat", "network", "qemu", "query-oci-repo-tags"),
    *("query-url-metadata", "replication", "report", "rrd", "rrddata", "scan", "sdn", "services", "spiceshell"),
    *("startall", "status", "stopall", "storage", "subscription", "suspendall", "syslog", "tasks", "termproxy"),
    *("time", "version", "vncshell", "vzdump", "wakeonlan"),
    key="name",
)


def list_row(call: Call, node: Node) -> dict[str, Any]:
    """Return a node as lists show it; figures only to those who may audit it.

    Of one that is offline, what it had is still known. One that runs and does not report is unknown.
    """
    row: dict[str, Any] = {
        "node": node.name,
        "id": f"node/{node.name}",
        "type": "node",
        "status": ("online" if node.statistics else "unknown") if node.online else "offline",
        "ssl_fingerprint": _FINGERPRINT,
    }
    if not node.statistics:
        return row
    row["level"] = level_of(node)
    if call.rights.has_all(call.caller, f"/nodes/{node.name}", ["Sys.Audit"]):
        row.update(maxcpu=node.cpus, maxmem=node.memory, maxdisk=node.disk)
        if node.online:
            row.update(cpu=0.05, mem=node.memory // 4, disk=node.disk // 10, uptime=node.uptime)
    return row


def level_of(node: Node) -> str:
    """Return the level of a node's subscription, a letter."""
    return str(node.subscription.get("level", "")) if node.subscription.get("status") == "active" else ""


@route("GET", "/nodes")
def list_nodes(call: Call) -> list[dict[str, Any]]:
    return [list_row(call, node) for node in call.state.nodes.values()]


@route("GET", "/nodes/{node}/status")
def read_status(call: Call) -> dict[str, Any]:
    node = call.node
    used, swap = node.memory // 4, 8 << 30
    memory = {"total": node.memory, "used": used, "free": node.memory - used}
    if call.release >= (9, 0):
        memory["available"] = node.memory - used
    answer: dict[str, Any] = {
        "uptime": node.uptime,
        "loadavg": ["0.12", "0.10", "0.08"],
        "cpu": 0.05,
        "wait": 0,
        "idle": 0,
        "cpuinfo": {
            "model": "Intel(R) N100",
            "cpus": node.cpus,
            "cores": node.cpus,
            "sockets": 1,
            "mhz": "3400.000",
            "hvm": "1",
            "flags": "vmx",
            "user_hz": 100,
        },
        "memory": memory,
        "swap": {"total": swap, "used": 0, "free": swap},
        "rootfs": {
            "total": node.disk,
            "used": node.disk // 10,
            "free": node.disk - node.disk // 10,
            "avail": node.disk - node.disk // 10,
        },
        "ksm": {"shared": 0},
        "kversion": "Linux 6.17.2-1-pve #1 SMP PREEMPT_DYNAMIC",
        "pveversion": f"pve-manager/{_manager(call)}",
    }
    if call.release >= (8, 1):
        answer["boot-info"] = {"mode": "efi", "secureboot": 0}
        answer["current-kernel"] = {
            "sysname": "Linux",
            "release": "6.17.2-1-pve",
            "version": "#1 SMP PREEMPT_DYNAMIC",
            "machine": "x86_64",
        }
    return answer


def _manager(call: Call) -> str:
    version = version_of(call.release)
    return f"{version['version']}/{version['repoid']}"


@route("GET", "/nodes/{node}/version")
def read_version(call: Call) -> dict[str, str]:
    return version_of(call.release)
