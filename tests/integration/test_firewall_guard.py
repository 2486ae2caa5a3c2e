"""What the lock-out guard says about whole clusters, and about what it may not see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.firewall.scope import DATACENTER, Scope
from ansible_collections.homelab.pve.plugins.module_utils.firewall.task import FirewallTask
from ansible_collections.homelab.pve.plugins.module_utils.firewall.wanted import (
    Document,
    GroupSpec,
    ListSpec,
    PlaceSpec,
    RuleSpec,
)
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import Plan, reconcile
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN, Simulator

ADMIN = "203.0.113.9"
SECRET = "99999999-2222-4333-8444-555555555555"
LET_IN = RuleSpec("admin", {"type": "in", "action": "ACCEPT", "source": ADMIN}, label="admin")
CLOSED = RuleSpec("closed", {"type": "in", "action": "DROP", "proto": "tcp", "dport": "8006"}, label="closed")


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with Simulator(auth_delay=0, nodes=3) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Simulator:
    running.reset()
    rules = [{"type": "in", "action": "ACCEPT", "source": ADMIN, "proto": "tcp"}]
    running.load({"firewall": {"cluster": {"options": {"enable": 1}, "rules": rules}}})
    return running


def plan(simulator: Simulator, document: Document, tokenid: str = ROOT_TOKEN, secret: str = ROOT_SECRET) -> Plan:
    options = ConnectionOptions(
        simulator.host, simulator.port, token_id=tokenid, token_secret=secret, ca_path=simulator.ca_file
    )
    with Client(options) as client:
        task = FirewallTask(client, document)
        return reconcile(task.observe, task.plan, task.perform, dry_run=True)


def document(*rules: RuleSpec, source: str = ADMIN) -> Document:
    return Document((PlaceSpec(DATACENTER, rules=ListSpec(rules)),), management_source=source)


def test_other_nodes_that_are_cut_off_are_named(simulator: Simulator) -> None:
    clients = replace(document(LET_IN, CLOSED), api_clients=(ADMIN,))
    (said,) = plan(simulator, clients).warnings
    assert "192.168.40.3, 192.168.40.4 (cluster rule 1 (IN DROP -p tcp -dport 8006) answers DROP)" in said
    nodes = replace(LET_IN, key="nodes", fields={**LET_IN.fields, "source": "192.168.40.2-192.168.40.4"})
    assert plan(simulator, replace(document(nodes, LET_IN, CLOSED), api_clients=(ADMIN,))).warnings == ()


def test_what_cannot_be_judged_is_refused_unless_it_is_meant(simulator: Simulator) -> None:
    """Whoever may write the datacenter's rules, and not read the node's, cannot tell who gets in."""
    state = simulator.export()
    simulator.load(
        {
            **{kind: state[kind] for kind in ("groups", "pools")},
            "users": [*state["users"], {"userid": "net@pve"}],
            "tokens": [*state["tokens"], {"tokenid": "net@pve!ci", "privsep": 0, "secret": SECRET}],
            "roles": [*state["roles"], {"roleid": "net", "privs": "Sys.Audit,Sys.Modify"}],
            "acl": [*state["acl"], {"path": "/", "type": "user", "ugid": "net@pve", "roleid": "net", "propagate": 0}],
        }
    )
    with pytest.raises(OptionError, match=r"without reading /nodes/ugreen/firewall/rules"):
        plan(simulator, document(CLOSED), "net@pve!ci", SECRET)
    meant = replace(document(CLOSED), allow_lockout=True)
    assert [change.action for change in plan(simulator, meant, "net@pve!ci", SECRET).changes] == ["create", "update"]
    # What cannot cut anybody off needs no judgement.
    harmless = replace(CLOSED, fields={**CLOSED.fields, "dport": "443"})
    assert plan(simulator, document(harmless), "net@pve!ci", SECRET).changed


def test_a_group_that_a_node_calls_can_cut_off_too(simulator: Simulator) -> None:
    group = {"group": "staff", "rules": [{"type": "in", "action": "ACCEPT", "source": ADMIN}]}
    calls = {"rules": [{"type": "group", "action": "staff"}, {"type": "in", "action": "DROP"}]}
    simulator.load({"firewall": {"cluster": {"options": {"enable": 1}, "groups": [group]}, "nodes": {"ugreen": calls}}})
    somebody_else = ListSpec((replace(LET_IN, fields={**LET_IN.fields, "source": "203.0.113.10"}),), exclusive=True)
    in_the_list = PlaceSpec(Scope("group", "staff"), rules=somebody_else)
    as_a_group = PlaceSpec(DATACENTER, groups=(GroupSpec("staff", rules=somebody_else),))
    for place in (in_the_list, as_a_group):
        with pytest.raises(OptionError, match=r"node rule 1 \(IN DROP\) answers DROP"):
            plan(simulator, Document((place,), management_source=ADMIN))
