"""HTTPS from the host to itself, for what pvesh cannot show: that somebody other than root@pam gets in.

It makes do with Python's own library, because a task that uses pvesh runs where nothing else may be installed.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping

from .errors import TlsError, TransportError
from .options import ConnectionOptions
from .transport import Answer, Pairs, form, phrase
from .trust import CONNECT_SECONDS, anybody, fingerprint_of, trusted_by

HOST = "127.0.0.1"
# The certificates that pveproxy shows: the first one of them that is there.
OWN = ("/etc/pve/local/pveproxy-ssl.pem", "/etc/pve/local/pve-ssl.pem")
_OK = 200


class LoopbackTransport:
    """One connection to the pveproxy of this host for each request.

    The certificate has to be the one of the fingerprint that is given; else one for ``host`` from a CA of ``ca_path``;
    else the host's own, which root can read.
    """

    def __init__(self, options: ConnectionOptions) -> None:
        self._options = options

    @property
    def local_address(self) -> str | None:
        return HOST

    def check(self, method: str, path: str, params: Pairs) -> None:
        """Everything can be asked this way."""

    def send(self, method: str, path: str, params: Pairs, headers: Mapping[str, str]) -> Answer:
        """Send one request and return the answer, whatever its status. Raises TlsError or TransportError."""
        target, body = form(method, path, params)
        told = {**headers, "Accept": "application/json"}
        if body:
            told["Content-Type"] = "application/x-www-form-urlencoded"
        with self._connect() as stream:
            # The connection is made and proved already; this only speaks on it.
            connection = http.client.HTTPConnection(HOST, self._options.port)
            connection.sock = stream
            late = False
            try:
                connection.request(method, target, body or None, told)
                response = connection.getresponse()
                answer = Answer(response.status, phrase(response.reason), response.read())
                # PVE has something to say with every success; a head that is cut looks whole.
                failed = answer.status == _OK and not answer.body
            except (OSError, http.client.HTTPException) as error:
                failed, late = True, isinstance(error, socket.timeout)
        if failed:
            # Raised out here: inside the except block it would carry the request, headers and all, as its context.
            raise TransportError(
                f"The connection to {self._options.address} was cut before the answer was complete.",
                "If this repeats, look at `journalctl -u pveproxy` on the host.",
                sent=True,
                timed_out=late,
            )
        return answer

    def close(self) -> None:
        """Nothing is kept open."""

    def _connect(self) -> ssl.SSLSocket:
        context, pinned = self._trust()
        where = self._options.address
        try:
            plain = socket.create_connection((HOST, self._options.port), CONNECT_SECONDS)
        except OSError as error:
            raise TransportError(
                f"Cannot connect to {where}: {error.strerror or error}.",
                "Is pveproxy running (`systemctl status pveproxy`), on this port and on all addresses?",
                sent=False,
            ) from None
        try:
            stream = context.wrap_socket(plain, server_hostname=self._options.host if context.check_hostname else None)
        except (OSError, ValueError) as error:
            plain.close()
            raise TlsError(
                f"{where} broke off the TLS handshake: {error}.",
                "Check what listens on this port. No credential was sent.",
                sent=False,
            ) from None
        shown = fingerprint_of(stream.getpeercert(binary_form=True) or b"")
        if pinned and shown != pinned:
            stream.close()
            raise TlsError(
                f"{where} does not show the certificate that it should: its fingerprint is {shown}, not {pinned}.",
                "Check what listens on this port. No credential was sent.",
                sent=False,
            )
        stream.settimeout(self._options.timeout)
        return stream

    def _trust(self) -> tuple[ssl.SSLContext, str]:
        """Return how the certificate is proved, and its fingerprint where only one will do."""
        if self._options.fingerprint:
            return anybody(), self._options.fingerprint
        if self._options.ca_path:
            return trusted_by(self._options), ""
        return anybody(), fingerprint_of(own_certificate())


def own_certificate() -> bytes:
    """Return the certificate of this host's pveproxy, as DER. Raises TransportError where it cannot be read."""
    for path in OWN:
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                text = file.read()
            # Those of the CAs may follow.
            first, end, unused = text.partition(ssl.PEM_FOOTER)
            return ssl.PEM_cert_to_DER_cert(f"{first[first.find(ssl.PEM_HEADER) :]}{end}")
        except (OSError, ValueError):
            continue
    raise TransportError(
        f"The certificate of this host cannot be read: {' and '.join(OWN)}.",
        "Run the task on a node of the cluster as root (become: true), or set fingerprint.",
        sent=False,
    )
