"""Which rights a token has, and whether what it is for can be read with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from ..access import paths
from ..access.model import is_token
from ..access.observe import rights_from
from ..access.permissions import Privileges
from ..access.releases import NEWEST, OLDEST, Release, builtin_roles
from ..client.errors import ApiError, PveError
from ..client.http import Client
from ..endpoints.everybody import INDEXES
from ..endpoints.find import find
from ..least.answer import Wanted, answer
from ..wording import some_of
from . import mends
from .login import denied, failed_call
from .mends import Need
from .report import Check, failed, passed

_PREFIX = re.compile(r"\A(?:https?://[^/]+)?(?:/?api2/[a-z]+)?(?=/|\Z)", re.IGNORECASE)
_RESOURCES = "/cluster/resources"
_NODE = re.compile(r"/nodes/([^/]+)")
_MOST = 6
# The privilege that shows what stands below the parts of the tree; everything shows something at its root.
_SHOWS = {
    "access": "Sys.Audit",
    "mapping": "Mapping.Audit",
    "nodes": "Sys.Audit",
    "pool": "Pool.Audit",
    "sdn": "SDN.Audit",
    "storage": "Datastore.Audit",
    "vms": "VM.Audit",
}

# Where those are listed that an ACL path names, by the first part of the path.
_LISTED: Mapping[str, tuple[str, Mapping[str, str], str]] = {
    "vms": ("/cluster/resources", {"type": "vm"}, "vmid"),
    "nodes": ("/nodes", {}, "node"),
    "storage": ("/storage", {}, "storage"),
    "pool": ("/pools", {}, "poolid"),
}
_NO_SUCH = re.compile(r"'[^']*' does not exist|no such ", re.IGNORECASE)
_LOOK = "Write its name as GET {} lists it."
_WHICH_GUEST = (
    "GET /cluster/resources?type=vm tells on which node a guest is, and whether it is a VM (qemu) or not (lxc)."
)

Tree = Mapping[str, Privileges]


def read_tree(client: Client) -> Tree:
    """Return what the caller may do, where. Raises PveError."""
    return rights_from(client.get("/access/permissions"))


def needs_of(path: str | None, application: str | None, release: Release) -> list[Need]:
    """Return what a path and an application take. Raises OptionError."""
    release = _known(release)
    found: list[Need] = []
    where = _taken_apart(path)[1] if path else ""
    normal = paths.normalise(where) if where else None
    if normal and paths.is_valid(normal, release):
        found.append(Need(normal))
    elif where:
        found += [Need(row["path"], row["privilege"]) for row in _takes(Wanted(endpoints=(f"GET {where}",)), release)]
        guess = paths.meant(where, release)
        found += [Need(guess)] if guess and not found else []
    if application:
        rows = _takes(Wanted(application), release)
        found += [Need(row["path"], row["privilege"], application) for row in rows]
    return found


def _takes(wanted: Wanted, release: Release) -> list[dict[str, Any]]:
    """Return path, privilege and more of each right that calls take."""
    rows: list[dict[str, Any]] = answer(wanted, release)["privileges"]
    return rows


def auditor(release: Release) -> frozenset[str]:
    """Return the privileges of the role that audits."""
    return builtin_roles(_known(release))[mends.READER]


def judge_rights(tree: Tree, identity: str, needs: Sequence[Need], release: Release) -> Check:
    """Say whether the caller has any rights at all; ``needs`` is what they are wanted for."""
    if tree:
        return passed(f"{identity} holds rights on {some_of(sorted(tree), _MOST)}.")
    mend = mends.allow(identity, needs[0] if needs else Need(), auditor(release))
    if not is_token(identity):
        return failed("no_rights", f"{identity} holds no right anywhere.", mend)
    said = (
        f"{identity} holds no right anywhere. A token with privilege separation has what both its own ACL entries and "
        "those of its user give; from here it cannot be seen which of the two is missing."
    )
    return failed("no_rights", said, f"Both halves: {mend}")


# -- one path ---------------------------------------------------------------------------------------------------------


def judge_path(client: Client, text: str, identity: str) -> Check:
    """Say whether what stands at a path can be read: that of an ACL entry, or of a call where it is none."""
    is_call, path, query = _taken_apart(text)
    try:
        release = client.release
        if not (is_call or query):
            normal = paths.normalise(path)
            if normal and paths.is_valid(normal, release):
                return _acl_path(client, normal, identity)
            wrong = _wrong_acl_path(path, release)
            if wrong:
                return wrong
        client.get(path, dict(parse_qsl(query)))
    except ApiError as error:
        return _failed_call(client, error, path, identity)
    except PveError as error:
        return failed_call(error)
    return passed(f"GET {path}{f'?{query}' if query else ''} is answered.")


def _taken_apart(text: str) -> tuple[bool, str, str]:
    """Return whether a path is one of a call in any case, the path itself, and its query."""
    method, blank, rest = text.strip().partition(" ")
    is_call = bool(blank) and method.upper() == "GET"
    path, unused, query = _PREFIX.sub("", rest.strip() if is_call else text.strip()).partition("?")
    return is_call, "/" + "/".join(piece for piece in path.split("/") if piece), query


def _acl_path(client: Client, path: str, identity: str) -> Check:
    held = _held(client, path)
    if reading(path, held):
        missing = _not_there(client, path)
        if missing:
            return missing
        return passed(f"{identity} holds {some_of(sorted(held), _MOST)} on {path}.")
    holds = f"only {some_of(sorted(held), _MOST)}" if held else "nothing"
    said = f"{identity} holds {holds} on {path}."
    parent = path.rpartition("/")[0] or "/"
    above = {name for name, flag in _held(client, parent).items() if flag} if path != "/" else set()
    if reading(path, above):
        said = f"{said} On {parent} it has more: an entry on {path} hides that, such as NoAccess or a smaller role."
        mend = (
            f"Take that entry away. {mends.listed(path)}; homelab.pve.pve_acl with state: absent, the path, the role "
            "and whose it is removes it."
        )
        return failed("right_missing", said, mend)
    return failed("right_missing", said, mends.allow(identity, Need(path), auditor(client.release), held))


def _not_there(client: Client, path: str) -> Check | None:
    """Return that there is nothing of that name: an ACL path can be that of a guest that is gone, or not yet there."""
    kind, unused, name = path[1:].partition("/")
    if not name or kind not in _LISTED:
        return None
    where, query, key = _LISTED[kind]
    if any(str(row.get(key)) == name for row in client.get(where, query) or []):
        return None
    if kind == "vms":
        return failed("guest_not_there", f"There is no guest {name} in the cluster.", _WHICH_GUEST)
    if kind == "nodes":
        return failed("node_unknown", f"There is no node {name}.", f"The nodes are: {some_of(_nodes(client))}.")
    return failed("object_unknown", f"{path} has its rights, and there is nothing of that name.", _LOOK.format(where))


def reading(path: str, held: Iterable[str]) -> list[str]:
    """Return the privileges that show something at an ACL path."""
    fitting = _SHOWS.get(path[1:].partition("/")[0])
    return sorted(name for name in held if name == fitting or (fitting is None and name.endswith(".Audit")))


def _held(client: Client, path: str) -> Privileges:
    return rights_from(client.get("/access/permissions", {"path": path})).get(path, {})


def _wrong_acl_path(path: str, release: Release) -> Check | None:
    """Return what is wrong with a path that is meant for the ACL, and is none; None for a call that tells something."""
    guess = paths.meant(path, release)
    known = find("GET", path, _known(release))
    if guess is None or any(found.path not in INDEXES for found in known):
        return None
    also = " As a call it is a bare list of what is below it." if known else ""
    mend = (
        f"Put the entry on {guess}."
        if not path.startswith("/nodes/")
        else f"Put the entry on {guess}; it has no node in it."
    )
    return failed("acl_path_wrong", f"PVE has no ACL path {path}.{also}", mend)


def _known(release: Release) -> Release:
    return max(OLDEST, min(release, NEWEST))


def _failed_call(client: Client, error: ApiError, path: str, identity: str) -> Check:
    said = error.message
    node = _NODE.match(path)
    if error.status == 403:
        return _denied(client, error, path, identity)
    if error.status == 400 and path == _RESOURCES and "type" in error.errors:
        mend = (
            "Ask with type=vm, which has VMs and containers. Others are node, storage and sdn; pools come without type."
        )
        return failed("type_refused", said, mend)
    if error.status == 400:
        return failed("parameter_refused", said, "Correct the parameter that is named, or leave it out.")
    if error.status == 501:
        guess = paths.meant(path, client.release)
        hint = f" As an ACL path, {guess} is meant." if guess else ""
        return failed("api_path_unknown", said, f"Look at the API viewer of this release for the call.{hint}")
    if error.status in (595, 596):
        mend = f"Start {node[1] if node else 'the node'}, or leave it out; pvecm status on another node tells more."
        return failed("node_down", said, mend)
    if "hostname lookup '" in error.text:
        return failed("node_unknown", said, f"The nodes are: {some_of(_nodes(client))}.")
    if "Configuration file '" in error.text:
        return failed("guest_not_there", said, _WHICH_GUEST)
    if _NO_SUCH.search(error.text):
        return failed("object_unknown", said, _LOOK.format(path.rpartition("/")[0] or path))
    return failed_call(error)


def _nodes(client: Client) -> list[str]:
    try:
        return sorted(str(row["node"]) for row in client.get("/nodes"))
    except PveError:
        return ["not to be seen"]


def _denied(client: Client, error: ApiError, asked: str, identity: str) -> Check:
    path, privileges = denied(error.text)
    if "user != root@pam" in error.text or "not available with API token" in error.text:
        mend = "No token can do it, not even one of root@pam. Use user and password, or pvesh on the node."
        return failed("not_for_tokens", error.message, mend)
    reads = auditor(client.release)
    if path:
        names = privileges.split("|")
        # Any of them will do: one that only reads, if there is one.
        needs = [Need(path, next((name for name in names if name in reads), names[0]))]
    else:
        needs = needs_of(f"GET {asked}", None, client.release)
    if not needs:
        mend = f"homelab.pve.pve_application with endpoints: [GET {asked}] says what it takes."
        return failed("right_missing", f"{error.message}.", mend)
    halves = " Token and user need it, both." if is_token(identity) else ""
    mend = mends.allow(identity, needs[0], reads, _held(client, needs[0].path))
    return failed("right_missing", f"{error.message}.{halves}", mend)


# -- an application ---------------------------------------------------------------------------------------------------


def judge_application(client: Client, application: str, identity: str) -> Check:
    """Hold what the caller may do against what an application of the catalogue asks."""
    try:
        wanted = _takes(Wanted(application), client.release)
        held = {path: _held(client, path) for path in dict.fromkeys(row["path"] for row in wanted)}
    except PveError as error:
        return failed_call(error)
    lacks = [row for row in wanted if held[row["path"]].get(row["privilege"], -1) < row["propagate"]]
    if not lacks:
        return passed(f"{identity} holds all that {application} needs.")
    listed = dict.fromkeys(f"{row['privilege']} on {row['path']}" for row in lacks)
    calls = dict.fromkeys(call for row in lacks for call in row["endpoints"])
    said = f"{application} lacks {some_of(listed, _MOST)}, for {some_of(calls, _MOST)}."
    give = mends.allow(identity, Need(application=application), auditor(client.release))
    if not is_token(identity):
        give = f"homelab.pve.pve_application with application: {application} says what to give."
    return failed("application_starved", said, give)
