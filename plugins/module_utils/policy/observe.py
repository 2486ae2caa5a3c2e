"""What an audit looks at: all of access, and of the rest what its rules take, with a note of what cannot be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, TypeVar

from ..access.document import Document as AccessDocument
from ..access.model import AccessState, is_token
from ..access.observe import ALL_MEMBERS, held_below, observe, pool_from, pool_question, pools_matter
from ..access.observe import View as AccessView
from ..access.permissions import Evaluator
from ..client.errors import ApiError, TransportError
from ..facts.ask import Ask
from ..firewall.exposure import Exposure, exposures
from ..firewall.model import Ruleset
from ..firewall.observe import View as FirewallView
from ..firewall.scope import DATACENTER, GROUP, GUEST, NODE, VNET, WITH_OBJECTS, Scope, base_path, rules_path
from ..firewall.wanted import PlaceSpec
from . import catalogue
from .document import Policy
from .findings import Gap
from .sources import FACTORS, RESOURCES, STORAGES, USERS, NotInSnapshot, Source

# Since when tokens may read the list of second factors.
_FACTORS_FOR_TOKENS = (8, 0)
# The API with its web interface, and SSH: who reaches them, is judged and told.
PORTS = (8006, 22)
T = TypeVar("T")
Rows = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Place:
    """What one place of the firewall holds, in full."""

    scope: Scope
    rules: Ruleset

    @property
    def on(self) -> bool:
        """Whether the firewall is switched on there. A node's is unless somebody switches it off."""
        default = 1 if self.scope.kind == NODE else 0
        return str(self.rules.options.get("enable", default)) != "0"


@dataclass(frozen=True)
class Observed:
    """A cluster as an audit sees it.

    ``rows`` are the cluster's resources. ``factors`` has the second factors by userid, ``realms`` the rows of the
    realms by name, ``certificates`` those of each node, ``places`` the firewall by place, ``interfaces`` the network
    devices of guests by number and name, ``storages`` the names of all storages where the resources do not tell; what
    was not read, because no rule takes it or because it could not be, is None or not there. ``gaps`` says what could
    not be read.
    """

    access: AccessView
    firewall: FirewallView
    now: float
    rows: Rows = ()
    realms: Mapping[str, Mapping[str, Any]] | None = None
    factors: Mapping[str, Mapping[str, Any]] | None = None
    certificates: Mapping[str, Rows] = field(default_factory=dict)
    places: Mapping[Scope, Place] = field(default_factory=dict)
    interfaces: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    storages: frozenset[str] | None = None
    gaps: tuple[Gap, ...] = ()
    # The rows of the list of users, for what is not part of a user's state (legacy second factors, locks).
    users: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def state(self) -> AccessState:
        return self.access.state

    @cached_property
    def evaluator(self) -> Evaluator:
        return Evaluator(self.state)

    def names(self, kind: str) -> frozenset[str]:
        """Return the names of all resources of a kind: node, storage, pool."""
        return frozenset(str(row[kind]) for row in self.rows if row.get("type") == kind)

    @cached_property
    def guests(self) -> Mapping[int, Mapping[str, Any]]:
        """The guests that the caller sees, by number."""
        return {int(row["vmid"]): row for row in self.rows if "vmid" in row}

    @cached_property
    def exposed(self) -> Mapping[str, tuple[Exposure, ...]]:
        """Who reaches the ``PORTS`` of each node whose firewall was read."""
        cluster = self.places.get(DATACENTER)
        nodes = {scope.id: place.rules for scope, place in sorted(self.places.items()) if scope.kind == NODE}
        return exposures(cluster.rules, nodes, PORTS) if cluster else {}

    def sees_all(self, path: str, *any_of: str) -> bool:
        """Tell whether the caller holds one of some privileges on all below a path."""
        return held_below(self.access.rights, path, *any_of, acl_paths=self.state.acl_paths)


def look(source: Source, policy: Policy, now: float, *, guests: bool = False) -> Observed:
    """Read what the policy and its rules take; with ``guests``, the firewall of every guest too.

    Raises PveError where PVE does not answer at all, or not to this caller. What is merely hidden becomes a gap.
    """
    parts = catalogue.needed(policy.hygiene.levels)
    if guests:
        parts |= {catalogue.GUESTS}
    observed = _Look(source, now).run(policy.access or AccessDocument(), parts)
    if policy.firewall is not None:
        source.prefetch([ask for spec in policy.firewall.places for ask in _declared(observed, spec)])
    return observed


