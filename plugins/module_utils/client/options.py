"""The connection options: one table, and the value that comes out of it once everything has been checked."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError
from ansible_collections.homelab.pve.plugins.module_utils.secret_file import UUID, read_secret

HTTPS, PVESH = "https", "pvesh"
# HTTPS from a host of PVE to itself, beside pvesh; nobody asks for it in an option.
LOOPBACK = "loopback"
ROOT = "root@pam"


@dataclass(frozen=True)
class Option:
    """One connection option: ``env`` is asked when the task does not give it, ``default`` when neither does.

    ``no_log`` is None where the name does not even suggest a secret.
    """

    name: str
    type: str
    env: str
    default: Any = None
    no_log: bool | None = None


# doc_fragments/connection.py describes each of them.
OPTIONS: tuple[Option, ...] = (
    # First: with pvesh, the environment adds nothing of the others.
    Option("transport", "str", "PVE_TRANSPORT", default=HTTPS),
    Option("host", "str", "PVE_HOST"),
    Option("port", "int", "PVE_PORT", default=8006),
    Option("token_id", "str", "PVE_TOKEN_ID", no_log=False),
    Option("token_secret", "str", "PVE_TOKEN_SECRET", no_log=True),
    Option("token_file", "path", "PVE_TOKEN_FILE", no_log=False),
    Option("user", "str", "PVE_USER"),
    Option("password", "str", "PVE_PASSWORD", no_log=True),
    Option("second_factor", "str", "PVE_SECOND_FACTOR", no_log=True),
    Option("ticket_cache", "path", "PVE_TICKET_CACHE"),
    Option("ticket", "str", "PVE_TICKET", no_log=True),
    Option("csrf_token", "str", "PVE_CSRF_TOKEN", no_log=True),
    Option("ca_path", "path", "PVE_CA_PATH"),
    Option("fingerprint", "str", "PVE_FINGERPRINT"),
    Option("validate_certs", "bool", "PVE_VALIDATE_CERTS", default=True),
    Option("timeout", "int", "PVE_TIMEOUT", default=60),
    # It may contain the password of the proxy.
    Option("proxy", "str", "PVE_PROXY", no_log=True),
)

_TOKEN = frozenset({"token_id", "token_secret", "token_file"})
_PASSWORD = frozenset({"user", "password"})
_TICKET = frozenset({"ticket", "csrf_token"})
# They say how the user logs in, and mean nothing by themselves.
_OF_USER = frozenset({"second_factor", "ticket_cache"})
# The fields that say who asks.
CREDENTIALS = (_TOKEN - {"token_file"}) | _PASSWORD | _TICKET | _OF_USER
_TRUST = frozenset({"ca_path", "fingerprint", "validate_certs"})

USERID = re.compile(r"[^\s:/]+@[A-Za-z][A-Za-z0-9._-]+")
TOKENID = re.compile(r"[^\s:/]+@[A-Za-z][A-Za-z0-9._-]+![A-Za-z][A-Za-z0-9._-]+")
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")
_HASHED_NAME = re.compile(r"[0-9a-f]{8}\.[0-9]+")
_WHOLE = "A token id is whole when it reads user@realm!name, for example root@pam!ansible."
_HIGHEST_PORT = 65535
_PATHS_OF_THE_API = ("", "/", "/api2/json", "/api2/json/", "/api2", "/api2/")

# A whole ticket; one that waits for a second factor has PVE:!tfa!... in place of the user.
_OF_TICKET = re.compile(r"PVE:([^\s:/!]+@[A-Za-z][A-Za-z0-9._-]+):[0-9A-F]{8}::\S+")
_FACTORS = ("totp", "recovery", "yubico")

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


def argument_spec() -> dict[str, dict[str, Any]]:
    """Return the options as an argument spec.

    It has neither defaults nor fallbacks: ``ConnectionOptions.from_params`` adds both, because which variables of the
    environment count depends on what the task itself gives.
    """
    spec: dict[str, dict[str, Any]] = {}
    for option in OPTIONS:
        entry: dict[str, Any] = {"type": option.type}
        if option.no_log is not None:
            entry["no_log"] = option.no_log
        spec[option.name] = entry
    return spec


def ticket_folder(params: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """Return the folder that keeps tickets, whatever host and user they are for. Raises OptionError."""
    folder = _Given.gather(params, environ).get("ticket_cache")
    if folder is None:
        raise OptionError("No ticket_cache is given.", "Name the folder that keeps the tickets (PVE_TICKET_CACHE).")
    return str(folder)


@dataclass(frozen=True)
class ConnectionOptions:
    """Where PVE is, how it proves itself and who asks: checked, complete, and printable without a secret.

    Who asks is a token (``token_id`` and ``token_secret``), a ticket with its user (``ticket``, ``csrf_token`` and
    ``user``), or a ``user``: with ``password``, a folder that may hold a ticket (``ticket_cache``), or both.
    ``second_factor`` is as PVE takes it, such as ``totp:123456``. ``fingerprint`` is upper-case with colons.
    ``timeout`` is in seconds.

    With the transport ``pvesh``, root@pam asks on the machine itself; ``host`` is then only a name for it.
    """

    host: str
    port: int = 8006
    transport: str = HTTPS
    token_id: str | None = None
    token_secret: str | None = field(default=None, repr=False)
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    second_factor: str | None = field(default=None, repr=False)
    ticket_cache: str | None = None
    ticket: str | None = field(default=None, repr=False)
    csrf_token: str | None = field(default=None, repr=False)
    ca_path: str | None = None
    validate_certs: bool = True
    fingerprint: str | None = None
    timeout: int = 60
    proxy: str | None = field(default=None, repr=False)

    @classmethod
    def from_params(cls, params: Mapping[str, Any], environ: Mapping[str, str]) -> ConnectionOptions:
        """Read the connection options out of ``params`` (others are passed over) and ``environ``.

        What the task gives beats the environment, as a group: a token of the task is never mixed with a user of the
        environment, nor with a secret that the environment holds for another id.
        Raises OptionError; its text never quotes a secret.
        """
        given = _Given.gather(params, environ)
        if _is_pvesh(given):
            return cls._of_pvesh(given)
        host, port = _host_and_port(given)
        fingerprint = _fingerprint(given)
        ca_path = _ca_path(given)
        validate_certs = bool(given.get("validate_certs"))
        if fingerprint and ca_path:
            raise OptionError(f"{given.label('fingerprint')} and {given.label('ca_path')} are both given.", "Give one.")
        if ca_path and not validate_certs:
            raise OptionError(
                f"{given.label('ca_path')} is given, yet {given.label('validate_certs')} is false.", "Give one."
            )
        return cls(
            host=host,
            port=port,
            **_credentials(given),
            ca_path=ca_path,
            validate_certs=validate_certs,
            fingerprint=fingerprint,
            timeout=_timeout(given),
            proxy=_proxy(given),
        )

    @classmethod
    def _of_pvesh(cls, given: _Given) -> ConnectionOptions:
        meaningless = sorted(given.values.keys() - {"transport", "host", "port", "timeout", "ca_path", "fingerprint"})
        if meaningless:
            raise OptionError(
                f"{' and '.join(meaningless)} cannot be given with transport pvesh, which always acts as root@pam of "
                "the machine that the task runs on.",
                "Leave that out, or use transport https.",
            )
        host, port = _host_and_port(given) if "host" in given.values else (socket.gethostname(), given.get("port"))
        return cls(
            host=host,
            port=port,
            transport=PVESH,
            user=ROOT,
            ca_path=_ca_path(given),
            fingerprint=_fingerprint(given),
            timeout=_timeout(given),
        )

    @property
    def identity(self) -> str:
        """Who asks: the token id, or the user id."""
        return self.token_id or self.user or ""

    @property
    def address(self) -> str:
        """``https://HOST:PORT``, an IPv6 address in brackets; with pvesh, whose machine it is."""
        if self.transport == PVESH:
            return f"pvesh on {self.host}"
        if self.transport == LOOPBACK:
            return f"https://127.0.0.1:{self.port}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"


