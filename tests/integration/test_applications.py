"""Every application of the catalogue against the simulated API: its least rights are enough, and nothing to spare.

Each weakening of the rights is a token of its own in one state, so that one state answers for all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest

pytest.importorskip("aiohttp")

from ansible_collections.homelab.pve.plugins.module_utils.access.releases import Release
from ansible_collections.homelab.pve.plugins.module_utils.endpoints.checks import fields, fill
from ansible_collections.homelab.pve.plugins.module_utils.endpoints.find import find
from ansible_collections.homelab.pve.plugins.module_utils.endpoints.reads import reads, shown
from ansible_collections.homelab.pve.plugins.module_utils.endpoints.writes import writes
from ansible_collections.homelab.pve.plugins.module_utils.least.applications import APPLICATIONS, calls_of, rights_of
from ansible_collections.homelab.pve.plugins.module_utils.least.parse import Endpoint
from ansible_collections.homelab.pve.plugins.module_utils.least.work_out import Entry, Rights
from ansible_collections.homelab.pve.plugins.module_utils.proof.questions import GUARD
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN, Simulator
from ansible_collections.homelab.pve.tests.simulator.api import Api, Request
from ansible_collections.homelab.pve.tests.simulator.handlers import load_all
from ansible_collections.homelab.pve.tests.simulator.population import Size
from ansible_collections.homelab.pve.tests.simulator.state import State
from ansible_collections.homelab.pve.tests.unit.least.holder import TOKEN, holder, weaker

from .conftest import Ansible

NAMES = [one.name for one in APPLICATIONS]
RELEASES: list[Release] = [(7, 4), (9, 2)]
SECRET = "0f0f0f0f-1111-4222-8333-abcdefabcdef"

# Lists of the catalogue that the simulator leaves empty or does not answer: what they show is not tried here.
NOT_SIMULATED = {
    "/cluster/replication",
    "/nodes/{node}/replication/{id}/status",
}
# Weakenings that the simulated cluster does not show: what is taken away, in releases before which, and how.
ALL: Release = (99, 0)
UNSEEN: tuple[tuple[set[tuple[str, str]], Release, str], ...] = (
    # There are no fabrics.
    ({("/sdn/fabrics", "SDN.Audit")}, ALL, ""),
    ({("/sdn/fabrics", "SDN.Audit"), ("/sdn/fabrics", "Permissions.Modify")}, ALL, ""),
    # Every kind of path had an entry of its own before there were mappings.
    ({("/", "Permissions.Modify")}, (8, 0), "without propagation"),
    # The whole ACL is shown to those who may change all of it, too; the collection does not rely upon that.
    ({("/access", "Sys.Audit")}, ALL, "Permissions.Modify"),
)
# Parameters that checks look at and that are not in the path.
NEEDED = {
    "/access/acl": ("path",),
    "/access/permissions": ("userid",),
    "/access/users": ("userid",),
    "/pools": ("poolid",),
    "/nodes/{node}/qemu/{vmid}/clone": ("newid",),
    "/nodes/{node}/lxc/{vmid}/clone": ("newid",),
}

PATHS = (
    *("/", "/access", "/access/groups", "/access/groups/ops", "/access/realm", "/access/realm/pve"),
    *("/nodes", "/nodes/ugreen", "/pool", "/pool/prod", "/sdn", "/sdn/fabrics", "/sdn/fabrics/f", "/sdn/zones"),
    *("/sdn/zones/lab", "/storage", "/storage/local", "/vms", "/vms/100"),
)

CLUSTER_FW = """\
[OPTIONS]
enable: 0

[ALIASES]
gate 192.168.40.1

[IPSET lan]
192.168.40.0/24

[RULES]
GROUP web
IN ACCEPT -p tcp -dport 22

[group web]
IN ACCEPT -p tcp -dport 80
"""
GUEST_FW = "[OPTIONS]\nenable: 0\n\n[ALIASES]\ngate 192.168.40.1\n\n[IPSET lan]\n192.168.40.0/24\n\n[RULES]\nIN DROP\n"


@dataclass(frozen=True)
class Asked:
    """One call with real ids."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...]
    endpoint: str
    name: str = ""
    values: Mapping[str, str] = field(default_factory=dict, compare=False)


