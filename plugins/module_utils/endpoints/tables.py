"""How the tables of PVE's methods are written, and how they are read.

A heading is the check that PVE makes for the methods under it, each on an indented line with its path:

    PATH PRIVILEGE|PRIVILEGE    any of these privileges on this ACL path
    ... + ...                   both sides
    ... or ...                  either side ("+" binds closer)
    modify {path}               the right to change the ACL of that path (Permissions.Modify, or for guests, storages
                                and pools the privilege to allocate them)
    root, ticket                nobody with an API token: only root@pam, only users who logged in with a password

``[8.1-]`` and ``[-8.0]`` before it are the first release that has it, and the first that does not. ``{kind}`` stands
for both qemu and lxc, ``{userid_realm}`` for the realm of the userid. Where a release had not yet heard of a privilege,
calls that need it did not exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..access.releases import Release, privileges
from .checks import Check, parse_check

FIRST: Release = (0, 0)
NEVER: Release = (99, 0)
GUEST_KINDS = ("qemu", "lxc")
_HEADING = re.compile(r"(?:\[(?:(\d)\.(\d))?-(?:(\d)\.(\d))?\] )?(\S.*)\Z")


@dataclass(frozen=True)
class Method:
    """A method of PVE's API. ``path`` has its parameters in braces."""

    method: str
    path: str
    check: Check
    since: Release = FIRST
    until: Release = NEVER

    def exists_in(self, release: Release) -> bool:
        """Tell whether the release may have it."""
        known = privileges(release)
        asks = [all(privilege in known for unused, privilege in needs) for needs in self.check.alternatives]
        return self.since <= release < self.until and (any(asks) or not asks)


def rows(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield (heading, method, path) of each call in a table. A line without a method is about GET."""
    heading = ""
    for line in text.strip().splitlines():
        if not line.startswith(" "):
            heading = line
            continue
        *methods, path = line.split()
        for each in [path.replace("{kind}", kind) for kind in GUEST_KINDS] if "{kind}" in path else [path]:
            for method in methods or ["GET"]:
                yield heading, method, each


def parse_heading(heading: str) -> tuple[str, Release, Release]:
    """Return the check as it is written, the first release that has it, and the first that has not."""
    match = _HEADING.match(heading)
    if not match:
        raise ValueError(f"{heading!r} heads no releases")
    since = (int(match[1]), int(match[2])) if match[1] else FIRST
    until = (int(match[3]), int(match[4])) if match[3] else NEVER
    return match[5], since, until


def methods(text: str, release: Release) -> Iterator[Method]:
    """Yield what a table says of a release."""
    for heading, method, path in rows(text):
        check, since, until = parse_heading(heading)
        found = Method(method, path, parse_check(check, release), since, until)
        if found.exists_in(release):
            yield found
