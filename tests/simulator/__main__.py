"""Run the simulator in the foreground: ``python -m ansible_collections.homelab.pve.tests.simulator --port 18006``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading

from .population import Size
from .simulation import Simulator
from .state import ADMIN, ADMIN_PASSWORD, ROOT_SECRET, ROOT_TOKEN


def _parser() -> argparse.ArgumentParser:
    env = os.environ.get
    parser = argparse.ArgumentParser(prog="simulator", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--port", type=int, default=int(env("PORT") or 0), help="0 (the default) takes a free one")
    parser.add_argument("--release", default=env("RELEASE") or "9.2", help="7.4, 8.4 or 9.2")
    parser.add_argument("--latency-ms", type=float, default=float(env("LATENCY_MS") or 0), help="added to each answer")
    parser.add_argument(
        "--auth-delay", type=float, default=float(env("AUTH_DELAY") or 3), help="seconds that a 401 takes"
    )
    parser.add_argument("--node", default=env("NODE") or "ugreen", help="name of the first node")
    parser.add_argument("--nodes", type=int, default=int(env("NODES") or 1), help="nodes in all")
    parser.add_argument("--guests", type=int, default=int(env("GUESTS") or 0), help="guests beside VM 100 and CT 102")
    parser.add_argument("--state-dir", default=env("STATE_DIR"), help="keeps the certificates; default: temporary")
    return parser


def main() -> int:
    parser = _parser()
    options = parser.parse_args()
    try:
        Size(options.node, options.nodes, options.guests)
    except ValueError as error:
        parser.error(str(error))
    simulator = Simulator(
        options.release,
        port=options.port,
        auth_delay=options.auth_delay,
        latency=options.latency_ms / 1000,
        node=options.node,
        nodes=options.nodes,
        guests=options.guests,
        state_dir=options.state_dir,
    )
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    with simulator:
        print(f"base URL     {simulator.base_url}")
        print(f"CA file      {simulator.ca_file}")
        print(f"fingerprint  {simulator.fingerprint}")
        print(f"token        {ROOT_TOKEN}  secret {ROOT_SECRET}")
        print(f"user         {ADMIN}  password {ADMIN_PASSWORD}", flush=True)
        done.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
