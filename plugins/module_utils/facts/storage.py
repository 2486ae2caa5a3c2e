"""Storages: how they are defined, how full they are, and what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..access.observe import held_below
from ..wording import some_of
from .ask import NOTHING, Ask
from .context import Context
from .fetch import Collector
from .fields import Fields, Row, flag, integer, text, typed, words
from .rights import may_hold
from .scene import STORAGE, Scene

CONTENT = "storage_content"
# PVE keeps these elsewhere, and answers none of them; should that ever change, it does not change here.
_SECRET = frozenset(["password", "keyring", "key", "encryption-key", "master-pubkey"])
_OWN = frozenset(["storage", "type", "content", "nodes", "shared", "disable", "digest"])
_USAGE: Fields = {"node": text, "status": text, "disk": integer, "maxdisk": integer}
_VOLUME: Fields = {
    "volid": text,
    "content": text,
    "subtype": text,
    "format": text,
    "size": integer,
    "used": integer,
    "vmid": integer,
    "ctime": integer,
    "parent": text,
}


def storage(context: Context) -> Collector[list[dict[str, Any]] | None]:
    """Read the storages: one row for each, with what every wanted node says of it."""
    (rows,) = yield [Ask(STORAGE, "/storage")]
    scene = yield from context.scene()
    if rows is NOTHING and not scene.read:
        return None
    _note_hidden(context, scene, STORAGE)
    defined = {str(row["storage"]): row for row in (rows if rows is not NOTHING else ())}
    used = _usage(scene)
    return [_storage(name, defined.get(name), used.get(name, [])) for name in sorted({*defined, *used})]


def _usage(scene: Scene) -> dict[str, list[Row]]:
    wanted = {node.node for node in scene.nodes}
    found: dict[str, list[Row]] = {}
    for row in scene.others:
        if row.get("type") == STORAGE and row.get("node") in wanted:
            found.setdefault(str(row["storage"]), []).append(row)
    return found


def _storage(name: str, defined: Row | None, used: list[Row]) -> dict[str, Any]:
    seen: Row = used[0] if used else {}
    row: Row = defined if defined is not None else {**seen, "type": seen.get("plugintype")}
    shared = row.get("shared", seen.get("shared"))
    return {
        "storage": name,
        "type": row.get("type"),
        "content": sorted(words(row.get("content") or "")),
        "shared": flag(shared or 0),
        "enabled": not flag(row.get("disable") or 0),
        "only_nodes": sorted(words(row["nodes"])) if row.get("nodes") else None,
        "options": None if defined is None else _options(defined),
        "nodes": sorted((typed(one, _USAGE) for one in used), key=lambda one: str(one["node"])),
    }


def _options(defined: Row) -> dict[str, Any]:
    return {name: value for name, value in sorted(defined.items()) if name not in _OWN and name not in _SECRET}


def content(context: Context) -> Collector[list[dict[str, Any]] | None]:
    """Read what is in the storages of the wanted nodes; a shared one is asked about once, on a node that is online."""
    scene = yield from context.scene()
    if not scene.read:
        return None
    online = {node.node for node in scene.nodes if node.online}
    places: dict[tuple[str, str], Row] = {}
    for name, rows in sorted(_usage(scene).items()):
        best = min(rows, key=lambda row: (row["node"] not in online, row.get("status") != "available", row["node"]))
        for row in [best] if flag(best.get("shared") or 0) else rows:
            places[name, str(row["node"])] = row
    partly = _note_content(context, scene, sorted({name for name, unused in places}))
    asks = [Ask(CONTENT, f"/nodes/{node}/storage/{name}/content", (), node) for name, node in places]
    answers = yield asks
    found = []
    for (name, node), row, answer in zip(places, places.values(), answers):
        if answer is not NOTHING:
            volumes: list[Any] | None = sorted(
                (_volume(one, context) for one in answer), key=lambda one: str(one["volid"])
            )
            shared = flag(row.get("shared") or 0)
            # Where some are hidden, none does not mean that there are none.
            volumes = volumes or None if name in partly else volumes
            found.append({"storage": name, "node": node, "shared": shared, "volumes": volumes})
    return found


def _note_hidden(context: Context, scene: Scene, subset: str) -> None:
    if scene.rights_known and not held_below(scene.rights, "/storage", "Datastore.Audit"):
        reason = f"Only storages on which {context.caller} holds Datastore.Audit are listed, which is not all of them."
        context.hide(subset, reason)


def _note_content(context: Context, scene: Scene, names: list[str]) -> list[str]:
    """Note what is hidden, and return the storages that show a part of their content only."""
    if not scene.rights_known:
        return []
    _note_hidden(context, scene, CONTENT)
    partly = [name for name in names if not may_hold(scene.rights, f"/storage/{name}", "Datastore.Allocate")]
    if partly:
        context.hide(
            CONTENT,
            f"Of {some_of(partly)}, disks and backups are listed only of guests on which {context.caller} holds "
            "VM.Config.Disk or VM.Backup; all of them take Datastore.Allocate on /storage/STORAGE.",
        )
    return partly


def _volume(row: Mapping[str, Any], context: Context) -> dict[str, Any]:
    found = {**typed(row, _VOLUME), "protected": flag(row.get("protected") or 0)}
    # Notes are what descriptions are elsewhere.
    return {**found, "notes": row.get("notes")} if context.wanted.shown.descriptions else found
