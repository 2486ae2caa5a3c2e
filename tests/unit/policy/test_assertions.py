"""What assertions find: each kind, on paths and below them, for ids and patterns, and whether PVE itself agrees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.access import releases
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
from ansible_collections.homelab.pve.plugins.module_utils.access.permissions import Evaluator, sources
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError, PermissionDenied
from ansible_collections.homelab.pve.plugins.module_utils.firewall.observe import View as FirewallView
from ansible_collections.homelab.pve.plugins.module_utils.policy.assertions import Area, Outcome, judge
from ansible_collections.homelab.pve.plugins.module_utils.policy.document import parse_policy
from ansible_collections.homelab.pve.plugins.module_utils.policy.findings import Finding, Judgement
from ansible_collections.homelab.pve.plugins.module_utils.policy.observe import Observed
from ansible_collections.homelab.pve.tests.unit.access.strategies import PATHS, states, view_of
from ansible_collections.homelab.pve.tests.unit.examples import examples
from hypothesis import HealthCheck, given, settings

Json = dict[str, Any]
JOE, CI, BARE, ANN = "joe@pve", "joe@pve!ci", "joe@pve!bare", "ann@pve"


def grants(*rows: tuple[str, str, str, bool]) -> dict[Entry, bool]:
    """Return entries of (principal, path, role, propagate); tokens have a ``!``, users an ``@``, groups neither."""
    kinds = ((name, "token" if "!" in name else "user" if "@" in name else "group") for name, *unused in rows)
    return {
        Entry(path, Principal(kind, name), role): flag for (name, kind), (unused, path, role, flag) in zip(kinds, rows)
    }


def cluster(*rows: tuple[str, str, str, bool], release: tuple[int, int] = (9, 2)) -> AccessState:
    """Return a state with three guests, one of them in a pool; Joe is in a group and has two tokens."""
    roles = {name: Role(name, privs, True) for name, privs in releases.builtin_roles(release).items()}
    roles["logs"] = Role("logs", frozenset({"Sys.Syslog"}))
    return AccessState(
        users={
            "root@pam": User("root@pam"),
            JOE: User(JOE, groups=frozenset({"ops"})),
            ANN: User(ANN),
        },
        groups={"ops": Group("ops")},
        roles=roles,
        tokens={CI: Token(CI), BARE: Token(BARE, privsep=False)},
        pools={"lab": Pool("lab", vms=frozenset({102}))},
    ).grant(grants(*rows))


class Pve:
    """Answers /access/permissions as PVE does, for a state that may be another one than was observed."""

    def __init__(self, state: AccessState | None) -> None:
        self.state = state
        self.asked: list[str] = []

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        assert path == "/access/permissions"
        assert params
        self.asked.append(params["userid"])
        if self.state is None:
            raise PermissionDenied("GET", path, 403, reason="Permission check failed", text="Permission check failed")
        return Evaluator(self.state).tree(params["userid"])


def judged(
    state: AccessState, *assertions: Json, asked: Any = None, guests: tuple[int, ...] = (100, 101, 102), **view: Any
) -> tuple[list[Finding], list[Outcome]]:
    rows = tuple({"type": "qemu", "vmid": vmid, "node": "n"} for vmid in guests)
    seen = replace(view_of(state), guests=frozenset(guests), **view)
    observed = Observed(seen, FirewallView(asked), 0.0, (*rows, {"type": "storage", "storage": "nas"}))
    policy = parse_policy({"pve_assertions": [{"paths": [one["path"]], **one} for one in assertions]}, None, None)
    judgement = Judgement(policy.hygiene.levels)
    outcomes = judge(observed, policy, judgement, asked)
    return judgement.findings, outcomes


def found(state: AccessState, assertion: Json, **more: Any) -> list[tuple[str, str, str]]:
    """Return rule, subject and path of all findings."""
    return [(one.rule, one.subject, one.path) for one in judged(state, assertion, **more)[0]]


AUDITOR = cluster((JOE, "/", "PVEAuditor", True))
OPERATOR = cluster(("ops", "/vms", "PVEVMUser", True))
EVERY_AUDIT = sorted(releases.builtin_roles((9, 2))["PVEAuditor"])


@pytest.mark.parametrize(
    ("state", "assertion"),
    [
        (AUDITOR, {"subject": JOE, "path": "/", "read_only": True}),
        (AUDITOR, {"subject": JOE, "path": "/", "never": ["VM.Console", "Sys.Modify"]}),
        (AUDITOR, {"subject": JOE, "path": "/", "exactly": EVERY_AUDIT}),
        (AUDITOR, {"subject": JOE, "path": "/vms/100", "at_most": EVERY_AUDIT}),
        (AUDITOR, {"subject": JOE, "path": "/nodes/*", "at_least": ["Sys.Audit"]}),
        (OPERATOR, {"subject": JOE, "path": "/storage", "nothing": True}),
        (OPERATOR, {"subject": CI, "path": "/", "nothing": True}),
        (OPERATOR, {"subject": "*!ci", "path": "/vms", "nothing": True}),
        (OPERATOR, {"subject": JOE, "path": "/", "nothing": True, "below": False}),
        # Nobody can hold anything on guests that are yet to come, where each has an entry of its own.
        (
            cluster(*((JOE, f"/vms/{vmid}", "PVEAuditor", True) for vmid in (100, 101, 102))),
            {"subject": JOE, "path": "/vms/*", "at_least": ["VM.Audit"]},
        ),
    ],
)
def test_what_holds(state: AccessState, assertion: Json) -> None:
    findings, outcomes = judged(state, assertion)
    assert findings == []
    assert [one.holds for one in outcomes] == [True]


@pytest.mark.parametrize(
    ("state", "assertion", "path", "said"),
    [
        (AUDITOR, {"subject": JOE, "path": "/vms", "nothing": True}, "/vms", "holds Datastore.Audit, Mapping.Audit"),
        (AUDITOR, {"subject": JOE, "path": "/vms", "at_most": ["VM.Audit"]}, "/vms", "holds besides Datastore.Audit"),
        (AUDITOR, {"subject": JOE, "path": "/", "at_least": ["VM.Console"]}, "/", "lacks VM.Console on /"),
        (OPERATOR, {"subject": JOE, "path": "/", "never": ["VM.Console"]}, "/vms", "holds VM.Console on /vms, against"),
        (
            OPERATOR,
            {"subject": BARE, "path": "/", "never": ["VM.Console"]},
            "/vms",
            "holds VM.Console on /vms, against",
        ),
        (OPERATOR, {"subject": JOE, "path": "/", "read_only": True}, "/vms", "can change things with it, VM.Backup"),
        (
            AUDITOR,
            {"subject": JOE, "path": "/", "exactly": ["VM.Audit", "VM.Console"]},
            "/",
            "lacks VM.Console and holds besides Datastore.Audit",
        ),
        # By a pattern, the same for all guests and those to come is one finding.
        (OPERATOR, {"subject": JOE, "path": "/vms/*", "nothing": True}, "/vms/*", "on /vms/100, /vms/101, /vms/102,"),
        # A right that is not handed down is lacking below.
        (
            cluster((JOE, "/vms", "PVEAuditor", False)),
            {"subject": JOE, "path": "/vms", "at_least": ["VM.Audit"], "below": True},
            "/vms/*",
            "lacks VM.Audit on /vms/100, /vms/101, /vms/102,",
        ),
        # Whoever may do it on guests that are made tomorrow may do it.
        (
            cluster((JOE, "/vms", "PVEVMUser", True), *((JOE, f"/vms/{n}", "NoAccess", True) for n in (100, 101, 102))),
            {"subject": JOE, "path": "/vms/*", "never": ["VM.Console"]},
            "/vms/*",
            "on whatever is new below /vms",
        ),
        # By the pool that a guest is in.
        (
            cluster((JOE, "/pool/lab", "PVEVMUser", True)),
            {"subject": JOE, "path": "/vms/102", "never": ["VM.Console"]},
            "/vms/102",
            "VM.Console on /vms/102",
        ),
    ],
)
def test_what_does_not_hold(state: AccessState, assertion: Json, path: str, said: str) -> None:
    findings, outcomes = judged(state, assertion)
    assert [(one.rule, one.subject, one.path) for one in findings] == [("assertion", assertion["subject"], path)]
    assert said in findings[0].message
    assert [one.holds for one in outcomes] == [False]


def test_what_has_another_reason_is_another_finding() -> None:
    state = cluster(
        (JOE, "/vms", "PVEVMUser", True), (JOE, "/vms/100", "PVEVMAdmin", True), (JOE, "/vms/101", "PVEVMUser", True)
    )
    # On 101 the same is wrong as above it.
    findings, unused = judged(state, {"subject": JOE, "path": "/", "read_only": True})
    assert [one.path for one in findings] == ["/vms", "/vms/100"]
    assert findings[0].fix.startswith("It comes from PVEVMUser for user joe@pve on /vms: take that away")
    assert findings[1].fix.startswith("It comes from PVEVMAdmin for user joe@pve on /vms/100: ")


def test_each_of_many_subjects_has_its_own_finding() -> None:
    told = found(OPERATOR, {"subject": "*@pve*", "path": "/", "nothing": True})
    assert told == [("assertion", JOE, "/vms"), ("assertion", BARE, "/vms")]


def test_the_level_of_an_assertion_goes_before_that_of_the_rule() -> None:
    findings, unused = judged(OPERATOR, {"subject": JOE, "path": "/", "nothing": True, "level": "info"})
    assert [one.level for one in findings] == ["info"]


# -- nobody, and nothing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [{"nothing": True}, {"at_least": ["VM.Audit"]}, {"exactly": []}])
@pytest.mark.parametrize("subject", ["eve@pve", "joe@pve!gone", "*@nowhere"])
def test_subjects_that_are_not_there(subject: str, kind: Json) -> None:
    findings, outcomes = judged(AUDITOR, {"subject": subject, "path": "/", **kind})
    assert [(one.rule, one.level, one.subject, one.path) for one in findings] == [
        ("assertion_unmatched", "warn", subject, "/")
    ]
    assert outcomes[0].holds is (kind == {"nothing": True} and "*" not in subject)


def test_a_path_that_is_like_nothing() -> None:
    assertion = {"subject": JOE, "path": "/vms/7*", "nothing": True}
    findings, outcomes = judged(AUDITOR, assertion)
    assert [(one.rule, one.path) for one in findings] == [("assertion_unmatched", "/vms/7*")]
    assert not outcomes[0].holds


def test_entries_that_outlive_a_user_count() -> None:
    state = cluster(("eve@pve", "/", "Administrator", True))
    told = found(state, {"subject": "eve@pve", "path": "/", "never": ["Sys.Modify"]})
    assert told == [("assertion_unmatched", "eve@pve", "/"), ("assertion", "eve@pve", "/")]


def test_what_cannot_be_seen_is_not_said_to_be_lacking() -> None:
    hidden = frozenset({"roles", "groups", "users"})
    assertion = {"subject": JOE, "path": "/", "at_least": ["VM.Console"]}
    findings, outcomes = judged(cluster(), assertion, complete=hidden, asked=Pve(AUDITOR))
    assert (findings, outcomes[0].holds, outcomes[0].confirmed) == ([], False, None)
    unknown = {"subject": "eve@pve", "path": "/", "nothing": True}
    findings, outcomes = judged(cluster(), unknown, complete=frozenset({"roles"}))
    assert (findings, outcomes[0].holds) == ([], False)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ({}, "says nothing about"),
        ({"never": ["VM.Consol"]}, "Did you mean VM.Console"),
        ({"never": []}, "never is empty.*nothing: true"),
        ({"at_least": [], "at_most": ["VM.Audit"]}, "at_least is empty"),
        ({"paths": [], "nothing": True}, "paths is empty"),
    ],
)
def test_what_is_no_assertion(kind: Json, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        judged(AUDITOR, {"subject": JOE, "path": "/", **kind})


# -- releases and notes -----------------------------------------------------------------------------------------------


def test_a_privilege_is_judged_by_its_release() -> None:
    old = cluster((JOE, "/vms", "Watch", True), release=(8, 4)).put(
        "roles", "Watch", Role("Watch", frozenset({"VM.Monitor"}))
    )
    told = found(old, {"subject": JOE, "path": "/", "read_only": True}, release=(8, 4))
    assert told == [("assertion", JOE, "/vms")]
    findings, outcomes = judged(AUDITOR, {"subject": JOE, "path": "/", "at_least": ["VM.Monitor"]})
    assert "PVE 9.2 has no VM.Monitor" in findings[0].fix
    assert outcomes[0].notes == ("PVE 9.2 has no VM.Monitor, and nobody can hold it",)


def test_what_reads_logs_and_files_is_told_apart() -> None:
    state = cluster(
        (JOE, "/", "PVEAuditor", True),
        (JOE, "/", "logs", True),
        (CI, "/", "PVEAuditor", True),
        (CI, "/", "logs", True),
    )
    for subject in (JOE, CI):
        findings, outcomes = judged(state, {"subject": subject, "path": "/", "read_only": True})
        assert findings == []
        assert outcomes[0].notes[0] == f"{subject} also reads logs or files: Sys.Syslog on /"
        assert (f"{JOE}: a user, unlike a token" in " ".join(outcomes[0].notes)) is (subject == JOE)


# -- confirmation by PVE ----------------------------------------------------------------------------------------------


def test_pve_is_asked_once_for_each_id_and_agrees() -> None:
    pve = Pve(AUDITOR)
    three = [
        {"subject": JOE, "path": "/vms/100", "read_only": True},
        {"subject": JOE, "path": "/", "never": ["Sys.Modify"]},
        {"subject": "*", "path": "/access", "never": ["Sys.Modify"], "level": "info"},
    ]
    findings, outcomes = judged(AUDITOR, *three, asked=pve)
    assert pve.asked == [JOE]
    assert [one.subject for one in findings] == ["root@pam"]
    assert [one.confirmed for one in outcomes] == [True, True, None]


@pytest.mark.parametrize(
    ("real", "paths"),
    [
        (cluster((JOE, "/", "PVEAuditor", True), (JOE, "/vms/100", "PVEVMAdmin", True)), ["/vms/100"]),
        (cluster((JOE, "/vms", "PVEAuditor", True)), ["/"]),
        (cluster(), ["/"]),
    ],
)
def test_what_pve_says_otherwise_is_found(real: AccessState, paths: list[str]) -> None:
    two = [{"subject": JOE, "path": "/vms/100", **kind} for kind in ({"read_only": True}, {"never": ["Sys.Modify"]})]
    findings, outcomes = judged(AUDITOR, *two, asked=Pve(real))
    assert [(one.rule, one.subject, one.path) for one in findings] == [
        ("assertion_unconfirmed", JOE, path) for path in paths
    ]
    assert [one.confirmed for one in outcomes] == [False, False]


def test_what_pve_does_not_tell_is_not_confirmed() -> None:
    findings, outcomes = judged(AUDITOR, {"subject": JOE, "path": "/", "read_only": True}, asked=Pve(None))
    assert (findings, outcomes[0].holds, outcomes[0].confirmed) == ([], True, None)


# -- what is shared between paths -------------------------------------------------------------------------------------


@settings(max_examples=examples(30), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(state=states())
def test_what_is_alike_is_worked_out_once_and_right(state: AccessState) -> None:
    paths = [*PATHS, "/vms/102", "/vms/101", "/vms/104", "/pool/p2", "/pool/p2/deep", "/storage/nas", "/nodes/n"]
    area, evaluator = Area(paths, state.pools_of), Evaluator(state)
    for subject in (*state.users, *state.tokens, "nobody@pve"):
        entries = {path for who in sources(state, subject) for path in state.acl.get(who, ())}
        rights = [(path, held) for held, where in area.rights(evaluator, subject, entries) for path in where]
        assert sorted(path for path, unused in rights) == sorted(paths)
        assert dict(rights) == {path: evaluator.privileges(subject, path) for path in paths}
