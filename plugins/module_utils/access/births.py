"""Tokens whose secret is born with them: asked for only when it can be kept, and never lost without a trace.

Before a secret is asked for, a marker beside its file names the token and the host. Whatever happens then, this run or
the next finds the marker and either finishes (the secret is on disk and works) or takes the new token back. A token
without a marker was there before, and is not touched.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Callable

from ..client.errors import ApiError, OptionError, PveError, TransportError
from ..client.http import Client
from ..client.options import PVESH
from ..reconcile import Call, Change
from ..secret_file import Place, SecretPlace
from .document import TokenSpec
from .model import AccessState, Token
from .renewal import DEAD, KEPT, MISSING, STAGED, UNFINISHED, UNVERIFIED, WORKING
from .rotation import Birth
from .shown import token_fields
from .steps import token_path

# How many secrets are tried at the same time: PVE takes three seconds to refuse one.
TRIED_AT_ONCE = 8

# What is noted beside a secret when it is born.
BORN = "born"
# Actions on tokens that are performed with care for the secret.
BIRTHS = ("create", "renew", "finish")
# What a marker says of a token, as it is to be and as it was.
_FIELDS = ("privsep", "expire", "comment")

Fields = dict[str, Any]


@dataclass(frozen=True)
class Secrets:
    """What was seen of the secrets: the fate of each token's, the markers of interrupted runs, and births.

    ``births`` are those of secrets that are not to grow too old, and of those that this run has brought forth.
    """

    fates: Mapping[str, str]
    markers: Mapping[str, Mapping[str, Any]]
    births: Mapping[str, Birth]


class Births:
    """Performs the changes that bring a secret forth, and knows what became of earlier ones.

    ``places`` makes the place of a secret out of its path; ``now`` is what is noted as the time of births.
    """

    def __init__(
        self,
        client: Client,
        specs: Iterable[TokenSpec],
        places: Callable[[str], Place] = SecretPlace,
        now: float = 0.0,
    ) -> None:
        self.client = client
        self.now = now
        self.place_at = places
        self.specs = {spec.tokenid: spec for spec in specs}
        # Asked for in this run, with the answer lost: without a file there is no marker to tell.
        self.lost: set[str] = set()
        # Deleted in this run to be made anew, and not made yet.
        self.deleted: set[str] = set()
        # What interrupted runs noted, as it was observed.
        self.markers: dict[str, Mapping[str, Any]] = {}
        self.returned: dict[str, str] = {}
        # Tokens that got their secret in this run, and so need no other one.
        self.fresh: set[str] = set()

    # -- observing ------------------------------------------------------------------------------------------------

    def observe(self, state: AccessState, usable: Iterable[str]) -> Secrets:
        """Look at the place of every secret. Logs in with those that have to be verified, a few at a time."""
        present = [spec for spec in self.specs.values() if spec.state == "present"]
        able = frozenset(usable)
        markers: dict[str, Mapping[str, Any]] = {}
        for spec in present:
            if not spec.secret_file:
                continue
            place = self.place_at(spec.secret_file)
            place.check()
            left = place.read_marker()
            if left is not None:
                self._check_marker(spec, place, left)
                markers[spec.tokenid] = left
        there = [spec for spec in present if spec.tokenid in state.tokens]
        with ThreadPoolExecutor(TRIED_AT_ONCE) as pool:
            fates = pool.map(lambda spec: self._fate(spec, spec.tokenid in able, markers.get(spec.tokenid)), there)
            found = {spec.tokenid: fate for spec, fate in zip(there, fates) if fate}
        for tokenid, marker in markers.items():
            if found.get(tokenid) == UNFINISHED:
                _refuse_foreign(state.tokens[tokenid], marker)
        self.markers = markers
        births = {spec.tokenid: birth for spec in there for birth in [self._birth(spec)] if birth}
        return Secrets(found, dict(markers), births)

    def _birth(self, spec: TokenSpec) -> Birth | None:
        if spec.tokenid in self.fresh:
            return Birth(self.now, fresh=True)
        if not spec.secret_file or not spec.rotate.older_than:
            return None
        place = self.place_at(spec.secret_file)
        if not place.exists:
            return None
        born = place.noted(BORN) or {}
        since = born.get("since")
        # What was noted of another secret, which somebody has put another in place of, says nothing.
        if isinstance(since, (int, float)) and 0 < since < math.inf and born.get("sha256") == place.digest():
            return Birth(since)
        return Birth(place.modified(), noted=False)

    def _check_marker(self, spec: TokenSpec, place: Place, marker: Mapping[str, Any]) -> None:
        options = self.client.options
        if not _is_whole(marker):
            raise OptionError(f"{place.marker_path} is not readable as a marker.", "Look at it, and remove it.")
        named = (marker.get("tokenid"), marker.get("host"), marker.get("port"))
        if named != (spec.tokenid, options.host, options.port):
            raise OptionError(
                f"{place.marker_path} was left by a run that asked for token {named[0]} of {named[1]}:{named[2]}; "
                f"this one is about token {spec.tokenid} of {options.host}:{options.port}.",
                "Finish that one first, or give this token a file of its own.",
            )

    def _fate(self, spec: TokenSpec, able: bool, marker: Mapping[str, Any] | None) -> str:
        if spec.tokenid in self.lost and not spec.secret_file:
            return UNFINISHED
        if not spec.secret_file:
            return ""
        place = self.place_at(spec.secret_file)
        if marker is not None:
            staged = place.staged()
            if staged is not None and self._works(spec.tokenid, staged):
                return STAGED
            # The secret that was to be replaced may work still: then there is no other one yet.
            replaced = place.exists and place.digest() != marker.get("replaces")
            return KEPT if replaced and self._works(spec.tokenid, place.read()) else UNFINISHED
        if not place.exists:
            return MISSING
        secret = place.read()
        if spec.verify_secret != "always" or not able:
            return UNVERIFIED
        works = self._tried(spec.tokenid, secret)
        return UNVERIFIED if works is None else WORKING if works else DEAD

    def _tried(self, tokenid: str, secret: str) -> bool | None:
        """Return whether a secret works; None, with a warning, where that cannot be tried beside pvesh.

        pvesh does its work also where the API cannot be reached.
        """
        try:
            return self._works(tokenid, secret)
        except TransportError as error:
            if self.client.options.transport != PVESH:
                raise
            self.client.warnings.append(f"The secret of token {tokenid} could not be tried. {error}")
        return None

    def _works(self, tokenid: str, secret: str) -> bool:
        with self.client.with_token(tokenid, secret) as other:
            return other.logs_in()

    # -- performing -----------------------------------------------------------------------------------------------

    def perform(self, change: Change, able: bool) -> None:
        """Make a token, renew its secret, or finish what an interrupted run began.

        ``able`` says whether the token can log in at all; else its secret cannot be proved to work.
        """
        spec = self.specs[change.id]
        if change.action == "finish":
            self._finish(spec)
        elif spec.secret_file:
            self._bear_into_file(spec, change, self.place_at(spec.secret_file), able)
        else:
            self.returned[spec.tokenid] = self._ask(spec, change)
        self.fresh.add(spec.tokenid)

    def _finish(self, spec: TokenSpec) -> None:
        place = self.place_at(spec.secret_file or "")
        earlier = self.markers[spec.tokenid]
        try:
            place.write_marker(dict(earlier), earlier)  # as it was, but with this run at work
            staged = place.staged()
            if staged is not None and self._works(spec.tokenid, staged):
                place.promote()
            place.discard_staged()
            self._note_birth(spec, place)
            place.clear_marker()
        finally:
            place.release()

    def marker_of(self, change: Change) -> tuple[str, Fields] | None:
        """Return the path of the secret file, and the marker that such a change takes, as observed; None for others."""
        spec = self.specs.get(change.id)
        if change.kind != "token" or change.action not in BIRTHS or spec is None or not spec.secret_file:
            return None
        earlier = self.markers.get(spec.tokenid)
        if change.action == "finish":
            return spec.secret_file, dict(earlier or {})
        return spec.secret_file, self._marker(spec, change, earlier)

    def _bear_into_file(self, spec: TokenSpec, change: Change, place: Place, able: bool) -> None:
        place.prove()
        earlier = self.markers.get(spec.tokenid)
        marker = self._marker(spec, change, earlier)
        try:
            place.write_marker(marker, earlier)
            self._bear_marked(spec, change, place, able)
            if change.action == "create" and marker["acl"]:
                # The token was deleted to be made anew. The plan gives it its entries back, and then finishes.
                self.markers[spec.tokenid] = marker
            else:
                place.clear_marker()
        finally:
            place.release()

    def _bear_marked(self, spec: TokenSpec, change: Change, place: Place, able: bool) -> None:
        try:
            secret = self._ask(spec, change)
        except PveError as error:
            # With nothing made and nothing taken away, now or by an earlier run, there is nothing to finish.
            if _had_no_effect(error) and spec.tokenid not in self.deleted and spec.tokenid not in self.markers:
                place.clear_marker()
            raise
        self._keep(spec, change, place, secret)
        for call in _restoring(spec.tokenid, (change.after or {}).get("acl", [])):
            self.client.send(call.method, call.path, call.params)
        if able and self._tried(spec.tokenid, secret) is False:
            raise PveError(
                f"Token {spec.tokenid} was made, and its secret stands in {place.path}, but PVE refuses it.",
                "Is the user enabled and not expired? Has somebody changed the token meanwhile?",
            )
        self._note_birth(spec, place)

    def _note_birth(self, spec: TokenSpec, place: Place) -> None:
        """Note beside the secret whose it is, and since when: by the secret itself, the note is known to be its own."""
        options = self.client.options
        named: Fields = {"tokenid": spec.tokenid, "host": options.host, "port": options.port}
        place.note(BORN, {**named, "since": int(self.now), "sha256": place.digest()})

    def _marker(self, spec: TokenSpec, change: Change, earlier: Mapping[str, Any] | None) -> Fields:
        options = self.client.options
        fields = {key: (change.after or {}).get(key) for key in _FIELDS}
        before = {key: (change.before or {}).get(key, value) for key, value in fields.items()}
        return {
            "tokenid": spec.tokenid,
            "host": options.host,
            "port": options.port,
            "purpose": (earlier or {}).get("purpose") or change.action,
            "fields": fields,
            "was": before,
            "replaces": self._replaced(spec, change, earlier),
            "acl": (change.after or {}).get("acl") or (earlier or {}).get("acl") or [],
        }

    def _replaced(self, spec: TokenSpec, change: Change, earlier: Mapping[str, Any] | None) -> str:
        """Return the digest of the secret in whose place another is to stand; empty where there is none."""
        if change.action != "renew":
            return str((earlier or {}).get("replaces") or "")
        place = self.place_at(spec.secret_file or "")
        return place.digest() if place.exists else ""

    def _ask(self, spec: TokenSpec, change: Change) -> str:
        """Ask PVE for the token and return its secret."""
        call = change.call
        if call is None:
            raise PveError(f"There is nothing to ask for token {spec.tokenid}.")
        try:
            if change.action == "renew" and call.method == "POST":
                # Before 9.2 a secret cannot be renewed; the token is made anew.
                self.client.send("DELETE", call.path)
                self.deleted.add(spec.tokenid)
            answer = self.client.send(call.method, call.path, call.params)
            secret = answer.get("value") if isinstance(answer, dict) else None
            if not isinstance(secret, str):
                raise TransportError(f"{call.method} {call.path}: the answer holds no secret.", sent=True)
        except TransportError as error:
            if error.sent:
                self.lost.add(spec.tokenid)
            raise
        self.lost.discard(spec.tokenid)
        self.deleted.discard(spec.tokenid)
        return secret

    def _keep(self, spec: TokenSpec, change: Change, place: Place, secret: str) -> None:
        try:
            place.store(secret)
        except PveError as error:
            if change.action == "renew":
                # It was there before, so it is not taken back; the marker lets the next run renew it again.
                raise PveError(f"{error.message} The new secret of {spec.tokenid} is lost.", error.hint) from None
            # A secret that cannot be kept is worth nothing, and a token nobody can use is a risk.
            try:
                self.client.send("DELETE", token_path(spec.tokenid))
            except PveError as failure:
                raise PveError(
                    f"{error.message} Token {spec.tokenid} could not be taken back: {failure.message}",
                    "The next run of the same task puts that right.",
                ) from None
            if spec.tokenid not in self.markers:
                place.clear_marker()
            raise PveError(f"{error.message} Token {spec.tokenid} was taken back.", error.hint) from None


def _had_no_effect(error: PveError) -> bool:
    """Tell whether PVE cannot have done what it was asked for."""
    if isinstance(error, TransportError):
        return not error.sent
    # Who answers these stands in between, and does not know what became of the request.
    return not (isinstance(error, ApiError) and error.status in (502, 503, 504, 595, 596))


def _is_whole(marker: Mapping[str, Any]) -> bool:
    """Tell whether a marker is as runs write it, and not a file that somebody has edited."""
    for key in ("fields", "was"):
        told = marker.get(key) or dict.fromkeys(_FIELDS)
        if not isinstance(told, dict) or not told.keys() >= set(_FIELDS):
            return False
    rows = marker.get("acl") or []
    return isinstance(rows, list) and all(
        isinstance(row, list) and len(row) == 3 and all(isinstance(one, str) for one in row[:2]) for row in rows
    )


def _refuse_foreign(token: Token, marker: Mapping[str, Any]) -> None:
    """Refuse a token that is not the one whose making was interrupted: somebody else has made it meanwhile."""
    # A renewal may change the end of the token: it has the one or the other.
    if token_fields(token) not in (marker.get("fields"), marker.get("was")):
        raise OptionError(
            f"A run that asked for token {token.tokenid} was interrupted, and a token of that name exists that it "
            "did not ask for.",
            "Look at it. If it can go, delete it; else remove the marker beside the secret file.",
        )


def _restoring(tokenid: str, entries: Iterable[Iterable[Any]]) -> Iterable[Call]:
    together: dict[tuple[str, bool], list[str]] = {}
    for path, role, flag in entries:
        together.setdefault((path, flag), []).append(role)
    for (path, flag), roles in together.items():
        params = {"path": path, "roles": ",".join(roles), "tokens": tokenid, "propagate": flag}
        yield Call("PUT", "/access/acl", params)
