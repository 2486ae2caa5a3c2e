"""The client: PVE's API as four verbs, with credentials, careful repetition and errors that teach."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Mapping
from typing import Any, Callable, Optional, Protocol
from urllib.parse import quote

from ansible_collections.homelab.pve.plugins.module_utils.client.errors import (
    AuthenticationError,
    OptionError,
    PveError,
    TlsError,
    TransportError,
    error_from_answer,
    is_lock_timeout,
)
from ansible_collections.homelab.pve.plugins.module_utils.client.https import HttpsTransport
from ansible_collections.homelab.pve.plugins.module_utils.client.loopback import LoopbackTransport
from ansible_collections.homelab.pve.plugins.module_utils.client.options import (
    CREDENTIALS,
    LOOPBACK,
    PVESH,
    ConnectionOptions,
    check_secret,
    check_token_id,
)
from ansible_collections.homelab.pve.plugins.module_utils.client.pvesh import PveshTransport
from ansible_collections.homelab.pve.plugins.module_utils.client.tickets import LogIn, Ticket
from ansible_collections.homelab.pve.plugins.module_utils.client.transport import Answer, Transport

# Seconds to wait before a request is sent again. The first repetition is at once: what it cures is a connection that
# PVE had closed in the meantime. The others outlast a restart of pveproxy.
PAUSES = (0.0, 0.5, 2.0)
# PVE itself has waited 10 seconds for the lock each time.
LOCK_PAUSES = (1.0, 3.0)

_OK, _UNAUTHORISED = 200, 401
# Parameters whose values are never shown, whoever echoes them.
_SECRET_PARAMS = ("password", "confirmation-password", "tfa-challenge")
_RELEASE = re.compile(r"(\d+)\.(\d+)")

Params = Optional[Mapping[str, object]]


class Reader(Protocol):
    """Whatever can read PVE's API. Domain code that only observes asks for this and nothing more."""

    def get(self, path: str, params: Params = None) -> Any:
        """Return the ``data`` of a GET."""

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor release, asked for once."""

    @property
    def identity(self) -> str:
        """Who reads: a token id or a user id."""


class Client:
    """A connection to PVE with one set of credentials.

    Paths are raw text (``/access/users/joe@pve``); what has to be percent-encoded in them is. Parameters: None is
    left out, booleans become 1 and 0, lists are joined with commas.

    One client is for one thread: give each thread a ``clone()``. ``warnings`` are for the user to see.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        *,
        on_request: Callable[[str, str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._options = options
        self._on_request = on_request
        self._clock = clock
        self._sleep = sleep
        self._transport = _transport(options, clock)
        self._token_header: dict[str, str] = {}
        if options.token_id:
            # PVE decodes the id; a ';' in a user name would otherwise end it.
            told = f"PVEAPIToken={quote(options.token_id, safe='@!')}={options.token_secret}"
            self._token_header = {"Authorization": told}
        self._version: Mapping[str, Any] | None = None
        # All that must not be shown, should an answer (of a proxy, say) repeat what it was asked.
        code = (options.second_factor or "").partition(":")[2]
        secrets = (options.token_secret, options.password, code, options.ticket, options.csrf_token)
        self._secrets = {secret for secret in secrets if secret}
        self.requests_sent = 0
        self.warnings: list[str] = []
        # None where no ticket is needed.
        by_ticket = not self._token_header and options.transport != PVESH
        self.log_in = LogIn(options, clock, self.warnings) if by_ticket else None
        if options.transport != PVESH and not options.validate_certs and not options.fingerprint:
            self.warnings.append(
                f"The certificate of {options.host} is not checked (validate_certs is false): whoever is in between "
                "can read the credentials. Set ca_path or fingerprint instead."
            )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.identity} at {self._options.address}>"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and forget the ticket. The client can be used again; it then starts anew."""
        self._transport.close()
        if self.log_in:
            self.log_in = self.log_in.anew()

    @property
    def options(self) -> ConnectionOptions:
        return self._options

    @property
    def identity(self) -> str:
        """Who asks: the token id, or the user id."""
        return self._options.identity

    @property
    def version(self) -> Mapping[str, Any]:
        """What PVE says of its version; one request, the first time."""
        if self._version is None:
            version = self.get("/version")
            if not isinstance(version, dict) or not _RELEASE.match(str(version.get("release", ""))):
                raise PveError(
                    f"GET /version at {self._options.address} did not name a release.", "Is this Proxmox VE?"
                )
            self._version = version
        return self._version

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor release of PVE, such as (9, 2)."""
        found = _RELEASE.match(str(self.version["release"]))
        return (int(found.group(1)), int(found.group(2))) if found else (0, 0)

    @property
    def local_address(self) -> str:
        """Address of this end of the connection, as PVE sees it where nothing translates; one request at most."""
        if self._transport.local_address is None:
            unused = self.release
        return self._transport.local_address or ""

    def logs_in(self) -> bool:
        """Tell whether PVE takes the credentials: one request. Raises PveError where that cannot be known."""
        try:
            self.get("/version")
        except AuthenticationError:
            return False
        return True

    def get(self, path: str, params: Params = None) -> Any:
        """Return the ``data`` of a GET. Repeated when the connection fails; raises ApiError or TransportError."""
        return self._data("GET", path, self._repeat("GET", path, params))

    def send(self, method: str, path: str, params: Params = None) -> Any:
        """Make a change (POST, PUT or DELETE) and return the ``data`` of the answer.

        It is sent again only where it cannot have had any effect: no connection was made, or PVE could not get its
        lock. Any other failure is a TransportError with ``sent`` set: look before you ask again.
        """
        for pause in LOCK_PAUSES:
            try:
                return self._data(method, path, self._repeat(method, path, params))
            except PveError as error:
                if not is_lock_timeout(error):
                    raise
            self._sleep(pause)
        return self._data(method, path, self._repeat(method, path, params))

    def read_only(self) -> ReadOnly:
        """Return a view of this client that cannot write."""
        return ReadOnly(self)

    def with_token(self, token_id: str, secret: str) -> Client:
        """Return a new client for the same host, trusted the same way, that asks as another token."""
        return self._as(token_id=check_token_id(token_id), token_secret=check_secret(secret))

    def with_password(self, user: str, password: str) -> Client:
        """Return a new client for the same host, trusted the same way, that logs in as another user."""
        return self._as(user=user, password=password)

    def _as(self, **who: str) -> Client:
        # pvesh is always root@pam; anybody else asks the host by HTTPS.
        transport = LOOPBACK if self._options.transport == PVESH else self._options.transport
        fields: dict[str, Any] = {**dict.fromkeys(CREDENTIALS), **who, "transport": transport}
        return self._like_this(dataclasses.replace(self._options, **fields))

    def check(self, method: str, path: str, params: Params = None) -> None:
        """Raise OptionError for what ``send`` would refuse because of how PVE is talked to; nothing is sent."""
        self._transport.check(method, path, _pairs(params))

    def clone(self) -> Client:
        """Return a new client with the same options, credentials and log-in, for use in another thread."""
        clone = self._like_this(self._options)
        clone.log_in, clone._version = self.log_in, self._version
        clone._secrets |= self._secrets
        return clone

    def _like_this(self, options: ConnectionOptions) -> Client:
        return Client(options, on_request=self._on_request, clock=self._clock, sleep=self._sleep)

    def _repeat(self, method: str, path: str, params: Params) -> Answer:
        """Exchange one request for an answer, with credentials."""
        ticket = self.ticket()
        answer = self._exchange(method, path, params, self._credentials(method, ticket), repeatable=method == "GET")
        if ticket and self.log_in and answer.status == _UNAUTHORISED and self.log_in.over(ticket):
            # Whoever is refused has changed nothing.
            headers = self._credentials(method, self.ticket())
            answer = self._exchange(method, path, params, headers, repeatable=method == "GET")
        return answer

    def _exchange(self, method: str, path: str, params: Params, headers: dict[str, str], *, repeatable: bool) -> Answer:
        """Exchange one request for an answer, trying again while that is safe."""
        self._secrets.update(str(params[name]) for name in _SECRET_PARAMS if params and params.get(name))
        _check_path(path)
        pairs = _pairs(params)
        pauses = iter(PAUSES)
        while True:
            if self._on_request:
                self._on_request(method, path)
            self.requests_sent += 1
            try:
                return self._transport.send(method, path, pairs, headers)
            except TransportError as error:
                error.message = f"{method} {path}: {error.message}"
                pause = next(pauses, None)
                hopeless = isinstance(error, TlsError) or error.timed_out or pause is None
                if hopeless or (error.sent and not repeatable):
                    raise
            self._sleep(pause or 0.0)

    def _data(self, method: str, path: str, answer: Answer) -> Any:
        if answer.status != _OK:
            reason, body = self._hidden(answer.reason), self._hidden(answer.body.decode("utf-8", errors="replace"))
            error = error_from_answer(method, path, answer.status, reason, body.encode())
            if self.log_in and isinstance(error, AuthenticationError):
                self.log_in.explain(error)
            raise error
        try:
            return json.loads(answer.body)["data"]
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        raise self._strange(method, path)

    def _strange(self, method: str, path: str) -> TransportError:
        return TransportError(
            f"{method} {path}: the answer from {self._options.address} is not one of PVE's.",
            "Check that host and port are those of PVE (8006), and that no web proxy stands in between.",
            sent=True,
        )

    def _hidden(self, text: str) -> str:
        """Return what an answer says without the secrets of this client, however they are written in it."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            in_json = [json.dumps(secret, ensure_ascii=ascii)[1:-1] for ascii in (True, False)]
            for written in (secret, quote(secret, safe=""), *in_json):
                text = text.replace(written, "********")
        return text

    def ticket(self) -> Ticket | None:
        """Return the ticket to ask with, None with a token; logs in first where that takes it. Raises PveError."""
        if self.log_in is None:
            return None
        ticket = self.log_in.ticket(self._ask_for_ticket)
        self._secrets |= {ticket.text, ticket.csrf}
        return ticket

    def _credentials(self, method: str, ticket: Ticket | None) -> dict[str, str]:
        """Return the headers that say who asks."""
        if ticket is None:
            return self._token_header
        headers = {"Cookie": f"PVEAuthCookie={quote(ticket.text, safe='')}"}
        if method != "GET":
            headers["CSRFPreventionToken"] = ticket.csrf
        return headers

    def _ask_for_ticket(self, params: Mapping[str, object], *, repeatable: bool) -> Mapping[str, Any]:
        answer = self._exchange("POST", "/access/ticket", params, {}, repeatable=repeatable)
        data = self._data("POST", "/access/ticket", answer)
        if not isinstance(data, dict) or not data.keys() >= {"ticket", "CSRFPreventionToken"}:
            raise self._strange("POST", "/access/ticket")
        return data


class ReadOnly:
    """A Reader that cannot be made to write: it has nothing but these."""

    def __init__(self, client: Client) -> None:
        self._get = client.get
        self._clone = client.clone
        self.close = client.close
        self._known: Callable[[str], Any] = lambda name: getattr(client, name)

    def get(self, path: str, params: Params = None) -> Any:
        """Return the ``data`` of a GET."""
        return self._get(path, params)

    @property
    def version(self) -> Mapping[str, Any]:
        """What PVE says of its version."""
        version: Mapping[str, Any] = self._known("version")
        return version

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor release of PVE."""
        release: tuple[int, int] = self._known("release")
        return release

    @property
    def identity(self) -> str:
        """Who reads: a token id or a user id."""
        return str(self._known("identity"))

    def clone(self) -> ReadOnly:
        """Return a reader of its own for another thread."""
        return self._clone().read_only()

    @property
    def local_address(self) -> str:
        """Address of this end of the connection."""
        return str(self._known("local_address"))


def _check_path(path: str) -> None:
    """Refuse what would silently address something else: an empty segment collapses (the list instead of the object),
    dots walk up.
    """
    if not path.startswith("/") or any(segment in ("", ".", "..") for segment in path[1:].split("/")):
        raise OptionError(f"{path!r} is no path of the API.", "An id in it is empty or consists of dots.")


def _transport(options: ConnectionOptions, clock: Callable[[], float]) -> Transport:
    if options.transport == PVESH:
        return PveshTransport(options)
    if options.transport == LOOPBACK:
        return LoopbackTransport(options)
    return HttpsTransport(options, clock=clock)


def _pairs(params: Params) -> list[tuple[str, str]]:
    return [(name, _form_value(value)) for name, value in (params or {}).items() if value is not None]


def _form_value(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return ",".join(_form_value(item) for item in items)
    return str(value)
