"""What the host's side tells: judgements over what was read there, and what an admin's token sees of a cluster."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp")

from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError
from ansible_collections.homelab.pve.plugins.module_utils.doctor import host_reads, host_side
from ansible_collections.homelab.pve.plugins.module_utils.doctor.consult import consult
from ansible_collections.homelab.pve.plugins.module_utils.doctor.iptables import read_iptables
from ansible_collections.homelab.pve.plugins.module_utils.doctor.nftables import read_nftables
from ansible_collections.homelab.pve.plugins.module_utils.doctor.packet_filter import Knock
from ansible_collections.homelab.pve.plugins.module_utils.doctor.report import DIAGNOSES, Report, failed, passed
from ansible_collections.homelab.pve.tests.pvesh.standin import Standin
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN
from ansible_collections.homelab.pve.tests.unit.doctor.worlds import PAST, SECRET, TOKEN, USER, Cluster, Json

BOTH = pytest.mark.parametrize("release", ["7.4", "9.2"])
READER = ("/", "PVEAuditor", "both")
CLIENT = "192.168.40.82"


def ask(cluster: Cluster, **given: Any) -> Json:
    """Ask both sides, the host's by an admin's token over HTTPS."""
    admin = {"admin_token_id": ROOT_TOKEN, "admin_token_secret": ROOT_SECRET}
    told = cluster.options(**{**admin, **{name: value for name, value in given.items() if name in admin}})
    more = {name: value for name, value in given.items() if name not in admin}
    result, failure = consult({**told, **more}, {})
    assert bool(failure) == bool(result["diagnoses"])
    assert SECRET not in str(result)
    assert ROOT_SECRET not in str(result)
    return result


def statuses(result: Json) -> dict[str, str]:
    return {check["name"]: check["status"] for check in result["checks"] if check["side"] == "host"}


@BOTH
def test_nothing_is_wrong(clusters: Any, release: str) -> None:
    result = ask(clusters(release).reader(READER))
    assert result["healthy"]
    names = ("quorum", "firewall", "user", "token", "acl")
    assert statuses(result) == {**dict.fromkeys(names, "passed"), "secret": "skipped"}


@BOTH
@pytest.mark.parametrize(
    ("expected", "user", "token"),
    [
        ("user_unknown", {"userid": "other@pve"}, {"tokenid": "other@pve!token"}),
        ("user_disabled", {"enable": 0}, {}),
        ("user_expired", {"expire": PAST}, {}),
        ("token_unknown", {}, {"tokenid": f"{USER}!other"}),
        ("token_expired", {}, {"expire": PAST}),
    ],
)
def test_why_a_token_is_refused(clusters: Any, release: str, expected: str, user: Json, token: Json) -> None:
    """The cause comes before what is seen of it from the client's side."""
    result = ask(clusters(release).reader(READER, user=user, token=token))
    assert result["diagnoses"] == ([expected] if release == "7.4" else [expected, "token_refused"])


def test_a_secret_that_is_wrong_is_what_is_left(cluster: Cluster) -> None:
    """Nobody can see it; user and token being fine, it is what remains."""
    result = ask(cluster.reader(READER, token={"secret": "11111111-1111-4222-8333-abcdefabcdef"}))
    assert result["diagnoses"] == ["secret_wrong"]
    assert "--regenerate 1" in result["summary"]
    assert statuses(result)["token"] == "passed"
    # Also where an admin looks alone, and both sides are put together afterwards.
    own = cluster.options()
    client, unused = consult(own, {})
    admin = {"admin_token_id": ROOT_TOKEN, "admin_token_secret": ROOT_SECRET}
    cluster.simulator.clear_requests()
    host, unused = consult({**own, "side": "host", "subject": TOKEN, **admin}, {})
    assert 401 not in [request["status"] for request in cluster.simulator.requests()]
    both, unused = consult({"checks": client["checks"] + host["checks"], "subject": TOKEN}, {})
    assert client["diagnoses"] == ["token_refused"]
    assert both["diagnoses"] == ["secret_wrong"]


def test_a_user_who_is_written_otherwise(cluster: Cluster) -> None:
    result = ask(cluster.reader(READER), token_id=TOKEN.replace("@pve", "@pam"))
    assert result["diagnoses"] == ["user_unknown", "token_refused"]
    assert f"If {USER} is meant, write that" in result["summary"]