def survey(source: Source, now: float, *, guests: bool = True) -> Observed:
    """Read everything that an audit of whatever policy can take."""
    parts = catalogue.PARTS if guests else catalogue.PARTS - {catalogue.GUESTS, catalogue.INTERFACES}
    return _Look(source, now, everything=True).run(AccessDocument(), parts)


# The lists of access that PVE shortens without a word, and what it takes to see all of them.
_LISTS = {
    "users": ("users and tokens", "Sys.Audit or User.Modify on /access/groups"),
    "groups": ("groups", "Sys.Audit on /access/groups, propagated"),
    "acl": ("ACL entries", "Sys.Audit on /access"),
    "pools": ("pools and their members", "Pool.Audit on /pool, propagated"),
}


def unseen(caller: str, kind: str) -> Gap:
    """Return the gap that is left where a list of access (users, groups, acl, pools) may not be whole."""
    named, needed = _LISTS[kind]
    reason = f"{caller} may not see all of them, and PVE does not say which are left out."
    return Gap(named, reason, f"Give it {needed}.")


def unread_datacenter(caller: str) -> Gap:
    """Return the gap that is left where the datacenter's firewall may not be read."""
    return Gap("the datacenter's firewall", f"{caller} may not read it.", "Give it Sys.Audit on /.")


def node_down(what: str, node: Any) -> Gap:
    """Return the gap that is left where a node does not answer."""
    return Gap(f"{what} of {node}", "The node is offline.", "Audit again when it is back.")


def guest_down(vmid: Any, node: Any) -> Gap:
    """Return the gap that is left where the node of a guest does not answer for its firewall."""
    return Gap(f"firewall of guest {vmid}", f"Its node {node} is offline.", "Audit again when it is back.")


