"""What a task leaves out stays as it is on the server: of every field of every kind of object."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.homelab.pve.tests.integration.modules.world import Json, Module, difference, succeeded
from ansible_collections.homelab.pve.tests.simulator import Simulator

# Objects of the world that have every field set, and for each field (as exported) another value that a task can give.
OBJECTS: dict[str, tuple[str, Json, dict[str, tuple[Any, str, Any]]]] = {
    "pve_role": ("roles operator", {"roleid": "operator"}, {"privs": (["VM.Audit"], "privs", ["VM.Audit"])}),
    "pve_group": ("groups ops", {"groupid": "ops"}, {"comment": ("Other", "comment", "Other")}),
    "pve_user": (
        "users joe@pve",
        {"userid": "joe@pve"},
        {
            "enable": (True, "enable", 1),
            "expire": ("never", "expire", 0),
            "groups": (["ops"], "groups", ["ops"]),
            "firstname": ("Other", "firstname", "Other"),
            "lastname": ("Other", "lastname", "Other"),
            "email": ("other@example.org", "email", "other@example.org"),
            "comment": ("Other", "comment", "Other"),
        },
    ),
    "pve_pool": (
        "pools lab",
        {"poolid": "lab"},
        {
            "comment": ("Other", "comment", "Other"),
            "vms": ([102], "vms", [102]),
            "storage": ([], "storage", []),
        },
    ),
    "pve_token": (
        "tokens joe@pve!ci",
        {"tokenid": "joe@pve!ci"},
        {
            "privsep": (False, "privsep", 0),
            "expire": ("never", "expire", 0),
            "comment": ("Other", "comment", "Other"),
        },
    ),
}
LISTS = {"pve_role": "roles", "pve_group": "groups", "pve_user": "users", "pve_pool": "pools", "pve_token": "tokens"}
# Options that are no field of an object: how it is treated, or what PVE does not show again.
NO_FIELDS = {"append", "state", "update_password", "user_password", "allow_move", "allow_lockout"}
NO_FIELDS |= {"secret_file", "verify_secret", "renew", "return_secret"}
FIELDS = [(name, field) for name, (_id, _key, fields) in OBJECTS.items() for field in fields]


@pytest.mark.parametrize("name", OBJECTS)
def test_every_option_is_here(name: str, documentation: dict[str, Json]) -> None:
    """A new option that is a field has to be added above."""
    own = set(documentation[name]["doc"]["options"]) - set(documentation["pve_acl"]["doc"]["options"])
    shared = {"comment", "groups"} & set(documentation[name]["doc"]["options"])
    assert (own | shared) - NO_FIELDS == {*OBJECTS[name][1], *OBJECTS[name][2]} | shared


@pytest.mark.parametrize("name", OBJECTS)
def test_an_id_alone_changes_nothing(name: str, run: Module, world: Simulator) -> None:
    before = world.export()
    assert all(value not in (None, "", []) for value in row(before, name).values()), "a field of it is not set"
    assert succeeded(run(name, OBJECTS[name][1]))["changed"] is False
    assert succeeded(run("pve_access", {LISTS[name]: [OBJECTS[name][1]]}))["changed"] is False
    assert not difference(before, world.export())


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_one_option_changes_one_field(name: str, field: str, run: Module, world: Simulator) -> None:
    """And so leaves all the others alone."""
    what, key, fields = OBJECTS[name]
    value, exported, will_be = fields[field]
    before = world.export()
    was = row(before, name)
    done = succeeded(run(name, {**key, field: value}))
    assert difference(before, world.export()) == {what: (was, {**was, exported: will_be})}
    assert [(change["before"].keys(), change["after"].keys()) for change in done["changes"]] == [
        ({field}, {field})
    ] * len(done["changes"])


def test_an_acl_entry_keeps_its_propagate(run: Module, world: Simulator) -> None:
    entry = {"path": "/vms/100", "role": "PVEAuditor", "users": ["ann@pve"]}
    before = world.export()
    assert succeeded(run("pve_acl", entry))["acl"][0]["propagate"] is False
    assert succeeded(run("pve_access", {"acls": [entry]}))["changed"] is False
    assert not difference(before, world.export())


def test_an_empty_document_changes_nothing(run: Module, world: Simulator) -> None:
    before = world.export()
    assert succeeded(run("pve_access", {}))["changed"] is False
    assert succeeded(run("pve_access", {"exclusive": {"tokens": {}, "acls": {}}}))["changed"] is False
    assert not difference(before, world.export())


def row(state: Json, name: str) -> Json:
    """Return the object of a module as it stands in an export."""
    what = OBJECTS[name][0]
    found: Json = difference({**state, LISTS[name]: []}, state)[what][1]
    return found
