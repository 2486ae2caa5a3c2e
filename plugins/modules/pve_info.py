#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Gather facts about a Proxmox VE cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_info
short_description: Gather facts about a Proxmox VE cluster
version_added: 0.1.0
description:
  - Reads what there is, and changes nothing. It cannot, either, because what gathers has no way to send anything but
    GET requests.
  - PVE shows to each caller only what he may see, without saying so, and a node that is down says nothing. Both are
    told here. RV(incomplete) names whatever is missing, and why.
  - One request answers for many objects wherever PVE allows it. What each subset asks, costs and needs to be seen is
    written in C(docs/facts.md) of the collection.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.reads
  - homelab.pve.attributes.action_group
options:
  gather:
    description:
      - What to gather facts about. The subsets are V(version), V(cluster), V(cluster_options), V(nodes),
        V(node_status), V(guests), V(guest_status), V(guest_config), V(guest_addresses), V(snapshots), V(storage),
        V(storage_content), V(pools), V(users), V(groups), V(roles), V(tokens), V(acl), V(permissions), V(realms),
        V(firewall), V(guest_firewall), V(tasks), V(log), V(certificates), V(updates), V(ha) and V(sdn).
      - V(base) is V(version), V(cluster), V(nodes), V(guests) and V(storage); V(all) is all of them.
      - A subset, V(base) or V(all) with V(!) before it is left out. Where only such ones are given, all others are
        gathered. A subset that is named stays in whatever happens to V(base) and V(all), so that V(!all) and V(users)
        are V(users).
    type: list
    elements: str
    default: [base]
  filters:
    description:
      - Which nodes and guests the facts are wanted of. Of each list one has to fit, and an empty list lets everything
        through.
      - O(filters.node) is for facts about nodes, too; the others are for guests only.
    type: dict
    suboptions:
      node:
        description: Nodes, as shell patterns. One that is written out has to exist.
        type: list
        elements: str
      vmid:
        description: Numbers of guests.
        type: list
        elements: int
      type:
        description: V(qemu) for virtual machines, V(lxc) for containers.
        type: list
        elements: str
        choices: [qemu, lxc]
      pool:
        description: Pools. Guests in the pools inside of one count, too.
        type: list
        elements: str
      tag:
        description: Tags.
        type: list
        elements: str
      status:
        description: States, such as V(running) or V(stopped); V(unknown) is that of guests on nodes that are down.
        type: list
        elements: str
      name:
        description: Names, as shell patterns.
        type: list
        elements: str
  concurrency:
    description:
      - How many questions are under way at a time, from V(1) to V(32). Agents of guests on the same node are asked two
        at a time whatever it says, because each of them occupies one of the three workers of that node.
    type: int
    default: 16
  tasks_limit:
    description: How many tasks of each node are listed, from V(1) on.
    type: int
    default: 50
  descriptions:
    description:
      - Whether to return the descriptions of guests, snapshots and the datacenter, and the notes of backups. People
        write all kinds of things there.
    type: bool
    default: false
  ssh_keys:
    description: Whether to return the public SSH keys that cloud-init puts into guests. They name people and machines.
    type: bool
    default: false
notes:
  - Whatever the options say, passwords of cloud-init, environments of containers and the secrets of realms and storages
    are not returned.
seealso:
  - module: homelab.pve.pve_proof
"""

EXAMPLES = r"""
---
- name: See the cluster, its nodes, guests and storages
  homelab.pve.pve_info:
  register: pve

- name: Stop if anything of that could not be seen
  ansible.builtin.assert:
    that: not pve.incomplete
    fail_msg: "{{ pve.incomplete | map(attribute='reason') | join(' ') }}"

- name: See how the web servers are configured, and where to reach them
  homelab.pve.pve_info:
    gather: [guest_config, guest_addresses]
    filters:
      tag: [web]
      status: [running]

- name: See who may do what
  homelab.pve.pve_info:
    gather: [users, groups, roles, tokens, acl, pools]

- name: See one guest with everything around it
  homelab.pve.pve_info:
    gather: [guests, guest_status, guest_config, guest_addresses, guest_firewall, snapshots]
    filters:
      vmid: [100]
    descriptions: true

- name: See everything but the logs
  homelab.pve.pve_info:
    gather: ['!log', '!tasks']
"""

RETURN = r"""
---
gathered:
  description: The subsets that were gathered, one key each.
  returned: success
  type: list
  elements: str
  sample: [version, cluster, nodes, guests, storage]
caller:
  description: Who asked. What is hidden is hidden from this token or user.
  returned: success
  type: str
  sample: reader@pve!facts
