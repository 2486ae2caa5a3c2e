"""Tickets, realms and the index of /access."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from .. import second_factors
from ..errors import ApiError, Failure
from ..objects import Realm
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
    if not call.authenticator.is_active(userid):
        raise _refused()
    if call.get("path"):
        wanted = split_list(call.get("privs") or "")
        if not _proved(call, userid) or not wanted:
            raise _refused()
        if not call.rights.has_all(userid, normalise(call["path"]), wanted):
            raise _refused()
        return {"username": userid, "cap": capabilities(call.state, userid)}
    answer: dict[str, Any] = {"username": userid}
    answer["ticket"], answer["CSRFPreventionToken"] = _tickets(call, userid, answer)
    if "NeedTFA" not in answer:
        answer["cap"] = capabilities(call.state, userid)
    if len(call.state.nodes) > 1 and call.rights.has_all(userid, "/", ["Sys.Audit"]):
        answer["clustername"] = CLUSTER_NAME
    return answer


def _tickets(call: Call, userid: str, answer: dict[str, Any]) -> tuple[str, str]:
    """Return a ticket and what belongs to it, or a half one, which is noted in the answer."""
    state, authenticator = call.state, call.authenticator
    half, otp, password = call.get("tfa-challenge"), call.get("otp"), call["password"]
    if half is not None:
        if otp is not None or not authenticator.is_half_ticket(half, userid):
            raise _refused()
        if not second_factors.accepts(state, userid, password):
            raise _refused()
        return authenticator.new_ticket(userid)
    if not _proved(call, userid):
        raise _refused()
    asked = None if _is_ticket(call, userid) else second_factors.challenge(state, userid)
    if otp is not None and not _is_ticket(call, userid):
        if asked is None or not second_factors.accepts(state, userid, otp):
            raise _refused()
        asked = None
    if asked is None:
        return authenticator.new_ticket(userid)
    answer["NeedTFA"] = 1
    newer = call.release >= (8, 0) or call.flag("new-format")
    return authenticator.half_ticket(userid, asked if newer else None)


def _refused() -> ApiError:
    return ApiError(401, "authentication failure\n")


def _proved(call: Call, userid: str) -> bool:
    """Tell whether the password is right; the user's own ticket and any ticket of root@pam pass for one."""
    if call.state.realms.get(userid.rpartition("@")[2]) is None:
        return False
    return _is_ticket(call, userid) or call.state.check_password(userid, call["password"])


def _is_ticket(call: Call, userid: str) -> bool:
    return call.authenticator.ticket_owner(call["password"]) in (userid, "root@pam")


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


_BUILTIN_REALMS = ("pam", "pve")
_REQUIRED = {
    "ad": ("domain", "server1"),
    "ldap": ("base_dn", "server1", "user_attr"),
    "openid": ("client-id", "issuer-url"),
}
_NOT_STORED = ("realm", "type", "digest", "delete", "password", "check-connection", "comment")


@route("GET", "/access/domains")
def list_realms(call: Call) -> list[dict[str, Any]]:
    return [
        {
            "realm": realm.realm,
            "type": realm.type,
            **({"comment": realm.comment} if realm.comment else {}),
            **({"default": realm.options["default"]} if "default" in realm.options else {}),
            **({"tfa": kind} if (kind := second_factor(realm)) else {}),
        }
        for realm in call.state.realms.values()
    ]


def second_factor(realm: Realm) -> str | None:
    """Return the kind of second factor that a realm asks of all its users: oath or yubico."""
    found = re.search(r"(?:\A|,)(?:type=)?(oath|yubico)(?:,|\Z)", str(realm.options.get("tfa", "")))
    return found[1] if found else None


@route("GET", "/access/domains/{realm}")
def read_realm(call: Call) -> dict[str, Any]:
    realm = call.state.realms.get(call["realm"])
    if realm is None:
        raise Failure(f"domain '{call['realm']}' does not exist")
    found: dict[str, Any] = {"type": realm.type, "digest": _domains_digest(call.state), **realm.options}
    if realm.comment:
        found["comment"] = realm.comment
    if realm.type == "pam":
        found["plugin"] = "PVE::Auth::PAM"
    return found


def _domains_digest(state: State) -> str:
    """Return the digest of domains.cfg, which is not there while the two built-in realms are all there is."""
    lines = []
    for realm in state.realms.values():
        if realm.realm not in _BUILTIN_REALMS:
            options = {**realm.options, **({"comment": realm.comment} if realm.comment else {})}
            lines.append(f"{realm.type}: {realm.realm}\n")
            lines += [f"\t{name} {value}\n" for name, value in sorted(options.items())]
    return hashlib.sha1("".join(lines).encode()).hexdigest()


@route("POST", "/access/domains")
def create_realm(call: Call) -> None:
    name, kind = call["realm"], call["type"]
    prefix = "add auth server failed: "
    if name in call.state.realms:
        raise Failure(f"{prefix}domain '{name}' already exists")
    if kind in _BUILTIN_REALMS:
        raise Failure(f"{prefix}unable to create builtin type '{kind}'")
    for option in _REQUIRED[kind]:
        if not call.get(option):
            raise Failure(f"{prefix}missing value for required option '{option}'")
    realm = Realm(name, kind)
    call.state.realms[name] = realm
    _set_options(call, realm)


@route("PUT", "/access/domains/{realm}")
def update_realm(call: Call) -> None:
    prefix = "update auth server failed: "
    if call.get("digest") not in (None, "", _domains_digest(call.state)):
        raise Failure(f"{prefix}detected modified configuration - file changed by other user? Try again.")
    realm = call.state.realms.get(call["realm"])
    if realm is None:
        raise Failure(f"{prefix}domain '{call['realm']}' does not exist")
    if not set(call.parameters) - {"realm", "digest"}:
        raise Failure(f"{prefix}no options specified")
    for option in split_list(call.get("delete") or ""):
        realm.options.pop(option, None)
        if option == "comment":
            realm.comment = None
    _set_options(call, realm)


def _set_options(call: Call, realm: Realm) -> None:
    for name, value in call.parameters.items():
        if name not in _NOT_STORED:
            realm.options[name] = int(value) if str(value).isdigit() else value
    if "comment" in call:
        realm.comment = call["comment"] or None
    if call.flag("default"):
        for other in call.state.realms.values():
            if other is not realm:
                other.options.pop("default", None)


@route("DELETE", "/access/domains/{realm}")
def delete_realm(call: Call) -> None:
    realm = call.state.realms.get(call["realm"])
    if realm is None:
        raise Failure(f"delete auth server failed: domain '{call['realm']}' does not exist")
    if realm.type not in _BUILTIN_REALMS:  # the built-in ones come back at once
        del call.state.realms[call["realm"]]


index("/access/openid", "login", "auth-url")
