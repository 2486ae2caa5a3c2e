"""From a census to hosts: their names, their variables, and whether the filters take them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..module_utils.facts import hostvars
from ..module_utils.facts.census import Census
from ..module_utils.facts.model import Guest
from ..module_utils.facts.names import host_names, last_known_name
from .conditions import Filters
from .settings import GUESTS, NODES, Settings
from .store import Kept
from .unsafe import as_text

Facts = dict[str, Any]


@dataclass
class Host:
    """A host to be. ``taken`` is None until it is known whether the filters take it; ``guest`` None for a node."""

    name: str
    facts: Facts
    guest: Guest | None = None
    taken: bool | None = None
    variables: Facts = field(default_factory=dict)


class Hosts:
    """All hosts. Names and base facts come first, so that filters can say which guests are worth a question."""

    def __init__(self, settings: Settings, filters: Filters, kept: Kept, extra: Mapping[str, Any]) -> None:
        self._settings = settings
        self._filters = filters
        self._kept = kept
        self._extra = extra
        self._hosts: list[Host] = []

    def choose(self, census: Census) -> list[Guest]:
        """Start with a census, and return the guests that are to be asked about."""
        known = self._kept.names_of(census.guests)
        names = host_names(census.guests, [node.node for node in census.nodes], known)
        self._hosts = []
        if NODES in self._settings.include:
            self._hosts += [Host(node.node, hostvars.of_node(node)) for node in census.nodes]
        if GUESTS in self._settings.include:
            for guest in census.guests:
                facts = hostvars.of_guest(guest, last_known_name(guest, known))
                self._hosts.append(Host(names[guest.vmid], facts, guest))
        for host in self._hosts:
            is_node = host.guest is None
            if is_node:
                host.facts.update(hostvars.gathered(self._settings.order.gather, None, of_node=True))
            host.variables = as_text(hostvars.prefixed(host.facts))
            host.taken = self._takes(host, asked=is_node)
        return [host.guest for host in self._hosts if host.guest and host.taken is not False]

    def finish(self, census: Census) -> Iterator[Host]:
        """Yield the hosts that are taken, with all their variables; ``choose`` comes before."""
        for host in self._hosts:
            if host.guest is not None and host.taken is not False and self._settings.order.gather:
                self._add_details(host, census.details.get(host.guest.vmid, {}))
            if host.taken is None:
                host.taken = self._takes(host, asked=True)
            if host.taken:
                yield host

    def _add_details(self, host: Host, details: Mapping[str, Any]) -> None:
        found = hostvars.gathered(self._settings.order.gather, details, of_node=False)
        found["address"] = hostvars.address_of(details, self._settings.networks)
        host.facts.update(found)
        host.variables.update(as_text(hostvars.prefixed(found)))

    def _takes(self, host: Host, *, asked: bool) -> bool | None:
        variables = {**host.variables, "inventory_hostname": host.name, **self._extra}
        return self._filters.takes(host.name, variables, asked=asked)
