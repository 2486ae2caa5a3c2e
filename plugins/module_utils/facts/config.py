"""A guest's configuration: typed, taken apart where PVE writes several values into one, without what is secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from .fields import Row, flag, integer, text, words
from .model import Guest

# What auditors can read and should not spread: a container's environment is where images expect passwords.
SECRET = ("cipassword", "env")
# Raw settings of a container, and options of the process that runs a machine, can say anything; so they stay hidden
# where they speak of such things.
_TELLING = re.compile(r"environment|secret|passw|token", re.IGNORECASE)
_RAW, _ARGUMENTS = "lxc", "args"
# Only on request: keys name people and machines, descriptions hold whatever somebody wrote there.
SSH_KEYS, DESCRIPTION = "sshkeys", "description"

_INTEGERS = frozenset(
    ["balloon", "cores", "cpuunits", "memory", "migrate_speed", "shares", "sockets", "swap", "tty", "vcpus"],
)
_FLAGS = frozenset(
    [
        "acpi",
        "autostart",
        "ciupgrade",
        "console",
        "debug",
        "freeze",
        "kvm",
        "localtime",
        "numa",
        "onboot",
        "protection",
        "reboot",
        "tablet",
        "tdf",
        "template",
        "unprivileged",
    ],
)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_CARD = re.compile(r"net\d+")
_DISK = re.compile(r"(?:(?:scsi|virtio|ide|sata|efidisk|tpmstate|mp|unused)\d+|rootfs)")
_MAC = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}")
_NUMBER = re.compile(r"\d+")
_TRUE = ("1", "on", "yes", "true")


@dataclass(frozen=True)
class Shown:
    """What is shown only on request."""

    descriptions: bool = False
    ssh_keys: bool = False

    def hides(self, name: str, value: Any = None) -> bool:
        """Tell whether a setting stays hidden."""
        return (
            name in SECRET
            or (name in (_RAW, _ARGUMENTS) and bool(_TELLING.search(str(value))))
            or (name == DESCRIPTION and not self.descriptions)
            or (name == SSH_KEYS and not self.ssh_keys)
        )


@dataclass(frozen=True)
class Config:
    """The configuration of a guest. ``settings`` are as PVE answered them; ``as_data`` is what may be shown."""

    guest: Guest
    settings: Row

    @property
    def has_agent(self) -> bool:
        """Whether the guest agent is switched on, which says nothing about whether it runs."""
        return parts(str(self.settings.get("agent") or ""), "enabled").get("enabled") in _TRUE

    @property
    def ostype(self) -> str | None:
        """PVE's name for the kind of system: l26, win11, debian, ..."""
        found = self.settings.get("ostype")
        return None if found is None else str(found)

    @property
    def networks(self) -> list[dict[str, Any]]:
        """The network cards in the order of their numbers, with the addresses that PVE or cloud-init gives them."""
        cards = sorted((name for name in self.settings if _CARD.fullmatch(name)), key=_by_number)
        return [self._card(name) for name in cards]

    def _card(self, name: str) -> dict[str, Any]:
        card = parts(str(self.settings[name]), "model")
        model = next((key for key, value in card.items() if _MAC.fullmatch(value) and key.islower()), None)
        named = model in ("hwaddr", "macaddr")
        given = parts(str(self.settings.get(f"ipconfig{name[3:]}") or "")) if self.guest.type == "qemu" else card
        mac = card.get(model) if model else None
        return {
            "id": name,
            "model": card.get("model" if self.guest.type == "qemu" else "type") if named or not model else model,
            "name": card.get("name"),
            "mac": mac.lower() if mac else None,
            "bridge": card.get("bridge"),
            "tag": integer(card["tag"]) if _NUMBER.fullmatch(card.get("tag", "")) else None,
            "firewall": card.get("firewall") in _TRUE,
            "link_down": card.get("link_down") in _TRUE,
            **{key: given.get(key) for key in ("ip", "gw", "ip6", "gw6")},
        }

    @property
    def disks(self) -> list[dict[str, Any]]:
        """Disks, CD drives and mount points. ``size`` is in bytes, ``storage`` None for a path of the host."""
        names = sorted((name for name in self.settings if _DISK.fullmatch(name)), key=_by_number)
        return [_disk(name, parts(str(self.settings[name]), "volume")) for name in names]

    def as_data(self, shown: Shown) -> dict[str, Any]:
        """Return it as modules do; ``hidden`` names the settings that are left out."""
        found = {name: value for name, value in sorted(self.settings.items()) if name != "digest"}
        return {
            "vmid": self.guest.vmid,
            "node": self.guest.node,
            "type": self.guest.type,
            "digest": self.settings.get("digest"),
            "ostype": self.ostype,
            "agent": self.has_agent,
            "config": {name: _typed(name, value) for name, value in found.items() if not shown.hides(name, value)},
            "networks": self.networks,
            "disks": self.disks,
            "hidden": [name for name, value in found.items() if shown.hides(name, value)],
        }


def parts(value: str, first: str = "") -> dict[str, str]:
    """Take apart PVE's ``a,b=1,c=2``; ``first`` is the name of a part that has none."""
    found: dict[str, str] = {}
    for part in value.split(","):
        name, sign, rest = part.partition("=")
        if sign:
            found[name] = rest
        elif part and first:
            found[first] = part
    return found


def _typed(name: str, value: Any) -> Any:
    if name == "tags":
        return words(value)
    if name == SSH_KEYS:
        return unquote(str(value))
    if name == _RAW and isinstance(value, list):
        return [": ".join(str(part) for part in pair) if isinstance(pair, list) else str(pair) for pair in value]
    if name in _FLAGS:
        return flag(value)
    if name in _INTEGERS and _NUMBER.fullmatch(str(value)):
        return integer(value)
    return value if isinstance(value, (int, float)) else text(value)


def _by_number(name: str) -> tuple[str, int]:
    kind = name.rstrip("0123456789")
    return kind, int(name[len(kind) :] or 0)


def _disk(name: str, disk: Mapping[str, str]) -> dict[str, Any]:
    volume = disk.get("volume") or disk.get("file") or ""
    # A drive without a disk in it.
    volume = "" if volume == "none" else volume
    storage, sign, unused = volume.partition(":")
    size = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", disk.get("size", ""))
    return {
        "id": name,
        "volume": volume or None,
        "storage": storage if sign and not volume.startswith("/") else None,
        "size": int(float(size[1]) * _UNITS[size[2]]) if size else None,
        "media": disk.get("media") or "disk",
        "mountpoint": "/" if name == "rootfs" else disk.get("mp"),
    }
