"""A firewall as the API lists it, made into rules of the kernel, and packets that are put to them.

Written from the order in which PVE makes the rules of a host, and from nothing else here: what reads a firewall on
paper is to be measured by it.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]
VERDICTS = ("ACCEPT", "DROP", "REJECT")
BRIDGES = ("vmbr0", "vmbr1")
HOST = {"vmbr0": ("192.168.40.2", "fd00:40::2"), "vmbr1": ("10.77.0.1", "fd00:77::1")}
MACROS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "SSH": (("tcp", "22"),),
    "Web": (("tcp", "80"), ("tcp", "443")),
    "SPICEproxy": (("tcp", "3128"),),
    "DNS": (("udp", "53"), ("tcp", "53")),
}
BUILT_IN = ("8006", "5900:5999", "3128", "22", "60000:60050")
PATIENCE = 30.0  # until packets count as lost


@dataclass(frozen=True)
class Listed:
    """What the API lists of the datacenter and of one node."""

    options: Row
    rules: list[Row]
    aliases: list[Row]
    ipsets: dict[str, list[Row]]
    groups: dict[str, list[Row]]
    node_options: Row = field(default_factory=dict)
    node_rules: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Probe:
    """A first packet from outside, by TCP or UDP. Its source port tells it from all others."""

    bridge: str
    source: str
    dest: str
    protocol: str
    dport: int
    sport: int


class Compiler:
    """The rules of the host for one family of addresses."""

    def __init__(self, listed: Listed, local_network: str, version: int) -> None:
        self.listed = listed
        self.version = version
        self.aliases = {row["name"].lower(): row["cidr"] for row in listed.aliases}
        self.local_network = self.aliases.get("local_network", local_network)

    # -- IP sets -------------------------------------------------------------------------------------------------------

    def sets(self) -> Iterator[str]:
        """Yield lines for ``ipset restore``."""
        names = {*self.listed.ipsets, "management"}
        for name in sorted(names):
            yield f"create -exist {self.kernel_set(name)} hash:net family {'inet6' if self.version == 6 else 'inet'}"
            yield f"flush {self.kernel_set(name)}"
            members: dict[ipaddress.IPv4Network | ipaddress.IPv6Network, bool] = {}
            for entry in self.listed.ipsets.get(name, ()):
                if not entry.get("errors"):
                    cidr = self.aliases.get(entry["cidr"].removeprefix("dc/").lower(), entry["cidr"])
                    members[ipaddress.ip_network(cidr)] = bool(entry.get("nomatch"))
            if name == "management":
                members[ipaddress.ip_network(self.local_network)] = False
            for network, nomatch in members.items():
                if network.version == self.version:
                    yield f"add {self.kernel_set(name)} {network}{' nomatch' if nomatch else ''}"

    def kernel_set(self, name: str) -> str:
        return f"s{self.version}-{name}"

    # -- rules ---------------------------------------------------------------------------------------------------------

    def table(self) -> str:
        """Return a table for ``iptables-restore``: every verdict is put down with the packet's source port."""
        lines = [
            "*filter",
            ":INPUT ACCEPT [0:0]",
            ":OUTPUT DROP [0:0]",
            ":TAKE - [0:0]",
            "-A TAKE -j MARK --set-mark 1",
        ]
        for verdict in (*VERDICTS, "INVALID"):
            lines += [f":TO-{verdict} - [0:0]", f"-A TO-{verdict} -j SET --add-set v{self.version}-{verdict} src,src"]
            lines.append(f"-A TO-{verdict} -j {'ACCEPT' if verdict == 'ACCEPT' else 'DROP'}")
        lines += [f":GROUP-{name} - [0:0]" for name in self.listed.groups]
        for name, rules in self.listed.groups.items():
            lines.append(f"-A GROUP-{name} -j MARK --set-mark 0")
            for rule in rules:
                for match in self.matches(rule):
                    # A group that accepts says so by a mark, and whoever called it acts on that.
                    lines.append(f"-A GROUP-{name}{match} -g {'TAKE' if rule['action'] == 'ACCEPT' else end(rule)}")
        lines += [f"-A INPUT {line}" for line in self.input()]
        return "\n".join([*lines, "COMMIT", ""])

    def input(self) -> Iterator[str]:
        yield "-i lo -j ACCEPT"
        yield "-m conntrack --ctstate INVALID -j TO-INVALID"
        if self.listed.options.get("enable", 0) == 0 or self.listed.node_options.get("enable", 1) == 0:
            yield "-j TO-ACCEPT"
            return
        yield "-m conntrack --ctstate RELATED,ESTABLISHED -j TO-INVALID"
        if "blacklist" in self.listed.ipsets:
            yield f"-m set --match-set {self.kernel_set('blacklist')} src -j TO-DROP"
        for rule in (*self.listed.node_rules, *self.listed.rules):
            if rule["type"] != "group":
                for match in self.matches(rule):
                    yield f"{match} -j {end(rule)}"
            elif rule.get("enable") and not rule.get("errors") and rule["action"] in self.listed.groups:
                bridge = f"-i {rule['iface']} " if rule.get("iface") else ""
                yield f"{bridge}-j GROUP-{rule['action']}"
                yield f"{bridge}-m mark --mark 1 -j TO-ACCEPT"
        for ports in BUILT_IN:
            yield f"-p tcp --dport {ports} -m set --match-set {self.kernel_set('management')} src -j TO-ACCEPT"
        yield f"-j TO-{self.listed.options.get('policy_in', 'DROP')}"

    def matches(self, rule: Row) -> Iterator[str]:
        """Yield what packets must have for a rule, once for each line that it stands for."""
        if not rule.get("enable") or rule.get("errors") or rule["type"] != "in":
            return
        if rule.get("ipversion", self.version) != self.version:
            return
        where = f" -i {rule['iface']}" if rule.get("iface") else ""
        for side, short in (("source", "src"), ("dest", "dst")):
            if rule.get(side):
                where += self.address(rule[side], short)
        services: Iterable[tuple[str | None, str | None]] = ((rule.get("proto"), rule.get("dport")),)
        for proto, dport in MACROS[rule["macro"]] if rule.get("macro") else services:
            found = where + (f" -p {proto}" if proto else "")
            for ports, side in ((dport, "d"), (rule.get("sport"), "s")):
                if ports and "," in ports:
                    found += f" -m multiport --{side}ports {ports}"
                elif ports:
                    found += f" --{side}port {ports}"
            yield found

    def address(self, text: str, short: str) -> str:
        if text.startswith("+"):
            return f" -m set --match-set {self.kernel_set(text[1:].removeprefix('dc/'))} {short}"
        text = self.aliases.get(text.removeprefix("dc/").lower(), text)
        return f" -m iprange --{short}-range {text}" if "-" in text else f" -{short[0]} {text}"


