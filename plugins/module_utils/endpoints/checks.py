"""Permission checks as PVE declares them, and whether given rights satisfy them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Callable

from ..access.releases import Release

# What stands for a parameter that the call does not have; PVE uses the same.
UNSET = "-"
_FIELD = re.compile(r"{([^}]+)}")
_MODIFY = "modify "
_ALLOCATE = {"/vms/": "VM.Allocate", "/storage/": "Datastore.Allocate", "/pool/": "Pool.Allocate"}
_NOBODY = ("root", "ticket")

Values = Mapping[str, str]
Held = Callable[[str], Collection[str]]


def fill(template: str, values: Values) -> str:
    """Put values in place of the names in braces."""
    return _FIELD.sub(lambda match: values.get(match[1], UNSET), template)


def fields(template: str) -> list[str]:
    """Return the names in braces."""
    return _FIELD.findall(template)


@dataclass(frozen=True)
class Check:
    """Ways to satisfy a check, each a list of (path template, privilege) that are needed together.

    No way at all: closed to API tokens. ``modifies`` is set for the right to change the ACL of that path.
    """

    alternatives: tuple[tuple[tuple[str, str], ...], ...]
    modifies: str = ""

    def for_path(self, values: Values) -> Check:
        """Return the check with all names filled in."""
        if self.modifies:
            path = fill(self.modifies, values)
            ways = ["Permissions.Modify", *(priv for prefix, priv in _ALLOCATE.items() if path.startswith(prefix))]
            return Check(tuple(((path, privilege),) for privilege in ways))
        return Check(
            tuple(tuple((fill(path, values), privilege) for path, privilege in needs) for needs in self.alternatives)
        )

    def satisfied(self, held: Held) -> bool:
        """Tell whether somebody who holds ``held(path)`` on each path passes. The names have to be filled in."""
        return any(all(privilege in held(path) for path, privilege in needs) for needs in self.alternatives)

    def paths(self) -> list[str]:
        """Return the path templates that occur."""
        return [self.modifies] if self.modifies else [path for needs in self.alternatives for path, unused in needs]

    def __str__(self) -> str:
        """Say it as in ``VM.Snapshot|VM.Snapshot.Rollback on /vms/100``."""
        if not self.alternatives:
            return "root@pam with a password"
        single = [needs[0] for needs in self.alternatives if len(needs) == 1]
        if len(single) == len(self.alternatives) and len({path for path, unused in single}) == 1:
            return f"{'|'.join(privilege for unused, privilege in single)} on {single[0][0]}"
        return " or ".join(
            " with ".join(f"{privilege} on {path}" for path, privilege in needs) for needs in self.alternatives
        )


def parse_check(text: str, release: Release) -> Check:
    """Read a check as the tables write it (see ``writes.py``), as it was in the release."""
    if text in _NOBODY:
        return Check(())
    if text.startswith(_MODIFY):
        return Check((), text[len(_MODIFY) :])
    found: list[tuple[tuple[str, str], ...]] = []
    for way in text.split(" or "):
        ways: list[tuple[tuple[str, str], ...]] = [()]
        for need in way.split(" + "):
            path, unused, wanted = need.partition(" ")
            ways = [(*so_far, (path, _named(p, release))) for so_far in ways for p in wanted.split("|")]
        found += ways
    return Check(tuple(dict.fromkeys(found)))


def _named(privilege: str, release: Release) -> str:
    """Before 9.0 one privilege was for all that goes through the guest agent."""
    return "VM.Monitor" if release < (9, 0) and privilege.startswith("VM.GuestAgent.") else privilege
