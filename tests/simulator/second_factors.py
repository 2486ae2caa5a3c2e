"""Second factors: what a log-in asks for, what it accepts, and when it is locked.

``State.tfa`` has what PVE tells of a user's factors; ``State.factors`` has what proves them, and is never told:
``totp`` is a secret in base 32, ``recovery`` a list of keys, and the rest is counted here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
import time
from typing import Any

from .state import State

TOTP_FAILURES = 8
FAILURES = 100
LOCKED_SECONDS = 3600
STEP = 30
_LOCKS_SINCE = (8, 0)


def totp(secret: str, counter: int) -> str:
    """Return the code of six digits for a counter (RFC 4226), which is the number of steps of 30 s since 1970."""
    digest = hmac.new(base64.b32decode(secret), struct.pack(">Q", counter), hashlib.sha1).digest()
    at = digest[-1] & 0xF
    return f"{(struct.unpack('>I', digest[at : at + 4])[0] & 0x7FFFFFFF) % 10**6:06}"


def totp_now(secret: str) -> str:
    """Return the code that a device shows now."""
    return totp(secret, int(time.time()) // STEP)


def challenge(state: State, userid: str) -> dict[str, Any] | None:
    """Return what a user is asked for after the password; None if that is nothing."""
    entries = state.tfa.get(userid, {}).get("entries", [])
    kinds = {entry["type"] for entry in entries if entry.get("enable", 1)}
    told: dict[str, Any] = {kind: True for kind in ("totp", "yubico") if kind in kinds}
    if "recovery" in kinds:
        told["recovery"] = list(range(len(state.factors.get(userid, {}).get("recovery", []))))
    if "webauthn" in kinds:
        told["webauthn"] = {"publicKey": {"challenge": "AAAA", "rpId": "pve.example.org"}}
    return told or None


def accepts(state: State, userid: str, response: str) -> bool:
    """Tell whether an answer such as ``totp:123456`` proves the user; counts, and locks, if it does not."""
    locks, proofs = state.tfa.get(userid, {}), state.factors.setdefault(userid, {})
    kind, unused, code = response.partition(":")
    if float(locks.get("tfa-locked-until") or 0) > time.time() or (kind == "totp" and locks.get("totp-locked")):
        return False
    if kind == "totp" and _totp_accepted(state, proofs, code):
        proofs["failures"] = proofs["totp-failures"] = 0
        return True
    if kind == "recovery" and code in proofs.get("recovery", []):
        proofs["recovery"].remove(code)
        proofs["failures"] = proofs["totp-failures"] = 0
        locks.pop("totp-locked", None)
        return True
    proofs["failures"] = proofs.get("failures", 0) + 1
    if kind == "totp":
        proofs["totp-failures"] = proofs.get("totp-failures", 0) + 1
    if state.release >= _LOCKS_SINCE:
        if proofs.get("totp-failures", 0) >= TOTP_FAILURES:
            locks["totp-locked"] = 1
        if proofs["failures"] >= FAILURES:
            locks["tfa-locked-until"] = int(time.time()) + LOCKED_SECONDS
    return False


def _totp_accepted(state: State, proofs: dict[str, Any], code: str) -> bool:
    """Look a step back and a step ahead. Before 8.0, a code can be used again."""
    now = int(time.time()) // STEP
    counter = next((now + step for step in (-1, 0, 1) if totp(proofs["totp"], now + step) == code), None)
    if counter is None or (state.release >= _LOCKS_SINCE and counter <= proofs.get("last", 0)):
        return False
    proofs["last"] = counter
    return True
