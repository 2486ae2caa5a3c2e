"""What other tools for PVE are known to do wrong about access and the firewall, and does not happen here.

Each test looks at the server before and after, not only at what the module says.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.firewall.scope import DATACENTER
from ansible_collections.homelab.pve.plugins.module_utils.firewall.task import FirewallTask
from ansible_collections.homelab.pve.plugins.module_utils.firewall.wanted import (
    Document,
    ListSpec,
    PlaceSpec,
    RuleSpec,
)
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import reconcile
from ansible_collections.homelab.pve.tests.integration.modules.world import (
    SECRET,
    Json,
    Module,
    difference,
    firewall,
    succeeded,
)
from ansible_collections.homelab.pve.tests.simulator import Simulator
from ansible_collections.homelab.pve.tests.simulator.state import ADMIN, ADMIN_PASSWORD


def refused(result: Json, *texts: str) -> None:
    """Check that a run failed, and said why."""
    assert result.get("failed"), result
    assert all(text in result["msg"] for text in texts), result["msg"]


def unchanged(world: Simulator, before: Json) -> None:
    assert not difference(before, world.export())


# -- a user's tokens, and whatever else was not mentioned -----------------------------------------------------------


def test_a_user_without_tokens_in_the_task_keeps_them(run: Module, world: Simulator) -> None:
    """Nor does the e-mail address enable the account again or take its expiry away; check mode names what changes."""
    before = world.export()
    options = {"userid": "joe@pve", "email": "doe@example.org"}
    expected = {
        "kind": "user",
        "id": "joe@pve",
        "action": "update",
        "before": {"email": "joe@example.org"},
        "after": {"email": "doe@example.org"},
    }
    assert succeeded(run("pve_user", options, check=True))["changes"] == [expected]
    unchanged(world, before)
    assert succeeded(run("pve_user", options))["changes"] == [expected]
    was = next(user for user in before["users"] if user["userid"] == "joe@pve")
    assert (was["enable"], was["expire"] > 0) == (0, True)
    assert difference(before, world.export()) == {"users joe@pve": (was, {**was, "email": "doe@example.org"})}


def test_a_document_without_tokens_keeps_them(run: Module, world: Simulator) -> None:
    before = world.export()
    succeeded(run("pve_access", {"users": [{"userid": "joe@pve"}, {"userid": "ann@pve", "comment": "Ann"}]}))
    assert set(difference(before, world.export())) == {"users ann@pve"}


# -- entries that do not propagate ----------------------------------------------------------------------------------


@pytest.mark.parametrize("propagate", [False, True])
def test_propagate_can_be_turned_off_and_on(propagate: bool, run: Module, world: Simulator) -> None:
    who = {"tokens": "ann@pve!ci"} if not propagate else {"users": "ann@pve"}
    name = f"acl /vms/100 {next(iter(who.values()))} PVEAuditor"
    options = {"path": "/vms/100", "role": "PVEAuditor", **who, "propagate": propagate}
    before = world.export()
    assert succeeded(run("pve_acl", options, check=True))["changed"] is True
    unchanged(world, before)
    assert succeeded(run("pve_acl", options))["changed"] is True
    assert difference(before, world.export()) == {name: (int(not propagate), int(propagate))}
    assert succeeded(run("pve_acl", options))["changed"] is False


@pytest.mark.parametrize("told", [{}, {"propagate": True}, {"propagate": False}])
def test_an_entry_that_does_not_propagate_can_be_deleted(told: Json, run: Module, world: Simulator) -> None:
    options = {"path": "/vms/100", "role": "PVEAuditor", "users": "ann@pve", "state": "absent", **told}
    before = world.export()
    assert succeeded(run("pve_acl", options, check=True))["changed"] is True
    unchanged(world, before)
    assert succeeded(run("pve_acl", options))["changed"] is True
    assert difference(before, world.export()) == {"acl /vms/100 ann@pve PVEAuditor": (0, None)}
    assert succeeded(run("pve_acl", options))["changed"] is False


# -- secrets --------------------------------------------------------------------------------------------------------


def kept_secret(path: Path) -> str:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    return path.read_text().removesuffix("\n")


def test_a_secret_is_kept_and_not_returned(run: Module, world: Simulator, ansible: Any) -> None:
    done = succeeded(run("pve_token", {"tokenid": "ann@pve!new", "secret_file": "~/.new"}))
    secret = world.export()["secrets"]["ann@pve!new"]
    assert kept_secret(ansible.home / ".new") == secret
    assert secret not in json.dumps(done)


def test_a_secret_is_returned_only_where_nobody_logs_it(run: Module, world: Simulator) -> None:
    options = {"tokenid": "ann@pve!new", "return_secret": True}
    before = world.export()
    refused(run("pve_token", options), "no_log: true")
    unchanged(world, before)
    done = succeeded(run("pve_token", options, no_log=True))
    assert done["secret"] == world.export()["secrets"]["ann@pve!new"]


def test_no_token_is_made_whose_secret_would_be_lost(run: Module, world: Simulator) -> None:
    before = world.export()
    refused(run("pve_token", {"tokenid": "ann@pve!new"}), "ann@pve!new", "secret_file")
    refused(run("pve_token", {"tokenid": "ann@pve!new", "secret_file": "~/nowhere/.new"}), "nowhere")
    unchanged(world, before)


def test_a_secret_survives_that_a_later_token_fails(run: Module, world: Simulator, ansible: Any) -> None:
    """Whatever had been made by then is kept and named, and the next run makes the rest."""
    names = [f"ann@pve!n{number}" for number in range(1, 4)]
    document = {
        "readers": [
            {"token": name, "role": "PVEAuditor", "path": "/vms/102", "secret_file": f"~/.{name[-2:]}"}
            for name in names
        ]
    }
    world.fault("POST", "/access/users/*/token/*", nth=2, do="status", status=500, reason="No space left on device")
    failed = run("pve_access", document)
    refused(failed, "No space left on device", "run again")
    made = world.export()["secrets"]
    first = [name for name in names if name in made]
    assert len(first) == 1
    assert kept_secret(ansible.home / f".{first[0][-2:]}") == made[first[0]]
    assert made[first[0]] not in json.dumps(failed)

    again = succeeded(run("pve_access", document))
    after = world.export()["secrets"]
    assert after[first[0]] == made[first[0]], "what was there is not made again"
    assert {name: kept_secret(ansible.home / f".{name[-2:]}") for name in names} == {
        name: after[name] for name in names
    }
    assert not [name for name in names if after[name] in json.dumps(again)]


def test_a_secret_can_be_renewed_when_it_is_dead(run: Module, world: Simulator, ansible: Any) -> None:
    """And not before: as long as the one on disk works, it stays."""
    options = {"tokenid": "ann@pve!ci", "secret_file": "~/.ci", "verify_secret": "always", "renew": "when_lost"}
    before = world.export()
    assert succeeded(run("pve_token", options))["changed"] is False
    unchanged(world, before)
    (ansible.home / ".ci").write_text(SECRET.replace("0b1f", "dead") + "\n")
    done = succeeded(run("pve_token", options))
    assert set(difference(before, world.export())) == {"secret ann@pve!ci"}, "the token and its entries stay"
    assert kept_secret(ansible.home / ".ci") == world.export()["secrets"]["ann@pve!ci"] != SECRET
    assert kept_secret(ansible.home / ".ci") not in json.dumps(done)


# -- check mode that lies -------------------------------------------------------------------------------------------


def test_check_mode_says_that_a_user_would_be_deleted(run: Module, world: Simulator) -> None:
    before = world.export()
    done = succeeded(run("pve_user", {"userid": "joe@pve", "state": "absent"}, check=True))
    assert [(change["kind"], change["id"], change["action"]) for change in done["changes"]] == [
        ("user", "joe@pve", "delete")
    ]
    assert done["user"] is None
    unchanged(world, before)


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("name", "options", "texts"),
    [
        ("pve_role", {"roleid": "new", "privs": ["VM.Audot"]}, ["VM.Audot", "Did you mean VM.Audit?"]),
        ("pve_role", {"roleid": "operator", "privs": ["VM.Monitor"]}, ["VM.Monitor", "VM.GuestAgent"]),
        ("pve_role", {"roleid": "PVEAuditor", "privs": ["VM.Audit"]}, ["PVEAuditor", "built in"]),
        ("pve_role", {"roleid": "PVEAuditor", "state": "absent"}, ["PVEAuditor", "built in"]),
        ("pve_user", {"userid": "new@nowhere"}, ["nowhere", "pam, pve"]),
        ("pve_user", {"userid": "root@pam", "state": "absent"}, ["root@pam"]),
        ("pve_user", {"userid": "root@pam", "enable": False}, ["root@pam"]),
        ("pve_pool", {"poolid": "lab", "state": "absent"}, ["lab", "not empty", "100, local"]),
        ("pve_pool", {"poolid": "lab", "vms": [999]}, ["999"]),
        ("pve_acl", {"path": "/nodes/ugreen/qemu/100", "role": "PVEAuditor", "users": "ann@pve"}, ["mean /vms/100"]),
        ("pve_acl", {"path": "/vms/100", "role": "PVEAuditer", "users": "ann@pve"}, ["Did you mean PVEAuditor?"]),
        ("pve_acl", {"path": "/vms/999", "role": "PVEAuditor", "users": "ann@pve"}, ["999", "allow_missing"]),
        ("pve_acl", {"path": "/vms", "role": "PVEAuditor", "users": "root@pam"}, ["root@pam", "stores nothing"]),
        # He would have less on it than what comes from /vms.
        ("pve_acl", {"path": "/vms/102", "role": "PVETemplateUser", "groups": "ops"}, ["hide", "allow_narrowing"]),
    ],
)
def test_what_will_not_work_is_refused_in_check_mode_too(
    name: str, options: Json, texts: list[str], check: bool, run: Module, world: Simulator
) -> None:
    before = world.export()
    refused(run(name, options, check=check), *texts)
    unchanged(world, before)


@pytest.mark.parametrize("check", [True, False])
def test_what_the_caller_may_not_do_is_refused_in_check_mode_too(
    check: bool, run: Module, world: Simulator, connected: Json
) -> None:
    """PVE's 403 is foreseen from the rights that it says the caller has."""
    before = world.export()
    weak = {"token_id": "ann@pve!ci", "token_secret": SECRET}
    refused(run("pve_role", {"roleid": "new", "privs": ["VM.Audit"], **weak}, check=check), "403", "Sys.Modify")
    # It does not see whether the user is there, and so does not say that he is not.
    refused(run("pve_user", {"userid": "new@pve", **weak}, check=check), "cannot be known", "ann@pve!ci")
    unchanged(world, before)


