"""The entries that are said to give a right are those that give it."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.homelab.pve.plugins.module_utils.access.explain import (
    OF_ROOT,
    Explainer,
    Grant,
    Half,
    explain,
)
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
from ansible_collections.homelab.pve.plugins.module_utils.access.permissions import TREE_PATHS, Evaluator
from ansible_collections.homelab.pve.tests.unit.access.strategies import PATHS, states
from ansible_collections.homelab.pve.tests.unit.examples import examples
from hypothesis import HealthCheck, given, settings

SOMEWHERE = sorted({*TREE_PATHS, *PATHS, "/vms/102", "/vms/999", "/pool/p2", "/pool/p1/deeper", "/nodes/n"})
JOE, CI, OPS = "joe@pve", "joe@pve!ci", "ops"
LOOK, RUN, DENY = "look", "run", "NoAccess"


def flags(halves: tuple[Half, ...], privilege: str, state: AccessState) -> int:
    """Return the propagate flag of a privilege by the entries that give it."""
    return int(all(any(g.propagate and privilege in state.roles[g.entry.role].privs for g in half) for half in halves))


@settings(max_examples=examples(100), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(states())
def test_what_is_explained_is_what_is_held(state: AccessState) -> None:
    evaluator, explainer = Evaluator(state), Explainer(state)
    for subject in (*state.users, *state.tokens, "ghost@pve", "ghost@pve!t"):
        for path in SOMEWHERE:
            held = evaluator.privileges(subject, path)
            told = explainer.explain(subject, path)
            assert told.keys() == held.keys()
            halves = explainer.halves(subject, path)
            assert {name: flags(halves, name, state) for name in told} == held
            for name, grants in told.items():
                assert set(grants) <= {grant for half in halves for grant in half}
                assert all(name in state.roles[grant.entry.role].privs for grant in grants)
                assert all(real(state, grant) for grant in grants)


def real(state: AccessState, grant: Grant) -> bool:
    """Tell whether the entry is there, with the flag that is told unless it counts by a pool."""
    if grant.entry == OF_ROOT:
        return True
    flag = state.propagate(grant.entry)
    return flag is not None and (grant.propagate == flag if not grant.pool else not grant.propagate)


def world(*entries: tuple[str, str, str, bool]) -> AccessState:
    """Return a state with joe, who is in the group ops, and his token; entries are who, path, role, propagate."""
    state = AccessState(
        users={JOE: User(JOE, groups=frozenset({OPS})), "root@pam": User("root@pam")},
        groups={OPS: Group(OPS)},
        roles={
            LOOK: Role(LOOK, frozenset({"VM.Audit"})),
            RUN: Role(RUN, frozenset({"VM.Audit", "VM.PowerMgmt"})),
            DENY: Role(DENY, special=True),
            "Administrator": Role("Administrator", frozenset({"VM.Audit", "Sys.Audit"}), True),
        },
        tokens={CI: Token(CI)},
        pools={"lab": Pool("lab", vms=frozenset({100}))},
    )
    return state.grant({entry(who, path, role): flag for who, path, role, flag in entries})


def entry(who: str, path: str, role: str) -> Entry:
    return Entry(path, Principal("token" if "!" in who else "user" if "@" in who else "group", who), role)


def test_a_group_gives_where_nothing_of_ones_own_stands() -> None:
    state = world((OPS, "/", LOOK, True), (JOE, "/vms", RUN, True))
    assert explain(state, JOE, "/nodes") == {"VM.Audit": [Grant(entry(OPS, "/", LOOK), True)]}
    own = Grant(entry(JOE, "/vms", RUN), True)
    assert explain(state, JOE, "/vms/101") == {"VM.Audit": [own], "VM.PowerMgmt": [own]}
    # The guest is in a pool, on which the group's entry still counts.
    by_pool = Grant(entry(OPS, "/", LOOK), False, "lab")
    assert explain(state, JOE, "/vms/100") == {"VM.Audit": [own, by_pool], "VM.PowerMgmt": [own]}


def test_a_separated_token_needs_both_halves() -> None:
    state = world((OPS, "/vms", RUN, True), (CI, "/vms/100", LOOK, False))
    assert explain(state, CI, "/vms/100") == {
        "VM.Audit": [Grant(entry(OPS, "/vms", RUN), True), Grant(entry(CI, "/vms/100", LOOK), False)]
    }
    assert explain(state, CI, "/vms") == {}
    state = state.put("tokens", CI, replace(state.tokens[CI], privsep=False))
    assert explain(state, CI, "/vms/101")["VM.PowerMgmt"] == [Grant(entry(OPS, "/vms", RUN), True)]
    assert explain(state, "joe@pve!gone", "/vms") == {}


def test_a_pool_gives_to_its_members_and_says_so() -> None:
    state = world((JOE, "/pool/lab", RUN, True), (JOE, "/vms", LOOK, True))
    told = explain(state, JOE, "/vms/100")
    by_pool = Grant(entry(JOE, "/pool/lab", RUN), False, "lab")
    assert told == {"VM.Audit": [Grant(entry(JOE, "/vms", LOOK), True), by_pool], "VM.PowerMgmt": [by_pool]}
    assert "VM.PowerMgmt" not in explain(state, JOE, "/vms/101")


def test_no_access_wins_and_is_named() -> None:
    state = world((OPS, "/", RUN, True), (JOE, "/vms", DENY, True), (JOE, "/vms", LOOK, True))
    assert explain(state, JOE, "/vms/100") == {}
    assert Explainer(state).halves(JOE, "/vms/100") == ((Grant(entry(JOE, "/vms", DENY), True),),)


def test_root_needs_no_entry() -> None:
    told = explain(world(), "root@pam", "/vms/100")
    assert told == {"VM.Audit": [Grant(OF_ROOT, True)], "Sys.Audit": [Grant(OF_ROOT, True)]}