incomplete:
  description:
    - What is missing from the facts, and why; empty when nothing is.
    - A subset of which nothing could be read is null, and so is one that came out empty while some of it is hidden. The
      same goes for lists inside of subsets. An empty list always means that there is nothing.
  returned: success
  type: list
  elements: dict
  contains:
    subset:
      description: Subset that lacks something.
      type: str
    node:
      description: Node that it is about; null when it is about more than one, or none.
      type: str
    vmid:
      description: Guest that it is about; null when it is about more than one, or none.
      type: int
    kind:
      description:
        - V(hidden) when the caller may not see it, V(offline) when its node is down, V(timeout) when no answer came in
          time, V(failed) when PVE answered with an error, or does not have it in this release.
      type: str
    reason:
      description: What is missing, in words, with the privilege that would show it.
      type: str
  sample:
    - subset: guest_status
      node: pve3
      vmid: null
      kind: offline
      reason: pve3 is offline.
requests:
  description: How many questions PVE was asked.
  returned: success
  type: int
  sample: 5
version:
  description: What PVE says of its version.
  returned: when O(gather) has it
  type: dict
  contains:
    version:
      description: Version of pve-manager.
      type: str
    release:
      description: Release of PVE.
      type: str
    repoid:
      description: Commit that it was built from.
      type: str
  sample: {version: 9.2.11, release: '9.2', repoid: 14a22df35955d97d}
cluster:
  description: The state of the cluster. C(name), C(quorate) and C(version) are null for a node that stands alone.
  returned: when O(gather) has it
  type: dict
  contains:
    clustered:
      description: Whether there is a cluster; a node can stand alone.
      type: bool
    name:
      description: Name of the cluster.
      type: str
    quorate:
      description: Whether the cluster has a quorum; without one, nothing can be changed.
      type: bool
    version:
      description: Version of the cluster's configuration.
      type: int
    nodes:
      description: How many nodes there are.
      type: int
    online:
      description: How many of them are online.
      type: int
    answering:
      description: The node that answers.
      type: str
  sample: {clustered: true, name: homelab, quorate: true, version: 2, nodes: 2, online: 2, answering: ugreen}
cluster_options:
  description:
    - Options of the datacenter that are set, as PVE has them. The description is among them only with
      O(descriptions=true), and passwords of proxies never.
  returned: when O(gather) has it
  type: dict
  sample: {allowed-tags: [backup, dev, dns, prod, test, web], keyboard: de, mac_prefix: 'BC:24:11'}
nodes:
  description: The wanted nodes. Figures are null for a node that is down, and where the caller may not see them.
  returned: when O(gather) has it
  type: list
  elements: dict
  contains:
    node:
      description: Name of the node.
      type: str
    status:
      description: V(online), V(offline), or V(unknown) while no figures come from it.
      type: str
    level:
      description: Level of the subscription.
      type: str
    hastate:
      description: State that high availability sees it in.
      type: str
    cpu:
      description: Used part of all its processors, from V(0) to V(1).
      type: float
    maxcpu:
      description: Processors.
      type: int
    mem:
      description: Used memory in bytes.
      type: int
    maxmem:
      description: Memory in bytes.
      type: int
    disk:
      description: Used part of the root disk in bytes.
      type: int
    maxdisk:
      description: Size of the root disk in bytes.
      type: int
    uptime:
      description: Seconds since it was started.
      type: int
    address:
      description: Address in the cluster network.
      type: str
    nodeid:
      description: Number in the cluster.
      type: int
    local:
      description: Whether it is the node that answers.
      type: bool
  sample: [{node: ugreen, status: online, level: '', hastate: null, cpu: 0.05, maxcpu: 2, mem: 6319127552,
    maxmem: 25276510208, disk: 27055317401, maxdisk: 270553174016, uptime: 5280, address: 192.168.40.2,
    nodeid: 1, local: true}]
