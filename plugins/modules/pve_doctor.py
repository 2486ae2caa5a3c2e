#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Find out why Proxmox VE cannot be reached, or does not answer what it is asked."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pve_doctor
short_description: Find out why Proxmox VE cannot be reached, or does not answer what it is asked
version_added: 0.1.0
description:
  - Goes step by step from the name of the host to the rights of the token. It looks at the name, the way, the port, the
    certificate, who answers, the log-in, the release, the nodes, the rights. Each step has passed, failed or been
    skipped, with its evidence, and each failure says how it is mended.
  - The connection options are taken as they are, however wrong. What cannot be right is a diagnosis, and no error.
  - It runs where the consumer is that does not get in. With O(side=host) it runs on a node, as root, and tells what
    cannot be seen from outside.
  - C(docs/doctor.md) of the collection has all diagnoses, and says which side can tell them.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.reads
  - homelab.pve.attributes.action_group
notes:
  - Credentials are sent once the host has proved who it is, and a token that PVE refuses is tried once. PVE takes three
    seconds to refuse one.
  - No secret is in the result, neither those that were given nor those in files.
options:
  side:
    description:
      - Whether to look from the V(client), or on the V(host).
      - On the host, no credentials of a consumer are taken. PVE is asked by C(pvesh), and the node itself is looked at;
        with O(admin_token_id), PVE is asked over HTTPS instead, from wherever the task runs.
    type: str
    choices: [client, host]
    default: client
  header:
    description:
      - The header C(Authorization) as a consumer sends it, in place of O(token_id) and the secret.
    type: str
  path:
    description:
      - What should be readable, a path of the API such as V(/nodes/ugreen/qemu/100/status/current), with its query if
        it has one, or an ACL path such as V(/vms/100). V(GET /nodes) is taken for one of the API in any case.
    type: str
  application:
    description:
      - Name of an application of the catalogue, such as V(labby), that should get all that it asks for. See
        M(homelab.pve.pve_application).
    type: str
  told:
    description:
      - What a consumer was told, or a command says, such as V(Access forbidden). The result then has the diagnoses that
        fit.
    type: str
  subject:
    description:
      - Token id or user id that the host's side is asked about. By default it is that of the connection options. With
        O(checks), that of whom they are about.
    type: str
  client_addresses:
    description:
      - Addresses from which the client comes, for the firewalls. From the client's side they are found out.
    type: list
    elements: str
  admin_token_id:
    description:
      - Token of an admin, for a look at the host's side over HTTPS. V(PVEAuditor) on V(/) is enough.
    type: str
  admin_token_secret:
    description: Secret of O(admin_token_id).
    type: str
  admin_token_file:
    description: File that holds the bare secret of O(admin_token_id).
    type: path
  checks:
    description:
      - Checks that this module returned on several sides, to put together. Nothing is looked at then.
    type: list
    elements: dict
  fail:
    description: Whether the task fails if a check has failed.
    type: bool
    default: true
seealso:
  - module: homelab.pve.pve_proof
  - module: homelab.pve.pve_application
"""

EXAMPLES = r"""
- name: Why does this container not get in?
  homelab.pve.pve_doctor:
    host: 192.168.40.60
    ca_path: ~/pve-root-ca.pem
    token_id: claude-reader@pam!claude-token
    token_file: ~/.proxmox-api-token
    path: /nodes/ugreen/lxc/102/status/current
  delegate_to: container

- name: What does the host say about it?
  homelab.pve.pve_doctor:
    side: host
    subject: claude-reader@pam!claude-token
    client_addresses: [192.168.40.82]
    fail: false
  delegate_to: ugreen
  become: true
"""

RETURN = r"""
healthy:
  description: Whether nothing has failed.
  returned: always
  type: bool
  sample: false
diagnoses:
  description: What is wrong, the likely cause first. C(docs/doctor.md) has them all.
  returned: always
  type: list
  elements: str
  sample: [token_without_acl, no_rights]
summary:
  description: What is wrong and how it is mended, in a sentence or two; empty where nothing is.
  returned: always
  type: str
  sample: ""
lines:
  description: All checks, a line each.
  returned: always
  type: list
  elements: str
  sample: ["passed  client name: 192.168.40.60 is an address."]
checks:
  description: All checks, in their order.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: What was looked at.
      type: str
      sample: port
    side:
      description: Where it was looked at from, V(client) or V(host).
      type: str
      sample: client
    status:
      description: V(passed), V(failed) or V(skipped).
      type: str
      sample: failed
    said:
      description: The evidence, or why it was skipped.
      type: str
      sample: "192.168.40.60, port 8006: no answer within 5 seconds. Of the host is seen: port 22 (SSH) is open."
    diagnosis:
      description: What is wrong, empty unless the check failed.
      type: str
      sample: port_filtered
    cause:
      description: The diagnosis in words.
      type: str
      sample: The host answers, but packets to the port are dropped.
    mend:
      description: How it is mended, with a task or a command.
      type: str
      sample: "Let 192.168.40.82 in: homelab.pve.pve_fw_rule with type: in, action: ACCEPT, source: 192.168.40.82"
identity:
  description: Who asks, a token id or a user id; empty where that cannot be right.
  returned: from the client's side
  type: str
  sample: claude-reader@pam!claude-token
client_addresses:
  description: From which addresses of this machine the way to the host begins.
  returned: from the client's side, where a host is named
  type: list
  elements: str
  sample: [192.168.40.82]
port:
  description: The port that is asked.
  returned: from the client's side, where a host is named
  type: int
  sample: 8006
fingerprint:
  description: SHA-256 fingerprint of the certificate that is shown.
  returned: from the client's side, where there is one
  type: str
release:
  description: Version of PVE.
  returned: from the client's side, after a log-in
  type: str
  sample: 9.2.11
told_means:
  description: The diagnoses that O(told) can stand for.
  returned: with O(told)
  type: list
  elements: dict
  contains:
    diagnosis:
      description: The diagnosis.
      type: str
      sample: token_without_acl
    cause:
      description: The same in words.
      type: str
      sample: The token has privilege separation and no ACL entry of its own there.
"""

import os

from ansible_collections.homelab.pve.plugins.module_utils.doctor.consult import SIDES, consult
from ansible_collections.homelab.pve.plugins.module_utils.module import Connect, Outcome, Params, run_writer

OPTIONS = {
    "side": {"type": "str", "choices": list(SIDES), "default": SIDES[0]},
    "header": {"type": "str", "no_log": True},
    **{name: {"type": "str"} for name in ("path", "application", "told", "subject")},
    "client_addresses": {"type": "list", "elements": "str"},
    "admin_token_id": {"type": "str", "no_log": False},
    "admin_token_secret": {"type": "str", "no_log": True},
    "admin_token_file": {"type": "path", "no_log": False},
    "checks": {"type": "list", "elements": "dict"},
    "fail": {"type": "bool", "default": True},
}


def work(params: Params, _ask: Connect) -> Outcome:
    """Examine one side, or put together what was found on several."""
    result, failure = consult(params, os.environ)
    return Outcome(result, failure)


def main() -> None:
    """Run the module."""
    run_writer(
        OPTIONS,
        work,
        required_by={"admin_token_secret": "admin_token_id", "admin_token_file": "admin_token_id"},
        mutually_exclusive=[("admin_token_secret", "admin_token_file")],
    )


if __name__ == "__main__":
    main()