class World:
    """A cluster with something of everything, and tokens that have one right less each."""

    def __init__(self, release: Release, variants: Mapping[str, Sequence[Entry]]) -> None:
        self.release = release
        self.state = State(release, Size(nodes=2, guests=24))
        data = self.state.export()
        data["groups"].append({"groupid": "ops"})
        data["users"].append({"userid": "joe@pve", "groups": ["ops"]})
        data["tokens"].append({"tokenid": "joe@pve!ci", "privsep": 1})
        data["sdn"] = {"zones": [{"zone": "lab", "type": "simple"}], "controllers": []}
        data["vnets"] = [{"vnet": "vnet0", "zone": "lab"}]
        data["firewall"]["cluster"] = CLUSTER_FW
        data["firewall"]["guests"] = {str(guest["vmid"]): GUEST_FW for guest in data["guests"]}
        self.tokens: dict[str, str] = {"administrator": ROOT_TOKEN}
        for number, (name, entries) in enumerate(variants.items()):
            self.tokens[name] = self._holder(data, number, entries)
        self.state.load(data)
        self.api = Api(self.state)
        self.ids = self._ids(data)

    @staticmethod
    def _holder(data: dict[str, Any], number: int, entries: Sequence[Entry]) -> str:
        """Add a user and a token with privilege separation who have just these entries."""
        userid, tokenid = f"v{number}@pve", f"v{number}@pve!app"
        data["users"].append({"userid": userid, "groups": []})
        data["tokens"].append({"tokenid": tokenid, "privsep": 1})
        data["secrets"][tokenid] = SECRET
        for count, entry in enumerate(entries):
            role = f"v{number}-{count}"
            data["roles"].append({"roleid": role, "privs": sorted(entry.privileges)})
            for kind, ugid in (("user", userid), ("token", tokenid)):
                row = {"path": entry.path, "type": kind, "ugid": ugid, "roleid": role}
                data["acl"].append({**row, "propagate": int(entry.propagate)})
        return tokenid

    def _ids(self, data: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
        """Return the ids to ask with: of guests, one of each kind on each node and one that is in a pool."""
        guests: dict[tuple[Any, ...], dict[str, str]] = {}
        pooled = {vmid for pool in data["pools"] for vmid in pool["vms"]}
        for guest in data["guests"]:
            key = (guest["type"], guest["node"], guest["vmid"] in pooled)
            guests.setdefault(key, {"kind": guest["type"], "node": guest["node"], "vmid": str(guest["vmid"])})
        nodes = [{"node": node["name"]} for node in data["nodes"]]
        of_all = {
            "storage": "local",
            "poolid": "prod",
            "groupid": "ops",
            "userid": "joe@pve",
            "userid_realm": "pve",
            "path": "/vms/100",
            "newid": "999",
            "tokenid": "ci",
            "roleid": "PVEAuditor",
            "group": "web",
            "pos": "0",
            "cidr": "192.168.40.0/24",
            "id": "100-0",
            "upid": str(self.state.tasks[0].upid),
        }
        return {"guests": list(guests.values()), "nodes": nodes, "rest": [of_all]}

    def asked(self, endpoint: Endpoint) -> Iterator[Asked]:
        """Yield what an endpoint stands for here."""
        for ids in self._sets(endpoint.path):
            name = "gate" if "/aliases/" in endpoint.path else "lan" if "/ipset/" in endpoint.path else "rpool"
            values = {**self.ids["rest"][0], "name": name, **ids}
            if "upid" in fields(endpoint.path):
                values["node"] = values["upid"].split(":")[1]
            needed = {name: values[name] for name in NEEDED.get(endpoint.path, ()) if name in values}
            params = {**endpoint.params, **needed}
            if endpoint.method == "GET":
                params = {name: value for name, value in params.items() if f"{name}=" in endpoint.name}
            if endpoint.path.endswith("/disks/smart"):
                params["disk"] = "/dev/sda"
            path, sent = fill(endpoint.path, values), tuple(params.items())
            yield Asked(endpoint.method, path, sent, endpoint.path, endpoint.name, values)

    def _sets(self, path: str) -> list[dict[str, str]]:
        if "vmid" in fields(path):
            kind = path.split("/")[3]
            return [ids for ids in self.ids["guests"] if ids["kind"] == kind]
        if path == "/access/acl":
            return [{"path": place} for place in PATHS]
        return self.ids["nodes"] if "node" in fields(path) else [{}]

    def answer(self, who: str, asked: Asked) -> tuple[int, Any]:
        """Ask as somebody; a write gets a parameter that lets it fail. Order in lists does not count."""
        tokenid = self.tokens[who]
        secret = ROOT_SECRET if tokenid == ROOT_TOKEN else SECRET
        headers = {"Authorization": f"PVEAPIToken={tokenid}={secret}"}
        params = dict(asked.params)
        target, body = f"/api2/json{asked.path}", b""
        if asked.method == "GET":
            target += f"?{urlencode(params)}" if params else ""
        else:
            params.update(GUARD)
            if asked.method == "DELETE":
                target += f"?{urlencode(params)}"
            else:
                body = urlencode(params).encode()
                headers["Content-Type"] = "application/x-www-form-urlencoded"
        answer = self.api.answer(Request(asked.method, target, headers, body))
        data = json.loads(answer.body).get("data") if answer.body else None
        if isinstance(data, list):
            data = sorted(json.dumps(row, sort_keys=True) for row in data)
        if asked.path == "/access/permissions" or asked.path.endswith("/time"):
            data = None  # one's own, and the clock's
        return answer.status, data


def takers_of(rights: Rights, gone: set[tuple[str, str]]) -> set[str]:
    """Return the endpoints for which some rights are said to be."""
    said = rights.reasons.items()
    return {name for (path, unused, privilege), names in said if (path, privilege) in gone for name in names}


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: ".".join(map(str, release)))
@pytest.mark.parametrize("name", NAMES)
def test_an_application_gets_all_it_asks_for_and_less_rights_show_less(name: str, release: Release) -> None:
    rights = rights_of(name, release)
    variants = {what: less for what, unused, less in weaker(rights.entries)}
    world = World(release, {"application": rights.entries, **variants})
    asked = [
        one
        for endpoint in calls_of(name, release).endpoints.values()
        for one in world.asked(endpoint)
        if endpoint.path not in NOT_SIMULATED
    ]
    full = {one: world.answer("administrator", one) for one in asked}
    for one in asked:
        status, data = world.answer("application", one)
        assert status not in (401, 403), one
        assert (status, data) == full[one], one
    for what, gone, unused in weaker(rights.entries):
        unseen = any(gone == rest and release < before and about in what for rest, before, about in UNSEEN)
        first = sorted(asked, key=lambda one: one.name not in takers_of(rights, gone))
        assert any(world.answer(what, one) != full[one] for one in first) != unseen, what


