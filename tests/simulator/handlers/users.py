"""Users and their API tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ApiError, Failure, Forbidden, ParameterError
from ..userconfig import TokenRow, UserConfig, UserRow
from ..verify import split_list, split_userid
from . import Call, route
from .login import second_factor

_FIELDS = ("firstname", "lastname", "email", "comment", "keys")
_SEERS = ["User.Modify", "Sys.Audit"]
_TOKEN_PATH = "/access/users/{userid}/token/{tokenid}"  # a path, no secret


def _user(config: UserConfig, userid: str) -> UserRow:
    if userid not in config.users:
        raise Failure(f"no such user ('{userid}')")
    return config.users[userid]


def _shown(row: UserRow) -> dict[str, Any]:
    fields = {name: getattr(row, name) for name in ("enable", "expire", *_FIELDS)}
    return {name: value for name, value in fields.items() if value is not None}


def shown_token(row: TokenRow) -> dict[str, Any]:
    found: dict[str, Any] = {"expire": row.expire, "privsep": row.privsep}
    return {**found, "comment": row.comment} if row.comment else found


def _visible(call: Call) -> set[str] | None:
    """Return the users whom the caller may see in lists: himself and the members of some groups. None: everybody."""
    rights, caller = call.rights, call.caller
    if rights.has_any(caller, "/access/groups", _SEERS):
        return None
    return rights.members_of(rights.groups_with_any(caller, _SEERS)) | {caller}


@route("GET", "/access/users")
def list_users(call: Call) -> list[dict[str, Any]]:
    config, visible = call.state.access, _visible(call)
    tokens: dict[str, list[dict[str, Any]]] = {}
    for (owner, name), token in sorted(config.tokens.items()):
        tokens.setdefault(owner, []).append({"tokenid": name, **shown_token(token)})
    found = []
    for userid, row in sorted(config.users.items()):
        if not (visible is None or userid in visible):
            continue
        if "enabled" in call and bool(row.enable) != call.flag("enabled"):
            continue
        entry = {"userid": userid, **_shown(row)}
        realm = call.state.realms.get(userid.rpartition("@")[2])
        if realm:
            entry["realm-type"] = realm.type
        if call.release >= (8, 0):
            entry.update(_locks(call.state.tfa.get(userid, {})))
        if call.flag("full"):
            entry["groups"] = ",".join(sorted(row.groups))
            entry["tokens"] = tokens.get(userid)
        found.append(entry)
    return found


@route("GET", "/access/users/{userid}")
def read_user(call: Call) -> dict[str, Any]:
    config = call.state.access
    row = _user(config, call["userid"])
    tokens = {name: shown_token(token) for name, token in config.tokens_of(call["userid"]).items()}
    return {**_shown(row), "groups": sorted(row.groups), "tokens": tokens or None}


def _with_fields(row: UserRow, given: Mapping[str, Any]) -> UserRow:
    fields: dict[str, Any] = {name: str(given[name]) for name in _FIELDS if name in given}
    return row._replace(**fields)


def _groups(config: UserConfig, text: str) -> frozenset[str]:
    groups = split_list(text)
    for group in groups:
        if group not in config.groups:
            raise Failure(f"no such group '{group}'")
    return frozenset(groups)


@route("POST", "/access/users")
def create_user(call: Call) -> None:
    userid = call["userid"]
    name, realm = split_userid(userid)
    with call.state.edit("create user failed") as config:
        if userid in config.users:
            raise Failure(f"user '{userid}' already exists")
        password = call.get("password")
        if password is not None:
            set_password(call, name, realm, password)
        row = UserRow(
            enable=int(call.flag("enable", default=True)),
            expire=int(call.get("expire") or 0),
            groups=_groups(config, call.get("groups") or ""),
        )
        config.users[userid] = _with_fields(row, call.parameters)


def set_password(call: Call, name: str, realm: str, password: str) -> None:
    """Store a password, where the realm keeps any itself. Raises Failure otherwise."""
    found = call.state.realms.get(realm)
    if found is None:
        raise Failure(f"auth domain '{realm}' does not exist")
    if found.type == "pam":
        raise Failure(f"change password failed: user '{name}' does not exist")
    if found.type != "pve":
        raise Failure("can't set password on auth type '" + found.type + "'")
    call.state.passwords[f"{name}@{realm}"] = password


@route("PUT", "/access/users/{userid}")
def update_user(call: Call) -> None:
    userid = call["userid"]
    with call.state.edit("update user failed") as config:
        row = _user(config, userid)
        if "enable" in call:
            row = row._replace(enable=int(call["enable"]))
        if "expire" in call:
            row = row._replace(expire=int(call["expire"]))
        if "groups" in call:
            groups = _groups(config, call["groups"])
            row = row._replace(groups=row.groups | groups if call.flag("append") else groups)
        config.users[userid] = _with_fields(row, call.parameters)


@route("DELETE", "/access/users/{userid}")
def delete_user(call: Call) -> None:
    userid = call["userid"]
    with call.state.edit("delete user failed") as config:
        config.users.pop(userid, None)
        config.acl = {key: flag for key, flag in config.acl.items() if (key.kind, key.ugid) != ("user", userid)}
        config.tokens = {key: token for key, token in config.tokens.items() if key[0] != userid}
    call.state.passwords.pop(userid, None)
    call.state.tfa.pop(userid, None)
    call.state.factors.pop(userid, None)


# -- second factors: what is told of them. Log-ins: see second_factors.py. ------------------------------------------


def _locks(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("totp-locked", "tfa-locked-until") if row.get(name)}


def _factors(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a user's factors. That one is enabled goes without saying, and so does an empty description."""
    silent = {"enable": (1, True), "description": ("",)}
    return [
        {name: value for name, value in entry.items() if value not in silent.get(name, ())}
        for entry in row.get("entries", [])
    ]


