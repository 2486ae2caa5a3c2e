"""What the inventory keeps in Ansible's inventory cache: the last census, when it was taken, and the names of guests.

The entry itself never expires: the names in it outlive it, and it says when it was made. How old it may be is decided
here. It is plain data, and holds no credentials.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from ..module_utils.facts.census import FIELDS, Census
from ..module_utils.facts.model import Guest

_FORMAT = 1
_Cache = MutableMapping[str, Any]


@dataclass(frozen=True)
class Kept:
    """An entry. ``census`` is None where there is none that answers the question; ``names`` go by node and guest."""

    names: Mapping[str, str]
    census: Census | None = None
    taken: float = 0.0

    def names_of(self, guests: Iterable[Guest]) -> dict[int, str]:
        """Return the last known names of guests, of those that are where they were."""
        return {guest.vmid: self.names[_place(guest)] for guest in guests if _place(guest) in self.names}


class Store:
    """The place of one inventory in the cache; nothing is kept where there is no cache.

    ``asked`` is the question that a census answers: another host, caller or set of facts is another question.
    """

    def __init__(self, cache: _Cache | None, key: str, asked: Mapping[str, Any]) -> None:
        self._cache = cache
        self._key = key
        question = json.dumps([_FORMAT, FIELDS, asked], sort_keys=True, default=str)
        self._question = hashlib.sha256(question.encode()).hexdigest()

    def read(self) -> Kept:
        """Return what was kept."""
        entry = None if self._cache is None else self._cache.get(self._key)
        if not isinstance(entry, Mapping) or not isinstance(entry.get("names"), Mapping):
            return Kept({})
        if entry.get("question") != self._question:
            return Kept(entry["names"])
        return Kept(entry["names"], Census.from_data(entry["census"]), float(entry["taken"]))

    def keep(self, census: Census, old: Kept, now: float) -> None:
        """Keep a census, with the names of its guests: those that PVE says, and those that it said before."""
        if self._cache is None:
            return
        named = {_place(guest): guest.name for guest in census.guests if guest.name}
        before = {_place(guest): old.names[_place(guest)] for guest in census.guests if _place(guest) in old.names}
        entry = {"question": self._question, "taken": now, "names": {**before, **named}, "census": census.as_data()}
        self._cache[self._key] = entry


def _place(guest: Guest) -> str:
    return f"{guest.node}/{guest.vmid}"
