"""Facts, gathered from a simulated cluster, and a cluster in which there is something of every kind."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.facts.gather import gather
from ansible_collections.homelab.pve.plugins.module_utils.facts.wanted import Wanted
from ansible_collections.homelab.pve.tests.integration.conftest import connection
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN, Simulator

Json = dict[str, Any]
SECRET = "0b1f0000-0000-4000-8000-00000000000f"
READER = "reader@pve!facts"

# What nobody is to find in facts, and where it stands.
PASSWORD, VARIABLE, RAW, KEY = "cloud-init-1f2e", "container-3d4c", "raw-5b6a", "AAAAC3NzaC1lZDI1NTE5key"
CLIENT_KEY, PROXY = "openid-7988", "proxy-9a8b"
DESCRIPTION, SNAPSHOT, NOTES = "what-people-write", "what-they-write-of-snapshots", "what-they-write-of-backups"

# A zone with all that a zone can have, as far as PVE's types of zones go together.
ZONE = {
    "zone": "full",
    "type": "evpn",
    "tag": 5,
    "vlan-protocol": "802.1q",
    "peers": "10.0.0.1,10.0.0.2",
    "vxlan-port": 4789,
    "controller": "c1",
    "vrf-vxlan": 9000,
    "exitnodes": "ugreen",
    "ipam": "pve",
    "dns": "d1",
    "reversedns": "d1",
    "dnszone": "example.org",
    "dhcp": "dnsmasq",
}


def facts(simulator: Simulator, *subsets: str, token: tuple[str, str] | None = None, **options: Any) -> Json:
    """Gather as the module does, in this process. ``token`` is id and secret, root's own without one."""
    told = connection(simulator)
    if token:
        told.update(token_id=token[0], token_secret=token[1])
    if "timeout" in options:
        told["timeout"] = options.pop("timeout")
    params = {"filters": None, "concurrency": 16, "tasks_limit": 50, "descriptions": False, "ssh_keys": False}
    wanted = Wanted.from_params({**params, "gather": list(subsets), **options})
    with Client(ConnectionOptions.from_params(told, {})) as client:
        return gather(client.read_only(), wanted, time.time())


def asked(simulator: Simulator, *subsets: str, **options: Any) -> list[str]:
    """Gather, and return the paths that were asked, in their order."""
    simulator.clear_requests()
    facts(simulator, *subsets, **options)
    return [request["path"] for request in simulator.requests()]


def lacking(found: Mapping[str, Any]) -> Counter[tuple[str, str, str | None, int | None]]:
    """Return what is missing, without the reasons."""
    return Counter((row["subset"], row["kind"], row["node"], row["vmid"]) for row in found["incomplete"])


def reader(*entries: tuple[str, str], **acl: Any) -> Json:
    """Return users, tokens and ACL with a reader that has roles on paths, the user and the token alike."""
    rows = [
        {"path": path, "type": kind, "ugid": name, "roleid": role, "propagate": 1, **acl}
        for path, role in entries
        for kind, name in (("user", "reader@pve"), ("token", READER))
    ]
    return {
        "users": [{"userid": "root@pam"}, {"userid": "reader@pve"}],
        "tokens": [
            {"tokenid": READER, "privsep": 1, "expire": 0, "secret": SECRET},
            {"tokenid": ROOT_TOKEN, "privsep": 0, "expire": 0, "secret": ROOT_SECRET},
        ],
        "acl": rows,
    }


AS_READER = (READER, SECRET)


