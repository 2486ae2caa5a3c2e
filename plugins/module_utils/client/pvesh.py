"""PVE's own command on the host itself: no credentials, no network, always root@pam."""

from __future__ import annotations

from collections.abc import Mapping

from .errors import OptionError
from .options import ConnectionOptions
from .transport import Answer, Pairs


class PveshTransport:
    """Runs ``pvesh`` for each request, and reads what it says as the answer that HTTPS would have brought."""

    def __init__(self, options: ConnectionOptions) -> None:
        self._options = options

    @property
    def local_address(self) -> str | None:
        """None: nothing goes over the network."""
        return None

    def send(self, method: str, path: str, params: Pairs, headers: Mapping[str, str]) -> Answer:
        """Run pvesh. Raises TransportError where it cannot be run."""
        raise OptionError(f"{method} {path}: pvesh is not there yet ({self._options.host}).")

    def close(self) -> None:
        """Nothing is kept open."""
