"""Firewall tasks carried out in this process, against a simulated cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.firewall.document import parse_document, rules_document
from ansible_collections.homelab.pve.plugins.module_utils.firewall.observe import View
from ansible_collections.homelab.pve.plugins.module_utils.firewall.task import FirewallTask
from ansible_collections.homelab.pve.plugins.module_utils.firewall.wanted import Document
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import Change, Plan, reconcile
from ansible_collections.homelab.pve.tests.pvesh import transport
from ansible_collections.homelab.pve.tests.simulator import Simulator

Json = dict[str, Any]
NODE = "ugreen"
# Where the tests' caller comes from; the simulator itself is on loopback.
ADMIN = "192.168.40.82"


def options_for(simulator: Simulator, port: int | None = None) -> ConnectionOptions:
    """Return how to reach a simulator with root's own rights, by another port where it has one."""
    return replace(transport.options(simulator), port=port or simulator.port)


def a_document(
    *,
    cluster: Json | None = None,
    nodes: Mapping[str, Json] | None = None,
    guests: Mapping[int, Json] | None = None,
    **more: Any,
) -> Document:
    """Return a document as ``pve_firewall`` reads it."""
    places = [("node", name, raw) for name, raw in (nodes or {}).items()]
    places += [("guest", str(vmid), raw) for vmid, raw in (guests or {}).items()]
    return parse_document({"cluster": cluster, "management_source": ADMIN, "allow_lockout": False, **more}, places)


def a_list(rules: list[Json], scope: Mapping[str, Any], **more: Any) -> Document:
    """Return a document about one list of rules, as ``pve_fw_rule`` reads it."""
    defaults = {"state": "present", "exclusive": False, "management_source": ADMIN, "allow_lockout": False}
    return rules_document({**defaults, "rules": rules, **scope, **more})


class Run:
    """A task with a client of its own. ``views`` counts how often it observed; ``seen`` are the server's requests."""

    def __init__(
        self,
        simulator: Simulator,
        wanted: Document,
        *,
        before: Callable[[str, str], None] | None = None,
        after: Callable[[Change], None] | None = None,
        port: int | None = None,
    ) -> None:
        """``before`` is called ahead of every request, ``after`` behind every change that was made."""
        self.simulator, self.wanted, self.before, self.after = simulator, wanted, before, after
        self.options = options_for(simulator, port)
        self.views = 0
        self.seen: list[str] = []

    def __call__(self, *, dry_run: bool = False) -> Plan:
        self.simulator.clear_requests()
        with Client(self.options, on_request=self.before) as client:
            task = FirewallTask(client, self.wanted)

            def observe() -> View:
                self.views += 1
                return task.observe()

            def perform(change: Change) -> None:
                task.perform(change)
                if self.after:
                    self.after(change)

            try:
                return reconcile(observe, task.plan, perform, dry_run=dry_run)
            finally:
                self.seen = [f"{row['method']} {row['path']}" for row in self.simulator.requests()]


def rows(simulator: Simulator, path: str) -> list[Json]:
    """Return a list as the API shows it."""
    with Client(options_for(simulator)) as client:
        found: list[Json] = client.get(path)
        return found


def comments(listed: Iterable[Mapping[str, Any]]) -> list[str]:
    return [str(row.get("comment", "")) for row in listed]
