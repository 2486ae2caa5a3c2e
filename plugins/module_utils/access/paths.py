"""ACL paths: normal form, PVE's grammar for them in each release, and what a refused one was probably meant to be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import Pattern

from .releases import Release

_ID = r"[A-Za-z0-9._-]+"
_SHORT = r"[A-Za-z0-9]+"

# (since, removed in, pattern). Before 6.4 nothing was checked but the characters.
_GRAMMAR: tuple[tuple[Release, Release | None, str], ...] = (
    ((6, 4), None, r"/"),
    ((6, 4), None, r"/access"),
    ((6, 4), None, r"/access/groups"),
    ((7, 0), None, r"/access/groups/" + _ID),
    ((6, 4), None, r"/access/realm"),
    ((7, 0), None, r"/access/realm/" + _ID),
    ((8, 0), None, r"/mapping"),
    ((8, 0), None, r"/mapping/" + _ID),
    ((8, 0), None, r"/mapping/" + _ID + "/" + _ID),
    ((6, 4), None, r"/nodes"),
    ((6, 4), None, r"/nodes/" + _ID),
    ((6, 4), None, r"/pool"),
    ((6, 4), None, r"/pool/" + _ID),
    ((8, 1), None, r"/pool/" + _ID + r"(?:/" + _ID + r"){1,2}"),
    ((6, 4), None, r"/sdn"),
    ((8, 1), None, r"/sdn/controllers"),
    ((8, 1), None, r"/sdn/controllers/[A-Za-z0-9_-]+"),
    ((8, 1), None, r"/sdn/dns"),
    ((8, 1), None, r"/sdn/dns/" + _SHORT),
    ((9, 0), None, r"/sdn/fabrics"),
    ((9, 0), None, r"/sdn/fabrics/" + _SHORT),
    ((8, 1), None, r"/sdn/ipams"),
    ((8, 1), None, r"/sdn/ipams/" + _SHORT),
    ((9, 2), None, r"/sdn/prefix-lists"),
    ((9, 2), None, r"/sdn/prefix-lists/" + _SHORT),
    ((9, 2), None, r"/sdn/route-maps"),
    ((9, 2), None, r"/sdn/route-maps/" + _SHORT),
    ((7, 1), (8, 0), r"/sdn/vnets/" + _ID),
    ((8, 0), None, r"/sdn/zones"),
    ((7, 0), None, r"/sdn/zones/" + _ID),
    ((8, 0), None, r"/sdn/zones/" + _ID + "/" + _ID),
    ((8, 0), None, r"/sdn/zones/" + _ID + "/" + _ID + r"/[1-9][0-9]{0,3}"),
    ((6, 4), None, r"/storage"),
    ((6, 4), None, r"/storage/" + _ID),
    ((6, 4), None, r"/vms"),
    ((6, 4), None, r"/vms/[1-9][0-9]{2,}"),
)
_COMPILED: tuple[tuple[Release, Release | None, Pattern[str]], ...] = tuple(
    (since, removed, re.compile(rf"(?:{text})\Z")) for since, removed, text in _GRAMMAR
)
_CHARACTERS = re.compile(r"[A-Za-z0-9._/-]*\Z")

# What people write, and the path that PVE has for it.
_MEANT: tuple[tuple[Pattern[str], str], ...] = (
    (re.compile(r"/nodes/[^/]+/(?:qemu|lxc)/([1-9][0-9]{2,})(?:/.*)?\Z"), r"/vms/\1"),
    (re.compile(r"/(?:qemu|lxc|vm|guests?|VMS)/([1-9][0-9]{2,})\Z", re.IGNORECASE), r"/vms/\1"),
    (re.compile(r"/nodes/[^/]+/(?:qemu|lxc)\Z"), r"/vms"),
    (re.compile(r"/(?:qemu|lxc|vm|guests?|VMS)\Z", re.IGNORECASE), r"/vms"),
    (re.compile(r"/nodes/[^/]+/storage/([^/]+)(?:/.*)?\Z"), r"/storage/\1"),
    (re.compile(r"/storages(/[^/]+)?\Z"), r"/storage\1"),
    (re.compile(r"/node(/[^/]+)?\Z"), r"/nodes\1"),
    (re.compile(r"/pools(/.+)?\Z"), r"/pool\1"),
    (re.compile(r"/access/(?:realms|domains)(/[^/]+)?\Z"), r"/access/realm\1"),
    (re.compile(r"/access/(?:users|roles|acl|group)(?:/.*)?\Z"), r"/access/groups"),
    (re.compile(r"/(?:users|groups|realms?|roles)(?:/.*)?\Z"), r"/access"),
    (re.compile(r"/(?:cluster|datacenter)(?:/.*)?\Z"), r"/"),
)


def normalise(path: str) -> str | None:
    """Return the path as PVE stores it, or None where it holds characters that no ACL path may hold."""
    if not path or not _CHARACTERS.match(path):
        return None
    return "/" + "/".join(_pieces(path))


def _pieces(path: str) -> list[str]:
    return [piece for piece in path.split("/") if piece]


def is_valid(path: str, release: Release) -> bool:
    """Tell whether PVE of that release takes the (normalised) path in an ACL entry. Existence is never checked."""
    if release < (6, 4):
        return True
    return any(
        since <= release and (removed is None or release < removed) and pattern.match(path)
        for since, removed, pattern in _COMPILED
    )


def meant(path: str, release: Release) -> str | None:
    """Return the path that the writer of a refused one probably meant, or None."""
    for pattern, replacement in _MEANT:
        if pattern.match(path):
            guess = pattern.sub(replacement, path)
            if is_valid(guess, release):
                return guess
    return None


def ancestors(path: str) -> Iterator[str]:
    """Yield the path and every node above it, from the root down: ``/``, ``/vms``, ``/vms/100``."""
    yield "/"
    so_far = ""
    for piece in _pieces(path):
        so_far += "/" + piece
        yield so_far


def guest_of(path: str) -> int | None:
    """Return the VMID of ``/vms/VMID``, or None for any other path."""
    prefix, unused, vmid = path.rpartition("/")
    return int(vmid) if prefix == "/vms" and vmid.isdigit() else None
