#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage roles of Proxmox VE."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_role
short_description: Manage roles of Proxmox VE
version_added: 0.1.0
description:
  - Makes, changes and deletes roles. A role is a named set of privileges, which an ACL entry gives to somebody on a
    path.
  - What a task leaves out stays as it is on the server.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.changes
  - homelab.pve.attributes.action_group
options:
  roleid:
    description:
      - Id of the role.
      - Built-in roles are neither changed nor deleted. From PVE 8.0 on, names that begin with V(PVE) are reserved.
    type: str
    required: true
  privs:
    description:
      - Privileges of the role, such as V(VM.Audit).
      - This is the whole list unless O(append=true). If it is left out, the privileges stay as they are.
      - A privilege that this release of PVE does not know is refused, with the nearest name. V(VM.Monitor), for one,
        went away in PVE 9.0.
    type: list
    elements: str
  append:
    description: Whether O(privs) is added to the privileges that the role has, in place of being all of them.
    type: bool
    default: false
  state:
    description: Whether the role is to be there. ACL entries with a role go away together with it.
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
- name: Define a role that may look at guests, and start and stop them
  homelab.pve.pve_role:
    roleid: guest-operator
    privs:
      - VM.Audit
      - VM.PowerMgmt

- name: Let it use the console, too
  homelab.pve.pve_role:
    roleid: guest-operator
    privs: VM.Console
    append: true

- name: Delete a role, and with it the ACL entries that give it
  homelab.pve.pve_role:
    roleid: old-operator
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
  sample: [{kind: role, id: guest-operator, action: create, before: null, after: {privs: [VM.Audit, VM.PowerMgmt]}}]
assumed:
  description: What was taken for granted in check mode because an earlier task would have made it; else empty.
  returned: success
  type: list
  elements: str
  sample: []
role:
  description: The role as it is now, or in check mode would be. Null when it is not there.
  returned: success
  type: dict
  sample: {roleid: guest-operator, privs: [VM.Audit, VM.PowerMgmt]}
"""

from ansible_collections.homelab.pve.plugins.module_utils.access import spec
from ansible_collections.homelab.pve.plugins.module_utils.access.document import Document, parse_role
from ansible_collections.homelab.pve.plugins.module_utils.module import one_object, run_access


def main() -> None:
    """Run the module."""
    run_access(
        {**spec.ROLE, **spec.LOCKOUT},
        lambda params: Document(roles=(parse_role(params),), allow_lockout=params["allow_lockout"]),
        one_object("role", "roles", "roleid"),
    )


if __name__ == "__main__":
    main()
