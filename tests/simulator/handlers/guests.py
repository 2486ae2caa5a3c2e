"""Virtual machines and containers: lists, configuration and status."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from ..errors import Failure, ParameterError
from ..objects import Guest
from ..state import State
from ..wire import to_json
from . import Call, index, route
from .agent import agent_enabled
from .ha import of_guest

_DISKS = ("rootfs", "scsi0", "virtio0", "sata0", "ide0")
_SIZE = re.compile(r"size=(\d+)([KMGT]?)")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# What PVE answers as numbers; everything else in a configuration is text.
_NUMBERS = {
    "qemu": {
        "cores",
        "sockets",
        "numa",
        "onboot",
        "acpi",
        "kvm",
        "tablet",
        "template",
        "balloon",
        "vcpus",
        "protection",
    },
    "lxc": {
        "cores",
        "memory",
        "swap",
        "unprivileged",
        "onboot",
        "protection",
        "template",
        "console",
        "tty",
        "cpuunits",
    },
}
_UPTIME = 1800  # seconds
_MASK = "**********"
_NUMBERED_SINCE = (8, 1)  # lists of containers; before, a number is text in them

index(
    "/nodes/{node}/qemu/{vmid}",
    *("config", "cloudinit", "pending", "status", "unlink", "vncproxy", "termproxy", "migrate", "resize", "move"),
    *("rrd", "rrddata", "monitor", "agent", "snapshot", "spiceproxy", "sendkey", "firewall", "mtunnel"),
    "remote_migrate",
)
index(
    "/nodes/{node}/lxc/{vmid}",
    *("config", "pending", "status", "vncproxy", "termproxy", "vncwebsocket", "spiceproxy", "migrate", "clone"),
    *("rrd", "rrddata", "firewall", "snapshot", "resize", "interfaces"),
)


def _memory(guest: Guest) -> int:
    return int(guest.config.get("memory", "512").removeprefix("current=").partition(",")[0]) << 20


def _cpus(guest: Guest) -> int:
    return int(guest.config.get("cores", "1")) * int(guest.config.get("sockets", "1"))


def _disk(guest: Guest) -> int:
    """Return the size of the boot disk in bytes."""
    volume = next((guest.config[name] for name in _DISKS if name in guest.config), "")
    size = _SIZE.search(volume)
    return int(size[1]) * _UNITS[size[2]] if size else 0


def resource_row(state: State, guest: Guest, with_properties: bool = False) -> dict[str, Any]:
    """Return a guest as /cluster/resources and pools show it. Of one on a dead node, little is known."""
    row: dict[str, Any] = {"id": f"{guest.type}/{guest.vmid}", "type": guest.type, "vmid": guest.vmid}
    row["node"] = guest.node
    if with_properties:
        row.update(_properties(guest))
        if guest.ha:
            row["hastate"] = guest.ha
    home = state.nodes.get(guest.node)
    if home is None or not home.known:
        return {**row, "status": "unknown"}
    running = guest.running
    row.update(
        name=guest.name,
        status=_qmpstatus(guest),
        template=int(guest.config.get("template", "0")),
        maxcpu=_cpus(guest),
        maxmem=_memory(guest),
        maxdisk=_disk(guest),
        uptime=_UPTIME if running else 0,
        mem=_memory(guest) // 4 if running else 0,
    )
    row.update(dict.fromkeys(("cpu", "disk", "netin", "netout", "diskread", "diskwrite"), 0))
    if state.release >= (9, 0):
        row["memhost"] = 0
    return row


def _properties(guest: Guest) -> dict[str, str]:
    """Return what every list takes from a guest's configuration, if it is there."""
    given = {"lock": guest.lock, "tags": guest.config.get("tags")}
    return {name: value for name, value in given.items() if value}


def _qmpstatus(guest: Guest) -> str:
    """Return what the monitor of a machine calls its state; it knows more than running and stopped."""
    return (guest.qmpstatus if guest.running else "") or guest.status


