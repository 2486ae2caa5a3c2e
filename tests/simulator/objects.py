"""What a simulated cluster is made of: nodes, guests, storages, realms, tasks and entries of the cluster log.

``/_sim/load`` reads each of them from an object with the same names; all that has a default may be left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
ANSWERS = ("unreachable", "refused", "timeout")
# Storages of these types are on the network, and therefore the same on all nodes.
_SHARED = {"iscsi", "nfs", "cifs", "rbd", "cephfs", "iscsidirect", "zfs", "pbs", "esxi"}


@dataclass
class Node:
    """A node. While it is not ``online``, ``answers`` says what calls to it get: see ``Api``.

    ``seconds`` is how long a call waits before it gets a timeout. A node without ``statistics`` runs, but nobody has
    heard figures from it for some minutes: it is listed as unknown.
    """

    name: str
    ip: str
    online: bool = True
    cpus: int = 4
    memory: int = 25276510208
    disk: int = 270553174016
    uptime: int = 5280
    statistics: bool = True
    answers: str = "unreachable"
    seconds: float = 30
    updates: list[Json] = field(default_factory=list)  # packages, as /nodes/N/apt/update lists them
    subscription: Json = field(default_factory=dict)  # what a node with a subscription answers
    certificates: list[Json] = field(default_factory=list)  # instead of the usual ones
    config: Json = field(default_factory=dict)  # what /nodes/N/config answers

    def __post_init__(self) -> None:
        if self.answers not in ANSWERS:
            raise ValueError(f"answers is one of {', '.join(ANSWERS)}")

    @property
    def known(self) -> bool:
        """Tell whether the cluster has fresh figures from it."""
        return self.online and self.statistics


@dataclass
class Guest:
    """A guest. ``config`` is its configuration file: text by key."""

    vmid: int
    type: str  # qemu or lxc
    node: str
    status: str = "running"
    config: dict[str, str] = field(default_factory=dict)
    # Rows of name, snaptime, description, parent and vmstate, and the configuration at that time as ``config``. The
    # guest's own parent is the newest one, unless its ``snapshot_parent`` says otherwise.
    snapshots: list[Json] = field(default_factory=list)
    snapshot_parent: str = ""
    lock: str = ""
    agent_running: bool = True
    # Network interfaces as the guest agent, or /interfaces of a container, is to list them. None: made up from the
    # configured network cards.
    addresses: list[Json] | None = None
    filesystems: list[Json] | None = None  # as the agent lists them; None: it does not know how to
    qmpstatus: str = ""  # of a machine that runs in a way of its own: paused, suspended, prelaunch, ...
    ha: str = ""  # state of the HA resource: started, stopped, error, ...; empty when it is not one
    pending: dict[str, str | None] = field(default_factory=dict)  # changes that wait for a start; None: to be deleted

    @property
    def name(self) -> str:
        return self.config.get("name" if self.type == "qemu" else "hostname", f"VM {self.vmid}")

    @property
    def running(self) -> bool:
        return self.status == "running"

    @property
    def sid(self) -> str:
        """The id of its HA resource."""
        return f"{'vm' if self.type == 'qemu' else 'ct'}:{self.vmid}"


@dataclass
class Storage:
    """A storage. ``nodes`` is a list in a text; ``options`` are further lines of its definition.

    ``volumes`` are rows as .../content lists them; one with a ``node`` (which is not shown) exists on that node only.
    """

    storage: str
    type: str = "dir"
    path: str = "/var/lib/vz"
    content: str = "iso,vztmpl,backup,images,rootdir,snippets"
    shared: int = 0
    nodes: str = ""
    disable: int = 0
    active: bool = True
    server: str = ""
    export: str = ""
    options: Json = field(default_factory=dict)
    volumes: list[Json] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.type in _SHARED:
            self.shared = 1

    def on(self, node: str) -> bool:
        """Tell whether the storage is meant for a node, and enabled."""
        return not self.disable and self.allowed(node)

    def allowed(self, node: str) -> bool:
        return not self.nodes or node in self.nodes.split(",")


@dataclass
class Realm:
    """A realm. ``options`` are those of its type; secrets are not kept, because PVE does not answer them either."""

    realm: str
    type: str
    comment: str | None = None
    options: dict[str, str | int] = field(default_factory=dict)


@dataclass
class Task:
    """A task on a node. ``user`` is the full id, a token's too. One without ``endtime`` is still running."""

    node: str
    type: str
    starttime: int
    id: str = ""
    user: str = "root@pam"
    endtime: int | None = None
    status: str = "OK"
    pid: int = 0x6C
    pstart: int = 0x52704
    log: list[str] | None = field(default_factory=list)  # None: the file is gone
    upid: str = ""

    def __post_init__(self) -> None:
        if not self.upid:
            numbers = f"{self.pid:08X}:{self.pstart:08X}:{self.starttime:08X}"
            self.upid = f"UPID:{self.node}:{numbers}:{self.type}:{self.id}:{self.user}:"

    @property
    def running(self) -> bool:
        return self.endtime is None


@dataclass
class LogEntry:
    """A line of the cluster log. ``user`` is the full id, a token's too."""

    time: int
    msg: str
    node: str
    user: str = "root@pam"
    tag: str = "pvedaemon"
    pid: int = 4936
    pri: int = 6
    uid: int = 1


def as_row(thing: Any) -> Json:
    """Return one of these as JSON that shares nothing with it."""
    return {name: copied(value) for name, value in vars(thing).items()}


def copied(value: Any) -> Any:
    """Return JSON that shares nothing with what it is a copy of."""
    if isinstance(value, dict):
        return {name: copied(item) for name, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value
