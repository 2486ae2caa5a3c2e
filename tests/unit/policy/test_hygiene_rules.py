"""What the rules of hygiene conclude, and what they do not where not enough is seen."""

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
    Pool,
    Principal,
    Role,
    Token,
    User,
)
from ansible_collections.homelab.pve.plugins.module_utils.access.observe import View
from ansible_collections.homelab.pve.plugins.module_utils.access.permissions import Evaluator
from ansible_collections.homelab.pve.plugins.module_utils.access.rotation import comment_of
from ansible_collections.homelab.pve.plugins.module_utils.firewall.observe import View as FirewallView
from ansible_collections.homelab.pve.plugins.module_utils.policy.catalogue import default_levels
from ansible_collections.homelab.pve.plugins.module_utils.policy.document import Hygiene, Policy, parse_policy
from ansible_collections.homelab.pve.plugins.module_utils.policy.findings import Judgement
from ansible_collections.homelab.pve.plugins.module_utils.policy.hygiene import judge
from ansible_collections.homelab.pve.plugins.module_utils.policy.logs import AccessLogs
from ansible_collections.homelab.pve.plugins.module_utils.policy.observe import Observed
from ansible_collections.homelab.pve.plugins.module_utils.policy.sources import Snapshot

NOW = 1_800_000_000
DAY = 24 * 60 * 60
LATER = NOW + 90 * DAY
CALLER = "root@pam!audit"
ALL = frozenset({"users", "groups", "roles", "acl", "pools", "guests"})
Found = set[tuple[str, str, str]]
Grant = tuple[str, str, str, str]  # path, kind, name, role

ROWS = (
    {"type": "node", "node": "pve1", "status": "online"},
    {"type": "node", "node": "pve2", "status": "online"},
    {"type": "qemu", "vmid": 100, "node": "pve1"},
    {"type": "pool", "pool": "lab"},
)


def state(*grants: Grant, users: Any = (), groups: Any = (), roles: Any = (), tokens: Any = ()) -> AccessState:
    """Return a state with root@pam, the built-in roles, and what is given."""
    builtin = [Role(name, privs, True) for name, privs in releases.builtin_roles((9, 2)).items()]
    return AccessState(
        users={one.userid: one for one in (User("root@pam"), *users)},
        groups={one: Group(one) for one in groups},
        roles={one.roleid: one for one in (*builtin, *roles)},
        tokens={one.tokenid: one for one in tokens},
        pools={"lab": Pool("lab")},
    ).grant({Entry(path, Principal(kind, name), role): True for path, kind, name, role in grants})


def observed(access: AccessState, **fields: Any) -> Observed:
    nothing = {"format": "homelab.pve snapshot", "version": 1, "taken": NOW, "release": "9.2", "caller": CALLER}
    source = Snapshot({**nothing, "answers": {}, "refused": {}})
    complete = fields.pop("complete", ALL)
    view = View(access, (9, 2), CALLER, Evaluator(access).tree(CALLER), complete, frozenset({100}), (), NOW)
    factors = {name: {"entries": [{"type": "totp"}]} for name in access.users}
    told: dict[str, Any] = {
        "rows": ROWS,
        "realms": {"pam": {"type": "pam"}, "pve": {"type": "pve"}, "sso": {"type": "openid"}},
        "factors": factors,
        **fields,
    }
    return Observed(view, FirewallView(source), NOW, **told)


def judged(seen: Observed, logs: AccessLogs | None = None, **levels: str) -> Judgement:
    hygiene = Hygiene({**default_levels(), **levels})
    judgement = Judgement(hygiene.levels)
    judge(seen, Policy(hygiene=hygiene), judgement, logs)
    return judgement


def found(access: AccessState, **fields: Any) -> Found:
    return {(one.rule, one.subject, one.path) for one in judged(observed(access, **fields)).findings}


ANN = User("ann@pve")


@pytest.mark.parametrize(
    ("exclusive", "keep", "given", "level"),
    [
        ({"paths": ["/vms*"]}, [], {}, "error"),
        ({"paths": ["*"], "principals": ["gone@pve"]}, [], {}, "error"),
        ({"paths": ["*"], "principals": ["ann@pve"]}, [], {}, "warn"),
        ({"paths": ["/pool*"]}, [], {}, "warn"),
        ({"paths": ["*"]}, ["gone@pve"], {}, "warn"),
        ({"paths": ["*"]}, [], {"ghosts": "info"}, "info"),
        ({"paths": ["*"]}, [], {"ghosts": "ignore"}, None),
    ],
)
def test_ghosts_matter_more_where_only_declared_entries_may_be(
    exclusive: Any, keep: Any, given: dict[str, str], level: str | None
) -> None:
    policy = parse_policy(
        {"pve_hygiene": given}, parse_document({"exclusive": {"acls": exclusive}, "keep": keep}), None
    )
    judgement = Judgement(policy.hygiene.levels)
    judge(observed(state(("/vms", "user", "gone@pve", "PVEAuditor"))), policy, judgement, None)
    assert [one.level for one in judgement.findings if one.rule == "ghosts"] == ([level] if level else [])


