"""Snapshots that somebody damaged or edited: they are refused when they are read, and what is wrong is told."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError
from ansible_collections.homelab.pve.plugins.module_utils.policy.sources import FORMAT, VERSION, Snapshot, read_snapshot

Json = dict[str, Any]
HEAD = {"format": FORMAT, "version": VERSION, "taken": 1_800_000_000, "release": "9.2", "caller": "ann@pve!ci"}
GUEST = "/nodes/n1/qemu/100"
ANSWERS: Json = {
    "/access/acl": [{"path": "/", "type": "user", "ugid": "ann@pve", "roleid": "NoAccess", "propagate": 1}],
    "/access/domains": [{"realm": "pve", "type": "pve"}],
    "/access/groups": [{"groupid": "ops"}],
    "/access/permissions": {"/": {"Sys.Audit": 1}},
    "/access/roles": [{"roleid": "NoAccess", "privs": "", "special": 1}],
    "/access/tfa": [{"userid": "ann@pve", "entries": [{"type": "totp", "enable": True}]}],
    "/access/users?full=1": [
        {"userid": "ann@pve", "enable": 1, "expire": 0, "groups": "ops", "tokens": [{"tokenid": "ci", "privsep": "1"}]}
    ],
    "/cluster/resources": [
        {"type": "node", "node": "n1", "status": "online"},
        {"type": "qemu", "node": "n1", "vmid": 100, "pool": "lab"},
        {"type": "pool", "pool": "lab"},
        {"type": "storage", "storage": "local", "node": "n1"},
        {"type": "sdn", "sdn": "z"},
    ],
    "/pools": [{"poolid": "lab"}],
    "/pools?poolid=lab": [{"poolid": "lab", "members": [{"type": "qemu", "vmid": 100}]}],
    "/pools/lab": {"members": []},
    "/storage": [{"storage": "local"}],
    "/nodes/n1/certificates/info": [{"filename": "pve-ssl.pem", "notafter": 1_900_000_000}],
    "/cluster/sdn/vnets": [{"vnet": "v1"}],
    f"{GUEST}/config": {"net0": "virtio,bridge=vmbr0"},
    f"{GUEST}/firewall/options": {"enable": 1},
    f"{GUEST}/firewall/rules": [{"type": "in", "action": "ACCEPT", "enable": 1, "dport": 22}],
    f"{GUEST}/firewall/aliases": [{"name": "lan", "cidr": "10.0.0.0/24"}],
    f"{GUEST}/firewall/ipset": [{"name": "admins"}],
    f"{GUEST}/firewall/ipset/admins": [{"cidr": "10.0.0.1", "nomatch": 1}],
    "/nodes/n1/firewall/rules": [{"type": "in", "action": "DROP"}],
    "/cluster/firewall/groups": [{"group": "base"}],
    "/cluster/firewall/groups/base": [{"type": "in", "action": "DROP"}],
    "/cluster/sdn/vnets/v1/firewall/options": {},
}


def snapshot(**head: Any) -> Json:
    return {**HEAD, "answers": copy.deepcopy(ANSWERS), "refused": {}, **head}


def refusal(data: Any) -> str:
    with pytest.raises(OptionError) as caught:
        read_snapshot(data if isinstance(data, str) else json.dumps(data))
    return str(caught.value)


def test_one_that_is_as_pve_answers_is_read() -> None:
    assert read_snapshot(json.dumps(snapshot())).answers == ANSWERS


@pytest.mark.parametrize("question", sorted(ANSWERS))
@pytest.mark.parametrize("answer", [None, 5, "x", [1], [None], {"a": [1]}], ids=json.dumps)
def test_an_answer_of_another_shape(question: str, answer: Any) -> None:
    data = snapshot()
    data["answers"][question] = answer
    if question == "/access/permissions" and answer is None:
        return  # there are no rights to tell of
    assert f"The snapshot is damaged: GET {question}: " in refusal(data)


@pytest.mark.parametrize("question", sorted(name for name, found in ANSWERS.items() if isinstance(found, list)))
def test_a_mapping_is_no_list_and_a_row_has_what_it_is_about(question: str) -> None:
    data = snapshot()
    data["answers"][question] = {}
    assert f"{question}: no list" in refusal(data)
    data["answers"][question] = [[]]
    assert f"{question}: row 1: no mapping" in refusal(data)


@pytest.mark.parametrize(
    ("question", "row", "said"),
    [
        ("/access/acl", {"path": "/", "type": "user", "ugid": "ann@pve"}, "row 2: roleid: missing"),
        ("/access/users?full=1", {"userid": "x@pve", "expire": "soon"}, "row 2: expire: no number"),
        ("/access/users?full=1", {"userid": "x@pve", "expire": 10**30}, "row 2: expire: no number"),
        ("/access/users?full=1", {"userid": "x@pve", "tokens": [{}]}, "row 2: tokens: row 1: tokenid: missing"),
        ("/access/users?full=1", {"userid": "x@pve", "groups": ["ops"]}, "row 2: groups: no text"),
        ("/cluster/resources", {"type": "lxc", "node": "n1"}, "row 6: vmid: missing"),
        ("/cluster/resources", {"type": "sdn", "vmid": 5}, "row 6: vmid: not of a guest"),
        (f"{GUEST}/firewall/rules", {"type": "in", "action": "DROP", "source": []}, "row 2: source: neither text"),
        (f"{GUEST}/firewall/rules", {"type": "in", "action": "DROP", "errors": "x"}, "row 2: errors: no mapping"),
    ],
)
def test_a_row_of_another_shape(question: str, row: Json, said: str) -> None:
    data = snapshot()
    data["answers"][question].append(row)
    assert f"GET {question}: {said}" in refusal(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("[" * 100_000, "nested too deep"),
        (json.dumps(snapshot()).replace("1800000000", "Infinity"), "inf, is no time"),
        (json.dumps(snapshot()).replace("1800000000", "NaN"), "nan, is no time"),
        (snapshot(taken=None), "None, is no time"),
        (snapshot(version="1"), "its version, '1', is no number"),
        (snapshot(version=True), "its version, True, is no number"),
        (snapshot(version=2), "of version 2, and this collection reads version 1"),
        (snapshot(caller=None), "None, is no user or token"),
        (snapshot(answers=[1]), "damaged"),
        (snapshot(refused={"/x": [float("inf"), "no"]}), "damaged"),
        (snapshot(refused={"/x": "y"}), "damaged"),
        (snapshot(answers={"/pools?poolid=lab": []}), "/pools?poolid=lab: empty"),
        ("[]", "no snapshot"),
    ],
)
def test_what_is_wrong_with_the_whole_is_told(data: Any, said: str) -> None:
    assert said in refusal(data)


def test_the_answer_of_a_cluster_without_second_factors_is_read() -> None:
    assert Snapshot({**snapshot(), "answers": {"/access/tfa": []}}).get("/access/tfa") == []
