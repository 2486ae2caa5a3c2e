"""What an id is said to hold where entries stand and by pools tells of its rights."""

from __future__ import annotations

from ansible_collections.homelab.pve.plugins.module_utils.access.model import (
    AccessState,
    Entry,
    Pool,
    Principal,
    Role,
    Token,
    User,
)
from ansible_collections.homelab.pve.plugins.module_utils.access.permissions import (
    TREE_PATHS,
    Evaluator,
    sources,
    unnamed_below,
)
from ansible_collections.homelab.pve.tests.unit.access.strategies import PATHS, states
from ansible_collections.homelab.pve.tests.unit.examples import examples
from hypothesis import HealthCheck, given, settings

JOE, CI = "joe@pve", "joe@pve!ci"
ANYWHERE = sorted({*TREE_PATHS, *PATHS, "/vms/102", "/vms/999", "/storage/s", "/pool/p2", "/pool/p1/deeper"})


def world(entries: dict[tuple[str, str, str], bool]) -> AccessState:
    """Return a state with joe, his token, and guest 100 and a storage in a pool; entries are who, path, role."""
    state = AccessState(
        users={JOE: User(JOE)},
        tokens={CI: Token(CI)},
        roles={
            "look": Role("look", frozenset({"VM.Audit"})),
            "run": Role("run", frozenset({"VM.PowerMgmt"})),
            "NoAccess": Role("NoAccess", special=True),
        },
        pools={"lab": Pool("lab", vms=frozenset({100, 101}), storage=frozenset({"nas"}))},
    )
    return state.grant(
        {
            Entry(path, Principal("token" if "!" in who else "user", who), role): flag
            for (who, path, role), flag in entries.items()
        }
    )


def test_a_role_on_the_root_comes_back_by_a_pool_where_it_was_replaced() -> None:
    state = world({(JOE, "/", "run"): True, (JOE, "/vms", "look"): True})
    assert Evaluator(state).effective(JOE) == {
        "/": {"VM.PowerMgmt": 1},
        "/vms": {"VM.Audit": 1},
        "/vms/100": {"VM.Audit": 1, "VM.PowerMgmt": 0},
        "/vms/101": {"VM.Audit": 1, "VM.PowerMgmt": 0},
    }


def test_members_of_a_pool_are_named_only_where_it_makes_a_difference() -> None:
    state = world({(JOE, "/", "look"): True, (JOE, "/vms/101", "run"): True, (CI, "/pool/lab", "look"): True})
    assert Evaluator(state).effective(JOE) == {
        "/": {"VM.Audit": 1},
        "/vms/101": {"VM.Audit": 0, "VM.PowerMgmt": 1},
    }
    assert Evaluator(state).effective(CI) == {
        "/pool/lab": {"VM.Audit": 1},
        "/storage/nas": {"VM.Audit": 0},
        "/vms/100": {"VM.Audit": 0},
        "/vms/101": {"VM.Audit": 0},
    }


@settings(max_examples=examples(40), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(states())
def test_what_is_not_named_comes_from_above(state: AccessState) -> None:
    evaluator = Evaluator(state)
    for subject in (*state.users, *state.tokens, "ghost@pve"):
        effective = evaluator.effective(subject)
        entries = {path for who in sources(state, subject) for path in state.acl.get(who, {})}
        for path in {*ANYWHERE, *state.pools_of, *entries}:
            held = evaluator.privileges(subject, path)
            if path in effective:
                assert effective[path] == held
            elif held:
                assert path not in entries
                assert held == evaluator.privileges(subject, unnamed_below(path.rpartition("/")[0]))
