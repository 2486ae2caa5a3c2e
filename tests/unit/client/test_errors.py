"""How answers become errors: by status, with what PVE said and what to do."""

from __future__ import annotations

import json

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import (
    ApiError,
    AuthenticationError,
    NodeUnreachable,
    ParameterError,
    PermissionDenied,
    PveError,
    UnknownEndpoint,
    error_from_answer,
    is_digest_conflict,
    is_lock_timeout,
)

LOCKED = "create group failed: cfs-lock 'file-user_cfg' error: got lock request timeout"
CHANGED = "detected modified configuration - file changed by other user? Try again."


def answer(status: int, reason: str = "", body: object = None) -> ApiError:
    encoded = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return error_from_answer("PUT", "/access/acl", status, reason, encoded)


@pytest.mark.parametrize(
    ("status", "kind", "hint"),
    [
        (400, ParameterError, "Correct the value"),
        (401, AuthenticationError, "never a ':'"),
        (403, PermissionDenied, "privilege separation needs an ACL entry of its own"),
        (501, UnknownEndpoint, "does not know the call"),
        (595, NodeUnreachable, "is down"),
        (596, NodeUnreachable, "is down"),
        (301, ApiError, "Redirects are not followed"),
        (503, ApiError, "web proxy"),
        (500, ApiError, ""),
    ],
)
def test_the_status_decides(status: int, kind: type[ApiError], hint: str) -> None:
    error = answer(status, "Why not")
    assert error.__class__ is kind
    assert hint in error.hint
    assert (error.status, error.reason, error.text) == (status, "Why not", "Why not")
    assert str(error).startswith(f"PUT /access/acl: PVE answered {status} Why not")


def test_the_body_has_more_to_say_than_the_status_line() -> None:
    body = {"data": None, "message": "Parameter verification failed.\n", "errors": {"userid": "invalid format - x\n"}}
    error = answer(400, "Parameter verification failed.", body)
    assert error.errors == {"userid": "invalid format - x"}
    assert error.message.endswith("Parameter verification failed.; userid: invalid format - x")
    error = answer(403, "Permission check failed (URI", {"message": "Permission check failed (URI\n)\n"})
    assert error.text == "Permission check failed (URI\n)"
    assert "\n" not in error.message


def test_before_8_4_only_the_status_line_speaks() -> None:
    assert answer(500, "no such user ('x')", {"data": None}).text == "no such user ('x')"
    error = answer(400, "Parameter verification failed.", {"data": None, "errors": {"userid": "too short"}})
    assert "userid: too short" in str(error)


def test_bodies_of_plain_text_and_of_other_servers() -> None:
    assert answer(501, "no such uri", b"no such uri").text == "no such uri"
    assert answer(502, "Bad Gateway", b"<html><body>nginx</body></html>").text == "Bad Gateway"
    assert answer(500, "", b"\xff\xfe").status == 500
    assert "(no text)" in str(answer(599))
    assert answer(500, "odd", [1]).text == "odd"


def test_a_400_inside_a_500_still_names_the_parameter() -> None:
    text = "ACL update failed: 400 Parameter verification failed.\nrole: Cannot add role 'X' - it is: no use\n"
    error = answer(500, "ACL update failed: 400 Parameter verification failed.", {"message": text})
    assert error.__class__ is ApiError
    assert error.errors == {"role": "Cannot add role 'X' - it is: no use"}
    assert str(error).count("Cannot add role") == 1
    assert "does not say which parameter" in answer(500, text.splitlines()[0]).hint


def test_the_two_texts_without_a_status_of_their_own() -> None:
    assert is_lock_timeout(answer(500, LOCKED))
    assert is_digest_conflict(answer(500, "", {"message": CHANGED + "\n"}))
    assert not is_lock_timeout(answer(500, CHANGED))
    assert not is_digest_conflict(answer(500, LOCKED))
    for error in (answer(500, LOCKED), answer(500, CHANGED)):
        assert "Nothing was written" in error.hint


@pytest.mark.parametrize("error", [answer(400, LOCKED), answer(403, CHANGED), PveError(LOCKED), ValueError(CHANGED)])
def test_the_texts_count_in_a_500_of_pve_alone(error: Exception) -> None:
    assert not is_lock_timeout(error)
    assert not is_digest_conflict(error)


def test_texts_are_utf_8() -> None:
    assert "Jörg" in str(answer(500, "", {"message": "no such user ('Jörg@pve')"}))


def test_a_message_and_its_hint_are_two_sentences() -> None:
    assert str(PveError("It failed")) == "It failed"
    assert str(PveError("It failed", "Try again.")) == "It failed. Try again."
    assert str(PveError("It failed.", "Try again.")) == "It failed. Try again."
