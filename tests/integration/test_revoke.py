"""Revoking: one call that ends everything, what could be done until then, and the proof that it is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.access.document import Document, parse_document
from ansible_collections.homelab.pve.plugins.module_utils.access.revocation import RevocationTask, Wanted
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import PveError
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import Plan, reconcile
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN, Simulator

from .conftest import Ansible

Json = dict[str, Any]
SECRETS = {name: f"0b1f0000-0000-4000-8000-00000000000{n}" for n, name in enumerate(("joe@pve!ci", "joe@pve!tv"), 1)}
HELPER, HELPERS_SECRET = "helper@pve!desk", "0b1f0000-0000-4000-8000-000000000009"


def acl(path: str, kind: str, ugid: str, role: str, propagate: int = 1) -> Json:
    return {"path": path, "type": kind, "ugid": ugid, "roleid": role, "propagate": propagate}


WORLD: Json = {
    "groups": [{"groupid": "staff"}],
    "users": [{"userid": "joe@pve", "groups": ["staff"]}, {"userid": "helper@pve"}, {"userid": "else@pve"}],
    "tokens": [{"tokenid": name, "privsep": 1} for name in SECRETS] + [{"tokenid": HELPER, "privsep": 0}],
    "roles": [{"roleid": "GroupAdmin", "privs": ["User.Modify"]}],
    "acl": [
        acl("/vms", "user", "joe@pve", "PVEVMUser"),
        acl("/storage/local", "group", "staff", "PVEDatastoreUser"),
        acl("/vms", "token", "joe@pve!ci", "PVEVMUser"),
        acl("/access/groups/staff", "user", "helper@pve", "GroupAdmin"),
    ],
}


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with Simulator(auth_delay=0) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Simulator:
    running.reset()
    running.clear_faults()
    state = running.export()
    for kind, rows in WORLD.items():
        state[kind] = [*state[kind], *rows]
    state["secrets"] |= {**SECRETS, HELPER: HELPERS_SECRET}
    running.load(state)
    running.clear_requests()
    return running


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """The secrets, each in a file of its own."""
    for name, secret in SECRETS.items():
        file = tmp_path / name.partition("!")[2]
        file.touch(mode=0o600)
        file.write_text(secret + "\n")
    return {name: str(tmp_path / name.partition("!")[2]) for name in SECRETS}


def revoke(
    simulator: Simulator,
    subject: str,
    *,
    dry_run: bool = False,
    asks: tuple[str, str] = (ROOT_TOKEN, ROOT_SECRET),
    client: type[Client] = Client,
    **wanted: Any,
) -> Plan:
    options = ConnectionOptions(
        simulator.host, simulator.port, token_id=asks[0], token_secret=asks[1], ca_path=simulator.ca_file
    )
    with client(options, sleep=lambda unused: None) as connected:
        task = RevocationTask(connected, Wanted(subject, **wanted), 1_800_000_000.0)
        plan = reconcile(task.observe, task.plan, task.perform, dry_run=dry_run)
        task.prove(plan)
    return plan


def works(simulator: Simulator, tokenid: str) -> bool:
    options = ConnectionOptions(
        simulator.host, simulator.port, token_id=tokenid, token_secret=SECRETS[tokenid], ca_path=simulator.ca_file
    )
    with Client(options) as client:
        try:
            client.get("/version")
        except PveError:
            return False
    return True


def calls(simulator: Simulator) -> list[str]:
    return [f"{row['method']} {row['path']}" for row in simulator.requests()]


def told(plan: Plan, subject: str) -> str:
    (row,) = [row for row in plan.result["rights"] if row["subject"] == subject]
    return "\n".join(row["text"])


def test_a_token_ends_with_one_call_and_its_secret_proves_it(simulator: Simulator, files: dict[str, str]) -> None:
    assert works(simulator, "joe@pve!ci")
    simulator.clear_requests()
    plan = revoke(simulator, "joe@pve!ci", secret_files=files)
    (write,) = [call for call in calls(simulator) if not call.startswith("GET")]
    assert write == "DELETE /access/users/joe@pve/token/ci"
    # docs/revoke.md says ten.
    assert len(calls(simulator)) <= 10
    # Its secret proves it; the other one was given as well, and must not be tried: that one works.
    assert plan.result["proof"] == [{"subject": "joe@pve!ci", "by": "login"}]
    assert not works(simulator, "joe@pve!ci")
    assert works(simulator, "joe@pve!tv")
    assert plan.result["tokens"] == ["joe@pve!tv"]
    assert plan.result["user"]["enable"] is True
    said = told(plan, "joe@pve!ci")
    assert "could write on /vms and below: VM.Backup" in said
    assert "could read on /vms and below: VM.Audit" in said
    assert "PVEVMUser of token joe@pve!ci on /vms" in said
    assert "PVEVMUser of user joe@pve on /vms" in said


def test_without_a_secret_the_list_proves_it(simulator: Simulator) -> None:
    plan = revoke(simulator, "joe@pve!ci")
    assert plan.result["proof"] == [{"subject": "joe@pve!ci", "by": "list"}]
    assert calls(simulator)[-1] == "GET /access/users"
    again = revoke(simulator, "joe@pve!ci")
    assert not again.changed
    assert again.result["rights"] == []


def test_a_user_goes_with_all_tokens_by_one_call(simulator: Simulator, files: dict[str, str]) -> None:
    plan = revoke(simulator, "joe@pve", secret_files=files)
    assert [call for call in calls(simulator) if not call.startswith("GET")] == ["DELETE /access/users/joe@pve"]
    by = {row["subject"]: row["by"] for row in plan.result["proof"]}
    assert by == {"joe@pve": "list", "joe@pve!ci": "login", "joe@pve!tv": "login"}
    assert not any(works(simulator, name) for name in SECRETS)
    assert plan.result["user"] is None
    assert "Datastore.AllocateSpace (PVEDatastoreUser of group staff on /storage/local)" in told(plan, "joe@pve")
    assert told(plan, "joe@pve!tv") == "could do nothing"


def test_a_user_who_is_kept_is_disabled_first(simulator: Simulator, files: dict[str, str]) -> None:
    plan = revoke(simulator, "joe@pve", keep_user=True, secret_files=files)
    assert [call for call in calls(simulator) if not call.startswith("GET")] == [
        "PUT /access/users/joe@pve",
        "DELETE /access/users/joe@pve/token/ci",
        "DELETE /access/users/joe@pve/token/tv",
    ]
    assert plan.result["user"]["enable"] is False
    assert plan.result["user"]["groups"] == ["staff"]
    assert {row["by"] for row in plan.result["proof"]} == {"disabled", "login"}
    assert not revoke(simulator, "joe@pve", keep_user=True).changed


def test_an_administrator_of_one_group_can_disable_its_members(simulator: Simulator) -> None:
    helper = (HELPER, HELPERS_SECRET)
    plan = revoke(simulator, "joe@pve", keep_user=True, asks=helper)
    assert [change.id for change in plan.changes] == ["joe@pve", "joe@pve!ci", "joe@pve!tv"]
    assert plan.result["rights"] is None
    assert "does not see all of: users, groups, acl" in " ".join(plan.warnings)
    (joe,) = [user for user in simulator.export()["users"] if user["userid"] == "joe@pve"]
    assert (joe["enable"], joe["groups"]) == (0, ["staff"])
    for name in ("else@pve", "else@pve!ci"):
        with pytest.raises(PveError, match="cannot be known"):
            revoke(simulator, name, asks=helper)
    with pytest.raises(PveError, match=r"needs Realm.AllocateUser"):
        revoke(simulator, "joe@pve", asks=helper)


def test_who_is_in_other_groups_too_stays_in_them(simulator: Simulator) -> None:
    """The administrator of one group can neither name the others nor see them."""
    state = simulator.export()
    state["groups"] += [{"groupid": "ops"}]
    state["users"] = [
        row | {"groups": ["ops", "staff"]} if row["userid"] == "joe@pve" else row for row in state["users"]
    ]
    simulator.load(state)
    revoke(simulator, "joe@pve", keep_user=True, asks=(HELPER, HELPERS_SECRET))
    (joe,) = [user for user in simulator.export()["users"] if user["userid"] == "joe@pve"]
    assert (joe["enable"], joe["groups"]) == (0, ["ops", "staff"])


def test_a_dry_run_changes_and_proves_nothing(simulator: Simulator, files: dict[str, str]) -> None:
    before = simulator.export()
    plan = revoke(simulator, "joe@pve", dry_run=True, secret_files=files)
    assert simulator.export() == before
    assert plan.changed
    assert {call.partition(" ")[0] for call in calls(simulator)} == {"GET"}
    assert told(plan, "joe@pve")


@pytest.mark.parametrize("subject", ["joe@pve", "joe@pve!ci"])
@pytest.mark.parametrize("when", ["in", "before"])
def test_a_lost_answer_is_looked_up(simulator: Simulator, files: dict[str, str], subject: str, when: str) -> None:
    simulator.fault("DELETE", when=when)
    plan = revoke(simulator, subject, secret_files={name: files[name] for name in files if name.startswith(subject)})
    assert plan.changed
    assert not works(simulator, "joe@pve!ci")
    # A second one would be answered that there is no such token.
    assert len([call for call in calls(simulator) if call.startswith("DELETE")]) == 1


class Swallowing(Client):
    """Somebody in between who says that it was done."""

    def send(self, *_what: Any) -> None:
        """Do nothing."""


def test_a_secret_that_never_worked_proves_nothing(simulator: Simulator, files: dict[str, str]) -> None:
    with pytest.raises(PveError, match="still lists"):
        revoke(simulator, "joe@pve!ci", client=Swallowing, secret_files={"joe@pve!ci": files["joe@pve!tv"]})


class Late(Client):
    """Somebody else is quicker."""

    def send(self, method: str, path: str, params: Any = None) -> Any:
        """Do it twice."""
        super().send(method, path, params)
        return super().send(method, path, params)


def test_what_somebody_else_deletes_meanwhile_is_gone(simulator: Simulator, files: dict[str, str]) -> None:
    assert revoke(simulator, "joe@pve!ci", client=Late, secret_files=files).changed


def test_a_slip_of_the_pen_is_told(simulator: Simulator) -> None:
    """Nothing of that name is there, which proves little where another one was meant."""
    for name, meant in (("Joe@pve", "joe@pve"), ("joe@pam", "joe@pve"), ("joe@pve!CI", "joe@pve!ci")):
        plan = revoke(simulator, name)
        assert not plan.changed
        assert f"PVE has no {name}, but {meant}." in " ".join(plan.warnings)
    assert not revoke(simulator, "ghost@pve").warnings


@pytest.mark.parametrize(("with_secret", "told"), [(True, r"yet lets joe@pve!ci log in"), (False, r"still lists")])
def test_what_still_works_is_no_success(
    simulator: Simulator, files: dict[str, str], with_secret: bool, told: str
) -> None:
    with pytest.raises(PveError, match=told):
        revoke(simulator, "joe@pve!ci", client=Swallowing, secret_files=files if with_secret else {})


def test_ones_own_is_refused_unless_it_is_meant(simulator: Simulator) -> None:
    for subject in (ROOT_TOKEN, "root@pam"):
        with pytest.raises(PveError, match=r"would be deleted.*allow_lockout"):
            revoke(simulator, subject)
    joe = ("joe@pve!ci", SECRETS["joe@pve!ci"])
    state = simulator.export()
    state["acl"] += [acl("/", kind, name, "Administrator") for kind, name in (("user", "joe@pve"), ("token", joe[0]))]
    state["acl"] = [row for row in state["acl"] if row["path"] != "/vms"]
    simulator.load(state)
    with pytest.raises(PveError, match="could not go on"):
        revoke(simulator, "joe@pve", keep_user=True, asks=joe, allow_lockout=True)
    assert works(simulator, joe[0])
    plan = revoke(simulator, "joe@pve", asks=joe, allow_lockout=True)
    assert plan.result["proof"] == [{"subject": joe[0], "by": "login"}]
    assert "could do everything on / and below" in told(plan, "joe@pve")
    assert not works(simulator, joe[0])


def test_of_root_only_the_tokens_go_and_ones_own_last(simulator: Simulator) -> None:
    state = simulator.export()
    state["tokens"] += [{"tokenid": "root@pam!zz"}, {"tokenid": "root@pam!aa"}]
    simulator.load(state)
    plan = revoke(simulator, "root@pam", allow_lockout=True)
    assert [change.id for change in plan.changes] == ["root@pam!aa", "root@pam!zz", ROOT_TOKEN]
    after = simulator.export()
    assert [token["tokenid"] for token in after["tokens"] if token["tokenid"].startswith("root@")] == []
    assert any(user["userid"] == "root@pam" and user["enable"] for user in after["users"])


def test_a_file_that_cannot_be_read_does_not_hold_it_up(simulator: Simulator, files: dict[str, str]) -> None:
    Path(files["joe@pve!ci"]).chmod(0o644)
    plan = revoke(simulator, "joe@pve!ci", secret_files=files)
    assert plan.result["proof"] == [{"subject": "joe@pve!ci", "by": "list"}]
    assert "is open to others" in " ".join(plan.warnings)


READERS = [{"token": name, "role": "PVEAuditor", "path": "/vms", "secret_file": f"/nowhere/{name}"} for name in SECRETS]


@pytest.mark.parametrize(
    ("params", "again", "files"),
    [
        ({"tokenid": "joe@pve!ci"}, "joe@pve!ci:", {"joe@pve!ci"}),
        ({"userid": "joe@pve"}, "joe@pve, joe@pve!ci, joe@pve!tv:", set(SECRETS)),
        ({"userid": "joe@pve", "keep_user": True}, "joe@pve!ci, joe@pve!tv:", set(SECRETS)),
        ({"userid": "else@pve"}, "", set()),
    ],
)
def test_a_policy_tells_files_and_what_it_would_make_again(
    simulator: Simulator, params: Json, again: str, files: set[str]
) -> None:
    given = {"tokenid": None, "userid": None, "keep_user": False, "secret_file": None, "allow_lockout": False, **params}
    wanted = Wanted.of(given, parse_document({"readers": READERS}))
    assert set(wanted.secret_files) == files
    plan = revoke(simulator, wanted.subject, dry_run=True, keep_user=wanted.keep_user, declared=wanted.declared)
    said = [warning for warning in plan.warnings if "make it again" in warning]
    assert [line.partition(" declares ")[2].startswith(again) for line in said] == ([True] if again else [])


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"tokenid": "joe@pve"}, "This is a user"),
        ({"userid": "joe@pve!ci"}, "is a token id"),
        ({"tokenid": "joe@pve!ci", "keep_user": True}, "leaves its user alone anyway"),
        ({"userid": "joe@pve", "secret_file": "x"}, "is for one token"),
    ],
)
def test_what_makes_no_sense_is_refused(params: Json, told: str) -> None:
    given = {"tokenid": None, "userid": None, "keep_user": False, "secret_file": None, "allow_lockout": False, **params}
    with pytest.raises(PveError, match=told):
        Wanted.of(given, Document())


def test_the_playbook(simulator: Simulator, ansible: Ansible, files: dict[str, str]) -> None:
    (ansible.home / "policy.yml").write_text(
        "pve_access:\n  readers:\n  - {token: joe@pve!ci, role: PVEVMUser, path: /vms, secret_file: "
        f"{files['joe@pve!ci']}}}\n"
    )
    env = {
        **{"PVE_HOST": simulator.host, "PVE_PORT": str(simulator.port), "PVE_CA_PATH": simulator.ca_file},
        **{"PVE_TOKEN_ID": ROOT_TOKEN, "PVE_TOKEN_SECRET": ROOT_SECRET},
    }

    def run(*arguments: str, **variables: str) -> str:
        done = ansible.playbook("homelab.pve.revoke", *arguments, variables=variables, env=env)
        assert done.returncode == 0, done.output
        for secret in (*SECRETS.values(), ROOT_SECRET):
            assert secret not in done.output
        return done.output

    planned = run("--check", token="joe@pve!ci", policy="policy.yml")
    assert works(simulator, "joe@pve!ci")
    assert "joe@pve!ci could write on /vms and below" in planned
    assert "Would be proved" in planned
    done = run("-vvv", token="joe@pve!ci", policy="policy.yml")
    assert "Revoked: token joe@pve!ci" in done
    assert "PVE refuses the secret of joe@pve!ci" in done
    assert "still declares joe@pve!ci" in done
    assert not works(simulator, "joe@pve!ci")
    wrong = ansible.playbook("homelab.pve.revoke", env=env)
    assert wrong.returncode
    assert "Add: -e token=" in wrong.output
