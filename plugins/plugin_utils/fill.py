"""Hosts go into the inventory: variables, addresses, groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..module_utils.facts.groups import Groups
from .hosts import Host
from .settings import GUESTS, NODES, Settings

_ADDRESS = "pve_address"


def fill(inventory: Any, hosts: Iterable[Host], settings: Settings, safe: Callable[[str], str]) -> Groups:
    """Add hosts with their variables, in their groups; return the groups."""
    groups = Groups(settings.group_by, settings.group_prefix, safe)
    whole = {kind: safe(settings.group_prefix + kind) for kind in settings.include}
    members: dict[str, list[str]] = {name: [] for name in whole.values()}
    parents: dict[tuple[str, str], None] = {}
    for host in hosts:
        _add(inventory, host)
        members[whole[GUESTS if host.guest else NODES]].append(host.name)
        for line in groups.of(host.facts) if host.guest else ():
            members.setdefault(line[-1], []).append(host.name)
            parents.update(dict.fromkeys(zip(line, line[1:])))
    for name in [*members, *(around for around, unused in parents)]:
        inventory.add_group(name)
    for name, names in members.items():
        for host_name in names:
            inventory.add_host(host_name, name)
    for around, inside in parents:
        inventory.add_child(around, inside)
    return groups


def _add(inventory: Any, host: Host) -> None:
    inventory.add_host(host.name)
    entry = inventory.get_host(host.name)
    # Set on the host itself: the inventory would go through each value for marks that these do not have.
    for name, value in host.variables.items():
        entry.set_variable(name, value)
    if host.variables[_ADDRESS] is not None:
        entry.set_variable("ansible_host", host.variables[_ADDRESS])
