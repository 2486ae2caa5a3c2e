"""The place of a secret that is elsewhere: on the machine that Ansible itself runs on, and not where the task runs.

What has to be known of such places comes with the task, in an option that nobody writes, and what is to be done there
goes back with its result, also where the task fails: see ``plugin_utils/keeping.py`` for the other side. New secrets
are sealed on their way.

A task runs twice. First it only plans, and tells the marker that each place takes; then, with the markers written, it
does what it planned.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Collection, Mapping
from typing import Any, Callable, Protocol

from .client.errors import OptionError, PveError
from .sealing import KeyPair
from .secret_file import Place, SecretPlace, digest_of

# The option of a module, and the key of its result.
KEY = "_keeping"
# What is kept beside a secret, by the names that notes have.
NOTES = ("born", "rotation")
# What a marker says of the time before.
_BEFORE = ("was", "replaces")

Options = dict[str, Any]


class Places(Protocol):
    """Where a task finds the places of its secrets."""

    # Whether the task is only to tell what it would do.
    only_plan: bool

    def place_at(self, path: str) -> Place: ...

    def told(self, markers: Mapping[str, Any], *, dry_run: bool = True) -> Options:
        """Return what goes into the result. ``markers`` are those that the plan takes, by the paths of the secrets.

        In a dry run, and where the task failed, none is going to be written.
        """


class PlacesHere:
    """Places on the machine where the task runs."""

    only_plan = False

    def place_at(self, path: str) -> Place:
        return SecretPlace(path)

    def told(self, _markers: Mapping[str, Any], *, dry_run: bool = True) -> Options:
        """Return nothing: what was to be done is done."""
        del dry_run
        return {}


def places_of(carried: Any) -> Places:
    """Return the places of a task, by what came with it; None for those on the machine where it runs.

    Raises OptionError for what somebody has written himself.
    """
    if carried is None:
        return PlacesHere()
    try:
        return CarriedPlaces(carried)
    except (TypeError, KeyError, AttributeError):
        raise OptionError(f"{KEY} is no option of this module.") from None


class CarriedPlaces:
    """Places elsewhere, as the task was told of them."""

    def __init__(self, carried: Mapping[str, Any]) -> None:
        self.only_plan = bool(carried["only_plan"])
        self._keys = KeyPair()
        self._reader = carried["public"]
        self._steps: list[Options] = []
        self._places = {path: CarriedPlace(path, seen, self._note) for path, seen in carried["places"].items()}

    def place_at(self, path: str) -> Place:
        if path not in self._places:
            raise OptionError(f"{path} is no file that this task was told of.", "Give the whole path, without links.")
        return self._places[path]

    def _note(self, step: Options) -> None:
        secret = step.pop("secret", None)
        if secret is not None:
            step["sealed"] = self._keys.seal(secret, self._reader, str(len(self._steps)))
        self._steps.append(step)

    def told(self, markers: Mapping[str, Any], *, dry_run: bool = True) -> Options:
        """Return the steps to do there, and the markers to write before, as one word.

        Ansible blots out whatever secrets it knows in a result, and be it that a password is a part of a path.
        """
        told = {"public": self._keys.public, "steps": self._steps, "markers": None if dry_run else dict(markers)}
        return {KEY: base64.b64encode(json.dumps(told).encode()).decode("ascii")}


class CarriedPlace:
    """What ``SecretPlace`` is on this machine, for one elsewhere: it takes note of what is to be done there."""

    def __init__(self, path: str, seen: Mapping[str, Any], note: Callable[[Options], None]) -> None:
        self.path = path
        self.marker_path = seen["marker_path"]
        self.exists: bool = seen["exists"]
        self._secret: str = seen["secret"] or ""
        self._problem: list[str] | None = seen["problem"]
        self._digest: str = seen["digest"]
        self._modified: float = seen["modified"]
        self._staged: str | None = seen["staged_secret"]
        self._marker: dict[str, Any] | None = seen["marker"]
        self._written: dict[str, Any] | None = seen["written"]
        self._notes: dict[str, dict[str, Any]] = dict(seen["notes"])
        self._note = note

    def _step(self, action: str, **more: Any) -> None:
        self._note({"path": self.path, "action": action, **more})

    def read(self) -> str:
        """Return the secret; it is empty where nobody is going to try it, and so it was not sent."""
        if self._problem:
            raise OptionError(*self._problem)
        return self._secret

    def digest(self) -> str:
        return self._digest

    def modified(self) -> float:
        return self._modified

    def check(self) -> None:
        """Nothing: the place was checked before the task was begun."""

    def prove(self) -> None:
        """Nothing: the place was proved before its marker was written."""

    def write_marker(self, content: dict[str, Any], earlier: Mapping[str, Any] | None = None) -> None:
        """See that the marker there says just this. PveError if not; then nothing may be asked of PVE."""
        if self._marker != earlier or not self._is_written(content):
            raise PveError(
                f"{self.marker_path} does not say what is about to be asked for: things have changed meanwhile.",
                "Run again.",
            )
        self._marker = content
        self._step("write_marker")

    def _is_written(self, content: dict[str, Any]) -> bool:
        if content == self._written or self._written is None or self._marker is None:
            return content == self._written
        # Asked for once more after a lost answer: what was before the first time still stands there.
        return _lasting(content) == _lasting(self._written)

    def read_marker(self) -> dict[str, Any] | None:
        return self._marker

    def clear_marker(self) -> None:
        self._marker = None
        self._step("clear_marker")

    def release(self) -> None:
        """Nothing: other runs are kept out until the task has ended."""

    def store(self, secret: str) -> None:
        self._step("store", secret=secret)
        self._holds(secret)

    def staged(self) -> str | None:
        return self._staged

    def promote(self) -> None:
        if self._staged is None:
            raise PveError(f"There is no unfinished secret beside {self.path}.")
        self._step("promote")
        self._holds(self._staged)

    def _holds(self, secret: str) -> None:
        self.exists, self._secret, self._staged, self._problem = True, secret, None, None
        self._digest, self._modified = digest_of(secret), time.time()

    def discard_staged(self) -> None:
        self._step("discard_staged")
        self._staged = None

    def note(self, kind: str, content: Mapping[str, Any]) -> None:
        self._step("note", kind=kind, content=dict(content))
        self._notes[kind] = dict(content)

    def noted(self, kind: str) -> dict[str, Any] | None:
        return self._notes.get(kind)


def _lasting(marker: Mapping[str, Any]) -> Options:
    return {name: value for name, value in marker.items() if name not in _BEFORE}


# -- the other side ---------------------------------------------------------------------------------------------------


def seen_of(place: SecretPlace, *, tried: bool) -> Options:
    """Return what a task has to know of a place on this machine. Raises PveError where no secret can be kept there.

    ``tried`` says whether the task is going to try the secret in any case. Where a run was interrupted it always is.
    """
    place.check()
    marker = place.read_marker()
    secret = problem = None
    exists = place.exists
    if exists:
        try:
            secret = place.read()
        except OptionError as error:
            # It matters only where the token is there.
            problem = [error.message, error.hint]
    return {
        "marker_path": place.marker_path,
        "exists": exists,
        "problem": problem,
        "secret": secret if tried or marker is not None else None,
        "digest": "" if secret is None else digest_of(secret),
        "modified": place.modified(),
        "staged_secret": place.staged() if marker is not None else None,
        "marker": marker,
        "written": None,
        "notes": {kind: noted for kind in NOTES for noted in [place.noted(kind)] if noted is not None},
    }


class Answer:
    """What a task told, on the machine that has the places."""

    def __init__(self, told: str, keys: KeyPair, paths: Collection[str]) -> None:
        """Read it. Raises PveError where it cannot be read, or speaks of other places than these ``paths``."""
        try:
            read = json.loads(base64.b64decode(told, validate=True))
            # None where there is nothing to go on with.
            self.markers: Mapping[str, dict[str, Any]] | None = read["markers"]
            self._steps: list[Options] = read["steps"]
            self._public = str(read["public"])
            is_whole = self._is_whole(paths)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            is_whole = False
        if not is_whole:
            raise PveError(
                "What the task told of its secrets cannot be read.",
                "Is the host what it should be? The markers beside the secret files tell the next run what was begun.",
            )
        self._keys = keys

    def _is_whole(self, paths: Collection[str]) -> bool:
        """Tell whether it is as ``CarriedPlaces`` tells it. The other host may be anybody's."""
        markers = self.markers or {}
        return all(path in paths and isinstance(marker, dict) for path, marker in markers.items()) and all(
            step["path"] in paths
            and (step["action"] != "store" or isinstance(step["sealed"], str))
            and (step["action"] != "note" or (step["kind"] in NOTES and isinstance(step["content"], dict)))
            for step in self._steps
        )

    def used_marker(self, path: str) -> bool:
        """Whether PVE may have been asked for what the marker there names."""
        return any(step["path"] == path and step["action"] == "write_marker" for step in self._steps)

    def repeat(self, place: SecretPlace) -> None:
        """Do in a place whatever the task would have done there itself. Raises PveError."""
        steps = [(number, step) for number, step in enumerate(self._steps) if step["path"] == place.path]
        marked = max((number for number, step in steps if step["action"] == "write_marker"), default=0)
        for number, step in steps:
            action = step["action"]
            if action == "store":
                place.store(self._keys.unseal(step["sealed"], self._public, str(number)))
            elif action == "note":
                place.note(step["kind"], step["content"])
            elif action in ("promote", "discard_staged") or (action == "clear_marker" and number > marked):
                # A marker that was cleared, and then written once more, is there still.
                getattr(place, action)()