@dataclass(frozen=True)
class _Given:
    """The values that count, by option name, and which of them came from the environment."""

    values: dict[str, Any] = field(repr=False)
    inherited: frozenset[str]

    @classmethod
    def gather(cls, params: Mapping[str, Any], environ: Mapping[str, str]) -> _Given:
        values = {}
        for option in OPTIONS:
            value = params.get(option.name)
            if isinstance(value, str) and not value.strip():
                raise OptionError(f"{option.name} is empty.", "Give it a value, or leave it out.")
            if value is not None:
                values[option.name] = _typed(option, value, option.name)
        explicit = frozenset(values)
        inherited = set()
        for option in OPTIONS:
            text = environ.get(option.env, "")
            if text and option.name not in explicit | _not_to_inherit(values, explicit, environ):
                values[option.name] = _typed(option, text, option.env)
                inherited.add(option.name)
        return cls(values, frozenset(inherited))

    def get(self, name: str) -> Any:
        return self.values.get(name, _BY_NAME[name].default)

    def label(self, name: str) -> str:
        """How to call the option in an error: by the variable that it came from, if it did."""
        return f"{name} (from the environment, {_BY_NAME[name].env})" if name in self.inherited else name


_BY_NAME = {option.name: option for option in OPTIONS}


def _not_to_inherit(values: Mapping[str, Any], explicit: frozenset[str], environ: Mapping[str, str]) -> frozenset[str]:
    """Names of the options that the environment may not supply, given what the task says."""
    names: frozenset[str] = frozenset()
    if explicit & (_TOKEN | _PASSWORD | _TICKET | {"host"}):
        names |= {"transport"}
    if values.get("transport") == PVESH:
        names |= frozenset(_BY_NAME) - {"transport", "timeout"}
    if explicit & _TOKEN:
        names |= _PASSWORD | _TICKET | _OF_USER
    if explicit & _PASSWORD:
        names |= _TOKEN | _TICKET
    if explicit & _TICKET:
        names |= _TOKEN | _PASSWORD | _OF_USER
    if explicit & {"token_secret", "token_file"}:
        names |= {"token_secret", "token_file"}
    # A secret of the environment belongs to the id beside it, and to no other.
    if "token_id" in explicit and environ.get("PVE_TOKEN_ID", values["token_id"]) not in ("", values["token_id"]):
        names |= _TOKEN
    if "user" in explicit and environ.get("PVE_USER", values["user"]) not in ("", values["user"]):
        names |= _PASSWORD | _OF_USER
    if explicit & {"ca_path", "fingerprint"}:
        names |= _TRUST
    return names


