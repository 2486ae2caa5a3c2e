"""Many questions at once: few connections, at most two questions to the agents of a node, no waiting for the dead.

Facts are asked for by generators: each yields the questions of its next round and is sent their answers. The rounds of
all of them go out together, and a question that two of them have is asked once.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Generator, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ..client.errors import (
    ApiError,
    AuthenticationError,
    NodeUnreachable,
    PermissionDenied,
    TransportError,
    UnknownEndpoint,
)
from ..client.http import ReadOnly
from ..wording import one_line
from .ask import FAILED, HIDDEN, NOTHING, OFFLINE, TIMEOUT, Ask, Missing
from .schedule import NodeState, Schedule

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
Collector = Generator[Sequence[Ask], Sequence[Any], T]

CONCURRENCY = 16
# So many questions are worth a connection of their own.
_PER_CONNECTION = 4
# After so many answers in a row that did not come in time, a node (or its agents) is not asked any more; and PVE is out
# of reach if these were answers that any node can give.
_TIMEOUTS = 3
# After so many broken connections in a row, it is the way to PVE that is broken.
_CUTS = 5

_Key = tuple[str, tuple[tuple[str, Any], ...]]


class Fetcher:
    """Asks PVE. ``missing`` is what got no answer.

    A node that is down costs its own answers only: one question finds out (or nobody asks, where ``give_up_on`` was
    told before), and all others for that node are noted as missing at once.
    """

    def __init__(self, reader: ReadOnly, concurrency: int = CONCURRENCY) -> None:
        self._readers = [reader]
        self._concurrency = concurrency
        self._answers: dict[_Key, Any] = {}
        # The subsets that asked a question, and why it has no answer.
        self._askers: dict[_Key, list[str]] = {}
        self._failures: dict[_Key, Missing] = {}
        self._lock = threading.Lock()
        self._nodes: dict[str, NodeState] = {}
        self._cuts = 0
        self._noted: dict[Missing, None] = {}
        # How many questions were asked.
        self.asked = 0

    @property
    def reader(self) -> ReadOnly:
        """The reader that this started with."""
        return self._readers[0]

    @property
    def missing(self) -> list[Missing]:
        """What got no answer, in the order of subsets, nodes and guests."""
        return sorted(self._noted, key=lambda one: (one.subset, one.node or "", one.vmid or 0, one.reason))

    def note(self, missing: Missing) -> None:
        """Note down something that is missing for another reason than an answer that did not come."""
        with self._lock:
            self._noted[missing] = None

    def give_up_on(self, node: str, kind: str, reason: str) -> None:
        """Ask nothing more of a node."""
        with self._lock:
            state = self._nodes.setdefault(node, NodeState())
            state.down = state.down or (kind, reason)

    def run(self, collectors: Mapping[str, Collector[Any]]) -> dict[str, Any]:
        """Run collectors to their ends, side by side, and return what each returned."""
        everything = together(collectors)
        answers: Sequence[Any] | None = None
        while True:
            try:
                # The first send to a generator has to be None.
                asks = everything.send(answers)  # type: ignore[arg-type]  # None starts it
            except StopIteration as end:
                found: dict[str, Any] = end.value
                return found
            self.fetch(asks)
            answers = [self._answers[ask.path, ask.params] for ask in asks]

    def fetch(self, asks: Iterable[Ask]) -> None:
        """Ask what was not asked before. Raises PveError where PVE as a whole does not answer.

        After that, this fetcher is of no more use.
        """
        new = [ask for ask in asks if self._is_new(ask)]
        workers = min(self._concurrency, -(-len(new) // _PER_CONNECTION))
        schedule = Schedule(new, self._nodes, workers)
        if workers <= 1:
            self._work(self.reader, schedule)
            return
        # Clones share the ticket and the release of a reader that has them.
        unused = self.reader.release
        while len(self._readers) < workers:
            self._readers.append(self.reader.clone())
        with ThreadPoolExecutor(workers) as pool:
            try:
                for work in [pool.submit(self._work, reader, schedule) for reader in self._readers[:workers]]:
                    work.result()
            finally:
                # Whatever ends this, an interrupt too: nobody is left waiting, and nothing more is asked.
                schedule.stop()

    def _is_new(self, ask: Ask) -> bool:
        key = (ask.path, ask.params)
        askers = self._askers.setdefault(key, [])
        if ask.subset not in askers:
            askers.append(ask.subset)
            if key in self._failures:
                self.note(dataclasses.replace(self._failures[key], subset=ask.subset))
        if key in self._answers:
            return False
        self._answers[key] = NOTHING
        return True

    def close(self) -> None:
        """Close the connections that were added for asking at once."""
        while len(self._readers) > 1:
            self._readers.pop().close()

    def _work(self, reader: ReadOnly, schedule: Schedule) -> None:
        finished = False
        try:
            ask = schedule.take()
            while ask is not None:
                self._ask(reader, ask)
                schedule.done(ask)
                ask = schedule.take()
            finished = True
        finally:
            if not finished:
                schedule.stop()

    def _ask(self, reader: ReadOnly, ask: Ask) -> None:
        gone = self._nodes[ask.node or ""].gone(ask)
        if gone is not None:
            self._fail(ask, *gone, whole_node=True)
            return
        with self._lock:
            self.asked += 1
        try:
            found = reader.get(ask.path, dict(ask.params))
        except AuthenticationError:
            raise
        except NodeUnreachable as error:
            said = f"{ask.node or 'A node'} cannot be reached: {error.text or error.reason}"
            if ask.node:
                self.give_up_on(ask.node, OFFLINE, said)
            self._fail(ask, OFFLINE, said, whole_node=True)
        except PermissionDenied as error:
            # PVE looks at rights before it turns to the node, so this tells nothing of that.
            self._fail(ask, HIDDEN, f"{ask}: {one_line(error.text)}")
        except UnknownEndpoint:
            self._fail(ask, FAILED, f"{ask}: this PVE does not have it.")
        except ApiError as error:
            self._fail(ask, FAILED, f"{ask}: {one_line(error.text)}")
            self._lives(ask)
        except TransportError as error:
            self._no_answer(ask, error)
        else:
            self._answers[ask.path, ask.params] = found
            self._lives(ask)

    def _fail(self, ask: Ask, kind: str, reason: str, *, whole_node: bool = False) -> None:
        """Note for all who asked that there is no answer; a node that is down is noted once, not for each guest."""
        key = (ask.path, ask.params)
        vmid = None if whole_node else ask.vmid
        self._failures[key] = Missing(ask.subset, kind, reason, ask.node, vmid)
        for subset in self._askers[key]:
            self.note(Missing(subset, kind, reason, ask.node, vmid))

    def _lives(self, ask: Ask) -> None:
        with self._lock:
            self._cuts = 0
            # It is the node at the other end that passed the question on, and the answer back.
            self._nodes.setdefault("", NodeState(answering=True)).late = 0
            state = self._nodes[ask.node or ""]
            state.answering, state.late = True, 0
            if ask.agent:
                state.agents_late = 0

    def _no_answer(self, ask: Ask, error: TransportError) -> None:
        """Note an answer that did not come; raise where that is not about this one question."""
        if not error.sent:
            raise error
        self._fail(ask, TIMEOUT if error.timed_out else FAILED, error.message)
        with self._lock:
            state = self._nodes[ask.node or ""]
            if not error.timed_out:
                self._cuts += 1
            elif ask.agent:
                # A guest that hangs says nothing about its node; but it keeps the node's daemon busy.
                state.agents_late += 1
                if state.agents_late >= _TIMEOUTS:
                    said = f"Agents on {ask.node} did not answer in time, {_TIMEOUTS} in a row; no more were asked."
                    state.agents_down = (TIMEOUT, said)
            else:
                state.late += 1
                if ask.node:
                    state.answering = False
                    if state.late >= _TIMEOUTS:
                        said = f"{ask.node} did not answer in time, {_TIMEOUTS} times in a row."
                        state.down = state.down or (TIMEOUT, said)
            hopeless = self._cuts >= _CUTS or (not ask.node and state.late >= _TIMEOUTS)
        if hopeless:
            raise error


def together(collectors: Mapping[K, Collector[T]]) -> Collector[dict[K, T]]:
    """Run collectors side by side, as one: each of its rounds is a round of all that still have one."""
    results: dict[K, T] = {}
    waiting: dict[K, Sequence[Ask]] = {}

    def go_on(name: K, answers: Sequence[Any] | None) -> None:
        try:
            # The first send to a generator has to be None.
            waiting[name] = collectors[name].send(answers)  # type: ignore[arg-type]  # None starts it
        except StopIteration as end:
            results[name] = end.value

    for name in collectors:
        go_on(name, None)
    while waiting:
        round_, waiting = waiting, {}
        answers = iter((yield [ask for asks in round_.values() for ask in asks]))
        for name, asks in round_.items():
            go_on(name, [next(answers) for unused in asks])
    return {name: results[name] for name in collectors}
