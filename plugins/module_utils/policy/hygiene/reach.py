"""Whether everybody reaches the nodes, on the ports of the API and of SSH."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...firewall.scope import DATACENTER, NODE, Scope
from ..observe import PORTS
from .subjects import Case

_RULES = dict(zip(PORTS, (("api_open", "The API"), ("ssh_open", "SSH"))))
_POLICY = "policy_in"


def judge(case: Case) -> None:
    """Find the ports that everybody reaches, of nodes whose firewall is on.

    What lets everybody in by being off, or by letting in the rest, is found as that.
    """
    places = case.observed.places
    cluster = places.get(DATACENTER)
    if cluster is None or not cluster.on:
        return
    on = [node for node in case.observed.exposed if places[Scope(NODE, node)].on]
    for at, (port, (rule, what)) in enumerate(_RULES.items()):
        if not case.judgement.wants(rule):
            continue
        found = {node: case.observed.exposed[node][at] for node in on}
        for node, exposed in found.items():
            if exposed.unknown:
                case.judgement.gap(f"who reaches port {port} of node {node}", exposed.unknown)
        open_by = {node: exposed.widest.by for node, exposed in found.items() if exposed.widest}
        for subject, by in _by_subject(open_by):
            if by.startswith(_POLICY) and case.judgement.wants("policy_in"):
                continue
            case.judgement.find(
                rule,
                subject,
                f"port {port}",
                f"{what} (port {port}) of {'every node' if subject == str(DATACENTER) else subject} is reached from "
                f"anywhere: {by}.",
                expected="reached by those who manage the cluster",
                found=by,
                fix="Give the rule a source: an IP set with the addresses of those who need it.",
            )


def _by_subject(open_by: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what to find: the cluster once where its own rules open all these nodes, else each node."""
    reasons = list(open_by.values())
    if reasons and not any("node rule" in by for by in reasons):
        yield str(DATACENTER), reasons[0]
        return
    for node, by in open_by.items():
        yield f"node {node}", by
