"""Token secrets in files: read without surprise, written so that none is ever lost.

A secret file holds the bare secret and a line end, belongs to its user and is closed to everybody else.
Error texts name files, never what is in them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shlex
import stat
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError, PveError

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# Far more than a secret and a line end: a longer file holds something else, and is not ours to replace.
MOST_BYTES = 4096

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_OWNER_ONLY = 0o600


class ContentError(OptionError):
    """A file is fit for a secret, and holds none, or something besides."""


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a secret, in hexadecimal digits: it tells one from another, and gives none away."""
    return hashlib.sha256(secret.encode("ascii")).hexdigest()


def read_secret(path: str) -> str:
    """Return the token secret kept in ``path`` (``~`` is expanded).

    The file is opened first and then judged by its descriptor, so that what is checked is what is read.
    Raises OptionError when it is missing, a link, not a regular file, somebody else's or open to others, ContentError
    when it does not hold exactly one lower-case UUID.
    """
    path = os.path.expanduser(path)
    content = read_own_file(path, path)
    if content is None:
        raise OptionError(f"{path} does not exist.")
    secret = _secret_in(content)
    if secret is None:
        problem = "does not hold exactly one token secret" if content.strip() else "is empty"
        raise ContentError(
            f"{path} {problem}.",
            "Expected is one lower-case UUID and a line end, as PVE showed it when the token was made: "
            "no token id, no quotes, no blanks.",
        )
    return secret


class Place(Protocol):
    """Where one secret is kept: what ``SecretPlace`` is on this machine."""

    path: str
    marker_path: str

    @property
    def exists(self) -> bool: ...

    def read(self) -> str: ...

    def digest(self) -> str: ...

    def modified(self) -> float: ...

    def check(self) -> None: ...

    def prove(self) -> None: ...

    def write_marker(self, content: dict[str, Any], earlier: Mapping[str, Any] | None = None) -> None: ...

    def read_marker(self) -> dict[str, Any] | None: ...

    def clear_marker(self) -> None: ...

    def release(self) -> None: ...

    def store(self, secret: str) -> None: ...

    def staged(self) -> str | None: ...

    def promote(self) -> None: ...

    def discard_staged(self) -> None: ...

    def note(self, kind: str, content: Mapping[str, Any]) -> None: ...

    def noted(self, kind: str) -> dict[str, Any] | None: ...


