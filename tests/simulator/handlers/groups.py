"""Groups and roles."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.homelab.pve.plugins.module_utils.access.releases import builtin_roles

from ..errors import Failure, ParameterError
from ..userconfig import UserConfig
from ..verify import split_list
from . import Call, route

_SEERS = ["User.Modify", "Sys.Audit", "Group.Allocate"]


def _require_group(config: UserConfig, groupid: str) -> None:
    if groupid not in config.groups:
        raise Failure(f"group '{groupid}' does not exist")


def _with_comment(row: dict[str, Any], comment: str | None) -> dict[str, Any]:
    return row if comment is None else {**row, "comment": comment}


@route("GET", "/access/groups")
def list_groups(call: Call) -> list[dict[str, Any]]:
    config = call.state.access
    visible = call.rights.groups_with_any(call.caller, _SEERS)
    return [
        _with_comment({"groupid": groupid, "users": ",".join(config.members(groupid))}, comment)
        for groupid, comment in sorted(config.groups.items())
        if groupid in visible
    ]


@route("POST", "/access/groups")
def create_group(call: Call) -> None:
    with call.state.edit("create group failed") as config:
        if call["groupid"] in config.groups:
            raise Failure(f"group '{call['groupid']}' already exists")
        config.groups[call["groupid"]] = call.get("comment")


@route("GET", "/access/groups/{groupid}")
def read_group(call: Call) -> dict[str, Any]:
    config, groupid = call.state.access, call["groupid"]
    _require_group(config, groupid)
    return _with_comment({"members": config.members(groupid)}, config.groups[groupid])


@route("PUT", "/access/groups/{groupid}")
def update_group(call: Call) -> None:
    with call.state.edit("update group failed") as config:
        _require_group(config, call["groupid"])
        if "comment" in call:
            config.groups[call["groupid"]] = call["comment"]


@route("DELETE", "/access/groups/{groupid}")
def delete_group(call: Call) -> None:
    groupid = call["groupid"]
    with call.state.edit("delete group failed") as config:
        _require_group(config, groupid)
        del config.groups[groupid]
        config.acl = {key: flag for key, flag in config.acl.items() if (key.kind, key.ugid) != ("group", groupid)}


# -- roles --------------------------------------------------------------------------------------------------------


@route("GET", "/access/roles")
def list_roles(call: Call) -> list[dict[str, Any]]:
    builtin = builtin_roles(call.release)
    return [
        {"roleid": roleid, "privs": ",".join(sorted(privs)), "special": 1 if roleid in builtin else 0}
        for roleid, privs in sorted(call.state.access.all_roles(call.release).items())
    ]


def _role(call: Call, config: UserConfig) -> frozenset[str]:
    roles = config.all_roles(call.release)
    if call["roleid"] not in roles:
        raise Failure(f"role '{call['roleid']}' does not exist")
    return roles[call["roleid"]]


@route("GET", "/access/roles/{roleid}")
def read_role(call: Call) -> dict[str, int]:
    return dict.fromkeys(sorted(_role(call, call.state.access)), 1)


@route("POST", "/access/roles")
def create_role(call: Call) -> None:
    roleid = call["roleid"]
    if call.release >= (8, 0) and re.match("pve", roleid, re.IGNORECASE):
        raise ParameterError({"roleid": "cannot use role ID starting with the (case-insensitive) 'PVE' namespace"})
    with call.state.edit("create role failed") as config:
        if roleid in config.all_roles(call.release):
            raise Failure(f"role '{roleid}' already exists")
        config.roles[roleid] = frozenset(split_list(call.get("privs") or ""))


def _refuse_builtin(call: Call, what: str) -> None:
    if call["roleid"] in builtin_roles(call.release):
        raise Failure(f"auto-generated role '{call['roleid']}' cannot be {what}")


@route("PUT", "/access/roles/{roleid}")
def update_role(call: Call) -> None:
    _refuse_builtin(call, "modified")
    with call.state.edit("update role failed") as config:
        old = _role(call, config)
        given = frozenset(split_list(call.get("privs") or ""))
        config.roles[call["roleid"]] = old | given if call.flag("append") else given


@route("DELETE", "/access/roles/{roleid}")
def delete_role(call: Call) -> None:
    _refuse_builtin(call, "deleted")
    with call.state.edit("delete role failed") as config:
        _role(call, config)
        del config.roles[call["roleid"]]
