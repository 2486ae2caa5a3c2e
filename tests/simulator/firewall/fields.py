"""The formats of a rule's and of an option's values, which the parameters of calls have to match."""

from __future__ import annotations

import re

from ansible_collections.homelab.pve.plugins.module_utils.access.releases import Release
from ansible_collections.homelab.pve.plugins.module_utils.firewall import names as tables

from ..verify import FormatError, add_format
from .addresses import check_plain, list_version
from .names import alias_reference
from .text import split_commas, true

_MAX_PORTS = 15
_MAX_PORT = 65535
_PROTOCOL_NUMBERS = frozenset(str(number) for number in tables.PROTOCOLS.values())
_HELPERS = frozenset({"amanda", "ftp", "irc", "netbios-ns", "pptp", "sane", "sip", "snmp", "tftp"})
_RATE = re.compile(r"[1-9][0-9]*/(?:second|minute|hour|day)$")
_BOOLEANS = {"1": "1", "on": "1", "yes": "1", "true": "1", "0": "0", "off": "0", "no": "0", "false": "0"}
_UNKNOWN_HELPER = "unknown helper {} at /usr/share/perl5/PVE/Firewall.pm line 1167."


def check_iface(text: str) -> None:
    if not re.match(r"[a-z][a-z0-9_]{1,20}(?:[:.]\d+)?$", text, re.IGNORECASE | re.ASCII):
        raise FormatError(f"invalid network interface name '{text}'")


def check_protocol(text: str) -> None:
    if true(text) and text not in tables.PROTOCOLS and text not in _PROTOCOL_NUMBERS:
        raise FormatError(f"unknown protocol '{text}'")


def check_icmp_type(text: str) -> None:
    if text and text not in tables.ICMP_TYPES and text not in tables.ICMPV6_TYPES:
        raise FormatError(f"invalid icmp-type value '{text}'")


def check_ports(text: str, icmp: bool) -> None:
    """Check a list of ports, ranges and services; with ``icmp``, one name of an ICMP type may stand there, too."""
    try:
        items = split_commas(text)
    except ValueError as error:
        raise FormatError(str(error)) from None
    numbers, icmp_found = 0, False
    for item in items:
        digits = re.match(r"([0-9]+)(?::([0-9]+))?$", item)
        if digits:
            ports = [port for port in digits.groups() if port is not None]
            numbers += len(ports)
            for port in ports:
                if int(port) > _MAX_PORT:
                    raise FormatError(f"invalid port '{port}'")
            if int(ports[0]) > int(ports[-1]):
                begin, end = ports
                raise FormatError(f"backwards range '{begin}:{end}' not allowed, did you mean '{end}:{begin}'?")
        elif icmp and (item in tables.ICMP_TYPES or item in tables.ICMPV6_TYPES):
            icmp_found = True
        elif item not in tables.SERVICES:
            raise FormatError(f"invalid port '{item}'")
    if icmp_found and numbers:
        raise FormatError("ICMP ports not allowed in port range")
    if numbers > _MAX_PORTS:
        raise FormatError(f"too many entries in port list (> {_MAX_PORTS} numbers)")


def check_helpers(text: str) -> None:
    for helper in text.split(","):
        if helper and helper not in _HELPERS:
            raise FormatError(_UNKNOWN_HELPER.format(helper))


def check_rate_limit(text: str) -> None:
    """Check ``enable=B,rate=N/UNIT,burst=N``, in which the first key may be left out."""
    given: dict[str, str] = {}
    for part in text.split(","):
        if not part.strip():
            continue
        name, equals, value = part.partition("=")
        if not equals:
            name, value = "enable", part
        elif not name or not value:
            raise FormatError("missing key in comma-separated list property")
        if name in given:
            raise FormatError(f"duplicate key in comma-separated list property: {name}")
        if name not in ("enable", "rate", "burst"):
            raise FormatError(f"invalid key in comma-separated list property: {name}")
        given[name] = value
    errors = {}
    if "enable" not in given:
        errors["enable"] = "property is missing and it is not optional"
    elif given["enable"].lower() not in _BOOLEANS:
        errors["enable"] = f"type check ('boolean') failed - got '{given['enable']}'"
    if "rate" in given and not _RATE.match(given["rate"]):
        errors["rate"] = "value does not match the regex pattern"
    if "burst" in given:
        if not re.match(r"[+-]?\d+$", given["burst"], re.ASCII):
            errors["burst"] = f"type check ('integer') failed - got '{given['burst']}'"
        elif int(given["burst"]) < 0:
            errors["burst"] = "value must have a minimum value of 0"
    if errors:
        lines = "\n".join(f"log_ratelimit.{name}: {problem}" for name, problem in sorted(errors.items()))
        raise FormatError(f"format error\n{lines}")


def _addresses(text: str, release: Release) -> None:
    try:
        list_version(text, alias_reference(release))
    except ValueError as error:
        raise FormatError(str(error)) from None


def _plain(text: str, release: Release) -> None:
    try:
        check_plain(text)
    except ValueError as error:
        raise FormatError(str(error)) from None


def _plain_or_alias(text: str, release: Release) -> None:
    if not alias_reference(release).match(text):
        _plain(text, release)


add_format("pve-iface", lambda text, release: check_iface(text))
add_format("pve-fw-addr-spec", _addresses)
add_format("pve-fw-dport-spec", lambda text, release: check_ports(text, icmp=True))
add_format("pve-fw-sport-spec", lambda text, release: check_ports(text, icmp=False))
add_format("pve-fw-protocol-spec", lambda text, release: check_protocol(text))
add_format("pve-fw-icmp-type-spec", lambda text, release: check_icmp_type(text))
add_format("pve-fw-conntrack-helper", lambda text, release: check_helpers(text))
add_format("pve-fw-log-ratelimit", lambda text, release: check_rate_limit(text))
add_format("IPorCIDR", _plain)
add_format("IPorCIDRorAlias", _plain_or_alias)
