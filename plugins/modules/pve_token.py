#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage API tokens of Proxmox VE."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_token
short_description: Manage API tokens of Proxmox VE
version_added: 0.1.0
description:
  - Makes, changes, renews and deletes API tokens, and keeps their secrets.
  - A token with privilege separation can log in, but has no rights until both its user and the token itself have an
    ACL entry. RV(token.effective) shows what it can do, and RV(hint) what is missing.
  - PVE shows a secret only once. This module keeps it in a file, and neither returns nor logs it unless it is told
    to.
  - What a task leaves out stays as it is on the server.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.changes
  - homelab.pve.attributes.action_group
options:
  tokenid:
    description: Whole id of the token, V(user@realm!name), without the secret.
    type: str
    required: true
  privsep:
    description:
      - Whether the token is separated from its user. Such a token has only those rights that B(both) have, the user
        and the token, each through ACL entries. It has none at all until both have an entry.
      - With V(false), it has the rights of its user, and its own ACL entries count for nothing.
      - If it is left out, it stays as it is; a new token is separated.
    type: bool
  expire:
    description:
      - When the token expires. Epoch seconds, a date in UTC (V(2027-01-31) or V(2027-01-31T12:00:00)), a span
        (V(12h), V(90d), V(4w), V(6m), V(1y)), or V(never).
      - A span is reckoned when the token is made or renewed, up to the end of its last hour or day in UTC. Later runs
        leave the date alone, and warn once it has passed.
      - If it is left out, it stays as it is; a new token never expires.
    type: str
  comment:
    description:
      - Comment on the token. If it is left out, it stays as it is.
      - An empty text takes it away, which PVE can do from 9.1 on.
    type: str
  secret_file:
    description:
      - File that keeps the secret, on the machine that Ansible runs on, wherever the task itself runs. It holds the
        bare secret and a line end, mode V(0600).
      - O(token_file) and O(ca_path) are files on the machine where the task runs.
      - PVE shows a secret once, when the token is made. So the place is proved writable before, and a marker file
        beside it lets the next run finish, or take back, what an interrupted one began. The folder has to exist, and
        must not be writable by others.
      - When the token exists and the file does not, the task fails; see O(renew).
    type: path
  verify_secret:
    description:
      - With V(on_create), a new secret is proved to work.
      - With V(always), so is the one that stands in O(secret_file) already; that is one request more for each token.
    type: str
    choices: [on_create, always]
    default: on_create
  renew:
    description:
      - What to do when the token exists, but its secret is lost. It is, when O(secret_file) does not exist, or when
        PVE refuses what stands in it (which is looked at with O(verify_secret=always)).
      - V(never) fails, and says so.
      - V(when_lost) asks for a new secret, provided that user and token are seen to be enabled and not expired. The
        old secret stops working. Before PVE 9.2, the token is made anew, and gets its ACL entries back.
    type: str
    choices: [never, when_lost]
    default: never
  rotate:
    description:
      - When a secret that works is renewed. The old one then stops working.
      - V(never) leaves it alone, V(always) renews it in each run.
      - V(older_than=60d) renews a secret that is so old, V(expires_within=14d) that of a token that ends so soon. It
        is a mapping of one of them or both, or a text such as these.
      - How old a secret is stands in a note beside O(secret_file), which is made when the secret is. Where there is
        none, the secret is as old as its file.
      - With O(expire) as a span, a renewed token gets a new end. With V(expires_within), it has to.
      - What is renewed keeps its comment, its privilege separation and its ACL entries. Before PVE 9.2, the token is
        made anew, and gets them back.
      - The token that the task itself uses is not renewed; see M(homelab.pve.pve_rotation) for that, and for
        consumers that must not notice.
    type: raw
    default: never
  state:
    description: Whether the token is to be there. Its ACL entries go away together with it, O(secret_file) stays.
    type: str
    choices: [present, absent]
    default: present
  return_secret:
    description:
      - Whether to return a new secret as RV(secret). It is refused unless the task has C(no_log) set to V(true).
      - It is better kept in O(secret_file).
    type: bool
    default: false
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
- name: Make the user that the token belongs to
  homelab.pve.pve_user:
    userid: ci-reader@pve

