"""Lists of firewall rules: made, left alone, changed in one place, and turned round."""

from __future__ import annotations

import time

from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.firewall.document import rules_document
from ansible_collections.homelab.pve.plugins.module_utils.firewall.task import FirewallTask
from ansible_collections.homelab.pve.plugins.module_utils.firewall.wanted import Document
from ansible_collections.homelab.pve.tests.benchmarks.cluster import connection
from ansible_collections.homelab.pve.tests.simulator import Simulator

RULES = (50, 1000)


def rules(size: int) -> list[dict[str, object]]:
    """Return rules for the datacenter: five kinds in turn, each rule with a port of its own."""
    kinds = (
        {"action": "ACCEPT", "source": "lan"},
        {"action": "DROP", "source": "+office"},
        {"action": "ACCEPT", "source": "10.2.0.0/16"},
        {"action": "REJECT", "source": "10.0.0.0/8"},
        {"action": "ACCEPT"},
    )
    common = {"type": "in", "proto": "tcp"}
    return [{"key": f"rule-{n}", **common, **kinds[n % 5], "dport": str(1000 + n)} for n in range(size)]


def listed(declared: list[dict[str, object]]) -> Document:
    return rules_document(
        {
            "scope": "cluster",
            "rules": declared,
            "position": "top",
            "state": "present",
            "exclusive": False,
            "management_source": "192.168.40.82",
            "allow_lockout": False,
        }
    )


def run() -> None:
    """Print a line for each size and run of lists of firewall rules. Planning is part of the seconds."""
    print(f"{'rules':>6} {'run':<12} {'changes':>8} {'requests':>9} {'planning':>9} {'seconds':>8}")
    for size in RULES:
        declared = rules(size)
        one = [*declared[: size // 2], {**declared[size // 2], "dport": "9"}, *declared[size // 2 + 1 :]]
        with Simulator(auth_delay=0) as simulator:
            simulator.load(
                {
                    "firewall": {
                        "cluster": {
                            "options": {"enable": 1},
                            "aliases": [{"name": "lan", "cidr": "192.168.40.0/24"}],
                            "ipsets": [{"name": "office", "entries": [{"cidr": "10.1.0.0/16"}]}],
                            "rules": [{"type": "in", "action": "ACCEPT", "proto": "udp", "comment": "Somebody's"}],
                        }
                    }
                }
            )
            for kind, wanted in (
                ("check mode", declared),
                ("create", declared),
                ("no change", declared),
                ("one changed", one),
                ("reverse", one[::-1]),
            ):
                simulator.clear_requests()
                started = time.perf_counter()
                with Client(connection(simulator)) as client:
                    task = FirewallTask(client, listed(wanted))
                    view = task.observe()
                    seen = time.perf_counter()
                    plan = task.plan(view)
                    planning = time.perf_counter() - seen
                    for change in plan.changes if kind != "check mode" else ():
                        task.perform(change)
                seconds = time.perf_counter() - started
                found = f"{len(plan.changes):>8} {len(simulator.requests()):>9} {planning:>9.2f} {seconds:>8.2f}"
                print(f"{size:>6} {kind:<12} {found}", flush=True)