@BOTH
@pytest.mark.parametrize(
    ("acl", "token", "path", "expected"),
    [
        ([], {}, None, ["token_without_acl", "no_rights"]),
        ([("/", "PVEAuditor", "user")], {}, None, ["token_without_acl", "no_rights"]),
        ([("/", "PVEAuditor", "token")], {}, None, ["user_without_acl", "no_rights"]),
        ([], {"privsep": 0}, None, ["user_without_acl", "no_rights"]),
        ([("/vms", "PVEAuditor", "user"), ("/nodes", "PVEAuditor", "token")], {}, None, ["no_rights"]),
        (
            [("/", "PVEAuditor", "user"), ("/vms/100", "PVEAuditor", "token")],
            {},
            "/nodes/ugreen/lxc/102/status/current",
            ["token_without_acl", "right_missing"],
        ),
        (
            [("/vms/100", "PVEAuditor", "user"), ("/", "PVEAuditor", "token")],
            {},
            "/vms/102",
            ["user_without_acl", "right_missing"],
        ),
        ([READER, ("/vms/102", "NoAccess", "user")], {}, "/vms/102", ["no_access", "right_missing"]),
        ([READER, ("/vms/102", "PVEPoolUser", "token")], {}, "/vms/102", ["right_missing"]),
        ([READER], {"privsep": 0}, "/nodes/ugreen/status", []),
    ],
)
def test_which_half_is_missing(
    clusters: Any, release: str, acl: Any, token: Json, path: str | None, expected: list[str]
) -> None:
    result = ask(clusters(release).reader(*acl, token=token), path=path)
    assert result["diagnoses"] == expected
    if expected[:1] == ["user_without_acl"]:
        mend = next(check["mend"] for check in result["checks"] if check["diagnosis"] == expected[0])
        assert f"--users {USER}" in mend


def test_an_application_is_asked_about_on_both_sides(cluster: Cluster) -> None:
    result = ask(cluster.reader(("/vms", "PVEAuditor", "both")), application="labby")
    assert set(result["diagnoses"]) == {"right_missing", "application_starved"}


def test_a_rule_of_pve_that_keeps_the_client_out(cluster: Cluster) -> None:
    cluster.reader(READER)
    rules = [{"type": "in", "action": "DROP", "source": CLIENT, "proto": "tcp", "dport": "8006"}]
    cluster.simulator.load({"firewall": {"cluster": {"options": {"enable": 1}, "rules": rules}}})
    wanted = {"client_addresses": [CLIENT], "port": cluster.simulator.port}
    result = ask(cluster, **wanted)
    # The simulator listens elsewhere, where the firewall has no rule for anybody.
    assert result["diagnoses"] == ["firewall_rule"]


def test_a_cluster_without_quorum(cluster: Cluster) -> None:
    cluster.reader(READER)
    cluster.simulator.set_online("ugreen-2", False)
    assert "quorum_lost" in ask(cluster)["diagnoses"]


def test_an_admin_who_does_not_get_in(cluster: Cluster) -> None:
    cluster.reader(READER)
    result = ask(cluster, admin_token_secret=SECRET)
    assert statuses(result) == {"admin": "skipped"}
    assert result["healthy"]


def test_an_admin_who_sees_too_little(cluster: Cluster) -> None:
    cluster.reader(("/vms", "PVEAuditor", "both"))
    result = ask(cluster, admin_token_id=TOKEN, admin_token_secret=SECRET)
    assert set(statuses(result).values()) == {"skipped"}


def test_the_token_of_an_admin_is_not_sent_to_a_stranger(cluster: Cluster) -> None:
    cluster.reader(READER)
    result = ask(cluster, fingerprint=":".join(["00"] * 32), ca_path=None)
    assert result["diagnoses"] == ["fingerprint_changed"]
    assert {request["as"] for request in cluster.simulator.requests()} == {None}


# -- on the node -------------------------------------------------------------------------------------------------------


