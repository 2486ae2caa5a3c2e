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
NO_FIELDS |= {"secret_file", "verify_secret", "renew", "rotate", "return_secret"}
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


# Each field of a rule, of an alias, and of an entry of a set, with another value: what changes, and in which words.
PARTS = [
    ("pve_fw_rule", {"key": "api", "action": "REJECT"}, "rules", "IN ACCEPT", "IN REJECT"),
    ("pve_fw_rule", {"key": "api", "type": "out"}, "rules", "IN ACCEPT", "OUT ACCEPT"),
    ("pve_fw_rule", {"key": "api", "enable": False}, "rules", "IN ACCEPT", "|IN ACCEPT"),
    ("pve_fw_rule", {"key": "api", "source": "10.0.0.0/8"}, "rules", "-source LAN", "-source 10.0.0.0/8"),
    ("pve_fw_rule", {"key": "api", "dest": "10.0.0.1"}, "rules", "-dest 192.168.40.60", "-dest 10.0.0.1"),
    ("pve_fw_rule", {"key": "api", "proto": "udp"}, "rules", "-p tcp", "-p udp"),
    ("pve_fw_rule", {"key": "api", "dport": "22"}, "rules", "-dport 8006", "-dport 22"),
    ("pve_fw_rule", {"key": "api", "sport": "1:9"}, "rules", "-sport 1024:65535", "-sport 1:9"),
    ("pve_fw_rule", {"key": "api", "iface": "vmbr1"}, "rules", "-i vmbr0", "-i vmbr1"),
    ("pve_fw_rule", {"key": "api", "log": "crit"}, "rules", "-log info", "-log crit"),
    ("pve_fw_rule", {"key": "api", "comment": "Mine"}, "rules", "The API [key", "Mine [key"),
    ("pve_fw_rule", {"key": "ssh", "macro": "DNS"}, "rules", "IN SSH(", "IN DNS("),
    ("pve_fw_alias", {"name": "lan", "cidr": "10.0.0.0/8"}, "aliases", "192.168.40.0/24", "10.0.0.0/8"),
    ("pve_fw_alias", {"name": "lan", "comment": "Mine"}, "aliases", "At home", "Mine"),
    ("pve_fw_ipset", {"name": "management", "comment": "Mine"}, "ipset management", "Admins", "Mine"),
    (
        "pve_fw_ipset",
        {"name": "web", "entries": [{"cidr": "10.0.0.66", "comment": "Mine"}]},
        "ipset web",
        "Not this one",
        "Mine",
    ),
    (
        "pve_fw_ipset",
        {"name": "web", "entries": [{"cidr": "10.0.0.66", "nomatch": False}]},
        "ipset web",
        "!10.0.0.66",
        "10.0.0.66",
    ),
    ("pve_fw_group", {"name": "web", "comment": "Mine"}, "group web", "Web servers", "Mine"),
    ("pve_fw_options", {"policy_in": "REJECT"}, "options", "policy_in: DROP", "policy_in: REJECT"),
]


@pytest.mark.parametrize(("name", "options", "section", "was", "will"), PARTS)
def test_one_option_changes_one_part_of_the_firewall(
    name: str, options: Json, section: str, was: str, will: str, run: Module, world: Simulator
) -> None:
    before = world.export()
    succeeded(run(name, options))
    ((changed, (old, new)),) = difference(before, world.export()).items()
    assert changed == f"cluster {section}"
    (number,) = [number for number, line in enumerate(old) if line != new[number]]
    assert [*old[:number], old[number].replace(was, will, 1), *old[number + 1 :]] == new


def row(state: Json, name: str) -> Json:
    """Return the object of a module as it stands in an export."""
    what = OBJECTS[name][0]
    found: Json = difference({**state, LISTS[name]: []}, state)[what][1]
    return found
