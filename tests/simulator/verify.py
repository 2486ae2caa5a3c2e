"""Verification of parameters against their declaration, with PVE's texts.

Values come in as text, lists of text, or (from JSON only) nested objects; see ``wire.py``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.homelab.pve.plugins.module_utils.access.releases import Release, privileges

from .errors import ParameterError
from .schema import Endpoint, Parameter

MISSING = "property is missing and it is not optional"
UNDECLARED = "property is not defined in schema and the schema does not allow additional properties"
_REALM = r"[A-Za-z][A-Za-z0-9.\-_]+"
_USERID = re.compile(rf"([^\s:/]+)@({_REALM})\Z")
_TOKENID = re.compile(rf"([^\s:/]+@{_REALM})!({_REALM})\Z")
_INTEGER = re.compile(r"[+-]?\d+$", re.ASCII)  # a line end at the end passes, as in Perl
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z", re.ASCII)
_MIN_USERID, _MAX_USERID = 3, 64
_POOL_LEVELS = 3


class FormatError(ValueError):
    """A value does not have its format; the text says why."""


def split_list(text: str) -> list[str]:
    """Split a list as PVE does: at commas, semicolons, white space and NUL; empty items do not count."""
    return [item for item in re.split(r"[,;\s\0]+", text) if item]


def split_userid(userid: str) -> tuple[str, str]:
    """Return (name, realm) of a userid. Raises FormatError with PVE's text."""
    if len(userid) < _MIN_USERID:
        raise FormatError(f"user name '{userid}' is too short")
    if len(userid) > _MAX_USERID:
        raise FormatError(f"user name '{userid}' is too long ({len(userid)} > {_MAX_USERID})")
    match = _USERID.match(userid)
    if not match:
        raise FormatError(f"value '{userid}' does not look like a valid user name")
    return match[1], match[2]


def split_tokenid(tokenid: str) -> tuple[str, str]:
    """Return (userid, token name) of a full token id. Raises FormatError with PVE's text."""
    match = _TOKENID.match(tokenid)
    if not match:
        raise FormatError(f"value '{tokenid}' does not look like a valid token ID")
    return match[1], match[2]


def _characters(what: str) -> Callable[[str, Release], None]:
    def check(text: str, release: Release) -> None:
        if not re.match(r"[A-Za-z0-9.\-_]+\Z", text):
            raise FormatError(f"{what} name '{text}' contains invalid characters")

    return check


def _priv(text: str, release: Release) -> None:
    if text not in privileges(release):
        raise FormatError(f"invalid privilege '{text}'")


def _poolid(text: str, release: Release) -> None:
    levels = text.split("/")
    if release >= (8, 1) and len(levels) > _POOL_LEVELS:
        raise FormatError(f"pool name '{text}' nested too deeply (max levels = {_POOL_LEVELS})")
    nested = release >= (8, 1)
    if not all(re.match(r"[A-Za-z0-9.\-_]+\Z", level) for level in (levels if nested else [text])):
        raise FormatError(f"pool name '{text}' contains invalid characters")


def _looks_like(pattern: str, text_if_not: str, flags: int = 0) -> Callable[[str, Release], None]:
    compiled = re.compile(rf"(?:{pattern})\Z", flags)

    def check(text: str, release: Release) -> None:
        if not compiled.match(text):
            raise FormatError(text_if_not.format(text))

    return check


def _content(text: str, release: Release) -> None:
    if text not in {"images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none"}:
        raise FormatError(f"invalid content type '{text}'")


def _email(text: str, release: Release) -> None:
    if not re.match(r"[\w+\-~]+(?:\.[\w+\-~]+)*@[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*\Z", text):
        raise FormatError("value does not look like a valid email address")


def _address(versions: tuple[int, ...], text_if_not: str) -> Callable[[str, Release], None]:
    def check(text: str, release: Release) -> None:
        try:
            if ipaddress.ip_address(text).version in versions:
                return
        except ValueError:
            pass
        raise FormatError(text_if_not)

    return check


