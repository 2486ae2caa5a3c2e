"""Requests and seconds of large policies and long lists of rules, on a simulated cluster: run by ``make bench``.

Nothing is judged.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from ansible_collections.homelab.pve.plugins.module_utils.access.document import parse_document
from ansible_collections.homelab.pve.plugins.module_utils.access.task import AccessTask
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.firewall.document import rules_document
from ansible_collections.homelab.pve.plugins.module_utils.firewall.task import FirewallTask
from ansible_collections.homelab.pve.plugins.module_utils.firewall.wanted import Document
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import reconcile
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN, Simulator

SIZES = (50, 200, 1000)
RULES = (50, 1000)


def policy(folder: Path, size: int) -> dict[str, object]:
    """Return a policy of ``size`` users, each with a token and an ACL entry for both on a guest of its own."""
    names = [f"user{number}@pve" for number in range(size)]
    return {
        "users": [{"userid": name} for name in names],
        "tokens": [{"tokenid": f"{name}!reader", "secret_file": str(folder / name)} for name in names],
        "acls": [
            {"paths": [f"/vms/{1000 + n}"], "roles": ["PVEAuditor"], "tokens": [f"{name}!reader"], "grant_user": True}
            for n, name in enumerate(names)
        ],
        "allow_missing": True,
    }


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


def connection(simulator: Simulator) -> ConnectionOptions:
    return ConnectionOptions(
        simulator.host, simulator.port, token_id=ROOT_TOKEN, token_secret=ROOT_SECRET, ca_path=simulator.ca_file
    )


def access() -> None:
    """Print a line for each size and run of policies for users and tokens."""
    print(f"{'users':>6} {'run':<12} {'changes':>8} {'requests':>9} {'seconds':>8}")
    for size in SIZES:
        with Simulator(auth_delay=0) as simulator, tempfile.TemporaryDirectory() as folder:
            wanted = parse_document(policy(Path(folder), size))
            for run in ("check mode", "create", "no change"):
                simulator.clear_requests()
                started = time.perf_counter()
                with Client(connection(simulator)) as client:
                    task = AccessTask(client, wanted, time.time())
                    plan = reconcile(task.observe, task.plan, task.perform, dry_run=run == "check mode")
                seconds = time.perf_counter() - started
                requests = len(simulator.requests())
                print(f"{size:>6} {run:<12} {len(plan.changes):>8} {requests:>9} {seconds:>8.2f}", flush=True)


def firewall() -> None:
    """Print a line for each size and run of lists of firewall rules. Planning is part of the seconds."""
    print(f"\n{'rules':>6} {'run':<12} {'changes':>8} {'requests':>9} {'planning':>9} {'seconds':>8}")
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
            for run, wanted in (
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
                    for change in plan.changes if run != "check mode" else ():
                        task.perform(change)
                seconds = time.perf_counter() - started
                found = f"{len(plan.changes):>8} {len(simulator.requests()):>9} {planning:>9.2f} {seconds:>8.2f}"
                print(f"{size:>6} {run:<12} {found}", flush=True)


def main() -> int:
    """Print all tables."""
    access()
    firewall()
    return 0


if __name__ == "__main__":
    sys.exit(main())
