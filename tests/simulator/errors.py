"""What PVE answers when it refuses: a status, a message and, for parameters, a text for each of them."""

from __future__ import annotations

from collections.abc import Mapping


class ApiError(Exception):
    """A refusal. ``message`` is the whole text, its line end included; its first line goes into the status line."""

    def __init__(self, status: int, message: str, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = dict(errors) if errors else None

    def nested(self) -> str:
        """Return the text as it appears inside the message of a caller that only passes it on."""
        return self.message


class Failure(ApiError):
    """500: anything that a handler of PVE died of."""

    def __init__(self, text: str) -> None:
        super().__init__(500, text + "\n")


class ParameterError(ApiError):
    """400, with a text for each parameter that is wrong."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(400, "Parameter verification failed.\n", errors)

    def nested(self) -> str:
        details = "".join(f"{name}: {text}\n" for name, text in sorted((self.errors or {}).items()))
        return f"400 {self.message}{details}"


class Forbidden(ApiError):
    """403, naming what is missing, unless the check was of a kind that has no name."""

    def __init__(self, what: str | None = None) -> None:
        super().__init__(
            403, f"Permission check failed ({what})\n" if what is not None else "Permission check failed\n"
        )

    def nested(self) -> str:
        return f"403 {self.message}"


class Unauthorised(ApiError):
    """401. The text is in the status line only: there is no body."""

    def __init__(self, text: str) -> None:
        super().__init__(401, text + "\n")


class Unreachable(ApiError):
    """595 or 596: the node that should answer cannot be reached. There is no body, and ``seconds`` pass before it."""

    def __init__(self, text: str, status: int = 595, seconds: float = 0) -> None:
        super().__init__(status, text)
        self.seconds = seconds


class NotSimulated(ApiError):
    """501: the call passed permission check and parameter verification, and then there is nothing behind it."""

    def __init__(self, method: str, path: str) -> None:
        super().__init__(501, f"the simulator does not go beyond the checks of '{method} {path}'\n")
