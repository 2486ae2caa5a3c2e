"""The tables of the proof against the API of the simulated releases: nothing is forgotten, nothing is risky."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp")

from ansible_collections.homelab.pve.plugins.module_utils.access.releases import Release
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import ApiError
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.endpoints.checks import fill
from ansible_collections.homelab.pve.plugins.module_utils.endpoints.everybody import FILTERED, INDEXES, NODE_STATE, OPEN
from ansible_collections.homelab.pve.plugins.module_utils.endpoints.writes import Write, not_provable, writes
from ansible_collections.homelab.pve.plugins.module_utils.proof.questions import GUARD
from ansible_collections.homelab.pve.tests.simulator.schema import Endpoint, tree
from ansible_collections.homelab.pve.tests.unit.proof.cluster import TOKEN, Cluster

RELEASES: list[Release] = [(7, 4), (8, 4), (9, 2)]
DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "proof.md"
Ways = frozenset[frozenset[tuple[str, str]]]


def ways(check: Any) -> Ways:
    """Return the sets of (path, privilege) that satisfy a check as the simulator writes it."""
    if isinstance(check, list):
        parts = [ways(part) for part in check[1:]]
        if check[0] == "or":
            return frozenset().union(*parts)
        together: Ways = frozenset({frozenset()})
        for part in parts:
            together = frozenset(one | other for one in together for other in part)
        return together
    kind, unused, rest = check.partition(" ")
    if kind == "self" or " if:" in check or check in ("root", "world", "all"):
        return frozenset()
    if kind in ("realm", "group"):
        kind = {"realm": "/access/realm/{userid_realm}", "group": "/access/groups"}[kind]
        rest = rest.partition(" ")[0]
    if kind == "modify":
        return frozenset({frozenset({("modify", rest)})})
    if "|" in rest:
        return frozenset(frozenset({(kind, one)}) for one in rest.split("|"))
    return frozenset({frozenset((kind, one) for one in rest.split("&"))})


def ways_of(write: Write) -> Ways:
    """Return the same of an entry in the proof's table."""
    if write.check.modifies:
        return frozenset({frozenset({("modify", write.check.modifies)})})
    return frozenset(frozenset(needs) for needs in write.check.alternatives)


def all_writes(release: Release) -> dict[tuple[str, str], Endpoint]:
    return {key: endpoint for key, endpoint in tree(release).endpoints.items() if key[0] != "GET"}


@pytest.mark.parametrize("release", RELEASES)
def test_every_write_is_probed_or_listed_as_not_provable(release: Release) -> None:
    table = {(write.method, write.path) for write in writes(release)}
    listed = set(not_provable())
    assert not table & listed
    missing = set(all_writes(release)) - table - listed
    if release < (8, 0):
        # Any id may make the first (it begins TFA for the caller); PVE 8 has neither the one nor the others' privilege.
        missing -= {("POST", "/access/tfa")}
        missing = {key for key in missing if "mapping" not in key[1] and "notifications" not in key[1]}
    if release < (8, 2):
        missing = {key for key in missing if not key[1].endswith("oci-registry-pull")}
    if release < (9, 0):
        missing = {key for key in missing if "custom-cpu-models" not in key[1]}
    assert missing == set()


def test_the_table_has_what_9_2_has_and_no_more() -> None:
    assert len(writes((9, 2))) + len(not_provable()) == len(all_writes((9, 2))) == 328
    assert {(write.method, write.path) for write in writes((9, 2))} <= set(all_writes((9, 2)))


@pytest.mark.parametrize("release", RELEASES)
def test_the_checks_are_those_of_the_release(release: Release) -> None:
    endpoints = all_writes(release)
    for write in writes(release):
        endpoint = endpoints.get((write.method, write.path))
        if endpoint is None or (write.path.endswith("/monitor") and release < (9, 0)):
            continue
        if not endpoint.tokens_allowed:
            assert write.check.alternatives == ()
            continue
        assert ways_of(write) == ways(endpoint.check), f"{write.method} {write.path}"


