"""Which rights a token has, and whether what it is for can be read with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
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

Tree = Mapping[str, Privileges]


def read_tree(client: Client) -> Tree:
    """Return what the caller may do, where. Raises PveError."""
    return rights_from(client.get("/access/permissions"))


def judge_rights(tree: Tree, identity: str) -> Check:
    """Say whether the caller has any rights at all."""
    if tree:
        return passed(f"{identity} holds rights on {some_of(sorted(tree), _MOST)}.")
    if not is_token(identity):
        return failed("no_rights", f"{identity} holds no right anywhere.", mends.give(identity, "/"))
    said = (
        f"{identity} holds no right anywhere. A token with privilege separation has what both its own ACL entries and "
        "those of its user give; from here it cannot be seen which of the two is missing."
    )
    return failed("no_rights", said, f"Both halves: {mends.give(identity, '/')}")


# -- one path ---------------------------------------------------------------------------------------------------------


def judge_path(client: Client, text: str, identity: str) -> Check:
    """Say whether what stands at a path can be read: that of an ACL entry, or of a call where it is none."""
    method, blank, rest = text.strip().partition(" ")
    is_call = bool(blank) and method.upper() == "GET"
    whole = _PREFIX.sub("", rest.strip() if is_call else text.strip()) or "/"
    path, question, query = whole.partition("?")
    path = "/" + "/".join(piece for piece in path.split("/") if piece)
    try:
        release = client.release
        if not (is_call or question):
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
    return passed(f"GET {whole} is answered.")


def _acl_path(client: Client, path: str, identity: str) -> Check:
    held = _held(client, path)
    if reading(path, held):
        return passed(f"{identity} holds {some_of(sorted(held), _MOST)} on {path}.")
    holds = f"only {some_of(sorted(held), _MOST)}" if held else "nothing"
    hidden = (
        " A deeper entry replaces what comes from above, and NoAccess takes everything." if held or path != "/" else ""
    )
    return failed("right_missing", f"{identity} holds {holds} on {path}.{hidden}", mends.give(identity, path))


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
        return _denied(error, identity, client.release)
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
        mend = (
            "GET /cluster/resources?type=vm tells on which node a guest is, and whether it is a VM (qemu) or not (lxc)."
        )
        return failed("guest_not_there", said, mend)
    return failed_call(error)


def _nodes(client: Client) -> list[str]:
    try:
        return sorted(str(row["node"]) for row in client.get("/nodes"))
    except PveError:
        return ["not to be seen"]


def _denied(error: ApiError, identity: str, release: Release) -> Check:
    path, privileges = denied(error.text)
    if "user != root@pam" in error.text or "not available with API token" in error.text:
        mend = "No token can do it, not even one of root@pam. Use user and password, or pvesh on the node."
        return failed("not_for_tokens", error.message, mend)
    if not path:
        return failed("right_missing", error.message, mends.give(identity, "/"))
    halves = " Token and user need it, both." if is_token(identity) else ""
    return failed("right_missing", f"{error.message}.{halves}", mends.give(identity, path, _role(privileges, release)))


def _role(privileges: str, release: Release) -> str:
    """Return the smallest built-in role that has one of the privileges, the auditor's where that is enough."""
    wanted = {*privileges.split("|")}
    roles = {name: held for name, held in builtin_roles(_known(release)).items() if held & wanted}
    if mends.READER in roles:
        return mends.READER
    return min(roles, key=lambda name: (len(roles[name]), name), default="ROLE")


# -- an application ---------------------------------------------------------------------------------------------------


def judge_application(client: Client, application: str, identity: str) -> Check:
    """Hold what the caller may do against what an application of the catalogue asks."""
    try:
        wanted = answer(Wanted(application), client.release)["privileges"]
        held = {path: _held(client, path) for path in dict.fromkeys(row["path"] for row in wanted)}
    except PveError as error:
        return failed_call(error)
    lacks = [row for row in wanted if held[row["path"]].get(row["privilege"], -1) < row["propagate"]]
    if not lacks:
        return passed(f"{identity} holds all that {application} needs.")
    listed = dict.fromkeys(f"{row['privilege']} on {row['path']}" for row in lacks)
    calls = dict.fromkeys(call for row in lacks for call in row["endpoints"])
    said = f"{application} lacks {some_of(listed, _MOST)}, for {some_of(calls, _MOST)}."
    mend = f"homelab.pve.pve_application with application: {application} says what to give; pve_access gives it."
    return failed("application_starved", said, mend)