@pytest.mark.parametrize("name", NAMES)
def test_an_application_may_do_what_its_rights_say_and_nothing_else(name: str) -> None:
    """Every other read that PVE refuses as a whole, and every write, is refused unless these very rights open it."""
    release: Release = (9, 2)
    rights = rights_of(name, release)
    world = World(release, {"application": rights.entries})
    evaluator = holder(rights.entries)
    refused = 0
    for method in (*reads(release), *writes(release)):
        for one in world.asked(Endpoint("", method.method, method.path)):
            check = method.check.for_path(one.values)
            allowed = check.satisfied(lambda path: evaluator.privileges(TOKEN, path))
            assert (world.answer("application", one)[0] != 403) == allowed, (one, str(check))
            refused += not allowed
    assert refused > 150


def test_labby_sees_its_five_lists_and_not_what_else_there_is() -> None:
    world = World((9, 2), {"application": rights_of("labby", (9, 2)).entries})
    closed = {
        "/access/acl": [],
        "/access/groups": [],
        "/access/users": [],
        "/access/tfa": [],
        "/cluster/log": [],
        "/cluster/sdn/zones": [],
        "/cluster/sdn/vnets": [],
    }
    for path, expected in closed.items():
        assert world.answer("administrator", Asked("GET", path, (), path))[1] != [] or path in (
            "/access/tfa",
            "/cluster/log",
        )
        assert world.answer("application", Asked("GET", path, (), path)) == (200, expected), path
    for path in ("/nodes/ugreen/syslog", "/storage/local", "/access/users/joe@pve", "/nodes/ugreen/apt/update"):
        assert world.answer("application", Asked("GET", path, (), path))[0] == 403, path
    own = Asked("GET", "/access/permissions", (("path", "/access"),), "")
    assert world.answer("application", own)[0] == 200


def test_what_the_simulator_does_not_have_is_what_is_left_out() -> None:
    """So that nothing is left out here which could be tried by now."""
    simulated = {path for method, path in load_all() if method == "GET"}
    filtered = {
        endpoint.path
        for name in NAMES
        for endpoint in calls_of(name, (9, 2)).endpoints.values()
        if endpoint.path in shown((9, 2)) and endpoint.path not in simulated
    }
    assert filtered == NOT_SIMULATED


