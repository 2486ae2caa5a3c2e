"""What to ask: pure planning. Each question knows which answer a good reader gets.

A question is one of three: a read that is granted or refused as a whole, a list that shows each row only to those who
may see it, or a probe of a call that would write. A probe carries a parameter that PVE does not know. PVE looks at
rights before it looks at parameters: it answers 403 to those who may not, and 400 to those who may.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ..access.releases import Release
from ..endpoints.checks import Check, Values, fields, fill
from ..endpoints.reads import reads
from ..endpoints.writes import MEASURED, Write, writes
from ..least.parse import Endpoint
from .objects import GUESTS, NO_NAME, NO_VMID, Objects, strangers
from .reader import Reader, Tree, held_in

# The parameter that makes a probe fail. No schema of PVE has it, and those that take anything are never probed.
GUARD = {"homelab-pve-proof": "1"}

READ, LIST, WRITE = "read", "list", "write"
_WRITES_AT = {
    "vms": GUESTS,
    "nodes": ("node",),
    "storage": ("storage",),
    "pool": ("pool", "storage", *GUESTS),
    "access": ("access",),
    "sdn": ("sdn",),
    "mapping": ("mapping",),
}


@dataclass(frozen=True)
class Question:
    """One request. ``params`` are those of the call; a guarded one gets the parameter that makes it fail on top.

    ``check`` is PVE's, filled in. ``expected`` tells whether the reader should pass it (None for lists: each row has a
    check of its own). ``kind`` is read, list or write.
    """

    kind: str
    method: str
    path: str
    check: Check
    expected: bool | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    guarded: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


# Reads that stand for what a privilege opens, each with whether it is only asked for. A log is not read: a read with an
# undeclared parameter tells as much, costs the node nothing and brings nobody's log lines here. The datacenter's
# firewall options are read: there, PVE takes any parameter.
_READS: Mapping[str, bool] = {
    "/cluster/status": False,
    "/cluster/ha/resources": True,
    "/cluster/firewall/options": False,
    "/nodes/{node}/status": False,
    "/nodes/{node}/report": True,
    "/nodes/{node}/firewall/options": True,
    "/nodes/{node}/syslog": True,
    "/nodes/{node}/{kind}/{vmid}/status/current": False,
    "/nodes/{node}/{kind}/{vmid}/config": False,
    "/nodes/{node}/{kind}/{vmid}/firewall/options": True,
    "/nodes/{node}/{kind}/{vmid}/firewall/log": True,
    "/nodes/{node}/storage/{storage}/status": False,
    "/storage/{storage}": True,
    "/pools/{poolid}": False,
    "/access/users/{userid}": False,
    "/access/groups/{groupid}": True,
    "/access/domains/{realm}": True,
    "/access/users/{userid}/token": True,
}

# Each of them answers 200 to everybody; see ``judge.py`` for what a row stands for.
_LISTS: tuple[str, ...] = (
    "/access/acl",
    "/access/groups",
    "/access/users",
    "/cluster/log",
    "/cluster/tasks",
    "/nodes",
    "/nodes/{node}/lxc",
    "/nodes/{node}/qemu",
    "/nodes/{node}/storage",
    "/nodes/{node}/tasks",
    "/pools",
    "/storage",
)
_LIST_PARAMS = {"/access/users": {"full": "1"}}


def plan_reads(reader: Reader, objects: Objects, release: Release) -> list[Question]:
    """Return the reads: of the reader's own objects, and of objects that are not its own."""
    found: dict[str, Question] = {}
    checks = {read.path: read.check for read in reads(release)}
    for template, guarded in _READS.items():
        for values, real in _value_sets(template, reader, objects):
            path = template.replace("{kind}", values["kind"])
            check = checks[path]
            filled = check.for_path(values)
            expected = filled.satisfied(reader.held)
            if expected and not (real or guarded):
                continue  # What does not exist cannot be read by those who may, either.
            if "poolid" in fields(path) and "/" in values["poolid"]:
                continue  # There is no such path for nested pools.
            question = Question(READ, "GET", fill(path, values), filled, expected, {}, guarded)
            found.setdefault(question.path, question)
    return list(found.values())


