"""Which calls of PVE write, and which privileges it asks for before it looks at anything else in them.

The table below is that of 9.2; ``tables.py`` says how it is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from ..access.releases import Release
from .tables import Method, methods, rows

# The release of which every single declaration is known: that it refuses undeclared parameters, above all.
MEASURED: Release = (9, 2)

_WRITES = """
/ Sys.Console
    POST /cluster/ha/groups
    PUT DELETE /cluster/ha/groups/{group}
    POST /cluster/ha/resources
    PUT DELETE /cluster/ha/resources/{sid}
    POST /cluster/ha/resources/{sid}/migrate
    POST /cluster/ha/resources/{sid}/relocate
    DELETE /cluster/ha/rules/{rule}
    POST /cluster/ha/status/arm-ha
    POST /cluster/ha/status/disarm-ha
/ Sys.Modify
    POST /cluster/acme/plugins
    PUT DELETE /cluster/acme/plugins/{id}
    POST /cluster/backup
    PUT DELETE /cluster/backup/{id}
    PUT /cluster/ceph/flags
    PUT /cluster/ceph/flags/{flag}
    POST /cluster/ceph/restart-bulk
    POST /cluster/firewall/aliases
    PUT DELETE /cluster/firewall/aliases/{name}
    POST /cluster/firewall/groups
    POST DELETE /cluster/firewall/groups/{group}
    PUT DELETE /cluster/firewall/groups/{group}/{pos}
    POST /cluster/firewall/ipset
    POST DELETE /cluster/firewall/ipset/{name}
    PUT DELETE /cluster/firewall/ipset/{name}/{cidr}
    PUT /cluster/firewall/options
    POST /cluster/firewall/rules
    PUT DELETE /cluster/firewall/rules/{pos}
    DELETE /cluster/jobs/realm-sync/{id}
    POST PUT DELETE /cluster/metrics/server/{id}
    PUT /cluster/options
    POST DELETE /nodes/{node}/ceph/fs/{name}
    POST /nodes/{node}/ceph/init
    POST DELETE /nodes/{node}/ceph/mds/{name}
    POST DELETE /nodes/{node}/ceph/mgr/{id}
    POST DELETE /nodes/{node}/ceph/mon/{monid}
    POST /nodes/{node}/ceph/osd/{osdid}/in
    POST /nodes/{node}/ceph/osd/{osdid}/out
    POST /nodes/{node}/ceph/osd/{osdid}/scrub
    POST /nodes/{node}/ceph/pool
    PUT DELETE /nodes/{node}/ceph/pool/{name}
    POST /nodes/{node}/ceph/restart
    POST /nodes/{node}/ceph/restart-bulk
    POST /nodes/{node}/ceph/start
    POST /nodes/{node}/ceph/stop
    PUT /nodes/{node}/config
    POST /nodes/{node}/disks/directory
    DELETE /nodes/{node}/disks/directory/{name}
    POST /nodes/{node}/disks/initgpt
    POST /nodes/{node}/disks/lvm
    DELETE /nodes/{node}/disks/lvm/{name}
    POST /nodes/{node}/disks/lvmthin
    DELETE /nodes/{node}/disks/lvmthin/{name}
    POST /nodes/{node}/disks/zfs
    DELETE /nodes/{node}/disks/zfs/{name}
/access Sys.Modify
    POST /access/roles
    PUT DELETE /access/roles/{roleid}
/access/groups Group.Allocate
    POST /access/groups
    PUT DELETE /access/groups/{groupid}
/access/groups User.Modify
    PUT /access/users/{userid}
    POST PUT DELETE /access/users/{userid}/token/{tokenid}
/access/realm Realm.Allocate
    POST /access/domains
    PUT DELETE /access/domains/{realm}
/access/realm/{realm} Realm.AllocateUser + /access/groups User.Modify
    POST /access/domains/{realm}/sync
    POST PUT /cluster/jobs/realm-sync/{id}
