"""Options read into a ``Document``. What can be judged without the server is judged here, before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from ..client.errors import OptionError
from .comments import KEY, comment_problem
from .rule_checks import field_problems
from .scope import DATACENTER, GROUP, GUEST, NODE, VNET, Scope
from .spec import ALL_OPTIONS, OPTIONS
from .values import group_problem, name_problem, network_problem, plain_network
from .wanted import (
    AFTER,
    BEFORE,
    TOP,
    AliasSpec,
    Document,
    EntrySpec,
    GroupSpec,
    ListSpec,
    OptionsSpec,
    PlaceSpec,
    RuleSpec,
    SetSpec,
)

Raw = Mapping[str, Any]
T = TypeVar("T")

API_PORT = 8006
API_CLIENTS = {4: "api-clients", 6: "api-clients-v6"}
LOWEST_VMID = 100
_NODE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\Z")
_VNET = re.compile(r"[a-z][a-z0-9]{0,6}[a-z0-9]\Z")
_RATE = re.compile(r"[1-9][0-9]*/(?:second|minute|hour|day)\Z")
_HELPERS = ("amanda", "ftp", "irc", "netbios-ns", "pptp", "sane", "sip", "snmp", "tftp")
_LOWEST = {
    "nf_conntrack_max": 32768,
    "nf_conntrack_tcp_timeout_established": 7875,
    "nf_conntrack_tcp_timeout_syn_recv": 30,
    "protection_synflood_rate": 1,
    "protection_synflood_burst": 1,
}
_HIGHEST = {"nf_conntrack_tcp_timeout_syn_recv": 60}
_RULE_FIELDS = ("type", "action", "macro", "source", "dest", "proto", "dport", "sport", "icmp_type", "iface", "log")


class Problems:
    """What speaks against a document, each with the field that it is about."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, where: str, problem: str | None) -> None:
        if problem:
            self.found.append(f"{where}: {problem}.")

    def stop(self) -> None:
        """Raise OptionError if there are any."""
        found = list(dict.fromkeys(self.found))
        if len(found) == 1:
            raise OptionError(found[0])
        if found:
            listed = " ".join(f"({number}) {problem}" for number, problem in enumerate(found, 1))
            raise OptionError(f"{len(found)} things speak against this, and nothing was done: {listed}")


# -- places ------------------------------------------------------------------------------------------------------------


def parse_scope(raw: Raw) -> Scope:
    """Read ``scope`` and the option that goes with it. Raises OptionError where that is missing or too much."""
    kind = raw["scope"]
    needed = {NODE: "node", GUEST: "vmid", VNET: "vnet", GROUP: "group"}.get(kind)
    for name in ("node", "vmid", "vnet", "group"):
        if name != needed and raw.get(name) is not None:
            raise OptionError(f"{name}: does not go with scope: {kind}.")
    if needed is None:
        return DATACENTER
    if raw.get(needed) is None:
        raise OptionError(f"scope: {kind} needs {needed}.")
    problems = Problems()
    scope = _scope(kind, raw[needed], problems, needed)
    problems.stop()
    return scope


def _scope(kind: str, value: Any, problems: Problems, where: str) -> Scope:
    name = str(value)
    if kind == GUEST:
        fits = re.match(r"[1-9][0-9]{2,8}\Z", name)
        problems.add(where, None if fits else f"{name!r} is no number of a guest (from {LOWEST_VMID} on)")
    elif kind == GROUP:
        problems.add(where, group_problem(name))
    elif kind == NODE:
        problems.add(where, None if _NODE.match(name) else f"{name!r} is no name of a node")
    else:
        problems.add(where, None if _VNET.match(name) else f"{name!r} is no name of a vnet")
    return Scope(kind, name)


def parse_document(raw: Raw, places: Iterable[tuple[str, Any, Raw]]) -> Document:
    """Read a whole ``pve_firewall`` document. ``places`` are (kind, name, options) of nodes, guests and vnets.

    Raises OptionError with everything that is wrong.
    """
    problems = Problems()
    clients = raw.get("api_clients")
    found = [
        place(_scope(kind, name, problems, f"{kind}s[{name}]"), options, problems, f"{kind}s[{name}] ")
        for kind, name, options in places
        if options
    ]
    cluster = raw.get("cluster")
    if cluster is not None or clients is not None:
        first = place(DATACENTER, cluster or {}, problems, "cluster ")
        found.insert(0, _with_api_clients(first, clients, problems) if clients is not None else first)
    problems.stop()
    return Document(tuple(found), api_clients=tuple(clients or ()), **guard_options(raw))


