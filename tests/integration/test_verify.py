"""Stored secrets are verified: what is right is said to be right, and every way to be wrong is found and explained."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.access.document import parse_document
from ansible_collections.homelab.pve.plugins.module_utils.access.permissions import Evaluator
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import PveError
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.proof.verification import Comparison, Verification, verify
from ansible_collections.homelab.pve.tests.integration.conftest import Ansible
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, Simulator
from ansible_collections.homelab.pve.tests.unit.access.strategies import TOKENS, states, view_of
from hypothesis import given, settings

Json = dict[str, Any]
NOW = 1_800_000_000.0
DAY = 86400
AUDITOR = "audit@pve!ci"
SECRETS = {AUDITOR: "0b1f0000-0000-4000-8000-000000000000"}
PLACES = {"whole@pve!r1": "/", "guest@pve!r1": "/vms/100", "pool@pve!r1": "/pool/lab", "store@pve!r1": "/storage"}
SECRETS |= {name: f"0b1f0000-0000-4000-8000-00000000000{n}" for n, name in enumerate(PLACES, 1)}


def acl(path: str, ugid: str, role: str = "PVEAuditor", propagate: int = 1) -> Json:
    kind = "token" if "!" in ugid else "user" if "@" in ugid else "group"
    return {"path": path, "type": kind, "ugid": ugid, "roleid": role, "propagate": propagate}


def owner(tokenid: str) -> str:
    return tokenid.partition("!")[0]


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with Simulator(auth_delay=0) as simulator:
        yield simulator


class World:
    """A cluster to which the policy was applied, with all secrets in files."""

    def __init__(self, simulator: Simulator, folder: Path) -> None:
        self.simulator = simulator
        self.folder = folder
        simulator.reset()
        state = simulator.export()
        state["users"] += [{"userid": owner(name)} for name in SECRETS]
        state["tokens"] += [{"tokenid": name, "privsep": 1} for name in SECRETS]
        state["secrets"] |= SECRETS
        state["pools"] += [{"poolid": "lab", "vms": [100], "storage": ["local"]}]
        state["groups"] += [{"groupid": "ops"}]
        state["acl"] += [acl(path, who) for name, path in PLACES.items() for who in (name, owner(name))]
        state["acl"] += [acl("/", who) for who in (AUDITOR, owner(AUDITOR))]
        simulator.load(state)
        simulator.clear_requests()
        for name, secret in SECRETS.items():
            file = self.file(name)
            file.touch(mode=0o600)
            file.write_text(secret + "\n")

    def file(self, tokenid: str) -> Path:
        return self.folder / owner(tokenid).replace("@", "-")

    def policy(self) -> Json:
        readers: list[Json] = [
            {"token": name, "role": "PVEAuditor", "path": path, "secret_file": str(self.file(name))}
            for name, path in PLACES.items()
        ]
        readers[-1]["propagate"] = True  # of the others, the policy does not say so, and the cluster decides
        return {"readers": readers, "tokens": [{"tokenid": AUDITOR}]}

    def change(self, **rows: Any) -> None:
        """Change the cluster: lists are appended, functions are given the list."""
        state = self.simulator.export()
        for kind, wanted in rows.items():
            if callable(wanted):
                wanted(state[kind])
            else:
                state[kind] += wanted
        self.simulator.load(state)

    def verify(self, policy: Json | None = None, *, asks: str = AUDITOR, **how: Any) -> Verification:
        options = ConnectionOptions(
            self.simulator.host,
            self.simulator.port,
            token_id=asks,
            token_secret=SECRETS[asks],
            ca_path=self.simulator.ca_file,
        )
        with Client(options) as client:
            return verify(client, parse_document(policy or self.policy()), NOW, **{"expiring_days": 14, **how})

    def wrong(self, tokenid: str, policy: Json | None = None) -> str:
        """Return what is said of one token, with nothing said of the others."""
        found = self.verify(policy)
        assert [one.tokenid for one in found.verdicts if not one.good] == [tokenid]
        (verdict,) = [one for one in found.verdicts if one.tokenid == tokenid]
        assert tokenid in found.failure()
        return "\n".join(verdict.told())


@pytest.fixture
def world(running: Simulator, tmp_path: Path) -> World:
    return World(running, tmp_path)


def setting(key: str, name: str, **values: Any) -> Any:
    def change(rows: list[Json]) -> None:
        (row,) = [row for row in rows if row[key] == name]
        row.update(values)

    return change


def without(path: str, ugid: str) -> Any:
    def change(rows: list[Json]) -> None:
        rows[:] = [row for row in rows if (row["path"], row["ugid"]) != (path, ugid)]

    return change


def test_what_nobody_declared_of_a_user_is_none_of_a_token_without_separation(world: World) -> None:
    """It can do what its user can; a group that he is put into by hand widens it."""
    name = "guest@pve!r1"
    world.change(tokens=setting("tokenid", name, privsep=0))
    policy = world.policy()
    policy["readers"] = [reader for reader in policy["readers"] if reader["token"] != name]
    policy["tokens"] += [{"tokenid": name, "privsep": False, "secret_file": str(world.file(name))}]
    policy["users"] = [{"userid": owner(name)}]
    undeclared = world.verify(policy)
    assert not undeclared.failure()
    policy["acls"] = [{"path": "/vms/100", "users": [owner(name)], "roles": ["PVEAuditor"]}]
    assert not world.verify(policy).failure()
    world.change(users=setting("userid", owner(name), groups=["ops"]), acl=[acl("/vms/102", "ops", "PVEVMUser")])
    assert "PVEVMUser of group ops on /vms/102" in world.wrong(name, policy)


def test_what_is_right_is_verified_with_one_request_for_each(world: World) -> None:
    before = world.simulator.export()
    found = world.verify()
    assert found.failure() == ""
    assert [one["tokenid"] for one in found.as_data()["verified"]] == list(PLACES)
    assert found.as_data()["not_verified"] == []
    assert found.not_tried == (AUDITOR,)
    asked = Counter((row["method"], row["path"]) for row in world.simulator.requests())
    assert asked["GET", "/access/permissions"] == 1 + len(PLACES)
    assert sum(asked.values()) == found.requests
    # Access itself, the resources, and the members of the one pool.
    assert found.requests - len(PLACES) == 8
    assert {method for method, unused in asked} == {"GET"}
    assert world.simulator.export() == before


WRONG: dict[str, tuple[str, Json, list[str]]] = {
    "a role of its user and its own": (
        "guest@pve!r1",
        {"acl": [acl("/vms/102", name, "PVEVMUser") for name in ("guest@pve", "guest@pve!r1")]},
        [
            "holds VM.Audit, VM.Backup",
            "besides on /vms/102 (",
            "PVEVMUser of user guest@pve on /vms/102",
            "PVEVMUser of token guest@pve!r1 on /vms/102",
        ],
    ),
    "a group": (
        "guest@pve!r1",
        {
            "users": setting("userid", "guest@pve", groups=["ops"]),
            "acl": [acl("/vms/102", "ops"), acl("/vms/102", "guest@pve!r1")],
        },
        ["on /vms/102", "PVEAuditor of group ops on /vms/102"],
    ),
    "no privilege separation": (
        "pool@pve!r1",
        {"tokens": setting("tokenid", "pool@pve!r1", privsep=0), "acl": [acl("/", "pool@pve")]},
        ["besides on / (it has no privilege separation)"],
    ),
    "the half of the user is missing": (
        "guest@pve!r1",
        {"acl": without("/vms/100", "guest@pve")},
        ["lacks", "VM.Audit", "on /vms/100 (missing: PVEAuditor of user guest@pve on /vms/100)"],
    ),
    "the half of the token is missing": (
        "store@pve!r1",
        {"acl": without("/storage", "store@pve!r1")},
        ["lacks", "on /storage (missing: PVEAuditor of token store@pve!r1 on /storage)"],
    ),
    "a deeper entry": (
        "whole@pve!r1",
        {"acl": [acl("/vms/100", "whole@pve", "NoAccess")]},
        ["lacks", "on /vms/100 (hidden by NoAccess of user whole@pve on /vms/100)"],
    ),
    "a propagate flag": (
        "store@pve!r1",
        {"acl": lambda rows: [row.update(propagate=0) for row in rows if row["path"] == "/storage"]},
        ["has another propagate flag for Datastore.Audit", "on /storage"],
    ),
    "a pool": (
        "guest@pve!r1",
        {"pools": setting("poolid", "lab", vms=[102]), "acl": [acl("/pool", n) for n in ("guest@pve", "guest@pve!r1")]},
        ["besides on /pool (", "besides on /vms/102 (", "by pool lab"],
    ),
    "a disabled user": ("pool@pve!r1", {"users": setting("userid", "pool@pve", enable=0)}, ["pool@pve is disabled"]),
    "an expired user": (
        "pool@pve!r1",
        {"users": setting("userid", "pool@pve", expire=int(NOW) - DAY)},
        ["its user pool@pve has expired on 2027-01-14"],
    ),
    "an expired token": (
        "pool@pve!r1",
        {"tokens": setting("tokenid", "pool@pve!r1", expire=int(NOW) - DAY)},
        ["it has expired on 2027-01-14"],
    ),
    "no such token": (
        "pool@pve!r1",
        {"tokens": lambda rows: rows.pop([row["tokenid"] for row in rows].index("pool@pve!r1"))},
        ["PVE has no such token"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_on_the_cluster_is_found(world: World, name: str) -> None:
    tokenid, rows, told = WRONG[name]
    world.change(**rows)
    said = world.wrong(tokenid)
    for text in told:
        assert text in said
    # Who cannot log in, as can be seen beforehand, is not tried: that would take three seconds.
    assert {row["status"] for row in world.simulator.requests()} == {200}


def test_a_role_that_was_changed_is_named(world: World) -> None:
    world.change(roles=[{"roleid": "Mine", "privs": ["VM.Audit", "VM.Console"]}])
    names = ("guest@pve", "guest@pve!r1")
    world.change(acl=lambda rows: [row.update(roleid="Mine") for row in rows if row["ugid"] in names])
    policy = world.policy()
    policy["readers"][1]["role"] = "Mine"
    policy["roles"] = [{"roleid": "Mine", "privs": ["VM.Audit"]}]
    said = world.wrong("guest@pve!r1", policy)
    assert said == "holds VM.Console besides on /vms/100 (role Mine is not as the policy means it)"


def test_what_is_wrong_with_a_file_is_told(world: World) -> None:
    names = list(PLACES)
    world.file(names[0]).unlink()
    world.file(names[1]).chmod(0o640)
    world.file(names[2]).write_text("no secret\n")
    world.file(names[3]).write_text("99999999-0000-4000-8000-000000000000\n")
    found = world.verify()
    for verdict, told in zip(
        found.verdicts,
        ["does not exist", "is open to others (mode 0640)", "does not hold exactly one", "the secret is another one"],
        strict=True,
    ):
        assert told in " ".join(verdict.told())
    assert found.failure().startswith("Not verified, 4 of 4. whole@pve!r1: ")
    assert [row["status"] for row in world.simulator.requests()].count(401) == 1


def test_what_expires_soon_is_told_and_no_failure(world: World) -> None:
    world.change(tokens=setting("tokenid", "pool@pve!r1", expire=int(NOW) + 3 * DAY))
    world.change(users=setting("userid", "store@pve", expire=int(NOW) + 20 * DAY))
    rows = {row["tokenid"]: row for row in world.verify().as_data()["verified"]}
    assert rows["pool@pve!r1"]["expires_soon"]
    assert rows["store@pve!r1"]["expires"] == int(NOW) + 20 * DAY
    assert not rows["store@pve!r1"]["expires_soon"]
    rows = {row["tokenid"]: row for row in world.verify(expiring_days=30).as_data()["verified"]}
    assert rows["store@pve!r1"]["expires_soon"]


def test_who_does_not_see_all_can_try_log_ins_alone(world: World) -> None:
    with pytest.raises(PveError, match=r"does not see all of: users, groups, acl.*rights: false"):
        world.verify(asks="guest@pve!r1")
    world.file("pool@pve!r1").write_text("99999999-0000-4000-8000-000000000000\n")
    found = world.verify(asks="guest@pve!r1", rights=False)
    assert [one.tokenid for one in found.verdicts if one.good] == ["whole@pve!r1", "guest@pve!r1", "store@pve!r1"]
    assert "401" in found.failure()


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ({"tokens": [{"tokenid": AUDITOR}]}, "no secret in a file"),
        ({"readers": [{"token": AUDITOR, "role": "PVEAuditr", "path": "/", "secret_file": "/x"}]}, "PVEAuditor"),
    ],
)
def test_a_policy_that_says_nothing_is_refused(world: World, policy: Json, told: str) -> None:
    with pytest.raises(PveError, match=told):
        world.verify(policy)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(state=states(), meant=states())
def test_differences_are_those_of_the_rights(state: Any, meant: Any) -> None:
    """Whatever is there and whatever is meant: no difference means equal rights, and each that is told is one."""
    view = view_of(state)
    comparison = Comparison(view)
    for tokenid in TOKENS:
        now, then = Evaluator(state), Evaluator(meant)
        found = list(comparison.differences(tokenid, now.tree(tokenid), meant))
        for one in found:
            held, wanted = set(now.privileges(tokenid, one.path)), set(then.privileges(tokenid, one.path))
            assert (set(one.more), set(one.less)) == (held - wanted, wanted - held)
        paths = {*state.acl_paths, *meant.acl_paths, *state.pools_of, *meant.pools_of, "/nodes", "/sdn"}
        same = all(set(now.privileges(tokenid, p)) == set(then.privileges(tokenid, p)) for p in paths)
        assert same or found


def test_the_playbook(world: World, ansible: Ansible) -> None:
    (ansible.home / "policy.json").write_text(json.dumps({"pve_access": world.policy()}))
    world.change(acl=[acl("/vms/102", name, "PVEVMUser") for name in ("guest@pve", "guest@pve!r1")])
    simulator = world.simulator
    env = {
        **{"PVE_HOST": simulator.host, "PVE_PORT": str(simulator.port), "PVE_CA_PATH": simulator.ca_file},
        **{"PVE_TOKEN_ID": AUDITOR, "PVE_TOKEN_SECRET": SECRETS[AUDITOR]},
    }
    run = ansible.playbook("homelab.pve.verify", "-vvv", variables={"policy": "policy.json"}, env=env)
    assert run.returncode
    assert "Verified: whole@pve!r1" in run.output
    assert "NOT VERIFIED: guest@pve!r1" in run.output
    assert f"Not tried: {AUDITOR}" in run.output
    assert "Not verified, 1 of 4. guest@pve!r1: holds" in run.output
    for secret in (*SECRETS.values(), ROOT_SECRET):
        assert secret not in run.output
