"""What PVE is asked about the firewall: each list at most once, and none that nobody needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from ..client.errors import ApiError, OptionError
from .model import Alias, Entry, Group, IpSet, Rule
from .scope import DATACENTER, GUEST, NODE, Guest, Scope, base_path, rules_path

Rows = list[dict[str, Any]]
T = TypeVar("T")


class Source(Protocol):
    """What observing needs of a client: reading, the release, and its own address."""

    @property
    def release(self) -> tuple[int, int]: ...

    @property
    def local_address(self) -> str: ...

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any: ...


class View:
    """What was read, by path. While it is open, it reads what it is asked for; nothing is read twice."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._answers: dict[str, Any] = {}
        self._guests: dict[int, Guest] | None = None
        # Paths that could not be read, mostly for want of rights, with PVE's words.
        self.denied: dict[str, str] = {}
        # Once everything was read, all else is left to what is here.
        self.closed = False
        self._worked_out: dict[object, Any] = {}

    def once(self, what: object, work: Callable[[], T]) -> T:
        """Return what ``work`` makes of this view; it is done once."""
        if what not in self._worked_out:
            self._worked_out[what] = work()
        found: T = self._worked_out[what]
        return found

    @property
    def release(self) -> tuple[int, int]:
        return self._source.release

    @property
    def local_address(self) -> str:
        return self._source.local_address

    def read(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Return the answer of a GET, asked once."""
        if path not in self._answers:
            if self.closed:
                raise ValueError(f"{path} was not read while there was time")
            self._answers[path] = self._source.get(path, params)
        return self._answers[path]

    def try_to_read(self, path: str) -> Any:
        """Return the answer of a GET, or None where PVE gives none; ``denied`` then has its words."""
        if path in self.denied:
            return None
        try:
            return self.read(path)
        except ApiError as error:
            self.denied[path] = error.text.strip()
            return None

    def rows(self, path: str) -> Rows | None:
        """Return the rows of a list (or the options, as one row) if they were read."""
        answer = self._answers.get(path)
        if answer is None:
            return None
        return [dict(answer)] if isinstance(answer, dict) else [dict(row) for row in answer]

    # -- places --------------------------------------------------------------------------------------------------------

    def check(self, scope: Scope) -> None:
        """Raise OptionError where a place does not exist: PVE would write a stray file for a guest that does not."""
        if scope.kind == GUEST:
            self.guest(int(scope.id))
        elif scope.kind == NODE:
            names = sorted(str(row["node"]) for row in self.read("/nodes"))
            if scope.id not in names:
                raise OptionError(f"There is no node {scope.id}.", f"The nodes are {', '.join(names)}.")

    def guest(self, vmid: int) -> Guest:
        """Return where a guest is. Raises OptionError where the caller sees none of that number."""
        if self._guests is None:
            rows = self.read("/cluster/resources", {"type": "vm"})
            self._guests = {int(row["vmid"]): Guest(int(row["vmid"]), row["type"], row["node"]) for row in rows}
        if vmid not in self._guests:
            raise OptionError(
                f"There is no guest {vmid}, or {self._identity()} may not see it (VM.Audit on /vms/{vmid}).",
                "PVE would take rules for it all the same, and keep them for whoever gets that number.",
            )
        return self._guests[vmid]

    def _identity(self) -> str:
        return str(getattr(self._source, "identity", "the caller"))

    def base(self, scope: Scope) -> str:
        """Return the API path of a place."""
        return base_path(scope, self.guest(int(scope.id)) if scope.kind == GUEST else None)

    # -- lists ---------------------------------------------------------------------------------------------------------

    def rules_path(self, scope: Scope) -> str:
        return rules_path(scope, self.base(scope))

    def rules(self, scope: Scope) -> tuple[Rule, ...]:
        """Return the rules of a place."""
        return tuple(Rule.from_api(row) for row in self.read(self.rules_path(scope)))

    def options(self, scope: Scope) -> dict[str, Any]:
        """Return the options that are set in a place."""
        found = self.read(f"{self.base(scope)}/options")
        return {name: value for name, value in found.items() if name != "digest"}

    def aliases(self, scope: Scope) -> dict[str, Alias]:
        """Return the aliases of the datacenter or a guest by their lower-cased names."""
        rows = self.read(f"{self.base(scope)}/aliases")
        return {str(row["name"]).lower(): Alias.from_api(row) for row in rows}

    def sets(self, scope: Scope) -> dict[str, IpSet]:
        """Return the IP sets of the datacenter or a guest, without their entries."""
        rows = self.read(f"{self.base(scope)}/ipset")
        return {row["name"]: IpSet(row["name"], row.get("comment"), None) for row in rows}

    def entries(self, scope: Scope, name: str) -> tuple[Entry, ...]:
        """Return the entries of one IP set."""
        return tuple(Entry.from_api(row) for row in self.read(f"{self.base(scope)}/ipset/{name}"))

    def groups(self) -> dict[str, Group]:
        """Return the security groups, without their rules."""
        return {
            row["group"]: Group(row["group"], row.get("comment"), None) for row in self.read("/cluster/firewall/groups")
        }

    # -- names that rules may use --------------------------------------------------------------------------------------

    def known_aliases(self, scope: Scope, place: Scope) -> dict[str, Alias | None]:
        """Return the aliases of a place, of which the rules of ``scope`` may name some.

        Whoever may only see a guest learns the datacenter's names from the guest's references, without addresses.
        """
        return self._names(place, scope, "aliases", "alias")

    def known_sets(self, scope: Scope, place: Scope) -> dict[str, Alias | None]:
        """Return the names of the IP sets of a place, of which the rules of ``scope`` may name some."""
        return self._names(place, scope, "ipset", "ipset")

    def _names(self, place: Scope, asking: Scope, listing: str, kind: str) -> dict[str, Alias | None]:
        path = f"{self.base(place)}/{listing}"
        rows = self.read(path) if asking.kind != GUEST or place == asking else self.try_to_read(path)
        if rows is not None:
            return {str(row["name"]).lower(): Alias.from_api(row) if kind == "alias" else None for row in rows}
        refs = self.read(f"{self.base(asking)}/refs")
        return {
            str(row["name"]).lower(): None for row in refs if row["type"] == kind and row.get("scope", "dc") == "dc"
        }


def known_places(scope: Scope, prefix: str | None) -> tuple[Scope, ...]:
    """Return the places where a name in the rules of a place can be, the nearest first."""
    if scope.kind != GUEST or prefix == "dc":
        return () if prefix == "guest" else (DATACENTER,)
    return (scope,) if prefix == "guest" else (scope, DATACENTER)
