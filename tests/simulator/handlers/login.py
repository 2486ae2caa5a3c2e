"""Tickets, realms and the index of /access."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from ..errors import ApiError, Failure, NotSimulated
from ..permission import normalise
from ..state import CLUSTER_NAME, State
from ..verify import FormatError, split_list, split_userid
from . import Call, index, route

# The keys of a log-in's "cap" object: which privileges count, by the first piece of the path that they are held on.
_CAPABILITIES = {
    "access": r"(?:User|Group)\.|Permissions\.Modify",
    "dc": r"Sys\.Audit|Sys\.Modify|SDN\.",
    "mapping": r"Mapping\.|Permissions\.Modify",
    "nodes": r"Sys\.|Permissions\.Modify",
    "sdn": r"SDN\.|Permissions\.Modify",
    "storage": r"Datastore\.|Permissions\.Modify",
    "vms": r"VM\.|Permissions\.Modify",
}
_ALWAYS_ASKED = ("/", "/nodes", "/access/groups", "/vms", "/storage", "/sdn", "/mapping")
_EMPTY_DIGEST = hashlib.sha1(b"").hexdigest()  # PVE's digest of a file that is not there

index("/access", "users", "groups", "roles", "acl", "domains", "openid", "tfa", "ticket", "password")


@route("GET", "/access/ticket")
def read_ticket(call: Call) -> None:
    """Do nothing: the method exists for PVE's own interface."""


@route("POST", "/access/ticket")
def create_ticket(call: Call) -> dict[str, Any]:
    try:
        userid = call["username"]
        if "realm" in call:
            userid = f"{userid}@{call['realm']}"
        split_userid(userid)
    except FormatError:
        raise _refused() from None
    if not call.authenticator.is_active(userid) or not _proved(call, userid):
        raise _refused()
    answer: dict[str, Any] = {"username": userid, "cap": capabilities(call.state, userid)}
    if call.get("path"):
        wanted = split_list(call.get("privs") or "")
        if not wanted or not call.rights.has_all(userid, normalise(call["path"]), wanted):
            raise _refused()
        return answer
    if len(call.state.nodes) > 1 and call.rights.has_all(userid, "/", ["Sys.Audit"]):
        answer["clustername"] = CLUSTER_NAME
    answer["ticket"], answer["CSRFPreventionToken"] = call.authenticator.new_ticket(userid)
    return answer


def _refused() -> ApiError:
    return ApiError(401, "authentication failure\n")


def _proved(call: Call, userid: str) -> bool:
    """Tell whether the password is right; the user's own ticket and any ticket of root@pam pass for one."""
    if call.state.realms.get(userid.rpartition("@")[2]) is None:
        return False
    return call.authenticator.ticket_owner(call["password"]) in (userid, "root@pam") or call.state.check_password(
        userid, call["password"]
    )


def capabilities(state: State, userid: str) -> dict[str, dict[str, int]]:
    """Return the coarse rights that a log-in answers, for the buttons of PVE's interface."""
    found: dict[str, dict[str, int]] = {key: {} for key in _CAPABILITIES}
    for path in (*_ALWAYS_ASKED, *state.rights.acl_nodes()):
        top = path.split("/")[1] or "dc"
        for privilege in state.rights.privileges(userid, path):
            # What is held on a pool counts for the guests and storages in it.
            for kind in ("vms", "storage") if top == "pool" else (top,):
                if kind in _CAPABILITIES and re.match(_CAPABILITIES[kind], privilege):
                    found[kind][privilege] = 1
    return found


@route("GET", "/access/domains")
def list_realms(call: Call) -> list[dict[str, Any]]:
    return [
        {"realm": realm.realm, "type": realm.type, **({"comment": realm.comment} if realm.comment else {})}
        for realm in call.state.realms.values()
    ]


@route("GET", "/access/domains/{realm}")
def read_realm(call: Call) -> dict[str, Any]:
    realm = call.state.realms.get(call["realm"])
    if realm is None:
        raise Failure(f"domain '{call['realm']}' does not exist")
    found = {"type": realm.type, "digest": _EMPTY_DIGEST}
    if realm.comment:
        found["comment"] = realm.comment
    if realm.type == "pam":
        found["plugin"] = "PVE::Auth::PAM"
    return found


@route("DELETE", "/access/domains/{realm}")
def delete_realm(call: Call) -> None:
    realm = call.state.realms.get(call["realm"])
    if realm is None:
        raise Failure(f"delete auth server failed: domain '{call['realm']}' does not exist")
    if realm.type not in ("pam", "pve"):  # the built-in ones come back at once
        del call.state.realms[call["realm"]]


@route("PUT", "/access/domains/{realm}")
def update_realm(call: Call) -> None:
    realm = call.state.realms.get(call["realm"])
    if realm is None:
        raise Failure(f"update auth server failed: domain '{call['realm']}' does not exist")
    given = {name: value for name, value in call.parameters.items() if name not in ("realm", "digest")}
    if not given:
        raise Failure("update auth server failed: no options specified")
    if set(given) != {"comment"}:
        raise NotSimulated("PUT", "/access/domains/{realm}")
    realm.comment = call["comment"] or None


index("/access/openid", "login", "auth-url")