def test_who_listens_here() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found = host_side.listeners(Path("/proc/net/tcp").read_text())
        assert ("127.0.0.1", port) in found
        there = host_side.judge_listening(found, port)
    assert there.diagnosis == "listens_elsewhere"
    assert "LISTEN_IP" in there.mend


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([("0.0.0.0", 8006)], ""),
        ([("::", 8006)], ""),
        ([("::1", 8006), ("192.168.40.60", 8006)], ""),
        ([("127.0.0.1", 8006)], "listens_elsewhere"),
        ([("::1", 8006)], "listens_elsewhere"),
        ([("0.0.0.0", 22)], "api_down"),
    ],
)
def test_listening(found: Any, expected: str) -> None:
    assert host_side.judge_listening(found, 8006).diagnosis == expected


def test_listening_on_another_port() -> None:
    assert host_side.judge_listening([("::", 8006)], 443).diagnosis == "listens_elsewhere"


def test_addresses_as_the_kernel_writes_them() -> None:
    lines = (
        "  sl  local_address rem_address   st\n"
        "   0: 0100007F:0016 00000000:0000 0A 00000000:00000000\n"
        "   1: 0100007F:1F46 0100007F:9C40 01 00000000:00000000\n"
    )
    six = "   0: 00000000000000000000000001000000:1F46 00000000000000000000000000000000:0000 0A 00000000:0\n"
    assert host_side.listeners(lines, six) == [("127.0.0.1", 22), ("::1", 8006)]


@pytest.mark.parametrize(
    ("name", "state", "expected"),
    [
        ("pveproxy", "active\n", ""),
        ("pveproxy", "failed", "api_down"),
        ("pvedaemon", "inactive", "daemon_down"),
        ("pve-cluster", "activating", "daemon_down"),
    ],
)
def test_services(name: str, state: str, expected: str) -> None:
    found = host_side.judge_service(name, state)
    assert found.diagnosis == expected
    assert not expected or f"systemctl restart {name}" in found.mend


@pytest.mark.parametrize(
    ("code", "said", "expected", "status"),
    [
        (0, "", "", "passed"),
        (255, "ERROR: no command specified\nUSAGE: pveum <COMMAND> [ARGS]\n", "pveum_syntax", "failed"),
        (255, "ERROR: unknown command 'pveum user token'\n", "pveum_syntax", "failed"),
        (255, "please run as root\n", "", "skipped"),
    ],
)
def test_words_of_pveum(code: int, said: str, expected: str, status: str) -> None:
    found = host_side.judge_pveum(code, said)
    assert (found.diagnosis, found.status) == (expected, status)


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("", False),
        ("# DENY_FROM=all\n", False),
        ("DENY_FROM=all", True),
        ('ALLOW_FROM="192.168.40.0/24"\nDENY_FROM="all"\nPOLICY="allow"\n', False),
        ('ALLOW_FROM="10.0.0.1-10.0.0.5,192.168.40.1-192.168.40.99"\nDENY_FROM="all"\n', False),
        ("ALLOW_FROM=10.0.0.0/8\nPOLICY=deny\n", True),
        ("ALLOW_FROM=192.168.40.82\nDENY_FROM=192.168.0.0/16\nPOLICY=deny\n", True),
        ("ALLOW_FROM=nonsense fd00::/8\nPOLICY=deny\n", True),
    ],
)
def test_whom_pveproxy_turns_away(text: str, out: bool) -> None:
    assert host_side.judge_allowed(text, [CLIENT]).diagnosis == ("client_not_allowed" if out else "")


# What pve-firewall makes of a cluster, in short, with what somebody put before it.
SAVED = """\
*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -j DROP
COMMIT
*filter
:INPUT {policy} [0:0]
:PVEFW-INPUT - [0:0]
:PVEFW-HOST-IN - [0:0]
:PVEFW-Drop - [0:0]
{first}
-A INPUT -j PVEFW-INPUT
-A PVEFW-INPUT -j PVEFW-HOST-IN
-A PVEFW-HOST-IN -i lo -j ACCEPT
-A PVEFW-HOST-IN -m conntrack --ctstate INVALID -j DROP
-A PVEFW-HOST-IN -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A PVEFW-HOST-IN -p igmp -j RETURN
{rule}
-A PVEFW-HOST-IN -m set --match-set PVEFW-0-management-v4 src -p tcp -m tcp --dport 8006 -j RETURN
-A PVEFW-HOST-IN {rest}
-A PVEFW-Drop -m comment --comment "no -j ACCEPT here" -p tcp --dport 43 -j DROP
COMMIT
"""
SETS = """\
create PVEFW-0-management-v4 hash:net family inet
add PVEFW-0-management-v4 192.168.40.0/24
add PVEFW-0-management-v4 192.168.40.99 nomatch
"""


