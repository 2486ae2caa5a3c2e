"""Facts about a cluster: what they cost, what they say, and what they never do."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import AuthenticationError
from ansible_collections.homelab.pve.plugins.module_utils.facts.gather import COLLECTORS
from ansible_collections.homelab.pve.plugins.module_utils.facts.subsets import NAMES
from ansible_collections.homelab.pve.plugins.modules import pve_info
from ansible_collections.homelab.pve.tests.integration import infos
from ansible_collections.homelab.pve.tests.integration.conftest import Ansible, connection
from ansible_collections.homelab.pve.tests.integration.infos import Json, asked, everything, facts
from ansible_collections.homelab.pve.tests.simulator import Simulator
from ansible_collections.homelab.pve.tests.simulator.state import ADMIN, ADMIN_PASSWORD

GUIDE = Path(__file__).parents[2] / "docs" / "facts.md"
RETURN = yaml.safe_load(pve_info.RETURN)
TYPES = {"str": str, "int": int, "float": float, "bool": bool, "dict": dict, "list": list}
# Results by place: what is documented is each place.
BY_PLACE = ("firewall", "guest_firewall")
# What no release from 9.0 on has, and what a simulator does not make.
NOT_SINCE_9 = {"ha.groups", "ha.resources.group", "ha.resources.comment", "realms.tfa"}
ABOUT_FAILURES = {f"incomplete.{name}" for name in RETURN["incomplete"]["contains"]}


@pytest.fixture(scope="module", params=["9.2", "8.4", "7.4"])
def several(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """A small cluster of each release, with something of every kind."""
    with Simulator(request.param, auth_delay=0, nodes=2, guests=3) as simulator:
        everything(simulator)
        yield simulator


@pytest.fixture(scope="module")
def large() -> Iterator[Simulator]:
    with Simulator(auth_delay=0, nodes=64, guests=10_000) as simulator:
        yield simulator


# -- what is documented -------------------------------------------------------------------------------------------


def problems(value: Any, told: Json, path: str, seen: set[str]) -> Iterator[str]:
    """Yield what a value has that is not documented so, and note in ``seen`` what it shows."""
    if value is None:
        return
    kind = TYPES[told["type"]]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        yield f"{path} is {value!r}, and no {told['type']}"
        return
    seen.add(path)
    if kind is list:
        inner = {**told, "type": told["elements"]}
        for one in value:
            yield from problems(one, inner, path, seen)
    elif kind is dict and "contains" in told:
        for each in value.values() if path in BY_PLACE else [value]:
            yield from of_fields(each, told["contains"], path, seen)


def of_fields(value: Json, contains: Json, path: str, seen: set[str]) -> Iterator[str]:
    optional = {name for name, field in contains.items() if field.get("returned") or path in BY_PLACE}
    if value.keys() - contains.keys() or contains.keys() - value.keys() - optional:
        yield f"{path} has {sorted(value)}, and {sorted(contains)} is documented"
    for name in value.keys() & contains.keys():
        yield from problems(value[name], contains[name], f"{path}.{name}", seen)


def test_what_is_returned_is_what_is_documented(several: Simulator) -> None:
    found = facts(several, "all", descriptions=True, ssh_keys=True)
    assert sorted(found) == sorted(RETURN)
    seen: set[str] = set()
    assert not [said for name in RETURN for said in problems(found[name], RETURN[name], name, seen)]
    if several.release == "9.2":
        unseen = {path for name in RETURN for path in documented(name, RETURN[name])} - seen
        assert unseen - ABOUT_FAILURES == {path for path in unseen if path.startswith(tuple(NOT_SINCE_9))}
    found = facts(several, "all")
    assert not [said for name in RETURN for said in problems(found[name], RETURN[name], name, seen)]
    assert not found["incomplete"] or several.release == "7.4"


def documented(path: str, told: Json) -> Iterator[str]:
    yield path
    for name, field in (told.get("contains") or {}).items():
        yield from documented(f"{path}.{name}", field)


def test_every_subset_has_a_collector_and_a_key() -> None:
    assert tuple(COLLECTORS) == NAMES
    assert [name for name in RETURN if RETURN[name]["returned"] != "success"] == list(NAMES)


def test_the_module_returns_it(several: Simulator, ansible: Ansible) -> None:
    result = ansible.module("pve_info", {**connection(several), "gather": ["all"]}, check=True)
    assert not result.get("failed"), result["msg"]
    assert not result["changed"]
    assert "ansible_facts" not in result
    told = {key: value for key, value in result.items() if key in RETURN}
    assert without_clock(told) == without_clock(facts(several, "all"))


def without_clock(found: Json) -> Json:
    """Return facts without what the simulator's HA managers say about the time."""
    ha = found["ha"] or {}
    rows = [{**row, "timestamp": None, "status": row["status"].partition(",")[0]} for row in ha.get("status") or []]
    return {**found, "ha": {**ha, "status": rows}}