def _typed(option: Option, value: Any, label: str) -> Any:
    if option.type == "int":
        try:
            return int(value)
        except (TypeError, ValueError):
            raise OptionError(f"{label} is not a whole number.") from None
    if option.type == "bool":
        word = str(value).strip().lower()
        if word not in _TRUE | _FALSE:
            raise OptionError(f"{label} is neither true nor false.")
        return word in _TRUE
    if not isinstance(value, str):
        raise OptionError(f"{label} is not a text.")
    return os.path.expanduser(value) if option.type == "path" else value


def _host_and_port(given: _Given) -> tuple[str, int]:
    text, label = given.get("host"), given.label("host")
    if not text:
        raise OptionError("No host is given.", "Set host, or the environment variable PVE_HOST, to a PVE node.")
    host, port = _split_host(text.strip(), label)
    if port is None or ("host" in given.inherited and "port" in given.values.keys() - given.inherited):
        port = given.get("port")
    elif given.values.get("port", port) != port and ("port" in given.inherited) == ("host" in given.inherited):
        raise OptionError(f"{label} has port {port}, yet {given.label('port')} is {given.get('port')}.", "Give one.")
    if not 1 <= port <= _HIGHEST_PORT:
        raise OptionError(f"{given.label('port')} is {port}: ports go from 1 to {_HIGHEST_PORT}.")
    return host, port


def _split_host(text: str, label: str) -> tuple[str, int | None]:
    """Return host and port of ``HOST``, ``HOST:PORT`` or ``https://HOST:PORT``, IPv6 with or without brackets."""
    if _is_address(text):
        return text, None
    problem = OptionError(
        f"{label} is no host name and no address.", "Examples: pve.example.org, 192.0.2.10, 2001:db8::10."
    )
    scheme, separator, _rest = text.partition("://")
    if separator and scheme.lower() != "https":
        raise OptionError(f"{label} is a URL, but not https://.", "PVE speaks HTTPS alone: give the host's name.")
    try:
        url = urlsplit(text if separator else f"https://{text}")
        host, port = url.hostname or "", url.port
    except ValueError:
        raise problem from None
    if url.username is not None or url.password is not None:
        raise OptionError(f"{label} has credentials in it.", "Give them as token_id and token_secret, or token_file.")
    if url.path not in _PATHS_OF_THE_API or url.query or url.fragment:
        raise OptionError(f"{label} has a path in it.", "Give the host alone: the path of the API is known.")
    if not (_HOST_NAME.fullmatch(host) or _is_address(host)):
        raise problem
    return host, port


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    # A zone (fe80::1%eth0) has no place in a URL that every release of the library understands.
    return "%" not in text


