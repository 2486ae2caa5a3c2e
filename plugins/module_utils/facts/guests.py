"""What takes a question for each guest, or for each node and type of guest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..access.releases import Release
from .addresses import Address, from_agent, from_config, from_interfaces, refusal
from .ask import FAILED, HIDDEN, NOTHING, Ask, Missing
from .config import Config
from .fetch import Collector, Fetcher
from .fields import Fields, Row, flag, integer, number, text, typed, words
from .model import GUEST_TYPES, Guest
from .rights import agent_privileges, may_hold
from .scene import Scene

STATUS, CONFIG, ADDRESSES, SNAPSHOTS = "guest_status", "guest_config", "guest_addresses", "snapshots"
# Before it, PVE cannot tell the addresses that a container has.
_INTERFACES_SINCE = (8, 1)

_STATUS: Fields = {
    "name": text,
    "status": text,
    "qmpstatus": text,
    "lock": text,
    "pid": integer,
    "uptime": integer,
    "cpu": number,
    "cpus": integer,
    "mem": integer,
    "memhost": integer,
    "maxmem": integer,
    "swap": integer,
    "maxswap": integer,
    "disk": integer,
    "maxdisk": integer,
    "netin": integer,
    "netout": integer,
    "diskread": integer,
    "diskwrite": integer,
}


def statuses(scene: Scene, fetcher: Fetcher | None = None) -> Collector[list[dict[str, Any]]]:
    """Read the status of all wanted guests: one question for each node and type that has any.

    A fetcher is told which of them are not where they were.
    """
    places: dict[tuple[str, str], dict[int, Guest]] = {}
    for guest in scene.guests:
        places.setdefault((guest.node, guest.type), {})[guest.vmid] = guest
    # Only the full list tells a paused machine from a running one.
    asks = [
        Ask(STATUS, f"/nodes/{node}/{kind}", (("full", 1),) if kind == GUEST_TYPES[0] else (), node)
        for node, kind in places
    ]
    found: dict[int, dict[str, Any]] = {}
    for wanted, rows in zip(places.values(), (yield asks)):
        if rows is NOTHING:
            continue
        here = {int(row["vmid"]): row for row in rows}
        found.update((vmid, _status(guest, here[vmid])) for vmid, guest in wanted.items() if vmid in here)
        for vmid in wanted.keys() - here.keys():
            node = wanted[vmid].node
            reason = f"Guest {vmid} was on {node} a moment ago, and is not any more."
            if fetcher is not None:
                fetcher.note(Missing(STATUS, FAILED, reason, node, vmid))
    return [found[vmid] for vmid in sorted(found)]


def _status(guest: Guest, row: Row) -> dict[str, Any]:
    place = {"vmid": guest.vmid, "node": guest.node, "type": guest.type}
    # Absent where it is none.
    template = flag(row.get("template") or 0)
    return {**place, **typed(row, _STATUS), "template": template, "tags": words(row.get("tags") or "")}


def configs(guests: Iterable[Guest], subset: str = CONFIG) -> Collector[dict[int, Config]]:
    """Read the configuration of each guest."""
    wanted = list(guests)
    answers = yield [Ask(subset, f"{guest.path}/config", (), guest.node, guest.vmid) for guest in wanted]
    return {guest.vmid: Config(guest, found) for guest, found in zip(wanted, answers) if found is not NOTHING}


def addresses(
    fetcher: Fetcher, guests: Iterable[Guest], rights: Mapping[str, Any], release: Release
) -> Collector[dict[int, list[Address]]]:
    """Read the addresses of each guest.

    An agent is asked only where the guest runs, its agent is switched on and the caller may ask; what says nothing of
    its own has the addresses of its configuration.
    """
    known = yield from configs(guests, ADDRESSES)
    asks: dict[int, Ask] = {}
    hidden: list[int] = []
    for vmid, config in known.items():
        guest = config.guest
        if not guest.running:
            continue
        if guest.type == "lxc" and release >= _INTERFACES_SINCE:
            asks[vmid] = Ask(ADDRESSES, f"{guest.path}/interfaces", (), guest.node, vmid)
        elif guest.type == "qemu" and config.has_agent:
            if may_hold(rights, f"/vms/{vmid}", *agent_privileges(release)):
                path = f"{guest.path}/agent/network-get-interfaces"
                asks[vmid] = Ask(ADDRESSES, path, (), guest.node, vmid, agent=True)
            else:
                hidden.append(vmid)
    if hidden:
        needed = " or ".join(agent_privileges(release))
        reason = f"Asking the agents of {len(hidden)} guests takes {needed}."
        fetcher.note(Missing(ADDRESSES, HIDDEN, reason))
    if release < _INTERFACES_SINCE and any(one.guest.type == "lxc" and one.guest.running for one in known.values()):
        reason = "This release does not tell the addresses of containers; those given here are the configured ones."
        fetcher.note(Missing(ADDRESSES, FAILED, reason))
    answers = dict(zip(asks, (yield list(asks.values()))))
    for vmid, ask in asks.items():
        said = refusal(answers[vmid]) if ask.agent else None
        if said is not None:
            fetcher.note(Missing(ADDRESSES, FAILED, f"The agent of {vmid} answered: {said}", ask.node, vmid))
    return {vmid: _addresses(config, answers.get(vmid, NOTHING)) for vmid, config in known.items()}


def _addresses(config: Config, answer: Any) -> list[Address]:
    said: list[Address] = []
    if answer is not NOTHING:
        said = from_agent(answer) if config.guest.type == "qemu" else from_interfaces(answer)
    return said or from_config(config)


def snapshots(guests: Iterable[Guest], descriptions: bool) -> Collector[list[dict[str, Any]]]:
    """Read the snapshots of each guest."""
    wanted = list(guests)
    answers = yield [Ask(SNAPSHOTS, f"{guest.path}/snapshot", (), guest.node, guest.vmid) for guest in wanted]
    return [
        {
            "vmid": guest.vmid,
            "node": guest.node,
            "type": guest.type,
            "snapshots": [_snapshot(row, descriptions) for row in _oldest_first(rows)],
        }
        for guest, rows in zip(wanted, answers)
        if rows is not NOTHING
    ]


def _oldest_first(rows: Iterable[Row]) -> list[Row]:
    """Return the snapshots without the row that stands for the present."""
    taken = [row for row in rows if row.get("name") != "current"]
    return sorted(taken, key=lambda row: (int(row.get("snaptime") or 0), str(row.get("name"))))


_SNAPSHOT: Fields = {"name": text, "parent": text, "snaptime": integer, "vmstate": flag}


def _snapshot(row: Row, descriptions: bool) -> dict[str, Any]:
    found = typed(row, _SNAPSHOT)
    return {**found, "description": row.get("description")} if descriptions else found