node_status:
  description: The status of each wanted node.
  returned: when O(gather) has it
  type: list
  elements: dict
  contains:
    node:
      description: Name of the node.
      type: str
    uptime:
      description: Seconds since it was started.
      type: int
    cpu:
      description: Used part of all its processors, from V(0) to V(1).
      type: float
    wait:
      description: Part of the time that its processors wait for disks.
      type: float
    kversion:
      description: Version of the kernel, in full.
      type: str
    pveversion:
      description: Version of pve-manager.
      type: str
    loadavg:
      description: Load over 1, 5 and 15 minutes.
      type: list
      elements: float
    cpuinfo:
      description: Processors.
      type: dict
      contains:
        model:
          description: Name of the model.
          type: str
        sockets:
          description: Sockets.
          type: int
        cores:
          description: Cores.
          type: int
        cpus:
          description: Threads.
          type: int
        mhz:
          description: Speed in MHz.
          type: float
        hvm:
          description: Whether they can run virtual machines.
          type: bool
        flags:
          description: Flags of the kernel for them.
          type: str
    memory:
      description: Memory in bytes.
      type: dict
      contains:
        total:
          description: All.
          type: int
        used:
          description: In use.
          type: int
        free:
          description: Not in use.
          type: int
        available:
          description: To be had, from PVE 9.0 on.
          type: int
    swap:
      description: Swap space in bytes.
      type: dict
      contains:
        total:
          description: All.
          type: int
        used:
          description: In use.
          type: int
        free:
          description: Not in use.
          type: int
    rootfs:
      description: The root file system in bytes.
      type: dict
      contains:
        total:
          description: All.
          type: int
        used:
          description: In use.
          type: int
        free:
          description: Not in use.
          type: int
        avail:
          description: To be had.
          type: int
    boot:
      description: How it was started, from PVE 8.1 on.
      type: dict
      contains:
        mode:
          description: V(efi) or V(legacy-bios).
          type: str
        secureboot:
          description: Whether secure boot is on.
          type: bool
    kernel:
      description: The kernel that runs, from PVE 8.1 on.
      type: dict
      contains:
        sysname:
          description: Name of the system.
          type: str
        release:
          description: Release.
          type: str
        version:
          description: Version.
          type: str
        machine:
          description: Architecture.
          type: str
  sample: [{node: ugreen, uptime: 5280, cpu: 0.05, loadavg: [0.12, 0.1, 0.08]}]
guests:
  description: The wanted guests, in the order of their numbers. What PVE does not say is null.
  returned: when O(gather) has it
  type: list
  elements: dict
  contains:
    vmid:
      description: Number of the guest.
      type: int
    type:
      description: V(qemu) for a virtual machine, V(lxc) for a container.
      type: str
    node:
      description: Node that it is on.
      type: str
    name:
      description: Its name.
      type: str
    tags:
      description: Its tags.
      type: list
      elements: str
    status:
      description: V(running), V(stopped), ..., or V(unknown) where its node is down.
      type: str
    template:
      description: Whether it is a template.
      type: bool
    pool:
      description: Pool that it is in.
      type: str
    lock:
      description: What it is locked for, such as V(backup).
      type: str
    hastate:
      description: State of the HA resource.
      type: str
    cpu:
      description: Used part of all its processors, from V(0) to V(1).
      type: float
    maxcpu:
      description: Processors.
      type: int
    mem:
      description: Used memory in bytes.
      type: int
    memhost:
      description: Memory that it takes on the host in bytes, from PVE 9.0 on.
      type: int
    maxmem:
      description: Memory in bytes.
      type: int
    disk:
      description: Used part of the root disk in bytes.
      type: int
    maxdisk:
      description: Size of the root disk in bytes.
      type: int
    uptime:
      description: Seconds since it was started.
      type: int
    netin:
      description: Bytes received.
      type: int
    netout:
      description: Bytes sent.
      type: int
    diskread:
      description: Bytes read from disks.
      type: int
    diskwrite:
      description: Bytes written to disks.
      type: int
  sample: [{vmid: 100, type: qemu, node: ugreen, name: vm100, tags: [prod, web], status: running, template: false,
    pool: null, lock: null, hastate: null, cpu: 0.0, maxcpu: 2, mem: 536870912, memhost: 0,
    maxmem: 2147483648, disk: 0, maxdisk: 8589934592, uptime: 1800, netin: 0, netout: 0, diskread: 0,
    diskwrite: 0}]
guest_status:
  description: The status of each wanted guest, as its own node tells it now.
  returned: when O(gather) has it
  type: list
  elements: dict
  contains:
    vmid:
      description: Number of the guest.
      type: int
    node:
      description: Node that it is on.
      type: str
    type:
      description: V(qemu) for a virtual machine, V(lxc) for a container.
      type: str
    name:
      description: Its name.
      type: str
    status:
      description: V(running) or V(stopped).
      type: str
    qmpstatus:
      description: What a virtual machine is doing, such as V(paused).
      type: str
    lock:
      description: What it is locked for.
      type: str
    pid:
      description: Process on the host.
      type: int
    uptime:
      description: Seconds since it was started.
      type: int
    cpu:
      description: Used part of its processors.
      type: float
    cpus:
      description: Processors.
      type: int
    mem:
      description: Used memory in bytes.
      type: int
    memhost:
      description: Memory that it takes on the host in bytes.
      type: int
    maxmem:
      description: Memory in bytes.
      type: int
    swap:
      description: Used swap space of a container in bytes.
      type: int
    maxswap:
      description: Swap space of a container in bytes.
      type: int
    disk:
      description: Used part of the root disk in bytes.
      type: int
    maxdisk:
      description: Size of the root disk in bytes.
      type: int
    netin:
      description: Bytes received.
      type: int
    netout:
      description: Bytes sent.
      type: int
    diskread:
      description: Bytes read from disks.
      type: int
    diskwrite:
      description: Bytes written to disks.
      type: int
    template:
      description: Whether it is a template.
      type: bool
    tags:
      description: Its tags.
      type: list
      elements: str
  sample: [{vmid: 100, node: ugreen, type: qemu, name: vm100, status: running, qmpstatus: running, lock: null,
    pid: 100, uptime: 1800, cpu: 0.0, cpus: 2, mem: 536870912, memhost: 0, maxmem: 2147483648,
    swap: null, maxswap: null, disk: 0, maxdisk: 8589934592, netin: 0, netout: 0, diskread: 1000000,
    diskwrite: 2000000, template: false, tags: [prod, web]}]
