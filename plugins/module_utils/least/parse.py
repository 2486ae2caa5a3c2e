"""What an application asks of PVE: read from a list, from an access log of PVE's proxy, or from a HAR file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ..access.model import is_token, owner_of
from ..access.releases import NEWEST, Release
from ..access_log import NOBODY, read_line
from ..client.errors import OptionError
from ..endpoints.find import METHODS, find, that_matter
from ..endpoints.ids import wrong_id
from ..wording import some_of

_REQUEST = re.compile(r'(?P<method>[A-Z]+) (?P<target>\S+)[^"]*" (?P<status>\d{3})')
_API = re.compile(r"/api2(?:/[a-z0-9]+)?(?=/|\Z)")
_LOCATION = re.compile(r"/|https?://[^/?#\[\]]+/")
_OTHER_PLACEHOLDERS = re.compile(r"/(?:<([^/<>]+)>|:([A-Za-z_]\w*)|\$([A-Za-z_]\w*))(?=/|\Z)")
_BRACES = re.compile(r"[{}]")
_SEVERAL = re.compile(r"[1-9][0-9]{2,8}(?:,[1-9][0-9]{2,8})+\Z")
_JOB = re.compile(r"([0-9]+)-[0-9]+\Z")
_REFUSED = {
    400: "PVE found its parameters wrong",
    401: "PVE did not accept the credentials",
    403: "PVE refused it for lack of rights; list it under endpoints if the application is to have it",
    501: "PVE has no such method",
}


@dataclass(frozen=True)
class Endpoint:
    """A method that the application calls. ``path`` is PVE's, ``ids`` and ``params`` are what the call named.

    ``name`` is how the application's own list, log or recording has it.
    """

    name: str
    method: str
    path: str
    ids: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, str]:
        """Return all ids that PVE's check may ask for, those in parameters and those that follow from others."""
        found = {**self.params, **self.ids}
        if "userid" in found:
            found["userid_realm"] = found["userid"].rpartition("@")[2].partition("!")[0]
        job = _JOB.match(found.get("id", ""))
        if job and "/replication/" in self.path:
            found["job_guest"] = job[1]
        return found


@dataclass(frozen=True)
class Problem:
    """Something that was not understood, or not counted, with the reason."""

    name: str
    reason: str


@dataclass
class Calls:
    """What was found: the endpoints, each once, and what was left out."""

    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    problems: dict[str, Problem] = field(default_factory=dict)

    def add(
        self,
        method: str,
        target: str,
        release: Release,
        params: Mapping[str, str] | None = None,
        *,
        templates: bool = True,
    ) -> None:
        """Add a call by its method and its path or URL, or their template where ``templates`` may be among them."""
        parts = _parts(target)
        path = unquote(parts.path)
        if templates:
            path = _OTHER_PLACEHOLDERS.sub(lambda match: f"/{{{match[1] or match[2] or match[3]}}}", path)
        path = "/" + _API.sub("", path, count=1).strip("/")
        given = {**dict(parse_qsl(parts.query, keep_blank_values=True)), **(params or {})}
        # The others do not matter, and may be anybody's secrets.
        given = {name: value for name, value in given.items() if name in that_matter()}
        query = "&".join(f"{name}={value}" for name, value in sorted(given.items()))
        name = f"{method} {path}{'?' if query else ''}{query}"
        if not templates and _BRACES.search(name):
            self.leave_out(name, "it has braces, which stand for ids and are in none")
            return
        # A backup job may name several guests; none of them is the one that it is about.
        known = {
            name: value for name, value in given.items() if not value.startswith("{") and not _SEVERAL.match(value)
        }
        found = find(method, path, release)
        if not found:
            self.leave_out(name, _why_unknown(method, path, release))
        for one in found:
            endpoint = Endpoint(name, method, one.path, one.ids, known)
            # Each set of ids counts once, however often it was called.
            ids = sorted(pair for pair in endpoint.values.items() if pair[0] in that_matter())
            wrong = next(filter(None, (wrong_id(*pair, release) for pair in ids)), "")
            if wrong:
                self.leave_out(name, wrong)
                continue
            self.endpoints.setdefault(f"{method} {one.path} {ids}", endpoint)

    def leave_out(self, name: str, reason: str) -> None:
        self.problems.setdefault(f"{name}: {reason}", Problem(name, reason))

    def merge(self, other: Calls) -> None:
        for key, endpoint in other.endpoints.items():
            self.endpoints.setdefault(key, endpoint)
        self.problems.update(other.problems)


