"""Where an audit reads from: a cluster, with every answer kept, or a snapshot of such answers.

Both give the same answers to the same questions, so that whatever is worked out from them is the same. What a
snapshot holds is cut down to what audits look at, and free of secrets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

from ..access.releases import Release, as_text, parse_release
from ..client.errors import BY_STATUS, ApiError, OptionError, PveError
from ..client.http import ReadOnly
from ..facts.ask import NOTHING, Ask
from ..facts.fetch import Collector, Fetcher
from .shapes import whole_number, wrong_shape

FORMAT = "homelab.pve snapshot"
VERSION = 1
RESOURCES, USERS, FACTORS, STORAGES = "/cluster/resources", "/access/users", "/access/tfa", "/storage"
Params = Mapping[str, Any]


class NotInSnapshot(PveError):
    """A snapshot does not hold the answer to a question: what is asked about was not part of it."""


class Source(Protocol):
    """Whatever answers an audit's questions. ``requests`` counts those that went to PVE."""

    requests: int

    @property
    def release(self) -> Release: ...

    @property
    def identity(self) -> str: ...

    @property
    def local_address(self) -> str: ...

    def get(self, path: str, params: Params | None = None) -> Any: ...

    def prefetch(self, asks: Iterable[Ask]) -> None:
        """Ask many questions at once; their answers are there afterwards."""


def question(path: str, params: Params | None = None) -> str:
    """Return what names a question in a snapshot."""
    return f"{path}?{urlencode(sorted(params.items()))}" if params else path


class _Answers:
    """Answers by question, and what can be told from them without asking."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        # What PVE refused: status and its words.
        self.refused: dict[str, tuple[int, str]] = {}

    def known(self, path: str, params: Params | None) -> Any:
        """Return an answer that is known, else NOTHING. Raises ApiError where PVE is known to refuse it."""
        asked = question(path, params)
        if asked in self.refused:
            status, text = self.refused[asked]
            raise BY_STATUS.get(status, ApiError)("GET", path, status, reason=text, text=text)
        if asked in self.answers:
            return self.answers[asked]
        derive = _DERIVED.get(asked)
        if derive is None or RESOURCES not in self.answers:
            return NOTHING
        return [row for row in self.answers[RESOURCES] if derive(row)]


# Questions whose answers the list of resources holds too, as far as it matters here.
_DERIVED: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    question(RESOURCES, {"type": "vm"}): lambda row: row.get("type") in ("qemu", "lxc"),
    "/nodes": lambda row: row.get("type") == "node",
}


class Recorder(_Answers):
    """A cluster, asked each question once. What it answered can be kept as a snapshot."""

    def __init__(self, reader: ReadOnly) -> None:
        super().__init__()
        self._reader = reader
        self.requests = 0

    @property
    def release(self) -> Release:
        return self._reader.release

    @property
    def identity(self) -> str:
        return self._reader.identity

    @property
    def local_address(self) -> str:
        # Nothing that an audit judges depends on where it is made.
        return ""

    def get(self, path: str, params: Params | None = None) -> Any:
        """Return the answer of a GET. Raises what the client raises."""
        known = self.known(path, params)
        if known is not NOTHING:
            return known
        self.requests += 1
        asked = question(path, params)
        try:
            answer = self._reader.get(path, params)
        except ApiError as error:
            self.refused[asked] = (error.status, error.text)
            raise
        return self._keep(path, asked, answer)

    def prefetch(self, asks: Iterable[Ask]) -> None:
        """Ask many questions at once. Those without an answer are asked again, alone, when somebody needs them.

        What PVE refused before is not asked again: whoever needs it is told then.
        """
        new = []
        for ask in asks:
            params = dict(ask.params)
            if question(ask.path, params) not in self.refused and self.known(ask.path, params) is NOTHING:
                new.append(ask)
        if not new:
            return

        def all_at_once() -> Collector[list[Any]]:
            return list((yield new))

        fetcher = Fetcher(self._reader)
        try:
            answers = fetcher.run({"answers": all_at_once()})["answers"]
        finally:
            fetcher.close()
        self.requests += fetcher.asked
        for ask, answer in zip(new, answers):
            if answer is not NOTHING:
                self._keep(ask.path, question(ask.path, dict(ask.params)), answer)

    def _keep(self, path: str, asked: str, answer: Any) -> Any:
        by_form = (clean for form, clean in _BY_FORM.items() if form.match(path))
        clean = _CLEANED.get(path) or next(by_form, _as_it_is)
        kept = self.answers[asked] = clean(answer)
        return kept

    def as_data(self, now: float) -> dict[str, Any]:
        """Return all that was answered as a snapshot, in an order that does not change from call to call."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "taken": int(now),
            "release": as_text(self.release),
            "caller": self.identity,
            "answers": {asked: self.answers[asked] for asked in sorted(self.answers)},
            "refused": {asked: list(self.refused[asked]) for asked in sorted(self.refused)},
        }


