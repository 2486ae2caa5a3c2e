"""ACL entries of users and groups that are gone: PVE drops them when it is made to, and nothing comes to life."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("aiohttp")

from ansible_collections.homelab.pve.plugins.module_utils.access.document import (
    AclSpec,
    Document,
    GroupSpec,
    Scope,
    UserSpec,
)
from ansible_collections.homelab.pve.plugins.module_utils.access.ghosts import MARK, ghosts, purge
from ansible_collections.homelab.pve.plugins.module_utils.access.guard import refused_steps
from ansible_collections.homelab.pve.plugins.module_utils.access.model import AccessState, Principal
from ansible_collections.homelab.pve.plugins.module_utils.access.observe import View, observe, user_is_usable
from ansible_collections.homelab.pve.plugins.module_utils.access.plan import plan_access
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError, PveError
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import Change
from ansible_collections.homelab.pve.tests.pvesh import transport
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN, Simulator

Json = dict[str, Any]
GONE = ("gone@pve", "gone@nowhere", "gone@pam")


def acl(path: str, kind: str, name: str, role: str) -> Json:
    return {"path": path, "type": kind, "ugid": name, "roleid": role, "propagate": 1}


STATE: Json = {
    "users": [{"userid": "root@pam"}, {"userid": "joe@pve", "groups": ["ops"]}],
    "groups": [{"groupid": "ops"}],
    "roles": [],
    "tokens": [{"tokenid": ROOT_TOKEN, "privsep": 0, "secret": ROOT_SECRET}],
    "acl": [
        acl("/vms", "group", "ops", "PVEAuditor"),
        acl("/", "user", "joe@pve", "PVEAuditor"),
        *(acl("/", "user", name, "Administrator") for name in GONE),
        acl("/vms", "user", "gone@pve", "PVEVMAdmin"),
        acl("/", "group", "gone", "Administrator"),
    ],
}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(auth_delay=0) as running:
        yield running


@pytest.fixture
def client(simulator: Simulator) -> Iterator[Client]:
    simulator.reset()
    simulator.load(STATE)
    options = transport.options(simulator)
    with Client(options) as client:
        yield client


def seen(client: Client) -> View:
    return observe(client, Document(), 1_800_000_000.0)


def perform(client: Client, change: Change) -> None:
    assert change.call is not None
    client.send(change.call.method, change.call.path, change.call.params)


def everybody(state: AccessState) -> Json:
    return {
        "users": set(state.users),
        "groups": set(state.groups),
        "entries": {(entry.path, entry.principal, entry.role) for entry, unused in state.entries()},
    }


def test_ghosts_go_and_nobody_gains_anything_on_the_way(client: Client) -> None:
    view = seen(client)
    assert set(ghosts(view.state, view.complete)) == {
        *(Principal("user", name) for name in GONE),
        Principal("group", "gone"),
    }
    with pytest.raises(PveError):  # this is why it takes a detour
        client.send("PUT", "/access/acl", {"path": "/", "users": "gone@pve", "roles": "Administrator", "delete": 1})
    plan = purge(view.state, view.complete)
    for change in plan.changes:
        perform(client, change)
        state = seen(client).state
        assert not any(user_is_usable(state, name, view.now) for name in GONE)
        assert not state.members.get("gone")
    after = seen(client)
    assert everybody(after.state) == everybody(plan.after)
    assert everybody(after.state)["users"] == {"root@pam", "joe@pve"}
    assert everybody(after.state)["groups"] == {"ops"}
    assert {entry.principal.name for entry, unused in after.state.entries()} == {"ops", "joe@pve"}
    assert purge(after.state, after.complete).changes == ()


def test_what_was_left_half_way_is_finished(client: Client) -> None:
    view = seen(client)
    makers = [change for change in purge(view.state, view.complete).changes if change.action == "create"]
    for change in makers:
        perform(client, change)
    again = seen(client)
    assert not ghosts(again.state, again.complete)
    plan = purge(again.state, again.complete)
    assert {change.action for change in plan.changes} == {"delete"}
    assert len(plan.changes) == len(makers)
    for change in plan.changes:
        perform(client, change)
    assert everybody(seen(client).state) == everybody(plan.after)


def test_people_who_only_look_like_it_stay(client: Client) -> None:
    client.send("POST", "/access/users", {"userid": "ann@pve", "comment": MARK})
    client.send("POST", "/access/groups", {"groupid": "staff", "comment": MARK})
    client.send("PUT", "/access/users/joe@pve", {"groups": "staff"})
    view = seen(client)
    assert not {"ann@pve", "staff"} & {change.id for change in purge(view.state, view.complete).changes}


def test_who_may_not_is_told_before_anything_is_done(client: Client) -> None:
    view = seen(client)
    steps = purge(view.state, view.complete).steps
    assert refused_steps(steps, view, view.state) == []
    said = " ".join(refused_steps(steps, replace(view, caller="joe@pve"), view.state))
    assert "Realm.AllocateUser on /access/realm/nowhere" in said
    assert "Group.Allocate on /access/groups" in said


DECLARED = (
    AclSpec(("/vms",), (Principal("group", "ops"),), ("PVEAuditor",)),
    AclSpec(("/",), (Principal("user", "joe@pve"),), ("PVEAuditor",)),
)
ADMIN = (AclSpec(("/",), (Principal("user", "gone@pve"),), ("Administrator",), state="absent"),)
EXCLUSIVE = Document(acls=DECLARED, exclusive=(Scope("acls", ("*",)),))


def changes(client: Client, wanted: Document) -> tuple[Change, ...]:
    """Make what a document means of the cluster, and return the changes that took."""
    plan = plan_access(seen(client), wanted)
    for change in plan.changes:
        perform(client, change)
    return plan.changes


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (EXCLUSIVE, "group gone (Administrator on /), user gone@nowhere (Administrator on /), user gone@pam"),
        (Document(acls=ADMIN), "user gone@pve (Administrator on /)"),
    ],
    ids=["an exclusive scope", "declared to be absent"],
)
def test_what_pve_refuses_to_delete_is_not_planned_and_told_with_the_cure(
    client: Client, wanted: Document, told: str
) -> None:
    plan = plan_access(seen(client), wanted)
    assert plan.changes == ()
    (said,) = plan.warnings
    assert told in said
    assert "purge_ghosts: true" in said
    changes(client, replace(wanted, purge_ghosts=True))
    assert not ghosts(seen(client).state, seen(client).complete)
    again = plan_access(seen(client), wanted)
    assert (again.changes, again.warnings) == ((), ())


@pytest.mark.parametrize("wanted", [EXCLUSIVE, Document(acls=ADMIN)], ids=["an exclusive scope", "declared absent"])
def test_nobody_is_made_who_has_for_a_moment_what_is_to_go(client: Client, wanted: Document) -> None:
    wanted = replace(wanted, users=(UserSpec("gone@pve"),))
    with pytest.raises(OptionError, match=r"earlier one are to go.*Administrator on /") as caught:
        plan_access(seen(client), wanted)
    assert "purge_ghosts: true" in str(caught.value)
    changes(client, replace(wanted, purge_ghosts=True))
    state = seen(client).state
    assert "gone@pve" in state.users
    assert Principal("user", "gone@pve") not in state.acl
    assert changes(client, wanted) == ()


def test_a_group_is_made_and_its_old_entries_go_before_anybody_is_in_it(client: Client) -> None:
    client.send("POST", "/access/users", {"userid": "ann@pve"})
    wanted = replace(EXCLUSIVE, groups=(GroupSpec("gone"),), users=(UserSpec("ann@pve", groups=frozenset({"gone"})),))
    assert [(change.kind, change.action) for change in changes(client, wanted)] == [
        ("group", "create"),
        ("acl", "delete"),
        ("user", "update"),
    ]
    assert changes(client, wanted) == ()


@pytest.mark.parametrize("hidden", ["users", "groups", "acl"])
def test_who_does_not_see_all_purges_nothing(client: Client, hidden: str) -> None:
    view = seen(client)
    with pytest.raises(OptionError, match="may not see all"):
        purge(view.state, view.complete - {hidden})
