"""prometheus-pve-exporter: its own program, scraped as Prometheus does."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pve_exporter")

from ansible_collections.homelab.pve.plugins.module_utils.cards.card import CA, Card, Server
from ansible_collections.homelab.pve.plugins.module_utils.cards.formats import FORMATS
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN, Simulator
from prometheus_client.parser import text_string_to_metric_families

from .conftest import NODES, guests_of, name_of

SECONDS = 30  # until a program counts as hung

Labels = frozenset[tuple[str, str]]


class Metrics:
    """What a scrape told: the values by their names and labels."""

    def __init__(self, text: str) -> None:
        self.values: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self.values.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value

    def of(self, name: str) -> dict[str, float]:
        """Return the values of a metric by the label ``id``."""
        return {dict(labels)["id"]: value for labels, value in self.values[name].items()}

    def labels(self, name: str) -> dict[str, dict[str, str]]:
        """Return the labels of a metric, by that of them that is called ``id``."""
        return {dict(labels)["id"]: dict(labels) for labels in self.values[name]}


@pytest.fixture
def exporter(simulator: Simulator, environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The address of the program, with root's own token, as a connection card has it."""
    server = Server(simulator.base_url, simulator.host, simulator.port, CA, ca_path=simulator.ca_file)
    card = Card(server, ROOT_TOKEN, "the exporter", secret=ROOT_SECRET)
    (tmp_path / "pve.yml").write_text(FORMATS["prometheus-pve-exporter"].render(card))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = (sys.executable, "-m", "pve_exporter", "--config.file", "pve.yml", "--web.listen-address", address)
    log = tmp_path / "log"
    with log.open("w") as stream:
        program = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=stream, stderr=stream)
    try:
        until = time.monotonic() + SECONDS
        while True:
            assert program.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(f"http://{address}/", timeout=SECONDS).close()
                break
            except urllib.error.URLError:
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.05)
        yield address
    finally:
        program.terminate()
        program.wait(SECONDS)


def test_it_tells_of_all_there_is(simulator: Simulator, exporter: str) -> None:
    url = f"http://{exporter}/pve?target={simulator.host}:{simulator.port}&cluster=1&node=1"
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:
        metrics = Metrics(answer.read().decode())
    guests = {f"{guest['type']}/{vmid}": guest for vmid, guest in guests_of(simulator).items()}
    nodes = [node["name"] for node in simulator.export()["nodes"]]
    assert len(nodes) == NODES

    up = metrics.of("pve_up")
    assert {name: value for name, value in up.items() if name in guests} == {
        # A machine that is paused has a process, and is not up.
        name: float(guest["status"] == "running" and guest.get("qmpstatus") != "paused")
        for name, guest in guests.items()
    }
    assert [up[f"node/{node}"] for node in nodes] == [1.0] * NODES
    assert up["cluster/homelab"] == 1.0
    assert [up[f"storage/{node}/local"] for node in nodes] == [1.0] * NODES

    told = metrics.labels("pve_guest_info")
    assert {name: (row["name"], row["node"], row["type"]) for name, row in told.items()} == {
        name: (name_of(guest), guest["node"], guest["type"]) for name, guest in guests.items()
    }
    memory = metrics.of("pve_memory_size_bytes")
    assert {name: memory[name] for name in guests} == {
        name: int(guest["config"]["memory"]) << 20 for name, guest in guests.items()
    }
    assert all(0 < metrics.of("pve_memory_usage_bytes")[f"node/{node}"] < memory[f"node/{node}"] for node in nodes)
    assert {row["name"] for row in metrics.labels("pve_node_info").values()} == set(nodes)
    assert metrics.labels("pve_cluster_info")["cluster/homelab"]["nodes"] == str(NODES)
    (version,) = metrics.values["pve_version_info"]
    assert dict(version)["release"] == simulator.release
    assert {row["storage"] for row in metrics.labels("pve_storage_info").values()} >= {"local"}
    # What it reads of each guest of the node that it asks.
    here = {name: guest for name, guest in guests.items() if guest["node"] == nodes[0]}
    assert metrics.of("pve_onboot_status") == {
        name: float(guest["config"]["onboot"]) for name, guest in here.items() if "onboot" in guest["config"]
    }
    assert metrics.of("pve_not_backed_up_total") == {"cluster/homelab": float(len(guests))}
    refused = [row for row in simulator.requests() if row["status"] != 200]
    assert refused == []
