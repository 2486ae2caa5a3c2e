"""Bytes to parameters, and answers to bytes, with the peculiarities of PVE's HTTP server."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from .errors import ApiError, Failure

Parameters = dict[str, Any]
BARE = object()  # a form key without "=": a method that runs as root sees it as an empty text, others not at all


def decode_path(raw: str) -> str:
    """Decode a path byte by byte: it is never taken as UTF-8, so characters beyond ASCII come out as two or more."""
    return unquote_to_bytes(raw).decode("latin-1")


def decode_form(data: str) -> Parameters:
    """Decode a query or a form body.

    ``&`` and ``;`` separate pairs (empty ones at the end do not count), a second ``=`` ends the value, and a key that
    is repeated makes a list.
    """
    found: Parameters = {}
    for pair in re.split(r"[&;]", data.rstrip("&;")) if data.rstrip("&;") else []:
        key, equals, rest = pair.partition("=")
        name = unquote_to_bytes(key.replace("+", " ")).decode("latin-1")
        value: Any = _text(rest.partition("=")[0]) if equals else BARE
        old = found.get(name, BARE)
        if old is BARE or value is BARE:
            found[name] = value
        else:
            found[name] = [*old, value] if isinstance(old, list) else [old, value]
    return found


def _text(encoded: str) -> str:
    return unquote_to_bytes(encoded.replace("+", " ")).decode("utf-8", "replace")


def decode_json(body: bytes) -> Parameters:
    """Decode a JSON body. Numbers become text, as PVE's daemons hand them to each other."""
    try:
        value = json.loads(body)
    except ValueError as error:
        raise Failure(f"malformed JSON string, {error}") from None
    if not isinstance(value, dict):
        raise Failure("Not a HASH reference")
    return {name: _plain(item) for name, item in value.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return value  # only parameters that are boolean take it
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def decode_body(content_type: str, body: bytes) -> Parameters:
    """Decode a request body by its content type. Raises ApiError 506 for a type that PVE does not take."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        return decode_json(body) if body else {}
    if kind in ("", "application/x-www-form-urlencoded"):
        return decode_form(body.decode("latin-1")) if body else {}
    raise ApiError(506, f"upload 'Content-Type '{content_type}' not implemented")


class Fragments(list[str]):
    """A list of which each item is already JSON: the same rows are asked for again and again."""


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
to_json = _ENCODER.encode


def encode(data: Any, extra: Mapping[str, Any] | None = None) -> bytes:
    """Return the JSON body of a success."""
    if isinstance(data, Fragments):
        return ('{"data":[' + ",".join(data) + "]}").encode()
    return to_json({"data": data, **(extra or {})}).encode()


def encode_error(error: ApiError, with_message: bool) -> bytes:
    """Return the JSON body of a refusal; releases before 8.4 leave the message to the status line."""
    body: dict[str, Any] = {"data": None}
    if with_message:
        body["message"] = error.message
    if error.errors:
        body["errors"] = error.errors
    return to_json(body).encode("utf-8", "replace")


def reason(message: str) -> str:
    """Return what goes into the status line: the first line of a message.

    Perl writes texts without wide characters byte by byte, so what a path brought in comes out as it came.
    """
    line = message.split("\n", 1)[0].replace("\r", " ")
    try:
        return line.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return line