class _Look:
    def __init__(self, source: Source, now: float, *, everything: bool = False) -> None:
        self.source = source
        self.now = now
        # Read also what nothing depends on as things stand: a firewall's rules while it is switched off, say.
        self.everything = everything
        self.gaps: list[Gap] = []

    def run(self, wanted: AccessDocument, parts: frozenset[str]) -> Observed:
        access = observe(self.source, wanted, self.now, guests_too=True)
        rows = tuple(self.source.get(RESOURCES))
        self._judge_access(access)
        if self.everything:
            access = self._all_pools(access)
        firewall = FirewallView(self.source)
        observed = Observed(access, firewall, self.now, rows)
        realms = self._tried("realms", "/access/domains") if catalogue.REALMS in parts else None
        factors = self._factors(access) if catalogue.FACTORS in parts else None
        return replace(
            observed,
            realms=None if realms is None else {str(row["realm"]): row for row in realms},
            factors=factors,
            certificates=self._certificates(observed) if catalogue.CERTIFICATES in parts else {},
            places=self._places(observed, parts),
            interfaces=self._interfaces(observed) if catalogue.INTERFACES in parts else {},
            storages=self._storages(observed),
            gaps=tuple(self.gaps),
            users={str(row["userid"]): row for row in self.source.get(USERS, {"full": 1})},
        )

    # -- access --------------------------------------------------------------------------------------------------------

    def _judge_access(self, access: AccessView) -> None:
        """Write down which lists may have left something out."""
        for kind in _LISTS:
            if kind not in access.complete and (kind != "pools" or pools_matter(access.state)):
                self.gaps.append(unseen(access.caller, kind))

    def _all_pools(self, access: AccessView) -> AccessView:
        """Read what is noted about each pool, and all of its members."""
        rows = self._tried("pools", "/pools")
        if rows is None:
            return access
        names = [str(row["poolid"]) for row in rows]
        asked = {name: pool_question(name, access.release) for name in names}
        self.source.prefetch([Ask("audit", path, tuple(params.items())) for path, params in asked.values()])
        state, complete = access.state, access.complete
        found = {name: self._try(f"pool {name}", partial(self.source.get, *ask)) for name, ask in asked.items()}
        for name, answer in found.items():
            if answer is not None:
                state = state.put("pools", name, pool_from(name, answer))
        if "pools" in complete and None not in found.values():
            complete |= {ALL_MEMBERS}
        return replace(access, state=state, complete=complete)

    def _storages(self, observed: Observed) -> frozenset[str] | None:
        """Read the list of storages where an ACL entry is on one that is not among the resources.

        These leave out what is switched off.
        """
        prefix = "/storage/"
        named = {path[len(prefix) :] for path in observed.state.acl_paths if path.startswith(prefix)}
        if not (self.everything or named - observed.names("storage")):
            return None
        if not observed.sees_all("/storage", "Datastore.Audit", "Datastore.AllocateSpace"):
            if named - observed.names("storage"):
                self._gap(
                    "storages",
                    f"{observed.access.caller} may not see all of them.",
                    "Datastore.Audit on /storage, propagated",
                )
            return None
        rows = self._tried("storages", STORAGES)
        return None if rows is None else frozenset(str(row["storage"]) for row in rows)

    def _factors(self, access: AccessView) -> Mapping[str, Mapping[str, Any]] | None:
        if access.release < _FACTORS_FOR_TOKENS and is_token(access.caller):
            fix = "Set no_second_factor and legacy_factors to ignore under pve_hygiene, or log in with a password."
            self.gaps.append(Gap("second factors", "Before 8.0, PVE shows the list of them to no API token.", fix))
            return None
        rows = self._tried("second factors", FACTORS)
        # The list is filtered as that of the users is, which is judged already.
        return None if rows is None else {str(row["userid"]): row for row in rows}

    # -- nodes ---------------------------------------------------------------------------------------------------------

    def _certificates(self, observed: Observed) -> Mapping[str, Rows]:
        found = {}
        for node in self._nodes(observed, "certificates"):
            rows = self._tried(f"certificates of {node}", f"/nodes/{node}/certificates/info")
            if rows is not None:
                found[node] = tuple(rows)
        return found

    def _nodes(self, observed: Observed, what: str) -> list[str]:
        """Return the nodes that answer; the others are a gap."""
        rows = sorted((row for row in observed.rows if row.get("type") == "node"), key=lambda row: str(row["node"]))
        for row in rows:
            if row.get("status") == "offline":
                self.gaps.append(node_down(what, row["node"]))
        return [str(row["node"]) for row in rows if row.get("status") != "offline"]

    # -- firewall ------------------------------------------------------------------------------------------------------

    def _places(self, observed: Observed, parts: frozenset[str]) -> Mapping[Scope, Place]:
        places: dict[Scope, Place] = {}
        if not parts & {catalogue.FIREWALL, catalogue.GUESTS}:
            return places
        view, rights = observed.firewall, observed.access.rights
        if "Sys.Audit" not in rights.get("/", {}):
            self.gaps.append(unread_datacenter(observed.access.caller))
            if not self.everything:
                return places
        cluster = self._place(view, DATACENTER)
        if cluster is not None:
            places[DATACENTER] = cluster
        if not (self.everything or (cluster is not None and cluster.on)):
            return places
        scopes: list[Scope] = []
        if catalogue.NODES in parts:
            scopes += [Scope(NODE, node) for node in self._nodes(observed, "firewall")]
        if catalogue.GUESTS in parts:
            scopes += self._guests(observed)
        if catalogue.VNETS in parts:
            scopes += self._vnets(observed)
        self.source.prefetch([ask for scope in scopes for ask in _asks(view, scope)])
        if self.everything and cluster is None:
            # What a guest's rules may name of the datacenter is told for each guest, too.
            for scope in scopes:
                if scope.kind == GUEST:
                    self._tried(f"names that {scope} may use", f"{view.base(scope)}/refs")
        for scope in scopes:
            place = self._place(view, scope)
            if place is not None:
                places[scope] = place
        return places

    def _guests(self, observed: Observed) -> list[Scope]:
        if not observed.sees_all("/vms", "VM.Audit"):
            self._gap(
                "guests' firewalls", f"{observed.access.caller} may not see all guests.", "VM.Audit on /vms, propagated"
            )
        down = set(observed.access.nodes_down)
        scopes = []
        for vmid, row in sorted(observed.guests.items()):
            if row["node"] in down:
                self.gaps.append(guest_down(vmid, row["node"]))
            else:
                scopes.append(Scope(GUEST, str(vmid)))
        return scopes

    def _vnets(self, observed: Observed) -> list[Scope]:
        if observed.access.release < (8, 3):
            return []
        rows = self._tried("vnets", "/cluster/sdn/vnets")
        return [Scope(VNET, str(row["vnet"])) for row in rows or ()]

    def _interfaces(self, observed: Observed) -> Mapping[int, Mapping[str, str]]:
        """Read the network devices of all guests that answer."""
        down = set(observed.access.nodes_down)
        paths = {
            vmid: f"/nodes/{row['node']}/{row['type']}/{vmid}/config"
            for vmid, row in sorted(observed.guests.items())
            if row["node"] not in down
        }
        self.source.prefetch([Ask("audit", path, (), observed.guests[vmid]["node"]) for vmid, path in paths.items()])
        found = {}
        for vmid, path in paths.items():
            config = self._tried(f"network devices of guest {vmid}", path)
            if config is not None:
                # The source keeps nothing else of it.
                found[vmid] = {name: str(value) for name, value in sorted(config.items())}
        return found

    def _place(self, view: FirewallView, scope: Scope) -> Place | None:
        """Read one place in full; of a datacenter whose firewall is off, only the options unless all is wanted."""
        name = "the datacenter" if scope == DATACENTER else str(scope)
        options = self._try(f"firewall options of {name}", lambda: view.options(scope))
        if options is None:
            if self.everything:
                self._hidden(view, scope)
            return None
        place = Place(scope, Ruleset(options))
        if scope == DATACENTER and not (place.on or self.everything):
            return place
        ruleset = self._try(f"firewall of {name}", lambda: read_ruleset(self.source, view, scope))
        return None if ruleset is None else Place(scope, ruleset)

    def _hidden(self, view: FirewallView, scope: Scope) -> None:
        """Ask what an audit asks where it may not read a place: that this is refused, too, is an answer."""
        asks = [*_asks(view, scope), *([Ask("audit", "/cluster/firewall/groups")] if scope == DATACENTER else [])]
        for ask in asks:
            self._tried(f"firewall of {scope}", ask.path)

    # -- asking --------------------------------------------------------------------------------------------------------

    def _tried(self, what: str, path: str) -> Any:
        return self._try(what, lambda: self.source.get(path))

    def _try(self, what: str, ask: Callable[[], T]) -> T | None:
        """Return an answer; where PVE refuses it or a snapshot does not have it, None, and that is a gap."""
        try:
            return ask()
        except TransportError:
            raise
        except (ApiError, NotInSnapshot) as error:
            self.gaps.append(Gap(what, error.message, error.hint))
            return None

    def _gap(self, what: str, reason: str, needed: str) -> None:
        self.gaps.append(Gap(what, reason, f"Give it {needed}."))


