"""All facts of a task: one run of the collectors that it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..client.http import ReadOnly
from . import cluster, firewall, inhabitants, nodes, people, services, storage
from .context import Context
from .fetch import Collector, Fetcher
from .wanted import Wanted

# How each subset is gathered.
COLLECTORS: Mapping[str, Callable[[Context], Collector[Any]]] = {
    "version": cluster.version,
    "cluster": cluster.cluster,
    "cluster_options": cluster.options,
    "nodes": inhabitants.nodes,
    "node_status": nodes.statuses,
    "guests": inhabitants.guests,
    "guest_status": inhabitants.statuses,
    "guest_config": inhabitants.configs,
    "guest_addresses": inhabitants.addresses,
    "snapshots": inhabitants.snapshots,
    "storage": storage.storage,
    "storage_content": storage.content,
    "pools": people.pools,
    "users": people.users,
    "groups": people.groups,
    "roles": people.roles,
    "tokens": people.tokens,
    "acl": people.acl,
    "permissions": people.own_rights,
    "realms": people.realms,
    "firewall": firewall.firewall,
    "guest_firewall": firewall.of_guests,
    "tasks": nodes.tasks,
    "log": cluster.log,
    "certificates": nodes.certificates,
    "updates": nodes.updates,
    "ha": services.ha,
    "sdn": services.sdn,
}
# What can be read without knowing which nodes and guests there are.
_ACCESS = ("pools", "users", "groups", "roles", "tokens", "acl", "permissions", "realms")
_ON_THEIR_OWN = frozenset(("version", "cluster", "cluster_options", "log", "ha", *_ACCESS))
_LOOK = "(look)"


def gather(reader: ReadOnly, wanted: Wanted, now: float) -> dict[str, Any]:
    """Return the facts: one key for each wanted subset, and ``gathered``, ``caller``, ``incomplete``, ``requests``.

    A subset of which nothing could be read is None, and so is one that came out empty while some of it is hidden: an
    empty list always means that there is nothing. Raises PveError where PVE does not answer, or not to this caller.
    """
    # Raises where PVE cannot be reached, and logs in before anything is asked at once.
    release = reader.release
    fetcher = Fetcher(reader, wanted.concurrency)
    context = Context(fetcher, wanted, release, now)
    waiting = tuple(name for name in wanted.subsets if name not in _ON_THEIR_OWN)
    collectors: dict[str, Collector[Any]] = {_LOOK: context.look(waiting)} if waiting else {}
    collectors.update((name, COLLECTORS[name](context)) for name in wanted.subsets)
    try:
        found = fetcher.run(collectors)
    finally:
        fetcher.close()
    lacking = {missing.subset for missing in fetcher.missing}
    return {
        **{name: None if name in lacking and not found[name] else found[name] for name in wanted.subsets},
        "gathered": list(wanted.subsets),
        "caller": reader.identity,
        "incomplete": [missing.as_data() for missing in fetcher.missing],
        "requests": 1 + fetcher.asked,
    }
