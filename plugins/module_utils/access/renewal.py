"""What is to be done about the secrets of tokens: nothing, finish what was begun, or renew. No I/O here.

What is seen of a secret is its fate. What an interrupted run noted about it is its marker: by that, a token which had
to be deleted to be made anew gets back all that it had.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..reconcile import Call, Change
from ..wording import day
from .document import Document, TokenSpec
from .expiry import Expiry
from .model import AccessState, Entry, Principal
from .observe import View, user_is_usable
from .refusals import Target
from .rotation import due, ends_within
from .shown import token_fields
from .steps import given, token_path

# What a look at the place of a secret, and where needed a log-in with it, has shown.
MISSING = "missing"  # the token is there, the file is not
UNVERIFIED = "unverified"  # the file holds a secret that nobody tried
WORKING = "working"
DEAD = "dead"  # PVE refuses it
STAGED = "received, not yet in its place"  # an interrupted run got it; it works
KEPT = "kept, its marker left over"  # an interrupted run put it in its place; it works
UNFINISHED = "lost by an interrupted run"  # an interrupted run asked for it, and it is nowhere


def why_renewed(view: View, spec: TokenSpec) -> str:
    """Return why a token that is there gets a new secret; empty where it keeps the one it has."""
    token, fate = view.state.tokens.get(spec.tokenid), view.secrets.get(spec.tokenid, "")
    if token is None or spec.state != "present" or fate in (STAGED, KEPT):
        return ""
    if fate == UNFINISHED:
        return fate
    # The age of what does not work is the age of nothing.
    birth = view.births.get(spec.tokenid) if fate != DEAD else None
    found = due(spec.rotate, birth, token.expire, view.now)
    return found or (fate if fate in (MISSING, DEAD) and spec.renew == "when_lost" else "")


def renewed_end(view: View, spec: TokenSpec, expire: Expiry) -> int:
    """Return when a token ends that is renewed. What an interrupted run had reckoned stays as it was."""
    if expire.span and view.secrets.get(spec.tokenid) == UNFINISHED:
        reckoned = (view.markers.get(spec.tokenid, {}).get("fields") or {}).get("expire")
        if reckoned is not None:
            return int(reckoned)
    return expire.at(view.now)


# -- what a plan does about them ------------------------------------------------------------------------------------


def secret_changes(view: View, wanted: Document, target: Target) -> list[Change]:
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


# -- tokens that were deleted to be made anew -----------------------------------------------------------------------


def as_it_was(spec: TokenSpec, marker: Mapping[str, Any]) -> TokenSpec:
    """Fill in what a task leaves out of a token that an interrupted run deleted, and would have made anew."""
    fields = marker.get("fields")
    if marker.get("purpose") != "renew" or not fields:
        return spec
    return replace(
        spec,
        privsep=fields["privsep"] if spec.privsep is None else spec.privsep,
        expire=Expiry(fields["expire"]) if spec.expire is None else spec.expire,
        comment=fields["comment"] if spec.comment is None else spec.comment,
    )


def last_steps(
    specs: Iterable[TokenSpec], state: AccessState, markers: Mapping[str, Mapping[str, Any]]
) -> list[Change]:
    """Return what remains to be done once such tokens, made again, have got their ACL entries back: their markers."""
    was, will = {"acl": "lost by an interrupted run"}, {"acl": "given back"}
    return [
        Change("token", spec.tokenid, "finish", was, will, None)
        for spec in specs
        if spec.state == "present" and spec.tokenid not in state.tokens and markers.get(spec.tokenid, {}).get("acl")
    ]


def restorable(state: AccessState, tokenid: str) -> list[list[Any]]:
    """Return the ACL entries of a token as (path, role, propagate), for a marker."""
    at_paths = state.acl.get(Principal("token", tokenid), {})
    return [[path, role, flag] for path, roles in sorted(at_paths.items()) for role, flag in sorted(roles.items())]


def to_restore(tokenid: str, marker: Mapping[str, Any]) -> dict[Entry, bool]:
    """Return the ACL entries that a marker names: the token lost them when it was deleted to be made anew."""
    principal = Principal("token", tokenid)
    return {Entry(path, principal, role): bool(flag) for path, role, flag in marker.get("acl") or ()}
