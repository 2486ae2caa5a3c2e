"""Whether a connection can be made at all: the name, the way, the port."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..wording import some_of
from .report import Check, failed, passed

API_PORT = 8006
# Ports that tell whether a host is up, and what it is.
_OTHERS: Mapping[int, str] = {API_PORT: "PVE", 8007: "Proxmox Backup Server", 22: "SSH", 443: "HTTPS"}
SECONDS = 5.0
_OTHER_SECONDS = 1.5
_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EPERM)
_ADDRESSES = 4
_RUNNING = (errno.EINPROGRESS, errno.EWOULDBLOCK)

Target = tuple[str, int]
_RESTART = "On the host: systemctl status pveproxy; systemctl restart pveproxy."


@dataclass(frozen=True)
class Knock:
    """What became of a connection: ``error`` is 0 where it was made, None where nothing came back, else an errno.

    ``own`` is the address that the client has on that way.
    """

    error: int | None
    own: str = ""

    @property
    def open(self) -> bool:
        return self.error == 0

    @property
    def refused(self) -> bool:
        return self.error in (errno.ECONNREFUSED, errno.ECONNRESET)

    @property
    def answered(self) -> bool:
        """Whether the host itself said something."""
        return self.open or self.refused

    def __str__(self) -> str:
        if self.open:
            return "open"
        return "no answer" if self.error is None else os.strerror(self.error)


def knock(targets: Iterable[Target], seconds: float = SECONDS) -> dict[Target, Knock]:
    """Try to connect to all of these addresses and ports at once, and hang up."""
    found: dict[Target, Knock] = {}
    with contextlib.ExitStack() as stack:
        waiting = stack.enter_context(selectors.DefaultSelector())
        for target in dict.fromkeys(targets):
            one = stack.enter_context(socket.socket(_family(target[0]), socket.SOCK_STREAM))
            one.setblocking(False)
            error = one.connect_ex(target)
            if error in _RUNNING:
                waiting.register(one, selectors.EVENT_WRITE, target)
            else:
                found[target] = Knock(error, _own(one) if error == 0 else "")
        end = time.monotonic() + seconds
        while waiting.get_map() and time.monotonic() < end:
            for key, unused in waiting.select(max(0.0, end - time.monotonic())):
                waiting.unregister(key.fileobj)
                if isinstance(key.fileobj, socket.socket):
                    error = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    found[key.data] = Knock(error, _own(key.fileobj) if error == 0 else "")
        for key in list(waiting.get_map().values()):
            found[key.data] = Knock(None)
    return found


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _own(connected: socket.socket) -> str:
    return str(connected.getsockname()[0])


def own_address(address: str) -> str | int:
    """Return the address that this machine would come from, or why there is no way (an errno). Sends nothing."""
    with socket.socket(_family(address), socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError as error:
            return error.errno or errno.ENETUNREACH
        return _own(probe)


@dataclass
class Way:
    """The way to one host, found out step by step."""

    host: str
    port: int
    seconds: float = SECONDS
    addresses: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    knocks: dict[Target, Knock] = field(default_factory=dict)

    def resolve(self) -> Check:
        """Look the name up, as every program on this machine does."""
        try:
            rows = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            said = getattr(error, "strerror", None) or "it is no name"
            mend = "Write the name as it is, enter it in DNS or /etc/hosts of this machine, or give the address."
            return failed("name_unknown", f"{self.host}: {said}.", mend)
        self.addresses = list(dict.fromkeys(str(row[4][0]) for row in rows))[:_ADDRESSES]
        if self.addresses == [self.host]:
            return passed(f"{self.host} is an address.")
        return passed(f"{self.host} is {', '.join(self.addresses)}.")

    def route(self) -> Check:
        """Look whether this machine knows a way to any of the addresses."""
        ways = {address: own_address(address) for address in self.addresses}
        self.own = list(dict.fromkeys(own for own in ways.values() if isinstance(own, str)))
        if self.own:
            return passed(f"The way begins at {', '.join(self.own)}.")
        said = "; ".join(f"{address}: {os.strerror(way)}" for address, way in ways.items() if isinstance(way, int))
        mend = "Give this machine an address and a route (ip address; ip route), and check the network of a container."
        return failed("no_route", f"{said}.", mend)

    def knock(self) -> Check:
        """Look whether the port is open, and if not, what else there is to be seen of the host."""
        self.knocks = knock([(address, self.port) for address in self.addresses], self.seconds)
        opened = [address for address in self.addresses if self.knocks[address, self.port].open]
        if opened:
            self.own = list(dict.fromkeys(self.knocks[address, self.port].own for address in opened))
            closed = [
                f"{address}: {self.knocks[address, self.port]}" for address in self.addresses if address not in opened
            ]
            but = f" But not at every address: {'; '.join(closed)}." if closed else ""
            # The client tries them in their order.
            self.addresses = opened
            return passed(f"Port {self.port} is open at {', '.join(opened)}.{but}")
        targets = [(address, port) for address in self.addresses for port in _OTHERS if port != self.port]
        others = knock(targets, min(self.seconds, _OTHER_SECONDS))
        return self._closed(list(self.knocks.values()), others)

    def _closed(self, knocks: Sequence[Knock], others: Mapping[Target, Knock]) -> Check:
        at = f"{self.host}, port {self.port}"
        seen = [f"port {port} ({_OTHERS[port]}) is open" for (unused, port), one in others.items() if one.open]
        if not seen and any(one.refused for one in others.values()):
            seen = ["other ports are refused"]
        if any(one.open for (unused, port), one in others.items() if port == API_PORT):
            said = f"{at}: {knocks[0]}, but port {API_PORT} is open."
            return failed("wrong_port", said, f"Give port {API_PORT}, or no port at all.")
        heard = f" Of the host is seen: {some_of(seen)}." if seen else ""
        if any(one.refused for one in knocks):
            backup = any(one.open for (unused, port), one in others.items() if port == API_PORT + 1)
            mend = (
                "Port 8007 is that of a Proxmox Backup Server: is it the right host?"
                if backup
                else f"PVE listens on {API_PORT}; is the port right? {_RESTART} ss -tlnp shows who listens."
            )
            said = (
                f"{at}: connection refused. The host answers, and nothing listens there (or a rule rejects it).{heard}"
            )
            return failed("port_refused", said, mend)
        let_in = self.rule()
        if any(one.error in _UNREACHABLE for one in knocks) and seen:
            said = f"{at}: {next(str(one) for one in knocks if one.error in _UNREACHABLE)}.{heard}"
            return failed("port_rejected", f"{said} So a packet filter rejects it.", let_in)
        if seen:
            return failed("port_filtered", f"{at}: no answer within {self.seconds:g} seconds.{heard}", let_in)
        mend = (
            "Is the host up, and the address right? Look at it from another machine (ping, ssh). If it is, a packet "
            f"filter drops everything from here: {let_in}"
        )
        return failed("host_silent", f"{at}: {knocks[0]}, and no other port answers either.", mend)

    def rule(self) -> str:
        """Return how the firewall is opened for this machine."""
        own = self.own[0] if self.own else "this machine's address"
        return (
            f"Let {own} in: homelab.pve.pve_fw_rule with type: in, action: ACCEPT, source: {own}, proto: tcp and "
            f"dport: '{self.port}', or the role homelab.pve.host_firewall where the host has rules of its own."
        )
