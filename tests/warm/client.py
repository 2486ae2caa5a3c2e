"""A program that has itself run by a process which has all it needs loaded already: see server.py.

It is copied under the names of such programs, with a first line that names the Python to start it: without the
standard start of Python, and with as few imports as can be, because it is started hundreds of times.
"""

import json
import os
import socket
import sys


def is_module(arguments: list[str]) -> bool:
    """Whether Python is to run a module from a file, as Ansible names them; others come on standard input."""
    return len(arguments) == 1 and os.path.basename(arguments[0]).startswith("AnsiballZ_")


def main() -> int:
    folder, name = os.path.split(sys.argv[0])
    if name == "python" and sys.argv[1:] and not is_module(sys.argv[1:]):
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
    job = {"arguments": sys.argv, "folder": os.getcwd(), "environment": dict(os.environ)}
    text = json.dumps(job).encode()
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(os.path.join(folder, "modules" if name == "python" else "programs"))
        socket.send_fds(server, [len(text).to_bytes(8, "big")], [0, 1, 2])
        server.sendall(text)
        status = server.recv(1)
    return status[0] if status else 1


if __name__ == "__main__":
    sys.exit(main())
