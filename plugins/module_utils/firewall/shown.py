"""How the objects of the firewall look in results, whichever module returns them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .comments import Comment
from .model import Alias, Entry, Group, IpSet, Rule

Row = dict[str, Any]


def rule_row(rule: Rule) -> Row:
    """Return a rule as results show it: the key beside the comment, and the comment without it."""
    row = {name.replace("-", "_"): value for name, value in rule.to_api().items() if name != "ipversion"}
    told = Comment.parse(rule.comment)
    row.pop("comment", None)
    return {
        **({"key": told.key} if told.key else {}),
        **row,
        "enable": rule.enable,
        **({"comment": told.text} if told.text else {}),
    }


def rule_rows(rules: Iterable[Rule]) -> list[Row]:
    """Return a list of rules as results show it, each with its position."""
    return [{"position": position, **rule_row(rule)} for position, rule in enumerate(rules)]


def alias_row(alias: Alias) -> Row:
    """Return an alias as results show it."""
    return given({"name": alias.name, "cidr": alias.cidr, "comment": alias.comment})


def entry_row(entry: Entry) -> Row:
    """Return an entry of an IP set as results show it."""
    return {**given({"cidr": entry.cidr, "comment": entry.comment}), "nomatch": entry.nomatch}


def set_row(found: IpSet) -> Row:
    """Return an IP set with its entries as results show it."""
    entries = [entry_row(entry) for entry in found.entries or ()]
    return {**given({"name": found.name, "comment": found.comment}), "entries": entries}


def group_row(group: Group) -> Row:
    """Return a security group without its rules as results show it."""
    return {"name": group.name, **({"comment": group.comment} if group.comment else {})}


def given(fields: Mapping[str, Any]) -> Row:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}