# -- a second run that changes something ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("pve_user", {"userid": "joe@pve", "groups": ["ops", "dev"]}, id="groups in another order"),
        pytest.param("pve_user", {"userid": "joe@pve", "comment": " Night shift "}, id="blanks that PVE cuts"),
        pytest.param("pve_user", {"userid": "ann@pve", "comment": "0"}, id="the comment that PVE loses"),
        pytest.param(
            "pve_user", {"userid": "joe@pve", "user_password": "another-password"}, id="a password on creation"
        ),
        pytest.param("pve_token", {"tokenid": "joe@pve!ci", "comment": "Pipeline"}, id="the comment of a token"),
        pytest.param("pve_token", {"tokenid": "joe@pve!ci", "expire": "90d"}, id="a span, reckoned long ago"),
        pytest.param("pve_role", {"roleid": "operator", "privs": ["VM.PowerMgmt", "VM.Audit"]}, id="privileges"),
        pytest.param("pve_acl", {"path": "/vms/", "role": "operator", "groups": "ops"}, id="a path with a slash"),
        pytest.param("pve_acl", {"path": "//vms", "role": "operator", "groups": "ops"}, id="a path with two slashes"),
        pytest.param("pve_pool", {"poolid": "lab", "vms": [100, 100], "storage": ["local"]}, id="a member twice"),
    ],
)
def test_what_is_so_already_is_not_changed(name: str, options: Json, run: Module, world: Simulator) -> None:
    before = world.export()
    done = succeeded(run(name, options))
    assert (done["changed"], done["diff"]) == (False, {"before": {}, "after": {}})
    unchanged(world, before)


