"""What the port speaks, and whether the certificate proves who it is. No credential is sent here."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..client.options import ConnectionOptions
from ..client.trust import (
    EXPIRED,
    NOT_YET,
    UNTRUSTED,
    WRONG_NAME,
    anybody,
    dial,
    fingerprint_of,
    trusted_by,
    wrong_with,
)
from ..wording import moment, some_of
from .report import Check, failed, passed

# What is wrong with a certificate, each with the diagnosis.
_WRONG = {
    EXPIRED: "certificate_expired",
    NOT_YET: "certificate_not_yet",
    UNTRUSTED: "certificate_untrusted",
    WRONG_NAME: "certificate_name",
}
# Flags of OpenSSL: trust an end certificate by itself, and do not look at its dates.
_PARTIAL_CHAIN, _NO_CHECK_TIME = 0x80000, 0x200000
_SOON = 14 * 24 * 60 * 60
_COMPARE = "Compare the fingerprint with what PVE shows under Node > System > Certificates (pvenode cert info)"
_HTTP = b"GET / HTTP/1.0\r\n\r\n"
# How long one connection may take in all: whoever sends a byte now and then would keep the doctor for ever.
WHOLE_SECONDS = 15.0


@dataclass(frozen=True)
class Shown:
    """The certificate that is shown: its fingerprint, as PVE writes it, and what stands in it."""

    fingerprint: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""

    @property
    def names(self) -> list[str]:
        return [str(value) for unused, value in self.fields.get("subjectAltName", ())] or [self.of("subject")]

    @property
    def begins(self) -> float:
        return _seconds(self.fields.get("notBefore"), 0.0)

    @property
    def ends(self) -> float:
        return _seconds(self.fields.get("notAfter"), float("inf"))

    def of(self, whom: str) -> str:
        """Return the common name of ``subject`` or ``issuer``, else the organisation."""
        pairs = {str(name): str(value) for row in self.fields.get(whom, ()) for name, value in row}
        return pairs.get("commonName") or pairs.get("organizationName") or "nobody that is named"


def _seconds(text: Any, otherwise: float) -> float:
    try:
        return float(ssl.cert_time_to_seconds(str(text)))
    except ValueError:
        return otherwise


@contextlib.contextmanager
def _breaking_off(connection: socket.socket) -> Iterator[None]:
    """End a connection if it is still there after ``WHOLE_SECONDS``."""
    with connection.dup() as twin:

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                twin.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(WHOLE_SECONDS, hang_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


@dataclass
class Handshakes:
    """Handshakes with one server: with the ``address`` that answered, or through a proxy."""

    options: ConnectionOptions
    address: str = ""
    shown: Shown | None = None

    def look(self) -> Check:
        """Look what the port speaks, and take the certificate."""
        try:
            self.shown = self._take()
        except (OSError, http.client.HTTPException) as error:
            return self._no_tls(error)
        version = self.shown.version
        return passed(f"{version}, certificate {self.shown.fingerprint} of {self.shown.of('issuer')}.")

    @contextlib.contextmanager
    def connect(self, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
        """Give a connection after its handshake. It breaks off when it has taken too long in all."""
        host = self.options.host
        with self.dial() as raw, _breaking_off(raw), context.wrap_socket(raw, server_hostname=host) as connection:
            yield connection

    def dial(self) -> socket.socket:
        """Return a connection on which nothing was said yet, but to the proxy."""
        return dial(self.options, self.address)

    def _take(self) -> Shown:
        """Shake hands twice: the second time the certificate is trusted by itself, so that Python reads it."""
        with self.connect(anybody()) as first:
            raw, version = first.getpeercert(binary_form=True) or b"", first.version() or ""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_flags = ssl.VerifyFlags(context.verify_flags | _PARTIAL_CHAIN | _NO_CHECK_TIME)
        fields: Mapping[str, Any] = {}
        try:
            # ValueError: no certificate at all.
            context.load_verify_locations(cadata=raw)
            with self.connect(context) as second:
                fields = second.getpeercert() or {}
        except (OSError, ValueError, http.client.HTTPException):
            # It may be one that cannot be trusted whatever one does; then the fingerprint is all that is known.
            fields = {}
        return Shown(fingerprint_of(raw), fields, version)

    def _no_tls(self, error: BaseException) -> Check:
        where = self.options.address
        said = str(getattr(error, "reason", "") or "").replace("_", " ").lower()
        spoken = self._spoken()
        if spoken.startswith("HTTP/"):
            mend = f"Check the port: PVE speaks HTTPS on 8006. {where} is some other server, or a proxy in front of it."
            return failed("plain_http", f"{where} answers plain HTTP ({spoken}).", mend)
        if spoken:
            return failed("not_tls", f"{where} says {spoken!r}.", "Check host and port: PVE speaks HTTPS on 8006.")
        if not isinstance(error, ssl.SSLError) or isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            return self._cut(error)
        # OpenSSL finds a "wrong version number" in what is no TLS at all.
        known = said.startswith(("unsupported protocol", "no protocols")) or "alert" in said or "cipher" in said
        if known:
            mend = (
                "TLS 1.2 or later is needed on both sides: look at CIPHERS and DISABLE_TLS_* in /etc/default/pveproxy."
            )
            return failed("tls_version", f"{where}: {said}.", mend)
        return failed("not_tls", f"{where}: {said or error}.", "Check host and port: PVE speaks HTTPS on 8006.")

    def _spoken(self) -> str:
        """Return the first line that the port says to somebody who speaks without TLS."""
        try:
            with self.dial() as plain:
                plain.settimeout(2)
                plain.sendall(_HTTP)
                said = plain.recv(80)
        except (OSError, http.client.HTTPException):
            return ""
        line = said.partition(b"\n")[0].decode("ascii", errors="replace").strip()
        return line if line.isprintable() else ""

    def _cut(self, error: BaseException) -> Check:
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        mend = (
            "On the host: journalctl -u pveproxy; ALLOW_FROM and DENY_FROM in /etc/default/pveproxy make it hang up on "
            "clients that they turn away. A packet filter or proxy in between can do the same."
        )
        return failed("connection_cut", f"{self.options.address}: {said.rstrip('.')}.", mend)

    # -- the certificate ---------------------------------------------------------------------------------------------

    def verify(self, now: float) -> Check:
        """Judge the certificate as the client does."""
        if self.shown is None:
            raise ValueError("look() comes first")
        shown, options = self.shown, self.options
        if options.fingerprint:
            if options.fingerprint == shown.fingerprint:
                return passed("The certificate has the fingerprint that was given.")
            mend = (
                f"{_COMPARE}. If PVE shows {shown.fingerprint} there, it was renewed: give that as fingerprint. Else "
                "somebody is in between."
            )
            said = f"Shown is {shown.fingerprint}, issued by {shown.of('issuer')} on {moment(shown.begins)}."
            return failed("fingerprint_changed", said, mend)
        if not options.validate_certs:
            return passed(
                f"The certificate is not checked (validate_certs is false). Better: fingerprint {shown.fingerprint}."
            )
        try:
            with self.connect(trusted_by(options)) as unused:
                return passed(self._fine(now))
        except ssl.SSLCertVerificationError as error:
            return self._wrong(error)
        except (OSError, http.client.HTTPException) as error:
            return self._cut(error)

    def _fine(self, now: float) -> str:
        ends = self.shown.ends if self.shown else 0
        if ends - now < _SOON:
            return f"The certificate proves who it is. It ends on {moment(ends)}: pvecm updatecerts --force renews it."
        return "The certificate proves who it is."

    def _wrong(self, error: ssl.SSLCertVerificationError) -> Check:
        shown, host = self.shown or Shown(""), self.options.host
        diagnosis = _WRONG.get(wrong_with(error), "certificate_invalid")
        pin = f"or give fingerprint {shown.fingerprint}, once it is compared. {_COMPARE}."
        if diagnosis == "certificate_expired":
            renew = (
                "On the host: pvecm updatecerts --force, or renew your own (pvenode acme cert renew); restart pveproxy."
            )
            return failed(
                diagnosis, f"It ended on {moment(shown.ends)}.", f"{renew} Check the clocks of both machines."
            )
        if diagnosis == "certificate_not_yet":
            said = f"It begins on {moment(shown.begins)}."
            return failed(diagnosis, said, "Check the clocks of both machines: timedatectl, chronyc tracking.")
        if diagnosis == "certificate_name":
            said = f"It is for {some_of(shown.names)}, and not for {host}."
            return failed(diagnosis, said, f"Use one of its names as host, {pin}")
        if diagnosis == "certificate_untrusted":
            said = f"Its issuer is {shown.of('issuer')}. PVE signs its own, a proxy that opens TLS does too."
            return failed(diagnosis, said, f"Copy /etc/pve/pve-root-ca.pem from the host and give it as ca_path, {pin}")
        return failed(diagnosis, f"{error.verify_message}.", f"Renew it, {pin}")
