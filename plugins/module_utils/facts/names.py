"""Names of hosts: safe ones, no two alike, and the same in every run as long as the guests are the same."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .model import Guest

# Ansible has hosts and groups of these names already, with a meaning of their own.
RESERVED = ("all", "ungrouped", "localhost", "127.0.0.1")
_KINDS = {"qemu": "vm", "lxc": "ct"}
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_EDGES = "-._"


@dataclass(frozen=True)
class _Claim:
    """The name that a guest would like to have. One without a name of its own has ``own`` false, and gives way."""

    vmid: int
    name: str
    own: bool

    def at(self, level: int) -> str:
        """Return the name with as many repetitions of the number as it takes to be the only one."""
        return self.name + f"-{self.vmid}" * level


def host_names(guests: Iterable[Guest], nodes: Iterable[str], known: Mapping[int, str]) -> dict[int, str]:
    """Return the host name of each guest by number.

    ``nodes`` keep their names. Guests that share a name, with a node or with each other, have their numbers behind it,
    all of them; upper and lower case make no difference. ``known`` are the last known names of guests that PVE gives
    none for. Whatever order the guests come in, the names are the same.
    """
    claims = [_claim(guest, known) for guest in guests]
    taken = {name.casefold() for name in (*RESERVED, *nodes)}
    levels = dict.fromkeys((claim.vmid for claim in claims), 0)
    alike = _alike(claims, levels, taken)
    while alike:
        for claim in alike:
            levels[claim.vmid] += 1
        alike = _alike(claims, levels, taken)
    return {claim.vmid: claim.at(levels[claim.vmid]) for claim in claims}


def last_known_name(guest: Guest, known: Mapping[int, str]) -> str | None:
    """Return what PVE calls a guest, or called it when it last did."""
    return guest.name or known.get(guest.vmid)


def safe_name(name: str) -> str:
    """Return a name as one that a host can have: letters, digits, dots, hyphens and underscores. It may be empty."""
    return _UNSAFE.sub("-", name).strip(_EDGES)


def _claim(guest: Guest, known: Mapping[int, str]) -> _Claim:
    name = safe_name(last_known_name(guest, known) or "")
    return _Claim(guest.vmid, name or f"{_KINDS[guest.type]}-{guest.vmid}", bool(name))


def _alike(claims: Iterable[_Claim], levels: Mapping[int, int], taken: set[str]) -> list[_Claim]:
    """Return the guests that need a longer name: of those with equal names, the ones that have to give way first.

    A guest without a name of its own must not rename one that has, merely because a node went down.
    """
    by_name: dict[str, list[_Claim]] = defaultdict(list)
    for claim in claims:
        by_name[claim.at(levels[claim.vmid]).casefold()].append(claim)
    found: list[_Claim] = []
    for name, rivals in by_name.items():
        if name in taken:
            found += rivals
        elif len(rivals) > 1:
            first = min((claim.own, levels[claim.vmid]) for claim in rivals)
            found += [claim for claim in rivals if (claim.own, levels[claim.vmid]) == first]
    return found
