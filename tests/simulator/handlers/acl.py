"""The ACL, and questions about effective permissions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.homelab.pve.plugins.module_utils.access import paths
from ansible_collections.homelab.pve.plugins.module_utils.access.model import NO_ACCESS, is_token, owner_of

from ..effective import Held
from ..errors import Failure, ParameterError
from ..permission import MODIFY
from ..userconfig import AclKey, UserConfig
from ..verify import split_list, split_tokenid
from . import Call, route
from .users import token_row

_ONE_OF = "either 'users', 'groups' or 'tokens' is required."


@route("GET", "/access/acl")
def list_acl(call: Call) -> list[dict[str, Any]]:
    rights = call.rights
    sees_all = rights.has_all(call.caller, "/access", ["Sys.Audit"])
    visible = {
        key.path
        for key in call.state.access.acl
        if sees_all or rights.has_any(call.caller, *rights.to_modify(key.path))
    }
    return [
        {"path": key.path, "type": key.kind, "ugid": key.ugid, "roleid": key.role, "propagate": flag}
        for key, flag in sorted(call.state.access.acl.items())
        if key.path in visible
    ]


@route("PUT", "/access/acl")
def update_acl(call: Call) -> None:
    if not any(call.get(kind) not in (None, "", "0") for kind in ("users", "groups", "tokens")):
        raise ParameterError(dict.fromkeys(("users", "groups", "tokens"), _ONE_OF))
    delete, propagate = call.flag("delete"), int(call.flag("propagate", default=True))
    path = None if call["path"] == "0" else paths.normalise(call["path"])
    if path is None or not (delete or paths.is_valid(path, call.release)):
        raise ParameterError({"path": f"invalid ACL path '{call['path']}'"})
    with call.state.edit("ACL update failed") as config:
        held = call.rights.privileges(call.caller, path)
        roles = config.all_roles(call.release)
        for role in split_list(call["roles"]):
            if role not in roles:
                raise Failure(f"role '{role}' does not exist")
            if MODIFY not in held:
                _require_superset(role, roles[role], held, adding=not delete, propagate=bool(propagate))
            for kind, ugid in _principals(call, config):
                key = AclKey(path, kind, ugid, role)
                if delete:
                    config.acl.pop(key, None)
                else:
                    config.acl[key] = propagate


def _require_superset(role: str, privs: frozenset[str], held: Held, adding: bool, propagate: bool) -> None:
    """Hold those who may only delegate to what they have themselves."""
    start = f"Cannot {'add' if adding else 'remove'} role '{role}'"
    if role == NO_ACCESS:
        raise ParameterError({"role": f"{start} - requires '{MODIFY}'"})
    if not privs <= held.keys():
        raise ParameterError({"role": f"{start} - requires '{MODIFY}' or superset of privileges."})
    if adding and propagate and not all(held[privilege] for privilege in privs):
        raise ParameterError(
            {"role": f"{start} with propagation - requires '{MODIFY}' or propagated superset of privileges."}
        )


def _principals(call: Call, config: UserConfig) -> Iterator[tuple[str, str]]:
    for group in split_list(call.get("groups") or ""):
        if group not in config.groups:
            raise Failure(f"group '{group}' does not exist")
        yield "group", group
    for user in split_list(call.get("users") or ""):
        if user not in config.users:
            raise Failure(f"user '{user}' does not exist")
        yield "user", user
    for token in split_list(call.get("tokens") or ""):
        token_row(config, *split_tokenid(token))
        yield "token", token


@route("GET", "/access/permissions")
def read_permissions(call: Call) -> dict[str, Held]:
    caller = call.caller
    subject = call.get("userid") or caller
    own_token = call.release >= (8, 3) and is_token(subject) and owner_of(subject) == caller
    if subject != caller and not own_token:
        call.rights.require_all(caller, "/access", ["Sys.Audit"])
    path = call.get("path")
    if path in (None, "", "0"):
        return call.rights.tree(subject)
    return {str(path): call.rights.privileges(subject, str(path))}
