"""Facts about nodes and guests, from the scene on."""

from __future__ import annotations

from typing import Any

from . import guests as ask
from .addresses import best
from .context import Context
from .fetch import Collector

Rows = list[dict[str, Any]]


def nodes(context: Context) -> Collector[Rows | None]:
    """Return the wanted nodes."""
    scene = yield from context.scene()
    return [node.as_data() for node in scene.nodes] or None


def guests(context: Context) -> Collector[Rows | None]:
    """Return the wanted guests."""
    scene = yield from context.scene()
    return [guest.as_data() for guest in scene.guests] if scene.read else None


def statuses(context: Context) -> Collector[Rows | None]:
    """Return the status of each wanted guest."""
    scene = yield from context.scene()
    return (yield from ask.statuses(scene, context.fetcher)) if scene.read else None


def configs(context: Context) -> Collector[Rows | None]:
    """Return the configuration of each wanted guest."""
    scene = yield from context.scene()
    if not scene.read:
        return None
    found = yield from ask.configs(scene.guests)
    return [config.as_data(context.wanted.shown) for config in found.values()]


def addresses(context: Context) -> Collector[Rows | None]:
    """Return the addresses of each wanted guest, and the one to reach it at."""
    scene = yield from context.scene()
    if not scene.read:
        return None
    found = yield from ask.addresses(context.fetcher, scene.guests, scene.rights, context.release)
    rows = []
    for guest in scene.guests:
        if guest.vmid in found:
            chosen = best(found[guest.vmid])
            rows.append(
                {
                    "vmid": guest.vmid,
                    "node": guest.node,
                    "type": guest.type,
                    "address": chosen.address if chosen else None,
                    "addresses": [one.as_data() for one in found[guest.vmid]],
                }
            )
    return rows


def snapshots(context: Context) -> Collector[Rows | None]:
    """Return the snapshots of each wanted guest."""
    scene = yield from context.scene()
    if not scene.read:
        return None
    return (yield from ask.snapshots(scene.guests, context.wanted.shown.descriptions))
