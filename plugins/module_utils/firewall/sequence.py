"""One list of rules, from what it is to what it is meant to be, in calls that cut nobody off on the way.

At every moment, what the list lets through at its beginning and at its end gets through. New rules land on top; those
that cut something off are made switched off, and switched on last. Where no order of the changes will do, a rule that
cuts off is switched off while others change, or a copy of a rule that lets through bridges the gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .arrange import Arrangement, moveto
from .comments import BRIDGE, Comment
from .model import RULE_FIELDS, Rule
from .packets import Packets, Resolve, TooManyClasses, content
from .reach import ACCEPT, rule_text


@dataclass(frozen=True)
class Step:
    """One call on a list. ``position`` is that of the rule at this moment; a new rule has none.

    ``rules`` is the list after it.
    """

    element: int
    action: str  # create, update, move, delete
    position: int | None
    params: Mapping[str, Any]
    before: Rule | None
    after: Rule | None
    rules: tuple[Rule, ...]
    note: str = ""
    to: int | None = None


@dataclass(frozen=True)
class Goal:
    """Where a list is to get. Elements are numbers: up to ``len(current)`` they are the rules that are there.

    ``final`` has the rules that are to be there, ``made`` the new ones in their order, ``removed`` those that go.
    """

    current: tuple[Rule, ...]
    final: Mapping[int, Rule]
    made: tuple[int, ...]
    removed: frozenset[int]
    arrangement: Arrangement

    def rules(self) -> tuple[Rule, ...]:
        """Return the list at the end."""
        return tuple(self.final.get(element) or self.current[element] for element in self.arrangement.order)


def touched_rules(goal: Goal) -> Iterator[Rule]:
    """Yield the rules, as they are and as they will be, that have a part in what changes for packets."""
    for element, rule in goal.final.items():
        old = goal.current[element] if element < len(goal.current) else None
        moved = element in goal.arrangement.movers
        if old is None or moved or content(old) != content(rule) or old.enable != rule.enable or old.errors:
            yield rule
            if old is not None:
                yield old
    for element in goal.removed:
        yield goal.current[element]


def sequence(goal: Goal, resolve: Resolve) -> tuple[list[Step], list[str]]:
    """Return the steps to the goal, and what is to be said about them."""
    work = _Work(goal)
    try:
        work.packets = Packets(goal.current, goal.rules(), touched_rules(goal), resolve)
    except TooManyClasses:
        work.careful = True
    work.run()
    return work.steps, work.warnings


class _Work:
    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self.order = list(range(len(goal.current)))
        self.rules: dict[int, Rule] = dict(enumerate(goal.current))
        self.unsettled = set(goal.arrangement.movers) | set(goal.removed)
        self.steps: list[Step] = []
        self.warnings: list[str] = []
        self.packets: Packets | None = None
        # Whether every gap is bridged without looking whether there is one.
        self.careful = False
        self.bridged: set[Rule] = set()
        self.bridges: list[int] = []
        self.paused: set[int] = set()
        self.left: list[tuple[str, int]] = []
        self.places: dict[int, int] = {}

    def run(self) -> None:
        """Work out all steps."""
        switched_on = self._create()
        goal = self.goal
        self.left = [("delete", element) for element in sorted(goal.removed)]
        for element in goal.arrangement.order:
            if element in goal.arrangement.movers:
                self.left.append(("move", element))
            if element not in switched_on and element in goal.final and self._fields(element, goal.final[element]):
                self.left.append(("update", element))
        self.left += [("update", element) for element in switched_on]
        self.places = {element: place for place, element in enumerate(goal.arrangement.order)}
        self.left.sort(key=self._rank)
        if self.careful:
            for unused, element in list(self.left):
                self._help_with(element)
        while self.left:
            self._next()

    # -- the steps -----------------------------------------------------------------------------------------------------

    def _create(self) -> list[int]:
        """Make what is new, the last one first, and return what is to be switched on at the end."""
        later = []
        for element in reversed(self.goal.made):
            rule = self.goal.final[element]
            if rule.enable and (rule.action in ("DROP", "REJECT") or self._cuts_on_top(rule)):
                later.append(element)
                rule = _pending(rule)
            self._post(element, rule, "made switched off, to be switched on last" if element in later else "")
        return later[::-1]

    def _cuts_on_top(self, rule: Rule) -> bool:
        """Tell whether a new rule, ahead of all others, might cut somebody off."""
        if rule.action == ACCEPT:
            return False
        return self.packets is None or self.packets.cut((rule, *self._list()), [rule]) is not None

    def _post(self, element: int, rule: Rule, note: str) -> None:
        self.order.insert(0, element)
        self.rules[element] = rule
        self._step(element, "create", None, _to_create(rule), None, rule, note)

    def _fields(self, element: int, rule: Rule) -> dict[str, Any]:
        return _to_change(self.rules[element], rule)

    def _update(self, element: int, rule: Rule, note: str = "") -> None:
        before, position = self.rules[element], self.order.index(element)
        self.rules[element] = rule
        self._step(element, "update", position, _to_change(before, rule), before, rule, note)

    def _move(self, element: int, target: int) -> None:
        position = self.order.index(element)
        self._shift(element, target)
        rule = self.rules[element]
        self._step(element, "move", position, {"moveto": target}, rule, rule, "", self.order.index(element))

    def _shift(self, element: int, target: int) -> None:
        position = self.order.index(element)
        del self.order[position]
        self.order.insert(target - (target > position), element)

    def _delete(self, element: int) -> None:
        position = self.order.index(element)
        self.order.remove(element)
        self._step(element, "delete", position, {}, self.rules.pop(element), None, "")

    def _step(
        self,
        element: int,
        action: str,
        position: int | None,
        params: Mapping[str, Any],
        before: Rule | None,
        after: Rule | None,
        note: str,
        to: int | None = None,
    ) -> None:
        self.steps.append(Step(element, action, position, params, before, after, self._list(), note, to))

    def _list(self) -> tuple[Rule, ...]:
        return tuple(self.rules[element] for element in self.order)

    # -- their order ---------------------------------------------------------------------------------------------------

    def _rank(self, step: tuple[str, int]) -> tuple[int, int]:
        """Return what comes first where nothing else decides: what widens, then what changes, then what narrows."""
        action, element = step
        rule = self.rules[element]
        place = self.places.get(element, len(self.places))
        if action == "delete":
            return (3 if rule.action == ACCEPT and rule.enable else 0), place
        if action == "update":
            final = self.goal.final[element]
            if rule.enable != final.enable:
                return (3 if (final.action == ACCEPT) != final.enable else 0), place
        return 1, place

    def _next(self) -> None:
        """Make the first step that cuts nobody off; where there is none, do something that makes one possible."""
        cuts = []
        for step in self.left:
            cut = self._cut_by(*step)
            if cut is None:
                self._make(*step)
                return
            cuts.append(cut)
        if not any(self._help(*cut) for cut in cuts):
            action, element = self.left[0]
            self.warnings.append(
                f"While the rules change, something that both the old and the new ones let through may be cut off for "
                f"a moment (at the {action} of {rule_text(self.rules[element])})."
            )
            self._make(action, element)

    def _make(self, action: str, element: int) -> None:
        self.left.remove((action, element))
        if action == "delete":
            self._delete(element)
        elif action == "update":
            self._update(element, self.goal.final[element])
            self.paused.discard(element)
        else:
            target = self._moveto(element)
            self.unsettled.discard(element)
            if target is not None:
                self._move(element, target)

    def _moveto(self, element: int) -> int | None:
        unsettled = frozenset({*self.unsettled, *self.bridges})
        return moveto(self.order, element, self.goal.arrangement.order, unsettled)

    def _cut_by(self, action: str, element: int) -> tuple[int, list[int]] | None:
        """Return the packets that a step would cut off, and the order of elements that it would leave."""
        if self.packets is None:
            return None
        order, rules = list(self.order), dict(self.rules)
        try:
            if action == "delete":
                self.order.remove(element)
            elif action == "update":
                self.rules[element] = self.goal.final[element]
            else:
                target = self._moveto(element)
                if target is not None:
                    self._shift(element, target)
            about = [rules[element]] + [self.rules[element]] * (action == "update")
            cut = self.packets.cut(self._list(), about)
            return None if cut is None else (cut, list(self.order))
        finally:
            self.order, self.rules = order, rules

    # -- help ----------------------------------------------------------------------------------------------------------

    def _help(self, packets: int, order: Sequence[int]) -> bool:
        """Switch off the rule that would cut these packets off, or bridge the gap with the one that lets them in."""
        if self.packets is None:
            return False
        waiting = {element for unused, element in self.left}
        cutting = self.packets.decides([self.rules[element] for element in order], packets)
        for element in waiting if cutting is None else [order[cutting], *sorted(waiting)]:
            if element in waiting and self._pause(element, packets):
                return True
        for rules in (self.goal.rules(), self.goal.current):
            letting_in = self.packets.decides(rules, packets)
            if letting_in is not None and self._bridge(rules[letting_in]):
                return True
        return False

    def _help_with(self, element: int) -> None:
        if element in self.goal.final:
            self._pause(element, None)
            self._bridge(self.goal.final[element])

    def _pause(self, element: int, packets: int | None) -> bool:
        rule = self.rules[element]
        # PVE has no effect of a rule with errors, and takes no change of it but one that mends it.
        if element in self.paused or not rule.enable or rule.action == ACCEPT or rule.errors:
            return False
        final = self.goal.final.get(element)
        if packets is not None and self.packets is not None:
            concerned = [rule, final] if final else [rule]
            if all(self.packets.decides([replace(one, enable=True)], packets) is None for one in concerned):
                return False
        self.paused.add(element)
        self._update(element, _pending(rule), "switched off while others change")
        if final is not None and ("update", element) not in self.left:
            self.left.append(("update", element))
        return True

    def _bridge(self, rule: Rule) -> bool:
        key = content(rule)
        if rule.action != ACCEPT or not rule.enable or key in self.bridged:
            return False
        self.bridged.add(key)
        element = max([*self.rules, *self.goal.final, len(self.goal.current)]) + 1
        self.bridges.append(element)
        self._post(element, replace(rule, comment=BRIDGE), "bridges a gap while others change")
        self.left.append(("delete", element))
        return True


def _pending(rule: Rule) -> Rule:
    told = Comment.parse(rule.comment)
    return replace(rule, enable=False, comment=str(replace(told, pending=True)))


def _to_create(rule: Rule) -> dict[str, Any]:
    row = rule.to_api()
    row.pop("ipversion", None)
    return row


def _to_change(before: Rule, after: Rule) -> dict[str, Any]:
    """Return the parameters that turn one rule into the other: changed fields, and the names of those to delete."""
    params: dict[str, Any] = {}
    gone = []
    for name in RULE_FIELDS:
        old, new = getattr(before, name), getattr(after, name)
        if old == new:
            continue
        api_name = name.replace("_", "-")
        if new is None:
            gone.append(api_name)
        else:
            params[api_name] = new
    if before.enable != after.enable:
        params["enable"] = int(after.enable)
    if gone:
        params["delete"] = ",".join(gone)
    return params
