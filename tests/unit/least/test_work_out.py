"""The least rights: enough for everything that is asked, and nothing of them to spare. PVE's algorithm is the judge."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.access.releases import Release, privileges
from ansible_collections.homelab.pve.plugins.module_utils.endpoints.checks import fields, fill
from ansible_collections.homelab.pve.plugins.module_utils.endpoints.find import METHODS, known
from ansible_collections.homelab.pve.plugins.module_utils.least.applications import APPLICATIONS, calls_of, rights_of
from ansible_collections.homelab.pve.plugins.module_utils.least.parse import Calls, from_list
from ansible_collections.homelab.pve.plugins.module_utils.least.policy import as_policy
from ansible_collections.homelab.pve.plugins.module_utils.least.work_out import (
    Entry,
    Need,
    Scope,
    needs_of,
    work_out,
)
from ansible_collections.homelab.pve.tests.unit.examples import examples
from ansible_collections.homelab.pve.tests.unit.least.holder import TOKEN, holder, weaker
from hypothesis import given, settings
from hypothesis import strategies as st

RELEASES: list[Release] = [(6, 2), (7, 4), (8, 0), (8, 4), (9, 0), (9, 2)]


def satisfied(needs: Sequence[Need], entries: Sequence[Entry]) -> bool:
    """Tell whether all needs are met. Whatever may be below a path is tried at the entries there and beside them."""
    evaluator = holder(entries)

    def held(path: str, below: bool, privilege: str) -> bool:
        if not below:
            return privilege in evaluator.privileges(TOKEN, path)
        inside = [entry.path for entry in entries if entry.path != path and f"{entry.path}/".startswith(_under(path))]
        tried = [_under(path) + "any", *inside, *(f"{place}/any" for place in inside)]
        return all(privilege in evaluator.privileges(TOKEN, place) for place in tried)

    return all(any(all(held(*grant.spot, grant.privilege) for grant in way) for way in need.ways) for need in needs)


def _under(path: str) -> str:
    return "/" if path == "/" else f"{path}/"


def needs_for(calls: Calls, release: Release, scope: Scope) -> list[Need]:
    found = [needs_of(endpoint, release, scope) for endpoint in calls.endpoints.values()]
    return [need for needs in found if isinstance(needs, list) for need in needs]


def judge(calls: Calls, release: Release, scope: Scope | None = None) -> None:
    """See that the rights for some calls are enough, and minimal."""
    rights = work_out(calls, release, scope)
    needs = needs_for(calls, release, scope or {})
    assert satisfied(needs, rights.entries)
    for what, unused, less in weaker(rights.entries):
        assert not satisfied(needs, less), what
    for (path, propagate, privilege), endpoints in rights.reasons.items():
        assert endpoints, f"nobody takes {privilege} on {path} ({propagate})"
    assert all(privilege in privileges(release) for entry in rights.entries for privilege in entry.privileges)


# -- by hand ---------------------------------------------------------------------------------------------------------


def entries(*lines: str, release: Release = (9, 2), scope: Scope | None = None) -> list[tuple[str, str, bool]]:
    rights = work_out(from_list(lines, release), release, scope)
    assert rights.problems == ()
    return [(entry.path, " ".join(sorted(entry.privileges)), entry.propagate) for entry in rights.entries]


def test_one_guest_is_one_path_without_propagation() -> None:
    assert entries("GET /nodes/ugreen/qemu/100/status/current") == [("/vms/100", "VM.Audit", False)]


def test_a_template_is_every_guest_and_a_scope_narrows_it() -> None:
    line = "GET /nodes/{node}/{kind}/{vmid}/status/current"
    assert entries(line) == [("/vms", "VM.Audit", True)]
    scope = {"vmid": ["100", "102"]}
    assert entries(line, "GET /nodes/{node}/qemu", scope=scope) == [
        ("/vms/100", "VM.Audit", False),
        ("/vms/102", "VM.Audit", False),
    ]


def test_the_root_alone_does_not_open_the_acl() -> None:
    found = entries("GET /cluster/status", "GET /nodes")
    assert found == [("/", "Sys.Audit", False), ("/nodes", "Sys.Audit", True)]


def test_a_deeper_entry_repeats_what_it_would_hide() -> None:
    found = entries("GET /nodes", "GET /nodes/ugreen/syslog")
    assert found == [("/nodes", "Sys.Audit", True), ("/nodes/ugreen", "Sys.Audit Sys.Syslog", False)]


def test_of_several_ways_the_reading_one_is_taken_unless_another_is_there_anyway() -> None:
    assert entries("GET /storage") == [("/storage", "Datastore.Audit", True)]
    assert entries("GET /access/users") == [("/access/groups", "Sys.Audit", False)]
    both = entries("GET /access/users", "PUT /access/users/{userid}")
    assert both == [("/access/groups", "User.Modify", False)]


def test_a_path_that_the_release_has_no_entries_for_is_covered_from_above() -> None:
    assert entries("GET /cluster/sdn/zones") == [("/sdn/zones", "SDN.Audit", True)]
    assert entries("GET /cluster/sdn/zones", release=(7, 4)) == [("/sdn", "SDN.Audit", True)]


def test_the_agent_took_another_privilege_before_9() -> None:
    line = "GET /nodes/{node}/qemu/100/agent/get-osinfo"
    assert entries(line) == [("/vms/100", "VM.GuestAgent.Audit", False)]
    assert entries(line, release=(8, 4)) == [("/vms/100", "VM.Monitor", False)]


def test_the_type_of_resources_decides() -> None:
    assert entries("GET /cluster/resources?type=storage") == [("/storage", "Datastore.Audit", True)]
    assert entries("GET /cluster/resources?type=sdn") == []
    assert entries("GET /cluster/resources?type=sdn", release=(8, 4)) == [("/sdn/zones", "SDN.Audit", True)]
    paths = {path for path, *unused in entries("GET /cluster/resources")}
    assert paths == {"/nodes", "/pool", "/sdn/fabrics", "/sdn/zones", "/storage", "/vms"}


def test_what_everybody_may_ask_takes_nothing() -> None:
    assert entries("GET /version", "GET /access/roles", "GET /nodes/a/qemu/100", "POST /access/ticket") == []


def test_an_acl_of_one_path_and_of_any() -> None:
    anywhere = entries("PUT /access/acl")
    assert anywhere == [("/", "Permissions.Modify", True)]
    calls = Calls()
    calls.add("PUT", "/access/acl", (9, 2), {"path": "/pool/lab"})
    (entry,) = work_out(calls, (9, 2)).entries
    assert (entry.path, entry.propagate) == ("/pool/lab", False)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("GET /cluster/backup-info", "no API token may call it"),
        ("PUT /access/password", "no API token may call it"),
        ("POST /nodes/a/qemu", "by its parameters"),
        ("GET /nodes/a/storage/local/content/local:iso/x.iso", "what the volume holds"),
    ],
)
def test_what_cannot_be_told_is_said_so(line: str, says: str) -> None:
    rights = work_out(from_list([line], (9, 2)), (9, 2))
    assert rights.entries == ()
    (problem,) = rights.problems
    assert says in problem.reason


# -- the catalogue ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", [one.name for one in APPLICATIONS])
def test_every_application_has_the_least_rights_in_every_release(name: str, release: Release) -> None:
    calls = calls_of(name, release)
    assert calls.problems == {}
    assert rights_of(name, release).problems == ()
    judge(calls, release)


@pytest.mark.parametrize("name", [one.name for one in APPLICATIONS])
def test_every_endpoint_of_the_catalogue_is_one_of_9_2(name: str) -> None:
    (application,) = [one for one in APPLICATIONS if one.name == name]
    calls = from_list(application.endpoints, (9, 2))
    assert calls.problems == {}
    assert calls_of(name, (9, 2)).endpoints == calls.endpoints


# -- anything ---------------------------------------------------------------------------------------------------------

IDS = {"vmid": ["100", "102"], "node": ["a", "b"], "storage": ["local"], "poolid": ["lab", "web"], "groupid": ["ops"]}
ids = st.fixed_dictionaries({name: st.sampled_from(["", *values]) for name, values in IDS.items()})


@st.composite
def calls_and_release(draw: st.DrawFn) -> tuple[Calls, Release]:
    release = draw(st.sampled_from(RELEASES))
    every = sorted((method, path) for method in METHODS for path in known(method, release))
    lines = []
    for method, path in draw(st.lists(st.sampled_from(every), min_size=1, max_size=12, unique=True)):
        named = {name: value for name, value in draw(ids).items() if value}
        lines.append(f"{method} {fill(path, {**{name: f'{{{name}}}' for name in fields(path)}, **named})}")
    if draw(st.booleans()):
        lines.append("GET /cluster/resources")
    return from_list(lines, release), release


@settings(max_examples=examples(150), deadline=None, derandomize=True)
@given(calls_and_release(), st.sampled_from([{}, {"vmid": ["100"]}, {"node": ["a"], "storage": ["local"]}]))
def test_whatever_is_asked_the_rights_are_enough_and_minimal(drawn: tuple[Calls, Release], scope: Scope) -> None:
    calls, release = drawn
    judge(calls, release, scope)


@settings(max_examples=examples(100), deadline=None, derandomize=True)
@given(calls_and_release())
def test_roles_and_acl_items_say_the_same_as_the_entries(drawn: tuple[Calls, Release]) -> None:
    rights = work_out(*drawn)
    policy = as_policy(rights, "it")
    said = {(path, policy.roles[acl.role], acl.propagate) for acl in policy.acls for path in acl.paths}
    assert said == {(entry.path, entry.privileges, entry.propagate) for entry in rights.entries}
    assert len(set(policy.roles.values())) == len(policy.roles)
    assert all(role.startswith("app-it") for role in policy.roles)
