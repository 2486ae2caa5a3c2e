"""Tasks: of the cluster and of a node, their state and their output; and the cluster log."""

from __future__ import annotations

import re
from typing import Any

from ..errors import ParameterError
from ..objects import Task
from ..verify import split_list
from . import Call, index, route

_UPID = re.compile(r"UPID:[^:]+:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:[^:]+:[^:]*:[^:]+:\Z")
_KINDS = {"ok", "warning", "error", "unknown"}
_TASK_LIMIT = _LINE_LIMIT = 50
_RECENT = 25  # finished tasks that a node tells the cluster about
_LOG_LENGTH = 50
_NO_FILE = "unable to open file - No such file or directory"
_EMPTY_FILE = "no content"


def _split(task: Task) -> dict[str, str]:
    """Return whose task it is, a token's id apart from its user's."""
    user, unused, token = task.user.partition("!")
    return {"user": user, "tokenid": token} if token else {"user": user}


def _row(task: Task) -> dict[str, Any]:
    fields = ("upid", "node", "pid", "pstart", "starttime", "type", "id")
    return {name: getattr(task, name) for name in fields}


@route("GET", "/cluster/tasks")
def list_cluster_tasks(call: Call) -> list[dict[str, Any]]:
    """Return what the nodes have told; a token without Sys.Audit never finds its own, because rows name the user."""
    everything = call.rights.has_all(call.caller, "/", ["Sys.Audit"])
    rows = []
    for node in call.state.nodes.values():
        if not node.online:
            continue
        own = sorted((t for t in call.state.tasks if t.node == node.name), key=lambda task: -task.starttime)
        finished = [task for task in own if not task.running][:_RECENT]
        for task in [*(task for task in own if task.running), *finished]:
            owner = _split(task)
            if everything or owner["user"] == call.caller:
                row = {**_row(task), **owner, "saved": "0" if task.running else "1"}
                del row["pid"], row["pstart"]
                rows.append(row if task.running else {**row, "endtime": task.endtime, "status": task.status})
    return rows


@route("GET", "/nodes/{node}/tasks")
def list_node_tasks(call: Call) -> list[dict[str, Any]]:
    node = call.node_name
    own = sorted((t for t in call.state.tasks if t.node == node), key=lambda task: -task.starttime)
    source = call.get("source") or "archive"
    rows: list[dict[str, Any]] = []
    if source != "archive":
        # Rows of running tasks name the full id, and the checks and filters see them so.
        rows += [{**_row(task), "user": task.user} for task in own if task.running]
    if source != "active":
        rows += [
            {**_row(task), **_split(task), "endtime": task.endtime, "status": task.status}
            for task in own
            if not task.running
        ]
    auditor = call.rights.has_all(call.caller, f"/nodes/{node}", ["Sys.Audit"])
    rows = [row for row in rows if (auditor or _owns(call.caller, row)) and _wanted(call, row)]
    if rows:
        call.extra["total"] = len(rows)
    start, limit = int(call.get("start") or 0), int(call.get("limit") or _TASK_LIMIT)
    shown = rows[start : start + limit] if call.get("limit") != "0" else []
    return [row if "status" in row else {**row, "status": "RUNNING"} for row in shown]


def _owns(caller: str, row: dict[str, Any]) -> bool:
    """Tell whether a task is the caller's: a token's belongs to the token and to its user."""
    full = f"{row['user']}!{row['tokenid']}" if "tokenid" in row else row["user"]
    return caller in (full, row["user"])


def _wanted(call: Call, row: dict[str, Any]) -> bool:
    since, until = call.get("since"), call.get("until")
    kinds = _KINDS - {"ok"} if call.flag("errors") else _KINDS
    if call.get("statusfilter") is not None and not call.flag("errors"):
        kinds = {kind.lower() for kind in split_list(call["statusfilter"])}
    return (
        (call.get("userfilter") or "").lower() in row["user"].lower()
        and (call.get("typefilter") or row["type"]) == row["type"]
        and ("vmid" not in call or row["id"] == call["vmid"])
        and (since is None or row["starttime"] >= int(since))
        and (until is None or row["starttime"] <= int(until))
        and _kind(row.get("status")) in kinds
    )


def _kind(status: str | None) -> str:
    if not status or status == "unexpected status":
        return "unknown"
    if status == "OK":
        return "ok"
    return "warning" if re.match(r"WARNINGS: \d+\Z", status) else "error"


index("/nodes/{node}/tasks/{upid}", "log", "status", key="name")


def _asked(call: Call) -> Task | None:
    """Return the task of an upid; the owner that the upid names may see it. Raises ParameterError for a bad one."""
    upid = call["upid"]
    if not _UPID.match(upid):
        raise ParameterError({"upid": "unable to parse worker upid"})
    return next((task for task in call.state.tasks if task.upid == upid), None)


def _require_owner(call: Call) -> None:
    user, unused, token = call["upid"].split(":")[7].partition("!")
    if not _owns(call.caller, {"user": user, "tokenid": token} if token else {"user": user}):
        call.rights.require_all(call.caller, f"/nodes/{call['node']}", ["Sys.Audit"])


@route("GET", "/nodes/{node}/tasks/{upid}/status")
def read_task(call: Call) -> dict[str, Any]:
    task = _asked(call)
    if task is None or task.log is None:
        raise ParameterError({"upid": "no such task"})
    _require_owner(call)
    row = {**_row(task), **_split(task), "status": "running" if task.running else "stopped"}
    return row if task.running else {**row, "exitstatus": task.status}


@route("GET", "/nodes/{node}/tasks/{upid}/log")
def read_task_log(call: Call) -> list[dict[str, Any]]:
    task = _asked(call)
    _require_owner(call)
    if task is None or task.log is None:
        call.extra["total"] = 1
        return [{"n": 1, "t": _NO_FILE}]
    return lines(call, task.log)


def lines(call: Call, text: list[str]) -> list[dict[str, Any]]:
    """Return a part of a file as PVE does: from ``start``, ``limit`` lines of it, none given meaning 50, 0 all."""
    call.extra["total"] = len(text) or 1
    start, limit = int(call.get("start") or 0), int(call.get("limit") or _LINE_LIMIT)
    if not text:
        return [{"n": 1, "t": _EMPTY_FILE}]
    end = len(text) if call.get("limit") == "0" else start + limit
    return [{"n": number, "t": line} for number, line in enumerate(text, 1) if start < number <= end]


@route("GET", "/cluster/log")
def read_log(call: Call) -> list[dict[str, Any]]:
    everything = call.rights.has_all(call.caller, "/", ["Sys.Syslog"])
    seen = [entry for entry in call.state.log if everything or entry.user == call.caller]
    newest = sorted(seen, key=lambda entry: (-entry.time, -entry.uid))[: int(call.get("max") or _LOG_LENGTH)]
    return [{**vars(entry), "uid": str(entry.uid), "id": f"{entry.uid}:{entry.node}"} for entry in newest]
