"""Permission checks: who holds what, and the expressions that PVE's methods declare."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.homelab.pve.plugins.module_utils.access.model import ROOT
from ansible_collections.homelab.pve.plugins.module_utils.access.releases import Release

from .effective import ALWAYS_ASKED, Effective, Held, nodes_down_to
from .errors import Failure, Forbidden
from .schema import Check
from .userconfig import UserConfig
from .verify import FormatError, split_list, split_userid

MODIFY = "Permissions.Modify"
_GUESTS = "/vms/"
_ANY_GUEST = "/vms/-"
_DELEGATED = {"storage": "Datastore.Allocate", "vms": "VM.Allocate", "pool": "Pool.Allocate"}


class Rights:
    """Answers questions about rights in one version of the state. Answers are remembered."""

    def __init__(self, config: UserConfig, release: Release) -> None:
        self.config = config
        self.release = release
        self.effective = Effective(config, release)
        self._known: dict[tuple[str, str], Held] = {}
        self._special = {*(key.path for key in config.acl), *self.effective.pools_of}
        self._like = self._alike({key.path for key in config.acl})

    def _alike(self, with_entries: set[str]) -> dict[str, str]:
        """Return, for each guest that has pools and no entries of its own, the first guest with the same pools."""
        first: dict[frozenset[str], str] = {}
        return {
            path: first.setdefault(pools, path)
            for path, pools in self.effective.pools_of.items()
            if path.startswith(_GUESTS) and path not in with_entries
        }

    def privileges(self, subject: str, path: str) -> Held:
        if path.startswith(_GUESTS) and path not in self._special and path[len(_GUESTS) :].isdigit():
            # Nothing stands here, so the answer is that of any other guest without entries and pools.
            path = _ANY_GUEST
        key = (subject, self._like.get(path, path))
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self.effective.privileges(*key)
        return found

    def acl_nodes(self) -> set[str]:
        """Return the paths that have ACL entries and, since 8.1 keeps them in a tree, all nodes on the way there."""
        entries = {key.path for key in self.config.acl}
        if self.release < (8, 1):
            return entries
        return {node for path in entries for node in nodes_down_to(path)}

    def tree(self, subject: str) -> dict[str, Held]:
        """Return what ``subject`` holds on every path that PVE looks at when it is not asked for one."""
        asked = {*ALWAYS_ASKED, *self.acl_nodes(), *self.effective.pools_of}
        held = {path: self.privileges(subject, path) for path in sorted(asked)}
        return {path: privileges for path, privileges in held.items() if privileges}

    def has_all(self, subject: str, path: str | None, wanted: Iterable[str]) -> bool:
        held = self.privileges(subject, path) if path is not None else {}
        return all(privilege in held for privilege in wanted)

    def has_any(self, subject: str, path: str | None, wanted: Iterable[str]) -> bool:
        held = self.privileges(subject, path) if path is not None else {}
        return any(privilege in held for privilege in wanted)

    def guests_with(self, subject: str, wanted: str) -> Callable[[int], bool]:
        """Return a function that tells on which guests ``subject`` holds a privilege, for long lists of them."""
        elsewhere = self.has_all(subject, _ANY_GUEST, [wanted])
        special = {
            int(path[len(_GUESTS) :]): self.has_all(subject, path, [wanted])
            for path in self._special
            if path.startswith(_GUESTS) and path[len(_GUESTS) :].isdigit()
        }
        return lambda vmid: special.get(vmid, elsewhere)

    def require_all(self, subject: str, path: str | None, wanted: Iterable[str]) -> None:
        """Raise Forbidden, naming the first privilege that is missing."""
        for privilege in wanted:
            if not self.has_all(subject, path, [privilege]):
                raise Forbidden(f"{path or ''}, {privilege}")

    def require_any(self, subject: str, path: str | None, wanted: Iterable[str]) -> None:
        privileges = list(wanted)
        if not self.has_any(subject, path, privileges):
            raise Forbidden(f"{path or ''}, {'|'.join(privileges)}")

    def to_modify(self, path: str | None) -> tuple[str, list[str]]:
        """Return the path and the privileges of which one is needed to change the ACL of ``path``."""
        if not path:
            return "/access", [MODIFY]
        match = re.match(r"/(storage|vms|pool)/.", path)
        return path, [MODIFY, _DELEGATED[match[1]]] if match else [MODIFY]

    def groups_with_any(self, subject: str, wanted: list[str]) -> set[str]:
        return {g for g in self.config.groups if self.has_any(subject, f"/access/groups/{g}", wanted)}

    def members_of(self, groups: set[str]) -> set[str]:
        return {userid for userid, user in self.config.users.items() if user.groups & groups}

    def user_exists(self, userid: str) -> bool:
        return userid in self.config.users


def normalise(path: str) -> str | None:
    """Return a path as permission checks see it; unlike in an ACL entry, letters of all alphabets are taken."""
    if path in ("", "0"):
        return None
    collapsed = re.sub(r"/+", "/", path)
    stripped = collapsed[:-1] if collapsed.endswith("/") else collapsed
    if not stripped:
        return "/"
    absolute = stripped if stripped.startswith("/") else "/" + stripped
    return None if re.search(r"[^\w.\-/]", absolute) else absolute


def enforce(check: Check, subject: str | None, parameters: Mapping[str, Any], rights: Rights) -> None:
    """Evaluate the check that a method declares, with parameters that nobody has verified yet. Raises Forbidden.

    ``subject`` is None for a caller who has not proved who he is, which only methods open to the world allow.
    """
    if check == "world":
        return
    assert subject is not None, "authentication comes first"
    if subject == ROOT:
        return
    if check == "root":
        raise Forbidden(f"user != {ROOT}")
    if check != "all" and not _Checker(subject, parameters, rights).passes(check, quiet=False):
        raise Forbidden


class _Checker:
    """One evaluation. A quiet check answers False where a loud one raises; PVE's "and" is loud even inside an "or"."""

    def __init__(self, subject: str, parameters: Mapping[str, Any], rights: Rights) -> None:
        self.subject = subject
        self.parameters = parameters
        self.rights = rights

    def passes(self, check: Check, quiet: bool) -> bool:
        if isinstance(check, list):
            if check[0] == "and":
                return all(self.passes(part, quiet=False) for part in check[1:])
            return any(self.passes(part, quiet=True) for part in check[1:])
        kind, unused, rest = check.partition(" ")
        if kind == "modify":
            path, wanted = self.rights.to_modify(normalise(self._fill(rest)))
            return self._any(path, wanted, quiet)
        if kind == "self":
            self._split(self._param("userid"))
            return self._exists(quiet) and self.subject == self._param("userid")
        if kind == "realm":
            realm = self._split(self._param("userid"))[1]
            self.rights.require_all(self.subject, f"/access/realm/{realm}", [rest])
            return True
        if kind == "group":
            privileges, unused, mode = rest.partition(" ")
            return self._group(privileges.split("|"), mode, quiet)
        return self._perm(kind, rest, quiet)

    def _perm(self, template: str, rest: str, quiet: bool) -> bool:
        wanted, unused, condition = rest.partition(" ")
        if condition.startswith("if:") and self.parameters.get(condition[3:]) is None:
            return False
        path = normalise(self._fill(template))
        if "|" in wanted:
            return self._any(path, wanted.split("|"), quiet)
        if quiet:
            return self.rights.has_all(self.subject, path, wanted.split("&"))
        self.rights.require_all(self.subject, path, wanted.split("&"))
        return True

    def _any(self, path: str | None, wanted: list[str], quiet: bool) -> bool:
        if quiet:
            return self.rights.has_any(self.subject, path, wanted)
        self.rights.require_any(self.subject, path, wanted)
        return True

    def _group(self, privileges: list[str], mode: str, quiet: bool) -> bool:
        if mode != "create" and not self._exists(quiet):
            return False
        rights, subject = self.rights, self.subject
        if rights.has_any(subject, "/access/groups", privileges):
            return True
        allowed = rights.groups_with_any(subject, privileges)
        if mode:
            asked = split_list(self._param("groups"))
            if not asked:
                raise Forbidden(f"/access/groups, {'|'.join(privileges)}")
            for group in asked:
                if group not in allowed:
                    raise Forbidden(f"/access/groups/{group}, {'|'.join(privileges)}")
        if mode != "create" and self._param("userid") not in rights.members_of(allowed):
            if quiet:
                return False
            raise Forbidden
        return True

    def _exists(self, quiet: bool) -> bool:
        userid = self._param("userid")
        if self.rights.user_exists(userid):
            return True
        if not quiet:
            self._split(userid)
            raise Failure(f"no such user ('{userid}')")
        return False

    def _split(self, userid: str) -> tuple[str, str]:
        try:
            return split_userid(userid)
        except FormatError as error:
            raise Failure(str(error)) from None

    def _param(self, name: str) -> str:
        value = self.parameters.get(name)
        if isinstance(value, list):
            return "\0".join(str(item) for item in value)
        return "" if value is None else str(value)

    def _fill(self, template: str) -> str:
        """Put parameters into a path; one that was not given counts as "-"."""
        return re.sub(
            r"{([^}]+)}",
            lambda match: "-" if self.parameters.get(match[1]) is None else self._param(match[1]),
            template,
        )
