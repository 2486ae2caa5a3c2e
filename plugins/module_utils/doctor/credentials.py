"""Whether what a consumer logs in with can be right at all, judged by its form. Nothing here is ever quoted."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..client.errors import OptionError
from ..client.options import OPTIONS, ConnectionOptions, check_secret, check_token_id
from ..secret_file import UUID, ContentError, read_secret
from .report import Check, failed, passed

_TOKEN = frozenset({"token_id", "token_secret", "token_file"})
_OTHERS = frozenset({"user", "password", "second_factor", "ticket_cache", "ticket", "csrf_token"})
# The options that say who asks, with the variables of the environment that stand in for them.
_NAMES = {option.name: option.env for option in OPTIONS if option.name in _TOKEN | _OTHERS}
# An address from documents: the form of credentials does not depend on the host.
_ANY_HOST = "192.0.2.1"
_NAME = re.compile(r"[A-Za-z0-9._-]*")
_ANY_UUID = re.compile(UUID.pattern, re.IGNORECASE)
_JOINED = re.compile(rf"!{_NAME.pattern}\s*[:=]|[:=\s]{UUID.pattern}\Z", re.IGNORECASE)
_SCHEME = re.compile(r"(?:^|\s)PVEAPIToken[= ]\S")
_RENEW = "PVE shows a secret once. If it is lost: homelab.pve.pve_token with renew: when_lost."


@dataclass(frozen=True)
class Credentials:
    """What a consumer logs in with, where its form is right: the connection options that say so."""

    check: Check
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def identity(self) -> str:
        """Who asks, as far as that is known."""
        return str(self.options.get("token_id") or self.options.get("user") or "")


def judge(params: Mapping[str, Any], environ: Mapping[str, str], header: str | None = None) -> Credentials:
    """Judge the credentials among the raw connection options, or those in a header that a consumer sends."""
    if header is not None:
        return of_header(header)
    given = _given(params, environ)
    if not given:
        mend = "Give token_id with token_file (or token_secret), as homelab.pve.pve_token makes them."
        return Credentials(failed("no_credentials", "Neither a token nor a user is given.", mend))
    wrong = _wrong_token_id(given) or _wrong_secret(given)
    if wrong:
        return Credentials(wrong)
    try:
        # All rules of the client itself, with what of the environment it would look at.
        told = {name: params.get(name) for name in _NAMES}
        found = ConnectionOptions.from_params(
            {**told, "host": _ANY_HOST}, {env: environ[env] for env in _NAMES.values() if env in environ}
        )
    except OptionError as error:
        return Credentials(failed("no_credentials", error.message, error.hint or "Give a token or a user."))
    names = [name for name in _NAMES if name != "token_file"]
    options = {name: getattr(found, name) for name in names if getattr(found, name) is not None}
    return Credentials(passed(_form(found)), options)


def _given(params: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the credentials that count, those of the environment only where they can belong to the task's own."""
    own = {name: params[name] for name in _NAMES if params.get(name) is not None}
    inherited = {name: environ[env] for name, env in _NAMES.items() if environ.get(env)}
    if own:
        of_token = own.keys() & _TOKEN
        inherited = {name: text for name, text in inherited.items() if of_token and name in _TOKEN}
        if {"token_secret", "token_file"} & own.keys():
            inherited = {name: text for name, text in inherited.items() if name == "token_id"}
    return {**inherited, **own}