@pytest.mark.parametrize(
    ("source", "first", "rule", "rest", "policy", "expected"),
    [
        (CLIENT, "", "", "-j DROP", "ACCEPT", "ACCEPT"),
        ("192.168.40.99", "", "", "-j DROP", "ACCEPT", "DROP"),
        ("10.0.0.1", "", "", "-j DROP", "ACCEPT", "DROP"),
        ("10.0.0.1", "", "", "-j PVEFW-Drop", "DROP", "DROP"),
        ("10.0.0.1", "", "", "-j PVEFW-Drop", "ACCEPT", "ACCEPT"),
        ("10.0.0.1", "", "", "-g PVEFW-Drop", "ACCEPT", "ACCEPT"),
        # RETURN is where a rule that accepts leads in PVE's chains: a policy further up may still drop.
        (CLIENT, "", "", "-j DROP", "DROP", "DROP"),
        ("10.0.0.1", "-A INPUT -s 10.0.0.1/32 -p tcp -m tcp --dport 8006 -j ACCEPT", "", "-j DROP", "DROP", "ACCEPT"),
        (CLIENT, "-A INPUT ! -s 10.0.0.0/8 -p tcp -m multiport --dports 22,8000:8010 -j DROP", "", "-j DROP", "ACCEPT",
         "DROP"),
        (CLIENT, "-A INPUT -p udp -j DROP", "", "-j DROP", "ACCEPT", "ACCEPT"),
        (CLIENT, "-A INPUT -m iprange --src-range 192.168.40.80-192.168.40.90 -j DROP", "", "-j DROP", "DROP", "DROP"),
        (CLIENT, "-A INPUT -i vmbr9 -j DROP", "", "-j DROP", "ACCEPT", "ACCEPT DROP"),
        (CLIENT, "-A INPUT -p tcp -j NFQUEUE --queue-num 1", "", "-j DROP", "ACCEPT", "ACCEPT UNKNOWN"),
        (CLIENT, "-A INPUT -m set --match-set nothing src -j DROP", "", "-j DROP", "ACCEPT", "ACCEPT DROP"),
        # What PVE itself puts first: of smurfs, broken flags and broadcasts, a client is none.
        (CLIENT, "-A INPUT -m addrtype --src-type BROADCAST -j DROP", "", "-j DROP", "ACCEPT", "ACCEPT"),
        (CLIENT, "-A INPUT -m addrtype --dst-type BROADCAST -j DROP", "", "-j DROP", "ACCEPT", "ACCEPT"),
        (CLIENT, "-A INPUT -m pkttype --pkt-type broadcast -j DROP", "", "-j DROP", "ACCEPT", "ACCEPT"),
        (CLIENT, "-A INPUT -p tcp -m tcp --tcp-flags SYN,RST SYN,RST -j DROP", "", "-j DROP", "ACCEPT", "ACCEPT"),
        (CLIENT, "-A INPUT -p tcp -m tcp --tcp-flags SYN,FIN NONE -j DROP", "", "-j DROP", "ACCEPT", "ACCEPT"),
        (CLIENT, "-A INPUT -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j DROP", "", "-j DROP", "ACCEPT", "ACCEPT"),
        (CLIENT, "-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP", "", "-j DROP", "ACCEPT", "DROP"),
        (CLIENT, "-A INPUT -p tcp -m tcp --sport 0 --tcp-flags FIN,SYN,RST,ACK SYN -j DROP", "", "", "DROP", "DROP"),
        (CLIENT, "-A INPUT -j LOG --log-prefix \"x -j DROP\"", "", "-j DROP", "ACCEPT", "ACCEPT"),
    ],
)  # fmt: skip
def test_rules_of_the_kernel(source: str, first: str, rule: str, rest: str, policy: str, expected: str) -> None:
    found = read_iptables(SAVED.format(first=first, rule=rule, rest=rest, policy=policy), SETS)
    assert " ".join(sorted(found.outcomes(Knock(source, 8006)))) == expected


