"""The HTTPS server: PVE's connection habits around ``Api``, and the simulator's own controls under ``/_sim``.

POST   /_sim/reset           pristine state
GET    /_sim/state           the whole state;  POST /_sim/load replaces it, or parts of it
GET    /_sim/requests        the log of requests;  DELETE clears it
POST   /_sim/faults          more fault rules (a JSON list);  DELETE clears them
POST   /_sim/nodes/NODE      {"online": false}, and with it, if that matters, how calls to the node end: "answers" is
                             "unreachable" (595, the default), "refused" (595) or "timeout" (596, after "seconds", 30);
                             {"statistics": false} makes a node that runs unknown
"""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections import deque
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any
from weakref import WeakKeyDictionary

from aiohttp import web

from .api import Answer, Api, Request, loggable, loggable_path
from .auth import Authenticator
from .faults import Fault, Faults
from .objects import Node
from .state import State

ANSWERS_PER_CONNECTION = 100
IDLE_SECONDS = 5
_GZIP_FROM = 1024  # bytes
_UNAUTHORISED = 401
_LOG_LENGTH = 100_000


@dataclass(frozen=True)
class Timing:
    """``auth_delay``: seconds that a 401 takes in all; ``latency``: seconds that every answer takes longer."""

    auth_delay: float = 3.0
    latency: float = 0.0


class Server:
    """Handles requests; ``handler`` is what aiohttp's low-level server calls."""

    def __init__(self, state: State, timing: Timing) -> None:
        self.state = state
        self.timing = timing
        self.api = Api(state)
        self.faults = Faults()
        self.log: deque[dict[str, Any]] = deque(maxlen=_LOG_LENGTH)
        self._answers: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    @property
    def body_limit(self) -> int:
        """Bytes that PVE takes in a body."""
        return (512 if self.state.release >= (8, 4) else 64) << 10

    async def handler(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, faults and habits included."""
        started = time.monotonic()
        path = loggable_path(request.raw_path)
        if path.startswith("/_sim/"):
            return self._control(request.method, path, await request.read())
        strike = self.faults.pick(request.method, path)
        fault = strike.fault
        if strike.before:
            await asyncio.sleep(strike.before)
        if fault and fault.when == "before":
            await asyncio.sleep(strike.after)
            self._cut(request, fault)
            return self._finish(request, Answer(fault.status, fault.reason, b"", "text/plain"))
        answer = await self._answer(request, path)
        delay = self.timing.latency + strike.after + answer.seconds
        if answer.status == _UNAUTHORISED:
            delay = max(delay, self.timing.auth_delay - (time.monotonic() - started))
        if delay > 0:
            await asyncio.sleep(delay)
        if fault and fault.do == "status":
            answer = Answer(fault.status, fault.reason, b"", "text/plain")
        elif fault and fault.when == "in":
            self._cut(request, fault)
        elif fault:
            return await self._send_half(request, answer)
        return self._finish(request, answer)

    async def _answer(self, request: web.BaseRequest, path: str) -> Answer:
        if "chunked" in request.headers.get("Transfer-Encoding", ""):
            return self._refused("chunked transfer encoding not supported")
        if (request.content_length or 0) > self.body_limit:
            return self._refused("for data too large")
        received = Request(request.method, request.raw_path, request.headers, await request.read())
        answer = self.api.answer(received)
        self.log.append(
            {
                "method": request.method,
                "path": path.removeprefix("/api2/json"),
                "params": loggable(received),
                "as": answer.subject,
                "status": answer.status,
            }
        )
        return answer

    def _refused(self, text: str) -> Answer:
        return Answer(501, text, text.encode() if self.state.release >= (8, 4) else b"", "text/plain")

    def _cut(self, request: web.BaseRequest, fault: Fault) -> None:
        """Cut the connection if that is ordered; what is answered after that goes nowhere."""
        if fault.do == "close" and request.transport is not None:
            request.transport.abort()

    async def _send_half(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        response = self._response(request, answer, compress=False)
        partial = web.StreamResponse(status=response.status, reason=response.reason, headers=response.headers)
        partial.content_length = len(answer.body)
        partial.force_close()
        await partial.prepare(request)
        await partial.write(answer.body[: len(answer.body) // 2])
        if request.transport is not None:
            request.transport.close()
        return partial

    def _finish(self, request: web.BaseRequest, answer: Answer) -> web.Response:
        connection = request.transport
        answers = self._answers.get(connection, 0) + 1 if connection else ANSWERS_PER_CONNECTION
        if connection:
            self._answers[connection] = answers
        response = self._response(request, answer)
        if answer.closes or answers >= ANSWERS_PER_CONNECTION:
            response.headers["Connection"] = "close"
            response.force_close()
        else:
            response.headers["Connection"] = "Keep-Alive"
        return response

    def _response(self, request: web.BaseRequest, answer: Answer, compress: bool = True) -> web.Response:
        now = formatdate(usegmt=True)
        headers = {
            "Cache-Control": "max-age=0",
            "Pragma": "no-cache",
            "Date": now,
            "Expires": now,
            "Server": "pve-api-daemon/3.0",
            "Content-Type": answer.content_type,
        }
        body = answer.body
        if compress and len(body) > _GZIP_FROM and "gzip" in request.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, compresslevel=1)
            headers["Content-Encoding"] = "gzip"
        return web.Response(status=answer.status, reason=answer.reason, headers=headers, body=body)

    # -- the simulator's own controls -------------------------------------------------------------------------

    def _control(self, method: str, path: str, body: bytes) -> web.Response:
        try:
            found = self.control(method, path.removeprefix("/_sim"), json.loads(body) if body else None)
        except (KeyError, TypeError, ValueError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)
        text = json.dumps(found, indent=1, sort_keys=True) + "\n"
        return web.Response(text=text, content_type="application/json")

    def control(self, method: str, path: str, data: Any = None) -> Any:
        """Do what a control request asks for. Raises KeyError, TypeError or ValueError when it makes no sense."""
        if (method, path) == ("POST", "/reset"):
            self.reset()
        elif (method, path) == ("GET", "/state"):
            return self.state.export()
        elif (method, path) == ("POST", "/load"):
            self.state.load(data)
        elif (method, path) == ("GET", "/requests"):
            return list(self.log)
        elif (method, path) == ("DELETE", "/requests"):
            self.log.clear()
        elif (method, path) == ("POST", "/faults"):
            self.faults.add(data)
        elif (method, path) == ("DELETE", "/faults"):
            self.faults.clear()
        elif method == "POST" and path.startswith("/nodes/"):
            self._set_node(self.state.nodes[path.removeprefix("/nodes/")], data)
        else:
            raise KeyError(f"{method} {path}")
        return None

    def _set_node(self, node: Node, data: dict[str, Any]) -> None:
        wrong = data.keys() - {"online", "answers", "seconds", "statistics"}
        if wrong or not data:
            raise ValueError(f"a node has no {', '.join(sorted(wrong)) or 'change'}")
        changed = replace(node, **data)
        if not (isinstance(changed.online, bool) and isinstance(changed.statistics, bool)):
            raise TypeError("online and statistics are true or false")
        self.state.nodes[node.name] = changed
        self.state.touch()

    def reset(self) -> None:
        """Go back to the pristine state, without faults. The log stays, and so do tickets."""
        self.state.reset()
        self.faults.clear()

    @property
    def authenticator(self) -> Authenticator:
        return self.api.authenticator
