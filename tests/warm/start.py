"""A folder of programs that start fast, for as long as the process that asked for it: see server.py."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
TREE = HERE.parents[1] / ".nox" / "tree"
# What every run in this folder has in common. Ansible reads most of it once, before the runs part.
COMMON = {
    # Before Ansible 2.20 a controller without UTF-8 does not start.
    "LC_ALL": "C.UTF-8",
    "ANSIBLE_CALLBACKS_ENABLED": "results",
    "ANSIBLE_CALLBACK_PLUGINS": str(HERE.parent / "integration" / "callbacks"),
    "ANSIBLE_COLLECTIONS_PATH": str(TREE),
    "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
    "ANSIBLE_LOCALHOST_WARNING": "false",
    "ANSIBLE_NOCOLOR": "true",
    "ANSIBLE_PIPELINING": "true",
}
PROGRAMS = ("ansible-doc", "ansible-inventory", "ansible-playbook", "python")


def serves(program: str, environment: Mapping[str, str]) -> bool:
    """Whether a program can be run from here with an environment, and does with it what it would do plainly."""
    settings = {name: value for name, value in environment.items() if name.startswith(("ANSIBLE_", "LC_"))}
    return (
        program in PROGRAMS[:-1]
        and settings.pop("ANSIBLE_PYTHON_INTERPRETER", None) == sys.executable
        and os.path.getsize(settings.pop("ANSIBLE_CONFIG", os.devnull)) == 0
        and settings == COMMON
    )


@functools.cache
def programs() -> Path:
    """Return the folder; it goes with the process that asked for it."""
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    text = (HERE / "client.py").read_text()
    for name in PROGRAMS:
        program = folder / name
        program.write_text(f"#!{sys.executable} -IS\n{text}")
        program.chmod(0o700)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PVE_", "ANSIBLE_", "XDG_"))}
    # Whatever is read of this home is read again for each run.
    (folder / "ansible.cfg").touch()
    home = {"HOME": str(folder), "ANSIBLE_CONFIG": str(folder / "ansible.cfg")}
    servers = [
        subprocess.Popen(
            # As a file: Ansible has its own way to find collections, and finds none that are loaded already.
            [sys.executable, "-P", str(HERE / "server.py"), kind, str(folder / kind)],
            env={**kept, **COMMON, **home, **more},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for kind, more in (("modules", {"PYTHONPATH": str(TREE)}), ("programs", {}))
    ]

    def end() -> None:
        for server in servers:
            assert server.stdin
            server.stdin.close()
            server.wait(timeout=60)
        shutil.rmtree(folder)

    atexit.register(end)
    for server in servers:
        assert server.stdout
        assert server.stdout.readline() == b"listening\n"
    return folder


def script(path: Path) -> list[str]:
    """Return the command for a script that starts programs from beside its Python: it finds these."""
    code = (
        "import runpy, sys; sys.executable, *sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    return [sys.executable, "-c", code, str(programs() / "python"), str(path)]
