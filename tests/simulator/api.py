"""One request, from its decoded parts to an answer, in PVE's order of evaluation.

Authentication, format, method, parameters repeated in the path, token allowed, permission, node, verification,
handler: each step's refusal hides those of the later steps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from ansible_collections.homelab.pve.plugins.module_utils.access.model import ROOT

from .auth import Authenticator, Credentials
from .errors import ApiError, Failure, Forbidden, NotSimulated, ParameterError, Unauthorised, Unreachable
from .handlers import Call, load_all
from .permission import enforce
from .schema import Endpoint, tree
from .state import State
from .verify import verify
from .wire import BARE, decode_body, decode_form, decode_path, encode, encode_error, reason

METHODS = ("GET", "POST", "PUT", "DELETE")
_WITH_BODY = ("POST", "PUT")
# These need no log-in. A token that is good is noticed all the same, and may then be refused.
_OPEN = {
    ("GET", "/access/domains"),
    ("GET", "/access/ticket"),
    ("POST", "/access/ticket"),
    ("POST", "/access/vncticket"),
    ("POST", "/access/openid/auth-url"),
    ("POST", "/access/openid/login"),
}
_JSON = "application/json;charset=UTF-8"
_TEXT = "text/plain"
_CONFLICT = "duplicate parameter (already defined in URI) with conflicting values!"
_MESSAGE_SINCE = (8, 4)
_FORMATTERS = ("json", "extjs", "htmljs", "html", "spiceconfig", "png")
_SECRET = re.compile(r"password|secret|ticket|challenge|otp|totp|\bkey\b|client-key|vncticket", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """What came over the wire. ``target`` is the raw path with its query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What goes back. ``reason`` is one line; a status of 400 or more ends the connection."""

    status: int
    reason: str
    body: bytes
    content_type: str = _JSON
    subject: str | None = None
    seconds: float = 0  # that pass before it comes

    @property
    def closes(self) -> bool:
        return self.status >= 400


class Api:
    """PVE's API on a state."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.authenticator = Authenticator(state)
        self._tree = tree(state.release)
        self._handlers = load_all()

    def answer(self, request: Request) -> Answer:
        """Answer a request. Runs to its end without waiting, so requests never see each other half done."""
        if request.method not in METHODS:
            return self._plain(501, f"method '{request.method}' not available", b"")
        raw_path, unused, query = request.target.partition("?")
        path = decode_path(raw_path)
        match = re.match(r"/+api2/+([a-z][a-z0-9]+)(/.*)?\Z", path, re.DOTALL)
        if not match:
            if path.startswith("/api2"):
                return self._plain(501, "no such uri")
            return self._plain(500, f"no such file '{path}'")
        formatter, inner = match[1], match[2] or "/"
        if request.method not in _WITH_BODY and request.body:
            return self._plain(501, f"Unexpected content for method '{request.method}'")
        call = _Request(request, inner, query)
        try:
            body = self._handle(call, formatter)
        except Unauthorised as error:
            return Answer(401, reason(error.message), b"", _TEXT, call.subject)
        except Unreachable as error:
            return Answer(error.status, reason(error.message), b"", _TEXT, call.subject, error.seconds)
        except ApiError as error:
            if call.plain:
                return self._plain(error.status, error.message)
            with_message = self.state.release >= _MESSAGE_SINCE
            return Answer(error.status, reason(error.message), encode_error(error, with_message), _JSON, call.subject)
        return Answer(200, "OK", body, _JSON, call.subject)

    def _plain(self, status: int, text: str, body: bytes | None = None) -> Answer:
        if body is None:
            body = text.encode() if self.state.release >= _MESSAGE_SINCE else b""
        return Answer(status, reason(text), body, _TEXT)

    def _handle(self, call: _Request, formatter: str) -> bytes:
        request = call.request
        given = call.parameters()
        call.subject = self._authenticate(request, call.inner)
        if formatter not in _FORMATTERS:
            call.plain = True
            raise ApiError(501, f"no formatter for uri {call.inner}, {formatter}")
        call.plain = False
        found = self._tree.find(request.method, call.inner)
        if found is None:
            raise ApiError(501, f"Method '{request.method} {call.inner}' not implemented")
        endpoint, in_path = found
        given = _for_method(given, endpoint)
        for name, value in in_path.items():
            if given.get(name) is not None and given[name] != value:
                raise ParameterError({name: _CONFLICT})
        given.update(in_path)
        if call.subject and "!" in call.subject.rpartition("@")[2] and not endpoint.tokens_allowed:
            raise Forbidden(f"URI '{call.inner}' not available with API token, need proper ticket.\n")
        enforce(endpoint.check, call.subject, given, self.state.rights)
        if endpoint.on_node:
            if not given.get("node"):
                raise ParameterError({"node": "proxy parameter 'node' does not exists"})
            self._reach(str(given["node"]))
        return self._perform(endpoint, given, call.subject)

    def find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]] | None:
        """Return what a path means, with the parameters in it: see ``Tree.find``."""
        return self._tree.find(method, path)

    def as_root(self, endpoint: Endpoint, given: Mapping[str, Any]) -> bytes:
        """Answer a call of root@pam on the host itself, whom nobody asks who he is or what he may. Raises ApiError."""
        return self._perform(endpoint, given, ROOT)

    def _perform(self, endpoint: Endpoint, given: Mapping[str, Any], subject: str | None) -> bytes:
        parameters = verify(endpoint, given, self.state.release)
        handler = self._handlers.get((endpoint.method, endpoint.path))
        if handler is None:
            raise NotSimulated(endpoint.method, endpoint.path)
        done = Call(self.state, self.authenticator, subject, parameters)
        return encode(handler(done), done.extra)

    def _authenticate(self, request: Request, path: str) -> str | None:
        credentials = Credentials.from_headers(request.headers)
        if (request.method, path.rstrip("/")) not in _OPEN:
            return self.authenticator.authenticate(credentials, request.method)
        try:
            return self.authenticator.authenticate(Credentials(token=credentials.token), "GET")
        except Unauthorised:
            return None

    def _reach(self, node: str) -> None:
        """Stand for the way to the node that must answer."""
        if node == "localhost":
            return
        found = self.state.nodes.get(node)
        if found is None:
            what = f"failed to get address info for: {node}: Name or service not known"
            raise Failure(f"hostname lookup '{node}' failed - {what}")
        if not found.online:
            if found.answers == "timeout":
                raise Unreachable("Connection timed out", 596, found.seconds)
            raise Unreachable("Connection refused" if found.answers == "refused" else "No route to host")


