"""HTTPS to one PVE host: one kept-alive connection, the certificate proved on it before anything is sent.

This is the only file that knows requests and urllib3. It sends each request once and tells whether it may have
arrived; whether to repeat it is the client's decision.
"""

from __future__ import annotations

import http.client
import ssl
import time
import warnings
from collections.abc import Mapping
from typing import Any, Callable

try:
    import urllib3
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPSConnection
    from urllib3.connectionpool import HTTPSConnectionPool
    from urllib3.exceptions import (
        ConnectTimeoutError,
        HTTPError,
        InsecureRequestWarning,
        NewConnectionError,
        ReadTimeoutError,
    )
    from urllib3.exceptions import SSLError as Urllib3SSLError
except ImportError:
    HAS_REQUESTS = False
    # Stand-ins, so that the classes below can be read (and documented) without the library.
    HTTPAdapter = HTTPSConnection = HTTPSConnectionPool = object  # type: ignore[misc,assignment]
else:
    HAS_REQUESTS = True

from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError, TlsError, TransportError
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.client.transport import Answer, Pairs, form, phrase
from ansible_collections.homelab.pve.plugins.module_utils.client.trust import (
    CONNECT_SECONDS,
    EXPIRED,
    NOT_YET,
    UNTRUSTED,
    WRONG_NAME,
    Proxy,
    fingerprint_of,
    seen_certificate,
    trusted_by,
    wrong_with,
)

# PVE ends a connection after 5 idle seconds and after 100 answers; a write stays well clear of both.
IDLE_SECONDS = 3.0
MOST_ANSWERS = 90

_OK, _CLIENT_ERROR = 200, 400
_HEADERS = {"User-Agent": "homelab.pve", "Accept": "application/json", "Accept-Encoding": "gzip"}


