"""The order of a list of rules: where the declared ones end up, and the fewest moves that bring them there."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from .wanted import BEFORE, BOTTOM, TOP


@dataclass(frozen=True)
class Arrangement:
    """``order`` is the list at the end, ``movers`` are those that have to be moved to get there."""

    order: tuple[int, ...]
    movers: frozenset[int]


def arrange(
    start: Sequence[int], ours: Sequence[int], position: str | None, anchor: int | None, new: frozenset[int]
) -> Arrangement:
    """Arrange ``ours`` in the order given, without moving any other element of ``start``.

    With a position they become one block there. Without one, they only follow each other: each that has to move goes
    right behind the one before it. Where there is a choice, those move that are ``new``.
    """
    others = [element for element in start if element not in set(ours)]
    if position is None:
        staying = set(_longest_rising(start, ours, new))
        return Arrangement(tuple(_behind_each_other(start, ours, staying)), frozenset(set(ours) - staying))
    split = _split(others, position, anchor)
    order = (*others[:split], *ours, *others[split:])
    # Who stays stands between the right ones of the others already.
    passed = 0
    fitting = []
    mine = set(ours)
    for element in start:
        if element in mine:
            fitting += [element] if passed == split else []
        else:
            passed += 1
    staying = set(_longest_rising(fitting, ours, new))
    return Arrangement(order, frozenset(mine - staying))


def _split(others: Sequence[int], position: str, anchor: int | None) -> int:
    """Return how many of the others stand ahead of the block."""
    if position == TOP:
        return 0
    if position == BOTTOM or anchor is None:
        return len(others)
    return others.index(anchor) + (0 if position == BEFORE else 1)


def _longest_rising(start: Sequence[int], ours: Sequence[int], new: frozenset[int]) -> list[int]:
    """Return the largest part of ours that stands in the right order already; of equally large ones, the oldest."""
    rank = {element: number for number, element in enumerate(ours)}
    sequence = [element for element in start if element in rank]
    # New ones stand in order among themselves, ahead of all others: a rising part is a tail of them and then old ones.
    made = [element for element in sequence if element in new]
    old = [element for element in sequence if element not in new]
    best: list[int] = _rising([rank[element] for element in old])
    for count in range(1, len(made) + 1):
        last = rank[made[count - 1]]
        rest = _rising([rank[element] for element in old if rank[element] > last])
        if count + len(rest) > len(best):
            best = [*(rank[element] for element in made[:count]), *rest]
    return [ours[number] for number in best]


def _rising(numbers: Sequence[int]) -> list[int]:
    """Return a longest rising subsequence."""
    tails: list[int] = []
    places: list[int] = []
    before: list[int] = []
    for index, number in enumerate(numbers):
        place = bisect_left(tails, number)
        before.append(places[place - 1] if place else -1)
        if place == len(tails):
            tails.append(number)
            places.append(index)
        else:
            tails[place], places[place] = number, index
    found = []
    at = places[-1] if places else -1
    while at >= 0:
        found.append(numbers[at])
        at = before[at]
    return found[::-1]


def _behind_each_other(start: Sequence[int], ours: Sequence[int], staying: set[int]) -> list[int]:
    order = [element for element in start if element in staying or element not in set(ours)]
    for number, element in enumerate(ours):
        if element in staying:
            continue
        if number:
            order.insert(order.index(ours[number - 1]) + 1, element)
        else:
            follower = next((other for other in ours if other in staying), None)
            order.insert(order.index(follower) if follower is not None else 0, element)
    return order


def moveto(order: Sequence[int], element: int, target: Sequence[int], unsettled: frozenset[int]) -> int | None:
    """Return PVE's ``moveto`` that brings an element to its place among those that are settled; None if it is there.

    ``order`` is the list now, ``target`` the one at the end. PVE inserts ahead of what has that position before the
    move.
    """
    present = set(order) - unsettled - {element}
    at = target.index(element)
    ahead = next((other for other in reversed(target[:at]) if other in present), None)
    position = 0 if ahead is None else order.index(ahead) + 1
    now = order.index(element)
    if position in (now, now + 1):
        return None
    return position