def test_a_policy_with_an_application_is_applied_and_proved(ansible: Ansible, simulator: Simulator) -> None:
    reader = {"token": "labby@pve!phone", "application": "labby", "secret_file": "~/labby", "expire": "90d"}
    (ansible.home / "policy.json").write_text(json.dumps({"pve_access": {"readers": [reader]}}))
    env = {
        "PVE_HOST": simulator.host,
        "PVE_PORT": str(simulator.port),
        "PVE_FINGERPRINT": simulator.fingerprint,
        "PVE_TOKEN_ID": ROOT_TOKEN,
        "PVE_TOKEN_SECRET": ROOT_SECRET,
    }
    run = ansible.playbook("homelab.pve.site", variables={"policy": "policy.json"}, env=env)
    assert not run.returncode, run.output
    state = simulator.export()
    roles = {role["roleid"]: role["privs"] for role in state["roles"]}
    given = {
        (row["type"], row["ugid"], row["path"], *roles[row["roleid"]], bool(row["propagate"]))
        for row in state["acl"]
        if row["ugid"].startswith("labby")
    }
    assert given == {
        (kind, ugid, entry.path, *sorted(entry.privileges), entry.propagate)
        for entry in rights_of("labby", (9, 2)).entries
        for kind, ugid in (("user", "labby@pve"), ("token", "labby@pve!phone"))
    }
    told = "\n".join(run.result("Tell what was done")["msg"])
    assert "Proved: labby@pve!phone has what labby needs, and nothing else" in told
    again = ansible.playbook("homelab.pve.site", variables={"policy": "policy.json"}, env=env)
    assert (again.returncode, again.changed) == (0, [])


# -- the collection itself -------------------------------------------------------------------------------------------


def as_application(name: str, simulator: Simulator) -> dict[str, Any]:
    """Put a token with the rights of an application into a simulator with something of everything in it."""
    world = World((9, 2), {"application": rights_of(name, (9, 2)).entries})
    simulator.load(world.state.export())
    simulator.clear_requests()
    return {
        "host": simulator.host,
        "port": simulator.port,
        "ca_path": simulator.ca_file,
        "token_id": world.tokens["application"],
        "token_secret": SECRET,
    }


def not_in_the_catalogue(name: str, simulator: Simulator) -> set[str]:
    """Return what was asked of the simulator that the catalogue does not know of."""
    known = {(endpoint.method, endpoint.path) for endpoint in calls_of(name, (9, 2)).endpoints.values()}
    return {
        f"{found.method} {found.path}"
        for row in simulator.requests()
        for found in find(row["method"], row["path"], (9, 2))
        if (found.method, found.path) not in known
    }


def test_the_collection_audits_with_just_these_rights(ansible: Ansible, simulator: Simulator) -> None:
    connection = as_application("homelab-audit", simulator)
    result = ansible.module("pve_snapshot", {**connection, "dest": str(ansible.home / "snapshot.json")})
    assert not result.get("failed"), result["msg"]
    assert result["incomplete"] == []
    assert not_in_the_catalogue("homelab-audit", simulator) == set()
    assert {row["status"] for row in simulator.requests()} == {200}


def test_the_collection_applies_with_just_these_rights(ansible: Ansible, simulator: Simulator) -> None:
    connection = as_application("homelab-apply", simulator)
    access = {
        "readers": [
            {"token": "new@pve!labby", "application": "labby", "secret_file": str(ansible.home / "labby")},
            {"token": "old@pve!vm", "role": "PVEAuditor", "path": "/vms/100", "secret_file": str(ansible.home / "vm")},
        ],
        "groups": [{"groupid": "new"}, {"groupid": "ops", "comment": "On call"}],
        "users": [{"userid": "joe@pve", "groups": ["new", "ops"]}, {"userid": "gone@pve", "state": "absent"}],
        "pools": [{"poolid": "lab", "vms": [100], "storage": ["local"]}],
        "acls": [{"paths": ["/pool/lab", "/mapping"], "roles": ["PVEPoolUser"], "groups": ["new"]}],
    }
    rule = {"key": "web", "type": "in", "action": "ACCEPT", "macro": "HTTP"}
    firewall = {
        "cluster": {
            "aliases": [{"name": "desk", "cidr": "192.168.40.10"}],
            "ipsets": [{"name": "admins", "entries": [{"cidr": "desk"}]}],
            "groups": [{"name": "more", "rules": [rule]}],
            "rules": [rule],
        },
        "nodes": {"ugreen": {"rules": [rule]}},
        "guests": {100: {"options": {"enable": True}, "rules": [rule]}},
    }
    for module, options in (("pve_access", access), ("pve_firewall", firewall)):
        result = ansible.module(module, {**connection, **options})
        assert not result.get("failed"), result["msg"]
        assert result["changed"]
        assert not ansible.module(module, {**connection, **options})["changed"]
    assert not_in_the_catalogue("homelab-apply", simulator) == set()
    assert 403 not in {row["status"] for row in simulator.requests()}
