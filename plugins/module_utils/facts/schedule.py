"""Which question comes next: how many a node is asked at a time depends on how it answers."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from .ask import Ask

# An agent's answer occupies a worker of its node's daemon, of which there are three.
AGENTS_PER_NODE = 2


@dataclass
class NodeState:
    """What is known of a node. ``down`` and ``agents_down`` are kind and reason, once it is not asked any more.

    Until it has answered, and after it has not answered in time, it is asked one question at a time.
    """

    answering: bool = False
    late: int = 0
    agents_late: int = 0
    in_flight: int = 0
    agents: int = 0
    down: tuple[str, str] | None = None
    agents_down: tuple[str, str] | None = None

    def gone(self, ask: Ask) -> tuple[str, str] | None:
        """Return why a question is not asked."""
        return self.down or (self.agents_down if ask.agent else None)

    def has_room(self, ask: Ask, most: int) -> bool:
        """Tell whether a question can be taken up now, be it only to note that it is not asked."""
        if self.gone(ask):
            return True
        if ask.agent and self.agents >= AGENTS_PER_NODE:
            return False
        return self.in_flight < (most if self.answering else 1)


class Schedule:
    """Hands out questions to several threads, node by node in turn, so that a slow node does not hold up the others."""

    def __init__(self, asks: Iterable[Ask], nodes: dict[str, NodeState], concurrency: int) -> None:
        self._nodes = nodes
        self._changed = threading.Condition()
        self._stopped = False
        lanes: dict[tuple[str, bool], deque[Ask]] = {}
        for ask in asks:
            lanes.setdefault((ask.node or "", ask.agent), deque()).append(ask)
        for name, unused in lanes:
            # Whatever any node can answer is answered by the one at the other end.
            nodes.setdefault(name, NodeState(answering=not name))
        self._lanes = deque(lanes.values())
        # Where there are several nodes to ask, none gets all connections.
        self._most = concurrency if len({name for name, unused in lanes}) == 1 else -(-concurrency // 2)

    def take(self) -> Ask | None:
        """Return the next question, as soon as one may be asked; None when there is none left."""
        with self._changed:
            while self._lanes and not self._stopped:
                ask = self._next()
                if ask is not None:
                    return ask
                self._changed.wait()
            return None

    def _next(self) -> Ask | None:
        for unused in range(len(self._lanes)):
            lane = self._lanes.popleft()
            ask = lane[0]
            state = self._nodes[ask.node or ""]
            taken = state.has_room(ask, self._most)
            if taken:
                lane.popleft()
                state.in_flight += 1
                state.agents += ask.agent
            if lane:
                self._lanes.append(lane)
            if taken:
                return ask
        return None

    def done(self, ask: Ask) -> None:
        """Make room for the next question."""
        with self._changed:
            state = self._nodes[ask.node or ""]
            state.in_flight -= 1
            state.agents -= ask.agent
            self._changed.notify_all()

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
