"""The doctor on the client's side: from the name to the rights, one step after the other.

Each step has its own evidence. What needs a step that failed is skipped, so that one fault is told once. Nothing is
sent with credentials before the host has proved who it is, and credentials that PVE refuses are tried once.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Callable

from ..client.errors import OptionError, PveError
from ..client.http import Client
from ..client.options import HTTPS, ConnectionOptions
from ..client.trust import Proxy
from . import credentials, login, reach, rights, server, tls
from .report import CLIENT, Check, Report, Steps, failed, passed, skipped

_WHERE = ("host", "port", "timeout", "proxy")
_TRUST = ("ca_path", "fingerprint", "validate_certs")
# In place of credentials, where only the other options are looked at.
_NOBODY = {"token_id": "nobody@pve!nothing", "token_secret": "00000000-0000-0000-0000-000000000000"}


@dataclass(frozen=True)
class Question:
    """What is asked of the doctor, beside the connection options as they were given.

    ``header`` is a header ``Authorization`` as a consumer sends it, in place of the credentials. ``path`` should be
    readable, and ``application`` get all that it asks for.
    """

    params: Mapping[str, Any] = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)
    header: str | None = field(default=None, repr=False)
    path: str | None = None
    application: str | None = None


def examine(question: Question, *, clock: Callable[[], float] = time.time) -> Report:
    """Take all steps. Raises nothing for what it is there to find."""
    return _Examination(question, clock).run()


class _Examination:
    def __init__(self, question: Question, clock: Callable[[], float]) -> None:
        self.question = question
        self.clock = clock
        self.steps = Steps(CLIENT)
        self.credentials = credentials.judge(question.params, question.environ, question.header)
        self.options: ConnectionOptions | None = None
        self.known: dict[str, Any] = {}
        self.tree: rights.Tree = {}

    def run(self) -> Report:
        """Take the steps in their order."""
        steps = self.steps
        steps.take("options", self._read_options)
        steps.take("trust", self._read_trust, needs=["options"])
        steps.take("token", lambda: self.credentials.check)
        if self.options:
            self._look_at_host(self.options)
        return Report(tuple(steps.checks), {**self.known, "identity": self.credentials.identity})

    # -- what was given ----------------------------------------------------------------------------------------------

    def _read(self, *names: str) -> ConnectionOptions:
        """Read some of the options, and the environment for them. Raises OptionError."""
        given = {name: self.question.params.get(name) for name in names}
        inherited = {f"PVE_{name.upper()}" for name in names}
        environ = {name: text for name, text in self.question.environ.items() if name in inherited}
        return ConnectionOptions.from_params({**given, **_NOBODY, "transport": HTTPS}, environ)

    def _read_options(self) -> Check:
        try:
            self.options = self._read(*_WHERE)
        except OptionError as error:
            return failed("option_wrong", error.message, error.hint or "Correct the option.")
        return passed(f"{self.options.address} is asked.")

    def _read_trust(self) -> Check:
        try:
            self.options = self._read(*_WHERE, *_TRUST)
        except OptionError as error:
            return failed("option_wrong", error.message, error.hint or "Correct the option.")
        return passed("What proves the host is given in the right form.")

    # -- the host ----------------------------------------------------------------------------------------------------

    def _look_at_host(self, options: ConnectionOptions) -> None:
        steps = self.steps
        way = reach.Way(options.host, options.port, min(reach.SECONDS, options.timeout))
        proxy = Proxy.of(options)
        handshakes = tls.Handshakes(options)
        if proxy:
            steps.take("proxy", lambda: self._through(proxy, handshakes, way))
        else:
            steps.take("name", way.resolve)
            steps.take("route", way.route, needs=["name"])
            steps.take("port", way.knock, needs=["route"])
            handshakes.address = way.addresses[0] if way.addresses else ""
        self.known.update(client_addresses=way.own, port=options.port)
        steps.take("tls", handshakes.look, needs=["proxy" if proxy else "port"])
        steps.take("certificate", lambda: handshakes.verify(self.clock()), needs=["trust", "tls"])
        if handshakes.shown:
            self.known["fingerprint"] = handshakes.shown.fingerprint
        greetings: list[server.Greeting] = []
        steps.take("server", lambda: self._greet(handshakes, greetings), needs=["tls"])
        steps.take("clock", lambda: server.judge_clock(greetings[0]), needs=["server"])
        self._look_inside(options, greetings[0].proxy if greetings else "")

    def _through(self, proxy: Proxy, handshakes: tls.Handshakes, way: reach.Way) -> Check:
        """Look whether the proxy lets the connection through, and if not, whether it takes a proxy at all."""
        try:
            handshakes.dial().close()
        except (OSError, http.client.HTTPException) as error:
            said = f"{proxy}: {str(getattr(error, 'strerror', None) or error).rstrip('.')}."
            name = way.resolve()
            direct = name.status == "passed" and any(
                one.open for one in reach.knock([(address, way.port) for address in way.addresses]).values()
            )
            mend = "PVE is reached without it: leave proxy (PVE_PROXY) out. " if direct else ""
            # http.client tells a refused CONNECT as an OSError without a number.
            refused = isinstance(error, http.client.HTTPException) or getattr(error, "errno", None) is None
            if refused and not isinstance(error, TimeoutError):
                allow = f"Let the proxy pass CONNECT {way.host}:{way.port} on."
                return failed("proxy_refuses", said, mend + allow)
            return failed("proxy_unreachable", said, f"{mend}Check address and port of the proxy.")
        return passed(f"The proxy {proxy} lets the connection through.")

    def _greet(self, handshakes: tls.Handshakes, greetings: list[server.Greeting]) -> Check:
        where = handshakes.options.address
        try:
            greetings.append(server.greet(handshakes, self.clock()))
        except (OSError, http.client.HTTPException) as error:
            said = f"{where} answers no HTTP: {getattr(error, 'strerror', None) or type(error).__name__}."
            return failed("not_pve", said, "Check host and port: PVE listens on 8006.")
        return server.judge(greetings[0], where)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _look_inside(self, options: ConnectionOptions, between: str) -> None:
        steps, identity = self.steps, self.credentials.identity
        asker = login.Asker(identity, between)
        clients: list[Client] = []

        def log_in() -> Check:
            told = {name: getattr(options, name) for name in (*_WHERE, *_TRUST)}
            try:
                clients.append(Client(ConnectionOptions.from_params({**told, **self.credentials.options}, {})))
            except OptionError as error:
                return failed("library_missing", error.message, error.hint)
            return login.log_in(clients[0], asker)

        try:
            steps.take("login", log_in, needs=["token", "certificate", "server"])
            if steps.passed("login"):
                self.known["release"] = str(clients[0].version["version"])
            steps.take("release", lambda: self._release(clients[0]), needs=["login"])
            steps.take("daemon", lambda: login.judge_daemon(clients[0]), needs=["login"])
            steps.take("nodes", lambda: login.judge_nodes(clients[0]), needs=["login"])
            steps.take("rights", lambda: self._rights(clients[0]), needs=["login"])
            self._answer(clients, identity)
        finally:
            for client in clients:
                client.close()

    def _release(self, client: Client) -> Check:
        return login.judge_release(str(client.version["version"]), client.release, self.credentials.identity)

    def _rights(self, client: Client) -> Check:
        try:
            self.tree = rights.read_tree(client)
        except PveError as error:
            return login.failed_call(error)
        try:
            needs = rights.needs_of(self.question.path, self.question.application, client.release)
        except PveError:
            needs = []  # what is wrong with them is told where they are looked at
        return rights.judge_rights(self.tree, self.credentials.identity, needs, client.release)

    def _answer(self, clients: list[Client], identity: str) -> None:
        path, application = self.question.path, self.question.application
        if path is None:
            self.steps.take("path", lambda: skipped("No path is given."))
        else:
            self.steps.take("path", lambda: rights.judge_path(clients[0], path, identity), needs=["login"])
        if application is None:
            self.steps.take("application", lambda: skipped("No application is given."))
        else:
            self.steps.take(
                "application",
                lambda: rights.judge_application(clients[0], application, identity),
                needs=["rights"],
            )
