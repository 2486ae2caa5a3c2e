"""Run a program and write down what it took: ``launch.py FILE PROGRAM ARGUMENT...``.

A program of its own, and a small one: a process inherits the peak of its parent's memory as the least of its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path


def main(result: str, *command: str) -> int:
    """Return what the program returned."""
    started = time.perf_counter()
    status = subprocess.call(command)
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    Path(result).write_text(json.dumps([seconds, used.ru_utime + used.ru_stime, used.ru_maxrss >> 10]))
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
