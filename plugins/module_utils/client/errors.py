"""What can go wrong when talking to PVE: one short tree, every failure with a hint.

The HTTP status decides the class. Texts decide nothing, with two exceptions that have no status of their own:
they stand in ``KNOWN_TEXTS``.
"""

from __future__ import annotations

import json

from ..wording import one_line


class PveError(Exception):
    """A failure that a user can act upon: ``message`` says what happened, ``hint`` what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        end = "" if self.message.endswith((".", "!", "?")) else "."
        return f"{self.message}{end} {self.hint}"


class OptionError(PveError):
    """An option is missing, malformed or contradicts another one. Nothing was sent."""


class TransportError(PveError):
    """No usable answer. ``sent`` is true when the request may have reached PVE, and may have taken effect.

    ``timed_out`` is true when waiting again would only cost the same time again.
    """

    def __init__(self, message: str, hint: str = "", *, sent: bool, timed_out: bool = False) -> None:
        super().__init__(message, hint)
        self.sent = sent
        self.timed_out = timed_out


class TlsError(TransportError):
    """The server could not prove who it is. No credential was sent."""


class ApiError(PveError):
    """PVE answered, and the answer is not a success.

    ``text`` is all that PVE said, ``reason`` only the phrase of the status line. ``errors`` maps parameter names to
    what is wrong with them. ``method`` and ``path`` are what was asked; the parameters are not kept.
    """

    default_hint = ""

    def __init__(
        self, method: str, path: str, status: int, *, reason: str, text: str, errors: dict[str, str] | None = None
    ) -> None:
        self.method = method
        self.path = path
        self.status = status
        self.reason = reason
        self.text = text
        self.errors = errors or {}
        # An answer is shown on one line; the text may have many, and names the parameters only sometimes.
        said = one_line(text) or "(no text)"
        unsaid = [f"{name}: {' '.join(what.split())}" for name, what in sorted(self.errors.items()) if what not in text]
        super().__init__(f"{method} {path}: PVE answered {status} {'; '.join([said, *unsaid])}", self._hint())

    def _hint(self) -> str:
        for name, (_text, hint) in KNOWN_TEXTS.items():
            if _says(self, name):
                return hint
        if INNER_400 in self.text and not self.errors:
            return "This release does not say which parameter it means (8.4 and later do)."
        return HINTS.get(self.status, self.default_hint)


class ParameterError(ApiError):
    """400: PVE does not accept a parameter; ``errors`` says which."""

    default_hint = "Correct the value named here. A parameter that PVE does not know may need a newer release."


class AuthenticationError(ApiError):
    """401: PVE does not accept the credentials."""

    default_hint = (
        "Check that the token id is whole (user@realm!name), that the secret is the one shown when the token was made "
        "(with curl it follows a '=', never a ':'), and that user and token exist, are enabled and not expired: "
        "newer releases give the same answer to all of these."
    )


class PermissionDenied(ApiError):
    """403: the credentials are good, their rights do not suffice."""

    default_hint = (
        "The text names path and privilege where PVE says them. A token with privilege separation needs an ACL entry "
        "of its own, and its user needs the privilege too; a deeper entry replaces what comes from above. "
        "Some calls are for root@pam with a password alone."
    )


class UnknownEndpoint(ApiError):
    """501: this release has no such path or method, or the request was too large for it."""

    default_hint = (
        "This release of PVE does not know the call, or the request was too large (64 KiB before 8.4), or what answers "
        "is no PVE API: check host, port and the ids in the path (white space in an id is never found)."
    )


class NodeUnreachable(ApiError):
    """595 or 596: the node that was asked could not reach the node (or the daemon) that the call is for."""

    default_hint = (
        "The node named in the path is down or cut off, or its pvedaemon is not running. "
        "Check it with `pvecm status` and `systemctl status pvedaemon`."
    )


BY_STATUS: dict[int, type[ApiError]] = {
    400: ParameterError,
    401: AuthenticationError,
    403: PermissionDenied,
    501: UnknownEndpoint,
    595: NodeUnreachable,
    596: NodeUnreachable,
}

_REDIRECT = (
    "Redirects are not followed, so that credentials go nowhere else. "
    "Check host and port (PVE listens on 8006), and that no web proxy stands in between."
)
HINTS: dict[int, str] = {
    301: _REDIRECT,
    302: _REDIRECT,
    303: _REDIRECT,
    307: _REDIRECT,
    308: _REDIRECT,
    404: "PVE hardly ever answers 404: check that host and port are those of PVE (8006).",
    502: "A web proxy answered, not PVE: check host and port.",
    503: "A web proxy answered, not PVE: check host and port.",
    504: "A web proxy answered, not PVE: check host and port.",
}

# The two states that PVE tells by text alone (both are a 500): name -> (text, hint).
KNOWN_TEXTS = {
    "digest conflict": (
        "detected modified configuration",
        "Somebody else changed the same configuration in between. Nothing was written; run again.",
    ),
    "lock timeout": (
        "got lock request timeout",
        "Another task holds the configuration lock. Nothing was written; run again.",
    ),
}

# Handlers that work under a lock turn a 400 into text: "updating x failed: 400 Parameter verification failed.".
INNER_400 = "400 Parameter verification failed."


def _says(error: BaseException, name: str) -> bool:
    return isinstance(error, ApiError) and error.status == 500 and KNOWN_TEXTS[name][0] in error.text


def is_digest_conflict(error: BaseException) -> bool:
    """Whether a write was refused because its ``digest`` is no longer that of the configuration."""
    return _says(error, "digest conflict")


def is_lock_timeout(error: BaseException) -> bool:
    """Whether a write was refused because the lock could not be had; nothing was changed, so it can be repeated."""
    return _says(error, "lock timeout")


def error_from_answer(method: str, path: str, status: int, reason: str, body: bytes) -> ApiError:
    """Read an unsuccessful answer.

    Since 8.4 the JSON body has the whole ``message``; before it, the reason phrase has the first line of it.
    Errors from before the dispatch have a body of plain text, a 401 and a 595 have none.
    """
    text, errors = reason, {}
    content = body.decode("utf-8", errors="replace").strip()
    try:
        document = json.loads(content) if content else {}
    except ValueError:
        # A page of HTML (some other server) explains nothing that the reason does not.
        text = reason if content.startswith("<") else content.splitlines()[0]
        document = {}
    if isinstance(document, dict):
        message, named = document.get("message"), document.get("errors")
        if isinstance(message, str) and message.strip():
            text = message.strip()
        if isinstance(named, dict):
            errors = {str(name): str(what).strip() for name, what in named.items()}
    if not errors and INNER_400 in text:
        errors = _inner_errors(text)
    return BY_STATUS.get(status, ApiError)(method, path, status, reason=reason, text=text, errors=errors)


def _inner_errors(text: str) -> dict[str, str]:
    pairs = (line.split(": ", 1) for line in text.split(INNER_400, 1)[1].splitlines())
    return {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) > 1}
