"""The firewall's objects, as PVE's API gives and takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

Option = Any  # a value of an option: text, or an integer (booleans are 0 and 1)
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Rule:
    """A rule without its position, which is no part of it.

    ``ipversion`` (4 or 6) and ``errors`` (field: what is wrong) are worked out by PVE; a rule with errors is listed,
    but has no effect. For a rule of type group, ``action`` is the name of the security group.
    """

    type: str
    action: str
    enable: bool = True
    macro: str | None = None
    source: str | None = None
    dest: str | None = None
    proto: str | None = None
    dport: str | None = None
    sport: str | None = None
    icmp_type: str | None = None
    iface: str | None = None
    log: str | None = None
    comment: str | None = None
    ipversion: int | None = None
    errors: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def from_api(cls, row: Mapping[str, Any]) -> Rule:
        """Read a row of a list of rules; ``pos`` and ``digest`` are left out."""
        values: dict[str, Any] = {name: _text(row.get(_api_name(name))) for name in RULE_FIELDS}
        values["enable"] = bool(int(row.get("enable") or 0))
        version = row.get("ipversion")
        return cls(**values, ipversion=None if version is None else int(version), errors=dict(row.get("errors") or {}))

    def to_api(self) -> dict[str, Any]:
        """Return the fields that are set, under their API names, as a list of rules has them (without ``errors``)."""
        row: dict[str, Any] = {
            _api_name(name): value for name in RULE_FIELDS if (value := getattr(self, name)) is not None
        }
        row["enable"] = int(self.enable)
        if self.ipversion is not None:
            row["ipversion"] = self.ipversion
        return row


@dataclass(frozen=True)
class Alias:
    """A name for an address or a network. Its key is the lower-cased name."""

    name: str
    cidr: str
    comment: str | None = None
    ipversion: int | None = None

    @classmethod
    def from_api(cls, row: Mapping[str, Any]) -> Alias:
        version = row.get("ipversion")
        return cls(row["name"], row["cidr"], _text(row.get("comment")), None if version is None else int(version))


@dataclass(frozen=True)
class Entry:
    """An entry of an IP set: an address, a network, or the name of an alias. An entry with errors has no effect."""

    cidr: str
    nomatch: bool = False
    comment: str | None = None
    errors: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def from_api(cls, row: Mapping[str, Any]) -> Entry:
        nomatch = bool(int(row.get("nomatch") or 0))
        return cls(row["cidr"], nomatch, _text(row.get("comment")), dict(row.get("errors") or {}))


@dataclass(frozen=True)
class IpSet:
    """A set of addresses. ``entries`` is None where they were not read."""

    name: str
    comment: str | None = None
    entries: tuple[Entry, ...] | None = ()


@dataclass(frozen=True)
class Group:
    """A security group. ``rules`` is None where they were not read."""

    name: str
    comment: str | None = None
    rules: tuple[Rule, ...] | None = ()


@dataclass(frozen=True)
class Ruleset:
    """What one place holds: the datacenter, a node, a guest or a vnet. Nodes and vnets have rules and options only.

    Aliases are keyed by their lower-cased name, sets and groups by their name. ``options`` holds what is set, no
    defaults.
    """

    options: Mapping[str, Option] = field(default_factory=lambda: NOTHING)
    rules: tuple[Rule, ...] = ()
    aliases: Mapping[str, Alias] = field(default_factory=lambda: NOTHING)
    ipsets: Mapping[str, IpSet] = field(default_factory=lambda: NOTHING)
    groups: Mapping[str, Group] = field(default_factory=lambda: NOTHING)


# The fields of a rule that a task can set, under the names that they have here.
RULE_FIELDS = tuple(f.name for f in fields(Rule) if f.name not in ("enable", "ipversion", "errors"))


def _api_name(name: str) -> str:
    return name.replace("_", "-")


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
