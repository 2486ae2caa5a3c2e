"""Secrets of tokens kept on the machine that Ansible runs on, also where the task itself runs on another one.

The other side is ``module_utils/carried.py``. Whatever cuts a run short, the marker that was written here before the
module was told to go on lets the next run finish, or take back.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Callable

from ansible.module_utils.common.validation import check_type_dict
from ansible.plugins.action import ActionBase

from ..module_utils.carried import KEY, Answer, seen_of
from ..module_utils.client.errors import OptionError, PveError
from ..module_utils.sealing import KeyPair
from ..module_utils.secret_file import SecretPlace

Options = dict[str, Any]
Result = dict[str, Any]
Run = Callable[[Options], Result]


@dataclass(frozen=True)
class Kept:
    """A secret that a task speaks of: the token, the place of its secret, and whether the task tries it in any case."""

    tokenid: str
    place: SecretPlace
    tried: bool


class Keeper:
    """Runs a module elsewhere, and keeps its secrets here. ``run`` runs it with a value for its hidden option."""

    def __init__(self, kept: list[Kept], run: Run) -> None:
        self._kept = {one.place.path: one for one in kept}
        self._run = run
        self._keys = KeyPair()

    def carry_out(self) -> Result:
        """Return the result of the module. Raises PveError where a place is not fit; then nothing was changed."""
        seen = {path: seen_of(one.place, tried=one.tried) for path, one in self._kept.items()}
        result, answer = self._ask(seen, only_plan=True)
        if answer is None or answer.markers is None or not (result.get("changed") or result.get("assumed")):
            return result
        with ExitStack() as stack:
            for path in self._kept:
                # What keeps other runs out ends with this one, however that ends. The marker stays.
                stack.callback(self._kept[path].place.release)
            self._mark(seen, answer.markers)
            marked = {path: {**told, "written": answer.markers.get(path)} for path, told in seen.items()}
            result, answer = self._ask(marked, only_plan=False)
            if answer is None:
                return self._unknown(result, [self._kept[path].tokenid for path in marked if marked[path]["written"]])
            return self._keep(result, answer, marked)

    def _ask(self, seen: Mapping[str, Options], *, only_plan: bool) -> tuple[Result, Answer | None]:
        """Run the module. There is no answer where it did not end as modules do."""
        result = self._run({"only_plan": only_plan, "public": self._keys.public, "places": dict(seen)})
        told = result.pop(KEY, None)
        return result, None if told is None else Answer(str(told), self._keys, seen)

    def _mark(self, seen: Mapping[str, Options], markers: Mapping[str, Options]) -> None:
        """Prove the places of all secrets that are going to be asked for, and write their markers: all, or none."""
        written: list[str] = []
        try:
            for path, marker in markers.items():
                place = self._kept[path].place
                place.prove()
                place.write_marker(marker, seen[path]["marker"])
                written.append(path)
        except PveError:
            for path in written:
                _unmark(self._kept[path].place, markers[path], seen[path]["marker"])
            raise

    def _keep(self, result: Result, answer: Answer, marked: Mapping[str, Options]) -> Result:
        """Do here what the module would have done, were it here. What fails at one secret stops none of the others."""
        problems = []
        for path, told in marked.items():
            one = self._kept[path]
            try:
                if answer.used_marker(path):
                    answer.repeat(one.place)
                elif told["written"]:
                    _unmark(one.place, told["written"], told["marker"])
            except PveError as error:
                problems.append(
                    f"The secret of {one.tokenid} could not be kept: {error} Its marker, {one.place.marker_path}, lets "
                    "the next run of the same task put that right."
                )
        return _failed(result, problems) if problems else result

    def _unknown(self, result: Result, tokenids: list[str]) -> Result:
        """Say what became of the tokens where the module ended without an answer."""
        if not tokenids:
            return result
        return _failed(
            result,
            [
                f"Whether PVE made or renewed the secret of {', '.join(tokenids)} is not known. The markers beside the "
                "secret files stay, and the next run of the same task finishes it, or takes it back."
            ],
        )


def _unmark(place: SecretPlace, written: Options, earlier: Options | None) -> None:
    """Make the marker what it was before, because nothing was asked for."""
    if earlier is None:
        place.clear_marker()
    else:
        place.write_marker(earlier, written)


def _failed(result: Result, problems: list[str]) -> Result:
    said = [str(result["msg"])] if result.get("failed") and result.get("msg") else []
    return {**result, "failed": True, "msg": " ".join([*said, *problems])}


class KeepingAction(ActionBase):
    """An action that runs the module of its name; secrets are kept on this machine, whatever machine that runs on."""

    _supports_check_mode = True
    _supports_async = True
    # Options of the module that are lists of objects with a secret each.
    lists: tuple[str, ...] = ()

    def run(self, tmp: Any = None, task_vars: Any = None) -> Result:
        """Run the module."""
        result: Result = super().run(tmp, task_vars)
        del tmp
        asynchronous = bool(self._task.async_val) and not self._connection.has_native_async
        try:
            options, kept = self._elsewhere()
            if kept and asynchronous:
                raise OptionError(
                    "A task with async cannot bring a secret back from another machine.",
                    "Leave async out, or run the task on this machine (delegate_to: localhost).",
                )
            if kept:
                result.update(Keeper(kept, self._runner(options, task_vars)).carry_out())
            else:
                result.update(self._execute_module(task_vars=task_vars, wrap_async=asynchronous))
        except PveError as error:
            result.update(failed=True, msg=str(error))
        finally:
            if not asynchronous:
                self._remove_tmp_path(self._connection._shell.tmpdir)  # type: ignore[no-untyped-call]  # Ansible has no types
        return result

    def _runner(self, options: Options, task_vars: Any) -> Run:
        return lambda told: self._execute_module(module_args={**options, KEY: told}, task_vars=task_vars)

    def _elsewhere(self) -> tuple[Options, list[Kept]]:
        """Return the task's options, and the secrets that are to be kept here though the task runs elsewhere."""
        options: Options = dict(self._task.args)
        if KEY in options:
            raise OptionError(f"{KEY} is no option of this module.")
        if self._connection.transport == "local" and not self._connection.become:
            # The module does it itself. As another user it could not: the file is to be this one's.
            return options, []
        for name in self.lists:
            if isinstance(options.get(name), list):
                options[name] = [_as_object(element) for element in options[name]]
        elements = [each for name in self.lists for each in options.get(name) or [] if isinstance(each, dict)]
        kept = []
        for spoken in [options, *elements]:
            told = spoken.get("secret_file")
            if not told or not isinstance(told, str):
                continue
            place = SecretPlace(self._path(told))
            spoken["secret_file"] = place.path
            if spoken.get("state") != "absent":
                tokenid = str(spoken.get("tokenid") or spoken.get("token"))
                kept.append(Kept(tokenid, place, spoken.get("verify_secret") == "always"))
        return options, kept

    def _path(self, path: str) -> str:
        """Return a path as a module on this machine would understand it."""
        return os.path.join(self._loader.get_basedir(), os.path.expandvars(os.path.expanduser(path)))


def _as_object(element: Any) -> Any:
    """Return an element as modules read it: a copy, and what is written as a text (``a=b``) as an object."""
    try:
        return dict(check_type_dict(element))  # type: ignore[no-untyped-call]  # Ansible has no types
    except TypeError:
        return element  # The module says what is wrong with it.
