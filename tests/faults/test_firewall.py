"""A firewall is put in order and nobody is cut off, whatever request is struck, at whichever moment, by whatever."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from itertools import product
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.client import http
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import PveError
from ansible_collections.homelab.pve.plugins.module_utils.firewall.comments import BRIDGE
from ansible_collections.homelab.pve.plugins.module_utils.firewall.model import (
    Alias,
    Entry,
    Group,
    IpSet,
    Rule,
    Ruleset,
)
from ansible_collections.homelab.pve.plugins.module_utils.firewall.reach import Packet, Reach, interesting_addresses
from ansible_collections.homelab.pve.tests.faults.cluster import Cluster
from ansible_collections.homelab.pve.tests.faults.runner import Runner
from ansible_collections.homelab.pve.tests.integration.firewall_runs import ADMIN, NODE, Json, Run, a_document
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN
from ansible_collections.homelab.pve.tests.simulator.firewall.config import Place as File

LOCAL_NETWORK = "192.168.40.0/24"
PORTS = (22, 8006)


def rule(action: str, source: str = "", comment: str = "", **more: Any) -> Json:
    """A rule that is there."""
    row = {"type": "in", "action": action, "source": source, "comment": comment, "enable": 1, **more}
    return {name: value for name, value in row.items() if value != ""}


def declared(key: str, action: str, source: str = "", **more: Any) -> Json:
    return {"key": key, "type": "in", "action": action, **({"source": source} if source else {}), **more}


SSH = {"proto": "tcp", "dport": "22"}
API = {"proto": "tcp", "dport": "8006"}
THERE: Json = {
    "cluster": {
        "options": {"enable": 1, "policy_in": "DROP"},
        "aliases": [{"name": "lan", "cidr": LOCAL_NETWORK}, {"name": "away", "cidr": "10.8.0.0/24"}],
        "ipsets": [
            {"name": "admins", "entries": [{"cidr": "10.1.0.1"}, {"cidr": "10.1.0.2"}]},
            {"name": "management", "entries": [{"cidr": ADMIN}]},
        ],
        "groups": [
            {"group": "desk", "rules": [rule("ACCEPT", "10.4.0.0/16", "[key:in]", **SSH), rule("DROP", "10.5.0.9")]}
        ],
        "rules": [
            rule("ACCEPT", "10.2.0.1", "[key:one]", **SSH),
            rule("ACCEPT", "10.2.0.2", "[key:two]", **SSH),
            rule("ACCEPT", "+admins", "Somebody's", **API),
            rule("DROP", "10.2.0.0/16", "[key:off]"),
            rule("ACCEPT", "10.3.0.0/16", "Somebody's, too"),
            {"type": "group", "action": "desk", "enable": 1},
        ],
    },
    "nodes": {NODE: {"rules": [rule("ACCEPT", "10.6.0.1", "Somebody's", **SSH)]}},
}
SCENARIOS: dict[str, Json] = {
    "rules created": {
        "cluster": {
            "rules": [
                declared("api", "ACCEPT", "lan", **API),
                declared("closed", "DROP", "10.3.0.0/24", **SSH),
                declared("refused", "REJECT", "10.3.1.0/24"),
            ],
            "position": "top",
        }
    },
    "rules exchanged and moved": {
        "cluster": {
            "rules": [
                declared("two", "ACCEPT", "10.2.0.1", **SSH),
                declared("one", "ACCEPT", "10.2.0.2", **SSH),
                declared("off", "DROP", "10.2.0.0/15"),
            ],
            "position": "bottom",
        }
    },
    "rules removed": {
        "cluster": {"rules": [{"key": key, "state": "absent"} for key in ("one", "two", "off")]},
    },
    "IP set": {
        "cluster": {
            "ipsets": [
                {
                    "name": "admins",
                    "entries": [{"cidr": "10.1.0.0/24"}, {"cidr": "10.1.0.9", "nomatch": True}],
                    "exclusive": True,
                },
                {"name": "blacklist", "entries": [{"cidr": "203.0.113.0/24"}]},
            ]
        }
    },
    "group": {
        "cluster": {
            "groups": [
                {
                    "name": "desk",
                    "rules": [declared("cut", "DROP", "10.4.1.0/24"), declared("in", "ACCEPT", "10.4.0.0/16")],
                    "position": "top",
                },
                {
                    "name": "more",
                    "rules": [declared("drop", "DROP", "10.3.0.0/24"), declared("let", "ACCEPT", "10.7.0.1")],
                },
            ],
            "rules": [{"key": "call", "type": "group", "action": "more"}],
            "position": "top",
        }
    },
    "whole document": {
        "cluster": {
            "options": {"policy_in": "REJECT"},
            "aliases": [{"name": "away", "cidr": "10.8.1.0/24"}, {"name": "new", "cidr": "10.9.0.1"}],
            "ipsets": [{"name": "admins", "entries": [{"cidr": "10.1.0.2", "state": "absent"}, {"cidr": "10.1.0.3"}]}],
            "groups": [{"name": "more", "rules": [declared("drop", "DROP", "10.3.0.0/24")]}],
            "rules": [
                declared("one", "ACCEPT", "10.2.0.1", **SSH, comment="Let in"),
                declared("new", "ACCEPT", "new", **SSH),
                {"key": "call", "type": "group", "action": "more"},
                {"key": "off", "state": "absent"},
            ],
        },
        "nodes": {NODE: {"rules": [declared("api", "ACCEPT", "away", **API), declared("no", "REJECT", "10.6.0.0/24")]}},
    },
}


def held(cluster: Cluster) -> tuple[Ruleset, Ruleset]:
    """Return what the server holds for its host, read between two requests."""
    firewall = cluster.struck.state.firewall
    datacenter, node = cluster._call(lambda: (firewall.config(File("cluster")), firewall.config(File("host", NODE))))
    return (
        Ruleset(
            datacenter.options,
            tuple(map(Rule.from_api, datacenter.rules or ())),
            {name: Alias.from_api(row) for name, row in datacenter.aliases.items()},
            {name: IpSet(name, entries=tuple(map(Entry.from_api, rows))) for name, rows in datacenter.ipsets.items()},
            {name: Group(name, rules=tuple(map(Rule.from_api, rows))) for name, rows in datacenter.groups.items()},
        ),
        Ruleset(node.options, tuple(map(Rule.from_api, node.rules or ()))),
    )


def let_in(cluster: Cluster, packets: list[Packet]) -> set[Packet]:
    reach = Reach(*held(cluster), LOCAL_NETWORK)
    return {packet for packet in packets if reach.verdict(packet).action == "ACCEPT"}


class Judge:
    """Runs a scenario, and says what has to hold at every moment and in the end."""

    def __init__(self, cluster: Cluster, raw: Json) -> None:
        self.cluster, self.raw = cluster, raw
        self.wanted = a_document(**raw)
        self.protected: list[Packet] = []
        self.again()
        before = held(cluster)
        plan = self.run()()
        assert not plan.warnings
        self.notes = [change.note for change in plan.changes]
        self.requests = [*cluster.requests()]
        self.good = cluster.export()["firewall"]
        assert BRIDGE not in str(self.good)
        assert "[pending]" not in str(self.good)
        sources = interesting_addresses((*before, *held(cluster)), "0.0.0.0/0", [LOCAL_NETWORK])
        packets = [Packet(source, port) for source, port in product(sources, PORTS)]
        after = let_in(cluster, packets)
        self.again()
        self.protected = sorted(after & let_in(cluster, packets), key=str)
        assert self.protected

    def again(self) -> None:
        """Make everything as it was before."""
        self.cluster.open()
        self.cluster.load({"firewall": THERE})

    def run(self) -> Run:
        return Run(self.cluster, self.wanted, after=lambda change: self.nobody_is_cut_off(), port=self.cluster.door)

    def nobody_is_cut_off(self) -> None:
        kept = let_in(self.cluster, self.protected)
        cut = [packet for packet in self.protected if packet not in kept]
        assert not cut, f"{cut[0].source} does not reach port {cut[0].dport}"

    def writes(self) -> list[int]:
        """Return the numbers of the requests that change something, and those of the first and the last look."""
        looks = [nth for nth, row in enumerate(self.requests, 1) if row["method"] == "GET"]
        return sorted({looks[0], looks[-1], *range(1, len(self.requests) + 1)} - {*looks[1:-1]})

    def is_good(self) -> None:
        """Everything is as it is after a run that nothing happened to, and nothing is left to do."""
        assert self.cluster.export()["firewall"] == self.good
        assert self.run()().changes == ()

    def ends_well(self) -> None:
        """The next run makes it good."""
        self.nobody_is_cut_off()
        self.cluster.open()
        self.run()()
        self.is_good()


@pytest.fixture
def judge(clusters: Callable[[str], Cluster], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Judge]:
    # How long the client waits for PVE to come back is not the question here.
    monkeypatch.setattr(http, "PAUSES", (0.0, 0.01, 0.02))
    return lambda name: Judge(clusters("9.2"), SCENARIOS[name])


# Of the moments beside the one that counts, some will do: nothing is done before, and afterwards all is known.
SOME = {"before": slice(0, None, 3), "in": slice(None), "after": slice(1, None, 3)}


@pytest.mark.parametrize("when", SOME)
@pytest.mark.parametrize("name", SCENARIOS)
def test_one_cut_is_made_good_in_the_same_run(judge: Callable[[str], Judge], name: str, when: str) -> None:
    here = judge(name)
    for nth in here.writes()[SOME[when]]:
        here.again()
        here.cluster.strike("cut", when, nth, Future())
        here.run()()
        assert here.cluster.was_struck
        here.is_good()


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_port_that_refuses_from_some_request_on(judge: Callable[[str], Judge], name: str) -> None:
    here = judge(name)
    for nth in here.writes()[::3]:
        here.again()
        here.cluster.strike("refuse", "in", nth, Future())
        # After the very last request nothing is left to ask.
        with pytest.raises(PveError, match=r"\bcould not be asked again\b|\bCould not\b|refused"):
            here.run()()
        assert here.cluster.was_struck
        here.ends_well()


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_any_request(judge: Callable[[str], Judge], runner: Runner, name: str) -> None:
    """What stands then is every state that there is on the way."""
    here = judge(name)
    options = {
        "host": here.cluster.host,
        "port": here.cluster.door,
        "ca_path": here.cluster.ca_file,
        "token_id": ROOT_TOKEN,
        "token_secret": ROOT_SECRET,
        "management_source": ADMIN,
        **here.raw,
    }
    for nth in here.writes():
        here.again()
        pid: Future[int] = Future()
        here.cluster.strike("kill", "in", nth, pid)
        assert runner.run("pve_firewall", options, pid=pid).killed
        here.ends_well()


def test_what_the_scenarios_are_about(judge: Callable[[str], Judge]) -> None:
    assert "bridges a gap while others change" in judge("rules exchanged and moved").notes
    assert "made switched off, to be switched on last" in judge("rules created").notes
