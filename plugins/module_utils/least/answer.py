"""One question about least privilege, as the module puts it: from options to plain data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..access.releases import NEWEST, OLDEST, Release, parse_release
from ..client.errors import OptionError
from ..endpoints.ids import wrong_id
from ..local_files import read_text
from .applications import application, calls_of
from .parse import Calls, from_access_log, from_har, from_list
from .policy import as_data
from .work_out import work_out

_NAME = re.compile(r"[A-Za-z0-9._-]+\Z")
_CUSTOM = "custom"


@dataclass(frozen=True)
class Wanted:
    """What is asked: where the calls are taken from, and what the roles are to be called.

    ``access_logs`` and ``har`` are files. ``scope`` has the only ids that matter, by their names.
    """

    application: str | None = None
    endpoints: tuple[Any, ...] = ()
    access_logs: tuple[str, ...] = ()
    log_user: str | None = None
    har: str | None = None
    scope: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    name: str | None = None

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Wanted:
        """Read the module's options. Raises OptionError."""
        wanted = cls(
            params.get("application"),
            tuple(params.get("endpoints") or ()),
            tuple(params.get("access_log") or ()),
            params.get("log_user"),
            params.get("har"),
            {name: tuple(map(str, ids)) for name, ids in (params.get("scope") or {}).items() if ids},
            params.get("name"),
        )
        if wanted.name is not None and not _NAME.match(wanted.name):
            raise OptionError(
                f"name: {wanted.name!r} is no name for roles.", "Names hold letters, digits, '.', '-' and '_'."
            )
        for name, ids in wanted.scope.items():
            wrong = next(filter(None, (wrong_id(name, one, NEWEST) for one in ids)), "")
            if wrong:
                raise OptionError(f"scope: {name}: {wrong}.", "Name objects as PVE does.")
        if wanted.application is not None:
            application(wanted.application)  # before anything is sent
        return wanted

    def calls(self, release: Release) -> Calls:
        """Return all calls, from wherever they are. Raises OptionError."""
        calls = Calls()
        if self.application is not None:
            calls.merge(calls_of(self.application, release))
        calls.merge(from_list(self.endpoints, release))
        if self.access_logs:
            lines = [line for path in self.access_logs for line in read_text(path, "access_log").splitlines()]
            calls.merge(from_access_log(lines, self.log_user, release))
        if self.har is not None:
            calls.merge(from_har(read_text(self.har, "har"), release))
        return calls


def release_of(text: str) -> Release:
    """Read a release that the tables know. Raises OptionError."""
    try:
        release = parse_release(text)
    except ValueError:
        raise OptionError(f"release: {text!r} is no release of PVE.", "Write 9.2 or 8.4.") from None
    if not OLDEST <= release <= NEWEST:
        oldest, newest = (".".join(map(str, one)) for one in (OLDEST, NEWEST))
        raise OptionError(f"release: {text} is not known here; {oldest} to {newest} are.")
    return release


def answer(wanted: Wanted, release: Release) -> dict[str, Any]:
    """Return the least rights as the module returns them. A release after the newest known is taken for that one."""
    release = max(OLDEST, min(release, NEWEST))
    calls = wanted.calls(release)
    rights = work_out(calls, release, wanted.scope)
    return {
        "release": ".".join(map(str, release)),
        "endpoints": list(dict.fromkeys(endpoint.name for endpoint in calls.endpoints.values())),
        **as_data(rights, wanted.name or wanted.application or _CUSTOM),
    }
