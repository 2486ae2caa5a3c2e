"""A token's new secret in steps, with room between them for whatever uses it.

``begin`` looks whether the secret is due, and makes a token that stands in; ``renew`` renews the secret; ``end`` takes
the stand-in away. A note beside the secret holds from the first step to the last, so that a run that was cut short is
taken up by the next one, wherever it was.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from ..client.errors import OptionError
from ..client.http import Client
from ..reconcile import Change, Plan
from ..secret_file import SecretPlace
from .births import BORN
from .document import AclSpec, Document, Scope, TokenSpec
from .expiry import Expiry
from .model import Principal, Token
from .observe import View, observe
from .renewal import KEPT, STAGED, restorable, to_restore, why_renewed
from .rotation import ALWAYS, NEVER, comment_of, end_of, name_for, stands_in_for
from .task import AccessTask

BEGIN, RENEW, END = "begin", "renew", "end"
STEPS = (BEGIN, RENEW, END)
# What a play has yet to do: hand over to the stand-in, renew, hand over to the renewed token, take the stand-in away.
INTERIM, FINAL = "interim", "final"
# What the note beside the secret is called, and what a stand-in's file is called after the token's own.
NOTE = "rotation"
SUFFIX = ".interim"

Fields = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """What was observed: access, with the secrets; the note; and the token that stands in, or is going to."""

    view: View
    note: Mapping[str, Any] | None
    stand_in: str
    # Whether the secret that stands in its place is another one than when the rotation was begun.
    renewed: bool

    @property
    def begun(self) -> bool:
        return self.note is not None


class Rotation:
    """One step of renewing the secret of ``spec``, as a task.

    With ``overlap``, a token of the same rights stands in for it meanwhile. A rotation that was begun is finished as it
    was begun. ``now`` is the one clock reading of the task.
    """

    def __init__(self, client: Client, spec: TokenSpec, step: str, now: float, *, overlap: bool) -> None:
        self.client = client
        self.spec = spec
        self.step = step
        self.now = now
        self.overlap = overlap
        self.place = SecretPlace(spec.secret_file or "")
        self.other_place = SecretPlace(self.place.path + SUFFIX)
        self._clients = ExitStack()
        # Who does what of the plan: made anew with each observation.
        self._renewal = AccessTask(client, Document(), now)
        self._others = self._renewal

    def close(self) -> None:
        """End the sessions that this has begun with the secrets of the rotation itself."""
        self._clients.close()

    # -- observing ----------------------------------------------------------------------------------------------------

    def observe(self) -> Seen:
        """Read all of access and the notes, as whoever can ask: the token may be the one that is renewed."""
        self.place.check()
        note = self._noted()
        client = self._asking(note)
        self._renewal = AccessTask(client, Document(tokens=(self.spec,)), self.now)
        view = self._renewal.look_at_secrets(observe(client, Document(tokens=(self.spec,)), self.now))
        self._must_see(view)
        stand_in = self._stand_in(view, note)
        return Seen(view, note, stand_in, self._is_renewed(view, note))

    def _noted(self) -> Mapping[str, Any] | None:
        note = self.place.noted(NOTE)
        if note is None:
            return None
        options = self.client.options
        if (note.get("tokenid"), note.get("host"), note.get("port")) != (self.spec.tokenid, options.host, options.port):
            raise OptionError(
                f"Beside {self.place.path}, a rotation of {note.get('tokenid')} of "
                f"{note.get('host')}:{note.get('port')} is noted that was not finished; this one is about "
                f"{self.spec.tokenid} of {options.host}:{options.port}.",
                "Finish that one first, or give this token a file of its own.",
            )
        if not all(isinstance(note.get(key), kind) for key, kind in (("interim", str), ("since", int), ("was", str))):
            raise OptionError(
                f"The note beside {self.place.path} about a rotation is damaged.",
                f"Look for a token that stands in for {self.spec.tokenid}, delete it, and remove the note "
                f"(.{self.place.path.rpartition('/')[2]}.{NOTE}); then run again.",
            )
        return note

    def _asking(self, note: Mapping[str, Any] | None) -> Client:
        """Return the client to ask with. Where the task uses the token itself, its secret changes on the way."""
        if self.client.identity != self.spec.tokenid or note is None:
            return self.client
        for tokenid, secret in self._secrets(note["interim"]):
            other = self._clients.enter_context(self.client.with_token(tokenid, secret))
            if other.logs_in():
                return other
        return self.client

    def _secrets(self, stand_in: str) -> Iterator[tuple[str, str]]:
        """Yield what may log in, the likeliest first.

        No token renews itself; and one that is being made anew may log in already, and have no rights yet.
        """
        own = [(self.spec.tokenid, self.place.read())] if self.place.exists else []
        standing_in = [(stand_in, self.other_place.read())] if stand_in and self.other_place.exists else []
        first = self.step == RENEW or self.place.read_marker() is not None
        yield from [*standing_in, *own] if first else [*own, *standing_in]

    def _must_see(self, view: View) -> None:
        for what, needed in (("users", "User.Modify on /access/groups"), ("acl", "Sys.Audit on /access")):
            if what not in view.complete:
                raise OptionError(
                    f"{self.spec.tokenid} cannot be rotated: {view.caller} does not see all {what}, and so not all "
                    "that the token has.",
                    f"Give it {needed}.",
                )

    def _stand_in(self, view: View, note: Mapping[str, Any] | None) -> str:
        """Return the id of the token that stands in, or is going to; empty where none is."""
        if note is None:
            return name_for(self.spec.tokenid, view.state.tokens) if self.overlap else ""
        name: str = note["interim"]
        there = view.state.tokens.get(name)
        if there is not None and (stands_in_for(there) or ("",))[0] != self.spec.tokenid:
            raise OptionError(
                f"A rotation of {self.spec.tokenid} was begun with {name}, and that token says nothing of it any more.",
                f"Give it back its comment, or delete it and run again: {comment_of(self.spec.tokenid, self.now)}",
            )
        return name

    def _is_renewed(self, view: View, note: Mapping[str, Any] | None) -> bool:
        if note is None or self.spec.tokenid in view.markers or not self.place.exists:
            return False
        return bool(self.place.digest() != note["was"])

    # -- planning -----------------------------------------------------------------------------------------------------

    def plan(self, seen: Seen) -> Plan:
        """Return the plan of this step."""
        if seen.begun and self.step != END and self._is_missing(seen.view):
            raise OptionError(
                f"{self.spec.tokenid} was deleted while its secret was being renewed, and not by that.",
                f"If it is to be gone, delete what stands in for it, too, and {self.place.path} with all beside it. "
                "Else make it again as it was, with its secret in that file, and run again.",
            )
        made = {BEGIN: self._plan_begin, RENEW: self._plan_renew, END: self._plan_end}[self.step](seen)
        return replace(made, result=self._result(seen, made))

    def _is_missing(self, view: View) -> bool:
        """Tell whether there is no such token, and no run has deleted it to make it anew."""
        return self.spec.tokenid not in view.state.tokens and self.spec.tokenid not in view.markers

    def _planned(self, view: View, spec: TokenSpec) -> Plan:
        """Return the plan that renews the secret, or finishes what an interrupted run began."""
        self._renewal.wanted = Document(tokens=(spec,))
        return self._renewal.plan(view)

    def _plan_begin(self, seen: Seen) -> Plan:
        view, tokenid = seen.view, self.spec.tokenid
        if seen.begun:
            # What is renewed needs nobody to stand in for it any more.
            return self._plan_stand_in(seen) if seen.stand_in and not seen.renewed else Plan()
        if self._is_missing(view):
            return Plan(assumed=(f"token {tokenid}",))
        left_over = stands_in_for(view.state.tokens.get(seen.stand_in, Token(""))) is not None
        spec = replace(self.spec, rotate=ALWAYS) if left_over else self.spec
        # As whoever will ask for it: with a stand-in, that is not the token itself.
        asking = seen.stand_in if view.caller == tokenid and seen.stand_in else view.caller
        renewal = self._planned(replace(view, caller=asking), spec)
        if not any(change.action in ("renew", "create") for change in renewal.changes):
            # Not due; but what an interrupted run left is finished.
            return Plan(tuple(change for change in renewal.changes if change.action == "finish"), renewal.warnings)
        why = why_renewed(view, spec) or view.secrets.get(tokenid, "")
        will = {"stands in": seen.stand_in} if seen.stand_in else {}
        begin = Change("rotation", tokenid, "begin", {"secret": why}, will, None)
        stand_in = self._plan_stand_in(seen) if seen.stand_in else Plan()
        return Plan((begin, *stand_in.changes), stand_in.warnings, stand_in.assumed)

    def _plan_stand_in(self, seen: Seen) -> Plan:
        """Return the plan that makes a token which has what the other has, all of it and nothing else."""
        view, tokenid, name = seen.view, self.spec.tokenid, seen.stand_in
        if seen.note is None and name not in view.state.tokens and self.other_place.exists:
            raise OptionError(
                f"{self.other_place.path} is there, and no rotation that it belongs to.", "Look at it, and remove it."
            )
        marker = view.markers.get(tokenid, {})
        fields = marker.get("fields") or {}
        original = view.state.tokens.get(tokenid) or Token(tokenid, bool(fields.get("privsep", True)))
        there = view.state.tokens.get(name)
        end = end_of(original.expire, self.now)
        spec = TokenSpec(
            name,
            privsep=original.privsep,
            expire=Expiry(there.expire if there is not None and self.now < there.expire <= end else end),
            comment=comment_of(tokenid, seen.note["since"] if seen.note else self.now),
            secret_file=self.other_place.path,
            verify_secret="always",
            renew="when_lost",
        )
        entries = {(path, role): flag for path, role, flag in restorable(view.state, tokenid)}
        entries.update({(entry.path, entry.role): flag for entry, flag in to_restore(tokenid, marker).items()})
        wanted = Document(
            tokens=(spec,),
            acls=tuple(
                AclSpec((path,), (Principal("token", name),), (role,), flag) for (path, role), flag in entries.items()
            ),
            exclusive=(Scope("acls", ("*",), (glob.escape(name),)),),
            # What hides rights of the other has to hide them here, too; and its guests may be gone.
            allow_narrowing=True,
            allow_missing=True,
        )
        self._others = AccessTask(self._renewal.client, wanted, self.now)
        return self._others.plan(self._others.look_at_secrets(view))

    def _plan_renew(self, seen: Seen) -> Plan:
        if not seen.begun and self._is_missing(seen.view):
            return Plan(assumed=(self._beginning,))
        if not seen.begun:
            planned = self._planned(self._as_stand_in(seen), self.spec)
            return Plan(planned.changes, planned.warnings, (*planned.assumed, self._beginning))
        if seen.renewed:
            return Plan()
        if seen.stand_in and seen.stand_in not in seen.view.state.tokens:
            raise OptionError(
                f"{seen.stand_in}, which is to stand in for {self.spec.tokenid}, is gone.", "Do the step begin again."
            )
        finishing = seen.view.secrets.get(self.spec.tokenid) in (STAGED, KEPT)
        return self._planned(seen.view, replace(self.spec, rotate=NEVER if finishing else ALWAYS))

    def _as_stand_in(self, seen: Seen) -> View:
        own = seen.view.caller == self.spec.tokenid and seen.stand_in
        return replace(seen.view, caller=seen.stand_in) if own else seen.view

    @property
    def _beginning(self) -> str:
        return f"a rotation of {self.spec.tokenid} that was begun and that no other run has ended"

    def _plan_end(self, seen: Seen) -> Plan:
        if not seen.begun:
            return Plan(assumed=(self._beginning,))
        tokenid, client = self.spec.tokenid, self._renewal.client
        if not seen.renewed:
            raise OptionError(f"The secret of {tokenid} is not renewed yet.", "Do the step renew first.")
        with client.with_token(tokenid, self.place.read()) as renewed:
            if not renewed.logs_in():
                raise OptionError(
                    f"PVE refuses the secret of {tokenid} in {self.place.path}, so {seen.stand_in or 'nothing'} stays.",
                    "Is the user enabled and not expired? Has somebody else renewed it? With renew: when_lost, "
                    "pve_token gets a new one; then run again.",
                )
        gone = Document(tokens=(TokenSpec(seen.stand_in, state="absent"),) if seen.stand_in else ())
        self._others = AccessTask(client, gone, self.now)
        deleted = self._others.plan(seen.view)
        end = Change("rotation", tokenid, "end", {"stands in": seen.stand_in} if seen.stand_in else {}, {}, None)
        return Plan((*deleted.changes, end), deleted.warnings)

    def _result(self, seen: Seen, plan: Plan) -> Fields:
        begun = seen.begun or any(change.kind == "rotation" and change.action == "begin" for change in plan.changes)
        left = [INTERIM, RENEW, FINAL, END] if seen.stand_in else [RENEW, FINAL, END]
        if self.step == END or not (begun or plan.assumed):
            left = []
        elif seen.renewed or self.step == RENEW:
            left = [FINAL, END]
        return {
            "tokenid": self.spec.tokenid,
            "secret_file": self.place.path,
            "in_progress": begun and self.step != END,
            "steps": left,
            "interim": {"tokenid": seen.stand_in, "secret_file": self.other_place.path}
            if seen.stand_in and begun
            else None,
        }

    # -- performing ---------------------------------------------------------------------------------------------------

    def perform(self, change: Change) -> None:
        """Make one change: in PVE, or to what is kept beside the secret."""
        if change.kind == "rotation" and change.action == BEGIN:
            self._note_beginning(change)
        elif change.kind == "rotation":
            self._forget()
        elif change.id == self.spec.tokenid or self.step == RENEW:
            self._renewal.perform(change)
        else:
            self._others.perform(change)

    def _note_beginning(self, change: Change) -> None:
        options = self.client.options
        self.place.note(
            NOTE,
            {
                "tokenid": self.spec.tokenid,
                "host": options.host,
                "port": options.port,
                "interim": (change.after or {}).get("stands in", ""),
                "since": int(self.now),
                # By this it is known later whether another secret stands there.
                "was": self.place.digest() if self.place.exists else "",
            },
        )

    def _forget(self) -> None:
        for clean in _all_of(self.other_place):
            clean()
        self.place.forget(NOTE)


def _all_of(place: SecretPlace) -> tuple[Callable[[], None], ...]:
    """Return what removes a secret file and whatever stands beside it."""
    return (place.discard_staged, place.clear_marker, place.discard_previous, lambda: place.forget(BORN), place.remove)
