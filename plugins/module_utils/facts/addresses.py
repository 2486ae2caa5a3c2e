"""The addresses of guests: what a guest's agent or a container's network says, else what its configuration gives it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Union

from .config import Config

AGENT, INTERFACES, CONFIG = "agent", "interfaces", "config"

IpAddress = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
IpNetwork = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


@dataclass(frozen=True)
class Address:
    """One address of a guest. ``source`` is agent, interfaces (a running container's network) or config."""

    interface: str
    mac: str | None
    address: str
    prefix: int | None
    family: int
    source: str

    @property
    def ip(self) -> IpAddress:
        """The address as such."""
        return ipaddress.ip_address(self.address)

    def as_data(self) -> dict[str, Any]:
        """Return it as modules do."""
        return asdict(self)


def from_agent(answer: Any) -> list[Address]:
    """Read the answer of a guest agent to network-get-interfaces; loopback is left out."""
    rows = answer.get("result") if isinstance(answer, Mapping) else None
    return list(_of_rows(rows if isinstance(rows, list) else [], AGENT))


def refusal(answer: Any) -> str | None:
    """Return what a guest agent answered in place of addresses, if it did."""
    result = answer.get("result") if isinstance(answer, Mapping) else None
    error = result.get("error") if isinstance(result, Mapping) else None
    return None if error is None else str(error.get("desc") if isinstance(error, Mapping) else error)


def from_interfaces(answer: Any) -> list[Address]:
    """Read a container's interfaces; PVE answers null for one that does not run."""
    return list(_of_rows(answer if isinstance(answer, list) else [], INTERFACES))


def from_config(config: Config) -> list[Address]:
    """Read the fixed addresses out of a configuration: a container's own, a machine's cloud-init."""
    found = []
    for card in config.networks:
        for written in (card["ip"], card["ip6"]):
            name = card["name"] or card["id"]
            found += _address(name, card["mac"], written, None, CONFIG)
    return found


def best(addresses: Iterable[Address], networks: Iterable[IpNetwork] = ()) -> Address | None:
    """Return the address to reach a guest at: in the first of ``networks`` that has one, else the first of all.

    IPv4 goes before IPv6; an address that is good on its own link only is none.
    """
    usable = [one for one in addresses if not (one.ip.is_link_local or one.ip.is_loopback)]
    usable.sort(key=lambda one: one.family)  # sort() keeps the guest's own order within a family
    for network in networks:
        for one in usable:
            if one.ip in network:
                return one
    return usable[0] if usable else None


def _of_rows(rows: Iterable[Any], source: str) -> Iterator[Address]:
    for row in rows:
        if not isinstance(row, Mapping):
            continue
        name, mac = str(row.get("name") or ""), row.get("hardware-address") or row.get("hwaddr")
        listed = row.get("ip-addresses")
        if isinstance(listed, list):
            for one in (one for one in listed if isinstance(one, Mapping)):
                yield from _address(name, mac, one.get("ip-address"), one.get("prefix"), source)
        else:
            # Before 8.4 a container tells one address of each family.
            for family in ("inet", "inet6"):
                yield from _address(name, mac, row.get(family), None, source)


def _address(name: str, mac: Any, written: Any, prefix: Any, source: str) -> list[Address]:
    """Return what is written as an address: none where it is dhcp, auto or manual, or loopback."""
    plain, unused, length = str(written or "").partition("/")
    try:
        ip = ipaddress.ip_address(plain.partition("%")[0])
        bits = int(prefix if prefix is not None else length) if (prefix is not None or length) else None
    except ValueError:
        return []
    if ip.is_loopback:
        return []
    return [Address(name, str(mac).lower() if mac else None, str(ip), bits, ip.version, source)]