_FORMATS: dict[str, Callable[[str, Release], None]] = {
    "pve-userid": lambda text, release: void(split_userid(text)),
    "pve-tokenid": lambda text, release: void(split_tokenid(text)),
    "pve-groupid": _characters("group"),
    "pve-roleid": _characters("role"),
    "pve-priv": _priv,
    "pve-poolid": _poolid,
    "pve-realm": _looks_like(_REALM, "value does not look like a valid realm"),
    "pve-configid": _looks_like(r"[a-z][a-z0-9_-]+", "invalid configuration ID '{0}'", re.IGNORECASE),
    "pve-vmid": _looks_like(r"[1-9][0-9]{2,8}", "value does not look like a valid VM ID"),
    "pve-node": _looks_like(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?", "value does not look like a valid node name"),
    "pve-storage-id": _looks_like(
        r"[a-z][a-z0-9\-_.]*[a-z0-9]", "storage ID '{0}' contains illegal characters", re.IGNORECASE
    ),
    "pve-storage-content": _content,
    "email": _email,
    "ip": _address((4, 6), "value does not look like a valid IP address"),
    "ipv4": _address((4,), "value does not look like a valid IPv4 address"),
    "ipv6": _address((6,), "value does not look like a valid IPv6 address"),
}


def void(value: object) -> None:
    """Drop a result, for callers that want only the exception."""


def add_format(name: str, check: Callable[[str, Release], None]) -> None:
    """Make another format known. ``check`` raises FormatError; lists and options of the format follow from it."""
    _FORMATS[name] = check


def check_format(name: str, text: str, release: Release) -> None:
    """Check a text against a named format. Raises FormatError; a format that is not known takes everything."""
    if name in _FORMATS:
        _FORMATS[name](text, release)
    elif name.endswith("-opt"):
        if text not in ("", "0"):
            check_format(name[: -len("-opt")], text, release)
    elif name.endswith("-list"):
        for item in split_list(text):
            check_format(name[: -len("-list")], item, release)


def verify(endpoint: Endpoint, given: Mapping[str, Any], release: Release) -> dict[str, Any]:
    """Return the parameters that a handler gets: text, or a list of text for arrays. Raises ParameterError.

    Lists that were sent as arrays are joined for parameters that are lists in a text.
    """
    errors: dict[str, list[str]] = {}

    def wrong(name: str, text: str) -> None:
        errors.setdefault(name, []).append(text)

    values = {name: value for name, value in given.items() if value is not None}
    declared = endpoint.parameters
    for name in given.keys() & declared.keys():
        parameter, value = declared[name], values.get(name)
        if parameter.format.endswith("-list") and isinstance(value, list) and release >= (8, 0):
            values[name] = "\0".join(str(item) for item in value)
        elif parameter.type == "array" and isinstance(value, str):
            values[name] = split_list(value)
    for name, parameter in declared.items():
        value = values.get(name)
        if value is None:
            if not parameter.optional:
                wrong(name, MISSING)
            continue
        text = _problem(value, parameter, release)
        if text:
            wrong(name, text)
        if parameter.requires and values.get(parameter.requires) is None:
            wrong(parameter.requires, f"missing property required by '{name}'")
    if not endpoint.open_ended:
        for name in given:
            if name not in declared:
                wrong(name or "_root", UNDECLARED)
    if errors:
        raise ParameterError({name: "\n".join(texts) for name, texts in errors.items()})
    return {name: str(int(value)) if isinstance(value, bool) else value for name, value in values.items()}


def _problem(value: Any, parameter: Parameter, release: Release) -> str | None:
    kind = parameter.type
    if kind == "array":
        return None if isinstance(value, list) else "type check ('array') failed"
    if isinstance(value, bool):
        return None if kind == "boolean" else f"type check ('{kind}') failed - got JSON::PP::Boolean"
    if isinstance(value, (list, dict)):
        return f"type check ('{kind}') failed - got {'ARRAY' if isinstance(value, list) else 'HASH'}"
    text = str(value)
    if (
        (kind == "boolean" and text not in ("0", "1"))
        or (kind == "integer" and not _INTEGER.match(text))
        or (kind == "number" and not _NUMBER.match(text))
    ):
        return f"type check ('{kind}') failed - got '{text}'"
    return _outside_format(text, parameter, release) or _outside_limits(text, parameter)


def _outside_format(text: str, parameter: Parameter, release: Release) -> str | None:
    if parameter.format:
        try:
            check_format(parameter.format, text, release)
        except FormatError as error:
            return f"invalid format - {error}\n"
    # Perl's $ also matches before a line end at the end, and so does Python's.
    if parameter.pattern and not re.match(rf"(?:{parameter.pattern})$", text):
        return "value does not match the regex pattern"
    return None


def _outside_limits(text: str, parameter: Parameter) -> str | None:
    if parameter.max_length is not None and len(text) > parameter.max_length:
        return f"value may only be {parameter.max_length} characters long"
    if parameter.min_length is not None and len(text) < parameter.min_length:
        return f"value must be at least {parameter.min_length} characters long"
    if _NUMBER.match(text):
        if parameter.maximum is not None and float(text) > float(parameter.maximum):
            return f"value must have a maximum value of {parameter.maximum}"
        if parameter.minimum is not None and float(text) < float(parameter.minimum):
            return f"value must have a minimum value of {parameter.minimum}"
    if parameter.enum and text not in parameter.enum:
        return f"value '{text}' does not have a value in the enumeration '{', '.join(parameter.enum)}'"
    return None
