"""A cluster becomes a policy file that means exactly what is there."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("ansible", reason="documents are read as Ansible reads them")
pytest.importorskip("yaml")

import yaml
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET
from ansible_collections.homelab.pve.tests.unit.access.strategies import states
from ansible_collections.homelab.pve.tests.unit.adopt.clusters import Pve, access, adopted, changes, ruleset
from ansible_collections.homelab.pve.tests.unit.examples import examples
from ansible_collections.homelab.pve.tests.unit.firewall.strategies import NODE, lists, rulesets
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

Json = dict[str, Any]
SLOW = list(HealthCheck)


@settings(max_examples=examples(60), deadline=None, derandomize=True, suppress_health_check=SLOW)
@given(state=states(), exclusive=st.booleans())
def test_access_is_said_as_it_is(state, exclusive: bool) -> None:
    pve = Pve(access(state), token=("root@pam!admin", ROOT_SECRET))
    found = adopted(pve, exclusive=exclusive)
    assert yaml.safe_load(found.text) == found.document
    assert changes(pve, found.document) == []
    again = adopted(pve, exclusive=exclusive)
    assert again == found
    event(f"{len(found.document['pve_access'].get('readers', ()))} readers")


@settings(max_examples=examples(60), deadline=None, derandomize=True, suppress_health_check=SLOW)
@given(cluster=rulesets(), node=lists(), guest=lists(), exclusive=st.booleans())
def test_the_firewall_is_said_as_it_is(cluster, node, guest, exclusive: bool) -> None:
    places = {
        "cluster": ruleset(cluster),
        "nodes": {NODE.id: {"rules": [rule.to_api() for rule in node]}},
        "guests": {"100": {"rules": [rule.to_api() for rule in guest]}},
    }
    pve = Pve({"firewall": places})
    found = adopted(pve, exclusive=exclusive)
    assert yaml.safe_load(found.text) == found.document
    assert changes(pve, found.document) == []
    assert adopted(pve, exclusive=exclusive) == found
