"""What the caller can see, by his own permissions: before asking, and to say what a list may have left out."""

from __future__ import annotations

from collections.abc import Mapping

from ..access import paths
from ..access.permissions import Privileges
from ..access.releases import Release

Tree = Mapping[str, Privileges]


def may_hold(tree: Tree, path: str, *any_of: str) -> bool:
    """Tell whether the caller can hold one of some privileges on a path; false means that he surely does not.

    PVE's tree has all paths with ACL entries on which the caller holds something. What is not in it can only have
    come from above, by propagation; whether something on the way took it away, the tree does not tell.
    """
    if path in tree:
        return any(name in tree[path] for name in any_of)
    return any(tree.get(above, {}).get(name) for above in paths.ancestors(path) for name in any_of)


def agent_privileges(release: Release) -> tuple[str, ...]:
    """Return the privileges of which one lets the caller ask a guest's agent for its addresses."""
    return ("VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted") if release >= (9, 0) else ("VM.Monitor",)