def test_the_comment_of_a_new_token_is_not_set_twice(run: Module, world: Simulator) -> None:
    options = {"tokenid": "ann@pve!new", "comment": "New", "secret_file": "~/.new"}
    assert succeeded(run("pve_token", options))["changed"] is True
    before = world.export()
    assert succeeded(run("pve_token", options))["changed"] is False
    unchanged(world, before)


def test_a_password_is_set_once(run: Module, world: Simulator) -> None:
    """``update_password: always`` looks whether it is the one already; for that, and for setting it, it logs in."""
    login = {"user": ADMIN, "password": ADMIN_PASSWORD, "token_id": None, "token_secret": None}
    options = {"userid": "ann@pve", "user_password": "another-password", "update_password": "always"}
    before = world.export()
    refused(run("pve_user", options), "ticket")
    predicted = succeeded(run("pve_user", {**options, **login}, check=True))
    unchanged(world, before)
    done = succeeded(run("pve_user", {**options, **login}))
    assert difference(before, world.export()) == {"password ann@pve": ("anns-password", "another-password")}
    assert {**predicted, "invocation": 0} == {**done, "invocation": 0}
    assert "another-password" not in json.dumps(done)
    assert succeeded(run("pve_user", {**options, **login}))["changed"] is False


# -- the firewall ------------------------------------------------------------------------------------------------------


