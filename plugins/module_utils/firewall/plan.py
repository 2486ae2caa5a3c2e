"""The plan for the firewall: what is meant, by which calls, in which order, and whether it may be done at all."""

from __future__ import annotations

from typing import Any

from ..client.errors import OptionError
from ..reconcile import Plan
from .observe import View
from .places import PlaceTarget, Target
from .scope import GROUP, Scope
from .shown import alias_row, group_row, rule_rows, set_row
from .steps import Piece, make_pieces
from .target import make_target
from .wanted import Document
from .watch import Watch, judge, make_watch, nodes_cut_off, safely_ordered

ALLOW = "Say allow_lockout: true if that is meant."


def plan_firewall(view: View, wanted: Document) -> tuple[Plan, list[Piece]]:
    """Return the ordered plan that makes the firewall what the document says, and its pieces.

    An open view is read as far as that takes, and then closed. Raises OptionError with what speaks against it; then
    nothing of it is done.
    """
    target = make_target(view, wanted)
    target.problems.stop()
    pieces, warnings = make_pieces(view, target)
    watch = None if target.assumed else make_watch(view, wanted, target, pieces)
    view.closed = True
    if watch is not None:
        pieces, said = _guarded(watch, pieces, wanted.allow_lockout)
        warnings += said
    plan = Plan(
        tuple(piece.change for piece in pieces),
        tuple(dict.fromkeys(warnings)),
        tuple(dict.fromkeys(target.assumed)),
        {"places": _result(target)},
    )
    return plan, pieces


def _guarded(watch: Watch, pieces: list[Piece], allow_lockout: bool) -> tuple[list[Piece], list[str]]:
    """Return the changes in a safe order. Raises OptionError where somebody would be cut off."""
    if watch.unseen and pieces and not allow_lockout:
        raise OptionError(
            f"This may cut somebody off, and whether it does cannot be told without reading {watch.unseen}.",
            f"Use credentials that may read it (Sys.Audit). {ALLOW}",
        )
    if watch.unseen:
        return pieces, []
    ordered, warnings = safely_ordered(watch, pieces)
    found = None if allow_lockout else judge(watch, ordered)
    if found is not None:
        raise OptionError(str(found), ALLOW)
    return ordered, [*warnings, *nodes_cut_off(watch, ordered)]


# -- what the module returns ------------------------------------------------------------------------------------------


def _result(target: Target) -> dict[str, dict[str, Any]]:
    """Return every place of the document as it will be, by its name; a group that goes is none any more."""
    pairs = [place.groups for place in target.places if place.groups is not None]
    gone = {Scope(GROUP, name) for before, after in pairs for name in before.keys() - after.keys()}
    places: dict[str, dict[str, Any]] = {}
    for place in target.places:
        if place.scope in gone:
            continue
        places.setdefault(str(place.scope), {}).update(_place_result(place))
    for place in target.places:
        if place.groups is not None:
            rows = places[str(place.scope)]["groups"]
            for row in rows:
                inner = target.place(Scope(GROUP, row["name"]))
                if inner is not None and inner.goal is not None:
                    row["rules"] = _rules(inner)
    return places


def _place_result(place: PlaceTarget) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if place.options is not None:
        found["options"] = dict(place.options[1])
    if place.aliases is not None:
        found["aliases"] = [alias_row(alias) for unused, alias in sorted(place.aliases[1].items())]
    if place.sets is not None:
        found["ipsets"] = [set_row(one) for unused, one in sorted(place.sets[1].items()) if one.entries is not None]
    if place.groups is not None:
        found["groups"] = [group_row(group) for unused, group in sorted(place.groups[1].items())]
    if place.goal is not None:
        found["rules"] = _rules(place)
    return found


def _rules(place: PlaceTarget) -> list[dict[str, Any]]:
    return rule_rows(place.goal.rules()) if place.goal is not None else []
