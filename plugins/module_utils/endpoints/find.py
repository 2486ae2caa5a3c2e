"""From a path as a client sends it, or as a manual writes it, to the method of PVE's API that it means."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from ..access.releases import NEWEST, Release
from .checks import fields
from .everybody import FILTERED, INDEXES, OPEN
from .reads import opaque, reads, shown
from .tables import GUEST_KINDS
from .writes import not_provable, writes

METHODS = ("GET", "POST", "PUT", "DELETE")
# Parameters from which ids follow that checks ask for: the realm of a user, the guest of a replication job.
_SOURCES = frozenset({"userid", "id"})
_PARAMETER = re.compile(r"{[^{}]*}\Z")
# The last parameter of these may hold slashes.
_REST = ("{cidr}", "{volume}")


@dataclass(frozen=True)
class Found:
    """A method of the API by the path that it is declared with, and the ids that the given path named."""

    method: str
    path: str
    ids: Mapping[str, str] = field(default_factory=dict)


@cache
def known(method: str, release: Release) -> frozenset[str]:
    """Return the paths that have the method, as they are declared."""
    paths = {write for (other, write) in not_provable() if other == method}
    paths |= {write.path for write in writes(release) if write.method == method}
    if method == "GET":
        paths |= {*INDEXES, *OPEN, *(path for path in FILTERED if path in shown(release) or path in opaque())}
        paths |= {read.path for read in reads(release)}
    return frozenset(paths)


@cache
def that_matter() -> frozenset[str]:
    """Return the names of all parameters on which it depends what a method takes or shows."""
    lines = [line for of_path in shown(NEWEST).values() for line in of_path]
    checks = [*(method.check for method in (*reads(NEWEST), *writes(NEWEST))), *(check for *unused, check in lines)]
    named = {name for check in checks for path in check.paths() for name in fields(path)}
    return frozenset(named | {name for name, *unused in lines if name} | _SOURCES)


def find(method: str, path: str, release: Release) -> list[Found]:
    """Return the methods that a path means; none where the release has no such method.

    Pieces in braces stand for any id, and where the API has ``qemu`` and ``lxc`` for both of them.
    """
    pieces = [piece for piece in path.split("/") if piece]
    best: list[Found] = []
    most = -1
    for template, wanted in _candidates(method, len(pieces), release):
        ids = _ids(wanted, pieces)
        if ids is None:
            continue
        literal = sum(not _PARAMETER.match(piece) for piece in wanted)
        if literal > most:
            best, most = [], literal
        if literal == most:
            best.append(Found(method, template, ids))
    return best


def _candidates(method: str, length: int, release: Release) -> Iterator[tuple[str, list[str]]]:
    for template, wanted in _split(method, release):
        if len(wanted) == length or (wanted and wanted[-1] in _REST and len(wanted) < length):
            yield template, wanted


@cache
def _split(method: str, release: Release) -> tuple[tuple[str, list[str]], ...]:
    return tuple(
        (template, [piece for piece in template.split("/") if piece]) for template in sorted(known(method, release))
    )


def _ids(wanted: list[str], pieces: list[str]) -> dict[str, str] | None:
    """Return the ids by their names, or None where the pieces do not fit."""
    found: dict[str, str] = {}
    for number, name in enumerate(wanted):
        piece = "/".join(pieces[number:]) if number == len(wanted) - 1 else pieces[number]
        if _PARAMETER.match(name):
            if not _PARAMETER.match(piece):
                found[name[1:-1]] = piece
        elif piece != name and not (name in GUEST_KINDS and _PARAMETER.match(piece)):
            return None
    return found
