"""The order of a plan's calls is safe, judged by the evaluator after every single one of them."""

from __future__ import annotations

from ansible_collections.homelab.pve.plugins.module_utils.access.model import AccessState, is_token, owner_of
from ansible_collections.homelab.pve.plugins.module_utils.access.order import order
from ansible_collections.homelab.pve.plugins.module_utils.access.permissions import Evaluator
from ansible_collections.homelab.pve.plugins.module_utils.access.plan import plan_access
from ansible_collections.homelab.pve.plugins.module_utils.access.steps import make_steps
from ansible_collections.homelab.pve.plugins.module_utils.access.target import make_target
from ansible_collections.homelab.pve.tests.unit.access.strategies import CALLER, documents, states, view_of
from ansible_collections.homelab.pve.tests.unit.examples import examples
from hypothesis import HealthCheck, assume, given, settings

EVERYWHERE = (
    "/",
    "/nodes/n",
    "/vms",
    "/vms/100",
    "/vms/102",
    "/vms/999",
    "/storage/local",
    "/storage/x",
    "/pool/p1",
    "/pool/p2",
)

Held = dict[tuple[str, str], frozenset[str]]


def held(state: AccessState, subjects: frozenset[str]) -> Held:
    """Return what everybody holds everywhere."""
    evaluator = Evaluator(state)
    there = {s for s in subjects if owner_of(s) in state.users and (not is_token(s) or s in state.tokens)}
    return {
        (subject, path): frozenset(evaluator.privileges(subject, path)) if subject in there else frozenset()
        for subject in subjects
        for path in EVERYWHERE
    }


@settings(
    max_examples=examples(150),
    deadline=None,
    derandomize=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
@given(states(), documents())
def test_nobody_ever_holds_more_than_before_or_after(before, document):
    view = view_of(before)
    target = make_target(view, document)
    assume(not target.problems and not target.assumed)
    steps = make_steps(view, target.base, target.state, document)
    ordered = order(steps, target.base, target.state, CALLER, view.now)
    subjects = frozenset(before.users) | frozenset(target.state.users)
    subjects |= frozenset(before.tokens) | frozenset(target.state.tokens)
    was, will = held(before, subjects), held(target.state, subjects)
    state = before
    narrowed = bool(ordered.warnings)
    for step in ordered.steps:
        assert step.ready(state), f"{step.change} comes before what it needs"
        state = step.effect(state)
        for key, now in held(state, subjects).items():
            assert now <= was[key] | will[key], f"{step.change} gives {key} {sorted(now - was[key] - will[key])}"
            missing = (was[key] & will[key]) - now
            assert narrowed or not missing, f"{step.change} takes {sorted(missing)} from {key} without a word"
    assert held(state, subjects) == will
    again = plan_access(view_of(state), document)
    assert again.changes == (), "the second run would change something"
