"""The names of what facts are gathered about, and which of them a task wants."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from ..client.errors import OptionError

# In the order in which results have them.
NAMES = (
    "version",
    "cluster",
    "cluster_options",
    "nodes",
    "node_status",
    "guests",
    "guest_status",
    "guest_config",
    "guest_addresses",
    "snapshots",
    "storage",
    "storage_content",
    "pools",
    "users",
    "groups",
    "roles",
    "tokens",
    "acl",
    "permissions",
    "realms",
    "firewall",
    "guest_firewall",
    "tasks",
    "log",
    "certificates",
    "updates",
    "ha",
    "sdn",
)
BASE = ("version", "cluster", "nodes", "guests", "storage")
ALL = "all"
_SETS = {ALL: NAMES, "base": BASE}
_NOT = "!"


def choose(gather: Sequence[str]) -> tuple[str, ...]:
    """Return the wanted subsets in the order of ``NAMES``. Raises OptionError.

    A name adds a subset (``base`` and ``all`` several), ``!name`` takes it away; where nothing is added, everything
    is there to be taken from. What is named itself stays, whatever set is taken away: ``!all``, ``users`` is users.
    """
    for name in gather:
        _check(name)
    added = {name for name in gather if not name.startswith(_NOT)}
    taken = {name[1:] for name in gather if name.startswith(_NOT)}
    both = sorted(added & taken)
    if both:
        raise OptionError(f"gather: {both[0]} is asked for and taken away.", "Leave one of the two out.")
    found = _members(added or {ALL}) - _members(taken) | (added - set(_SETS))
    if not found:
        raise OptionError("gather: nothing is left of it.", "Name what you want; [] is everything.")
    return tuple(name for name in NAMES if name in found)


def _members(names: set[str]) -> set[str]:
    return {member for name in names for member in _SETS.get(name, (name,))}


def _check(name: str) -> None:
    known = [*NAMES, *_SETS]
    plain = name[1:] if name.startswith(_NOT) else name
    if plain in known:
        return
    close = difflib.get_close_matches(plain, known, n=1)
    meant = f"Did you mean {close[0]}? " if close else ""
    raise OptionError(f"gather: {plain!r} is no subset.", f"{meant}There are {', '.join(known)}.")
