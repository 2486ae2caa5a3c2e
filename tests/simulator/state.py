"""Everything the simulated cluster remembers, apart from the connections."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from ansible_collections.homelab.pve.plugins.module_utils.access.model import ROOT
from ansible_collections.homelab.pve.plugins.module_utils.access.releases import Release

from .errors import ApiError, Failure
from .firewall.store import Firewall, sets_of_vnets
from .objects import Guest, LogEntry, Node, Realm, Storage, Task, as_row, copied
from .permission import Rights
from .population import Size, extra_guests, pools, pristine_guests, volumes
from .userconfig import AclKey, Json, TokenRow, UserConfig, UserRow

ROOT_TOKEN = "root@pam!admin"
ROOT_SECRET = "11111111-2222-4333-8444-555555555555"  # published with the pristine state
ADMIN = "admin@pve"
ADMIN_PASSWORD = "adminpass123"  # likewise
CLUSTER_NAME = "homelab"
_STARTED = 1760000000
T = TypeVar("T")


class State:
    """The cluster's state. Handlers run one after another, so nothing here needs a lock."""

    def __init__(self, release: Release, size: Size) -> None:
        self.release = release
        self.size = size
        self.access = UserConfig()
        self.passwords: dict[str, str] = {}
        self.secrets: dict[str, str] = {}
        self.realms: dict[str, Realm] = {}
        self.tfa: dict[str, Json] = {}  # userid -> his second factors, as a row of /access/tfa has them
        self.factors: dict[str, Json] = {}  # userid -> what proves them, see second_factors.py
        self.options: Json = {}  # of datacenter.cfg, as /cluster/options answers them
        self.nodes: dict[str, Node] = {}
        self.guests: dict[int, Guest] = {}
        self.storages: dict[str, Storage] = {}
        self.vnets: dict[str, str] = {}  # -> zone
        self.vnet_options: dict[str, Json] = {}
        self.zones: list[Json] = []
        self.controllers: list[Json] = []
        self.ha_groups: list[Json] = []
        self.ha_rules: list[Json] = []
        self.tasks: list[Task] = []
        self.log: list[LogEntry] = []
        self.firewall = Firewall(release)
        self._rights: Rights | None = None
        self._derived: dict[Any, Any] = {}
        self._of_access: dict[Any, Any] = {}
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
        self.tfa, self.factors = {}, {}
        self.options = {"description": "", "mac_prefix": "BC:24:11", "keyboard": "de"}
        names = [self.size.node, *(f"{self.size.node}-{number}" for number in range(2, self.size.nodes + 1))]
        self.nodes = {name: Node(name, f"192.168.40.{number}") for number, name in enumerate(names, 2)}
        self.nodes[names[0]].cpus = 2
        extra = extra_guests(self.size, names)
        self.guests = {guest.vmid: guest for guest in [*pristine_guests(names[0]), *extra]}
        self.access.pools = pools(self.size, nested=self.release >= (8, 1))
        self.storages = {"local": Storage("local", volumes=volumes(extra))}
        self.vnets, self.vnet_options = {}, {}
        self.zones, self.controllers, self.ha_groups, self.ha_rules = [], [], [], []
        self._start_tasks()
        self.log = []
        self.firewall.reset()
        self.touch()
        self._changed()

    def _start_tasks(self) -> None:
        """Give each node the history of one that has just been started."""
        self.tasks = [
            Task(node, "startall", _STARTED, user=ROOT_TOKEN, endtime=_STARTED, log=["TASK OK"]) for node in self.nodes
        ]

    @property
    def node(self) -> str:
        """The node that answers."""
        return next(iter(self.nodes))

    @property
    def quorate(self) -> bool:
        """Tell whether more than half of the nodes are there."""
        return sum(node.online for node in self.nodes.values()) * 2 > len(self.nodes)

    @property
    def rights(self) -> Rights:
        if self._rights is None:
            self._rights = Rights(self.access, self.release)
        return self._rights

    def derived(self, key: Any, work_out: Callable[[], T], *, of_access: bool = False) -> T:
        """Return what was worked out under a key since the state last changed; work it out if nothing was.

        ``of_access`` says that user.cfg has a part in it, which changes more often than the rest.
        """
        kept = self._of_access if of_access else self._derived
        if key not in kept:
            kept[key] = work_out()
        found: T = kept[key]
        return found

    def touch(self) -> None:
        """Forget what was worked out: something that is not in user.cfg has changed."""
        self._derived.clear()
        self._of_access.clear()

    def _changed(self) -> None:
        self.access.settle(self.release)
        self._rights = None
        self._of_access.clear()
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

    def guests_on(self, node: str, kind: str) -> list[Guest]:
        """Return the guests of a node by number."""

        def sort() -> dict[tuple[str, str], list[Guest]]:
            found: dict[tuple[str, str], list[Guest]] = {}
            for unused, guest in sorted(self.guests.items()):
                found.setdefault((guest.node, guest.type), []).append(guest)
            return found

        return self.derived("guests by node", sort).get((node, kind), [])

    # -- export and load --------------------------------------------------------------------------------------

    def export(self) -> Json:
        """Return the whole state, secrets and passwords included, sorted."""
        return {
            **self.access.export(),
            "passwords": dict(sorted(self.passwords.items())),
            "secrets": dict(sorted(self.secrets.items())),
            "realms": [as_row(realm) for unused, realm in sorted(self.realms.items())],
            "tfa": [{"userid": userid, **copied(row)} for userid, row in sorted(self.tfa.items())],
            "factors": copied(self.factors),
            "options": copied(self.options),
            "nodes": [as_row(node) for node in self.nodes.values()],
            "guests": [as_row(guest) for unused, guest in sorted(self.guests.items())],
            "storages": [as_row(storage) for unused, storage in sorted(self.storages.items())],
            "vnets": [
                {"vnet": vnet, "zone": zone, **self.vnet_options.get(vnet, {})}
                for vnet, zone in sorted(self.vnets.items())
            ],
            "sdn": {"zones": copied(self.zones), "controllers": copied(self.controllers)},
            "ha": {"groups": copied(self.ha_groups), "rules": copied(self.ha_rules)},
            "tasks": [as_row(task) for task in self.tasks],
            "log": [as_row(entry) for entry in self.log],
            "firewall": self.firewall.export(),
        }

    def load(self, data: Mapping[str, Any]) -> None:
        """Replace the state by what ``export`` gave, or by a part of it: what is left out stays as it is.

        As soon as one of users, tokens, groups, roles, pools and acl is given, all of them are replaced. A token may
        carry its ``secret`` and a user his ``password``. ``nodes``, ``guests``, ``storages``, ``tasks`` and ``log``
        are lists of what ``objects.py`` describes, ``sdn`` has lists of ``zones``, ``controllers`` and ``vnets``, and
        ``ha`` lists of ``groups`` and ``rules``, as PVE answers them. So are ``tfa``, the rows of /access/tfa, and
        ``options``, those of the datacenter. ``factors`` are the secrets of second factors (``second_factors.py``).
        For ``firewall`` see ``Firewall.load``.
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
        if "tfa" in data:
            self.tfa = {row.pop("userid"): row for row in copied(data["tfa"])}
        self.factors = copied(data.get("factors", self.factors))
        self.options = copied(data.get("options", self.options))
        self._load_objects(data)
        if "firewall" in data:
            self.firewall.load(data["firewall"])
        self.touch()
        self._changed()

    def _load_objects(self, data: Mapping[str, Any]) -> None:
        kinds = ("nodes", "guests", "storages", "vnets", "sdn", "ha", "tasks", "log")
        given = {kind: copied(data[kind]) for kind in kinds if kind in data}
        if "nodes" in given:
            self.nodes = {row["name"]: Node(**row) for row in given["nodes"]}
            self._start_tasks()
        if "guests" in given:
            self.guests = {int(row["vmid"]): Guest(**row) for row in given["guests"]}
        if "storages" in given:
            self.storages = {row["storage"]: Storage(**row) for row in given["storages"]}
        if "tasks" in given:
            self.tasks = [Task(**row) for row in given["tasks"]]
        if "log" in given:
            self.log = [LogEntry(**row) for row in given["log"]]
        sdn, ha = given.get("sdn", {}), given.get("ha", {})
        self.zones = sdn.get("zones", self.zones)
        self.controllers = sdn.get("controllers", self.controllers)
        self.ha_groups, self.ha_rules = ha.get("groups", self.ha_groups), ha.get("rules", self.ha_rules)
        vnets = given.get("vnets", sdn.get("vnets"))
        if vnets is not None:
            self.vnets = {row["vnet"]: row["zone"] for row in vnets}
            self.vnet_options = {row.pop("vnet"): row for row in vnets}
            for options in self.vnet_options.values():
                del options["zone"]
