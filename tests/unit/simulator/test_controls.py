"""The simulator's own controls: state, log, faults, nodes."""

from __future__ import annotations

import concurrent.futures
import http.client
import json
import re
import time
from typing import Any

import pytest
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, Simulator
from ansible_collections.homelab.pve.tests.simulator.schema import tree
from ansible_collections.homelab.pve.tests.simulator.verify import UNDECLARED

from .conftest import ROOT, Wire


def test_reset_puts_the_pristine_state_back(wire: Wire, simulator: Simulator) -> None:
    before = simulator.export()
    wire.call("POST", "/access/users", {"userid": "new@pve", "password": "newnewnew"})
    assert simulator.export() != before
    assert wire.call("POST", "/_sim/reset").status == 200
    assert simulator.export() == before


def test_export_is_what_load_takes(wire: Wire, simulator: Simulator) -> None:
    wire.call("POST", "/access/groups", {"groupid": "g", "comment": "é: 100%\nx"})
    wire.call("POST", "/access/users", {"userid": "m@pve", "groups": "g", "comment": "c", "password": "mmmmmmmm"})
    wire.call("POST", "/access/users/m@pve/token/tk", {"comment": "t"})
    wire.call("POST", "/access/roles", {"roleid": "r", "privs": "VM.Audit"})
    wire.call("POST", "/pools", {"poolid": "p"})
    wire.call("PUT", "/pools", {"poolid": "p", "vms": "100", "storage": "local"})
    wire.call("PUT", "/access/acl", {"path": "/vms", "roles": "r", "groups": "g", "tokens": "m@pve!tk"})
    text = wire.call("GET", "/_sim/state").raw
    simulator.reset()
    wire.connection.request("POST", "/_sim/load", body=text)
    assert wire.connection.getresponse().read() == b"null\n"
    assert wire.call("GET", "/_sim/state").raw == text


def test_load_drops_what_pve_would_drop_on_reading(simulator: Simulator) -> None:
    simulator.load(
        {
            "users": [{"userid": "a@pve"}],
            "roles": [{"roleid": "r", "privs": ["VM.Audit", "No.Such"]}],
            "acl": [
                {"path": "/", "type": "user", "ugid": "gone@pve", "roleid": "r"},
                {"path": "/", "type": "user", "ugid": "a@pve", "roleid": "gone"},
                {"path": "/", "type": "token", "ugid": "a@pve!gone", "roleid": "r"},
                {"path": "/", "type": "user", "ugid": "root@pam", "roleid": "r"},
            ],
        }
    )
    state = simulator.export()
    assert [entry["ugid"] for entry in state["acl"]] == ["gone@pve"]
    assert state["roles"] == [{"roleid": "r", "privs": ["VM.Audit"]}]
    assert [user["userid"] for user in state["users"]] == ["a@pve", "root@pam"]


def test_an_entry_that_outlived_its_user_serves_the_next_of_that_name(wire: Wire, simulator: Simulator) -> None:
    simulator.load({"acl": [{"path": "/vms", "type": "user", "ugid": "gone@pve", "roleid": "PVEAuditor"}]})
    simulator.load({"secrets": {"root@pam!admin": ROOT_SECRET}})
    state = simulator.export()
    simulator.load({**state, "tokens": [{"tokenid": "root@pam!admin", "privsep": 0, "secret": ROOT_SECRET}]})
    answer = wire.call("PUT", "/access/acl", {"path": "/vms", "roles": "PVEAuditor", "users": "gone@pve", "delete": 1})
    assert answer.reason == "ACL update failed: user 'gone@pve' does not exist"
    wire.call("POST", "/access/users", {"userid": "gone@pve"})
    data = wire.call("GET", "/access/permissions", {"userid": "gone@pve", "path": "/vms"}).data
    assert "VM.Audit" in data["/vms"]


def test_the_log_has_no_secrets(wire: Wire, simulator: Simulator) -> None:
    wire.call("POST", "/access/users", {"userid": "log@pve", "password": "hush-hush-1"})
    headers = wire.login("log@pve", "hush-hush-1")
    wire.call("GET", "/access/users?full=1", headers=headers)
    wire.call("GET", "/version", headers={})
    log = simulator.requests()
    assert [(row["method"], row["path"], row["as"], row["status"]) for row in log] == [
        ("POST", "/access/users", "root@pam!admin", 200),
        ("POST", "/access/ticket", None, 200),
        ("GET", "/access/users", "log@pve", 200),
        ("GET", "/version", None, 401),
    ]
    assert log[0]["params"] == {"userid": "log@pve", "password": "***"}
    assert log[2]["params"] == {"full": "1"}
    assert "hush" not in json.dumps(log)
    assert ROOT_SECRET not in json.dumps(log)
    assert wire.call("DELETE", "/_sim/requests").status == 200
    assert json.loads(wire.call("GET", "/_sim/requests").raw) == []


