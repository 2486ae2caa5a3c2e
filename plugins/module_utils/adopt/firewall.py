"""The live firewall as a ``pve_firewall`` document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..client.errors import OptionError
from ..firewall.comments import Comment, comment_problem, is_bridge
from ..firewall.document import Problems, parse_alias, parse_group, parse_options, parse_rule, parse_set, place
from ..firewall.identity import final_rule, match
from ..firewall.model import RULE_FIELDS, Entry, Option, Rule, Ruleset
from ..firewall.observe import View
from ..firewall.places import PlaceTarget
from ..firewall.reach import rule_text
from ..firewall.releases import check_releases
from ..firewall.scope import DATACENTER, GROUP, GUEST, NODE, VNET, WITH_OBJECTS, Scope
from ..firewall.spec import OPTIONS
from ..firewall.target import make_target, same_option
from ..firewall.wanted import Document, ListSpec, PlaceSpec, RuleSpec
from ..policy.observe import Observed
from .parts import Part, is_harmless
from .yaml_text import Place

Row = dict[str, Any]

_LISTINGS = {NODE: "nodes", GUEST: "guests", VNET: "vnets"}


def adopt_firewall(observed: Observed, *, exclusive: bool) -> Part:
    """Return the document: the datacenter, and every node, guest and vnet that has anything of its own.

    With ``exclusive``, these places may hold nothing else, and those that have nothing stand there, too.
    """
    part = Part()
    if DATACENTER not in observed.places:
        part.note("the firewall is left out: the caller may not read that of the datacenter")
        return part
    writer = _Writer(part, observed.firewall, exclusive=exclusive)
    empty: list[Scope] = []
    for scope, found in sorted(observed.places.items(), key=lambda pair: _in_order(pair[0])):
        if scope == DATACENTER:
            part.document["cluster"] = writer.place(scope, found.rules, ("cluster",))
            off = "" if found.on else "The firewall is off: nothing of this file is in force, and no guest is filtered."
            part.say(("cluster",), off or "The datacenter: what holds for the hosts, and what all rules may name.")
            continue
        if not any((found.rules.options, found.rules.rules, found.rules.aliases, found.rules.ipsets)):
            empty.append(scope)
            continue
        listing = _LISTINGS[scope.kind]
        name: Any = int(scope.id) if scope.kind == GUEST else scope.id
        where: Place = (listing, name)
        if listing not in part.document:
            part.say((listing,), "")
        part.document.setdefault(listing, {})[name] = writer.place(scope, found.rules, where)
        if scope.kind == GUEST:
            part.say(where, *_guest(observed, int(scope.id), on=found.on))
    if exclusive:
        _nothing_in(part, empty)
    return part


def _nothing_in(part: Part, empty: Iterable[Scope]) -> None:
    """Say of places in which there is nothing that this is how it is to stay."""
    told: set[str] = set()
    for scope in empty:
        listing = _LISTINGS[scope.kind]
        name: Any = int(scope.id) if scope.kind == GUEST else scope.id
        if listing not in part.document:
            part.say((listing,), "")
        part.document.setdefault(listing, {})[name] = {"exclusive": _kinds(scope)}
        if listing not in told:
            part.say((listing, name), "Nothing stands in the firewalls of these, and nothing is to.")
        told.add(listing)


def _kinds(scope: Scope) -> list[str]:
    """Return the kinds of objects that a place can hold."""
    kinds = {"options", "rules"}
    kinds |= {"aliases", "ipsets"} if scope.kind in WITH_OBJECTS else set()
    return sorted(kinds | ({"groups"} if scope == DATACENTER else set()))


def _in_order(scope: Scope) -> tuple[int, int, str]:
    kinds = [DATACENTER.kind, NODE, GUEST, VNET]
    return kinds.index(scope.kind), int(scope.id) if scope.kind == GUEST else 0, scope.id


def _guest(observed: Observed, vmid: int, *, on: bool) -> list[str]:
    name = observed.guests.get(vmid, {}).get("name")
    told = [part for part in (name, "" if on else "its firewall is off") if part]
    return [", ".join(told)] if told else []


class _Writer:
    """Writes places, and notes what cannot be said of them."""

    def __init__(self, part: Part, view: View, *, exclusive: bool) -> None:
        self.part = part
        self.view = view
        self.exclusive = exclusive
        # The parts of the place at hand of which something had to be left out.
        self.unsaid: set[str] = set()

    def place(self, scope: Scope, held: Ruleset, where: Place) -> Row:
        """Return what a document says of a place."""
        self.unsaid = set()
        row: Row = {}
        row["options"] = self._options(scope, held.options)
        if scope.kind in WITH_OBJECTS:
            row["aliases"] = [
                one
                for alias in held.aliases.values()
                for one in self._said(scope, "aliases", alias.name, {"cidr": alias.cidr}, alias.comment)
            ]
            row["ipsets"] = [
                one
                for found in held.ipsets.values()
                for one in self._set(scope, found.name, found.comment, found.entries or ())
            ]
        if scope == DATACENTER:
            row["groups"] = [
                one
                for number, group in enumerate(held.groups.values())
                for one in self._group(group.name, group.comment, group.rules or (), (*where, "groups", number))
            ]
        rules = self._rules(scope, held.rules, (*where, "rules"))
        row["rules"] = rules or []
        self._drop_what_would_change(scope, row)
        row = {name: value for name, value in row.items() if value}
        if self.exclusive:
            nothing_else = [kind for kind in _kinds(scope) if kind not in self.unsaid]
            row.update({"exclusive": nothing_else} if nothing_else else {})
            if self.unsaid:
                told = f"Not {' and '.join(sorted(self.unsaid))}: not all of what is there can be said here."
                self.part.say((*where, "exclusive"), told)
                self._not_exclusive(f"{scope}: the {' and '.join(sorted(self.unsaid))}")
        return row

    def _not_exclusive(self, what: str) -> None:
        if self.exclusive:
            self.part.note(f"{what} are not exclusive, as not all that is there can be said: new ones are not found")

    def _leave_out(self, scope: Scope, kind: str, what: str, why: str) -> None:
        self.unsaid.add(kind)
        self.part.note(f"{scope}: {what} is left out: {why}")

    def _comment(self, what: str, text: str | None) -> Row:
        """Return the comment of an object, if there is one and a document can say it."""
        if not text:
            return {}
        if text.strip() == text and comment_problem(text, last=True) is None and is_harmless(text):
            return {"comment": text}
        self.part.note(f"{what}: its comment is left out, as a policy cannot say it as it is")
        return {}

    # -- options -------------------------------------------------------------------------------------------------------

    def _options(self, scope: Scope, options: Mapping[str, Option]) -> Row:
        found = {}
        for name, raw in sorted(options.items()):
            value = _typed(OPTIONS[scope.kind].get(name, {}), raw)
            problems = Problems()
            spec = parse_options({"options": {name: value}}, False, problems)
            check_releases(self.view, Document((PlaceSpec(scope, spec),)), problems)
            same = name in spec.values and same_option(name, raw, spec.values[name])
            if value is None or problems.found or not same or not is_harmless(str(raw)):
                self._leave_out(scope, "options", f"option {name}", f"{raw!r} is no value that a policy takes")
            else:
                found[name] = value
        return found

    # -- aliases, IP sets, groups --------------------------------------------------------------------------------------

    def _said(self, scope: Scope, kind: str, name: str, fields: Row, comment: str | None) -> list[Row]:
        """Return the row of a named object, or none where a document cannot say it."""
        row = {"name": name, **fields, **self._comment(f"{scope} {name}", comment)}
        problems = Problems()
        {"aliases": parse_alias, "ipsets": parse_set, "groups": parse_group}[kind](row, problems)
        if problems.found:
            self._leave_out(scope, kind, name, "; ".join(problems.found).rstrip("."))
            return []
        return [row]

    def _set(self, scope: Scope, name: str, comment: str | None, entries: Iterable[Entry]) -> list[Row]:
        rows = []
        for entry in entries:
            what = f"{scope} +{name} {entry.cidr}"
            row = {
                "cidr": entry.cidr,
                **({"nomatch": True} if entry.nomatch else {}),
                **self._comment(what, entry.comment),
            }
            problems = Problems()
            parse_set({"name": "entries", "entries": [row]}, problems)
            if problems.found:
                self.part.note(f"{what} is left out: {'; '.join(problems.found).rstrip('.')}")
            else:
                rows.append(row)
        whole = len(rows) == len(list(entries))
        if not whole:
            self._not_exclusive(f"{scope}: the entries of {name}")
        fields: Row = {
            **({"exclusive": True} if self.exclusive and whole else {}),
            **({"entries": rows} if rows else {}),
        }
        # Entries last: they are the longest.
        found = self._said(scope, "ipsets", name, fields, comment)
        return [{**{key: row[key] for key in row if key != "entries"}, **fields} for row in found]

    def _group(self, name: str, comment: str | None, rules: Sequence[Rule], where: Place) -> list[Row]:
        before = set(self.unsaid)
        listed = self._rules(Scope(GROUP, name), rules, (*where, "rules"))
        whole = self.unsaid == before
        if not whole:
            self._not_exclusive(f"security group {name}: the rules")
        # What is left out of a group's rules says nothing about those of the datacenter.
        self.unsaid = before
        fields: Row = {"exclusive": True} if self.exclusive and whole else {}
        fields.update({"rules": listed} if listed else {})
        found = self._said(DATACENTER, "groups", name, fields, comment)
        return [{**{key: row[key] for key in row if key != "rules"}, **fields} for row in found]

    # -- rules ---------------------------------------------------------------------------------------------------------

    def _rules(self, scope: Scope, rules: Sequence[Rule], where: Place) -> list[Row] | None:
        """Return the rules that a document can say, in their order. None where it cannot speak of the list at all."""
        if any(is_bridge(rule.comment) for rule in rules):
            why = "a run that was cut off has left a copy in it; run that task again, and adopt then"
            self._leave_out(scope, "rules", "the list of rules", why)
            return None
        keys = [Comment.parse(rule.comment).key for rule in rules]
        specs: dict[int, RuleSpec] = {}
        rows: dict[int, Row] = {}
        for index, rule in enumerate(rules):
            row = self._rule_row(scope, rule)
            problems = Problems()
            specs[index] = parse_rule(row, scope, problems, "rule")
            rows[index] = row
            why = problems.found[0].rstrip(".") if problems.found else _why_not(rule, keys)
            if why:
                del specs[index], rows[index]
                self._leave_out(scope, "rules", f"rule {index} ({rule_text(rule)})", why)
        for index in _astray(specs, rules):
            del rows[index]
            why = "a document would find another rule in its place, or write it anew"
            self._leave_out(scope, "rules", f"rule {index} ({rule_text(rules[index])})", why)
        return list(rows.values())

    def _rule_row(self, scope: Scope, rule: Rule) -> Row:
        told = Comment.parse(rule.comment)
        fields = {name: getattr(rule, name) for name in RULE_FIELDS if name != "comment"}
        return {
            **({"key": told.key} if told.key else {}),
            **{name: value for name, value in fields.items() if value is not None},
            "enable": rule.enable,
            **self._comment(f"{scope} rule {rule_text(rule)}", told.text),
        }

    # -- the proof -----------------------------------------------------------------------------------------------------

    def _drop_what_would_change(self, scope: Scope, row: Row) -> None:
        """Take out what would not stay as it is, for whatever reason, when the document is applied."""
        problems = Problems()
        spec = place(scope, {**row, "rules": None, "groups": _without_rules(row)}, problems)
        target = make_target(self.view, Document((spec,)))
        problems.stop()
        target.problems.stop()
        (found,) = target.places
        for kind, name in _changing(found):
            listing: list[Row] = row[kind]
            row[kind] = [one for one in listing if one["name"].lower() != name.lower()]
            self._leave_out(scope, kind, name, "PVE would write it another way than it is written now")


def _typed(spec: Mapping[str, Any], raw: Option) -> Any:
    """Return an option's value as a document says it, None where it cannot."""
    text = str(raw)
    if spec.get("type") == "bool":
        return {"0": False, "1": True}.get(text)
    if spec.get("type") == "int":
        return int(text) if re.match(r"-?[0-9]+\Z", text) else None
    if spec.get("type") == "list":
        return [part for part in re.split("[ ,;]", text) if part]
    if spec.get("type") == "str" and text:
        return text if text in spec.get("choices", (text,)) else None
    return None


