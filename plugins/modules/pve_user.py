#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage users of Proxmox VE."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_user
short_description: Manage users of Proxmox VE
version_added: 0.1.0
description:
  - Makes, changes and deletes users. Nobody can do anything before an ACL entry gives him or one of his groups a
    role, see M(homelab.pve.pve_acl).
  - What a task leaves out stays as it is on the server. Changing the e-mail address neither enables the user again
    nor touches his expiry, groups and API tokens.
  - V(root@pam) is never deleted, disabled or made to expire.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.changes
  - homelab.pve.attributes.action_group
options:
  userid:
    description: Whole id of the user, V(name@realm). A realm that does not exist is refused, PVE would take it.
    type: str
    required: true
  enable:
    description: Whether the user may log in. If it is left out, it stays as it is; a new user may.
    type: bool
  expire:
    description:
      - When the user expires. Epoch seconds, a date in UTC (V(2027-01-31) or V(2027-01-31T12:00:00)), a span (V(12h),
        V(90d), V(4w), V(6m), V(1y)), or V(never).
      - A span is reckoned when the user is made, up to the end of its last hour or day in UTC. Later runs leave the
        date alone, and warn once it has passed.
      - If it is left out, it stays as it is; a new user never expires.
    type: str
  groups:
    description:
      - Groups of the user.
      - This is the whole list unless O(append=true). If it is left out, the groups stay as they are.
    type: list
    elements: str
  append:
    description: Whether O(groups) is added to the groups that the user is in, in place of being all of them.
    type: bool
    default: false
  firstname:
    description: First name. If it is left out, it stays as it is; an empty text takes it away.
    type: str
  lastname:
    description: Last name. If it is left out, it stays as it is; an empty text takes it away.
    type: str
  email:
    description: E-mail address. If it is left out, it stays as it is; an empty text takes it away.
    type: str
  comment:
    description: Comment on the user. If it is left out, it stays as it is; an empty text takes it away.
    type: str
  user_password:
    description:
      - Password of the user, 8 to 64 characters. Only the realm V(pve) keeps passwords in PVE.
      - Not to be confused with O(password), which belongs to the connection.
    type: str
  update_password:
    description:
      - With V(on_create), O(user_password) counts for a new user only.
      - With V(always), a log-in with O(user_password) tells whether it has to be set. PVE changes passwords only for
        those who logged in with one, which is why this needs O(user) and O(password) for the connection. An API token
        will not do.
    type: str
    choices: [on_create, always]
    default: on_create
  state:
    description: Whether the user is to be there. His tokens and ACL entries go away together with him.
    type: str
    choices: [present, absent]
    default: present
  allow_lockout:
    description:
      - Whether the task may take away what the caller needs to undo it. Otherwise it is refused, with the reason.
    type: bool
    default: false
seealso:
  - module: homelab.pve.pve_group
  - module: homelab.pve.pve_token
  - module: homelab.pve.pve_acl
  - module: homelab.pve.pve_access
"""

EXAMPLES = r"""
---
- name: Make the group that the user is to be in
  homelab.pve.pve_group:
    groupid: ops

- name: Make a user who can log in to the web interface
  homelab.pve.pve_user:
    userid: joe@pve
    firstname: Joe
    email: joe@example.org
    groups: ops
    user_password: "{{ joes_password | default('change me soon') }}"

- name: Make a user for an API token, until the end of the project
  homelab.pve.pve_user:
    userid: ci-reader@pve
    comment: Reads from the pipeline
    expire: "2035-12-31"

- name: Lock a user out, and change nothing else
  homelab.pve.pve_user:
    userid: joe@pve
    enable: false

- name: Delete a user, and with him his tokens and ACL entries
  homelab.pve.pve_user:
    userid: jane@pve
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
  sample: [{kind: user, id: joe@pve, action: update, before: {enable: true}, after: {enable: false}}]
assumed:
  description: What was taken for granted in check mode because an earlier task would have made it; else empty.
  returned: success
  type: list
  elements: str
  sample: []
user:
  description:
    - The user as he is now, or in check mode would be. Null when he is not there.
    - C(expire) is in seconds since the epoch, V(0) for never.
  returned: success
  type: dict
  sample: {userid: joe@pve, enable: true, expire: 0, groups: [ops], firstname: Joe, lastname: '', email: '', comment:
  ''}
"""

from ansible_collections.homelab.pve.plugins.module_utils.access import spec
from ansible_collections.homelab.pve.plugins.module_utils.access.document import Document, parse_user
from ansible_collections.homelab.pve.plugins.module_utils.module import one_object, run_access


def main() -> None:
    """Run the module."""
    run_access(
        {**spec.USER, **spec.LOCKOUT},
        lambda params: Document(users=(parse_user(params),), allow_lockout=params["allow_lockout"]),
        one_object("user", "users", "userid"),
    )


if __name__ == "__main__":
    main()
