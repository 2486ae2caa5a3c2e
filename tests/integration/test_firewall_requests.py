"""What the firewall's tasks cost: requests, counted by the server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.homelab.pve.tests.integration.firewall_runs import NODE, Json, Run, a_document, a_list
from ansible_collections.homelab.pve.tests.simulator import Simulator

MANY = 50
SCOPES: dict[str, Json] = {
    "cluster": {"scope": "cluster"},
    "node": {"scope": "node", "node": NODE},
    "guest": {"scope": "guest", "vmid": 100},
    "group": {"scope": "group", "group": "own"},
}
FOREIGN: list[Json] = [
    {"type": "in", "action": "ACCEPT", "proto": "udp", "dport": "53", "comment": "Somebody's"},
    {"type": "in", "action": "DROP", "source": "203.0.113.0/24"},
]
# In turn, so that fifty rules hold ten of each.
KINDS: tuple[Json, ...] = (
    {"type": "in", "action": "ACCEPT", "proto": "tcp", "source": "lan"},
    {"type": "in", "action": "DROP", "proto": "tcp", "source": "+office"},
    {"type": "in", "action": "ACCEPT", "macro": "HTTPS", "source": "server"},
    {"type": "in", "action": "REJECT", "proto": "tcp", "dest": "+servers"},
    {"type": "out", "action": "ACCEPT", "proto": "udp", "dest": "+offsite"},
)


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with Simulator(auth_delay=0) as simulator:
        yield simulator


@pytest.fixture(params=["on", "off"])
def simulator(running: Simulator, request: pytest.FixtureRequest) -> Simulator:
    running.reset()
    running.load({"firewall": firewall(on=request.param == "on")})
    return running


def firewall(*, on: bool) -> Json:
    """Return a firewall with fifty IP sets, some aliases and groups, and rules of somebody else everywhere."""
    names = ["management", "office", "servers", "offsite"]
    sets = [
        {"name": name, "entries": [{"cidr": f"10.{number}.0.0/16"}]}
        for number, name in enumerate([*names, *(f"set{n}" for n in range(MANY - len(names)))])
    ]
    sets[0]["entries"].append({"cidr": "192.168.40.0/24"})
    return {
        "cluster": {
            "options": {"enable": int(on), "policy_in": "DROP"},
            "aliases": [{"name": "lan", "cidr": "192.168.40.0/24"}, {"name": "Server", "cidr": "10.9.0.1"}],
            "ipsets": sets,
            "groups": [{"group": "web", "rules": FOREIGN}, {"group": "own", "rules": FOREIGN}, {"group": "other"}],
            "rules": FOREIGN,
        },
        "nodes": {NODE: {"rules": FOREIGN}},
        "guests": {"100": {"options": {"enable": 1}, "rules": FOREIGN}},
    }


def fifty(scope: str, *, calls: bool = True, **more: Any) -> list[Json]:
    """Return fifty rules, most with a port of their own; one of them calls a group, where that may be."""
    found = []
    for number in range(MANY):
        kind = KINDS[number % len(KINDS)]
        ports = {} if "macro" in kind else {"dport": str(2000 + number)}
        found.append({"key": f"rule-{number}", **kind, **ports, **more})
    if calls and scope != "group":
        found[-1] = {"key": found[-1]["key"], "type": "group", "action": "web"}
    return found


def made_in_two(rules: list[Json]) -> int:
    """Count the rules that cut off, or may: they are made switched off, and then switched on."""
    return sum(rule["action"] != "ACCEPT" for rule in rules)


def writes(run: Run) -> int:
    return sum(not line.startswith("GET") for line in run.seen)


def carried_out(simulator: Simulator, scope: str, rules: list[Json]) -> Run:
    """Carry a list of rules out; a second run then has nothing to do."""
    run = Run(simulator, a_list(rules, SCOPES[scope]))
    run()
    assert Run(simulator, a_list(rules, SCOPES[scope]))(dry_run=True).changes == ()
    return run


@pytest.mark.parametrize("scope", SCOPES)
def test_fifty_rules(simulator: Simulator, scope: str) -> None:
    # Where the firewall is off, nobody is cut off, by groups or otherwise, and nobody has to look at that.
    rules = fifty(scope, calls=not is_on(simulator))
    created = carried_out(simulator, scope, rules)
    assert len(created.seen) <= MANY + made_in_two(rules) + 6
    same = carried_out(simulator, scope, rules)
    assert writes(same) == 0
    assert len(same.seen) <= 2
    for name, value in (("dport", "4000"), ("source", "+set7"), ("source", "Server"), ("comment", "Another")):
        rules[20] = {**rules[20], name: value}
        changed = carried_out(simulator, scope, rules)
        assert writes(changed) == 1, changed.seen
        assert len(changed.seen) <= 7
    for rule in rules:
        rule["comment"] = "Everywhere the same"
    assert_all_updated(simulator, scope, rules)
    for rule in rules:
        rule["comment"] = "Another one"
        if rule["type"] != "group":
            rule.update({"log": "info"} if "macro" in rule else {"dport": "5000:5999"})
    assert_all_updated(simulator, scope, rules)


def assert_all_updated(simulator: Simulator, scope: str, rules: list[Json]) -> None:
    updated = carried_out(simulator, scope, rules)
    assert writes(updated) == MANY
    assert len(updated.seen) <= MANY + 6


def is_on(simulator: Simulator) -> bool:
    return "enable: 1" in simulator.export()["firewall"]["cluster"]


@pytest.mark.parametrize("scope", ["cluster", "node"])
def test_what_it_costs_to_know_that_nobody_is_cut_off(running: Simulator, scope: str) -> None:
    """Only for rules that can matter to the API or to SSH, and that may call others, with the firewall on."""
    running.reset()
    running.load({"firewall": firewall(on=True)})
    rules = fifty(scope)
    created = carried_out(running, scope, rules)
    sets = {field[1:] for rule in rules for field in (rule.get("source", ""), rule.get("dest", "")) if field[:1] == "+"}
    # The node's name and addresses, what it and the datacenter hold, the group that is called, and sets.
    guarding = ["status", "network", "rules", "options", "group", "management", *sets]
    assert len(created.seen) <= MANY + made_in_two(rules) + 6 + len(guarding)
    assert not any("ipset/set" in line for line in created.seen), "a set was read that nothing names"
    assert not any(line.endswith(("groups/own", "groups/other")) for line in created.seen)


def test_one_ipset_among_fifty(simulator: Simulator) -> None:
    wanted = {"name": "set7", "entries": [{"cidr": "10.11.0.0/16"}]}
    run = Run(simulator, a_document(cluster={"ipsets": [wanted]}))
    assert run().changes == ()
    assert run.seen == ["GET /cluster/firewall/ipset", "GET /cluster/firewall/ipset/set7"]
    wanted["entries"].append({"cidr": "10.99.0.0/16"})
    run = Run(simulator, a_document(cluster={"ipsets": [wanted]}))
    run()
    assert writes(run) == 1


def test_rules_go_at_one_request_each(running: Simulator) -> None:
    running.reset()
    running.load({"firewall": firewall(on=True)})
    rules = fifty("cluster", calls=False)
    carried_out(running, "cluster", rules)
    gone = carried_out(running, "cluster", [{"key": rule["key"], "state": "absent"} for rule in rules])
    assert writes(gone) == MANY
    assert len(gone.seen) <= MANY + 6
