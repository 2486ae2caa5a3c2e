"""How many random cases a property is tried with."""

from __future__ import annotations

import os

FEWER = int(os.environ.get("FEWER_EXAMPLES", "1"))


def examples(number: int) -> int:
    """Return ``number``, or a part of it where the same cases have run on another Python (see noxfile.py)."""
    return max(number // FEWER, 10)
