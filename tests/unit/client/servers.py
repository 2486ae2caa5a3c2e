"""A TLS server and a proxy for the tests: scripted answers, real sockets, and a record of every byte of interest."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)

SECRET = "01234567-89ab-cdef-0123-456789abcdef"
TOKEN = "joe@pve!ci"


class Clock:
    """A clock that stands still unless told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass(frozen=True)
class Certificate:
    """A PEM file with certificate and key, and the fingerprint as PVE shows it."""

    file: Path
    fingerprint: str


class Authority:
    """A CA as PVE makes one: its constraints are not critical and key identifiers are missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Proxmox Virtual Environment")])
        self._made = 0
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        built = self._builder(self._name, self._key, self._name).add_extension(constraints, critical=False)
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(built.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def subject_hash(self) -> str:
        """Return the name under which OpenSSL looks for the CA in a folder."""
        command = ["openssl", "x509", "-noout", "-hash", "-in", str(self.ca_file)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, days: int = 1
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 30 * DAY)
            .not_valid_after(NOW + days * DAY)
        )

    def certificate(self, address: str = "127.0.0.1", *, days: int = 1, self_signed: bool = False) -> Certificate:
        """Issue a certificate for ``address`` that ends ``days`` from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"node {self._made}")])
        names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(address))]
        if address == "127.0.0.1":
            names.append(x509.DNSName("localhost"))
        built = self._builder(subject, key, subject if self_signed else self._name, days)
        built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = built.sign(key if self_signed else self._key, hashes.SHA256())
        self._made += 1
        file = self._folder / f"server{self._made}.pem"
        file.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return Certificate(file, certificate.fingerprint(hashes.SHA256()).hex(":").upper())


@dataclass(frozen=True)
class Received:
    """One request as it came in; ``connection`` counts the connections of the server from 1."""

    method: str
    target: str
    headers: dict[str, str]
    body: str
    connection: int


@dataclass(frozen=True)
class Reply:
    """What to answer. ``body`` that is no bytes is sent as JSON; ``cut`` sends only so many bytes and hangs up.

    ``close`` tells whether the connection ends after it; by default it does after an error.
    """

    status: int = 200
    reason: str = "OK"
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    close: bool | None = None

    def encoded(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = {"Content-Type": "application/json;charset=UTF-8", "Content-Length": str(len(body)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} {self.reason}", *(f"{name}: {value}" for name, value in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def data(value: object, **more: object) -> Reply:
    return Reply(body={"data": value}, **more)  # type: ignore[arg-type]  # a test names what it needs


class Server:
    """An HTTPS server on loopback. ``script`` answers the next requests, ``default`` all others.

    Errors end the connection, and so does answer number ``most_answers``, as with PVE.
    """

    def __init__(self, certificate: Certificate | None, *, most_answers: int = 100, port: int = 0) -> None:
        self.received: list[Received] = []
        self.connections = 0
        self.script: list[Reply] = []
        self.default: Callable[[Received], Reply] = lambda request: data({"release": "9.2", "version": "9.2.11"})
        self.most_answers = most_answers
        # What came in over connections that never got as far as a request.
        self.stray: list[bytes] = []
        self._certificate = certificate
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop listening and cut what is open."""
        # Closing alone does not wake a thread that waits in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Cut every open connection, as PVE does with idle ones."""
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def certificate_fingerprint(self) -> str:
        return self._certificate.fingerprint if self._certificate else ""

    def swap(self, certificate: Certificate) -> None:
        """Show another certificate from the next connection on."""
        self._certificate = certificate

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            number = self.connections
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            if self._certificate:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self._certificate.file)
                connection = context.wrap_socket(connection, server_side=True)
            with self._lock:
                self._open.add(connection)
            with connection, connection.makefile("rb") as stream:
                self._answer(connection, stream, number)
        except OSError:
            connection.close()

    def _answer(self, connection: socket.socket, stream: BinaryIO, number: int) -> None:
        for count in range(1, self.most_answers + 1):
            request = self._read(stream, number)
            if request is None:
                return
            with self._lock:
                self.received.append(request)
                reply = self.script.pop(0) if self.script else self.default(request)
            encoded = reply.encoded()
            connection.sendall(encoded if reply.cut is None else encoded[: reply.cut])
            ends = reply.status >= 400 if reply.close is None else reply.close
            if ends or reply.cut is not None or count == self.most_answers:
                return

    def _read(self, stream: BinaryIO, number: int) -> Received | None:
        first = stream.readline()
        if not first.endswith(b"\r\n"):
            if first:
                self.stray.append(first)
            return None
        method, target, _version = first.decode().split(" ", 2)
        headers = {}
        while (line := stream.readline().decode().strip()) != "":
            name, _colon, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0))).decode()
        return Received(method, target, headers, body, number)


class Proxy:
    """An HTTP proxy that knows CONNECT alone, and keeps what it saw in the clear and what it passed on."""

    def __init__(self, refuse: str = "") -> None:
        self.heads: list[str] = []
        self.passed = bytearray()
        self._refuse = refuse
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._tunnel, args=(connection,), daemon=True).start()

    def _tunnel(self, connection: socket.socket) -> None:
        head = b""
        with connection:
            while not head.endswith(b"\r\n\r\n"):
                byte = connection.recv(1)
                if not byte:
                    return
                head += byte
            self.heads.append(head.decode())
            if self._refuse:
                connection.sendall(f"HTTP/1.1 {self._refuse}\r\nContent-Length: 0\r\n\r\n".encode())
                return
            host, _colon, port = head.split()[1].decode().rpartition(":")
            with socket.create_connection((host, int(port))) as inner:
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                threading.Thread(target=_copy, args=(inner, connection, bytearray()), daemon=True).start()
                _copy(connection, inner, self.passed)


def _copy(source: socket.socket, target: socket.socket, record: bytearray) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            record += chunk
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
