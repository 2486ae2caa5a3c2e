"""Addresses, networks and ranges: what PVE takes for one, and what it says about the others.

Rules go through a parser that knows short forms (``10.1``), numbers and ranges; aliases and IP sets take only what
looks like one full address, with or without a prefix.
"""

from __future__ import annotations

import ipaddress
import re

from .text import split_commas, true, without_line_end

NOT_AN_ADDRESS = "value does not look like a valid IP address or CIDR network"
MAX_NAME = 64
_BITS = {4: 32, 6: 128}
_QUADS = 4
_QUAD_LIMIT = 256
_MAX_COLONS = 7
_LAST_GROUP = 7
_RANGE = re.compile(r"(.+?)\s*-\s*(.+)$")
_SUM = re.compile(r"(.+?)\s*\+\s*(\d+)$", re.ASCII)
_PREFIXED = re.compile(r"(\S+?)(/\S+)$")


class AddressError(ValueError):
    """A text is no address; the message is PVE's."""


# -- what rules take ----------------------------------------------------------------------------------------------


def list_version(text: str, names: re.Pattern[str]) -> int | None:
    """Return 4 or 6 for the addresses of a rule, None where it names an IP set or an alias (or nothing)."""
    if re.match(r"\+\S+$", text):
        if len(text) > MAX_NAME + 1:
            raise AddressError("ipset name too long")
        return None
    if names.match(text):
        if len(text) > MAX_NAME:
            raise AddressError("alias name too long")
        return None
    try:
        elements = split_commas(text)
    except ValueError as error:
        raise AddressError(str(error)) from None
    version = None
    for element in elements:
        try:
            found = _parse(element)
        except AddressError as error:
            raise AddressError(f"invalid IP address: {error}") from None
        if version not in (None, found):
            raise AddressError(f"detected mixed ipv4/ipv6 addresses in address list '{text}'")
        version = found
    if len(elements) > 1 and any("-" in element for element in elements):
        raise AddressError("you can't use a range in a list")
    return version


def _parse(text: str) -> int:
    """Return the version of an address, a network or a range."""
    prefixed = _PREFIXED.match(text)
    if prefixed:
        version = _version(prefixed[1])
        length = re.match(r"/(\d+)$", prefixed[2], re.ASCII)
        if length:  # anything else behind the slash is simply not looked at
            _check_prefix(_number(prefixed[1], version), length[1], version)
        return version
    two = _RANGE.match(text)
    if two:
        version = _version(two[1])
        if _number(two[1], version) > _number(two[2], version):
            begin, end = (_expanded(ip, version) for ip in two.groups())
            raise AddressError(f"Begin address is greater than End address {begin} - {end}")
        return version
    added = _SUM.match(text)
    return _version(added[1] if added else text)


def _version(ip: str) -> int:
    if ":" in ip:
        _check_v6(ip)
        return 6
    _check_v4(ip)
    return 4


def _check_v4(ip: str) -> None:
    if not re.match(r"[\d.]+$", ip, re.ASCII):
        raise AddressError(f"Invalid chars in IP {ip}")
    if ip.startswith("."):
        raise AddressError(f"Invalid IP {ip} - starts with a dot")
    if without_line_end(ip).endswith("."):
        raise AddressError(f"Invalid IP {ip} - ends with a dot")
    if ip.count(".") >= _QUADS:
        raise AddressError(f"Invalid IP address {ip}")
    if ".." in ip:
        raise AddressError(f"Empty quad in IP address {ip}")
    for quad in ip.split("."):
        if int(quad) >= _QUAD_LIMIT:
            raise AddressError(f"Invalid quad in IP address {ip} - {quad}")


