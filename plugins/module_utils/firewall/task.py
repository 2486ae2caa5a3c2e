"""One task about the firewall: what it observes, plans and performs, with a client to do it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..client.errors import PveError, is_digest_conflict
from ..client.http import Client
from ..reconcile import Change, Plan
from .digest import list_digest
from .observe import Rows, View
from .plan import plan_firewall, read_everything
from .steps import Piece
from .wanted import Document

_WORKED_OUT = ("digest", "pos", "errors", "ipversion")


class FirewallTask:
    """Observe, plan and perform for a document."""

    def __init__(self, client: Client, wanted: Document) -> None:
        self.client = client
        self.wanted = wanted
        self._lists: dict[str, Rows] = {}
        # The digests that PVE gave with lists which nothing was done to since.
        self._told: dict[str, str] = {}
        self._pieces: dict[int, Piece] = {}

    def observe(self) -> View:
        """Read what the plan takes, and no more."""
        view = View(self.client)
        read_everything(view, self.wanted)
        return view

    def plan(self, view: View) -> Plan:
        """Return the plan for what was observed."""
        plan, pieces = plan_firewall(view, self.wanted)
        self._pieces = {id(piece.change): piece for piece in pieces}
        self._lists, self._told = {}, {}
        for piece in pieces:
            self._believe(piece.listing, view.rows(piece.listing) or [])
        return plan

    def perform(self, change: Change) -> None:
        """Make one change. Whatever takes a digest gets that of the list as it is known to be.

        A digest that PVE refuses may only have been worked out wrongly: then the list is read, and if it is what it was
        thought to be, its own digest is used. Else the conflict stands, and somebody else's edit with it.
        """
        piece = self._pieces[id(change)]
        try:
            self._send(piece)
        except PveError as error:
            if not is_digest_conflict(error) or not self._was_right(piece.listing):
                raise
            self._send(piece)
        self._lists[piece.listing] = piece.record(self._lists[piece.listing])
        self._told.pop(piece.listing, None)

    def _send(self, piece: Piece) -> None:
        call = piece.change.call
        if call is None:
            return
        params: Mapping[str, Any] = call.params
        if piece.guarded:
            digest = self._told.get(piece.listing) or list_digest(self._lists[piece.listing])
            params = {**params, "digest": digest}
        self.client.send(call.method, call.path, params)

    def _believe(self, listing: str, rows: Rows) -> None:
        self._lists[listing] = rows
        digest = next((row["digest"] for row in rows if "digest" in row), None)
        if digest is not None:
            self._told[listing] = str(digest)

    def _was_right(self, listing: str) -> bool:
        answer = self.client.get(listing)
        rows = [dict(answer)] if isinstance(answer, dict) else [dict(row) for row in answer]
        if _bare(rows) != _bare(self._lists[listing]):
            return False
        self._believe(listing, rows)
        return True


def _bare(rows: Rows) -> list[dict[str, str]]:
    """Return rows with nothing but what somebody wrote."""
    return [
        {name: str(value) for name, value in row.items() if name not in _WORKED_OUT and value is not None}
        for row in rows
    ]
