"""Ansible's programs and modules, by the hundred: loaded once, and each run is a fork of that.

Most of what a playbook costs is that Python and Ansible start, for itself and again for each task. Here they start once
for each kind: for ``programs`` (ansible-playbook and the like) and for ``modules`` (what Ansible sends to a Python). A
fork gets the arguments, the folder, the environment and the open files of the client that asks for it, and goes on as
the real thing does. Modules use the files of this checkout and not those in their payload, which are the same; that a
payload has all it needs is proved by the tests that do without this.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = "ansible_collections.homelab.pve.plugins"
PROGRAMS = {"ansible-doc": "doc", "ansible-inventory": "inventory", "ansible-playbook": "playbook"}
# What playbooks load when they come to it.
PLUGINS = (
    *("action.assert", "action.copy", "action.debug", "action.include_vars", "action.normal", "action.set_fact"),
    *("cache.memory", "callback.default", "connection.local", "lookup.env", "lookup.file", "lookup.vars"),
    *("filter.core", "filter.encryption", "filter.mathstuff", "filter.urls", "filter.urlsplit", "inventory.host_list"),
    *("inventory.ini", "lookup.varnames", "shell.sh", "strategy.linear", "test.core", "test.files", "test.mathstuff"),
    *("test.uri", "vars.host_group_vars"),
)

Job = dict[str, Any]


class Server:
    """Listens in a folder, until its standard input ends."""

    def __init__(self, address: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(address)
        self._listener.listen(64)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(0, selectors.EVENT_READ)

    def job(self) -> Job | None:
        """Return, in a process of its own, what it has to do; in the server's own process None, at the end."""
        while True:
            for key, unused in self._selector.select():
                if key.data is None:
                    return None
                job: Job | None = key.data()
                if job is not None:
                    return job

    def _accept(self) -> Job | None:
        client, unused = self._listener.accept()
        header, files, *unused = socket.recv_fds(client, 8, 3)
        job: Job = json.loads(_read(client, int.from_bytes(header, "big")))
        pid = os.fork()
        if pid == 0:
            for number, file in enumerate(files):
                os.dup2(file, number)
                os.close(file)
            client.close()
            self._listener.close()
            self._selector.close()
            os.chdir(job["folder"])
            os.environ.clear()
            os.environ.update(job["environment"])
            return job
        for file in files:
            os.close(file)
        watched = os.pidfd_open(pid)
        self._selector.register(watched, selectors.EVENT_READ, lambda: self._tell(pid, watched, client))
        # A client says no more: what is heard of it is its end.
        self._selector.register(client, selectors.EVENT_READ, lambda: self._stop(pid, client))
        return None

    def _tell(self, pid: int, watched: int, client: socket.socket) -> None:
        unused, status = os.waitpid(pid, 0)
        self._selector.unregister(watched)
        os.close(watched)
        code = os.waitstatus_to_exitcode(status)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(client)
        with contextlib.suppress(OSError):
            client.sendall(bytes([code if code >= 0 else 128 - code]))
        client.close()

    def _stop(self, pid: int, client: socket.socket) -> None:
        self._selector.unregister(client)
        os.kill(pid, signal.SIGTERM)


def _read(client: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        found += client.recv(size - len(found))
    return found


def load_modules() -> None:
    """Load what the collection's modules and Ansible's own need, and not themselves: each is loaded to be run."""
    importlib.import_module("ansible.module_utils._internal._ansiballz._loader")
    for profile in ("legacy_c2m", "legacy_m2c", "modern_c2m", "modern_m2c"):
        importlib.import_module(f"ansible.module_utils._internal._json._profiles._module_{profile}")
    for package in ("ansible.modules", f"{COLLECTION}.modules"):
        wanted = ("copy", "file", "slurp", "stat") if package == "ansible.modules" else ()
        for info in pkgutil.iter_modules(importlib.import_module(package).__path__):
            if not wanted or info.name in wanted:
                importlib.import_module(f"{package}.{info.name}")
                del sys.modules[f"{package}.{info.name}"]


def run_module(job: Job) -> None:
    """Run a payload as Python runs a file, or what comes on its standard input."""
    sys.argv = job["arguments"][1:] or [""]
    if sys.argv[0]:
        payload = Path(sys.argv[0]).read_bytes()
    else:
        payload = sys.stdin.buffer.read()
        sys.stdin = io.TextIOWrapper(io.BytesIO())
    exec(compile(payload, sys.argv[0] or "<stdin>", "exec"), {"__name__": "__main__"})


def load_programs() -> None:
    """Load Ansible's programs and plugins, and read what goes into the modules' payloads."""
    for name in PROGRAMS.values():
        importlib.import_module(f"ansible.cli.{name}")
    for name in ("executor.playbook_executor", "executor.task_queue_manager", *(f"plugins.{each}" for each in PLUGINS)):
        importlib.import_module(f"ansible.{name}")
    common: Any = importlib.import_module("ansible.executor.module_common")
    compiled = common._compile_module_ast

    @functools.cache
    def compile_once(source: bytes) -> Any:
        return compiled("", source)

    # What a source imports is looked up in its tree, which nothing changes.
    common._compile_module_ast = lambda unused, source: compile_once(
        source.encode() if isinstance(source, str) else bytes(source)
    )
    for path in _sources():
        compile_once(path.read_bytes())


def _sources() -> Iterator[Path]:
    for package in ("module_utils", "modules"):
        yield from (ROOT / "plugins" / package).rglob("*.py")
    yield from Path(importlib.import_module("ansible.module_utils").__path__[0]).rglob("*.py")


def run_program(job: Job) -> None:
    """Run a program as if it had just been started: what Ansible read of its environment is read again."""
    folder, name = os.path.split(job["arguments"][0])
    sys.argv = job["arguments"]
    # The Python for localhost.
    sys.executable = os.path.join(folder, "python")
    importlib.reload(importlib.import_module("ansible.constants"))
    importlib.import_module(f"ansible.cli.{PROGRAMS[name]}").main()


def main(kind: str, address: str) -> None:
    """Be the server of ``kind``; each fork of it returns from here, and ends as Python does."""
    loads: dict[str, Callable[[], None]] = {"modules": load_modules, "programs": load_programs}
    runs: dict[str, Callable[[Job], None]] = {"modules": run_module, "programs": run_program}
    loads[kind]()
    server = Server(address)
    gc.collect()
    gc.freeze()  # Else each fork touches, and so copies, all of it.
    print("listening", flush=True)
    job = server.job()
    if job:
        runs[kind](job)


if __name__ == "__main__":
    main(*sys.argv[1:])
