"""The plan for access: what is meant, by which calls, in which order, and whether it may be done at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..client.errors import OptionError
from ..reconcile import Call, Change, Plan
from ..wording import day, some_of
from .births import DEAD, KEPT, MISSING, STAGED, UNFINISHED, restorable
from .document import Document, TokenSpec
from .ghosts import Purge, purge
from .guard import lockout, refused_steps, touches_caller_unseen
from .model import owner_of
from .observe import View, user_is_usable
from .order import order
from .permissions import Evaluator
from .rotation import ends_within
from .shown import FIELDS, acl_row, token_fields
from .steps import given, make_steps, token_path
from .target import Target, make_target, powerless, why_renewed
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
    secrets = tuple(_secret_changes(view, wanted, target))
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


# -- secrets that are not where they should be ----------------------------------------------------------------------


def _secret_changes(view: View, wanted: Document, target: Target) -> list[Change]:
    """Return what is to be done about the secrets of tokens that exist: finish, renew, or nothing."""
    changes = []
    for spec in wanted.tokens:
        if spec.state != "present" or spec.tokenid not in view.state.tokens:
            continue
        fate = view.secrets.get(spec.tokenid)
        if fate in (STAGED, KEPT):
            was, will = {"secret": fate}, {"secret": "kept", "secret_file": spec.secret_file}
            changes.append(Change("token", spec.tokenid, "finish", was, will, None))
            continue
        why = why_renewed(view, spec)
        if fate in (MISSING, DEAD) and not why:
            target.refuse(
                f"{_told_lost(spec, fate)}; PVE shows a secret only once.",
                "Put the secret back, or say renew: when_lost to get a new one; the old one then stops working.",
            )
        elif why and (fate == UNFINISHED or _may_renew(view, spec, why, target)):
            changes.append(_renewal(view, target, spec, why))
    return changes


def _told_lost(spec: TokenSpec, fate: str) -> str:
    told = "missing" if fate == MISSING else "refused by PVE"
    return f"Token {spec.tokenid} exists, but its secret in {spec.secret_file} is {told}"


def _may_renew(view: View, spec: TokenSpec, why: str, target: Target) -> bool:
    lost = why in (MISSING, DEAD)
    told = _told_lost(spec, why) if lost else f"The secret of {spec.tokenid} is to be renewed ({why})"
    end = target.state.tokens[spec.tokenid].expire
    if not user_is_usable(target.state, spec.tokenid, view.now):
        target.refuse(
            f"{told}, and a new one would be refused too: the token or its user is disabled or expired.",
            "Enable the user, or change the expiry, first.",
        )
    elif spec.tokenid == view.caller and lost:
        target.refuse(f"{told}, and it is the one that this task itself uses.", "Renew it with other credentials.")
    elif spec.tokenid == view.caller:
        target.refuse(
            f"{told}, and it is the one that this task itself uses: were the answer lost, nothing could ask again.",
            "Rotate it with overlap (homelab.pve.rotate with -e overlap=true), or with other credentials.",
        )
    elif not lost and ends_within(spec.rotate, end, view.now):
        target.refuse(
            f"{told}, and it would still end on {day(end)}: the next run would renew it again.",
            "Say in expire when the renewed token is to end, best as a span such as 90d.",
        )
    else:
        return True
    return False


# What is to be said of a secret of which nothing is noted.
_BY_ITS_FILE = "Nothing is noted of when this secret was born: it is as old as its file, or older."


def _renewal(view: View, target: Target, spec: TokenSpec, why: str) -> Change:
    old, token = target.base.tokens[spec.tokenid], target.state.tokens[spec.tokenid]
    was: dict[str, Any] = {"secret": why}
    if old.expire != token.expire:
        was["expire"] = old.expire
    will: dict[str, Any] = {**token_fields(token), "secret": "new", "secret_file": spec.secret_file}
    if view.release >= (9, 2):
        end = {"expire": token.expire} if "expire" in was else {}
        call = Call("PUT", token_path(spec.tokenid), {"regenerate": True, **end})
    else:
        call = Call("POST", token_path(spec.tokenid), given(token_fields(token)))
        will["acl"] = restorable(target.state, spec.tokenid)
    birth = view.births.get(spec.tokenid)
    by_file = why.startswith("born") and birth is not None and not birth.noted
    return Change("token", spec.tokenid, "renew", was, will, call, _BY_ITS_FILE if by_file else "")


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
