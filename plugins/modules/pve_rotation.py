#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Renew the secret of an API token of Proxmox VE in steps."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_rotation
short_description: Renew the secret of an API token of Proxmox VE in steps
version_added: 0.1.0
description:
  - Renews the secret of a token that is there, with room between the steps for whatever uses it. The playbook
    C(homelab.pve.rotate) does all of them, for all tokens of a policy.
  - With O(overlap), another token stands in meanwhile. It is called after the token, with C(-2) at the end of its
    name, has the same privilege separation and the same ACL entries, and a secret in a file of its own. So there is
    no moment without a secret that works, and in the end everything is called as before.
  - A note beside O(secret_file) lasts from the first step to the last. A rotation that was interrupted, wherever it
    was, is taken up by the next task with O(step=begin), and finished as it was begun.
  - The token may be the one that the task itself uses, with O(overlap). Then the stand-in asks for the new secret.
  - What is renewed keeps its comment, its privilege separation and its ACL entries. Before PVE 9.2, a secret cannot be
    renewed; the token is deleted, made anew, and gets all that back. What is needed for it stands in a marker file
    beside O(secret_file) before.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.changes
  - homelab.pve.attributes.action_group
notes:
  - It takes credentials that see all users and ACL entries (User.Modify on C(/access/groups), Sys.Audit on
    C(/access)), and may change them.
options:
  tokenid:
    description: Whole id of the token, V(user@realm!name). It has to be there.
    type: str
    required: true
  secret_file:
    description:
      - File that keeps its secret, on the machine where the task runs. M(homelab.pve.pve_token) keeps secrets on the
        machine that Ansible runs on; let this task run there, too.
      - The secret of the token that stands in is kept beside it, in a file whose name ends in C(.interim).
    type: path
    required: true
  step:
    description:
      - V(begin) looks whether the secret is due, or a rotation of it was begun and not finished. RV(steps) is empty
        where there is nothing to do. With O(overlap), it makes the token that stands in.
      - V(renew) renews the secret. Whatever uses the token has to use the one that stands in by now.
      - V(end) deletes the token that stands in, once the new secret is proved to work. Whatever uses the token has
        to use the new secret by now.
    type: str
    choices: [begin, renew, end]
    required: true
  rotate:
    description:
      - When the secret is due, V(always), or a mapping with V(older_than), V(expires_within) or both, each a span
        such as V(60d). A text such as V(older_than=60d) will do.
      - How old a secret is stands in a note beside it, which is made when the secret is. Where there is none, the
        secret is as old as its file.
    type: raw
    default: always
  expire:
    description:
      - When the renewed token expires. Epoch seconds, a date in UTC, a span such as V(90d), or V(never). If it is left
        out, that stays as it is.
      - It is needed with V(expires_within).
    type: str
  overlap:
    description:
      - Whether a token stands in while the secret is renewed. With V(false), the old secret stops working in the
        moment in which there is a new one.
    type: bool
    default: true
seealso:
  - module: homelab.pve.pve_token
  - module: homelab.pve.pve_access
"""

EXAMPLES = r"""
---
- name: Make a user for a pipeline
  homelab.pve.pve_user:
    userid: ci-reader@pve

- name: Make a token for it, months ago
  homelab.pve.pve_token:
    tokenid: ci-reader@pve!pipeline
    secret_file: ~/.proxmox-ci-reader

- name: Have another token stand in for it, where its secret is due
  homelab.pve.pve_rotation:
    tokenid: ci-reader@pve!pipeline
    secret_file: ~/.proxmox-ci-reader
    rotate: always
    step: begin

# Here the pipeline goes over to ci-reader@pve!pipeline-2 and the secret in ~/.proxmox-ci-reader.interim.

- name: Renew the secret
  homelab.pve.pve_rotation:
    tokenid: ci-reader@pve!pipeline
    secret_file: ~/.proxmox-ci-reader
    expire: 90d
    step: renew

# Here the pipeline goes back to ci-reader@pve!pipeline, and reads the secret anew.

- name: Take the other token away
  homelab.pve.pve_rotation:
    tokenid: ci-reader@pve!pipeline
    secret_file: ~/.proxmox-ci-reader
    step: end
"""

RETURN = r"""
---
changes:
  description:
    - What was changed, or in check mode would be, in the order in which it is done.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: What it is about, V(rotation), V(token) or V(acl). A rotation is what is noted beside the secret.
      type: str
      returned: always
    id:
      description: Its id; for ACL entries the path.
      type: str
      returned: always
    action:
      description: V(begin), V(create), V(update), V(delete), V(renew), V(finish) or V(end).
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
  sample: [{kind: rotation, id: ci-reader@pve!pipeline, action: end, before: {}, after: {}}]
assumed:
  description: What was taken for granted in check mode because an earlier task would have made it; else empty.
  returned: success
  type: list
  elements: str
  sample: []
tokenid:
  description: Whole id of the token.
  returned: success
  type: str
  sample: ci-reader@pve!pipeline
secret_file:
  description: File that keeps its secret.
  returned: success
  type: str
  sample: /home/ci/.proxmox-ci-reader
in_progress:
  description: Whether a rotation was begun, and has not ended yet.
  returned: success
  type: bool
  sample: true
steps:
  description:
    - What is left to do, in this order. V(interim) and V(final) are for whatever uses the token, which has to go
      over to RV(interim), and then back to the token and its new secret; V(renew) and V(end) are steps of this
      module.
    - A step that was done by an interrupted run may be here again.
  returned: success
  type: list
  elements: str
  sample: [interim, renew, final, end]
interim:
  description: The token that stands in, and the file of its secret; null where none does.
  returned: success
  type: dict
  contains:
    tokenid:
      description: Whole id of the token that stands in.
      type: str
      returned: always
    secret_file:
      description: File that keeps its secret.
      type: str
      returned: always
  sample: {tokenid: ci-reader@pve!pipeline-2, secret_file: /home/ci/.proxmox-ci-reader.interim}
"""

import time

from ansible_collections.homelab.pve.plugins.module_utils.access.document import parse_token
from ansible_collections.homelab.pve.plugins.module_utils.access.overlap import STEPS, Rotation
from ansible_collections.homelab.pve.plugins.module_utils.module import Connect, Params, run_task
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import Plan


def _rotation(params: Params, ask: Connect) -> Rotation:
    spec = parse_token(params)
    return Rotation(ask(), spec, params["step"], time.time(), overlap=params["overlap"])


def _result(_params: Params, rotation: Rotation, plan: Plan) -> Params:
    rotation.close()
    return plan.result


def main() -> None:
    """Run the module."""
    run_task(
        {
            "tokenid": {"type": "str", "required": True, "no_log": False},
            "secret_file": {"type": "path", "required": True, "no_log": False},
            "step": {"type": "str", "choices": list(STEPS), "required": True},
            "rotate": {"type": "raw", "default": "always"},
            "expire": {"type": "str"},
            "overlap": {"type": "bool", "default": True},
        },
        _rotation,
        _result,
    )


if __name__ == "__main__":
    main()
