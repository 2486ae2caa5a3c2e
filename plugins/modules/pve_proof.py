#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Prove that an API token of Proxmox VE can do what it should, and nothing else."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pve_proof
short_description: Prove that an API token of Proxmox VE has the rights it should have, and no others
version_added: 0.1.0
description:
  - Logs in with the stored secret of a token and proves four things. The secret works. The token reads what it should.
    It sees nothing beyond its path, apart from what PVE shows to every authenticated id. It may write nothing beyond
    what its privileges are meant to allow.
  - The last is proved by asking. Every write call of the types of objects at the path is made with a parameter that
    PVE does not know, so that it can succeed for nobody. PVE looks at rights first, and answers 403 to those who have
    none and 400 to those who have them.
  - Fails when anything is different from what was claimed, or could not be found out. What cannot be proved this way,
    what PVE shows to everybody, and how many requests a proof takes, is written in C(docs/proof.md) of the collection.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.reads
  - homelab.pve.attributes.action_group
notes:
  - The credentials are those of the token that is proved. It has to be a token, not a user with a password.
options:
  path:
    description:
      - ACL path on which the token has its rights, such as V(/), V(/vms/100), V(/nodes/ugreen) or V(/storage/local).
      - Give this with O(role) or O(privileges), or else O(application).
    type: str
  role:
    description:
      - Role that the token should have on O(path). Those that come with PVE are known for each release; what another
        one gives is asked of PVE.
    type: str
  privileges:
    description:
      - Privileges that the token should have on O(path), in place of O(role). An empty list means that the token is to
        have no rights at all.
    type: list
    elements: str
  propagate:
    description:
      - Whether the rights hold below O(path) too. It makes no difference for paths that have nothing below them.
    type: bool
    default: true
  logs:
    description:
      - Whether the token should also have C(Sys.Syslog) on O(path).
    type: bool
    default: false
  application:
    description:
      - Application that the token is for, such as V(labby). It should have the least rights with which all that this
        asks for is answered in full, and no others; C(docs/least_privilege.md) of the collection has the catalogue.
      - All that the application reads is asked for, too.
    type: str
"""

EXAMPLES = r"""
- name: Prove the reader of the whole cluster
  homelab.pve.pve_proof:
    host: 192.168.40.60
    ca_path: ~/pve-root-ca.pem
    token_id: claude-reader@pam!claude-token
    token_file: ~/.proxmox-api-token
    path: /
    role: PVEAuditor
    logs: true

- name: Prove that a token sees one guest, and nothing else
  homelab.pve.pve_proof:
    host: 192.168.40.60
    ca_path: ~/pve-root-ca.pem
    token_id: vm100-reader@pam!vm100-token
    token_file: ~/.proxmox-vm100-token
    path: /vms/100
    privileges:
      - VM.Audit

- name: Prove that a token has what an application needs, and nothing else
  homelab.pve.pve_proof:
    host: 192.168.40.60
    ca_path: ~/pve-root-ca.pem
    token_id: labby@pve!phone
    token_file: ~/.proxmox-labby-token
    application: labby
"""

RETURN = r"""
proved:
  description: Whether everything is as claimed. The task fails where it is not.
  returned: when the server was reached
  type: bool
  sample: true
tokenid:
  description: The token that was proved.
  returned: when the server was reached
  type: str
  sample: vm100-reader@pam!vm100-token
application:
  description: The application that the token is for; null where the rights were given by path.
  returned: when the server was reached
  type: str
  sample: labby
path:
  description: ACL path of the token's rights, in its normal form; null for an application.
  returned: when the server was reached
  type: str
  sample: /vms/100
grants:
  description: The rights that the token should have, path by path.
  returned: when the server was reached
  type: list
  elements: dict
  contains:
    path:
      description: ACL path.
      type: str
      sample: /vms/100
    privileges:
      description: Privileges.
      type: list
      elements: str
      sample: [VM.Audit]
    propagate:
      description: Whether they hold below the path, too.
      type: bool
      sample: true
privileges:
  description: The privileges that the token should have, on whichever path.
  returned: when the server was reached
  type: list
  elements: str
  sample: [VM.Audit]
findings:
  description: What is wrong or could not be found out; empty if proved.
  returned: when the server was reached
  type: list
  elements: dict
  contains:
    check:
      description: Which part of the proof, V(login), V(permissions), V(read), V(list) or V(write).
      type: str
      sample: permissions
    severity:
      description: V(red) for what is wrong, V(not_proved) for what could not be found out.
      type: str
      sample: red
    subject:
      description: ACL path, object or calls that it is about.
      type: str
      sample: /storage/local
    expected:
      description: What should be.
      type: str
      sample: nothing on /storage/local, apart from its own path /vms/100
    found:
      description: What is.
      type: str
      sample: holds Datastore.Audit on /storage/local as well
    hint:
      description: What to do about it.
      type: str
      sample: Look with `pveum acl list`.
counts:
  description: How many questions of each kind were asked, and how the writes came out.
  returned: when the server was reached
  type: dict
  contains:
    reads:
      description: Reads that are granted or refused as a whole.
      type: int
    lists:
      description: Lists that show each row only to those who may see it.
      type: int
    writes:
      description: Write calls that were probed.
      type: int
    refused:
      description: Probes that PVE refused, as it should.
      type: int
    let_through:
      description: Probes that PVE would have allowed. Each of them is in a finding.
      type: int
    unknown:
      description: Probes with an answer that tells nothing about rights. Each of them is in a finding.
      type: int
    absent:
      description: Probes of calls that this release does not have.
      type: int
    allowed:
      description: Write calls that were not probed because the privileges that the token should have allow them.
      type: int
    untried:
      description:
        - Write calls that were not probed because the token's own permissions allow them, and it is not known for sure
          that this release would refuse the parameter that makes a probe fail. Each of them is in a finding.
      type: int
requests:
  description: Requests that were sent.
  returned: when the server was reached
  type: int
  sample: 89
"""

from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.module import Params, run_reader
from ansible_collections.homelab.pve.plugins.module_utils.proof.prove import Claim, prove


def _prove(params: Params, client: Client) -> tuple[Params, str]:
    claim = Claim(
        path=params["path"],
        role=params["role"],
        privileges=None if params["privileges"] is None else frozenset(params["privileges"]),
        propagate=params["propagate"],
        logs=params["logs"],
        application=params["application"],
    )
    proof = prove(client, claim)
    return proof.as_data(), "" if proof.proved else proof.summary()


def main() -> None:
    """Run the module."""
    run_reader(
        {
            "path": {"type": "str"},
            "role": {"type": "str"},
            "privileges": {"type": "list", "elements": "str"},
            "propagate": {"type": "bool", "default": True},
            "logs": {"type": "bool", "default": False},
            "application": {"type": "str"},
        },
        _prove,
        mutually_exclusive=[("role", "privileges", "application"), ("path", "application")],
        required_one_of=[("role", "privileges", "application"), ("path", "application")],
    )


if __name__ == "__main__":
    main()