def test_a_role_that_is_gone() -> None:
    """PVE drops such entries when it reads its file; a snapshot may hold what it does not."""
    assert found(state(("/vms", "user", "ann@pve", "Old"), users=[ANN])) == {("gone_roles", "role Old", "")}


def test_who_rules_over_those_who_rule_over_others() -> None:
    """Ann looks after the group of bob, who looks after the group of an administrator."""
    access = state(
        ("/access/groups/chiefs", "user", "bob@pve", "PVEUserAdmin"),
        ("/access/groups/helpers", "user", "ann@pve", "PVEUserAdmin"),
        ("/access/groups/others", "user", "eve@pve", "PVEUserAdmin"),
        ("/", "user", "chief@pve", "Administrator"),
        ("/vms", "group", "helpers", "PVEAuditor"),
        ("/vms", "group", "others", "PVEAuditor"),
        users=[
            ANN,
            User("bob@pve", groups=frozenset({"helpers"})),
            User("chief@pve", groups=frozenset({"chiefs"})),
            User("eve@pve"),
            User("nobody@pve", groups=frozenset({"others"})),
        ],
        groups=["chiefs", "helpers", "others"],
    )
    assert found(access) == {
        ("administrators", "user chief@pve", "/"),
        ("as_good_as_admin", "user bob@pve", "/access/groups/chiefs"),
        ("as_good_as_admin", "user ann@pve", "/access/groups/helpers"),
    }


def test_who_rules_over_a_group_with_root_in_it() -> None:
    access = state(
        ("/access/groups/chiefs", "user", "ann@pve", "PVEUserAdmin"),
        ("/vms", "group", "chiefs", "PVEAuditor"),
        users=[ANN, User("root@pam", groups=frozenset({"chiefs"}))],
        groups=["chiefs"],
    )
    assert found(access) == {("as_good_as_admin", "user ann@pve", "/access/groups/chiefs")}


@pytest.mark.parametrize(
    "grant",
    [
        pytest.param(("/", "user", "ann@pve", "PVEAdmin"), id="PVEAdmin rules over users"),
        pytest.param(("/access", "user", "ann@pve", "PVEUserAdmin"), id="above the users"),
        pytest.param(("/access/groups", "user", "ann@pve", "PVEUserAdmin"), id="on the users"),
    ],
)
def test_who_makes_tokens_for_everybody(grant: Grant) -> None:
    assert found(state(grant, users=[ANN])) == {("as_good_as_admin", "user ann@pve", "/access/groups")}


@pytest.mark.parametrize(
    "grant",
    [
        pytest.param(("/vms", "user", "ann@pve", "PVEAdmin"), id="guests alone"),
        pytest.param(("/access/realm/pve", "user", "ann@pve", "PVEUserAdmin"), id="a realm alone"),
        pytest.param(("/", "user", "ann@pve", "PVEVMAdmin"), id="all guests"),
    ],
)
def test_who_does_not(grant: Grant) -> None:
    assert found(state(grant, users=[ANN])) == set()


def test_a_token_without_separation_is_its_user() -> None:
    """It is found for that alone, whatever its user can do."""
    token = Token("ann@pve!t1", privsep=False, expire=LATER)
    access = state(("/", "user", "ann@pve", "Administrator"), users=[ANN], tokens=[token])
    assert found(access) == {("administrators", "user ann@pve", "/"), ("privsep", "token ann@pve!t1", "")}


@pytest.mark.parametrize(
    ("hours", "given", "level"),
    [
        (1, {}, "info"),
        (25, {}, "warn"),
        (1, {"rotation_unfinished": "ignore"}, None),
        (25, {"rotation_unfinished": "error"}, "error"),
    ],
)
def test_a_rotation_that_has_not_ended_matters_more_after_a_day(
    hours: int, given: dict[str, str], level: str | None
) -> None:
    tokens = [
        Token("ann@pve!t1", expire=LATER),
        Token("ann@pve!t1-2", expire=NOW + DAY, comment=comment_of("ann@pve!t1", NOW - hours * 3600)),
    ]
    grants: list[Grant] = [("/vms", "user", "ann@pve", "PVEAuditor"), ("/vms", "token", "ann@pve!t1", "PVEAuditor")]
    findings = judged(observed(state(*grants, users=[ANN], tokens=tokens)), **given).findings
    assert [(one.subject, one.level) for one in findings] == ([("token ann@pve!t1-2", level)] if level else [])


