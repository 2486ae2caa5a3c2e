"""Facts where something fails or is hidden: all the rest is there, and what is missing is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import TransportError
from ansible_collections.homelab.pve.tests.integration.infos import (
    AS_READER,
    READER,
    Json,
    everything,
    facts,
    lacking,
    reader,
)
from ansible_collections.homelab.pve.tests.simulator import Simulator

# Of two machines on a node, one has an agent that answers.
AGENT = "/nodes/*/qemu/*/agent/network-get-interfaces"


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with Simulator(auth_delay=0, nodes=4, guests=16) as simulator:
        yield simulator


@pytest.fixture
def cluster(running: Simulator) -> Simulator:
    """Four nodes with eighteen guests, and nothing wrong with them."""
    running.reset()
    everything(running)
    running.clear_requests()
    return running


def of_node(rows: Any, node: str) -> Any:
    """Return rows without those of a node."""
    return [row for row in rows if row.get("node") != node] if isinstance(rows, list) else rows


def test_four_things_that_go_wrong(cluster: Simulator) -> None:
    subsets = ("all", "!ha", "!guest_addresses", "!cluster", "!storage", "!guest_firewall", "!firewall")
    whole = facts(cluster, *subsets)
    down, other, third = "ugreen-2", "ugreen-3", "ugreen-4"
    cluster.set_online(down, False)
    cluster.fault(path=f"/nodes/{other}/status", times=0, do="status", status=500, reason="it broke")
    cluster.fault(path="/access/groups", times=0, do="status", status=403, reason="Permission check failed")
    cluster.fault(path=f"/nodes/{third}/certificates/info", times=0, do="slow", seconds=1.5)
    cluster.clear_requests()
    found = facts(cluster, *subsets, timeout=1)
    asked = Counter(request["path"] for request in cluster.requests())
    of_nodes = ("nodes", "node_status", "guests", "guest_status", "guest_config", "snapshots", "storage_content")
    of_nodes += ("tasks", "certificates", "updates")
    assert lacking(found) == Counter(
        [
            *((subset, "offline", down, None) for subset in of_nodes),
            ("node_status", "failed", other, None),
            ("groups", "hidden", None, None),
            ("certificates", "timeout", third, None),
        ]
    )
    # A node that PVE itself says is down is not asked at all.
    assert not [path for path in asked if path.startswith(f"/nodes/{down}/")]
    assert found["groups"] is None
    lost = {"node_status": other, "certificates": third}
    for subset in set(whole["gathered"]) - {"groups", "nodes", "guests", "sdn", "pools"}:
        expected = of_node(of_node(whole[subset], down), lost.get(subset, ""))
        assert of_node(found[subset], down) == expected, subset
        assert subset not in of_nodes or not [row for row in found[subset] if row["node"] == down]
    assert [row["vmid"] for row in found["guests"]] == [row["vmid"] for row in whole["guests"]]
    assert of_node(found["guests"], down) == of_node(whole["guests"], down)


def test_a_node_that_nobody_knows_to_be_down_is_asked_once(cluster: Simulator) -> None:
    cluster.fault(path="/nodes/ugreen-2/*", times=0, do="status", status=595, reason="No route to host")
    found = facts(cluster, "guest_config", "node_status", "tasks", "updates", concurrency=32)
    assert {row["reason"] for row in found["incomplete"]} == {"ugreen-2 cannot be reached: No route to host"}
    assert Counter(row["subset"] for row in found["incomplete"]) == Counter(found["gathered"])
    cluster.clear_faults()
    whole = facts(cluster, "guest_config", "node_status", "tasks", "updates")
    guests = sum(row["node"] == "ugreen-2" for row in whole["guest_config"])
    assert found["requests"] == whole["requests"] - guests - len(("status", "tasks", "updates")) + 1


def test_a_node_that_hangs_does_not_hold_up_the_others(cluster: Simulator) -> None:
    cluster.fault(path="/nodes/ugreen-2/*", times=0, do="slow", seconds=1.5)
    found = facts(cluster, "guest_config", "node_status", "tasks", "updates", "certificates", timeout=1)
    assert {(row["node"], row["kind"]) for row in found["incomplete"]} == {("ugreen-2", "timeout")}
    assert {row["node"] for row in found["guest_config"]} == {"ugreen", "ugreen-3", "ugreen-4"}
    # Three times it was waited for, and never for two questions at once.
    hanging = [row for row in found["incomplete"] if "No answer from" in row["reason"]]
    assert len(hanging) == 3


def test_a_cluster_that_hangs_fails_the_task(cluster: Simulator) -> None:
    cluster.fault(path="/[ca][lc][uc]*", times=0, do="slow", seconds=1.5)
    with pytest.raises(TransportError, match="No answer"):
        facts(cluster, "base", "acl", "users", timeout=1)


def test_no_figures_from_a_node_that_runs(cluster: Simulator) -> None:
    cluster.set_statistics("ugreen-3", False)
    found = facts(cluster, "nodes", "guests", "node_status")
    assert lacking(found) == Counter([("nodes", "failed", "ugreen-3", None), ("guests", "offline", "ugreen-3", None)])
    assert len(found["node_status"]) == 4


def test_the_resources_themselves_fail(cluster: Simulator) -> None:
    cluster.fault(path="/cluster/resources", times=0, do="status", status=500, reason="it broke")
    found = facts(cluster, "guests", "guest_config", "nodes", "node_status", "sdn", "storage")
    assert found["guests"] is None
    assert found["guest_config"] is None
    assert len(found["nodes"]) == len(found["node_status"]) == 4
    assert found["sdn"]["networks"] is None
    assert [row["storage"] for row in found["storage"]] == ["local", "nas", "off"]
    assert {row["subset"] for row in found["incomplete"]} == set(found["gathered"])


def test_rights_that_are_not_told(cluster: Simulator) -> None:
    cluster.fault(path="/access/permissions", times=0, do="status", status=500, reason="it broke")
    found = facts(cluster, "all", "!guest_addresses")
    assert {row["reason"] for row in found["incomplete"]} == {"GET /access/permissions: it broke"}
    assert {"users", "guests", "storage", "tasks", "log"} <= {row["subset"] for row in found["incomplete"]}
    assert len(found["guests"]) == 18


def test_agents_are_asked_two_at_a_time() -> None:
    simulator = Simulator(auth_delay=0, nodes=2, guests=48)
    server = simulator._server
    inner, flying, most = server.handler, Counter[str](), Counter[str]()

    async def counted(request: web.BaseRequest) -> web.StreamResponse:
        node = request.raw_path.split("/")[4] if "/agent/" in request.raw_path else ""
        flying[node] += 1
        most[node] = max(most[node], flying[node])
        try:
            return await inner(request)
        finally:
            flying[node] -= 1

    server.handler = counted  # type: ignore[method-assign]  # counts from when a question comes until it is answered
    with simulator:
        for path in (AGENT, "*/config"):
            simulator.fault(path=path, times=0, do="slow", seconds=0.05)
        found = facts(simulator, "guest_addresses", concurrency=32)
    agents = [row for row in found["guest_addresses"] if any(one["source"] == "agent" for one in row["addresses"])]
    assert len(agents) >= 8
    assert most["ugreen"] == most["ugreen-2"] == 2
    assert most[""] > 4


def test_agents_that_hang_are_left_alone(cluster: Simulator) -> None:
    cluster.fault(path=AGENT, times=0, do="slow", seconds=1.5)
    found = facts(cluster, "guest_addresses", "guest_config", timeout=1)
    assert found["guest_config"] == facts(cluster, "guest_config")["guest_config"]
    assert {(row["subset"], row["kind"]) for row in found["incomplete"]} == {("guest_addresses", "timeout")}
    # What does not say it itself has the addresses of its configuration.
    assert len(found["guest_addresses"]) == 18


# -- what is hidden -----------------------------------------------------------------------------------------------

HIDDEN_FROM_AUDITORS = {
    "log": "Only lines about {who} itself are listed; the others take Sys.Syslog on /.",
    "updates": "The updates of ugreen, ugreen-2, ugreen-3, ugreen-4 take Sys.Modify on /nodes/NODE.",
    "storage_content": "Of local, nas, disks and backups are listed only of guests on which {who} holds VM.Config.Disk "
    "or VM.Backup; all of them take Datastore.Allocate on /storage/STORAGE.",
}


def test_an_auditor(cluster: Simulator) -> None:
    cluster.load(reader(("/", "PVEAuditor")))
    whole = facts(cluster, "all")
    found = facts(cluster, "all", token=AS_READER)
    assert [row for row in found["incomplete"] if row["kind"] != "hidden"] == whole["incomplete"]
    told = {row["subset"]: row["reason"] for row in found["incomplete"] if row["kind"] == "hidden"}
    assert told == {subset: reason.format(who=READER) for subset, reason in HIDDEN_FROM_AUDITORS.items()}
    assert found["caller"] == READER
    assert found["updates"] is None
    same = {"version", "cluster", "cluster_options", "nodes", "node_status", "guests", "guest_status", "guest_config"}
    same |= {"guest_addresses", "snapshots", "storage", "realms", "firewall", "guest_firewall", "certificates", "sdn"}
    assert [subset for subset in sorted(same) if found[subset] != whole[subset]] == []


def test_two_guests(cluster: Simulator) -> None:
    cluster.load(reader(("/vms/100", "PVEAuditor"), ("/vms/1001", "PVEAuditor")))
    found = facts(cluster, "all", token=AS_READER)
    for subset in ("guests", "guest_status", "guest_config", "guest_addresses", "snapshots"):
        assert [row["vmid"] for row in found[subset]] == [100, 1001], subset
    assert sorted(found["guest_firewall"]) == ["guest 100", "guest 1001"]
    hidden = {row["subset"] for row in found["incomplete"]}
    assert hidden == set(found["gathered"]) - {"version", "roles", "permissions", "realms", "certificates"}
    for subset in ("cluster", "node_status", "storage", "pools", "groups", "acl", "firewall", "updates", "ha"):
        assert found[subset] is None, subset
    assert [node["node"] for node in found["nodes"]] == ["ugreen", "ugreen-2", "ugreen-3", "ugreen-4"]
    assert {node["mem"] for node in found["nodes"]} == {None}
    assert found["permissions"].keys() == {"/vms/100", "/vms/1001"}


def test_no_rights_at_all(cluster: Simulator) -> None:
    cluster.load(reader())
    found = facts(cluster, "all", token=AS_READER)
    shown = {subset for subset in found["gathered"] if found[subset] is not None}
    # Everybody sees these, the nodes without figures, and of the options which tags may be used.
    assert shown == {"version", "roles", "permissions", "realms", "certificates", "nodes", "cluster_options"}
    assert found["permissions"] == {}
    hidden = {row["subset"] for row in found["incomplete"] if row["kind"] == "hidden"}
    assert hidden == set(found["gathered"]) - {"version", "roles", "permissions", "realms", "certificates"}


def test_an_agent_that_may_not_be_asked() -> None:
    with Simulator("8.4", auth_delay=0) as simulator:
        simulator.load(reader(("/", "PVEAuditor")))
        found = facts(simulator, "guest_addresses", token=AS_READER)
        assert [row["reason"] for row in found["incomplete"]] == ["Asking the agents of 1 guests takes VM.Monitor."]
        assert not [request for request in simulator.requests() if "/agent/" in request["path"]]


def test_a_guest_that_is_not_there(cluster: Simulator) -> None:
    found = facts(cluster, "guests", "guest_config", filters={"vmid": [100, 999]})
    assert [row["vmid"] for row in found["guest_config"]] == [100]
    assert lacking(found) == Counter([("guests", "hidden", None, 999), ("guest_config", "hidden", None, 999)])


def test_a_guest_that_moves_away_in_between(cluster: Simulator) -> None:
    rows: list[Json] = cluster.export()["guests"]
    # The lists of resources are some seconds old, and a guest is gone by the time that its node is asked.
    cluster.fault(path="/nodes/ugreen/qemu", nth=1, do="slow", seconds=0.5)
    moved = [{**row, "node": "ugreen-2"} if row["vmid"] == 100 else row for row in rows]
    state = cluster._server.state
    inner = cluster._server.faults.pick

    def move(method: str, path: str) -> Any:
        if path.endswith("/nodes/ugreen/qemu"):
            state.load({"guests": moved})
        return inner(method, path)

    cluster._server.faults.pick = move  # type: ignore[method-assign]  # a moment that nothing else can choose
    found = facts(cluster, "guest_status")
    del cluster._server.faults.pick
    assert lacking(found) == Counter([("guest_status", "failed", "ugreen", 100)])