guest_config:
  description:
    - The configuration of each wanted guest. Never shown are C(cipassword), C(env), and raw settings that speak of an
      environment, a password, a secret or a token.
  returned: when O(gather) has it
  type: list
  elements: dict
  contains:
    vmid:
      description: Number of the guest.
      type: int
    node:
      description: Node that it is on.
      type: str
    type:
      description: V(qemu) for a virtual machine, V(lxc) for a container.
      type: str
    digest:
      description: Digest of the configuration.
      type: str
    ostype:
      description: PVE's name for its kind of system, such as V(l26) or V(debian).
      type: str
    agent:
      description: Whether the guest agent is switched on. That says nothing about whether it runs.
      type: bool
    config:
      description:
        - All settings that are shown, by name. What waits for a restart counts as done. Numbers, flags and tags are
          typed.
      type: dict
    networks:
      description: Network cards.
      type: list
      elements: dict
      contains:
        id:
          description: Name of the setting, such as V(net0).
          type: str
        model:
          description: Model of the card.
          type: str
        name:
          description: Name inside of a container.
          type: str
        mac:
          description: Hardware address.
          type: str
        bridge:
          description: Bridge that it is on.
          type: str
        tag:
          description: VLAN.
          type: int
        firewall:
          description: Whether the firewall looks at it.
          type: bool
        link_down:
          description: Whether it is unplugged.
          type: bool
        ip:
          description: IPv4 address with its prefix that PVE or cloud-init gives, or V(dhcp) or V(manual).
          type: str
        gw:
          description: IPv4 gateway.
          type: str
        ip6:
          description: IPv6 address with its prefix, or V(auto), V(dhcp) or V(manual).
          type: str
        gw6:
          description: IPv6 gateway.
          type: str
    disks:
      description: Disks, CD drives and mount points.
      type: list
      elements: dict
      contains:
        id:
          description: Name of the setting, such as V(scsi0).
          type: str
        volume:
          description: Volume, or path on the host.
          type: str
        storage:
          description: Storage that the volume is in.
          type: str
        size:
          description: Size in bytes.
          type: int
        media:
          description: V(disk) or V(cdrom).
          type: str
        mountpoint:
          description: Where a container has it.
          type: str
    hidden:
      description: Names of the settings that are left out, because they hold secrets or were not asked for.
      type: list
      elements: str
  sample: [{vmid: 100, node: ugreen, type: qemu, digest: ecca50b600dc8d132eb1fd1ddc46a65772640f8f, ostype: l26,
    agent: true, config: {cores: 2, memory: 2048, name: vm100, tags: [prod, web]}, networks: [
    {id: net0, model: virtio, name: null, mac: 'bc:24:11:00:01:00', bridge: vmbr0, tag: null,
    firewall: true, link_down: false, ip: null, gw: null, ip6: null, gw6: null}], disks: [
    {id: scsi0, volume: 'local:100/vm-100-disk-0.qcow2', storage: local, size: 8589934592,
    media: disk, mountpoint: null}], hidden: [description]}]
guest_addresses:
  description: The addresses of each wanted guest.
  returned: when O(gather) has it
  type: list
  elements: dict
  contains:
    vmid:
      description: Number of the guest.
      type: int
    node:
      description: Node that it is on.
      type: str
    type:
      description: V(qemu) for a virtual machine, V(lxc) for a container.
      type: str
    address:
      description: The address to reach it at. The first IPv4 address, else the first IPv6 address.
      type: str
    addresses:
      description: All of its addresses, but loopback.
      type: list
      elements: dict
      contains:
        interface:
          description: Name of the network interface.
          type: str
        mac:
          description: Hardware address.
          type: str
        address:
          description: The address.
          type: str
        prefix:
          description: Length of the network prefix.
          type: int
        family:
          description: V(4) or V(6).
          type: int
        source:
          description:
            - Who says so. V(agent) in a virtual machine, V(interfaces) of a running container, else V(config).
          type: str
  sample: [{vmid: 100, node: ugreen, type: qemu, address: 192.168.40.100, addresses: [{interface: eth0,
    mac: 'bc:24:11:00:01:00', address: 192.168.40.100, prefix: 24, family: 4, source: agent}]}]
