"""Random policies on random servers: what is planned is done, safely at every step, and done once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.access import releases
from ansible_collections.homelab.pve.plugins.module_utils.access.model import (
    AccessState,
    Group,
    Pool,
    Principal,
    Role,
    Token,
    User,
    is_token,
    owner_of,
)
from ansible_collections.homelab.pve.plugins.module_utils.access.permissions import Evaluator
from ansible_collections.homelab.pve.plugins.module_utils.access.task import AccessTask
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError, PveError
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import Change, reconcile
from ansible_collections.homelab.pve.tests.pvesh import transport
from ansible_collections.homelab.pve.tests.simulator import Simulator
from ansible_collections.homelab.pve.tests.unit.access.strategies import documents, states
from hypothesis import HealthCheck, event, given, settings

SECRET = "11111111-2222-4333-8444-555555555555"
NOW = 1_800_000_000.0
EVERYWHERE = ("/", "/nodes/n", "/vms", "/vms/100", "/vms/102", "/storage/local", "/pool/p1", "/pool/p2")


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(auth_delay=0) as running:
        yield running


def as_export(state: AccessState, pristine: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state in the simulator's form, with what is not access taken from the pristine one."""
    return {
        **pristine,
        "users": [
            {
                "userid": user.userid,
                "enable": int(user.enable),
                "expire": user.expire,
                "groups": sorted(user.groups),
                **({"email": user.email} if user.email else {}),
                **({"comment": user.comment} if user.comment else {}),
            }
            for user in state.users.values()
        ],
        "groups": [{"groupid": group.groupid, "comment": group.comment} for group in state.groups.values()],
        "roles": [
            {"roleid": role.roleid, "privs": ",".join(sorted(role.privs))}
            for role in state.roles.values()
            if not role.special
        ],
        "tokens": [
            {"tokenid": t.tokenid, "privsep": int(t.privsep), "expire": t.expire, "comment": t.comment}
            for t in state.tokens.values()
        ],
        "acl": [
            {
                "path": entry.path,
                "type": entry.principal.kind,
                "ugid": entry.principal.name,
                "roleid": entry.role,
                "propagate": int(propagate),
            }
            for entry, propagate in state.entries()
        ],
        "pools": [
            {"poolid": pool.poolid, "comment": pool.comment, "vms": sorted(pool.vms), "storage": sorted(pool.storage)}
            for pool in state.pools.values()
        ],
        "passwords": {},
        "secrets": dict.fromkeys(state.tokens, SECRET),
    }


def from_export(raw: Mapping[str, Any]) -> AccessState:
    """Return the access part of the simulator's state."""
    acl: dict[Principal, dict[str, dict[str, bool]]] = {}
    for row in raw["acl"]:
        at_paths = acl.setdefault(Principal(row["type"], row["ugid"]), {})
        at_paths.setdefault(row["path"], {})[row["roleid"]] = bool(row["propagate"])
    roles = {name: Role(name, privs, True) for name, privs in releases.builtin_roles((9, 2)).items()}
    for row in raw["roles"]:
        privs = row["privs"].split(",") if isinstance(row["privs"], str) else row["privs"]
        roles[row["roleid"]] = Role(row["roleid"], frozenset(name for name in privs if name))
    return AccessState(
        users={
            row["userid"]: User(
                row["userid"],
                bool(row["enable"]),
                int(row["expire"]),
                frozenset(row["groups"]),
                email=row.get("email", ""),
                comment=row.get("comment", ""),
            )
            for row in raw["users"]
        },
        groups={row["groupid"]: Group(row["groupid"], row.get("comment", "")) for row in raw["groups"]},
        roles=roles,
        tokens={
            row["tokenid"]: Token(row["tokenid"], bool(row["privsep"]), int(row["expire"]), row.get("comment", ""))
            for row in raw["tokens"]
        },
        acl=acl,
        pools={
            row["poolid"]: Pool(
                row["poolid"], row.get("comment", ""), frozenset(row.get("vms", ())), frozenset(row.get("storage", ()))
            )
            for row in raw["pools"]
        },
    )


def held(state: AccessState, subjects: frozenset[str]) -> dict[tuple[str, str], frozenset[str]]:
    evaluator = Evaluator(state)
    there = {s for s in subjects if owner_of(s) in state.users and (not is_token(s) or s in state.tokens)}
    return {
        (subject, path): frozenset(evaluator.privileges(subject, path)) if subject in there else frozenset()
        for subject in subjects
        for path in EVERYWHERE
    }


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(before=states(), document=documents())
def test_what_is_planned_is_done_safely_and_once(simulator: Simulator, before, document) -> None:
    simulator.reset()
    simulator.load(as_export(before, simulator.export()))
    started = from_export(simulator.export())
    options = transport.options(simulator)
    with Client(options) as client:
        task = AccessTask(client, document, NOW)
        try:
            predicted = reconcile(task.observe, task.plan, task.perform, dry_run=True)
        except OptionError:
            event("refused")
            # Then nothing may have been touched.
            assert from_export(simulator.export()) == started
            return
        assert from_export(simulator.export()) == started, "a dry run changed something"
        along = [started]

        def perform(change: Change) -> None:
            task.perform(change)
            along.append(from_export(simulator.export()))

        event("assumes what is not there" if predicted.assumed else f"{min(len(predicted.changes), 5)} changes or more")
        if predicted.assumed:
            with pytest.raises(PveError, match="do not exist"):
                reconcile(task.observe, task.plan, perform, dry_run=False)
            assert from_export(simulator.export()) == started
            return
        done = reconcile(task.observe, task.plan, perform, dry_run=False)
        assert done == predicted
        assert len(along) == len(done.changes) + 1
        again = reconcile(task.observe, task.plan, task.perform, dry_run=False)
    assert again.changes == ()
    assert again.result == {**done.result, "rights": again.result["rights"]}
    assert again.result["rights"] in (None, {"gained": [], "lost": []})
    subjects = frozenset(name for state in (along[0], along[-1]) for name in (*state.users, *state.tokens))
    was, will = held(along[0], subjects), held(along[-1], subjects)
    for number, state in enumerate(along[1:-1]):
        for key, now in held(state, subjects).items():
            assert now <= was[key] | will[key], f"{done.changes[number]} gives {key} too much"
            assert done.warnings or now >= was[key] & will[key], f"{done.changes[number]} takes from {key}"