def end(rule: Row) -> str:
    """Return the chain that puts the verdict of a rule down."""
    return f"TO-{rule['action']}"


# -- the kernel --------------------------------------------------------------------------------------------------------

# A host with two bridges; what sends to them is in a namespace of its own.
HOLDER = "echo ready; exec cat"
SETUP = """
set -e
ip link set lo up
number=0
for bridge in vmbr0 vmbr1; do
  ip link add $bridge address 02:00:00:00:00:0$number type veth peer name $bridge netns CLIENT
  ip link set $bridge up
  echo 0 >/proc/sys/net/ipv4/conf/$bridge/rp_filter
  number=$((number + 1))
done
echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter
ADDRESSES
for family in 4 6; do
  for verdict in ACCEPT DROP REJECT INVALID; do
    ipset create v$family-$verdict hash:ip,port family inet$(test $family = 4 || echo 6)
  done
done
"""
SENDER = """
import socket, sys
sockets = {}
print("ready", flush=True)
for line in sys.stdin:
    bridge, frame = line.split()
    if bridge not in sockets:
        sockets[bridge] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sockets[bridge].bind((bridge, 0))
    sockets[bridge].send(bytes.fromhex(frame))
"""


class Lab:
    """A host in a namespace, and a client in another that sends from whatever address."""

    def __init__(self) -> None:
        self.host = self._hold("unshare", "--net", "sh", "-c", HOLDER)
        self.client = self._hold("unshare", "--net", sys.executable, "-S", "-E", "-c", SENDER)
        self.inside = ("nsenter", f"--target={self.host.pid}", "--net", "--")
        addresses = [
            f"ip address add {text}/{64 if ':' in text else 24} dev {bridge}{' nodad' if ':' in text else ''}"
            for bridge, texts in HOST.items()
            for text in texts
        ]
        setup = SETUP.replace("CLIENT", str(self.client.pid)).replace("ADDRESSES", "\n".join(addresses))
        self.run("sh", "-c", setup)
        up = "; ".join(f"ip link set {bridge} up" for bridge in BRIDGES)
        subprocess.run(["nsenter", f"--target={self.client.pid}", "--net", "--", "sh", "-ec", up], check=True)
        self._sports = iter(range(20000, 60000))

    @staticmethod
    def _hold(*command: str) -> subprocess.Popen[str]:
        # What is held ends with its standard input, so nothing stays behind whatever happens here.
        held = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert held.stdout
        assert held.stdout.readline() == "ready\n"
        return held

    def end(self) -> None:
        for held in (self.client, self.host):
            held.communicate()

    def run(self, *command: str, text: str = "") -> str:
        done = subprocess.run([*self.inside, *command], input=text, capture_output=True, text=True, check=False)
        assert not done.returncode, f"{' '.join(command)}: {done.stderr}\n{text}"
        return done.stdout

    def sport(self) -> int:
        """Return a source port that nobody had before: connections that are known would not be new."""
        return next(self._sports)

    def load(self, listed: Listed, local_network: str) -> None:
        compilers = {4: Compiler(listed, local_network, 4), 6: Compiler(listed, local_network, 6)}
        lines = [f"flush v{version}-{verdict}" for version in compilers for verdict in (*VERDICTS, "INVALID")]
        lines += [line for compiler in compilers.values() for line in compiler.sets()]
        self.run("ipset", "restore", text="\n".join([*lines, ""]))
        self.run("iptables-legacy-restore", text=compilers[4].table())
        self.run("ip6tables-legacy-restore", text=compilers[6].table())

    def verdicts(self, probes: list[Probe]) -> dict[int, str]:
        """Send packets, and return what became of them by their source ports."""
        assert self.client.stdin
        for probe in probes:
            self.client.stdin.write(f"{probe.bridge} {_frame(probe).hex()}\n")
        self.client.stdin.flush()
        end = time.monotonic() + PATIENCE
        while True:
            found: dict[int, str] = {}
            for line in self.run("ipset", "save").splitlines():
                if line.startswith("add v"):
                    # add v4-DROP 10.0.0.1,tcp:20001
                    unused, name, member = line.split()
                    found[int(member.rpartition(":")[2])] = name.partition("-")[2]
            if len(found) == len(probes):
                return found
            assert time.monotonic() < end, f"{len(probes) - len(found)} of {len(probes)} packets were lost"


