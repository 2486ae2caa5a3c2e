"""From endpoints to the least rights with which all of them answer in full, for one release. Pure.

Each endpoint has needs: PVE's checks, filled in. A spot is where a privilege has to be held: on one path, or on all
that there may be below it. Of checks with several ways to satisfy them, those ways are chosen that add the least. From
the spots follow ACL entries. A deeper entry replaces what comes from above, so it repeats what is needed below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

from ..access import paths
from ..access.releases import Release, privileges
from ..endpoints.checks import Check, fields, fill
from ..endpoints.reads import ANY_VALUE, Shown, opaque, reads, shown
from ..endpoints.tables import Method
from ..endpoints.writes import not_provable, writes
from .parse import Calls, Endpoint, Problem

_MODIFY = "Permissions.Modify"
# Names that checks use for the same thing.
_SAME = {"job_guest": "vmid", "newid": "vmid", "node_id": "node"}
# With more combinations than these, one check is decided after the other.
_MANY = 5000

Scope = Mapping[str, Sequence[str]]  # name of an id -> the only ids that matter


class Spot(NamedTuple):
    """Where a privilege has to be held: on ``path``, or on everything ``below`` it."""

    path: str
    below: bool


class Grant(NamedTuple):
    """A privilege at a spot."""

    spot: Spot
    privilege: str


Way = frozenset[Grant]


@dataclass(frozen=True)
class Need:
    """What one endpoint takes: any of these ways."""

    endpoint: str
    ways: tuple[Way, ...]


@dataclass(frozen=True)
class Entry:
    """An ACL entry: all of ``privileges`` on ``path``, below it too if ``propagate``."""

    path: str
    privileges: frozenset[str]
    propagate: bool


@dataclass(frozen=True)
class Rights:
    """The least rights. ``reasons`` has, for each path, flag and privilege, the endpoints that take it."""

    entries: tuple[Entry, ...]
    reasons: Mapping[tuple[str, bool, str], tuple[str, ...]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def work_out(calls: Calls, release: Release, scope: Scope | None = None) -> Rights:
    """Return the least rights for the calls. ``scope`` names the only ids that matter, by ``vmid``, ``node`` and so on.

    Endpoints that no API token may call, or of which nobody can tell what they take, are among the problems.
    """
    needs: list[Need] = []
    problems = list(calls.problems.values())
    for endpoint in calls.endpoints.values():
        found = needs_of(endpoint, release, scope or {})
        if isinstance(found, Problem):
            problems.append(found)
        else:
            needs += found
    chosen = choose(needs, release)
    entries = tuple(build(chosen))
    return Rights(entries, dict(_reasons(entries, needs, chosen)), tuple(dict.fromkeys(problems)))


# -- what an endpoint takes ----------------------------------------------------------------------------------------


def needs_of(endpoint: Endpoint, release: Release, scope: Scope) -> list[Need] | Problem:
    """Return the needs of an endpoint, or why they cannot be told."""
    checks = checks_of(endpoint, release)
    if isinstance(checks, str):
        return Problem(endpoint.name, checks)
    found: list[Need] = []
    for check in checks:
        if not check.alternatives and not check.modifies:
            return Problem(endpoint.name, "no API token may call it")
        for values in _within(check, endpoint.values, scope):
            ways = tuple(_ways(check, values, release))
            if not ways:
                return Problem(endpoint.name, f"PVE {release[0]}.{release[1]} has no privilege for it")
            found.append(Need(endpoint.name, ways))
    return found


def checks_of(endpoint: Endpoint, release: Release) -> list[Check] | str:
    """Return the checks of an endpoint, all of which have to be satisfied, or why nobody can tell them."""
    if endpoint.method != "GET":
        why = not_provable().get((endpoint.method, endpoint.path))
        if why is not None:
            return [] if why == "no log-in" else "PVE decides about it by its parameters, not by its path"
    elif endpoint.path in opaque():
        return opaque()[endpoint.path]
    declared: Iterable[Method] = reads(release) if endpoint.method == "GET" else writes(release)
    found = [one.check for one in declared if (one.method, one.path) == (endpoint.method, endpoint.path)]
    return found + _of_parts(endpoint, shown(release).get(endpoint.path, ()) if endpoint.method == "GET" else ())


def _of_parts(endpoint: Endpoint, lines: Sequence[Shown]) -> list[Check]:
    """Return what it takes to see all that the call asks for: lines for its parameters, else those for none."""
    by_value = {(name, value) for name, value, unused in lines if name}
    asked = {(name, value) for name, value in endpoint.params.items() if (name, value) in by_value}
    asked |= {(name, ANY_VALUE) for name in endpoint.params if (name, ANY_VALUE) in by_value}
    if not asked and any(name in endpoint.params for name, value in by_value if value != ANY_VALUE):
        return []  # another part of it, which takes nothing
    return [check for name, value, check in lines if (name, value) in (asked or {("", "")})]


def _within(check: Check, values: Mapping[str, str], scope: Scope) -> Iterator[dict[str, str]]:
    """Yield the ids with which a check has to be satisfied: those of the call, and of the scope each."""
    names = sorted({name for path in check.paths() for name in fields(path)} - set(values))
    limited = [name for name in names if scope.get(_SAME.get(name, name))]
    for ids in product(*(scope[_SAME.get(name, name)] for name in limited)):
        yield {**values, **dict(zip(limited, ids))}


def _ways(check: Check, values: Mapping[str, str], release: Release) -> Iterator[Way]:
    """Yield the ways to satisfy a check that the release has privileges for."""
    if check.modifies and fields(check.modifies) and not set(fields(check.modifies)) <= set(values):
        # Of any path, which takes the root and all that is below.
        yield frozenset(Grant(Spot("/", below), _MODIFY) for below in (False, True))
        return
    filled = check.for_path(values) if check.modifies else check
    for needs in filled.alternatives:
        if all(privilege in privileges(release) for unused, privilege in needs):
            yield frozenset(Grant(_spot(path, values, release), privilege) for path, privilege in needs)


def _spot(path: str, values: Mapping[str, str], release: Release) -> Spot:
    """Return where a path of a check is; one with ids that are not known stands for all below the last that is."""
    pieces: list[str] = []
    below = False
    for piece in path.split("/")[1:]:
        if any(name not in values for name in fields(piece)):
            below = True
            break
        pieces += fill(piece, values).split("/")
    found = "/" + "/".join(piece for piece in pieces if piece)
    while not paths.is_valid(found, release):
        # This release has no ACL entries there, or nowhere.
        found, below = found.rpartition("/")[0] or "/", True
    return Spot(found, below)


# -- which way, where there are several ------------------------------------------------------------------------------


def choose(needs: Sequence[Need], release: Release) -> frozenset[Grant]:
    """Return the privileges that satisfy all needs: the fewest that are more than reading, then the fewest."""
    chosen: set[Grant] = set()
    for need in needs:
        if len(need.ways) == 1:
            chosen |= need.ways[0]
    opens = _opens(release)
    left = list(dict.fromkeys(need.ways for need in needs if not any(covered(way, chosen) for way in need.ways)))
    combinations = 1
    for ways in left:
        combinations *= len(ways)
    if combinations <= _MANY:
        best = min((_added(way, chosen) for way in product(*left)), key=lambda added: _price(added, opens))
        chosen |= best
    else:
        for ways in left:
            chosen |= min((_added([way], chosen) for way in ways), key=lambda added: _price(added, opens))
    return _without_spare(chosen, needs, opens)


def _added(ways: Iterable[Way], chosen: Iterable[Grant]) -> frozenset[Grant]:
    """Return what some ways add to what is chosen already."""
    have = set(chosen)
    wanted = frozenset().union(*ways)
    return frozenset(grant for grant in wanted if not covered({grant}, have))


def _price(grants: Iterable[Grant], opens: Mapping[str, int]) -> tuple[int, int, int, list[Grant]]:
    """Return how much some privileges are: those that write, how many, and how many methods they open."""
    listed = sorted(grants)
    writing = sum(not grant.privilege.endswith(".Audit") for grant in listed)
    return writing, len(listed), sum(opens[grant.privilege] for grant in listed), listed


def _opens(release: Release) -> dict[str, int]:
    """Return, for each privilege, in how many checks it occurs."""
    found = dict.fromkeys(privileges(release), 0)
    lines = [check for of_path in shown(release).values() for *unused, check in of_path]
    for check in [*(one.check for one in (*reads(release), *writes(release))), *lines]:
        for privilege in {privilege for needs in check.alternatives for unused, privilege in needs} & set(found):
            found[privilege] += 1
    return found


def _without_spare(chosen: set[Grant], needs: Sequence[Need], opens: Mapping[str, int]) -> frozenset[Grant]:
    """Take out what is not needed beside the rest, the greatest first."""
    kept = set(chosen)
    for grant in sorted(chosen, key=lambda one: _price([one], opens), reverse=True):
        rest = kept - {grant}
        if all(any(covered(way, rest) for way in need.ways) for need in needs):
            kept = rest
    return frozenset(kept)


def covered(way: Iterable[Grant], chosen: Iterable[Grant]) -> bool:
    """Tell whether all of a way is held with what is chosen."""
    have = set(chosen)
    return all(any(Grant(spot, grant.privilege) in have for spot in _covering(grant.spot)) for grant in way)


def _covering(spot: Spot) -> Iterator[Spot]:
    """Yield the spots where a privilege counts here, too. What propagates from a path holds on it as well."""
    yield spot
    yield Spot(spot.path, True)
    for above in paths.ancestors(spot.path):
        if above != spot.path:
            yield Spot(above, True)


# -- ACL entries -----------------------------------------------------------------------------------------------------


def build(chosen: Iterable[Grant]) -> Iterator[Entry]:
    """Yield the fewest entries that give just this, from the root down."""
    at: dict[str, tuple[set[str], set[str]]] = {}  # path -> privileges on it, and those on all below it
    for spot, privilege in chosen:
        at.setdefault(spot.path, (set(), set()))[spot.below].add(privilege)
    for path in sorted(at):
        inherited = _inherited(path, at)
        below = at[path][1] - inherited
        here = at[path][0] - inherited - at[path][1]
        if below:
            # What comes from above has to go on, too.
            yield Entry(path, frozenset(below | inherited), True)
            if here:
                yield Entry(path, frozenset(here), False)
        elif here:
            yield Entry(path, frozenset(here | inherited), False)


def _inherited(path: str, at: Mapping[str, tuple[set[str], set[str]]]) -> set[str]:
    """Return what has to be held on a path because it is below others."""
    above = [place for place in paths.ancestors(path) if place != path and place in at]
    return set().union(*(at[place][1] for place in above))


def _reasons(
    entries: Iterable[Entry], needs: Sequence[Need], chosen: frozenset[Grant]
) -> Iterator[tuple[tuple[str, bool, str], tuple[str, ...]]]:
    """Yield which endpoints take each privilege of an entry."""
    for entry in entries:
        for privilege in sorted(entry.privileges):
            names = [need.endpoint for need in needs if _takes(need, entry, privilege, chosen)]
            yield (entry.path, entry.propagate, privilege), tuple(dict.fromkeys(names))


def _takes(need: Need, entry: Entry, privilege: str, chosen: frozenset[Grant]) -> bool:
    """Tell whether a need is satisfied by the privilege at the entry's path: there, or further up or down."""
    for way in need.ways:
        if not covered(way, chosen):
            continue
        for spot, wanted in way:
            if wanted != privilege:
                continue
            mine = {Spot(entry.path, True)} if entry.propagate else {Spot(entry.path, False)}
            if mine & set(_covering(spot)) or (spot.below and spot in set(_covering(Spot(entry.path, False)))):
                return True
    return False