class Snapshot(_Answers):
    """What a cluster answered at some time. ``taken`` is when, in seconds since the epoch."""

    requests = 0
    local_address = ""

    def __init__(self, data: Mapping[str, Any]) -> None:
        """Take what ``Recorder.as_data`` gave. Raises OptionError where it is something else."""
        super().__init__()
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            raise OptionError("This is no snapshot.", "homelab.pve.pve_snapshot makes one.")
        version, caller, taken = data.get("version"), data.get("caller"), whole_number(data.get("taken"))
        if not isinstance(version, int) or isinstance(version, bool):
            raise _damaged(f"its version, {version!r}, is no number")
        if version != VERSION:
            raise OptionError(
                f"The snapshot is of version {version}, and this collection reads version {VERSION}.",
                "Take a new one.",
            )
        if taken is None:
            raise _damaged(f"when it was taken, {data.get('taken')!r}, is no time")
        if not isinstance(caller, str):
            raise _damaged(f"who took it, {caller!r}, is no user or token")
        self.taken, self.identity = taken, caller
        try:
            self.release: Release = parse_release(str(data["release"]))
            self.answers.update(data["answers"])
            self.refused.update({asked: (int(status), str(text)) for asked, (status, text) in data["refused"].items()})
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise _damaged(repr(error)) from None
        for asked, answer in self.answers.items():
            said = wrong_shape(asked, answer)
            if said:
                raise _damaged(f"GET {asked}: {said}")

    def get(self, path: str, params: Params | None = None) -> Any:
        """Return the answer of a GET. Raises ApiError where PVE refused it, NotInSnapshot where it was not asked."""
        known = self.known(path, params)
        if known is NOTHING:
            raise NotInSnapshot(
                f"The snapshot does not hold the answer to GET {question(path, params)}.",
                "Take it anew, with credentials that may read all.",
            )
        return known

    def prefetch(self, asks: Iterable[Ask]) -> None:
        """Do nothing: all there is, is here."""


def read_snapshot(text: str) -> Snapshot:
    """Read the text of a snapshot file. Raises OptionError."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise OptionError(f"The snapshot is no JSON: {error}.", "Take a new one.") from None
    except RecursionError:
        raise _damaged("it is nested too deep") from None
    return Snapshot(data)


def _damaged(what: str) -> OptionError:
    return OptionError(f"The snapshot is damaged: {what}.", "Take a new one.")


# -- what is kept of answers ------------------------------------------------------------------------------------------

_OF_RESOURCES = ("id", "type", "node", "vmid", "name", "status", "pool", "storage", "template")
_OF_FACTORS = ("type", "enable", "created")
_INTERFACE = re.compile(r"net[0-9]+\Z")
_OF_MEMBERS = ("type", "vmid", "storage")


def _as_it_is(answer: Any) -> Any:
    return answer


def _config(settings: Any) -> dict[str, Any]:
    # The rest may hold secrets; that a guest has network devices, and which, is all that counts.
    return {name: value for name, value in settings.items() if _INTERFACE.match(name)}


def _pools(answer: Any) -> Any:
    if isinstance(answer, list):
        return [_pools(row) for row in answer]
    members = [{name: row[name] for name in _OF_MEMBERS if name in row} for row in answer.get("members") or ()]
    return {**answer, "members": members} if "members" in answer else dict(answer)


def _storages(rows: Any) -> list[dict[str, Any]]:
    return [{"storage": name} for name in sorted(str(row["storage"]) for row in rows)]


def _resources(rows: Any) -> list[dict[str, Any]]:
    kept = [{name: row[name] for name in _OF_RESOURCES if name in row} for row in rows]
    # A shared storage has a row on each node, and PVE's order is random.
    return sorted(kept, key=lambda row: str(row.get("id")))


def _users(rows: Any) -> list[dict[str, Any]]:
    # The legacy second factor may be a secret; that there is one is all that counts.
    return [{**row, "keys": "x"} if row.get("keys") else dict(row) for row in rows]


def _factors(rows: Any) -> list[dict[str, Any]]:
    return [
        {
            **row,
            "entries": [
                {name: entry[name] for name in _OF_FACTORS if name in entry} for entry in row.get("entries") or ()
            ],
        }
        # Where nobody has any, PVE may also say null.
        for row in rows or ()
    ]


_CLEANED: Mapping[str, Callable[[Any], Any]] = {
    RESOURCES: _resources,
    USERS: _users,
    FACTORS: _factors,
    STORAGES: _storages,
}
_BY_FORM: Mapping[re.Pattern[str], Callable[[Any], Any]] = {
    re.compile(r"/nodes/[^/]+/(?:qemu|lxc)/[0-9]+/config\Z"): _config,
    re.compile(r"/pools(?:/.+)?\Z"): _pools,
}
