"""One task about access: what it observes, plans and performs, with a client to do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Callable

from ..client.errors import PveError
from ..client.http import Client
from ..reconcile import Call, Change, Plan
from ..secret_file import Place, SecretPlace
from .births import BIRTHS, Births
from .document import Document
from .observe import View, observe, user_is_usable
from .plan import plan_access
from .renewal import as_it_was, last_steps


class AccessTask:
    """Observe, plan and perform for a document.

    ``now`` is the one clock reading of the task; ``places`` makes the place of a secret out of its path.
    """

    def __init__(
        self, client: Client, wanted: Document, now: float, places: Callable[[str], Place] = SecretPlace
    ) -> None:
        self.client = client
        self.wanted = wanted
        self.now = now
        self.births = Births(client, wanted.tokens, places, now)
        self._tokens: Mapping[str, Any] = {}

    def observe(self) -> View:
        """Read all of access, and look at the secrets and passwords that the document speaks of."""
        view = self.look_at_secrets(observe(self.client, self.wanted, self.now))
        return replace(view, passwords=self._known_passwords(view))

    def look_at_secrets(self, view: View) -> View:
        """Add to what was observed what is to be known of the secrets that the document speaks of."""
        usable = [tokenid for tokenid in view.state.tokens if user_is_usable(view.state, tokenid, self.now)]
        secrets = self.births.observe(view.state, usable)
        return replace(view, secrets=secrets.fates, markers=secrets.markers, births=secrets.births)

    def plan(self, view: View) -> Plan:
        """Return the plan for what was observed."""
        tokens = tuple(
            as_it_was(spec, view.markers.get(spec.tokenid, {})) if spec.tokenid not in view.state.tokens else spec
            for spec in self.wanted.tokens
        )
        plan = plan_access(view, replace(self.wanted, tokens=tokens))
        last = last_steps(tokens, view.state, view.markers)
        plan = replace(plan, changes=(*plan.changes, *last))
        for call in (change.call for change in plan.changes):
            if call is not None:
                self.client.check(call.method, call.path, call.params)
        self._tokens = plan.result["tokens"]
        return plan

    def perform(self, change: Change) -> None:
        """Make one change. Whatever brings a secret forth is done with care for it."""
        if change.kind == "token" and change.action in BIRTHS:
            able = bool((self._tokens.get(change.id) or {}).get("usable"))
            self.births.perform(change, able)
        elif change.call is not None:
            call = self._confirmed(change.call) if change.kind == "password" else change.call
            self.client.send(call.method, call.path, call.params)

    def markers(self, plan: Plan) -> Mapping[str, Any]:
        """Return the marker that each secret file takes for a plan, by their paths."""
        found = [marked for change in plan.changes for marked in [self.births.marker_of(change)] if marked]
        # Where a token is made and then finished, the first is the whole one.
        return dict(reversed(found))

    def _known_passwords(self, view: View) -> frozenset[str]:
        """Return the users who can log in with the password that is wanted: one request or two each."""
        wanted = [u for u in self.wanted.users if u.update_password == "always" and u.userid in view.state.users]
        return frozenset(user.userid for user in wanted if user.password and self._logs_in(user.userid, user.password))

    def _logs_in(self, userid: str, password: str) -> bool:
        with self.client.with_password(userid, password) as other:
            return other.logs_in()

    def _confirmed(self, call: Call) -> Call:
        """Add the caller's own password, which PVE asks for from 8.2 on."""
        own = self.client.options.password
        if own is None:
            raise PveError("Passwords are changed with a ticket, not with an API token.", "Give user and password.")
        if self.client.release < (8, 2):
            return call
        return replace(call, params={**call.params, "confirmation-password": own})
