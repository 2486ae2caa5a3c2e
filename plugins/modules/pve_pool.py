#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage pools of Proxmox VE."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_pool
short_description: Manage pools of Proxmox VE
version_added: 0.1.0
description:
  - Makes, changes and deletes pools, and puts guests and storages into them.
  - Membership is a right. Whoever has a role on V(/pool/NAME), propagated, has it on the guests and storages in the
    pool.
  - What a task leaves out stays as it is on the server.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.changes
  - homelab.pve.attributes.action_group
options:
  poolid:
    description:
      - Id of the pool. From PVE 8.1 on, V(parent/child) names a pool inside another one, in up to three levels.
    type: str
    required: true
  comment:
    description: Comment on the pool. If it is left out, it stays as it is; an empty text takes it away.
    type: str
  vms:
    description:
      - Guests in the pool, by vmid. They have to exist.
      - This is the whole list unless O(append=true). If it is left out, the guests in it stay. V([]) takes all of
        them out.
    type: list
    elements: int
  storage:
    description:
      - Storages in the pool.
      - This is the whole list unless O(append=true). If it is left out, the storages in it stay. V([]) takes all of
        them out.
    type: list
    elements: str
  append:
    description: Whether O(vms) and O(storage) are added to the members of the pool, in place of being all of them.
    type: bool
    default: false
  allow_move:
    description:
      - Whether to take a guest out of another pool. A guest is in one pool at the most. Needs PVE 8.1 or later.
    type: bool
    default: false
  state:
    description:
      - Whether the pool is to be there. Only an empty one can be deleted. Its ACL entries go away together with it,
        unless it is nested.
    type: str
    choices: [present, absent]
    default: present
  allow_lockout:
    description:
      - Whether the task may take away what the caller needs to undo it. Otherwise it is refused, with the reason.
    type: bool
    default: false
seealso:
  - module: homelab.pve.pve_acl
  - module: homelab.pve.pve_access
"""

EXAMPLES = r"""
---
- name: Make a pool of one guest
  homelab.pve.pve_pool:
    poolid: lab
    comment: To play with
    vms: [100]

- name: Add a container and a storage to it
  homelab.pve.pve_pool:
    poolid: lab
    vms: [102]
    storage: [local]
    append: true

- name: Take everything out
  homelab.pve.pve_pool:
    poolid: lab
    vms: []
    storage: []

- name: Delete the pool, which has to be empty
  homelab.pve.pve_pool:
    poolid: lab
    state: absent
"""

RETURN = r"""
---
changes:
  description:
    - What was changed, or in check mode would be, in the order of the calls.
    - RV(changes[].before) and RV(changes[].after) hold the fields that differ; null stands for an object that is not
      there.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: What it is about, V(role), V(group), V(user), V(password), V(token), V(pool) or V(acl).
      type: str
      returned: always
    id:
      description: Its id; for ACL entries the path.
      type: str
      returned: always
    action:
      description: V(create), V(update), V(delete), V(renew) or V(finish).
      type: str
      returned: always
    before:
      description: The fields that differ, as they were.
      type: dict
      returned: always
    after:
      description: The fields that differ, as they are now.
      type: dict
      returned: always
    note:
      description: What the fields do not tell.
      type: str
      returned: when there is something to tell
  sample: [{kind: pool, id: lab, action: update, before: {vms: []}, after: {vms: [100]}, note: members join}]
assumed:
  description: What was taken for granted in check mode because an earlier task would have made it; else empty.
  returned: success
  type: list
  elements: str
  sample: []
pool:
  description: The pool as it is now, or in check mode would be. Null when it is not there.
  returned: success
  type: dict
  sample: {poolid: lab, comment: To play with, vms: [100], storage: []}
"""

from ansible_collections.homelab.pve.plugins.module_utils.access import spec
from ansible_collections.homelab.pve.plugins.module_utils.access.document import Document, parse_pool
from ansible_collections.homelab.pve.plugins.module_utils.module import one_object, run_access


def main() -> None:
    """Run the module."""
    run_access(
        {**spec.POOL, **spec.LOCKOUT},
        lambda params: Document(pools=(parse_pool(params),), allow_lockout=params["allow_lockout"]),
        one_object("pool", "pools", "poolid"),
    )


if __name__ == "__main__":
    main()
