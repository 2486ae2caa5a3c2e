"""Texts sealed for one reader, so that whoever sees all that goes back and forth does not see them.

What a module answers is printed whole where Ansible is asked to be loud, and so are its options. So a secret in an
answer is sealed with a key that neither of them holds: Diffie and Hellman's, made anew for each task, with the 2048-bit
group of RFC 3526. It is the connection that sees to it that both sides are who they should be.
"""

from __future__ import annotations

import hashlib
import secrets

from .client.errors import PveError

_PRIME = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F"
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510"
    "15728E5A8AACAA68FFFFFFFFFFFFFFFF",
    16,
)
_GENERATOR = 2
_PRIVATE_BITS = 256


class KeyPair:
    """One side's pair of keys. ``public`` is for everybody to see."""

    def __init__(self) -> None:
        self._private = secrets.randbits(_PRIVATE_BITS) | 1 << (_PRIVATE_BITS - 1)
        self.public = f"{pow(_GENERATOR, self._private, _PRIME):x}"

    def __repr__(self) -> str:
        return "<KeyPair>"

    def seal(self, text: str, other: str, label: str) -> str:
        """Return ``text`` sealed for whoever has the other public key. No label may be used twice with a pair."""
        return self._mixed(text.encode(), other, label).hex()

    def unseal(self, sealed: str, other: str, label: str) -> str:
        """Return what was sealed with the other pair under ``label``; PveError if that is not what this is."""
        try:
            return self._mixed(bytes.fromhex(sealed), other, label).decode()
        except ValueError:
            raise PveError("What was sealed cannot be read: it was changed on its way.") from None

    def _mixed(self, content: bytes, other: str, label: str) -> bytes:
        """Return ``content`` mixed with as many bytes that only both sides can work out."""
        theirs = int(other, 16)
        if not 1 < theirs < _PRIME - 1:
            raise ValueError(other)
        shared = pow(theirs, self._private, _PRIME).to_bytes(_PRIME.bit_length() // 8, "big")
        pad = hashlib.shake_256(shared + label.encode()).digest(len(content))
        return bytes(one ^ two for one, two in zip(content, pad))
