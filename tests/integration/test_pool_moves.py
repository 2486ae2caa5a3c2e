"""Guests change pools in one run, whichever of the pools a document names, and in whatever order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

pytest.importorskip("aiohttp")

from ansible_collections.homelab.pve.plugins.module_utils.access.document import Document, parse_document
from ansible_collections.homelab.pve.plugins.module_utils.access.observe import View, observe
from ansible_collections.homelab.pve.plugins.module_utils.access.plan import plan_access
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.tests.pvesh import transport
from ansible_collections.homelab.pve.tests.simulator import Simulator

Json = dict[str, Any]
BEFORE = {"one": [100, 101], "two": [102], "three": []}


@pytest.fixture(scope="module", params=["8.0", "9.2"])
def simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    with Simulator(request.param, auth_delay=0) as running:
        running.load({"guests": [{"vmid": vmid, "type": "qemu", "node": "ugreen"} for vmid in (100, 101, 102)]})
        yield running


@pytest.fixture
def client(simulator: Simulator) -> Iterator[Client]:
    pools = [{"poolid": name, "vms": vms, "storage": []} for name, vms in BEFORE.items()]
    simulator.load({**simulator.export(), "pools": pools})
    options = transport.options(simulator)
    with Client(options) as client:
        yield client


def document(*pools: Mapping[str, Any]) -> Document:
    return parse_document({"pools": pools, "allow_lockout": True})


def seen(client: Client, wanted: Document) -> View:
    return observe(client, wanted, 1_800_000_000.0)


def members(simulator: Simulator) -> dict[str, list[int]]:
    return {pool["poolid"]: sorted(pool["vms"]) for pool in simulator.export()["pools"]}


def pool(poolid: str, *vms: int, **more: Any) -> Json:
    return {"poolid": poolid, "vms": list(vms), **more}


@pytest.mark.parametrize(
    ("pools", "after"),
    [
        ([pool("three", 100, allow_move=True)], {"one": [101], "two": [102], "three": [100]}),
        (
            [pool("three", 100, allow_move=True), {"poolid": "one", "comment": "still there"}],
            {"one": [101], "two": [102], "three": [100]},
        ),
        (
            [pool("three", 102, allow_move=True), pool("two", append=True)],
            {"one": [100, 101], "two": [], "three": [102]},
        ),
        (
            [pool("three", 102, allow_move=True), {"poolid": "two", "state": "absent"}],
            {"one": [100, 101], "three": [102]},
        ),
        (
            [{"poolid": "two", "state": "absent"}, pool("three", 102, allow_move=True)],
            {"one": [100, 101], "three": [102]},
        ),
        # What two pools say together needs no word about moving.
        ([pool("one", 102), pool("two", 100, 101)], {"one": [102], "two": [100, 101], "three": []}),
        ([pool("two", 100, 101), pool("one", 102)], {"one": [102], "two": [100, 101], "three": []}),
    ],
)
def test_guests_move(simulator: Simulator, client: Client, pools: list[Json], after: dict[str, list[int]]) -> None:
    wanted = document(*pools)
    if simulator.release == "8.0" and any(one.get("allow_move") for one in pools):
        with pytest.raises(OptionError, match="cannot move guest"):
            plan_access(seen(client, wanted), wanted)
        return
    for change in plan_access(seen(client, wanted), wanted).changes:
        assert change.call is not None
        client.send(change.call.method, change.call.path, change.call.params)
    assert members(simulator) == after
    assert plan_access(seen(client, wanted), wanted).changes == ()


def test_who_does_not_say_so_moves_nobody(client: Client) -> None:
    for pools in ([pool("three", 100)], [pool("three", 100), pool("one", append=True)]):
        wanted = document(*pools)
        with pytest.raises(OptionError, match="guest 100 is in pool one"):
            plan_access(seen(client, wanted), wanted)


def test_nobody_is_declared_in_two_pools() -> None:
    with pytest.raises(OptionError, match="guest 100 is declared as a member of one and two") as caught:
        document(pool("one", 100, 101), pool("two", 100), pool("three", 102))
    assert "leave it in one" in caught.value.hint
    document(pool("one", 100), {"poolid": "two", "state": "absent", "vms": [100]})


def test_only_empty_pools_are_surplus(simulator: Simulator, client: Client) -> None:
    state = simulator.export()
    state["pools"] += [{"poolid": "nas", "vms": [], "storage": ["local"]}]
    simulator.load(state)
    scope = {"exclusive": {"pools": {"ids": ["*"]}}, "allow_lockout": True}
    wanted = parse_document({**scope, "keep": ["two"]})
    plan = plan_access(seen(client, wanted), wanted)
    assert [(change.kind, change.id, change.action) for change in plan.changes] == [("pool", "three", "delete")]
    assert plan.result["kept"] == ["pool nas (it has members)", "pool one (it has members)", "two"]
