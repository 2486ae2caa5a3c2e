"""One task about the firewall: what it observes, plans and performs, with a client to do it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..client.digest import list_digest
from ..client.errors import PveError, is_digest_conflict
from ..client.http import Client
from ..reconcile import Change, Plan
from .model import RULE_FIELDS
from .observe import Rows, View
from .plan import plan_firewall
from .steps import Piece
from .wanted import Document

# What somebody wrote, in rows of any list; the rest is worked out by PVE, or comes with a release still to come.
_WRITTEN = (*(name.replace("_", "-") for name in RULE_FIELDS), "enable", "name", "group", "cidr", "nomatch")
# What can change without another rule, entry or object coming of it.
_ATTRIBUTES = ("comment", "enable", "log", "nomatch")
_NOT_COUNTED = ("digest", "pos", "errors")


Row = Mapping[str, Any]
Content = frozenset[tuple[str, str]]


class FirewallTask:
    """Observe, plan and perform for a document."""

    def __init__(self, client: Client, wanted: Document) -> None:
        self.client = client
        self.wanted = wanted
        self._lists: dict[str, Rows] = {}
        # The digests that PVE gave with lists which nothing was done to since.
        self._told: dict[str, str] = {}
        # What PVE said beyond what was written, by list and content.
        self._beyond: dict[str, dict[Content, Row]] = {}
        self._pieces: dict[int, Piece] = {}

    def observe(self) -> View:
        """Read what the plan takes, and no more."""
        view = View(self.client)
        # What is needed shows while planning: this one reads as it goes.
        plan_firewall(view, self.wanted)
        return view

    def plan(self, view: View) -> Plan:
        """Return the plan for what was observed."""
        plan, pieces = plan_firewall(view, self.wanted)
        self._pieces = {id(piece.change): piece for piece in pieces}
        self._lists, self._told, self._beyond = {}, {}, {}
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
        beyond = self._beyond.get(piece.listing, {})
        rows = piece.record(self._lists[piece.listing])
        self._lists[piece.listing] = [{**row, **beyond.get(_content(row), {})} for row in rows]
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
        if not _is_options(listing):
            self._beyond[listing] = {
                _content(row): {name: value for name, value in row.items() if name not in (*_WRITTEN, *_NOT_COUNTED)}
                for row in rows
            }

    def _was_right(self, listing: str) -> bool:
        answer = self.client.get(listing)
        rows = [dict(answer)] if isinstance(answer, dict) else [dict(row) for row in answer]
        if _bare(listing, rows) != _bare(listing, self._lists[listing]):
            return False
        self._believe(listing, rows)
        return True


def _is_options(listing: str) -> bool:
    return listing.endswith("/options")


def _content(row: Mapping[str, Any]) -> Content:
    return frozenset(
        (name, str(row[name])) for name in _WRITTEN if name not in _ATTRIBUTES and row.get(name) is not None
    )


def _bare(listing: str, rows: Rows) -> list[dict[str, str]]:
    """Return rows with nothing but what somebody wrote; in the order of the list only where that means something.

    Entries of an IP set stand as they were written into the file by hand, until PVE writes it and sorts them.
    """
    bare = [
        {
            name: str(value)
            for name, value in row.items()
            if value is not None and (name in _WRITTEN or (_is_options(listing) and name != "digest"))
        }
        for row in rows
    ]
    return bare if any("action" in row for row in bare) else sorted(bare, key=lambda row: sorted(row.items()))