def _list_row(state: State, guest: Guest) -> dict[str, Any]:
    running = guest.running
    row: dict[str, Any] = {
        "vmid": guest.vmid,
        "name": guest.name,
        "status": guest.status,
        "cpus": _cpus(guest),
        "maxmem": _memory(guest),
        "maxdisk": _disk(guest),
        "uptime": _UPTIME if running else 0,
        "mem": _memory(guest) // 4 if running else 0,
    }
    row.update(dict.fromkeys(("cpu", "disk", "netin", "netout"), 0))
    row.update(_properties(guest))
    if guest.config.get("template") == "1":
        row["template"] = 1
    if running:
        row["pid"] = guest.vmid
    if guest.type == "lxc":
        if state.release < _NUMBERED_SINCE:
            row["vmid"] = str(guest.vmid)
        row.update(type="lxc", swap=0, maxswap=int(guest.config.get("swap", "512")) << 20, diskread=0, diskwrite=0)
    if state.release >= (9, 0):
        kind: Any = "0.00" if guest.type == "lxc" else 0
        names = ("cpufull", "cpusome", "iofull", "iosome", "memoryfull", "memorysome")
        row.update({f"pressure{name}": kind for name in names})
        if guest.type == "qemu":
            row["memhost"] = 0
    return row


def _running_row(guest: Guest) -> dict[str, Any]:
    """Return what the monitor of a running virtual machine adds."""
    memory = _memory(guest)
    return {
        "qmpstatus": _qmpstatus(guest),
        "running-machine": "pc-i440fx-10.1",
        "running-qemu": "10.1.2",
        "balloon": memory,
        "ballooninfo": {
            "actual": memory,
            "max_mem": memory,
            "total_mem": _share(memory, 2080000000),
            "free_mem": _share(memory, 1500000000),
            "mem_swapped_in": 0,
        },
        "freemem": _share(memory, 1500000000),
        "blockstat": {"scsi0": {"rd_bytes": 1000000, "wr_bytes": 2000000}},
        "proxmox-support": {"pbs-dirty-bitmap": True, "query-bitmap-info": True},
        "diskread": 1000000,
        "diskwrite": 2000000,
    }


def _share(memory: int, of_two_gigabytes: int) -> int:
    """Scale a figure that was seen in a machine with 2 GiB."""
    return memory * of_two_gigabytes >> 31


def _visible(call: Call, kind: str) -> list[Guest]:
    visible = call.rights.guests_with(call.caller, "VM.Audit")
    return [guest for guest in call.state.guests_on(call.node_name, kind) if visible(guest.vmid)]


@route("GET", "/nodes/{node}/qemu")
def list_machines(call: Call) -> list[dict[str, Any]]:
    rows = []
    for guest in _visible(call, "qemu"):
        row = _list_row(call.state, guest)
        if call.flag("full"):
            row.update(_running_row(guest) if guest.running else {"qmpstatus": guest.status})
        rows.append(row)
    return rows


@route("GET", "/nodes/{node}/lxc")
def list_containers(call: Call) -> list[dict[str, Any]]:
    return [_list_row(call.state, guest) for guest in _visible(call, "lxc")]


def digest_of(guest: Guest) -> str:
    """Return PVE's digest of a configuration."""
    text = "".join(f"{key}: {value}\n" for key, value in sorted(guest.config.items()))
    for title, section in (("PENDING", guest.pending), *((row["name"], row) for row in guest.snapshots)):
        text += f"\n[{title}]\n{to_json(section)}\n" if section else ""
    return hashlib.sha1(text.encode()).hexdigest()  # PVE's digest, no signature


def numbered(kind: str, config: Mapping[str, str]) -> dict[str, Any]:
    """Return settings as PVE answers them: most as text, some as numbers."""
    numbers = _NUMBERS[kind]
    return {key: int(value) if key in numbers and value.isdigit() else value for key, value in config.items()}


def parent_of(guest: Guest) -> str:
    """Return the snapshot that a guest goes on from; empty when it has none."""
    if guest.snapshot_parent or not guest.snapshots:
        return guest.snapshot_parent
    return str(max(guest.snapshots, key=lambda row: int(row.get("snaptime", 0)))["name"])


