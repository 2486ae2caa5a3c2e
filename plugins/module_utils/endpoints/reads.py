"""Which calls of PVE read, which privileges it asks for, and which ones it takes to see all that they have to show.

Three tables of 9.2, written as ``tables.py`` says. The first has the reads that are granted or refused as a whole, with
the check that PVE declares. The second has those that leave out what one may not see; most of them answer everybody.
Its headings are what it takes to see every row and field; a path with several headings takes all of them. Where it
depends on a parameter, that stands behind the path (``?type=vm``, or ``?userid=*`` for any value). What the path and
the parameters do not say stands for every object of its kind: ``/vms/{vmid}`` for a list is each guest. The third has
those for which nobody can tell beforehand.

What everybody sees in full is in ``everybody.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from ..access.releases import Release
from .checks import Check
from .tables import Method, methods, rows

_READS = """
/ Sys.Audit
    /cluster/backup
    /cluster/backup-info/not-backed-up
    /cluster/backup/{id}
    /cluster/backup/{id}/included_volumes
    /cluster/ceph/flags
    /cluster/ceph/flags/{flag}
    /cluster/config
    /cluster/config/apiversion
    /cluster/config/join
    /cluster/config/nodes
    /cluster/config/qdevice
    /cluster/config/totem
    /cluster/firewall/aliases
    /cluster/firewall/aliases/{name}
    /cluster/firewall/groups/{group}
    /cluster/firewall/groups/{group}/{pos}
    /cluster/firewall/ipset
    /cluster/firewall/ipset/{name}
    /cluster/firewall/ipset/{name}/{cidr}
    /cluster/firewall/options
    /cluster/firewall/refs
    /cluster/firewall/rules
    /cluster/firewall/rules/{pos}
    /cluster/ha
    /cluster/ha/groups
    /cluster/ha/groups/{group}
    /cluster/ha/resources
    /cluster/ha/resources/{sid}
    /cluster/ha/status/current
    /cluster/ha/status/manager_status
    /cluster/jobs/realm-sync
    /cluster/jobs/realm-sync/{id}
    /cluster/metrics/export
    /cluster/metrics/server
    /cluster/metrics/server/{id}
    /cluster/status
    /nodes/{node}/ceph/cfg/value
    /nodes/{node}/ceph/cmd-safety
    /nodes/{node}/ceph/osd/{osdid}/lv-info
    /nodes/{node}/ceph/osd/{osdid}/metadata
    /nodes/{node}/config
    /nodes/{node}/disks/directory
    /nodes/{node}/disks/lvm
    /nodes/{node}/disks/lvmthin
    /nodes/{node}/disks/smart
    /nodes/{node}/disks/zfs
    /nodes/{node}/disks/zfs/{name}
    /nodes/{node}/hosts
/ Sys.Audit + / Sys.Modify or /nodes/{node} Sys.AccessNetwork
    /nodes/{node}/query-url-metadata
/ Sys.Audit or /nodes/{node} Sys.Audit
    /nodes/{node}/disks/list
/ Sys.Audit|Datastore.Audit
    /cluster/ceph/metadata
    /cluster/ceph/status
    /nodes/{node}/ceph
    /nodes/{node}/ceph/cfg/db
    /nodes/{node}/ceph/cfg/raw
    /nodes/{node}/ceph/crush
    /nodes/{node}/ceph/fs
    /nodes/{node}/ceph/mds
    /nodes/{node}/ceph/mgr
    /nodes/{node}/ceph/mon
    /nodes/{node}/ceph/osd
    /nodes/{node}/ceph/pool
    /nodes/{node}/ceph/pool/{name}
    /nodes/{node}/ceph/pool/{name}/status
    /nodes/{node}/ceph/releases
    /nodes/{node}/ceph/rules
    /nodes/{node}/ceph/status
/ Sys.Audit|Sys.Modify
    /nodes/{node}/hardware/pci
    /nodes/{node}/hardware/pci/{pci-id-or-mapping}/mdev