/access/realm/{userid_realm} Realm.AllocateUser + /access/groups User.Modify
    POST /access/users
    DELETE /access/users/{userid}
/mapping/cpu Mapping.Modify
    POST /cluster/qemu/custom-cpu-models
/mapping/cpu/{cputype} Mapping.Modify
    PUT DELETE /cluster/qemu/custom-cpu-models/{cputype}
/mapping/dir Mapping.Modify
    POST /cluster/mapping/dir
    DELETE /cluster/mapping/dir/{id}
/mapping/dir/{id} Mapping.Modify
    PUT /cluster/mapping/dir/{id}
/mapping/notifications Mapping.Modify
    DELETE /cluster/notifications/endpoints/gotify/{name}
    DELETE /cluster/notifications/endpoints/sendmail/{name}
    DELETE /cluster/notifications/endpoints/smtp/{name}
    DELETE /cluster/notifications/endpoints/webhook/{name}
    POST /cluster/notifications/matchers
    PUT DELETE /cluster/notifications/matchers/{name}
/mapping/notifications Mapping.Modify + / Sys.Audit + / Sys.Modify or \
/mapping/notifications Mapping.Modify + / Sys.AccessNetwork
    POST /cluster/notifications/endpoints/gotify
    PUT /cluster/notifications/endpoints/gotify/{name}
    POST /cluster/notifications/endpoints/sendmail
    PUT /cluster/notifications/endpoints/sendmail/{name}
    POST /cluster/notifications/endpoints/smtp
    PUT /cluster/notifications/endpoints/smtp/{name}
    POST /cluster/notifications/endpoints/webhook
    PUT /cluster/notifications/endpoints/webhook/{name}
/mapping/notifications Mapping.Modify or /mapping/notifications Mapping.Audit or /mapping/notifications Mapping.Use
    POST /cluster/notifications/targets/{name}/test
/mapping/pci Mapping.Modify
    POST /cluster/mapping/pci
    DELETE /cluster/mapping/pci/{id}
/mapping/pci/{id} Mapping.Modify
    PUT /cluster/mapping/pci/{id}
/mapping/usb Mapping.Modify
    POST /cluster/mapping/usb
    DELETE /cluster/mapping/usb/{id}
/mapping/usb/{id} Mapping.Modify
    PUT /cluster/mapping/usb/{id}
/nodes/{node} Sys.Console
    POST /nodes/{node}/spiceshell
    POST /nodes/{node}/termproxy
    POST /nodes/{node}/vncshell
/nodes/{node} Sys.Modify
    POST PUT /nodes/{node}/apt/repositories
    POST /nodes/{node}/apt/update
    POST PUT DELETE /nodes/{node}/certificates/acme/certificate
    POST DELETE /nodes/{node}/certificates/custom
    PUT /nodes/{node}/dns
    PUT /nodes/{node}/firewall/options
    POST /nodes/{node}/firewall/rules
    PUT DELETE /nodes/{node}/firewall/rules/{pos}
    POST /nodes/{node}/hosts
    POST PUT DELETE /nodes/{node}/network
    PUT DELETE /nodes/{node}/network/{iface}
    POST /nodes/{node}/services/{service}/reload
    POST /nodes/{node}/services/{service}/restart
    POST /nodes/{node}/services/{service}/start
    POST /nodes/{node}/services/{service}/stop
    POST PUT DELETE /nodes/{node}/subscription
    PUT /nodes/{node}/time
/nodes/{node} Sys.PowerMgmt
    POST /nodes/{node}/status
    POST /nodes/{node}/wakeonlan
/pool/{poolid} Pool.Allocate
    POST /pools
    PUT DELETE /pools/{poolid}
/sdn SDN.Allocate
    PUT /cluster/sdn
    POST DELETE /cluster/sdn/lock
    POST /cluster/sdn/rollback
