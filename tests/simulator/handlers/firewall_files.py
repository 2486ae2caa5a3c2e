"""Access to the firewall's files for its methods, which are the same in many places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import Failure
from ..firewall.config import Config, Place, Row, Scopes, digest_of
from ..firewall.store import Firewall
from . import Call, route

BASES = {
    "cluster": "/cluster/firewall",
    "host": "/nodes/{node}/firewall",
    "vm": "/nodes/{node}/qemu/{vmid}/firewall",
    "ct": "/nodes/{node}/lxc/{vmid}/firewall",
    "vnet": "/cluster/sdn/vnets/{vnet}/firewall",
}
EVERYWHERE = tuple(BASES)
WITH_OBJECTS = ("cluster", "vm", "ct")
_MODIFIED = "detected modified configuration - file changed by other user? Try again."
_NO_VNET = "invalid vnet specified at /usr/share/perl5/PVE/API2/Firewall/Vnet.pm line 1."


@dataclass
class File:
    """A firewall file, opened for one call."""

    call: Call
    place: Place
    config: Config

    @property
    def firewall(self) -> Firewall:
        return self.call.state.firewall

    @property
    def scopes(self) -> Scopes:
        return self.firewall.scopes(self.place, self.config)

    def save(self) -> None:
        self.firewall.save(self.place, self.config)

    def check_digest(self, rows: list[Row]) -> None:
        """Raise Failure when the caller names another version than that of the rows. "0" and nothing name none."""
        given = self.call.get("digest")
        if given not in (None, "", "0") and given != digest_of(rows):
            raise Failure(_MODIFIED)


Method = Callable[[File], Any]


def on(method: str, path: str, *places: str) -> Callable[[Method], Method]:
    """Register a method that works on the file of each of several places; ``path`` is relative to theirs."""

    def register(function: Method) -> Method:
        for env in places:
            route(method, BASES[env] + path)(_opening(function, env, method))
        return function

    return register


def _opening(function: Method, env: str, method: str) -> Callable[[Call], Any]:
    def handler(call: Call) -> Any:
        place = _place(call, env, method)
        return function(File(call, place, call.state.firewall.config(place)))

    return handler


def _place(call: Call, env: str, method: str) -> Place:
    if env == "cluster":
        return Place(env)
    if env == "host":
        return Place(env, call.state.node if call["node"] == "localhost" else call["node"])
    if env == "vnet":
        return Place(env, _vnet(call, method))
    return Place(env, str(int(call["vmid"])))  # whether there is such a guest does not matter


def _vnet(call: Call, method: str) -> str:
    """Return the vnet of a call. These methods check rights themselves, because a vnet's path holds its zone."""
    vnet = call["vnet"]
    zone = call.state.vnets.get(vnet)
    if zone is None:
        raise Failure(_NO_VNET)
    wanted = ["SDN.Audit", "SDN.Allocate"] if method == "GET" else ["SDN.Allocate"]
    if call.caller != "root@pam":
        call.rights.require_any(call.caller, f"/sdn/zones/{zone}/{vnet}", wanted)
    return vnet