class HttpsTransport:
    """One session with one host. Not for several threads at a time: give each its own.

    ``local_address`` is the address of the client's own end, known once a connection was made.
    """

    def __init__(self, options: ConnectionOptions, *, clock: Callable[[], float] = time.monotonic) -> None:
        if not HAS_REQUESTS:
            raise OptionError(
                "The Python library requests is missing where this task runs.",
                "Install it there (python3-requests), or delegate the task to a host that has it.",
            )
        self._options = options
        self._clock = clock
        self._wire = _Wire(_tls_context(options), options.fingerprint)
        # Requests go to the pool that the adapter makes. Without a session around it, nothing reads .netrc,
        # REQUESTS_CA_BUNDLE or the proxy variables, keeps cookies or follows redirects, and it costs a third.
        self._adapter = _Adapter(self._wire)
        self._pool: HTTPSConnectionPool | None = None
        self._timeout = urllib3.Timeout(connect=min(CONNECT_SECONDS, options.timeout), read=options.timeout)

    @property
    def local_address(self) -> str | None:
        return self._wire.local_address

    def check(self, method: str, path: str, params: Pairs) -> None:
        """Everything can be asked this way."""

    def send(self, method: str, path: str, params: Pairs, headers: Mapping[str, str]) -> Answer:
        """Send one request and return the answer, whatever its status. Raises TlsError or TransportError."""
        url, body = form(method, path, params)
        if method in ("POST", "PUT"):
            headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        if method != "GET" and self._may_be_stale():
            self.reconnect()
        self._wire.sent = False
        self._wire.failure = None
        failure = None
        if self._pool is None:
            self._pool = self._adapter.pool(self._options)
        try:
            response = self._pool.request(
                method,
                url,
                body=body or None,
                headers={**_HEADERS, **headers},
                timeout=self._timeout,
                retries=False,
                redirect=False,
                assert_same_host=False,
            )
            content = response.data
        except (HTTPError, OSError, ValueError) as error:
            failure = self._failure(error)
        else:
            if _is_cut(response):
                failure = self._cut(sent=True)
        if failure:
            # Raised out here: inside the except block it would carry the request, headers and all, as its context.
            self.reconnect()
            raise failure
        self._wire.answers += 1
        self._wire.last_answer = self._clock()
        if response.status >= _CLIENT_ERROR:
            self.reconnect()
        return Answer(response.status, phrase(response.reason or ""), content or b"")

    def _may_be_stale(self) -> bool:
        return self._wire.answers >= MOST_ANSWERS or self._clock() - self._wire.last_answer > IDLE_SECONDS

    def reconnect(self) -> None:
        """Close the connection; the next request opens a new one."""
        self._adapter.close()
        self._pool = None
        self._wire.answers = 0

    def close(self) -> None:
        self._adapter.close()

    def _failure(self, error: Exception) -> TransportError:
        """Say what happened, without keeping the library's exceptions: they hold the request."""
        cause, self._wire.failure = self._wire.failure, None
        sent = self._wire.sent
        where = f"{self._options.address}{self._via()}"
        if cause is not None and not sent and _is_tls(cause):
            return self._tls_error(cause, where)
        # Older releases of urllib3 count a refused connection among the timeouts.
        refused = isinstance(error, NewConnectionError)
        timed_out = isinstance(error, (ConnectTimeoutError, ReadTimeoutError)) and not refused
        if timed_out and not sent:
            hint = "Check host, port, and the firewalls on the way."
            return TransportError(f"{where} does not answer.", hint, sent=False, timed_out=True)
        if timed_out:
            return TransportError(
                f"No answer from {where} within {self._options.timeout} seconds.",
                "Raise timeout if PVE needs longer; a call to a node that is down takes 30 seconds.",
                sent=sent,
                timed_out=True,
            )
        if cause is not None and not sent:
            return TransportError(f"Cannot connect to {where}: {_plain(cause)}.", self._hint_for(cause), sent=False)
        return self._cut(sent)

    def _cut(self, sent: bool) -> TransportError:
        return TransportError(
            f"The connection to {self._options.address}{self._via()} was cut before the answer was complete.",
            "If this repeats, look at `journalctl -u pveproxy` on the host.",
            sent=sent,
        )

    def _via(self) -> str:
        proxy = Proxy.of(self._options)
        return f" (through the proxy {proxy})" if proxy else ""

    def _hint_for(self, cause: BaseException) -> str:
        if self._options.proxy:
            return "Check the proxy, and that it lets CONNECT through to the port of PVE."
        if isinstance(_root(cause), ConnectionRefusedError):
            return "Check the port (PVE listens on 8006) and that pveproxy runs: `systemctl status pveproxy`."
        return "Check host and port, and that this machine can reach them."

    def _tls_error(self, cause: BaseException, where: str) -> TlsError:
        seen = self._seen_fingerprint()
        shown = f" The certificate that is shown here has the fingerprint {seen}." if seen else ""
        options = self._options
        wrong = wrong_with(cause)
        if options.fingerprint:
            problem = "does not show the certificate with the fingerprint that was given"
            hint = (
                f"{shown} Was the certificate renewed? Compare with what PVE shows under Node > System > Certificates; "
                "if it differs there, somebody is in between."
            )
            if seen == options.fingerprint:
                problem, hint = f"broke off the TLS handshake: {_plain(cause)}", "Run again."
        elif wrong == UNTRUSTED:
            problem = "shows a certificate of a CA that is not trusted here"
            hint = (
                "A fresh PVE signs its own: copy /etc/pve/pve-root-ca.pem from the host and name it in ca_path, "
                f"or set fingerprint.{shown} Compare it with what PVE shows under Node > System > Certificates."
            )
        elif wrong == WRONG_NAME or (not wrong and isinstance(cause, ValueError)):
            problem = f"shows a certificate that is not for {options.host}"
            hint = f"Use a name or address that the certificate has, or set fingerprint.{shown}"
        elif wrong in (EXPIRED, NOT_YET):
            problem = f"shows a certificate that {'has expired' if wrong == EXPIRED else 'is not valid yet'}"
            hint = "Renew it (`pvecm updatecerts --force`), and check the clocks of both machines."
        elif isinstance(cause, ssl.SSLCertVerificationError):
            problem, hint = f"shows a certificate that does not verify: {cause.verify_message}", shown.strip()
        else:
            problem = f"broke off the TLS handshake: {_plain(cause)}"
            hint = "Check that the port is that of PVE (8006) and speaks TLS 1.2 or later."
        return TlsError(f"{where} {problem}.", f"{hint.strip()} No credential was sent.", sent=False)

    def _seen_fingerprint(self) -> str | None:
        certificate = seen_certificate(self._options)
        return fingerprint_of(certificate) if certificate else None


