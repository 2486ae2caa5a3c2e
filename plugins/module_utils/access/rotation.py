"""When the secret of a token is due for another one, and the token that stands in for it meanwhile. No I/O here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ..client.errors import OptionError
from ..wording import DAY, ago, day, moment
from .expiry import Expiry, parse_expiry
from .model import AccessState, Principal, Token, name_of, owner_of

# How long a token that stands in lasts at the most. A rotation that was given up leaves nothing that works for ever.
LASTS = 3 * DAY
_KEYS = ("older_than", "expires_within")
_PAIR = re.compile(r"(\w+)\s*[:=]\s*(\S+)\Z")
_COMMENT = "Stands in for {name} while its secret is renewed, since {since} (homelab.pve.rotate)"
_STANDS_IN = re.compile(
    r"Stands in for ([A-Za-z][A-Za-z0-9._-]+) while its secret is renewed, since (\S+Z) \(homelab\.pve\.rotate\)\Z"
)


@dataclass(frozen=True)
class Rotate:
    """When a secret that works is renewed: in each run, or when it or its token is near its end. Spans in seconds."""

    always: bool = False
    older_than: int = 0
    expires_within: int = 0


NEVER = Rotate()
ALWAYS = Rotate(always=True)


@dataclass(frozen=True)
class Birth:
    """When a secret was born, in seconds since the epoch; where that was not ``noted``, it was then or earlier.

    One that this very run has brought forth is ``fresh``, and not due again, however often the run has to plan.
    """

    since: float
    noted: bool = True
    fresh: bool = False


def parse_rotate(value: Any, field: str) -> Rotate:
    """Read a ``rotate`` option: ``never``, ``always``, or a mapping with ``older_than``, ``expires_within`` or both.

    The mapping may be a text such as ``older_than: 60d`` or ``older_than=60d``, as it comes from a command line.
    Raises OptionError for anything else.
    """
    if value is None or value == "never":
        return NEVER
    if value == "always":
        return ALWAYS
    told = _pairs(value) if isinstance(value, str) else value
    if not isinstance(told, Mapping) or not told or set(told) - set(_KEYS):
        raise OptionError(
            f"{field}: {value!r} does not say when a secret is renewed.",
            "Write never, always, or a mapping with older_than, expires_within or both: {older_than: 60d}.",
        )
    spans = {key: _span(one, f"{field}.{key}") for key, one in told.items()}
    return Rotate(older_than=spans.get("older_than", 0), expires_within=spans.get("expires_within", 0))


def _pairs(text: str) -> dict[str, str] | None:
    inner = text.strip().strip("{}").strip()
    found = [_PAIR.match(part.strip()) for part in inner.split(",")]
    return {pair[1]: pair[2].strip("\"'") for pair in found if pair} if all(found) else None


def _span(value: Any, field: str) -> int:
    text = value if isinstance(value, str) else ""
    try:
        found = parse_expiry(text, field)
    except OptionError:
        found = None
    if found is None or not found.span:
        raise OptionError(f"{field}: {value!r} is no span of time.", "Write 60d, 12h, 8w, 6m or 1y.")
    return found.span


def due(rotate: Rotate, birth: Birth | None, expire: int, now: float) -> str:
    """Return why a secret is to be renewed, empty where it is not.

    ``expire`` is the end of its token, 0 for never. A secret without a ``birth`` is of unknown age, and never too old.
    """
    if birth is not None and birth.fresh:
        return ""
    if rotate.always:
        return "renewed in each run"
    if ends_within(rotate, expire, now):
        return f"of a token that {'expired' if expire < now else 'expires'} on {day(expire)}"
    if rotate.older_than and birth is not None and birth.since > now + DAY:
        # Left alone, it would be young for years.
        return "born in the future, by a clock that was wrong then or is now"
    if rotate.older_than and birth is not None and birth.since <= now - rotate.older_than:
        return f"born {ago(now - birth.since)}" + ("" if birth.noted else " or earlier")
    return ""


def ends_within(rotate: Rotate, expire: int, now: float) -> bool:
    """Tell whether a token ends so soon that it is to be renewed."""
    return bool(rotate.expires_within) and 0 < expire <= now + rotate.expires_within


# -- the token that stands in -----------------------------------------------------------------------------------------


def comment_of(original: str, since: float) -> str:
    """Return the comment of the token that stands in for another, in which audits and later runs read what it is.

    It tells the full hour, so that a dry run and the run that follows it agree.
    """
    return _COMMENT.format(name=name_of(original), since=moment(since - since % 3600))


def stands_in_for(token: Token) -> tuple[str, float] | None:
    """Return for which token another stands in by its own comment, and since when; None for all other tokens."""
    found = _STANDS_IN.match(token.comment)
    if not found:
        return None
    try:
        since = datetime.strptime(found[2], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return f"{owner_of(token.tokenid)}!{found[1]}", since.timestamp()


def end_of(original: int, now: float) -> int:
    """Return when a token ends that is to stand in for one that ends at ``original``, 0 for never."""
    own = Expiry(span=LASTS).at(now)
    return min(own, original) if original > now else own


def name_for(original: str, taken: Mapping[str, Token]) -> str:
    """Return the id of the token that is to stand in for another. Raises OptionError where all of them are taken."""
    for number in range(2, 10):
        name = f"{original}-{number}"
        if name not in taken or (stands_in_for(taken[name]) or ("",))[0] == original:
            return name
    raise OptionError(
        f"{original}-2 to {original}-9 are all there, and none of them stands in for {original}.",
        "Delete one that nobody needs; a rotation with overlap takes one such name.",
    )


def rotations(state: AccessState, now: float) -> dict[str, str]:
    """Return the tokens that stand in for others, and for which, where they are what a rotation makes.

    Such a token has what the other has and nothing more, and an end of its own: a comment alone is no disguise.
    """
    found = {}
    for token in state.tokens.values():
        told = stands_in_for(token)
        original = state.tokens.get(told[0]) if told else None
        if original is None or original.privsep != token.privsep or not 0 < token.expire <= end_of(0, now):
            continue
        if _entries(state, token.tokenid) <= _entries(state, original.tokenid):
            found[token.tokenid] = original.tokenid
    return found


def _entries(state: AccessState, tokenid: str) -> frozenset[tuple[str, str, bool]]:
    """Return the entries of a token as (path, role, propagate); one that propagates is also one that does not."""
    at_paths = state.acl.get(Principal("token", tokenid), {})
    every: Iterable[tuple[str, str, bool]] = (
        (path, role, flag) for path, roles in at_paths.items() for role, held in roles.items() for flag in (False, held)
    )
    return frozenset(every)
