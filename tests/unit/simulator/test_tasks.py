"""Lists of tasks with their filters, single tasks, and the cluster log."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import ROOT_TOKEN, Direct

NODE = "ugreen"
TASKS: list[dict[str, Any]] = [
    {
        "node": NODE,
        "type": "vzdump",
        "id": "100",
        "starttime": 1000,
        "endtime": 1100,
        "status": "OK",
        "log": ["a", "b"],
    },
    {
        "node": NODE,
        "type": "qmstart",
        "id": "100",
        "starttime": 2000,
        "endtime": 2001,
        "status": "no such disk",
        "log": None,
    },
    {
        "node": NODE,
        "type": "vzdump",
        "id": "102",
        "starttime": 3000,
        "endtime": 3100,
        "status": "WARNINGS: 2",
        "log": [],
    },
    {"node": NODE, "type": "qmigrate", "id": "100", "starttime": 4000, "user": "ann@pve!tk", "log": ["on its way"]},
    {
        "node": NODE,
        "type": "vncproxy",
        "id": "100",
        "starttime": 500,
        "endtime": 501,
        "user": "ann@pve!tk",
        "log": ["x"],
    },
]


@pytest.fixture
def busy(direct: Direct) -> Direct:
    direct.state.load({"tasks": TASKS})
    return direct


def starts(rows: list[dict[str, Any]]) -> list[int]:
    return [row["starttime"] for row in rows]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, [3000, 2000, 1000, 500]),
        ({"source": "all"}, [4000, 3000, 2000, 1000, 500]),
        ({"source": "active"}, [4000]),
        ({"limit": 2}, [3000, 2000]),
        ({"start": 1, "limit": 2}, [2000, 1000]),
        ({"limit": 0}, []),
        ({"errors": 1}, [3000, 2000]),
        ({"statusfilter": "ok"}, [1000, 500]),
        ({"statusfilter": "warning,error"}, [3000, 2000]),
        ({"statusfilter": "unknown", "source": "all"}, [4000]),
        ({"vmid": 102}, [3000]),
        ({"typefilter": "vzdump"}, [3000, 1000]),
        ({"userfilter": "ANN@"}, [500]),
        ({"userfilter": "ann@pve!tk", "source": "all"}, [4000]),  # only running ones are filtered by the full id
        ({"since": 1000, "until": 2000}, [2000, 1000]),
    ],
)
def test_filters_of_a_nodes_tasks(busy: Direct, query: dict[str, Any], found: list[int]) -> None:
    assert starts(busy.get(f"/nodes/{NODE}/tasks", **query)) == found


def test_a_running_task(busy: Direct) -> None:
    (row,) = busy.get(f"/nodes/{NODE}/tasks", source="active")
    assert (row["status"], row["user"]) == ("RUNNING", "ann@pve!tk")
    assert not {"endtime", "tokenid"} & row.keys()
    status = busy.get(f"/nodes/{NODE}/tasks/{row['upid']}/status")
    assert (status["status"], status["user"], status["tokenid"]) == ("running", "ann@pve", "tk")
    assert "exitstatus" not in status


def test_the_total_counts_what_is_not_shown(busy: Direct) -> None:
    assert busy.ask(f"/nodes/{NODE}/tasks", limit=1)["total"] == 4
    assert "total" not in busy.ask(f"/nodes/{NODE}/tasks", vmid=555)


def test_a_token_sees_its_own_tasks_of_a_node_and_none_of_the_cluster(busy: Direct) -> None:
    token = busy.token({})
    assert starts(busy.get(f"/nodes/{NODE}/tasks", token, source="all")) == [4000, 500]
    assert busy.get("/cluster/tasks", token) == []
    foreign = busy.get(f"/nodes/{NODE}/tasks", typefilter="vzdump", vmid=100)[0]["upid"]
    assert busy.refusal(f"/nodes/{NODE}/tasks/{foreign}/log", token)[0] == 403


def test_an_auditor_sees_all_tasks(busy: Direct) -> None:
    token = busy.token({"/": "PVEAuditor"})
    rows = busy.get("/cluster/tasks", token)
    assert sorted(starts(rows)) == [500, 1000, 2000, 3000, 4000]
    assert {row["saved"] for row in rows if "endtime" not in row} == {"0"}


def test_tasks_of_dead_nodes_are_not_in_the_clusters_list() -> None:
    direct = Direct(nodes=2)
    assert {row["node"] for row in direct.get("/cluster/tasks")} == {"ugreen", "ugreen-2"}
    direct.state.nodes["ugreen-2"].online = False
    assert {row["node"] for row in direct.get("/cluster/tasks")} == {"ugreen"}


def test_the_output_of_a_task(busy: Direct) -> None:
    by_start = {row["starttime"]: row["upid"] for row in busy.get(f"/nodes/{NODE}/tasks")}

    def log(begun: int, **query: int) -> Any:
        return busy.get(f"/nodes/{NODE}/tasks/{by_start[begun]}/log", **query)

    assert log(1000) == log(1000, limit=0) == [{"n": 1, "t": "a"}, {"n": 2, "t": "b"}]
    assert log(1000, start=1) == [{"n": 2, "t": "b"}]
    assert log(3000) == [{"n": 1, "t": "no content"}]
    assert log(2000) == [{"n": 1, "t": "unable to open file - No such file or directory"}]
    assert busy.get(f"/nodes/{NODE}/tasks/{by_start[3000]}/status")["exitstatus"] == "WARNINGS: 2"
    assert busy.ask(f"/nodes/{NODE}/tasks/{by_start[2000]}/status")["errors"] == {"upid": "no such task"}


def test_the_cluster_log_is_ones_own_without_the_right_to_read_it(direct: Direct) -> None:
    entries = [
        {"time": 10, "msg": "first", "node": NODE, "user": "ann@pve!tk", "uid": 1},
        {"time": 20, "msg": "second", "node": NODE, "user": "root@pam", "uid": 2},
    ]
    direct.state.load({"log": entries})
    token = direct.token({"/": "PVEAuditor"})
    assert [row["msg"] for row in direct.get("/cluster/log", ROOT_TOKEN)] == ["second", "first"]
    assert [row["msg"] for row in direct.get("/cluster/log", ROOT_TOKEN, max=1)] == ["second"]
    (own,) = direct.get("/cluster/log", token)
    assert own == {**entries[0], "uid": "1", "id": "1:ugreen", "pid": 4936, "pri": 6, "tag": "pvedaemon"}
