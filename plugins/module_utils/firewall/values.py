"""Single values of rules, sets and aliases: what PVE takes, and when two spellings mean the same.

Each ``*_problem`` function returns what is wrong with a value, or None. What PVE would take but not keep (a port 0, the
host bits of a set's entry) is wrong, too.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Hashable

from .names import ICMP_TYPES, ICMPV6_TYPES, PROTOCOLS, SERVICES, canonical_macro

MOST_PORTS = 15
HIGHEST_PORT = 65535
LOG_LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "nolog")

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{1,63}\Z")
_GROUP = re.compile(r"[a-z][a-z0-9_-]{1,17}\Z")
_REFERENCE = re.compile(r"(?P<set>\+)?(?:(?P<scope>dc|guest|sdn)/)?(?P<name>[A-Za-z][A-Za-z0-9_-]+)\Z")
_IFACE = re.compile(r"[A-Za-z][A-Za-z0-9_]{1,15}(?:[:.][0-9]+)?\Z")
_GUEST_IFACE = re.compile(r"net[0-9]+\Z")
_LONGEST_IFACE = 20


class Reference:
    """The name of an alias or an IP set in an address field; ``scope`` is dc, guest, sdn or empty."""

    def __init__(self, name: str, scope: str, is_set: bool) -> None:
        self.name = name
        self.scope = scope
        self.is_set = is_set


def reference(value: str) -> Reference | None:
    """Return what an address field refers to by name, or None where it holds addresses."""
    found = _REFERENCE.match(value)
    if found is None or _is_address(value):
        return None
    return Reference(found["name"], found["scope"] or "", bool(found["set"]))


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
    return True


# -- addresses ---------------------------------------------------------------------------------------------------------


def address_problem(value: str) -> str | None:
    """Judge an address field of a rule: one name, one range, or a list of addresses and networks of one family."""
    if value.startswith("+") or reference(value):
        return None if reference(value) else f"{value!r} is no name of an IP set"
    items = value.split(",")
    versions = set()
    for item in items:
        if "-" in item:
            if len(items) > 1:
                return "a range stands alone, not in a list"
            return _range_problem(item)
        problem = network_problem(item)
        if problem:
            return problem
        versions.add(ipaddress.ip_network(item).version)
    return "IPv4 and IPv6 do not mix in one rule" if len(versions) > 1 else None


def network_problem(value: str, *, host_bits: bool = False) -> str | None:
    """Judge one address or network. ``host_bits`` says whether an address with a prefix will do."""
    if "%" in value:
        return f"{value!r} has a zone, which PVE does not take"
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        hint = "; no blanks in a list" if value != value.strip() else ""
        return f"{value!r} is no address, network or name{hint}"
    if not host_bits and str(network.network_address) != str(ipaddress.ip_address(value.partition("/")[0])):
        return f"{value!r} has host bits beyond its prefix; say {network}"
    return None


def _range_problem(value: str) -> str | None:
    ends = value.split("-")
    try:
        first, last = (ipaddress.ip_address(end) for end in ends)
    except ValueError:
        return f"{value!r} is no range of addresses"
    if first.version != last.version:
        return f"the range {value!r} goes from one family to the other"
    return f"the range {value!r} runs backwards" if int(first) > int(last) else None


def family(value: str | None) -> int | None:
    """Return 4 or 6 for an address field that holds addresses, None for names and for nothing."""
    if not value or reference(value):
        return None
    try:
        return ipaddress.ip_network(re.split("[,-]", value)[0], strict=False).version
    except ValueError:
        return None


def plain_network(value: str) -> str:
    """Return an address or network in one spelling; what is none (the name of an alias) in lower case."""
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return value.lower()
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    return str(network)


def plain_alias(value: str) -> str:
    """Return the address of an alias in one spelling; it keeps host bits."""
    try:
        interface = ipaddress.ip_interface(value)
    except ValueError:
        return value
    full = interface.network.prefixlen == interface.network.max_prefixlen
    return str(interface.ip) if full else str(interface)


# -- ports, protocols, names -------------------------------------------------------------------------------------------


def port_problem(value: str) -> str | None:
    """Judge a list of ports, names of services and ranges with a colon."""
    used = 0
    for item in value.split(","):
        ends = item.split(":")
        if not item or len(ends) > 2:
            return f"{value!r} is no list of ports; ranges take a colon (80:90)"
        for end in ends:
            if end in SERVICES and len(ends) == 1:
                continue
            if not re.match(r"[0-9]+\Z", end):
                return f"{end!r} is no port and no service that PVE knows; ranges take a colon (80:90)"
            if not 0 < int(end) <= HIGHEST_PORT:
                return f"port {end} is not from 1 to {HIGHEST_PORT}"
        if len(ends) == 2 and int(ends[0]) > int(ends[1]):
            return f"the range {item!r} runs backwards"
        used += len(ends)
    return f"more than {MOST_PORTS} ports (a range counts for two)" if used > MOST_PORTS else None


def protocol_number(value: str) -> int | None:
    """Return the number of a protocol that PVE knows, by name or number."""
    if value in PROTOCOLS:
        return PROTOCOLS[value]
    return int(value) if re.match(r"[0-9]+\Z", value) and int(value) in PROTOCOLS.values() else None


def protocol_problem(value: str) -> str | None:
    number = protocol_number(value)
    if number is None:
        lower = value.lower()
        return f"{value!r} is no protocol that PVE knows" + (f"; say {lower}" if lower in PROTOCOLS else "")
    return "PVE does not keep protocol 0" if value == "0" else None


def macro_problem(value: str) -> str | None:
    return None if canonical_macro(value) else f"there is no macro {value!r}"


def icmp_type_problem(value: str) -> str | None:
    known = value in ICMP_TYPES or value in ICMPV6_TYPES
    return None if known else f"{value!r} is no ICMP type by name (a number goes into dport)"


def log_problem(value: str) -> str | None:
    return None if value in LOG_LEVELS else f"{value!r} is none of {', '.join(LOG_LEVELS)}"


def iface_problem(value: str, *, of_guest: bool) -> str | None:
    if of_guest:
        return None if _GUEST_IFACE.match(value) else f"{value!r} is no interface of a guest (net0, net1, ...)"
    fits = _IFACE.match(value) and len(value) <= _LONGEST_IFACE
    return None if fits else f"{value!r} is no name of a network interface"


def name_problem(value: str, *, keeps_case: bool = False) -> str | None:
    """Judge the name of an alias or an IP set. Sets lose capital letters, aliases keep them."""
    if not _NAME.match(value):
        return f"{value!r} is no name: a letter, then 1 to 63 letters, digits, '-' or '_'"
    if not keeps_case and value != value.lower():
        return f"PVE keeps names in lower case: say {value.lower()}"
    return None


def group_problem(value: str) -> str | None:
    if _GROUP.match(value):
        return None
    if _GROUP.match(value.lower()):
        return f"PVE keeps names in lower case: say {value.lower()}"
    return f"{value!r} is no name of a security group: a letter, then 1 to 17 letters, digits, '-' or '_'"


# -- sameness ----------------------------------------------------------------------------------------------------------


def same(name: str, one: str | None, other: str | None) -> bool:
    """Tell whether two values of a rule's field mean the same, however they are spelt."""
    return one == other or (one is not None and other is not None and meaning(name, one) == meaning(name, other))


def meaning(name: str, value: str) -> Hashable:
    """Return the value of a rule's field in a form that is equal for equal meanings."""
    if name in ("source", "dest"):
        if reference(value):
            return value.lower()
        if "-" in value:
            return value.lower()
        return frozenset(plain_network(item) for item in value.split(","))
    if name in ("dport", "sport"):
        return frozenset(value.split(","))
    if name == "proto":
        number = protocol_number(value)
        return value if number is None else number
    if name == "macro":
        return canonical_macro(value) or value
    return value
