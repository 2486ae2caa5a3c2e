"""Requests and seconds of large policies, on a simulated cluster: run by ``make bench``. Nothing is judged."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from ansible_collections.homelab.pve.plugins.module_utils.access.document import parse_document
from ansible_collections.homelab.pve.plugins.module_utils.access.task import AccessTask
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import reconcile
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN, Simulator

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


def main() -> int:
    """Print a line for each size and run."""
    print(f"{'users':>6} {'run':<12} {'changes':>8} {'requests':>9} {'seconds':>8}")
    for size in SIZES:
        with Simulator(auth_delay=0) as simulator, tempfile.TemporaryDirectory() as folder:
            wanted = parse_document(policy(Path(folder), size))
            options = ConnectionOptions(
                simulator.host, simulator.port, token_id=ROOT_TOKEN, token_secret=ROOT_SECRET, ca_path=simulator.ca_file
            )
            for run in ("check mode", "create", "no change"):
                simulator.clear_requests()
                started = time.perf_counter()
                with Client(options) as client:
                    task = AccessTask(client, wanted, time.time())
                    plan = reconcile(task.observe, task.plan, task.perform, dry_run=run == "check mode")
                seconds = time.perf_counter() - started
                requests = len(simulator.requests())
                print(f"{size:>6} {run:<12} {len(plan.changes):>8} {requests:>9} {seconds:>8.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
