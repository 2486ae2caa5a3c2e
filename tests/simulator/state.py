"""Everything the simulated cluster remembers, apart from the connections."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.homelab.pve.plugins.module_utils.access.model import ROOT
from ansible_collections.homelab.pve.plugins.module_utils.access.releases import Release

from .errors import ApiError, Failure
from .firewall.store import Firewall, sets_of_vnets
from .permission import Rights
from .userconfig import AclKey, Json, TokenRow, UserConfig, UserRow

ROOT_TOKEN = "root@pam!admin"
ROOT_SECRET = "11111111-2222-4333-8444-555555555555"  # published with the pristine state
ADMIN = "admin@pve"
ADMIN_PASSWORD = "adminpass123"  # likewise
CLUSTER_NAME = "homelab"
FIRST_EXTRA_VMID = 1000


@dataclass
class Node:
    name: str
    ip: str
    online: bool = True
    cpus: int = 4
    memory: int = 25276510208
    disk: int = 270553174016
    uptime: int = 5280


@dataclass
class Guest:
    """A guest. ``config`` is its configuration file: text by key."""

    vmid: int
    type: str  # qemu or lxc
    node: str
    status: str = "running"
    config: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.config.get("name" if self.type == "qemu" else "hostname", f"VM {self.vmid}")


@dataclass
class Storage:
    storage: str
    type: str = "dir"
    path: str = "/var/lib/vz"
    content: str = "iso,vztmpl,backup,images,rootdir,snippets"
    shared: int = 0


@dataclass
class Realm:
    """A realm. ``options`` are those of its type; secrets are not kept, because PVE does not answer them either."""

    realm: str
    type: str
    comment: str | None = None
    options: dict[str, str | int] = field(default_factory=dict)


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


def _extra_guest(number: int, node: str) -> Guest:
    vmid = FIRST_EXTRA_VMID + number
    mac = f"BC:24:12:{number >> 16 & 255:02X}:{number >> 8 & 255:02X}:{number & 255:02X}"
    return Guest(
        vmid,
        "qemu",
        node,
        status="running" if number % 4 else "stopped",
        config={
            "boot": "order=scsi0",
            "cores": "1",
            "memory": "1024",
            "name": f"vm{vmid}",
            "net0": f"virtio={mac},bridge=vmbr0",
            "ostype": "l26",
            "scsi0": f"local:{vmid}/vm-{vmid}-disk-0.qcow2,size=8G",
        },
    )


@dataclass(frozen=True)
class Size:
    """How large the pristine cluster is, beyond the homelab's one node and two guests."""

    node: str = "ugreen"
    nodes: int = 1
    guests: int = 0


