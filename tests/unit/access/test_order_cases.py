"""Orders that can be told by name: who comes last, what is split, what is blocked for a while."""

from __future__ import annotations

from typing import Any

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
from ansible_collections.homelab.pve.plugins.module_utils.access.releases import privileges
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import Plan
from ansible_collections.homelab.pve.tests.unit.access.strategies import CALLER, view_of

A, B = frozenset({"VM.Audit"}), frozenset({"VM.Console"})


def state_of(*entries: tuple[str, str, str, str], **members: str) -> AccessState:
    """Return a state with two roles, two groups, and the users in them."""
    roles = {"A": Role("A", A), "B": Role("B", B), "NoAccess": Role("NoAccess", special=True)}
    roles["Administrator"] = Role("Administrator", privileges((9, 2)), True)
    state = AccessState(
        users={
            "root@pam": User("root@pam"),
            **{
                f"{name}@pve": User(f"{name}@pve", groups=frozenset(groups.split())) for name, groups in members.items()
            },
        },
        groups={"g1": Group("g1"), "g2": Group("g2")},
        roles=roles,
        tokens={CALLER: Token(CALLER, privsep=False)},
        realms={"pve": Realm("pve", "pve")},
    )
    return state.grant({Entry(path, Principal(kind, name), role): True for path, kind, name, role in entries})


def plan(state: AccessState, raw: dict[str, Any], caller: str = CALLER) -> Plan:
    return plan_access(view_of(state, caller), parse_document(raw))


def names(made: Plan) -> list[str]:
    return [str(change) for change in made.changes]


def entry(path: str, role: str, state: str = "present", **who: list[str]) -> dict[str, Any]:
    return {"paths": [path], "roles": [role], "state": state, **who}


def test_what_replaces_an_entry_comes_before_the_old_one_goes() -> None:
    before = state_of(("/vms", "user", "ann@pve", "A"), ann="")
    made = plan(before, {"acls": [entry("/vms", "B", users=["ann@pve"])], "exclusive": {"acls": {"paths": ["/vms"]}}})
    assert names(made) == ["create acl /vms", "delete acl /vms"]
    assert not made.warnings


def test_an_entry_that_covers_wider_rights_goes_last() -> None:
    """Taken away first, it would show what stands above it, which is about to go too."""
    before = state_of(("/", "user", "ann@pve", "B"), ("/vms", "user", "ann@pve", "A"), ann="")
    made = plan(before, {"exclusive": {"acls": {"principals": ["ann@pve"]}}})
    assert names(made) == ["delete acl /", "delete acl /vms"]


def test_a_member_to_be_waits_until_his_group_has_been_narrowed() -> None:
    before = state_of(("/vms", "group", "g1", "B"))
    made = plan(
        before,
        {
            "users": [{"userid": "eve@pve", "groups": ["g1"]}],
            "acls": [entry("/vms", "A", groups=["g1"])],
            "exclusive": {"acls": {"paths": ["/vms"]}},
        },
    )
    assert names(made).index("create user eve@pve") == len(made.changes) - 1


def test_a_user_whose_own_entry_narrows_his_group_is_made_without_it() -> None:
    before = state_of(("/vms", "group", "g1", "B"))
    made = plan(
        before,
        {
            "users": [{"userid": "eve@pve", "groups": ["g1"]}],
            "acls": [entry("/vms", "A", users=["eve@pve"])],
            "allow_narrowing": True,
        },
    )
    assert names(made) == ["create user eve@pve", "create acl /vms", "update user eve@pve"]


def test_where_every_order_gives_too_much_rights_are_taken_first() -> None:
    """Two groups swap roles while their members swap groups."""
    before = state_of(("/", "group", "g1", "A"), ("/", "group", "g2", "B"), ann="g1", bob="g2")
    made = plan(
        before,
        {
            "users": [{"userid": "ann@pve", "groups": ["g2"]}, {"userid": "bob@pve", "groups": ["g1"]}],
            "acls": [entry("/", "A", groups=["g2"]), entry("/", "B", groups=["g1"])],
            "exclusive": {"acls": {"paths": ["/"]}},
        },
    )
    assert names(made)[0] == "delete acl /"
    assert "ann@pve is without VM.Audit on / until they are done" in " ".join(made.warnings)


def test_where_no_step_takes_anything_the_ids_are_blocked_meanwhile() -> None:
    """Two roles swap what they hold while those who have them through groups swap these."""
    before = state_of(("/", "group", "g1", "A"), ("/", "group", "g2", "B"), ann="g1", bob="g2")
    made = plan(
        before,
        {
            "roles": [{"roleid": "A", "privs": ["VM.Console"]}, {"roleid": "B", "privs": ["VM.Audit"]}],
            "users": [{"userid": "ann@pve", "groups": ["g2"]}, {"userid": "bob@pve", "groups": ["g1"]}],
        },
    )
    blocked = [change for change in made.changes if change.after and any("NoAccess" in key for key in change.after)]
    freed = [change for change in made.changes if change.before and any("NoAccess" in key for key in change.before)]
    assert blocked
    assert len(blocked) == len(freed)
    assert made.changes[-1] in freed
    assert made.warnings


def test_changes_to_the_caller_come_last() -> None:
    before = state_of(("/", "user", "zoe@pve", "Administrator"), ("/vms", "user", "ann@pve", "A"), ann="", zoe="g1")
    raw = {
        "users": [
            {"userid": "zoe@pve", "comment": "the caller", "groups": ["g1", "g2"]},
            {"userid": "ann@pve", "comment": "another", "groups": ["g2"]},
        ],
    }
    made = plan(before, raw, caller="zoe@pve")
    assert names(made)[-1] == "update user zoe@pve"


def test_a_role_is_made_before_whatever_needs_it() -> None:
    """Also where an entry for a group without members has nothing else to do with the others."""
    made = plan(
        state_of(ann=""),
        {
            "roles": [{"roleid": "new", "privs": ["VM.Audit"]}],
            "acls": [entry("/", "new", users=["ann@pve"]), entry("/", "new", groups=["g1"])],
        },
    )
    assert names(made)[0] == "create role new"
    assert len(made.changes) >= 2


def test_a_blocked_id_keeps_the_flag_that_its_own_entry_is_to_have() -> None:
    before = state_of(("/", "group", "g1", "A"), ("/", "group", "g2", "B"), ann="g1", bob="g2")
    raw = {
        "roles": [{"roleid": "A", "privs": ["VM.Console"]}, {"roleid": "B", "privs": ["VM.Audit"]}],
        "users": [{"userid": "ann@pve", "groups": ["g2"]}, {"userid": "bob@pve", "groups": ["g1"]}],
        "acls": [{**entry("/vms/100", "NoAccess", users=["ann@pve"]), "propagate": False}],
    }
    made = plan(before, raw)
    last = [change for change in made.changes if change.id == "/vms/100"][-1]
    assert (last.after or {}).get("user ann@pve NoAccess") == "this path only"
