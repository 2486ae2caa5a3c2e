"""How something is mended: the task, and the command on a node, in the words of the release."""

from __future__ import annotations

import shlex

from ..access.model import is_token, owner_of
from ..access.releases import Release

# From here on pveum takes `user token`, and tokens are there at all.
TOKENS_SINCE: Release = (6, 2)
_REGENERATE_SINCE: Release = (9, 2)
READER = "PVEAuditor"


def _node(command: str) -> str:
    return f"On a node: {command}"


def _split(tokenid: str) -> tuple[str, str]:
    return shlex.quote(owner_of(tokenid)), tokenid.rpartition("!")[2]


def make_user(userid: str) -> str:
    return f"homelab.pve.pve_user with userid: {userid}. {_node(f'pveum user add {shlex.quote(userid)}')}."


def enable_user(userid: str) -> str:
    command = _node(f"pveum user modify {shlex.quote(userid)} --enable 1")
    return f"homelab.pve.pve_user with userid: {userid} and enable: true. {command}."


def prolong_user(userid: str) -> str:
    command = _node(f"pveum user modify {shlex.quote(userid)} --expire 0")
    return f"homelab.pve.pve_user with userid: {userid} and a later expire (or never). {command}."


def make_token(tokenid: str) -> str:
    user, name = _split(tokenid)
    command = _node(f"pveum user token add {user} {name}; pveum user token list {user} shows which there are")
    return f"homelab.pve.pve_token with tokenid: {tokenid} and a secret_file; mind its rights. {command}."


def prolong_token(tokenid: str) -> str:
    user, name = _split(tokenid)
    command = _node(f"pveum user token modify {user} {name} --expire 0")
    return f"homelab.pve.pve_token with tokenid: {tokenid} and a later expire (or never). {command}."


def renew_secret(tokenid: str, release: Release | None) -> str:
    """Return how a token gets a new secret. Where PVE cannot do that in place, its ACL entries have to be put back."""
    user, name = _split(tokenid)
    if release is not None and release >= _REGENERATE_SINCE:
        command = _node(f"pveum user token modify {user} {name} --regenerate 1")
    else:
        command = _node(f"pveum user token remove {user} {name} and add it again, which loses its ACL entries")
    task = f"homelab.pve.pve_token with tokenid: {tokenid}, renew: when_lost and verify_secret: always"
    return f"{task}, which keeps its rights. {command}."


def give(subject: str, path: str, role: str = READER, *, user: bool = True, token: bool = True) -> str:
    """Return how a role is given on a path, to a token, to its user, or to both of its halves."""
    if not is_token(subject):
        command = f"pveum acl modify {path} --users {shlex.quote(subject)} --roles {role}"
        return f"homelab.pve.pve_acl with path: {path}, users: [{subject}] and roles: [{role}]. {_node(command)}."
    owner = owner_of(subject)
    commands = []
    if user:
        commands.append(f"pveum acl modify {path} --users {shlex.quote(owner)} --roles {role}")
    if token:
        commands.append(f"pveum acl modify {path} --tokens {shlex.quote(subject)} --roles {role}")
    task = f"homelab.pve.pve_acl with path: {path}, tokens: [{subject}], roles: [{role}] and grant_user: true"
    return f"{task}. {_node('; '.join(commands))}."