def _frame(probe: Probe) -> bytes:
    """Return an Ethernet frame with the packet."""
    source, dest = ipaddress.ip_address(probe.source), ipaddress.ip_address(probe.dest)
    number = socket.IPPROTO_TCP if probe.protocol == "tcp" else socket.IPPROTO_UDP
    ports = struct.pack("!HH", probe.sport, probe.dport)
    if probe.protocol == "tcp":
        head, tail = ports + struct.pack("!IIBBH", 1, 0, 5 << 4, 2, 1024), struct.pack("!H", 0)  # SYN
    else:
        head, tail = ports + struct.pack("!H", 8), b""
    length = len(head) + 2 + len(tail)
    checksum = _checksum(source.packed + dest.packed + struct.pack("!II", length, number) + head + tail)
    segment = head + struct.pack("!H", checksum) + tail
    if source.version == 4:
        start = struct.pack("!BBHHHBB", 0x45, 0, 20 + length, 0, 0, 64, number)
        addresses = source.packed + dest.packed
        packet = start + struct.pack("!H", _checksum(start + addresses)) + addresses + segment
    else:
        packet = struct.pack("!IHBB", 6 << 28, length, number, 64) + source.packed + dest.packed + segment
    host = bytes((2, 0, 0, 0, 0, BRIDGES.index(probe.bridge)))
    return host + bytes((2, 0, 0, 0, 1, 0)) + struct.pack("!H", 0x0800 if source.version == 4 else 0x86DD) + packet


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
