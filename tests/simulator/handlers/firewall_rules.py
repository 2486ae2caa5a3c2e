"""Firewall rules, those of security groups included."""

from __future__ import annotations

from ..errors import Failure, ParameterError
from ..firewall.config import Row, with_digest
from ..firewall.rules import verify_rule
from ..verify import split_list
from .firewall_files import EVERYWHERE, File, on

FIELDS = (
    *("type", "action", "enable", "pos", "digest", "macro", "iface", "source", "dest", "proto", "dport", "sport"),
    *("log", "comment", "icmp-type"),
)
_REQUIRED = ("type", "action")
_NO_FILE = "Can't use an undefined value as an ARRAY reference at /usr/share/perl5/PVE/API2/Firewall/Rules.pm line {}."
_UPDATING, _DELETING = 373, 462


def _rules(file: File) -> list[Row] | None:
    """Return the rules that a call is about; None where there is no file."""
    group = file.call.get("group")
    if group is None:
        return file.config.rules
    if group not in file.config.groups:
        raise Failure(f"no such security group '{group}'")
    return file.config.groups[group]


def _save(file: File, rules: list[Row]) -> None:
    group = file.call.get("group")
    if group is None:
        file.config.rules = rules
    else:
        file.config.groups[group] = rules
    file.save()


def _verify(file: File, rule: Row) -> None:
    env, scopes = file.place.env, file.scopes
    if "group" in file.call:
        env, scopes = "group", type(scopes)(scopes.datacenter, None, scopes.sdn)
    verify_rule(rule, scopes, env, file.call.release, strict=True)


def _merge(file: File, rule: Row) -> None:
    for name in FIELDS:
        value = file.call.get(name)
        if value in ("", "-"):
            rule.pop(name, None)
        elif value is not None:
            rule[name] = value


def _position(file: File, rules: list[Row]) -> int:
    pos = file.call["pos"]
    if int(pos) >= len(rules):
        raise Failure(f"no rule at position {pos}")
    return int(pos)


@on("GET", "/rules", *EVERYWHERE)
@on("GET", "/groups/{group}", "cluster")
def list_rules(file: File) -> list[Row]:
    return [{**row, "pos": pos} for pos, row in enumerate(with_digest(_rules(file) or []))]


@on("GET", "/rules/{pos}", *EVERYWHERE)
@on("GET", "/groups/{group}/{pos}", "cluster")
def read_rule(file: File) -> Row:
    rules = with_digest(_rules(file) or [])
    return {**rules[_position(file, rules)], "pos": file.call["pos"]}


@on("POST", "/rules", *EVERYWHERE)
@on("POST", "/groups/{group}", "cluster")
def create_rule(file: File) -> None:
    rules = _rules(file) or []
    rule: Row = {}
    _merge(file, rule)
    _verify(file, rule)
    if "enable" not in file.call:
        rule["enable"] = 0
    _save(file, [rule, *rules])


@on("PUT", "/rules/{pos}", *EVERYWHERE)
@on("PUT", "/groups/{group}/{pos}", "cluster")
def update_rule(file: File) -> None:
    rules = _rules(file)
    file.check_digest(rules or [])
    if rules is None:
        raise Failure(_NO_FILE.format(_UPDATING))
    pos = _position(file, rules)
    moveto = file.call.get("moveto")
    rule = rules[pos]
    if moveto is not None and int(moveto) != pos:
        others = rules[:pos] + rules[pos + 1 :]
        target = int(moveto) - (int(moveto) > pos)
        _save(file, [*others[:target], rule, *others[target:]])
        return
    _merge(file, rule)
    for name in split_list(file.call.get("delete") or ""):
        if name not in FIELDS:
            raise ParameterError({"delete": f"no such property ('{name}')"})
        if name in _REQUIRED:
            raise ParameterError({"delete": f"unable to delete required property '{name}'"})
        rule.pop(name, None)
    _verify(file, rule)
    _save(file, rules)


@on("DELETE", "/rules/{pos}", *EVERYWHERE)
@on("DELETE", "/groups/{group}/{pos}", "cluster")
def delete_rule(file: File) -> None:
    rules = _rules(file)
    file.check_digest(rules or [])
    if rules is None:
        raise Failure(_NO_FILE.format(_DELETING))
    del rules[_position(file, rules)]
    _save(file, rules)
