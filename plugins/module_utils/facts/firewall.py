"""The firewall, place by place, as the modules about it return places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..firewall.model import Alias, Entry, Group, IpSet, Rule
from ..firewall.scope import CLUSTER, DATACENTER, GROUP, GUEST, NODE, Guest, Scope, base_path, rules_path
from ..firewall.shown import alias_row, group_row, rule_rows, set_row
from ..wording import some_of
from .ask import NOTHING, Ask
from .context import Context
from .fetch import Collector, together

FIREWALL, OF_GUESTS = "firewall", "guest_firewall"

Places = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _Place:
    """A place to read. ``node`` is the node that has to answer for its options; the rest any node knows."""

    subset: str
    scope: Scope
    base: str
    node: str | None = None
    vmid: int | None = None

    def ask(self, path: str, *, there: bool = False) -> Ask:
        return Ask(self.subset, path, (), self.node if there else None, self.vmid)


def firewall(context: Context) -> Collector[Places | None]:
    """Read the firewall of the datacenter and of the wanted nodes."""
    scene = yield from context.scene()
    unseen = set(scene.unaudited)
    if unseen:
        context.hide(FIREWALL, f"The rules of {some_of(sorted(unseen))} take Sys.Audit on /nodes/NODE.")
    places: list[_Place] = []
    if scene.rights_known and "Sys.Audit" not in scene.rights.get("/", {}):
        context.hide(FIREWALL, "What the datacenter's firewall holds takes Sys.Audit on /.")
    else:
        places.append(_Place(FIREWALL, DATACENTER, base_path(DATACENTER)))
    for node in scene.nodes:
        if node.node not in unseen:
            scope = Scope(NODE, node.node)
            places.append(_Place(FIREWALL, scope, base_path(scope), node.node))
    return (yield from _read(places))


def of_guests(context: Context) -> Collector[Places | None]:
    """Read the firewall of each wanted guest."""
    scene = yield from context.scene()
    if not scene.read:
        return None
    places = []
    for guest in scene.guests:
        scope = Scope(GUEST, str(guest.vmid))
        base = base_path(scope, Guest(guest.vmid, guest.type, guest.node))
        places.append(_Place(OF_GUESTS, scope, base, guest.node, guest.vmid))
    found = yield from _read(places)
    return found if found or not places else None


def _read(places: list[_Place]) -> Collector[Places]:
    """Read places; a part that could not be read is None, and a place of which nothing could be is left out."""
    found = yield from together({str(place.scope): _place(place) for place in places})
    return {name: parts for name, parts in found.items() if any(part is not None for part in parts.values())}


def _place(place: _Place) -> Collector[dict[str, Any]]:
    kind = place.scope.kind
    readers = {"options": _options(place)}
    if kind != NODE:
        readers["aliases"] = _aliases(place)
        readers["ipsets"] = _sets(place)
    if kind == CLUSTER:
        readers["groups"] = _groups(place)
    readers["rules"] = _rules(place, rules_path(place.scope, place.base), there=kind == NODE)
    return (yield from together(readers))


def _options(place: _Place) -> Collector[Any]:
    (found,) = yield [place.ask(f"{place.base}/options", there=True)]
    return _unless_missing(found, lambda: {name: found[name] for name in sorted(found) if name != "digest"})


def _rules(place: _Place, path: str, *, there: bool = False) -> Collector[Any]:
    (found,) = yield [place.ask(path, there=there)]
    return _unless_missing(found, lambda: rule_rows(Rule.from_api(row) for row in _by_position(found)))


def _by_position(rows: Any) -> list[Any]:
    return sorted(rows, key=lambda row: int(row.get("pos") or 0))


def _aliases(place: _Place) -> Collector[Any]:
    (found,) = yield [place.ask(f"{place.base}/aliases")]
    return _unless_missing(found, lambda: [alias_row(Alias.from_api(row)) for row in _by_name(found, "name")])


def _sets(place: _Place) -> Collector[Any]:
    (found,) = yield [place.ask(f"{place.base}/ipset")]
    if found is NOTHING:
        return None
    sets = _by_name(found, "name")
    answers = yield [place.ask(f"{place.base}/ipset/{row['name']}") for row in sets]
    return [_set(row, entries) for row, entries in zip(sets, answers)]


def _set(row: Any, entries: Any) -> dict[str, Any]:
    """Return a set; its entries are None where they could not be read."""
    known = () if entries is NOTHING else tuple(Entry.from_api(entry) for entry in _by_name(entries, "cidr"))
    shown = set_row(IpSet(row["name"], row.get("comment"), known))
    return {**shown, "entries": None} if entries is NOTHING else shown


def _groups(place: _Place) -> Collector[Any]:
    (found,) = yield [place.ask(f"{place.base}/groups")]
    if found is NOTHING:
        return None
    rows = _by_name(found, "group")
    answers = yield [place.ask(base_path(Scope(GROUP, str(row["group"])))) for row in rows]
    return [
        {
            **group_row(Group(row["group"], row.get("comment"))),
            "rules": None if rules is NOTHING else rule_rows(Rule.from_api(rule) for rule in _by_position(rules)),
        }
        for row, rules in zip(rows, answers)
    ]


def _by_name(rows: Any, key: str) -> list[Any]:
    return sorted(rows, key=lambda row: str(row[key]).lower())


def _unless_missing(found: Any, shown: Callable[[], Any]) -> Any:
    return None if found is NOTHING else shown()