# -- what it costs ------------------------------------------------------------------------------------------------


def test_ten_thousand_guests_at_a_glance(large: Simulator) -> None:
    paths = asked(large, "base")
    assert sorted(paths) == ["/access/permissions", "/cluster/resources", "/cluster/status", "/storage", "/version"]


def test_ten_thousand_states(large: Simulator) -> None:
    large.clear_requests()
    found = facts(large, "guest_status")
    places = {(guest["node"], guest["type"]) for guest in found["guest_status"]}
    assert len(found["guest_status"]) == 10_002
    assert found["incomplete"] == []
    assert len(large.requests()) <= 5 + len(places)
    assert found["requests"] == len(large.requests())


def test_configurations_are_read_of_the_wanted_guests_only(large: Simulator) -> None:
    filters = {"node": ["ugreen-[23]"], "tag": ["web"], "status": ["running"], "type": ["qemu"]}
    large.clear_requests()
    found = facts(large, "guest_config", filters=filters)
    wanted = {f"/nodes/{row['node']}/qemu/{row['vmid']}/config" for row in found["guest_config"]}
    assert 5 < len(wanted) < 100
    paths = Counter(request["path"] for request in large.requests())
    assert paths == Counter([*wanted, "/version", "/access/permissions", "/cluster/resources"])


def test_what_two_subsets_ask_is_asked_once(several: Simulator) -> None:
    paths = Counter(asked(several, "all"))
    # The nodes' own tasks, guests and so on differ by parameters; a path alone tells them apart as well.
    twice = {path for path, times in paths.items() if times > 1}
    assert twice <= {"/pools"}


def test_a_shared_storage_is_asked_about_once(several: Simulator) -> None:
    paths = [path for path in asked(several, "storage_content") if path.endswith("/content")]
    assert sorted(paths) == [
        "/nodes/ugreen-2/storage/local/content",
        "/nodes/ugreen/storage/local/content",
        "/nodes/ugreen/storage/nas/content",
    ]


def test_a_password_logs_in_once_however_many_connections_there_are(several: Simulator, ansible: Ansible) -> None:
    several.clear_requests()
    options = {**connection(several), "user": ADMIN, "password": ADMIN_PASSWORD, "token_id": None, "token_secret": None}
    result = ansible.module("pve_info", {**options, "gather": ["guest_config", "users"], "concurrency": 32})
    assert len(result["guest_config"]) == 5
    assert Counter(request["method"] for request in several.requests()) == {"POST": 1, "GET": result["requests"]}


# -- what it never does -------------------------------------------------------------------------------------------


def test_all_of_it_are_reads_and_the_second_run_says_the_same(several: Simulator) -> None:
    several.clear_requests()
    first = facts(several, "all")
    assert {request["method"] for request in several.requests()} == {"GET"}
    assert without_clock(facts(several, "all")) == without_clock(first)


