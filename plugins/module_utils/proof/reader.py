"""Who is proved: the rights that a reader is meant to have, and what PVE says that it has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ..access.model import owner_of
from ..access.paths import ancestors
from ..access.permissions import TREE_PATHS, Privileges

Tree = Mapping[str, Privileges]  # path -> privilege -> propagate flag, as GET /access/permissions answers

# Nothing lies below these, so propagation makes no difference there.
_LEAVES = ("/vms/", "/storage/", "/nodes/")


@dataclass(frozen=True)
class Grant:
    """What one ACL entry is meant to give: ``privileges`` on ``path``, below it too if ``propagate``."""

    path: str
    privileges: frozenset[str]
    propagate: bool = True

    @property
    def is_leaf(self) -> bool:
        """Whether there can be nothing below the path."""
        return self.path.startswith(_LEAVES)


@dataclass(frozen=True)
class Reader:
    """A token and the rights that it should have.

    ``members`` are ACL paths of guests and storages in pools, with the privileges that hold there by that.
    ``application`` is what the rights are for, where it is one of the catalogue.
    """

    tokenid: str
    grants: tuple[Grant, ...]
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    application: str | None = None

    @property
    def userid(self) -> str:
        return owner_of(self.tokenid)

    @property
    def path(self) -> str:
        """The path that its rights are about; the root where there are several."""
        return self.paths[0] if len(self.paths) == 1 else "/"

    @property
    def paths(self) -> tuple[str, ...]:
        """All paths that it has rights of its own on."""
        return tuple(dict.fromkeys(grant.path for grant in self.grants))

    @property
    def privileges(self) -> frozenset[str]:
        """All privileges that it should have somewhere."""
        return frozenset().union(*(grant.privileges for grant in self.grants))

    def at(self, path: str) -> list[Grant]:
        """Return the grants on just this path."""
        return [grant for grant in self.grants if grant.path == path]

    def held(self, path: str) -> frozenset[str]:
        """Return the privileges that the reader should have on ``path``, which is as normal as its own."""
        found: frozenset[str] = frozenset()
        for node in ancestors(path):
            here = [grant.privileges for grant in self.at(node) if grant.propagate or node == path]
            if here:
                found = frozenset().union(*here)  # a deeper one replaces those above it
        return found | self.members.get(path, frozenset())


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
