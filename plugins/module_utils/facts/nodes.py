"""What takes a question for each node."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from ..wording import some_of
from .ask import NOTHING, Ask
from .context import Context
from .fetch import Collector
from .fields import Fields, Row, flag, integer, number, text, typed
from .model import Node
from .rights import may_hold
from .scene import Scene

STATUS, TASKS, CERTIFICATES, UPDATES = "node_status", "tasks", "certificates", "updates"

Rows = list[dict[str, Any]]
_STATUS: Fields = {"uptime": integer, "cpu": number, "wait": number, "kversion": text, "pveversion": text}
_PROCESSOR: Fields = {
    "model": text,
    "sockets": integer,
    "cores": integer,
    "cpus": integer,
    "mhz": number,
    "hvm": flag,
    "flags": text,
}
_MEMORY: Fields = {"total": integer, "used": integer, "free": integer, "available": integer}
_SWAP: Fields = {"total": integer, "used": integer, "free": integer}
_ROOT: Fields = {"total": integer, "used": integer, "free": integer, "avail": integer}
_BOOT: Fields = {"mode": text, "secureboot": flag}
_KERNEL: Fields = {"sysname": text, "release": text, "version": text, "machine": text}
_TASK: Fields = {
    "upid": text,
    "type": text,
    "id": text,
    "user": text,
    "tokenid": text,
    "starttime": integer,
    "endtime": integer,
    "status": text,
    "pid": integer,
}
_CERTIFICATE: Fields = {
    "filename": text,
    "subject": text,
    "issuer": text,
    "fingerprint": text,
    "notbefore": integer,
    "notafter": integer,
    "public-key-type": text,
    "public-key-bits": integer,
}
_PACKAGE: Fields = {
    "Package": text,
    "Title": text,
    "Version": text,
    "OldVersion": text,
    "Arch": text,
    "Origin": text,
    "Section": text,
    "Priority": text,
}


def statuses(context: Context) -> Collector[Rows | None]:
    """Read the status of each wanted node."""
    scene = yield from context.scene()
    unseen = set(scene.unaudited)
    _hide(context, STATUS, unseen, "The status of {nodes} takes Sys.Audit on /nodes/NODE.")
    found = yield from _of_each(STATUS, [node for node in scene.nodes if node.node not in unseen], "status")
    return _rows(found, len(scene.nodes), _status)


def _status(node: str, row: Row) -> dict[str, Any]:
    return {
        "node": node,
        **typed(row, _STATUS),
        "loadavg": [float(value) for value in row.get("loadavg") or []],
        "cpuinfo": typed(row.get("cpuinfo") or {}, _PROCESSOR),
        "memory": typed(row.get("memory") or {}, _MEMORY),
        "swap": typed(row.get("swap") or {}, _SWAP),
        "rootfs": typed(row.get("rootfs") or {}, _ROOT),
        "boot": typed(row.get("boot-info") or {}, _BOOT),
        "kernel": typed(row.get("current-kernel") or {}, _KERNEL),
    }


def tasks(context: Context) -> Collector[Rows | None]:
    """Read the newest tasks of each wanted node, those that run among them."""
    scene = yield from context.scene()
    unseen = set(scene.unaudited)
    if scene.rights_known:
        unseen |= {n.node for n in scene.nodes if n.online and not _may(scene, n, "Sys.Audit")}
    said = f"Of {{nodes}}, only tasks of {context.caller} itself are listed; the others take Sys.Audit on /nodes/NODE."
    _hide(context, TASKS, unseen, said)
    params = (("source", "all"), ("limit", context.wanted.tasks_limit))
    found = yield from _of_each(TASKS, scene.nodes, "tasks", params)
    # Where others are hidden, that there are no own ones does not mean that there are none.
    known = {node: rows for node, rows in found.items() if rows or node not in unseen}
    return _rows(known, len(scene.nodes), lambda node, rows: {"node": node, "tasks": _newest(rows)})


def _newest(rows: list[Row]) -> Rows:
    return sorted((_task(row) for row in rows), key=lambda task: (-(task["starttime"] or 0), str(task["upid"])))


def _task(row: Row) -> dict[str, Any]:
    found = typed(row, _TASK)
    # Of tasks that run, PVE gives the token together with the user.
    user, sign, token = str(found["user"]).partition("!")
    return {**found, "user": user, "tokenid": token} if sign else found


def certificates(context: Context) -> Collector[Rows | None]:
    """Read which certificates each wanted node shows."""
    scene = yield from context.scene()
    found = yield from _of_each(CERTIFICATES, scene.nodes, "certificates/info")
    return _rows(found, len(scene.nodes), lambda node, rows: {"node": node, "certificates": _certificates(rows)})


def _certificates(rows: list[Row]) -> Rows:
    found = [{**typed(row, _CERTIFICATE), "san": [str(name) for name in row.get("san") or []]} for row in rows]
    return [
        {name.replace("-", "_"): value for name, value in row.items()}
        for row in sorted(found, key=lambda row: str(row["filename"]))
    ]


def updates(context: Context) -> Collector[Rows | None]:
    """Read which packages of each wanted node have an update, as of its last look."""
    scene = yield from context.scene()
    unseen: set[str] = set()
    if scene.rights_known:
        unseen = {n.node for n in scene.nodes if n.online and not _may(scene, n, "Sys.Modify")}
    _hide(context, UPDATES, unseen, "The updates of {nodes} take Sys.Modify on /nodes/NODE.")
    asked = [node for node in scene.nodes if node.node not in unseen]
    found = yield from _of_each(UPDATES, asked, "apt/update")
    return _rows(found, len(scene.nodes), lambda node, rows: {"node": node, "packages": _packages(rows)})


def _packages(rows: list[Row]) -> Rows:
    names = {"OldVersion": "old_version"}
    found = [{names.get(name, name.lower()): value for name, value in typed(row, _PACKAGE).items()} for row in rows]
    return sorted(found, key=lambda row: str(row["package"]))


def _may(scene: Scene, node: Node, privilege: str) -> bool:
    return may_hold(scene.rights, f"/nodes/{node.node}", privilege)


def _of_each(
    subset: str, nodes: Iterable[Node], what: str, params: tuple[tuple[str, Any], ...] = ()
) -> Collector[dict[str, Any]]:
    """Ask each node the same; of those that did not answer there is nothing."""
    names = [node.node for node in nodes]
    answers = yield [Ask(subset, f"/nodes/{name}/{what}", params, name) for name in names]
    return {name: answer for name, answer in zip(names, answers) if answer is not NOTHING}


def _rows(found: dict[str, Any], wanted: int, row: Callable[[str, Any], dict[str, Any]]) -> Rows | None:
    return [row(node, answer) for node, answer in found.items()] if found or not wanted else None


def _hide(context: Context, subset: str, nodes: Collection[str], reason: str) -> None:
    if nodes:
        context.hide(
            subset, reason.format(nodes=some_of(sorted(nodes))), next(iter(nodes)) if len(nodes) == 1 else None
        )
