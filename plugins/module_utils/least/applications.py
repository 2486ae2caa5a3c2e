"""Well-known applications, and what each of them asks of PVE: data, read out of their own sources or manuals.

``{kind}`` stands for qemu and lxc. What an application asks only where somebody turns it on is left out; ``without``
says so. What it always asks is there, even where PVE opens that only to those who may change it.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache

from ..access.releases import NEWEST, OLDEST, Release
from ..client.errors import OptionError
from ..endpoints.find import find
from .parse import Calls, from_list
from .work_out import Rights, needs_of, work_out

_AGENT = "/nodes/{node}/qemu/{vmid}/agent"
_GUEST = "/nodes/{node}/{kind}/{vmid}"


@dataclass(frozen=True)
class Application:
    """``version`` is the one whose ``source`` was read; ``endpoints`` are lines such as ``GET /nodes``."""

    name: str
    title: str
    version: str
    source: str
    endpoints: tuple[str, ...]
    without: str = ""


def _get(*paths: str) -> tuple[str, ...]:
    return tuple(f"GET {path}" for path in paths)


def _all(methods: str, *paths: str) -> tuple[str, ...]:
    return tuple(f"{method} {path}" for path in paths for method in methods.split())


# What both of the collection's own ways of working read.
_OBSERVED = _get(
    "/version",
    "/access/permissions",
    "/access/users?full=1",
    "/access/groups",
    "/access/roles",
    "/access/acl",
    "/access/domains",
    "/cluster/resources",
    "/nodes",
    "/pools",
    "/pools/{poolid}",
    "/cluster/firewall/options",
    "/cluster/firewall/aliases",
    "/cluster/firewall/ipset",
    "/cluster/firewall/ipset/{name}",
    "/cluster/firewall/groups",
    "/cluster/firewall/groups/{group}",
    "/cluster/firewall/rules",
    "/nodes/{node}/firewall/options",
    "/nodes/{node}/firewall/rules",
    f"{_GUEST}/firewall/options",
    f"{_GUEST}/firewall/aliases",
    f"{_GUEST}/firewall/ipset",
    f"{_GUEST}/firewall/ipset/{{name}}",
    f"{_GUEST}/firewall/rules",
)

APPLICATIONS: tuple[Application, ...] = (
    Application(
        "labby",
        "Labby",
        "the app of 2026",
        "its guide to connecting Proxmox VE",
        _get("/version", "/cluster/status", "/nodes", "/cluster/resources?type=vm", "/cluster/resources?type=storage"),
    ),
    Application(
        "prometheus-pve-exporter",
        "prometheus-pve-exporter",
        "3.10.0",
        "https://github.com/prometheus-pve/prometheus-pve-exporter/tree/v3.10.0/src/pve_exporter/collector",
        _get(
            "/version",
            "/cluster/status",
            "/cluster/resources",
            "/cluster/backup-info/not-backed-up",
            "/cluster/config/qdevice",
            "/nodes/{node}/qemu",
            "/nodes/{node}/lxc",
            f"{_GUEST}/config",
            "/nodes/{node}/replication",
            "/nodes/{node}/replication/{id}/status",
            "/nodes/{node}/subscription",
        ),
    ),
    Application(
        "homepage",
        "Homepage (gethomepage)",
        "1.12.3",
        "https://github.com/gethomepage/homepage/tree/v1.12.3/src/widgets/proxmox",
        _get("/cluster/resources", f"{_GUEST}/status/current"),
    ),
    Application(
        "home-assistant",
        "Home Assistant, integration proxmoxve",
        "the integration of 2026",
        "https://github.com/home-assistant/core/blob/0132230443547cc078be795bbe162a93d5fa9fb2/homeassistant/components/"
        "proxmoxve/coordinator.py",
        _get(
            "/access/permissions",
            "/nodes",
            "/nodes/{node}/qemu",
            "/nodes/{node}/lxc",
            "/nodes/{node}/storage",
            "/nodes/{node}/tasks",
        ),
        "its buttons and switches, which start and stop guests and nodes",
    ),
    Application(
        "pulse",
        "Pulse",
        "6.3.0",
        "https://github.com/rcourtman/Pulse/tree/v6.3.0/pkg/proxmox",
        _get(
            "/cluster/status",
            "/cluster/resources",
            "/cluster/options",
            "/cluster/replication",
            "/cluster/ceph/status",
            "/nodes",
            "/nodes/{node}/status",
            "/nodes/{node}/rrddata",
            "/nodes/{node}/network",
            "/nodes/{node}/tasks",
            "/nodes/{node}/tasks/{upid}/log",
            "/nodes/{node}/disks/list",
            "/nodes/{node}/disks/zfs",
            "/nodes/{node}/disks/zfs/{name}",
            "/nodes/{node}/replication/{id}/status",
            "/nodes/{node}/storage",
            "/nodes/{node}/storage/{storage}/content",
            "/nodes/{node}/qemu",
            "/nodes/{node}/lxc",
            f"{_GUEST}/config",
            f"{_GUEST}/rrddata",
            f"{_GUEST}/snapshot",
            f"{_GUEST}/status/current",
            "/nodes/{node}/lxc/{vmid}/interfaces",
            f"{_AGENT}/info",
            f"{_AGENT}/get-osinfo",
            f"{_AGENT}/get-fsinfo",
            f"{_AGENT}/network-get-interfaces",
            "/storage",
        ),
        "pending updates (Sys.Modify on /nodes/NODE) and reading files through the guest agent",
    ),
    Application(
        "check-pve",
        "check_pve",
        "1.6.0",
        "https://github.com/nbuchwitz/check_pve/blob/v1.6.0/check_pve.py",
        _get(
            "/version",
            "/cluster/status",
            "/cluster/resources?type=vm",
            "/cluster/tasks",
            "/cluster/ceph/status",
            "/cluster/backup-info/not-backed-up",
            "/nodes/{node}/apt/update",
            "/nodes/{node}/certificates/info",
            "/nodes/{node}/disks/list",
            "/nodes/{node}/disks/zfs",
            "/nodes/{node}/network",
            "/nodes/{node}/replication",
            "/nodes/{node}/services",
            "/nodes/{node}/status",
            "/nodes/{node}/storage",
            "/nodes/{node}/storage/{storage}/status",
            "/nodes/{node}/subscription",
            f"{_GUEST}/snapshot",
            "/pools/{poolid}",
        ),
    ),
    Application(
        "zabbix",
        "Zabbix, template Proxmox VE by HTTP",
        "template of Zabbix 6.0",
        "https://github.com/zabbix/zabbix/blob/ceecb9602edadff8259f2177661176dbcdc27a51/templates/app/proxmox/"
        "template_app_proxmox.yaml",
        _get(
            "/version",
            "/cluster/status",
            "/cluster/resources",
            "/nodes/{node}/status",
            "/nodes/{node}/rrddata",
            "/nodes/{node}/time",
            f"{_GUEST}/status/current",
        ),
    ),
    Application(
        "zabbix-8",
        "Zabbix, template Proxmox VE by HTTP",
        "template of Zabbix 8.0",
        "https://github.com/zabbix/zabbix/blob/063bc36a617ac1bd4ed8d0560bb35e525979ac6f/templates/app/proxmox/"
        "template_app_proxmox.yaml",
        _get(
            "/cluster/resources",
            "/cluster/status",
            "/access/users",
            "/nodes",
            "/nodes/{node}/apt/update",
            "/nodes/{node}/certificates/info",
            "/nodes/{node}/disks/list",
            "/nodes/{node}/disks/smart",
            "/nodes/{node}/hardware/pci",
            "/nodes/{node}/hardware/usb",
            "/nodes/{node}/lxc",
            "/nodes/{node}/qemu",
            f"{_GUEST}/status/current",
            f"{_AGENT}/get-fsinfo",
            f"{_AGENT}/get-osinfo",
            f"{_AGENT}/get-time",
            f"{_AGENT}/get-timezone",
            f"{_AGENT}/info",
            f"{_AGENT}/network-get-interfaces",
            "/nodes/{node}/storage",
            "/nodes/{node}/time",
            "/nodes/{node}/version",
        ),
    ),
    Application(
        "community-proxmox-inventory",
        "inventory plugin community.proxmox.proxmox",
        "2.0.0",
        "https://github.com/ansible-collections/community.proxmox/blob/2.0.0/plugins/inventory/proxmox.py",
        _get(
            "/cluster/status",
            "/cluster/resources?type=vm",
            "/pools",
            "/pools?poolid={poolid}",
            f"{_GUEST}/config",
            f"{_GUEST}/snapshot",
            f"{_GUEST}/status/current",
            "/nodes/{node}/lxc/{vmid}/interfaces",
            f"{_AGENT}/network-get-interfaces",
        ),
    ),
    Application(
        "homelab-audit",
        "this collection, as an auditor",
        "0.1.0",
        "homelab.pve.pve_info and the audit of a policy",
        (
            *_OBSERVED,
            *_get(
                "/access/permissions?userid={userid}",
                "/access/tfa",
                "/cluster/options",
                "/cluster/status",
                "/cluster/sdn/vnets",
                "/cluster/sdn/vnets/{vnet}/firewall/options",
                "/cluster/sdn/vnets/{vnet}/firewall/rules",
                "/nodes/{node}/certificates/info",
                f"{_GUEST}/config",
                "/storage",
            ),
        ),
    ),
    Application(
        "homelab-apply",
        "this collection, where it applies a policy",
        "0.1.0",
        "homelab.pve.pve_access and homelab.pve.pve_firewall",
        (
            *_OBSERVED,
            *_all("POST", "/access/users", "/access/groups", "/access/roles", "/pools"),
            *_all("PUT DELETE", "/access/users/{userid}", "/access/groups/{groupid}", "/access/roles/{roleid}"),
            *_all("POST PUT DELETE", "/access/users/{userid}/token/{tokenid}"),
            *_all("PUT", "/access/acl"),
            *_all("PUT DELETE", "/pools?poolid={poolid}", "/pools/{poolid}"),
            *_all("PUT", "/cluster/firewall/options", "/nodes/{node}/firewall/options", f"{_GUEST}/firewall/options"),
            *_all("POST", "/cluster/firewall/aliases", "/cluster/firewall/ipset", "/cluster/firewall/rules"),
            *_all("POST", f"{_GUEST}/firewall/aliases", f"{_GUEST}/firewall/ipset", f"{_GUEST}/firewall/rules"),
            *_all("PUT DELETE", "/cluster/firewall/aliases/{name}", f"{_GUEST}/firewall/aliases/{{name}}"),
            *_all("POST DELETE", "/cluster/firewall/ipset/{name}", f"{_GUEST}/firewall/ipset/{{name}}"),
            *_all("PUT DELETE", "/cluster/firewall/ipset/{name}/{cidr}", f"{_GUEST}/firewall/ipset/{{name}}/{{cidr}}"),
            *_all("PUT DELETE", "/cluster/firewall/rules/{pos}", f"{_GUEST}/firewall/rules/{{pos}}"),
            *_all("POST", "/cluster/firewall/groups", "/nodes/{node}/firewall/rules"),
            *_all("POST DELETE", "/cluster/firewall/groups/{group}"),
            *_all("PUT DELETE", "/cluster/firewall/groups/{group}/{pos}", "/nodes/{node}/firewall/rules/{pos}"),
        ),
        "passwords of users, which no API token may set, and the firewall of vnets",
    ),
)


def application(name: str) -> Application:
    """Return an application by its name. Raises OptionError, with the names that there are."""
    known = {one.name: one for one in APPLICATIONS}
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name.lower().replace("_", "-").replace(" ", "-"), known, 1, 0.5)
    hint = f"Did you mean {close[0]}? " if close else ""
    raise OptionError(
        f"application: {name!r} is not in the catalogue.",
        f"{hint}It has {', '.join(known)}. For another one, homelab.pve.pve_application works its rights out of its "
        "endpoints.",
    )


@cache
def calls_of(name: str, release: Release) -> Calls:
    """Return what an application asks of a release: not what the release does not have, or has not for API tokens."""
    lines = [line for line in application(name).endpoints if _exists(line, release)]
    calls = from_list(lines, release)
    told = {key: one for key, one in calls.endpoints.items() if isinstance(needs_of(one, release, {}), list)}
    return Calls(told, calls.problems)


@cache
def rights_of(name: str, release: Release) -> Rights:
    """Return the least rights of an application. Releases that are not known yet are taken for the newest that is."""
    release = max(OLDEST, min(release, NEWEST))
    return work_out(calls_of(name, release), release)


def _exists(line: str, release: Release) -> bool:
    method, unused, target = line.partition(" ")
    return bool(find(method, target.partition("?")[0], release))
