"""Modules as processes, by the hundred: Python and Ansible are loaded once, and each run is a fork of that.

A program: a job on each line of standard input, and on standard output the process id when it starts and what became
of it when it ends.
"""

from __future__ import annotations

import gc
import importlib
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODULES = "ansible_collections.homelab.pve.plugins.modules"
UTILS = "ansible_collections.homelab.pve.plugins.module_utils"
NAMES = ("pve_access", "pve_firewall", "pve_token", "pve_user")
# What changes something, or makes sure that it lasts.
FILE_STEPS = ("open", "fchmod", "write", "fsync", "close", "rename", "unlink", "link")
TREE = Path(__file__).resolve().parents[2] / ".nox" / "tree"


@dataclass(frozen=True)
class Outcome:
    """How a run ended: ``result`` is what the module said, None if it was killed."""

    killed: bool
    result: dict[str, Any] | None
    said: str

    @property
    def failed(self) -> bool:
        return self.result is None or bool(self.result.get("failed"))


class Runner:
    """Starts modules, one at a time."""

    def __init__(self, home: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PVE_", "ANSIBLE_"))}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ansible_collections.homelab.pve.tests.faults.runner"],
            env={**kept, "HOME": str(home), "PYTHONPATH": str(TREE)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        module: str,
        options: Mapping[str, Any],
        *,
        pid: Future[int] | None = None,
        dies_at: int = 0,
        raises_at: int = 0,
        env: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Run a module to its end. ``pid`` is told its process.

        ``dies_at`` is the step in a file at which it dies, ``raises_at`` the request that ends with an exception which
        nobody expects; a module that fell over it said no JSON.
        """
        job = {"module": module, "options": dict(options), "dies_at": dies_at, "raises_at": raises_at, "env": env or {}}
        assert self._process.stdin
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        started = self._told()
        if pid is not None:
            pid.set_result(started["pid"])
        ended = self._told()
        killed = ended["status"] == -signal.SIGKILL
        lines = ended["said"].strip().splitlines()
        said_json = not killed and len(lines) == 1 and lines[0].startswith("{")
        assert killed or said_json or raises_at, ended["said"]
        return Outcome(killed, json.loads(lines[0]) if said_json else None, ended["said"])

    def _told(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the runner has ended"
        told: dict[str, Any] = json.loads(line)
        return told

    def close(self) -> None:
        """End the program, which waits for nothing but its next job."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=60)


class _DyingOs:
    """The module ``os`` as the secret file's code sees it, where one step is the last; a write is then half done."""

    def __init__(self, dies_at: int) -> None:
        self._left = dies_at

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in FILE_STEPS:
            return real

        def step(*arguments: Any, **keywords: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                if name == "write":
                    real(arguments[0], arguments[1][: len(arguments[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **keywords)

        return step


def _raise_at(nth: int) -> None:
    pool = importlib.import_module("urllib3").connectionpool.HTTPSConnectionPool
    send, seen = pool.urlopen, itertools.count(1)

    def failing(*arguments: Any, **keywords: Any) -> Any:
        if next(seen) == nth:
            raise RuntimeError("forced")
        return send(*arguments, **keywords)

    pool.urlopen = failing


def _child(job: Mapping[str, Any], output: int) -> None:
    reading, writing = os.pipe()
    arguments = json.dumps({"ANSIBLE_MODULE_ARGS": job["options"]}).encode()
    assert os.write(writing, arguments) == len(arguments)
    os.close(writing)
    os.dup2(reading, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False))
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), write_through=True)
    sys.stderr = sys.stdout
    os.environ.update(job["env"])
    if job["raises_at"]:
        _raise_at(job["raises_at"])
    if job["dies_at"]:
        importlib.import_module(f"{UTILS}.secret_file").os = _DyingOs(job["dies_at"])
    try:
        importlib.import_module(f"{MODULES}.{job['module']}").main()
    except SystemExit:
        pass
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(0)


def main() -> None:
    """Run the jobs."""
    for name in NAMES:
        importlib.import_module(f"{MODULES}.{name}")
    # How long the client waits for PVE to come back is not the question here, and there are hundreds of runs.
    importlib.import_module(f"{UTILS}.client.http").PAUSES = (0.0, 0.01, 0.02)
    gc.freeze()  # Else each child touches, and so copies, all of it.
    for line in sys.stdin:
        with tempfile.TemporaryFile() as output:
            child = os.fork()
            if child == 0:
                _child(json.loads(line), output.fileno())
            print(json.dumps({"pid": child}), flush=True)
            unused, status = os.waitpid(child, 0)
            output.seek(0)
            said = output.read().decode()
        print(json.dumps({"status": os.waitstatus_to_exitcode(status), "said": said}), flush=True)


if __name__ == "__main__":
    main()