def test_secrets_do_not_spread(several: Simulator) -> None:
    secrets = (infos.PASSWORD, infos.VARIABLE, infos.RAW, infos.CLIENT_KEY, infos.PROXY, "BEGIN CERTIFICATE")
    on_request = (infos.DESCRIPTION, infos.SNAPSHOT, infos.NOTES, infos.KEY)
    text = json.dumps(facts(several, "all"))
    assert [secret for secret in (*secrets, *on_request) if secret in text] == []
    text = json.dumps(facts(several, "all", descriptions=True, ssh_keys=True))
    assert [secret for secret in secrets if secret in text] == []
    assert [wanted for wanted in on_request if wanted not in text] == []


# -- what it refuses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"gather": ["guest_cofnig"]}, "Did you mean guest_config?"),
        ({"gather": ["!nothing"]}, "'nothing' is no subset"),
        ({"gather": ["users", "!users"]}, "users is asked for and taken away"),
        ({"gather": ["base", "!base"]}, "base is asked for and taken away"),
        ({"gather": ["!all"]}, "nothing is left"),
        ({"concurrency": 33}, "from 1 to 32"),
        ({"concurrency": 0}, "from 1 to 32"),
        ({"tasks_limit": 0}, "tasks_limit is 0"),
        ({"filters": {"vmid": [7]}}, "7 is no number of a guest"),
        ({"filters": {"type": ["kvm"]}}, "value of type must be one or more of: qemu, lxc"),
        ({"filters": {"nodes": ["ugreen"]}}, "Unsupported parameters"),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: Json, said: str, simulator: Simulator, ansible: Ansible, connected: Json
) -> None:
    result = ansible.module("pve_info", {**connected, **options})
    assert result["failed"]
    assert said in result["msg"]
    assert simulator.requests() == []


def test_a_node_that_does_not_exist(simulator: Simulator, ansible: Ansible, connected: Json) -> None:
    result = ansible.module("pve_info", {**connected, "filters": {"node": ["nowhere"]}})
    assert result["msg"] == "filters: there is no node nowhere. The nodes are ugreen."


def test_wrong_credentials_and_no_server_fail_the_task(ansible: Ansible, connected: Json) -> None:
    result = ansible.module("pve_info", {**connected, "token_secret": infos.SECRET, "gather": ["all"]})
    assert "401" in result["msg"]
    result = ansible.module("pve_info", {**connected, "port": 1, "gather": ["all"]})
    assert "Cannot connect" in result["msg"]


def test_credentials_that_are_taken_away_on_the_way_fail_the_task(several: Simulator) -> None:
    several.fault(path="*/config", nth=2, do="status", status=401, reason="Authentication failed!")
    with pytest.raises(AuthenticationError, match="401"):
        facts(several, "guest_config")
    several.clear_faults()


# -- what is shown ------------------------------------------------------------------------------------------------


def shown() -> list[Json]:
    """Return the examples of the module, and the tasks of the guide."""
    blocks = [
        yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    ]
    return [*yaml.safe_load(pve_info.EXAMPLES), *(task for block in blocks for task in block)]


def test_the_examples_run(simulator: Simulator, ansible: Ansible, connected: Json) -> None:
    """As they stand, on a new cluster."""
    tasks = shown()
    examples = {
        "hosts": "localhost",
        "gather_facts": False,
        "module_defaults": {"group/homelab.pve.all": connected},
        "tasks": tasks,
    }
    done = ansible.playbook([examples])
    assert done.returncode == 0, done.output
    assert "WARNING" not in done.output, done.output
    assert {task["outcome"] for task in done.tasks} == {"ok"}
    assert [task["task"] for task in done.tasks] == [task["name"] for task in tasks]
    assert done.changed == []
    assert {request["method"] for request in simulator.requests()} == {"GET"}


def test_the_command_runs(simulator: Simulator, ansible: Ansible, connected: Json) -> None:
    env = {f"PVE_{name.upper()}": str(value) for name, value in connected.items()}
    command = next(line for line in GUIDE.read_text().splitlines() if line.startswith("$ ansible "))
    done = ansible.run(*shlex.split(command[2:]), env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "vm100" in done.stdout
