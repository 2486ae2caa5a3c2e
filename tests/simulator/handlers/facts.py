"""Further facts about cluster, nodes and guests: as little as makes the answers PVE's own for a quiet homelab."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from ..errors import Failure, ParameterError
from ..objects import Node
from ..verify import split_list
from . import Call, index, route
from .guests import digest_of

_GIGABIT_PREFIX = "24"
_UPID = re.compile(r"UPID:[^:]+:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:[^:]+:[^:]*:[^:]+:\Z")
_NO_FILE = [{"n": 1, "t": "unable to open file - No such file or directory"}]
_STARTED = 1760000000
_TASK_LIMIT = 50
_LOCAL = {"name": "lo", "hardware-address": "00:00:00:00:00:00"}

# -- cluster ------------------------------------------------------------------------------------------------------


@route("GET", "/cluster/options")
def read_options(call: Call) -> dict[str, Any]:
    visible = [
        guest
        for guest in call.state.guests.values()
        if call.rights.has_all(call.caller, f"/vms/{guest.vmid}", ["VM.Audit"])
    ]
    tags = {tag for guest in visible for tag in split_list(guest.config.get("tags", ""))}
    found: dict[str, Any] = {"allowed-tags": sorted(tags)}
    if call.rights.has_all(call.caller, "/", ["Sys.Audit"]):
        found.update(description="", mac_prefix="BC:24:11", keyboard="de")
    return found


@route("GET", "/cluster/log")
def read_log(call: Call) -> list[dict[str, Any]]:
    return []


@route("GET", "/cluster/ha/status/current")
def read_ha_status(call: Call) -> list[dict[str, Any]]:
    node = call.state.node
    fencing = {"id": "fencing", "type": "fencing", "node": node, "status": "standby (CRM watchdog standby)"}
    return [
        {"id": "quorum", "type": "quorum", "node": node, "status": "OK", "quorate": 1},
        {**fencing, "armed-state": "standby"},
    ]


@route("GET", "/cluster/ha/status/manager_status")
def read_ha_manager(call: Call) -> dict[str, Any]:
    return {"manager_status": {"node_status": {}}, "quorum": {"node": call.state.node, "quorate": "1"}}


@route("GET", "/cluster/ha/resources")
def list_ha_resources(call: Call) -> list[dict[str, Any]]:
    return []


@route("GET", "/cluster/ha/resources/{sid}")
def read_ha_resource(call: Call) -> None:
    raise Failure(f"no such resource '{call['sid']}'")


@route("GET", "/cluster/ha/groups")
def list_ha_groups(call: Call) -> list[dict[str, Any]]:
    if call.release >= (9, 0):
        raise Failure("cannot index groups: ha groups have been migrated to rules")
    return []


@route("GET", "/cluster/ha/groups/{group}")
def read_ha_group(call: Call) -> None:
    if call.release >= (9, 0):
        raise Failure("cannot read group: ha groups have been migrated to rules")
    raise Failure(f"no such ha group '{call['group']}'")


@route("GET", "/cluster/ha/rules")
def list_ha_rules(call: Call) -> list[dict[str, Any]]:
    return []


@route("GET", "/cluster/ha/rules/{rule}")
def read_ha_rule(call: Call) -> None:
    raise Failure(f"no such ha rule '{call['rule']}'")


# -- nodes --------------------------------------------------------------------------------------------------------


def _node(call: Call) -> Node:
    return call.state.nodes[call.state.node if call["node"] == "localhost" else call["node"]]


@route("GET", "/nodes/{node}/dns")
def read_dns(call: Call) -> dict[str, str]:
    return {"dns1": "192.168.40.1"}


@route("GET", "/nodes/{node}/hosts")
def read_hosts(call: Call) -> dict[str, str]:
    node = _node(call)
    text = (
        "127.0.0.1 localhost.localdomain localhost\n"
        f"{node.ip} {node.name}.home.arpa {node.name}\n"
        "::1 ip6-localhost ip6-loopback\n"
    )
    return {"data": text, "digest": hashlib.sha1(text.encode()).hexdigest()}


@route("GET", "/nodes/{node}/config")
def read_node_config(call: Call) -> dict[str, Any]:
    return {}


def _interfaces(call: Call) -> list[dict[str, Any]]:
    common = {"families": ["inet"], "method6": "manual"}
    bridge = {
        "iface": "vmbr0",
        "type": "bridge",
        "method": "static",
        "address": _node(call).ip,
        "netmask": _GIGABIT_PREFIX,
        "cidr": f"{_node(call).ip}/{_GIGABIT_PREFIX}",
        "gateway": "192.168.40.1",
        "autostart": 1,
        "bridge_ports": "eno1",
        "bridge_stp": "off",
        "bridge_fd": "0",
        "priority": 4,
    }
    return [
        {"iface": "eno1", "type": "eth", "method": "manual", "priority": 3, **common},
        {**bridge, **common},
    ]


@route("GET", "/nodes/{node}/network")
def list_interfaces(call: Call) -> list[dict[str, Any]]:
    kind = call.get("type")
    if kind in ("any_bridge", "any_local_bridge"):
        kind = "bridge"
    seers = ["SDN.Audit", "SDN.Use"]
    return [
        row
        for row in _interfaces(call)
        if kind in (None, row["type"])
        and (
            row["type"] != "bridge"
            or call.rights.has_any(call.caller, f"/sdn/zones/localnetwork/{row['iface']}", seers)
        )
    ]


@route("GET", "/nodes/{node}/network/{iface}")
def read_interface(call: Call) -> dict[str, Any]:
    for row in _interfaces(call):
        if row["iface"] == call["iface"]:
            return {name: value for name, value in row.items() if name != "iface"}
    raise ParameterError({"iface": "interface does not exist"})


@route("GET", "/nodes/{node}/subscription")
def read_subscription(call: Call) -> dict[str, Any]:
    return {
        "status": "notfound",
        "message": "There is no subscription key",
        "url": "https://www.proxmox.com/en/proxmox-virtual-environment/pricing",
        "serverid": None,
    }


index("/nodes/{node}/certificates", "acme", "custom", "info", key="name")


@route("GET", "/nodes/{node}/certificates/info")
def list_certificates(call: Call) -> list[dict[str, Any]]:
    node = _node(call)
    authority = "/CN=Proxmox Virtual Environment/OU=simulator/O=PVE Cluster Manager CA"
    common = {"issuer": authority, "public-key-type": "rsaEncryption", "notbefore": 1760000000, "notafter": 2060000000}
    names = ["127.0.0.1", "0000:0000:0000:0000:0000:0000:0000:0001", "localhost", node.ip, node.name]
    own = f"/OU=PVE Cluster Node/O=Proxmox Virtual Environment/CN={node.name}"
    rows: list[dict[str, Any]] = [
        {"filename": "pve-root-ca.pem", "subject": authority, "public-key-bits": 4096, "san": []},
        {"filename": "pve-ssl.pem", "subject": own, "public-key-bits": 2048, "san": names},
    ]
    return [
        {
            **common,
            **row,
            "pem": "",
            "fingerprint": ":".join(f"{byte:02X}" for byte in hashlib.sha256(row["subject"].encode()).digest()),
        }
        for row in rows
    ]


def _tasks(call: Call) -> list[dict[str, Any]]:
    """Return the one task of a node's history, its start, where the caller may see it: an auditor, or its owner."""
    node, user, token = _node(call).name, "root@pam", "admin"
    full = f"{user}!{token}"
    if call.caller not in (user, full) and not call.rights.has_all(call.caller, f"/nodes/{node}", ["Sys.Audit"]):
        return []
    task = {"node": node, "pid": 0x6C, "pstart": 0x52704, "starttime": _STARTED, "type": "startall", "id": ""}
    upid = f"UPID:{node}:{task['pid']:08X}:{task['pstart']:08X}:{_STARTED:08X}:startall::{full}:"
    return [{**task, "upid": upid, "user": user, "tokenid": token, "endtime": _STARTED, "status": "OK"}]


