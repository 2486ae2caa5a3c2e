"""The skin between Ansible and the engine: options in, one run, result out. Nothing else here knows AnsibleModule."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Protocol, TypeVar

from ansible.module_utils.basic import AnsibleModule

from .access.document import Document
from .access.task import AccessTask
from .carried import KEY, Places, PlacesHere, places_of
from .client.errors import PveError
from .client.http import Client
from .client.options import ConnectionOptions, argument_spec
from .firewall.spec import GUARD
from .firewall.task import FirewallTask
from .firewall.wanted import Document as FirewallDocument
from .local_files import file_change, write_text
from .reconcile import Change, Plan, is_out_of_reach, reconcile
from .wording import some_of

Options = dict[str, Any]
Params = Mapping[str, Any]
Connect = Callable[[], Client]
T = TypeVar("T")


class Task(Protocol[T]):
    """What a domain gives to the engine."""

    def observe(self) -> T: ...

    def plan(self, view: T) -> Plan: ...

    def perform(self, change: Change) -> None: ...


Engine = TypeVar("Engine", bound=Task[Any])

_MISPLACED = re.compile(r"![A-Za-z0-9._-]+\s*[:=]\s*([0-9A-Fa-f-]{36})")
_SECRET = re.compile(r"pass|pas?w|secret|credential", re.IGNORECASE)
# Where a secret is kept, and what is done with it: the options with such names hold none.
_NO_SECRET = re.compile(r"(?:update|verify|return)_|.*_(?:file|path)\Z", re.IGNORECASE)
# How many tokens a failure names at the most, where it is about all of them.
MOST_NAMED = 20


class _Module(AnsibleModule):
    """A module that hides a secret also where it does not belong, behind a token's id; the client then refuses it.

    And passwords in documents that are put to a spec only later.
    """

    def _log_invocation(self) -> None:
        # Called before anything is logged or can fail. Ansible itself hides only what is declared to be secret.
        self.no_log_values.update(_MISPLACED.findall(json.dumps(self.params, default=str)))
        self.no_log_values.update(_passwords(self.params))
        super()._log_invocation()  # type: ignore[no-untyped-call]  # Ansible has no types


class _CarryingModule(_Module):
    """A module whose secrets may be kept elsewhere: what it has to know for that comes in an option nobody writes."""

    carried: Any = None

    def _load_params(self) -> None:
        super()._load_params()  # type: ignore[no-untyped-call]  # Ansible has no types
        # Taken out before options are checked, logged or shown.
        self.carried = self.params.pop(KEY, None)

    def _log_invocation(self) -> None:
        self.no_log_values.update(_passwords(self.carried))
        super()._log_invocation()


def _passwords(raw: Any) -> Iterator[str]:
    """Yield what stands under names of secrets in options, however deep, be they misspelt or out of place there."""
    if isinstance(raw, Mapping):
        for name, value in raw.items():
            if _SECRET.search(str(name)) and not _NO_SECRET.match(str(name)):
                told = value if isinstance(value, (list, tuple)) else [value]
                yield from (str(one) for one in told if isinstance(one, (str, int)) and one not in ("", True, False))
            yield from _passwords(value)
    elif isinstance(raw, (list, tuple)):
        for value in raw:
            yield from _passwords(value)


def make_module(options: Options, **rules: Any) -> AnsibleModule:
    """Return the module for its own ``options`` and those of the connection."""
    return _Module(**_told(options, rules))  # type: ignore[no-untyped-call]  # Ansible has no types


def _told(options: Options, rules: Options) -> Options:
    return {"argument_spec": {**options, **argument_spec()}, "supports_check_mode": True, **rules}


class _Clients:
    """The clients of a task: made where it asks for one by its connection options, closed when it ends."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._made: list[Client] = []

    def __call__(self) -> Client:
        """Return a new client. Raises OptionError."""
        self._made.append(Client(ConnectionOptions.from_params(self._module.params, os.environ)))
        return self._made[-1]

    def __enter__(self) -> _Clients:
        return self

    def __exit__(self, *_exception: object) -> None:
        for client in self._made:
            client.close()

    @property
    def warnings(self) -> list[str]:
        return [said for client in self._made for said in client.warnings]


