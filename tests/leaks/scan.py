"""Looking for secrets in whatever a run leaves, however they are written there."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

# What the parts of a run's output are called.
Channels = Mapping[str, bytes]


@dataclass(frozen=True, order=True)
class Finding:
    """A secret, by its name, where it should not be."""

    channel: str
    secret: str
    written: str


def spellings(value: str) -> dict[str, set[bytes]]:
    """Return the ways in which a value may be written."""
    plain = value.encode()
    return {
        "raw": {plain, json.dumps(value)[1:-1].encode(), repr(value)[1:-1].encode()},
        "percent-encoded": {
            *(quote(value, safe=safe).encode() for safe in ("", "/", "@!", "@!:/")),
            quote_plus(value).encode(),
            "".join(f"%{byte:02X}" for byte in plain).encode(),
            "".join(f"%{byte:02x}" for byte in plain).encode(),
        }
        - {plain},
        "base64-encoded": set(_base64(plain)),
    }


def _base64(plain: bytes) -> Iterable[bytes]:
    """Yield what base64 makes of a text that has ``plain`` in it, at each of the three ways it can come to stand."""
    for encode in (b64encode, urlsafe_b64encode):
        for ahead in range(3):
            encoded = encode(b"\0" * ahead + plain + b"\0" * (-(ahead + len(plain)) % 3))
            # The characters at both ends are made of the neighbours, too.
            first = (0, 2, 3)[ahead]
            last = (ahead + len(plain)) * 8 // 6
            yield encoded[first:last]


def find(secrets: Mapping[str, str], channels: Channels) -> set[Finding]:
    """Look for every secret in every channel."""
    written = [(name, how, texts) for name, value in secrets.items() for how, texts in spellings(value).items()]
    return {
        Finding(channel, name, how)
        for channel, content in channels.items()
        for name, how, texts in written
        if any(text in content for text in texts)
    }


def shown(secrets: Mapping[str, str], channels: Channels) -> str:
    """Return the lines in which something was found, for whoever has to find out how it came there."""
    lines = []
    for name, value in secrets.items():
        for how, texts in spellings(value).items():
            for channel, content in channels.items():
                hits = [line for line in content.splitlines() if any(text in line for text in texts)]
                lines += [f"{channel}: {name}, {how}: {line[:1000].decode(errors='replace')}" for line in hits[:3]]
    return "\n".join(lines)
