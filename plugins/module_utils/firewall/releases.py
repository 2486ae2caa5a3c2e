"""What came with which release: older ones refuse it, too, but do not say why."""

from __future__ import annotations

from collections.abc import Mapping

from .document import Problems
from .observe import View
from .scope import VNET
from .wanted import Document

Release = tuple[int, int]

FORWARD: Release = (8, 3)
PREFIXES: Release = (8, 0)
_OPTIONS: Mapping[str, Release] = {
    "policy_forward": FORWARD,
    "log_level_forward": FORWARD,
    "nftables": (8, 2),
    "nf_conntrack_helpers": (7, 4),
}


def check_releases(view: View, wanted: Document, problems: Problems) -> None:
    """Ask for the release only where it decides. What rules take is looked at when one of them is to be written."""
    for spec in wanted.places:
        needs: list[tuple[str, Release]] = []
        if spec.scope.kind == VNET:
            needs.append((f"{spec.scope}", FORWARD))
        given = {*spec.options.values, *spec.options.unset} & {*_OPTIONS}
        needs += [(f"options {name}", _OPTIONS[name]) for name in given]
        for where, since in sorted(needs):
            check_release(view, problems, where, since)


def check_release(view: View, problems: Problems, where: str, since: Release) -> None:
    """Add a problem where the release is older than the one that something came with."""
    if view.release < since:
        has = ".".join(str(part) for part in view.release)
        problems.add(where, f"is there from PVE {since[0]}.{since[1]} on, and this is {has}")
