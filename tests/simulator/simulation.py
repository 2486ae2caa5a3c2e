"""A simulator that runs in a thread of its own, for tests and for the command line."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from aiohttp import web
from ansible_collections.homelab.pve.plugins.module_utils.access.releases import parse_release

from .certificates import Certificates, make_certificates
from .population import Size
from .server import IDLE_SECONDS, Server, Timing
from .state import State

HOST = "127.0.0.1"
_START_SECONDS = 30
T = TypeVar("T")


class Simulator:
    """PVE's API on loopback. Start it with ``with`` or ``start()``/``stop()``.

    ``release`` is 7.4, 8.4 or 9.2 (others are taken, and get the nearest older API tree); ``auth_delay`` and
    ``latency`` are seconds; ``port`` 0 takes a free one; ``node``, ``nodes`` and ``guests`` shape the pristine state,
    ``guests`` being those beside VM 100 and CT 102 (64 and 20,000 at most). ``state_dir`` holds certificates;
    without one, a temporary folder does, and goes away at the end.
    """

    def __init__(
        self,
        release: str = "9.2",
        *,
        port: int = 0,
        auth_delay: float = 3.0,
        latency: float = 0.0,
        node: str = "ugreen",
        nodes: int = 1,
        guests: int = 0,
        state_dir: Path | str | None = None,
    ) -> None:
        self.release = release
        self.host = HOST
        self.port = port
        self._size = Size(node, nodes, guests)
        self._timing = Timing(auth_delay, latency)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if state_dir is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="pve-simulator-")
            state_dir = self._temporary.name
        self.state_dir = Path(state_dir)
        self.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chmod(self.state_dir, 0o700)
        self._certificates: Certificates = make_certificates(self.state_dir, node)
        self._server = Server(State(parse_release(release), self._size), self._timing)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping: asyncio.Event | None = None

    @property
    def base_url(self) -> str:
        return f"https://{self.host}:{self.port}"

    @property
    def ca_file(self) -> str:
        return str(self._certificates.ca_file)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the server certificate, as PVE shows it: ``AA:BB:...``."""
        return self._certificates.fingerprint

    # -- running ----------------------------------------------------------------------------------------------

    def start(self) -> Simulator:
        """Start the server thread and return when it listens. Raises OSError when the port is taken."""
        started: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="pve-simulator", daemon=True)
        self._thread.start()
        self.port = started.result(timeout=_START_SECONDS)
        return self

    def _run(self, started: Future[int]) -> None:
        asyncio.run(self._serve(started))

    async def _serve(self, started: Future[int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        handler = web.Server(self._server.handler, keepalive_timeout=IDLE_SECONDS, access_log=None)
        runner = web.ServerRunner(handler, shutdown_timeout=0.1)
        await runner.setup()
        try:
            context = self._certificates.server_context()
            site = web.TCPSite(runner, self.host, self.port, ssl_context=context)
            await site.start()
        except OSError as error:
            started.set_exception(error)
            await runner.cleanup()
            return
        started.set_result(runner.addresses[0][1])
        await self._stopping.wait()
        await runner.cleanup()

    def stop(self) -> None:
        """End the server and its thread, and remove a temporary state folder."""
        if self._loop and self._stopping and self._thread and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
        self._loop = self._thread = self._stopping = None
        if self._temporary:
            self._temporary.cleanup()

    def __enter__(self) -> Simulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- controls ---------------------------------------------------------------------------------------------

    def _call(self, function: Callable[[], T]) -> T:
        """Run something in the server's thread, between two requests."""
        if self._loop is None:
            return function()

        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(timeout=_START_SECONDS)

    def reset(self) -> None:
        """Put the pristine state back and drop all faults."""
        self._call(self._server.reset)

    def requests(self) -> list[dict[str, Any]]:
        """Return the log: method, path, params (secrets masked), as, status of each request."""
        return self._call(lambda: list(self._server.log))

    def clear_requests(self) -> None:
        self._call(self._server.log.clear)

    def load(self, data: Mapping[str, Any]) -> None:
        """Replace the state, or parts of it, by what ``export`` gives."""
        self._call(lambda: self._server.state.load(data))

    def export(self) -> dict[str, Any]:
        """Return the whole state, sorted, secrets included."""
        return self._call(self._server.state.export)

    def fault(self, method: str = "*", path: str = "*", **rule: Any) -> None:
        """Order a fault; see ``faults.Fault`` for the rule's fields."""
        self._call(lambda: self._server.faults.add([{"method": method, "path": path, **rule}]))

    def clear_faults(self) -> None:
        self._call(self._server.faults.clear)

    def set_online(self, node: str, online: bool, *, answers: str = "unreachable", seconds: float = 30) -> None:
        """Make a node reachable or not.

        ``answers`` is what calls to one that is not get: ``unreachable`` and ``refused`` at once, ``timeout`` after
        ``seconds``.
        """
        wanted = {"online": online, "answers": answers, "seconds": seconds}
        self._call(lambda: self._server.control("POST", f"/nodes/{node}", wanted))

    def set_statistics(self, node: str, known: bool) -> None:
        """Let figures of a node arrive or not: one that runs and whose figures are missing is listed as unknown."""
        self._call(lambda: self._server.control("POST", f"/nodes/{node}", {"statistics": known}))