/ Sys.Modify
    /cluster/acme/plugins
    /cluster/acme/plugins/{id}
    /nodes/{node}/hardware/usb
/access/groups Sys.Audit|Group.Allocate
    /access/groups/{groupid}
/access/groups User.Modify
    /access/users/{userid}/token
    /access/users/{userid}/token/{tokenid}
/access/groups User.Modify|Sys.Audit
    /access/users/{userid}
    /access/users/{userid}/tfa
/access/realm Realm.Allocate|Sys.Audit
    /access/domains/{realm}
/mapping/cpu/{cputype} Mapping.Audit|Mapping.Use|Mapping.Modify
    /cluster/qemu/custom-cpu-models/{cputype}
/mapping/dir/{id} Mapping.Use|Mapping.Modify|Mapping.Audit
    /cluster/mapping/dir/{id}
/mapping/pci/{id} Mapping.Use|Mapping.Modify|Mapping.Audit
    /cluster/mapping/pci/{id}
/mapping/usb/{id} Mapping.Audit|Mapping.Use|Mapping.Modify
    /cluster/mapping/usb/{id}
/nodes Sys.Audit or /mapping/cpu Mapping.Audit|Mapping.Use|Mapping.Modify
    /cluster/qemu/cpu-flags
/nodes/{node} Sys.AccessNetwork
    /nodes/{node}/query-oci-repo-tags
/nodes/{node} Sys.Audit
    /cluster/acme/meta
    /cluster/sdn/dry-run
    /nodes/{node}/apt/repositories
    /nodes/{node}/apt/versions
    /nodes/{node}/capabilities/qemu/migration
    /nodes/{node}/dns
    /nodes/{node}/firewall/options
    /nodes/{node}/firewall/rules
    /nodes/{node}/firewall/rules/{pos}
    /nodes/{node}/netstat
    /nodes/{node}/network/{iface}
    /nodes/{node}/report
    /nodes/{node}/rrd
    /nodes/{node}/rrddata
    /nodes/{node}/services
    /nodes/{node}/services/{service}
    /nodes/{node}/services/{service}/state
    /nodes/{node}/status
    /nodes/{node}/time
/nodes/{node} Sys.Console
    /nodes/{node}/vncwebsocket
/nodes/{node} Sys.Modify
    /nodes/{node}/apt/changelog
    /nodes/{node}/apt/update
/nodes/{node} Sys.Syslog
    /nodes/{node}/ceph/log
    /nodes/{node}/firewall/log
    /nodes/{node}/journal
    /nodes/{node}/syslog
/sdn SDN.Audit
    /cluster/sdn
/sdn/controllers/{controller} SDN.Allocate
    /cluster/sdn/controllers/{controller}
/sdn/dns/{dns} SDN.Allocate
    /cluster/sdn/dns/{dns}
/sdn/ipams/{ipam} SDN.Allocate
    /cluster/sdn/ipams/{ipam}
/sdn/zones/{zone} SDN.Allocate
    /cluster/sdn/zones/{zone}
/sdn/zones/{zone} SDN.Audit
    /nodes/{node}/sdn/zones/{zone}
    /nodes/{node}/sdn/zones/{zone}/bridges
    /nodes/{node}/sdn/zones/{zone}/content
    /nodes/{node}/sdn/zones/{zone}/ip-vrf
/storage Datastore.Allocate
    /nodes/{node}/scan/cifs
    /nodes/{node}/scan/iscsi
    /nodes/{node}/scan/lvm
    /nodes/{node}/scan/lvmthin
    /nodes/{node}/scan/nfs
    /nodes/{node}/scan/pbs
    /nodes/{node}/scan/zfs
/storage/{storage} Datastore.Allocate
    /storage/{storage}
/storage/{storage} Datastore.Audit|Datastore.AllocateSpace
    /nodes/{node}/storage/{storage}
    /nodes/{node}/storage/{storage}/content
    /nodes/{node}/storage/{storage}/identity
    /nodes/{node}/storage/{storage}/prunebackups
    /nodes/{node}/storage/{storage}/rrd
    /nodes/{node}/storage/{storage}/rrddata
    /nodes/{node}/storage/{storage}/status
