"""The cluster at a glance: all nodes and guests from one answer, and what that answer cannot tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..access.observe import held_below, rights_from
from ..wording import some_of
from .ask import FAILED, HIDDEN, NOTHING, OFFLINE, Ask, Missing
from .fetch import Collector, Fetcher
from .filters import Filters
from .model import Guest, Node, is_guest
from .rights import Tree

CLUSTER, NODES, GUESTS, STORAGE = "cluster", "nodes", "guests", "storage"
# The subsets that are made from the list of guests, and lack what it lacks.
OF_GUESTS = (GUESTS, "guest_status", "guest_config", "guest_addresses", "snapshots", "guest_firewall")
RESOURCES, STATUS, PERMISSIONS = "/cluster/resources", "/cluster/status", "/access/permissions"


@dataclass(frozen=True)
class Scene:
    """What everything else starts from. ``nodes`` and ``guests`` are the wanted ones, ``others`` the rest of the rows.

    ``rights`` is the caller's own permission tree; ``all_guests`` are all that he sees, wanted or not.
    """

    rights: Tree
    nodes: tuple[Node, ...]
    guests: tuple[Guest, ...]
    all_guests: tuple[Guest, ...]
    others: tuple[Mapping[str, Any], ...]
    # Whether the resources were read at all: where they were not, no guests does not mean that there are none.
    read: bool = True
    # Whether the caller's rights were told: where they were not, ``rights`` says nothing.
    rights_known: bool = True

    @property
    def unaudited(self) -> list[str]:
        """The wanted nodes that gave figures, but none for the caller: those of which he does not hold Sys.Audit."""
        return [node.node for node in self.nodes if node.status == "online" and node.maxcpu is None]


def look(fetcher: Fetcher, filters: Filters, subsets: Sequence[str] = (NODES, GUESTS)) -> Collector[Scene]:
    """Read the resources, the caller's rights and the state of the cluster, and note what they leave out.

    ``subsets`` are those that the answers are for: nodes, guests, storage, cluster, and what else is made from the
    lists of nodes and guests. Nodes that are offline are not asked anything from here on. Raises OptionError where a
    filter names a node that does not exist.
    """
    from_resources = [subset for subset in subsets if subset != CLUSTER]
    from_status = [subset for subset in subsets if subset in (CLUSTER, NODES)]
    asks = [
        *(Ask(subset, PERMISSIONS) for subset in subsets),
        *(Ask(subset, RESOURCES) for subset in from_resources),
        *(Ask(subset, STATUS) for subset in from_status),
    ]
    answers = dict(zip((ask.path for ask in asks), (yield asks)))
    rights = rights_from(answers[PERMISSIONS])
    rows = sorted(_or(answers.get(RESOURCES, NOTHING), []), key=lambda row: str(row.get("id")))
    status = tuple(_or(answers.get(STATUS, NOTHING), []))
    node_rows = [row for row in rows if row.get("type") == "node"]
    if not node_rows:
        found = yield [Ask(subset, "/nodes") for subset in from_resources]
        node_rows = sorted(_or(next(iter(found), NOTHING), []), key=lambda row: str(row["node"]))
    by_name = {str(row.get("name")): row for row in status if row.get("type") == "node"}
    nodes = tuple(Node.from_api(row, by_name.get(str(row["node"]))) for row in node_rows)
    if nodes:
        filters.check_nodes(nodes)
    guests = tuple(sorted(map(Guest.from_api, filter(is_guest, rows)), key=lambda guest: guest.vmid))
    scene = Scene(
        rights=rights,
        nodes=tuple(node for node in nodes if filters.takes_node(node.node)),
        guests=tuple(guest for guest in guests if filters.takes(guest)),
        all_guests=guests,
        others=tuple(row for row in rows if not is_guest(row) and row.get("type") != "node"),
        read=answers.get(RESOURCES, NOTHING) is not NOTHING,
        rights_known=answers[PERMISSIONS] is not NOTHING,
    )
    if NODES in subsets:
        _note_nodes(fetcher, scene)
    if answers.get(RESOURCES, NOTHING) is not NOTHING:
        of_guests = [subset for subset in subsets if subset in OF_GUESTS]
        _note_guests(fetcher, scene, filters, of_guests)
    for node in nodes:
        if not node.online:
            fetcher.give_up_on(node.node, OFFLINE, f"{node.node} is offline.")
    return scene


def see(fetcher: Fetcher, filters: Filters, subsets: Sequence[str] = (NODES, GUESTS)) -> Scene:
    """Look, on its own. Raises PveError where PVE does not answer."""
    scene: Scene = fetcher.run({"scene": look(fetcher, filters, subsets)})["scene"]
    return scene


def _or(answer: Any, otherwise: Any) -> Any:
    return otherwise if answer is NOTHING or answer is None else answer


def _note_nodes(fetcher: Fetcher, scene: Scene) -> None:
    for node in scene.nodes:
        if not node.online:
            fetcher.note(Missing(NODES, OFFLINE, f"{node.node} is offline: it gives no figures.", node.node))
        elif node.status == "unknown":
            fetcher.note(Missing(NODES, FAILED, f"{node.node} has sent no figures lately.", node.node))
    hidden = scene.unaudited
    if hidden:
        reason = f"Figures of {some_of(hidden)} take Sys.Audit on /nodes/NODE."
        fetcher.note(Missing(NODES, HIDDEN, reason))


def _note_guests(fetcher: Fetcher, scene: Scene, filters: Filters, subsets: Sequence[str]) -> None:
    who = fetcher.reader.identity
    for node in scene.nodes if GUESTS in subsets else ():
        nameless = sum(guest.node == node.node and guest.name is None for guest in scene.guests)
        if nameless and node.status != "online":
            reason = f"{node.node} is {node.status}: of {nameless} guests there, PVE tells neither name nor state."
            fetcher.note(Missing(GUESTS, OFFLINE, reason, node.node))
    if scene.rights_known and not held_below(scene.rights, "/vms", "VM.Audit"):
        reason = f"Only guests on which {who} holds VM.Audit are listed; it does not hold it on all of /vms."
        for subset in subsets:
            fetcher.note(Missing(subset, HIDDEN, reason))
    if scene.rights_known and not held_below(scene.rights, "/pool", "Pool.Audit", "Pool.Allocate"):
        # Who chooses by pools misses what else is in one, too.
        reason = f"Only of guests in pools on which {who} holds Pool.Audit is the pool told."
        for subset in subsets if filters.pool else {GUESTS}.intersection(subsets):
            fetcher.note(Missing(subset, HIDDEN, reason))
    seen = {guest.vmid for guest in scene.all_guests}
    for vmid in filters.vmid:
        if vmid not in seen:
            reason = f"There is no guest {vmid}, or {who} does not hold VM.Audit on /vms/{vmid}."
            for subset in subsets:
                fetcher.note(Missing(subset, HIDDEN, reason, None, vmid))
