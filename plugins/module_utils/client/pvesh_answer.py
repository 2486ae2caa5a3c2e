"""What pvesh says, read as the answer that HTTPS would have brought for the same request.

pvesh prints the bare data as JSON, and nothing where a method returns nothing. A failure is a text, and an exit code
that means nothing. The text of a parameter error begins with its status; that of a handler that died is the message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import OptionError
from .transport import Answer


@dataclass(frozen=True)
class Said:
    """What a run of pvesh left: its exit code and what it wrote."""

    code: int
    out: bytes
    err: bytes

    @property
    def complaint(self) -> str:
        return self.err.decode("utf-8", errors="replace")


COMMANDS = {"GET": "get", "POST": "create", "PUT": "set", "DELETE": "delete"}
_OK, _BAD_REQUEST, _FAILED, _UNKNOWN, _UNREACHABLE, _TIMED_OUT = 200, 400, 500, 501, 595, 596
_VERIFICATION = "Parameter verification failed."
_NOT_IN_SCHEMA = "property is not defined in schema and the schema does not allow additional properties"
_NOT_ROOT = "please run as root"
_REGRESSION = "unknown schema type (not an object?)"
# In front of the last line of what the pvesh of another node said.
_FROM_A_PEER = "proxy handler failed: "
_USAGE = re.compile(r"(?:USAGE: )?pvesh (?:get|set|create|delete) (?:<api_path>|/)")
_NO_HANDLER = re.compile(r"no '(?:get|set|create|delete)' handler (?:defined )?for '", re.IGNORECASE)
_NO_OPTION = re.compile(r"(?:Unknown option: |Option )(\S+)(?: is ambiguous .*)?")
_WITH_STATUS = re.compile(r"([45]\d\d) (\S.*)")
_OF_PARAMETER = re.compile(r"([A-Za-z][A-Za-z0-9_-]*(?:\[n\])?): ?(.*)")
# What Perl and the firewall's parser warn of before anything fails.
_WARNING = re.compile(r".* at /\S+ line \d+\.?|/\S+\.fw \(line \d+\) .*|perl: warning: .*")
_SSH = re.compile(
    r"ssh: (?:connect to host \S+ port \d+: (?P<why>.+)|(?P<other>.+))"
    r"|(?P<trust>Host key verification failed\.|.*Permission denied \((?:publickey|password|keyboard).*"
    r"|kex_exchange_identification: .*|Connection (?:closed|reset) by .*|command '(?:/usr/bin/)?ssh .*)"
)


def is_regression(said: Said) -> bool:
    """Whether pvesh broke down over a method that declares no parameters, as it does from 9.2.7 on."""
    return said.code != 0 and _REGRESSION in said.complaint


def read_answer(method: str, path: str, said: Said) -> Answer:
    """Return the answer in the envelope of the JSON API. Raises OptionError where pvesh was not run by root."""
    if said.code == 0:
        return Answer(_OK, "OK", b'{"data":' + _data(said.out) + b"}")
    lines = [line.rstrip() for line in said.complaint.splitlines()]
    # Another node's pvesh says the same, with something before its last line.
    lines = [line[len(_FROM_A_PEER) :] if line.startswith(_FROM_A_PEER) else line for line in lines]
    lines = [line for line in lines if line and not _USAGE.match(line)]
    if _NOT_ROOT in lines:
        raise OptionError(f"{method} {path}: pvesh was not run by root.", "Set become: true for the task.")
    if any(_NO_HANDLER.match(line) for line in lines):
        return refusal(_UNKNOWN, f"Method '{method} {path}' not implemented")
    if is_regression(said):
        return refusal(
            _UNKNOWN,
            f"pvesh cannot call '{COMMANDS[method]} {path}' (a mistake of pve-manager 9.2.7 to 9.2.11): {_REGRESSION}",
        )
    if path.startswith("/nodes/"):
        for line in lines:
            lost = _SSH.fullmatch(line)
            if lost:
                why = lost["why"] or lost["other"] or lost["trust"]
                return Answer(_TIMED_OUT if "timed out" in why else _UNREACHABLE, why, b"")
    return _failure(lines, said.code)


def _data(out: bytes) -> bytes:
    """Return the data as JSON. What a task prints while it runs comes before it."""
    text = out.strip()
    return (text[text.rfind(b"\n") + 1 :] if b"\n" in text else text) or b"null"


def _failure(lines: Sequence[str], code: int) -> Answer:
    for number, line in enumerate(lines):
        known = _WITH_STATUS.fullmatch(line)
        if known is None:
            continue
        status, text = int(known[1]), known[2]
        if status != _BAD_REQUEST:
            return refusal(status, "\n".join([text, *lines[number + 1 :]]))
        if text == "unable to parse option":
            unknown = [found[1] for found in map(_NO_OPTION.fullmatch, lines[:number]) if found]
            return refusal(_BAD_REQUEST, _VERIFICATION, dict.fromkeys(unknown, _NOT_IN_SCHEMA))
        return refusal(_BAD_REQUEST, text, _errors(lines[number + 1 :]))
    said = [line for line in lines if not _WARNING.fullmatch(line)] or list(lines[-1:])
    return refusal(_FAILED, "\n".join(said) or f"pvesh ended with exit code {code} and said nothing")


def _errors(lines: Sequence[str]) -> dict[str, str]:
    """Read a line for each parameter; what names none goes on with the one before it."""
    errors: dict[str, str] = {}
    last = ""
    for line in lines:
        named = _OF_PARAMETER.fullmatch(line)
        if named:
            last = named[1]
            errors[last] = named[2]
        elif last:
            errors[last] += f"\n{line}"
    return errors


def refusal(status: int, message: str, errors: dict[str, str] | None = None) -> Answer:
    """Return a refusal as the JSON API words it."""
    body: dict[str, object] = {"data": None, "message": f"{message}\n"}
    if errors:
        body["errors"] = errors
    return Answer(status, message.partition("\n")[0], json.dumps(body).encode())
