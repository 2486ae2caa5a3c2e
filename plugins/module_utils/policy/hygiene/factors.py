"""Second factors: who has none, and which realms ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...access.model import ROOT, User
from ...wording import day
from .subjects import Case, called

# Realms whose users log in with a password that PVE itself checks, or has checked. An openid realm has its own factors.
_BY_PASSWORD = ("pam", "pve", "ldap", "ad")


def judge(case: Case) -> None:
    """Find users without a second factor who need one, and what is wrong with those that there are."""
    for user in case.users():
        _locked(case, user)
    realms = case.observed.realms
    if realms is None:
        return
    for name, row in sorted(realms.items()):
        if row.get("type") in _BY_PASSWORD and not row.get("tfa"):
            case.judgement.find(
                "realms_without_factor",
                f"realm {name}",
                "",
                f"The realm {name} does not ask its users for a second factor.",
                expected="a second factor for everybody",
                found=None,
                fix=f"Have every user set one up, then `pveum realm modify {name} --tfa type=oath`.",
            )
    factors = case.observed.factors
    if factors is not None and case.judgement.wants("no_second_factor", "legacy_factors"):
        for user in case.users():
            _factor(case, user, realms.get(user.userid.rpartition("@")[2], {}), factors.get(user.userid, {}))


def _factor(case: Case, user: User, realm: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    """Judge one user by his realm's row and by his own."""
    own = [entry for entry in row.get("entries") or () if str(entry.get("enable", 1)) != "0"]
    legacy = bool(case.observed.users.get(user.userid, {}).get("keys")) and not row.get("entries")
    if own or realm.get("type") not in _BY_PASSWORD:
        return
    if realm.get("tfa"):
        if legacy:
            case.judgement.find(
                "legacy_factors",
                called(user.userid),
                "",
                f"The second factor of {user.userid} is one of the old kind, kept among the settings of the user.",
                expected="a second factor that is kept apart",
                found="keys",
                fix="Set up a second factor for him under Datacenter, Permissions, Two Factor, and empty his key IDs.",
            )
        return  # without a factor, the realm lets nobody in
    if user.userid in case.writers:
        old = " The one of the old kind that he has counts for nothing while the realm does not ask for it."
        case.judgement.find(
            "no_second_factor",
            called(user.userid),
            "",
            f"{user.userid} can change things, and logs in with a password alone.{old if legacy else ''}",
            expected="a second factor",
            found=None,
            fix=(
                "Set up a second factor for him under Datacenter, Permissions, Two Factor."
                if user.userid == ROOT
                else "Set up a second factor for him, or have the realm ask for one. PVE does not tell whether he has "
                "a password at all: where he only owns tokens, make an exception that says so."
            ),
        )


def _locked(case: Case, user: User) -> None:
    row = case.observed.users.get(user.userid, {})
    until = int(row.get("tfa-locked-until") or 0)
    totp = int(row.get("totp-locked") or 0)
    if not totp and until <= case.now:
        return
    what = "TOTP is" if totp else f"second factors are, until {day(until)},"
    case.judgement.find(
        "locked_factors",
        called(user.userid),
        "",
        f"{user.userid}: {what} locked after too many wrong codes.",
        expected="no lock",
        found={"totp-locked": totp, "tfa-locked-until": until},
        fix="Ask him whether it was he. If not, his password is known to somebody: change it before you unlock "
        f"(`pveum user tfa unlock {user.userid}`).",
    )
