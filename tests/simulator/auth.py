"""Who is calling: API tokens, tickets, and the token against cross-site requests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from ansible_collections.homelab.pve.plugins.module_utils.access.releases import Release

from .errors import Unauthorised
from .state import State
from .verify import FormatError, split_tokenid

LIFETIME = 7200  # seconds that a ticket is valid
_HALF = "tfa!"  # what a ticket of the older format begins with that lacks a second factor
_AHEAD = 300  # seconds that the clock of another node may be ahead
_GENERIC_SINCE: Release = (9, 2)  # pve-manager 9.1.5: one text for every cause
_TOKEN = re.compile(r"(?:^|\s)PVEAPIToken[=\s]([^;]*)")
_COOKIE = re.compile(r"(?:^|\s)PVEAuthCookie=([^;]*)")


@dataclass(frozen=True)
class Credentials:
    """What a request brought: a token with its secret, or a ticket, or neither."""

    token: str | None = None
    ticket: str | None = None
    csrf: str | None = None

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Credentials:
        """Read the headers. A cookie that is not empty wins over an Authorization header."""
        csrf = headers.get("CSRFPreventionToken")
        authorisation = headers.get("Authorization", "")
        cookie = _COOKIE.search(headers.get("Cookie", ""))
        if cookie and cookie[1]:
            return cls(ticket=unquote(cookie[1]), csrf=csrf)
        token = _TOKEN.search(authorisation)
        if token and token[1]:
            return cls(token=unquote(token[1]), csrf=csrf)
        as_header = _COOKIE.search(authorisation)
        if as_header and as_header[1]:
            return cls(ticket=unquote(as_header[1]), csrf=csrf)
        return cls(csrf=csrf)


class Authenticator:
    """Checks credentials against the state, and issues tickets."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._key = secrets.token_bytes(32)

    def authenticate(self, credentials: Credentials, method: str) -> str:
        """Return the caller's full id, a userid or a token id. Raises Unauthorised."""
        try:
            if credentials.token is not None:
                return self._by_token(credentials.token)
            if credentials.ticket is None:
                raise Unauthorised("No ticket")
            userid = self.ticket_owner(credentials.ticket)
            if userid is None:
                raise _Refused("permission denied - invalid PVE ticket")
            self.require_active(userid.removeprefix(_HALF))
            if userid.startswith(_HALF):
                raise Unauthorised("No ticket")
        except _Refused as refused:
            generic = self.state.release >= _GENERIC_SINCE
            raise Unauthorised("Authentication failed!" if generic else str(refused)) from None
        if method != "GET" and not self._csrf_valid(userid, credentials.csrf):
            raise Unauthorised("Permission denied - invalid csrf token")
        return userid

    def _by_token(self, value: str) -> str:
        tokenid, equals, secret = value.rpartition("=")
        if not equals:
            raise _Refused("no tokenid specified")
        try:
            userid, name = split_tokenid(tokenid)
        except FormatError:
            raise _Refused(
                f"'{tokenid}' is not a valid token ID - not able to split into user and token parts"
            ) from None
        self.require_active(userid)
        token = self.state.access.tokens.get((userid, name))
        if token is None:
            raise _Refused(f"no such token '{name}' for user '{userid}'")
        if self.state.expired(token.expire):
            raise _Refused(f"token '{name}' access expired")
        if not secrets.compare_digest(self.state.secrets.get(tokenid, "").encode(), secret.encode()):
            raise _Refused("invalid token value!")
        return tokenid

    def require_active(self, userid: str) -> None:
        """Raise for a user who is missing, disabled or expired, in this order."""
        user = self.state.access.users.get(userid)
        if user is None:
            raise _Refused(f"no such user ('{userid}')")
        if not user.enable:
            raise _Refused(f"user '{userid}' is disabled")
        if self.state.expired(user.expire):
            raise _Refused(f"user '{userid}' access expired")

    def is_active(self, userid: str) -> bool:
        try:
            self.require_active(userid)
        except _Refused:
            return False
        return True

    # -- tickets ----------------------------------------------------------------------------------------------

    def new_ticket(self, userid: str) -> tuple[str, str]:
        """Return a ticket and its token against cross-site requests."""
        now = f"{int(time.time()):08X}"
        plain = f"PVE:{userid}:{now}"
        return f"{plain}::{self._sign(plain)}", f"{now}:{self._sign(f'csrf:{now}:{userid}')}"

    def half_ticket(self, userid: str, asked: Mapping[str, Any] | None) -> tuple[str, str]:
        """Return what there is for a password alone: good for an answer to what is asked, and nothing else.

        Without ``asked``, it is in the format from before 8.0.
        """
        now = f"{int(time.time()):08X}"
        csrf = f"{now}:{self._sign(f'csrf:{now}:{userid}')}"
        if asked is None:
            plain = f"PVE:{_HALF}{userid}:{now}"
            return f"{plain}::{self._sign(plain)}", csrf
        told = json.dumps(asked, separators=(",", ":")).replace(":", "%3A")
        plain = f"PVE:!tfa!{told}:{now}"
        return f"{plain}::{self._sign(f'{plain}:{userid}')}", csrf

    def is_half_ticket(self, ticket: str, userid: str) -> bool:
        """Tell whether a challenge is one that this user got."""
        match = re.match(r"(PVE:!tfa!.+:([0-9A-F]{8}))::(.+)\Z", ticket)
        if not match or not self._fresh(match[2]):
            return False
        return secrets.compare_digest(self._sign(f"{match[1]}:{userid}").encode(), match[3].encode())

    def ticket_owner(self, ticket: str) -> str | None:
        """Return whose ticket it is, or None when it is forged, too old, or no ticket at all."""
        match = re.match(r"(PVE:(.+):([0-9A-F]{8}))::(.+)\Z", ticket)
        if not match or not self._fresh(match[3]):
            return None
        genuine = secrets.compare_digest(self._sign(match[1]).encode(), match[4].encode())
        return match[2] if genuine else None

    def _csrf_valid(self, userid: str, token: str | None) -> bool:
        match = re.match(r"([0-9A-F]{8}):(.+)\Z", token or "")
        if not match or not self._fresh(match[1]):
            return False
        return secrets.compare_digest(self._sign(f"csrf:{match[1]}:{userid}").encode(), match[2].encode())

    def _sign(self, text: str) -> str:
        digest = hmac.new(self._key, text.encode("utf-8", "surrogateescape"), hashlib.sha512).digest()
        return base64.b64encode(digest).decode().rstrip("=")

    @staticmethod
    def _fresh(hex_time: str) -> bool:
        return -_AHEAD < time.time() - int(hex_time, 16) < LIFETIME


class _Refused(Exception):
    """A log-in failed; the text is what releases before 9.1.5 say about it."""
