"""Whether the answers of a snapshot have the shape of PVE's, so that a damaged file is told of when it is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

# Says what is wrong with a value, and where in it; nothing where all is well.
Check = Callable[[Any], str]
_NUMBER = re.compile(r"-?[0-9]{1,15}\Z")
_LARGEST = 10**15


def wrong_shape(path: str, answer: Any) -> str:
    """Say what is wrong with the answer to the question ``path`` (see ``sources.question``), empty if nothing is.

    Answers to other questions than those of an audit are none of this module's business.
    """
    return next((check(answer) for form, check in _BY_FORM if form.fullmatch(path)), "")


# -- values ------------------------------------------------------------------------------------------------------------


def whole_number(value: Any) -> int | None:
    """Return the number that a value is, maybe as a text, as PVE has them; None for what is none, or far too large."""
    if isinstance(value, str):
        return int(value) if _NUMBER.match(value) else None
    # There is no whole number of what is infinite, or no number at all.
    if isinstance(value, (int, float)) and abs(value) < _LARGEST and value == int(value):
        return int(value)
    return None


def _number(value: Any) -> str:
    return "no number" if whole_number(value) is None else ""


def _text(value: Any) -> str:
    return "" if isinstance(value, str) else "no text"


def _plain(value: Any) -> str:
    return "" if isinstance(value, (str, int, float)) else "neither text nor number"


def _maybe(check: Check) -> Check:
    return lambda value: "" if value is None else check(value)


def _mapping(check: Check) -> Check:
    """Return the check for a mapping of whatever names to such values."""

    def wrong(value: Any) -> str:
        if not isinstance(value, Mapping):
            return "no mapping"
        return _first((name, check(one)) for name, one in value.items())

    return wrong


def _row(given: Mapping[str, Check], **needed: Check) -> Check:
    """Return the check for a mapping with the ``needed`` fields, and maybe those of ``given``."""

    def wrong(value: Any) -> str:
        if not isinstance(value, Mapping):
            return "no mapping"
        missing = next((name for name in needed if name not in value), None)
        if missing is not None:
            return f"{missing}: missing"
        return _first((name, check(value[name])) for name, check in {**given, **needed}.items() if name in value)

    return wrong


def _rows(check: Check) -> Check:
    def wrong(value: Any) -> str:
        if not isinstance(value, list):
            return "no list"
        return _first((f"row {number}", check(row)) for number, row in enumerate(value, 1))

    return wrong


def _first(problems: Any) -> str:
    return next((f"{name}: {said}" for name, said in problems if said), "")


# -- answers -----------------------------------------------------------------------------------------------------------

_COMMENT: Mapping[str, Check] = {"comment": _maybe(_plain)}
_TOKEN = _row({**_COMMENT, "privsep": _number, "expire": _maybe(_number)}, tokenid=_text)
_USER = _row(
    {
        **_COMMENT,
        **dict.fromkeys(("firstname", "lastname", "email", "keys"), _maybe(_plain)),
        **dict.fromkeys(("expire", "tfa-locked-until", "totp-locked"), _maybe(_number)),
        "enable": _number,
        "groups": _maybe(_text),
        "tokens": _maybe(_rows(_TOKEN)),
    },
    userid=_text,
)
_FACTOR = _row({"enable": _plain, "type": _maybe(_text)})
_MEMBER = _row({"vmid": _number, "storage": _text, "type": _maybe(_text)})
_POOL = _row(_COMMENT, members=_rows(_MEMBER))
_ERRORS: Mapping[str, Check] = {"errors": _maybe(_mapping(_plain))}
_RULE = _row(
    {
        **_ERRORS,
        **dict.fromkeys(
            ("macro", "source", "dest", "proto", "dport", "sport", "icmp-type", "iface", "log", "comment"),
            _maybe(_plain),
        ),
        "enable": _maybe(_number),
        "ipversion": _maybe(_number),
    },
    type=_text,
    action=_text,
)
_NODE, _STORAGE, _OF_POOL = _row({}, node=_text), _row({}, storage=_text), _row({}, pool=_text)
_GUEST = _row({"pool": _maybe(_text)}, node=_text, vmid=_number)
_RESOURCES = {"node": _NODE, "storage": _STORAGE, "pool": _OF_POOL, "qemu": _GUEST, "lxc": _GUEST}
_RESOURCE = _row({"status": _maybe(_text)}, type=_text)


def _resource(row: Any) -> str:
    said = _RESOURCE(row)
    if said:
        return said
    check = _RESOURCES.get(row["type"])
    return check(row) if check else "vmid: not of a guest" if "vmid" in row else ""


def _list_of_one_pool(answer: Any) -> str:
    return _rows(_POOL)(answer) or ("" if answer else "empty")


def _permissions(answer: Any) -> str:
    return _mapping(_mapping(_number))(answer) if answer not in (None, []) else ""


_NAME = "[^/?]+"
_FIREWALL = rf"(?:/cluster|/nodes/{_NAME}|/nodes/{_NAME}/(?:qemu|lxc)/[0-9]+|/cluster/sdn/vnets/{_NAME})/firewall"
_BY_FORM: tuple[tuple[re.Pattern[str], Check], ...] = tuple(
    (re.compile(form), check)
    for form, check in {
        "/access/permissions": _permissions,
        r"/access/users\?full=1": _rows(_USER),
        "/access/groups": _rows(_row(_COMMENT, groupid=_text)),
        "/access/roles": _rows(_row({"privs": _maybe(_text), "special": _maybe(_number)}, roleid=_text)),
        "/access/acl": _rows(_row({"propagate": _number}, type=_text, ugid=_text, path=_text, roleid=_text)),
        "/access/domains": _rows(_row({"type": _maybe(_text)}, realm=_text)),
        "/access/tfa": _rows(_row({"entries": _maybe(_rows(_FACTOR))}, userid=_text)),
        "/cluster/resources": _rows(_resource),
        "/pools": _rows(_row(_COMMENT, poolid=_text)),
        r"/pools\?poolid=.+": _list_of_one_pool,
        "/pools/.+": _POOL,
        "/storage": _rows(_STORAGE),
        f"/nodes/{_NAME}/certificates/info": _rows(_row({"filename": _maybe(_text), "notafter": _maybe(_number)})),
        "/cluster/sdn/vnets": _rows(_row({}, vnet=_text)),
        f"/nodes/{_NAME}/(?:qemu|lxc)/[0-9]+/config": _mapping(_plain),
        f"{_FIREWALL}/options": _mapping(_plain),
        f"{_FIREWALL}/rules": _rows(_RULE),
        f"{_FIREWALL}/groups": _rows(_row(_COMMENT, group=_text)),
        f"{_FIREWALL}/groups/{_NAME}": _rows(_RULE),
        f"{_FIREWALL}/aliases": _rows(_row({**_COMMENT, "ipversion": _maybe(_number)}, name=_text, cidr=_text)),
        f"{_FIREWALL}/ipset": _rows(_row(_COMMENT, name=_text)),
        f"{_FIREWALL}/ipset/{_NAME}": _rows(_row({**_COMMENT, **_ERRORS, "nomatch": _maybe(_number)}, cidr=_text)),
        f"{_FIREWALL}/refs": _rows(_row({"scope": _text}, name=_text, type=_text)),
    }.items()
)
