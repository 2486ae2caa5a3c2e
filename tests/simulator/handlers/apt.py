"""Packages of a node: those to be updated, and those that matter for support."""

from __future__ import annotations

from typing import Any

from ..versions import version_of
from . import Call, index, route

index("/nodes/{node}/apt", "changelog", "repositories", "update", "versions", key="id")

_KERNEL = "6.17.2-1-pve"
# Of a PVE 9 node. Older ones have other versions, of which only that of the manager matters here.
_PACKAGES = {
    "proxmox-ve": "9.2.0",
    "pve-manager": "9.2.11",
    "proxmox-kernel-helper": "9.0.4",
    "corosync": "3.1.9-pve2",
    "libpve-access-control": "9.1.1",
    "libpve-common-perl": "9.2.1",
    "libpve-http-server-perl": "6.0.5",
    "libpve-network-perl": "1.3.0",
    "libpve-storage-perl": "9.1.7",
    "lxc-pve": "6.0.5-3",
    "pve-cluster": "9.1.6",
    "pve-container": "6.1.10",
    "pve-firewall": "6.0.4",
    "pve-ha-manager": "5.0.8",
    "pve-qemu-kvm": "10.1.2-7",
    "qemu-server": "9.2.6",
    "zfsutils-linux": "2.3.4-pve1",
}


@route("GET", "/nodes/{node}/apt/update")
def list_updates(call: Call) -> list[dict[str, Any]]:
    return call.node.updates


@route("GET", "/nodes/{node}/apt/versions")
def list_versions(call: Call) -> list[dict[str, Any]]:
    manager = version_of(call.release)
    own = {"pve-manager": manager["version"], "proxmox-ve": f"{call.release[0]}.0.0"}
    rows: list[dict[str, Any]] = []
    for name, version in {**_PACKAGES, **own}.items():
        row: dict[str, Any] = {
            "Package": name,
            "Title": f"Simulated package {name}",
            "Description": "Nothing of it is really there.",
            "Origin": "Proxmox",
            "Section": "admin",
            "Arch": "amd64",
            "Priority": "optional",
            "Version": version,
            "OldVersion": version,
            "CurrentState": "Installed",
        }
        if name == "proxmox-ve":
            row["RunningKernel"] = _KERNEL
        if name == "pve-manager":
            row["ManagerVersion"] = f"{manager['version']}/{manager['repoid']}"
        rows.append(row)
    return rows
