"""The content of one firewall file, and where it belongs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Row = dict[str, Any]
# What a rule may be, by the place where it stands.
RULE_TYPES: Mapping[str, tuple[str, ...]] = {
    "cluster": ("in", "out", "forward", "group"),
    "host": ("in", "out", "forward", "group"),
    "group": ("in", "out", "forward"),
    "vm": ("in", "out", "group"),
    "ct": ("in", "out", "group"),
    "vnet": ("forward", "group"),
}
WITH_IFACE = frozenset({"cluster", "host", "vm", "ct"})


class Place(NamedTuple):
    """A file and how its rules are judged. ``env`` is cluster, host, vm, ct or vnet; ``key`` a node, id or vnet."""

    env: str
    key: str = ""

    @property
    def file(self) -> tuple[str, str]:
        """The file's identity. Both kinds of guests share theirs."""
        kind = {"cluster": "cluster", "host": "nodes", "vnet": "vnets"}.get(self.env, "guests")
        return kind, self.key


@dataclass
class Config:
    """A parsed file. ``rules`` is None where there is no file."""

    options: dict[str, Any] = field(default_factory=dict)
    aliases: dict[str, Row] = field(default_factory=dict)  # by lower-cased name
    ipsets: dict[str, list[Row]] = field(default_factory=dict)
    ipset_comments: dict[str, str] = field(default_factory=dict)
    rules: list[Row] | None = None
    groups: dict[str, list[Row]] = field(default_factory=dict)
    group_comments: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scopes:
    """Where a rule or an entry looks for names: the datacenter's file and its own, which may be the same."""

    datacenter: Config
    own: Config | None
    sdn: frozenset[str] = frozenset()  # names of the IP sets that vnets bring along

    def alias(self, scope: str, name: str) -> Row | None:
        """Return the alias that a name means; ``scope`` is empty, ``dc/`` or ``guest/``. Its own file comes first."""
        found = None
        if scope != "dc/" and self.own is not None:
            found = self.own.aliases.get(name.lower())
        if scope != "guest/" and not found:
            found = self.datacenter.aliases.get(name.lower())
        return found

    def knows_alias(self, name: str) -> bool:
        key = name.lower()
        return key in self.datacenter.aliases or (self.own is not None and key in self.own.aliases)

    def knows_set(self, name: str) -> bool:
        own = self.own is not None and name in self.own.ipsets
        return own or name in self.datacenter.ipsets or name in self.sdn


def digest_of(rows: Iterable[Row]) -> str:
    """Return the digest of a list; what is no plain value in a row does not count."""
    total = hashlib.sha1()
    for row in rows:
        for name in sorted(row):
            if row[name] is not None and not isinstance(row[name], (dict, list)):
                total.update(f"{name}:{row[name]}\n".encode("utf-8", "replace"))
    return total.hexdigest()


def with_digest(rows: Iterable[Row]) -> list[Row]:
    """Return copies of rows that carry the digest of them all."""
    copies = [{name: value for name, value in row.items() if value is not None} for row in rows]
    digest = digest_of(copies)
    return [{**row, "digest": digest} for row in copies]
