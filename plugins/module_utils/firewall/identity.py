"""Which rule on the server is which declared rule: by key, else by content, never by position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..client.errors import OptionError
from .comments import Comment, is_bridge
from .model import Rule
from .names import canonical_macro
from .values import same
from .wanted import ListSpec, RuleSpec

# What a rule is about. The rest (comment, log level, being enabled) is an attribute of it.
CONTENT = ("type", "action", "macro", "source", "dest", "proto", "dport", "sport", "icmp_type", "iface")


@dataclass(frozen=True)
class Declared:
    """A declared rule that is to be there, and the index of the rule that it is; None where it has to be made."""

    spec: RuleSpec
    index: int | None


@dataclass(frozen=True)
class Match:
    """What becomes of a list. ``declared`` is in the declared order; ``removed`` are indexes of rules that go.

    ``bridges`` are left over from a run that was cut off.
    """

    declared: tuple[Declared, ...]
    removed: frozenset[int]
    bridges: frozenset[int]


def match(wanted: ListSpec, current: Sequence[Rule]) -> Match:
    """Find every declared rule. Raises OptionError where a key stands on two rules, or something cannot be made."""
    bridges = frozenset(index for index, rule in enumerate(current) if is_bridge(rule.comment))
    keys = _keys(wanted, current)
    free = [
        index for index, rule in enumerate(current) if index not in bridges and Comment.parse(rule.comment).key is None
    ]
    declared: list[Declared] = []
    removed: set[int] = set()
    # Whoever is named by its key is out of the game before contents are compared.
    for spec in wanted.rules:
        if spec.state == "absent":
            if spec.key is not None:
                removed.update(keys.get(spec.key, ()))
            continue
        index = keys[spec.key][0] if spec.key in keys else _by_content(spec, current, free)
        if index in free:
            free.remove(index)
        if index is None:
            _can_be_made(spec)
        declared.append(Declared(spec, index))
    for spec in wanted.rules:
        if spec.state == "absent" and spec.key is None:
            while (index := _by_content(spec, current, free)) is not None:
                free.remove(index)
                removed.add(index)
    if wanted.exclusive:
        removed = set(range(len(current))) - bridges - {item.index for item in declared if item.index is not None}
    return Match(tuple(declared), frozenset(removed), bridges)


def _keys(wanted: ListSpec, current: Sequence[Rule]) -> Mapping[str | None, list[int]]:
    found: dict[str | None, list[int]] = {}
    for index, rule in enumerate(current):
        key = Comment.parse(rule.comment).key
        if key is not None:
            found.setdefault(key, []).append(index)
    for spec in wanted.rules:
        if spec.key is not None and len(found.get(spec.key, ())) > 1:
            places = " and ".join(str(index) for index in found[spec.key])
            raise OptionError(
                f"{spec.label}: the key {spec.key} stands on more than one rule, at positions {places}.",
                "Take it out of the comments of those that do not deserve it.",
            )
    return found


def _by_content(spec: RuleSpec, current: Sequence[Rule], free: Sequence[int]) -> int | None:
    if not {"type", "action"} <= spec.fields.keys():
        return None
    fitting = [index for index in free if _equals(spec, current[index])]
    return max(fitting, key=lambda index: (_likeness(spec, current[index]), -index), default=None)


def _equals(spec: RuleSpec, rule: Rule) -> bool:
    return all(same(name, spec.fields.get(name) or None, getattr(rule, name)) for name in CONTENT)


def _likeness(spec: RuleSpec, rule: Rule) -> int:
    """Count what fits beyond the content, so that the most similar of several is taken."""
    comment = spec.fields.get("comment")
    alike = comment is not None and comment == Comment.parse(rule.comment).text
    return 2 * alike + (spec.enable is not None and spec.enable == rule.enable)


def _can_be_made(spec: RuleSpec) -> None:
    for name in ("type", "action"):
        if name not in spec.fields:
            raise OptionError(
                f"{spec.label}: there is no rule with the key {spec.key}, and without {name} none can be made.",
                "Give type and action, or correct the key.",
            )


def final_rule(spec: RuleSpec, rule: Rule | None) -> Rule:
    """Return the rule as it is to be: the given fields over what is there; a new rule is enabled unless told not to."""
    given: dict[str, Any] = {name: value or None for name, value in spec.fields.items() if name != "comment"}
    if given.get("macro"):
        given["macro"] = canonical_macro(given["macro"]) or given["macro"]
    told = Comment.parse(rule.comment) if rule else Comment()
    text = spec.fields.get("comment", told.text)
    comment = str(Comment(text, spec.key or told.key)) or None
    if rule is None:
        return Rule(**given, enable=spec.enable is not False, comment=comment)
    if "type" in given and ("group" in (given["type"], rule.type)) and given["type"] != rule.type:
        # PVE drops what does not fit beside the name of a group; what comes from a group has nothing to keep.
        rule = Rule(rule.type, rule.action, rule.enable, iface=rule.iface, comment=rule.comment)
    changed = {name: value for name, value in given.items() if not same(name, value, getattr(rule, name))}
    enable = spec.enable if spec.enable is not None else rule.enable or told.pending
    return replace(rule, **changed, enable=enable, comment=comment, errors={} if changed else rule.errors)