def guard_options(raw: Raw) -> dict[str, Any]:
    """Return what the options of the lock-out guard say, as fields of a document."""
    source = raw.get("management_source")
    if source:
        problems = Problems()
        problems.add("management_source", network_problem(source))
        problems.stop()
    return {"management_source": source, "allow_lockout": raw["allow_lockout"]}


def place(scope: Scope, raw: Raw, problems: Problems, prefix: str = "") -> PlaceSpec:
    """Read what is declared about one place."""
    exclusive = frozenset(raw.get("exclusive") or ())
    return PlaceSpec(
        scope,
        parse_options(raw, "options" in exclusive, problems, prefix),
        _each(raw, "aliases", parse_alias, problems, prefix),
        _each(raw, "ipsets", parse_set, problems, prefix),
        _each(raw, "groups", parse_group, problems, prefix),
        parse_list(raw, scope, problems, prefix, exclusive="rules" in exclusive),
        exclusive - {"rules", "options"},
    )


def _each(
    raw: Raw, listing: str, read: Callable[[Raw, Problems, str], T], problems: Problems, prefix: str
) -> tuple[T, ...]:
    rows = raw.get(listing) or ()
    names = [row["name"].lower() for row in rows]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.add(f"{prefix}{listing}[{name}]", "is declared more than once")
    return tuple(read(row, problems, prefix) for row in rows)


def rules_document(raw: Raw) -> Document:
    """Read the options of a module for rules: a list of them, or one. Raises OptionError."""
    if raw.get("rules") is None:
        single = {name: raw.get(name) for name in (*_RULE_FIELDS, "key", "enable", "comment", "state")}
        given = any(value is not None for name, value in single.items() if name != "state")
        raw = {**raw, "rules": [single] if given else None}
    elif raw["state"] == "absent":
        raw = {**raw, "rules": [{**rule, "state": "absent"} for rule in raw["rules"]]}
    if raw["rules"] is None and not raw["exclusive"]:
        raise OptionError("Nothing is declared.", "Give rules, or one rule by its key or its content.")
    return _of_one_place(raw, lambda scope, problems: {"rules": parse_list(raw, scope, problems)})


def options_document(raw: Raw) -> Document:
    """Read the options of a module for options. Raises OptionError."""

    def read(scope: Scope, problems: Problems) -> dict[str, Any]:
        values = {name: raw[name] for name in ALL_OPTIONS if raw.get(name) is not None}
        for name in [*values, *(raw.get("unset") or ())]:
            if name not in OPTIONS[scope.kind]:
                problems.add(name, f"is no option of a {scope.kind}")
        return {"options": parse_options({**raw, "options": values}, raw["exclusive"], problems)}

    return _of_one_place(raw, read)


def alias_document(raw: Raw) -> Document:
    """Read the options of a module for one alias. Raises OptionError."""
    return _of_one_place(raw, lambda scope, problems: {"aliases": (parse_alias(raw, problems),)})


def set_document(raw: Raw) -> Document:
    """Read the options of a module for one IP set. Raises OptionError."""
    return _of_one_place(raw, lambda scope, problems: {"ipsets": (parse_set(raw, problems),)})


def group_document(raw: Raw) -> Document:
    """Read the options of a module for one security group. Raises OptionError."""
    return _of_one_place(raw, lambda scope, problems: {"groups": (parse_group(raw, problems),)})


def _of_one_place(raw: Raw, read: Callable[[Scope, Problems], dict[str, Any]]) -> Document:
    problems = Problems()
    scope = parse_scope(raw) if "scope" in raw else DATACENTER
    place = PlaceSpec(scope, **read(scope, problems))
    problems.stop()
    return Document((place,), **guard_options(raw))


