"""Who holds which privilege where: the simulator's own code, as a literal walk down the tree of ACL entries.

The collection works out the same in ``access/permissions.py``. Nothing is shared with it: tests that ask both, one
as the client and the other as the server, would otherwise compare a mistake with itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from ansible_collections.homelab.pve.plugins.module_utils.access.releases import Release

from .userconfig import UserConfig

Held = dict[str, int]  # privilege -> propagate flag; what is held on the path alone has 0
Roles = dict[str, int]  # role -> propagate flag
_Node = dict[str, dict[str, Roles]]  # kind of principal -> its name -> the roles of its entries

# Where PVE looks when it is asked for the whole tree, beside paths with entries and the members of pools.
ALWAYS_ASKED = ("/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms")
_ROOT = "root@pam"
_BLOCKS = "NoAccess"
_ALL = "Administrator"


def split_subject(subject: str) -> tuple[str, str | None]:
    """Return a user and the name of his token, or None for the user himself."""
    userid, mark, name = subject.rpartition("!")
    return (userid, name) if mark and "@" not in name else (subject, None)


def nodes_down_to(path: str) -> Iterator[str]:
    """Yield the nodes from the root of the tree to a path; without a slash in front, the root is not among them."""
    if path.startswith("/"):
        yield "/"
    at = ""
    for piece in path.split("/"):
        if piece:
            at += "/" + piece
            yield at


class Effective:
    """The effective rights in one version of user.cfg."""

    def __init__(self, config: UserConfig, release: Release) -> None:
        self._config = config
        self._privileges_of = config.all_roles(release)

    @cached_property
    def _nodes(self) -> dict[str, _Node]:
        nodes: dict[str, _Node] = {}
        for key, flag in self._config.acl.items():
            nodes.setdefault(key.path, {}).setdefault(key.kind, {}).setdefault(key.ugid, {})[key.role] = int(flag)
        return nodes

    @cached_property
    def pools_of(self) -> dict[str, frozenset[str]]:
        """The pools of each path that stands for a member of any."""
        found: dict[str, set[str]] = {}
        for poolid, pool in self._config.pools.items():
            for member in (*(f"/vms/{vmid}" for vmid in pool.vms), *(f"/storage/{name}" for name in pool.storage)):
                found.setdefault(member, set()).add(poolid)
        return {member: frozenset(pools) for member, pools in found.items()}

    def privileges(self, subject: str, path: str) -> Held:
        """Return what a user or token holds on a path, which is taken as it is spelt."""
        userid, name = split_subject(subject)
        if name is None:
            return self._granted("user", subject, path)
        token = self._config.tokens.get((userid, name))
        if token is None:
            return {}
        of_user = self._granted("user", userid, path)
        if not token.privsep:
            return of_user
        own = self._granted("token", subject, path)
        return {privilege: flag & of_user[privilege] for privilege, flag in own.items() if privilege in of_user}

    def _granted(self, kind: str, name: str, path: str) -> Held:
        held: Held = {}
        for role, flag in self._roles(kind, name, path).items():
            for privilege in self._privileges_of.get(role, ()):
                held[privilege] = held.get(privilege, 0) | flag
        return held

    def _roles(self, kind: str, name: str, path: str) -> Roles:
        """Return the roles on a path, with those that come from the pools of what the path stands for."""
        roles = self._walk(kind, name, path)
        if _BLOCKS in roles:
            return roles
        of_pools: Roles = {}
        for pool in self.pools_of.get(path, ()):
            of_pools.update(self._walk(kind, name, "/pool/" + pool))
        if _BLOCKS in of_pools:
            return {_BLOCKS: 0}
        return {**dict.fromkeys(of_pools, 0), **roles}

    def _walk(self, kind: str, name: str, path: str) -> Roles:
        if (kind, name) == ("user", _ROOT):
            return {_ALL: 1}
        roles: Roles = {}
        on_the_way = list(nodes_down_to(path))
        for number, at in enumerate(on_the_way, 1):
            node = self._nodes.get(at)
            if node:
                # What is found at a node takes the place of all that was found above it.
                roles = self._at(node, kind, name, last=number == len(on_the_way)) or roles
        return {_BLOCKS: roles[_BLOCKS]} if _BLOCKS in roles else roles

    def _at(self, node: _Node, kind: str, name: str, *, last: bool) -> Roles:
        """Return the roles that count at one node. Those of groups count only where the user has none of his own."""
        own = _counting(node.get(kind, {}).get(name, {}), last)
        if own or kind == "token":
            return own
        row = self._config.users.get(name)
        of_groups = node.get("group", {})
        found: Roles = {}
        for group in row.groups & of_groups.keys() if row else ():
            for role, flag in _counting(of_groups[group], last).items():
                found[role] = found.get(role, 0) | flag
        return found


def _counting(roles: Roles, last: bool) -> Roles:
    return {role: flag for role, flag in roles.items() if last or flag}
