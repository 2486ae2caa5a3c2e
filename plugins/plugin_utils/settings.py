"""The options of the inventory, read and checked before anybody is asked."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Callable

from ..module_utils.client.errors import OptionError
from ..module_utils.facts.addresses import IpNetwork
from ..module_utils.facts.census import Order
from ..module_utils.facts.config import Shown
from ..module_utils.facts.groups import KINDS
from ..module_utils.facts.hostvars import GATHERED, PREFIX
from .conditions import Rule, read

GUESTS, NODES = "guests", "nodes"
_NEEDS_CONFIG = "ostype"
_CONFIG = "guest_config"


@dataclass(frozen=True)
class Settings:
    """What the inventory is to hold. ``later`` are the variables that take a question for each guest."""

    include: tuple[str, ...]
    order: Order
    rules: tuple[Rule, ...]
    group_by: tuple[str, ...]
    group_prefix: str
    networks: tuple[IpNetwork, ...]
    later: frozenset[str]

    @classmethod
    def read(cls, option: Callable[[str], Any]) -> Settings:
        """Read them with Ansible's ``get_option``. Raises OptionError."""
        include = _of(option("include"), (GUESTS, NODES), "include")
        gather = _of(option("gather"), GATHERED, "gather")
        group_by = _of(option("group_by"), KINDS, "group_by")
        if _NEEDS_CONFIG in group_by and _CONFIG not in gather:
            raise OptionError("group_by: ostype stands in the configuration of guests.", f"Set gather: [{_CONFIG}].")
        concurrency = option("concurrency")
        if concurrency < 1:
            raise OptionError(f"concurrency is {concurrency}: it has to be at least 1.")
        shown = Shown(descriptions=option("descriptions"), ssh_keys=option("ssh_keys"))
        rules = read(option("filters") or [])
        _check_gathered(rules, gather)
        return cls(
            include=include,
            order=Order(NODES in include, gather, shown, concurrency),
            rules=rules,
            group_by=group_by,
            group_prefix=option("group_prefix") or "",
            networks=tuple(_network(text) for text in option("prefer_networks") or ()),
            later=frozenset(variables_of(gather)) | ({f"{PREFIX}address"} if gather else set()),
        )


def refuse_unknown(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise OptionError for an option that does not exist: Ansible itself would pass over it."""
    options = set(known)
    for name in given:
        if name not in options:
            close = difflib.get_close_matches(str(name), sorted(options), 1)
            raise OptionError(f"There is no option {name}.", f"Did you mean {close[0]}?" if close else "")


def variables_of(gather: Iterable[str]) -> list[str]:
    """Return the host variables that some subsets of facts bring."""
    return [PREFIX + name for subset in gather for name in GATHERED[subset]]


def _of(given: Any, known: Iterable[str], label: str) -> tuple[str, ...]:
    for value in given or ():
        if value not in list(known):
            raise OptionError(f"{label}: there is no {value}.", f"There are {', '.join(known)}.")
    return tuple(given or ())


def _check_gathered(rules: Iterable[Rule], gather: Iterable[str]) -> None:
    taking: Mapping[str, str] = {PREFIX + name: subset for subset, names in GATHERED.items() for name in names}
    for rule in rules:
        for name in rule.names:
            if taking.get(name) is not None and taking[name] not in tuple(gather):
                raise OptionError(f"{rule.label}: {name} is not there.", f"Set gather: [{taking[name]}].")


def _network(text: Any) -> IpNetwork:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise OptionError(f"prefer_networks: {error}.", "A network reads 192.168.40.0/24, without host bits.") from None