def of_header(header: str) -> Credentials:
    """Judge the header ``Authorization`` as a consumer sends it, with or without its name before it."""
    text = re.sub(r"\A\s*Authorization:[ \t]*", "", header, flags=re.IGNORECASE)
    found = _SCHEME.search(text)
    if not found:
        said = "PVE looks for the word PVEAPIToken, written like this, with one '=' or one blank behind it."
        if re.search("pveapitoken", text, re.IGNORECASE):
            said = "The word PVEAPIToken is written or followed differently than PVE takes it (one '=' or one blank)."
        elif re.search("pbsapitoken", text, re.IGNORECASE):
            said = "The header is one for a Proxmox Backup Server (PBSAPIToken)."
        elif re.match(r"basic\b", text, re.IGNORECASE):
            said = "The header has user and password (Basic), which PVE does not take."
        return Credentials(failed("header_malformed", said, _whole_header()))
    value = text[found.end() - 1 :].partition(";")[0]
    if value != value.strip() or value[:1] in "\"'" or value[-1:] in "\"'":
        said = "There are blanks or quotes around the value, and PVE takes them for a part of it."
        return Credentials(failed("header_malformed", said, _whole_header()))
    tokenid, equals, secret = value.rpartition("=")
    if not equals:
        colon = ":" in value.rpartition("!")[2]
        said = "A ':' stands before the secret, as for a Proxmox Backup Server." if colon else "There is no '=' in it."
        return Credentials(failed("separator_wrong", said, _whole_header()))
    given = {"token_id": tokenid, "token_secret": secret}
    wrong = _wrong_token_id(given) or _wrong_secret(given)
    return Credentials(wrong) if wrong else Credentials(passed("The header is one that PVE reads."), given)


def _whole_header() -> str:
    return "Send: Authorization: PVEAPIToken=USER@REALM!NAME=SECRET (an '=' before the secret, no quotes)."


def _wrong_token_id(given: Mapping[str, Any]) -> Check | None:
    text = given.get("token_id")
    if text is None:
        return None
    try:
        check_token_id(str(text))
    except OptionError as error:
        if _JOINED.search(str(text)):
            said = f"{error.message} It looks as if the secret stands there too."
            return failed("separator_wrong", said, f"{error.hint} In a header, an '=' joins the two.")
        return failed("token_id_not_whole", error.message, error.hint)
    return None


def _wrong_secret(given: Mapping[str, Any]) -> Check | None:
    secret, path = given.get("token_secret"), given.get("token_file")
    if path and not secret:
        return _wrong_file(os.path.expanduser(str(path)))
    if secret:
        try:
            check_secret(str(secret))
        except OptionError as error:
            quoted = str(secret).strip()[:1] in ("'", '"')
            said = "token_secret has quotes around it." if quoted else error.message
            return failed("secret_malformed", said, error.hint)
    return None


def _wrong_file(path: str) -> Check | None:
    if not os.path.lexists(path):
        mend = f"Is it the right path, seen from the machine that this runs on? {_RENEW}"
        return failed("secret_file_missing", f"There is no file {path}.", mend)
    try:
        read_secret(path)
    except ContentError as error:
        return failed("secret_file_content", f"{error.message}{_inside(path)}", f"{error.hint} {_RENEW}")
    except OptionError as error:
        return failed("secret_file_unusable", error.message, error.hint or "Name a file of your own, mode 600.")
    return None


def _inside(path: str) -> str:
    """Say what a file that holds no bare secret seems to hold. It is known to be one's own and closed."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read(4096)
    except OSError:
        return ""
    if text.startswith("\ufeff") or "\x00" in text:
        return " It was saved by an editor that puts marks into it: save it as UTF-8 without BOM."
    if "PVEAPIToken" in text:
        return " It holds a whole header."
    if "!" in text and _ANY_UUID.search(text):
        return " It holds the token id too."
    if text.strip().startswith(("{", "[")):
        return " It holds what a command printed as JSON."
    if any(quote in text for quote in "\"'"):
        return " There are quotes in it."
    if UUID.fullmatch(text.strip().lower()):
        return " There are upper-case letters or blanks in it."
    if len(_ANY_UUID.findall(text)) == 1:
        return " There is something besides the secret in it."
    return ""


def _form(options: ConnectionOptions) -> str:
    if options.token_id:
        return f"Token id and secret of {options.token_id} have the right form."
    return f"{options.user} and what goes with it have the right form."
