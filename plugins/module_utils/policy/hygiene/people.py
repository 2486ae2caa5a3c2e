"""Users: those who are over or switched off, and accounts that are nobody's own."""

from __future__ import annotations

from ...access.model import ROOT, Principal, User, is_over
from ...wording import DAY, day, days
from .subjects import Case, called, entries_text

PAM = "pam"
# Names of accounts that more than one person tends to use.
_SHARED = frozenset(
    (
        *("admin", "administrator", "admins", "everybody", "everyone", "guest", "helpdesk", "manager", "office"),
        *("operations", "operator", "operators", "ops", "proxmox", "pve", "root", "shared", "staff", "support"),
        *("sysadmin", "team", "user", "users"),
    )
)


def judge(case: Case) -> None:
    """Find what is unwise about each user."""
    for user in case.state.users.values():
        if not user.enable:
            _disabled(case, user)
        elif is_over(user.expire, case.now):
            _over(case, user)
        else:
            _expiring(case, user)
            _account(case, user)


def _disabled(case: Case, user: User) -> None:
    if user.userid == ROOT:
        return
    tokens = sorted(case.state.tokens_of.get(user.userid, ()))
    entries = entries_text(case.state.acl.get(Principal("user", user.userid), {}))
    for tokenid in tokens:
        entries += [f"{text} ({tokenid})" for text in entries_text(case.state.acl.get(Principal("token", tokenid), {}))]
    if tokens or entries:
        case.judgement.find(
            "disabled_users",
            called(user.userid),
            "",
            f"The user {user.userid} is disabled, and still has tokens ({len(tokens)}) and ACL entries "
            f"({len(entries)}).",
            expected={"tokens": [], "acls": []},
            found={"tokens": tokens, "acls": entries},
            fix="Delete the user, or take his tokens and entries away until he is needed again.",
        )


def _over(case: Case, user: User) -> None:
    case.judgement.find(
        "expired",
        called(user.userid),
        "",
        f"The user {user.userid} expired on {day(user.expire)}, and his tokens with him.",
        expected="a user who can log in",
        found={"expire": user.expire},
        fix="Delete him, or set another expire if he is still needed.",
    )


def _expiring(case: Case, user: User) -> None:
    if 0 < user.expire <= case.now + case.hygiene.expiring_days * DAY:
        case.judgement.find(
            "expiring",
            called(user.userid),
            "",
            f"The user {user.userid} expires on {day(user.expire)}, in {days(user.expire - case.now)}, and his tokens "
            "with him.",
            expected=f"more than {case.hygiene.expiring_days} days",
            found={"expire": user.expire},
            fix="Set another expire, or delete him if he is not needed any more.",
        )


def _account(case: Case, user: User) -> None:
    name, unused, realm = user.userid.rpartition("@")
    if user.userid == ROOT:
        return
    if realm == PAM:
        case.judgement.find(
            "pam_users",
            called(user.userid),
            "",
            f"The user {user.userid} is of the realm pam.",
            expected="a user of another realm",
            found={"realm": realm},
            fix="Use a user of the realm pve, or of a directory, where nobody needs a shell on the nodes.",
        )
    if case.judgement.wants("shared_accounts") and name.lower() in _SHARED and user.userid in case.writers:
        case.judgement.find(
            "shared_accounts",
            called(user.userid),
            "",
            f"The user {user.userid} has the name of an account that several people use, and can change things.",
            expected="a user for each person, named for him",
            found=name,
            fix="Give each person a user of his own, with the same groups, and delete this one.",
        )
