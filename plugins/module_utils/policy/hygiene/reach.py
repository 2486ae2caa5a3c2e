"""Whether everybody reaches the nodes, on the ports of the API and of SSH."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sized

from ...firewall.addresses import address, address_text
from ...firewall.matching import Faulty, Line, Objects, Uncompilable, lines
from ...firewall.model import Rule, Ruleset
from ...firewall.names import PROTOCOLS
from ...firewall.reach import ACCEPT, LOOPBACK, Packet, Reach, has_port
from ...firewall.scope import DATACENTER, GROUP, NODE, Scope
from .subjects import Case

_PORTS = {"api_open": (8006, "The API"), "ssh_open": (22, "SSH")}
# Public addresses from all over the world. Rules may speak of some of them; who lets in half, lets in everybody.
_WORLD: Mapping[int, tuple[str, ...]] = {
    4: tuple(f"{first}.77.77.77" for first in (1, 5, 12, 23, 31, 45, 62, 77, 85, 93, 104, 128, 151, 176, 195, 212)),
    6: tuple(f"2{part:x}:77::77" for part in range(0x400, 0xE00, 0xA0)),
}
# Through an interface, and to an address of the node, that no rule names.
_ANY_WAY = (None, None)
_TCP = PROTOCOLS["tcp"]
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
        self._cluster, self._node = cluster, node
        self._nftables = str(node.options.get(_NFTABLES, 0)) != "0"
        self._reach = Reach(cluster, node, None, nftables=self._nftables)
        self._open: dict[int, str] = {}

    def open_by(self, port: int) -> str:
        """Return what lets everybody in to a port, empty where nothing does."""
        if port not in self._open:
            self._open[port] = next(self._opened(port), "")
        return self._open[port]

    def _opened(self, port: int) -> Iterator[str]:
        for version, world in _WORLD.items():
            # Nobody says through which bridge strangers come, nor which addresses of the node they know: any that some
            # rule lets in by will do.
            for iface, dest in (_ANY_WAY, *dict.fromkeys(self._ways(version, port))):
                verdicts = [self._reach.verdict(Packet(one, port, dest=dest, iface=iface)) for one in world]
                letting_in = [verdict.by for verdict in verdicts if verdict.action == ACCEPT]
                if _everybody(len(letting_in), world):
                    yield letting_in[0]

    def _ways(self, version: int, port: int) -> Iterator[tuple[str | None, str | None]]:
        """Yield interface and destination of each line by which everybody may get in to a port."""
        objects = Objects(self._cluster, None, version, self._nftables)
        strangers = [address(one)[1] for one in _WORLD[version]]
        for rule in (*self._node.rules, *self._cluster.rules):
            if not rule.enable or rule.iface == LOOPBACK:
                continue
            called = self._cluster.groups.get(rule.action) if rule.type == GROUP else None
            for one in (called.rules or ()) if called else (rule,):
                if not (one.enable and one.type == "in" and one.action == ACCEPT):
                    continue
                for line in _lines(one, objects, called is not None):
                    if (
                        line.protocol in (None, _TCP)
                        and (line.dports is None or has_port(line.dports, port))
                        and (line.source is None or _everybody(sum(n in line.source for n in strangers), strangers))
                        and (line.dest is None or line.dest.starts)
                    ):
                        dest = None if line.dest is None else address_text(version, line.dest.starts[0])
                        yield rule.iface or None, dest


def _lines(rule: Rule, objects: Objects, in_group: bool) -> list[Line]:
    try:
        return list(lines(rule, "", objects, in_group))
    except (Faulty, Uncompilable):
        return []


def _everybody(count: int, world: Sized) -> bool:
    return count * 2 >= len(world)
