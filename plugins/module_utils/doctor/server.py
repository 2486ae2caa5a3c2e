"""Who answers at the port: PVE, something else of Proxmox, a web proxy or a stranger. No credential is sent here."""

from __future__ import annotations

import email.utils
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..client.trust import anybody
from .report import Check, failed, passed, skipped
from .tls import Handshakes

# PVE answers it to everybody: the realms, from which one can log in.
PUBLIC = "/api2/json/access/domains"
DAEMON = "pve-api-daemon"
# PVE takes tickets that are up to so much ahead, and a token may end before its time.
MOST_SECONDS = 300
_MOST_BYTES = 1 << 20
_OTHER_PRODUCTS = {"pbs": "Proxmox Backup Server", "pmg": "Proxmox Mail Gateway"}
_GATEWAY = (407, 502, 503, 504)
_PROXIES = ("nginx", "openresty", "apache", "caddy", "haproxy", "traefik", "squid", "varnish", "envoy", "cloudflare")
_PROXY_MEND = (
    "Go to the host itself, on port 8006, past the proxy. If it has to stay: it must pass the header Authorization on, "
    "and reach https://HOST:8006 itself."
)


@dataclass(frozen=True)
class Greeting:
    """What a server answers to somebody who does not say who he is. ``at`` is this machine's time, when it came."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def server(self) -> str:
        return self.headers.get("server", "")

    @property
    def realms(self) -> list[Mapping[str, Any]] | None:
        """The realms, or None where it is no such answer."""
        try:
            rows = json.loads(self.body)["data"]
        except (ValueError, KeyError, TypeError):
            return None
        fit = isinstance(rows, list) and rows and all(isinstance(row, dict) and "realm" in row for row in rows)
        return rows if fit else None

    @property
    def clock(self) -> float | None:
        """What the server's clock says, in seconds since the epoch."""
        try:
            return email.utils.parsedate_to_datetime(self.headers.get("date", "")).timestamp()
        except (TypeError, ValueError):
            return None

    @property
    def proxy(self) -> str:
        """Name the web proxy that gives itself away, or return an empty text."""
        if self.headers.get("via"):
            return f"a proxy (Via: {_short(self.headers['via'])})"
        named = any(name in self.server.lower() for name in _PROXIES)
        return _short(self.server) if named else ""


def _short(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:60]


def greet(handshakes: Handshakes, now: float) -> Greeting:
    """Ask for what everybody may know. Raises OSError or HTTPException."""
    options = handshakes.options
    connection = http.client.HTTPConnection(options.host, options.port)
    with handshakes.connect(anybody()) as connection.sock:
        connection.request("GET", PUBLIC, headers={"Accept": "application/json", "Connection": "close"})
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Greeting(answer.status, answer.reason, headers, answer.read(_MOST_BYTES), now)


def judge(greeting: Greeting, where: str) -> Check:
    """Say who answers."""
    realms = greeting.realms
    said = f"{where} answers {greeting.status} {_short(greeting.reason)}"
    by = f" (Server: {_short(greeting.server)})" if greeting.server else ""
    other = _other_product(greeting)
    if other:
        mend = "Give the host of a Proxmox VE. A Backup Server takes other tokens (PBSAPIToken, with a ':')."
        return failed("pbs_server" if "Backup" in other else "not_pve", f"{where} is a {other}{by}.", mend)
    if realms is not None:
        if DAEMON in greeting.server and not greeting.proxy:
            return passed(f"PVE answers{by}.")
        return passed(f"PVE answers, and {greeting.proxy or 'something else'} stands in between{by}.")
    if DAEMON in greeting.server:
        mend = "Look at the host: systemctl status pveproxy pvedaemon pve-cluster; journalctl -u pveproxy."
        return failed("api_down", f"{said}: it is PVE, and cannot tell its realms.", mend)
    moved = 300 <= greeting.status < 400
    if moved or greeting.proxy or greeting.status in _GATEWAY:
        to = f", and sends one on to {_short(greeting.headers.get('location', 'nowhere'))}" if moved else ""
        return failed("proxy_answers", f"{said}{by}{to}.", _PROXY_MEND)
    return failed("not_pve", f"{said}{by}, which is not what PVE says.", "Check host and port: PVE listens on 8006.")


def _other_product(greeting: Greeting) -> str:
    """Name what else of Proxmox it is, or return an empty text."""
    for row in greeting.realms or ():
        if str(row.get("type") or row["realm"]) in _OTHER_PRODUCTS:
            return _OTHER_PRODUCTS[str(row.get("type") or row["realm"])]
    # Before it told its realms to everybody, a Backup Server refused like this.
    if greeting.status == 401 and b"no authentication credentials" in greeting.body and DAEMON not in greeting.server:
        return _OTHER_PRODUCTS["pbs"]
    return ""


def judge_clock(greeting: Greeting) -> Check:
    """Compare the clocks."""
    there = greeting.clock
    if there is None:
        return skipped("The answer does not say what time it is there.")
    ahead = there - greeting.at
    if abs(ahead) <= MOST_SECONDS:
        return passed("The clocks agree.")
    how = f"{abs(ahead) / 60:.0f} minutes {'ahead of' if ahead > 0 else 'behind'} this machine's"
    mend = "On both: timedatectl; chronyc tracking. Tickets, expiry and certificates go by the clock."
    return failed("clock_differs", f"The host's clock is {how}.", mend)