def _with_api_clients(cluster: PlaceSpec, clients: list[str], problems: Problems) -> PlaceSpec:
    """Put the rules that let the API's clients in ahead of the others; a rule of that key in the document is kept."""
    for client in clients:
        problems.add("api_clients", network_problem(client))
    if problems.found:
        return cluster
    rules = cluster.rules or ListSpec()
    declared = {rule.key for rule in rules.rules}
    own = []
    for version, key in API_CLIENTS.items():
        sources = sorted({plain_network(client) for client in clients if (":" in client) == (version == 6)})
        fields = {
            "type": "in",
            "action": "ACCEPT",
            "source": ",".join(sources),
            "proto": "tcp",
            "dport": str(API_PORT),
            "comment": "May reach the API",
        }
        if key in declared:
            continue
        spec = RuleSpec(key, fields if sources else {}, True, "present" if sources else "absent", f"rules[{key}]")
        for name, problem in field_problems(spec.fields, of_guest=False):
            problems.add("api_clients", f"{name} {problem}")
        own.append(spec)
    position = rules.position or (None if rules.rules else TOP)
    joined = ListSpec((*own, *rules.rules), position, rules.anchor, rules.exclusive)
    return replace(cluster, rules=joined)


# -- rules -------------------------------------------------------------------------------------------------------------


def parse_list(
    raw: Raw, scope: Scope, problems: Problems, prefix: str = "", *, exclusive: bool | None = None
) -> ListSpec | None:
    """Read an ordered list of rules; None where nothing is said about rules."""
    exclusive = bool(raw.get("exclusive")) if exclusive is None else exclusive
    position, anchor = raw.get("position"), raw.get("anchor")
    if raw.get("rules") is None and not exclusive:
        if position or anchor:
            problems.add(f"{prefix}position", "needs rules")
        return None
    rules = [
        parse_rule(row, scope, problems, f"{prefix}rules[{row.get('key') or number}]")
        for number, row in enumerate(raw.get("rules") or ())
    ]
    keys = [rule.key for rule in rules if rule.key]
    for key in sorted({key for key in keys if keys.count(key) > 1}):
        problems.add(f"{prefix}rules[{key}]", "this key is declared more than once")
    if (position in (BEFORE, AFTER)) != (anchor is not None):
        problems.add(f"{prefix}anchor", "goes with position: before and position: after, and these need it")
    if anchor is not None:
        problems.add(f"{prefix}anchor", None if KEY.match(anchor) else f"{anchor!r} is no key")
        if anchor in keys:
            problems.add(f"{prefix}anchor", f"{anchor!r} is one of the rules that are to stand beside it")
    return ListSpec(tuple(rules), position, anchor, exclusive)


def parse_rule(raw: Raw, scope: Scope, problems: Problems, label: str) -> RuleSpec:
    """Read one rule."""
    fields = {name: str(raw[name]).strip() for name in _RULE_FIELDS if raw.get(name) is not None}
    key = raw.get("key")
    if key is not None and not KEY.match(key):
        problems.add(f"{label} key", f"{key!r} is no key: 1 to 32 letters, digits, '.', '_' or '-'")
    comment = raw.get("comment")
    if comment is not None:
        problems.add(f"{label} comment", comment_problem(comment, last=key is None))
        fields["comment"] = comment.strip()
    for name, problem in field_problems(fields, of_guest=scope.kind == GUEST):
        problems.add(f"{label} {name}", problem)
    state = raw.get("state") or "present"
    if key is None and not ("type" in fields and "action" in fields):
        problems.add(label, "a rule without a key is found by its content, which takes type and action at least")
    return RuleSpec(key, fields, raw.get("enable"), state, label)


# -- objects -----------------------------------------------------------------------------------------------------------


def parse_alias(raw: Raw, problems: Problems, prefix: str = "") -> AliasSpec:
    """Read an alias."""
    label = f"{prefix}aliases[{raw['name']}]"
    problems.add(f"{label} name", name_problem(raw["name"], keeps_case=True))
    if raw.get("cidr") is not None:
        problems.add(f"{label} cidr", network_problem(raw["cidr"], host_bits=True))
    _check_comment(raw, label, problems)
    return AliasSpec(raw["name"], raw.get("cidr"), _stripped(raw), raw.get("state") or "present")


