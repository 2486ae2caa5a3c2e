"""The one engine: observe, plan, apply.

A plan is a list of changes, each with the one API call that makes it so. It is worked out without any I/O, shown by
check mode and diff mode, and then applied call by call. What the run reports is the plan itself, so that a dry run
and the real one cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable, TypeVar

from .client.errors import PveError, TransportError, is_digest_conflict

S = TypeVar("S")

# How often a plan is made at the most, when answers are lost on the way or somebody else edits the same things.
ROUNDS = 3


@dataclass(frozen=True)
class Call:
    """One request that changes something. ``params`` holds API names and plain values."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    # Names of parameters that must never be shown.
    secret: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"{self.method} {self.path} {self.shown_params()}"

    def shown_params(self) -> dict[str, Any]:
        """Return the parameters as they may be printed."""
        return {name: "********" if name in self.secret else value for name, value in self.params.items()}


@dataclass(frozen=True)
class Change:
    """A difference between what is and what should be, and the call that removes it.

    ``before`` and ``after`` hold only the fields that differ; None stands for an object that is not there. Without a
    call, it is something on this side that is to be put in order.
    """

    kind: str
    id: str
    action: str  # create, update, delete, renew, store
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    call: Call | None
    note: str = ""

    def as_data(self) -> dict[str, Any]:
        """Return the change as module results show it."""
        shown = {
            "kind": self.kind,
            "id": self.id,
            "action": self.action,
            "before": None if self.before is None else dict(self.before),
            "after": None if self.after is None else dict(self.after),
        }
        if self.note:
            shown["note"] = self.note
        return shown

    def __str__(self) -> str:
        return f"{self.action} {self.kind} {self.id}"


@dataclass(frozen=True)
class Plan:
    """An ordered list of changes, what is to be said about them, and whatever else the module returns."""

    changes: tuple[Change, ...] = ()
    warnings: tuple[str, ...] = ()
    # Objects that the plan needs and nobody has made yet: reported by a dry run, refused by a real one.
    assumed: tuple[str, ...] = ()
    result: Mapping[str, Any] = field(default_factory=dict)
    # Further sections of the diff: name -> lines that belong to what was, and to what will be.
    sections: Mapping[str, tuple[Sequence[str], Sequence[str]]] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        return bool(self.changes)

    def diff(self) -> dict[str, Any]:
        """Return before and after as Ansible's diff mode takes them, with the changed fields only."""
        sides: dict[str, Any] = {"before": {}, "after": {}}
        for change in self.changes:
            for side, value in (("before", change.before), ("after", change.after)):
                if value is not None:
                    # Several calls may speak of one id (an ACL path, say): their fields stand side by side.
                    sides[side].setdefault(change.kind, {}).setdefault(change.id, {}).update(value)
        for name, sections in self.sections.items():
            for side, lines in zip(("before", "after"), sections):
                if lines:
                    sides[side][name] = list(lines)
        return sides


class ApplyError(PveError):
    """A plan that stopped half-way. ``done`` are the changes that had been made by then, ``left`` counts the others."""

    def __init__(
        self, failed: Change, cause: PveError, done: list[Change], left: int, said: Iterable[str] = ()
    ) -> None:
        super().__init__(
            f"Could not {failed}: {cause.message}",
            f"{cause.hint} Changes made so far, which stay: {len(done)}; not made: {left}. "
            f"The same task, run again, makes the rest. {' '.join(said)}".strip(),
        )
        self.done = done
        self.cause = cause


def reconcile(
    observe: Callable[[], S],
    plan: Callable[[S], Plan],
    perform: Callable[[Change], None],
    *,
    dry_run: bool,
) -> Plan:
    """Observe, plan, and unless this is a dry run, apply. Return the plan as it was made at the start.

    A write whose answer was lost is not repeated blindly: the state is observed again, and what is then left of the
    plan is applied. So it is where somebody else changed the same configuration in between. Raises ApplyError where a
    change fails, and PveError where observing or planning does.
    """
    first = plan(observe())
    if dry_run:
        return first
    _refuse_assumed(first)
    done: list[Change] = []
    current = first
    for attempt in range(1, ROUNDS + 1):
        try:
            _apply(current, perform, done)
        except ApplyError as error:
            if not (is_out_of_reach(error) or is_digest_conflict(error.cause)) or attempt == ROUNDS:
                raise
            current = _plan_again(observe, plan, error)
        else:
            break
    return first


def is_out_of_reach(error: PveError) -> bool:
    """Tell whether the failure is that PVE gave no answer."""
    return isinstance(error.cause if isinstance(error, ApplyError) else error, TransportError)


def _apply(plan: Plan, perform: Callable[[Change], None], done: list[Change]) -> None:
    for number, change in enumerate(plan.changes):
        try:
            perform(change)
        except PveError as error:
            raise ApplyError(change, error, list(done), len(plan.changes) - number, plan.warnings) from None
        done.append(change)


def _plan_again(observe: Callable[[], S], plan: Callable[[S], Plan], lost: ApplyError) -> Plan:
    """Plan anew after a lost answer. Where that fails, the change whose fate is unknown is what has to be told."""
    try:
        return plan(observe())
    except TransportError as error:
        raise TransportError(
            f"{lost.message} Whether it was made is not known, because PVE could not be asked again: {error.message}",
            error.hint,
            sent=True,
        ) from None


def _refuse_assumed(plan: Plan) -> None:
    if plan.assumed:
        raise PveError(
            f"These do not exist: {', '.join(plan.assumed)}.",
            "Make them first, or declare them in the same document.",
        )