snapshots:
  description: The snapshots of each wanted guest.
  returned: when O(gather) has it
  type: list
  elements: dict
  contains:
    vmid:
      description: Number of the guest.
      type: int
    node:
      description: Node that it is on.
      type: str
    type:
      description: V(qemu) for a virtual machine, V(lxc) for a container.
      type: str
    snapshots:
      description: Its snapshots, the oldest first.
      type: list
      elements: dict
      contains:
        name:
          description: Name.
          type: str
        parent:
          description: Snapshot before it.
          type: str
        snaptime:
          description: When it was taken, in seconds since the epoch.
          type: int
        vmstate:
          description: Whether it holds the memory, too.
          type: bool
        description:
          description: Description.
          returned: with O(descriptions=true)
          type: str
  sample: [{vmid: 100, node: ugreen, type: qemu, snapshots: [{name: before, parent: null, snaptime: 1760000000,
    vmstate: false}]}]
storage:
  description: The storages, one row each however many nodes have them.
  returned: when O(gather) has it
  type: list
  elements: dict
  contains:
    storage:
      description: Name of the storage.
      type: str
    type:
      description: Type, such as V(dir) or V(nfs).
      type: str
    content:
      description: What it may hold.
      type: list
      elements: str
    shared:
      description: Whether it is the same on all nodes.
      type: bool
    enabled:
      description: Whether it is switched on.
      type: bool
    only_nodes:
      description: The nodes that it is restricted to; null when it is on all of them.
      type: list
      elements: str
    options:
      description: What else its definition says, without secrets; null when that could not be read.
      type: dict
    nodes:
      description: What each wanted node says of it.
      type: list
      elements: dict
      contains:
        node:
          description: Name of the node.
          type: str
        status:
          description: V(available), or V(unknown) when the node says nothing.
          type: str
        disk:
          description: Used space in bytes.
          type: int
        maxdisk:
          description: Space in bytes.
          type: int
  sample: [{storage: local, type: dir, content: [backup, images, iso, rootdir, snippets, vztmpl], shared: false,
    enabled: true, only_nodes: null, options: {path: /var/lib/vz}, nodes: [{node: ugreen,
    status: available, disk: 24779710464, maxdisk: 270553174016}, {node: ugreen-2, status: available,
    disk: 24779710464, maxdisk: 270553174016}]}]
storage_content:
  description: What is in the storages of the wanted nodes.
  returned: when O(gather) has it
  type: list
  elements: dict
  contains:
    storage:
      description: Name of the storage.
      type: str
    node:
      description: Node that was asked.
      type: str
    shared:
      description: Whether it is the same on all nodes, and so was asked about once.
      type: bool
    volumes:
      description: What is in it; null when none of it is shown and some may be hidden.
      type: list
      elements: dict
      contains:
        volid:
          description: Volume.
          type: str
        content:
          description: V(images), V(rootdir), V(backup), V(iso), V(vztmpl), V(snippets) or V(import).
          type: str
        subtype:
          description: V(qemu) or V(lxc), for a backup.
          type: str
        format:
          description: Format.
          type: str
        size:
          description: Size in bytes.
          type: int
        used:
          description: Used space in bytes.
          type: int
        vmid:
          description: Guest that it belongs to.
          type: int
        ctime:
          description: When it was made, in seconds since the epoch.
          type: int
        parent:
          description: Volume that it is a clone of.
          type: str
        protected:
          description: Whether it is protected from being deleted.
          type: bool
        notes:
          description: Notes.
          returned: with O(descriptions=true)
          type: str
  sample: [{storage: local, node: ugreen, shared: false, volumes: []}]
pools:
  description: The pools, as M(homelab.pve.pve_pool) returns one.
  returned: when O(gather) has it
  type: list
  elements: dict
  contains:
    poolid:
      description: Id of the pool.
      type: str
    comment:
      description: Comment.
      type: str
    vms:
      description: Guests in it.
      type: list
      elements: int
    storage:
      description: Storages in it.
      type: list
      elements: str
  sample: [{poolid: lab, comment: To play with, vms: [100], storage: [local]}]
