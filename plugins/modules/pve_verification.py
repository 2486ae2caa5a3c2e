#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Verify that the stored secrets of a policy log in to Proxmox VE, with exactly the rights of the policy."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_verification
short_description: Verify that stored secrets log in to Proxmox VE, and have exactly the rights of the policy
version_added: 0.1.0
description:
  - Takes every secret that a policy keeps in a file, logs in with it, and compares what PVE says that the token may do
    with what the policy means, path by path, the propagate flags included. What a token holds besides is told, and what
    it lacks, each with the ACL entries that make the difference.
  - Also tells of files that are missing or open to others, of secrets that are dead, and of tokens that have expired or
    soon will. Fails at the end, naming all that is wrong.
  - M(homelab.pve.pve_proof) goes further for single tokens, and asks PVE for what they should not be able to do. This
    one takes one request for each token, so it can be run every day.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.reads
  - homelab.pve.attributes.action_group
notes:
  - The credentials of the task are those of an auditor. A token with the role V(PVEAuditor) on V(/) sees everything.
  - The files are those on the machine where the task runs. M(homelab.pve.pve_access) keeps secrets on the machine that
    Ansible runs on; let this task run there, too.
options:
  pve_access:
    description: What a policy file has under C(pve_access); the options of M(homelab.pve.pve_access).
    type: dict
    required: true
  expiring_days:
    description: A token that expires within so many days, or whose user does, is told.
    type: int
    default: 14
  rights:
    description:
      - Whether rights are compared. With V(false), it is only tried whether the secrets log in; any credentials will do
        for that.
    type: bool
    default: true
seealso:
  - module: homelab.pve.pve_proof
  - module: homelab.pve.pve_policy
"""

EXAMPLES = r"""
---
- name: See that what is stored works, and can do what it should and nothing else
  homelab.pve.pve_verification:
    host: 192.168.40.60
    ca_path: ~/pve-root-ca.pem
    token_id: claude-reader@pam!claude-token
    token_file: ~/.proxmox-api-token
    pve_access:
      readers:
        - token: claude-reader@pam!claude-token
          role: PVEAuditor
          path: /
          secret_file: ~/.proxmox-api-token
"""

RETURN = r"""
---
verified:
  description: The tokens that are as they should be.
  returned: when PVE was reached
  type: list
  elements: dict
  contains:
    tokenid:
      description: The token.
      type: str
    secret_file:
      description: Where its secret is.
      type: str
    expires:
      description: When it or its user expires, whichever comes first, in seconds since the epoch. V(0) for never, or
        with O(rights=false).
      type: int
    expires_soon:
      description: Whether that is within O(expiring_days).
      type: bool
  sample:
    - tokenid: claude-reader@pam!claude-token
      secret_file: ~/.proxmox-api-token
      expires: 0
      expires_soon: false
not_verified:
  description: The tokens that are not.
  returned: when PVE was reached
  type: list
  elements: dict
  contains:
    tokenid:
      description: The token.
      type: str
    secret_file:
      description: Where its secret should be.
      type: str
    expires:
      description: As for RV(verified).
      type: int
    reasons:
      description: Everything that is wrong, as sentences.
      type: list
      elements: str
    differences:
      description: How its rights differ.
      type: list
      elements: dict
      contains:
        path:
          description: ACL path. What holds below it just as well is not repeated.
          type: str
        more:
          description: Privileges that it holds there and should not.
          type: list
          elements: str
        less:
          description: Privileges that it should hold there, and does not.
          type: list
          elements: str
        flags:
          description: Privileges with another propagate flag than they should have.
          type: list
          elements: str
        because:
          description: What makes the difference, mostly ACL entries.
          type: list
          elements: str
        text:
          description: The same as a sentence.
          type: str
  sample: []
not_tried:
  description: Tokens that the policy keeps no secret of.
  returned: when PVE was reached
  type: list
  elements: str
  sample: []
requests:
  description: How many requests it took.
  returned: when PVE was reached
  type: int
  sample: 7
"""

import time

from ansible_collections.homelab.pve.plugins.module_utils.access.document import parse_document
from ansible_collections.homelab.pve.plugins.module_utils.access.spec import DOCUMENT
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.documents import checked
from ansible_collections.homelab.pve.plugins.module_utils.module import Params, run_reader
from ansible_collections.homelab.pve.plugins.module_utils.proof.verification import verify

OPTIONS = {
    "pve_access": {"type": "dict", "required": True},
    "expiring_days": {"type": "int", "default": 14},
    "rights": {"type": "bool", "default": True},
}


def _verify(params: Params, client: Client) -> tuple[Params, str]:
    document = parse_document(checked(params["pve_access"], DOCUMENT, "pve_access"))
    how = {"expiring_days": params["expiring_days"], "rights": params["rights"]}
    found = verify(client, document, time.time(), **how)
    return found.as_data(), found.failure()


def main() -> None:
    """Run the module."""
    run_reader(OPTIONS, _verify)


if __name__ == "__main__":
    main()
