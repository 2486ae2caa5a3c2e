"""Cost is known: the number of requests of a run, counted by the server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.access.document import Document, parse_document
from ansible_collections.homelab.pve.plugins.module_utils.access.task import AccessTask
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import Plan, reconcile
from ansible_collections.homelab.pve.tests.pvesh import transport
from ansible_collections.homelab.pve.tests.simulator import Simulator

MANY = 1000
POOLS = 3
SECRET = "99999999-2222-4333-8444-555555555555"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(auth_delay=0) as running:
        yield running


def run(simulator: Simulator, document: Document, *, dry_run: bool = False) -> tuple[Plan, Counter[str]]:
    """Reconcile, and return the plan and the requests that the server saw, by method."""
    options = transport.options(simulator)
    simulator.clear_requests()
    with Client(options) as client:
        task = AccessTask(client, document, 1_800_000_000.0)
        plan = reconcile(task.observe, task.plan, task.perform, dry_run=dry_run)
        sent = client.requests_sent
    seen = Counter(request["method"] for request in simulator.requests())
    assert sum(seen.values()) >= sent
    return plan, seen


def large_policy(folder: Path, *, pools: int) -> dict[str, Any]:
    """Return a policy of 1,000 users, 1,000 tokens and 1,000 ACL entries for each half of them."""
    users = [f"user{number}@pve" for number in range(MANY)]
    raw: dict[str, Any] = {
        "users": [{"userid": user, "comment": f"number {user}"} for user in users],
        "tokens": [{"tokenid": f"{user}!reader", "secret_file": str(folder / user)} for user in users],
        "acls": [
            {"paths": [f"/vms/{1000 + n}"], "roles": ["PVEAuditor"], "tokens": [f"{user}!reader"], "grant_user": True}
            for n, user in enumerate(users)
        ],
        "pools": [],
    }
    for number in range(pools):
        raw["acls"].append({"paths": [f"/pool/pool{number}"], "roles": ["PVEAuditor"], "users": [users[number]]})
    return raw


def on_the_server(simulator: Simulator, folder: Path, raw: dict[str, Any], *, pools: int) -> None:
    """Put the whole policy on the server and the secrets into their files, without a run."""
    state = simulator.export()
    state["users"] += [{"userid": user["userid"], "comment": user["comment"]} for user in raw["users"]]
    for token in raw["tokens"]:
        state["tokens"].append({"tokenid": token["tokenid"], "privsep": 1})
        state["secrets"][token["tokenid"]] = SECRET
        secret = Path(token["secret_file"])
        secret.write_text(SECRET + "\n")
        secret.chmod(0o600)
    for acl in raw["acls"]:
        for token in acl.get("tokens", ()):
            owner = token.partition("!")[0]
            for kind, name in (("token", token), ("user", owner)):
                state["acl"].append({"path": acl["paths"][0], "type": kind, "ugid": name, "roleid": "PVEAuditor"})
        for user in acl.get("users", ()):
            state["acl"].append({"path": acl["paths"][0], "type": "user", "ugid": user, "roleid": "PVEAuditor"})
    for row in state["acl"]:
        row.setdefault("propagate", 1)
    state["pools"] += [{"poolid": f"pool{number}", "vms": [], "storage": []} for number in range(pools)]
    simulator.load(state)


@pytest.mark.parametrize("pools", [0, POOLS])
def test_a_run_without_changes_over_a_large_policy(simulator: Simulator, tmp_path: Path, pools: int) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    simulator.reset()
    raw = large_policy(folder, pools=pools)
    on_the_server(simulator, folder, raw, pools=pools)
    before = simulator.export()
    plan, seen = run(simulator, parse_document({**raw, "allow_missing": True}))
    assert plan.changes == ()
    assert set(seen) == {"GET"}
    assert seen["GET"] <= 8 + pools
    assert simulator.export() == before


def test_one_acl_entry_for_many_is_one_write(simulator: Simulator) -> None:
    simulator.reset()
    state = simulator.export()
    state["users"] += [{"userid": f"user{number}@pve"} for number in range(50)]
    simulator.load(state)
    acl = {"paths": ["/vms/100"], "roles": ["PVEAuditor"], "users": [f"user{number}@pve" for number in range(50)]}
    plan, seen = run(simulator, parse_document({"acls": [acl]}))
    assert len(plan.changes) == 1
    assert seen == Counter(GET=7, PUT=1)
    unused, seen = run(simulator, parse_document({"acls": [acl]}))
    assert seen == Counter(GET=7)


def test_verifying_secrets_costs_one_request_each(simulator: Simulator, tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    simulator.reset()
    tokens = [
        {"tokenid": f"admin@pve!reader{number}", "secret_file": str(folder / str(number)), "verify_secret": "always"}
        for number in range(20)
    ]
    raw = {
        "tokens": tokens,
        "acls": [{"paths": ["/"], "roles": ["PVEAuditor"], "tokens": [t["tokenid"] for t in tokens]}],
    }
    run(simulator, parse_document(raw))
    plan, seen = run(simulator, parse_document(raw))
    assert plan.changes == ()
    assert seen == Counter(GET=6 + len(tokens))