@pytest.mark.parametrize(
    ("source", "configured", "expected"),
    [("10.0.0.1", True, "firewall_not_applied"), ("10.0.0.1", False, "packet_filter"), (CLIENT, True, "")],
)
def test_what_keeps_a_client_out(source: str, configured: bool, expected: str) -> None:
    filters = [read_iptables(SAVED.format(first="", rule="", rest="-j DROP", policy="ACCEPT"), SETS)]
    found = host_side.judge_filters(filters, [source], 8006, configured=configured)
    assert found.diagnosis == expected


IN = {"family": "inet", "table": "proxmox-firewall"}
CHAIN = {**IN, "name": "input", "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}
SADDR = {"payload": {"protocol": "ip", "field": "saddr"}}
DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}
STATE = {"ct": {"key": "state"}}
CLIENTS = {**IN, "name": "clients", "type": "ipv4_addr", "elem": [{"prefix": {"addr": "192.168.40.0", "len": 24}}]}


def when(left: Any, right: Any, op: str = "==") -> Json:
    return {"match": {"op": op, "left": left, "right": right}}


@pytest.mark.parametrize(
    ("source", "rules", "expected"),
    [
        (CLIENT, [], "ACCEPT"),
        (CLIENT, [[{"drop": None}]], "DROP"),
        (CLIENT, [[when(SADDR, "@clients"), {"accept": None}], [{"drop": None}]], "ACCEPT"),
        ("10.0.0.1", [[when(SADDR, "@clients"), {"accept": None}], [{"drop": None}]], "DROP"),
        ("fd00::1", [[when(SADDR, "@clients"), {"accept": None}], [{"reject": None}]], "REJECT"),
        ("10.0.0.1", [[when(SADDR, CLIENT, "!="), {"drop": None}]], "DROP"),
        ("fd00::1", [[when(SADDR, CLIENT, "!="), {"drop": None}]], "ACCEPT"),
        (CLIENT, [[when(DPORT, {"set": [22, {"range": [8000, 8010]}]}), {"counter": {}}, {"drop": None}]], "DROP"),
        (CLIENT, [[when(DPORT, 22), {"drop": None}]], "ACCEPT"),
        (CLIENT, [[when(STATE, ["established", "related"], "in"), {"drop": None}]], "ACCEPT"),
        (CLIENT, [[when({"meta": {"key": "iifname"}}, "lo"), {"drop": None}]], "ACCEPT"),
        (CLIENT, [[when({"meta": {"key": "iifname"}}, "vmbr0"), {"drop": None}]], "ACCEPT DROP"),
        (CLIENT, [[when({"meta": {"key": "l4proto"}}, "udp"), {"drop": None}]], "ACCEPT"),
        (CLIENT, [[when({"meta": {"key": "nfproto"}}, "ipv4"), {"log": {}}, {"drop": None}]], "DROP"),
        (CLIENT, [[{"limit": {"rate": 1}}, {"accept": None}], [{"drop": None}]], "ACCEPT DROP"),
        (CLIENT, [[{"jump": {"target": "host-in"}}], [{"drop": None}]], "ACCEPT"),
        ("10.0.0.1", [[{"jump": {"target": "host-in"}}], [{"drop": None}]], "DROP"),
        ("10.0.0.1", [[{"goto": {"target": "host-in"}}], [{"drop": None}]], "ACCEPT"),
        (
            CLIENT,
            [[{"vmap": {"key": STATE, "data": {"set": [["established", {"accept": None}], ["new", {"drop": None}]]}}}]],
            "DROP",
        ),
    ],
)
def test_rules_of_nftables(source: str, rules: list[list[Json]], expected: str) -> None:
    inner = [when(SADDR, {"range": ["192.168.40.80", "192.168.40.90"]}), {"accept": None}]
    rows = [{"metainfo": {}}, {"table": {"family": "inet", "name": "proxmox-firewall"}}, {"chain": CHAIN}]
    rows += [{"chain": {**IN, "name": "host-in"}}, {"set": CLIENTS}]
    rows += [{"rule": {**IN, "chain": "input", "handle": 4, "expr": rule}} for rule in rules]
    rows += [{"rule": {**IN, "chain": "host-in", "handle": 5, "expr": inner}}]
    # What iptables shows itself is left to it.
    rows += [{"chain": {"family": "ip", "table": "filter", "name": "INPUT", "type": "filter", "hook": "input"}}]
    (found,) = read_nftables(json.dumps({"nftables": rows}))
    assert " ".join(sorted(found.outcomes(Knock(source, 8006)))) == expected
    check = host_side.judge_filters([found], [source], 8006, configured=True)
    assert check.diagnosis == ("firewall_not_applied" if expected in ("DROP", "REJECT") else "")


