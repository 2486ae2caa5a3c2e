"""Whether everybody reaches the nodes, on the ports of the API and of SSH."""

from __future__ import annotations

from collections.abc import Iterator

from ...firewall.addresses import address_text, literals
from ...firewall.model import Rule, Ruleset
from ...firewall.reach import ACCEPT, LOOPBACK, Packet, Reach, all_rules
from ...firewall.scope import DATACENTER, NODE, Scope
from .subjects import Case

_PORTS = {"api_open": (8006, "The API"), "ssh_open": (22, "SSH")}
# Public addresses from all over the world. Rules may speak of some of them; who lets in half, lets in everybody.
_WORLD = (
    tuple(f"{first}.77.77.77" for first in (1, 5, 12, 23, 31, 45, 62, 77, 85, 93, 104, 128, 151, 176, 195, 212)),
    tuple(f"2{part:x}:77::77" for part in range(0x400, 0xE00, 0xA0)),
)
_POLICY, _OFF = "policy_in", "firewall off"


def judge(case: Case) -> None:
    """Find the ports that everybody reaches, of nodes whose firewall is on.

    What lets everybody in by being off, or by letting in the rest, is found as that.
    """
    wanted = [rule for rule in _PORTS if case.judgement.wants(rule)]
    places = case.observed.places
    cluster = places.get(DATACENTER)
    if not wanted or cluster is None or not cluster.on:
        return
    doors = {
        scope: _Door(cluster.rules, place.rules)
        for scope, place in sorted(places.items())
        if scope.kind == NODE and place.on
    }
    for rule in wanted:
        port, what = _PORTS[rule]
        open_by = {scope: by for scope, door in doors.items() for by in [door.open_by(port)] if by}
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


def _by_subject(open_by: dict[Scope, str]) -> Iterator[tuple[str, str]]:
    """Yield what to find: the cluster once where its own rules open all these nodes, else each node."""
    if open_by and not any("node rule" in by for by in open_by.values()):
        yield str(DATACENTER), next(iter(open_by.values()))
        return
    for scope, by in open_by.items():
        yield str(scope), by


class _Door:
    """The firewall of one node, as strangers meet it."""

    def __init__(self, cluster: Ruleset, node: Ruleset) -> None:
        nftables = str(node.options.get("nftables", 0)) != "0"
        self._reach = Reach(cluster, node, None, nftables=nftables)
        rules = [rule for ruleset in (cluster, node) for rule in all_rules(ruleset) if rule.enable]
        # Nobody says through which bridge strangers come, nor which addresses of the node they know.
        self._ifaces = (None, *sorted({rule.iface for rule in rules if rule.iface and rule.iface != LOOPBACK}))
        self._dests = {version: (None, *sorted(set(_dests(rules, cluster, version)))) for version in (4, 6)}

    def open_by(self, port: int) -> str:
        """Return what lets everybody in to a port, empty where nothing does."""
        for version, world in zip((4, 6), _WORLD):
            for iface in self._ifaces:
                for dest in self._dests[version]:
                    verdicts = [self._reach.verdict(Packet(one, port, dest=dest, iface=iface)) for one in world]
                    letting_in = [verdict.by for verdict in verdicts if verdict.action == ACCEPT]
                    if len(letting_in) * 2 >= len(world):
                        return letting_in[0]
        return ""


def _dests(rules: list[Rule], cluster: Ruleset, version: int) -> Iterator[str]:
    """Yield an address out of each that rules name as destination."""
    for rule in rules:
        alias = cluster.aliases.get((rule.dest or "").rpartition("/")[2].lower())
        text = alias.cidr if alias else rule.dest or ""
        try:
            family, found = literals(text)
        except ValueError:
            continue  # an IP set, or nothing that PVE would compile
        if family == version:
            yield address_text(version, found.starts[0])
