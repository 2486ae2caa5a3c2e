"""Connection cards: what somebody needs to know to use a reader's token, worked out from a policy and its cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..access.document import LOGS_ROLE, expand_reader
from ..access.model import name_of, owner_of
from ..access.observe import View
from ..access.paths import normalise
from ..access.releases import builtin_roles
from ..client.options import PVESH, ConnectionOptions
from ..client.trust import fingerprint_of, seen_certificate
from ..endpoints.checks import fields, fill
from ..endpoints.reads import reads
from ..least.applications import application, calls_of
from ..proof.reader import Grant, Reader
from .certificates import public_key_pin

# How it is known that the server is the right one: the CAs of the system, a CA in a file, a fingerprint, or not at all.
SYSTEM, CA, PIN, UNCHECKED = "system", "ca", "pin", "unchecked"

# What is told of a role, as far as it gives it; the rest is counted. PVE answers the first ones to everybody.
_FOR_ALL = ("/version", "/cluster/resources")
_FIRST = (
    "/cluster/status",
    "/nodes/{node}/status",
    "/nodes/{node}/syslog",
    "/nodes/{node}/qemu/{vmid}/status/current",
    "/nodes/{node}/qemu/{vmid}/config",
    "/nodes/{node}/storage/{storage}/status",
    "/pools/{poolid}",
)
_IDS = {"/vms/": "vmid", "/nodes/": "node", "/storage/": "storage", "/pool/": "poolid"}


@dataclass(frozen=True)
class Server:
    """Where PVE is, and how a client can know it. ``pin`` is of its public key, for curl."""

    url: str
    host: str
    port: int
    trust: str
    fingerprint: str = ""
    pin: str = ""
    ca_path: str = ""


@dataclass(frozen=True)
class Card:
    """One reader. ``expires`` is the end of the token or its user, 0 for never, None where it is not known.

    ``endpoints`` are what it may ask for, ``more`` how many there are besides.
    """

    server: Server
    tokenid: str
    purpose: str
    application: str | None = None
    secret_file: str | None = None
    expires: int | None = None
    endpoints: tuple[str, ...] = ()
    more: int = 0
    secret: str | None = field(default=None, repr=False)

    @property
    def userid(self) -> str:
        return owner_of(self.tokenid)

    @property
    def name(self) -> str:
        """The name of the token, without its user."""
        return name_of(self.tokenid)

    def as_data(self) -> dict[str, Any]:
        """Return the card as module results show it, which is without the secret."""
        return {
            "tokenid": self.tokenid,
            "purpose": self.purpose,
            "application": self.application,
            "server": self.server.url,
            "trust": self.server.trust,
            "fingerprint": self.server.fingerprint or None,
            "secret_file": self.secret_file,
            "expires": self.expires,
            "endpoints": list(self.endpoints),
            "more_endpoints": self.more,
        }


def server_of(options: ConnectionOptions) -> Server:
    """Return what a card says of the server, with the certificate that it shows right now, if the options trust it."""
    trust = PIN if options.fingerprint else CA if options.ca_path else SYSTEM if options.validate_certs else UNCHECKED
    if options.transport == PVESH:
        return Server(f"https://{options.host}:{options.port}", options.host, options.port, UNCHECKED)
    certificate = seen_certificate(options, verified=True)
    return Server(
        options.address,
        options.host,
        options.port,
        trust,
        fingerprint_of(certificate) if certificate else options.fingerprint or "",
        public_key_pin(certificate) if certificate else "",
        options.ca_path or "",
    )


def cards(readers: Iterable[Mapping[str, Any]], server: Server, view: View) -> Iterator[Card]:
    """Yield a card for each reader of a policy; ``readers`` have been through an argument spec. Raises OptionError."""
    for raw in readers:
        token = expand_reader(raw).token
        endpoints, more = _of_application(raw, view) if raw.get("application") else _of_role(raw, view)
        yield Card(
            server,
            token.tokenid,
            _purpose(raw),
            raw.get("application"),
            token.secret_file,
            view.state.end_of(token.tokenid),
            endpoints,
            more,
        )


def _purpose(raw: Mapping[str, Any]) -> str:
    if raw.get("application"):
        return application(raw["application"]).title
    return f"{raw['role']}{' and the logs' if raw.get('logs') else ''} on {raw['path']}"


def _of_application(raw: Mapping[str, Any], view: View) -> tuple[tuple[str, ...], int]:
    calls = calls_of(raw["application"], view.release).endpoints.values()
    return tuple(dict.fromkeys(endpoint.name for endpoint in calls)), 0


def _of_role(raw: Mapping[str, Any], view: View) -> tuple[tuple[str, ...], int]:
    """Return the most useful reads that a role on a path gives, and how many more."""
    path = normalise(raw["path"]) or raw["path"]
    roles = {name: role.privs for name, role in view.state.roles.items()} or builtin_roles(view.release)
    held = roles.get(raw["role"], frozenset())
    if raw.get("logs"):
        held |= roles.get(LOGS_ROLE, frozenset({"Sys.Syslog"}))
    reader = Reader(raw["token"], (Grant(path, held, raw.get("propagate") is not False),))
    ids = {name: path[len(start) :] for start, name in _IDS.items() if path.startswith(start)}
    able = []
    for read in reads(view.release):
        # An id that the path does not name stands for all.
        named = {name: ids.get(name, f"{{{name}}}") for where in read.check.paths() for name in fields(where)}
        if read.check.alternatives and read.check.for_path(named).satisfied(reader.held):
            able.append(read.path)
    shown = [path for path in _FIRST if path in able]
    filled = [fill(where, {**{name: f"{{{name}}}" for name in fields(where)}, **ids}) for where in (*_FOR_ALL, *shown)]
    # What holds for a machine holds for a container; which one it is, does not show in the path of the rights.
    told = [where.replace("/qemu/", "/{qemu|lxc}/") for where in filled]
    return tuple(f"GET {where}" for where in told), len(able) - len(shown)
