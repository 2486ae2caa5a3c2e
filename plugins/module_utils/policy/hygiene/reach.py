"""Whether everybody reaches the nodes, on the ports of the API and of SSH."""

from __future__ import annotations

from collections.abc import Iterator

from ...firewall.addresses import address_text, literals
from ...firewall.model import Ruleset
from ...firewall.reach import ACCEPT, LOOPBACK, Packet, Reach
from ...firewall.scope import DATACENTER, GROUP, NODE, Scope
from .subjects import Case

_PORTS = {"api_open": (8006, "The API"), "ssh_open": (22, "SSH")}
# Public addresses from all over the world. Rules may speak of some of them; who lets in half, lets in everybody.
_WORLD = (
    tuple(f"{first}.77.77.77" for first in (1, 5, 12, 23, 31, 45, 62, 77, 85, 93, 104, 128, 151, 176, 195, 212)),
    tuple(f"2{part:x}:77::77" for part in range(0x400, 0xE00, 0xA0)),
)
_POLICY, _NFTABLES = "policy_in", "nftables"


def judge(case: Case) -> None:
    """Find the ports that everybody reaches, of nodes whose firewall is on.

    What lets everybody in by being off, or by letting in the rest, is found as that.
    """
    wanted = [rule for rule in _PORTS if case.judgement.wants(rule)]
    places = case.observed.places
    cluster = places.get(DATACENTER)
    if not wanted or cluster is None or not cluster.on:
        return
    doors: dict[Scope, _Door] = {}
    alike: dict[object, _Door] = {}
    for scope, place in sorted(places.items()):
        if scope.kind == NODE and place.on:
            # Most nodes have no rules of their own.
            key = (place.rules.rules, place.rules.options.get(_NFTABLES))
            doors[scope] = alike.get(key) or alike.setdefault(key, _Door(cluster.rules, place.rules))
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
        nftables = str(node.options.get(_NFTABLES, 0)) != "0"
        self._reach = Reach(cluster, node, None, nftables=nftables)
        # Nobody says through which bridge strangers come, nor which addresses of the node they know: any that some rule
        # lets in by will do.
        self._ways = (None, *dict.fromkeys(_ways(cluster, node)))
        self._open: dict[int, str] = {}

    def open_by(self, port: int) -> str:
        """Return what lets everybody in to a port, empty where nothing does."""
        if port not in self._open:
            self._open[port] = next(self._opened(port), "")
        return self._open[port]

    def _opened(self, port: int) -> Iterator[str]:
        for version, world in zip((4, 6), _WORLD):
            for way in self._ways:
                iface, dests = way or (None, None)
                dest = _address(dests, version)
                if dests is not None and dest is None:
                    continue  # of the other family
                verdicts = [self._reach.verdict(Packet(one, port, dest=dest, iface=iface)) for one in world]
                letting_in = [verdict.by for verdict in verdicts if verdict.action == ACCEPT]
                if len(letting_in) * 2 >= len(world):
                    yield letting_in[0]


def _ways(cluster: Ruleset, node: Ruleset) -> Iterator[tuple[str | None, str | None]]:
    """Yield interface and destination of all rules that may let somebody in, as they are written."""
    for rule in (*node.rules, *cluster.rules):
        if not rule.enable or rule.iface == LOOPBACK:
            continue
        called = cluster.groups.get(rule.action) if rule.type == GROUP else None
        rules = (called.rules or ()) if called else (rule,)
        for one in rules:
            if one.enable and one.type == "in" and one.action == ACCEPT:
                yield rule.iface or None, _meant(one.dest, cluster)


def _meant(dest: str | None, cluster: Ruleset) -> str | None:
    """Return the addresses of a destination as text; None for any, and for the names of IP sets."""
    alias = cluster.aliases.get((dest or "").rpartition("/")[2].lower())
    return alias.cidr if alias else None if not dest or dest.startswith("+") else dest


def _address(dest: str | None, version: int) -> str | None:
    """Return an address out of a destination, None where it has none of this family."""
    try:
        family, found = literals(dest or "")
    except ValueError:
        return None  # nothing that PVE would compile
    return address_text(version, found.starts[0]) if family == version else None