def _why_not(rule: Rule, keys: Sequence[str | None]) -> str:
    told = Comment.parse(rule.comment)
    if rule.errors:
        return "PVE says that it is wrong and has no effect: " + "; ".join(
            f"{name}: {why.strip()}" for name, why in sorted(rule.errors.items())
        )
    if told.pending:
        return "a run that was cut off has not switched it on yet; run that task again, and adopt then"
    if told.key and keys.count(told.key) > 1:
        return f"another one has its key {told.key}, too"
    if not all(is_harmless(str(getattr(rule, name))) for name in RULE_FIELDS if name != "comment"):
        return "Ansible would take a part of it for a template"
    return ""


def _astray(specs: dict[int, RuleSpec], rules: Sequence[Rule]) -> list[int]:
    """Take out, and return, the rules that a document would not find as they are."""
    gone: list[int] = []
    while True:
        try:
            found = match(ListSpec(tuple(specs.values())), rules)
        except OptionError:
            found = match(ListSpec(), rules)
        wrong = [
            index
            for index, item in zip(list(specs), found.declared)
            if item.index != index or final_rule(item.spec, rules[index]) != rules[index]
        ]
        if not wrong:
            return gone
        for index in wrong:
            del specs[index]
        gone += wrong


def _without_rules(row: Row) -> list[Row]:
    groups: list[Row] = row.get("groups", [])
    return [{name: value for name, value in group.items() if name in ("name", "comment")} for group in groups]


def _changing(found: PlaceTarget) -> list[tuple[str, str]]:
    """Return the objects, by kind and name, that a document does not leave as they are."""
    changing = []
    for kind, pair in (("aliases", found.aliases), ("ipsets", found.sets), ("groups", found.groups)):
        before, after = pair or ({}, {})
        for name in before:
            if _essence(before[name]) != _essence(after.get(name)):
                changing.append((kind, name))
    return changing


def _essence(one: Any) -> Any:
    """Return an object without the order of entries, which PVE makes itself."""
    entries = getattr(one, "entries", None)
    return (one.name, one.comment, sorted(entries, key=lambda entry: str(entry.cidr))) if entries is not None else one