def lines(world: Simulator, section: str) -> list[str]:
    """Return the lines of a section of a firewall file, without those that are not there."""
    return firewall(world.export()["firewall"]).get(section, [""])[1:]


def test_one_option_does_not_switch_the_firewall_off(run: Module, world: Simulator) -> None:
    """Nor does it touch any other option, whichever module sets it."""
    before = world.export()
    assert "enable: 1" in lines(world, "cluster options")
    expected = {
        "kind": "options",
        "id": "cluster",
        "action": "update",
        "before": {"policy_in": "DROP"},
        "after": {"policy_in": "REJECT"},
    }
    done = succeeded(run("pve_fw_options", {"policy_in": "REJECT"}))
    assert done["changes"] == [expected]
    was, will = difference(before, world.export())["cluster options"]
    assert [line.replace("REJECT", "DROP") for line in will] == was
    document = {"cluster": {"options": {"policy_in": "DROP"}}}
    assert succeeded(run("pve_firewall", document))["places"]["cluster"]["options"] == {
        **done["options"],
        "policy_in": "DROP",
    }
    unchanged(world, before)


GROUP = {
    "name": "order",
    "rules": [
        {"key": "ssh", "type": "in", "action": "ACCEPT", "proto": "tcp", "dport": "22", "source": "10.0.0.0/8"},
        {"type": "in", "action": "ACCEPT", "macro": "Ping"},
        {"key": "rest", "type": "in", "action": "DROP"},
    ],
}
IN_ORDER = [
    "IN ACCEPT -source 10.0.0.0/8 -p tcp -dport 22 # [key:ssh]",
    "IN Ping(ACCEPT)",
    "IN DROP # [key:rest]",
]


@pytest.mark.parametrize("module", ["pve_fw_group", "pve_firewall"])
def test_the_rules_of_a_group_stand_in_the_order_declared(module: str, run: Module, world: Simulator) -> None:
    """PVE puts every new rule on top. The second run and the third find them, and mix nothing up."""
    options = GROUP if module == "pve_fw_group" else {"cluster": {"groups": [GROUP]}}
    assert succeeded(run(module, options))["changed"] is True
    assert lines(world, "cluster group order") == IN_ORDER
    before = world.export()
    for unused in range(2):
        assert succeeded(run(module, options))["changes"] == []
    unchanged(world, before)


def test_a_group_in_the_wrong_order_is_put_right(run: Module, world: Simulator) -> None:
    """With moves: no rule is written over with the fields of another."""
    files = world.export()["firewall"]
    wrong = "[group order]\n\n" + "\n".join(reversed(IN_ORDER)) + "\n\n"
    world.load({"firewall": {**files, "cluster": files["cluster"] + wrong}})
    done = succeeded(run("pve_fw_group", GROUP))
    assert {change["action"] for change in done["changes"]} <= {"move", "update"}
    assert all(change["after"].keys() <= {"position", "enable"} for change in done["changes"])
    assert lines(world, "cluster group order") == IN_ORDER


API = {"key": "api", "type": "in", "action": "ACCEPT", "proto": "tcp", "dport": "8006"}


@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_rule_is_found_wherever_it_stands(place: int, run: Module, world: Simulator) -> None:
    """Somebody put other rules around it: it alone is changed, and it stays where it is."""
    files = world.export()["firewall"]
    head, listed = files["cluster"].split("[RULES]\n\n")
    rules, rest = listed.split("\n\n", 1)
    api, *others = rules.splitlines()
    moved = [*others[:place], api, *others[place:]]
    world.load({"firewall": {**files, "cluster": f"{head}[RULES]\n\n" + "\n".join(moved) + f"\n\n{rest}"}})
    before = world.export()
    done = succeeded(run("pve_fw_rule", {**API, "dport": "8007"}))
    assert [(change["action"], change["before"], change["after"]) for change in done["changes"]] == [
        ("update", {"dport": "8006"}, {"dport": "8007"})
    ]
    was, will = difference(before, world.export())["cluster rules"]
    assert will == [line.replace("-dport 8006", "-dport 8007") for line in was]


