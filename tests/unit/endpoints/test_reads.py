"""The table of reads against PVE's own declarations, where they are at hand, and against the simulated releases."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.access import paths
from ansible_collections.homelab.pve.plugins.module_utils.access.releases import Release, parse_release, privileges
from ansible_collections.homelab.pve.plugins.module_utils.endpoints.checks import fields, fill
from ansible_collections.homelab.pve.plugins.module_utils.endpoints.everybody import FILTERED, INDEXES, OPEN
from ansible_collections.homelab.pve.plugins.module_utils.endpoints.reads import ANY_VALUE, opaque, reads, shown
from ansible_collections.homelab.pve.plugins.module_utils.endpoints.tables import Method
from ansible_collections.homelab.pve.plugins.module_utils.endpoints.writes import not_provable, writes

NEWEST: Release = (9, 2)
CHECKOUT = Path(__file__).resolve().parents[3]
SCHEMAS = Path(os.environ.get("SHARED") or CHECKOUT.parent / "shared") / "pve" / "data"
RELEASES = ["7.4", "8.0", "8.4", "9.0", "9.1", "full"]
Ways = frozenset[frozenset[tuple[str, str]]]


def declared(check: Any) -> Ways:
    """Return the sets of (path, privilege) that satisfy a check as PVE declares it, for an API token."""
    kind, *rest = check
    if kind == "perm":
        path, wanted, *how = rest
        if "any" in how:
            return frozenset(frozenset({(path, privilege)}) for privilege in wanted)
        return frozenset({frozenset((path, privilege) for privilege in wanted)})
    if kind == "userid-group":
        return frozenset(frozenset({("/access/groups", privilege)}) for privilege in rest[0])
    if kind == "userid-param":
        return frozenset()  # a token is nobody's user
    parts = [declared(part) for part in rest]
    if kind == "or":
        return frozenset().union(*parts)
    together: Ways = frozenset({frozenset()})
    for part in parts:
        together = frozenset(one | other for one in together for other in part)
    return together


def ways(method: Method) -> Ways:
    return frozenset(frozenset(needs) for needs in method.check.alternatives)


@pytest.mark.parametrize("name", RELEASES)
def test_every_read_has_the_check_that_pve_declares(name: str) -> None:
    file = SCHEMAS / f"api-schema-{name}.json"
    if not file.exists():
        pytest.skip("PVE's declarations are not at hand")
    release = NEWEST if name == "full" else parse_release(name)
    table = {read.path: ways(read) for read in reads(release)}
    everybody = {*INDEXES, *OPEN, *FILTERED}
    for endpoint in json.loads(file.read_text())["endpoints"]:
        path, rules = endpoint["path"], endpoint["permissions"]
        if endpoint["method"] != "GET":
            continue
        if endpoint.get("allowtoken") is False:
            assert path == "/access/tfa" or table[path] == frozenset(), path
        elif rules.get("root_only"):
            assert table[path] == frozenset(), path
        elif "user" in rules:
            assert path in everybody, path
            assert path not in table, path
        else:
            assert table[path] == declared(rules["check"]), path


@pytest.mark.parametrize("name", ["7.4", "8.4", "9.2"])
def test_the_simulated_release_has_the_reads_of_the_table(name: str) -> None:
    pytest.importorskip("aiohttp")
    from ansible_collections.homelab.pve.tests.simulator.schema import tree

    release = parse_release(name)
    simulated = {path for method, path in tree(release).endpoints if method == "GET"}
    known = {read.path for read in reads(release)} | {*INDEXES, *OPEN, *FILTERED}
    missing = simulated - known
    if release < (9, 0):  # what later releases brought is not taken out of the simulated ones everywhere
        missing -= {path for path in missing if path in {read.path for read in reads(NEWEST)}}
    assert missing == set()
    if release == NEWEST:
        assert known == simulated


def test_what_is_shown_in_part_is_said_to_be_filtered_or_is_declared_besides() -> None:
    table = set(shown(NEWEST))
    open_in_part = {"/access/permissions", "/cluster/options", "/nodes/{node}/network", "/nodes/{node}/subscription"}
    besides = {"/nodes/{node}/storage/{storage}/content", "/cluster/sdn/fabrics/node/{fabric_id}"}
    assert table & {read.path for read in reads(NEWEST)} == besides
    assert not table & set(opaque())
    assert (table - open_in_part - besides) | set(opaque()) == set(FILTERED)
    assert open_in_part <= set(OPEN) & table


@pytest.mark.parametrize("release", [(6, 2), (7, 4), (8, 0), (8, 4), (9, 0), (9, 2)])
def test_the_paths_of_all_checks_are_acl_paths_and_some_privilege_is_known(release: Release) -> None:
    ids = dict.fromkeys(("vmid", "newid", "job_guest"), "100")
    checks = [(read.path, read.check) for read in (*reads(release), *writes(release))]
    checks += [(path, check) for path, lines in shown(release).items() for unused, unused, check in lines]
    for where, check in checks:
        assert not check.alternatives or any(
            all(privilege in privileges(release) for unused, privilege in needs) for needs in check.alternatives
        ), where
        for path in check.paths():
            filled = fill(path, {name: ids.get(name, "name") for name in fields(path)})
            assert release < NEWEST or path == "{path}" or paths.is_valid(filled, NEWEST), (where, path)


def test_parameters_that_matter_are_those_that_pve_has() -> None:
    asked = {(path, name, value) for path, lines in shown(NEWEST).items() for name, value, unused in lines if name}
    assert asked == {
        ("/access/permissions", "userid", ANY_VALUE),
        *(("/cluster/resources", "type", kind) for kind in ("vm", "node", "storage")),
    }


def test_no_method_is_in_two_tables() -> None:
    for release in ((7, 4), (8, 4), NEWEST):
        known = [(method.method, method.path) for method in (*reads(release), *writes(release))]
        assert len(known) == len(set(known))
        assert not set(known) & set(not_provable())
