"""The proof of readers, good and bad, on a simulated cluster. Every one is seen to change nothing there."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("aiohttp")

from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError, TransportError
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.proof.prove import IN_FLIGHT, Claim, prove
from ansible_collections.homelab.pve.plugins.module_utils.proof.questions import GUARD
from ansible_collections.homelab.pve.tests.unit.proof.cluster import TOKEN, USER, Cluster, not_proved, red

MakeCluster = Callable[..., Cluster]

# (path, requests of a PVEAuditor on 9.2); docs/proof.md has the same numbers.
REQUESTS = {
    "/": 323,
    "/vms": 126,
    "/vms/100": 90,
    "/vms/102": 73,
    "/nodes": 105,
    "/nodes/ugreen": 105,
    "/storage": 47,
    "/storage/local": 47,
    "/pool": 142,
    "/pool/lab": 142,
    "/access": 60,
    "/access/groups": 60,
    "/access/realm/pve": 60,
    "/sdn": 59,
    "/mapping": 66,
}
POOL = {"poolid": "lab", "vms": [100], "storage": ["local"]}


# -- good readers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", REQUESTS)
def test_an_auditor_is_proved_with_a_known_number_of_requests(make_cluster: MakeCluster, path: str) -> None:
    cluster = make_cluster(extra={"pools": [POOL]} if path.startswith("/pool") else {})
    cluster.grant(path, "PVEAuditor")
    proof = cluster.prove(path)
    assert proof.findings == ()
    assert proof.counts.refused == proof.counts.writes > 0
    assert proof.requests == REQUESTS[path]


@pytest.mark.parametrize(
    ("release", "path"),
    [
        *(("7.4", path) for path in ("/", "/vms/102")),
        ("8.4", "/vms/100"),
        *(("9.0", path) for path in ("/", "/pool/lab")),
    ],
)
def test_an_auditor_is_proved_on_every_release(make_cluster: MakeCluster, release: str, path: str) -> None:
    cluster = make_cluster(release=release, extra={"pools": [POOL]})
    cluster.grant(path, "PVEAuditor")
    proof = cluster.prove(path)
    assert proof.findings == ()
    assert proof.counts.untried == proof.counts.let_through == 0


def test_logs_are_asked_for_and_not_read(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(extra={"roles": [{"roleid": "Logs", "privs": ["Sys.Syslog"]}]})
    cluster.grant("/nodes/ugreen", "PVEAuditor")
    cluster.grant("/nodes/ugreen", "Logs")
    assert cluster.prove("/nodes/ugreen", logs=True).proved
    asked = [row for row in cluster.simulator.requests() if row["path"].endswith("/syslog")]
    assert [(row["params"], row["status"]) for row in asked] == [(GUARD, 400)]
    assert not cluster.prove("/nodes/ugreen").proved


def test_a_role_of_ones_own_is_asked_of_pve(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(extra={"roles": [{"roleid": "Look", "privs": ["VM.Audit"]}]})
    cluster.grant("/vms/100", "Look")
    assert cluster.prove("/vms/100", "Look").privileges == ("VM.Audit",)
    assert cluster.prove("/vms/100", privileges=frozenset({"VM.Audit"})).proved
    assert not cluster.prove("/vms/100", "PVEAuditor").proved


def test_a_role_that_may_write_is_proved_to_write_just_that(cluster: Cluster) -> None:
    cluster.grant("/vms/100", "PVEVMUser")
    proof = cluster.prove("/vms/100", "PVEVMUser")
    assert proof.findings == ()
    assert proof.counts.allowed > 20
    asked = {row["path"] for row in cluster.simulator.requests() if row["method"] != "GET"}
    assert not any(path.endswith("/status/stop") for path in asked)
    assert any(path.endswith("/migrate") for path in asked)


def test_a_token_that_should_have_nothing_has_nothing(cluster: Cluster) -> None:
    assert cluster.prove("/vms/102", privileges=frozenset()).findings == ()
    cluster.grant("/vms", "PVEAuditor")
    assert red(cluster.prove("/vms/102", privileges=frozenset()), "permissions")


def test_a_reader_without_propagation(cluster: Cluster) -> None:
    cluster.grant("/vms", "PVEAuditor", propagate=0)
    assert cluster.prove("/vms", propagate=False).findings == ()
    (finding,) = red(cluster.prove("/vms"), "permissions")
    assert "do not propagate below /vms" in finding


def test_a_pool_reader_reads_what_is_in_the_pool_and_in_the_pools_below(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(extra={"pools": [POOL, {"poolid": "lab/web", "vms": [102]}]})
    cluster.grant("/pool/lab", "PVEAuditor")
    proof = cluster.prove("/pool/lab")
    assert proof.findings == ()
    assert {row["path"] for row in cluster.simulator.requests()} >= {"/nodes/ugreen/qemu/100/config", "/pools/lab"}
    assert cluster.prove("/pool/lab/web").proved is False


# -- readers for an application ------------------------------------------------------------------------------------

# docs/proof.md has the first of these, too.
APPLICATION_REQUESTS = {"labby": 336, "homelab-apply": 223}


@pytest.mark.parametrize("name", APPLICATION_REQUESTS)
def test_a_reader_for_an_application_is_proved_with_a_known_number_of_requests(
    make_cluster: MakeCluster, name: str
) -> None:
    cluster = make_cluster(extra={"pools": [POOL]})
    cluster.grant_application(name)
    proof = cluster.prove(None, application=name)
    assert proof.findings == ()
    assert proof.counts.let_through == 0
    assert (proof.path, proof.as_data()["application"]) == (None, name)
    assert proof.requests == APPLICATION_REQUESTS[name]


def test_an_application_is_proved_on_an_older_release(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(release="7.4")
    cluster.grant_application("community-proxmox-inventory", (7, 4))
    assert cluster.prove(None, application="community-proxmox-inventory").findings == ()


def test_all_that_an_application_reads_is_asked_for(cluster: Cluster) -> None:
    cluster.grant_application("check-pve")
    assert cluster.prove(None, application="check-pve").proved
    asked = {row["path"] for row in cluster.simulator.requests()}
    assert {"/nodes/ugreen/services", "/nodes/ugreen/apt/update", "/cluster/ceph/status"} <= asked
    assert {"/nodes/ugreen/qemu/100/snapshot", "/nodes/ugreen/lxc/102/snapshot"} <= asked


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/", "lacks Sys.Audit on /"),
        ("/vms", "lacks VM.Audit on /vms"),
    ],
)
def test_an_application_that_lacks_an_entry_is_red_with_the_path(cluster: Cluster, path: str, says: str) -> None:
    cluster.grant_application("labby")
    cluster.take(path)
    findings = red(cluster.prove(None, application="labby"), "permissions")
    assert len(findings) == 1
    assert says in findings[0]
    assert f"--path {path}`" in findings[0]


def test_an_application_with_more_than_it_needs_is_red(cluster: Cluster) -> None:
    cluster.grant_application("labby")
    cluster.grant("/access", "PVEAuditor")
    proof = cluster.prove(None, application="labby")
    (permissions, *unused) = red(proof, "permissions")
    assert "Sys.Audit" in permissions
    assert "apart from its own paths /, /nodes, /pool, /storage, /vms" in permissions
    assert any("sees entry on" in text for text in red(proof, "list"))


def test_an_application_without_any_rights_is_told_once(cluster: Cluster) -> None:
    (finding,) = red(cluster.prove(None, application="labby"), "permissions")
    assert "holds nothing at all" in finding
    assert "VM.Audit on /vms" in finding


def test_rights_that_do_not_propagate_are_red_for_an_application(cluster: Cluster) -> None:
    cluster.grant_application("labby")
    cluster.take("/vms")
    cluster.grant("/vms", "app-labby-vms", propagate=0)
    findings = red(cluster.prove(None, application="labby"), "permissions")
    assert any("do not propagate below /vms" in text for text in findings)


def test_an_application_and_a_path_do_not_go_together(cluster: Cluster) -> None:
    with pytest.raises(OptionError, match="application"):
        cluster.prove("/", application="labby")
    with pytest.raises(OptionError, match="Did you mean labby"):
        cluster.prove(None, application="laby")
    with pytest.raises(OptionError, match="path: missing"):
        cluster.prove(None)


# -- the probes themselves -----------------------------------------------------------------------------------------


def test_every_write_carries_what_makes_it_fail_and_none_succeeds(cluster: Cluster) -> None:
    cluster.grant("/", "Administrator")
    proof = cluster.prove("/")
    sent = [row for row in cluster.simulator.requests() if row["method"] != "GET"]
    assert len(sent) == proof.counts.writes > 250
    assert all(GUARD.items() <= row["params"].items() for row in sent)
    assert {row["status"] for row in sent} == {400, 403}
    assert proof.counts.let_through > 200
    # What is for root@pam with a password alone stays closed even to this one.
    assert proof.counts.refused == sum(row["status"] == 403 for row in sent) < 20


@pytest.mark.parametrize("release", ["7.4", "8.4", "9.3"])
def test_a_release_that_is_not_known_to_the_last_is_not_probed_where_a_probe_might_pass(
    make_cluster: MakeCluster, release: str
) -> None:
    cluster = make_cluster(release=release)
    cluster.grant("/vms/100", "PVEVMAdmin")
    proof = cluster.prove("/vms/100", privileges=frozenset({"VM.Audit"}))
    sent = [row["status"] for row in cluster.simulator.requests() if row["method"] != "GET"]
    assert set(sent) == {403}
    assert proof.counts.untried > 40
    assert any("not tried" in finding and "VM.PowerMgmt on /vms/100" in finding for finding in red(proof, "write"))


def test_no_more_than_eight_are_in_flight(cluster: Cluster) -> None:
    cluster.grant("/", "PVEAuditor")
    threads: Counter[int] = Counter()
    options = ConnectionOptions.from_params(cluster.params(), {})
    # Each thread has a client of its own, and a client has one request on its way at a time.
    with Client(options, on_request=lambda *_: threads.update([threading.get_ident()])) as client:
        assert prove(client, Claim("/", "PVEAuditor")).requests == sum(threads.values())
    del threads[threading.get_ident()]
    assert len(threads) == IN_FLIGHT == 8


# -- too much ------------------------------------------------------------------------------------------------------


def test_a_stronger_role_is_red_with_the_privilege_and_the_path(cluster: Cluster) -> None:
    cluster.grant("/vms/100", "PVEAdmin")
    proof = cluster.prove("/vms/100")
    (permissions,) = red(proof, "permissions")
    assert "VM.PowerMgmt" in permissions
    assert "on /vms/100" in permissions
    writes = red(proof, "write")
    assert any("/qemu/100/status/start" in text and "VM.PowerMgmt on /vms/100" in text for text in writes)
    assert any("PUT /access/acl" in text and "VM.Allocate on /vms/100" in text for text in writes)


def test_a_stronger_role_on_everything_is_red(cluster: Cluster) -> None:
    cluster.grant("/", "PVEAdmin")
    proof = cluster.prove("/")
    assert "User.Modify" in red(proof, "permissions")[0]
    assert any("POST /access/users" in text for text in red(proof, "write"))


def test_an_entry_elsewhere_is_red(cluster: Cluster) -> None:
    cluster.grant("/vms/100", "PVEAuditor")
    cluster.grant("/storage/local", "PVEDatastoreUser")
    proof = cluster.prove("/vms/100")
    (permissions,) = red(proof, "permissions")
    assert "holds Datastore.AllocateSpace, Datastore.Audit on /storage/local as well" in permissions
    assert "apart from its own path /vms/100" in permissions
    assert any("sees storage local" in text for text in red(proof, "list"))
    assert any("/storage/local/status" in text for text in red(proof, "read")) or red(proof, "list")


def test_another_guest_is_red(cluster: Cluster) -> None:
    cluster.grant("/vms/100", "PVEAuditor")
    cluster.grant("/vms/102", "PVEAuditor")
    proof = cluster.prove("/vms/100")
    assert "on /vms/102" in red(proof, "permissions")[0]
    assert any("sees guest 102, which takes VM.Audit on /vms/102" in text for text in red(proof, "list"))


def test_a_token_without_privilege_separation_has_all_of_a_powerful_user(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(token={"privsep": 0})
    cluster.grant("/", "PVEAdmin", token=False)
    proof = cluster.prove("/vms/100")
    everything = "\n".join(red(proof, "permissions"))
    assert "VM.Allocate" in everything
    assert "holds" in everything
    assert " on / as well" in everything
    assert f"The token has no privilege separation, so it has all rights of {USER}." in everything


def test_a_group_that_gives_rights_is_red(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(extra={"groups": [{"groupid": "ops"}], "groups_of_user": ["ops"]}, token={"privsep": 0})
    cluster.grant("/vms/100", "PVEAuditor", token=False)
    cluster.entry("/nodes/ugreen", "PVESysAdmin", "group", "ops")
    proof = cluster.prove("/vms/100")
    assert any("Sys.Console, Sys.Syslog on /nodes/ugreen" in text for text in red(proof, "permissions"))
    assert any("sees state of node ugreen" in text for text in red(proof, "list"))


def test_rights_that_come_from_a_pool_are_red_and_told_so(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(extra={"pools": [{"poolid": "lab", "vms": [102]}]})
    cluster.grant("/vms/100", "PVEAuditor")
    cluster.grant("/pool/lab", "PVEVMUser")
    proof = cluster.prove("/vms/100")
    told = {text.partition(":")[0]: text for text in red(proof, "permissions")}
    assert "VM.PowerMgmt" in told["/pool/lab"]
    assert "VM.PowerMgmt" in told["/vms/102"]
    assert "often come from a pool" in told["/vms/102"]


# -- too little ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("half", ["user", "token"])
def test_a_missing_half_is_red_and_the_hint_says_how_to_see_which(cluster: Cluster, half: str) -> None:
    cluster.grant("/vms/100", "PVEAuditor", user=half != "user", token=half != "token")
    proof = cluster.prove("/vms/100")
    (finding,) = red(proof, "permissions")
    assert "holds nothing at all" in finding
    assert "VM.Audit" in finding
    assert f"pveum user token permissions {USER} token --path /vms/100" in finding
    assert any("/100/firewall/options" in text and "403" in text for text in red(proof, "read"))


@pytest.mark.parametrize(("half", "says"), [("user", "half of the user"), ("token", "half of the token")])
def test_the_half_that_is_missing_is_named_where_the_token_may_know(
    make_cluster: MakeCluster, half: str, says: str
) -> None:
    cluster = make_cluster(extra={"roles": [{"roleid": "Logs", "privs": ["Sys.Syslog"]}]})
    cluster.grant("/access", "PVEAuditor")
    cluster.grant("/access", "Logs", user=half != "user", token=half != "token")
    findings = red(cluster.prove("/access", logs=True), "permissions")
    assert len(findings) == 1
    assert says in findings[0]
    assert "lacks Sys.Syslog on /access" in findings[0]


def test_rights_taken_away_deeper_down_are_red_with_the_entry(cluster: Cluster) -> None:
    cluster.grant("/", "PVEAuditor")
    cluster.grant("/vms/102", "NoAccess", user=False)
    (finding,) = red(cluster.prove("/"), "permissions")
    assert finding.startswith("/vms/102: holds nothing on /vms/102")
    assert f"token {TOKEN} has NoAccess" in finding


def test_a_weaker_role_deeper_down_is_red(cluster: Cluster) -> None:
    cluster.grant("/", "PVEAuditor")
    cluster.grant("/vms/102", "PVETemplateUser", token=False)
    (finding,) = red(cluster.prove("/"), "permissions")
    assert "/vms/102: lacks" in finding
    assert f"user {USER} has PVETemplateUser" in finding


# -- not known -----------------------------------------------------------------------------------------------------


def test_a_secret_that_does_not_work_is_red_and_explained(cluster: Cluster) -> None:
    cluster.secret_file.write_text("99999999-1111-4222-8333-abcdefabcdef\n")
    (finding,) = cluster.prove("/vms/100").findings
    assert (finding.check, finding.severity, finding.subject) == ("login", "red", TOKEN)
    assert "401" in finding.found
    assert "enabled and not expired" in finding.hint


def test_a_guest_that_does_not_exist_is_not_proved(cluster: Cluster) -> None:
    cluster.grant("/vms/999", "PVEAuditor")
    proof = cluster.prove("/vms/999")
    assert not_proved(proof) == ["/vms/999: guest 999 does not exist (expected: what /vms/999 stands for can be read)"]
    assert len(proof.findings) == 1
    assert proof.counts.refused == proof.counts.writes


def test_a_guest_on_a_dead_node_is_not_proved(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(nodes=2, guests=2)
    cluster.grant("/vms/1001", "PVEAuditor")
    assert cluster.prove("/vms/1001").proved
    cluster.simulator.set_online("ugreen-2", False)
    proof = cluster.prove("/vms/1001")
    assert [text.partition(" (")[0] for text in not_proved(proof)] == [
        "/vms/1001: guest 1001 is on node ugreen-2, which is offline"
    ]
    assert len(proof.findings) == 1


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/nodes/gone", "node gone does not exist in this cluster"),
        ("/nodes/ugreen-2", "node ugreen-2 is offline"),
        ("/storage/gone", "storage gone does not exist"),
        ("/pool/gone", "pool gone does not exist"),
    ],
)
def test_other_objects_that_are_not_there_are_not_proved(make_cluster: MakeCluster, path: str, says: str) -> None:
    cluster = make_cluster(nodes=2)
    cluster.simulator.set_online("ugreen-2", False)
    cluster.grant(path, "PVEAuditor")
    proof = cluster.prove(path)
    assert not proof.proved
    assert not any(finding.severity == "red" for finding in proof.findings)
    assert says in not_proved(proof)[0]


def test_a_dead_node_elsewhere_does_not_matter(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(nodes=3, guests=6)
    cluster.simulator.set_online("ugreen", False)
    cluster.simulator.set_online("ugreen-2", False)
    cluster.grant("/", "PVEAuditor")
    assert cluster.prove("/").findings == ()


def test_a_server_error_on_a_probe_is_not_proved(cluster: Cluster) -> None:
    cluster.grant("/vms/100", "PVEAuditor")
    cluster.simulator.fault(
        "POST", "/api2/json/nodes/ugreen/qemu/100/status/stop", do="status", when="after", status=500, reason="oops"
    )
    proof = cluster.prove("/vms/100")
    assert proof.counts.unknown == 1
    assert "POST /nodes/ugreen/qemu/100/status/stop: PVE answered 500" in not_proved(proof)[0]


def test_a_connection_that_breaks_ends_the_proof(cluster: Cluster) -> None:
    cluster.grant("/vms/100", "PVEAuditor")
    cluster.simulator.fault("POST", "*", do="close", when="before")
    with pytest.raises(TransportError):
        cluster.prove("/vms/100")


# -- claims that make no sense -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        (Claim("/nodes/ugreen/qemu/100", "PVEAuditor"), "Did you mean /vms/100?"),
        (Claim("/", "NoSuchRole"), "NoSuchRole"),
        (Claim("/", privileges=frozenset({"VM.Monitor"})), "does not know VM.Monitor"),
    ],
)
def test_a_claim_that_makes_no_sense_is_refused(cluster: Cluster, claim: Claim, says: str) -> None:
    with Client(ConnectionOptions.from_params(cluster.params(), {})) as client, pytest.raises(OptionError, match=says):
        prove(client, claim)


def test_a_user_with_a_password_is_no_reader(cluster: Cluster) -> None:
    credentials: dict[str, Any] = {
        "token_id": None,
        "token_file": None,
        "user": "admin@pve",
        "password": "adminpass123",
    }
    options = ConnectionOptions.from_params(cluster.params(**credentials), {})
    with Client(options) as client, pytest.raises(OptionError, match="not of an API token"):
        prove(client, Claim("/", "PVEAuditor"))
