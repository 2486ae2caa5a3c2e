"""API tokens: whose they are, how long they last, what they can do."""

from __future__ import annotations

from ...access.model import ROOT, Token, is_over
from ...access.rotation import rotations, stands_in_for
from ...wording import DAY, ago, day, days
from ..findings import INFO, LEVELS
from .subjects import Case, called, of_root

# The longest that a secret may last.
LONGEST = 366


def judge(case: Case) -> None:
    """Find what is unwise about each token. One that cannot log in is only found for being over."""
    standing_in = rotations(case.state, case.now)
    for token in case.state.tokens.values():
        if token.tokenid in standing_in:
            _unfinished(case, token, standing_in[token.tokenid])
            continue
        if of_root(token):
            _of_root(case, token)
        if is_over(token.expire, case.now):
            _over(case, token)
        elif case.usable(token.tokenid):
            _expiry(case, token)
            if not (of_root(token) or token.privsep):
                _without_separation(case, token)
            elif token.privsep and case.knows_rights and not case.observed.evaluator.effective(token.tokenid):
                _powerless(case, token)


def _unfinished(case: Case, token: Token, original: str) -> None:
    """Find a token that stands in for another. What is to be said of its rights is said of the other."""
    since = (stands_in_for(token) or ("", case.now))[1]
    # At first somebody may be at work still.
    level = case.judgement.levels["rotation_unfinished"]
    recent = case.now - since < DAY
    case.judgement.find(
        "rotation_unfinished",
        called(token.tokenid),
        "",
        f"The token {token.tokenid} stands in for {original}, whose rotation was begun {ago(case.now - since)} and has "
        "not ended.",
        expected=f"{original} alone",
        found={"stands in for": original},
        fix=f"Run homelab.pve.rotate for {original} again: it finishes what was begun.",
        level=min(level, INFO, key=LEVELS.index) if recent else None,
    )


def _of_root(case: Case, token: Token) -> None:
    can = "can do nearly all that root@pam can" if not token.privsep else "is held back by its ACL entries alone"
    case.judgement.find(
        "root_tokens",
        called(token.tokenid),
        "",
        f"The token {token.tokenid} is one of {ROOT}, and {can}.",
        expected="a token of a user made for the purpose",
        found={"privsep": token.privsep},
        fix=f"Make a user for what uses it, with a token and the rights that it needs, and delete {token.tokenid}.",
    )


def _without_separation(case: Case, token: Token) -> None:
    case.judgement.find(
        "privsep",
        called(token.tokenid),
        "",
        f"The token {token.tokenid} has no privilege separation: it can do all that {token.userid} can.",
        expected={"privsep": True},
        found={"privsep": False},
        fix="Give the token ACL entries for what it needs, then set privsep: true.",
    )


def _expiry(case: Case, token: Token) -> None:
    # A token ends with its user, whatever is written of its own end.
    end = case.state.end_of(token.tokenid)
    if not end:
        case.judgement.find(
            "require_expiry",
            called(token.tokenid),
            "",
            f"The token {token.tokenid} never expires.",
            expected="an expiry",
            found={"expire": 0},
            fix="Set expire, such as 90d, and renew the token before that, with homelab.pve.rotate.",
        )
    elif end > case.now + LONGEST * DAY:
        case.judgement.find(
            "long_expiry",
            called(token.tokenid),
            "",
            f"The token {token.tokenid} is good until {day(end)}, for {days(end - case.now)} more.",
            expected=f"within {LONGEST} days",
            found={"expire": end},
            fix="Set an earlier expire, and renew the token before that.",
        )
    elif token.expire == end and end <= case.now + case.hygiene.expiring_days * DAY:
        case.judgement.find(
            "expiring",
            called(token.tokenid),
            "",
            f"The token {token.tokenid} expires on {day(end)}, in {days(end - case.now)}.",
            expected=f"more than {case.hygiene.expiring_days} days",
            found={"expire": end},
            fix="Renew it with homelab.pve.rotate, or delete it if nobody needs it any more.",
        )


def _over(case: Case, token: Token) -> None:
    case.judgement.find(
        "expired",
        called(token.tokenid),
        "",
        f"The token {token.tokenid} expired on {day(token.expire)}.",
        expected="a token that works",
        found={"expire": token.expire},
        fix="Delete it, or renew it if it is still needed.",
    )


def _powerless(case: Case, token: Token) -> None:
    case.judgement.find(
        "powerless_tokens",
        called(token.tokenid),
        "",
        f"The token {token.tokenid} holds no privilege anywhere: with privilege separation it has only what both it "
        f"and {token.userid} have.",
        expected="at least one privilege",
        found=[],
        fix="Give ACL entries to the token and to its user, or delete the token.",
    )
