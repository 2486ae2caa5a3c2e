"""When a secret is due, how it is renewed then, and what a token is that stands in for another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.access import releases
from ansible_collections.homelab.pve.plugins.module_utils.access.document import TokenSpec, parse_document, parse_token
from ansible_collections.homelab.pve.plugins.module_utils.access.model import (
    AccessState,
    Entry,
    Principal,
    Role,
    Token,
    User,
)
from ansible_collections.homelab.pve.plugins.module_utils.access.overlap import BEGIN, NOTE, Rotation
from ansible_collections.homelab.pve.plugins.module_utils.access.plan import plan_access
from ansible_collections.homelab.pve.plugins.module_utils.access.renewal import DEAD, KEPT, UNFINISHED
from ansible_collections.homelab.pve.plugins.module_utils.access.rotation import (
    ALWAYS,
    LASTS,
    NEVER,
    Birth,
    Rotate,
    comment_of,
    due,
    end_of,
    name_for,
    parse_rotate,
    rotations,
    stands_in_for,
)
from ansible_collections.homelab.pve.plugins.module_utils.access.target import make_target
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import Plan
from ansible_collections.homelab.pve.plugins.module_utils.secret_file import SecretPlace
from ansible_collections.homelab.pve.tests.unit.access.strategies import CALLER, view_of

DAY = 24 * 60 * 60
NOW = 1_800_000_000
TOKEN, SECOND = "bob@pve!ci", "bob@pve!ci-2"
SPEC = {"tokenid": TOKEN, "secret_file": "/secrets/ci"}


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (None, NEVER),
        ("never", NEVER),
        ("always", ALWAYS),
        ({"older_than": "60d"}, Rotate(older_than=60 * DAY)),
        ({"older_than": "8w", "expires_within": "12h"}, Rotate(older_than=56 * DAY, expires_within=DAY // 2)),
        ("older_than: 60d", Rotate(older_than=60 * DAY)),
        ("older_than=60d", Rotate(older_than=60 * DAY)),
        ("older_than=60d,expires_within=14d", Rotate(older_than=60 * DAY, expires_within=14 * DAY)),
        ("{older_than: 60d, expires_within: '14d'}", Rotate(older_than=60 * DAY, expires_within=14 * DAY)),
    ],
)
def test_what_rotate_says(value: Any, meant: Rotate) -> None:
    assert parse_rotate(value, "rotate") == meant


@pytest.mark.parametrize(
    "value",
    ["", "60d", "sometimes", "older_than:", "older_than", True, 60, [], {}, {"older": "60d"}, "older=60d"],
)
def test_what_rotate_cannot_say(value: Any) -> None:
    with pytest.raises(OptionError, match=r"rotate: .* does not say when") as caught:
        parse_rotate(value, "rotate")
    assert "older_than" in caught.value.hint


@pytest.mark.parametrize("span", ["never", "0", 60, "60", "2027-01-31", "60 days", "", None])
def test_a_limit_is_a_span(span: Any) -> None:
    with pytest.raises(OptionError, match=r"rotate.older_than: .* is no span"):
        parse_rotate({"older_than": span}, "rotate")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"secret_file": None, "rotate": "always"}, "nobody would have it"),
        ({"secret_file": None, "return_secret": True, "rotate": {"older_than": "60d"}}, "how old"),
        ({"expire": "14d", "rotate": {"expires_within": "14d"}}, "each run would rotate it"),
    ],
)
def test_what_would_go_wrong_in_any_case_is_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        parse_token({**SPEC, **more})


OLD = Birth(NOW - 61 * DAY)


@pytest.mark.parametrize(
    ("rotate", "birth", "expire", "said"),
    [
        (NEVER, OLD, NOW, ""),
        (ALWAYS, None, 0, "renewed in each run"),
        (ALWAYS, Birth(NOW, fresh=True), 0, ""),
        (Rotate(older_than=60 * DAY), OLD, 0, "born 61 days ago"),
        (Rotate(older_than=60 * DAY), replace(OLD, noted=False), 0, "born 61 days ago or earlier"),
        (Rotate(older_than=60 * DAY), Birth(NOW - 60 * DAY), 0, "born 60 days ago"),
        (Rotate(older_than=60 * DAY), Birth(NOW - 60 * DAY + 1), 0, ""),
        (Rotate(older_than=60 * DAY), Birth(NOW + DAY), 0, ""),
        (
            Rotate(older_than=60 * DAY),
            Birth(NOW + DAY + 1),
            0,
            "born in the future, by a clock that was wrong then or is now",
        ),
        (Rotate(older_than=60 * DAY), None, NOW + 1, ""),
        (Rotate(expires_within=14 * DAY), OLD, NOW + 14 * DAY, "of a token that expires on 2027-01-29"),
        (Rotate(expires_within=14 * DAY), OLD, NOW + 14 * DAY + 1, ""),
        (Rotate(expires_within=14 * DAY), OLD, 0, ""),
        (Rotate(expires_within=14 * DAY), None, NOW - DAY, "of a token that expired on 2027-01-14"),
        (Rotate(older_than=90 * DAY, expires_within=14 * DAY), OLD, NOW + DAY, "of a token that expires on 2027-01-16"),
    ],
)
def test_what_is_due(rotate: Rotate, birth: Birth | None, expire: int, said: str) -> None:
    assert due(rotate, birth, expire, NOW) == said


# -- the plan ------------------------------------------------------------------------------------------------------


def grants(*rows: tuple[str, str, str, bool]) -> dict[Entry, bool]:
    kinds = {name: "token" if "!" in name else "user" for unused, name, *others in rows}
    return {Entry(path, Principal(kinds[name], name), role): flag for path, name, role, flag in rows}


def state(token: Token, *others: Token, **user: Any) -> AccessState:
    return AccessState(
        users={"root@pam": User("root@pam"), "bob@pve": User("bob@pve", **user)},
        roles={name: Role(name, privs, True) for name, privs in releases.builtin_roles((9, 2)).items()},
        tokens={one.tokenid: one for one in (Token(CALLER, privsep=False), token, *others)},
    ).grant(
        grants(
            ("/", "bob@pve", "PVEAuditor", True),
            ("/", TOKEN, "PVEAuditor", True),
            ("/vms/100", TOKEN, "PVEVMUser", False),
        )
    )


def plan(
    before: AccessState, spec: dict[str, Any], release: tuple[int, int] = (9, 2), birth: Birth | None = OLD, **view: Any
) -> Plan:
    births = {TOKEN: birth} if birth else {}
    seen = replace(view_of(before, CALLER), now=NOW, release=release, births=births, **view)
    return plan_access(seen, parse_document({"tokens": [{**SPEC, **spec}]}))


DUE = {"rotate": {"older_than": "60d"}}


def test_one_call_brings_the_secret_and_the_new_end() -> None:
    (change,) = plan(state(Token(TOKEN, expire=NOW + DAY)), {**DUE, "expire": "90d"}).changes
    end = 1807833600
    assert (change.action, change.before) == ("renew", {"secret": "born 61 days ago", "expire": NOW + DAY})
    assert change.call
    assert change.call.params == {"regenerate": True, "expire": end}
    assert change.note == ""


def test_before_9_2_a_token_is_made_anew_as_it_was() -> None:
    before = state(Token(TOKEN, comment="CI", expire=NOW + DAY))
    (change,) = plan(before, {**DUE, "expire": "90d"}, (8, 4)).changes
    assert change.call
    assert change.call.method == "POST"
    assert change.call.params == {"privsep": True, "expire": 1807833600, "comment": "CI"}
    assert change.after
    assert change.after["acl"] == [["/", "PVEAuditor", True], ["/vms/100", "PVEVMUser", False]]


def test_other_fields_come_before_it() -> None:
    changes = plan(state(Token(TOKEN)), {**DUE, "expire": "90d", "comment": "New"}).changes
    assert [(change.action, change.before) for change in changes] == [
        ("update", {"comment": ""}),
        ("renew", {"secret": "born 61 days ago", "expire": 0}),
    ]


def test_an_age_that_only_the_file_tells_is_told_as_such() -> None:
    (change,) = plan(state(Token(TOKEN)), DUE, birth=replace(OLD, noted=False)).changes
    assert "as old as its file, or older" in change.note


@pytest.mark.parametrize(
    ("spec", "birth"),
    [({"rotate": "never"}, OLD), (DUE, Birth(NOW)), (DUE, None), ({"rotate": "always"}, Birth(NOW, fresh=True))],
)
def test_what_is_not_due_stays(spec: dict[str, Any], birth: Birth | None) -> None:
    assert plan(state(Token(TOKEN, expire=NOW + DAY)), {**spec, "expire": "90d"}, birth=birth).changes == ()


def test_what_an_interrupted_run_brought_is_not_renewed_again() -> None:
    (change,) = plan(state(Token(TOKEN)), {"rotate": "always"}, secrets={TOKEN: KEPT}).changes
    assert change.action == "finish"


def test_the_end_that_an_interrupted_run_had_reckoned_stays() -> None:
    marker = {"purpose": "renew", "fields": {"privsep": True, "expire": NOW + 80 * DAY, "comment": ""}}
    before = state(Token(TOKEN, expire=NOW + DAY))
    (change,) = plan(before, {"expire": "90d"}, secrets={TOKEN: UNFINISHED}, markers={TOKEN: marker}).changes
    assert change.call
    assert change.call.params == {"regenerate": True, "expire": NOW + 80 * DAY}


@pytest.mark.parametrize(
    ("token", "spec", "said"),
    [
        ({}, {}, ""),
        ({"expire": NOW - 1}, {}, "disabled or expired"),
        ({"expire": NOW - 1}, {"expire": "90d"}, ""),
        ({"expire": NOW + DAY}, {"rotate": {"expires_within": "14d"}}, "the next run would renew it again"),
        (
            {"expire": NOW + DAY},
            {"rotate": {"expires_within": "14d"}, "expire": NOW + 2 * DAY},
            "it would still end on",
        ),
        ({"expire": NOW + DAY}, {"rotate": {"expires_within": "14d"}, "expire": "never"}, ""),
    ],
)
def test_what_would_not_last_is_refused(token: dict[str, Any], spec: dict[str, Any], said: str) -> None:
    before = state(Token(TOKEN, **token))
    if not said:
        assert [change.action for change in plan(before, {**DUE, **spec}).changes] == ["renew"]
        return
    with pytest.raises(OptionError, match=said):
        plan(before, {**DUE, **spec})


def test_a_token_of_a_disabled_user_is_not_renewed() -> None:
    with pytest.raises(OptionError, match="disabled or expired"):
        plan(state(Token(TOKEN), enable=False), DUE)


def test_no_token_renews_itself() -> None:
    with pytest.raises(OptionError, match="the one that this task itself uses") as caught:
        plan(state(Token(TOKEN)), DUE, caller=TOKEN)
    assert "overlap=true" in caught.value.hint


def test_the_age_of_a_dead_secret_is_the_age_of_nothing() -> None:
    with pytest.raises(OptionError, match="refused by PVE"):
        plan(state(Token(TOKEN)), DUE, secrets={TOKEN: DEAD})


def test_an_audit_expects_no_new_end() -> None:
    before = state(Token(TOKEN, expire=NOW + DAY))
    document = parse_document({"tokens": [{**SPEC, "rotate": "always", "expire": "90d"}]})
    target = make_target(replace(view_of(before, CALLER), now=NOW), document, judging=True)
    assert target.state.tokens == before.tokens


# -- the token that stands in ------------------------------------------------------------------------------------

STAND_IN = Token(SECOND, expire=end_of(0, NOW), comment=comment_of(TOKEN, NOW))
SAME = grants(("/", SECOND, "PVEAuditor", True), ("/vms/100", SECOND, "PVEVMUser", False))


def test_what_a_stand_in_says_of_itself() -> None:
    assert stands_in_for(STAND_IN) == (TOKEN, NOW)
    assert stands_in_for(Token(SECOND, comment="CI")) is None
    assert stands_in_for(replace(STAND_IN, comment=STAND_IN.comment.replace("T08", "T99"))) is None
    assert len(comment_of("b@pve!" + "x" * 60, NOW)) < 200


@pytest.mark.parametrize(("original", "end"), [(0, None), (NOW - 1, None), (NOW + 3600, NOW + 3600), (NOW * 2, None)])
def test_a_stand_in_ends_soon_and_never_after_the_other(original: int, end: int | None) -> None:
    found = end_of(original, NOW)
    assert found == end if end else NOW + LASTS <= found < NOW + LASTS + DAY


def test_a_name_that_somebody_else_has_is_left_alone() -> None:
    assert name_for(TOKEN, {}) == SECOND
    assert name_for(TOKEN, {SECOND: STAND_IN}) == SECOND
    assert name_for(TOKEN, {SECOND: Token(SECOND)}) == "bob@pve!ci-3"
    with pytest.raises(OptionError, match="are all there"):
        name_for(TOKEN, {f"{TOKEN}-{number}": Token(f"{TOKEN}-{number}") for number in range(2, 10)})


@pytest.mark.parametrize(
    ("token", "entries", "spared"),
    [
        (STAND_IN, SAME, True),
        (STAND_IN, {}, True),
        (STAND_IN, grants(("/vms/100", SECOND, "PVEVMUser", True)), False),
        (STAND_IN, grants(("/", SECOND, "PVEAdmin", True)), False),
        (STAND_IN, grants(("/", SECOND, "PVEAuditor", False)), True),
        (replace(STAND_IN, privsep=False), SAME, False),
        (replace(STAND_IN, expire=0), SAME, False),
        (replace(STAND_IN, expire=NOW + 30 * DAY), SAME, False),
        (replace(STAND_IN, comment="CI"), SAME, False),
        (replace(STAND_IN, comment=comment_of("bob@pve!gone", NOW)), SAME, False),
    ],
)
def test_only_what_a_rotation_makes_is_spared(token: Token, entries: dict[Entry, bool], spared: bool) -> None:
    before = state(Token(TOKEN), token).grant(entries)
    assert rotations(before, NOW) == ({SECOND: TOKEN} if spared else {})
    document = parse_document(
        {
            "tokens": [{**SPEC, "state": "present"}],
            "acls": [
                {"paths": ["/"], "roles": ["PVEAuditor"], "tokens": [TOKEN]},
                {"paths": ["/vms/100"], "roles": ["PVEVMUser"], "tokens": [TOKEN], "propagate": False},
            ],
            "exclusive": {"tokens": {"users": ["bob@*"]}, "acls": {"principals": ["bob@pve!*"]}},
        }
    )
    after = plan_access(replace(view_of(before, CALLER), now=NOW), document)
    assert bool(after.changes) != spared
    assert any(SECOND in kept for kept in after.result["kept"]) == spared


def test_a_stand_in_goes_with_the_other_and_loses_what_that_loses() -> None:
    before = state(Token(TOKEN), STAND_IN).grant(SAME)
    seen = replace(view_of(before, CALLER), now=NOW)
    everything = {"tokens": {"users": ["bob@*"]}, "acls": {"principals": ["bob@pve!*"]}}
    gone = plan_access(seen, parse_document({"exclusive": everything}))
    assert {change.id for change in gone.changes if change.kind == "token"} == {TOKEN, SECOND}
    less = make_target(seen, parse_document({"tokens": [SPEC], "exclusive": {"acls": {"paths": ["/vms/*"]}}}))
    assert set(less.state.acl[Principal("token", SECOND)]) == {"/"}


@pytest.mark.parametrize("damage", [{"since": "x"}, {"interim": None}, {"was": 5}, {"since": None}])
def test_a_note_about_a_rotation_that_is_damaged_is_told(tmp_path: Path, damage: dict[str, Any]) -> None:
    tmp_path.chmod(0o700)
    tokenid, path = "joe@pve!ci", tmp_path / "ci"
    options = ConnectionOptions("pve", token_id=tokenid, token_secret="0b1f0000-0000-4000-8000-000000000001")
    note = {"tokenid": tokenid, "host": "pve", "port": 8006, "interim": "", "since": 1, "was": "", **damage}
    SecretPlace(str(path)).note(NOTE, note)
    spec = TokenSpec(tokenid, secret_file=str(path))
    with Client(options) as client, pytest.raises(OptionError, match=r"is damaged.*remove the note \(\.ci\.rotation\)"):
        Rotation(client, spec, BEGIN, 2.0, overlap=False).observe()