def _check_v6(ip: str) -> None:
    if ip.count(":") > _MAX_COLONS:
        raise AddressError(f"Invalid IP address {ip}")
    groups = without_line_end(ip).split(":")
    for number, group in enumerate(groups, 1):
        if re.fullmatch(r"(?:[a-fA-F\d]{1,4})?", group, re.ASCII):
            continue
        if number == len(groups):
            try:
                _check_v4(group)
                continue
            except AddressError:
                pass
        raise AddressError(f"Invalid IP address {ip}")
    if re.match(r":[^:]", ip):
        raise AddressError(f"Invalid address {ip} (starts with :)")
    if re.search(r"[^:]:$", ip):
        raise AddressError(f"Invalid address {ip} (ends with :)")
    if len(re.findall(r":(?=:)", ip)) > 1:
        raise AddressError(f"Invalid address {ip} (More than one :: pattern)")
    colons = ip.count(":") + ("." in ip)
    if colons != _LAST_GROUP and "::" not in ip:
        raise AddressError(f"Invalid number of octets {ip}")


def _expanded(ip: str, version: int) -> str:
    if version == _QUADS:
        return ".".join((without_line_end(ip).split(".") + ["0"] * _QUADS)[:_QUADS])
    return ip


def _number(ip: str, version: int) -> int:
    """Return an address as a number. Missing parts of an IPv4 address are zeros at its end."""
    if version == 6:
        try:
            return int(ipaddress.IPv6Address(without_line_end(ip)))
        except ValueError:
            raise AddressError(f"Invalid IP address {ip}") from None
    number = 0
    for quad in _expanded(ip, version).split("."):
        digits = re.match(r"\d+", quad, re.ASCII)
        number = number << 8 | ((int(digits[0]) if digits else 0) & 255)
    return number


def _check_prefix(number: int, length: str, version: int) -> None:
    bits = _BITS[version]
    binary = f"{number:0{bits}b}"
    if int(length) > bits:
        raise AddressError(f"Prefix length {length} is longer than IP address ({bits})")
    if "1" in binary[int(length) :]:
        raise AddressError(f"Invalid prefix {binary}/{length}")


# -- what aliases and IP sets take ----------------------------------------------------------------------------------


def plain_version(cidr: str) -> int | None:
    """Return the version of what looks like one address with or without a prefix (of any length), else None."""
    ip, slash, length = without_line_end(cidr).partition("/")
    if slash and not re.fullmatch(r"\d+", length, re.ASCII):
        return None
    try:
        return ipaddress.ip_address(ip).version if "%" not in ip else None
    except ValueError:
        return None


def check_plain(cidr: str) -> None:
    """Raise AddressError where an alias or an IP set cannot hold the address. Host bits are no obstacle."""
    if plain_version(cidr) is None:
        raise AddressError(NOT_AN_ADDRESS)
    _parse(without_host_bits(cidr))


def shortened(cidr: str) -> tuple[str, int]:
    """Return an address as a file's parser keeps it, without a prefix that covers all of it, and its version."""
    version = plain_version(cidr)
    if version is None:
        raise AddressError(NOT_AN_ADDRESS)
    bits = f"/{_BITS[version]}"
    return re.sub(rf"{bits}$", "", cidr), version


def without_host_bits(cidr: str) -> str:
    """Return a network without its host bits, an IPv6 one in its short form; a mere address stays as written."""
    ip, unused, length = cidr.partition("/")
    if not true(length):
        return cidr
    version = 6 if ":" in ip else 4
    host = max(_BITS[version] - int(length), 0)
    number = _number(ip, version) >> host << host
    cleaned = str(ipaddress.IPv4Address(number)) if version == _QUADS else _compressed(number)
    return f"{cleaned}/{length}"


def _compressed(number: int) -> str:
    """Write an IPv6 address with its longest row of zero groups left out; of equals, one in the middle."""
    text = ":".join(f"{number >> shift & 0xFFFF:x}" for shift in range(112, -1, -16))
    longest = ""
    for match in re.finditer(r"(?:^|:)0(?::0)+(?::|$)", text):
        longest = match[0] if len(match[0]) > len(longest) else longest
    return text.replace(longest, "::", 1) if longest else text