class SecretPlace:
    """The place of one secret file, and of what an interrupted run leaves beside it.

    Beside ``NAME`` there can be ``.NAME.pending`` (the marker: somebody is about to ask PVE for a secret),
    ``.NAME.new`` (a secret that was received but not yet put in place) and ``NAME.previous`` (what was there before).
    Notes that are to last stand in ``.NAME.KIND``, see ``note``.

    Every call opens the folder, checks it and works inside of what it opened, so that nobody can put another folder
    in its place meanwhile. Raises OptionError where the place is not fit, PveError where writing fails.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(os.path.expanduser(path))
        self._folder_path, self._name = os.path.split(self.path)
        if not self._name or path.endswith("/"):
            raise OptionError(f"{path} is a folder.", "Name the file that is to hold the secret.")
        self.marker_path = os.path.join(self._folder_path, f".{self._name}.pending")
        self.previous_path = f"{self.path}.previous"
        self._marker = f".{self._name}.pending"
        self._new = f".{self._name}.new"
        self._previous = f"{self._name}.previous"
        self._scratch = f".{self._name}.tmp"
        # The descriptor of our own marker; the lock on it ends with the process, however that ends.
        self._held: list[int] = []

    def __repr__(self) -> str:
        return f"<SecretPlace {self.path}>"

    @property
    def exists(self) -> bool:
        """Whether there is a secret file. Its content is not looked at."""
        with self._folder() as folder:
            return self._target(folder) is not None

    def read(self) -> str:
        """Return the secret, like ``read_secret``."""
        return read_secret(self.path)

    def digest(self) -> str:
        """Return the digest of the secret."""
        return digest_of(self.read())

    def modified(self) -> float:
        """Return when the secret file was written, in seconds since the epoch; 0 where there is none."""
        with self._folder() as folder:
            status = self._target(folder)
        return 0.0 if status is None else status.st_mtime

    def check(self) -> None:
        """Check, without writing, that a secret could be kept here."""
        with self._folder() as folder:
            if not os.access(".", os.W_OK | os.X_OK, dir_fd=folder, effective_ids=True):
                raise OptionError(f"The folder {self._folder_path} is not writable for the user who runs the task.")
            self._target(folder)
            self._staged(folder)

    def prove(self) -> None:
        """Check, and write and remove a file of the same size: a full disk shows before there is a secret to lose."""
        self.check()
        with self._writing("is not fit for a secret") as folder:
            write_closed(folder, self._scratch, b"0" * 37)
            os.unlink(self._scratch, dir_fd=folder)
            os.fsync(folder)

    def write_marker(self, content: dict[str, Any], earlier: Mapping[str, Any] | None = None) -> None:
        """Note down what is about to be asked for, whole or not at all, in place of the ``earlier`` marker.

        Until ``release`` or ``clear_marker``, or the end of the process, other runs are refused. PveError if there is
        another marker than ``earlier``: of two runs at the same time, one has to lose.
        """
        with self._writing("takes no marker") as folder:
            if self._marker_in(folder) != earlier:
                raise self._taken()
            write_closed(folder, self._scratch, json.dumps(content, sort_keys=True).encode() + b"\n")
            # Locked before anybody can see it.
            held = os.open(self._scratch, _READ, dir_fd=folder)
            self._held.append(held)
            fcntl.flock(held, fcntl.LOCK_EX)
            os.rename(self._scratch, self._marker, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)

    def read_marker(self) -> dict[str, Any] | None:
        """Return what an earlier run noted down and did not finish; PveError if it is at work still."""
        with self._folder() as folder:
            return self._marker_in(folder)

    def _marker_in(self, folder: int) -> dict[str, Any] | None:
        descriptor = _open_own_file(self._marker, self.marker_path, folder)
        if descriptor is None:
            return None
        try:
            if not self._held:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            content = _read_all(descriptor)
        except BlockingIOError:
            raise self._taken() from None
        finally:
            os.close(descriptor)
        marker = object_in(content)
        if marker is None:
            raise OptionError(f"{self.marker_path} is not readable as a marker.", "Look at it, and remove it.")
        return marker

    def _taken(self) -> PveError:
        return PveError(
            f"Another run is at work on the secret in {self.path}: {self.marker_path} is there already, or gone.",
            "Run again when it has ended.",
        )

    def clear_marker(self) -> None:
        """Remove the marker, and let other runs in; it is no error if there is none."""
        self._remove(self._marker)
        self.release()

    def release(self) -> None:
        """Let other runs in. A marker that is still there then tells them that this one did not finish."""
        while self._held:
            os.close(self._held.pop())

    def store(self, secret: str) -> None:
        """Put ``secret`` in place. Whenever this is cut short, the old or the new secret stands here, or both.

        What was here before goes to ``NAME.previous``, unless it is the same.
        """
        if not UUID.fullmatch(secret):
            raise PveError(f"What should go to {self.path} is no token secret.")
        with self._writing("did not take the secret") as folder:
            # A secret that an interrupted run left may be the only good one: it is not overwritten, but put in place
            # first, and so ends up in the previous file.
            if self._staged(folder) is not None:
                self._put_in_place(folder)
            write_closed(folder, self._new, f"{secret}\n".encode("ascii"))
            os.fsync(folder)
            self._put_in_place(folder)

    def staged(self) -> str | None:
        """Return the secret that an interrupted run received and did not put in place, if it is whole."""
        with self._folder() as folder:
            return self._staged(folder)

    def promote(self) -> None:
        """Put the staged secret in place, as ``store`` would have done."""
        with self._writing("did not take the secret") as folder:
            if self._staged(folder) is None:
                raise PveError(f"There is no unfinished secret beside {self.path}.")
            self._put_in_place(folder)

    def discard_staged(self) -> None:
        """Remove what an interrupted run staged; it is no error if there is nothing."""
        self._remove(self._new)

    def discard_previous(self) -> None:
        """Remove what stood here before the last ``store``; it is no error if there is nothing."""
        self._remove(self._previous)

    def note(self, kind: str, content: Mapping[str, Any]) -> None:
        """Keep something about the secret beside it, in place of what was noted under this ``kind`` before."""
        with self._writing("takes no note") as folder:
            text = json.dumps(content, sort_keys=True).encode() + b"\n"
            replace_closed(folder, self._scratch, f".{self._name}.{kind}", text)

    def noted(self, kind: str) -> dict[str, Any] | None:
        """Return what was noted; None if nothing was, or it is no note."""
        with self._folder() as folder:
            content = read_own_file(f".{self._name}.{kind}", f"{self._folder_path}/.{self._name}.{kind}", folder)
        return object_in(content or b"")

    def forget(self, kind: str) -> None:
        """Remove a note; it is no error if there is none."""
        self._remove(f".{self._name}.{kind}")

    def remove(self) -> None:
        """Remove the secret file; it is no error if there is none. ``NAME.previous`` stays."""
        with self._folder() as folder:
            self._target(folder)
        self._remove(self._name)

    def _remove(self, name: str) -> None:
        with self._writing("could not be cleaned up") as folder:
            remove_file(folder, name)

    def _folder(self) -> contextlib.AbstractContextManager[int]:
        """Open the folder, and check by its descriptor that nobody else can write there."""
        return open_folder(self._folder_path)

    @contextlib.contextmanager
    def _writing(self, problem: str) -> Iterator[int]:
        """Open the folder and keep other runs out of it; the lock ends with the process, however that ends."""
        with self._folder() as folder:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX)
                yield folder
            except OSError as error:
                raise PveError(f"{self.path} {problem}: {error.strerror}.") from None

    def _target(self, folder: int) -> os.stat_result | None:
        """Return the status of the secret file, or None; raise OptionError if it is nothing to replace."""
        try:
            status = os.stat(self._name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if stat.S_ISLNK(status.st_mode):
            raise OptionError(f"{self.path} is a link.", "Name the file itself: links are not followed.")
        if not stat.S_ISREG(status.st_mode):
            raise OptionError(f"{self.path} is not a regular file.")
        if status.st_uid != os.geteuid():
            raise OptionError(f"{self.path} belongs to another user (uid {status.st_uid}).")
        if status.st_size > MOST_BYTES:
            raise OptionError(f"{self.path} is too long for a secret file.", "Is this the right path?")
        return status

    def _staged(self, folder: int) -> str | None:
        path = os.path.join(self._folder_path, self._new)
        content = read_own_file(self._new, path, folder)
        return None if content is None else _secret_in(content)

    def _put_in_place(self, folder: int) -> None:
        if self._target(folder) is not None:
            # Whatever its mode: it was checked to be ours, and is about to be replaced by a closed file.
            old = _read_file(self._name, folder)
            if old != _read_file(self._new, folder):
                replace_closed(folder, self._scratch, self._previous, old)
        os.rename(self._new, self._name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


@contextlib.contextmanager
def open_folder(path: str, *, private: bool = False) -> Iterator[int]:
    """Open a folder, and check by its descriptor that nobody else can write there, or, if ``private``, even look."""
    try:
        folder = os.open(path, os.O_DIRECTORY | _READ)
    except FileNotFoundError:
        raise OptionError(f"The folder {path} is missing.", f"Run: mkdir -m 700 {shlex.quote(path)}") from None
    except OSError as error:
        hint = "Links are not followed: name the folder itself." if os.path.islink(path) else ""
        raise OptionError(f"The folder {path} cannot be opened: {error.strerror}.", hint) from None
    try:
        status = os.fstat(folder)
        mode = f"mode {stat.S_IMODE(status.st_mode):04o}"
        if status.st_uid not in ((os.geteuid(),) if private else (os.geteuid(), 0)):
            raise OptionError(
                f"The folder {path} belongs to another user (uid {status.st_uid}).",
                "Its owner could put another file in place of the secret: choose a folder of your own.",
            )
        if private and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise OptionError(
                f"The folder {path} is open to others ({mode}).",
                f"Run: chmod 700 {shlex.quote(path)} (or choose another folder)",
            )
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise OptionError(
                f"The folder {path} can be written by others ({mode}).",
                f"Run: chmod go-w {shlex.quote(path)} (or choose another folder)",
            )
        yield folder
    finally:
        os.close(folder)


def write_closed(folder: int, name: str, content: bytes) -> None:
    """Write a new file, 0600 whatever the umask, and see it reach the disk."""
    with contextlib.suppress(FileNotFoundError):
        # What an interrupted run left under this name is a beginning without an end.
        os.unlink(name, dir_fd=folder)
    descriptor = os.open(name, _CREATE, _OWNER_ONLY, dir_fd=folder)
    try:
        os.fchmod(descriptor, _OWNER_ONLY)
        while content:
            content = content[os.write(descriptor, content) :]
        os.fsync(descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=folder)
        raise
    finally:
        os.close(descriptor)


def replace_closed(folder: int, scratch: str, name: str, content: bytes) -> None:
    """Put a file of mode 0600 in place, by way of ``scratch``: whatever cuts this short, old or new is whole."""
    write_closed(folder, scratch, content)
    os.rename(scratch, name, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)


def remove_file(folder: int, name: str) -> None:
    """Remove a file; it is no error if there is none."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    os.fsync(folder)