/sdn/controllers SDN.Allocate
    POST /cluster/sdn/controllers
    PUT DELETE /cluster/sdn/controllers/{controller}
/sdn/dns SDN.Allocate
    POST /cluster/sdn/dns
    PUT DELETE /cluster/sdn/dns/{dns}
/sdn/ipams SDN.Allocate
    POST /cluster/sdn/ipams
    PUT DELETE /cluster/sdn/ipams/{ipam}
/sdn/zones SDN.Allocate
    POST /cluster/sdn/zones
/sdn/zones/{zone} SDN.Allocate
    POST /cluster/sdn/vnets
    PUT DELETE /cluster/sdn/zones/{zone}
/sdn/zones/{zone}/{vnet} SDN.Allocate
    POST PUT DELETE /cluster/sdn/vnets/{vnet}/ips
/storage Datastore.Allocate
    POST /storage
    PUT DELETE /storage/{storage}
/storage/{storage} Datastore.AllocateSpace
    POST /nodes/{node}/storage/{storage}/content
/storage/{storage} Datastore.AllocateTemplate
    POST /nodes/{node}/aplinfo
    POST /nodes/{node}/storage/{storage}/upload
/storage/{storage} Datastore.AllocateTemplate + / Sys.Audit + / Sys.Modify or \
/storage/{storage} Datastore.AllocateTemplate + /nodes/{node} Sys.AccessNetwork
    POST /nodes/{node}/storage/{storage}/download-url
/storage/{storage} Datastore.AllocateTemplate + /nodes/{node} Sys.AccessNetwork
    POST /nodes/{node}/storage/{storage}/oci-registry-pull
/vms/{vmid} VM.Allocate
    DELETE /nodes/{node}/{kind}/{vmid}
    POST /nodes/{node}/{kind}/{vmid}/template
/vms/{vmid} VM.Allocate + / Sys.Incoming
    POST /nodes/{node}/{kind}/{vmid}/mtunnel
/vms/{vmid} VM.Clone + /vms/{newid} VM.Allocate
    POST /nodes/{node}/{kind}/{vmid}/clone
/vms/{vmid} VM.Config.Cloudinit
    PUT /nodes/{node}/qemu/{vmid}/cloudinit
/vms/{vmid} VM.Config.Disk
    POST /nodes/{node}/lxc/{vmid}/move_volume
    POST /nodes/{node}/qemu/{vmid}/move_disk
    PUT /nodes/{node}/qemu/{vmid}/unlink
    PUT /nodes/{node}/{kind}/{vmid}/resize
/vms/{vmid} VM.Config.Disk|VM.Config.CDROM|VM.Config.CPU|VM.Config.Memory|VM.Config.Network|VM.Config.HWType|\
VM.Config.Options|VM.Config.Cloudinit
    POST PUT /nodes/{node}/qemu/{vmid}/config
/vms/{vmid} VM.Config.Disk|VM.Config.CPU|VM.Config.Memory|VM.Config.Network|VM.Config.Options
    PUT /nodes/{node}/lxc/{vmid}/config
/vms/{vmid} VM.Config.Network
    POST /nodes/{node}/{kind}/{vmid}/firewall/aliases
    PUT DELETE /nodes/{node}/{kind}/{vmid}/firewall/aliases/{name}
    POST /nodes/{node}/{kind}/{vmid}/firewall/ipset
    POST DELETE /nodes/{node}/{kind}/{vmid}/firewall/ipset/{name}
    PUT DELETE /nodes/{node}/{kind}/{vmid}/firewall/ipset/{name}/{cidr}
    PUT /nodes/{node}/{kind}/{vmid}/firewall/options
    POST /nodes/{node}/{kind}/{vmid}/firewall/rules
    PUT DELETE /nodes/{node}/{kind}/{vmid}/firewall/rules/{pos}
