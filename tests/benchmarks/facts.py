"""Inventories: this collection's plugin and that of community.proxmox, as ``ansible-inventory --list`` runs them.

Both are run by the same Ansible on the same simulated cluster. What they ask for of each guest is in the table; where
it says the same, it is: configuration, status, snapshots, and the addresses of those that run.
PEER names a folder of collections with another version of theirs than the one that is on the package index.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.homelab.pve.plugins.module_utils.facts.fetch import CONCURRENCY
from ansible_collections.homelab.pve.tests.benchmarks.cluster import Cluster, Cost, measure
from ansible_collections.homelab.pve.tests.others import peer
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN

TREE = Path(__file__).resolve().parents[2] / ".nox" / "tree"
# Guests, and the nodes that they are on.
SIZES = {500: 4, 5000: 16}
LATENCIES_MS = (0, 20)
HUGE, HUGE_NODES = 10_000, 64
CONCURRENCIES = (8, 16, 32)
ALL = "status, configuration, snapshots, addresses"
ALL_SUBSETS = ("guest_status", "guest_config", "snapshots", "guest_addresses")

Json = dict[str, Any]


@dataclass(frozen=True)
class Client:
    """An inventory plugin with its options, and what it is told in the table."""

    name: str
    gathers: str
    suffix: str
    options: Json


def ours(gathers: str = "nothing of single guests", *subsets: str, concurrency: int = 0, **more: Any) -> Client:
    options = {"plugin": "homelab.pve.pve", "gather": list(subsets), **more}
    if concurrency:
        options["concurrency"] = concurrency
    return Client(f"homelab.pve{at_once(concurrency)}", gathers, "pve.yml", options)


def theirs(gathers: str = "nothing of single guests", concurrency: int = 0, **more: Any) -> Client:
    options = {"plugin": "community.proxmox.proxmox", "want_facts": gathers == ALL, **more}
    if concurrency:
        options["facts_concurrency"] = concurrency
    return Client(f"community.proxmox{at_once(concurrency)}", gathers, "proxmox.yml", options)


def at_once(concurrency: int) -> str:
    return f", {concurrency} at once" if concurrency else ""


class Bench:
    """Runs clients on one cluster, and prints a line for each."""

    def __init__(self, cluster: Cluster, folder: Path, collections: Path, title: str) -> None:
        self.cluster = cluster
        self.folder = folder
        self.title = title
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PVE_", "ANSIBLE_"))}
        self.env = {
            **kept,
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": f"{TREE}:{collections}",
            "REQUESTS_CA_BUNDLE": cluster.ca_file,
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
        }

    def run(self, client: Client, than: Cost | None = None) -> Cost:
        """Run a client; its line also says how many times as long it took as another one."""
        # Before it runs: some take minutes.
        print(f"{self.title} {client.name:<30} {client.gathers:<44}", end="", flush=True)
        source = self.folder / f"cluster.{client.suffix}"
        source.write_text(json.dumps({**client.options, **self._login(client)}))
        program = Path(sys.executable).with_name("ansible-inventory")
        found = self.folder / "found.json"
        command = (program, "-i", source, "--list", "--output", found)
        cost = measure(self.cluster, command, self.env, self.folder / "log")
        ratio = f"{cost.seconds / than.seconds:>8.1f}" if than else ""
        print(
            f"{hosts(found):>7} {cost.requests:>9} {cost.seconds:>9.1f} {cost.processor:>5.1f} {cost.memory:>5}{ratio}",
            flush=True,
        )
        return cost

    def _login(self, client: Client) -> Json:
        if client.suffix == "pve.yml":
            host, unused, port = self.cluster.url.removeprefix("https://").partition(":")
            token = {"token_id": ROOT_TOKEN, "token_secret": ROOT_SECRET, "ca_path": self.cluster.ca_file}
            return {"host": host, "port": int(port), **token}
        user, unused, name = ROOT_TOKEN.partition("!")
        return {"url": self.cluster.url, "user": user, "token_id": name, "token_secret": ROOT_SECRET}


def hosts(found: Path) -> int:
    inventory: Mapping[str, Any] = json.loads(found.read_text())
    return len(inventory["_meta"]["hostvars"])


def without_nested_pools(cluster: Cluster) -> None:
    """Leave only the outermost pools: theirs asks for each by its name, which PVE does not have for nested ones."""
    state = cluster.control("GET", "state")
    # These go together.
    access = {kind: state[kind] for kind in ("users", "tokens", "groups", "roles", "pools", "acl")}
    access["pools"] = [pool for pool in access["pools"] if "/" not in pool["poolid"]]
    cluster.control("POST", "load", access)


def knows_concurrency(collections: Path) -> bool:
    plugin = collections / peer.COLLECTION / "plugins" / "inventory" / "proxmox.py"
    return "facts_concurrency" in plugin.read_text()


def header() -> None:
    print(
        f"{'guests':>6} {'ms':>3} {'client':<30} {'asks of each guest for':<44}"
        f"{'hosts':>7} {'requests':>9} {'seconds':>9} {'CPU':>5} {'MiB':>5}{'ratio':>8}"
    )


def compare(guests: int, latency_ms: int, collections: Path, concurrencies: list[int]) -> int:
    """Print the lines of one cluster. Return the concurrency at which theirs was fastest, 0 for its default."""
    with Cluster(nodes=SIZES[guests], guests=guests, latency_ms=latency_ms) as cluster:
        without_nested_pools(cluster)
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(cluster, Path(folder), collections, f"{guests:>6} {latency_ms:>3}")
            least = bench.run(ours())
            bench.run(theirs(), least)
            most = bench.run(ours(ALL, *ALL_SUBSETS))
            own = {0: most.seconds}
            for number in sorted({*CONCURRENCIES} - {CONCURRENCY}):
                own[number] = bench.run(ours(ALL, *ALL_SUBSETS, concurrency=number), most).seconds
            bench.run(ours("configuration, addresses", "guest_config", "guest_addresses"), most)
            other = {number: bench.run(theirs(ALL, number), most).seconds for number in [0, *concurrencies]}
    print(
        f"{'':>10} theirs at its default takes {other[0] / own[0]:.1f} times as long as ours at its default; "
        f"at its best {min(other.values()) / min(own.values()):.1f} times as long as ours at its best\n"
    )
    return min(other, key=lambda number: other[number])


def run() -> None:
    """Print the table. ``ratio``: how many times as long as ours with the same facts."""
    collections = Path(os.environ["PEER"]).absolute() if os.environ.get("PEER") else peer.collections()
    header()
    for latency_ms in LATENCIES_MS:
        tried = list(CONCURRENCIES) if knows_concurrency(collections) else []
        for guests in SIZES:
            best = compare(guests, latency_ms, collections, tried)
            # On the large cluster, only what was best on the small one.
            tried = [best] if best else []
    huge(collections)


def huge(collections: Path) -> None:
    """Print the line of a cluster that is as large as they get, with groups and variables."""
    more: Json = {
        "compose": {"ansible_user": "'root'", "memory_gib": "pve_maxmem // 1073741824"},
        "groups": {"web": "'web' in pve_tags"},
        "keyed_groups": [{"key": "pve_node", "prefix": "on"}, {"key": "pve_tags", "prefix": "with"}],
        "include": ["guests"],
        "strict": True,
    }
    with Cluster(nodes=HUGE_NODES, guests=HUGE, latency_ms=0) as cluster, tempfile.TemporaryDirectory() as folder:
        bench = Bench(cluster, Path(folder), collections, f"{HUGE:>6} {0:>3}")
        bench.run(ours("nothing; groups and compose", **more))