@route("PUT", "/access/users/{userid}/unlock-tfa")
def unlock_tfa(call: Call) -> int:
    """Unlock a user's factors, and tell whether they were locked."""
    _user(call.state.access, call["userid"])
    row = call.state.tfa.get(call["userid"], {})
    locks = _locks(row)
    for name in locks:
        del row[name]
    for name in ("failures", "totp-failures"):
        call.state.factors.get(call["userid"], {}).pop(name, None)
    return int(bool(locks))


@route("GET", "/access/users/{userid}/tfa")
def read_tfa_types(call: Call) -> dict[str, Any]:
    userid = call["userid"]
    _user(call.state.access, userid)
    found: dict[str, Any] = {}
    realm = call.state.realms.get(userid.rpartition("@")[2])
    if realm is None:
        raise Failure(f"auth domain '{userid.rpartition('@')[2]}' does not exist")
    if kind := second_factor(realm):
        found["realm"] = kind
    if call.flag("multiple"):
        found["types"] = sorted({entry["type"] for entry in _factors(call.state.tfa.get(userid, {}))})
    return found


@route("GET", "/access/tfa")
def list_tfa(call: Call) -> list[dict[str, Any]]:
    """Return those who have factors, as far as the caller may see such users."""
    visible = _visible(call)
    return [
        {"userid": userid, "entries": _factors(row), **_locks(row)}
        for userid, row in sorted(call.state.tfa.items())
        if visible is None or userid in visible
    ]


@route("GET", "/access/tfa/{userid}")
def list_user_tfa(call: Call) -> list[dict[str, Any]]:
    return _factors(call.state.tfa.get(call["userid"], {}))


@route("GET", "/access/tfa/{userid}/{id}")
def read_tfa(call: Call) -> dict[str, Any]:
    for entry in _factors(call.state.tfa.get(call["userid"], {})):
        if entry["id"] == call["id"]:
            return entry
    raise ApiError(404, f"no such tfa entry '{call['id']}'\n")


