"""Loaded by the Python of a module: what it writes to the system's log is kept, and a request fails where told to."""

from __future__ import annotations

import os
import syslog
from typing import Any

LOG = os.environ.get("LEAKS_SYSLOG")
RAISE_AT = int(os.environ.get("LEAKS_RAISE_AT", "0"))


def keep(*arguments: Any) -> None:
    with open(LOG or os.devnull, "a", encoding="utf-8") as stream:
        stream.write(f"{arguments}\n")


def fail_at(nth: int) -> None:
    """Make the ``nth`` request end with an exception that nobody expects."""
    from urllib3.connectionpool import HTTPSConnectionPool

    send, seen = HTTPSConnectionPool.urlopen, []

    def failing(*arguments: Any, **keywords: Any) -> Any:
        seen.append(1)
        if len(seen) == nth:
            raise RuntimeError("forced")
        return send(*arguments, **keywords)

    HTTPSConnectionPool.urlopen = failing


if LOG:
    syslog.syslog = keep
if RAISE_AT:
    fail_at(RAISE_AT)