class _Request:
    """A request on its way: who it turned out to be from, and how its errors look at this point."""

    def __init__(self, request: Request, inner: str, query: str) -> None:
        self.request = request
        self.inner = inner
        self.query = query
        self.subject: str | None = None
        self.plain = True  # errors before the formatter is known have a plain text as their body

    def parameters(self) -> dict[str, Any]:
        body: dict[str, Any] = {}
        if self.request.method in _WITH_BODY:
            content_type = self.request.headers.get("Content-Type", "")
            body = decode_body(content_type, self.request.body)
        given = {**body, **decode_form(self.query)}
        given.pop("_dc", None)
        return given


def _for_method(given: Mapping[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    """Read form keys without a value: on their way to the daemon that runs as root they become empty texts."""
    bare = "" if endpoint.as_root else None
    return {name: bare if value is BARE else value for name, value in given.items()}


def loggable(request: Request) -> dict[str, Any]:
    """Return the parameters of a request for the log, secrets masked; those of a body that cannot be read are none."""
    query = request.target.partition("?")[2]
    if not query and not request.body:
        return {}
    try:
        given = _Request(request, "", query).parameters()
    except ApiError:
        return {}
    return {
        name: "***" if _SECRET.search(name) else ("" if value is BARE else value)
        for name, value in given.items()
        if isinstance(name, str)
    }


def loggable_path(target: str) -> str:
    """Return the decoded path of a request without its query."""
    return unquote_plus(target.partition("?")[0])
