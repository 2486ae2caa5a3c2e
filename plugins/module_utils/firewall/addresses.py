"""Addresses as numbers: what rules, aliases and IP sets write, as ranges that can be asked quickly."""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

Interval = tuple[int, int]  # the first and the last number, both included

WIDTH: Mapping[int, int] = {4: 32, 6: 128}  # bits of an address
_SHORT = re.compile(r"\d+(\.\d+){0,2}")


class Ranges:
    """A set of numbers, held as sorted intervals that do not touch."""

    __slots__ = ("ends", "starts")

    def __init__(self, intervals: Iterable[Interval]) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        for first, last in sorted(intervals):
            if self.ends and first <= self.ends[-1] + 1:
                self.ends[-1] = max(self.ends[-1], last)
            else:
                self.starts.append(first)
                self.ends.append(last)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self.starts, number)
        return at > 0 and number <= self.ends[at - 1]

    def covers(self, version: int) -> bool:
        """Whether no address of a family is outside."""
        return self.starts == [0] and self.ends == [(1 << WIDTH[version]) - 1]


@lru_cache(maxsize=8192)
def address(text: str) -> tuple[int, int]:
    """Return the family (4 or 6) and the number of an address. Raises ValueError."""
    if "%" in text:
        raise ValueError(f"{text!r} has a zone; an address alone is needed")
    found = ipaddress.ip_address(text)
    return found.version, int(found)


def address_text(version: int, number: int) -> str:
    return str(ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number))


@lru_cache(maxsize=8192)
def network(text: str, strict: bool = False) -> tuple[int, Interval]:
    """Return the family and the interval of an address or a network.

    As iptables does, short IPv4 addresses are filled with zeros at the end (``10.1`` is 10.1.0.0), and a mask may be
    written out. Host bits are cleared, or refused if ``strict`` is given and the prefix is a number. Raises ValueError.
    """
    base, slash, prefix = text.partition("/")
    if _SHORT.fullmatch(base):
        base += ".0" * (3 - base.count("."))
    version, number = address(base)
    width = WIDTH[version]
    if not slash:
        return version, (number, number)
    if version == 4 and "." in prefix:
        length, strict = ipaddress.IPv4Network(f"0.0.0.0/{prefix}").prefixlen, False
    elif prefix.isascii() and prefix.isdigit() and int(prefix) <= width:
        length = int(prefix)
    else:
        raise ValueError(f"{text!r} has no usable prefix")
    host = (1 << (width - length)) - 1
    if strict and number & host:
        raise ValueError(f"{text!r} has host bits set")
    return version, (number & ~host, number | host)


@lru_cache(maxsize=8192)
def literals(text: str) -> tuple[int, Ranges]:
    """Return the family and the addresses of what a rule may write: one range, or a list of networks.

    Raises ValueError where PVE refuses the text.
    """
    first, dash, last = text.partition("-")
    if dash:
        (version, start), (other, end) = address(first), address(last)
        if version != other or start > end:
            raise ValueError(f"{text!r} is no range")
        return version, Ranges([(start, end)])
    found = [network(element, strict=True) for element in text.split(",")]
    versions = {version for version, unused in found}
    if len(versions) > 1:
        raise ValueError(f"{text!r} mixes IPv4 and IPv6")
    return versions.pop(), Ranges(interval for unused, interval in found)


def interval(element: str) -> tuple[int, Interval]:
    """Return the family and the numbers of an address, a network or a range. Raises ValueError."""
    if "-" not in element:
        return network(element)
    version, ranges = literals(element)
    return version, (ranges.starts[0], ranges.ends[0])


def longest_prefix(networks: Mapping[Interval, bool]) -> Ranges:
    """Return the addresses for which the smallest network that holds them says True. Networks nest, or are apart."""
    found: list[Interval] = []
    around: list[tuple[int, bool]] = []  # the networks that are open: where each ends, and what it says
    at = 0

    def close(upto: int) -> None:
        nonlocal at
        while around and around[-1][0] < upto:
            end, inside = around.pop()
            if inside and at <= end:
                found.append((at, end))
            at = max(at, end + 1)

    for first, last in sorted(networks, key=lambda interval: (interval[0], -interval[1])):
        close(first)
        if around and around[-1][1] and at < first:
            found.append((at, first - 1))
        at = first
        around.append((last, networks[first, last]))
    close(1 << 128)
    return Ranges(found)


def pieces(texts: Iterable[str], within: str | None = None) -> Iterator[tuple[int, Interval]]:
    """Yield the pieces into which the networks and ranges in ``texts`` cut the address space, IPv4 first.

    Texts that are neither are passed over. ``within`` (an address or a network; ValueError if not) leaves its own
    pieces only.
    """
    spaces = {version: (0, (1 << width) - 1) for version, width in WIDTH.items()}
    if within is not None:
        spaces = dict([network(within)])
    cuts: dict[int, set[int]] = {version: set() for version in WIDTH}
    for text in texts:
        for version, (first, last) in _intervals(text):
            cuts[version] |= {first, last + 1}
    for version, (first, last) in sorted(spaces.items()):
        starts = [first, *sorted(cut for cut in cuts[version] if first < cut <= last)]
        for start, following in zip(starts, [*starts[1:], last + 1]):
            yield version, (start, following - 1)


def inside(piece: Interval) -> int:
    """Return an address out of some that can be a host's: a network's first one never is."""
    first, last = piece
    return first + 1 if last - first > 1 else first


def representatives(texts: Iterable[str], within: str | None = None) -> tuple[str, ...]:
    """Return an address out of each of the ``pieces``."""
    return tuple(address_text(version, inside(piece)) for version, piece in pieces(texts, within))


def _intervals(text: str) -> Iterator[tuple[int, Interval]]:
    for element in text.split(","):
        try:
            yield interval(element)
        except ValueError:
            continue  # the name of an alias or of a set; what it stands for is among the texts
