"""A program named pvesh that asks a simulator, and is as strict as PVE's own.

    with Standin(simulator) as pvesh:
        subprocess.run(["pvesh", "get", "/version"], env={"PATH": pvesh.folder})

It takes its arguments as PVE does (Getopt::Long after the schema of the method), acts as root@pam, prints one line of
JSON with sorted keys or nothing, and fails with PVE's texts on standard error. A call for another node of the cluster
goes there by SSH, and changes on the way as it does with PVE.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socketserver
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from ansible_collections.homelab.pve.plugins.module_utils.access.model import ROOT
from ansible_collections.homelab.pve.tests.simulator import Simulator
from ansible_collections.homelab.pve.tests.simulator.errors import ApiError
from ansible_collections.homelab.pve.tests.simulator.schema import Endpoint, Parameter

METHODS = {"get": "GET", "create": "POST", "set": "PUT", "delete": "DELETE"}
# What declares no parameters at all: over these, the pvesh of pve-manager 9.2.7 to 9.2.11 breaks down.
WITHOUT_SCHEMA = frozenset(
    {
        "/access/ticket",
        "/cluster/firewall",
        "/cluster/firewall/macros",
        "/cluster/firewall/options",
        "/cluster/notifications/matcher-field-values",
        "/cluster/qemu/custom-cpu-models",
    }
)
_OWN = {
    "noproxy": Parameter("boolean", optional=True),
    "output-format": Parameter("string", optional=True, enum=("text", "json", "json-pretty", "yaml")),
    **dict.fromkeys(("noheader", "noborder", "quiet", "human-readable"), Parameter("boolean", optional=True)),
}
_TRUE, _FALSE = ("1", "on", "yes", "true"), ("0", "off", "no", "false")
_BROKEN = (
    "unknown schema type (not an object?)\n"
    "Compilation failed in require at /usr/bin/pvesh line 6.\n"
    "BEGIN failed--compilation aborted at /usr/bin/pvesh line 6.\n"
)
_WARNINGS = (
    "Use of uninitialized value $x in hash element at /usr/share/perl5/PVE/Tools.pm line 12.\n"
    "/etc/pve/firewall/cluster.fw (line 7) - errors in rule parameters: GROUP nowhere\n"
)
_LENGTH = re.compile(rb"(\d+)\n")


@dataclass(frozen=True)
class Said:
    """How a run ends. A negative code is the signal that ends it."""

    code: int
    out: str = ""
    err: str = ""


class _Failure(Exception):
    def __init__(self, text: str, code: int = 255) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


@dataclass
class Habits:
    """What can be switched.

    ``texts``: numbers are printed as texts, as the Perl of older releases does wherever it has compared them with one.
    """

    root: bool = True
    broken: bool = False
    warns: bool = False
    texts: bool = False
    calls: list[list[str]] = field(default_factory=list)


class Standin:
    """The program in a folder of its own, for as long as it is entered."""

    def __init__(self, simulator: Simulator | None = None) -> None:
        self._simulator = simulator
        self.habits = Habits()
        self._temporary = tempfile.TemporaryDirectory(prefix="pvesh-")
        self.folder = self._temporary.name
        program = Path(self.folder, "pvesh")
        text = Path(__file__).with_name("program.py").read_text()
        program.write_text(f"#!{sys.executable} -IS\n{text}")
        program.chmod(0o700)

    @property
    def simulator(self) -> Simulator:
        """The cluster that it is on now."""
        assert self._simulator, "the stand-in is on no cluster"
        return self._simulator

    @simulator.setter
    def simulator(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def __enter__(self) -> Standin:
        standin = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                length = int(self.rfile.readline())
                arguments = self.rfile.read(length).split(b"\0")[:-1]
                said = standin.run(arguments[0].decode(), arguments[1:])
                out, err = said.out.encode(), said.err.encode()
                self.wfile.write(b"%d %d\n" % (said.code, len(out)) + out + err)

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None:
                if not isinstance(sys.exc_info()[1], OSError):  # a program that was killed hears nothing
                    super().handle_error(request, client_address)

        self._server = Server(os.path.join(self.folder, "socket"), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._temporary.cleanup()

    def run(self, locale: str, arguments: list[bytes]) -> Said:
        """Do what the program does with its arguments."""
        encoding = "utf-8" if "utf-8" in locale.lower() else "ascii"
        words = [argument.decode(encoding, "replace") for argument in arguments]
        self.habits.calls.append(words)
        warnings = _WARNINGS if self.habits.warns else ""
        try:
            out = self._run(words)
        except _Killed as killed:
            return Said(-killed.signal)
        except _Failure as failure:
            return Said(failure.code, "", warnings + failure.text)
        return Said(0, out, warnings)

    def _run(self, words: list[str]) -> str:
        noproxy = False
        while words and words[0] in ("--noproxy", "--nooutput"):
            noproxy |= words.pop(0) == "--noproxy"
        command, path = words[0] if words else "", words[1] if len(words) > 1 else ""
        method = METHODS.get(command, "")
        found = self.simulator._server.api.find(method, path) if method and path else None
        # PVE looks for the method while its program is still being loaded, and before anything else.
        if method and path and found is None:
            raise _Failure(f"No '{command}' handler defined for '{path}'\n", 1)
        if self.habits.broken and found and method == "GET" and found[0].path in WITHOUT_SCHEMA:
            raise _Failure(_BROKEN)
        if not self.habits.root:
            raise _Failure("please run as root\n")
        if found is None:
            raise _Failure(f"ERROR: unknown command 'pvesh {command}'\nUSAGE: pvesh <COMMAND> [ARGS] [OPTIONS]\n")
        endpoint, in_path = found
        usage = _usage(command, endpoint, in_path)
        given, rest = _options(words[1:], endpoint, in_path, usage)
        if len(rest) != 1:
            raise _Failure(f"400 {'too many' if rest else 'not enough'} arguments\n{usage}")
        format_ = given.pop("output-format", "text")
        quiet = given.pop("quiet", "0") == "1"
        given = {name: value for name, value in given.items() if name not in _OWN}
        data = self._call(_Call(endpoint, path, in_path, usage), given, noproxy)
        if data is None or quiet:
            return ""
        if format_ != "json":
            raise _Failure(f"the stand-in prints JSON, not {format_}\n")
        return json.dumps(_as_texts(data) if self.habits.texts else data, sort_keys=True, ensure_ascii=False) + "\n"

    def _call(self, call: _Call, given: dict[str, Any], noproxy: bool) -> Any:
        node = call.in_path.get("node", given.get("node"))
        state = self.simulator._server.state
        if not call.endpoint.on_node or node in ("localhost", state.node):
            return self._perform(call, given)
        if noproxy:
            raise _Failure("proxy loop detected - aborting\n")
        there = state.nodes.get(str(node))
        if there is None:
            what = f"failed to get address info for: {node}: Name or service not known"
            raise _Failure(f"hostname lookup '{node}' failed - {what}\n", 2)
        if not there.online:
            known = {"refused": "Connection refused", "timeout": "Connection timed out"}
            why = known.get(there.answers, "No route to host")
            raise _Failure(f"proxy handler failed: ssh: connect to host {node} port 22: {why}\n")
        # What is empty is lost on the way: PVE splits values at their NUL characters, and of nothing nothing comes.
        kept = {name: value for name, value in given.items() if value != ""}
        try:
            return self._perform(call, kept)
        except _Failure as failure:
            *before, last = failure.text.splitlines()
            raise _Failure("".join(f"{line}\n" for line in before) + f"proxy handler failed: {last}\n") from None

    def _perform(self, call: _Call, given: dict[str, Any]) -> Any:
        server, method = self.simulator._server, call.endpoint.method
        row = {"method": method, "path": call.path, "params": given, "as": ROOT, "status": 200}

        def work() -> Any:
            try:
                return json.loads(server.api.as_root(call.endpoint, {**given, **call.in_path}))["data"]
            except ApiError as error:
                row["status"] = error.status
                return error
            finally:
                server.log.append(row)

        strike = self.simulator._call(lambda: server.faults.pick(method, f"/api2/json{call.path}"))
        time.sleep(strike.before)
        fault = strike.fault
        answer = None if fault and fault.when == "before" else self.simulator._call(work)
        time.sleep(strike.after)
        if fault and fault.do == "status":
            raise _Failure(f"{fault.status} {fault.reason}\n")
        if fault:
            raise _Killed(signal.SIGKILL)
        if isinstance(answer, ApiError):
            raise _failure(answer, call.usage)
        return answer


@dataclass(frozen=True)
class _Call:
    endpoint: Endpoint
    path: str
    in_path: Mapping[str, str]
    usage: str


class _Killed(Exception):
    def __init__(self, signal_: int) -> None:
        super().__init__(signal_)
        self.signal = signal_


def _failure(error: ApiError, usage: str) -> _Failure:
    if error.status == 500:
        return _Failure(error.message, 2)
    lines = "".join(f"{name}: {text}\n" for name, text in (error.errors or {}).items())
    return _Failure(f"{error.status} {error.message}{lines}{usage if error.status == 400 else ''}")


def _usage(command: str, endpoint: Endpoint, in_path: Mapping[str, str]) -> str:
    required = [
        f"--{name} <{parameter.type}>"
        for name, parameter in sorted(endpoint.parameters.items())
        if name not in in_path and not parameter.optional
    ]
    return " ".join(["pvesh", command, "<api_path>", *required, "[OPTIONS]", "[FORMAT_OPTIONS]"]) + "\n"


def _options(
    words: list[str], endpoint: Endpoint, in_path: Mapping[str, str], usage: str
) -> tuple[dict[str, Any], list[str]]:
    """Take options out of arguments as Getopt::Long does: names by their beginnings, and in any letter case."""
    known = {**_OWN, **{name: one for name, one in endpoint.parameters.items() if name not in in_path}}
    found: dict[str, Any] = {}
    rest: list[str] = []
    complaints = ""
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            rest += left
            break
        dashed = re.fullmatch(r"--?([^=]+)(=(.*))?", word, re.DOTALL)
        if not dashed:
            rest.append(word)
            continue
        name, problem = _full_name(dashed[1], known)
        if problem:
            complaints += problem
            continue
        parameter, value = known[name], dashed[3]
        if parameter.type == "boolean":
            if not value and dashed[2] is None and left and (left[0] == "-" or not left[0].startswith("-")):
                value = left.pop(0)
            value = _boolean(value or "", usage)
        elif value == "" or (value is None and not left):
            complaints += f"Option {dashed[1]} requires an argument\n"
            continue
        elif value is None:
            value = left.pop(0)
        if parameter.type == "array":
            value = [*found.get(name, []), value]
        elif name in found and parameter.format.endswith("-list"):
            value = f"{found[name]},{value}"
        found[name] = value
    if complaints:
        raise _Failure(f"{complaints}400 unable to parse option\n{usage}")
    return found, rest


def _full_name(told: str, known: Mapping[str, Parameter]) -> tuple[str, str]:
    name = told.lower()
    if name in known:
        return name, ""
    meant = sorted(each for each in known if each.startswith(name))
    if len(meant) == 1:
        return meant[0], ""
    return "", f"Option {name} is ambiguous ({', '.join(meant)})\n" if meant else f"Unknown option: {name}\n"


def _boolean(value: str, usage: str) -> str:
    if value == "" or value.lower() in _TRUE:
        return "1"
    if value.lower() in _FALSE:
        return "0"
    raise _Failure(f"400 unable to parse boolean option\n{usage}")


def _as_texts(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: _as_texts(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_as_texts(value) for value in data]
    return str(data) if isinstance(data, (int, float)) and not isinstance(data, bool) else data
