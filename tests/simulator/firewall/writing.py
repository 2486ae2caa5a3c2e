"""Writing a firewall file. Values go into it as they are, line breaks included."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import Failure
from .config import WITH_IFACE, Config, Place, Row
from .text import is_blank, joined, to_file, true

_RULE_SWITCHES = (
    ("-source", "source"),
    ("-dest", "dest"),
    ("-p", "proto"),
    ("-dport", "dport"),
    ("-sport", "sport"),
    ("-log", "log"),
    ("-icmp-type", "icmp-type"),
)
_UNKNOWN_TYPE = "unknown rule type '{}' at /usr/share/perl5/PVE/Firewall.pm line 3731."


def write(config: Config, place: Place, *, keep_duplicates: bool = False) -> str:
    """Return the text of a file, empty where there is nothing to write. Raises Failure for a rule of no known type.

    Of entries of an IP set with the same text PVE keeps the first; a file written by hand may hold them all.
    """
    sections = []
    if config.options:
        # PVE writes them in no particular order.
        lines = (f"{name}: {value}" for name, value in sorted(config.options.items()))
        sections.append(f"[OPTIONS]\n\n{joined(lines)}\n")
    if config.aliases:
        sections.append(f"[ALIASES]\n\n{joined(_alias(row) for unused, row in sorted(config.aliases.items()))}\n")
    for name, entries in sorted(config.ipsets.items()):
        header = _header("IPSET", name, config.ipset_comments.get(name))
        lines = (_entry(row) for row in (entries if keep_duplicates else _distinct(entries)))
        sections.append(f"{header}\n\n{joined(lines)}\n")
    if config.rules:
        lines = (_rule(rule, place.env in WITH_IFACE) for rule in config.rules)
        sections.append(f"[RULES]\n\n{joined(lines)}\n")
    for name, rules in sorted(config.groups.items()):
        header = _header("group", name, config.group_comments.get(name))
        sections.append(f"{header}\n\n{joined(_rule(rule, with_iface=False) for rule in rules)}\n")
    return "".join(sections)


def _header(kind: str, name: str, comment: str | None) -> str:
    return f"[{kind} {name}] # {to_file(comment or '')}" if true(comment) else f"[{kind} {name}]"


def _comment(row: Row) -> str:
    comment = str(row.get("comment") or "")
    return f" # {to_file(comment)}" if true(comment) and not is_blank(comment) else ""


def _alias(row: Row) -> str:
    return f"{row.get('name', '')} {row.get('cidr', '')}{_comment(row)}"


def _distinct(rows: Iterable[Row]) -> list[Row]:
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row["cidr"], row)
    return [row for unused, row in sorted(first.items())]


def _entry(row: Row) -> str:
    return f"{'!' if true(row.get('nomatch')) else ''}{row['cidr']}{_comment(row)}"


def _rule(rule: Row, with_iface: bool) -> str:
    kind = rule["type"]
    if kind not in ("in", "out", "forward", "group"):
        raise Failure(_UNKNOWN_TYPE.format(kind))
    disabled = "enable" in rule and not true(rule["enable"])
    action = f"{rule['macro']}({rule['action']})" if true(rule.get("macro")) else rule["action"]
    pieces = [f"{'|' if disabled else ''}{kind.upper()} {action}"]
    if with_iface and true(rule.get("iface")):
        pieces.append(f"-i {rule['iface']}")
    if kind != "group":
        pieces += [f"{switch} {rule[name]}" for switch, name in _RULE_SWITCHES if true(rule.get(name))]
    return " ".join(pieces) + _comment(rule)