/vms/{vmid} VM.Console
    PUT /nodes/{node}/qemu/{vmid}/sendkey
    POST /nodes/{node}/{kind}/{vmid}/spiceproxy
    POST /nodes/{node}/{kind}/{vmid}/termproxy
    POST /nodes/{node}/{kind}/{vmid}/vncproxy
/vms/{vmid} VM.GuestAgent.Audit|VM.GuestAgent.FileSystemMgmt|VM.GuestAgent.Unrestricted
    POST /nodes/{node}/qemu/{vmid}/agent/fsfreeze-status
/vms/{vmid} VM.GuestAgent.Audit|VM.GuestAgent.Unrestricted
    POST /nodes/{node}/qemu/{vmid}/agent/ping
/vms/{vmid} VM.GuestAgent.FileSystemMgmt|VM.GuestAgent.Unrestricted
    POST /nodes/{node}/qemu/{vmid}/agent/fsfreeze-freeze
    POST /nodes/{node}/qemu/{vmid}/agent/fsfreeze-thaw
    POST /nodes/{node}/qemu/{vmid}/agent/fstrim
/vms/{vmid} VM.GuestAgent.FileWrite|VM.GuestAgent.Unrestricted
    POST /nodes/{node}/qemu/{vmid}/agent/file-write
/vms/{vmid} VM.GuestAgent.Unrestricted
    POST /nodes/{node}/qemu/{vmid}/agent
    POST /nodes/{node}/qemu/{vmid}/agent/exec
    POST /nodes/{node}/qemu/{vmid}/agent/set-user-password
/vms/{vmid} VM.Migrate
    POST /nodes/{node}/qemu/{vmid}/dbus-vmstate
    POST /nodes/{node}/{kind}/{vmid}/migrate
    POST /nodes/{node}/{kind}/{vmid}/remote_migrate
/vms/{vmid} VM.PowerMgmt
    POST /nodes/{node}/qemu/{vmid}/status/reset
    POST /nodes/{node}/{kind}/{vmid}/status/reboot
    POST /nodes/{node}/{kind}/{vmid}/status/resume
    POST /nodes/{node}/{kind}/{vmid}/status/shutdown
    POST /nodes/{node}/{kind}/{vmid}/status/start
    POST /nodes/{node}/{kind}/{vmid}/status/stop
    POST /nodes/{node}/{kind}/{vmid}/status/suspend
/vms/{vmid} VM.PowerMgmt|VM.GuestAgent.Unrestricted
    POST /nodes/{node}/qemu/{vmid}/agent/shutdown
    POST /nodes/{node}/qemu/{vmid}/agent/suspend-disk
    POST /nodes/{node}/qemu/{vmid}/agent/suspend-hybrid
    POST /nodes/{node}/qemu/{vmid}/agent/suspend-ram
/vms/{vmid} VM.Snapshot
    POST /nodes/{node}/{kind}/{vmid}/snapshot
    DELETE /nodes/{node}/{kind}/{vmid}/snapshot/{snapname}
    PUT /nodes/{node}/{kind}/{vmid}/snapshot/{snapname}/config
/vms/{vmid} VM.Snapshot|VM.Snapshot.Rollback
    POST /nodes/{node}/{kind}/{vmid}/snapshot/{snapname}/rollback
modify {path}
    PUT /access/acl
root
    POST /cluster/acme/account
    PUT DELETE /cluster/acme/account/{name}
    POST /cluster/config
    POST /cluster/config/join
    POST DELETE /cluster/config/nodes/{node}
    POST /nodes/{node}/ceph/osd
    DELETE /nodes/{node}/ceph/osd/{osdid}
    PUT /nodes/{node}/disks/wipedisk
    POST /nodes/{node}/storage/{storage}/content/{volume}
ticket
    PUT /access/password
    POST /access/tfa/{userid}
    PUT DELETE /access/tfa/{userid}/{id}
[8.0-] /access/groups User.Modify
    PUT /access/users/{userid}/unlock-tfa
[8.1-] /pool/{poolid} Pool.Allocate
    PUT DELETE /pools