@pytest.mark.parametrize("release", RELEASES)
def test_nothing_that_takes_any_parameter_is_probed(release: Release) -> None:
    endpoints = all_writes(release)
    for write in writes(release):
        endpoint = endpoints.get((write.method, write.path))
        if endpoint is not None:
            assert not endpoint.open_ended, f"{write.method} {write.path}"
            assert not GUARD.keys() & endpoint.parameters.keys()


def test_what_is_not_provable_is_so_for_the_reason_given() -> None:
    endpoints = all_writes((9, 2))
    for key, reason in not_provable().items():
        endpoint = endpoints[key]
        expected = "handler" if endpoint.check == "all" else "no log-in" if endpoint.check == "world" else "open-ended"
        assert reason == expected, key
    assert sum(reason == "open-ended" for reason in not_provable().values()) == 8


def test_everything_that_pve_answers_to_everybody_is_in_the_tables() -> None:
    open_to_all = {
        path
        for (method, path), endpoint in tree((9, 2)).endpoints.items()
        if method == "GET" and endpoint.check in ("all", "world")
    }
    tables = [set(INDEXES), set(OPEN), set(FILTERED)]
    assert open_to_all == set().union(*tables)
    assert sum(map(len, tables)) == len(open_to_all)


def paths(templates: Iterable[str]) -> list[str]:
    ids = {"node": "ugreen", "vmid": "100", "storage": "local", "roleid": "PVEAuditor"}
    return [fill(template, ids) for template in templates if set(fill(template, ids).split("/")).isdisjoint({"-"})]


def simulated(client: Client, path: str) -> tuple[int, Any]:
    """Return status and data; what the simulator has checks for but no content is not counted against anybody."""
    try:
        return 200, client.get(path)
    except ApiError as error:
        return error.status, None


def test_a_token_without_rights_gets_what_the_tables_say_and_no_more(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(extra={"groups": [{"groupid": "ops"}], "pools": [{"poolid": "lab", "vms": [100]}]})
    seen: dict[str, Any] = {}
    with Client(ConnectionOptions.from_params(cluster.params(), {})) as client:
        assert client.get("/access/permissions") == {}
        for path in [*paths(INDEXES[1:]), *paths(OPEN), *paths(FILTERED)]:
            status, data = simulated(client, path)
            assert status in (200, 400, 501), path
            if status == 200:
                seen[path] = data
        # Whatever is not in the tables is refused.
        refused = 0
        tables = {*INDEXES, *OPEN, *FILTERED}
        for (method, path), endpoint in tree((9, 2)).endpoints.items():
            if method == "GET" and path not in tables and "{" not in path:
                assert simulated(client, path)[0] == 403, path
                refused += 1
            assert endpoint.path == path
        assert refused > 30
    for path in paths(FILTERED):
        rows = seen.get(path) or []
        if path in ("/nodes", "/cluster/resources"):
            assert [row["node"] for row in rows] == ["ugreen"]
            assert not NODE_STATE & set(rows[0])
        else:
            assert rows == [], path
    assert len(seen) > 25
    assert TOKEN not in str(seen["/access/users"])


def test_the_gap_in_pools_is_there_and_documented(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(extra={"pools": [{"poolid": "lab", "vms": [100]}]})
    with Client(ConnectionOptions.from_params(cluster.params(), {})) as client:
        assert client.get("/pools") == []
        (pool,) = client.get("/pools", {"poolid": "lab"})
    assert [member["name"] for member in pool["members"]] == ["vm100"]
    assert "`GET /pools?poolid=`" in DOCUMENT.read_text(encoding="utf-8")


def test_the_tables_are_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for path in [*OPEN, *(path for path, shown in FILTERED.items() if shown)]:
        assert f"`{path}`" in text, path
    for (method, path), unused in not_provable().items():
        assert path in text, f"{method} {path}"