def kept(guest: Guest, name: str) -> dict[str, Any]:
    """Return what a snapshot kept, and its own properties. Raises Failure for one that is not there."""
    for snapshot in guest.snapshots:
        if snapshot["name"] == name:
            found = numbered(guest.type, snapshot.get("config", {}))
            for key in ("snaptime", "description", "parent"):
                if snapshot.get(key):
                    found[key] = snapshot[key]
            if snapshot.get("vmstate"):
                found["vmstate"] = snapshot["vmstate"]
            return found
    raise Failure(f"snapshot '{name}' does not exist")


def _masked(values: dict[str, Any]) -> dict[str, Any]:
    return {**values, "cipassword": _MASK} if values.get("cipassword") else values


def _config(call: Call, kind: str) -> dict[str, Any]:
    """Return a configuration: of a snapshot, the current one, or the one that the next start will make."""
    guest = call.state.guest(int(call["vmid"]), kind, call["node"])
    if call.get("snapshot"):
        if call.flag("current"):
            text = "cannot use 'snapshot' parameter with 'current'"
            raise ParameterError({"snapshot": text, "current": text})
        return {**_masked(kept(guest, call["snapshot"])), "digest": digest_of(guest)}
    config = dict(guest.config)
    if not call.flag("current"):
        config.update({key: value for key, value in guest.pending.items() if value is not None})
        config = {key: value for key, value in config.items() if guest.pending.get(key, "") is not None}
    own: dict[str, Any] = {"lock": guest.lock} if guest.lock else {}
    parent = parent_of(guest)
    if parent:
        own["parent"] = parent
    return {**_masked(numbered(kind, config)), **own, "digest": digest_of(guest)}


def _pending(call: Call, kind: str) -> list[dict[str, Any]]:
    """Return all settings with their values and, where one waits for a start, the next value, or that it goes."""
    guest = call.state.guest(int(call["vmid"]), kind, call["node"])
    current = {**_masked(numbered(kind, guest.config)), "digest": digest_of(guest)}
    if guest.lock:
        current["lock"] = guest.lock
    coming = numbered(kind, {key: value for key, value in guest.pending.items() if value is not None})
    if coming.get("cipassword"):
        coming["cipassword"] = f"{_MASK} "  # with a blank, as in PVE
    rows: dict[str, dict[str, Any]] = {key: {"key": key, "value": value} for key, value in current.items()}
    for key, value in guest.pending.items():
        row = rows.setdefault(key, {"key": key})
        row.update({"delete": 1} if value is None else {"pending": coming[key]})
    return list(rows.values())


@route("GET", "/nodes/{node}/qemu/{vmid}/config")
def read_machine(call: Call) -> dict[str, Any]:
    return _config(call, "qemu")


@route("GET", "/nodes/{node}/lxc/{vmid}/config")
def read_container(call: Call) -> dict[str, Any]:
    return _config(call, "lxc")


@route("GET", "/nodes/{node}/qemu/{vmid}/pending")
def read_machine_pending(call: Call) -> list[dict[str, Any]]:
    return _pending(call, "qemu")


@route("GET", "/nodes/{node}/lxc/{vmid}/pending")
def read_container_pending(call: Call) -> list[dict[str, Any]]:
    return _pending(call, "lxc")


@route("GET", "/nodes/{node}/qemu/{vmid}/status/current")
def read_machine_status(call: Call) -> dict[str, Any]:
    guest = call.state.guest(int(call["vmid"]), "qemu", call["node"])
    row = _list_row(call.state, guest)
    row.update(_running_row(guest) if guest.running else {"qmpstatus": guest.status})
    if agent_enabled(guest):
        row["agent"] = 1
    return {**row, "ha": of_guest(guest)}


@route("GET", "/nodes/{node}/lxc/{vmid}/status/current")
def read_container_status(call: Call) -> dict[str, Any]:
    guest = call.state.guest(int(call["vmid"]), "lxc", call["node"])
    return {**_list_row(call.state, guest), "ha": of_guest(guest)}
