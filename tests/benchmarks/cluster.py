"""The simulated clusters that are measured on, and programs that are measured."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN, Simulator

SIMULATOR = "ansible_collections.homelab.pve.tests.simulator"
LAUNCH = Path(__file__).with_name("launch.py")


def connection(simulator: Simulator) -> ConnectionOptions:
    """Root's own token, for a simulator in a thread of this program."""
    return ConnectionOptions(
        simulator.host, simulator.port, token_id=ROOT_TOKEN, token_secret=ROOT_SECRET, ca_path=simulator.ca_file
    )


class Cluster:
    """A simulator in a process of its own, so that its work is not counted as the client's."""

    def __init__(self, *, nodes: int, guests: int, latency_ms: int) -> None:
        # Two guests are always there.
        size = ("--nodes", str(nodes), "--guests", str(guests - 2), "--latency-ms", str(latency_ms))
        self._command = (sys.executable, "-m", SIMULATOR, "--port", "0", "--auth-delay", "0", *size)
        self.url = self.ca_file = ""

    def __enter__(self) -> Cluster:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        # "base URL     https://...", "CA file      /...", and so on.
        lines = [self._process.stdout.readline().split() for unused in range(5)]
        self.url, self.ca_file = lines[0][-1], lines[1][-1]
        self._trust = ssl.create_default_context(cafile=self.ca_file)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()

    def control(self, method: str, path: str, data: Any = None) -> Any:
        """Use the simulator's own controls."""
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(f"{self.url}/_sim/{path}", method=method, data=body)
        with urllib.request.urlopen(request, context=self._trust) as answer:
            return json.load(answer)


@dataclass(frozen=True)
class Cost:
    """What a program took; ``processor`` is the seconds that it worked itself, ``memory`` its peak in MiB."""

    requests: int
    seconds: float
    processor: float
    memory: int


def measure(cluster: Cluster, command: Sequence[str | Path], env: Mapping[str, str], log: Path) -> Cost:
    """Run a program to its end. Exits where the program fails: its figures would be none."""
    cluster.control("DELETE", "requests")
    result = log.with_name("took.json")
    with log.open("w") as stream:
        launched = (sys.executable, LAUNCH, result, *command)
        done = subprocess.run(launched, env=env, stdout=stream, stderr=stream, check=False)
    if done.returncode:
        sys.exit(f"\n{log.read_text()}\n{' '.join(map(str, command))} ended with {done.returncode}.")
    seconds, processor, memory = json.loads(result.read_text())
    return Cost(len(cluster.control("GET", "requests")), seconds, processor, memory)
