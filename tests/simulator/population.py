"""Who lives in the pristine cluster: the homelab's two guests, and as many more as are ordered.

The further ones come out the same every time: what a guest is like follows from its number alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from .objects import Guest, Json
from .userconfig import PoolRow

FIRST_EXTRA_VMID = 1000
MAX_NODES, MAX_GUESTS = 64, 20_000
TAGS = ("prod", "test", "dev", "web", "db", "dns", "mail", "backup", "monitoring", "legacy", "team-a", "team-b")
_BORN = 1750000000
_POOLS_FROM = 20  # guests
_PERIOD = 60
_MACHINE_SYSTEMS = ("l26", "l26", "l26", "win11", "l26", "win10", "l26", "other")
_CONTAINER_SYSTEMS = ("debian", "ubuntu", "alpine", "debian", "fedora")
_EQUAL_NAMES = ("web", "db", "runner")
_POOLS: dict[str, str | None] = {
    "prod": "What earns the money",
    "test": None,
    "dev": None,
    "prod/web": "Frontends",
    "prod/web/eu": None,
}
_HA_STATES = ("started", "started", "started", "stopped", "error")
_KEY = "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl%20ops%40example.org%0A"


@dataclass(frozen=True)
class Size:
    """How large the pristine cluster is, beyond the homelab's one node and two guests."""

    node: str = "ugreen"
    nodes: int = 1
    guests: int = 0

    def __post_init__(self) -> None:
        if not (1 <= self.nodes <= MAX_NODES and 0 <= self.guests <= MAX_GUESTS):
            raise ValueError(f"nodes are 1 to {MAX_NODES}, guests 0 to {MAX_GUESTS}")


def pristine_guests(node: str) -> list[Guest]:
    """Return the two guests of the homelab."""
    return [
        Guest(
            100,
            "qemu",
            node,
            config={
                "agent": "1",
                "boot": "order=scsi0;net0",
                "cores": "2",
                "cpu": "x86-64-v2-AES",
                "description": "oracle test VM",
                "memory": "2048",
                "meta": "creation-qemu=9.2.0,ctime=1760000000",
                "name": "vm100",
                "net0": "virtio=BC:24:11:00:01:00,bridge=vmbr0,firewall=1",
                "numa": "0",
                "ostype": "l26",
                "scsi0": "local:100/vm-100-disk-0.qcow2,size=8G",
                "scsihw": "virtio-scsi-single",
                "smbios1": "uuid=6c1a4d5e-0000-4000-8000-000000000100",
                "sockets": "1",
                "tags": "prod;web",
                "vmgenid": "6c1a4d5e-1111-4000-8000-000000000100",
            },
        ),
        Guest(
            102,
            "lxc",
            node,
            config={
                "arch": "amd64",
                "cores": "1",
                "features": "nesting=1",
                "hostname": "ct102",
                "memory": "512",
                "net0": "name=eth0,bridge=vmbr0,firewall=1,gw=192.168.40.1,hwaddr=BC:24:11:00:01:02,"
                "ip=192.168.40.102/24,type=veth",
                "ostype": "debian",
                "rootfs": "local:102/vm-102-disk-0.raw,size=4G",
                "swap": "512",
                "tags": "dns",
                "unprivileged": "1",
            },
        ),
    ]