def test_the_right_rule_is_deleted(run: Module, world: Simulator) -> None:
    before = world.export()
    succeeded(run("pve_fw_rule", {"key": "ssh", "state": "absent"}))
    was, will = difference(before, world.export())["cluster rules"]
    assert [line for line in was if line not in will] == ["|IN SSH(ACCEPT) -source +web # [key:ssh]"]
    assert succeeded(run("pve_fw_rule", {"key": "ssh", "state": "absent"}))["changed"] is False


def test_no_rule_is_made_twice(run: Module, world: Simulator) -> None:
    """At the end of the list neither, nor where only a key is new."""
    new = {"type": "in", "action": "ACCEPT", "macro": "DNS", "position": "bottom"}
    succeeded(run("pve_fw_rule", new))
    before = world.export()
    assert lines(world, "cluster rules")[-1] == "IN DNS(ACCEPT)"
    assert succeeded(run("pve_fw_rule", new))["changed"] is False
    assert succeeded(run("pve_fw_rule", {**new, "enable": True}))["changed"] is False
    unchanged(world, before)
    succeeded(run("pve_fw_rule", {**new, "key": "dns"}))
    was, will = difference(before, world.export())["cluster rules"]
    assert will == [*was[:-1], f"{was[-1]} # [key:dns]"]


@pytest.mark.parametrize("field", ["source", "dest", "sport", "iface", "log", "comment"])
def test_a_field_of_a_rule_can_be_taken_away(field: str, run: Module, world: Simulator) -> None:
    before = world.export()
    predicted = succeeded(run("pve_fw_rule", {"key": "api", field: ""}, check=True))
    unchanged(world, before)
    done = succeeded(run("pve_fw_rule", {"key": "api", field: ""}))
    assert predicted["changes"] == done["changes"]
    (change,) = done["changes"]
    assert (change["before"].keys(), change["after"]) == ({field}, {field: None})
    assert field not in done["rules"][0]
    assert set(difference(before, world.export())) == {"cluster rules"}
    assert succeeded(run("pve_fw_rule", {"key": "api", field: ""}))["changed"] is False


def test_an_edit_of_somebody_else_is_not_overwritten(world: Simulator, connected: Json) -> None:
    """PVE refuses the digest of a list that was changed meanwhile; then the plan is made again."""
    edits = ["IN DROP -source 10.9.9.8 # By somebody else"]

    def edit(method: str, path: str) -> None:
        if method == "PUT" and edits:
            files = world.export()["firewall"]
            files["cluster"] = files["cluster"].replace("[RULES]\n\n", f"[RULES]\n\n{edits.pop()}\n")
            world.load({"firewall": files})

    before = lines(world, "cluster rules")
    api = RuleSpec("api", {"dport": "8007"})
    wanted = Document((PlaceSpec(DATACENTER, rules=ListSpec((api,))),))
    with Client(ConnectionOptions.from_params(connected, {}), on_request=edit) as client:
        task = FirewallTask(client, wanted)
        assert reconcile(task.observe, task.plan, task.perform, dry_run=False).changed
    assert lines(world, "cluster rules") == [
        "IN DROP -source 10.9.9.8 # By somebody else",
        *(line.replace("-dport 8006", "-dport 8007") for line in before),
    ]