users:
  description: The users, as M(homelab.pve.pve_user) returns one.
  returned: when O(gather) has it
  type: list
  elements: dict
  contains:
    userid:
      description: Id of the user.
      type: str
    enable:
      description: Whether he may log in.
      type: bool
    expire:
      description: When the account expires, in seconds since the epoch, V(0) for never.
      type: int
    groups:
      description: His groups.
      type: list
      elements: str
    firstname:
      description: First name.
      type: str
    lastname:
      description: Last name.
      type: str
    email:
      description: Mail address.
      type: str
    comment:
      description: Comment.
      type: str
  sample: [{userid: admin@pve, enable: true, expire: 0, groups: [], firstname: '', lastname: '', email: '',
    comment: ''}]
groups:
  description: The groups, as M(homelab.pve.pve_group) returns one.
  returned: when O(gather) has it
  type: list
  elements: dict
  contains:
    groupid:
      description: Id of the group.
      type: str
    comment:
      description: Comment.
      type: str
  sample: [{groupid: ops, comment: On call}]
roles:
  description: The roles, those of PVE too, as M(homelab.pve.pve_role) returns one.
  returned: when O(gather) has it
  type: list
  elements: dict
  contains:
    roleid:
      description: Id of the role.
      type: str
    privs:
      description: Its privileges.
      type: list
      elements: str
  sample: [{roleid: reader, privs: [VM.Audit]}]
tokens:
  description:
    - The API tokens, as M(homelab.pve.pve_token) returns one, but for C(effective). Nobody can read their secrets.
  returned: when O(gather) has it
  type: list
  elements: dict
  contains:
    tokenid:
      description: Whole id of the token.
      type: str
    privsep:
      description: Whether it is separated from its user.
      type: bool
    expire:
      description: When it expires, in seconds since the epoch, V(0) for never.
      type: int
    comment:
      description: Comment.
      type: str
    usable:
      description: Whether it can log in, which takes that neither it nor its user is expired or disabled.
      type: bool
  sample: [{tokenid: root@pam!admin, privsep: false, expire: 0, comment: '', usable: true}]
acl:
  description: The ACL entries, as M(homelab.pve.pve_acl) returns them.
  returned: when O(gather) has it
  type: list
  elements: dict
  contains:
    path:
      description: ACL path.
      type: str
    type:
      description: V(user), V(group) or V(token).
      type: str
    ugid:
      description: Id of the user, group or token.
      type: str
    roleid:
      description: Id of the role.
      type: str
    propagate:
      description: Whether it holds below the path, too.
      type: bool
  sample: [{path: /, type: user, ugid: admin@pve, roleid: Administrator, propagate: true}]
permissions:
  description: The caller's own rights. ACL path, privilege, and whether it holds below the path, too.
  returned: when O(gather) has it
  type: dict
  sample: {/vms: {VM.Audit: true}}
realms:
  description: The realms, as the login shows them. Their configuration, which may hold secrets, is not asked for.
  returned: when O(gather) has it
  type: list
  elements: dict
  contains:
    realm:
      description: Name of the realm.
      type: str
    type:
      description: V(pam), V(pve), V(ldap), V(ad) or V(openid).
      type: str
    comment:
      description: Comment.
      type: str
    tfa:
      description: Second factor that all its users need.
      type: str
    default:
      description: Whether the login offers it first.
      type: bool
  sample: [{realm: pam, type: pam, comment: Linux PAM standard authentication, tfa: null, default: false}]
firewall:
  description:
    - The firewall of the datacenter (V(cluster)) and of the wanted nodes (such as V(node ugreen)), by place, as
      M(homelab.pve.pve_firewall) returns places. A part that could not be read is null.
  returned: when O(gather) has it
  type: dict
  contains:
    options:
      description: The options that are set, by name.
      type: dict
    aliases:
      description: Aliases of the datacenter or a guest, as M(homelab.pve.pve_fw_alias) returns one.
      type: list
      elements: dict
    ipsets:
      description:
        - IP sets with their entries, as M(homelab.pve.pve_fw_ipset) returns one. C(entries) is null where they could
          not be read.
      type: list
      elements: dict
    groups:
      description: Security groups of the datacenter with their rules, as M(homelab.pve.pve_fw_group) returns one.
      type: list
      elements: dict
    rules:
      description: Rules in their order, as M(homelab.pve.pve_fw_rule) returns them.
      type: list
      elements: dict
  sample: {node ugreen: {options: {}, rules: []}}
