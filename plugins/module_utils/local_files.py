"""Files on this side that modules read and write: snapshots, policies, reports, logs. Secrets: see secret_file."""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from pathlib import Path
from typing import NoReturn

from .client.errors import OptionError, PveError
from .reconcile import Change

_GZIP = b"\x1f\x8b"


def read_text(path: str, option: str) -> str:
    """Return the text of a file, unpacked if it is packed with gzip. Raises OptionError, naming the option."""
    try:
        content = _expanded(path).read_bytes()
        unpacked = gzip.decompress(content) if content.startswith(_GZIP) else content
        # Some programs begin what they write with a mark of its encoding.
        return unpacked.decode("utf-8-sig", errors="replace")
    except (OSError, EOFError, zlib.error) as error:
        raise OptionError(f"{option}: {path} cannot be read: {_why(error)}.") from None


def file_change(kind: str, path: str, text: str) -> Change | None:
    """Return the change that makes a file hold a text, None where it does. Raises OptionError where it cannot be."""
    place = _expanded(path)
    above = next((folder for folder in place.parents if folder.exists()), place.parent)
    if not above.is_dir():
        raise OptionError(f"{path} cannot be written: {above} is no folder.", "Name another place.")
    if place.is_dir():
        raise OptionError(f"{path} cannot be written: it is a folder.", "Name a file in it.")
    try:
        was = place.read_text(encoding="utf-8", errors="replace") if place.exists() else None
    except OSError as error:
        raise OptionError(f"{path} cannot be written: what is in it cannot be read: {_why(error)}.") from None
    if was == text:
        return None
    before = None if was is None else {"bytes": len(was.encode("utf-8"))}
    return Change(kind, path, "create" if was is None else "update", before, {"bytes": len(text.encode("utf-8"))}, None)


def write_text(path: str, text: str, *, mode: int | None = None) -> None:
    """Put a text into a file, all of it or nothing; folders that are missing are made. Raises PveError.

    A new file gets ``mode`` (else what the umask leaves); one that is there keeps its own.
    """
    place = _expanded(path)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    except OSError as error:
        _fail(path, error)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            os.fchmod(stream.fileno(), _mode(place, mode))
        os.replace(name, place)
    except OSError as error:
        Path(name).unlink()
        _fail(path, error)


def _mode(place: Path, mode: int | None) -> int:
    if place.exists():
        return place.stat().st_mode & 0o777
    if mode is not None:
        return mode
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def _expanded(path: str) -> Path:
    return Path(path).expanduser()


def _fail(path: str, error: OSError) -> NoReturn:
    raise PveError(f"{path} cannot be written: {_why(error)}.", "Nothing of it was written.") from None


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
