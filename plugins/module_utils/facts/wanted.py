"""What a task wants to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..client.errors import OptionError
from .config import Shown
from .fetch import CONCURRENCY
from .filters import Filters
from .subsets import BASE, choose

MOST_CONCURRENT = 32
TASKS_LIMIT = 50
# PVE keeps no more tasks of a node than it takes to fill some archives; this is well beyond.
MOST_TASKS = 100_000


@dataclass(frozen=True)
class Wanted:
    """``subsets`` are names of ``subsets.py``; ``tasks_limit`` is for each node."""

    subsets: tuple[str, ...] = BASE
    filters: Filters = field(default_factory=Filters)
    shown: Shown = field(default_factory=Shown)
    concurrency: int = CONCURRENCY
    tasks_limit: int = TASKS_LIMIT

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Wanted:
        """Read it out of a module's options. Raises OptionError."""
        return cls(
            subsets=choose(params["gather"]),
            filters=Filters.from_params(params["filters"]),
            shown=Shown(params["descriptions"], params["ssh_keys"]),
            concurrency=_within("concurrency", params["concurrency"], 1, MOST_CONCURRENT),
            # To PVE a limit of 0 means no rows at all.
            tasks_limit=_within("tasks_limit", params["tasks_limit"], 1, MOST_TASKS),
        )


def _within(name: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise OptionError(f"{name} is {value}: it has to be from {least} to {most}.")
    return value
