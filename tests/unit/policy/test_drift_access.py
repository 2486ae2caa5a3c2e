"""Drift of access: each thing that somebody does is one finding that names it, and nothing else is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.access import releases
from ansible_collections.homelab.pve.plugins.module_utils.access.document import Document, parse_document
from ansible_collections.homelab.pve.plugins.module_utils.access.model import (
    AccessState,
    Entry,
    Group,
    Pool,
    Principal,
    Realm,
    Role,
    Token,
    User,
)
from ansible_collections.homelab.pve.plugins.module_utils.access.plan import plan_access
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError
from ansible_collections.homelab.pve.plugins.module_utils.firewall.observe import View as FirewallView
from ansible_collections.homelab.pve.plugins.module_utils.policy.catalogue import default_levels
from ansible_collections.homelab.pve.plugins.module_utils.policy.document import Policy
from ansible_collections.homelab.pve.plugins.module_utils.policy.drift import judge
from ansible_collections.homelab.pve.plugins.module_utils.policy.findings import Finding, Judgement
from ansible_collections.homelab.pve.plugins.module_utils.policy.observe import Observed
from ansible_collections.homelab.pve.tests.unit.access.strategies import documents, states, view_of
from ansible_collections.homelab.pve.tests.unit.examples import examples
from hypothesis import HealthCheck, assume, given, settings

Json = dict[str, Any]
Change = Callable[[AccessState], AccessState]
MISSING, UNEXPECTED, DIFFERENT, REFUSED = "drift_missing", "drift_unexpected", "drift_different", "policy_refused"
JOE, EVE = Principal("user", "joe@pve"), Principal("user", "eve@pve")
OPS, CI = Principal("group", "ops"), Principal("token", "joe@pve!ci")

POLICY: Json = {
    "roles": [{"roleid": "Ops", "privs": ["VM.Audit", "VM.PowerMgmt"]}, {"roleid": "Old", "state": "absent"}],
    "groups": [{"groupid": "ops", "comment": "On call"}],
    "users": [
        {"userid": "joe@pve", "groups": ["ops"], "comment": "Joe", "enable": True, "expire": "never"},
        {"userid": "max@pve", "state": "absent"},
    ],
    "tokens": [{"tokenid": "joe@pve!ci", "privsep": True, "expire": "90d"}],
    "acls": [
        {"path": "/vms", "role": "Ops", "groups": ["ops"], "propagate": True},
        {"path": "/vms", "role": "Ops", "tokens": ["joe@pve!ci"]},
        {"path": "/storage/local", "role": "PVEAuditor", "users": ["joe@pve"]},
        {"path": "/pool/lab", "role": "PVEPoolUser", "groups": ["ops"]},
        {"path": "/nodes", "role": "PVEAuditor", "users": ["ann@pve"], "state": "absent"},
    ],
    "pools": [{"poolid": "lab", "vms": [100], "comment": "To play with"}],
    "exclusive": {
        "users": {"ids": ["*@pve"]},
        "tokens": {"users": ["*@pve"]},
        "acls": {"paths": ["/vms*"]},
        "roles": {"ids": ["*"]},
        "groups": {"ids": ["*"]},
    },
    "keep": ["ann@pve"],
}


def entry(who: Principal, path: str, role: str, propagate: bool = True) -> dict[Entry, bool]:
    return {Entry(path, who, role): propagate}


def as_declared(release: tuple[int, int] = (9, 2)) -> AccessState:
    roles = {name: Role(name, privs, True) for name, privs in releases.builtin_roles(release).items()}
    roles["Ops"] = Role("Ops", frozenset({"VM.Audit", "VM.PowerMgmt"}))
    state = AccessState(
        users={
            "root@pam": User("root@pam"),
            "joe@pve": User("joe@pve", groups=frozenset({"ops"}), comment="Joe"),
            "ann@pve": User("ann@pve"),
        },
        groups={"ops": Group("ops", "On call")},
        roles=roles,
        tokens={"joe@pve!ci": Token("joe@pve!ci", expire=1_900_000_000)},
        pools={"lab": Pool("lab", "To play with", vms=frozenset({100}))},
        realms={"pve": Realm("pve"), "pam": Realm("pam", "pam")},
    )
    for who, path, role in (
        (OPS, "/vms", "Ops"),
        (CI, "/vms", "Ops"),
        (JOE, "/storage/local", "PVEAuditor"),
        (OPS, "/pool/lab", "PVEPoolUser"),
    ):
        state = state.grant(entry(who, path, role))
    return state


def document(raw: Json | None = None) -> Document:
    return parse_document({**POLICY, **(raw or {})})


def judged(state: AccessState, wanted: Document, **view: Any) -> Judgement:
    judgement = Judgement(default_levels())
    observed = Observed(replace(view_of(state), **view), FirewallView(None), 0.0)
    judge(observed, Policy(access=wanted), judgement)
    return judgement


def told(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(one.rule, one.subject, one.path) for one in findings]


def test_what_is_as_declared() -> None:
    judgement = judged(as_declared(), document())
    assert judgement.findings == []
    assert judgement.gaps == []
    # A span such as 90d was reckoned when the token was made; ann@pve is kept.
    assert judgement.notes == ["Not declared, and left alone all the same: ann@pve."]


def test_entries_of_those_who_are_gone_are_told_by_their_own_rule() -> None:
    gone = (EVE, Principal("group", "gone"))
    state = as_declared().grant({key: flag for who in gone for key, flag in entry(who, "/vms", "PVEAdmin").items()})
    assert judged(state, document()).findings == []
    alive = state.put("users", EVE.name, User(EVE.name))
    assert told(judged(alive, document()).findings) == [(UNEXPECTED, "user eve@pve", "")]
    # The policy wants somebody of that name, whose entries PVE deletes only when he is there.
    users = {"users": [*POLICY["users"], {"userid": EVE.name}]}
    for cure in (False, True):
        (finding,) = judged(state, document({**users, "purge_ghosts": cure})).findings
        assert (finding.rule, finding.subject) == (MISSING, "user eve@pve")
        assert ("purge_ghosts: true" in finding.fix) is not cure


def test_each_finding_is_known_again_and_told_from_others() -> None:
    """Two roles on one path are two findings; what changes from day to day does not make another one of any."""
    strange = as_declared().grant({**entry(OPS, "/vms/1", "PVEAdmin"), **entry(OPS, "/vms/1", "PVEVMUser")})
    strange = strange.drop("tokens", next(iter(strange.tokens)))
    first, second = (judged(strange, document(), now=now).findings for now in (1000.0, 900_000.0))
    assert len({one.fingerprint for one in first}) == len(first) > 2
    assert [one.expected for one in first] != [one.expected for one in second]
    assert [one.fingerprint for one in first] == [one.fingerprint for one in second]


def put(kind: str, name: str, value: Any) -> Change:
    return lambda state: state.put(kind, name, value)


def drop(kind: str, name: str) -> Change:
    return lambda state: state.drop(kind, name)


def give(who: Principal, path: str, role: str, propagate: bool = True) -> Change:
    return lambda state: state.grant(entry(who, path, role, propagate))


def take(who: Principal, path: str, role: str) -> Change:
    return lambda state: state.revoke(frozenset(entry(who, path, role)))


def intruder(state: AccessState) -> AccessState:
    """Somebody makes a user with a token and entries for both."""
    token = Principal("token", "eve@pve!x")
    state = state.put("users", "eve@pve", User("eve@pve", groups=frozenset({"ops"})))
    state = state.put("tokens", token.name, Token(token.name))
    return state.grant({**entry(EVE, "/vms", "PVEAdmin"), **entry(token, "/", "PVEAdmin")})


def undeclared_group(state: AccessState) -> AccessState:
    """Somebody makes a group with Joe in it, and an entry for it."""
    state = state.put("groups", "extra", Group("extra"))
    joe = state.users["joe@pve"]
    state = state.put("users", "joe@pve", replace(joe, groups=joe.groups | {"extra"}))
    return state.grant(entry(Principal("group", "extra"), "/vms/100", "PVEAdmin"))


def row(who: Principal, path: str, role: str) -> Json:
    return {"path": path, "type": who.kind, "ugid": who.name, "roleid": role, "propagate": True}


joe = as_declared().users["joe@pve"]
VIOLATIONS: dict[str, tuple[Change, tuple[str, str, str], Any, Any]] = {
    "a role is deleted": (
        drop("roles", "Ops"),
        (MISSING, "role Ops", ""),
        {"privs": ["VM.Audit", "VM.PowerMgmt"], "acl": [row(OPS, "/vms", "Ops"), row(CI, "/vms", "Ops")]},
        None,
    ),
    "a role is widened": (
        put("roles", "Ops", Role("Ops", frozenset({"VM.Audit", "VM.PowerMgmt", "VM.Console"}))),
        (DIFFERENT, "role Ops", ""),
        {"privs": ["VM.Audit", "VM.PowerMgmt"]},
        {"privs": ["VM.Audit", "VM.Console", "VM.PowerMgmt"]},
    ),
    "a role is made": (
        put("roles", "More", Role("More", frozenset({"VM.Audit"}))),
        (UNEXPECTED, "role More", ""),
        None,
        {"privs": ["VM.Audit"]},
    ),
    "a role is made that is to be absent": (
        put("roles", "Old", Role("Old")),
        (UNEXPECTED, "role Old", ""),
        None,
        {"privs": []},
    ),
    "a group is deleted": (
        drop("groups", "ops"),
        (MISSING, "group ops", ""),
        {
            "comment": "On call",
            "acl": [row(OPS, "/pool/lab", "PVEPoolUser"), row(OPS, "/vms", "Ops")],
            "users": ["joe@pve"],
        },
        None,
    ),
    "a group's comment is changed": (
        put("groups", "ops", Group("ops", "Off duty")),
        (DIFFERENT, "group ops", ""),
        {"comment": "On call"},
        {"comment": "Off duty"},
    ),
    "a group is made": (
        undeclared_group,
        (UNEXPECTED, "group extra", ""),
        None,
        {"comment": "", "acl": [row(Principal("group", "extra"), "/vms/100", "PVEAdmin")], "users": ["joe@pve"]},
    ),
    "a user is deleted": (
        drop("users", "joe@pve"),
        (MISSING, "user joe@pve", ""),
        {
            "enable": True,
            "expire": 0,
            "groups": ["ops"],
            "firstname": "",
            "lastname": "",
            "email": "",
            "comment": "Joe",
            "acl": [row(JOE, "/storage/local", "PVEAuditor"), row(CI, "/vms", "Ops")],
            "tokens": ["joe@pve!ci"],
        },
        None,
    ),
    "a user is disabled": (
        put("users", "joe@pve", replace(joe, enable=False)),
        (DIFFERENT, "user joe@pve", ""),
        {"enable": True},
        {"enable": False},
    ),
    "a user leaves a group": (
        put("users", "joe@pve", replace(joe, groups=frozenset())),
        (DIFFERENT, "user joe@pve", ""),
        {"groups": ["ops"]},
        {"groups": []},
    ),
    "a user is made": (
        intruder,
        (UNEXPECTED, "user eve@pve", ""),
        None,
        {
            "enable": True,
            "expire": 0,
            "groups": ["ops"],
            "firstname": "",
            "lastname": "",
            "email": "",
            "comment": "",
            "acl": [row(Principal("token", "eve@pve!x"), "/", "PVEAdmin"), row(EVE, "/vms", "PVEAdmin")],
            "tokens": ["eve@pve!x"],
        },
    ),
    "a token is deleted": (
        drop("tokens", "joe@pve!ci"),
        (MISSING, "token joe@pve!ci", ""),
        # When it is made anew, it ends 90 days later, with the day.
        {"privsep": True, "expire": 1_807_833_600, "comment": "", "acl": [row(CI, "/vms", "Ops")]},
        None,
    ),
    "a token loses its privilege separation": (
        put("tokens", "joe@pve!ci", Token("joe@pve!ci", privsep=False, expire=1_900_000_000)),
        (DIFFERENT, "token joe@pve!ci", ""),
        {"privsep": True},
        {"privsep": False},
    ),
    "a token is made": (
        put("tokens", "joe@pve!other", Token("joe@pve!other")),
        (UNEXPECTED, "token joe@pve!other", ""),
        None,
        {"privsep": True, "expire": 0, "comment": ""},
    ),
    "an entry is taken away": (
        take(JOE, "/storage/local", "PVEAuditor"),
        (MISSING, "user joe@pve", "/storage/local"),
        {"role": "PVEAuditor", "propagate": True},
        None,
    ),
    "an entry is made": (
        give(JOE, "/vms/100", "Administrator"),
        (UNEXPECTED, "user joe@pve", "/vms/100"),
        None,
        {"role": "Administrator", "propagate": True},
    ),
    "an entry is made that is to be absent": (
        give(Principal("user", "ann@pve"), "/nodes", "PVEAuditor"),
        (UNEXPECTED, "user ann@pve", "/nodes"),
        None,
        {"role": "PVEAuditor", "propagate": True},
    ),
    "an entry is not handed down any more": (
        give(OPS, "/vms", "Ops", False),
        (DIFFERENT, "group ops", "/vms"),
        {"role": "Ops", "propagate": True},
        {"role": "Ops", "propagate": False},
    ),
    "a pool is deleted": (
        drop("pools", "lab"),
        (MISSING, "pool lab", ""),
        {"comment": "To play with", "vms": [100], "storage": [], "acl": [row(OPS, "/pool/lab", "PVEPoolUser")]},
        None,
    ),
    "a guest joins a pool": (
        put("pools", "lab", Pool("lab", "To play with", vms=frozenset({100, 102}))),
        (DIFFERENT, "pool lab", ""),
        {"vms": [100]},
        {"vms": [100, 102]},
    ),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_one_violation_is_one_finding(name: str) -> None:
    change, wanted, expected, found = VIOLATIONS[name]
    findings = judged(change(as_declared()), document()).findings
    assert told(findings) == [wanted]
    assert (findings[0].expected, findings[0].found) == (expected, found)
    assert findings[0].message
    assert "homelab.pve.site" in findings[0].fix
    assert "declare" in findings[0].fix or "policy" in findings[0].fix


def test_what_lists_hold_is_told_by_what_is_less_and_more() -> None:
    change = put("roles", "Ops", Role("Ops", frozenset({"VM.Audit", "VM.Console"})))
    findings = judged(change(as_declared()), document()).findings
    assert findings[0].message == (
        "Role Ops is other than declared: privs lacks VM.PowerMgmt and has VM.Console besides."
    )


# -- what applying leaves alone, and an audit does not ----------------------------------------------------------------


def test_the_caller_is_judged_as_everybody_else() -> None:
    """He is spared when a policy is applied, so that he does not lock himself out."""
    joe = as_declared().grant({**entry(JOE, "/vms", "Administrator"), **entry(OPS, "/vms", "Administrator")})
    joe = joe.put("tokens", "joe@pve!x", Token("joe@pve!x"))
    joe = joe.grant(entry(Principal("token", "joe@pve!x"), "/vms", "Administrator"))
    view = replace(view_of(joe, "joe@pve!x"), complete=view_of(joe).complete)
    assert plan_access(view, replace(document(), allow_lockout=True)).changes == ()
    assert told(judged(joe, document(), caller="joe@pve!x").findings) == [
        (UNEXPECTED, "group ops", "/vms"),
        (UNEXPECTED, "user joe@pve", "/vms"),
        (UNEXPECTED, "token joe@pve!x", ""),
    ]
    assert judged(joe, document({"keep": ["ops", "joe@pve*", "ann@pve"]})).findings == []


OPEN_USERS = {"users": [{"userid": "joe@pve"}, {"userid": "sue@pam"}]}
EXTRA = {"groups": [*POLICY["groups"], {"groupid": "extra"}]}


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ({}, [("user joe@pve", "extra"), ("user joe@pve", "ops"), ("user sue@pam", "ops")]),
        ({"exclusive": {"users": {"ids": ["*@pve"]}}}, [("user joe@pve", "extra"), ("user joe@pve", "ops")]),
        ({"exclusive": {"groups": {"ids": ["ops"]}}}, [("user joe@pve", "ops"), ("user sue@pam", "ops")]),
        ({"exclusive": {}}, []),
        ({"keep": ["ops"]}, [("user joe@pve", "extra")]),
        ({"keep": ["joe@pve"]}, [("user sue@pam", "ops")]),
        ({"users": [{"userid": "joe@pve", "groups": ["ops"], "append": True}]}, [("user joe@pve", "extra")]),
        ({"users": [{"userid": "joe@pve", "groups": ["extra", "ops"]}], "keep": ["sue@pam"]}, []),
    ],
)
def test_who_is_in_a_group_has_to_be_declared_where_nothing_else_may_be(raw: Json, found: list[Any]) -> None:
    state = as_declared().put("groups", "extra", Group("extra"))
    state = state.put("users", "joe@pve", replace(joe, groups=frozenset({"extra", "ops"})))
    state = state.put("users", "sue@pam", User("sue@pam", groups=frozenset({"ops"})))
    keep = {"keep": ["ann@pve", *raw.get("keep", [])]}
    findings = judged(state, document({**OPEN_USERS, **EXTRA, **raw, **keep})).findings
    if "append" in str(raw):
        found = [*found, ("user sue@pam", "ops")]
    assert sorted((one.subject, one.apart) for one in findings) == found
    assert {one.rule for one in findings} <= {UNEXPECTED}
    assert all("leaves that alone" in one.fix for one in findings)


@pytest.mark.parametrize(
    ("pools", "found"),
    [
        ([{"poolid": "lab", "comment": "To play with"}], [("pool lab", {"vms": [100], "storage": ["local"]})]),
        ([{"poolid": "lab", "vms": [100]}], [("pool lab", {"storage": ["local"]})]),
        ([{"poolid": "lab", "storage": ["local"], "append": True}], [("pool lab", {"vms": [100]})]),
        ([{"poolid": "lab", "vms": [100], "storage": ["local"]}], []),
        # A guest that is to go elsewhere is told where it is missing.
        (
            [{"poolid": "lab", "storage": ["local"]}, {"poolid": "new", "vms": [100], "allow_move": True}],
            [("pool lab", {"vms": [100]}), ("pool new", None)],
        ),
    ],
)
def test_members_of_pools_have_to_be_declared_where_nothing_else_may_be(pools: list[Json], found: list[Any]) -> None:
    state = as_declared().put("pools", "lab", Pool("lab", "To play with", frozenset({100}), frozenset({"local"})))
    scoped = {**POLICY["exclusive"], "pools": {"ids": ["*"]}}
    findings = judged(state, document({"pools": pools, "exclusive": scoped})).findings
    assert [(one.subject, one.found) for one in findings] == found
    if len(pools) == 1:
        assert judged(state, document({"pools": pools})).findings == []


def test_pools_that_nobody_declared_are_found_with_members_too() -> None:
    state = as_declared().put("pools", "p2", Pool("p2", vms=frozenset({102}))).put("pools", "p3", Pool("p3"))
    wanted = document({"exclusive": {**POLICY["exclusive"], "pools": {"ids": ["p*"]}}})
    full, empty = judged(state, wanted).findings
    assert told([full, empty]) == [(UNEXPECTED, "pool p2", ""), (UNEXPECTED, "pool p3", "")]
    assert "Take its members out first" in full.fix
    assert "members" not in empty.fix


def test_no_end_at_all_is_found_where_one_is_declared() -> None:
    endless = as_declared().put("tokens", "joe@pve!ci", Token("joe@pve!ci", privsep=False))
    (finding,) = judged(endless, document()).findings
    assert (finding.rule, finding.subject) == (DIFFERENT, "token joe@pve!ci")
    assert finding.found == {"privsep": False, "expire": 0}
    assert finding.expected == {"privsep": True, "expire": 1_807_833_600}
    assert "declared as a day" in finding.fix
    # Who applies the policy leaves alone what is there.
    endless = as_declared().put("tokens", "joe@pve!ci", Token("joe@pve!ci"))
    assert plan_access(view_of(endless), document()).changes == ()


# -- what cannot be applied -------------------------------------------------------------------------------------------

REFUSALS: dict[str, tuple[Json, tuple[str, str], str]] = {
    "a privilege that this release does not have": (
        {"roles": [{"roleid": "Ops", "privs": ["VM.Audit", "VM.PowerMgmt", "VM.Monitor"]}]},
        ("role Ops", ""),
        "PVE 9.2 has no privilege 'VM.Monitor'",
    ),
    "a new role with one": ({"roles": [{"roleid": "New", "privs": ["VM.Adit"]}]}, ("role New", ""), "'VM.Adit'"),
    "a built-in role": ({"roles": [{"roleid": "PVEAdmin", "privs": []}]}, ("role PVEAdmin", ""), "is built in"),
    "a guest that is not there": (
        {"acls": [{"path": "/vms/999", "role": "PVEAuditor", "users": ["joe@pve"]}]},
        ("ACL entries", "/vms/999"),
        "there is no guest 999",
    ),
    "a path that is none": (
        {"acls": [{"path": "/qemu/100", "role": "PVEAuditor", "users": ["joe@pve"]}]},
        ("ACL entries", "/qemu/100"),
        "does not exist in PVE 9.2",
    ),
    "a realm that is not there": (
        {
            "users": [{"userid": "sue@corp"}],
            "tokens": [{"tokenid": "sue@corp!ci"}],
            "acls": [{"path": "/vms", "role": "PVEAuditor", "users": ["sue@corp"], "tokens": ["sue@corp!ci"]}],
        },
        ("user sue@corp", ""),
        "there is no realm 'corp'",
    ),
    "a role that nobody declares": (
        {"acls": [{"path": "/vms", "role": "Opps", "users": ["joe@pve"]}]},
        ("role Opps", ""),
        "The policy needs role Opps, which is not there",
    ),
    "a user that nobody declares, and his token": (
        {"acls": [{"path": "/vms", "role": "Ops", "tokens": ["sue@pve!ci"]}]},
        ("user sue@pve", ""),
        "does not declare it",
    ),
    "a group that nobody declares": (
        {"users": [{"userid": "joe@pve", "groups": ["ops", "sre"]}]},
        ("group sre", ""),
        "does not declare it",
    ),
    "a pool with a guest that is not there": (
        {"pools": [{"poolid": "lab", "vms": [100, 999]}]},
        ("pool lab", ""),
        "no guest 999",
    ),
    "a token that could do nothing": (
        {"tokens": [{"tokenid": "joe@pve!bare"}]},
        ("token joe@pve!bare", ""),
        "could do nothing",
    ),
    "a pool that is to go and has members": (
        {"pools": [{"poolid": "lab", "state": "absent"}]},
        ("pool lab", ""),
        "is not empty",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_applied_is_told_once(name: str) -> None:
    raw, about, said = REFUSALS[name]
    bare = {**dict.fromkeys(POLICY, None), **raw}
    state = as_declared()
    if "bare" in str(raw):
        state = state.put("tokens", "joe@pve!bare", Token("joe@pve!bare"))
    findings = judged(state, document(bare)).findings
    assert told(findings) == [(REFUSED, *about)]
    assert said in findings[0].message
    assert findings[0].fix


def test_what_goes_with_what_cannot_be_applied() -> None:
    findings = judged(as_declared(), document({**dict.fromkeys(POLICY, None), **REFUSALS["a path that is none"][0]}))
    assert findings.findings[0].expected == [row(JOE, "/qemu/100", "PVEAuditor")]
    wanted = document({**dict.fromkeys(POLICY, None), **REFUSALS["a role that nobody declares"][0]})
    findings = judged(as_declared(), wanted)
    assert findings.findings[0].expected == {"acl": [row(JOE, "/vms", "Opps")]}
    assert findings.findings[0].fix == "Declare it (did you mean Ops?)."


def test_what_stands_against_putting_it_right_is_told_with_it() -> None:
    """A guest that was moved to another pool is one thing to look at, and so is an entry that would hide others."""
    moved = as_declared().put("pools", "lab", Pool("lab", "To play with")).put("pools", "p2", Pool("p2", vms={100}))
    findings = judged(moved, document()).findings
    assert told(findings) == [(DIFFERENT, "pool lab", "")]
    assert "guest 100 is in pool p2" in findings[0].fix
    joe = as_declared().grant(entry(JOE, "/", "PVEAdmin"))
    raw = {"acls": [*POLICY["acls"], {"path": "/nodes", "role": "PVEAuditor", "users": ["joe@pve"]}]}
    findings = judged(joe, document(raw)).findings
    assert told(findings) == [(MISSING, "user joe@pve", "/nodes")]
    assert "would hide what joe@pve inherits there" in findings[0].fix


# -- lists that are not whole -----------------------------------------------------------------------------------------


def test_what_cannot_be_seen_is_a_gap_and_no_finding() -> None:
    nothing = AccessState(users={"root@pam": User("root@pam")}, roles=as_declared().roles)
    judgement = judged(nothing, document(), complete=frozenset({"roles"}))
    assert judgement.findings == []
    assert sorted(gap.what for gap in judgement.gaps) == [
        "ACL entries",
        "groups",
        "pools and their members",
        "users and tokens",
    ]


def test_what_is_seen_is_judged_all_the_same() -> None:
    change = put("users", "joe@pve", replace(joe, enable=False))
    judgement = judged(change(as_declared()), document(), complete=frozenset({"roles", "groups", "pools"}))
    assert told(judgement.findings) == [(DIFFERENT, "user joe@pve", "")]


# -- the same as the plan ---------------------------------------------------------------------------------------------


@settings(max_examples=examples(60), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(state=states(), wanted=documents())
def test_drift_is_found_where_there_is_something_to_do(state: AccessState, wanted: Document) -> None:
    try:
        plan = plan_access(view_of(state), replace(wanted, allow_lockout=True))
    except OptionError:
        assume(False)
        return
    findings = judged(state, wanted).findings
    assert bool(findings) is bool(plan.changes or plan.assumed)
    assert {one.rule == REFUSED for one in findings} <= ({True, False} if plan.assumed else {False})
    assert len({(one.rule, one.subject, one.path, str(one.expected), str(one.found)) for one in findings}) == len(
        findings
    )
