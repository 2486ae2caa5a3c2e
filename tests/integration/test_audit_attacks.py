"""Rights that somebody gets by hand: an audit that is to find all of them does, or says that it cannot see enough.

The policy declares all of access and of the firewall, and says that nothing else may be there. Each attack is loaded
into a simulator, and audited with a token that may only read.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("ansible")

from ansible_collections.homelab.pve.plugins.module_utils.adopt.adopt import adopt
from ansible_collections.homelab.pve.plugins.module_utils.policy.audit import FAIL, INCOMPLETE, Audit, audit
from ansible_collections.homelab.pve.plugins.module_utils.policy.catalogue import ASSERTION, DRIFT, RULES
from ansible_collections.homelab.pve.plugins.module_utils.policy.document import Policy
from ansible_collections.homelab.pve.plugins.module_utils.policy.observe import survey
from ansible_collections.homelab.pve.plugins.module_utils.policy_file import whole_policy
from ansible_collections.homelab.pve.tests.simulator import Simulator

from .conftest import Ansible
from .test_audit_violations import (
    ACCESS,
    AUDITOR,
    CLEAN,
    FIREWALL,
    LATER,
    PHONE,
    TOTP,
    acl,
    add,
    alter,
    both,
    nothing,
    options,
    reading,
    row,
    rules,
    several,
    token,
    wall,
)

Json = dict[str, Any]
Change = Callable[[Json], None]

NOW = int(time.time())
EVERYTHING = {
    "tokens": {"users": ["*"]},
    "acls": {"paths": ["*"]},
    **{kind: {"ids": ["*"]} for kind in ("users", "groups", "roles", "pools")},
}
LISTS = ["aliases", "groups", "ipsets", "options", "rules"]
POLICY: Json = {
    "pve_access": {
        **ACCESS,
        "pools": [{"poolid": "lab", "vms": [102], "storage": []}],
        "exclusive": EVERYTHING,
        "users": [{"groups": [], **one} for one in ACCESS["users"]],
        "tokens": [{"tokenid": name, "privsep": True, "expire": str(LATER)} for name in (AUDITOR, PHONE)]
        + [one for one in ACCESS["tokens"] if one["tokenid"] not in (AUDITOR, PHONE)],
    },
    "pve_firewall": {
        **FIREWALL,
        "cluster": {
            **FIREWALL["cluster"],
            "groups": [{**one, "exclusive": True} for one in FIREWALL["cluster"]["groups"]],
            "exclusive": LISTS,
        },
    },
}
OPEN: Json = {"type": "in", "action": "ACCEPT", "source": "10.66.0.0/24", "enable": 1}


def into_pool(*vmids: int, poolid: str = "lab") -> Change:
    return lambda state: row(state, "pools", poolid=poolid)["vms"].extend(vmids)


def entries(path: str, role: str, propagate: int = 1) -> list[Json]:
    """Return entries of the auditor himself."""
    return [{**one, "propagate": propagate} for one in both(path, AUDITOR, role)]


def instead(*rows: Json) -> Change:
    """Give the auditor these entries and no others."""

    def change(state: Json) -> None:
        state["acl"] = [one for one in state["acl"] if one["ugid"] not in ("audit@pve", AUDITOR)] + list(rows)

    return change


ATTACKS: dict[str, Change] = {
    "a role gains a privilege": alter(
        "roles", {"roleid": "OnCall"}, privs=["VM.Audit", "VM.Console", "VM.PowerMgmt", "VM.Allocate"]
    ),
    "a role of the same name in another case": several(
        add("roles", {"roleid": "oncall", "privs": ["VM.Allocate"]}), add("acl", acl("/vms", "group", "ops", "oncall"))
    ),
    "privilege separation is switched off": alter("tokens", {"tokenid": PHONE}, privsep=0),
    "an end is taken away": alter("tokens", {"tokenid": PHONE}, expire=0),
    "a second token": token("labby@pve!two", ("/vms", "PVEVMUser")),
    "a token of root": token("root@pam!x", privsep=0),
    "somebody joins a group": alter("users", {"userid": "labby@pve"}, groups=["ops"]),
    "the user of a reader joins a group": alter("users", {"userid": "reader@pam"}, groups=["ops"]),
    "somebody of a new realm joins a group": several(
        add("realms", {"realm": "sso", "type": "openid"}), add("users", {"userid": "eve@sso", "groups": ["ops"]})
    ),
    "a flag to propagate": several(
        lambda state: row(state, "acl", path="/vms", ugid="ops").update(propagate=0), add("acl")
    ),
    "a block is not declared": add("acl", acl("/vms/100", "user", "joe@pve", "NoAccess")),
    "an entry on a guest that is to come": add("acl", acl("/vms/4000", "user", "joe@pve", "PVEVMAdmin")),
    "an entry on a pool": add("acl", acl("/pool/lab", "user", "joe@pve", "PVEVMAdmin")),
    "a guest moves into a pool": into_pool(100),
    "a storage comes into a pool": lambda state: row(state, "pools", poolid="lab")["storage"].append("local"),
    "a rule above all others": rules(OPEN),
    "a rule is switched off": wall("cluster", "rules", lambda old: [{**old[0], "enable": 0}, *old[1:]]),
    "rules change places": wall("cluster", "rules", lambda old: [*old[1:], old[0]]),
    "a rule lets in others": wall("cluster", "rules", lambda old: [{**old[0], "source": "0.0.0.0/0"}, *old[1:]]),
    "an address comes into a set": wall(
        "cluster", "ipsets", lambda old: [{**old[0], "entries": [*old[0]["entries"], {"cidr": "10.66.0.0/24"}]}]
    ),
    "an alias is another address": wall("cluster", "aliases", lambda old: [{**old[0], "cidr": "0.0.0.0/1"}]),
    "a group that nobody calls": wall("cluster", "groups", lambda old: [*old, {"group": "later", "rules": [OPEN]}]),
    "a rule in a group": wall("cluster", "groups", lambda old: [{**old[0], "rules": [OPEN, *old[0]["rules"]]}]),
    "the policy of the datacenter": options("cluster", policy_in="ACCEPT"),
    "the auditor becomes an administrator": add("acl", *entries("/", "Administrator")),
    "the auditor gets rights on guests": add("acl", *entries("/vms", "PVEVMAdmin")),
    "a guest moves into a new pool": lambda state: state["pools"].append(
        {"poolid": "fresh", "vms": [100], "storage": []}
    ),
    "a declared end is taken away, which was given in days": alter("tokens", {"tokenid": "reader@pam!one"}, expire=0),
    "a guest's firewall": options("guests/100", enable=0),
    "a node's firewall": options("nodes/ugreen", log_level_in="nolog"),
    "an address of a set is turned around": wall(
        "cluster",
        "ipsets",
        lambda old: [{**old[0], "entries": [{**one, "nomatch": 1} for one in old[0]["entries"]]}],
    ),
}
LESS: dict[str, Change] = {
    "a guest": add("acl", *entries("/vms/100", "NoAccess")),
    "a pool": add("acl", *entries("/pool/lab", "NoAccess")),
    "a group": add("acl", *entries("/access/groups/ops", "NoAccess")),
    "users": add("acl", *entries("/access/groups", "NoAccess")),
    "entries": add("acl", *entries("/access", "NoAccess")),
    "a node": add("acl", *entries("/nodes/ugreen", "NoAccess")),
    "all but the root": instead(*entries("/", "PVEAuditor", 0)),
}


@pytest.fixture(scope="module")
def simulator() -> Any:
    with Simulator(auth_delay=0) as running:
        yield running


@pytest.fixture(scope="module")
def policy() -> Policy:
    days = deepcopy(POLICY)
    row(days["pve_access"], "tokens", tokenid="reader@pam!one")["expire"] = "90d"
    del row(days["pve_access"], "users", userid="reader@pam")["groups"]
    return whole_policy(json.loads(json.dumps(days)))


def load(simulator: Simulator, *changes: Change) -> None:
    state = deepcopy(CLEAN)
    simulator.reset()
    pristine = simulator.export()
    state.update({kind: pristine[kind] for kind in ("nodes", "guests", "storages")})
    state["tfa"].append({"userid": "labby@pve", "entries": [TOTP]})
    several(*changes)(state)
    simulator.load(state)


def audited(simulator: Simulator, policy: Policy, *changes: Change) -> Audit:
    load(simulator, *changes)
    with reading(simulator) as recorder:
        return audit(recorder, policy, NOW, guests=True)


def test_nothing_is_found_where_nothing_was_done(simulator: Simulator, policy: Policy) -> None:
    done = audited(simulator, policy, nothing)
    assert [str(one) for one in done.findings] == []
    assert done.gaps == ()


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in ATTACKS.items()])
def test_what_somebody_does_by_hand_fails_the_audit(simulator: Simulator, policy: Policy, change: Change) -> None:
    done = audited(simulator, policy, change)
    assert done.status("error") == FAIL
    assert any(RULES[one.rule].family == DRIFT for one in done.findings)


# What there is to adopt beside the rest: a realm that others may come from, and a token without any right.
FOUND = several(add("realms", {"realm": "sso", "type": "openid"}), token("joe@pve!idle"))
AFTER_ADOPTING: dict[str, Change] = {
    **{
        name: ATTACKS[name]
        for name in (
            "the auditor becomes an administrator",
            "the user of a reader joins a group",
            "a guest moves into a new pool",
            "a storage comes into a pool",
        )
    },
    "somebody new comes from a realm": add("users", {"userid": "eve@sso", "groups": ["ops"]}),
    "a token without rights gets some": add("acl", acl("/vms", "token", "joe@pve!idle", "PVEVMUser")),
    "a rule of a guest that had none": lambda state: state["firewall"]["guests"].update({"102": {"rules": [OPEN]}}),
    "a node's firewall is switched off": options("nodes/ugreen", enable=0),
}


@pytest.fixture(scope="module")
def adopted(simulator: Simulator) -> Policy:
    load(simulator, FOUND)
    with reading(simulator) as recorder:
        return whole_policy(json.loads(json.dumps(adopt(survey(recorder, NOW)).document)))


def test_what_was_adopted_is_as_it_was(simulator: Simulator, adopted: Policy) -> None:
    done = audited(simulator, adopted, FOUND)
    assert [str(one) for one in done.findings if one.level == "error"] == []
    assert done.gaps == ()


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in AFTER_ADOPTING.items()])
def test_what_comes_up_after_adopting_is_found(simulator: Simulator, adopted: Policy, change: Change) -> None:
    done = audited(simulator, adopted, FOUND, change)
    assert done.status("error") == FAIL
    assert {RULES[one.rule].family for one in done.findings if one.level == "error"} & {ASSERTION, DRIFT}


@pytest.mark.parametrize("less", [pytest.param(less, id=name) for name, less in LESS.items()])
def test_who_sees_less_never_passes(simulator: Simulator, less: Change) -> None:
    # What the auditor may not see is his alone: entries for others are judged by an exclusive scope of their names.
    seen = deepcopy(POLICY)
    seen["pve_access"]["exclusive"]["acls"]["principals"] = ["joe@pve", "ops", "labby@pve*"]
    done = audited(simulator, whole_policy(json.loads(json.dumps(seen))), less)
    assert done.status("error") == INCOMPLETE


# -- files ------------------------------------------------------------------------------------------------------------

_PACKED = gzip.compress(b"".join(b"%d\n" % number for number in range(9999)))
SNAPSHOT = {"format": "homelab.pve snapshot", "version": 1, "release": "9.2", "caller": "x@pve!y", "refused": {}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no JSON"),
        (b"\x1f\x8bjunk", "cannot be read"),
        (_PACKED[:200], "cannot be read"),
        (_PACKED[:60] + b"\xff\xff\xff" + _PACKED[63:], "cannot be read"),
        (json.dumps({**SNAPSHOT, "taken": 9_999_999_999, "answers": {}}).encode(), "not taken yet"),
        (b"\xef\xbb\xbf" + json.dumps({**SNAPSHOT, "taken": NOW, "answers": {}}).encode(), "does not hold the answer"),
    ],
)
def test_a_snapshot_that_is_damaged_is_told_of(ansible: Ansible, content: bytes, said: str) -> None:
    file = ansible.home / "snapshot.json"
    file.write_bytes(content)
    for module in ("pve_policy", "pve_export"):
        done = ansible.module(module, {"snapshot": str(file)})
        assert done["failed"]
        assert said in done["msg"]