def everything(simulator: Simulator) -> None:
    """Put something of every kind into a cluster of several nodes, secrets in all places that can hold one."""
    state = simulator.export()
    nodes = [row["name"] for row in state["nodes"]]
    release = tuple(int(part) for part in simulator.release.split("."))
    machine, container = state["guests"][0], state["guests"][1]
    machine["config"].update(
        cipassword=PASSWORD,
        sshkeys=f"ssh-ed25519%20{KEY}",
        description=DESCRIPTION,
        ipconfig0="ip=10.0.0.9/24,gw=10.0.0.1,ip6=fd00::9/64,gw6=fd00::1",
        net1="virtio=BC:24:11:00:01:01,bridge=vmbr1,tag=7,link_down=1",
        ide2="none,media=cdrom",
        args=f"-object secret,id=s,data={RAW}",
    )
    machine["snapshots"] = [
        {"name": "before", "snaptime": 1750000000, "description": SNAPSHOT, "vmstate": 1},
        {"name": "after", "snaptime": 1750000001, "parent": "before"},
    ]
    machine.update(ha="started", lock="backup")
    container["config"].update(env=f"TOKEN={VARIABLE}", mp0="local:102/vm-102-disk-1.raw,mp=/data,size=512M")
    state["nodes"][0]["updates"] = [
        {
            "Package": "pve-manager",
            "Title": "The manager",
            "Description": "Manages",
            "Version": "9.9",
            "OldVersion": "9.8",
            "Arch": "all",
            "Origin": "Proxmox",
            "Section": "admin",
            "Priority": "optional",
        }
    ]
    owner = {"vmid": 100, "format": "qcow2", "size": 8 << 30, "used": 1 << 30, "ctime": 1750000000}
    backup = {"vmid": 100, "content": "backup", "subtype": "qemu", "format": "vma.zst", "size": 1 << 30}
    volumes = [
        {"volid": "local:100/vm-100-disk-0.qcow2", "content": "images", "parent": "local:9/base.qcow2", **owner},
        {"volid": "local:backup/one.vma.zst", "notes": NOTES, "protected": 1, "ctime": 1750000002, **backup},
    ]
    local = state["storages"][0]
    local["volumes"] = [{**volume, "node": nodes[0]} for volume in volumes]
    nas = {"storage": "nas", "type": "nfs", "server": "10.0.0.2", "export": "/x", "content": "iso", "volumes": []}
    off = {"storage": "off", "type": "dir", "disable": 1, "nodes": nodes[0], "options": {"password": PASSWORD}}
    group = {"group": "all", "nodes": f"{nodes[0]}:2", "restricted": 1, "nofailback": 0, "comment": "Both"}
    rule = {"rule": "apart", "type": "node-affinity", "resources": "vm:100", "nodes": nodes[0], "strict": 1}
    rule.update({"affinity": "positive", "disable": 0, "comment": "Here"})
    simulator.load(
        {
            "nodes": state["nodes"],
            "guests": state["guests"],
            "storages": [local, nas, off],
            "realms": [
                *state["realms"],
                {
                    "realm": "sso",
                    "type": "openid",
                    "comment": "Single sign-on",
                    "options": {"client-key": CLIENT_KEY, "client-id": "pve", "default": 1},
                },
            ],
            "users": [*state["users"], {"userid": "joe@pve", "groups": ["ops"], "firstname": "Joe"}],
            "groups": [{"groupid": "ops", "comment": "On call"}],
            "roles": [{"roleid": "reader", "privs": ["VM.Audit"]}],
            "tokens": [*state["tokens"], {"tokenid": "joe@pve!ci", "privsep": 1, "expire": 1}],
            "acl": [
                *state["acl"],
                {"path": "/vms", "type": "group", "ugid": "ops", "roleid": "reader", "propagate": 1},
            ],
            "pools": [{"poolid": "lab", "comment": "To play with", "vms": [100], "storage": ["local"]}],
            "firewall": {
                "cluster": {
                    "options": {"enable": 0, "policy_in": "DROP"},
                    "aliases": [{"name": "lan", "cidr": "192.168.40.0/24"}],
                    "ipsets": [{"name": "office", "entries": [{"cidr": "10.0.0.0/24", "comment": "Here"}]}],
                    "groups": [{"group": "web", "rules": [{"type": "in", "action": "ACCEPT", "macro": "HTTP"}]}],
                    "rules": [{"type": "in", "action": "DROP", "comment": "Last [key:last]"}],
                },
                "nodes": {nodes[0]: {"rules": [{"type": "in", "action": "ACCEPT", "macro": "Ping"}]}},
                "guests": {
                    "100": {"options": {"enable": 1}, "ipsets": [{"name": "own", "entries": [{"cidr": "10.0.0.1"}]}]}
                },
            },
            "tasks": [
                {"node": nodes[0], "type": "qmstart", "starttime": 1750000000, "id": "100", "endtime": 1750000001},
                {"node": nodes[0], "type": "vzdump", "starttime": 1750000002, "user": "joe@pve!ci"},
            ],
            "log": [{"time": 1750000000, "msg": "starting", "node": nodes[0]}],
            "sdn": {
                "zones": [ZONE, {"zone": "z", "type": "vlan", "bridge": "vmbr0", "mtu": 1450, "nodes": nodes[0]}],
                "vnets": [{"vnet": "v1", "zone": "z", "tag": 7, "alias": "Seven", "vlanaware": 1, "isolate-ports": 1}],
            },
            "ha": {"groups": [group] if release < (9, 0) else [], "rules": [rule] if release >= (9, 0) else []},
        }
    )
