"""PVE's own command on the host itself: no credentials, no network, always root@pam.

How a request becomes a command stands here; ``pvesh_answer.py`` reads what the command says.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping

from . import cluster_fw
from .errors import OptionError, TransportError
from .options import ConnectionOptions
from .pvesh_answer import COMMANDS, Said, is_regression, read_answer
from .transport import Answer, Pairs

HERE = "127.0.0.1"
# Where PVE keeps what its nodes share.
FOLDER = "/etc/pve"
# All that may hold a secret, in any call of the API. A realm's tfa has the key of a service, keys has those of users,
# and a target-endpoint a whole token.
SECRETS = frozenset(
    {
        *("challenge", "cipassword", "client-key", "code", "confirmation-password", "data", "eab-hmac-key"),
        *("encryption-key", "header", "input-data", "key", "keyring", "keys", "otp", "password", "response", "secret"),
        *("target-endpoint", "tfa", "tfa-challenge", "ticket", "token", "totp", "value", "vncticket"),
    }
)
# pvesh's own options. Where a method has a parameter of such a name, pvesh may take it for its own.
_OWN = frozenset({"api_path", "human-readable", "noborder", "noheader", "noproxy", "output-format", "quiet"})
# A call for another node goes there by ssh, and pvesh quotes the values on the way, but not the path.
_FOR_A_SHELL = re.compile(r"[\w./:@!+=,%-]+")
_PERHAPS_ELSEWHERE = "/nodes/"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
# Linux takes no longer argument.
_LONGEST = 128 * 1024 - 1
_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Until what a killed command has left open counts as closed, in seconds.
_REAPING = 5
_BY_HTTPS = "Use transport https for this."


class PveshTransport:
    """Runs ``pvesh`` for each request, and reads what it says as the answer that HTTPS would have brought.

    ``folder`` is where the cluster's files are.
    """

    def __init__(self, options: ConnectionOptions, *, folder: str = FOLDER) -> None:
        self._options = options
        self._folder = folder
        self._program: str | None = None

    @property
    def local_address(self) -> str | None:
        """Where the SSH session comes from that this runs in, if it is known; else the host itself.

        Nothing of this goes over the network. What must not be cut off is the way by which the task came.
        """
        return os.environ.get("SSH_CONNECTION", "").partition(" ")[0] or HERE

    def check(self, method: str, path: str, params: Pairs) -> None:
        """Raise OptionError for what cannot be asked by way of a command, or must not be."""
        asked = f"{method} {path}"
        for name, unused in params:
            if name in SECRETS:
                raise OptionError(
                    f"{asked}: {name} is a secret, and the arguments of pvesh can be seen in the list of processes.",
                    _BY_HTTPS,
                )
            if name in _OWN or not _NAME.fullmatch(name):
                raise OptionError(f"{asked}: pvesh cannot pass on a parameter called {name}.", _BY_HTTPS)
        if path.startswith(_PERHAPS_ELSEWHERE) and not _FOR_A_SHELL.fullmatch(path):
            raise OptionError(f"{asked}: pvesh would hand this path to a shell of another node.", _BY_HTTPS)
        for text in (path, *(value for unused, value in params)):
            if "\0" in text:
                raise OptionError(f"{asked}: a value has a NUL character in it, which no argument of a command can.")
            if len(_bytes(asked, text)) > _LONGEST:
                raise OptionError(f"{asked}: a value is longer than an argument of a command may be.", _BY_HTTPS)

    def send(self, method: str, path: str, params: Pairs, headers: Mapping[str, str]) -> Answer:
        """Run pvesh. Raises OptionError where it cannot be run, and TransportError where it did not come to its end."""
        self.check(method, path, params)
        said = self._run(self._command(method, path, params))
        if (method, path) == cluster_fw.ASKED and is_regression(said):
            return cluster_fw.read_options(self._folder)
        return read_answer(method, path, said)

    def close(self) -> None:
        """Nothing is kept open."""

    def _command(self, method: str, path: str, params: Pairs) -> list[bytes]:
        """Return the command with its arguments.

        Option and value are two arguments: with ``--name=value``, an empty value counts as none. Getopt takes whatever
        follows for the value, a dash in front or not, but for booleans, which are 1 or 0 here. Names are written in
        full, because a shorter one stands for the one parameter that begins with it.
        """
        asked = f"{method} {path}"
        words = [self._found(), COMMANDS[method], path]
        for name, value in params:
            words += [f"--{name}", value]
        return [_bytes(asked, word) for word in (*words, "--output-format", "json")]

    def _found(self) -> str:
        if self._program is None:
            self._program = shutil.which("pvesh", path=_path())
        if self._program is None:
            raise OptionError(
                "There is no pvesh where this task runs.",
                "transport pvesh is for a task that runs on a node of the cluster, as root (become: true): delegate it "
                "to one, or use transport https.",
            )
        return self._program

    def _run(self, command: list[bytes]) -> Said:
        """Run the command to its end. In a session of its own, nothing that it starts can ask at a terminal."""
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # Perl reads arguments in the locale's encoding; under another, letters beyond ASCII are lost. What else
                # there is of an environment could change what Perl loads, or how it takes options.
                env={"PATH": _path(), "HOME": "/root", "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise OptionError(
                f"{self._found()} cannot be run: {error.strerror}.", "Run the task on the node as root (become: true)."
            ) from None
        try:
            out, err = process.communicate(timeout=self._options.timeout)
        except subprocess.TimeoutExpired:
            raise TransportError(
                f"No answer from {self._options.address} within {self._options.timeout} seconds.",
                "Raise timeout if PVE needs longer; a call to a node that is down takes minutes.",
                sent=True,
                timed_out=True,
            ) from None
        finally:
            _end(process)
        if process.returncode < 0:
            raise TransportError(
                f"pvesh was ended by {signal.Signals(-process.returncode).name} before it had answered.",
                "Is the host short of memory (`journalctl -k`)?",
                sent=True,
            )
        return Said(process.returncode, out, err)


def _path() -> str:
    """Return where to look for programs: nowhere relative, which would be wherever this happens to run."""
    told = [folder for folder in os.environ.get("PATH", "").split(":") if os.path.isabs(folder)]
    return ":".join([*told, _SYSTEM])


def _bytes(asked: str, text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise OptionError(f"{asked}: a value has characters in it that are not valid Unicode.") from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what still runs, with all that it has started."""
    if process.poll() is not None:
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=_REAPING)
    except (ProcessLookupError, subprocess.TimeoutExpired):
        pass
