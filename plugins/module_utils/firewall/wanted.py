"""What a task declares about the firewall.

A field that is None was not given, and leaves the server's value alone; an empty text takes the value away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .scope import Scope

TOP, BOTTOM, BEFORE, AFTER = "top", "bottom", "before", "after"


@dataclass(frozen=True)
class RuleSpec:
    """A rule as declared. ``fields`` has the given ones under their names here (``icmp_type``)."""

    key: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    enable: bool | None = None
    state: str = "present"
    # How messages call it.
    label: str = "rule"


@dataclass(frozen=True)
class ListSpec:
    """An ordered list of rules. ``position`` is where they stand as a block; None leaves what is there in place.

    ``anchor`` is the key of the rule that they stand before or after. In an exclusive list, every rule that is not
    declared goes.
    """

    rules: tuple[RuleSpec, ...] = ()
    position: str | None = None
    anchor: str | None = None
    exclusive: bool = False


@dataclass(frozen=True)
class AliasSpec:
    name: str
    cidr: str | None = None
    comment: str | None = None
    state: str = "present"


@dataclass(frozen=True)
class EntrySpec:
    cidr: str
    nomatch: bool | None = None
    comment: str | None = None
    state: str = "present"


@dataclass(frozen=True)
class SetSpec:
    """An IP set. With ``exclusive``, entries that are not declared go."""

    name: str
    comment: str | None = None
    entries: tuple[EntrySpec, ...] = ()
    exclusive: bool = False
    state: str = "present"


@dataclass(frozen=True)
class GroupSpec:
    """A security group; ``rules`` is None where the task does not speak of them."""

    name: str
    comment: str | None = None
    rules: ListSpec | None = None
    state: str = "present"


@dataclass(frozen=True)
class OptionsSpec:
    """Options to set, under PVE's names, and those to take back to their default."""

    values: Mapping[str, Any] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    exclusive: bool = False

    @property
    def given(self) -> bool:
        return bool(self.values or self.unset or self.exclusive)


@dataclass(frozen=True)
class PlaceSpec:
    """What is declared about one place."""

    scope: Scope
    options: OptionsSpec = OptionsSpec()
    aliases: tuple[AliasSpec, ...] = ()
    ipsets: tuple[SetSpec, ...] = ()
    groups: tuple[GroupSpec, ...] = ()
    rules: ListSpec | None = None
    # Kinds of objects of which this place holds nothing but what is declared.
    exclusive: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Document:
    """Everything that a task declares. ``api_clients`` have to reach port 8006 when it is done."""

    places: tuple[PlaceSpec, ...] = ()
    api_clients: tuple[str, ...] = ()
    management_source: str | None = None
    allow_lockout: bool = False
