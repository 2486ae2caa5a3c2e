"""Who is proved: the rights that a reader is meant to have, and what PVE says that it has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ..access.model import owner_of
from ..access.paths import ancestors
from ..access.permissions import TREE_PATHS, Privileges

Tree = Mapping[str, Privileges]  # path -> privilege -> propagate flag, as GET /access/permissions answers

# Nothing lies below these, so propagation makes no difference there.
_LEAVES = ("/vms/", "/storage/", "/nodes/")


@dataclass(frozen=True)
class Reader:
    """A token and the rights that it should have: ``privileges`` on ``path``, below it too if ``propagate``.

    ``members`` are ACL paths of guests and storages that a pool's rights extend to.
    """

    tokenid: str
    path: str
    privileges: frozenset[str]
    propagate: bool = True
    members: frozenset[str] = frozenset()

    @property
    def userid(self) -> str:
        return owner_of(self.tokenid)

    @property
    def is_leaf(self) -> bool:
        """Whether there can be nothing below the path."""
        return self.path.startswith(_LEAVES)

    def held(self, path: str) -> Collection[str]:
        """Return the privileges that the reader should have on ``path``, which is as normal as its own."""
        inside = path == self.path or (self.propagate and self.path in ancestors(path))
        return self.privileges if inside or path in self.members else frozenset()


def held_in(tree: Tree, path: str) -> Collection[str]:
    """Return what somebody with this permission tree holds on ``path``.

    For a path that is not in the tree, it is what the nearest one above propagates.
    """
    if path in tree:
        return tree[path].keys()
    for above in reversed([*ancestors(path)]):
        if above in tree:
            return [privilege for privilege, propagated in tree[above].items() if propagated]
        if above in TREE_PATHS:
            break  # PVE always looks there, so there is nothing
    return ()
