"""Logging in and out as tasks: a ticket that other tasks use is what is planned, made and removed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from .client.errors import OptionError, PveError
from .client.http import Client
from .client.options import ConnectionOptions, ticket_folder
from .client.tickets import CachedTicket, LogIn, Ticket, cached_tickets, forget_ticket
from .reconcile import Change, Plan

Params = Mapping[str, Any]


class LoginTask:
    """Sees to a ticket that is good: in ``ticket_cache``, or, without one, a new one to be returned."""

    def __init__(self, options: ConnectionOptions) -> None:
        client = Client(options)
        if client.log_in is None or options.ticket:
            raise OptionError(
                f"There is nothing to log in with: {'a ticket is' if options.ticket else 'no user is'} given.",
                "Give user and password. API tokens and transport pvesh need no log-in.",
            )
        self._options = options
        self._client = client
        self._log_in: LogIn = client.log_in
        self._failure: PveError | None = None
        self._performed = False

    @classmethod
    def of(cls, params: Params, environ: Mapping[str, str]) -> LoginTask:
        """Read the options of a task. Raises OptionError."""
        return cls(ConnectionOptions.from_params(params, environ))

    @property
    def secrets(self) -> str:
        """What of the result is secret; empty if nothing is."""
        return "" if self._options.ticket_cache else "ticket and csrf_token"

    @property
    def warnings(self) -> list[str]:
        return self._client.warnings

    def observe(self) -> Ticket | None:
        """Return the ticket that is kept, if PVE still takes it."""
        ticket = self._log_in.kept()
        if ticket is None:
            return None
        options = dataclasses.replace(
            self._options,
            password=None,
            second_factor=None,
            ticket_cache=None,
            ticket=ticket.text,
            csrf_token=ticket.csrf,
        )
        with Client(options) as client:
            return ticket if client.logs_in() else None

    def plan(self, ticket: Ticket | None) -> Plan:
        if ticket is not None:
            return Plan(result={"expires": int(self._log_in.end(ticket))})
        made = {"user": self._options.user, "host": self._options.host, "port": self._options.port}
        return Plan((Change("ticket", self._log_in.path or "returned", "create", None, made, None),))

    def perform(self, _change: Change) -> None:
        """Log in, and try what came of it. A failure is kept for the result: a code must not be sent again."""
        self._performed = True
        try:
            self._client.get("/version")
        except PveError as error:
            self._failure = error

    def result(self, plan: Plan) -> dict[str, Any]:
        """Return what the module does. Raises PveError where the log-in failed."""
        if self._failure:
            raise self._failure
        result: dict[str, Any] = {
            "user": self._options.user,
            "ticket_file": self._log_in.path,
            "expires": None,
            **plan.result,
        }
        kept = self._options.ticket_cache is not None
        if self._performed:
            ticket = self._client.ticket()
            if ticket is not None:
                result["expires"] = int(self._log_in.end(ticket))
                result |= {} if kept else {"ticket": ticket.text, "csrf_token": ticket.csrf}
            # Another process may have been faster.
            result["changed"] = kept and self._log_in.made
        elif not kept:
            result["changed"] = False
            self.warnings.append(
                "Nobody logged in, because this is a dry run. Tasks that take the ticket lack it: to try these, too, "
                "put check_mode: false on this task."
            )
        self._client.close()
        return result


class LogoutTask:
    """Removes tickets from a folder: those of one user at one host, or all."""

    secrets = ""
    warnings: tuple[str, ...] = ()

    def __init__(self, folder: str, options: ConnectionOptions | None) -> None:
        self._folder = folder
        self._options = options

    @classmethod
    def of(cls, params: Params, environ: Mapping[str, str]) -> LogoutTask:
        """Read the options of a task. Raises OptionError."""
        folder = ticket_folder(params, environ)
        if params["all"]:
            return cls(folder, None)
        options = ConnectionOptions.from_params(params, environ)
        if options.ticket_cache is None:
            raise OptionError("The credentials that are given have no ticket in ticket_cache.", "Give the user.")
        return cls(folder, options)

    def observe(self) -> list[CachedTicket]:
        found = cached_tickets(self._folder)
        if self._options is None:
            return found
        one = (self._options.host.lower(), self._options.port, self._options.user)
        return [each for each in found if (each.host, each.port, each.user) == one]

    def plan(self, tickets: list[CachedTicket]) -> Plan:
        return Plan(
            tuple(
                Change("ticket", each.path, "delete", {"user": each.user, "host": each.host}, None, None)
                for each in tickets
            )
        )

    def perform(self, change: Change) -> None:
        forget_ticket(change.id)

    def result(self, plan: Plan) -> dict[str, Any]:
        """Return what the module does."""
        return {"removed": [change.id for change in plan.changes]}