# -- tokens -------------------------------------------------------------------------------------------------------


def token_row(config: UserConfig, userid: str, name: str) -> TokenRow:
    _user(config, userid)
    row = config.tokens.get((userid, name))
    if row is None:
        raise Failure(f"no such token '{name}' for user '{userid}'")
    return row


@route("GET", "/access/users/{userid}/token")
def list_tokens(call: Call) -> list[dict[str, Any]]:
    tokens = call.state.access.tokens_of(call["userid"])
    return [{"tokenid": name, **shown_token(row)} for name, row in sorted(tokens.items())]


@route("GET", _TOKEN_PATH)
def read_token(call: Call) -> dict[str, Any]:
    return shown_token(token_row(call.state.access, call["userid"], call["tokenid"]))


@route("POST", _TOKEN_PATH)
def create_token(call: Call) -> dict[str, Any]:
    userid, name = call["userid"], call["tokenid"]
    full = f"{userid}!{name}"
    _user(call.state.access, userid)
    if (userid, name) in call.state.access.tokens:
        raise ParameterError({"tokenid": "Token already exists."})
    # The answer repeats what was given, as it was spelt; only the default of privsep is a number.
    info: dict[str, Any] = {"privsep": call.get("privsep") or 1}
    if "expire" in call:
        info["expire"] = call["expire"]
    if call.get("comment") not in (None, "", "0"):
        info["comment"] = call["comment"]
    with call.state.edit("generating token failed") as config:
        config.tokens[userid, name] = TokenRow(int(call.get("expire") or 0), int(info["privsep"]), info.get("comment"))
    return {"full-tokenid": full, "value": call.state.new_secret(full), "info": info}


@route("PUT", _TOKEN_PATH)
def update_token(call: Call) -> dict[str, Any]:
    userid, name = call["userid"], call["tokenid"]
    full = f"{userid}!{name}"
    with_clearing = call.release >= (9, 1)
    row = token_row(call.state.access, userid, name)
    answer = shown_token(row)
    with call.state.edit("updating token info failed") as config:
        if "privsep" in call:
            row = row._replace(privsep=int(call["privsep"]))
            answer["privsep"] = call["privsep"]
        if "expire" in call:
            row = row._replace(expire=int(call["expire"]))
            answer["expire"] = call["expire"]
        comment = call.get("comment")
        if comment is not None and (with_clearing or comment not in ("", "0")):
            row = row._replace(comment=comment)
            answer.pop("comment", None)
            if comment != "":
                answer["comment"] = comment
        for option in split_list(call.get("delete") or ""):
            if option != "comment":
                raise ParameterError({"delete": f"unknown option '{option}'"})
            row = row._replace(comment=None)
            answer.pop("comment", None)
        config.tokens[userid, name] = row
    if call.flag("regenerate"):
        answer.update({"full-tokenid": full, "value": call.state.new_secret(full)})
    return answer


@route("DELETE", _TOKEN_PATH)
def delete_token(call: Call) -> None:
    userid, name = call["userid"], call["tokenid"]
    token_row(call.state.access, userid, name)
    with call.state.edit("deleting token failed") as config:
        del config.tokens[userid, name]
    call.state.secrets.pop(f"{userid}!{name}", None)


# -- password -----------------------------------------------------------------------------------------------------


@route("PUT", "/access/password")
def change_password(call: Call) -> None:
    userid = call["userid"]
    name, realm = split_userid(userid)
    _user(call.state.access, userid)
    if call.caller != "root@pam":
        if userid == "root@pam":
            raise Forbidden
        if call.release >= (8, 2):
            own = call.get("confirmation-password")
            if own is None:
                raise ParameterError({"confirmation-password": "password is required to modify user"})
            if not call.state.check_password(call.caller, own):
                raise Failure("invalid credentials")
        if call.caller != userid and realm == "pam":
            raise Forbidden
    set_password(call, name, realm, call["password"])