def parse_set(raw: Raw, problems: Problems, prefix: str = "") -> SetSpec:
    """Read an IP set."""
    label = f"{prefix}ipsets[{raw['name']}]"
    problems.add(f"{label} name", name_problem(raw["name"]))
    _check_comment(raw, label, problems)
    entries = tuple(_parse_entry(row, problems, label) for row in raw.get("entries") or ())
    known = [entry.cidr for entry in entries]
    for cidr in sorted({cidr for cidr in known if known.count(cidr) > 1}):
        problems.add(f"{label} entries[{cidr}]", "is declared more than once")
    return SetSpec(raw["name"], _stripped(raw), entries, bool(raw.get("exclusive")), raw.get("state") or "present")


def _parse_entry(raw: Raw, problems: Problems, prefix: str) -> EntrySpec:
    cidr = raw["cidr"].strip()
    label = f"{prefix} entries[{cidr}]"
    _check_comment(raw, label, problems)
    name = cidr.rpartition("/")[2] if cidr.startswith(("dc/", "guest/")) else cidr
    if name_problem(name, keeps_case=True) is None and not _looks_like_address(name):
        cidr = cidr.lower()
    else:
        problem = network_problem(cidr)
        if problem is None and cidr.endswith("/0"):
            problem = "PVE takes no network of all addresses into a set; say both halves (0.0.0.0/1 and 128.0.0.0/1)"
        problems.add(f"{label} cidr", problem)
        cidr = plain_network(cidr)
    return EntrySpec(cidr, raw.get("nomatch"), _stripped(raw), raw.get("state") or "present")


def _looks_like_address(name: str) -> bool:
    return network_problem(name, host_bits=True) is None


def parse_group(raw: Raw, problems: Problems, prefix: str = "") -> GroupSpec:
    """Read a security group with its rules."""
    label = f"{prefix}groups[{raw['name']}]"
    problems.add(f"{label} name", group_problem(raw["name"]))
    _check_comment(raw, label, problems)
    rules = parse_list(raw, Scope(GROUP, raw["name"]), problems, f"{label} ")
    return GroupSpec(raw["name"], _stripped(raw), rules, raw.get("state") or "present")


def _check_comment(raw: Raw, label: str, problems: Problems) -> None:
    if raw.get("comment") is not None:
        problems.add(f"{label} comment", comment_problem(raw["comment"].strip(), last=True))


def _stripped(raw: Raw) -> str | None:
    return None if raw.get("comment") is None else raw["comment"].strip()


# -- options -----------------------------------------------------------------------------------------------------------


def parse_options(raw: Raw, exclusive: bool, problems: Problems, prefix: str = "") -> OptionsSpec:
    """Read options, as PVE writes them: switches are 0 and 1."""
    values = {name: value for name, value in (raw.get("options") or {}).items() if value is not None}
    for name, value in values.items():
        problems.add(f"{prefix}options {name}", _option_problem(name, value))
    unset = tuple(raw.get("unset") or ())
    for name in unset:
        if name in values:
            problems.add(f"{prefix}unset", f"{name} is given a value, too")
    written = {name: _written(value) for name, value in values.items()}
    # PVE keeps no empty value.
    empty = tuple(name for name, value in written.items() if value == "")
    return OptionsSpec({name: written[name] for name in written if name not in empty}, (*unset, *empty), exclusive)


def _written(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return ",".join(value) if isinstance(value, list) else value


def _option_problem(name: str, value: Any) -> str | None:
    if name in _LOWEST and value < _LOWEST[name]:
        return f"{value} is less than {_LOWEST[name]}"
    if name in _HIGHEST and value > _HIGHEST[name]:
        return f"{value} is more than {_HIGHEST[name]}"
    if name == "nf_conntrack_helpers":
        unknown = [helper for helper in value if helper not in _HELPERS]
        return f"{unknown[0]!r} is none of {', '.join(_HELPERS)}" if unknown else None
    return _ratelimit_problem(value) if name == "log_ratelimit" else None


def _ratelimit_problem(value: str) -> str | None:
    parts = dict(part.partition("=")[::2] for part in value.split(","))
    if parts.get("enable", parts.get("1" if "1" in parts else "0")) is None:
        return "needs enable=0 or enable=1"
    if set(parts) - {"enable", "rate", "burst", "0", "1"}:
        return "has enable, rate and burst, and nothing else"
    if "rate" in parts and not _RATE.match(parts["rate"]):
        return "its rate is a number by second, minute, hour or day, such as 1/second"
    if "burst" in parts and not parts["burst"].isdigit():
        return "its burst is a number"
    return None
