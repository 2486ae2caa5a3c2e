"""The program pvesh of the tests: hands its arguments to standin.py, and ends as that says.

It is copied beside the socket on which that listens, with a first line that names the Python to start it: without the
standard start of Python, and with as few imports as can be, because it is started hundreds of times.
"""

import _socket
import os
import sys


def main() -> int:
    told = [os.environ.get("LC_ALL", ""), *sys.argv[1:]]
    server = _socket.socket(_socket.AF_UNIX)
    server.connect(os.path.join(os.path.dirname(sys.argv[0]), "socket"))
    server.send(b"%d\n" % sum(len(os.fsencode(one)) + 1 for one in told))
    server.sendall(b"".join(os.fsencode(one) + b"\0" for one in told))
    said = b""
    while piece := server.recv(1 << 16):
        said += piece
    head, unused, text = said.partition(b"\n")
    code, out = map(int, head.split())
    os.write(1, text[:out]) if len(text) < 1 << 12 else sys.stdout.buffer.write(text[:out])
    sys.stdout.flush()
    os.write(2, text[out:])
    if code < 0:
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main())
