"""Log-ins with a password: second factors, tickets, and a folder that keeps a ticket for other processes.

A ticket lasts two hours, and PVE makes a new one of it for nothing. So a code, which works once, serves for as long as
somebody is at work.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Callable, Protocol
from urllib.parse import unquote

from ansible_collections.homelab.pve.plugins.module_utils.client.errors import (
    AuthenticationError,
    ParameterError,
    PveError,
    TransportError,
)
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.secret_file import (
    lock_file,
    object_in,
    open_folder,
    read_own_file,
    remove_file,
    replace_closed,
)
from ansible_collections.homelab.pve.plugins.module_utils.wording import some_of

# Seconds. A ticket is good for two hours by PVE's clock; ours is not asked to be better than ten minutes in that time.
LIFETIME = 2 * 60 * 60
GOOD_FOR = 110 * 60
# From then on a new ticket is made of the old one.
RENEW_AFTER = 60 * 60

# No clock says that, in seconds since the epoch.
_END_OF_TIME = 1e12

ENDING = ".ticket"
_OURS = re.compile(r"[^.].*-[0-9a-f]{12}\.ticket")
_NO_NAME = re.compile(r"[^A-Za-z0-9.@_-]")
_PRINTABLE = re.compile(r"[!-~]+")
_HALF = re.compile(r"PVE:!tfa!(.*):[0-9A-F]{8}::")
# Second factors that take a browser.
_BROWSER = frozenset({"webauthn", "u2f"})
_TOKENS = "API tokens (token_id, token_file) need no second factor."


class Ask(Protocol):
    """POST /access/ticket."""

    def __call__(self, params: Mapping[str, object], *, repeatable: bool) -> Mapping[str, Any]: ...


@dataclasses.dataclass(frozen=True)
class Ticket:
    """What PVE takes for a log-in. ``since`` is when it was asked for, by the clock of whoever holds it."""

    text: str = dataclasses.field(repr=False)
    csrf: str = dataclasses.field(repr=False)
    since: float


class LogIn:
    """The one log-in that a client and its clones share: who is first logs in, all others use the ticket.

    ``warnings`` takes what the user should know. ``wall`` is the clock that processes have in common.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        clock: Callable[[], float],
        warnings: list[str],
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._options = options
        self._clock = clock
        self._wall = wall
        self._warnings = warnings
        self._cache = TicketCache(options) if options.ticket_cache else None
        self._mutex = threading.Lock()
        self._ticket: Ticket | None = None
        self._made = False
        # What PVE has refused, and which code has been sent.
        self._refused = ""
        self._used = ""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._options.user} at {self._options.address}>"

    def anew(self) -> LogIn:
        """Return a log-in without this one's ticket, that knows which code has been used."""
        other = LogIn(self._options, self._clock, self._warnings, wall=self._wall)
        other._used = self._used
        return other

    @property
    def made(self) -> bool:
        """Whether PVE was asked for the ticket in use; else another process had done that."""
        return self._made

    @property
    def path(self) -> str | None:
        """The file that keeps the ticket; None if nothing does."""
        return self._cache.path if self._cache else None

    def kept(self) -> Ticket | None:
        """Return the ticket that is kept, if it does not have to be renewed; nobody is asked."""
        found = self._usable(self._cache.read()) if self._cache else None
        return found if found and self._age(found) <= RENEW_AFTER else None

    def end(self, ticket: Ticket) -> float:
        """Return when a ticket ends, in seconds since the epoch."""
        return self._wall() - self._age(ticket) + LIFETIME

    def ticket(self, ask: Ask) -> Ticket:
        """Return a ticket that is good now; logs in, or renews it, if that takes it. Raises PveError."""
        with self._mutex:
            if self._options.ticket and self._options.csrf_token:
                return Ticket(self._options.ticket, self._options.csrf_token, self._clock())
            if self._ticket is None or self._age(self._ticket) > RENEW_AFTER:
                self._ticket = self._shared(self._cache, ask) if self._cache else self._fresh(self._ticket, "", ask)
            return self._ticket

    def over(self, ticket: Ticket) -> bool:
        """PVE refused a ticket. Return whether there may be another: where this one came out of the cache."""
        with self._mutex:
            if self._ticket is not None and self._ticket.text != ticket.text:
                # Another thread was faster.
                return True
            if self._cache is None or self._made:
                return False
            self._refused, self._ticket = ticket.text, None
            return True

    def explain(self, error: AuthenticationError) -> None:
        """Say of a 401 that answers a ticket what can be done about it."""
        hint = f"A ticket lasts two hours, and ends when {self._options.user} is disabled. "
        if self._options.ticket:
            hint += "Log in again with homelab.pve.pve_login, and hand on what it returns."
        else:
            hint += "Run again, and if that does not help, look at the clocks of the nodes."
        error.hint = hint

    # -- tickets of this process, and those of others -----------------------------------------------------------------

    def _age(self, ticket: Ticket) -> float:
        return self._clock() - ticket.since

    def _shared(self, cache: TicketCache, ask: Ask) -> Ticket:
        found = self._usable(cache.read())
        if found and self._age(found) <= RENEW_AFTER:
            return self._taken(found)
        with cache.locked(wait=found is None) as held:
            if found and not held:
                # Somebody else is about to renew it; until then, it is good.
                return self._taken(found)
            kept = cache.read()
            found = self._usable(kept)
            if found and self._age(found) <= RENEW_AFTER:
                return self._taken(found)
            if kept.ticket and not found:
                kept = Kept(used=kept.used)
                cache.write(kept)
            made = self._fresh(found, kept.used, ask)
            cache.write(Kept(made.text, made.csrf, self._wall() - self._age(made), self._used or kept.used))
            return made

    def _taken(self, ticket: Ticket) -> Ticket:
        self._made = False
        return ticket

    def _usable(self, kept: Kept) -> Ticket | None:
        """Return a kept ticket, its time by our own clock, if it can still be good."""
        if not kept.ticket or not kept.csrf or kept.ticket == self._refused:
            return None
        age = self._wall() - kept.since
        if age < 0:
            # A clock was put back since. PVE will say whether it is still good.
            age = RENEW_AFTER + 1.0
        return Ticket(kept.ticket, kept.csrf, self._clock() - age) if age < GOOD_FOR else None

    # -- log-ins ------------------------------------------------------------------------------------------------------

    def _fresh(self, old: Ticket | None, used: str, ask: Ask) -> Ticket:
        """Return a new ticket: made of the ``old`` one, or by logging in. ``used`` is the mark of a code."""
        since = self._clock()
        answer = None if old is None or self._age(old) >= LIFETIME else self._renewed(old, used, ask)
        if answer is None:
            answer = self._logged_in(used, ask)
        self._made = True
        return Ticket(str(answer["ticket"]), str(answer["CSRFPreventionToken"]), since)

    def _renewed(self, old: Ticket, used: str, ask: Ask) -> Mapping[str, Any] | None:
        try:
            # PVE takes a ticket for a password, and does not ask for a second factor then.
            return ask({"username": self._options.user, "password": old.text}, repeatable=True)
        except AuthenticationError:
            self._refused = old.text
        if self._cache:
            self._cache.write(Kept(used=used))
        return None

    def _logged_in(self, used: str, ask: Ask) -> Mapping[str, Any]:
        user, factor = self._options.user, self._options.second_factor
        if self._options.password is None:
            raise PveError(
                f"{self._options.ticket_cache} holds no ticket of {user} at {self._options.address} that is still "
                "good, and no password is given to log in with.",
                "Run homelab.pve.pve_login first, with the password (and a second factor, if the account has one).",
            )
        if factor and self._mark() in (self._used, used):
            raise PveError(
                f"The second factor that is given for {user} has been sent to PVE already, and works only once.",
                "Give another: a TOTP code is followed by the next one within 30 seconds.",
            )
        params: dict[str, object] = {"username": user, "password": self._options.password}
        if factor:
            # Before 8.0 the default is an older format, which takes another call.
            params["new-format"] = True
        try:
            # A log-in changes nothing: it may be repeated like a GET.
            answer = ask(params, repeatable=True)
        except AuthenticationError as error:
            error.hint = (
                f"Check the password of {user}, the realm behind the @, and that the user is enabled and not expired: "
                "PVE gives the same answer to all of these."
            )
            raise
        except ParameterError as error:
            if "new-format" in error.errors:
                error.hint = f"Log-ins with a second factor take PVE 7.1 or later. {_TOKENS}"
            raise
        if answer.get("NeedTFA"):
            return self._second(str(answer.get("ticket", "")), ask)
        if factor:
            self._warnings.append(f"{user} has no second factor: the one that is given was not used.")
        return answer

    def _second(self, half: str, ask: Ask) -> Mapping[str, Any]:
        """Answer to the ``half`` ticket that PVE gives for a password alone."""
        user, factor = self._options.user, self._options.second_factor
        kinds = challenge_kinds(half)
        if kinds and kinds <= _BROWSER:
            raise PveError(
                f"{user} has no second factor but {' and '.join(sorted(kinds))}, which takes a browser.",
                f"{_TOKENS} Or give the account recovery keys or TOTP as well.",
            )
        has = f" ({some_of(sorted(kinds))})" if kinds else ""
        if factor is None:
            raise PveError(
                f"{user} has a second factor{has}, so the password alone does not log in.",
                "Give second_factor, and ticket_cache with it, so that one code serves all tasks. Or better an API "
                "token (token_id, token_file): tokens need no second factor.",
            )
        kind, *unused = factor.partition(":")
        if kinds and kind not in kinds:
            raise PveError(f"{user} has a second factor, but not {kind}{has}.", "Give one that the account has.")
        self._note(self._mark())
        params = {"username": user, "password": factor, "tfa-challenge": half, "new-format": True}
        try:
            return ask(params, repeatable=False)
        except AuthenticationError as error:
            error.hint = self._about_codes(kind)
            raise
        except TransportError as error:
            if not error.sent:
                self._note("")
                raise
            raise TransportError(
                f"{error.message} The password was right; whether the second factor was accepted is not known.",
                "It may be used up: log in again with a new one.",
                sent=True,
                timed_out=error.timed_out,
            ) from None

    def _about_codes(self, kind: str) -> str:
        hint = "PVE accepted the password, and then refused the second factor. "
        if kind == "totp":
            hint += (
                "A TOTP code works once, and for about 30 seconds: take the next one, and compare the clocks of PVE "
                "and of the device that shows the codes. "
            )
            if self._cache is None:
                hint += "More than one task takes ticket_cache, too. "
        elif kind == "recovery":
            hint += "Each recovery key works once. "
        return hint + (
            "Since 8.0, PVE locks TOTP after 8 wrong codes; a recovery key opens it again, and so does an admin with "
            f"`pveum user tfa unlock {self._options.user}`. {_TOKENS}"
        )

    def _note(self, mark: str) -> None:
        """Note which code is being sent, before it is: a run that is cut short must not send it twice."""
        self._used = mark
        if self._cache:
            self._cache.write(Kept(used=mark))

    def _mark(self) -> str:
        told = f"{self._options.user}\n{self._options.second_factor}"
        return hashlib.sha256(told.encode()).hexdigest()