# A socket that listens on port 8006 of every address, as the kernel tells it.
LISTENS = "   0: 00000000:1F46 00000000:0000 0A 00000000:00000000\n"


def programs(folder: Path, **texts: str) -> None:
    """Put programs into a folder that print a text each."""
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)
        program = folder / name.replace("_", "-")
        program.write_text(f'#!/bin/sh\ncat "{folder}/{name}.txt"\n')
        program.chmod(0o755)


@pytest.mark.parametrize(
    ("client", "acl", "expected"),
    [
        (CLIENT, [READER], []),
        ("10.0.0.1", [READER], ["firewall_not_applied"]),
        (CLIENT, [("/", "PVEAuditor", "token")], ["user_without_acl"]),
    ],
)
def test_a_node(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: str, acl: Any, expected: list[str]
) -> None:
    """PVE is asked by pvesh, without any credentials; the node says what its own programs say."""
    saved = SAVED.format(first="", rule="", rest="-j DROP", policy="ACCEPT")
    programs(tmp_path, systemctl="active\n", pveum="", iptables_save=saved, ipset=SETS)
    cluster.reader(*acl)
    monkeypatch.setattr(host_reads, "_read", {"/proc/net/tcp": LISTENS}.get)
    monkeypatch.setattr(host_reads, "_SYSTEM", "/nonexistent")
    with Standin(cluster.simulator) as pvesh:
        monkeypatch.setenv("PATH", f"{tmp_path}:{pvesh.folder}:/usr/bin:/bin")
        told = {"side": "host", "subject": TOKEN, "client_addresses": [client]}
        # What a consumer logs in with is passed over on a node.
        result, unused = consult({**told, "token_id": "half", "token_secret": SECRET}, {})
    assert {check["side"] for check in result["checks"]} == {"host"}
    assert result["diagnoses"] == expected, result["lines"]
    fine = {check["name"] for check in result["checks"] if check["status"] == "passed"}
    assert fine >= {"listening", "pve-cluster", "pvedaemon", "pveproxy", "pveum", "allowed", "quorum", "user"}
    assert SECRET not in str(result)


def test_a_node_that_is_not_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing of PVE is there, everything is skipped or failed, and nothing raised."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(host_reads, "_SYSTEM", str(tmp_path))
    result, failure = consult({"side": "host", "subject": TOKEN, "client_addresses": [CLIENT]}, dict(os.environ))
    assert failure
    assert {check["side"] for check in result["checks"]} == {"host"}


# -- the module's options ----------------------------------------------------------------------------------------------


def test_both_sides_are_put_together() -> None:
    client = Report((failed("no_rights", "None.", "Give some."), passed("Fine.")))
    host = Report((failed("token_without_acl", "No entry.", "Make one."),))
    rows = [*client.as_data()["checks"], *host.as_data()["checks"]]
    result, failure = consult({"checks": rows}, {})
    assert result["diagnoses"] == ["token_without_acl", "no_rights"]
    assert failure.startswith(DIAGNOSES["token_without_acl"])
    assert consult({"checks": rows, "fail": False}, {}) == (result, "")


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"client_addresses": ["pve"]}, "client_addresses"),
        ({"application": "nothing"}, "nothing"),
        ({"checks": [{"name": "x"}]}, "checks"),
        ({"subject": f"{TOKEN}:{SECRET}"}, "subject"),
        ({"subject": "nobody"}, "subject"),
    ],
)
def test_options_of_the_doctor_itself_are_refused(given: Json, word: str) -> None:
    with pytest.raises(OptionError, match=word) as raised:
        consult({"host": "127.0.0.1", **given}, {})
    assert SECRET not in str(raised.value)


def test_what_one_was_told() -> None:
    result, unused = consult({"checks": [], "told": "Access forbidden"}, {})
    assert result["told_means"][0] == {
        "diagnosis": "token_without_acl",
        "cause": DIAGNOSES["token_without_acl"],
    }