def extra_guests(size: Size, nodes: Sequence[str]) -> list[Guest]:
    """Return the guests from VMID 1000 on, spread over the nodes one after the other."""
    # From round to round, a node's guests differ by a step that shares no factor with the periods of their kinds.
    count = len(nodes)
    step = next(step for step in range(count, count + _PERIOD) if gcd(step, _PERIOD) == 1)
    return [extra_guest(n, nodes[n % count], n // count * step + n % count) for n in range(size.guests)]


def extra_guest(at: int, node: str, number: int) -> Guest:
    """Return the guest ``at`` a place in the row of all, of the kind that ``number`` says.

    One in four is a container, one in four is stopped, and the rest is a mixture as well.
    """
    guest = _container(at, node, number) if number % 4 == 2 else _machine(at, node, number)
    config = guest.config
    if number % 4 == 0 or number % 60 == 22:
        guest.status = "stopped"
    if number % 60 in (16, 22):
        config["template"] = "1"
    if number % 5:
        config["tags"] = ";".join(sorted({TAGS[number % len(TAGS)], TAGS[number * 7 % len(TAGS)]}))
    if number % 9 == 4:
        config["description"] = f"Guest {number}\nasked for by team {number % 7}\n"
    if number % 97 == 23:
        config["hostname" if guest.type == "lxc" else "name"] = _EQUAL_NAMES[number // 97 % len(_EQUAL_NAMES)]
    if number % 50 == 7:
        guest.ha = _HA_STATES[number // 50 % len(_HA_STATES)]
    if number % 40 == 11:
        guest.snapshots = _snapshots(guest)
    if number % 200 == 13:
        guest.lock = "backup"
    return guest


def _mac(number: int) -> str:
    return f"BC:24:12:{number >> 16 & 255:02X}:{number >> 8 & 255:02X}:{number & 255:02X}"


def _address(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}/8,gw=10.255.255.254"


def _machine(at: int, node: str, number: int) -> Guest:
    vmid = FIRST_EXTRA_VMID + at
    guest = Guest(
        vmid,
        "qemu",
        node,
        config={
            "boot": "order=scsi0",
            "cores": str(1 + number % 3),
            "memory": str(1024 << number % 3),
            "meta": f"creation-qemu=10.1.2,ctime={_BORN + number * 60}",
            "name": f"vm{vmid}",
            "net0": f"virtio={_mac(at)},bridge=vmbr0",
            "numa": "0",
            "onboot": str(number % 2),
            "ostype": _MACHINE_SYSTEMS[number % len(_MACHINE_SYSTEMS)],
            "scsi0": f"local:{vmid}/vm-{vmid}-disk-0.qcow2,size={8 << number % 3}G",
            "scsihw": "virtio-scsi-single",
            "smbios1": f"uuid=6c1a4d5e-0000-4000-8000-{vmid:012d}",
            "sockets": "1",
        },
    )
    config = guest.config
    if number % 3 == 0:
        config["agent"] = "enabled=1,fstrim_cloned_disks=1" if number % 6 else "1"
        guest.agent_running = number % 33 != 3
        guest.filesystems = [{"name": "sda1", "mountpoint": "/", "type": "ext4", "disk": [], "total-bytes": 8 << 30}]
    if number % 8 in (1, 5):
        config["ide2"] = f"local:{vmid}/vm-{vmid}-cloudinit.qcow2,media=cdrom"
        config["ipconfig0"] = f"ip={_address(at)}" if number % 8 == 1 else "ip=dhcp"
        config["ciuser"] = "ops"
        config["sshkeys"] = _KEY
    if number % 16 == 5:
        config["cipassword"] = f"$5$simulated${vmid}"
    if number % 150 == 9:
        guest.qmpstatus = "paused"
    return guest


def _container(at: int, node: str, number: int) -> Guest:
    vmid = FIRST_EXTRA_VMID + at
    address = "dhcp" if number % 8 == 6 else _address(at)
    return Guest(
        vmid,
        "lxc",
        node,
        config={
            "arch": "amd64",
            "cores": str(1 + number % 2),
            "features": "nesting=1",
            "hostname": f"ct{vmid}",
            "memory": str(512 << number % 3),
            "net0": f"name=eth0,bridge=vmbr0,hwaddr={_mac(at)},ip={address},type=veth",
            "onboot": str(number % 2),
            "ostype": _CONTAINER_SYSTEMS[number // 4 % len(_CONTAINER_SYSTEMS)],
            "rootfs": f"local:{vmid}/vm-{vmid}-disk-0.raw,size={4 << number % 3}G",
            "swap": "512",
            "unprivileged": "1",
        },
    )


def _snapshots(guest: Guest) -> list[Json]:
    born = _BORN + guest.vmid * 60
    config = dict(guest.config)
    return [
        {"name": "installed", "snaptime": born, "description": "Fresh", "config": config},
        {"name": "before-upgrade", "snaptime": born + 86400, "parent": "installed", "config": config},
    ]


def pools(size: Size, nested: bool) -> dict[str, PoolRow]:
    """Return the pools of a larger cluster, with two thirds of its further guests; nested ones where PVE knows them."""
    if size.guests < _POOLS_FROM:
        return {}
    names = [name for name in _POOLS if nested or "/" not in name]
    vmids = range(FIRST_EXTRA_VMID, FIRST_EXTRA_VMID + size.guests)
    return {
        name: PoolRow(_POOLS[name], frozenset(v for v in vmids if v % 3 and v % len(names) == at))
        for at, name in enumerate(names)
    }


def volumes(guests: Sequence[Guest]) -> list[Json]:
    """Return what the local storages of a larger cluster hold: an image, a template, the guests' disks, backups."""
    if not guests:
        return []
    found: list[Json] = [
        {"volid": "local:iso/debian-13.iso", "content": "iso", "format": "iso", "size": 790626304, "ctime": _BORN},
        {
            "volid": "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst",
            "content": "vztmpl",
            "format": "tzst",
            "size": 129710398,
            "ctime": _BORN,
        },
    ]
    for guest in guests:
        owner: Json = {"vmid": guest.vmid, "node": guest.node, "ctime": _BORN + guest.vmid}
        machine = guest.type == "qemu"
        volid = (guest.config["scsi0"] if machine else guest.config["rootfs"]).partition(",")[0]
        disk = {"content": "images" if machine else "rootdir", "format": "qcow2" if machine else "raw"}
        found.append({**owner, **disk, "volid": volid, "size": 8 << 30, "used": 2 << 30})
        if guest.vmid % 10 == 3:
            kind = {"subtype": guest.type, "content": "backup", "format": "vma.zst" if machine else "tar.zst"}
            name = f"vzdump-{guest.type}-{guest.vmid}-2025_11_01-03_00_00.{kind['format']}"
            notes = {"notes": guest.name, "size": 1 << 30}
            found.append({**owner, **kind, **notes, "volid": f"local:backup/{name}", "ctime": 1761962400})
    return found
