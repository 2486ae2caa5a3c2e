"""Groups of guests: by node, pool, tag and so on, and which names of groups stand for more than one thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable

# What guests can be grouped by, and the fact that says it.
KINDS: Mapping[str, str] = {
    "node": "node",
    "pool": "pools",
    "tag": "tags",
    "status": "status",
    "type": "type",
    "hastate": "hastate",
    "ostype": "ostype",
}


@dataclass
class Groups:
    """Names of groups. ``safe`` makes a name one that a group can have."""

    kinds: Sequence[str]
    prefix: str
    safe: Callable[[str], str]
    # What each name of a group stands for.
    _meant: dict[str, dict[str, None]] = field(default_factory=dict)
    _names: dict[tuple[str, str], str] = field(default_factory=dict)

    def of(self, facts: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
        """Yield the groups of a guest, each with the groups around it: outermost first, the guest's own last."""
        for kind in self.kinds:
            found = facts.get(KINDS[kind])
            if kind == "pool":
                if found:
                    yield tuple(self._name(kind, pool) for pool in found)
                continue
            for value in found if isinstance(found, (list, tuple)) else [found]:
                if value not in (None, ""):
                    yield (self._name(kind, str(value)),)

    @property
    def shared(self) -> dict[str, list[str]]:
        """The groups that hold the guests of several values, because the values differ only in odd characters."""
        return {name: list(values) for name, values in self._meant.items() if len(values) > 1}

    def _name(self, kind: str, value: str) -> str:
        name = self._names.get((kind, value))
        if name is None:
            name = self._names[kind, value] = self.safe(f"{self.prefix}{kind}_{value}")
            self._meant.setdefault(name, {})[f"{kind} {value}"] = None
        return name
