"""What places hold and are to hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .document import Problems
from .model import Alias, Group, IpSet, Option
from .scope import Scope
from .sequence import Goal


@dataclass(frozen=True)
class PlaceTarget:
    """What one place holds and is to hold. What is not declared there is None.

    Of sets and groups, ``before`` has those that the task is about with their content, the others without.
    """

    scope: Scope
    goal: Goal | None = None
    options: tuple[Mapping[str, Option], Mapping[str, Option]] | None = None
    aliases: tuple[Mapping[str, Alias], Mapping[str, Alias]] | None = None
    sets: tuple[Mapping[str, IpSet], Mapping[str, IpSet]] | None = None
    groups: tuple[Mapping[str, Group], Mapping[str, Group]] | None = None


@dataclass
class Target:
    """All places, and what is to be said. ``assumed`` are names that nobody has made yet."""

    places: list[PlaceTarget] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)

    def place(self, scope: Scope) -> PlaceTarget | None:
        return next((place for place in self.places if place.scope == scope), None)


def gone_from(pair: tuple[Mapping[str, Any], Mapping[str, Any]] | None) -> set[str]:
    """Return the names of the objects that are there before and not after."""
    return set() if pair is None else set(pair[0]) - set(pair[1])
