"""Whether everybody reaches the nodes, on the ports of the API and of SSH."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...firewall.exposure import exposures
from ...firewall.scope import DATACENTER, NODE
from .subjects import Case

_PORTS = {"api_open": (8006, "The API"), "ssh_open": (22, "SSH")}
_POLICY = "policy_in"


def judge(case: Case) -> None:
    """Find the ports that everybody reaches, of nodes whose firewall is on.

    What lets everybody in by being off, or by letting in the rest, is found as that.
    """
    wanted = {rule: port for rule, port in _PORTS.items() if case.judgement.wants(rule)}
    places = case.observed.places
    cluster = places.get(DATACENTER)
    if not wanted or cluster is None or not cluster.on:
        return
    nodes = {scope.id: place.rules for scope, place in sorted(places.items()) if scope.kind == NODE and place.on}
    reached = exposures(cluster.rules, nodes, [port for port, unused in wanted.values()])
    for at, (rule, (port, what)) in enumerate(wanted.items()):
        found = {node: exposed[at] for node, exposed in reached.items()}
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
    if open_by and not any("node rule" in by for by in open_by.values()):
        yield str(DATACENTER), next(iter(open_by.values()))
        return
    for node, by in open_by.items():
        yield f"node {node}", by
