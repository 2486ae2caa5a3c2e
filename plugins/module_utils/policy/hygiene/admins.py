"""Who can do everything, and who can come to that with what he may do."""

from __future__ import annotations

from collections.abc import Iterator

from ...access.model import ADMINISTRATOR, ROOT, Principal, is_token
from .subjects import Case, called, of_root, whose

MOST = 3
_USERS = "/access/groups"
_MODIFY, _PERMISSIONS, _ROLES = "User.Modify", "Permissions.Modify", "Sys.Modify"
# Where an ACL entry reaches the list of users.
_ABOVE_USERS = ("/", "/access", _USERS)


def judge(case: Case) -> None:
    """Find those who can do everything, those who are as good as that, and whether there are too many of both.

    A token without privilege separation is its user, and is found for that; so is one of root@pam.
    """
    if not case.knows_rights or not case.judgement.wants("administrators", "many_administrators", "as_good_as_admin"):
        return
    subjects = [user.userid for user in case.users() if user.userid != ROOT]
    subjects += [token.tokenid for token in case.tokens() if token.privsep and not of_root(token)]
    admins = [one for one in subjects if case.held(one, "/").keys() >= case.every_privilege]
    for subject in admins:
        case.judgement.find(
            "administrators",
            called(subject),
            "/",
            f"{subject} holds all privileges on /.",
            expected="only what is needed",
            found=sorted(_why(case, subject)),
            fix="Give a narrower role, or one on a narrower path, to whoever does not need all of it.",
        )
    _elsewhere(case)
    good = _as_good(case, [one for one in subjects if one not in admins], {ROOT, *admins})
    for subject, (path, way) in sorted(good.items()):
        case.judgement.find(
            "as_good_as_admin",
            called(subject),
            path,
            f"{subject} can become administrator: {way}.",
            expected="no way to all privileges",
            found=way,
            fix="Take that privilege away, or treat the id as an administrator.",
        )
    people = [one for one in (*admins, *good) if not is_token(one)]
    if len(people) > MOST:
        case.judgement.find(
            "many_administrators",
            "cluster",
            "/",
            f"{len(people)} users besides {ROOT} can do everything.",
            expected=f"at most {MOST}",
            found=sorted(people),
            fix="Give narrower roles to those who do not need all of it.",
        )


def _why(case: Case, subject: str) -> Iterator[str]:
    """Yield the roles on / that a subject has, by whom he has them."""
    user = case.state.users.get(subject)
    principals = [Principal("token" if is_token(subject) else "user", subject)]
    principals += [Principal("group", group) for group in user.groups] if user else []
    for principal in principals:
        for role in case.state.acl.get(principal, {}).get("/", {}):
            yield f"{role} on /" if principal.name == subject else f"{role} on / ({whose(principal)})"


def _elsewhere(case: Case) -> None:
    """Find entries with the role Administrator below the root of the tree."""
    for principal, paths in case.state.acl.items():
        there = principal.name in case.state.groups if principal.kind == "group" else case.usable(principal.name)
        for path, roles in paths.items():
            if there and path != "/" and ADMINISTRATOR in roles:
                case.judgement.find(
                    "administrators",
                    whose(principal),
                    path,
                    f"The {whose(principal)} has the role {ADMINISTRATOR} on {path}, and may give any role there to "
                    "anybody.",
                    expected="only what is needed",
                    found=f"{ADMINISTRATOR} on {path}",
                    fix="Give a role that holds what is needed there, such as PVEVMAdmin for guests.",
                )


def _as_good(case: Case, subjects: list[str], mighty: set[str]) -> dict[str, tuple[str, str]]:
    """Return those among ``subjects`` who can become administrator: from where, and how.

    Who rules over the members of a group rules over all that they can do, so this goes on until nobody is added.
    """
    found = {one: way for one in subjects for way in [_way(case, one)] if way}
    left = [one for one in subjects if one not in found]
    seen: set[str] = set()
    while True:
        mighty = mighty | set(found)
        groups = {
            group: member
            for member in sorted(mighty)
            for group in sorted(case.state.users[member].groups if member in case.state.users else ())
            if group not in seen
        }
        if not groups:
            return found
        seen |= set(groups)
        for group, member in groups.items():
            path = f"{_USERS}/{group}"
            for subject in list(left):
                held = case.held(subject, path)
                if _MODIFY in held or _PERMISSIONS in held:
                    privilege = _MODIFY if _MODIFY in held else _PERMISSIONS
                    found[subject] = (path, f"{privilege} on {path} makes tokens for {member}, who can do everything")
                    left.remove(subject)


def _way(case: Case, subject: str) -> tuple[str, str] | None:
    """Return where and how a subject can come to all privileges by himself."""
    if _MODIFY in case.held(subject, _USERS):
        return _USERS, f"{_MODIFY} on {_USERS} makes tokens for every user, {ROOT} among them"
    for path in _ABOVE_USERS:
        if _PERMISSIONS in case.held(subject, path):
            return path, f"{_PERMISSIONS} on {path} gives any role there, to himself too"
    if _ROLES in case.held(subject, "/access"):
        return "/access", f"{_ROLES} on /access puts any privilege into the roles that he has"
    return None
