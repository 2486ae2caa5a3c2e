"""Policies for users, tokens and ACL entries: planned, applied, and applied again."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from ansible_collections.homelab.pve.plugins.module_utils.access.document import parse_document
from ansible_collections.homelab.pve.plugins.module_utils.access.task import AccessTask
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import reconcile
from ansible_collections.homelab.pve.tests.benchmarks.cluster import connection
from ansible_collections.homelab.pve.tests.simulator import Simulator

SIZES = (50, 200, 1000)


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


def run() -> None:
    """Print a line for each size and run of policies for users and tokens."""
    print(f"{'users':>6} {'run':<12} {'changes':>8} {'requests':>9} {'seconds':>8}")
    for size in SIZES:
        with Simulator(auth_delay=0) as simulator, tempfile.TemporaryDirectory() as folder:
            wanted = parse_document(policy(Path(folder), size))
            for kind in ("check mode", "create", "no change"):
                simulator.clear_requests()
                started = time.perf_counter()
                with Client(connection(simulator)) as client:
                    task = AccessTask(client, wanted, time.time())
                    plan = reconcile(task.observe, task.plan, task.perform, dry_run=kind == "check mode")
                seconds = time.perf_counter() - started
                requests = len(simulator.requests())
                print(f"{size:>6} {kind:<12} {len(plan.changes):>8} {requests:>9} {seconds:>8.2f}", flush=True)
