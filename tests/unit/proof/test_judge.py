"""Planning and judgement without a server: what a simulated cluster does not show."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.endpoints.checks import Check, parse_check
from ansible_collections.homelab.pve.plugins.module_utils.endpoints.writes import writes
from ansible_collections.homelab.pve.plugins.module_utils.proof.judge import Answer, Seen, judge_lists, judge_tree
from ansible_collections.homelab.pve.plugins.module_utils.proof.objects import find_objects
from ansible_collections.homelab.pve.plugins.module_utils.proof.questions import LIST, Question, plan_probes, plan_reads
from ansible_collections.homelab.pve.plugins.module_utils.proof.reader import Grant, Reader, held_in

TOKEN = "joe@pve!ci"


def reader(path: str, *privileges: str, **more: Any) -> Reader:
    return Reader(TOKEN, (Grant(path, frozenset(privileges)),), **more)


def listed(who: Reader, path: str, *rows: dict[str, Any]) -> list[str]:
    """Return what is found about the rows of one list."""
    question = Question(LIST, "GET", path, Check(()))
    return [finding.found for finding in judge_lists(who, [(question, Answer(200, list(rows)))])]


@pytest.mark.parametrize(
    ("path", "row", "needs"),
    [
        ("/cluster/log", {"user": "root@pam", "msg": "x"}, "Sys.Syslog on /"),
        ("/cluster/tasks", {"user": "root@pam", "upid": "UPID:a"}, "Sys.Audit on /"),
        ("/nodes/a/tasks", {"user": "joe@pve", "tokenid": "other", "upid": "UPID:a"}, "Sys.Audit on /nodes/a"),
        ("/access/groups", {"groupid": "ops"}, "Sys.Audit|User.Modify|Group.Allocate on /access/groups/ops"),
        ("/pools", {"poolid": "lab"}, "Pool.Audit|Pool.Allocate on /pool/lab"),
        ("/nodes/a/lxc", {"vmid": "105"}, "VM.Audit on /vms/105"),
        ("/nodes", {"node": "a", "status": "online", "maxcpu": 4}, "Sys.Audit on /nodes/a"),
        (
            "/cluster/resources",
            {"type": "network", "id": "network/a/zone/lan", "network": "lan", "network-type": "zone"},
            "SDN.Audit|SDN.Use|SDN.Allocate on /sdn/zones/lan",
        ),
        (
            "/cluster/resources",
            {"type": "sdn", "id": "sdn/a/lan", "sdn": "lan"},
            "SDN.Audit|SDN.Use|SDN.Allocate on /sdn/zones/lan",
        ),
    ],
)
def test_a_row_beyond_the_path_is_found_with_what_it_takes(path: str, row: dict[str, Any], needs: str) -> None:
    (found,) = listed(reader("/vms/100", "VM.Audit"), path, row)
    assert found.endswith(f"which takes {needs}")
    assert listed(reader("/", *needs.partition(" ")[0].split("|")), path, row) == []


@pytest.mark.parametrize(
    ("path", "row"),
    [
        ("/cluster/log", {"user": TOKEN}),
        ("/nodes/a/tasks", {"user": "joe@pve", "tokenid": "ci", "upid": "UPID:a"}),
        ("/nodes", {"node": "a", "status": "unknown", "level": "", "ssl_fingerprint": None}),
        ("/cluster/resources", {"type": "node", "node": "a", "status": "online", "cgroup-mode": 2}),
    ],
)
def test_what_everybody_sees_is_no_finding(path: str, row: dict[str, Any]) -> None:
    assert listed(reader("/vms/100", "VM.Audit"), path, row) == []


def test_a_list_that_the_release_does_not_have_shows_nothing_and_another_error_is_not_known() -> None:
    question = Question(LIST, "GET", "/cluster/log", Check(()))
    who = reader("/vms/100", "VM.Audit")
    assert list(judge_lists(who, [(question, Answer(501))])) == []
    (finding,) = judge_lists(who, [(question, Answer(595, text="No route to host"))])
    assert finding.severity == "not_proved"


def test_what_a_tree_propagates_ends_where_pve_looked_and_found_nothing() -> None:
    tree = {"/": {"Sys.Audit": 1, "VM.Audit": 0}, "/vms": {"VM.Audit": 1}}
    assert set(held_in(tree, "/cluster")) == {"Sys.Audit"}
    assert set(held_in(tree, "/vms/100")) == {"VM.Audit"}
    assert set(held_in(tree, "/nodes/a")) == set()


def test_missing_rights_are_told_once_and_not_again_for_every_path_below() -> None:
    findings = list(judge_tree(reader("/", "VM.Audit"), {}, Seen()))
    assert [(finding.subject, finding.found) for finding in findings] == [("/", "holds nothing at all")]


def test_the_groups_and_the_privilege_separation_are_read_where_they_can_be_seen() -> None:
    users = [
        {"userid": "joe@pve", "groups": "ops,web", "tokens": [{"tokenid": "ci", "privsep": "0"}]},
        {"userid": "ann@pve", "groups": "", "tokens": None},
    ]
    seen = Seen.of(reader("/"), [], users)
    assert (seen.groups, seen.privsep) == (frozenset({"ops", "web"}), False)
    assert Seen.of(reader("/"), [], []).privsep is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/vms/{vmid} VM.Snapshot|VM.Console", "VM.Snapshot|VM.Console on /vms/7"),
        ("/ Sys.Audit + /vms/{vmid} VM.Audit", "Sys.Audit on / with VM.Audit on /vms/7"),
        ("/ Sys.Audit or /pool/{pool} Pool.Audit", "Sys.Audit on / or Pool.Audit on /pool/-"),
        ("modify /vms/{vmid}", "Permissions.Modify|VM.Allocate on /vms/7"),
        ("root", "root@pam with a password"),
    ],
)
def test_a_check_says_what_it_takes(text: str, said: str) -> None:
    assert str(parse_check(text, (9, 2)).for_path({"vmid": "7"})) == said


def test_before_9_one_privilege_was_for_the_guest_agent() -> None:
    agent = {write.check for write in writes((8, 4)) if write.path.endswith("/agent/exec")}
    assert [str(check.for_path({"vmid": "7"})) for check in agent] == ["VM.Monitor on /vms/7"]


@pytest.mark.parametrize(
    "path", ["/", "/vms/100", "/nodes/a", "/storage/s", "/pool/p/q", "/access/groups/g", "/sdn/zones/z/v"]
)
def test_questions_have_no_gaps_even_when_nothing_is_seen(path: str) -> None:
    who = reader(path)
    objects = find_objects(who, [])
    asked = [*plan_reads(who, objects, (9, 2)), *plan_probes(who, objects, {}, (9, 2)).ask]
    assert asked
    for question in asked:
        pieces = question.path.split("/")[1:]
        assert all(pieces), question
        assert "-" not in pieces, question
        assert "{" not in question.path, question