def challenge_kinds(half: str) -> frozenset[str]:
    """Return the kinds of second factors that a half ticket asks for; empty if it does not say."""
    found = _HALF.match(half)
    try:
        asked = json.loads(unquote(found[1])) if found else None
    except ValueError:
        asked = None
    return frozenset(kind for kind, value in asked.items() if value) if isinstance(asked, dict) else frozenset()


# -- tickets in files -------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Kept:
    """What a file of the cache says. ``since`` is in seconds since the epoch, ``used`` the mark of the last code."""

    ticket: str | None = dataclasses.field(default=None, repr=False)
    csrf: str | None = dataclasses.field(default=None, repr=False)
    since: float = 0.0
    used: str = ""


class TicketCache:
    """The place of one ticket, in an own folder that is closed to everybody else.

    The ticket belongs to a user at a host that proves itself in one way: where that is another, it is not sent.
    Every call opens the folder and checks it. Raises OptionError where folder or file are open to others, links, or
    somebody else's, and PveError where writing fails. What is no ticket of this place counts as none.
    """

    def __init__(self, options: ConnectionOptions) -> None:
        self._folder = os.path.abspath(options.ticket_cache or "")
        self._key = {
            "host": options.host.lower(),
            "port": options.port,
            "user": options.user or "",
            "trust": _trust(options),
        }
        told = json.dumps(self._key, sort_keys=True)
        readable = _NO_NAME.sub("_", f"{options.host.lower()}-{options.port}-{options.user}")[:100].lstrip(".")
        stem = f"{readable}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"
        self._name = f"{stem}{ENDING}"
        self._lock, self._scratch = f".{stem}.lock", f".{stem}.new"
        self.path = os.path.join(self._folder, self._name)

    def read(self) -> Kept:
        """Return what is kept."""
        if not os.path.lexists(self._folder):
            return Kept()
        with open_folder(self._folder, private=True) as folder:
            content = _content(folder, self._name, self.path)
        return _kept(content) if content.get("key") == self._key else Kept()

    @contextlib.contextmanager
    def locked(self, *, wait: bool) -> Iterator[bool]:
        """Keep other processes from logging in; yields whether that is so, which it always is with ``wait``."""
        self._make_folder()
        with contextlib.ExitStack() as stack:
            with self._working():
                folder = stack.enter_context(open_folder(self._folder, private=True))
                held = stack.enter_context(lock_file(folder, self._lock, wait=wait))
            yield held

    def write(self, kept: Kept) -> None:
        """Keep something in place of what was; only for who holds the lock."""
        text = json.dumps({"key": self._key, **dataclasses.asdict(kept)}, sort_keys=True)
        with self._working(), open_folder(self._folder, private=True) as folder:
            replace_closed(folder, self._scratch, self._name, f"{text}\n".encode())

    def _make_folder(self) -> None:
        with self._working():
            os.makedirs(os.path.dirname(self._folder), exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._folder, 0o700)

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise PveError(f"{self.path} could not be written: {error.strerror}.", "Choose another folder.") from None


