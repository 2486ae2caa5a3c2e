"""The fewest GETs that tell all of access: who there is, what they may do, and how much of it the caller can see.

PVE filters its lists by the caller's rights and does not say so. ``View.complete`` names the lists that are known to
be whole, by the caller's own permissions; only these may be taken to mean that something is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..client.errors import ApiError, PveError
from . import paths
from .document import Document
from .model import AccessState, Group, Pool, Principal, Realm, Role, Token, User, is_over, is_token, owner_of
from .permissions import Privileges, sources
from .releases import Release
from .rotation import Birth

Row = Mapping[str, Any]


class Source(Protocol):
    """What observing needs of a client: reading, the release, and who asks."""

    @property
    def release(self) -> Release: ...

    @property
    def identity(self) -> str: ...

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any: ...


@dataclass(frozen=True)
class View:
    """The observed state, and what is known about the observation itself.

    ``rights`` is the caller's own permission tree as PVE gave it. ``complete`` holds the lists that are whole: users
    (with their tokens), groups, roles, acl, pools, guests. ``guests`` are the VMIDs seen, None where nobody looked.
    """

    state: AccessState
    release: Release
    caller: str
    rights: Mapping[str, Privileges]
    complete: frozenset[str]
    guests: frozenset[int] | None = None
    nodes_down: tuple[str, ...] = ()
    now: float = 0.0
    # What became of the secret of each declared token that exists (see births.py), and what interrupted runs noted.
    secrets: Mapping[str, str] = field(default_factory=dict)
    markers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    # When the secrets were born that are not to grow too old, and those that this run has brought forth.
    births: Mapping[str, Birth] = field(default_factory=dict)
    # Users whose password is known to be the one that was asked for.
    passwords: frozenset[str] = frozenset()

    @property
    def caller_user(self) -> str:
        return owner_of(self.caller)

    def unseen(self, *more: str) -> str:
        """Say which of the lists that decide about rights the caller does not see in full; empty if there is none.

        ``more`` are lists that matter besides users, groups and acl.
        """
        names = [name for name in ("users", "groups", "acl", *more) if name not in self.complete]
        return f"{self.caller} does not see all of: {', '.join(names)}" if names else ""


def observe(source: Source, wanted: Document, now: float, *, guests_too: bool = False) -> View:
    """Read all of access, and of guests and pools what the document and the ACL make matter.

    With ``guests_too``, guests are read whether they matter to these or not.
    """
    release = source.release
    wanted = wanted.for_release(release)
    tree = rights_from(source.get("/access/permissions"))
    user_rows = source.get("/access/users", {"full": 1})
    state = AccessState(
        users=users_from(user_rows),
        tokens=tokens_from(user_rows),
        groups=groups_from(source.get("/access/groups")),
        roles=roles_from(source.get("/access/roles")),
        acl=acl_from(source.get("/access/acl")),
        realms=_realms(source) if _makes_users(wanted, user_rows) else {},
    )
    guests: frozenset[int] | None = None
    down: tuple[str, ...] = ()
    rows: Sequence[Row] | None = None
    by_pools = _by_pools(state, wanted)
    if (
        guests_too
        or by_pools
        or any(paths.guest_of(path) for path in _all_paths(wanted, state))
        or any(pool.vms for pool in wanted.pools)
    ):
        rows = source.get("/cluster/resources")
        guests = frozenset(int(row["vmid"]) for row in rows if row.get("type") in ("qemu", "lxc"))
        down = tuple(sorted(row["node"] for row in rows if row.get("type") == "node" and row.get("status") != "online"))
    state = _with_pools(source, wanted, state, rows, in_full=ALL_MEMBERS in by_pools)
    complete = complete_lists(tree, release, down, state.acl_paths)
    if ALL_MEMBERS in by_pools and "pools" in complete:
        complete |= {"members"}
    return View(state, release, source.identity, tree, complete, guests, down, now)


# What of pools may give somebody rights, be they without entries of their own: the guests in them, or all members.
GUESTS_IN, ALL_MEMBERS = "guests", "members"


def _by_pools(state: AccessState, wanted: Document) -> frozenset[str]:
    """Tell what has to be known of pools that have no ACL entries.

    Entries on /pool reach the members of all of them. What comes down from the root comes by way of a pool, too, even
    where an entry on the members, or above them, has replaced it. The list of resources has the pools of all guests;
    for storages, each pool has to be asked.
    """
    at = {who: set(found) for who, found in state.acl.items()}
    owners: dict[str, set[Principal]] = {name: {*sources(state, name)} for name in (*state.users, *state.tokens)}
    for acl in wanted.acls:
        whom = {*acl.principals, *(Principal("user", owner_of(who.name)) for who in acl.principals if acl.grant_user)}
        for who in whom:
            at.setdefault(who, set()).update(acl.paths)
            owners.setdefault(who.name, {who})
    if any("/pool" in found for found in at.values()):
        return frozenset((GUESTS_IN, ALL_MEMBERS))
    needed: set[str] = set()
    for principals in owners.values():
        found = {path for who in principals for path in at.get(who, ())}
        if "/" in found:
            needed |= {GUESTS_IN} if any(path.startswith("/vms") for path in found) else set()
            needed |= {ALL_MEMBERS} if any(path.startswith("/storage") for path in found) else set()
    return frozenset(needed)


def pools_matter(state: AccessState) -> bool:
    """Tell whether what somebody holds depends on who is in which pool."""
    return any(path.startswith("/pool") for path in state.acl_paths) or bool(_by_pools(state, Document()))


def rights_from(answer: Any) -> dict[str, Privileges]:
    """Read the answer of /access/permissions: path, privilege, propagate flag. Without any rights, it is empty."""
    if not isinstance(answer, Mapping):
        return {}
    try:
        return {path: {name: int(flag) for name, flag in held.items()} for path, held in answer.items()}
    except (AttributeError, TypeError, ValueError):
        raise PveError("What PVE answers about permissions cannot be read.", "Is this Proxmox VE?") from None


def complete_lists(
    tree: Mapping[str, Privileges], release: Release, down: tuple[str, ...], acl_paths: Iterable[str] = ()
) -> frozenset[str]:
    """Work out which lists the caller sees in full (see ``View``); ``acl_paths`` as for ``held_below``."""

    def held(path: str, *any_of: str) -> bool:
        return any(name in tree.get(path, {}) for name in any_of)

    seen = {"roles"}
    if held("/access/groups", "User.Modify", "Sys.Audit"):
        seen.add("users")
    if held_below(tree, "/access/groups", "User.Modify", "Sys.Audit", "Group.Allocate", acl_paths=acl_paths):
        seen.add("groups")
    if held("/access", "Sys.Audit"):
        seen.add("acl")
    if held_below(tree, "/pool", "Pool.Audit" if release >= (7, 0) else "Pool.Allocate", acl_paths=acl_paths):
        seen.add("pools")
    if held_below(tree, "/vms", "VM.Audit", acl_paths=acl_paths) and not down:
        seen.add("guests")
    return frozenset(seen)


def held_below(tree: Mapping[str, Privileges], path: str, *any_of: str, acl_paths: Iterable[str] = ()) -> bool:
    """Tell whether the caller holds one of some privileges on all below a path.

    What a deeper entry takes away shows in the tree, unless it takes away everything: such a path is not in it. It is
    among ``acl_paths``, the paths of all ACL entries, where these are known.
    """
    below = [deeper for deeper in {*tree, *acl_paths} if deeper.startswith(path + "/")]
    return any(tree.get(path, {}).get(name) for name in any_of) and all(
        any(name in tree.get(deeper, {}) for name in any_of) for deeper in below
    )


def _makes_users(wanted: Document, rows: Iterable[Row]) -> bool:
    known = {row["userid"] for row in rows}
    return any(user.state == "present" and user.userid not in known for user in wanted.users)


def _all_paths(wanted: Document, state: AccessState) -> Iterable[str]:
    for acl in wanted.acls:
        yield from acl.paths
    yield from state.acl_paths


# -- what the lists say; PVE's order is random from call to call, and a plan has to be the same each time -------------


def users_from(rows: Iterable[Row]) -> dict[str, User]:
    """Read the users out of the list of users."""
    return {row["userid"]: _user(row) for row in _in_order(rows, "userid")}


def tokens_from(rows: Iterable[Row]) -> dict[str, Token]:
    """Read the tokens out of the full list of users."""
    return {token.tokenid: token for row in _in_order(rows, "userid") for token in _tokens(row)}


def groups_from(rows: Iterable[Row]) -> dict[str, Group]:
    """Read the list of groups."""
    return {row["groupid"]: Group(row["groupid"], row.get("comment") or "") for row in _in_order(rows, "groupid")}


def roles_from(rows: Iterable[Row]) -> dict[str, Role]:
    """Read the list of roles."""
    return {row["roleid"]: _role(row) for row in _in_order(rows, "roleid")}


def acl_from(rows: Iterable[Row]) -> Mapping[Principal, Mapping[str, Mapping[str, bool]]]:
    """Read the list of ACL entries, by principal, path and role."""
    acl: dict[Principal, dict[str, dict[str, bool]]] = {}
    for row in sorted(rows, key=lambda row: (row["type"], row["ugid"], row["path"], row["roleid"])):
        at_path = acl.setdefault(Principal(row["type"], row["ugid"]), {}).setdefault(row["path"], {})
        at_path[row["roleid"]] = bool(int(row.get("propagate", 1)))
    return acl


def _in_order(rows: Iterable[Row], key: str) -> list[Row]:
    return sorted(rows, key=lambda row: str(row[key]))


def _user(row: Row) -> User:
    groups = row.get("groups") or ""
    return User(
        row["userid"],
        enable=bool(int(row.get("enable", 1))),
        expire=int(row.get("expire") or 0),
        groups=frozenset(group for group in groups.split(",") if group),
        firstname=row.get("firstname") or "",
        lastname=row.get("lastname") or "",
        email=row.get("email") or "",
        comment=row.get("comment") or "",
    )


def _tokens(row: Row) -> Iterable[Token]:
    for token in sorted(row.get("tokens") or [], key=lambda token: str(token["tokenid"])):
        yield Token(
            f"{row['userid']}!{token['tokenid']}",
            privsep=bool(int(token.get("privsep", 1))),
            expire=int(token.get("expire") or 0),
            comment=token.get("comment") or "",
        )


def _role(row: Row) -> Role:
    privs = frozenset(name for name in (row.get("privs") or "").split(",") if name)
    return Role(row["roleid"], privs, bool(int(row.get("special") or 0)))


def _realms(source: Source) -> Mapping[str, Realm]:
    rows = source.get("/access/domains")
    return {row["realm"]: Realm(row["realm"], row.get("type") or "") for row in rows}


# -- pools --------------------------------------------------------------------------------------------------------


def _with_pools(
    source: Source, wanted: Document, state: AccessState, rows: Sequence[Row] | None, *, in_full: bool
) -> AccessState:
    """Add the pools: those with ACL entries, the declared and the surplus ones in full, of others the guests that show.

    ``rows`` are the cluster's resources where they were read; they name the pools, but not what is noted about them.
    """
    with_entries = {path[len("/pool/") :] for path in state.acl_paths if path.startswith("/pool/")}
    with_entries |= {path[len("/pool/") :] for acl in wanted.acls for path in acl.paths if path.startswith("/pool/")}
    declared = {pool.poolid for pool in wanted.pools}
    scoped = any(scope.kind == "pools" for scope in wanted.exclusive)
    guests: dict[str, set[int]] = {}
    for row in rows or ():
        if "vmid" in row and row.get("pool"):
            guests.setdefault(row["pool"], set()).add(int(row["vmid"]))
    pools = {name: Pool(name, vms=frozenset(vms)) for name, vms in guests.items()}
    listed: Iterable[Row] = ()
    if declared or scoped or (with_entries and rows is None):
        listed = source.get("/pools")
    elif (with_entries or in_full) and rows is not None:
        listed = [{"poolid": row["pool"]} for row in rows if row.get("type") == "pool"]
    for row in listed:
        name = row["poolid"]
        pools[name] = Pool(name, row.get("comment") or "", pools[name].vms if name in pools else frozenset())
        above = {parent[len("/pool/") :] for parent in paths.ancestors("/pool/" + name)}
        # One that is to go has to be empty.
        surplus = name not in declared and wanted.is_exclusive("pools", name)
        if in_full or name in declared or surplus or above & with_entries:
            pools[name] = _pool(source, name, pools[name])
    for name, pool in sorted(pools.items()):
        state = state.put("pools", name, pool)
    return state


def _pool(source: Source, name: str, listed: Pool) -> Pool:
    try:
        return pool_from(name, source.get(*pool_question(name, source.release)))
    except ApiError as error:
        if error.status != 403:
            raise
        return listed  # its members are hidden from the caller; the view says that pools are incomplete


def pool_question(name: str, release: Release) -> tuple[str, dict[str, Any]]:
    """Return path and parameters of the GET that tells the members of a pool."""
    return ("/pools", {"poolid": name}) if release >= (8, 1) else (f"/pools/{name}", {})


def pool_from(name: str, found: Any) -> Pool:
    """Read the answer about one pool."""
    row = found[0] if isinstance(found, list) else found
    members = row.get("members") or []
    return Pool(
        name,
        row.get("comment") or "",
        frozenset(int(member["vmid"]) for member in members if "vmid" in member),
        frozenset(member["storage"] for member in members if member.get("type") == "storage"),
    )


def user_is_usable(state: AccessState, subject: str, now: float) -> bool:
    """Tell whether a user or token can log in: it is there, enabled and not expired, and so is its owner."""
    user = state.users.get(owner_of(subject))
    if user is None or not user.enable or is_over(user.expire, now):
        return False
    if not is_token(subject):
        return True
    token = state.tokens.get(subject)
    return token is not None and not is_over(token.expire, now)
