"""A simulated cluster on the host: its API, the file that pmxcfs shows of it, and what proxmox-firewall makes of that.

Says how to reach it, a variable of the environment a line, then an empty line.
"""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN, Simulator

FILE = Path("/etc/pve/firewall/cluster.fw")
RULE = re.compile(r"^IN ACCEPT -source (\S+) -p tcp -dport 8006", re.MULTILINE)


def let_in(text: str) -> None:
    lines = []
    for number, mark in ((4, "."), (6, ":")):
        lines.append(f"flush set inet proxmox-firewall clients{number}")
        clients = ", ".join(source for source in RULE.findall(text) if mark in source)
        if clients:
            lines.append(f"add element inet proxmox-firewall clients{number} {{ {clients} }}")
    subprocess.run(["nft", "-f", "-"], input="\n".join([*lines, ""]), text=True, check=True)


def main() -> None:
    with Simulator(auth_delay=0) as simulator:
        print(f"PVE_HOST={simulator.host}\nPVE_PORT={simulator.port}\nPVE_FINGERPRINT={simulator.fingerprint}")
        print(f"PVE_TOKEN_ID={ROOT_TOKEN}\nPVE_TOKEN_SECRET={ROOT_SECRET}\n", flush=True)
        known = ""
        while True:
            stored = simulator.export()["firewall"]["cluster"] or ""
            shown = FILE.read_text() if FILE.exists() else ""
            if stored != known:
                FILE.with_suffix(".new").write_text(stored)
                FILE.with_suffix(".new").replace(FILE)
                known = stored
            elif shown != known:
                simulator.load({"firewall": {"cluster": shown}})
                known = shown
            else:
                time.sleep(0.1)
                continue
            let_in(known)


if __name__ == "__main__":
    main()
