"""One question to PVE, and what is noted where there is no answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Why something is missing: the caller may not see it, its node is down, no answer came in time, PVE gave an error.
HIDDEN, OFFLINE, TIMEOUT, FAILED = "hidden", "offline", "timeout", "failed"

# What stands in place of an answer that did not come. PVE's own null is a None.
NOTHING: Any = object()


@dataclass(frozen=True)
class Ask:
    """A GET for one subset of facts. Two with the same path and parameters are one request.

    ``node`` is the node that has to answer, None where any can. ``agent``: it is the agent inside a guest who answers
    in the end, which keeps a worker of that node's daemon busy until it does.
    """

    subset: str
    path: str
    params: tuple[tuple[str, Any], ...] = ()
    node: str | None = None
    vmid: int | None = None
    agent: bool = False

    def __str__(self) -> str:
        """Return what is asked, as reasons name it."""
        query = "&".join(f"{name}={value}" for name, value in self.params)
        return f"GET {self.path}?{query}" if query else f"GET {self.path}"


@dataclass(frozen=True)
class Missing:
    """What is not among the facts, and why. ``node`` and ``vmid`` are None where it is about more than one of them."""

    subset: str
    kind: str
    reason: str
    node: str | None = None
    vmid: int | None = None

    def as_data(self) -> dict[str, Any]:
        """Return it as modules do."""
        return {
            "subset": self.subset,
            "node": self.node,
            "vmid": self.vmid,
            "kind": self.kind,
            "reason": self.reason,
        }
