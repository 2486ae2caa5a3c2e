"""The rights that a plan says are gained and lost are those that the server's own answers differ by afterwards.

The simulator works rights out by code of its own (tests/simulator/effective.py), and this file compares its answers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.access.document import (
    AclSpec,
    Document,
    GroupSpec,
    PoolSpec,
    RoleSpec,
    Scope,
    TokenSpec,
    UserSpec,
)
from ansible_collections.homelab.pve.plugins.module_utils.access.model import (
    AccessState,
    Entry,
    Group,
    Pool,
    Role,
    Token,
    User,
    owner_of,
)
from ansible_collections.homelab.pve.plugins.module_utils.access.releases import builtin_roles
from ansible_collections.homelab.pve.plugins.module_utils.access.task import AccessTask
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError, PveError
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import reconcile
from ansible_collections.homelab.pve.tests.integration.conftest import Ansible, Run
from ansible_collections.homelab.pve.tests.integration.test_random_policies import NOW, SECRET, as_export
from ansible_collections.homelab.pve.tests.simulator import Simulator
from ansible_collections.homelab.pve.tests.unit.access.expanded import expand
from ansible_collections.homelab.pve.tests.unit.access.strategies import (
    CALLER,
    GIVEN,
    GROUPS,
    PATHS,
    POOLS,
    PRIVS,
    ROLES,
    TOKENS,
    USERS,
    documents,
    principals,
)
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

EXAMPLES = 40
# Where everybody's rights are asked for: where entries may stand, on members of pools, and where there is nothing.
EVERYWHERE = [
    *("/", "/access", "/nodes/n", "/vms", "/vms/100", "/vms/102", "/vms/999"),
    *("/storage", "/storage/local", "/storage/x", "/pool", "/pool/p1", "/pool/p1/x", "/pool/p2", "/pool/p3"),
]
# Entries of nobody, on all of these: PVE looks at every path with entries when it is asked for a whole tree.
ASKED = [{"path": path, "type": "user", "ugid": "nobody@pve", "roleid": "PVEPoolUser"} for path in EVERYWHERE]

Json = dict[str, Any]
Rights = dict[tuple[str, str], frozenset[str]]


@pytest.fixture(scope="module")
def quick() -> Iterator[Simulator]:
    with Simulator(auth_delay=0) as running:
        yield running


def server_says(simulator: Simulator, client: Client) -> Rights:
    """Return what the server says everybody can use everywhere, and leave its state as it is."""
    state = simulator.export()
    simulator.load({**state, "acl": [*state["acl"], *ASKED]})
    found: Rights = {}
    for user in client.get("/access/users", {"full": 1}):
        for name in ("", *(f"!{token['tokenid']}" for token in user["tokens"] or ())):
            tree = client.get("/access/permissions", {"userid": user["userid"] + name}) if user["enable"] else {}
            for path in EVERYWHERE:
                found[user["userid"] + name, path] = frozenset(tree.get(path, {}))
    simulator.load(state)
    return found


def differences(before: Rights, after: Rights) -> Rights:
    """Return what ``after`` has and ``before`` has not."""
    found = {key: held - before.get(key, frozenset()) for key, held in after.items()}
    return {key: more for key, more in found.items() if more}


def meant(rows: list[Json], keys: set[tuple[str, str]]) -> Rights:
    found = {key: expand(rows, *key) for key in keys}
    return {key: more for key, more in found.items() if more}


def dense(random: Random) -> AccessState:
    """Return a state with more in it than ``states`` draws: most of all ids are there, and can log in."""

    def some(names: Iterable[str], share: float) -> list[str]:
        return [name for name in names if random.random() < share]

    builtin = builtin_roles((9, 2))
    roles = {name: Role(name, builtin[name], True) for name in ("Administrator", "NoAccess", "PVEAuditor")}
    roles |= {name: Role(name, frozenset(some(PRIVS, 0.6))) for name in some(ROLES, 0.9)}
    groups = {name: Group(name) for name in some(GROUPS, 0.9)}
    users = {"root@pam": User("root@pam", email="root@example.org")}
    for name in some(USERS, 0.8):
        users[name] = User(name, random.random() < 0.85, groups=frozenset(some(groups, 0.5)))
    tokens = {CALLER: Token(CALLER, privsep=False)}
    for name in some(TOKENS, 0.8):
        if name.partition("!")[0] in users:
            tokens[name] = Token(name, random.random() < 0.7)
    pools = {name: Pool(name) for name in some(POOLS, 0.7)}
    for vmid in (100, 102) if pools else ():
        name = random.choice(sorted(pools))
        storage = frozenset({"local"}) if random.random() < 0.5 else frozenset()
        pools[name] = replace(pools[name], vms=pools[name].vms | {vmid}, storage=storage)
    state = AccessState(users, groups, roles, tokens, pools=pools)
    for who in principals(state):
        for path in some(PATHS, 0.3):
            for role in random.sample(sorted(set(GIVEN) & set(roles)), random.choice((1, 1, 2))):
                state = state.grant({Entry(path, who, role): random.random() < 0.7})
    return state


def apart(pools: Mapping[str, Pool]) -> dict[str, Pool]:
    """Return pools of which no two have a guest in common."""
    found: dict[str, Pool] = {}
    for name, pool in pools.items():
        taken = {vmid for other in found.values() for vmid in other.vms}
        found[name] = replace(pool, vms=pool.vms - taken)
    return found


def changed(random: Random, state: AccessState) -> Document:
    """Return the document of a state that has much in common with another one."""
    other = dense(random)
    for kind in ("users", "groups", "roles", "tokens", "pools"):
        theirs = getattr(other, kind)
        for name in sorted({*getattr(state, kind)} - {*theirs, CALLER, "root@pam"}):
            state = state.drop(kind, name) if random.random() < 0.2 else state
        for name in sorted(theirs):
            if random.random() < 0.3 and owner_of(name) in {*state.users, name}:
                state = state.put(kind, name, theirs[name])
    state = replace(state, pools=apart(state.pools))
    entries = {e: flag for e, flag in other.entries() if e.principal in principals(state) and e.role in state.roles}
    state = state.grant({entry: flag for entry, flag in entries.items() if random.random() < 0.4})
    return as_document(state.revoke(frozenset(entry for entry, unused in state.entries() if random.random() < 0.2)))


def as_document(state: AccessState) -> Document:
    """Return the document that makes a cluster what a state says, apart from pools that nobody mentions."""
    own = {"users": "root@pam", "tokens": CALLER}
    return Document(
        roles=tuple(RoleSpec(role.roleid, role.privs) for role in state.roles.values() if not role.special),
        groups=tuple(GroupSpec(name) for name in state.groups),
        users=tuple(
            UserSpec(u.userid, u.enable, groups=u.groups) for u in state.users.values() if u.userid != own["users"]
        ),
        tokens=tuple(
            TokenSpec(token.tokenid, token.privsep, return_secret=True)
            for token in state.tokens.values()
            if token.tokenid != own["tokens"]
        ),
        acls=tuple(AclSpec((entry.path,), (entry.principal,), (entry.role,), flag) for entry, flag in state.entries()),
        pools=tuple(PoolSpec(p.poolid, vms=p.vms, storage=p.storage, allow_move=True) for p in state.pools.values()),
        exclusive=tuple(Scope(kind, ("*",)) for kind in ("acls", "tokens", "users", "groups", "roles")),
        allow_narrowing=True,
        allow_missing=True,
    )


told: Counter[str] = Counter()


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(random=st.randoms(use_true_random=True), document=documents(), whole=st.integers(0, 3))
def check(simulator: Simulator, random: Random, document: Document, whole: int) -> None:
    before = dense(random)
    document = changed(random, before) if whole else document
    simulator.reset()
    simulator.load(as_export(before, simulator.export()))
    options = ConnectionOptions(
        simulator.host, simulator.port, token_id=CALLER, token_secret=SECRET, ca_path=simulator.ca_file
    )
    with Client(options) as client:
        task = AccessTask(client, document, NOW)
        try:
            plan = reconcile(task.observe, task.plan, task.perform, dry_run=True)
        except PveError:  # also where there is no safe order
            told["refused"] += 1
            return
        rights = plan.result["rights"]
        if plan.assumed or rights is None:
            event("assumed" if plan.assumed else "not told")
            told["not told"] += not plan.assumed
            return
        told["changed" if rights["gained"] or rights["lost"] else "unchanged"] += 1
        strict = AccessTask(client, replace(document, max_widening="none"), NOW)
        if rights["gained"]:
            with pytest.raises(OptionError, match="rights would be gained") as refused:
                strict.plan(strict.observe())
            assert rights["gained"][0]["text"] in str(refused.value)
        else:
            assert strict.plan(strict.observe()).changes == plan.changes
        was = server_says(simulator, client)
        done = reconcile(task.observe, task.plan, task.perform, dry_run=False)
        will = server_says(simulator, client)
    assert done.result["rights"] == rights
    keys = was.keys() | will.keys()
    assert meant(rights["gained"], keys) == differences(was, will)
    assert meant(rights["lost"], keys) == differences(will, was)


def test_what_is_predicted_is_what_the_server_answers(quick: Simulator) -> None:
    told.clear()
    check(quick)
    assert told["changed"] >= 10, told


ENTRY = {"paths": ["/vms/100"], "roles": ["PVETemplateUser"], "users": ["joe@pve"]}
JOE = {"users": [{"userid": "joe@pve"}], "acls": [ENTRY]}
GAINS = "joe@pve gains VM.Audit, VM.Clone on /vms/100 and below (created)"


def test_nobody_may_gain_a_right(ansible: Ansible, simulator: Simulator, connected: Json) -> None:
    strict = {**connected, **JOE, "max_widening": "none"}
    pristine = simulator.export()
    for check_mode in (True, False):
        refused = ansible.module("pve_access", strict, check=check_mode)
        assert refused["failed"]
        assert f"rights would be gained (1): {GAINS}." in refused["msg"]
    assert simulator.export() == pristine
    assert ansible.module("pve_access", {**connected, **JOE})["changed"]
    # What takes rights away is let through, and so is what changes none.
    assert ansible.module("pve_access", strict)["changed"] is False
    less = ansible.module("pve_access", {**strict, "users": [{"userid": "joe@pve", "enable": False}]})
    assert [row["why"] for row in less["rights"]["lost"]] == [["disabled"]]


def test_who_does_not_see_all_is_told_nothing_and_refused(
    ansible: Ansible, simulator: Simulator, connected: Json
) -> None:
    """What he does not see might be what somebody holds already."""
    state = simulator.export()
    state["users"].append({"userid": "eve@pve"})
    state["tokens"].append({"tokenid": "eve@pve!ci", "privsep": 0, "secret": SECRET})
    state["acl"].append({"path": "/access", "type": "user", "ugid": "eve@pve", "roleid": "PVEUserAdmin"})
    simulator.load({**state, "secrets": {**state["secrets"], "eve@pve!ci": SECRET}})
    as_eve = {**connected, "token_id": "eve@pve!ci", "token_secret": SECRET, "groups": [{"groupid": "ops"}]}
    assert ansible.module("pve_access", as_eve, check=True)["rights"] is None
    refused = ansible.module("pve_access", {**as_eve, "max_widening": "none"}, check=True)
    assert "who gains a right cannot be told: eve@pve!ci does not see all of: acl." in refused["msg"]


def test_many_gains_are_counted(ansible: Ansible, simulator: Simulator, connected: Json) -> None:
    many = {
        "users": [{"userid": f"user{number:02}@pve"} for number in range(12)],
        "acls": [{"path": "/vms", "role": "PVEVMUser", "users": [f"user{number:02}@pve" for number in range(12)]}],
    }
    said = ansible.module("pve_access", {**connected, **many, "max_widening": "none"})["msg"]
    assert "(12)" in said
    assert "user09@pve" in said
    assert "user10@pve" not in said
    assert "and 2 more." in said


def test_the_playbook_shows_it(ansible: Ansible, simulator: Simulator, connected: Json) -> None:
    """In its diff, as lines of people who gain or lose, and in its summary; and it can be told to allow no gain."""
    assert ansible.module("pve_access", {**connected, **JOE})["changed"]
    policy = {
        "groups": [{"groupid": "ops"}],
        "users": [{"userid": "ann@pve", "groups": ["ops"]}],
        "acls": [
            {**ENTRY, "state": "absent"},
            {"paths": ["/storage"], "roles": ["PVEDatastoreUser"], "groups": ["ops"]},
        ],
    }
    (ansible.home / "policy.json").write_text(json.dumps({"pve_access": policy}))
    env = {"PVE_" + name.upper(): str(value) for name, value in connected.items()}

    def site(*arguments: str) -> Run:
        return ansible.playbook("homelab.pve.site", "-e", "policy=policy.json", *arguments, env=env)

    lost = "joe@pve loses VM.Audit, VM.Clone on /vms/100 and below"
    gained = "ann@pve gains Datastore.AllocateSpace, Datastore.Audit on /storage and below (created)"
    planned = site("--check", "--diff")
    assert planned.returncode == 0, planned.output
    shown = [(line[0], line[1:].strip(' ",')) for line in planned.stdout.splitlines() if line[:1] in ("-", "+")]
    assert ("-", lost) in shown
    assert ("+", gained) in shown
    assert [line.strip() for line in planned.result("Tell what was done")["msg"]].count(lost) == 1
    assert [line.strip() for line in planned.result("Tell what was done")["msg"]].count(gained) == 1
    refused = site("-e", "max_widening=none")
    assert refused.returncode != 0
    assert gained in refused.result("Apply the policy")["msg"]
    assert "ann@pve" not in [user["userid"] for user in simulator.export()["users"]]