class _Wire:
    """What is known about the one connection, written by the connection itself."""

    def __init__(self, context: ssl.SSLContext, fingerprint: str | None) -> None:
        self.context = context
        self.fingerprint = fingerprint
        self.sent = False
        self.failure: BaseException | None = None
        self.answers = 0
        self.last_answer = float("-inf")
        self.local_address: str | None = None


class _Connection(HTTPSConnection):
    """A connection that proves its peer by the wire's rules, whatever the layers above were told."""

    wire: _Wire
    _ready = False

    def connect(self) -> None:
        self._ready = False
        self.ssl_context = self.wire.context
        self.cert_reqs = self.wire.context.verify_mode
        # urllib3 compares after the handshake and before it hands the connection over.
        self.assert_fingerprint = self.wire.fingerprint
        self.assert_hostname = None
        self.ca_certs = self.ca_cert_dir = self.ca_cert_data = None
        try:
            super().connect()
        except (OSError, ValueError, HTTPError, http.client.HTTPException) as error:
            # ValueError: how older releases of urllib3 say that the name in the certificate is another one.
            self.wire.failure = error
            raise
        self.wire.answers = 0
        self.wire.local_address = self.sock.getsockname()[0] if self.sock else None
        self._ready = True

    def send(self, data: Any) -> None:
        if self._ready:
            # From here on the server may have it: some bytes can arrive even when this call fails.
            self.wire.sent = True
        super().send(data)

    def close(self) -> None:
        self._ready = False
        super().close()


class _Adapter(HTTPAdapter):
    def __init__(self, wire: _Wire) -> None:
        connection: type[_Connection] = type("_Connection", (_Connection,), {"wire": wire})
        self._pool: type[HTTPSConnectionPool] = type("_Pool", (HTTPSConnectionPool,), {"ConnectionCls": connection})
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **keywords: Any) -> None:
        super().init_poolmanager(*args, **keywords)
        self.poolmanager.pool_classes_by_scheme = {"https": self._pool}

    def proxy_manager_for(self, *args: Any, **keywords: Any) -> Any:
        manager = super().proxy_manager_for(*args, **keywords)
        manager.pool_classes_by_scheme = {"https": self._pool}
        return manager

    def pool(self, options: ConnectionOptions) -> HTTPSConnectionPool:
        """Return the pool of the one connection, with or without a proxy."""
        manager = self.proxy_manager_for(options.proxy) if options.proxy else self.poolmanager
        pool: HTTPSConnectionPool = manager.connection_from_url(options.address)
        return pool

    def cert_verify(self, *_args: Any, **_keywords: Any) -> None:
        """Load nothing: older releases of requests would add their own CA bundle to the context."""


def _tls_context(options: ConnectionOptions) -> ssl.SSLContext:
    """Return the context that all connections use."""
    context = trusted_by(options)
    if not options.validate_certs and not options.fingerprint:
        # The client says it once, in its own words.
        warnings.simplefilter("ignore", InsecureRequestWarning)
    if urllib3.__version__.startswith("1."):  # type: ignore[attr-defined]  # version 1 is not typed
        # It does not hand the name to the handshake where that is an address, and compares it afterwards itself
        # (before the request, as with a pin).
        context.check_hostname = False
    return context


def _is_tls(cause: BaseException) -> bool:
    """Whether the handshake itself failed; a connection cut during it is just a cut connection."""
    cut = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
    return isinstance(cause, (ssl.SSLError, Urllib3SSLError, ValueError)) and not isinstance(cause, cut)


def _root(error: BaseException) -> BaseException:
    while True:
        inner = error.__cause__ or error.__context__
        if inner is None:
            return error
        error = inner


def _plain(error: BaseException) -> str:
    """Return what the operating system (or TLS) said, without the wrappings of the library."""
    root = _root(error)
    return (getattr(root, "strerror", None) or str(root)).rstrip(".")


def _is_cut(response: urllib3.BaseHTTPResponse) -> bool:
    """Whether the connection ended within the answer: the libraries take a cut head, and some a cut body, for whole."""
    length = response.headers.get("Content-Length", "")
    if length.isdigit():
        return response.tell() < int(length)
    # PVE tells the length of every success.
    return response.status == _OK and not response.data