def _is_pvesh(given: _Given) -> bool:
    transport = given.get("transport")
    if transport not in (HTTPS, PVESH):
        raise OptionError(f"{given.label('transport')} is {transport}.", f"It is either {HTTPS} or {PVESH}.")
    return bool(transport == PVESH)


def _timeout(given: _Given) -> int:
    timeout = int(given.get("timeout"))
    if timeout < 1:
        raise OptionError(f"{given.label('timeout')} is {timeout}: it has to be at least 1 second.")
    return timeout


def _credentials(given: _Given) -> dict[str, Any]:
    """Return the fields that say who asks: of a token, of a ticket, or of a user."""
    kinds = [names & set(given.values) for names in (_TOKEN, _TICKET, _PASSWORD)]
    # The user of a ticket may be named; that makes it no log-in.
    if kinds[1] and kinds[2] == {"user"}:
        kinds[2] = frozenset()
    told = [given.label(sorted(kind)[0]) for kind in kinds if kind]
    if len(told) > 1:
        what = "Both a token and a password" if kinds[0] and kinds[2] and not kinds[1] else "Several credentials"
        raise OptionError(f"{what} are given ({' and '.join(told)}).", "Give one; a token is the better choice.")
    alone = sorted((_OF_USER & set(given.values)) - given.inherited)
    if alone and not kinds[2]:
        raise OptionError(f"{alone[0]} is given, but no user.", "Set user (PVE_USER) to user@realm.")
    if not told:
        raise OptionError(
            "No credentials are given.", "Set token_id with token_secret or token_file (PVE_TOKEN_ID, PVE_TOKEN_FILE)."
        )
    if kinds[0]:
        return {"token_id": _token_id(given), "token_secret": _token_secret(given)}
    if kinds[1]:
        return _ticket(given)
    return {
        "user": _user(given),
        "password": _password(given),
        "second_factor": _second_factor(given),
        "ticket_cache": given.get("ticket_cache"),
    }


def _token_id(given: _Given) -> str:
    text = given.get("token_id")
    if text is None:
        raise OptionError("A token's secret is given, but no token_id.", _WHOLE)
    return check_token_id(text, given.label("token_id"))


_SCHEME = re.compile(r"\s*(?:Authorization:\s*)?PVEAPIToken\b", re.IGNORECASE)


def check_token_id(text: str, label: str = "token_id") -> str:
    """Return ``text`` if it is a whole token id (``user@realm!name``); raise OptionError otherwise."""
    header = _SCHEME.match(text)
    if TOKENID.fullmatch(text) and not header:
        return text
    # None of these texts may quote what was given: it may well contain the secret.
    hint = _WHOLE
    user, bang, name = text.rpartition("!")
    if not bang:
        problem = "is a secret, not an id" if UUID.fullmatch(text.lower()) else "has no '!' and token name"
    elif ":" in name or "=" in name:
        problem = f"goes on after the token's name with a '{':' if ':' in name else '='}'"
        hint = "Give the id alone (user@realm!name); the secret is the value of token_secret, or stands in token_file."
    elif header:
        problem = "has the word PVEAPIToken of the header before it"
    elif text != text.strip(" \t"):
        problem = "has white space around it"
    elif not USERID.fullmatch(user):
        problem = "has no user@realm before the '!'"
    else:
        problem = (
            "has a token name that PVE does not accept (a letter, then at least one letter, digit, '.', '-' or '_')"
        )
    raise OptionError(f"{label} {problem}.", hint)


def _token_secret(given: _Given) -> str:
    secret, path = given.get("token_secret"), given.get("token_file")
    if secret and path:
        raise OptionError(f"{given.label('token_secret')} and {given.label('token_file')} are both given.", "Give one.")
    if path:
        return read_secret(path)
    if not secret:
        raise OptionError(
            f"{given.label('token_id')} is given, but neither token_secret nor token_file.",
            "Set one of them. A secret in the environment counts only for the id in PVE_TOKEN_ID, where that is set.",
        )
    return check_secret(secret, given.label("token_secret"))


def check_secret(secret: str, label: str = "token_secret") -> str:
    """Return ``secret`` if it is a lower-case UUID, as all secrets of PVE are; raise OptionError otherwise."""
    if UUID.fullmatch(secret):
        return secret
    hint = "PVE shows the secret once, when the token is made; if it is lost, renew it."
    if UUID.fullmatch(secret.lower()):
        problem = "has upper-case letters: PVE compares it letter by letter, and all its secrets are lower-case"
        hint = "Write it in lower case, as PVE showed it."
    elif UUID.fullmatch(secret.strip()):
        problem, hint = "has white space around it", "Take the white space away."
    elif "!" in secret:
        problem = "has the token id in it: give only what comes after the '='"
    else:
        problem = "is no lower-case UUID (8-4-4-4-12 hexadecimal digits)"
    raise OptionError(f"{label} {problem}.", hint)


