#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Revoke an API token of Proxmox VE, or a user with all of his tokens."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_revocation
short_description: Revoke an API token of Proxmox VE, or a user with all of his tokens, and prove that it is dead
version_added: 0.1.0
description:
  - Ends a token, or a user with all of his tokens, now. The first call is the one that ends everything. The deletion
    of the token or of the user, or with O(keep_user=true) that the user is disabled.
  - Says what it could do until then, and proves afterwards that it is dead. Where the secret is at hand, by logging in
    with it, which PVE has to refuse; PVE takes three seconds for that. Otherwise PVE has to list it no more.
  - What is gone already is not changed, and proved all the same where there is a secret. An answer that was lost on
    its way is looked up.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.changes
  - homelab.pve.attributes.action_group
notes:
  - Of V(root@pam), only the tokens are revoked, never the user.
  - PVE refuses the sessions (tickets) of a user who is deleted or disabled at once. Those of a user who stays go on for
    up to two hours, whatever becomes of his tokens, because PVE can end no single session.
  - Secret files are left where they are. What is in them is worth nothing any more.
options:
  tokenid:
    description: Whole id of the token to revoke, V(user@realm!name).
    type: str
  userid:
    description: Id of the user to revoke, V(name@realm), with all of his tokens.
    type: str
  keep_user:
    description:
      - Whether O(userid) is disabled, and not deleted. His tokens are deleted after that.
      - It needs less than a deletion. Somebody who may change the members of one group can do it with these.
    type: bool
    default: false
  secret_file:
    description:
      - File with the secret of O(tokenid), on the machine where the task runs, to prove with it that it is dead.
      - A file that cannot be read is warned of, and does not hold up the revocation.
    type: path
  pve_access:
    description:
      - What a policy file has under C(pve_access). Secret files of what is revoked are taken from it, as files on the
        machine where the task runs, and a warning says what of it the policy would make again.
    type: dict
  allow_lockout:
    description:
      - Whether the token or the user that the task itself uses may be revoked. Otherwise it is refused.
    type: bool
    default: false
seealso:
  - module: homelab.pve.pve_token
  - module: homelab.pve.pve_user
  - module: homelab.pve.pve_verification
"""

EXAMPLES = r"""
---
- name: Make a user to revoke
  homelab.pve.pve_user:
    userid: ci-reader@pve

- name: Make a token to revoke
  homelab.pve.pve_token:
    tokenid: ci-reader@pve!pipeline
    secret_file: ~/.proxmox-ci-reader

- name: Revoke a token, and see that its secret is dead
  homelab.pve.pve_revocation:
    tokenid: ci-reader@pve!pipeline
    secret_file: ~/.proxmox-ci-reader

- name: Disable a user, and delete all of his tokens
  homelab.pve.pve_revocation:
    userid: ci-reader@pve
    keep_user: true

- name: Delete a user with all of his tokens
  homelab.pve.pve_revocation:
    userid: ci-reader@pve
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
      description: What it is about, V(token) or V(user).
      type: str
      returned: always
    id:
      description: Its id.
      type: str
      returned: always
    action:
      description: V(delete), or V(update) for a user who is disabled.
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
  sample: [{kind: token, id: ci-reader@pve!pipeline, action: delete, before: {privsep: true}, after: null}]
assumed:
  description: Always empty. Nothing is taken for granted.
  returned: success
  type: list
  elements: str
  sample: []
rights:
  description:
    - What the user and the tokens that end could do, a row for each of them; empty if they were gone already.
    - Null if the caller does not see all users, groups and ACL entries, which decide about it.
  returned: success
  type: list
  elements: dict
  contains:
    subject:
      description: User or token.
      type: str
    usable:
      description: Whether it could log in.
      type: bool
    rows:
      description: What it held, and by which ACL entries.
      type: list
      elements: dict
      contains:
        paths:
          description: ACL paths.
          type: list
          elements: str
        below:
          description: Whether any of it held below these paths, too.
          type: bool
        write:
          description: Privileges with which something can be changed.
          type: list
          elements: str
        read:
          description: Privileges that only read.
          type: list
          elements: str
        by:
          description: The ACL entries that gave it, those of the token and of its user.
          type: list
          elements: str
    text:
      description: The same as sentences.
      type: list
      elements: str
  sample:
    - subject: ci-reader@pve!pipeline
      usable: true
      rows: [{paths: [/vms], below: true, write: [], read: [VM.Audit], by: [reader of user ci-reader@pve on /vms]}]
      text: ["could read on /vms and below: VM.Audit (reader of user ci-reader@pve on /vms)"]
proof:
  description: How it was proved, or in check mode would be. The task fails where it is not.
  returned: success
  type: list
  elements: dict
  contains:
    subject:
      description: User or token.
      type: str
    by:
      description: V(login), PVE refuses its secret. V(list), PVE lists it no more. V(disabled), PVE lists the user as
        disabled, and no token of his.
      type: str
  sample: [{subject: ci-reader@pve!pipeline, by: login}]
user:
  description: The user as he is now, or in check mode would be; null if he is gone.
  returned: success
  type: dict
  sample: {userid: ci-reader@pve, enable: false, expire: 0, groups: [], comment: ''}
tokens:
  description: The tokens that the user still has.
  returned: success
  type: list
  elements: str
  sample: []
"""

import time

from ansible_collections.homelab.pve.plugins.module_utils.access.document import Document, parse_document
from ansible_collections.homelab.pve.plugins.module_utils.access.revocation import RevocationTask, Wanted
from ansible_collections.homelab.pve.plugins.module_utils.access.spec import DOCUMENT, LOCKOUT
from ansible_collections.homelab.pve.plugins.module_utils.documents import checked
from ansible_collections.homelab.pve.plugins.module_utils.module import Connect, Params, run_task
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import Plan

OPTIONS = {
    "tokenid": {"type": "str", "no_log": False},
    "userid": {"type": "str"},
    "keep_user": {"type": "bool", "default": False},
    "secret_file": {"type": "path", "no_log": False},
    "pve_access": {"type": "dict"},
    **LOCKOUT,
}


def _task(params: Params, ask: Connect) -> RevocationTask:
    given = params["pve_access"]
    declared = Document() if given is None else parse_document(checked(given, DOCUMENT, "pve_access"))
    wanted = Wanted.of(params, declared)
    return RevocationTask(ask(), wanted, time.time())


def _result(_params: Params, task: RevocationTask, plan: Plan) -> Params:
    task.prove(plan)
    return plan.result


def main() -> None:
    """Run the module."""
    one = [("tokenid", "userid")]
    run_task(OPTIONS, _task, _result, mutually_exclusive=one, required_one_of=one)


if __name__ == "__main__":
    main()
