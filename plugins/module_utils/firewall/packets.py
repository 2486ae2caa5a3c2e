"""Classes of packets that a list of rules can tell apart, and whether a list cuts off any that must get through.

The first rule that matches decides, so packets that are matched by the same rules share their fate. What is not known
here (the content of an IP set or a group) may match any packet: every combination that can matter is a class of its
own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Any, Optional

from .addresses import interval
from .model import Rule
from .names import MACROS, SERVICES, canonical_macro
from .values import HIGHEST_PORT, protocol_number, reference

# Classes beyond which the caller had better be careful than exact.
MOST_CLASSES = 4000

Span = tuple[int, int]  # first and last, both inside
Spans = Optional[tuple[Span, ...]]  # None stands for everything
Resolve = Callable[[str], Optional[str]]  # the address of an alias, where it is known

_DIMENSIONS = ("direction", "iface", "proto", "source", "dest", "dport", "sport")
# IPv6 addresses are counted behind the IPv4 ones, so that one number line holds both.
_BEHIND_IPV4 = 1 << 32
_ENDLESS = 1 << 130


class TooManyClasses(Exception):
    """The rules can tell apart more packets than is sensible to look at."""


@dataclass(frozen=True)
class Box:
    """What one line of a rule matches: spans of each dimension, and tokens of what is not known here."""

    spans: tuple[Spans, ...]
    tokens: frozenset[tuple[str, str]] = frozenset()
    accepts: bool = True


def content(rule: Rule) -> Rule:
    """Return a rule with nothing but what decides about packets."""
    return replace(rule, enable=True, comment=None, log=None, ipversion=None, errors={})


class Packets:
    """The packets that both lists let through, and what becomes of them in any list between the two.

    ``before`` and ``after`` are the lists; ``touched`` are contents of rules that are made, changed, moved, switched or
    removed on the way. Where no rule matches, what comes behind the list decides, one way or the other.
    """

    def __init__(
        self,
        before: Sequence[Rule],
        after: Sequence[Rule],
        touched: Iterable[Rule],
        resolve: Resolve = lambda name: None,
    ) -> None:
        self._resolve = resolve
        self._boxes: dict[Rule, tuple[Box, ...]] = {}
        self._bits: dict[Box, int] = {}
        self._known: dict[int, tuple[Rule, list[tuple[int, bool]]]] = {}
        for rule in (*before, *after):
            self._box(rule)
        concerned = dict.fromkeys(content(rule) for rule in touched)
        for rule in concerned:
            self._box(rule)
        classes: set[int] = set()
        for rule in concerned:
            for box in self._boxes[rule]:
                classes |= self._within(box, MOST_CLASSES - len(classes))
        old, new = self._lines(before), self._lines(after)
        self._protected = [
            (packets, passes)
            for packets in sorted(classes)
            for passes in (False, True)
            if self._gets_through(old, packets, passes) and self._gets_through(new, packets, passes)
        ]

    def cut(self, rules: Sequence[Rule], about: Iterable[Rule]) -> int | None:
        """Return packets that this list cuts off although they are to get through; None if there are none.

        Only those are looked at that a rule in ``about`` may match: what was changed in a list that cuts nobody off.
        """
        concerned = sum({self._bits[box] for rule in about for box in self._boxes[content(rule)]})
        found = [(packets, passes) for packets, passes in self._protected if packets & concerned]
        if not found:
            return None
        lines = self._lines(rules)
        return next((packets for packets, passes in found if not self._gets_through(lines, packets, passes)), None)

    def decides(self, rules: Sequence[Rule], packets: int) -> int | None:
        """Return the index of the rule that decides about these packets, None where none matches."""
        for index, rule in enumerate(rules):
            if rule.enable and not rule.errors and any(packets & bit for bit, unused in self._lines_of(rule)):
                return index
        return None

    @staticmethod
    def overlap(one: Rule, other: Rule) -> bool:
        """Tell whether some packet could be matched by both rules, whatever the names in them stand for."""
        mine, yours = (list(_boxes(content(rule), lambda name: None)) for rule in (one, other))
        return any(_overlap(box, another) for box in mine for another in yours)

    # -- verdicts ------------------------------------------------------------------------------------------------------

    def _lines(self, rules: Sequence[Rule]) -> list[tuple[int, bool]]:
        return [line for rule in rules if rule.enable and not rule.errors for line in self._lines_of(rule)]

    def _lines_of(self, rule: Rule) -> list[tuple[int, bool]]:
        """Return the bits of what a rule matches, in their order, with what it then does."""
        found = self._known.get(id(rule))
        if found is None:
            found = rule, [(self._bits[box], box.accepts) for box in self._boxes[content(rule)]]
            # The rule is kept, so that its id is not given to another one.
            self._known[id(rule)] = found
        return found[1]

    @staticmethod
    def _gets_through(lines: Iterable[tuple[int, bool]], packets: int, passes: bool) -> bool:
        return next((accepts for bit, accepts in lines if packets & bit), passes)

    # -- classes -------------------------------------------------------------------------------------------------------

    def _box(self, rule: Rule) -> None:
        key = content(rule)
        if key not in self._boxes:
            self._boxes[key] = tuple(_boxes(key, self._resolve))
            for box in self._boxes[key]:
                self._bits.setdefault(box, 1 << len(self._bits))

    def _within(self, box: Box, most: int) -> set[int]:
        """Return the classes of the packets in a box: each a number with a bit for every box that they are in."""
        near = [other for other in self._bits if _overlap(box, other)]
        classes = {sum(self._bits[other] for other in near)}
        for number in range(len(_DIMENSIONS)):
            masks = self._masks(near, number, box.spans[number])
            if len(classes) * len(masks) > 50 * MOST_CLASSES:
                raise TooManyClasses
            classes = {one & mask for one in classes for mask in masks}
            if len(classes) > most:
                raise TooManyClasses
        holding = {other.tokens for other in near}
        if len(holding) ** 2 > MOST_CLASSES:
            raise TooManyClasses
        pairs = combinations_with_replacement(sorted(holding, key=sorted), 2)
        known = {box.tokens | one | other for one, other in pairs}
        masks = {sum(self._bits[other] for other in near if other.tokens <= tokens) for tokens in known}
        if len(classes) * len(masks) > 50 * MOST_CLASSES:
            raise TooManyClasses
        classes = {one & mask for one in classes for mask in masks if one & mask & self._bits[box]}
        if len(classes) > most:
            raise TooManyClasses
        return classes

    def _masks(self, boxes: Sequence[Box], number: int, limits: Spans) -> set[int]:
        """Return, for every part of one dimension within limits, which boxes hold it."""
        edges: list[tuple[int, int, int]] = []  # where, what changes there, the box's bit
        always = 0
        for box in boxes:
            spans = box.spans[number]
            bit = self._bits[box]
            if spans is None:
                always |= bit
                continue
            for first, last in spans:
                edges += [(first, 1, bit), (last + 1, 0, bit)]
        if not edges:
            return {always}
        starts = sorted({where for where, unused, bit in edges} | {0})
        opening: dict[int, int] = {}
        closing: dict[int, int] = {}
        for where, opens, bit in edges:
            side = opening if opens else closing
            side[where] = side.get(where, 0) | bit
        masks: set[int] = set()
        held = 0
        for index, where in enumerate(starts):
            held = (held & ~closing.get(where, 0)) | opening.get(where, 0)
            last = starts[index + 1] - 1 if index + 1 < len(starts) else _ENDLESS
            if limits is None or any(first <= last and where <= end for first, end in limits):
                masks.add(always | held)
        return masks


# -- rules as boxes ----------------------------------------------------------------------------------------------------

_WORDS: dict[str, int] = {}


def _word(text: str) -> tuple[Span, ...]:
    """Return a number for a word (the name of an interface, a direction)."""
    number = _WORDS.setdefault(text, len(_WORDS) + 1)
    return ((number, number),)


def _boxes(rule: Rule, resolve: Resolve) -> Iterator[Box]:
    if rule.type == "group":
        spans: list[Spans] = [None] * len(_DIMENSIONS)
        spans[1] = _word(rule.iface) if rule.iface else None
        for accepts in (True, False):
            word = "lets through" if accepts else "cuts off"
            yield Box(tuple(spans), frozenset([(f"group {word}", rule.action)]), accepts)
        return
    lines: Sequence[Any] = MACROS.get(canonical_macro(rule.macro) or "", ()) if rule.macro else ({},)
    for line in lines or ({},):
        yield _one_box(rule, line, resolve)


def _one_box(rule: Rule, line: Any, resolve: Resolve) -> Box:
    tokens: set[tuple[str, str]] = set()
    proto = rule.proto or line.get("proto")
    number = None if proto is None else protocol_number(proto)
    icmp = number in (1, 58)
    spans: list[Spans] = [
        _word(rule.type),
        _word(rule.iface) if rule.iface else None,
        None if number is None else ((number, number),),
    ]
    for name in ("source", "dest"):
        spans.append(_addresses(getattr(rule, name), name, tokens, resolve))
    for name in ("dport", "sport"):
        value = getattr(rule, name) or line.get(name)
        if value and icmp:
            tokens.add(("icmp", value))
        spans.append(None if icmp or not value else _ports(value))
    kind = rule.icmp_type or line.get("icmp-type")
    if kind:
        tokens.add(("icmp", kind))
    return Box(tuple(spans), frozenset(tokens), rule.action == "ACCEPT")


def _addresses(value: str | None, name: str, tokens: set[tuple[str, str]], resolve: Resolve) -> Spans:
    if not value:
        return None
    named = reference(value)
    if named:
        known = None if named.is_set else resolve(value)
        if known is None:
            tokens.add((name, value.lower()))
            return None
        value = known
    spans = []
    for item in value.split(","):
        try:
            version, (first, last) = interval(item)
        except ValueError:
            # PVE takes spellings that are no addresses elsewhere.
            tokens.add((name, value.lower()))
            return None
        base = 0 if version == 4 else _BEHIND_IPV4
        spans.append((base + first, base + last))
    return tuple(sorted(spans))


def _ports(value: str) -> Spans:
    spans: list[Span] = []
    for item in value.split(","):
        if re.match(r"[0-9]+(?::[0-9]+)?\Z", item):
            first, unused, last = item.partition(":")
            spans.append((int(first), int(last or first)))
        elif item in SERVICES:
            spans += [(port, port) for port in SERVICES[item].values()]
        else:
            return ((0, HIGHEST_PORT),)
    return tuple(sorted(spans))


def _overlap(one: Box, other: Box) -> bool:
    for mine, yours in zip(one.spans, other.spans):
        if mine is None or yours is None or mine is yours:
            continue
        if len(mine) == len(yours) == 1:
            if mine[0][0] > yours[0][1] or yours[0][0] > mine[0][1]:
                return False
        elif not any(a <= d and c <= b for a, b in mine for c, d in yours):
            return False
    return True
