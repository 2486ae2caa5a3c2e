"""Who gains and who loses what: rows that tell the whole difference of two states, and no more than has to be said."""

from __future__ import annotations

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
from ansible_collections.homelab.pve.plugins.module_utils.access.observe import user_is_usable
from ansible_collections.homelab.pve.plugins.module_utils.access.permissions import Evaluator
from ansible_collections.homelab.pve.plugins.module_utils.access.whatif import hidden_pools_matter, rights_change
from ansible_collections.homelab.pve.tests.unit.access.expanded import expand
from ansible_collections.homelab.pve.tests.unit.access.strategies import PATHS, states
from ansible_collections.homelab.pve.tests.unit.examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = 1_800_000_000.0
PAST, FUTURE = int(NOW) - 1, int(NOW) + 1
JOE, CI = "joe@pve", "joe@pve!ci"
BUILTIN = releases.builtin_roles((9, 2))
ELSEWHERE = (
    "/access",
    "/nodes/n",
    "/pool/p1/x",
    "/pool/p2",
    "/storage",
    "/storage/s",
    "/vms/100/x",
    "/vms/101",
    "/vms/102",
)


def state(*entries: tuple[str, str, str, bool], **more: Any) -> AccessState:
    """Return a state with joe, in the group ops, and his token; entries are who, path, role, propagate."""
    roles = {name: Role(name, privs, True) for name, privs in BUILTIN.items()}
    roles["look"] = Role("look", frozenset({"VM.Audit"}))
    found = AccessState(
        users={JOE: User(JOE, groups=frozenset({"ops"}))},
        groups={"ops": Group("ops")},
        roles=roles,
        tokens={CI: Token(CI)},
    )
    granted = {}
    for who, path, role, flag in entries:
        kind = "token" if "!" in who else "user" if "@" in who else "group"
        granted[Entry(path, Principal(kind, who), role)] = flag
    return replace(found.grant(granted), **more)


def told(before: AccessState, after: AccessState) -> list[str]:
    return [change.text(BUILTIN["Administrator"]) for change in rights_change(before, after, now=NOW)]