CREATE: dict[str, Any] = {"method": "POST", "path": "/access/users"}


@pytest.mark.parametrize(("when", "done"), [("before", False), ("in", True)])
def test_a_connection_dropped_without_an_answer(wire: Wire, simulator: Simulator, when: str, done: bool) -> None:
    simulator.fault(**CREATE, when=when)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        wire.call("POST", "/access/users", {"userid": "f@pve"})
    wire.connection.close()
    assert any(user["userid"] == "f@pve" for user in simulator.export()["users"]) is done
    assert wire.call("POST", "/access/users", {"userid": "f2@pve"}).status == 200, "it strikes once"


def test_a_connection_dropped_in_the_middle_of_the_answer(wire: Wire, simulator: Simulator) -> None:
    simulator.fault(**CREATE, when="after")
    with pytest.raises(http.client.IncompleteRead) as error:
        wire.call("POST", "/access/users", {"userid": "f@pve"})
    wire.connection.close()
    assert error.value.partial == b'{"data'
    assert any(user["userid"] == "f@pve" for user in simulator.export()["users"])


def test_a_status_of_its_own_at_a_chosen_request(wire: Wire, simulator: Simulator) -> None:
    simulator.fault("GET", "/nodes/*", nth=2, times=2, do="status", status=595, reason="Connection refused")
    seen = [wire.call("GET", "/nodes/ugreen/status") for unused in range(4)]
    assert [answer.status for answer in seen] == [200, 595, 595, 200]
    assert (seen[1].reason, seen[1].raw) == ("Connection refused", b"")
    assert wire.call("GET", "/version").status == 200


def test_faults_over_http(wire: Wire) -> None:
    rules = [{"method": "GET", "path": "/api2/json/version", "times": 0, "do": "status", "status": 596}]
    wire.connection.request("POST", "/_sim/faults", body=json.dumps(rules))
    wire.connection.getresponse().read()
    assert [wire.call("GET", "/version").status for unused in range(3)] == [596] * 3
    wire.call("DELETE", "/_sim/faults")
    assert wire.call("GET", "/version").status == 200
    wire.connection.request("POST", "/_sim/faults", body='[{"when": "never"}]')
    assert wire.connection.getresponse().status == 400


def test_nodes_and_guests_beyond_the_homelab() -> None:
    with Simulator(auth_delay=0, node="pve1", nodes=3, guests=10) as simulator:
        wire = Wire(simulator)
        assert [row["node"] for row in wire.call("GET", "/nodes").data] == ["pve1", "pve1-2", "pve1-3"]
        status = wire.call("GET", "/cluster/status").data
        assert status[0] == {
            "type": "cluster",
            "id": "cluster",
            "name": "homelab",
            "nodes": 3,
            "quorate": 1,
            "version": 3,
        }
        assert len(wire.call("GET", "/cluster/resources", {"type": "vm"}).data) == 12
        away = "Configuration file 'nodes/pve1-2/qemu-server/100.conf' does not exist"
        assert wire.call("GET", "/nodes/pve1-2/qemu/100/config").reason == away


def test_a_node_that_is_down() -> None:
    with Simulator(auth_delay=0, nodes=2, guests=2) as simulator:
        wire = Wire(simulator)
        simulator.set_online("ugreen-2", online=False)
        answer = wire.call("GET", "/nodes/ugreen-2/status")
        assert (answer.status, answer.raw) == (595, b"")
        rows = {row["node"]: row for row in wire.call("GET", "/nodes").data}
        assert rows["ugreen-2"]["status"] == "offline"
        assert "cpu" not in rows["ugreen-2"]
        guests = [
            row for row in wire.call("GET", "/cluster/resources", {"type": "vm"}).data if row["node"] == "ugreen-2"
        ]
        assert guests
        assert all(row["status"] == "unknown" and "name" not in row for row in guests)
        wire.connection.request("POST", "/_sim/nodes/ugreen-2", body='{"online": true}', headers=ROOT)
        wire.connection.getresponse().read()
        assert wire.call("GET", "/nodes/ugreen-2/status").status == 200


