"""A Proxmox VE host, a container and another machine in namespaces of their own, and real packets between them.

Everything is held by one process and ends with it: networks, mounts, whatever runs there. What is written to /etc,
/usr and /run there is not seen outside.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.homelab.pve.tests.simulator.certificates import make_certificates

HERE = Path(__file__).resolve().parent
TREE = HERE.parents[1] / ".nox" / "tree"
PACKAGE = "ansible_collections.homelab.pve.tests.packets"
SCRIPT = HERE.parents[1] / "roles" / "host_firewall" / "files" / "host_firewall.sh"
TOOLS = ("ip", "ipset", "iptables", "iptables-legacy", "iptables-nft", "nft", "nsenter", "unshare")
HOST = ("192.168.40.60", "fd00:40::60")
MACHINES = {"admin": 1, "container": 82, "other": 99}
CONTAINER = ["192.168.40.82", "fd00:40::82"]
OTHER = ["192.168.40.99", "fd00:40::99"]
PATIENCE = 20.0  # until what should happen counts as not happening

# /etc/alternatives says which back end iptables has; pve-firewall itself chooses the old one when it starts.
SETUP = """
set -e
mount -t tmpfs tmpfs /run
for folder in etc usr; do
  mkdir -p /run/over/$folder/upper /run/over/$folder/work
  mount -t overlay -o lowerdir=/$folder,upperdir=/run/over/$folder/upper,workdir=/run/over/$folder/work overlay /$folder
done
for program in iptables ip6tables; do
  for part in '' -save -restore; do
    ln -sf $(command -v $program-$1$part) /usr/local/sbin/$program$part
  done
done
mkdir -p /etc/pve/firewall /etc/pve/local
mkdir -p /etc/systemd/system
ip link set lo up
ip link add vmbr0 type bridge
ip link set vmbr0 up
ip address add 192.168.40.60/24 dev vmbr0
ip address add fd00:40::60/64 dev vmbr0 nodad
for machine in admin=1 container=82 other=99; do
  name=${machine%=*} number=${machine#*=}
  ip netns add $name
  ip link add veth$number type veth peer name eth0 netns $name
  ip link set veth$number master vmbr0 up
  ip -n $name link set eth0 up
  ip -n $name address add 192.168.40.$number/24 dev eth0
  ip -n $name address add fd00:40::$number/64 dev eth0 nodad
done
echo ready
exec sleep infinity
"""
KNOCK = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 8006), timeout=float(sys.argv[2])).close()
except OSError as error:
    sys.exit(type(error).__name__)
"""


def lacks() -> list[str]:
    """Return what this machine lacks for such a world."""
    missing = [name for name in TOOLS if shutil.which(name) is None]
    if missing:
        return missing
    tried = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False)
    return ["the right to make namespaces"] if tried.returncode else []


