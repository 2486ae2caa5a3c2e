"""The plan for access: what is meant, by which calls, in which order, and whether it may be done at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..client.errors import OptionError
from ..reconcile import Plan
from ..wording import some_of
from .document import Document
from .entries import powerless
from .ghosts import Purge, purge
from .guard import lockout, refused_steps, touches_caller_unseen
from .model import owner_of
from .observe import View, user_is_usable
from .order import order
from .permissions import Evaluator
from .refusals import Target
from .renewal import secret_changes
from .shown import FIELDS, acl_row
from .steps import make_steps
from .target import make_target
from .whatif import Rights, rights_between


def plan_access(view: View, wanted: Document) -> Plan:
    """Return the ordered plan that makes the observed access what the document says.

    Raises OptionError with every reason that speaks against it; then nothing of it is done.
    """
    wanted = wanted.for_release(view.release)
    cure = purge(view.state, view.complete) if wanted.purge_ghosts else Purge((), view.state)
    not_cured = refused_steps(cure.steps, view, view.state)
    # The rest is planned as if they were gone: nothing of theirs comes back with a name that is declared.
    view = replace(view, state=cure.after)
    target = make_target(view, wanted)
    _raise(target)
    secrets = tuple(secret_changes(view, wanted, target))
    # A token that is renewed gets its new end with its new secret: by that, a run that is cut short in between would
    # no longer see that it is due.
    by_steps = target.state
    for change in secrets:
        if "expire" in (change.before or {}):
            token = replace(by_steps.tokens[change.id], expire=target.base.tokens[change.id].expire)
            by_steps = by_steps.put("tokens", change.id, token)
    steps = make_steps(view, target.base, by_steps, wanted)
    # What an earlier task would have made is taken for granted, so that the rest of a dry run can be told.
    ordered = order(steps, target.base, by_steps, view.caller, view.now)
    refused = [] if target.assumed else refused_steps(ordered.steps, view, target.base)
    for said in [*not_cured, *refused]:
        target.refuse(said)
    if not wanted.allow_lockout and not refused:
        why = lockout(ordered.steps, view, target.base, target.state)
        if why is None and touches_caller_unseen(ordered.steps, view):
            why = f"{view.caller} does not see all that gives it its rights, and this plan touches them."
        if why:
            target.refuse(why, "Let another administrator do it, or say allow_lockout: true.")
    if not target.assumed:
        # What is taken for granted has rights that are not known here.
        target.problems += powerless(view, wanted, target)
    rights = rights_between(view, target.base, target.state)
    if wanted.max_widening == "none":
        _refuse_widening(target, rights)
    _raise(target)
    changes = tuple(step.change for step in ordered.steps)
    return Plan(
        cure.changes + changes + secrets,
        tuple(dict.fromkeys([*target.warnings, *ordered.warnings])),
        tuple(dict.fromkeys(target.assumed)),
        {**_result(view, wanted, target), "rights": rights.as_data()},
        {"rights": (rights.lines(gained=False), rights.lines(gained=True))},
    )


def _raise(target: Target) -> None:
    problems = list({str(problem): problem for problem in target.problems}.values())
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise OptionError(
            f"{len(problems)} things speak against this, and nothing was done: "
            + " ".join(f"({number}) {problem}" for number, problem in enumerate(problems, 1))
        )


# -- who gains and who loses what -----------------------------------------------------------------------------------


def _refuse_widening(target: Target, rights: Rights) -> None:
    """Refuse a plan by which anybody gains a right, as ``max_widening: none`` wants it."""
    if rights.unknown:
        target.refuse(
            f"max_widening is none, and who gains a right cannot be told: {rights.unknown}.",
            "Use credentials with Sys.Audit on /access and Pool.Audit on /pool, or say max_widening: any.",
        )
    gains = rights.lines(gained=True)
    if gains:
        target.refuse(
            f"max_widening is none, and rights would be gained ({len(gains)}): {some_of(gains, between='; ')}.",
            "Have this reviewed, then say max_widening: any.",
        )


# -- what the module returns ------------------------------------------------------------------------------------------


def _result(view: View, wanted: Document, target: Target) -> dict[str, Any]:
    """Return the declared objects as they will be, and what the tokens among them can do then."""
    declared = {
        "users": [spec.userid for spec in wanted.users],
        "groups": [spec.groupid for spec in wanted.groups],
        "roles": [spec.roleid for spec in wanted.roles],
        "tokens": [spec.tokenid for spec in wanted.tokens],
        "pools": [spec.poolid for spec in wanted.pools],
    }
    result: dict[str, Any] = {"kept": target.kept}
    for kind, names in declared.items():
        objects = getattr(target.state, kind)
        result[kind] = {name: FIELDS[kind](objects[name]) if name in objects else None for name in names}
    for name in declared["tokens"]:
        if result["tokens"][name] is not None:
            result["tokens"][name]["usable"] = user_is_usable(target.state, name, view.now)
    result["acl"] = [
        acl_row(entry, target.state.propagate(entry))
        for entry in sorted(target.declared | target.for_owners)
        if target.state.propagate(entry) is not None
    ]
    if {"users", "groups", "acl"} <= view.complete:
        evaluator = Evaluator(target.state)
        for name in declared["tokens"]:
            if result["tokens"][name] is not None:
                effective = evaluator.effective(name)
                result["tokens"][name]["effective"] = {path: sorted(held) for path, held in effective.items()}
    return result


def powerless_hint(tokenid: str, privsep: bool) -> str:
    """Return what to tell about a single token that can do nothing yet; its ACL entries can only come after it."""
    owner = owner_of(tokenid)
    if not privsep:
        return f"{tokenid} can log in but do nothing: it has the rights of {owner}, who has none."
    return (
        f"{tokenid} can log in but do nothing yet. With privilege separation, both {owner} and the token need an ACL "
        "entry: homelab.pve.pve_acl with grant_user: true gives both."
    )
