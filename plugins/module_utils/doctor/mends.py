"""How something is mended: the task, and the command on a node, in the words of the release."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from typing import NamedTuple

from ..access.document import LOGS_ROLE
from ..access.model import is_token, name_of, owner_of
from ..access.releases import Release
from ..wording import some_of

# From here on pveum takes `user token`, and tokens are there at all.
TOKENS_SINCE: Release = (6, 2)
READER = "PVEAuditor"
_MOST = 4


class Need(NamedTuple):
    """What is asked for: a privilege on an ACL path, any that reads where it is empty, and for which application."""

    path: str = "/"
    privilege: str = ""
    application: str = ""


def _node(command: str) -> str:
    return f"On a node: {command}"


def _split(tokenid: str) -> tuple[str, str]:
    return shlex.quote(owner_of(tokenid)), name_of(tokenid)


def make_user(userid: str) -> str:
    return f"homelab.pve.pve_user with userid: {userid}. {_node(f'pveum user add {shlex.quote(userid)}')}."


def enable_user(userid: str) -> str:
    command = _node(f"pveum user modify {shlex.quote(userid)} --enable 1")
    return f"homelab.pve.pve_user with userid: {userid} and enable: true. {command}."


def prolong_user(userid: str) -> str:
    command = _node(f"pveum user modify {shlex.quote(userid)} --expire 0")
    return f"homelab.pve.pve_user with userid: {userid} and expire: never, or a later date. {command}."


def make_token(tokenid: str) -> str:
    user, name = _split(tokenid)
    command = _node(f"pveum user token add {user} {name}; pveum user token list {user} shows which there are")
    return f"homelab.pve.pve_token with tokenid: {tokenid} and a secret_file; mind its rights. {command}."


def prolong_token(tokenid: str) -> str:
    user, name = _split(tokenid)
    command = _node(f"pveum user token modify {user} {name} --expire 0")
    return f"homelab.pve.pve_token with tokenid: {tokenid} and expire: never, or a later date. {command}."


def renew_secret(tokenid: str, *, old: bool = False) -> str:
    """Return how a token gets a new secret. ``old`` releases cannot do that in place, and drop its ACL entries."""
    user, name = _split(tokenid)
    task = (
        f"homelab.pve.pve_token with tokenid: {tokenid}, renew: when_lost, verify_secret: always and secret_file: the "
        "file that the consumer reads; the token keeps its rights"
    )
    if old:
        again = f"pveum user token remove {user} {name}; pveum user token add {user} {name}"
        command = f"{_node(again)}; that takes its ACL entries away, so put them back"
    else:
        command = f"{_node(f'pveum user token modify {user} {name} --regenerate 1')} (since 9.2)"
    return f"If you have the right one, give that. If not: {task}. {command}."


def give(subject: str, path: str, *roles: str, user: bool = True, token: bool = True) -> str:
    """Return how roles are given on a path, to a token, to its user, or to both of its halves."""
    role = ", ".join(roles)
    if not is_token(subject):
        command = f"pveum acl modify {path} --users {shlex.quote(subject)} --roles {role.replace(', ', ',')}"
        return f"homelab.pve.pve_acl with path: {path}, users: [{subject}] and roles: [{role}]. {_node(command)}."
    owner = owner_of(subject)
    commands = []
    if user:
        commands.append(f"pveum acl modify {path} --users {shlex.quote(owner)} --roles {role.replace(', ', ',')}")
    if token:
        commands.append(f"pveum acl modify {path} --tokens {shlex.quote(subject)} --roles {role.replace(', ', ',')}")
    task = f"homelab.pve.pve_acl with path: {path}, tokens: [{subject}], roles: [{role}] and grant_user: true"
    return f"{task}. {_node('; '.join(commands))}."


def allow(
    subject: str,
    need: Need,
    reads: Collection[str],
    held: Collection[str] = (),
    *,
    user: bool = True,
    token: bool = True,
) -> str:
    """Return how just what is needed is given, to a token, to its user, or to both of its halves.

    ``reads`` are the privileges of the auditor's role. What it does not have gets a role of its own: built-in roles
    that have it can change things, too. ``held`` is what the subject holds on the path as it is.
    """
    if need.application and is_token(subject):
        reader = f"{{token: {subject}, application: {need.application}}}"
        return f"homelab.pve.pve_access with readers: [{reader}], which gives all that it needs, and no more."
    if not need.privilege or need.privilege in reads:
        given = give(subject, need.path, READER, user=user, token=token)
        return given + _hides(held, reads)
    role = LOGS_ROLE if need.privilege == "Sys.Syslog" else f"only-{need.privilege.lower().replace('.', '-')}"
    command = _node(f"pveum role add {role} --privs {need.privilege}")
    first = f"homelab.pve.pve_role with roleid: {role} and privs: [{need.privilege}]. {command}."
    # An entry replaces what comes from above, which has to be given with it.
    roles = [READER, role] if held else [role]
    return f"{first} Then: {give(subject, need.path, *roles, user=user, token=token)}{_hides(held, reads)}"


def _hides(held: Collection[str], reads: Collection[str]) -> str:
    lost = sorted({*held} - {*reads})
    if not lost:
        return ""
    return f" An entry replaces what comes from above: give the role that has {some_of(lost, _MOST)} there as well."


def other_user(wrong: str, right: str) -> str:
    return f"If {right} is meant, write that, letter by letter. Else: {make_user(wrong)}"


def listed(path: str) -> str:
    return _node(f"pveum acl list shows who has what on {path}")
