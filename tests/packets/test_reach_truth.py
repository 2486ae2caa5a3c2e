"""What a firewall lets through on paper is what a kernel lets through, after each of many random plans."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError, PveError
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.firewall.document import parse_document
from ansible_collections.homelab.pve.plugins.module_utils.firewall.model import (
    Alias,
    Entry,
    Group,
    IpSet,
    Rule,
    Ruleset,
)
from ansible_collections.homelab.pve.plugins.module_utils.firewall.reach import Packet, Reach
from ansible_collections.homelab.pve.plugins.module_utils.firewall.task import FirewallTask
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import Plan, reconcile
from ansible_collections.homelab.pve.tests.integration.firewall_runs import options_for
from ansible_collections.homelab.pve.tests.packets.compiled import BRIDGES, HOST, Lab, Listed, Probe
from ansible_collections.homelab.pve.tests.simulator import Simulator

Json = dict[str, Any]
PLANS = 120
NODE = "ugreen"
LOCAL_NETWORK = "192.168.40.0/24"
PORTS = (8006, 22, 3128)
NETWORKS = {
    4: (
        *("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.128/25", "10.1.2.130", "192.168.0.0/16"),
        *(LOCAL_NETWORK, "192.168.40.82", "203.0.113.0/24", "203.0.113.9", "198.51.100.64/26"),
    ),
    6: ("fd00:40::/64", "fd00:40::82", "2001:db8::/32", "2001:db8:1::/48", "2001:db8:1::9"),
}
RANGES = {4: ("10.1.1.250-10.1.2.10", "203.0.113.5-203.0.113.9"), 6: ("2001:db8:1::1-2001:db8:1::9",)}
# On both sides of every edge above, but where packets do not go: the node itself, the ends of networks.
SOURCES = {
    4: (
        *("9.255.255.254", "10.0.0.1", "10.1.0.1", "10.1.1.249", "10.1.1.250", "10.1.2.10", "10.1.2.11", "10.1.2.127"),
        *("10.1.2.128", "10.1.2.130", "10.1.3.1", "10.2.0.1", "192.168.39.254", "192.168.40.1", "192.168.40.81"),
        *("192.168.40.82", "192.168.41.1", "198.51.100.63", "198.51.100.64", "203.0.113.4", "203.0.113.5"),
        *("203.0.113.9", "203.0.113.10", "203.0.114.1"),
    ),
    6: (
        *("fd00:40::81", "fd00:40::82", "fd00:40:0:1::1", "2001:db7:ffff::1", "2001:db8::1", "2001:db8:1::1"),
        *("2001:db8:1::9", "2001:db8:1::a", "2001:db8:2::1", "2001:db9::1"),
    ),
}
ALIASES = {"lan": 4, "Pc": 4, "six": 6, "local_network": 4}
SETS = ("net", "few", "management", "blacklist")
GROUPS = ("web", "ops")
KEYS = tuple("abcd")
SERVICES: tuple[Json, ...] = (
    {},
    {"proto": "tcp"},
    {"proto": "udp"},
    {"proto": "tcp", "dport": "22"},
    {"proto": "tcp", "dport": "8006"},
    {"proto": "tcp", "dport": "22,3128,8006"},
    {"proto": "tcp", "dport": "3000:9000"},
    {"proto": "tcp", "dport": "22", "sport": "1024:65535"},
    {"proto": "tcp", "sport": "1:1023"},
    {"macro": "SSH"},
    {"macro": "Web"},
    {"macro": "SPICEproxy"},
)


class Dice(random.Random):
    """Random firewalls and documents, the same ones in every run."""

    def some(self, names: tuple[str, ...] | list[str]) -> list[str]:
        return [name for name in names if self.random() < 0.6]

    def where(self, version: int) -> str:
        names = [name for name, family in ALIASES.items() if family == version and name != "local_network"]
        return self.choice(
            [
                *NETWORKS[version],
                *(f"{self.choice(['', 'dc/'])}{self.choice(names)}", f"+{self.choice(['', 'dc/'])}{self.choice(SETS)}"),
                self.choice(RANGES[version]),
                ",".join(self.sample(NETWORKS[version], 2)),
            ]
        )

    def rule(self, *, in_group: bool = False) -> Json:
        bridge = {"iface": self.choice((*BRIDGES, "vmbr9"))} if not in_group and self.random() < 0.2 else {}
        if not in_group and self.random() < 0.15:
            return {"type": "group", "action": self.choice(GROUPS), **bridge}
        version = self.choice((4, 4, 4, 6))
        found: Json = {"type": "out" if self.random() < 0.05 else "in", **bridge, **self.choice(SERVICES)}
        found["action"] = self.choice(("ACCEPT", "ACCEPT", "DROP", "REJECT"))
        if self.random() < 0.8:
            found["source"] = self.where(version)
        if self.random() < 0.15:
            found["dest"] = self.choice((HOST["vmbr0"], HOST["vmbr1"]))[version == 6]
        return found

    def entries(self) -> list[Json]:
        cidrs = self.sample([*NETWORKS[4], *NETWORKS[6], "lan", "dc/six"], self.randrange(5))
        return [{"cidr": cidr, "nomatch": int(self.random() < 0.3)} for cidr in cidrs]

    def alias(self, name: str) -> Json:
        return {"name": name, "cidr": self.choice(NETWORKS[ALIASES[name]])}

    def policy(self) -> Json:
        return {"policy_in": self.choice(("ACCEPT", "DROP", "DROP", "REJECT"))} if self.random() < 0.7 else {}

    # -- what is there -------------------------------------------------------------------------------------------------

    def stored(self, *, in_group: bool = False) -> list[Json]:
        keys: list[str | None] = [*self.some(KEYS), *[None] * self.randrange(3)]
        return [
            {
                **self.rule(in_group=in_group),
                "enable": int(self.random() < 0.85),
                **({"comment": f"[key:{key}]"} if key else {}),
            }
            for key in self.sample(keys, len(keys))
        ]

    def firewall(self) -> Json:
        cluster = {
            "options": {"enable": 1, **self.policy()},
            # Mostly there, as rules that are made may name nothing else.
            "aliases": [self.alias(name) for name in [*ALIASES][:3] if self.random() < 0.9],
            "ipsets": [{"name": name, "entries": self.entries()} for name in SETS if self.random() < 0.9],
            "groups": [{"group": name, "rules": self.stored(in_group=True)} for name in GROUPS if self.random() < 0.9],
            "rules": self.stored(),
        }
        return {"cluster": cluster, "nodes": {NODE: {"rules": self.stored()}}}

    # -- what is declared ----------------------------------------------------------------------------------------------

    def listed(self, *, in_group: bool = False) -> Json:
        keys = self.some(KEYS)
        rules: list[Json] = []
        for key in self.sample(keys, len(keys)):
            if self.random() < 0.1:
                rules.append({"key": key, "state": "absent"})
            else:
                nothing = dict.fromkeys(("source", "dest", "proto", "dport", "sport", "macro", "iface"), "")
                content = self.rule(in_group=in_group)
                # What a rule with that key has beside is to go.
                fields = content if content["type"] == "group" else {**nothing, **content}
                if in_group:
                    fields.pop("iface", None)
                rules.append({"key": key, **fields, "enable": self.choice((None, None, True, False))})
        place = {"position": self.choice((None, "top", "bottom"))}
        return {"rules": rules, **place, "exclusive": self.random() < 0.1}

    def document(self) -> Json:
        there = self.listed(), self.listed()
        for raw in there:
            raw["exclusive"] = ["rules"] if raw["exclusive"] else []
        cluster: Json = {
            "options": {"enable": self.random() < 0.97, **self.policy()},
            "aliases": [self.alias(name) for name in ALIASES if self.random() < 0.3],
            "ipsets": [
                {"name": name, "entries": self.entries(), "exclusive": self.random() < 0.5}
                for name in SETS
                if self.random() < 0.4
            ],
            "groups": [
                {"name": name, **(self.listed(in_group=True) if self.random() < 0.6 else {})}
                for name in self.some(GROUPS)
            ],
            **(there[0] if self.random() < 0.7 else {}),
        }
        node = {"options": {"enable": False}} if self.random() < 0.03 else {}
        return {"cluster": cluster, "node": {**node, **(there[1] if self.random() < 0.5 else {})}}


@pytest.fixture(scope="module")
def lab(able: None) -> Iterator[Lab]:
    made = Lab()
    yield made
    made.end()


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(auth_delay=0, node=NODE) as running:
        yield running


def apply(client: Client, raw: Json, management_source: str) -> tuple[Plan, bool] | None:
    """Apply a document; where somebody would be cut off, on purpose. None where it makes no sense."""
    for allow in (False, True):
        guard = {"management_source": management_source, "allow_lockout": allow}
        try:
            wanted = parse_document({"cluster": raw["cluster"], **guard}, [("node", NODE, raw["node"])])
            task = FirewallTask(client, wanted)
            return reconcile(task.observe, task.plan, task.perform, dry_run=False), allow
        except PveError as error:
            if not isinstance(error, OptionError) and "do not exist" not in error.message:
                raise
            if "allow_lockout" not in error.hint:
                return None
    return None


def listed(client: Client) -> Listed:
    base = "/cluster/firewall"
    return Listed(
        client.get(f"{base}/options"),
        client.get(f"{base}/rules"),
        client.get(f"{base}/aliases"),
        {row["name"]: client.get(f"{base}/ipset/{row['name']}") for row in client.get(f"{base}/ipset")},
        {row["group"]: client.get(f"{base}/groups/{row['group']}") for row in client.get(f"{base}/groups")},
        client.get(f"/nodes/{NODE}/firewall/options"),
        client.get(f"/nodes/{NODE}/firewall/rules"),
    )


def on_paper(found: Listed) -> Reach:
    cluster = Ruleset(
        found.options,
        tuple(Rule.from_api(row) for row in found.rules),
        {row["name"].lower(): Alias.from_api(row) for row in found.aliases},
        {name: IpSet(name, entries=tuple(Entry.from_api(row) for row in rows)) for name, rows in found.ipsets.items()},
        {name: Group(name, rules=tuple(Rule.from_api(row) for row in rows)) for name, rows in found.groups.items()},
    )
    node = Ruleset(found.node_options, tuple(Rule.from_api(row) for row in found.node_rules))
    return Reach(cluster, node, LOCAL_NETWORK)


def probes(dice: Dice, lab: Lab) -> list[Probe]:
    found = []
    for version in (4, 6):
        for source in dice.sample(SOURCES[version], 12 if version == 4 else 5):
            for port in PORTS:
                dest = HOST[dice.choice(BRIDGES)][version == 6]
                protocol = "udp" if dice.random() < 0.1 else "tcp"
                found.append(Probe(dice.choice(BRIDGES), source, dest, protocol, port, lab.sport()))
    return found


def test_a_kernel_lets_through_what_is_let_through_on_paper(lab: Lab, simulator: Simulator) -> None:
    dice = Dice(20)
    seen: Counter[str] = Counter()
    with Client(options_for(simulator)) as client:
        while seen["plans"] < PLANS:
            simulator.reset()
            simulator.load({"firewall": dice.firewall()})
            applied = apply(client, dice.document(), dice.choice(SOURCES[4]))
            if applied is None:
                seen["refused"] += 1
                continue
            plan, allowed = applied
            found = listed(client)
            reach = on_paper(found)
            lab.load(found, LOCAL_NETWORK)
            sent = probes(dice, lab)
            verdicts = lab.verdicts(sent)
            for probe in sent:
                packet = Packet(probe.source, probe.dport, probe.protocol, probe.dest, probe.bridge, probe.sport)
                verdict = reach.verdict(packet)
                said = f"plan {seen['plans']}: {packet}: on paper {verdict}\n{found}"
                assert verdicts[probe.sport] == verdict.action, said
                seen[f"{verdict.action} over IPv{ip_address(probe.source).version}"] += 1
                seen[verdict.by.partition(" ")[0]] += 1
            seen["plans"] += 1
            seen["changes"] += len(plan.changes)
            seen["lock-outs"] += allowed
    # What is random was not all the same.
    verdicts_seen = [count for name, count in seen.items() if " over " in name]
    assert len(verdicts_seen) == 6
    assert min(verdicts_seen) > PLANS
    assert seen["changes"] > 8 * PLANS, seen
    assert seen["refused"] < PLANS
