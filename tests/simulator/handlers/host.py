"""What a node tells about the machine that it runs on: network, certificates, services, time, logs."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from ..errors import ParameterError
from . import Call, index, route
from .tasks import lines

_GIGABIT_PREFIX = "24"
_BOOT = 1760000000
_SERVICES = {
    "corosync": "Corosync Cluster Engine",
    "cron": "Regular background program processing daemon",
    "postfix": "Postfix Mail Transport Agent",
    "pve-cluster": "The Proxmox VE cluster filesystem",
    "pve-firewall": "Proxmox VE firewall",
    "pve-ha-crm": "PVE Cluster HA Resource Manager Daemon",
    "pve-ha-lrm": "PVE Local HA Resource Manager Daemon",
    "pvedaemon": "PVE API Daemon",
    "pveproxy": "PVE API Proxy Server",
    "pvescheduler": "Proxmox VE scheduler",
    "pvestatd": "PVE Status Daemon",
    "sshd": "OpenBSD Secure Shell server",
}


@route("GET", "/nodes/{node}/dns")
def read_dns(call: Call) -> dict[str, str]:
    return {"dns1": "192.168.40.1"}


@route("GET", "/nodes/{node}/hosts")
def read_hosts(call: Call) -> dict[str, str]:
    node = call.node
    text = (
        "127.0.0.1 localhost.localdomain localhost\n"
        f"{node.ip} {node.name}.home.arpa {node.name}\n"
        "::1 ip6-localhost ip6-loopback\n"
    )
    return {"data": text, "digest": hashlib.sha1(text.encode()).hexdigest()}


@route("GET", "/nodes/{node}/config")
def read_node_config(call: Call) -> dict[str, Any]:
    asked = call.get("property")
    return {name: value for name, value in call.node.config.items() if asked in (None, name)}


def _interfaces(call: Call) -> list[dict[str, Any]]:
    common = {"families": ["inet"], "method6": "manual"}
    bridge = {
        "iface": "vmbr0",
        "type": "bridge",
        "method": "static",
        "address": call.node.ip,
        "netmask": _GIGABIT_PREFIX,
        "cidr": f"{call.node.ip}/{_GIGABIT_PREFIX}",
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
    """Return the subscription; all of it, and the id of the machine, only to those who may audit the node."""
    url = "https://www.proxmox.com/en/proxmox-virtual-environment/pricing"
    none = {"status": "notfound", "message": "There is no subscription key"}
    found = call.node.subscription or none
    if call.rights.has_all(call.caller, f"/nodes/{call['node']}", ["Sys.Audit"]):
        return {"serverid": None, **found, "url": url}
    return {"status": found["status"], "message": found.get("message", ""), "url": url}


index("/nodes/{node}/certificates", "acme", "custom", "info", key="name")


@route("GET", "/nodes/{node}/certificates/info")
def list_certificates(call: Call) -> list[dict[str, Any]]:
    node = call.node
    if node.certificates:
        return node.certificates
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


@route("GET", "/nodes/{node}/services")
def list_services(call: Call) -> list[dict[str, Any]]:
    rows = []
    for name, text in _SERVICES.items():
        runs = name != "corosync" or len(call.state.nodes) > 1
        row = {"service": name, "name": name, "desc": text, "state": "running" if runs else "dead"}
        rows.append({**row, "active-state": "active" if runs else "inactive", "unit-state": "enabled"})
    return rows


@route("GET", "/nodes/{node}/time")
def read_time(call: Call) -> dict[str, Any]:
    now = int(time.time())
    return {"timezone": "UTC", "time": now, "localtime": now}


def _messages(call: Call) -> list[str]:
    stamp = time.strftime("%b %d %H:%M:%S", time.gmtime(_BOOT))
    return [f"{stamp} {call.node.name} {name}[{100 + n}]: started" for n, name in enumerate(_SERVICES)]


@route("GET", "/nodes/{node}/syslog")
def read_syslog(call: Call) -> list[dict[str, Any]]:
    named = call.get("service")
    found = [line for line in _messages(call) if named is None or f" {named}[" in line]
    return lines(call, found)


@route("GET", "/nodes/{node}/journal")
def read_journal(call: Call) -> list[str]:
    """Return lines between two cursors, which say where to go on."""
    found = _messages(call)
    if call.get("lastentries") is not None:
        found = found[len(found) - min(int(call["lastentries"]), len(found)) :]
    return ["s=1;i=1", *found, f"s=1;i={len(found)}"]
