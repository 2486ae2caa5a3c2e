"""An audit of a cluster and one of its snapshot find the same, whatever the cluster is like and whoever looks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.access.document import Document as AccessDocument
from ansible_collections.homelab.pve.plugins.module_utils.access.model import AccessState
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.firewall.observe import View
from ansible_collections.homelab.pve.plugins.module_utils.firewall.plan import plan_firewall
from ansible_collections.homelab.pve.plugins.module_utils.firewall.scope import DATACENTER, Scope
from ansible_collections.homelab.pve.plugins.module_utils.firewall.wanted import (
    Document as FirewallDocument,
)
from ansible_collections.homelab.pve.plugins.module_utils.firewall.wanted import ListSpec, OptionsSpec, PlaceSpec
from ansible_collections.homelab.pve.plugins.module_utils.policy.audit import Audit, audit
from ansible_collections.homelab.pve.plugins.module_utils.policy.catalogue import DRIFT, RULES
from ansible_collections.homelab.pve.plugins.module_utils.policy.document import Policy, parse_policy
from ansible_collections.homelab.pve.plugins.module_utils.policy.observe import survey
from ansible_collections.homelab.pve.plugins.module_utils.policy.sources import Recorder, Snapshot, read_snapshot
from ansible_collections.homelab.pve.tests.integration.test_random_firewalls import cases, seed
from ansible_collections.homelab.pve.tests.integration.test_random_policies import SECRET, as_export
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN, Simulator
from ansible_collections.homelab.pve.tests.unit.access.strategies import CALLER, documents, states
from hypothesis import HealthCheck, event, given, settings

Json = dict[str, Any]
NOW = 1_800_000_000.0
MORE = parse_policy(
    {
        "pve_assertions": [
            {"subject": "*", "paths": ["/"], "read_only": True},
            {"subject": "ann@pve", "paths": ["/vms/*"], "at_least": ["VM.Audit"]},
            {"subject": "bob@pve!t1", "paths": ["/vms/100"], "nothing": True},
            {"subject": "eve@pam", "paths": ["/storage", "/pool"], "exactly": ["VM.Audit"]},
            {"subject": "ann@pve", "paths": ["/"], "never": ["VM.Console"]},
        ],
        "pve_exceptions": [
            {"rule": "drift_*", "subject": "*t1", "reason": "Known", "until": "2099-12-31"},
            {"rule": "*", "subject": "user bob@pve", "reason": "Over", "until": "2020-12-31"},
        ],
    },
    None,
    None,
)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(auth_delay=0) as running:
        yield running


def reader(simulator: Simulator, token: str = ROOT_TOKEN, secret: str = ROOT_SECRET) -> Client:
    return Client(
        ConnectionOptions(
            simulator.host, simulator.port, token_id=token, token_secret=secret, ca_path=simulator.ca_file
        )
    )


def snapshot(client: Client) -> Snapshot:
    """Take a snapshot, and read it back from its text."""
    source = Recorder(client.read_only())
    survey(source, NOW)
    return read_snapshot(json.dumps(source.as_data(NOW)))


def policy(access: AccessDocument | None = None, firewall: FirewallDocument | None = None) -> Policy:
    return Policy(access, firewall, MORE.assertions, MORE.hygiene, MORE.exemptions)


def both(client: Client, wanted: Policy) -> tuple[Audit, Audit]:
    taken = snapshot(client)
    live = audit(Recorder(client.read_only()), wanted, NOW, guests=True)
    return live, audit(taken, wanted, NOW, guests=True)


def essence(found: Audit) -> Json:
    """Return what an audit says, without what it cost and whether PVE itself was asked."""
    told = {**found.as_data(), "requests": 0}
    assertions = [{**row, "confirmed": None} for row in told["assertions"]]
    return {**told, "assertions": assertions, "after": found.after}


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(state=states(), document=documents())
def test_access(simulator: Simulator, state: AccessState, document: AccessDocument) -> None:
    simulator.reset()
    simulator.load(as_export(state, simulator.export()))
    with reader(simulator, CALLER, SECRET) as client:
        live, later = both(client, policy(access=document))
    assert essence(live) == essence(later)
    # PVE itself works out the same rights, too.
    assert not [one for one in live.findings if one.rule == "assertion_unconfirmed"]
    event(f"{min(len(live.findings) // 5 * 5, 20)} findings or more")


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_firewalls(simulator: Simulator, case: Any) -> None:
    cluster, node, document = case
    seed(simulator, cluster, node)
    with reader(simulator) as client:
        live, later = both(client, policy(firewall=document))
        found = [one for one in live.findings if RULES[one.rule].family == DRIFT]
        try:
            plan, unused = plan_firewall(View(client), document)
        except OptionError:
            event("refused")
            assert found
        else:
            # What an audit finds is what there is to do.
            assert bool(found) is bool(plan.changes or plan.assumed)
    assert essence(live) == essence(later)
    assert not live.gaps
    event(f"{min(len(found), 10)} differences")


FIREWALL = FirewallDocument(
    tuple(
        PlaceSpec(scope, OptionsSpec({"enable": 1}), rules=ListSpec(exclusive=True))
        for scope in (DATACENTER, Scope("node", "ugreen"), *(Scope("guest", vmid) for vmid in ("100", "102", "999")))
    )
)
BLIND = "blind@pve!tk"


@pytest.mark.parametrize(
    "entries",
    [
        (),
        (("/vms/100", "PVEAuditor"),),
        (("/access", "PVEAuditor"),),
        (("/vms", "PVEAuditor"), ("/pool", "PVEPoolUser")),
        (("/nodes", "PVEAuditor"), ("/access/groups", "PVEUserAdmin")),
    ],
)
def test_whoever_sees_less_has_the_same_gaps(simulator: Simulator, entries: tuple[tuple[str, str], ...]) -> None:
    simulator.reset()
    state = simulator.export()
    acl = [
        {"path": path, "type": kind, "ugid": name, "roleid": role, "propagate": 1}
        for path, role in entries
        for kind, name in (("user", "blind@pve"), ("token", BLIND))
    ]
    simulator.load(
        {
            "users": [*state["users"], {"userid": "blind@pve"}, {"userid": "joe@pve", "keys": "x!oath-4f5e"}],
            "tokens": [*state["tokens"], {"tokenid": BLIND, "privsep": 1, "secret": SECRET}],
            "acl": [
                *state["acl"],
                *acl,
                {"path": "/pool/lab", "type": "user", "ugid": "joe@pve", "roleid": "PVEAuditor", "propagate": 1},
            ],
            "pools": [{"poolid": "lab", "vms": [100], "storage": ["local"]}],
        }
    )
    with reader(simulator, BLIND, SECRET) as client:
        live, later = both(client, policy(AccessDocument(), FIREWALL))
    assert essence(live) == essence(later)
    assert live.gaps
    assert live.status("never") == "incomplete"


def test_no_secret_is_in_a_snapshot(simulator: Simulator) -> None:
    simulator.reset()
    state = simulator.export()
    secrets = ("x!oath-4f5e", "my-yubikey-77", "7c7c7c7c-0000-4000-8000-00000000000c", "a-password-9d")
    config = {**state["guests"][0]["config"], "cipassword": secrets[3], "net0": "virtio,bridge=vmbr0,firewall=1"}
    simulator.load(
        {
            "guests": [{**state["guests"][0], "config": config}, *state["guests"][1:]],
            "users": [*state["users"], {"userid": "joe@pve", "keys": secrets[0]}],
            "tokens": [*state["tokens"], {"tokenid": "joe@pve!ci", "privsep": 1, "secret": secrets[2]}],
            "tfa": [
                {
                    "userid": "joe@pve",
                    "entries": [{"id": secrets[1], "type": "totp", "description": secrets[1], "created": 1}],
                }
            ],
        }
    )
    with reader(simulator) as client:
        source = Recorder(client.read_only())
        survey(source, NOW)
    text = json.dumps(source.as_data(NOW))
    assert [secret for secret in (*secrets, ROOT_SECRET) if secret in text] == []
    # What audits need is there all the same.
    again = read_snapshot(text)
    assert {row["userid"]: row.get("keys") for row in again.get("/access/users", {"full": 1})}["joe@pve"] == "x"
    assert again.get("/access/tfa") == [{"userid": "joe@pve", "entries": [{"type": "totp", "created": 1}]}]


def test_what_comes_from_the_root_by_a_pool_without_entries_counts(simulator: Simulator) -> None:
    """An entry on a storage replaces what comes from above, and a pool that it is in brings it back."""
    simulator.reset()
    state = simulator.export()
    acl = [
        {"path": path, "type": "user", "ugid": "ann@pve", "roleid": role, "propagate": 1}
        for path, role in (("/", "PVEDatastoreAdmin"), ("/storage/local", "PVEAuditor"))
    ]
    simulator.load(
        {
            "users": [*state["users"], {"userid": "ann@pve"}],
            "tokens": state["tokens"],
            "acl": [*state["acl"], *acl],
            "pools": [{"poolid": "lab", "vms": [100], "storage": ["local"]}],
        }
    )
    raw = {"pve_assertions": [{"subject": "ann@pve", "paths": ["/storage/local"], "read_only": True}]}
    with reader(simulator) as client:
        live, later = both(client, parse_policy(raw, None, None))
    assert essence(live) == essence(later)
    assert [one.path for one in live.findings if one.rule.startswith("assertion")] == ["/storage/local"]
    assert live.outcomes[0].confirmed


def test_exceptions_are_over_as_of_today_and_all_else_as_of_when_it_was_taken(simulator: Simulator) -> None:
    simulator.reset()
    with reader(simulator) as client:
        taken = snapshot(client)
    bearing = {"rule": "*", "subject": "*", "reason": "For the move", "until": "2027-01-31"}
    wanted = parse_policy({"pve_exceptions": [bearing]}, None, None)
    assert taken.taken == NOW
    fresh, late = (audit(taken, wanted, NOW, today=NOW + days * 24 * 3600) for days in (0, 30))
    assert fresh.excepted
    assert "exception_over" not in {one.rule for one in fresh.findings}
    assert not late.excepted
    assert {one.fingerprint for one in fresh.excepted} < {one.fingerprint for one in late.findings}
    assert "exception_over" in {one.rule for one in late.findings}


def test_a_snapshot_may_be_too_old(simulator: Simulator) -> None:
    simulator.reset()
    with reader(simulator) as client:
        taken = snapshot(client)
    week = 7 * 24 * 3600
    assert audit(taken, MORE, NOW, today=NOW + week, max_age=week).gaps == ()
    (gap,) = audit(taken, MORE, NOW, today=NOW + week + 1, max_age=week).gaps
    assert gap.reason == "The snapshot is of 2027-01-15, 7 days ago, which is longer than snapshot_max_age."


def test_before_8_0_no_token_is_told_of_second_factors_and_none_asks() -> None:
    with Simulator(release="7.4", auth_delay=0) as old, reader(old) as client:
        live, later = both(client, MORE)
        assert "/access/tfa" not in {request["path"] for request in old.requests()}
    assert live.gaps == later.gaps
    (gap,) = [gap for gap in live.gaps if gap.what == "second factors"]
    assert gap.reason == "Before 8.0, PVE shows the list of them to no API token."
    assert "no_second_factor and legacy_factors" in gap.fix
