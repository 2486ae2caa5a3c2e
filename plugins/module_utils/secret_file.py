"""Token secrets in files: read without surprise, written so that none is ever lost.

A secret file holds the bare secret and a line end, belongs to its user and is closed to everybody else.
Error texts name files, never what is in them.
"""

from __future__ import annotations

import errno
import os
import re
import stat

from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# Much more than a secret and a line end needs: a file that is longer holds something else.
MOST_BYTES = 4096


def read_secret(path: str) -> str:
    """Return the token secret kept in ``path`` (``~`` is expanded).

    The file is opened first and then judged by its descriptor, so that what is checked is what is read.
    Raises OptionError when it is missing, a link, not a regular file, somebody else's, readable by others,
    or does not hold exactly one lower-case UUID.
    """
    path = os.path.expanduser(path)
    descriptor = _open_for_reading(path)
    try:
        _check_own_file(descriptor, path)
        content = os.read(descriptor, MOST_BYTES)
    finally:
        os.close(descriptor)
    return _secret_in(content, path)


def _open_for_reading(path: str) -> int:
    try:
        # Without O_NONBLOCK the opening of a named pipe would wait for a writer.
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OptionError(f"{path} is a link.", "Name the file itself: links are not followed.") from None
        raise OptionError(f"{path} cannot be read: {error.strerror}.") from None


def _check_own_file(descriptor: int, path: str) -> None:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OptionError(f"{path} is not a regular file.")
    if status.st_uid not in (os.geteuid(), 0):
        raise OptionError(
            f"{path} belongs to another user (uid {status.st_uid}).", "Keep the secret in a file of your own."
        )
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise OptionError(
            f"{path} is open to others (mode {stat.S_IMODE(status.st_mode):04o}).", f"Run: chmod 600 {path}"
        )


def _secret_in(content: bytes, path: str) -> str:
    text = content.decode("ascii", errors="replace")
    secret = text[:-2] if text.endswith("\r\n") else text[:-1] if text.endswith("\n") else text
    if UUID.fullmatch(secret):
        return secret
    if not secret:
        raise OptionError(f"{path} is empty.", "It should hold the secret of an API token.")
    raise OptionError(
        f"{path} does not hold exactly one token secret.",
        "Expected is one lower-case UUID and a line end, as PVE showed it when the token was made; "
        "no token id, no quotes, no blanks.",
    )