- name: Make a token, and keep its secret in a file
  homelab.pve.pve_token:
    tokenid: ci-reader@pve!pipeline
    expire: 90d
    secret_file: ~/.proxmox-ci-reader

- name: Give it something to do, by an entry for the token and one for its user
  homelab.pve.pve_acl:
    path: /vms
    role: PVEAuditor
    tokens: ci-reader@pve!pipeline
    grant_user: true

- name: See that the secret in the file still works, and renew it if not
  homelab.pve.pve_token:
    tokenid: ci-reader@pve!pipeline
    secret_file: ~/.proxmox-ci-reader
    verify_secret: always
    renew: when_lost

- name: Delete a token, and with it its ACL entries
  homelab.pve.pve_token:
    tokenid: ci-reader@pve!old
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
  sample: [{kind: token, id: ci-reader@pve!pipeline, action: update, before: {comment: ''}, after: {comment: CI}}]
assumed:
  description: What was taken for granted in check mode because an earlier task would have made it; else empty.
  returned: success
  type: list
  elements: str
  sample: []
token:
  description: The token as it is now, or in check mode would be, without its secret. Null when it is not there.
  returned: success
  type: dict
  contains:
    tokenid:
      description: Whole id of the token.
      type: str
      returned: always
    privsep:
      description: Whether it is separated from its user.
      type: bool
      returned: always
    expire:
      description: When it expires, in seconds since the epoch, V(0) for never.
      type: int
      returned: always
    comment:
      description: The comment on it.
      type: str
      returned: always
    usable:
      description: Whether it can log in, which takes that neither it nor its user is expired or disabled.
      type: bool
      returned: always
    effective:
      description: The privileges that it has, by path. Below a path, those that propagate count, too.
      type: dict
      returned: when the caller sees all users, groups and ACL entries
  sample:
    tokenid: ci-reader@pve!pipeline
    privsep: true
    expire: 1798675200
    comment: ''
    usable: true
    effective: {/vms: [VM.Audit]}
hint:
  description: What to do about a token that has no rights.
  returned: when the token has no rights
  type: str
  sample: ci-reader@pve!pipeline can log in but do nothing yet.
secret:
  description: The new secret.
  returned: with O(return_secret=true), when the token was made or renewed without O(secret_file)
  type: str
  sample: 6b1f0f5a-0000-4000-8000-000000000000
"""

from ansible_collections.homelab.pve.plugins.module_utils.access import spec
from ansible_collections.homelab.pve.plugins.module_utils.access.document import Document, parse_token
from ansible_collections.homelab.pve.plugins.module_utils.access.plan import powerless_hint
from ansible_collections.homelab.pve.plugins.module_utils.access.task import AccessTask
from ansible_collections.homelab.pve.plugins.module_utils.module import Params, one_object, run_access
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import Plan

_one_token = one_object("token", "tokens", "tokenid")


def _result(params: Params, plan: Plan, task: AccessTask) -> Params:
    """Return the token, a hint where it can do nothing yet, and its secret where the task asked for it."""
    result = dict(_one_token(params, plan, task))
    if result["token"] and result["token"].get("effective") == {}:
        result["hint"] = powerless_hint(params["tokenid"], result["token"]["privsep"])
    if params["return_secret"] and params["tokenid"] in task.births.returned:
        result["secret"] = task.births.returned[params["tokenid"]]
    return result


def main() -> None:
    """Run the module."""
    run_access(
        {**spec.TOKEN, "return_secret": {"type": "bool", "default": False, "no_log": False}, **spec.LOCKOUT},
        lambda params: Document(tokens=(parse_token(params),), allow_lockout=params["allow_lockout"]),
        _result,
    )


if __name__ == "__main__":
    main()