def test_a_slow_answer_is_the_right_one_and_keeps_nobody_waiting(wire: Wire, simulator: Simulator) -> None:
    simulator.fault("GET", "/nodes/*/qemu/100/config", do="slow", seconds=0.4)
    other = Wire(simulator)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        late = pool.submit(wire.call, "GET", "/nodes/ugreen/qemu/100/config")
        time.sleep(0.1)
        assert other.call("GET", "/version").status == 200
        assert not late.done()
        assert late.result().data["name"] == "vm100"
    assert wire.call("GET", "/nodes/ugreen/qemu/100/config").status == 200, "it strikes once"


def test_slow_faults_go_together_with_others(wire: Wire, simulator: Simulator) -> None:
    simulator.fault("GET", "/version", do="slow", seconds=0.2, when="in")
    simulator.fault("GET", "/version", do="status", status=500, reason="Oops")
    started = time.monotonic()
    assert wire.call("GET", "/version").reason == "Oops"
    assert time.monotonic() - started >= 0.2
    with pytest.raises(ValueError, match="seconds"):
        simulator.fault(do="slow", seconds=-1)


@pytest.mark.parametrize(
    ("answers", "status", "reason"),
    [
        ("unreachable", 595, "No route to host"),
        ("refused", 595, "Connection refused"),
        ("timeout", 596, "Connection timed out"),
    ],
)
def test_how_calls_to_a_node_that_is_down_end(answers: str, status: int, reason: str) -> None:
    with Simulator(auth_delay=0, nodes=2) as simulator:
        wire = Wire(simulator)
        simulator.set_online("ugreen-2", False, answers=answers, seconds=0.3)
        started = time.monotonic()
        answer = wire.call("GET", "/nodes/ugreen-2/status")
        assert (answer.status, answer.reason, answer.raw) == (status, reason, b"")
        assert (time.monotonic() - started >= 0.3) is (answers == "timeout")
        assert wire.call("GET", "/nodes/ugreen/status").status == 200


def test_controls_of_nodes(wire: Wire, simulator: Simulator) -> None:
    def order(text: str, node: str = "ugreen") -> int:
        wire.connection.request("POST", f"/_sim/nodes/{node}", body=text)
        answer = wire.connection.getresponse()
        answer.read()
        return answer.status

    assert order('{"statistics": false}') == 200
    assert wire.call("GET", "/nodes").data[0]["status"] == "unknown"
    simulator.set_statistics("ugreen", True)
    assert wire.call("GET", "/nodes").data[0]["status"] == "online"
    for wrong in ('{"online": "no"}', '{"answers": "never"}', '{"name": "x"}', "{}"):
        assert order(wrong) == 400, wrong
    assert order('{"online": false}', "nowhere") == 400


def test_every_method_checks_rights_and_parameters(wire: Wire, simulator: Simulator) -> None:
    """Proofs rest on this: with an undeclared parameter, 403 is "refused" and 400 is "would have been allowed"."""
    simulator.load({"passwords": {"root@pam": "rootrootroot"}})
    root = wire.login("root@pam", "rootrootroot")
    wire.call("POST", "/access/users", {"userid": "none@pve", "password": "nonenone"})
    powerless = wire.login("none@pve", "nonenone")
    filled = {"node": "ugreen", "vmid": "100", "storage": "local", "userid": "admin@pve", "poolid": "p"}
    open_to_all = set()
    for endpoint in tree((9, 2)).endpoints.values():
        path = re.sub(r"{([^}]+)}", lambda match: filled.get(match[1], match[1]), endpoint.path)
        form = {"no-such-parameter": 1, **({"node": "ugreen"} if "N" in endpoint.flags else {})}
        answer = wire.call(endpoint.method, path, form, headers=root)
        if not endpoint.open_ended:
            assert answer.status == 400, (endpoint, answer.reason)
            assert UNDECLARED in answer.body["errors"]["no-such-parameter"], endpoint
        refused = wire.call(endpoint.method, path, {"no-such-parameter": 1}, headers=powerless)
        if refused.status == 500:  # a check that reads a user id dies of one that is missing
            assert "user name '' is too short" in refused.reason, endpoint
        elif refused.status != 403:
            open_to_all.add(str(endpoint.check))
    assert open_to_all <= {"all", "world"}


@pytest.mark.parametrize("release", [(7, 4), (8, 4), (9, 2)])
def test_the_tables_of_all_releases_can_be_read(release: tuple[int, int]) -> None:
    endpoints = tree(release).endpoints
    assert len(endpoints) > 600
    assert all(endpoint.parameters is not None for endpoint in endpoints.values())
