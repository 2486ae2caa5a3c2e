"""Random documents on random firewalls: what is planned is done, safely at every step, and done once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.firewall.model import (
    Alias,
    Entry,
    Group,
    IpSet,
    Rule,
    Ruleset,
)
from ansible_collections.homelab.pve.plugins.module_utils.firewall.observe import View
from ansible_collections.homelab.pve.plugins.module_utils.firewall.plan import plan_firewall
from ansible_collections.homelab.pve.plugins.module_utils.firewall.reach import Packet, Reach
from ansible_collections.homelab.pve.plugins.module_utils.firewall.scope import DATACENTER
from ansible_collections.homelab.pve.plugins.module_utils.firewall.steps import Held
from ansible_collections.homelab.pve.plugins.module_utils.firewall.task import FirewallTask
from ansible_collections.homelab.pve.plugins.module_utils.firewall.wanted import Document
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import reconcile
from ansible_collections.homelab.pve.tests.pvesh import transport
from ansible_collections.homelab.pve.tests.simulator import Simulator
from ansible_collections.homelab.pve.tests.unit.firewall.strategies import (
    ADDRESSES,
    NODE,
    PORTS,
    documents,
    lists,
    rulesets,
)
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(auth_delay=0) as running:
        yield running


def seed(simulator: Simulator, cluster: Ruleset, node: Ruleset) -> None:
    simulator.reset()
    simulator.load(
        {
            "firewall": {
                "cluster": {
                    "options": dict(cluster.options),
                    "rules": [rule.to_api() for rule in cluster.rules],
                    "aliases": [{"name": alias.name, "cidr": alias.cidr} for alias in cluster.aliases.values()],
                    "ipsets": [
                        {"name": one.name, "entries": [_entry(entry) for entry in one.entries or ()]}
                        for one in cluster.ipsets.values()
                    ],
                    "groups": [
                        {"group": group.name, "rules": [rule.to_api() for rule in group.rules or ()]}
                        for group in cluster.groups.values()
                    ],
                },
                "nodes": {NODE.id: {"rules": [rule.to_api() for rule in node.rules]}},
            }
        }
    )


def _entry(entry: Entry) -> dict[str, Any]:
    return {"cidr": entry.cidr, **({"nomatch": 1} if entry.nomatch else {})}


def read(client: Client) -> dict[Any, Ruleset]:
    """Return what the server holds."""
    base = "/cluster/firewall"
    cluster = Ruleset(
        {name: value for name, value in client.get(f"{base}/options").items() if name != "digest"},
        tuple(Rule.from_api(row) for row in client.get(f"{base}/rules")),
        {row["name"].lower(): Alias.from_api(row) for row in client.get(f"{base}/aliases")},
        {
            row["name"]: IpSet(
                row["name"], entries=tuple(Entry.from_api(one) for one in client.get(f"{base}/ipset/{row['name']}"))
            )
            for row in client.get(f"{base}/ipset")
        },
        {
            row["group"]: Group(
                row["group"], rules=tuple(Rule.from_api(one) for one in client.get(f"{base}/groups/{row['group']}"))
            )
            for row in client.get(f"{base}/groups")
        },
    )
    node = Ruleset({}, tuple(Rule.from_api(row) for row in client.get(f"/nodes/{NODE.id}/firewall/rules")))
    return {DATACENTER: cluster, NODE: node}


def let_in(held: Held) -> set[tuple[str, int]]:
    reach = Reach(held[DATACENTER], held[NODE], "192.168.40.0/24")
    return {
        (source, port)
        for source, port in product((*ADDRESSES, "192.168.40.9"), PORTS)
        if reach.verdict(Packet(source, port)).action == "ACCEPT"
    }


def essence(held: Held) -> dict[Any, Any]:
    """Return what decides about packets, without what PVE works out."""
    cluster, node = held[DATACENTER], held[NODE]

    def rules(listed: tuple[Rule, ...] | None) -> list[Rule]:
        return [replace(rule, errors={}, ipversion=None) for rule in listed or ()]

    return {
        "options": {name: str(value) for name, value in cluster.options.items()},
        "rules": rules(cluster.rules),
        "aliases": {name: alias.cidr for name, alias in cluster.aliases.items()},
        "sets": {n: sorted((e.cidr, e.nomatch) for e in one.entries or ()) for n, one in cluster.ipsets.items()},
        "groups": {name: rules(group.rules) for name, group in cluster.groups.items()},
        "node": rules(node.rules),
    }


def cases() -> st.SearchStrategy[tuple[Ruleset, Ruleset, Document]]:
    started = st.tuples(rulesets(), lists().map(lambda rules: Ruleset({}, rules)))
    return started.flatmap(lambda two: st.tuples(st.just(two[0]), st.just(two[1]), documents(*two)))


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_what_is_planned_is_done_safely_and_once(simulator: Simulator, case: Any) -> None:
    cluster, node, document = case
    seed(simulator, cluster, node)
    options = transport.options(simulator)
    with Client(options) as client:
        before = read(client)
        view = View(client)
        try:
            plan, pieces = plan_firewall(view, document)
        except OptionError:
            event("refused")
            return
        if plan.assumed:
            event("names what is not there")
            return
        moments: list[Held] = [before]
        for piece in pieces:
            moments.append(piece.effect(moments[-1]))
        protected = let_in(moments[0]) & let_in(moments[-1])
        if plan.warnings:
            event("no safe order")
        else:
            event(f"{len(pieces) // 5 * 5} changes or more")
            for number, moment in enumerate(moments):
                assert protected <= let_in(moment), f"after {number} changes: {[str(p.change) for p in pieces]}"

        task = FirewallTask(client, document)
        done = reconcile(task.observe, task.plan, task.perform, dry_run=False)
        assert [change.as_data() for change in done.changes] == [change.as_data() for change in plan.changes]
        assert essence(read(client)) == essence(moments[-1])
        again = FirewallTask(client, document)
        assert again.plan(again.observe()).changes == ()