[9.0-] /vms/{vmid} Sys.Audit|Sys.Modify
    POST /nodes/{node}/qemu/{vmid}/monitor
[-9.0] /vms/{vmid} VM.Monitor|Sys.Audit|Sys.Modify
    POST /nodes/{node}/qemu/{vmid}/monitor
[8.0-] root
    POST /nodes/{node}/execute
[-8.0] /nodes/{node} Sys.Audit
    POST /nodes/{node}/execute
"""

# The answer to these calls tells nothing about rights, so they are left out; why, and what stands in for them, is in
# docs/proof.md.
_NOT_PROVABLE = """
handler
    POST /cluster/bulk-action/guest/migrate
    POST /cluster/bulk-action/guest/shutdown
    POST /cluster/bulk-action/guest/start
    POST /cluster/bulk-action/guest/suspend
    POST /cluster/replication
    PUT DELETE /cluster/replication/{id}
    PUT DELETE /cluster/sdn/vnets/{vnet}
    PUT /cluster/sdn/vnets/{vnet}/firewall/options
    POST /cluster/sdn/vnets/{vnet}/firewall/rules
    PUT DELETE /cluster/sdn/vnets/{vnet}/firewall/rules/{pos}
    POST /cluster/sdn/vnets/{vnet}/subnets
    PUT DELETE /cluster/sdn/vnets/{vnet}/subnets/{subnet}
    POST /nodes/{node}/lxc
    POST /nodes/{node}/migrateall
    POST /nodes/{node}/qemu
    POST /nodes/{node}/replication/{id}/schedule_now
    POST /nodes/{node}/startall
    POST /nodes/{node}/stopall
    PUT DELETE /nodes/{node}/storage/{storage}/content/{volume}
    DELETE /nodes/{node}/storage/{storage}/prunebackups
    POST /nodes/{node}/suspendall
    DELETE /nodes/{node}/tasks/{upid}
    POST /nodes/{node}/vzdump
no log-in
    POST /access/openid/auth-url
    POST /access/openid/login
    POST /access/ticket
    POST /access/vncticket
open-ended
    POST /cluster/ha/rules
    PUT /cluster/ha/rules/{rule}
    POST /cluster/sdn/fabrics/fabric
    PUT DELETE /cluster/sdn/fabrics/fabric/{id}
    POST /cluster/sdn/fabrics/node/{fabric_id}
    PUT DELETE /cluster/sdn/fabrics/node/{fabric_id}/{node_id}
"""

_KINDS = {
    "/nodes/{node}/qemu/{vmid}": "qemu",
    "/nodes/{node}/lxc/{vmid}": "lxc",
    "/nodes/{node}/storage": "storage",
    "/storage": "storage",
    "/nodes": "node",
    "/pools": "pool",
    "/access/acl": "acl",
    "/access": "access",
    "/cluster/sdn": "sdn",
    "/cluster/mapping": "mapping",
    "/cluster/notifications": "mapping",
    "/cluster/qemu": "mapping",
    "/cluster": "cluster",
}


@dataclass(frozen=True)
class Write(Method):
    """A method that changes something."""

    @property
    def kind(self) -> str:
        """What type of object it belongs to: qemu, lxc, node, storage, pool, access, acl, sdn, mapping or cluster."""
        return next(kind for prefix, kind in _KINDS.items() if f"{self.path}/".startswith(f"{prefix}/"))


@cache
def writes(release: Release) -> tuple[Write, ...]:
    """Return every write of the release whose permission check can be seen from outside."""
    return tuple(
        Write(found.method, found.path, found.check, found.since, found.until) for found in methods(_WRITES, release)
    )


def not_provable() -> dict[tuple[str, str], str]:
    """Return the calls (method, path) that no probe can tell anything about, each with the reason."""
    return {(method, path): heading for heading, method, path in rows(_NOT_PROVABLE)}