def test_who_cannot_log_in_is_not_found_for_what_he_could_do() -> None:
    token = Token("ann@pve!t1", privsep=False)
    access = state(("/", "user", "ann@pve", "Administrator"), users=[replace(ANN, enable=False)], tokens=[token])
    assert found(access, factors={"root@pam": {"entries": [{"type": "totp"}]}}) == {
        ("disabled_users", "user ann@pve", "")
    }


def test_a_second_factor_is_for_those_who_log_in_with_a_password() -> None:
    grants: list[Grant] = [("/vms", "user", name, "PVEVMUser") for name in ("ann@pve", "ann@sso")]
    access = state(*grants, ("/vms", "user", "eve@pve", "PVEAuditor"), users=[ANN, User("ann@sso"), User("eve@pve")])
    root = {"root@pam": {"entries": [{"type": "totp"}]}}
    assert found(access, factors=root) == {("no_second_factor", "user ann@pve", "")}
    enforced = {"pam": {"type": "pam"}, "pve": {"type": "pve", "tfa": "oath"}, "sso": {"type": "openid"}}
    assert found(access, factors=root, realms=enforced) == set()
    assert found(access, factors=None) == set()


@pytest.mark.parametrize("until", [pytest.param(NOW + DAY, id="for a day more"), pytest.param(NOW - DAY, id="over")])
def test_locks_end(until: int) -> None:
    rows = {"ann@pve": {"userid": "ann@pve", "tfa-locked-until": until}}
    expected = {("locked_factors", "user ann@pve", "")} if until > NOW else set()
    assert found(state(users=[ANN]), users=rows) == expected


# -- what is not seen -------------------------------------------------------------------------------------------------

HIDDEN: dict[str, tuple[frozenset[str], AccessState]] = {
    "users": (ALL - {"users"}, state(("/vms", "user", "gone@pve", "PVEAuditor"))),
    "groups": (ALL - {"groups"}, state(("/vms", "group", "gone", "PVEAuditor"))),
    "the paths of groups": (
        ALL - {"groups"},
        state(("/access/groups/gone", "user", "ann@pve", "PVEAuditor"), users=[ANN]),
    ),
    "pools": (ALL - {"pools"}, state(("/pool/gone", "user", "ann@pve", "PVEAuditor"), users=[ANN])),
    "entries": (ALL - {"acl"}, state(roles=[Role("Ops", frozenset({"VM.Audit"}))])),
    "rights": (ALL - {"acl"}, state(users=[ANN], tokens=[Token("ann@pve!t1", expire=NOW + 90 * DAY)])),
    "what is narrowed further down": (
        ALL - {"acl"},
        state(("/", "user", "ann@pve", "Administrator"), users=[ANN]),
    ),
    "members": (ALL - {"users"}, state(groups=["ops"])),
}


@pytest.mark.parametrize(("complete", "access"), [pytest.param(*case, id=name) for name, case in HIDDEN.items()])
def test_nothing_is_said_to_be_gone_that_may_be_hidden(complete: frozenset[str], access: AccessState) -> None:
    assert found(access)
    assert found(access, complete=complete) == set()


def test_guests_that_may_be_hidden_are_a_gap() -> None:
    access = state(("/vms/999", "user", "ann@pve", "PVEAuditor"), users=[ANN])
    judgement = judged(observed(access, complete=ALL - {"guests"}))
    assert ([one.rule for one in judgement.findings], [gap.what for gap in judgement.gaps]) == (
        [],
        ["ACL entries on guests"],
    )
    seen = state(("/vms/100", "user", "ann@pve", "PVEAuditor"), users=[ANN])
    assert judged(observed(seen, complete=ALL - {"guests"})).gaps == []
    assert judged(observed(access, complete=ALL - {"guests"}), gone_guests="ignore").gaps == []