def _parts(target: str) -> SplitResult:
    """Take a path or URL apart. Slashes at the beginning of a path are no host."""
    return urlsplit(f"/{target.lstrip('/')}" if target.startswith("/") else target)


def _why_unknown(method: str, path: str, release: Release) -> str:
    if method not in METHODS:
        return f"PVE has GET, POST, PUT and DELETE, and no {method}"
    if find(method, path, NEWEST):
        return f"PVE {release[0]}.{release[1]} does not have it"
    others = [other for other in METHODS if other != method and find(other, path, release)]
    return f"PVE has {' and '.join(others)} there, and no {method}" if others else "PVE has no such path"


def from_list(items: Iterable[Any], release: Release) -> Calls:
    """Read a list of ``GET /path`` or ``{method: GET, path: /path}``; a path alone means GET. Raises OptionError."""
    calls = Calls()
    for number, item in enumerate(items, 1):
        if isinstance(item, Mapping):
            unknown = sorted(str(name) for name in item if name not in ("method", "path"))
            if unknown:
                raise OptionError(
                    f"endpoints, entry {number}: there is no place for {some_of(unknown)}.",
                    "An endpoint has method and path; what of a query matters is part of the path.",
                )
            method, path = str(item.get("method") or "GET"), item.get("path")
        else:
            first, unused, rest = str(item).strip().partition(" ")
            method, path = (first, rest.strip()) if rest.strip() else ("GET", first)
        if not isinstance(path, str) or not _LOCATION.match(path):
            raise OptionError(
                f"endpoints, entry {number}: {item!r} is no endpoint.",
                "Write GET /nodes/{node}/status, or method and path.",
            )
        calls.add(method.upper(), path, release)
    return calls


def from_access_log(lines: Iterable[str], user: str | None, release: Release) -> Calls:
    """Read lines of /var/log/pveproxy/access.log: those of one user or token, or of everybody.

    A user stands for himself and for all of his tokens. Raises OptionError where nothing of it looks like such a log.
    """
    calls = Calls()
    looked, matched = False, False
    seen: set[str] = set()
    for line in lines:
        looked = looked or bool(line.strip())
        found = read_line(line)
        match = _REQUEST.match(found.rest) if found else None
        if found is None or match is None:
            continue
        matched = True
        who = found.who
        seen.add(who)
        if user is not None and who != user and (is_token(user) or owner_of(who) != user):
            continue
        _add_answered(calls, match["method"], match["target"], int(match["status"]), release)
    where = "The file is /var/log/pveproxy/access.log, or one of the older ones beside it."
    if not looked:
        raise OptionError("access_log: there is no line in it.", where)
    if not matched:
        raise OptionError("access_log: no line of it looks like one of PVE's proxy.", where)
    if user is not None and not calls.endpoints and not calls.problems:
        there = some_of(sorted(seen - {NOBODY})) or "nobody"
        raise OptionError(f"log_user: {user} asked for nothing in this log.", f"It has calls of: {there}.")
    _has_calls(calls, "access_log")
    return calls


def from_har(text: str, release: Release) -> Calls:
    """Read a HAR file, which browsers and proxies record. Raises OptionError where it is none."""
    calls = Calls()
    try:
        for entry in json.loads(text)["log"]["entries"]:
            request = entry["request"]
            posted = (request.get("postData") or {}).get("params") or []
            params = {str(param["name"]): str(param.get("value", "")) for param in posted}
            status = int((entry.get("response") or {}).get("status") or 0)
            _add_answered(calls, str(request["method"]), str(request["url"]), status, release, params)
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError):
        raise OptionError(
            "har: this is no HAR file.", "Save one from the network tab of the browser's developer tools."
        ) from None
    _has_calls(calls, "har")
    return calls


def _has_calls(calls: Calls, option: str) -> None:
    if not calls.endpoints and not calls.problems:
        raise OptionError(
            f"{option}: there is no call of PVE's API in it.", "Record one while the application does its work."
        )


def _add_answered(
    calls: Calls, method: str, target: str, status: int, release: Release, params: Mapping[str, str] | None = None
) -> None:
    """Add a call that was answered; what PVE refused is reported, and no right follows from it.

    Of a call that failed on the server (500 and so on), the rights were enough: PVE looks at them first.
    """
    path = _parts(target).path
    if not _API.match(path):
        return  # the web interface's own files
    if status in _REFUSED or 400 <= status < 500:
        calls.leave_out(f"{method} {path}", f"{status}: {_REFUSED.get(status, 'PVE refused it')}")
        return
    calls.add(method, target, release, params, templates=False)