def eventually(condition: Callable[[], Any]) -> bool:
    """Wait until a condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


class World:
    def __init__(self, folder: Path, back_end: str) -> None:
        self.folder = folder
        spaces = ("--net", "--mount", "--pid", "--mount-proc", "--propagation=private")
        self.holder = subprocess.Popen(
            ["unshare", *spaces, "--fork", "--kill-child", "sh", "-c", SETUP, "sh", back_end],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.holder.stdout
        assert self.holder.stderr
        if self.holder.stdout.readline() != "ready\n":
            raise RuntimeError(self.holder.stderr.read())
        children = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text().split()
        self.prefix = ("nsenter", f"--target={children[0]}", "--net", "--mount", "--pid", f"--wd={folder}", "--")
        path = f"{HERE / 'bin'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self.env = {"PATH": path, "LC_ALL": "C.UTF-8"}
        for machine in MACHINES:
            python = folder / f"{machine}-python"
            python.write_text(f'#!/bin/sh\nexec ip netns exec {machine} {sys.executable} "$@"\n')
            python.chmod(0o755)
        made = make_certificates(folder, "ugreen")
        subprocess.Popen(
            [*self.prefix, sys.executable, str(HERE / "server.py"), str(made.certificate_file), str(made.key_file)],
            env=self.env,
        )
        assert eventually(lambda: self.knock("host", HOST[0], 1)), "nobody listens"
        self.sh("pve-firewall start")

    def end(self) -> None:
        self.holder.kill()  # and with it all that runs there
        self.holder.communicate()

    # -- the host ------------------------------------------------------------------------------------------------------

    def sh(self, command: str, check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.prefix, "sh", "-c", command],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **more,
        )
        assert not check or not done.returncode, f"{command}\n{done.stdout}{done.stderr}"
        return done

    def read(self, path: str) -> str:
        return self.sh(f"cat {path}").stdout

    def write(self, path: str, text: str) -> None:
        self.sh(f"mkdir -p $(dirname {path}) && cat >{path}", input=text)

    def exists(self, path: str) -> bool:
        return not self.sh(f"test -e {path}", check=False).returncode

    def rules(self) -> list[str]:
        """Every rule of the host, in order, and every chain."""
        text = self.sh("iptables-save; ip6tables-save; nft list tables").stdout
        return [line.partition(" [")[0] for line in text.splitlines() if not line.startswith("#")]

    def script(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Give a command to the role's script, as it lies in /run while a change is under way."""
        place = "/run/homelab-pve-host-firewall"
        return self.sh(
            f"mkdir -p {place} && cp {SCRIPT} {place}/ && sh {place}/host_firewall.sh {' '.join(arguments)}", check
        )

    def boot(self) -> None:
        """Start the host again: rules are gone, and what is enabled comes in its order."""
        for program in ("iptables", "ip6tables"):
            self.sh(f"{program} -F; {program} -X")
        self.sh("ipset destroy; rm -rf /run/homelab-pve-host-firewall /run/timers")
        if not self.sh("systemctl is-enabled netfilter-persistent.service", check=False).returncode:
            self.sh("netfilter-persistent")
        self.sh("pve-firewall start")
        for unit in self.sh("ls /etc/systemd/system/multi-user.target.wants", check=False).stdout.split():
            if unit.startswith("homelab"):
                self.sh(f"systemctl start {unit}")

    def let_time_pass(self) -> None:
        """All timers elapse."""
        self.sh("touch /run/time-has-come")

    def start_cluster(self) -> dict[str, str]:
        """Start a simulated cluster on the host, and return what names it in the environment."""
        command = [*self.prefix, sys.executable, "-m", f"{PACKAGE}.cluster"]
        started = subprocess.Popen(
            command, env={**self.env, "PYTHONPATH": str(TREE)}, stdout=subprocess.PIPE, text=True
        )
        assert started.stdout
        said = itertools.takewhile(str.strip, started.stdout)
        return {name: value for name, unused, value in (line.strip().partition("=") for line in said)}

    # -- packets -------------------------------------------------------------------------------------------------------

    def knock(self, machine: str, address: str, seconds: float) -> bool:
        inside = [] if machine == "host" else ["ip", "netns", "exec", machine]
        command = [*self.prefix, *inside, sys.executable, "-S", "-E", "-c", KNOCK, address, str(seconds)]
        return not subprocess.run(command, env=self.env, capture_output=True, check=False).returncode

    def dropped(self) -> int:
        """How many packets to the port were dropped so far."""
        saved = self.sh("iptables-save -c; ip6tables-save -c").stdout.splitlines()
        counts = [int(line[1:].partition(":")[0]) for line in saved if line.endswith("--dport 8006 -j DROP")]
        listed = self.sh("nft list table inet proxmox-firewall", check=False).stdout.split()
        return sum(counts) + sum(int(listed[i + 1]) for i, word in enumerate(listed) if word == "packets")

    def let_in(self, machine: str) -> bool:
        """Tell whether a machine reaches the port, over IPv4 and over IPv6."""
        return all(self.knock(machine, address, PATIENCE) for address in HOST)

    def kept_out(self, machine: str) -> bool:
        """Tell whether it does not, over either, because its packets were dropped."""
        for address in HOST:
            before = self.dropped()
            if self.knock(machine, address, 0.5) or self.dropped() == before:
                return False
        return True
