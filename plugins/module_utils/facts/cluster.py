"""The cluster as a whole."""

from __future__ import annotations

import re
from typing import Any

from ..access.observe import rights_from
from .ask import NOTHING, Ask
from .config import DESCRIPTION
from .context import Context
from .fetch import Collector
from .fields import Fields, Row, flag, integer, text, typed
from .scene import PERMISSIONS, STATUS

CLUSTER, OPTIONS, LOG = "cluster", "cluster_options", "log"
_VERSION: Fields = {"version": text, "release": text, "repoid": text}
_CLUSTER: Fields = {"name": text, "quorate": flag, "version": integer}
_LOG: Fields = {
    "time": integer,
    "node": text,
    "user": text,
    "tag": text,
    "pri": integer,
    "pid": integer,
    "uid": integer,
    "msg": text,
}
# A proxy may be written with the password for it.
_CREDENTIALS = re.compile(r"(?<=//)[^/@]*@")


def version(context: Context) -> Collector[dict[str, Any]]:
    """Return what PVE says of its version, which was asked before anything else."""
    yield []
    return typed(context.fetcher.reader.version, _VERSION)


def cluster(_context: Context) -> Collector[dict[str, Any] | None]:
    """Read the state of the cluster. A node that stands alone has no name for it, and no quorum to lose."""
    (rows,) = yield [Ask(CLUSTER, STATUS)]
    if rows is NOTHING:
        return None
    own: Row = next((row for row in rows if row.get("type") == "cluster"), {})
    nodes = [row for row in rows if row.get("type") == "node"]
    return {
        "clustered": bool(own),
        **typed(own, _CLUSTER),
        "nodes": len(nodes),
        "online": sum(flag(row.get("online")) for row in nodes),
        "answering": next((str(row["name"]) for row in nodes if flag(row.get("local"))), None),
    }


def options(context: Context) -> Collector[dict[str, Any] | None]:
    """Read the datacenter's options, as PVE has them: those that are set."""
    tree, found = yield [Ask(OPTIONS, PERMISSIONS), Ask(OPTIONS, "/cluster/options")]
    if found is NOTHING:
        return None
    if tree is not NOTHING and "Sys.Audit" not in rights_from(tree).get("/", {}):
        context.hide(OPTIONS, "All but the options for the console and for tags take Sys.Audit on /.")
    left_out = ("digest",) if context.wanted.shown.descriptions else ("digest", DESCRIPTION)
    return {name: _option(value) for name, value in sorted(found.items()) if name not in left_out}


def _option(value: Any) -> Any:
    return _CREDENTIALS.sub("", value) if isinstance(value, str) else value


def log(context: Context) -> Collector[list[dict[str, Any]] | None]:
    """Read the cluster's log, the newest line first."""
    tree, rows = yield [Ask(LOG, PERMISSIONS), Ask(LOG, "/cluster/log")]
    if rows is NOTHING:
        return None
    if tree is not NOTHING and "Sys.Syslog" not in rights_from(tree).get("/", {}):
        context.hide(LOG, f"Only lines about {context.caller} itself are listed; the others take Sys.Syslog on /.")
    found = [typed(row, _LOG) for row in rows]
    return sorted(found, key=lambda row: (-(row["time"] or 0), str(row["node"]), str(row["msg"]), row["pid"] or 0))