class State:
    """The cluster's state. Handlers run one after another, so nothing here needs a lock."""

    def __init__(self, release: Release, size: Size) -> None:
        self.release = release
        self.size = size
        self.access = UserConfig()
        self.passwords: dict[str, str] = {}
        self.secrets: dict[str, str] = {}
        self.realms: dict[str, Realm] = {}
        self.nodes: dict[str, Node] = {}
        self.guests: dict[int, Guest] = {}
        self.storages: dict[str, Storage] = {}
        self.vnets: dict[str, str] = {}  # -> zone
        self.firewall = Firewall(release)
        self._rights: Rights | None = None
        self.reset()

    def reset(self) -> None:
        """Go back to the pristine state."""
        self.access = UserConfig(
            users={ROOT: UserRow(email="root@example.org"), ADMIN: UserRow()},
            tokens={(ROOT, "admin"): TokenRow(privsep=0)},
            acl={AclKey("/", "user", ADMIN, "Administrator"): 1},
        )
        self.passwords = {ADMIN: ADMIN_PASSWORD}
        self.secrets = {ROOT_TOKEN: ROOT_SECRET}
        self.realms = {
            "pam": Realm("pam", "pam", "Linux PAM standard authentication"),
            "pve": Realm("pve", "pve", "Proxmox VE authentication server"),
        }
        names = [self.size.node, *(f"{self.size.node}-{number}" for number in range(2, self.size.nodes + 1))]
        self.nodes = {name: Node(name, f"192.168.40.{number}") for number, name in enumerate(names, 2)}
        self.nodes[names[0]].cpus = 2
        guests = pristine_guests(names[0])
        guests += [_extra_guest(number, names[number % len(names)]) for number in range(self.size.guests)]
        self.guests = {guest.vmid: guest for guest in guests}
        self.storages = {"local": Storage("local")}
        self.vnets = {}
        self.firewall.reset()
        self._changed()

    @property
    def node(self) -> str:
        """The node that answers."""
        return next(iter(self.nodes))

    @property
    def rights(self) -> Rights:
        if self._rights is None:
            self._rights = Rights(self.access, self.release)
        return self._rights

    def _changed(self) -> None:
        self.access.settle(self.release)
        self._rights = None
        self.firewall.sdn = sets_of_vnets(self.vnets)

    @contextmanager
    def edit(self, prefix: str) -> Iterator[UserConfig]:
        """Change user.cfg: all of it or, when the body raises an ApiError, nothing.

        PVE passes errors out of its lock as texts, with a prefix, and so loses their status.
        """
        draft = self.access.copy()
        try:
            yield draft
        except ApiError as error:
            raise ApiError(500, f"{prefix}: {error.nested()}") from None
        self.access = draft
        self._changed()

    # -- secrets ----------------------------------------------------------------------------------------------

    def new_secret(self, tokenid: str) -> str:
        self.secrets[tokenid] = str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
        return self.secrets[tokenid]

    def check_password(self, userid: str, password: str) -> bool:
        stored = self.passwords.get(userid)
        return stored is not None and secrets.compare_digest(stored.encode(), password.encode())

    def expired(self, expire: int | None) -> bool:
        return bool(expire) and int(expire or 0) < time.time()

    # -- lookups ----------------------------------------------------------------------------------------------

    def guest(self, vmid: int, kind: str, node: str) -> Guest:
        """Return a guest by number. Raises Failure where it is of another type, on another node, or not there."""
        guest = self.guests.get(vmid)
        home = self.node if node == "localhost" else node
        if guest is None or guest.type != kind or guest.node != home:
            folder = "qemu-server" if kind == "qemu" else "lxc"
            raise Failure(f"Configuration file 'nodes/{home}/{folder}/{vmid}.conf' does not exist")
        return guest

    # -- export and load --------------------------------------------------------------------------------------

    def export(self) -> Json:
        """Return the whole state, secrets and passwords included, sorted."""
        return {
            **self.access.export(),
            "passwords": dict(sorted(self.passwords.items())),
            "secrets": dict(sorted(self.secrets.items())),
            "realms": [asdict(realm) for unused, realm in sorted(self.realms.items())],
            "nodes": [asdict(node) for node in self.nodes.values()],
            "guests": [asdict(guest) for unused, guest in sorted(self.guests.items())],
            "storages": [asdict(storage) for unused, storage in sorted(self.storages.items())],
            "vnets": [{"vnet": vnet, "zone": zone} for vnet, zone in sorted(self.vnets.items())],
            "firewall": self.firewall.export(),
        }

    def load(self, data: Mapping[str, Any]) -> None:
        """Replace the state by what ``export`` gave, or by a part of it: what is left out stays as it is.

        As soon as one of users, tokens, groups, roles, pools and acl is given, all of them are replaced. A token may
        carry its ``secret`` and a user his ``password``. For ``firewall`` see ``Firewall.load``.
        """
        if any(kind in data for kind in ("users", "tokens", "groups", "roles", "pools", "acl")):
            self.access = UserConfig.load(data)
            known = {f"{userid}!{name}" for userid, name in self.access.tokens}
            self.secrets = {tokenid: secret for tokenid, secret in self.secrets.items() if tokenid in known}
        if "passwords" in data:
            self.passwords = dict(data["passwords"])
        if "secrets" in data:
            self.secrets = dict(data["secrets"])
        for user in data.get("users", []):
            if user.get("password"):
                self.passwords[user["userid"]] = user["password"]
        for token in data.get("tokens", []):
            if token.get("secret"):
                self.secrets[token["tokenid"]] = token["secret"]
        if "realms" in data:
            self.realms = {row["realm"]: Realm(**row) for row in data["realms"]}
        if "nodes" in data:
            self.nodes = {row["name"]: Node(**row) for row in data["nodes"]}
        if "guests" in data:
            self.guests = {int(row["vmid"]): Guest(**row) for row in data["guests"]}
        if "storages" in data:
            self.storages = {row["storage"]: Storage(**row) for row in data["storages"]}
        if "vnets" in data:
            self.vnets = {row["vnet"]: row["zone"] for row in data["vnets"]}
        if "firewall" in data:
            self.firewall.load(data["firewall"])
        self._changed()