def read_ruleset(source: Source, view: FirewallView, scope: Scope) -> Ruleset:
    """Read all that a place holds: options, rules, aliases, IP sets with entries, security groups with rules."""
    aliases, sets, groups = {}, {}, {}
    if scope.kind in WITH_OBJECTS:
        base = view.base(scope)
        aliases = view.aliases(scope)
        sets = view.sets(scope)
        source.prefetch([Ask("audit", f"{base}/ipset/{name}") for name in sets])
        sets = {name: replace(found, entries=view.entries(scope, name)) for name, found in sets.items()}
    if scope == DATACENTER:
        groups = view.groups()
        source.prefetch([Ask("audit", base_path(Scope(GROUP, name))) for name in groups])
        groups = {name: replace(group, rules=view.rules(Scope(GROUP, name))) for name, group in groups.items()}
    return Ruleset(view.options(scope), view.rules(scope), aliases, sets, groups)


def _declared(observed: Observed, spec: PlaceSpec) -> Iterable[Ask]:
    """Return what will be asked about the firewall of a node or guest because a policy speaks of it."""
    scope, view = spec.scope, observed.firewall
    if scope.kind == GUEST:
        row = observed.guests.get(int(scope.id))
        if row is None or row["node"] in observed.access.nodes_down:
            return
    elif scope.kind != NODE or scope.id in observed.access.nodes_down or scope.id not in observed.names("node"):
        return
    parts = {"options": spec.options.given, "rules": spec.rules, "aliases": spec.aliases, "ipset": spec.ipsets}
    for ask in _asks(view, scope):
        part = ask.path.rpartition("/")[2]
        if parts[part] or ("ipsets" if part == "ipset" else part) in spec.exclusive:
            yield ask


def _asks(view: FirewallView, scope: Scope) -> Iterable[Ask]:
    """Return the first questions about a place."""
    base = view.base(scope)
    node = scope.id if scope.kind == NODE else None
    parts = ("aliases", "ipset") if scope.kind in WITH_OBJECTS else ()
    yield Ask("audit", f"{base}/options", (), node)
    yield Ask("audit", rules_path(scope, base), (), node)
    for part in parts:
        yield Ask("audit", f"{base}/{part}")