# -- names of roles ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "privs", "rule"),
    [
        pytest.param("Auditor", {"Sys.Audit", "Sys.Syslog"}, "", id="logs are read"),
        pytest.param("Auditor", {"Sys.Audit", "VM.PowerMgmt"}, "broad_roles", id="power is not"),
        pytest.param("vm-readonly", {"VM.Console"}, "broad_roles", id="a word of several"),
        pytest.param("VMViewer", {"VM.Console"}, "broad_roles", id="words run together"),
        pytest.param("Preview", {"VM.Console"}, "", id="a word within a word"),
        pytest.param("Monitoring", {"VM.Monitor", "VM.Audit"}, "", id="the agent of old"),
        pytest.param("Backup", {"VM.Backup", "Datastore.AllocateSpace", "VM.Allocate"}, "", id="backups and restores"),
        pytest.param("Backup", {"VM.Backup", "Permissions.Modify"}, "broad_roles", id="backups and people"),
        pytest.param("ReadWrite", {"VM.Console"}, "", id="reading and more"),
        pytest.param("MonitoringAdmin", {"VM.Console"}, "", id="the administrator of something"),
        pytest.param("Ops", {"Permissions.Modify"}, "", id="no promise"),
        pytest.param("pveadmin", {"VM.Audit"}, "confusing_roles", id="small letters"),
        pytest.param("PVEBackup", {"VM.Backup"}, "confusing_roles", id="like PVE's own"),
    ],
)
def test_names_of_roles(name: str, privs: set[str], rule: str) -> None:
    access = state(("/storage", "user", "ann@pve", name), users=[ANN], roles=[Role(name, frozenset(privs))])
    expected = {(rule, f"role {name}", "")} if rule else set()
    assert {one for one in found(access) if one[1].startswith("role")} == expected


# -- access logs ------------------------------------------------------------------------------------------------------

TOKEN = Token("ann@pve!t1", expire=LATER)
ALONE = (("/vms", "user", "ann@pve", "PVEAuditor"), ("/vms", "token", "ann@pve!t1", "PVEAuditor"))


def usage(logs: AccessLogs, **levels: str) -> tuple[list[str], list[str]]:
    """Return the rules that found something, and what was not judged."""
    judgement = judged(observed(state(*ALONE, users=[ANN], tokens=[TOKEN])), logs, **levels)
    return [one.rule for one in judgement.findings], [gap.what for gap in judgement.gaps]


LONG, USED, BEFORE = NOW - 100 * DAY, {"ann@pve!t1": NOW - 10 * DAY}, {"ann@pve!t1": NOW - 95 * DAY}
GAP = ["unused tokens"]


@pytest.mark.parametrize(
    ("logs", "rules", "gaps"),
    [
        pytest.param(AccessLogs(USED, LONG, NOW, 2, 9), [], [], id="used"),
        pytest.param(AccessLogs(BEFORE, LONG, NOW, 2, 9), ["unused_tokens"], [], id="used long ago"),
        pytest.param(AccessLogs({}, LONG, NOW, 2, 9), ["unused_tokens"], [], id="never used"),
        pytest.param(AccessLogs({}, NOW - 7 * DAY, NOW, 2, 9), [], GAP, id="too short to know"),
        pytest.param(AccessLogs(USED, NOW - 20 * DAY, NOW, 2, 9), [], [], id="too short, but all are used"),
        pytest.param(AccessLogs({}, LONG, NOW - 5 * DAY, 2, 9), [], GAP, id="too old"),
        pytest.param(AccessLogs({}, LONG, NOW, 1, 9), [], GAP, id="of one node of two"),
        pytest.param(AccessLogs({}, LONG, NOW, 2, 9, 5), [], GAP, id="damaged"),
        pytest.param(AccessLogs({"root@pam": NOW, **USED}, LONG, NOW, 2, 9), ["root_used"], [], id="root"),
    ],
)
def test_access_logs(logs: AccessLogs, rules: list[str], gaps: list[str]) -> None:
    assert usage(logs) == (rules, gaps)
    assert usage(logs, unused_tokens="ignore", root_used="ignore") == ([], [])


def test_without_logs_nothing_is_said_of_use() -> None:
    judgement = judged(observed(state(*ALONE, users=[ANN], tokens=[TOKEN])))
    assert (judgement.findings, judgement.gaps) == ([], [])
    assert any("no access logs" in note for note in judgement.notes)


def test_each_finding_says_what_to_do() -> None:
    access = state(
        ("/vms", "user", "gone@pve", "PVEAuditor"),
        ("/vms/999", "user", "ann@pve", "Old"),
        users=[ANN, User("bob@gone"), User("eve@pve", expire=NOW + DAY), User("old@pve", expire=1)],
        groups=["idle"],
        roles=[Role("Viewer", frozenset({"VM.Console"}))],
        tokens=[TOKEN, Token("root@pam!x", privsep=False), Token("ann@pve!old", expire=1)],
    )
    findings = judged(observed(access)).findings
    assert len(findings) > 8
    for one in findings:
        assert one.message.endswith(".")
        assert one.fix.rstrip(")").endswith(".") or one.fix.endswith(".")
        assert one.subject
    assert len({one.fingerprint for one in findings}) == len(findings)
