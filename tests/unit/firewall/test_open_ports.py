"""The rules of hygiene about open ports say what exposure says, and nothing about what was not read."""

from __future__ import annotations

from ansible_collections.homelab.pve.plugins.module_utils.firewall.model import IpSet, Rule, Ruleset
from ansible_collections.homelab.pve.plugins.module_utils.firewall.scope import DATACENTER, NODE, Scope
from ansible_collections.homelab.pve.plugins.module_utils.policy.catalogue import RULES
from ansible_collections.homelab.pve.plugins.module_utils.policy.document import Hygiene
from ansible_collections.homelab.pve.plugins.module_utils.policy.findings import Judgement
from ansible_collections.homelab.pve.plugins.module_utils.policy.hygiene.reach import judge
from ansible_collections.homelab.pve.plugins.module_utils.policy.hygiene.subjects import Case
from ansible_collections.homelab.pve.plugins.module_utils.policy.observe import Place
from ansible_collections.homelab.pve.tests.unit.reports.world import observed, ordinary_state

SSH = Rule("in", "ACCEPT", macro="SSH")
ON = {"enable": 1}


def judged(cluster: Ruleset, **nodes: Ruleset) -> Judgement:
    scopes = {DATACENTER: cluster, **{Scope(NODE, name): rules for name, rules in nodes.items()}}
    places = {scope: Place(scope, rules) for scope, rules in scopes.items()}
    judgement = Judgement({rule.rule: rule.level for rule in RULES.values()})
    judge(Case(observed(ordinary_state(), places), Hygiene(), judgement))
    return judgement


def found(judgement: Judgement) -> list[tuple[str, str]]:
    return [(finding.rule, finding.subject) for finding in judgement.findings]


def test_what_opens_all_nodes_is_found_once_and_what_opens_one_there() -> None:
    assert found(judged(Ruleset(options=ON, rules=(SSH,)), alpha=Ruleset(), beta=Ruleset())) == [
        ("ssh_open", "cluster")
    ]
    assert found(judged(Ruleset(options=ON), alpha=Ruleset(rules=(SSH,)), beta=Ruleset())) == [
        ("ssh_open", "node alpha")
    ]


def test_nodes_and_clusters_that_are_switched_off_are_found_elsewhere() -> None:
    assert found(judged(Ruleset(rules=(SSH,)), alpha=Ruleset())) == []
    assert found(judged(Ruleset(options=ON), alpha=Ruleset(options={"enable": 0}))) == []


def test_what_was_not_read_is_not_judged() -> None:
    judgement = judged(Ruleset(options=ON, ipsets={"management": IpSet("management", entries=None)}), alpha=Ruleset())
    assert found(judgement) == []
    assert [gap.what for gap in judgement.gaps] == [f"who reaches port {port} of node alpha" for port in (8006, 22)]
    assert judgement.gaps[0].reason == "The entries of the IP set management were not read."
