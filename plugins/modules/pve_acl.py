#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage ACL entries of Proxmox VE."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_acl
short_description: Manage ACL entries of Proxmox VE
version_added: 0.1.0
description:
  - Gives roles on paths to users, groups and API tokens, or takes them away. All combinations of O(paths), of
    O(users), O(groups) and O(tokens), and of O(roles) are meant.
  - An entry at a deeper path B(replaces) what comes from above; it does not add to it. Of the entries at one path,
    those of the user himself replace those of his groups.
  - A token with privilege separation has only the rights that both it and its user have. With O(grant_user=true) one
    task gives both halves.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.changes
  - homelab.pve.attributes.action_group
options:
  paths:
    description:
      - ACL paths, such as V(/), V(/vms/100), V(/pool/lab), V(/storage/local), V(/nodes/pve1).
      - Paths of the API are none of them, and are refused. V(/nodes/pve1/qemu/100) is V(/vms/100), for example.
      - V(/vms/) and V(vms) are understood as V(/vms).
    type: list
    elements: str
    required: true
    aliases: [path]
  roles:
    description:
      - Roles to give, or to take away.
      - V(NoAccess) takes all rights away on a path, whatever else is given there.
    type: list
    elements: str
    required: true
    aliases: [role]
  users:
    description: User ids, V(user@realm). V(root@pam) has all rights anyway, and is refused.
    type: list
    elements: str
  groups:
    description: Group ids, without the C(@) that the web interface puts before them.
    type: list
    elements: str
  tokens:
    description:
      - Whole token ids, V(user@realm!name).
      - An entry for a token with privilege separation has no effect unless its user holds the same privileges; see
        O(grant_user).
    type: list
    elements: str
  propagate:
    description:
      - Whether the entries count for what is below their paths, too.
      - If it is left out, it stays as it is; a new entry does propagate.
    type: bool
  grant_user:
    description:
      - Whether to give the users of O(tokens) the same roles, where they do not hold their privileges already. A
        token with privilege separation needs both halves.
      - What is given to a user counts for him and all of his tokens, and stays when the entry of the token is taken
        away.
    type: bool
    default: false
  allow_narrowing:
    description:
      - Whether a new entry may hide rights. In PVE, an entry at a deeper path B(replaces) what comes from above. A
        user with V(PVEAdmin) on V(/) who is given V(PVEAuditor) on V(/vms/100) has less on it than before.
      - Such an entry is refused unless this is V(true), or its role is V(NoAccess).
    type: bool
    default: false
  allow_missing:
    description:
      - Whether access may be given to a guest before it is made. Otherwise a missing one is refused where the caller
        would see it.
    type: bool
    default: false
  state:
    description: Whether the entries are to be there. With V(absent), O(propagate) and O(grant_user) do not count.
    type: str
    choices: [present, absent]
    default: present
  allow_lockout:
    description:
      - Whether the task may take away what the caller needs to undo it. Otherwise it is refused, with the reason.
    type: bool
    default: false
seealso:
  - module: homelab.pve.pve_role
  - module: homelab.pve.pve_token
  - module: homelab.pve.pve_pool
  - module: homelab.pve.pve_access
"""

EXAMPLES = r"""
---
- name: Make the users and groups that the entries speak of
  homelab.pve.pve_access:
    groups:
      - groupid: ops
    users:
      - userid: joe@pve
      - userid: ci-reader@pve

- name: Make a token
  homelab.pve.pve_token:
    tokenid: ci-reader@pve!pipeline
    secret_file: ~/.proxmox-ci-reader

- name: Let a group run all guests
  homelab.pve.pve_acl:
    path: /vms
    role: PVEVMUser
    groups: ops

- name: Let a user look at two guests and a storage
  homelab.pve.pve_acl:
    paths: [/vms/100, /vms/102, /storage/local]
    roles: [PVEAuditor]
    users: [joe@pve]

- name: Give both halves to a token
  homelab.pve.pve_acl:
    path: /vms/100
    role: PVEAuditor
    tokens: ci-reader@pve!pipeline
    grant_user: true

- name: Keep a user away from one guest, whatever he has on the others
  homelab.pve.pve_acl:
    path: /vms/102
    role: NoAccess
    users: joe@pve

- name: Take a role away again
  homelab.pve.pve_acl:
    path: /storage/local
    role: PVEAuditor
    users: joe@pve
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
  sample: [{kind: acl, id: /vms/100, action: create, before: null, after: {user joe@pve PVEAuditor: and below}}]
assumed:
  description: What was taken for granted in check mode because an earlier task would have made it; else empty.
  returned: success
  type: list
  elements: str
  sample: []
acl:
  description:
    - The entries that the task asked for as they are now, or in check mode would be. Empty with O(state=absent).
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Path of the entry.
      type: str
      returned: always
    type:
      description: V(user), V(group) or V(token).
      type: str
      returned: always
    ugid:
      description: Id of the user, group or token.
      type: str
      returned: always
    roleid:
      description: The role that it gives.
      type: str
      returned: always
    propagate:
      description: Whether it counts for what is below the path, too.
      type: bool
      returned: always
  sample:
    - {path: /vms/100, type: user, ugid: joe@pve, roleid: PVEAuditor, propagate: true}
"""

from ansible_collections.homelab.pve.plugins.module_utils.access import spec
from ansible_collections.homelab.pve.plugins.module_utils.access.document import Document, parse_acl
from ansible_collections.homelab.pve.plugins.module_utils.module import run_access


def main() -> None:
    """Run the module."""
    run_access(
        {**spec.ACL, **spec.LOCKOUT},
        lambda params: Document(acls=(parse_acl(params),), allow_lockout=params["allow_lockout"]),
        lambda params, plan, task: {"acl": plan.result["acl"]},
        required_one_of=[("users", "groups", "tokens")],
    )


if __name__ == "__main__":
    main()