@contextmanager
def _failing(module: AnsibleModule) -> Iterator[None]:
    """Tell what goes wrong as the module's failure."""
    try:
        yield
    except PveError as error:
        module.fail_json(msg=str(error))


def run_access(
    options: Options,
    document: Callable[[Params], Document],
    result: Callable[[Params, Plan, AccessTask], Params],
    **rules: Any,
) -> None:
    """Run a module about access: read the document out of its options, reconcile, and exit."""
    module = _CarryingModule(**_told(options, rules))  # type: ignore[no-untyped-call]  # Ansible has no types
    places: Places = PlacesHere()
    wanted = Document()
    try:
        places = places_of(module.carried)
        wanted = document(module.params)
        if any(token.return_secret for token in wanted.tokens) and not module.no_log:
            module.fail_json(msg="return_secret: true needs no_log: true on the task; else the secret would be logged.")
        with _Clients(module) as ask:
            task = AccessTask(ask(), wanted, time.time(), places.place_at)
            plan = _reconciled(module, task, only_plan=places.only_plan)
            told = places.told(task.markers(plan), dry_run=_is_dry_run(module))
            _exit_planned(module, ask.warnings, plan, {**result(module.params, plan, task), **told})
    except PveError as error:
        module.fail_json(msg=_naming_tokens(wanted, error), **places.told({}))


def run_firewall(
    options: Options,
    document: Callable[[Params], FirewallDocument],
    result: Callable[[Params, Plan], Params],
    **rules: Any,
) -> None:
    """Run a module about the firewall: read the document out of its options, reconcile, and exit."""

    def make(params: Params, ask: Connect) -> FirewallTask:
        wanted = document(params)
        return FirewallTask(ask(), wanted)

    run_task({**options, **GUARD}, make, lambda params, _task, plan: result(params, plan), **rules)


def run_task(
    options: Options,
    make: Callable[[Params, Connect], Engine],
    result: Callable[[Params, Engine, Plan], Params],
    **rules: Any,
) -> None:
    """Run a module that changes something in PVE by a task of its own, which ``make`` makes out of its options.

    ``make`` gets a function that connects.
    """
    module = make_module(options, **rules)
    with _failing(module), _Clients(module) as ask:
        task = make(module.params, ask)
        plan = _reconciled(module, task)
        _exit_planned(module, ask.warnings, plan, result(module.params, task, plan))


def _naming_tokens(wanted: Document, error: PveError) -> str:
    """Name the tokens in a failure to reach PVE, which comes from somewhere that does not know what it is all for."""
    said = str(error)
    tokens = [token.tokenid for token in wanted.tokens]
    if not is_out_of_reach(error) or all(tokenid in said for tokenid in tokens):
        return said
    return f"Token{'s' if len(tokens) > 1 else ''} {some_of(tokens, MOST_NAMED)}: {said}"


