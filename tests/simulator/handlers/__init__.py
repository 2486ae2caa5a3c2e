"""What the simulated methods do, once authentication, permission check and verification are behind them.

A further module registers its methods with ``@route`` and is imported by ``load_all``; nothing else has to know it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from ansible_collections.homelab.pve.plugins.module_utils.access.releases import Release

from ..auth import Authenticator
from ..objects import Node
from ..permission import Rights
from ..state import State

MODULES = (
    *("users", "groups", "acl", "login", "pools"),
    *("cluster", "tasks", "ha", "sdn"),
    *("nodes", "host", "apt", "storage"),
    *("guests", "snapshots", "agent", "backups"),
)
FIREWALL = ("firewall_rules", "firewall_objects", "firewall_groups", "firewall_options", "firewall_facts")


@dataclass
class Call:
    """One call of a method. ``subject`` is the caller's full id, None where no log-in was needed or given.

    What a handler puts into ``extra`` stands beside ``data`` in the answer (``total``, ``changes``).
    """

    state: State
    authenticator: Authenticator
    subject: str | None
    parameters: Mapping[str, Any]
    extra: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return str(self.parameters[name])

    def __contains__(self, name: str) -> bool:
        return name in self.parameters

    def get(self, name: str) -> str | None:
        value = self.parameters.get(name)
        return None if value is None else str(value)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.get(name)
        return default if value is None else value == "1"

    @property
    def caller(self) -> str:
        """The caller's id, in methods that nobody reaches without logging in."""
        assert self.subject is not None, "this method needs a log-in"
        return self.subject

    @property
    def node_name(self) -> str:
        """The node that the call is for, by its real name."""
        return self.state.node if self["node"] == "localhost" else self["node"]

    @property
    def node(self) -> Node:
        return self.state.nodes[self.node_name]

    @property
    def rights(self) -> Rights:
        return self.state.rights

    @property
    def release(self) -> Release:
        return self.state.release


Handler = Callable[[Call], Any]
HANDLERS: dict[tuple[str, str], Handler] = {}


def route(method: str, *paths: str) -> Callable[[Handler], Handler]:
    """Register a handler for one method of one or several paths, spelt as in the schema."""

    def register(handler: Handler) -> Handler:
        for path in paths:
            HANDLERS[method, path] = handler
        return handler

    return register


def index(path: str, *children: str, key: str = "subdir") -> None:
    """Register a static index."""
    HANDLERS["GET", path] = lambda call: [{key: child} for child in children]


def load_all() -> dict[tuple[str, str], Handler]:
    """Import all handler modules and return what they registered."""
    for module in (*MODULES, *FIREWALL):
        import_module(f".{module}", __name__)
    return HANDLERS
