"""Which guests and nodes the facts are wanted of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ..client.errors import OptionError
from .model import GUEST_TYPES, Guest, Node

LEAST_VMID, MOST_VMID = 100, 999_999_999


@dataclass(frozen=True)
class Filters:
    """What a guest has to be. Of each list one has to fit, and an empty list lets everything through.

    ``node`` and ``name`` are shell patterns; ``pool`` takes in the pools inside of it. ``node`` also says which nodes
    are wanted.
    """

    node: tuple[str, ...] = ()
    vmid: tuple[int, ...] = ()
    type: tuple[str, ...] = ()
    pool: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    name: tuple[str, ...] = ()

    @classmethod
    def from_params(cls, params: Mapping[str, Any] | None) -> Filters:
        """Read them out of a module's option. Raises OptionError."""
        given = {name: tuple(values) for name, values in (params or {}).items() if values}
        unknown = sorted(set(given) - set(cls.__dataclass_fields__))
        if unknown:
            raise OptionError(f"filters: {', '.join(unknown)} is no filter.")
        types = [kind for kind in given.get("type", ()) if kind not in GUEST_TYPES]
        if types:
            raise OptionError(f"filters: {', '.join(types)} is no type of guest.", "The types are qemu and lxc.")
        wrong = [number for number in given.get("vmid", ()) if not LEAST_VMID <= int(number) <= MOST_VMID]
        if wrong:
            raise OptionError(f"filters: {wrong[0]} is no number of a guest.", f"They begin with {LEAST_VMID}.")
        return cls(**given)

    def takes_node(self, node: str) -> bool:
        """Tell whether a node is wanted."""
        return not self.node or any(fnmatchcase(node, pattern) for pattern in self.node)

    def takes(self, guest: Guest) -> bool:
        """Tell whether a guest is wanted."""
        return (
            self.takes_node(guest.node)
            and (not self.vmid or guest.vmid in self.vmid)
            and (not self.type or guest.type in self.type)
            and (not self.status or guest.status in self.status)
            and (not self.pool or any(pool in self.pool for pool in guest.pools))
            and (not self.tag or any(tag in self.tag for tag in guest.tags))
            and (not self.name or any(fnmatchcase(guest.name or "", pattern) for pattern in self.name))
        )

    def check_nodes(self, nodes: Iterable[Node]) -> None:
        """Raise OptionError for a node that is named in full and does not exist."""
        names = sorted(node.node for node in nodes)
        for pattern in self.node:
            if not any(sign in pattern for sign in "*?[") and pattern not in names:
                raise OptionError(f"filters: there is no node {pattern}.", f"The nodes are {', '.join(names)}.")
