"""A simulator that something happens to at a chosen request, behind a door that can be shut."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from aiohttp import web
from ansible_collections.homelab.pve.tests.simulator import Simulator
from ansible_collections.homelab.pve.tests.simulator.server import IDLE_SECONDS, Server

# At which moment of a request: it never gets there; it is done, but nothing of the answer comes; half of the answer
# comes; all of it does.
WHEN = ("before", "in", "after", "done")
# What happens: the connection ends; so does every connection from then on; nobody listens any more; the module is
# killed.
WHAT = ("cut", "drop", "refuse", "kill")


class Struck(Server):
    """PVE's server, with one blow to order."""

    def aim(self, nth: int = 0, when: str = "", act: Callable[[], Any] | None = None) -> None:
        """Order ``act`` for the ``nth`` request from now on; without arguments, nothing more happens."""
        self.nth, self.when, self.act = nth, when, act
        self.count = 0
        self.away = False
        # What is done before the whole of an answer is sent.
        self.first: Callable[[], Any] | None = None
        # For ``hold``: what is done while the server waits, in another thread; the answer then comes as if nothing was.
        self.meanwhile: Callable[[], Any] | None = None

    async def handler(self, request: web.BaseRequest) -> web.StreamResponse:
        self.count += 1
        if self.away:
            return self._lost(request)
        if self.count != self.nth:
            return await super().handler(request)
        if self.when == "before":
            if self.meanwhile:
                await asyncio.to_thread(self.meanwhile)
                return await super().handler(request)
            self._strike()
            return self._lost(request)
        answer = await self._answer(request, request.raw_path.partition("?")[0])
        if self.meanwhile:
            await asyncio.to_thread(self.meanwhile)
            return self._finish(request, answer)
        if self.when == "in":
            self._strike()
            return self._lost(request)
        if self.when == "after":
            response = await self._send_half(request, answer)
            self._strike()
            return response
        if self.first:
            self.first()
        whole = self._finish(request, answer)
        await whole.prepare(request)
        await whole.write_eof()
        self._strike()
        if request.transport is not None:
            request.transport.close()
        return whole

    def _strike(self) -> None:
        if self.act:
            self.act()

    @staticmethod
    def _lost(request: web.BaseRequest) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)


class Cluster(Simulator):
    """The simulator behind a door: a port that stays its own while nobody listens on it."""

    def __init__(self, release: str) -> None:
        super().__init__(release, auth_delay=0)
        self.struck = Struck(self._server.state, self._server.timing)
        self.struck.aim()
        self._server = self.struck
        self._listener: asyncio.Server | None = None

    def start(self) -> Cluster:
        super().start()
        # Bound and not listening: nobody else gets this port, and while the door is shut, connections are refused.
        self._keeper = socket.socket()
        self._keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._keeper.bind((self.host, 0))
        self.door = self._keeper.getsockname()[1]
        self.open()
        return self

    def stop(self) -> None:
        self._call(self._shut)
        self._keeper.close()
        super().stop()

    def open(self) -> None:
        """Listen, and let nothing more happen."""
        self._call(self.struck.aim)
        if self._listener is None:
            self._listener = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    async def _listen(self) -> asyncio.Server:
        # A listener of its own, not one that passes on to the simulator's: that would read and write everything twice.
        handler = web.Server(self.struck.handler, keepalive_timeout=IDLE_SECONDS, access_log=None)
        context = self._certificates.server_context()
        return await self._loop.create_server(handler, self.host, self.door, ssl=context, reuse_port=True)

    def _shut(self) -> None:
        if self._listener:
            self._listener.close()
            self._listener = None

    # -- what is to happen --------------------------------------------------------------------------------------------

    def strike(self, what: str, when: str, nth: int, pid: Future[int]) -> None:
        """Order that ``what`` happens at the ``nth`` request from now on; ``pid`` is whom to kill."""
        acts: dict[str, Callable[[], Any]] = {
            "cut": lambda: None,
            "drop": lambda: setattr(self.struck, "away", True),
            "refuse": lambda: (setattr(self.struck, "away", True), self._shut()),
            "kill": lambda: os.kill(pid.result(timeout=60), signal.SIGKILL),
        }

        def aim() -> None:
            self.struck.aim(nth, when, acts[what])
            if what == "kill":
                # With the whole answer in hand it might be done before it is killed; so it holds still until then.
                self.struck.first = lambda: os.kill(pid.result(timeout=60), signal.SIGSTOP)

        self._call(aim)

    def hold(self, when: str, nth: int, meanwhile: Callable[[], Any]) -> None:
        """Order that the ``nth`` request waits until ``meanwhile`` is over, ``before`` or after (``in``) it is done."""

        def aim() -> None:
            self.struck.aim(nth, when)
            self.struck.meanwhile = meanwhile

        self._call(aim)

    @property
    def was_struck(self) -> bool:
        """Whether there were so many requests since the blow was ordered."""
        return self.struck.count >= self.struck.nth