/vms/{vmid} VM.Audit
    /nodes/{node}/qemu/{vmid}/cloudinit
    /nodes/{node}/qemu/{vmid}/cloudinit/dump
    /nodes/{node}/{kind}/{vmid}/config
    /nodes/{node}/{kind}/{vmid}/feature
    /nodes/{node}/{kind}/{vmid}/firewall/aliases
    /nodes/{node}/{kind}/{vmid}/firewall/aliases/{name}
    /nodes/{node}/{kind}/{vmid}/firewall/ipset
    /nodes/{node}/{kind}/{vmid}/firewall/ipset/{name}
    /nodes/{node}/{kind}/{vmid}/firewall/ipset/{name}/{cidr}
    /nodes/{node}/{kind}/{vmid}/firewall/options
    /nodes/{node}/{kind}/{vmid}/firewall/refs
    /nodes/{node}/{kind}/{vmid}/firewall/rules
    /nodes/{node}/{kind}/{vmid}/firewall/rules/{pos}
    /nodes/{node}/{kind}/{vmid}/pending
    /nodes/{node}/{kind}/{vmid}/rrd
    /nodes/{node}/{kind}/{vmid}/rrddata
    /nodes/{node}/{kind}/{vmid}/snapshot
    /nodes/{node}/{kind}/{vmid}/status/current
/vms/{vmid} VM.Console
    /nodes/{node}/{kind}/{vmid}/firewall/log
    /nodes/{node}/{kind}/{vmid}/vncwebsocket
/vms/{vmid} VM.GuestAgent.Audit|VM.GuestAgent.Unrestricted
    /nodes/{node}/qemu/{vmid}/agent/get-fsinfo
    /nodes/{node}/qemu/{vmid}/agent/get-host-name
    /nodes/{node}/qemu/{vmid}/agent/get-memory-block-info
    /nodes/{node}/qemu/{vmid}/agent/get-memory-blocks
    /nodes/{node}/qemu/{vmid}/agent/get-osinfo
    /nodes/{node}/qemu/{vmid}/agent/get-time
    /nodes/{node}/qemu/{vmid}/agent/get-timezone
    /nodes/{node}/qemu/{vmid}/agent/get-users
    /nodes/{node}/qemu/{vmid}/agent/get-vcpus
    /nodes/{node}/qemu/{vmid}/agent/info
    /nodes/{node}/qemu/{vmid}/agent/network-get-interfaces
/vms/{vmid} VM.GuestAgent.FileRead|VM.GuestAgent.Unrestricted
    /nodes/{node}/qemu/{vmid}/agent/file-read
/vms/{vmid} VM.GuestAgent.Unrestricted
    /nodes/{node}/qemu/{vmid}/agent/exec-status
/vms/{vmid} VM.Migrate
    /nodes/{node}/{kind}/{vmid}/migrate
/vms/{vmid} VM.Snapshot|VM.Snapshot.Rollback|VM.Audit
    /nodes/{node}/{kind}/{vmid}/snapshot/{snapname}/config
[8.0-] /access/groups User.Modify|Sys.Audit
    /access/tfa/{userid}
    /access/tfa/{userid}/{id}
[-8.0] ticket
    /access/tfa
    /access/tfa/{userid}
    /access/tfa/{userid}/{id}
[9.0-] / Sys.Audit
    /cluster/ha/rules
    /cluster/ha/rules/{rule}
[8.1-] /mapping/notifications Mapping.Audit
    /cluster/notifications/endpoints/gotify
    /cluster/notifications/endpoints/webhook
[8.1-] /mapping/notifications Mapping.Modify|Mapping.Audit
    /cluster/notifications/endpoints/gotify/{name}
    /cluster/notifications/endpoints/sendmail
    /cluster/notifications/endpoints/sendmail/{name}
    /cluster/notifications/endpoints/smtp
    /cluster/notifications/endpoints/smtp/{name}
    /cluster/notifications/endpoints/webhook/{name}
    /cluster/notifications/matcher-field-values
    /cluster/notifications/matcher-fields
    /cluster/notifications/matchers/{name}