guest_firewall:
  description: The firewall of each wanted guest, by place (such as V(guest 100)).
  returned: when O(gather) has it
  type: dict
  contains:
    options:
      description: The options that are set, by name.
      type: dict
    aliases:
      description: Aliases of the datacenter or a guest, as M(homelab.pve.pve_fw_alias) returns one.
      type: list
      elements: dict
    ipsets:
      description:
        - IP sets with their entries, as M(homelab.pve.pve_fw_ipset) returns one. C(entries) is null where they could
          not be read.
      type: list
      elements: dict
    rules:
      description: Rules in their order, as M(homelab.pve.pve_fw_rule) returns them.
      type: list
      elements: dict
  sample: {guest 100: {options: {}, aliases: [], ipsets: [], rules: []}}
tasks:
  description: The newest tasks of each wanted node, O(tasks_limit) at most.
  returned: when O(gather) has it
  type: list
  elements: dict
  contains:
    node:
      description: Name of the node.
      type: str
    tasks:
      description: Its tasks, the newest first.
      type: list
      elements: dict
      contains:
        upid:
          description: Id of the task.
          type: str
        type:
          description: What is done, such as V(qmstart).
          type: str
        id:
          description: What it is done to, such as the number of a guest.
          type: str
        user:
          description: Who started it.
          type: str
        tokenid:
          description: Name of the token that he did it with.
          type: str
        starttime:
          description: When it began, in seconds since the epoch.
          type: int
        endtime:
          description: When it ended; null while it runs.
          type: int
        status:
          description: V(RUNNING), V(OK), or what went wrong.
          type: str
        pid:
          description: Process on the node.
          type: int
  sample: [{node: ugreen, tasks: [{upid: 'UPID:ugreen:0000006C:00052704:68E77800:startall::root@pam!admin:',
    type: startall, id: '', user: root@pam, tokenid: admin, starttime: 1760000000, endtime: 1760000000,
    status: OK, pid: 108}]}]
log:
  description: The cluster's log, the newest line first.
  returned: when O(gather) has it
  type: list
  elements: dict
  contains:
    time:
      description: When, in seconds since the epoch.
      type: int
    node:
      description: Node.
      type: str
    user:
      description: Who.
      type: str
    tag:
      description: Daemon.
      type: str
    pri:
      description: Priority, as syslog has it.
      type: int
    pid:
      description: Process.
      type: int
    uid:
      description: Number of the line on its node.
      type: int
    msg:
      description: What happened.
      type: str
  sample: [{time: 1760000000, node: ugreen, user: root@pam, tag: pvedaemon, pri: 6, pid: 4936, uid: 1,
    msg: successful auth for user root@pam}]
certificates:
  description: The certificates of each wanted node.
  returned: when O(gather) has it
  type: list
  elements: dict
  contains:
    node:
      description: Name of the node.
      type: str
    certificates:
      description: Its certificates.
      type: list
      elements: dict
      contains:
        filename:
          description: File.
          type: str
        subject:
          description: For whom it is.
          type: str
        issuer:
          description: Who issued it.
          type: str
        fingerprint:
          description: SHA-256 fingerprint.
          type: str
        notbefore:
          description: When it begins to hold, in seconds since the epoch.
          type: int
        notafter:
          description: When it expires, in seconds since the epoch.
          type: int
        public_key_type:
          description: Kind of key.
          type: str
        public_key_bits:
          description: Size of the key.
          type: int
        san:
          description: Names and addresses that it is for.
          type: list
          elements: str
  sample: [{node: ugreen, certificates: []}]
updates:
  description: Packages of each wanted node that have an update, as of the node's last look.
  returned: when O(gather) has it
  type: list
  elements: dict
  contains:
    node:
      description: Name of the node.
      type: str
    packages:
      description: Packages with an update.
      type: list
      elements: dict
      contains:
        package:
          description: Name of the package.
          type: str
        title:
          description: What it is.
          type: str
        version:
          description: New version.
          type: str
        old_version:
          description: Installed version.
          type: str
        arch:
          description: Architecture.
          type: str
        origin:
          description: Who made it.
          type: str
        section:
          description: Section.
          type: str
        priority:
          description: Priority.
          type: str
  sample: [{node: ugreen, packages: [{package: pve-manager, version: 9.2.12, old_version: 9.2.11}]}]