def _value_sets(path: str, reader: Reader, objects: Objects) -> Iterator[tuple[Values, bool]]:
    """Yield ids to fill into a path, and whether they stand for something that exists."""
    named = set(fields(path))
    if "kind" in named:
        for kind, values in objects.guests.items():
            yield values, kind in objects.real
    else:
        # A user, a realm and a node are always there to ask about.
        yield _on_its_node(path, objects.own), named - ({"node"} if "storage" in named else set()) <= objects.real
    nowhere = strangers(reader)
    if "vmid" in named:
        yield {**nowhere, "node": objects.own["node"], "vmid": NO_VMID}, False


def _on_its_node(path: str, values: Values) -> Values:
    """Have a storage asked for on a node that has it."""
    if "storage" in fields(path) and "storage_node" in values:
        return {**values, "node": values["storage_node"]}
    return values


def plan_endpoints(
    reader: Reader, endpoints: Iterable[Endpoint], objects: Objects, release: Release, asked: Iterable[Question]
) -> list[Question]:
    """Return what an application reads and is not ``asked`` already, each to be answered.

    What is granted or refused as a whole is only asked for, as logs are. What answers everybody is read, if what it is
    about exists.
    """
    found = {_key(question): question for question in asked}
    before = len(found)
    checks = {read.path: read.check for read in reads(release)}
    for endpoint in endpoints:
        if endpoint.method != "GET":
            continue
        kind = next((kind for kind in GUESTS if f"/{kind}/{{vmid}}" in endpoint.path), "")
        values = _on_its_node(endpoint.path, {"upid": NO_NAME, "disk": NO_NAME, **objects.values(kind)})
        check = checks.get(endpoint.path)
        guarded = check is not None
        there = kind in objects.real if kind else set(fields(endpoint.path)) <= objects.real
        if ("poolid" in fields(endpoint.path) and "/" in values["poolid"]) or not (guarded or there):
            continue
        filled = check.for_path(values) if check else Check(())
        question = Question(READ, "GET", fill(endpoint.path, values), filled, True, dict(endpoint.params), guarded)
        found.setdefault(_key(question), question)
    return list(found.values())[before:]


def _key(question: Question) -> tuple[str, tuple[tuple[str, str], ...]]:
    return question.path, tuple(sorted(question.params.items()))


def plan_lists(objects: Objects) -> list[Question]:
    """Return the lists that everybody may ask for."""
    return [
        Question(LIST, "GET", fill(path, objects.own), Check(()), params=_LIST_PARAMS.get(path, {})) for path in _LISTS
    ]


@dataclass(frozen=True)
class Probes:
    """The calls to probe; those left out because the reader may make them; and those that are too risky to try.

    The last are red without being tried: the reader's own permissions let them pass, and it is not known for sure
    that this release refuses undeclared parameters.
    """

    ask: tuple[Question, ...]
    allowed: tuple[Question, ...]
    untried: tuple[Question, ...]


def plan_probes(reader: Reader, objects: Objects, tree: Tree, release: Release) -> Probes:
    """Return what to do about every write of the object types at the reader's path."""
    ask: list[Question] = []
    allowed: list[Question] = []
    untried: list[Question] = []
    for write in writes(release):
        if not _concerns(write, reader, objects):
            continue
        values = _on_its_node(write.path, objects.values(write.kind))
        if "poolid" in fields(write.path) and "/" in values["poolid"]:
            continue
        check = write.check.for_path(values)
        expected = check.satisfied(reader.held)
        params = {name: values[name] for name in _looked_at(write) if name in values}
        question = Question(WRITE, write.method, fill(write.path, values), check, expected, params, guarded=True)
        if expected:
            allowed.append(question)
        elif release != MEASURED and check.satisfied(lambda path: held_in(tree, path)):
            untried.append(question)
        else:
            ask.append(question)
    return Probes(tuple(ask), tuple(allowed), tuple(untried))


def _looked_at(write: Write) -> list[str]:
    """Return the parameters that PVE needs for the permission check of a call, and that are not in its path."""
    named = {name for path in write.check.paths() for name in fields(path)}
    needed = {"userid" if name == "userid_realm" else name for name in named}
    return sorted(needed - set(fields(write.path)))


def _concerns(write: Write, reader: Reader, objects: Objects) -> bool:
    if write.kind == "acl" or reader.path == "/":
        return True
    kinds = _WRITES_AT[reader.path.split("/")[1]]
    return write.kind in kinds and (write.kind not in GUESTS or write.kind in objects.guests)
