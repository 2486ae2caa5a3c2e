"""All nodes and guests for an inventory, with what was asked about the guests: plain data, that can be kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable

from ..client.errors import PveError
from ..client.http import ReadOnly
from .addresses import from_config
from .ask import Missing
from .config import Config, Shown
from .fetch import CONCURRENCY, Collector, Fetcher
from .filters import Filters
from .guests import ADDRESSES, CONFIG, SNAPSHOTS, STATUS, addresses, configs, snapshots, statuses
from .model import Guest, Node
from .scene import GUESTS, NODES, Scene, see

Data = dict[str, Any]
Details = dict[int, Data]
# Which guests to ask about: all of them come in, and those that are to be asked come out.
Choice = Callable[["Census"], Iterable[Guest]]


@dataclass(frozen=True)
class Order:
    """What is asked for. ``gather`` are subsets of facts, ``nodes`` says whether the nodes' addresses are wanted."""

    nodes: bool = True
    gather: tuple[str, ...] = ()
    shown: Shown = field(default_factory=Shown)
    concurrency: int = CONCURRENCY


@dataclass(frozen=True)
class Census:
    """``details`` has what was gathered, by guest; ``missing`` is what there is no answer about."""

    nodes: tuple[Node, ...]
    guests: tuple[Guest, ...]
    missing: tuple[Missing, ...] = ()
    details: Mapping[int, Data] = field(default_factory=dict)

    def as_data(self) -> Data:
        """Return it as data that JSON can hold."""
        return {
            "nodes": [node.as_data() for node in self.nodes],
            "guests": [guest.as_data() for guest in self.guests],
            "missing": [one.as_data() for one in self.missing],
            "details": {str(vmid): found for vmid, found in self.details.items()},
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Census:
        """Return what ``as_data`` gave."""
        return cls(
            nodes=tuple(Node(**row) for row in data["nodes"]),
            guests=tuple(Guest(**{**row, "tags": tuple(row["tags"])}) for row in data["guests"]),
            missing=tuple(Missing(**row) for row in data["missing"]),
            details={int(vmid): found for vmid, found in data["details"].items()},
        )


# What a census consists of: one that was kept by a release with other fields is of no use.
FIELDS = [[field.name for field in dataclasses.fields(kind)] for kind in (Node, Guest, Missing)]


class Unlisted(PveError):
    """PVE answers, but does not say which guests there are: an inventory without them would be wrong."""


def take(reader: ReadOnly, order: Order, choose: Choice) -> Census:
    """Ask PVE. Raises PveError where it does not answer, Unlisted where it does not say which guests there are."""
    fetcher = Fetcher(reader, order.concurrency)
    try:
        scene = see(fetcher, Filters(), (NODES, GUESTS) if order.nodes else (GUESTS,))
        if not scene.read:
            why = next((one.reason for one in fetcher.missing), "PVE gave no answer.")
            raise Unlisted(f"PVE did not say which guests there are: {why}")
        seen = Census(scene.nodes, scene.all_guests)
        details = _details(fetcher, order, scene, list(choose(seen))) if order.gather else {}
        return dataclasses.replace(seen, missing=tuple(fetcher.missing), details=details)
    finally:
        fetcher.close()


def _details(fetcher: Fetcher, order: Order, scene: Scene, guests: Sequence[Guest]) -> Details:
    """Gather what is asked for about some guests, all of it side by side."""
    shown = order.shown
    collectors: dict[str, Collector[Any]] = {}
    if CONFIG in order.gather:
        collectors[CONFIG] = configs(guests)
    if ADDRESSES in order.gather:
        collectors[ADDRESSES] = addresses(fetcher, guests, scene.rights, fetcher.reader.release)
    if SNAPSHOTS in order.gather:
        collectors[SNAPSHOTS] = snapshots(guests, shown.descriptions)
    if STATUS in order.gather:
        collectors[STATUS] = statuses(dataclasses.replace(scene, guests=tuple(guests)))
    found = fetcher.run(collectors) if guests else {}
    details: Details = {guest.vmid: {} for guest in guests}
    for vmid, config in found.get(CONFIG, {}).items():
        details[vmid].update(_of_config(config, shown))
    for vmid, known in found.get(ADDRESSES, {}).items():
        details[vmid]["addresses"] = [one.as_data() for one in known]
    for row in found.get(SNAPSHOTS, ()):
        details[row["vmid"]]["snapshots"] = row["snapshots"]
    for row in found.get(STATUS, ()):
        details[row["vmid"]]["guest_status"] = _without_place(row)
    return details


def _of_config(config: Config, shown: Shown) -> Data:
    data = config.as_data(shown)
    kept = {name: data[name] for name in ("config", "networks", "disks", "ostype", "agent")}
    # Addresses that a guest is configured to have come with its configuration: asking for them costs nothing more.
    return {**kept, "static": [one.as_data() for one in from_config(config)]}


def _without_place(row: Mapping[str, Any]) -> Data:
    """Return a status without what a guest's base variables say."""
    return {name: value for name, value in row.items() if name not in ("vmid", "node", "type", "name", "tags")}
