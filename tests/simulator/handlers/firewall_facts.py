"""What the firewall tells about itself: indexes, macros, references, logs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from ..firewall.config import Config, Row
from ..firewall.names import FORWARD_SINCE, SCOPES_SINCE
from ..firewall.store import sets_of_vnets
from ..firewall.text import true
from ..schema import DATA
from . import Call, index, route
from .firewall_files import BASES, WITH_OBJECTS, File, on

index(BASES["cluster"], "aliases", "rules", "options", "groups", "ipset", "macros", "refs", key="name")
index(BASES["host"], "rules", "options", "log", key="name")
index(BASES["vm"], "rules", "aliases", "ipset", "refs", "options", key="name")
index(BASES["ct"], "rules", "aliases", "ipset", "refs", "options", key="name")
index(BASES["vnet"], "rules", "options", key="name")


@cache
def _macros() -> list[Row]:
    descriptions = json.loads((DATA / "macros.json").read_text(encoding="utf-8"))
    return [{"macro": name, "descr": text} for name, text in descriptions.items()]


@route("GET", "/cluster/firewall/macros")
def list_macros(call: Call) -> list[Row]:
    return _macros()


@on("GET", "/refs", *WITH_OBJECTS)
def list_references(file: File) -> list[Row]:
    call = file.call
    rows = list(_references(file.firewall.datacenter, "dc"))
    if file.place.env != "cluster":
        rows += _references(file.config, "guest")
    if call.release >= FORWARD_SINCE:
        for vnet, zone in sorted(call.state.vnets.items()):
            if call.rights.has_any(call.caller, f"/sdn/zones/{zone}/{vnet}", ["SDN.Audit", "SDN.Allocate"]):
                rows += [_reference("ipset", name, None, "sdn") for name in sorted(sets_of_vnets([vnet]))]
    if call.release < SCOPES_SINCE:
        rows = [{name: value for name, value in row.items() if name != "scope"} for row in rows]
    return [row for row in rows if call.get("type") in (None, row["type"])]


def _references(config: Config, scope: str) -> Iterator[Row]:
    for name in config.ipsets:
        yield _reference("ipset", name, config.ipset_comments.get(name), scope)
    for name, alias in config.aliases.items():
        yield _reference("alias", name, alias.get("comment"), scope)


def _reference(kind: str, name: str, comment: str | None, scope: str) -> Row:
    row: Row = {"type": kind, "name": name, "ref": f"+{name}" if kind == "ipset" else name, "scope": scope}
    return {**row, "comment": comment} if true(comment) else row


@route("GET", *(BASES[env] + "/log" for env in ("host", "vm", "ct")))
def read_log(call: Call) -> list[dict[str, Any]]:
    call.extra["total"] = 1
    return [{"n": 1, "t": "unable to open file - No such file or directory"}]