LOOK = (JOE, "/vms", "look", True)
HERE = (JOE, "/vms/100", "look", False)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(state(), state(), [], id="nothing"),
        pytest.param(state(LOOK), state(), ["joe@pve loses VM.Audit on /vms and below"], id="lost"),
        pytest.param(state(), state(HERE), ["joe@pve gains VM.Audit on /vms/100"], id="here"),
        pytest.param(
            state((JOE, "/vms", "look", False)), state(LOOK), ["joe@pve gains VM.Audit below /vms"], id="flag set"
        ),
        pytest.param(
            state(LOOK), state((JOE, "/vms", "look", False)), ["joe@pve loses VM.Audit below /vms"], id="flag cleared"
        ),
        pytest.param(
            state((JOE, "/vms/100", "look", True)),
            state((JOE, "/vms/100", "look", True), LOOK),
            ["joe@pve gains VM.Audit on /vms and below, but not on /vms/100 and below"],
            id="held there already",
        ),
        pytest.param(state(LOOK), state(LOOK, (JOE, "/vms/100", "look", True)), [], id="held from above already"),
        pytest.param(
            state(LOOK),
            state(LOOK, (JOE, "/vms/100", "PVEPoolUser", False)),
            ["joe@pve gains Pool.Audit on /vms/100", "joe@pve loses VM.Audit on /vms/100"],
            id="replaced on one path",
        ),
        pytest.param(
            state((JOE, "/", "NoAccess", True)),
            state((JOE, "/", "Administrator", True)),
            ["joe@pve gains all privileges on / and below"],
            id="all",
        ),
        pytest.param(
            state(("ops", "/", "look", True)),
            state(("ops", "/", "look", True), users={JOE: User(JOE)}),
            ["joe@pve loses VM.Audit on / and below (groups)"],
            id="left a group",
        ),
        pytest.param(
            state(LOOK, (CI, "/vms", "look", True)),
            state((CI, "/vms", "look", True)),
            ["joe@pve loses VM.Audit on /vms and below", "joe@pve!ci loses VM.Audit on /vms and below"],
            id="a token without its user",
        ),
        pytest.param(
            state(LOOK),
            state(LOOK, tokens={CI: Token(CI, privsep=False)}),
            ["joe@pve!ci gains VM.Audit on /vms and below (privsep)"],
            id="privilege separation",
        ),
        pytest.param(
            state(LOOK, users={JOE: User(JOE, enable=False)}),
            state(LOOK),
            ["joe@pve gains VM.Audit on /vms and below (enabled)"],
            id="enabled",
        ),
        pytest.param(
            state(LOOK, users={JOE: User(JOE, enable=False)}),
            state(LOOK, (JOE, "/", "Administrator", True), users={JOE: User(JOE, enable=False)}),
            [],
            id="only on paper",
        ),
        pytest.param(
            state(LOOK, users={JOE: User(JOE, expire=PAST)}),
            state(LOOK, users={JOE: User(JOE, expire=FUTURE)}),
            ["joe@pve gains VM.Audit on /vms and below (expiry)"],
            id="no longer expired",
        ),
        pytest.param(
            state(LOOK, tokens={CI: Token(CI, privsep=False)}),
            state(LOOK, tokens={CI: Token(CI, privsep=False, expire=PAST)}),
            ["joe@pve!ci loses VM.Audit on /vms and below (expiry)"],
            id="a token that expires",
        ),
        pytest.param(
            state(LOOK, users={}, tokens={}),
            state(LOOK, tokens={}),
            ["joe@pve gains VM.Audit on /vms and below (created)"],
            id="entries that outlived a user",
        ),
        pytest.param(
            state(LOOK),
            state(LOOK, users={}, tokens={}),
            ["joe@pve loses VM.Audit on /vms and below (deleted)"],
            id="gone",
        ),
        pytest.param(
            state(LOOK),
            state(LOOK).put("roles", "look", Role("look", frozenset({"VM.Audit", "VM.Console"}))),
            ["joe@pve gains VM.Console on /vms and below (roles)"],
            id="a role that grows",
        ),
        pytest.param(
            state((JOE, "/pool/web", "look", True), pools={"web": Pool("web")}),
            state((JOE, "/pool/web", "look", True), pools={"web": Pool("web", vms=frozenset({100, 101}))}),
            ["joe@pve gains VM.Audit on /vms/100, on /vms/101 (pools)"],
            id="guests that join a pool",
        ),
        pytest.param(
            state((JOE, "/pool", "look", True), pools={"web": Pool("web", vms=frozenset({100}))}),
            state((JOE, "/pool", "look", True), LOOK, pools={"web": Pool("web", vms=frozenset({100}))}),
            ["joe@pve gains VM.Audit on /vms and below, but not on /vms/100"],
            id="held by a pool already",
        ),
        pytest.param(
            state((JOE, "/vms", "PVEPoolUser", True), pools={"web": Pool("web", vms=frozenset({100}))}),
            state(
                (JOE, "/vms", "PVEPoolUser", True),
                (JOE, "/", "look", True),
                pools={"web": Pool("web", vms=frozenset({100}))},
            ),
            ["joe@pve gains VM.Audit on / and below, but not on /vms and below", "joe@pve gains VM.Audit on /vms/100"],
            id="from the root by way of a pool",
        ),
    ],
)
def test_rows(before: AccessState, after: AccessState, expected: list[str]) -> None:
    assert told(before, after) == expected


def test_a_user_who_lets_the_group_through_below() -> None:
    """Its entry does not propagate: it hides the group's on the path itself, and not below it."""
    before = state((JOE, "/vms", "PVEPoolUser", False))
    after = state((JOE, "/vms", "PVEPoolUser", False), ("ops", "/vms", "look", True))
    assert told(before, after) == ["joe@pve gains VM.Audit below /vms"]


def test_long_rows_are_cut_short_for_people_only() -> None:
    vms = frozenset(range(100, 120))
    held = state((JOE, "/pool/web", "look", True), pools={"web": Pool("web", vms=vms)})
    (change,) = rights_change(held, held.put("pools", "web", Pool("web")), now=NOW)
    assert change.text().endswith("on /vms/103, on /vms/104 and 15 more (pools)")
    data = change.as_data()
    assert len(data.pop("paths")) == 20
    assert data == {
        "subject": JOE,
        "privileges": ["VM.Audit"],
        "where": "here",
        "except": [],
        "why": ["pools"],
        "text": change.text(),
    }