[8.1-] /mapping/notifications Mapping.Modify|Mapping.Audit|Mapping.Use
    /cluster/notifications/matchers
    /cluster/notifications/targets
[-7.0] /pool/{poolid} Pool.Allocate
    /pools/{poolid}
[7.0-] /pool/{poolid} Pool.Audit
    /pools/{poolid}
[9.0-] /sdn/fabrics SDN.Audit
    /cluster/sdn/fabrics
[9.0-] /sdn/fabrics/{fabric_id} SDN.Audit
    /cluster/sdn/fabrics/node/{fabric_id}
[9.0-] /sdn/fabrics/{fabric_id} SDN.Audit|SDN.Allocate + /nodes/{node_id} Sys.Audit|Sys.Modify
    /cluster/sdn/fabrics/node/{fabric_id}/{node_id}
[9.0-] /sdn/fabrics/{fabric} SDN.Audit
    /nodes/{node}/sdn/fabrics/{fabric}
    /nodes/{node}/sdn/fabrics/{fabric}/interfaces
    /nodes/{node}/sdn/fabrics/{fabric}/neighbors
    /nodes/{node}/sdn/fabrics/{fabric}/routes
[9.0-] /sdn/fabrics/{id} SDN.Audit|SDN.Allocate
    /cluster/sdn/fabrics/fabric/{id}
[8.1-] /vms/{vmid} VM.Audit
    /nodes/{node}/lxc/{vmid}/interfaces
root
    /cluster/acme/account/{name}
    /cluster/backup-info
[8.3-] root
    /cluster/sdn/vnets/{vnet}/firewall
"""

_SHOWN = """
/ Sys.Audit
    /cluster/options
    /cluster/tasks
/ Sys.Syslog
    /cluster/log
/access Sys.Audit
    /access/acl
    /access/permissions?userid=*
/access/groups Sys.Audit|User.Modify
    /access/users
[8.0-] /access/groups Sys.Audit|User.Modify
    /access/tfa
/access/groups/{groupid} Sys.Audit|User.Modify|Group.Allocate
    /access/groups
/mapping/cpu/{cputype} Mapping.Audit|Mapping.Use|Mapping.Modify
    /cluster/qemu/custom-cpu-models
    /nodes/{node}/capabilities/qemu/cpu
/mapping/dir/{id} Mapping.Audit|Mapping.Use|Mapping.Modify
    /cluster/mapping/dir
/mapping/pci/{id} Mapping.Audit|Mapping.Use|Mapping.Modify
    /cluster/mapping/pci
/mapping/usb/{id} Mapping.Audit|Mapping.Use|Mapping.Modify
    /cluster/mapping/usb
/nodes/{node} Sys.Audit
    /cluster/resources
    /cluster/resources?type=node
    /nodes
    /nodes/{node}/subscription
    /nodes/{node}/tasks
    /nodes/{node}/tasks/{upid}/log
    /nodes/{node}/tasks/{upid}/status
    /nodes/{node}/vzdump/defaults
[-7.0] /pool/{poolid} Pool.Allocate
    /cluster/resources
    /cluster/resources?type=vm
    /pools
[7.0-] /pool/{poolid} Pool.Audit
    /cluster/resources
    /cluster/resources?type=vm
    /pools
/sdn/controllers/{controller} SDN.Audit|SDN.Allocate
    /cluster/sdn/controllers
/sdn/dns/{dns} SDN.Audit|SDN.Allocate
    /cluster/sdn/dns
[9.0-] /sdn/fabrics/{fabric} SDN.Audit|SDN.Allocate
    /cluster/resources
    /cluster/sdn/fabrics/all
    /cluster/sdn/fabrics/fabric
[9.0-] /sdn/fabrics/{fabric} SDN.Audit|SDN.Allocate + /nodes/{node} Sys.Audit|Sys.Modify
    /cluster/sdn/fabrics/all
    /cluster/sdn/fabrics/node
