"""Privileges with which somebody gives rights to others, or acts as they do."""

from __future__ import annotations

from collections.abc import Mapping

from .permissions import Privileges

# Each with the path where it does that, and whether it does so on any path below, too: who rules over users makes
# tokens for them, and who changes roles changes what their holders may do.
GIVING: Mapping[str, tuple[str, bool]] = {
    "Permissions.Modify": ("/", True),
    "User.Modify": ("/access/groups", True),
    "Sys.Modify": ("/access", False),
}


def gives(path: str, held: Privileges) -> bool:
    """Tell whether somebody who holds some privileges on a path can give rights by them: there, or further down."""
    for name, (where, below) in GIVING.items():
        if name in held and (path == where or (below and _below(path, where)) or (held[name] and _below(where, path))):
            return True
    return False


def _below(path: str, other: str) -> bool:
    return path != other and path.startswith(other.rstrip("/") + "/")