@st.composite
def pairs(draw: st.DrawFn) -> tuple[AccessState, AccessState]:
    """Draw two states, of which some ids have expired."""
    both = []
    for unused in range(2):
        found = draw(states())
        for name in draw(st.sets(st.sampled_from(sorted(found.users)), max_size=1)):
            found = found.put("users", name, replace(found.users[name], expire=draw(st.sampled_from((PAST, FUTURE)))))
        for name in draw(st.sets(st.sampled_from(sorted(found.tokens)), max_size=1)):
            found = found.put("tokens", name, replace(found.tokens[name], expire=draw(st.sampled_from((PAST, FUTURE)))))
        both.append(found)
    return both[0], both[1]


def held(found: AccessState, subject: str, path: str) -> frozenset[str]:
    return frozenset(Evaluator(found).privileges(subject, path)) if user_is_usable(found, subject, NOW) else frozenset()


@settings(max_examples=examples(50), deadline=None, derandomize=True)
@given(pairs())
def test_rows_tell_the_whole_difference(pair: tuple[AccessState, AccessState]) -> None:
    before, after = pair
    changes = rights_change(before, after, now=NOW)
    rows = {gained: [change.as_data() for change in changes if change.gained is gained] for gained in (True, False)}
    assert all(change.privileges and change.paths for change in changes)
    for subject in {*before.users, *before.tokens, *after.users, *after.tokens}:
        for path in (*PATHS, *ELSEWHERE):
            was, will = held(before, subject, path), held(after, subject, path)
            assert expand(rows[True], subject, path) == will - was, (subject, path)
            assert expand(rows[False], subject, path) == was - will, (subject, path)


@settings(max_examples=examples(15), deadline=None, derandomize=True)
@given(pairs())
def test_the_way_back_is_the_same_in_reverse(pair: tuple[AccessState, AccessState]) -> None:
    def rows(before: AccessState, after: AccessState, turned: bool) -> set[tuple[Any, ...]]:
        changes = rights_change(before, after, now=NOW)
        return {(c.subject, c.gained is not turned, c.privileges, c.paths, c.where, c.apart) for c in changes}

    assert rows(*pair, turned=False) == rows(*reversed(pair), turned=True)
    assert rights_change(pair[0], pair[0], now=NOW) == []


@pytest.mark.parametrize(
    ("after", "guests", "all_seen", "matters"),
    [
        pytest.param(state(LOOK), False, True, False, id="nothing that pools hand on"),
        pytest.param(state((JOE, "/pool", "look", True)), False, True, True, id="an entry for all pools"),
        pytest.param(state((JOE, "/", "look", True)), False, True, False, id="the same as on all guests"),
        pytest.param(state((JOE, "/pool/web", "look", True)), False, True, False, id="a pool that was read"),
        pytest.param(state((JOE, "/pool/web", "look", True)), False, False, True, id="and that hides its members"),
        pytest.param(
            state((JOE, "/", "look", True), (JOE, "/vms", "NoAccess", True)), False, True, False, id="blocked"
        ),
    ],
)
def test_pools_that_were_not_read(after: AccessState, guests: bool, all_seen: bool, matters: bool) -> None:
    assert hidden_pools_matter(state(), after, now=NOW, guests=guests, all_seen=all_seen) is matters


def test_what_a_pool_hands_on_from_the_root() -> None:
    before = state((JOE, "/vms", "PVEPoolUser", True))
    after = state((JOE, "/vms", "PVEPoolUser", True), (JOE, "/", "look", True))
    assert hidden_pools_matter(before, after, now=NOW, guests=False, all_seen=True)
    assert not hidden_pools_matter(before, after, now=NOW, guests=True, all_seen=True)
    # The pools of storages stand in no list.
    storage = (JOE, "/storage/local", "PVEPoolUser", True)
    before, after = state(storage), state(storage, (JOE, "/", "look", True))
    assert hidden_pools_matter(before, after, now=NOW, guests=True, all_seen=True)
