"""What of a certificate takes no library to tell: the pin of its public key, as curl takes it."""

from __future__ import annotations

import hashlib
from base64 import b64encode

# The version of a certificate, which stands ahead of all else where it is not the first.
_VERSION = 0xA0
# Serial number, algorithm, issuer, validity and subject stand ahead of the public key.
_AHEAD = 5
_LONG = 0x80


def public_key_pin(certificate: bytes) -> str:
    """Return ``sha256//...`` for the public key of a certificate (DER), an empty text where it is none."""
    try:
        at, unused = _inside(certificate, 0)  # certificate
        at, unused = _inside(certificate, at)  # what is signed of it
        if certificate[at] == _VERSION:
            at = _inside(certificate, at)[1]
        for unused in range(_AHEAD):
            at = _inside(certificate, at)[1]
        end = _inside(certificate, at)[1]
    except IndexError:
        return ""
    return f"sha256//{b64encode(hashlib.sha256(certificate[at:end]).digest()).decode('ascii')}"


def _inside(data: bytes, at: int) -> tuple[int, int]:
    """Return where the content of the element at a place begins, and where it ends. Raises IndexError."""
    length, start = data[at + 1], at + 2
    if length & _LONG:
        count = length ^ _LONG
        length = int.from_bytes(data[start : start + count], "big")
        start += count
    if start + length > len(data):
        raise IndexError(at)
    return start, start + length