[9.0-] /nodes/{node} Sys.Audit|Sys.Modify
    /cluster/sdn/fabrics/node/{fabric_id}
/sdn/ipams/{ipam} SDN.Audit|SDN.Allocate
    /cluster/sdn/ipams
/sdn/zones/localnetwork/{bridge} SDN.Audit|SDN.Use
    /nodes/{node}/network
/sdn/zones/{zone} SDN.Audit
    /cluster/resources
    /nodes/{node}/sdn/zones
[-9.1] /sdn/zones/{zone} SDN.Audit
    /cluster/resources?type=sdn
/sdn/zones/{zone} SDN.Audit|SDN.Allocate
    /cluster/sdn/zones
/sdn/zones/{zone}/{vnet} SDN.Audit
    /nodes/{node}/sdn/vnets/{vnet}
    /nodes/{node}/sdn/vnets/{vnet}/mac-vrf
/sdn/zones/{zone}/{vnet} SDN.Audit|SDN.Allocate
    /cluster/sdn/ipams/{ipam}/status
    /cluster/sdn/vnets
    /cluster/sdn/vnets/{vnet}
    /cluster/sdn/vnets/{vnet}/subnets
    /cluster/sdn/vnets/{vnet}/subnets/{subnet}
[8.3-] /sdn/zones/{zone}/{vnet} SDN.Audit|SDN.Allocate
    /cluster/sdn/vnets/{vnet}/firewall/options
    /cluster/sdn/vnets/{vnet}/firewall/rules
    /cluster/sdn/vnets/{vnet}/firewall/rules/{pos}
/storage/{storage} Datastore.Allocate
    /nodes/{node}/storage/{storage}/content
/storage/{storage} Datastore.Audit
    /cluster/resources
    /cluster/resources?type=storage
/storage/{storage} Datastore.Audit|Datastore.AllocateSpace
    /nodes/{node}/storage
    /nodes/{node}/vzdump/defaults
    /storage
/vms/{job_guest} VM.Audit
    /cluster/replication/{id}
    /nodes/{node}/replication/{id}/status
/vms/{job_guest} VM.Audit or /nodes/{node} Sys.Audit
    /nodes/{node}/replication/{id}/log
/vms/{vmid} VM.Audit
    /cluster/replication
    /cluster/resources
    /cluster/resources?type=vm
    /nodes/{node}/lxc
    /nodes/{node}/qemu
    /nodes/{node}/replication
"""

_OPAQUE = """
it continues a migration, with a ticket that only the server which began it has
    /nodes/{node}/{kind}/{vmid}/mtunnelwebsocket
it depends on what the volume holds: disks, templates and backups each take other privileges
    /nodes/{node}/storage/{storage}/content/{volume}
    /nodes/{node}/storage/{storage}/file-restore/download
    /nodes/{node}/storage/{storage}/file-restore/list
    /nodes/{node}/storage/{storage}/import-metadata
    /nodes/{node}/vzdump/extractconfig
"""

ANY_VALUE = "*"
Shown = tuple[str, str, Check]  # name of a parameter, its value, and what it takes then; ("", "", ...) without one


@cache
def reads(release: Release) -> tuple[Method, ...]:
    """Return every read of the release that is granted or refused as a whole."""
    return tuple(methods(_READS, release))


@cache
def shown(release: Release) -> Mapping[str, tuple[Shown, ...]]:
    """Return, for each read that leaves out what one may not see, what it takes to see everything."""
    found: dict[str, list[Shown]] = {}
    for method in methods(_SHOWN, release):
        path, unused, query = method.path.partition("?")
        name, unused, value = query.partition("=")
        found.setdefault(path, []).append((name, value, method.check))
    return {path: tuple(lines) for path, lines in found.items()}


def opaque() -> Mapping[str, str]:
    """Return the reads of which nobody can tell beforehand what they take, each with the reason."""
    return {path: heading for heading, unused, path in rows(_OPAQUE)}