@route("GET", "/nodes/{node}/tasks")
def list_node_tasks(call: Call) -> list[dict[str, Any]]:
    rows = [
        row
        for row in _tasks(call)
        if call.get("source") != "active"
        and "vmid" not in call
        and call.get("typefilter") in (None, row["type"])
        and (call.get("userfilter") or "").lower() in f"{row['user']}!{row['tokenid']}"
        and not call.flag("errors")
    ]
    if rows:
        call.extra["total"] = len(rows)
    start, limit = int(call.get("start") or 0), int(call.get("limit") or _TASK_LIMIT)
    return rows[start : start + limit] if call.get("limit") != "0" else []


@route("GET", "/nodes/{node}/tasks/{upid}/status")
def read_task(call: Call) -> None:
    _require_upid(call)
    raise ParameterError({"upid": "no such task"})


@route("GET", "/nodes/{node}/tasks/{upid}/log")
def read_task_log(call: Call) -> list[dict[str, Any]]:
    _require_upid(call)
    call.extra["total"] = 1
    return _NO_FILE


def _require_upid(call: Call) -> None:
    if not _UPID.match(call["upid"]):
        raise ParameterError({"upid": "unable to parse worker upid"})


# -- guests -------------------------------------------------------------------------------------------------------


def _snapshots(call: Call, kind: str) -> list[dict[str, Any]]:
    guest = call.state.guest(int(call["vmid"]), kind, call["node"])
    row = {"name": "current", "description": "You are here!", "digest": digest_of(guest)}
    return [{**row, "running": int(guest.status == "running")}]


