"""The same over pvesh as over HTTPS: answers, errors, whole runs. The stand-in is as strict as PVE's own pvesh.

With TEST_TRANSPORT=pvesh in the environment, all tests of this folder go by pvesh; here is what always does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.access.task import AccessTask
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import (
    ApiError,
    NodeUnreachable,
    OptionError,
    PveError,
)
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.client.pvesh import PveshTransport
from ansible_collections.homelab.pve.plugins.module_utils.firewall.task import FirewallTask
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import reconcile
from ansible_collections.homelab.pve.tests.pvesh import transport
from ansible_collections.homelab.pve.tests.pvesh.standin import Habits
from ansible_collections.homelab.pve.tests.simulator import Simulator
from ansible_collections.homelab.pve.tests.unit.access.strategies import documents, states
from ansible_collections.homelab.pve.tests.unit.examples import examples
from ansible_collections.homelab.pve.tests.unit.firewall.strategies import NODE
from hypothesis import HealthCheck, given, settings

from . import test_random_firewalls as firewalls
from . import test_random_policies as policies
from .conftest import Ansible
from .modules.test_contract import CASES
from .modules.world import FIREWALL, SECRET, VNETS, WORLD, difference, succeeded
from .test_site import FIREWALL as SITE_FIREWALL
from .test_site import Site, proved, reader

Json = dict[str, Any]
PASSWORD = "roots-own-password"
# Figures of whatever runs.
GROWING = ("uptime", "netin", "netout", "diskread", "diskwrite", "cpu", "mem")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Simulator]:
    """Two nodes, the first of which is the one that pvesh runs on."""
    with Simulator(auth_delay=0, nodes=2) as running:
        yield running


@pytest.fixture(autouse=True)
def habits() -> Iterator[Habits]:
    """What the stand-in can be told to do; each test begins with what is usual."""
    standin = transport.standin()
    standin.habits = Habits()
    yield standin.habits
    standin.habits = Habits()


def as_root(simulator: Simulator) -> ConnectionOptions:
    """Return how root@pam asks over HTTPS: with a ticket."""
    return ConnectionOptions(
        simulator.host, simulator.port, user="root@pam", password=PASSWORD, ca_path=simulator.ca_file
    )


def both(simulator: Simulator) -> tuple[Client, Client]:
    """Return clients of root@pam over HTTPS and over pvesh."""
    return Client(as_root(simulator)), Client(transport.options(simulator, pvesh=True))


def populate(simulator: Simulator) -> None:
    simulator.reset()
    pristine = simulator.export()
    access = {kind: [*pristine[kind], *rows] for kind, rows in WORLD.items()}
    simulator.load({**access, "vnets": VNETS, "firewall": FIREWALL})
    simulator.load({"passwords": {**simulator.export()["passwords"], "root@pam": PASSWORD}})


def state(simulator: Simulator) -> Json:
    """Return all that there is, but the secrets, which are new each time."""
    return {**simulator.export(), "secrets": None}


# Single calls: method, path, parameters.
CALLS: list[tuple[str, str, Json]] = [
    ("GET", "/version", {}),
    ("GET", "/nodes", {}),
    ("GET", "/cluster/status", {}),
    ("GET", "/cluster/nextid", {}),
    ("GET", "/cluster/resources", {}),
    ("GET", "/cluster/resources", {"type": "vm"}),
    ("GET", "/cluster/resources", {"type": "lxc"}),
    ("GET", "/access/permissions", {}),
    ("GET", "/access/users", {"full": True}),
    ("GET", "/access/users/joe@pve", {}),
    ("GET", "/access/users/nope@pve", {}),
    ("GET", "/access/users/n", {}),
    ("GET", "/access/acl", {}),
    ("GET", "/access/roles/operator", {}),
    ("GET", "/access/groups/no such", {}),
    ("GET", "/pools", {"poolid": "lab"}),
    ("GET", "/pools", {"poolid": "nope"}),
    ("GET", "/nodes/nosuch/status", {}),
    ("GET", "/nodes/ugreen/firewall/rules", {}),
    ("GET", "/nodes/ugreen/firewall/rules/0", {}),
    ("GET", "/nodes/ugreen/firewall/rules/99", {}),
    ("GET", "/nodes/ugreen/firewall/rules/x", {}),
    ("GET", "/cluster/firewall/options", {}),
    ("GET", "/cluster/firewall/rules", {}),
    ("GET", "/cluster/firewall/ipset/web/10.0.0.0/24", {}),
    ("GET", "/cluster/sdn/vnets/v1/firewall/rules", {}),
    ("GET", "/foo", {}),
    ("PUT", "/version", {}),
    ("POST", "/access/groups", {}),
    ("POST", "/access/groups", {"groupid": "new", "comment": "-x"}),
    ("POST", "/access/groups", {"groupid": "ops"}),
    ("POST", "/access/groups", {"groupid": "a b"}),
    ("POST", "/access/groups", {"groupid": "new", "bogus": "x", "other": ""}),
    ("PUT", "/access/groups/ops", {"comment": "ü\n=;&--comment \"'$HOME` "}),
    ("PUT", "/access/groups/ops", {"comment": ""}),
    ("DELETE", "/access/groups/nope", {}),
    ("POST", "/access/users", {"userid": "new@pve", "groups": ["ops", "dev"], "enable": False, "expire": 0}),
    ("POST", "/access/users", {"userid": "new@pve", "groups": "nope", "expire": "x", "email": "no mail"}),
    ("PUT", "/access/users/joe@pve", {"groups": "", "append": False, "lastname": "D'oe"}),
    ("PUT", "/access/users/nope@pve", {"comment": "x"}),
    ("DELETE", "/access/users/nope@pve", {}),
    ("PUT", "/access/roles/operator", {"privs": "VM.Console", "append": True}),
    ("PUT", "/access/acl", {"path": "/vms/102", "roles": ["PVEAuditor"], "users": ["ann@pve"], "propagate": False}),
    ("PUT", "/access/acl", {"path": "/vms/102", "roles": "nope", "users": "ann@pve"}),
    ("PUT", "/access/acl", {"path": "/nope", "roles": "PVEAuditor", "users": "ann@pve"}),
    ("PUT", "/access/acl", {"path": "/vms", "roles": "operator", "groups": "ops", "delete": True}),
    ("POST", "/access/users/ann@pve/token/ci", {}),
    ("POST", "/access/users/ann@pve/token/x", {}),
    ("DELETE", "/access/users/ann@pve/token/nope", {}),
    ("POST", "/pools", {"poolid": "lab"}),
    ("DELETE", "/pools", {"poolid": "lab"}),
    ("POST", "/cluster/firewall/rules", {"type": "in", "action": "DROP", "enable": True, "comment": "é # x"}),
    ("POST", "/cluster/firewall/rules", {"type": "in", "action": "ACCEPT", "dport": "22-80", "proto": "TCP"}),
    ("PUT", "/cluster/firewall/rules/0", {"comment": "x", "digest": "0" * 40}),
    ("PUT", "/cluster/firewall/rules/0", {"delete": "source,dest", "log": "nolog"}),
    ("PUT", "/cluster/firewall/options", {"log_ratelimit": "rate=1/second", "enable": "x"}),
    ("PUT", "/cluster/firewall/options", {"delete": "policy_in", "ebtables": True}),
    ("PUT", "/nodes/ugreen/firewall/options", {"delete": "nope"}),
    ("POST", "/cluster/firewall/ipset/web", {"cidr": "10.9.0.0/16", "nomatch": True, "comment": ""}),
    ("DELETE", "/cluster/firewall/groups/web", {}),
    ("POST", "/nodes/ugreen/qemu/100/firewall/aliases", {"name": "x", "cidr": "10.0.0.1/8"}),
]


def outcome(client: Client, method: str, path: str, params: Json) -> Any:
    try:
        found = client.get(path, params) if method == "GET" else client.send(method, path, params)
    except ApiError as error:
        return type(error).__name__, error.status, error.reason, error.text, error.errors, error.hint
    if isinstance(found, list):
        steady = [{name: value for name, value in row.items() if name not in GROWING} for row in found]
        return sorted(steady, key=lambda row: json.dumps(row, sort_keys=True))
    return {name: value for name, value in found.items() if name != "value"} if isinstance(found, dict) else found


@pytest.mark.parametrize("warns", [False, True], ids=["", "with warnings"])
def test_answers_and_errors_are_the_same(cluster: Simulator, habits: Habits, warns: bool) -> None:
    habits.warns = warns
    told: list[Any] = []
    for client in both(cluster):
        populate(cluster)
        with client:
            told.append([(call, outcome(client, *call), state(cluster)["firewall"]) for call in CALLS])
        told[-1].append(state(cluster))
    for over_https, over_pvesh in zip(*told, strict=True):
        assert over_pvesh == over_https


def test_what_comes_from_another_node_by_ssh_is_the_same(cluster: Simulator) -> None:
    https, pvesh = both(cluster)
    other = next(row["node"] for row in pvesh.get("/nodes") if row["node"] != NODE.id)
    base = f"/nodes/{other}/firewall"
    calls: list[tuple[str, str, Json]] = [
        ("PUT", f"{base}/options", {"enable": True, "log_level_in": "info"}),
        ("PUT", f"{base}/options", {"log_level_in": "x"}),
        ("POST", f"{base}/rules", {"type": "in", "action": "ACCEPT", "comment": "-ü $HOME 'x'"}),
        ("POST", f"{base}/rules", {"type": "in", "action": "A"}),
        ("GET", f"{base}/rules", {}),
        ("GET", f"{base}/rules/9", {}),
    ]
    told = []
    for client in (https, pvesh):
        populate(cluster)
        told.append([(call, outcome(client, *call)) for call in calls])
    assert told[0] == told[1]
    assert pvesh.get(f"{base}/rules")[0]["comment"] == "-ü $HOME 'x'"
    cluster.set_online(other, False)
    for client in (https, pvesh):
        with pytest.raises(NodeUnreachable, match="595 No route to host"):
            client.get(f"{base}/rules")


# Whole modules.


@pytest.fixture
def run(simulator: Simulator, ansible: Ansible) -> Any:
    """Run a module over pvesh against the world."""
    populate(simulator)
    transport.connection(simulator, pvesh=True)
    ansible.env["PATH"] = f"{transport.standin().folder}:{ansible.env['PATH']}"
    (ansible.home / ".ci").touch(mode=0o600)
    (ansible.home / ".ci").write_text(SECRET + "\n")

    def run(name: str, options: Json, **how: Any) -> Json:
        return ansible.module(name, {**transport.connection(simulator, pvesh=True), **options}, **how)

    return run


TOLD = [("pve_acl", "both halves"), ("pve_token", "create"), ("pve_user", "update"), ("pve_pool", "move")]
TOLD += [("pve_access", "everything"), ("pve_firewall", "everything")]


@pytest.mark.parametrize(("name", "case"), TOLD)
def test_modules_do_what_they_do_over_https(
    run: Any, simulator: Simulator, habits: Habits, name: str, case: str
) -> None:
    """Numbers may come as texts, as they do from older releases."""
    habits.texts = True
    (wanted,) = (one for one in CASES[name] if one.name == case)
    before = simulator.export()
    predicted = succeeded(run(name, wanted.options, check=True))
    assert simulator.export() == before
    done = succeeded(run(name, wanted.options))
    assert done["changes"] == predicted["changes"] != []
    assert wanted.touches <= difference(before, simulator.export()).keys()
    assert succeeded(run(name, wanted.options))["changed"] is False


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pve_user", {"userid": "new@pve", "user_password": "canary-of-a-password"}),
        ("pve_user", {"userid": "ann@pve", "user_password": "canary-of-a-password", "update_password": "always"}),
        (
            "pve_access",
            {"groups": [{"groupid": "new"}], "users": [{"userid": "new@pve", "user_password": "canary-of-a-password"}]},
        ),
    ],
)
def test_passwords_are_refused_before_anything_is_done(
    run: Any, simulator: Simulator, habits: Habits, name: str, options: Json
) -> None:
    before = simulator.export()
    result = run(name, options, no_log=True)
    assert result["failed"]
    assert "password is a secret, and the arguments of pvesh can be seen" in result["msg"]
    assert simulator.export() == before
    assert "canary" not in f"{result} {habits.calls}"


def test_a_password_that_is_the_one_already_is_no_change(run: Any) -> None:
    options = {"userid": "ann@pve", "user_password": "anns-password", "update_password": "always"}
    assert succeeded(run("pve_user", options))["changed"] is False


def test_a_secret_that_cannot_be_tried_is_kept_with_a_warning(run: Any, ansible: Ansible, simulator: Simulator) -> None:
    result = run("pve_token", {"tokenid": "ann@pve!new", "secret_file": "~/.new", "port": 1})
    assert not result.get("failed"), result["msg"]
    warning = str(result["warnings"])
    assert "The secret of token ann@pve!new could not be tried. " in warning
    assert "Cannot connect to https://127.0.0.1:1" in warning
    assert (ansible.home / ".new").read_text().strip() == simulator.export()["secrets"]["ann@pve!new"]


def test_who_is_not_root_is_told_to_become_it(run: Any, habits: Habits) -> None:
    habits.root = False
    assert "was not run by root. Set become: true" in run("pve_group", {"groupid": "new"})["msg"]


def test_an_answer_that_was_lost_is_looked_for(run: Any, simulator: Simulator) -> None:
    simulator.fault("POST", "/access/groups", when="in")
    assert succeeded(run("pve_group", {"groupid": "new"}))["changed"] is True
    assert "new" in {row["groupid"] for row in simulator.export()["groups"]}


# Guards.


def test_nobody_on_the_host_is_cut_off_but_who_came_by_ssh_is(run: Any, ansible: Ansible) -> None:
    deny = {"rules": [{"key": "no", "type": "in", "action": "DROP", "source": "192.168.40.0/24"}], "position": "top"}
    ansible.env.pop("SSH_CONNECTION", None)
    assert succeeded(run("pve_fw_rule", {**deny, "scope": "cluster"}, check=True))["changed"] is True
    ansible.env["SSH_CONNECTION"] = "192.168.40.82 51000 192.168.40.60 22"
    assert "192.168.40.82 reaches TCP port" in run("pve_fw_rule", {**deny, "scope": "cluster"}, check=True)["msg"]


def test_root_may_do_what_would_cut_off_a_token(run: Any) -> None:
    assert succeeded(run("pve_role", {"roleid": "operator", "privs": []}))["changed"] is True


# A pvesh that breaks down over the datacenter's options.


@pytest.fixture
def broken(cluster: Simulator, habits: Habits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client on a host whose pvesh is of 9.2.7 to 9.2.11, with the files of the cluster in a folder."""
    populate(cluster)
    habits.broken = True
    (tmp_path / "firewall").mkdir()
    (tmp_path / ".version").touch()
    client = Client(transport.options(cluster, pvesh=True))
    send = PveshTransport(client.options, folder=str(tmp_path)).send

    def with_files(*request: Any) -> Any:
        (tmp_path / "firewall" / "cluster.fw").write_text(cluster.export()["firewall"]["cluster"] or "")
        return send(*request)

    monkeypatch.setattr(client._transport, "send", with_files)
    return client


