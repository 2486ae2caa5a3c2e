"""What all collectors of a run share."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..access.releases import Release
from .ask import HIDDEN, Missing
from .fetch import Collector, Fetcher
from .scene import Scene, look
from .wanted import Wanted


@dataclass
class Context:
    """The fetcher, what is wanted, and the scene, as soon as it was read."""

    fetcher: Fetcher
    wanted: Wanted
    release: Release
    now: float = 0.0
    _scene: list[Scene] = field(default_factory=list)

    @property
    def caller(self) -> str:
        return self.fetcher.reader.identity

    def look(self, subsets: tuple[str, ...]) -> Collector[None]:
        """Read the scene for all who wait for it."""
        self._scene.append((yield from look(self.fetcher, self.wanted.filters, subsets)))

    def scene(self) -> Collector[Scene]:
        """Wait for the scene: a round without a question passes for each that ``look`` takes."""
        while not self._scene:
            yield []
        return self._scene[0]

    def hide(self, subset: str, reason: str, node: str | None = None) -> None:
        """Note what is hidden from the caller."""
        self.fetcher.note(Missing(subset, HIDDEN, reason, node))