@route("GET", "/nodes/{node}/qemu/{vmid}/snapshot")
def list_machine_snapshots(call: Call) -> list[dict[str, Any]]:
    return _snapshots(call, "qemu")


@route("GET", "/nodes/{node}/lxc/{vmid}/snapshot")
def list_container_snapshots(call: Call) -> list[dict[str, Any]]:
    return _snapshots(call, "lxc")


for _kind in ("qemu", "lxc"):
    index(f"/nodes/{{node}}/{_kind}/{{vmid}}/snapshot/{{snapname}}", "rollback", "config", key="cmd")


@route("GET", "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config")
def read_machine_snapshot(call: Call) -> None:
    call.state.guest(int(call["vmid"]), "qemu", call["node"])
    raise Failure(f"snapshot '{call['snapname']}' does not exist")


@route("GET", "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config")
def read_container_snapshot(call: Call) -> None:
    call.state.guest(int(call["vmid"]), "lxc", call["node"])
    raise Failure(f"snapshot '{call['snapname']}' does not exist")


def _agent(call: Call) -> dict[str, str]:
    """Return the configuration of a guest whose agent answers. Raises Failure for the others."""
    guest = call.state.guest(int(call["vmid"]), "qemu", call["node"])
    if not re.match(r"(?:enabled=)?1", guest.config.get("agent", "")):
        raise Failure("No QEMU guest agent configured")
    if guest.status != "running":
        raise Failure(f"VM {guest.vmid} is not running")
    return guest.config


def _address(mac: str) -> str:
    """Return the address that the homelab gives to a network card: the card's last number, in 192.168.40.0/24."""
    digits = mac.replace(":", "")[-2:]
    return f"192.168.40.{100 + int(digits, 16)}"


@route("GET", "/nodes/{node}/qemu/{vmid}/agent/network-get-interfaces")
def read_agent_interfaces(call: Call) -> dict[str, Any]:
    config = _agent(call)
    found = [{**_LOCAL, "ip-addresses": [{"ip-address": "127.0.0.1", "ip-address-type": "ipv4", "prefix": 8}]}]
    for number in range(32):
        mac = re.search(r"=((?:[0-9A-F]{2}:){5}[0-9A-F]{2})", config.get(f"net{number}", ""))
        if mac:
            address = {"ip-address": _address(mac[1]), "ip-address-type": "ipv4", "prefix": 24}
            row = {"name": f"eth{number}", "hardware-address": mac[1].lower()}
            found.append({**row, "ip-addresses": [address]})
    return {"result": found}


@route("GET", "/nodes/{node}/qemu/{vmid}/agent/get-osinfo")
def read_agent_system(call: Call) -> dict[str, Any]:
    _agent(call)
    return {
        "result": {
            "id": "debian",
            "name": "Debian GNU/Linux",
            "pretty-name": "Debian GNU/Linux 13 (trixie)",
            "version": "13 (trixie)",
            "version-id": "13",
            "machine": "x86_64",
            "kernel-release": "6.12.0",
        }
    }


@route("GET", "/nodes/{node}/qemu/{vmid}/agent/get-host-name")
def read_agent_name(call: Call) -> dict[str, Any]:
    return {"result": {"host-name": _agent(call).get("name", "localhost")}}


@route("GET", "/nodes/{node}/qemu/{vmid}/agent/get-fsinfo")
def read_agent_filesystems(call: Call) -> dict[str, Any]:
    _agent(call)
    text = "The command guest-get-fsinfo has not been found"
    return {"result": {"error": {"class": "CommandNotFound", "desc": text}}}


@route("GET", "/nodes/{node}/lxc/{vmid}/interfaces")
def read_container_interfaces(call: Call) -> list[dict[str, Any]] | None:
    guest = call.state.guests.get(int(call["vmid"]))
    if guest is None or guest.type != "lxc" or guest.status != "running":
        return None
    net = dict(part.partition("=")[::2] for part in guest.config.get("net0", "").split(","))
    mac, network = net.get("hwaddr", "").lower(), net.get("ip", "127.0.0.2/8")
    return [
        _container_interface("lo", "00:00:00:00:00:00", "127.0.0.1/8"),
        _container_interface(net.get("name", "eth0"), mac, network),
    ]


def _container_interface(name: str, mac: str, network: str) -> dict[str, Any]:
    address, unused, prefix = network.partition("/")
    row = {"name": name, "hwaddr": mac, "hardware-address": mac, "inet": network}
    return {**row, "ip-addresses": [{"ip-address": address, "ip-address-type": "inet", "prefix": prefix}]}
