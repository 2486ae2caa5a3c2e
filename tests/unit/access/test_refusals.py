"""What PVE accepts in silence and should not, what it would refuse half-way, and what would lock the caller out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.access import releases
from ansible_collections.homelab.pve.plugins.module_utils.access.document import parse_document
from ansible_collections.homelab.pve.plugins.module_utils.access.model import (
    AccessState,
    Entry,
    Group,
    Principal,
    Realm,
    Role,
    Token,
    User,
)
from ansible_collections.homelab.pve.plugins.module_utils.access.plan import plan_access
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import Plan
from ansible_collections.homelab.pve.tests.unit.access.strategies import view_of

ADMIN = "admin@pve!work"


def grants(*rows: tuple[str, str, str, str]) -> dict[Entry, bool]:
    return {Entry(path, Principal(kind, name), role): True for path, kind, name, role in rows}


@pytest.fixture
def state() -> AccessState:
    """An administrator with a token, two users, a group of one of them."""
    roles = {name: Role(name, privs, True) for name, privs in releases.builtin_roles((9, 2)).items()}
    roles["Operator"] = Role("Operator", frozenset({"VM.Audit", "VM.PowerMgmt"}))
    return AccessState(
        users={
            "root@pam": User("root@pam"),
            "admin@pve": User("admin@pve"),
            "ann@pve": User("ann@pve", groups=frozenset({"staff"})),
            "bob@pve": User("bob@pve"),
        },
        groups={"staff": Group("staff")},
        roles=roles,
        tokens={ADMIN: Token(ADMIN, privsep=False), "bob@pve!t1": Token("bob@pve!t1")},
        realms={"pam": Realm("pam", "pam"), "pve": Realm("pve", "pve")},
    ).grant(
        grants(
            ("/", "user", "admin@pve", "Administrator"),
            ("/", "user", "bob@pve", "PVEAdmin"),
            ("/vms", "group", "staff", "Operator"),
        )
    )


def plan(state: AccessState, raw: dict[str, Any], **view: Any) -> Plan:
    return plan_access(replace(view_of(state, ADMIN), **view), parse_document(raw))


def acl(path: str, role: str, **principals: Any) -> dict[str, Any]:
    return {"acls": [{"paths": [path], "roles": [role], **principals}]}


READER = {"token": "eve@pve!tok", "role": "PVEAuditor", "path": "/vms/100", "secret_file": "/nowhere/secret"}

REFUSED = {
    "a path of the web interface": (
        acl("/nodes/ugreen/qemu/100", "PVEAuditor", users=["ann@pve"]),
        r"'/nodes/ugreen/qemu/100' does not exist.*mean /vms/100",
    ),
    "a plural": (acl("/pools/lab", "PVEAuditor", users=["ann@pve"]), r"mean /pool/lab"),
    "a guest that is not there": (acl("/vms/999", "PVEAuditor", users=["ann@pve"]), r"no guest 999.*allow_missing"),
    "an entry for root": (acl("/", "PVEAuditor", users=["root@pam"]), r"root@pam has all rights anyway"),
    "a user id with the end of a list in it": (
        acl("/", "PVEAuditor", users=["a;b@pve"]),
        r"'a;b@pve' can be in no group",
    ),
    "such a user in a group": ({"users": [{"userid": "a,b@pve", "groups": ["staff"]}]}, r"groups: 'a,b@pve' can be"),
    "such a user's token": (
        {"readers": [{**READER, "token": "a;b@pve!tok"}]},
        r"entry 1: tokens: 'a;b@pve!tok' can be",
    ),
    "a token among the users": (acl("/", "PVEAuditor", users=["bob@pve!t1"]), r"is a token id"),
    "an unknown privilege": (
        {"roles": [{"roleid": "x", "privs": ["vm.audit"]}]},
        r"no privilege 'vm.audit'.*mean VM.Audit",
    ),
    "a privilege of another release": ({"roles": [{"roleid": "x", "privs": ["VM.Monitor"]}]}, r"went away in 9.0"),
    "a reserved name": ({"roles": [{"roleid": "PVEMine", "privs": ["VM.Audit"]}]}, r"begin with PVE are reserved"),
    "a change of a built-in role": ({"roles": [{"roleid": "PVEAuditor", "privs": ["VM.Audit"]}]}, r"built in"),
    "deleting a built-in role": ({"roles": [{"roleid": "NoAccess", "state": "absent"}]}, r"built in"),
    "an unknown realm": ({"users": [{"userid": "eve@pev"}]}, r"no realm 'pev'"),
    "disabling root": ({"users": [{"userid": "root@pam", "enable": False}]}, r"root@pam is not deleted, disabled"),
    "deleting root": ({"users": [{"userid": "root@pam", "state": "absent"}]}, r"root@pam is not deleted"),
    "a secret with no place": ({"tokens": [{"tokenid": "bob@pve!t2"}]}, r"secret.*be lost.*secret_file"),
    "a colon and a secret": (
        {"tokens": [{"tokenid": "bob@pve!t2:11111111-2222-4333-8444-555555555555"}]},
        r"secret is no part of the token id",
    ),
    "a token for a user that goes": (
        {"users": [{"userid": "bob@pve", "state": "absent"}], "tokens": [{"tokenid": "bob@pve!t1"}]},
        r"its user is to be deleted",
    ),
    "hiding what the user inherits": (
        acl("/vms/100", "PVEAuditor", users=["bob@pve"]),
        r"would hide what bob@pve inherits there: .*VM.PowerMgmt.*allow_narrowing",
    ),
    "hiding by a group": (
        {"groups": [{"groupid": "staff"}], **acl("/vms/100", "PVEPoolUser", groups=["staff"])},
        r"would hide what ann@pve inherits there: VM.Audit, VM.PowerMgmt",
    ),
    "hiding by the owner's half of a reader": (
        {"readers": [{**READER, "token": "ann@pve!tok", "path": "/vms/102"}]},
        r"user ann@pve on /vms/102 would hide what ann@pve inherits there: VM.PowerMgmt",
    ),
    "a token that could do nothing": (
        {"users": [{"userid": "eve@pve"}], "tokens": [{"tokenid": "eve@pve!tok", "secret_file": "/nowhere/secret"}]},
        r"eve@pve!tok could do nothing.*grant_user",
    ),
    "the caller's own user": ({"users": [{"userid": "admin@pve", "enable": False}]}, r"would be deleted, disabled"),
    "the caller's own token": ({"tokens": [{"tokenid": ADMIN, "state": "absent"}]}, r"would be deleted"),
    "the caller's own rights": (
        {"acls": [{"paths": ["/"], "roles": ["Administrator"], "users": ["admin@pve"], "state": "absent"}]},
        r"would lose .*Permissions.Modify.*allow_lockout",
    ),
    "privilege separation for the caller": ({"tokens": [{"tokenid": ADMIN, "privsep": True}]}, r"would lose|nothing"),
    "the same user twice": ({"users": [{"userid": "eve@pve"}, {"userid": "eve@pve"}]}, r"more than once"),
    "two secrets in one file": (
        {"readers": [READER, {**READER, "token": "eve@pve!two"}]},
        r"secret files: declared more than once",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_anything_is_sent(state: AccessState, name: str) -> None:
    raw, message = REFUSED[name]
    with pytest.raises(OptionError, match=message):
        plan(state, raw)


ALLOWED = {
    "a guest to come": {
        "users": [{"userid": "eve@pve"}],
        **acl("/vms/999", "PVEAuditor", users=["eve@pve"]),
        "allow_missing": True,
    },
    "hiding, where it is meant": {**acl("/vms/100", "PVEAuditor", users=["bob@pve"]), "allow_narrowing": True},
    "NoAccess, whose purpose it is": acl("/vms/100", "NoAccess", users=["bob@pve"]),
    "locking oneself out, where it is meant": {
        "acls": [{"paths": ["/"], "roles": ["Administrator"], "users": ["admin@pve"], "state": "absent"}],
        "allow_lockout": True,
    },
    "another role where one stands": acl("/vms", "PVEAuditor", groups=["staff"]),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_allowed(state: AccessState, name: str) -> None:
    assert plan(state, ALLOWED[name]).changes


def test_all_reasons_are_told_at_once(state: AccessState) -> None:
    raw = {
        "roles": [{"roleid": "x", "privs": ["VM.Adit"]}],
        "users": [{"userid": "eve@pev"}],
        **acl("/qemu/100", "PVEAuditor", users=["ann@pve"]),
    }
    with pytest.raises(OptionError) as error:
        plan(state, raw)
    assert all(text in str(error.value) for text in ("3 things", "VM.Audit", "'pev'", "/vms/100"))


# -- the caller's own sight and rights ----------------------------------------------------------------------------


def test_a_list_that_may_not_be_whole_is_not_taken_for_empty(state: AccessState) -> None:
    with pytest.raises(OptionError, match=r"Whether user eve@pve exists cannot be known.*Sys.Audit on /access/groups"):
        plan(state, {"users": [{"userid": "eve@pve"}]}, complete=frozenset({"roles", "acl", "groups"}))


def test_a_token_with_a_role_that_is_missing_may_get_its_rights_from_it(state: AccessState) -> None:
    """A dry run tells what is missing, and a real one refuses to start over just that."""
    assert plan(state, {"readers": [{**READER, "role": "Watcher"}]}).assumed == ("role Watcher",)


def test_a_refusal_to_come_is_predicted(state: AccessState) -> None:
    weak = state.revoke(frozenset(grants(("/", "user", "admin@pve", "Administrator"))))
    weak = weak.grant(grants(("/", "user", "admin@pve", "PVEAuditor")))
    with pytest.raises(
        OptionError, match=r"refuse to create user eve@pve \(403\).*Realm.AllocateUser on /access/realm"
    ):
        plan(weak, {"users": [{"userid": "eve@pve"}]})


def test_a_delegate_hands_out_what_he_has_and_no_more(state: AccessState) -> None:
    delegate = state.revoke(frozenset(grants(("/", "user", "admin@pve", "Administrator"))))
    delegate = delegate.grant(
        grants(("/vms", "user", "admin@pve", "PVEVMAdmin"), ("/access", "user", "admin@pve", "PVEAuditor"))
    )
    assert plan(delegate, acl("/vms/100", "PVEVMUser", users=["ann@pve"], allow_narrowing=True)).changes
    with pytest.raises(OptionError, match=r"Permissions.Modify on /vms/100, to hand out the role PVEAdmin"):
        plan(delegate, acl("/vms/100", "PVEAdmin", users=["ann@pve"], allow_narrowing=True))


# -- both halves, and exclusive scopes ----------------------------------------------------------------------------


def test_an_owner_who_holds_it_already_gets_no_entry(state: AccessState) -> None:
    done = plan(state, acl("/vms/100", "PVEAuditor", tokens=["bob@pve!t1"], grant_user=True))
    (change,) = done.changes
    assert list(change.after or {}) == ["token bob@pve!t1 PVEAuditor"]


def test_an_exclusive_scope_leaves_the_owners_entry(state: AccessState) -> None:
    """Though he holds the privileges from elsewhere as well: what gives them to him there is not declared."""
    both = state.grant(
        grants(("/vms/100", "user", "bob@pve", "PVEAuditor"), ("/vms/100", "token", "bob@pve!t1", "PVEAuditor"))
    ).grant(grants(("/vms", "user", "bob@pve", "PVEAdmin")))
    raw = acl("/vms/100", "PVEAuditor", tokens=["bob@pve!t1"], grant_user=True)
    assert plan(both, {**raw, "exclusive": {"acls": {"paths": ["/vms/*"]}}}).changes == ()


def test_an_exclusive_scope_never_takes_the_callers_own(state: AccessState) -> None:
    raw = {
        "exclusive": {"acls": {"paths": ["*"]}, "users": {"ids": ["*"]}, "tokens": {"users": ["*"]}},
        "keep": ["ann@pve", "staff"],
    }
    done = plan(state, raw)
    assert {str(change) for change in done.changes} == {"delete user bob@pve"}
    assert {"admin@pve", ADMIN, "root@pam", "ann@pve", "/vms staff Operator"} <= set(done.result["kept"])


def test_relative_expiry_is_reckoned_once(state: AccessState) -> None:
    view = view_of(state, ADMIN)
    user = {"users": [{"userid": "eve@pve", "expire": "90d"}]}
    (made,) = plan_access(view, parse_document(user)).changes
    expire = (made.after or {})["expire"]
    assert expire % 86400 == 0
    assert 90 * 86400 <= expire - view.now < 91 * 86400
    later = view_of(state.put("users", "eve@pve", User("eve@pve", expire=int(view.now) - 5)), ADMIN)
    again = plan_access(later, parse_document(user))
    assert again.changes == ()
    assert "has expired" in again.warnings[0]


def test_entries_of_an_earlier_user_are_told(state: AccessState) -> None:
    """PVE keeps them, lists them, and gives them to the next user of that name."""
    haunted = state.grant(grants(("/vms", "user", "eve@pve", "PVEAdmin"), ("/", "user", "eve@pve", "PVEAuditor")))
    raw = {"users": [{"userid": "eve@pve"}], **acl("/", "PVEAuditor", users=["eve@pve"])}
    assert plan(haunted, raw).warnings == (
        "ACL entries of an earlier user eve@pve come back to life: PVEAdmin on /vms.",
    )