@pytest.mark.parametrize(
    ("name", "options", "section", "gone"),
    [
        ("pve_fw_rule", {"type": "in", "action": "DROP", "source": "10.9.9.9", "state": "absent"}, "cluster rules", 1),
        (
            "pve_fw_ipset",
            {"name": "web", "entries": [{"cidr": "10.0.0.66"}], "exclusive": True},
            "cluster ipset web",
            1,
        ),
        ("pve_fw_group", {"name": "spare", "state": "absent"}, "cluster group spare", 1),
        ("pve_fw_alias", {"name": "spare", "state": "absent"}, "cluster aliases", 1),
        ("pve_fw_options", {"unset": ["log_ratelimit"]}, "cluster options", 1),
    ],
)
def test_check_mode_of_the_firewall_tells_what_the_run_does(
    name: str, options: Json, section: str, gone: int, run: Module, world: Simulator
) -> None:
    before = world.export()
    predicted = succeeded(run(name, options, check=True))
    assert predicted["changed"] is True
    unchanged(world, before)
    assert succeeded(run(name, options))["changes"] == predicted["changes"]
    was, will = difference(before, world.export())[section]
    assert len(was) - len(will or [""]) == gone


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("pve_fw_rule", {"key": "ssh", "macro": "ssh"}, id="a rule without enable that is switched off"),
        pytest.param("pve_fw_rule", {"key": "api", "enable": True}, id="a rule with it"),
        pytest.param("pve_fw_rule", {"key": "api", "source": "lan", "proto": "6"}, id="a name in another letter case"),
        pytest.param("pve_fw_rule", {"type": "in", "action": "DROP", "source": "10.9.9.9/32"}, id="a prefix of 32"),
        pytest.param("pve_fw_rule", {"key": "api", "comment": " The API "}, id="blanks that PVE cuts"),
        pytest.param("pve_fw_rule", {"rules": [{"key": "api"}, {"key": "ssh"}]}, id="rules with others in between"),
        pytest.param("pve_fw_alias", {"name": "SPARE", "cidr": "::1/128"}, id="an alias of a single address"),
        pytest.param("pve_fw_alias", {"name": "lan", "cidr": "192.168.40.0/24"}, id="an alias without its comment"),
        pytest.param("pve_fw_ipset", {"name": "web", "entries": [{"cidr": "10.0.0.66/32"}]}, id="an entry of a set"),
        pytest.param("pve_fw_ipset", {"name": "web"}, id="a set without its entries"),
        pytest.param("pve_fw_group", {"name": "web"}, id="a group without its rules"),
        pytest.param(
            "pve_fw_options", {"scope": "node", "node": "ugreen", "nf_conntrack_helpers": []}, id="an empty option"
        ),
        pytest.param("pve_fw_options", {"enable": True, "unset": ["ebtables"]}, id="an option that is not set"),
        pytest.param(
            "pve_fw_options", {"log_ratelimit": "rate=5/second,enable=1"}, id="the parts of an option in another order"
        ),
    ],
)
def test_what_the_firewall_has_already_is_not_changed(name: str, options: Json, run: Module, world: Simulator) -> None:
    before = world.export()
    done = succeeded(run(name, options))
    assert (done["changed"], done["changes"]) == (False, [])
    unchanged(world, before)


def test_an_address_that_is_declared_no_more_leaves_the_set(run: Module, world: Simulator) -> None:
    options = {"name": "new", "entries": [{"cidr": "10.1.0.1"}, {"cidr": "10.1.0.2"}], "exclusive": True}
    succeeded(run("pve_fw_ipset", options))
    assert lines(world, "cluster ipset new") == ["10.1.0.1", "10.1.0.2"]
    options["entries"] = [{"cidr": "10.1.0.2"}]
    assert succeeded(run("pve_fw_ipset", options))["changed"] is True
    assert lines(world, "cluster ipset new") == ["10.1.0.2"]
    assert succeeded(run("pve_fw_ipset", options))["changed"] is False


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("name", "options", "texts"),
    [
        (
            "pve_fw_ipset",
            {"name": "management", "exclusive": True, "management_source": "198.51.100.7"},
            ["198.51.100.7 reaches TCP port 8006", "policy_in DROP answers DROP", "allow_lockout"],
        ),
        (
            "pve_fw_rule",
            {"type": "in", "action": "DROP", "proto": "tcp", "dport": "22", "management_source": "198.51.100.7"},
            ["198.51.100.7 reaches TCP port 22", "allow_lockout"],
        ),
        (
            "pve_firewall",
            {
                "api_clients": ["203.0.113.9"],
                "cluster": {
                    "rules": [{"key": "no", "type": "in", "action": "REJECT", "source": "203.0.113.0/24"}],
                    "position": "top",
                },
                "nodes": {
                    "ugreen": {"rules": [{"type": "in", "action": "DROP", "source": "203.0.113.9"}], "position": "top"}
                },
            },
            ["203.0.113.9 has to reach TCP port 8006", "allow_lockout"],
        ),
    ],
)
def test_who_manages_the_host_is_not_cut_off(
    name: str, options: Json, texts: list[str], check: bool, run: Module, world: Simulator
) -> None:
    before = world.export()
    refused(run(name, options, check=check), *texts)
    unchanged(world, before)
    assert run(name, {**options, "allow_lockout": True}, check=True)["changed"] is True