@dataclass(frozen=True)
class TextFile:
    """A text for a file on this side: see ``local_files``. ``kind`` is what results call it, such as report."""

    kind: str
    path: str
    text: str
    mode: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a module that changes nothing in PVE.

    ``failure`` says why the task failed, empty if it did not. ``files`` are texts to write, whether it did or not.
    """

    result: Params
    failure: str = ""
    files: tuple[TextFile, ...] = ()
    warnings: tuple[str, ...] = ()


def run_reader(options: Options, work: Callable[[Params, Client], tuple[Params, str]], **rules: Any) -> None:
    """Run a module that changes nothing: ``work`` returns the result, and why the task failed (empty if it did not)."""

    def outcome(params: Params, ask: Connect) -> Outcome:
        result, failure = work(params, ask())
        return Outcome(result, failure)

    run_writer(options, outcome, **rules)


def run_writer(options: Options, work: Callable[[Params, Connect], Outcome], **rules: Any) -> None:
    """Run a module that changes nothing in PVE, but may write files on this side.

    ``work`` gets a function that connects, and calls it only if it takes PVE at all.
    """
    module = make_module(options, **rules)
    with _failing(module), _Clients(module) as ask:
        outcome = work(module.params, ask)
        plan = _reconciled(module, _Files(outcome.files))
        written = {"written": [change.id for change in plan.changes]} if outcome.files else {}
        result = {**outcome.result, **written}
        warnings = [*ask.warnings, *outcome.warnings]
        _exit(module, warnings, plan, result, outcome.failure, with_diff=bool(outcome.files))


class LocalTask(Task[T], Protocol[T]):
    """A task about something on this side. ``secrets`` names what of its result is secret; empty if nothing is."""

    @property
    def secrets(self) -> str: ...

    @property
    def warnings(self) -> Sequence[str]: ...

    def result(self, plan: Plan) -> Params: ...


def run_local(options: Options, task_of: Callable[[Params, Mapping[str, str]], LocalTask[T]], **rules: Any) -> None:
    """Run a module that brings something on this side into a state; ``task_of`` gets options and environment."""
    module = make_module(options, **rules)
    with _failing(module):
        task = task_of(module.params, os.environ)
        if task.secrets and not module.no_log:
            module.fail_json(msg=f"{task.secrets} would be logged: put no_log: true on the task, or give ticket_cache.")
        plan = _reconciled(module, task)
        result = task.result(plan)
        _exit(module, task.warnings, plan, result)


class _Files:
    """Texts, as a task: what differs is written."""

    def __init__(self, files: tuple[TextFile, ...]) -> None:
        self._files = {one.path: one for one in files}

    def observe(self) -> None:
        """Nothing is looked at before it is planned."""

    def plan(self, _view: None) -> Plan:
        changes = [file_change(one.kind, one.path, one.text) for one in self._files.values()]
        return Plan(tuple(change for change in changes if change is not None))

    def perform(self, change: Change) -> None:
        one = self._files[change.id]
        write_text(one.path, one.text, mode=one.mode)


def one_object(name: str, kind: str, key: str) -> Callable[[Params, Plan, AccessTask], Params]:
    """Return how the result of a module for single objects is made: the object as it is now, under ``name``."""

    def result(params: Params, plan: Plan, _task: AccessTask) -> Params:
        objects: Mapping[str, Options | None] = plan.result[kind]
        found = objects[params[key]]
        return {name: None if found is None else {key: params[key], **found}}

    return result


def one_of_place(name: str, kind: str) -> Callable[[Params, Plan], Params]:
    """Return how the result of a module for one object of a place is made: the object as it is now, under ``name``."""

    def result(params: Params, plan: Plan) -> Params:
        (place, *unused) = plan.result["places"].values()
        wanted = params["name"].lower()
        return {name: next((row for row in place[kind] if row["name"].lower() == wanted), None)}

    return result


def _reconciled(module: AnsibleModule, task: Task[T], *, only_plan: bool = False) -> Plan:
    return reconcile(task.observe, task.plan, task.perform, dry_run=only_plan or _is_dry_run(module))


def _is_dry_run(module: AnsibleModule) -> bool:
    return bool(module.check_mode)


def _exit_planned(module: AnsibleModule, warnings: Iterable[str], plan: Plan, result: Params) -> None:
    """End a module that changes something in PVE."""
    assumed = [f"Assumed to be made by an earlier task: {', '.join(plan.assumed)}."] if plan.assumed else []
    changes = {"changes": [change.as_data() for change in plan.changes], "assumed": list(plan.assumed)}
    _exit(module, [*warnings, *plan.warnings, *assumed], plan, {**changes, **result})


def _exit(
    module: AnsibleModule,
    warnings: Iterable[str],
    plan: Plan,
    result: Params,
    failure: str = "",
    *,
    with_diff: bool = True,
) -> None:
    """End a module with what it has to say; ``failure`` makes it fail."""
    for said in warnings:
        module.warn(said)
    returned: Options = {"changed": plan.changed, **result}
    if with_diff and module._diff:
        returned["diff"] = plan.diff()
    if failure:
        module.fail_json(msg=failure, **returned)
    module.exit_json(**returned)
