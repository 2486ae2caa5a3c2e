#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage groups of Proxmox VE."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_group
short_description: Manage groups of Proxmox VE
version_added: 0.1.0
description:
  - Makes, changes and deletes groups. Who is in a group is a matter of its members, see M(homelab.pve.pve_user).
  - What a task leaves out stays as it is on the server.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.changes
  - homelab.pve.attributes.action_group
options:
  groupid:
    description:
      - Id of the group, without the C(@) that the web interface puts before it.
      - Letter case counts.
    type: str
    required: true
  comment:
    description: Comment on the group. If it is left out, it stays as it is; an empty text takes it away.
    type: str
  state:
    description: Whether the group is to be there. Its ACL entries go away together with it, its members stay.
    type: str
    choices: [present, absent]
    default: present
  allow_lockout:
    description:
      - Whether the task may take away what the caller needs to undo it. Otherwise it is refused, with the reason.
    type: bool
    default: false
seealso:
  - module: homelab.pve.pve_user
  - module: homelab.pve.pve_acl
  - module: homelab.pve.pve_access
"""

EXAMPLES = r"""
---
- name: Make a group
  homelab.pve.pve_group:
    groupid: ops
    comment: On call

- name: Delete a group, and with it its ACL entries
  homelab.pve.pve_group:
    groupid: interns
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
  sample: [{kind: group, id: ops, action: update, before: {comment: ''}, after: {comment: On call}}]
assumed:
  description: What was taken for granted in check mode because an earlier task would have made it; else empty.
  returned: success
  type: list
  elements: str
  sample: []
group:
  description: The group as it is now, or in check mode would be. Null when it is not there.
  returned: success
  type: dict
  sample: {groupid: ops, comment: On call}
"""

from ansible_collections.homelab.pve.plugins.module_utils.access import spec
from ansible_collections.homelab.pve.plugins.module_utils.access.document import Document, parse_group
from ansible_collections.homelab.pve.plugins.module_utils.module import one_object, run_access


def main() -> None:
    """Run the module."""
    run_access(
        {**spec.GROUP, **spec.LOCKOUT},
        lambda params: Document(groups=(parse_group(params),), allow_lockout=params["allow_lockout"]),
        one_object("group", "groups", "groupid"),
    )


if __name__ == "__main__":
    main()