def _user(given: _Given) -> str:
    text, label = given.get("user"), given.label("user")
    if text is None:
        raise OptionError("A password is given, but no user.", "Set user (PVE_USER) to user@realm.")
    if TOKENID.fullmatch(text):
        raise OptionError(f"{label} is a token id.", "Give it as token_id, with token_secret or token_file.")
    if not USERID.fullmatch(text):
        raise OptionError(f"{label} is not of the form user@realm.", "For example root@pam.")
    return str(text)


def _password(given: _Given) -> str | None:
    password = given.get("password")
    if password is None and given.get("ticket_cache") is None:
        raise OptionError(
            f"{given.label('user')} is given, but no password.", "Set password (PVE_PASSWORD), or use a token."
        )
    return None if password is None else str(password)


def _second_factor(given: _Given) -> str | None:
    """Return the second factor as PVE takes it; a bare number is a TOTP code."""
    text = given.get("second_factor")
    if text is None:
        return None
    kind, colon, code = str(text).strip().partition(":")
    if not colon and re.fullmatch(r"[0-9]{6,8}", kind):
        return f"totp:{kind}"
    if kind in _FACTORS and code:
        return f"{kind}:{code}"
    raise OptionError(
        f"{given.label('second_factor')} is neither a TOTP code of 6 to 8 digits nor KIND:CODE.",
        f"Known kinds: {', '.join(_FACTORS)}. A code in YAML needs quotes, or it loses its leading zeros.",
    )


def _ticket(given: _Given) -> dict[str, str | None]:
    ticket, csrf = given.get("ticket"), given.get("csrf_token")
    if ticket is None or csrf is None:
        lacking = "ticket" if ticket is None else "csrf_token"
        raise OptionError(f"{lacking} is missing.", "Give both, as homelab.pve.pve_login returns them.")
    whose = _OF_TICKET.fullmatch(ticket.strip())
    if not whose:
        raise OptionError(f"{given.label('ticket')} is no ticket of PVE.", "Give what homelab.pve.pve_login returns.")
    user = given.get("user")
    if user not in (None, whose[1]):
        raise OptionError(f"{given.label('ticket')} is that of {whose[1]}, yet {given.label('user')} is {user}.")
    return {"user": whose[1], "ticket": ticket.strip(), "csrf_token": csrf.strip()}


def _fingerprint(given: _Given) -> str | None:
    text = given.get("fingerprint")
    if text is None:
        return None
    digits = text.strip().replace(":", "").upper()
    if not re.fullmatch(r"[0-9A-F]{64}", digits):
        raise OptionError(
            f"{given.label('fingerprint')} is no SHA-256 fingerprint (32 pairs of hexadecimal digits).",
            "PVE shows it under Node > System > Certificates, and `pvenode cert info` prints it.",
        )
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


def _ca_path(given: _Given) -> str | None:
    path, label = given.get("ca_path"), given.label("ca_path")
    if path is None:
        return None
    try:
        if os.path.isdir(path):
            usable = any(_HASHED_NAME.fullmatch(name) for name in os.listdir(path))
            if not usable:
                raise OptionError(
                    f"{label}: {path} has no certificates under hashed names.", f"Run: openssl rehash {path}"
                )
        else:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise OptionError(f"{label}: {path} holds no CA certificate in PEM form.") from None
    except OSError as error:
        raise OptionError(f"{label}: {path} cannot be read: {error.strerror}.") from None
    return str(path)


def _proxy(given: _Given) -> str | None:
    text, label = given.get("proxy"), given.label("proxy")
    if text is None:
        return None
    hint = "Give http://HOST:PORT; the connection to PVE is tunnelled through it and stays encrypted."
    try:
        url = urlsplit(text.strip())
        host, port = url.hostname, url.port
    except ValueError:
        raise OptionError(f"{label} is no URL.", hint) from None
    if url.scheme.lower() != "http" or not host:
        raise OptionError(f"{label} is not of the form http://HOST:PORT.", hint)
    if port is None:
        raise OptionError(f"{label} has no port.", hint)
    return str(text.strip())