def test_the_file_says_what_the_api_would_and_changes_carry_its_digest(cluster: Simulator, broken: Client) -> None:
    https = Client(as_root(cluster))
    path = "/cluster/firewall/options"
    assert broken.get(path) == https.get(path)
    broken.send("PUT", path, {"policy_out": "DROP", "digest": broken.get(path)["digest"]})
    assert broken.get(path) == https.get(path)
    assert broken.get(path)["policy_out"] == "DROP"
    with pytest.raises(ApiError, match="detected modified configuration"):
        broken.send("PUT", path, {"policy_out": "ACCEPT", "digest": "0" * 40})
    with pytest.raises(ApiError, match="a mistake of pve-manager"):
        broken.get("/cluster/firewall/macros")


# Random ones: the same plan and the same end over both.


@settings(max_examples=examples(15), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(before=states(), document=documents())
def test_random_policies_end_alike(cluster: Simulator, before: Any, document: Any) -> None:
    cluster.reset()
    export = policies.as_export(before, cluster.export())
    ends = []
    for client in both(cluster):
        cluster.reset()
        cluster.load({**export, "passwords": {"root@pam": PASSWORD}})
        with client:
            task = AccessTask(client, document, policies.NOW)
            try:
                said: Any = reconcile(task.observe, task.plan, task.perform, dry_run=False)
            except (OptionError, PveError) as error:
                said = str(error)
        ends.append((said, policies.from_export(cluster.export())))
    assert ends[0] == ends[1]


@settings(max_examples=examples(15), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(case=firewalls.cases())
def test_random_firewalls_end_alike(cluster: Simulator, case: Any) -> None:
    datacenter, node, document = case
    ends = []
    for client in both(cluster):
        firewalls.seed(cluster, datacenter, node)
        cluster.load({"passwords": {"root@pam": PASSWORD}})
        with client:
            task = FirewallTask(client, document)
            try:
                said: Any = reconcile(task.observe, task.plan, task.perform, dry_run=False)
            except (OptionError, PveError) as error:
                said = str(error)
        ends.append((said, cluster.export()["firewall"]))
    assert ends[0] == ends[1]


# A site, from nothing to proofs.


def test_a_whole_site(ansible: Ansible, simulator: Simulator, habits: Habits) -> None:
    site = Site(ansible, simulator)
    told = {f"pve_{name}": value for name, value in transport.connection(site.simulator, pvesh=True).items()}
    readers = [reader("joe"), reader("jane", "/nodes/ugreen")]
    site.write({"pve_firewall": SITE_FIREWALL, "pve_access": {"readers": readers}})
    site.env = site.address
    site.ansible.env["PATH"] = f"{transport.standin().folder}:{site.ansible.env['PATH']}"
    done = site.again(**told)
    assert done.returncode == 0, done.output
    assert proved(done) == ["joe@pve!token", "jane@pve!token"]
    assert all(words[0] in ("get", "create", "set") for words in habits.calls)
    assert habits.calls
    for name in ("joe", "jane"):
        assert (site.home / name).read_text().strip() not in f"{done.output} {habits.calls}"
    again = site.again(**told)
    assert (again.returncode, again.changed) == (0, [])
