"""When ids were used, as far as the access logs that somebody handed in tell."""

from __future__ import annotations

from ...access.model import ROOT
from ...wording import DAY, day, days, some_of
from ..logs import AccessLogs
from .subjects import Case, called

# Logs are handed in some time after they were fetched.
_FRESH = 2 * DAY
_WHAT = "unused tokens"


def judge(case: Case, logs: AccessLogs | None) -> None:
    """Find tokens that were not used for long, and whether root@pam was."""
    if logs is None:
        if case.judgement.wants("unused_tokens"):
            case.judgement.note("Whether tokens are used was not judged: no access logs were handed in.")
        return
    last = logs.last_used.get(ROOT)
    if last is not None:
        case.judgement.find(
            "root_used",
            called(ROOT),
            "",
            f"{ROOT} was last used on {day(last)}; the logs tell since {day(logs.since)}.",
            expected="named users with the rights that they need",
            found={"last_used": last},
            fix=f"Give those who administer users of their own, and keep {ROOT} for emergencies.",
        )
    if case.judgement.wants("unused_tokens"):
        _unused(case, logs)


def _unused(case: Case, logs: AccessLogs) -> None:
    since = case.now - case.hygiene.unused_days * DAY
    if not _trusted(case, logs):
        return
    unknown = []
    for token in case.tokens():
        last = logs.last_used.get(token.tokenid)
        if last is not None and last >= since:
            continue
        if last is None and logs.since > since:
            unknown.append(token.tokenid)
            continue
        said = (
            f"was last used on {day(last)}, {days(case.now - last)} ago"
            if last is not None
            else f"was not used since {day(logs.since)}, when the logs begin"
        )
        case.judgement.find(
            "unused_tokens",
            called(token.tokenid),
            "",
            f"The token {token.tokenid} {said}. PVE does not tell when it was made, so it may be new.",
            expected=f"used within {case.hygiene.unused_days} days",
            found={"last_used": last},
            fix="Ask who made it what it is for, and delete it if nobody knows.",
        )
    if unknown:
        case.judgement.gap(
            _WHAT,
            f"The access logs begin on {day(logs.since)}, {days(case.now - logs.since)} ago, which is less than the "
            f"{case.hygiene.unused_days} days of unused_days: {len(unknown)} tokens are not in them, and may have been "
            f"used before ({some_of(sorted(unknown), 5)}).",
            "PVE keeps its logs for a week: collect them elsewhere and hand in more of them, or lower unused_days.",
        )


def _trusted(case: Case, logs: AccessLogs) -> bool:
    """Tell whether the logs say enough for anything to be concluded from what is not in them."""
    nodes = len(case.observed.names("node"))
    if logs.sources < nodes:
        case.judgement.gap(
            _WHAT,
            f"The access logs are of {logs.sources} of {nodes} nodes, and a token may have been used on the others.",
            "Hand in those of every node, each in a folder of its own.",
        )
    elif logs.until < case.now - _FRESH:
        case.judgement.gap(
            _WHAT,
            f"The access logs end on {day(logs.until)}, {days(case.now - logs.until)} ago.",
            "Hand in newer ones, of every node.",
        )
    elif logs.doubtful:
        case.judgement.gap(
            _WHAT,
            f"{logs.unread} of {logs.lines + logs.unread} lines of the access logs are not like those that PVE writes, "
            "or of a time to come.",
            "Hand in the files as PVE's web server wrote them, of nodes whose clocks are right.",
        )
    elif logs.since > case.now:
        case.judgement.gap(
            _WHAT,
            f"The access logs begin on {day(logs.since)}, and the snapshot is of {day(case.now)}: before that.",
            "Take a new snapshot, or hand in older logs as well.",
        )
    else:
        return True
    return False
