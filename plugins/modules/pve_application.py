#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Work out the least rights that an application needs in Proxmox VE."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pve_application
short_description: Work out the least rights that an application needs in Proxmox VE
version_added: 0.1.0
description:
  - From what an application asks of PVE to the smallest set of privileges, per ACL path and propagation, with which all
    of it is answered in full. Returns roles and ACL entries as M(homelab.pve.pve_access) takes them, and for each
    privilege the calls that take it.
  - What an application asks is known for those of the catalogue; for others it is read from a list, from an access log
    of PVE's proxy, or from a recording of a browser or proxy (HAR). Several sources add up.
  - PVE is asked for its release alone, and not even for that where O(release) is given; then no connection is needed.
  - C(docs/least_privilege.md) of the collection has the catalogue, and says how the rights are worked out.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.reads
  - homelab.pve.attributes.action_group
notes:
  - What cannot be told from the calls, or was refused when it was recorded, is in RV(not_understood). No right follows
    from it.
options:
  application:
    description:
      - Name of an application of the catalogue, such as V(labby), V(prometheus-pve-exporter), V(homepage),
        V(home-assistant), V(pulse), V(check-pve), V(zabbix), V(community-proxmox-inventory) or V(homelab-audit).
    type: str
  endpoints:
    description:
      - Calls, each V(GET /nodes/{node}/status) or C(method) and C(path). A path alone means GET.
      - Paths may have real ids (V(/nodes/ugreen/qemu/100/config)), which narrows the rights to them, or names in
        braces, which stand for all. C(/api2/json), a host and a query may stand there; V(?type=vm) matters.
    type: list
    elements: raw
  access_log:
    description:
      - Access logs of PVE's proxy, C(/var/log/pveproxy/access.log) of each node, on the machine that the module runs
        on. They may be packed with gzip.
    type: list
    elements: path
  log_user:
    description:
      - Whose calls of O(access_log) count, a user with all of his tokens (V(joe@pve)) or one token (V(joe@pve!ci)).
        If it is left out, everybody's count.
    type: str
  har:
    description:
      - HAR file, on the machine that the module runs on. Calls to PVE's API in it count, whatever the host.
    type: path
  scope:
    description:
      - The only objects that matter where calls do not name any. Lists and templates are then about these alone.
    type: dict
    suboptions:
      vmid:
        description: Guests.
        type: list
        elements: int
      node:
        description: Nodes.
        type: list
        elements: str
      storage:
        description: Storages.
        type: list
        elements: str
      poolid:
        description: Pools.
        type: list
        elements: str
  release:
    description:
      - Release of PVE that the rights are for, such as V(9.2). If it is left out, the server is asked.
    type: str
  name:
    description:
      - What the roles are called after, C(app-NAME) and so on. By default it is O(application), or V(custom).
    type: str
"""

EXAMPLES = r"""
- name: What does Labby need on this server?
  homelab.pve.pve_application:
    host: 192.168.40.60
    ca_path: ~/pve-root-ca.pem
    token_id: claude-reader@pam!claude-token
    token_file: ~/.proxmox-api-token
    application: labby

- name: What does a dashboard need that looks at two guests, on any server of 9.2?
  homelab.pve.pve_application:
    release: "9.2"
    name: dashboard
    endpoints:
      - GET /cluster/status
      - GET /cluster/resources?type=vm
      - method: GET
        path: /nodes/{node}/qemu/{vmid}/status/current
    scope:
      vmid: [100, 101]

- name: What did a token ask for, and what does that take?
  homelab.pve.pve_application:
    release: "9.2"
    name: backup-check
    access_log: [/var/log/pveproxy/access.log, /var/log/pveproxy/access.log.1]
    log_user: backup@pve!check
"""

RETURN = r"""
release:
  description: The release that the rights are for.
  returned: success
  type: str
  sample: "9.2"
endpoints:
  description: The calls that count, each once.
  returned: success
  type: list
  elements: str
  sample: [GET /cluster/status, GET /nodes]
roles:
  description: Roles, one for each different set of privileges.
  returned: success
  type: list
  elements: dict
  contains:
    roleid:
      description: Name of the role.
      type: str
    privs:
      description: Its privileges.
      type: list
      elements: str
  sample:
    - roleid: app-labby
      privs: [Sys.Audit]
acls:
  description: ACL entries. Add C(tokens), and C(grant_user=true), for M(homelab.pve.pve_access).
  returned: success
  type: list
  elements: dict
  contains:
    paths:
      description: ACL paths.
      type: list
      elements: str
    roles:
      description: The role.
      type: list
      elements: str
    propagate:
      description: Whether it holds below the paths, too.
      type: bool
  sample:
    - paths: [/nodes]
      roles: [app-labby]
      propagate: true
privileges:
  description: Each privilege with the calls that take it.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: ACL path.
      type: str
    propagate:
      description: Whether it is needed below the path, too.
      type: bool
    privilege:
      description: The privilege.
      type: str
    endpoints:
      description: The calls.
      type: list
      elements: str
  sample:
    - path: /nodes
      propagate: true
      privilege: Sys.Audit
      endpoints: [GET /nodes]
not_understood:
  description: Calls from which no right follows, each with the reason.
  returned: success
  type: list
  elements: dict
  contains:
    endpoint:
      description: The call.
      type: str
    reason:
      description: Why it does not count.
      type: str
  sample:
    - endpoint: GET /cluster/ceph/df
      reason: PVE has no such path
"""

from ansible_collections.homelab.pve.plugins.module_utils.least.answer import Wanted, answer, release_of
from ansible_collections.homelab.pve.plugins.module_utils.module import Connect, Outcome, Params, run_writer

SOURCES = ("application", "endpoints", "access_log", "har")
OPTIONS = {
    "application": {"type": "str"},
    "endpoints": {"type": "list", "elements": "raw"},
    "access_log": {"type": "list", "elements": "path"},
    "log_user": {"type": "str"},
    "har": {"type": "path"},
    "scope": {
        "type": "dict",
        "options": {
            "vmid": {"type": "list", "elements": "int"},
            **{name: {"type": "list", "elements": "str"} for name in ("node", "storage", "poolid")},
        },
    },
    "release": {"type": "str"},
    "name": {"type": "str"},
}


def work(params: Params, ask: Connect) -> Outcome:
    """Work out the rights, for the release that is given or else the server's."""
    wanted = Wanted.of(params)
    release = release_of(params["release"]) if params["release"] else ask().release
    return Outcome(answer(wanted, release))


def main() -> None:
    """Run the module."""
    run_writer(OPTIONS, work, required_one_of=[SOURCES], required_by={"log_user": "access_log"})


if __name__ == "__main__":
    main()
