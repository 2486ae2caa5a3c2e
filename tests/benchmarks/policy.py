"""Audits: effective rights on paper, and what it takes to read and judge a large cluster."""

from __future__ import annotations

import random
import time
from typing import Any

from ansible_collections.homelab.pve.plugins.module_utils.access.model import AccessState, Pool
from ansible_collections.homelab.pve.plugins.module_utils.access.observe import (
    acl_from,
    groups_from,
    roles_from,
    tokens_from,
    users_from,
)
from ansible_collections.homelab.pve.plugins.module_utils.access.permissions import Evaluator
from ansible_collections.homelab.pve.plugins.module_utils.access.releases import NEWEST, builtin_roles
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.policy.audit import audit
from ansible_collections.homelab.pve.plugins.module_utils.policy.document import Policy
from ansible_collections.homelab.pve.plugins.module_utils.policy.sources import Recorder
from ansible_collections.homelab.pve.plugins.module_utils.reports import KINDS, render
from ansible_collections.homelab.pve.tests.benchmarks.cluster import connection
from ansible_collections.homelab.pve.tests.simulator import Simulator

SIZE = 1000
ENTRIES = 5000
GROUPS = 50
POOLS = 20


def large(entries: int = ENTRIES) -> dict[str, Any]:
    """Return the users, groups, tokens and ACL entries of a large cluster, always the same, as simulators load them."""
    chance = random.Random(20)
    users = [
        {
            "userid": f"user{number}@pve",
            "enable": 1,
            "expire": 0,
            "groups": f"group{number % GROUPS}",
            "tokens": [{"tokenid": "job", "privsep": 1, "expire": 0}],
        }
        for number in range(SIZE)
    ]
    roles = sorted(set(builtin_roles(NEWEST)) - {"NoAccess", "Administrator"})
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    while len(rows) < entries:
        number = chance.randrange(SIZE)
        guest, pool = chance.randrange(100, 1100), chance.randrange(POOLS)
        path = chance.choice(["/", "/vms", f"/vms/{guest}", "/storage/local", f"/pool/pool{pool}"])
        kind, name = chance.choice(
            [("user", f"user{number}@pve"), ("token", f"user{number}@pve!job"), ("group", f"group{number % GROUPS}")]
        )
        role = chance.choice(roles)
        rows[path, name, role] = {"path": path, "type": kind, "ugid": name, "roleid": role, "propagate": 1}
    return {
        "users": users,
        "groups": [{"groupid": f"group{number}"} for number in range(GROUPS)],
        "acl": list(rows.values()),
    }


def evaluated() -> tuple[int, float]:
    """Work out the rights of each token on each of as many guests; return how many that were, and the seconds."""
    data = large()
    state = AccessState(
        users=users_from(data["users"]),
        tokens=tokens_from(data["users"]),
        groups=groups_from(data["groups"]),
        acl=acl_from(data["acl"]),
        roles=roles_from(
            {"roleid": name, "privs": ",".join(privs), "special": 1} for name, privs in builtin_roles(NEWEST).items()
        ),
        pools={f"pool{n}": Pool(f"pool{n}", vms=frozenset(range(100 + n * 50, 150 + n * 50))) for n in range(POOLS)},
    )
    paths = [f"/vms/{vmid}" for vmid in range(100, 100 + SIZE)]
    started = time.process_time()
    evaluator = Evaluator(state)
    for tokenid in state.tokens:
        for path in paths:
            evaluator.privileges(tokenid, path)
    return len(state.tokens) * len(paths), time.process_time() - started


def run() -> None:
    """Print what evaluating, auditing and reporting take."""
    number, seconds = evaluated()
    print(f"rights of {SIZE} tokens on {SIZE} paths ({number} answers): {seconds:.1f} s on one core")
    with Simulator(auth_delay=0) as simulator:
        state = simulator.export()
        state.update({name: state[name] + rows for name, rows in large().items()})
        state["pools"] = [{"poolid": f"pool{number}"} for number in range(POOLS)]
        simulator.load(state)
        simulator.clear_requests()
        with Client(connection(simulator)) as client:
            started = time.perf_counter()
            found = audit(Recorder(client.read_only()), Policy(), time.time())
            seconds = time.perf_counter() - started
        print(
            f"audit of {SIZE} users, {SIZE} tokens, {ENTRIES} entries, {POOLS} pools with entries: "
            f"{len(simulator.requests())} requests, {seconds:.1f} s, {len(found.findings)} findings"
        )
    for kind in KINDS:
        started = time.perf_counter()
        text = render(found, kind, fail_on="error", cluster="bench")
        print(f"  as {kind:<9}{len(text) / 1e6:>6.1f} MB {time.perf_counter() - started:>6.1f} s")
