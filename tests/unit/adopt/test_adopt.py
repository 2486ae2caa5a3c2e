"""A cluster becomes a policy file that means exactly what is there."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("ansible", reason="documents are read as Ansible reads them")
pytest.importorskip("yaml")

import yaml
from ansible_collections.homelab.pve.plugins.module_utils.access.rotation import comment_of, end_of
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN
from ansible_collections.homelab.pve.tests.unit.access.strategies import states
from ansible_collections.homelab.pve.tests.unit.adopt.clusters import Pve, access, adopted, changes, ruleset
from ansible_collections.homelab.pve.tests.unit.examples import examples
from ansible_collections.homelab.pve.tests.unit.firewall.strategies import NODE, lists, rulesets
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

Json = dict[str, Any]
SLOW = list(HealthCheck)


@settings(max_examples=examples(40), deadline=None, derandomize=True, suppress_health_check=SLOW)
@given(state=states(), exclusive=st.booleans())
def test_access_is_said_as_it_is(state, exclusive: bool) -> None:
    pve = Pve(access(state), token=("root@pam!admin", ROOT_SECRET))
    found = adopted(pve, exclusive=exclusive)
    assert yaml.safe_load(found.text) == found.document
    assert changes(pve, found.document) == []
    again = adopted(pve, exclusive=exclusive)
    assert again == found
    event(f"{len(found.document['pve_access'].get('readers', ()))} readers")


@settings(max_examples=examples(40), deadline=None, derandomize=True, suppress_health_check=SLOW)
@given(cluster=rulesets(), node=lists(), guest=lists(), exclusive=st.booleans())
def test_the_firewall_is_said_as_it_is(cluster, node, guest, exclusive: bool) -> None:
    places = {
        "cluster": ruleset(cluster),
        "nodes": {NODE.id: {"rules": [rule.to_api() for rule in node]}},
        "guests": {"100": {"rules": [rule.to_api() for rule in guest]}},
    }
    pve = Pve({"firewall": places})
    found = adopted(pve, exclusive=exclusive)
    assert yaml.safe_load(found.text) == found.document
    assert changes(pve, found.document) == []
    assert adopted(pve, exclusive=exclusive) == found


# -- access -----------------------------------------------------------------------------------------------------------


def acl(path: str, kind: str, name: str, role: str, *, propagate: bool = True) -> Json:
    return {"path": path, "type": kind, "ugid": name, "roleid": role, "propagate": int(propagate)}


def both(token: str, path: str, *roles: str, propagate: bool = True) -> list[Json]:
    """The entries of a reader."""
    owner = token.partition("!")[0]
    halves = (("token", token), ("user", owner))
    return [acl(path, kind, name, role, propagate=propagate) for kind, name in halves for role in roles]


def with_access(**more: list[Json]) -> Pve:
    """A cluster with root@pam and his own token, and what is given."""
    caller = {"tokenid": ROOT_TOKEN, "privsep": 0, "secret": ROOT_SECRET}
    users = [{"userid": "root@pam"}, *more.pop("users", [])]
    tokens = [caller, *more.pop("tokens", [])]
    return Pve({**more, "users": users, "tokens": tokens})


def said(pve: Pve, **options: Any) -> tuple[Json, str, tuple[str, ...]]:
    """Return what is adopted of access, the text and the notes; it has to change nothing."""
    found = adopted(pve, **options)
    assert yaml.safe_load(found.text) == found.document
    assert changes(pve, found.document) == []
    return found.document["pve_access"], found.text, found.notes


def test_a_token_that_stands_in_for_another_is_no_part_of_the_policy() -> None:
    now = time.time()
    one = {"tokenid": "joe@pve!one", "privsep": 1, "secret": "0b1f0000-0000-4000-8000-000000000001"}
    two = {**one, "tokenid": "joe@pve!one-2", "comment": comment_of("joe@pve!one", now), "expire": end_of(0, now)}
    entries = [*both("joe@pve!one", "/vms", "PVEAuditor"), acl("/vms", "token", "joe@pve!one-2", "PVEAuditor")]
    pve = with_access(users=[{"userid": "joe@pve"}], tokens=[one, two], acl=entries)
    document, text, notes = said(pve)
    assert [row["token"] for row in document["readers"]] == ["joe@pve!one"]
    assert [note for note in notes if "one-2" in note] == [
        "token joe@pve!one-2: stands in for joe@pve!one while that gets a new secret"
    ]
    assert "one-2" not in text.partition("readers:")[2]


def test_readers_are_told_in_short() -> None:
    one, two, three = "a@pve!one", "a@pve!two", "b@pve!three"
    pve = with_access(
        users=[{"userid": "a@pve"}, {"userid": "b@pve", "enable": 0, "comment": "old"}],
        tokens=[
            {"tokenid": one, "expire": 1798761600},
            {"tokenid": two, "comment": "Logs, too"},
            {"tokenid": three, "expire": 1798761661},
        ],
        roles=[{"roleid": "homelab-logs", "privs": ["Sys.Syslog"]}],
        acl=[
            *both(one, "/vms/100", "PVEAuditor"),
            *both(two, "/", "PVEAuditor", "homelab-logs"),
            *both(three, "/vms/102", "PVEVMUser", propagate=False),
        ],
    )
    found, text, unused = said(pve)
    assert found["readers"] == [
        {"token": one, "role": "PVEAuditor", "path": "/vms/100", "expire": "2027-01-01"},
        {"token": two, "role": "PVEAuditor", "path": "/", "logs": True, "comment": "Logs, too"},
        {"token": three, "role": "PVEVMUser", "path": "/vms/102", "propagate": False, "expire": "2027-01-01 00:01:01"},
    ]
    assert "# /vms/100 is vm100" in text
    assert found["users"][-1] == {"userid": "b@pve", "enable": False, "groups": [], "comment": "old"}
    assert [row["tokenid"] for row in found["tokens"]] == [ROOT_TOKEN]
    assert not {"acls", "roles"} & found.keys()
    short = with_access(users=[{"userid": "a@pve"}], tokens=[{"tokenid": one}], acl=both(one, "/", "PVEAuditor"))
    assert said(short, exclusive=False)[0].keys() == {"readers", "tokens"}


@pytest.mark.parametrize(
    "more",
    [
        {"acl": [acl("/vms", "user", "a@pve", "PVEAuditor")]},
        {"acl": [acl("/vms", "token", "a@pve!one", "PVEAuditor")]},
        {"users": [{"userid": "a@pve", "groups": ["ops"]}], "groups": [{"groupid": "ops"}]},
        {"tokens": [{"tokenid": "a@pve!one", "privsep": 0}]},
    ],
)
def test_who_has_more_than_a_reader_is_none(more: Json) -> None:
    told = {"users": [{"userid": "a@pve"}], "tokens": [{"tokenid": "a@pve!one"}], **more}
    told["acl"] = [*both("a@pve!one", "/vms/100", "PVEAuditor"), *more.get("acl", [])]
    found, unused, unused = said(with_access(**told))
    assert "readers" not in found
    assert "a@pve!one" in [row["tokenid"] for row in found["tokens"]]


def test_entries_are_put_together() -> None:
    people = ["ann@pve", "bob@pve", "cyd@pve"]
    pve = with_access(
        users=[{"userid": name} for name in people],
        groups=[{"groupid": "admins"}],
        acl=[
            acl("/", "group", "admins", "Administrator"),
            *(acl(path, "user", name, "PVEVMUser") for path in ("/vms/100", "/vms/102") for name in people),
            acl("/storage/local", "user", "ann@pve", "PVEDatastoreUser", propagate=False),
        ],
    )
    found, text, unused = said(pve)
    assert found["acls"] == [
        {"paths": ["/"], "roles": ["Administrator"], "groups": ["admins"], "propagate": True},
        {"paths": ["/storage/local"], "roles": ["PVEDatastoreUser"], "users": ["ann@pve"], "propagate": False},
        {"paths": ["/vms/100", "/vms/102"], "roles": ["PVEVMUser"], "users": people, "propagate": True},
    ]
    assert "# /vms/100 is vm100, /vms/102 is ct102" in text


def test_what_cannot_be_said_stays_and_is_told() -> None:
    pve = with_access(
        users=[{"userid": "a@pve", "comment": "{{ 1 }}", "firstname": "{% x %}"}],
        tokens=[{"tokenid": "a@pve!idle", "comment": "x"}, {"tokenid": "root@pam!none", "privsep": 1}],
        acl=[
            acl("/vms/4711", "user", "a@pve", "PVEVMUser"),
            acl("/vms", "user", "gone@pve", "PVEVMUser"),
        ],
    )
    found, text, notes = said(pve)
    assert found["keep"] == ["a@pve!idle", "root@pam!none"]
    # What they are given later is found all the same.
    assert adopted(pve).document["pve_assertions"] == [
        {"subject": name, "paths": ["/"], "nothing": True} for name in found["keep"]
    ]
    assert "- {subject: a@pve!idle, paths: [/], nothing: true}" in text
    assert "pve_assertions" not in adopted(pve, exclusive=False).document
    assert found["acls"] == [
        {"paths": ["/vms/4711"], "roles": ["PVEVMUser"], "users": ["a@pve"], "propagate": True, "allow_missing": True}
    ]
    told = " ".join(notes)
    written = " ".join(text.replace("\n#  ", "").split())
    for what in ("token a@pve!idle", "gone@pve on /vms", "comment is left out", "firstname is left"):
        assert what in told
        assert what in written
    assert "{{" not in json.dumps(found)


def test_who_sees_not_all_says_so() -> None:
    """Nothing is to be exclusive of which one has not seen all."""
    pve = with_access(
        users=[{"userid": "poor@pve"}, {"userid": "other@pve"}],
        tokens=[{"tokenid": "poor@pve!tt", "privsep": 0, "secret": ROOT_SECRET}],
        acl=[acl("/vms", "user", "poor@pve", "PVEVMUser")],
    )
    pve.identity = "poor@pve!tt"
    found = adopted(pve)
    assert set(found.document["pve_access"]["exclusive"]) == {"roles"}
    assert "pve_firewall" not in found.document
    assert "undeclared users are not unexpected: poor@pve!tt does not see all of them" in found.notes
    assert any("Sys.Audit on /" in note for note in found.notes)


@pytest.mark.parametrize("kind", ["ldap", "ad", "openid"])
def test_what_comes_from_a_directory_is_declared(kind: str) -> None:
    pve = with_access(users=[{"userid": "joe@corp"}], groups=[{"groupid": "all-corp"}])
    state = {"realms": [*pve.state.export()["realms"], {"realm": "corp", "type": kind}]}
    pve.state.load(state)
    found, unused, notes = said(pve)
    assert "joe@corp" in [row["userid"] for row in found["users"]]
    assert "all-corp" in [row["groupid"] for row in found["groups"]]
    assert found["exclusive"]["users"] == found["exclusive"]["groups"] == {"ids": ["*"]}
    assert any("users and groups that corp will bring" in note for note in notes)
    assert not any("will bring" in note for note in said(pve, exclusive=False)[2])


def test_every_pool_is_told_with_what_is_in_it() -> None:
    pools = [
        {"poolid": "lab", "comment": "To play with", "vms": [100], "storage": ["local"]},
        {"poolid": "new", "comment": "", "vms": [], "storage": []},
        {"poolid": "nas", "comment": "", "vms": [], "storage": ["local"]},
    ]
    found, unused, unused = said(with_access(pools=pools))
    assert found["pools"] == [
        {"poolid": "lab", "vms": [100], "storage": ["local"], "comment": "To play with"},
        {"poolid": "nas", "vms": [], "storage": ["local"]},
        {"poolid": "new", "vms": [], "storage": []},
    ]
    assert found["exclusive"]["pools"] == {"ids": ["*"]}


def test_who_is_in_a_group_that_cannot_be_named_stays_in_it() -> None:
    pve = with_access(
        users=[{"userid": "a@pve", "groups": ["ops", "über"]}], groups=[{"groupid": "ops"}, {"groupid": "über"}]
    )
    found, unused, notes = said(pve)
    assert found["users"][-1] == {"userid": "a@pve", "groups": ["ops"], "append": True}
    assert found["keep"] == ["über"]
    assert any("stays in more groups" in note for note in notes)


# -- the firewall -----------------------------------------------------------------------------------------------------


def rule(source: str, **more: Any) -> Json:
    return {"type": "in", "action": "ACCEPT", "source": source, "enable": 1, **more}


def firewall(place: Json, **more: Any) -> tuple[Json, tuple[str, ...]]:
    pve = Pve({"firewall": {"cluster": place, **more.pop("places", {})}, **more})
    found = adopted(pve)
    assert yaml.safe_load(found.text) == found.document
    assert changes(pve, found.document) == []
    return found.document["pve_firewall"], found.notes


def test_rules_keep_their_order_and_their_twins() -> None:
    twins = [
        rule("10.0.0.1"),
        rule("10.0.0.1", enable=0, comment="off"),
        rule("10.0.0.2"),
        rule("10.0.0.1", log="info"),
    ]
    found, notes = firewall({"rules": twins})
    assert [row.get("log") for row in found["cluster"]["rules"]] == [None, None, None, "info"]
    assert [row["enable"] for row in found["cluster"]["rules"]] == [True, False, True, True]
    assert "rules" in found["cluster"]["exclusive"]
    assert notes == ()


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        ([rule("nobody")], "no such alias"),
        ([rule("10.0.0.9", comment="[key:a]"), rule("10.0.0.8", comment="[key:a]")], "has its key a, too"),
        ([rule("10.0.0.9", enable=0, comment="x [pending] [key:a]")], "has not switched it on yet"),
        ([rule("10.0.0.9", comment="x   [key:a]")], "write it anew"),
        ([rule("10.0.0.9", comment="[homelab.pve: for the time of a change]")], "left a copy"),
    ],
)
def test_a_rule_that_cannot_be_said_is_left_out(odd: list[Json], told: str) -> None:
    found, notes = firewall({"rules": [rule("10.0.0.1"), *odd, rule("10.0.0.2")]})
    assert len(found["cluster"].get("rules", ())) in (0, 2)
    assert "rules" not in found["cluster"]["exclusive"]
    assert told in " ".join(notes)
    assert any(note.startswith("cluster: the rules are not exclusive") for note in notes)


def test_every_place_that_has_anything() -> None:
    places = {
        "nodes": {"ugreen": {"options": {"nf_conntrack_helpers": "ftp,sip", "nf_conntrack_max": 65536, "ndp": 0}}},
        "guests": {
            "100": {
                "aliases": [{"name": "Own", "cidr": "10.0.0.1"}],
                "ipsets": [{"name": "own", "entries": [{"cidr": "Own"}]}],
            },
            "102": {},
        },
        "vnets": {"v1": {"rules": [{"type": "forward", "action": "DROP", "enable": 1}]}},
    }
    options = {"enable": 1, "log_ratelimit": "enable=1,rate=1/second"}
    found, unused = firewall(
        {"options": options}, places=places, vnets=[{"vnet": name, "zone": "z"} for name in ("v1", "v2")]
    )
    assert found["cluster"]["options"] == {"enable": True, "log_ratelimit": "enable=1,rate=1/second"}
    assert found["nodes"]["ugreen"]["options"] == {
        "ndp": False,
        "nf_conntrack_helpers": ["ftp", "sip"],
        "nf_conntrack_max": 65536,
    }
    assert found["guests"].keys() == {100, 102}
    # What comes up there is found.
    assert found["guests"][102] == {"exclusive": ["aliases", "ipsets", "options", "rules"]}
    assert found["vnets"]["v2"] == {"exclusive": ["options", "rules"]}
    assert found["guests"][100]["aliases"] == [{"name": "Own", "cidr": "10.0.0.1"}]
    assert found["vnets"]["v1"]["rules"] == [{"type": "forward", "action": "DROP", "enable": True}]
