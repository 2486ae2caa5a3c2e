"""What guests say about themselves: the QEMU guest agent, and the network interfaces of containers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..errors import Failure
from ..objects import Guest
from . import Call, route

_LOCAL = {"name": "lo", "hardware-address": "00:00:00:00:00:00"}
_BASE = "/nodes/{node}/qemu/{vmid}/agent"
_MAC = re.compile(r"(?:^|[=,])((?:[0-9A-F]{2}:){5}[0-9A-F]{2})", re.IGNORECASE)
_MAX_CARDS = 32
_HOME_PREFIX = "BC:24:11"
_LAST = 254  # address of a network of 256
_COMMANDS = ("guest-ping", "guest-info", "guest-get-osinfo", "guest-get-host-name", "guest-network-get-interfaces")
_SYSTEMS = {
    "debian": {
        "id": "debian",
        "name": "Debian GNU/Linux",
        "pretty-name": "Debian GNU/Linux 13 (trixie)",
        "version": "13 (trixie)",
        "version-id": "13",
        "machine": "x86_64",
        "kernel-release": "6.12.0",
    },
    "windows": {
        "id": "mswindows",
        "name": "Microsoft Windows",
        "pretty-name": "Windows Server 2025 Standard",
        "version": "Microsoft Windows Server 2025",
        "version-id": "2025",
        "variant": "server",
        "variant-id": "server",
        "machine": "x86_64",
        "kernel-release": "26100",
    },
}


def _agent(call: Call) -> Guest:
    """Return a guest whose agent answers. Raises Failure for the others."""
    guest = call.state.guest(int(call["vmid"]), "qemu", call["node"])
    if not agent_enabled(guest):
        raise Failure("No QEMU guest agent configured")
    if not guest.running:
        raise Failure(f"VM {guest.vmid} is not running")
    if not guest.agent_running:
        raise Failure("QEMU guest agent is not running")
    return guest


def agent_enabled(guest: Guest) -> bool:
    return re.match(r"(?:.*,)?enabled=1|1(?:,|\Z)", guest.config.get("agent", "")) is not None


def made_up_address(mac: str) -> tuple[str, int]:
    """Return the address that a network card gets where none is configured, and the length of its prefix.

    The homelab's are in 192.168.40.0/24, by the card's last number; others in 10.0.0.0/8, by their last three.
    """
    numbers = [int(piece, 16) for piece in mac.split(":")]
    at_home = 100 + numbers[-1]
    if mac.upper().startswith(_HOME_PREFIX) and at_home <= _LAST:
        return f"192.168.40.{at_home}", 24
    return f"10.{numbers[3]}.{numbers[4]}.{numbers[5]}", 8


def _link_local(mac: str) -> str:
    """Return the address that IPv6 derives from a network card by itself."""
    numbers = [int(piece, 16) for piece in mac.split(":")]
    bits = [numbers[0] ^ 2, numbers[1], numbers[2], 0xFF, 0xFE, *numbers[3:]]
    return "fe80::" + ":".join(f"{bits[at] << 8 | bits[at + 1]:x}" for at in range(0, 8, 2))


def _cards(guest: Guest) -> Iterator[tuple[int, str, str]]:
    """Yield the network cards: number, address of the card, and the address and prefix length that cloud-init sets."""
    for number in range(_MAX_CARDS):
        mac = _MAC.search(guest.config.get(f"net{number}", ""))
        if mac:
            by_cloud_init = re.search(r"\bip=([\d.]+/\d+)", guest.config.get(f"ipconfig{number}", ""))
            address, length = made_up_address(mac[1])
            yield number, mac[1], by_cloud_init[1] if by_cloud_init else f"{address}/{length}"


def _interfaces(guest: Guest) -> list[dict[str, Any]]:
    if guest.addresses is not None:
        return guest.addresses
    found = [{**_LOCAL, "ip-addresses": [{"ip-address": "127.0.0.1", "ip-address-type": "ipv4", "prefix": 8}]}]
    for number, mac, network in _cards(guest):
        address, unused, prefix = network.partition("/")
        row = {"name": f"eth{number}", "hardware-address": mac.lower()}
        found.append(
            {**row, "ip-addresses": [{"ip-address": address, "ip-address-type": "ipv4", "prefix": int(prefix)}]}
        )
    return found


@route("GET", f"{_BASE}/network-get-interfaces")
def read_interfaces(call: Call) -> dict[str, Any]:
    return {"result": _interfaces(_agent(call))}


@route("GET", f"{_BASE}/get-osinfo")
def read_system(call: Call) -> dict[str, Any]:
    windows = _agent(call).config.get("ostype", "").startswith("w")
    return {"result": _SYSTEMS["windows" if windows else "debian"]}


@route("GET", f"{_BASE}/get-host-name")
def read_name(call: Call) -> dict[str, Any]:
    return {"result": {"host-name": _agent(call).config.get("name", "localhost")}}


@route("GET", f"{_BASE}/info")
def read_info(call: Call) -> dict[str, Any]:
    _agent(call)
    commands = [{"name": name, "enabled": True, "success-response": True} for name in _COMMANDS]
    return {"result": {"version": "10.1.2", "supported_commands": commands}}


@route("GET", f"{_BASE}/get-fsinfo")
def read_filesystems(call: Call) -> dict[str, Any]:
    guest = _agent(call)
    if guest.filesystems is None:
        text = "The command guest-get-fsinfo has not been found"
        return {"result": {"error": {"class": "CommandNotFound", "desc": text}}}
    return {"result": guest.filesystems}


@route("GET", "/nodes/{node}/lxc/{vmid}/interfaces")
def read_container_interfaces(call: Call) -> list[dict[str, Any]] | None:
    guest = call.state.guests.get(int(call["vmid"]))
    if guest is None or guest.type != "lxc" or not guest.running or guest.node != call.node_name:
        return None
    if guest.addresses is not None:
        return guest.addresses
    found = [_container_interface(call, "lo", "00:00:00:00:00:00", "127.0.0.1/8", "::1/128")]
    for number in range(_MAX_CARDS):
        net = dict(part.partition("=")[::2] for part in guest.config.get(f"net{number}", "").split(","))
        if not net.get("name"):
            continue
        mac = net.get("hwaddr", "00:00:00:00:00:00")
        address = net.get("ip", "manual")
        if address == "dhcp":
            address = "{}/{}".format(*made_up_address(mac))
        six = net["ip6"] if "/" in net.get("ip6", "") else _link_local(mac) + "/64"
        found.append(_container_interface(call, net["name"], mac.lower(), address if "/" in address else "", six))
    return found


def _container_interface(call: Call, name: str, mac: str, four: str, six: str) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "hwaddr": mac}
    given = {kind: network for kind, network in (("inet", four), ("inet6", six)) if network}
    row.update(given)
    if call.release < (8, 4):
        return row
    addresses = [
        {"ip-address": network.partition("/")[0], "ip-address-type": kind, "prefix": network.partition("/")[2]}
        for kind, network in given.items()
    ]
    return {**row, "hardware-address": mac, "ip-addresses": addresses}
