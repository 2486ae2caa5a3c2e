"""What every module of the collection that changes something promises, in one test for all of them.

A new module that writes needs its cases here; without them ``test_every_writing_module_has_cases`` fails.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.pve.tests.integration.modules.world import (
    EXPIRE,
    Json,
    Module,
    difference,
    succeeded,
)
from ansible_collections.homelab.pve.tests.simulator import Simulator

ROOT = Path(__file__).resolve().parents[3]
ALL = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
# Whoever does not say that it changes nothing in PVE, or works on this side alone, is held to what is promised here.
READS = re.compile(r"attributes\.(reads|writes_files)\b|\brun_local\(")
WRITERS = [name for name in ALL if not READS.search((ROOT / f"plugins/modules/{name}.py").read_text())]


@dataclass(frozen=True)
class Case:
    """A task that changes something in the world, and what it then changes there (see ``difference``)."""

    name: str
    options: Json
    touches: set[str] = field(default_factory=set)


CASES: dict[str, list[Case]] = {
    "pve_role": [
        Case("create", {"roleid": "reader", "privs": ["VM.Audit"]}, {"roles reader"}),
        Case("replace", {"roleid": "operator", "privs": ["VM.Audit", "VM.Console"]}, {"roles operator"}),
        Case("append", {"roleid": "operator", "privs": "VM.Console", "append": True}, {"roles operator"}),
        Case("delete", {"roleid": "operator", "state": "absent"}, {"roles operator", "acl /vms ops operator"}),
    ],
    "pve_group": [
        Case("create", {"groupid": "new", "comment": "New"}, {"groups new"}),
        Case("update", {"groupid": "ops", "comment": ""}, {"groups ops"}),
        Case(
            "delete",
            {"groupid": "ops", "state": "absent"},
            {"groups ops", "users joe@pve", "acl /vms ops operator"},
        ),
    ],
    "pve_user": [
        Case("create", {"userid": "new@pve", "groups": ["ops"], "expire": "90d"}, {"users new@pve"}),
        Case(
            "create with a password",
            {"userid": "new@pve", "user_password": "a new password"},
            {"users new@pve", "password new@pve"},
        ),
        Case(
            "update",
            {"userid": "joe@pve", "enable": True, "expire": "never", "groups": ["ops"], "comment": "", "lastname": "D"},
            {"users joe@pve"},
        ),
        Case("append", {"userid": "ann@pve", "groups": ["ops"], "append": True}, {"users ann@pve"}),
        Case(
            "delete",
            {"userid": "joe@pve", "state": "absent"},
            {
                "users joe@pve",
                "password joe@pve",
                "tokens joe@pve!ci",
                "acl /pool/lab joe@pve PVEPoolUser",
                "acl /pool/lab joe@pve!ci PVEPoolUser",
            },
        ),
    ],
    "pve_pool": [
        Case("create", {"poolid": "lab/inner", "comment": "New", "storage": ["local"]}, {"pools lab/inner"}),
        Case("members", {"poolid": "lab", "vms": [102], "storage": [], "comment": "Other"}, {"pools lab"}),
        Case("append", {"poolid": "lab", "vms": [102], "append": True}, {"pools lab"}),
        Case("move", {"poolid": "new", "vms": [100], "allow_move": True}, {"pools new", "pools lab"}),
    ],
    "pve_token": [
        Case(
            "create",
            {"tokenid": "ann@pve!new", "expire": "90d", "comment": "New", "secret_file": "~/.new"},
            {"tokens ann@pve!new", "secret ann@pve!new"},
        ),
        Case(
            "update",
            {"tokenid": "ann@pve!ci", "privsep": False, "expire": EXPIRE, "comment": "Other"},
            {"tokens ann@pve!ci"},
        ),
        Case(
            "renew",
            {"tokenid": "ann@pve!lost", "secret_file": "~/.lost", "renew": "when_lost"},
            {"secret ann@pve!lost"},
        ),
        Case(
            "delete",
            {"tokenid": "ann@pve!ci", "state": "absent"},
            {"tokens ann@pve!ci", "secret ann@pve!ci", "acl /vms/100 ann@pve!ci PVEAuditor"},
        ),
    ],
    "pve_revocation": [
        Case(
            "token",
            {"tokenid": "ann@pve!ci", "secret_file": "~/.ci"},
            {"tokens ann@pve!ci", "secret ann@pve!ci", "acl /vms/100 ann@pve!ci PVEAuditor"},
        ),
        Case(
            "user",
            {"userid": "ann@pve"},
            {
                *("users ann@pve", "password ann@pve", "tokens ann@pve!ci", "tokens ann@pve!lost"),
                *("acl /vms/100 ann@pve PVEAuditor", "acl /vms/100 ann@pve!ci PVEAuditor"),
            },
        ),
        Case(
            "disable",
            {"userid": "ann@pve", "keep_user": True},
            {
                *("users ann@pve", "tokens ann@pve!ci", "tokens ann@pve!lost", "secret ann@pve!ci"),
                "acl /vms/100 ann@pve!ci PVEAuditor",
            },
        ),
    ],
    "pve_rotation": [
        Case(
            "begin",
            {"tokenid": "ann@pve!ci", "secret_file": "~/.ci", "step": "begin"},
            {"tokens ann@pve!ci-2", "secret ann@pve!ci-2", "acl /vms/100 ann@pve!ci-2 PVEAuditor"},
        ),
    ],
    "pve_acl": [
        Case(
            "create",
            {"paths": ["/storage/local", "/nodes/ugreen"], "roles": ["PVEAuditor"], "users": ["ann@pve", "joe@pve"]},
            {
                f"acl {path} {user} PVEAuditor"
                for path in ("/storage/local", "/nodes/ugreen")
                for user in ("ann@pve", "joe@pve")
            },
        ),
        Case(
            "propagate",
            {"path": "/vms/100", "role": "PVEAuditor", "users": "ann@pve", "propagate": True},
            {"acl /vms/100 ann@pve PVEAuditor"},
        ),
        Case(
            "both halves",
            {"path": "/vms/102", "role": "PVEAuditor", "tokens": "ann@pve!ci", "grant_user": True},
            {"acl /vms/102 ann@pve!ci PVEAuditor", "acl /vms/102 ann@pve PVEAuditor"},
        ),
        Case(
            "delete",
            {"path": "/vms", "role": "operator", "groups": "ops", "state": "absent"},
            {"acl /vms ops operator"},
        ),
    ],
    "pve_access": [
        Case(
            "readers",
            {
                "readers": [
                    {"token": "new@pam!one", "role": "PVEAuditor", "path": "/vms/102", "secret_file": "~/.one"},
                    {"token": "ann@pve!two", "role": "PVEAuditor", "path": "/vms/100", "secret_file": "~/.two"},
                    {
                        "token": "new@pam!three",
                        "role": "PVEAuditor",
                        "path": "/nodes/ugreen",
                        "logs": True,
                        "secret_file": "~/.three",
                    },
                ]
            },
            {
                "users new@pam",
                "roles homelab-logs",
                *(f"{kind} {token}" for kind in ("tokens", "secret") for token in ("new@pam!one", "ann@pve!two")),
                "tokens new@pam!three",
                "secret new@pam!three",
                "acl /vms/102 new@pam PVEAuditor",
                "acl /vms/102 new@pam!one PVEAuditor",
                "acl /vms/100 ann@pve!two PVEAuditor",
                # It holds that already, but not on what is below; a reader's entries propagate.
                "acl /vms/100 ann@pve PVEAuditor",
                *(
                    f"acl /nodes/ugreen {who} {role}"
                    for who in ("new@pam", "new@pam!three")
                    for role in ("PVEAuditor", "homelab-logs")
                ),
            },
        ),
        Case(
            "ghosts",
            {"purge_ghosts": True, "users": [{"userid": "gone@pve"}]},
            {"users gone@pve", "acl /storage/local gone@pve PVEDatastoreUser", "acl /storage/local gone PVEAuditor"},
        ),
        Case(
            "everything",
            {
                "roles": [{"roleid": "reader", "privs": ["VM.Audit"]}],
                "groups": [{"groupid": "new"}, {"groupid": "dev", "state": "absent"}],
                "users": [{"userid": "new@pve", "groups": ["new"]}, {"userid": "ann@pve", "email": "ann@example.org"}],
                "tokens": [{"tokenid": "ann@pve!ci", "comment": "Other", "secret_file": "~/.ci"}],
                "pools": [{"poolid": "lab", "vms": [100, 102]}],
                "acls": [{"path": "/pool/lab", "role": "reader", "groups": ["new"], "users": ["new@pve"]}],
                "exclusive": {"acls": {"paths": ["/pool/*"]}, "tokens": {"users": ["ann@*"]}},
                "keep": ["ann@pve!lost"],
            },
            {
                "roles reader",
                "groups new",
                "groups dev",
                "users joe@pve",  # was in the group that goes
                "users new@pve",
                "users ann@pve",
                "tokens ann@pve!ci",
                "pools lab",
                "acl /pool/lab new reader",
                "acl /pool/lab new@pve reader",
                "acl /pool/lab joe@pve PVEPoolUser",
                "acl /pool/lab joe@pve!ci PVEPoolUser",
            },
        ),
    ],
    "pve_fw_rule": [
        Case(
            "create",
            {"key": "dns", "type": "in", "action": "ACCEPT", "macro": "dns", "source": "lan", "position": "bottom"},
            {"cluster rules"},
        ),
        Case("update", {"key": "api", "dport": "8006,3128", "sport": "", "comment": "", "log": ""}, {"cluster rules"}),
        Case("move", {"key": "ssh", "position": "before", "anchor": "api"}, {"cluster rules"}),
        Case("switch on", {"key": "ssh", "enable": True}, {"cluster rules"}),
        Case("delete", {"key": "api", "state": "absent"}, {"cluster rules"}),
        Case(
            "delete by content",
            {"type": "in", "action": "DROP", "source": "10.9.9.9/32", "state": "absent"},
            {"cluster rules"},
        ),
        Case(
            "exclusive",
            {
                "rules": [
                    {"key": "ssh"},
                    {"key": "new", "type": "in", "action": "DROP", "source": "10.9.9.8"},
                    {"key": "api"},
                ],
                "exclusive": True,
            },
            {"cluster rules"},
        ),
        Case(
            "node",
            {"scope": "node", "node": "ugreen", "key": "bad", "type": "in", "action": "REJECT", "source": "10.9.9.9"},
            {"node ugreen rules"},
        ),
        Case(
            "guest",
            {
                "scope": "guest",
                "vmid": 100,
                "position": "top",
                "rules": [
                    {"key": "smtp", "type": "out", "action": "REJECT", "proto": "tcp", "dport": "25", "iface": "net0"},
                    {
                        "key": "new",
                        "type": "in",
                        "action": "ACCEPT",
                        "source": "guest/db",
                        "proto": "tcp",
                        "dport": "443",
                    },
                    {"key": "clients", "state": "absent"},
                ],
            },
            {"guest 100 rules"},
        ),
        Case(
            "first of a guest",
            {"scope": "guest", "vmid": 102, "type": "group", "action": "web", "iface": "net0"},
            {"guest 102 rules"},
        ),
        Case(
            "group",
            {"scope": "group", "group": "web", "rules": [{"key": "https"}, {"key": "http"}]},
            {"cluster group web"},
        ),
        Case(
            "vnet",
            {"scope": "vnet", "vnet": "v1", "type": "forward", "action": "DROP", "source": "+sdn/v1-all"},
            {"vnet v1 rules"},
        ),
        Case("empty", {"scope": "vnet", "vnet": "v1", "exclusive": True}, {"vnet v1 rules"}),
    ],
    "pve_fw_alias": [
        Case("create", {"name": "New", "cidr": "10.0.0.77/24", "comment": "New"}, {"cluster aliases"}),
        Case("update", {"name": "lan", "cidr": "192.168.41.0/24"}, {"cluster aliases"}),
        Case("comment", {"name": "lan", "comment": ""}, {"cluster aliases"}),
        Case("delete", {"name": "SPARE", "state": "absent"}, {"cluster aliases"}),
        Case("guest", {"scope": "guest", "vmid": 100, "name": "db", "cidr": "10.0.0.6/32"}, {"guest 100 aliases"}),
    ],
    "pve_fw_ipset": [
        Case(
            "create",
            {
                "name": "new",
                "comment": "New",
                "entries": [{"cidr": "dc/lan"}, {"cidr": "2001:DB8::/64", "comment": "v6"}],
            },
            {"cluster ipset new"},
        ),
        Case(
            "update",
            {
                "name": "web",
                "comment": "Servers",
                "entries": [{"cidr": "10.0.0.66", "state": "absent"}, {"cidr": "10.0.0.0/24", "comment": ""}],
            },
            {"cluster ipset web"},
        ),
        Case(
            "exclusive",
            {"name": "web", "entries": [{"cidr": "10.0.0.66", "nomatch": False}, {"cidr": "lan"}], "exclusive": True},
            {"cluster ipset web"},
        ),
        Case("delete", {"name": "spare", "state": "absent"}, {"cluster ipset spare"}),
        Case(
            "guest",
            {"scope": "guest", "vmid": 102, "name": "ipfilter-net0", "entries": [{"cidr": "192.168.40.102"}]},
            {"guest 102 ipset ipfilter-net0"},
        ),
    ],
    "pve_fw_group": [
        Case(
            "create",
            {
                "name": "new",
                "comment": "New",
                "rules": [
                    {"key": "one", "type": "in", "action": "ACCEPT", "macro": "DNS"},
                    {"key": "two", "type": "in", "action": "DROP"},
                ],
            },
            {"cluster group new"},
        ),
        Case(
            "update",
            {"name": "web", "comment": "", "rules": [{"key": "https"}, {"key": "http", "log": "info"}]},
            {"cluster group web"},
        ),
        Case("exclusive", {"name": "web", "rules": [{"key": "https"}], "exclusive": True}, {"cluster group web"}),
        Case("delete", {"name": "spare", "state": "absent"}, {"cluster group spare"}),
        Case(
            "delete with its rules",
            {"name": "spare", "state": "absent", "rules": [{"type": "in", "action": "DROP"}]},
            {"cluster group spare"},
        ),
    ],
    "pve_fw_options": [
        Case(
            "set",
            {"policy_out": "ACCEPT", "log_ratelimit": "enable=1,burst=9", "ebtables": False},
            {"cluster options"},
        ),
        Case("unset", {"unset": ["log_ratelimit"], "policy_in": "REJECT"}, {"cluster options"}),
        Case("switch off", {"enable": False}, {"cluster options"}),
        Case(
            "node",
            {"scope": "node", "node": "ugreen", "nf_conntrack_helpers": ["ftp", "sip"], "exclusive": True},
            {"node ugreen options"},
        ),
        Case(
            "guest", {"scope": "guest", "vmid": 100, "policy_in": "DROP", "unset": ["macfilter"]}, {"guest 100 options"}
        ),
        Case("first of a guest", {"scope": "guest", "vmid": 102, "dhcp": True}, {"guest 102 options"}),
        Case("vnet", {"scope": "vnet", "vnet": "v1", "policy_forward": "DROP"}, {"vnet v1 options"}),
        Case("empty", {"scope": "vnet", "vnet": "v1", "exclusive": True}, {"vnet v1 options"}),
    ],
    "pve_firewall": [
        Case("api clients", {"api_clients": ["192.168.40.82", "fd00::82", "198.51.100.0/24"]}, {"cluster rules"}),
        Case(
            "everything",
            {
                "api_clients": ["127.0.0.1"],
                "management_source": "198.51.100.7",
                "cluster": {
                    "options": {"policy_in": "REJECT"},
                    "unset": ["log_ratelimit"],
                    "aliases": [{"name": "lan", "comment": "Home"}, {"name": "new", "cidr": "10.0.0.9"}],
                    "ipsets": [
                        {
                            "name": "management",
                            "entries": [{"cidr": "198.51.100.7"}, {"cidr": "new"}],
                            "exclusive": True,
                        },
                        {"name": "spare", "state": "absent"},
                    ],
                    "groups": [
                        {"name": "new", "rules": [{"key": "one", "type": "in", "action": "ACCEPT", "source": "+web"}]},
                        {"name": "web", "state": "absent"},
                    ],
                    "rules": [
                        {"key": "call", "type": "group", "action": "new"},
                        {"key": "api", "source": "new"},
                        {"type": "group", "action": "web", "iface": "vmbr0", "state": "absent"},
                    ],
                    "exclusive": ["aliases"],
                },
                "nodes": {"ugreen": {"options": {"tcpflags": False}, "rules": [{"key": "ping", "log": "info"}]}},
                "guests": {
                    "100": {"ipsets": [{"name": "clients", "entries": [{"cidr": "dc/new"}]}], "exclusive": ["rules"]},
                    "102": {"options": {"enable": True}},
                },
                "vnets": {"v1": {"rules": [{"key": "all", "action": "DROP"}]}},
            },
            {
                "cluster options",
                "cluster aliases",
                "cluster ipset management",
                "cluster ipset spare",
                "cluster group new",
                "cluster group web",
                "cluster rules",
                "node ugreen options",
                "node ugreen rules",
                "guest 100 ipset clients",
                "guest 100 rules",
                "guest 102 options",
                "vnet v1 rules",
            },
        ),
    ],
}
EVERY = [pytest.param(name, case, id=f"{name}-{case.name}") for name, cases in CASES.items() for case in cases]
# What a file in the home folder tells of a run; its time does.
Files = dict[str, tuple[str, int]]


def files(home: Path) -> Files:
    """Return the secret files and what stands beside them."""
    return {path.name: (path.read_text(), path.stat().st_mtime_ns) for path in home.glob(".*") if path.is_file()}


def told(result: Json) -> Json:
    """Return what a run tells about the cluster."""
    return {key: value for key, value in result.items() if key != "invocation"}


def test_every_writing_module_has_cases() -> None:
    assert sorted(CASES) == WRITERS


@pytest.mark.parametrize(("name", "case"), EVERY)
def test_check_mode_predicts_the_run_and_the_second_run_changes_nothing(
    name: str, case: Case, run: Module, world: Simulator, ansible: Any
) -> None:
    before, home = world.export(), files(ansible.home)
    predicted = succeeded(run(name, case.options, check=True))
    assert (world.export(), files(ansible.home)) == (before, home), "check mode changed something"

    done = succeeded(run(name, case.options))
    assert set(difference(before, world.export())) == case.touches
    assert told(predicted) == told(done)
    assert done["changed"] is True
    assert done["changes"]
    assert done["diff"]["before"] != done["diff"]["after"]

    after, home = world.export(), files(ansible.home)
    again = succeeded(run(name, case.options))
    assert (again["changed"], again["changes"], again["diff"]) == (False, [], {"before": {}, "after": {}})
    assert (world.export(), files(ansible.home)) == (after, home)
    # What there is now does not depend on who made it.
    own = told(done).keys() - {"changed", "changes", "diff", "rights", "warnings"}
    assert {key: again[key] for key in own} == {key: done[key] for key in own}


@pytest.mark.parametrize("name", CASES)
def test_a_missing_option_is_named(name: str, documentation: dict[str, Json], run: Module, world: Simulator) -> None:
    """Each required option in turn, and the one that every module needs."""
    before = world.export()
    options = CASES[name][0].options
    for missing in [key for key, option in documentation[name]["doc"]["options"].items() if option.get("required")]:
        names = {missing, *documentation[name]["doc"]["options"][missing].get("aliases", [])}
        result = run(name, {key: value for key, value in options.items() if key not in names})
        assert result["failed"]
        assert result["msg"] == f"missing required arguments: {missing}"
    result = run(name, {**options, "host": None})
    assert result["failed"]
    assert "No host is given." in result["msg"]
    assert "PVE_HOST" in result["msg"]
    assert world.export() == before


def test_an_acl_entry_needs_somebody(run: Module) -> None:
    result = run("pve_acl", {"path": "/vms", "role": "PVEAuditor"})
    assert result["msg"] == "one of the following is required: users, groups, tokens"


@pytest.mark.parametrize("name", CASES)
def test_a_module_declares_its_attributes(name: str, documentation: dict[str, Json]) -> None:
    attributes = documentation[name]["doc"]["attributes"]
    assert {key: value["support"] for key, value in attributes.items()} == {
        "action_group": "full",
        "check_mode": "full",
        "diff_mode": "full",
        "idempotent": "full",
    }
    assert attributes["action_group"]["membership"] == ["homelab.pve.all"]


def test_the_action_group_has_all_modules() -> None:
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    assert runtime["action_groups"]["all"] == ALL


@pytest.mark.parametrize("name", CASES)
def test_what_is_returned_is_documented(name: str, documentation: dict[str, Json], run: Module) -> None:
    """With a hint for a token that can do nothing, and a secret for who asks for it."""
    always = {key for key, value in documentation[name]["return"].items() if value["returned"] == "success"}
    result = succeeded(run(name, CASES[name][0].options))
    assert result.keys() - {"changed", "diff", "invocation", "hint"} == always
    assert result.keys() - {"changed", "diff", "invocation"} <= documentation[name]["return"].keys()


def as_module(task: Json) -> tuple[str, Json] | None:
    """Return the module of this collection that a task is, and its options; None where only a playbook runs it."""
    name = next((key for key in task if key.startswith("homelab.pve.")), None)
    if name is None or set(task) - {"name", "no_log", name} or "{{" in str(task):
        return None
    return name.rpartition(".")[2], task[name]


@pytest.mark.parametrize("name", CASES)
def test_the_examples_run(
    name: str, documentation: dict[str, Json], simulator: Simulator, ansible: Any, connected: Json
) -> None:
    """As they stand, one after the other, on a new cluster."""
    tasks = yaml.safe_load(documentation[name]["examples"])
    modules = [as_module(task) for task in tasks]
    assert any(module and module[0] == name for module in modules)
    if None not in modules:
        results = [
            succeeded(ansible.module(module, {**connected, **options}, no_log=bool(task.get("no_log"))))
            for task, (module, options) in zip(tasks, modules, strict=True)
        ]
        assert any(result["changed"] for result in results)
        return
    examples = {
        "hosts": "localhost",
        "gather_facts": False,
        "module_defaults": {"group/homelab.pve.all": connected},
        "tasks": tasks,
    }
    done = ansible.playbook([examples])
    assert done.returncode == 0, done.output
    assert "WARNING" not in done.output, done.output
    assert [(task["task"], task["outcome"]) for task in done.tasks] == [(task["name"], "ok") for task in tasks]
    assert done.changed


def test_the_examples_can_be_checked(
    documentation: dict[str, Json], simulator: Simulator, ansible: Any, connected: Json
) -> None:
    """Before anything of it is there: what an earlier task would have made is taken for granted, and named."""
    before, home = simulator.export(), files(ansible.home)
    assumed = []
    tasks = [task for name in CASES for task in yaml.safe_load(documentation[name]["examples"])]
    for task, module in [(task, as_module(task)) for task in tasks]:
        if module is not None:
            name, options = module
            result = ansible.module(name, {**connected, **options}, check=True, no_log=bool(task.get("no_log")))
            assert not result.get("failed"), result["msg"]
            assert not result.get("warnings") or result["assumed"], result["warnings"]
            assumed += result["assumed"] if task["name"] in ("Let it use the console, too", "Make a token") else []
    assert simulator.export() == before
    assert files(ansible.home) == home
    assert assumed == ["user ci-reader@pve"]