ha:
  description: High availability.
  returned: when O(gather) has it
  type: dict
  contains:
    status:
      description: What the managers say of themselves and of the resources.
      type: list
      elements: dict
      contains:
        id:
          description: Id of the line.
          type: str
        type:
          description: V(quorum), V(master), V(lrm), V(fencing) or V(service).
          type: str
        node:
          description: Node.
          type: str
        status:
          description: State in words.
          type: str
        quorate:
          description: Whether there is a quorum.
          type: bool
        timestamp:
          description: When that was, in seconds since the epoch.
          type: int
        sid:
          description: Id of the resource.
          type: str
        state:
          description: State of the resource.
          type: str
        crm_state:
          description: What the manager is about to do with it.
          type: str
        request_state:
          description: State that was asked for.
          type: str
    resources:
      description: The resources.
      type: list
      elements: dict
      contains:
        sid:
          description: Id, such as V(vm:100).
          type: str
        type:
          description: V(vm) or V(ct).
          type: str
        state:
          description: State that is asked for.
          type: str
        group:
          description: Group, before PVE 9.0.
          type: str
        comment:
          description: Comment.
          type: str
        max_restart:
          description: How often it is started again on its node.
          type: int
        max_relocate:
          description: How often it is tried on another node.
          type: int
        failback:
          description: Whether it goes back to a better node, from PVE 9.0 on.
          type: bool
    groups:
      description: The groups; null from PVE 9.0 on, which has rules in place of them.
      type: list
      elements: dict
      contains:
        group:
          description: Name.
          type: str
        nodes:
          description: Nodes, each with its priority.
          type: list
          elements: str
        restricted:
          description: Whether resources run on these nodes only.
          type: bool
        nofailback:
          description: Whether resources stay where they are when a better node comes back.
          type: bool
        comment:
          description: Comment.
          type: str
    rules:
      description: The rules; null before PVE 9.0.
      type: list
      elements: dict
      contains:
        rule:
          description: Name.
          type: str
        type:
          description: V(node-affinity) or V(resource-affinity).
          type: str
        resources:
          description: Resources.
          type: list
          elements: str
        nodes:
          description: Nodes, each with its priority.
          type: list
          elements: str
        affinity:
          description: V(positive) or V(negative).
          type: str
        strict:
          description: Whether it is a must.
          type: bool
        disable:
          description: Whether it is switched off.
          type: bool
        comment:
          description: Comment.
          type: str
  sample: {status: [], resources: [{sid: 'vm:100', type: vm, state: started}], groups: null, rules: []}
sdn:
  description: Software-defined networks.
  returned: when O(gather) has it
  type: dict
  contains:
    zones:
      description: Zones, as they are configured.
      type: list
      elements: dict
      contains:
        zone:
          description: Name.
          type: str
        type:
          description: V(simple), V(vlan), V(qinq), V(vxlan) or V(evpn).
          type: str
        nodes:
          description: Nodes that it is restricted to.
          type: list
          elements: str
        bridge:
          description: Bridge.
          type: str
        tag:
          description: VLAN.
          type: int
        vlan_protocol:
          description: V(802.1q) or V(802.1ad).
          type: str
        peers:
          description: Addresses of the other ends.
          type: list
          elements: str
        vxlan_port:
          description: Port.
          type: int
        controller:
          description: Controller.
          type: str
        vrf_vxlan:
          description: VXLAN of the router.
          type: int
        exitnodes:
          description: Nodes where traffic leaves.
          type: list
          elements: str
        mtu:
          description: MTU.
          type: int
        ipam:
          description: Address management.
          type: str
        dns:
          description: DNS server.
          type: str
        reversedns:
          description: Server for reverse DNS.
          type: str
        dnszone:
          description: DNS zone.
          type: str
        dhcp:
          description: DHCP server.
          type: str
    vnets:
      description: VNets, as they are configured.
      type: list
      elements: dict
      contains:
        vnet:
          description: Name.
          type: str
        zone:
          description: Zone.
          type: str
        alias:
          description: Other name.
          type: str
        tag:
          description: VLAN or VXLAN.
          type: int
        vlanaware:
          description: Whether guests may use VLANs of their own.
          type: bool
        isolate_ports:
          description: Whether guests in it are kept apart.
          type: bool
    networks:
      description: What each wanted node says of its networks.
      type: list
      elements: dict
      contains:
        node:
          description: Name of the node.
          type: str
        network:
          description: Name of the zone or fabric.
          type: str
        type:
          description: V(zone) or V(fabric).
          type: str
        status:
          description: V(ok), V(available), V(pending), V(error), ...
          type: str
  sample: {zones: [], vnets: [], networks: [{node: ugreen-2, network: localnetwork, type: zone, status: ok}]}
"""

import time

from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.facts.gather import gather
from ansible_collections.homelab.pve.plugins.module_utils.facts.spec import OPTIONS
from ansible_collections.homelab.pve.plugins.module_utils.facts.wanted import Wanted
from ansible_collections.homelab.pve.plugins.module_utils.module import Params, run_reader


def _gather(params: Params, client: Client) -> tuple[Params, str]:
    wanted = Wanted.from_params(params)
    return gather(client.read_only(), wanted, time.time()), ""


def main() -> None:
    """Run the module."""
    run_reader(OPTIONS, _gather)


if __name__ == "__main__":
    main()