@contextlib.contextmanager
def lock_file(folder: int, name: str, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock on a file of that name, made if it is missing; it ends with the process, however that ends.

    Yields whether it is held: without ``wait``, another process may have it. Who holds it may remove the file.
    """
    descriptor = -1
    try:
        while True:
            descriptor = os.open(name, _LOCK, _OWNER_ONLY, dir_fd=folder)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            if _is_there(folder, name, descriptor):
                break
            # Who held it removed the file: whoever comes next locks another one.
            os.close(descriptor)
            descriptor = -1
        yield True
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _is_there(folder: int, name: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(name, dir_fd=folder, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def read_own_file(name: str, path: str, folder: int | None = None) -> bytes | None:
    """Return the content of an own, closed, regular file, or None if there is none; ``path`` is for error texts."""
    descriptor = _open_own_file(name, path, folder)
    if descriptor is None:
        return None
    try:
        return _read_all(descriptor)
    finally:
        os.close(descriptor)


def _open_own_file(name: str, path: str, folder: int | None = None) -> int | None:
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for a writer.
        descriptor = os.open(name, _READ | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OptionError(f"{path} is a link.", "Name the file itself: links are not followed.") from None
        raise OptionError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OptionError(f"{path} is not a regular file.")
        if status.st_uid not in (os.geteuid(), 0):
            raise OptionError(
                f"{path} belongs to another user (uid {status.st_uid}).", "Keep the secret in a file of your own."
            )
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            mode = f"{stat.S_IMODE(status.st_mode):04o}"
            raise OptionError(f"{path} is open to others (mode {mode}).", f"Run: chmod 600 {shlex.quote(path)}")
    except OptionError:
        os.close(descriptor)
        raise
    return descriptor


def _read_file(name: str, folder: int) -> bytes:
    descriptor = os.open(name, _READ | os.O_NONBLOCK, dir_fd=folder)
    try:
        return _read_all(descriptor)
    finally:
        os.close(descriptor)


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb", closefd=False) as stream:
        return stream.read()


def object_in(content: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a file holds; None for anything else, damaged or hostile as it may be."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else None


def _secret_in(content: bytes) -> str | None:
    match = re.fullmatch(rb"([0-9a-f-]{36})\r?\n?", content)
    secret = match.group(1).decode("ascii") if match else ""
    return secret if UUID.fullmatch(secret) else None
