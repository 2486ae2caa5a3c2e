"""PVE's API tree, read from the compact tables in ``data/``.

``endpoints.jsonl`` describes release 9.2: after a first line with the usual declarations of path parameters and with
groups of parameters that several methods share, each line is one method:

    m  method                       p  path
    c  permission check             f  flags: P run as root, N forwarded to the node, T no tokens, X further parameters
    a  parameters: name -> kind     g  names of parameter groups to add

A check is ``world``, ``all``, ``root``, or an expression: ``/path Priv&Priv``, ``/path Priv|Priv`` (any of them),
``modify /path``, ``self``, ``realm Priv``, ``group Priv|Priv [create|update]``, or a list of such that begins with
``and`` or ``or``. A kind is a letter (s string, i integer, n number, b boolean, a array), ``?`` when optional, and
limits. The values in it are percent-encoded where they contain a blank.

``changes-R.jsonl`` tells how release R differs: methods that it lacks, has besides, or that have other parameters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote

from ansible_collections.homelab.pve.plugins.module_utils.access.releases import Release

DATA = Path(__file__).parent / "data"
Check: TypeAlias = "str | list[Check]"
_TYPES = {"s": "string", "i": "integer", "n": "number", "b": "boolean", "a": "array"}
_REMEMBERED = 50_000  # paths
_INDEXED = re.compile(r"(.+)\[n\]\Z")


@dataclass(frozen=True)
class Parameter:
    """How a parameter is declared. Limits on numbers keep their spelling, because the error texts repeat it."""

    type: str
    optional: bool = False
    format: str = ""
    minimum: str | None = None
    maximum: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str = ""
    enum: tuple[str, ...] = ()
    requires: str = ""
    indexed: int | None = None  # name[n] stands for name0 to name<indexed>

    @classmethod
    def parse(cls, kind: str) -> Parameter:
        first, *limits = kind.split(" ")
        given = dict(limit.split("=", 1) for limit in limits)
        return cls(
            type=_TYPES[first[0]],
            optional=first.endswith("?"),
            format=given.get("fmt", ""),
            minimum=given.get("min"),
            maximum=given.get("max"),
            min_length=int(given["minlen"]) if "minlen" in given else None,
            max_length=int(given["maxlen"]) if "maxlen" in given else None,
            pattern=unquote(given.get("re", "")),
            enum=tuple(unquote(value) for value in given["enum"].split("|")) if "enum" in given else (),
            requires=given.get("req", ""),
            indexed=int(given["n"]) if "n" in given else None,
        )


@dataclass(frozen=True)
class Endpoint:
    """One method of one path."""

    method: str
    path: str
    check: Check
    flags: str = ""
    kinds: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        found: dict[str, Parameter] = {}
        for name, kind in self.kinds.items():
            parameter = Parameter.parse(kind)
            indexed = _INDEXED.match(name)
            if indexed and parameter.indexed is not None:
                for number in range(parameter.indexed + 1):
                    found[f"{indexed[1]}{number}"] = parameter
            else:
                found[name] = parameter
        return found

    @property
    def as_root(self) -> bool:
        return "P" in self.flags

    @property
    def on_node(self) -> bool:
        return "N" in self.flags

    @property
    def tokens_allowed(self) -> bool:
        return "T" not in self.flags

    @property
    def open_ended(self) -> bool:
        return "X" in self.flags


class Tree:
    """All endpoints of one release, found by method and path."""

    def __init__(self, endpoints: Mapping[tuple[str, str], Endpoint]) -> None:
        self.endpoints = dict(endpoints)
        self._root: dict[str, Any] = {}
        self._found: dict[tuple[str, str], tuple[Endpoint, dict[str, str]] | None] = {}
        for endpoint in self.endpoints.values():
            node = self._root
            for piece in _pieces(endpoint.path):
                node = node.setdefault(piece, {})
            node.setdefault("", {})[endpoint.method] = endpoint

    def find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]] | None:
        """Return the endpoint for a decoded path, with its path parameters; None when there is none.

        A literal piece is preferred to a parameter. White space in a piece matches nothing. The CIDR of an ipset
        entry takes the rest of the path, slashes included. What is returned is remembered, and not to be changed.
        """
        if (method, path) not in self._found:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[method, path] = self._find(method, path)
        return self._found[method, path]

    def _find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]] | None:
        node = self._root
        given: dict[str, str] = {}
        pieces = _pieces(path)
        for number, piece in enumerate(pieces):
            if piece in node:
                node = node[piece]
                continue
            name = next((key for key in node if key.startswith("{")), None)
            if name is None or re.search(r"\s", piece):
                return None
            node = node[name]
            if name == "{cidr}":
                given["cidr"] = "/".join(pieces[number:])
                break
            given[name[1:-1]] = piece
        endpoint = node.get("", {}).get(method)
        return (endpoint, given) if endpoint else None


def _pieces(path: str) -> list[str]:
    return [piece for piece in path.split("/") if piece]


def _lines(name: str) -> Iterator[Any]:
    with (DATA / name).open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _endpoint(row: Mapping[str, Any], head: Mapping[str, Any]) -> Endpoint:
    kinds: dict[str, str] = {}
    for name in re.findall(r"{([^}]+)}", row["p"]):
        if name in head["path_parameters"]:
            kinds[name] = head["path_parameters"][name]
    for group in row.get("g", []):
        kinds.update(head["groups"][group])
    kinds.update(row.get("a", {}))
    return Endpoint(row["m"], row["p"], row["c"], row.get("f", ""), kinds)


@cache
def tree(release: Release) -> Tree:
    """Return the API tree of a release: that of 9.2, 8.4 or 7.4, whichever is the newest not after it."""
    rows = _lines("endpoints.jsonl")
    head = next(rows)
    endpoints = {(e.method, e.path): e for e in (_endpoint(row, head) for row in rows)}
    table = "7.4" if release < (8, 0) else "8.4" if release < (9, 0) else None
    if table:
        changes = _lines(f"changes-{table}.jsonl")
        first = next(changes)
        for row in changes:
            key = (row["m"], row["p"])
            old = endpoints[key]
            kinds = {name: kind for name, kind in old.kinds.items() if name not in row.get("-", [])}
            kinds.update(row.get("+", {}))
            endpoints[key] = replace(old, kinds=kinds, check=row.get("c", old.check), flags=row.get("f", old.flags))
        for gone in first["absent"]:
            method, path = gone.split(" ", 1)
            endpoints.pop((method, path), None)
        for row in first["extra"]:
            endpoints[(row["m"], row["p"])] = _endpoint(row, head)
        # The tables of old releases hold the endpoints that matter to access, firewall and facts. Elsewhere the one
        # thing to correct is the privilege for guest agents, which had another name.
        endpoints = {key: replace(e, check=_before_guest_agent(e.check)) for key, e in endpoints.items()}
    return Tree(endpoints)


def _before_guest_agent(check: Check) -> Check:
    if isinstance(check, list):
        return [_before_guest_agent(part) for part in check]
    if "VM.GuestAgent." not in check:
        return check
    path, unused, privileges = check.partition(" ")
    kept = [p for p in privileges.split("|") if not p.startswith("VM.GuestAgent.")]
    return f"{path} {'|'.join(['VM.Monitor', *kept])}"
