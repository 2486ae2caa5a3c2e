"""The plan for access: what is meant, by which calls, in which order, and whether it may be done at all."""

from __future__ import annotations

from typing import Any

from ..client.errors import OptionError
from ..reconcile import Call, Change, Plan
from .document import Document, TokenSpec
from .guard import lockout, refused_steps, touches_caller_unseen
from .model import is_token, owner_of
from .observe import View, user_is_usable
from .order import order
from .permissions import Evaluator
from .steps import make_steps, token_fields, token_path
from .target import Target, make_target, powerless


def plan_access(view: View, wanted: Document) -> Plan:
    """Return the ordered plan that makes the observed access what the document says.

    Raises OptionError with every reason that speaks against it; then nothing of it is done.
    """
    target = make_target(view, wanted)
    _raise(target)
    lost = _lost_secrets(view, wanted, target)
    steps = make_steps(view, target.state, wanted)
    # What an earlier task would have made is taken for granted, so that the rest of a dry run can be told.
    ordered = order(steps, target.base, target.state, view.caller, view.now)
    if not target.assumed:
        for said in refused_steps(ordered.steps, view, target.base):
            target.refuse(said)
    if not wanted.allow_lockout:
        why = lockout(ordered.steps, view, target.state)
        if why is None and touches_caller_unseen(ordered.steps, view):
            why = f"{view.caller} does not see all that gives it its rights, and this plan touches them."
        if why:
            target.refuse(why, "Let another administrator do it, or say allow_lockout: true.")
    if wanted.whole and "acl" in view.complete and "users" in view.complete:
        for tokenid in powerless(target, wanted.tokens):
            target.refuse(
                f"Token {tokenid} could do nothing: neither it nor its user is given a right that both have.",
                "A token with privilege separation needs an ACL entry for the user and one for the token; "
                "list it under readers, or use grant_user.",
            )
    _raise(target)
    changes = tuple(step.change for step in ordered.steps)
    renewals = tuple(_renewal(view, target, spec) for spec in lost)
    return Plan(
        changes + renewals,
        tuple(dict.fromkeys([*target.warnings, *ordered.warnings])),
        tuple(dict.fromkeys(target.assumed)),
        _result(view, wanted, target),
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


# -- secrets that got lost ------------------------------------------------------------------------------------------


def _lost_secrets(view: View, wanted: Document, target: Target) -> list[TokenSpec]:
    """Return the tokens to renew: there, but without a working secret at hand."""
    lost = []
    for spec in wanted.tokens:
        fate = view.secrets.get(spec.tokenid)
        if spec.state != "present" or spec.tokenid not in view.state.tokens or fate not in ("missing", "dead"):
            continue
        told = f"Token {spec.tokenid} exists, but its secret in {spec.secret_file} is "
        told += "missing" if fate == "missing" else "refused by PVE"
        if spec.renew != "when_lost":
            target.refuse(
                f"{told}; PVE shows a secret only once.",
                "Put the secret back, or say renew: when_lost to get a new one; the old one then stops working.",
            )
        elif not user_is_usable(view.state, spec.tokenid, view.now):
            target.refuse(
                f"{told}, and a new one would be refused too: the token or its user is disabled or expired.",
                "Enable the user, or change the expiry, first.",
            )
        else:
            lost.append(spec)
    _raise(target)
    return lost


def _renewal(view: View, target: Target, spec: TokenSpec) -> Change:
    token = target.state.tokens[spec.tokenid]
    call = Call("PUT", token_path(spec.tokenid), {"regenerate": True})
    if view.release < (9, 2):
        call = Call("POST", token_path(spec.tokenid), token_fields(token))
    was = {"secret": view.secrets[spec.tokenid], "secret_file": spec.secret_file}
    return Change("token", spec.tokenid, "renew", was, {"secret": "new", "secret_file": spec.secret_file}, call)


# -- what the module returns ------------------------------------------------------------------------------------------


def _result(view: View, wanted: Document, target: Target) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if target.kept:
        result["kept"] = target.kept
    if {"users", "groups", "acl"} <= view.complete:
        evaluator = Evaluator(target.state)
        result["effective"] = {
            spec.tokenid: {path: sorted(held) for path, held in evaluator.tree(spec.tokenid).items()}
            for spec in wanted.tokens
            if spec.state == "present" and spec.tokenid in target.state.tokens
        }
    return result


def hint_for_powerless(view: View, tokenid: str, result: dict[str, Any]) -> str:
    """Return what to tell about a single token that can do nothing yet; its ACL entries can only come after it."""
    if result.get("effective", {}).get(tokenid) != {} or not is_token(tokenid):
        return ""
    owner = owner_of(tokenid)
    return (
        f"{tokenid} can log in but do nothing yet. With privilege separation, both {owner} and the token need an ACL "
        "entry: homelab.pve.pve_acl with grant_user: true gives both."
    )