@dataclasses.dataclass(frozen=True)
class CachedTicket:
    """A file of the cache, and whose ticket is in it; None where that cannot be read."""

    path: str
    host: str | None
    port: int | None
    user: str | None


def cached_tickets(path: str) -> list[CachedTicket]:
    """Return what tickets a folder holds, by name. Other files in it do not count. Raises OptionError."""
    path = os.path.abspath(path)
    if not os.path.lexists(path):
        return []
    with open_folder(path, private=True) as folder:
        names = [name for name in sorted(os.listdir(folder)) if _OURS.fullmatch(name)]
        keys = [_content(folder, name, os.path.join(path, name)).get("key") for name in names]
    whose = [key if isinstance(key, dict) else {} for key in keys]
    return [
        CachedTicket(os.path.join(path, name), key.get("host"), key.get("port"), key.get("user"))
        for name, key in zip(names, whose)
    ]


def forget_ticket(path: str) -> None:
    """Remove a file of the cache, when nobody is logging in to replace it. Raises PveError."""
    place, name = os.path.split(path)
    stem = name[: -len(ENDING)]
    try:
        with open_folder(place, private=True) as folder, lock_file(folder, f".{stem}.lock"):
            # The lock goes last.
            for each in (name, f".{stem}.new", f".{stem}.lock"):
                remove_file(folder, each)
    except OSError as error:
        raise PveError(f"{path} could not be removed: {error.strerror}.") from None


def _trust(options: ConnectionOptions) -> str:
    """Say how the host proves who it is."""
    if options.fingerprint:
        return f"fingerprint {options.fingerprint}"
    if not options.validate_certs:
        return "none"
    return f"CA {os.path.realpath(options.ca_path)}" if options.ca_path else "system"


def _content(folder: int, name: str, path: str) -> dict[str, Any]:
    """Return the content of a file of ours; empty if there is none, or it is nothing that was written here."""
    return object_in(read_own_file(name, path, folder) or b"") or {}


def _kept(content: Mapping[str, Any]) -> Kept:
    ticket, csrf, used = (_text(content.get(name)) for name in ("ticket", "csrf", "used"))
    since = content.get("since")
    if not isinstance(since, (int, float)) or not abs(since) < _END_OF_TIME or not ticket or not csrf:
        return Kept(used=used)
    return Kept(ticket, csrf, float(since), used)


def _text(value: object) -> str:
    """Return what can stand in a header."""
    return value if isinstance(value, str) and _PRINTABLE.fullmatch(value) else ""
