"""Whether a host proves who it is: who is trusted, what is wrong with a certificate, and the way to the handshake.

It makes do with Python's own library, so that it can be asked where no other is installed. Nothing here sends more
than a handshake, or to a proxy what that asks for.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from .options import ConnectionOptions

# A host that does not take the connection by then is down; ``timeout`` is for the answer.
CONNECT_SECONDS = 10

# What can be wrong with a certificate, and OpenSSL's numbers for it.
EXPIRED, NOT_YET, UNTRUSTED, WRONG_NAME, INVALID = "expired", "not yet", "untrusted", "name", "invalid"
_NUMBERS = {
    9: NOT_YET,
    10: EXPIRED,
    # Self-signed, or of a CA that is not among the trusted ones, or that only has the name of a trusted one.
    **dict.fromkeys((7, 18, 19, 20, 21), UNTRUSTED),
    **dict.fromkeys((62, 64), WRONG_NAME),
}


def wrong_with(error: BaseException) -> str:
    """Return what is wrong with the certificate over which a handshake failed; empty where it failed otherwise."""
    number = getattr(error, "verify_code", None)
    return "" if number is None else _NUMBERS.get(number, INVALID)


def anybody() -> ssl.SSLContext:
    """Return a context that takes every certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def trusted_by(options: ConnectionOptions) -> ssl.SSLContext:
    """Return a context for those whom the options trust; with a fingerprint, that is for the caller to compare.

    It is not made by ``ssl.create_default_context``: that one listens to SSLKEYLOGFILE and, from Python 3.13 on,
    refuses the CA that PVE makes for itself (strict X.509). The system's store is loaded from where OpenSSL was built
    to look, so that SSL_CERT_FILE and SSL_CERT_DIR do not count either.
    """
    if options.fingerprint or not options.validate_certs:
        return anybody()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    system = ssl.get_default_verify_paths()
    for path in [options.ca_path] if options.ca_path else [system.openssl_cafile, system.openssl_capath]:
        if os.path.isdir(path):
            context.load_verify_locations(capath=path)
        elif os.path.isfile(path):
            context.load_verify_locations(cafile=path)
    return context


def fingerprint_of(certificate: bytes) -> str:
    """Return the SHA-256 fingerprint of a DER certificate, in the form that PVE shows (AA:BB:...)."""
    digest = hashlib.sha256(certificate).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy to tunnel through: where it is, and the headers that it wants."""

    host: str
    port: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, options: ConnectionOptions) -> Proxy | None:
        """Read the option, whose form was checked with the others; None without one."""
        if not options.proxy:
            return None
        url = urlsplit(options.proxy)
        headers = {}
        if url.username is not None:
            pair = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
            headers["Proxy-Authorization"] = f"Basic {b64encode(pair).decode()}"
        return cls(url.hostname or "", url.port or 0, headers)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def dial(options: ConnectionOptions, address: str = "") -> socket.socket:
    """Return a connection on which nothing was said yet, but to the proxy: to the host, or one ``address`` of it.

    Raises OSError or http.client.HTTPException.
    """
    proxy = Proxy.of(options)
    if proxy is None:
        return socket.create_connection((address or options.host, options.port), timeout=CONNECT_SECONDS)
    tunnel = http.client.HTTPConnection(proxy.host, proxy.port, timeout=CONNECT_SECONDS)
    tunnel.set_tunnel(options.host, options.port, headers=dict(proxy.headers))
    tunnel.connect()
    found: socket.socket = tunnel.sock
    return found


def seen_certificate(options: ConnectionOptions, *, verified: bool = False) -> bytes | None:
    """Shake hands once to see which certificate (DER) is shown, and hang up without sending anything.

    None where there is no handshake. With ``verified``, there is none either where the certificate is not one that the
    options trust; with a fingerprint among them, that one is.
    """
    context = trusted_by(options) if verified else anybody()
    try:
        with context.wrap_socket(dial(options), server_hostname=options.host) as connection:
            certificate = connection.getpeercert(binary_form=True)
    except (OSError, ValueError, http.client.HTTPException):
        return None
    if verified and certificate and options.fingerprint not in (None, fingerprint_of(certificate)):
        return None
    return certificate
