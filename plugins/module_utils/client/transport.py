"""What carries a request to PVE and an answer back: HTTPS (``https.py``) or pvesh (``pvesh.py``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote, urlencode

# Parameters as PVE takes them: names and texts, in the order given.
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """What came back: status, reason phrase (as UTF-8 text) and the whole body, in the envelope of PVE's JSON API."""

    status: int
    reason: str
    body: bytes


class Transport(Protocol):
    """One session with one host. Not for several threads at a time: give each its own."""

    @property
    def local_address(self) -> str | None:
        """Address of the client's own end, once it is known."""

    def check(self, method: str, path: str, params: Pairs) -> None:
        """Raise OptionError for a request that this transport cannot carry, or must not."""

    def send(self, method: str, path: str, params: Pairs, headers: Mapping[str, str]) -> Answer:
        """Send one request and return the answer, whatever its status.

        ``path`` is raw text such as ``/access/users/joe@pve``. Raises TransportError, whose ``sent`` tells whether the
        request may have taken effect.
        """

    def close(self) -> None:
        """End the session; the next request begins a new one."""


def form(method: str, path: str, params: Pairs) -> tuple[str, bytes]:
    """Return the target of an HTTP request and its body; parameters stand in the one or the other."""
    target, encoded = f"/api2/json{quote(path, safe='/@!')}", urlencode(params, quote_via=quote, safe="")
    if method in ("POST", "PUT"):
        return target, encoded.encode("ascii")
    return f"{target}?{encoded}" if encoded else target, b""


def phrase(reason: str) -> str:
    """Undo the reading of a status line as Latin-1: PVE writes UTF-8."""
    try:
        return reason.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return reason
