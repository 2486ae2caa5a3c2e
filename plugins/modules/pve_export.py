#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write access and the firewall of Proxmox VE down as a policy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pve_export
short_description: Write access and the firewall of Proxmox VE down as a policy
version_added: 0.1.0
description:
  - Reads who may do what on a cluster and what its firewall lets through, and returns it as the policy that means just
    that, with comments for those who read it. Applied at once, with M(homelab.pve.pve_access) and
    M(homelab.pve.pve_firewall) or the playbook C(homelab.pve.site), it changes nothing.
  - What a policy cannot say, such as ACL entries of users that were deleted, is left out, and is told.
  - No secrets are read. Tokens that are there need none in a policy.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.writes_files
  - homelab.pve.attributes.action_group
notes:
  - A token with the role V(PVEAuditor) on V(/) sees everything.
options:
  snapshot:
    description:
      - File that M(homelab.pve.pve_snapshot) has written, to read in place of the cluster. It takes no connection
        options then.
    type: path
  dest:
    description:
      - The file to write the policy to, on the machine that the module runs on. What it held is lost.
    type: path
  exclusive:
    description:
      - Whether the policy is to say that nothing else may be there, so that an audit finds whatever comes up later, and
        applying it takes that away.
    type: bool
    default: true
  except_until:
    description:
      - The last day, such as V(2027-01-31), on which the policy bears what M(homelab.pve.pve_policy) finds right
        now. Each finding gets an exception of its own, so that an audit passes until then unless something new
        comes up.
      - Without this, the policy has no exceptions.
    type: str
  guests:
    description:
      - Whether to read the firewall of every guest, with about six requests each.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Write the cluster down as a policy
  homelab.pve.pve_export:
    host: 192.168.40.60
    ca_path: ~/pve-root-ca.pem
    token_id: claude-reader@pam!claude-token
    token_file: ~/.proxmox-api-token
    dest: policy.yml
"""

RETURN = r"""
policy:
  description: The policy, with the keys C(pve_access), C(pve_firewall) if the caller may read it, and C(pve_exceptions)
    if O(except_until) is given.
  returned: success
  type: dict
  sample:
    pve_access:
      readers: [{token: vm100-reader@pam!vm100-token, role: PVEAuditor, path: /vms/100}]
text:
  description: The same as the text of a policy file, with comments.
  returned: success
  type: str
notes:
  description: What is not in it, and why.
  returned: success
  type: list
  elements: str
  sample: ["token joe@pve!old: can do nothing, which no policy may mean; it stays as it is"]
written:
  description: The file, if it was written or would be in check mode; an empty list if it holds the same already.
  returned: when O(dest) is given
  type: list
  elements: str
  sample: [policy.yml]
requests:
  description: How many requests it took; none for a snapshot.
  returned: success
  type: int
  sample: 41
"""

import time

from ansible_collections.homelab.pve.plugins.module_utils.adopt.adopt import adopt
from ansible_collections.homelab.pve.plugins.module_utils.module import Connect, Outcome, Params, TextFile, run_writer
from ansible_collections.homelab.pve.plugins.module_utils.policy.audit import audit
from ansible_collections.homelab.pve.plugins.module_utils.policy.observe import survey
from ansible_collections.homelab.pve.plugins.module_utils.policy.sources import Recorder, Source
from ansible_collections.homelab.pve.plugins.module_utils.policy_file import stored_cluster, whole_policy

OPTIONS = {
    "snapshot": {"type": "path"},
    "dest": {"type": "path"},
    "exclusive": {"type": "bool", "default": True},
    "except_until": {"type": "str"},
    "guests": {"type": "bool", "default": True},
}


def work(params: Params, ask: Connect) -> Outcome:
    """Read the cluster or its snapshot, and write it down as a policy."""
    source: Source
    now = time.time()
    if params["snapshot"]:
        source = snapshot = stored_cluster(params["snapshot"], now)
        # What is borne is what an audit of it finds, which judges it as it was when it was taken.
        now = snapshot.taken
    else:
        source = Recorder(ask().read_only())
    observed = survey(source, now, guests=params["guests"])
    found = adopt(observed, exclusive=params["exclusive"])
    if params["except_until"]:
        judged = audit(source, whole_policy(found.document), now, confirm=False, guests=params["guests"])
        until = params["except_until"]
        found = adopt(observed, exclusive=params["exclusive"], borne=judged.findings, until=until)
        # Whatever is wrong with that day is told before anything is written.
        whole_policy(found.document)
    result = {
        "policy": found.document,
        "text": found.text,
        "notes": list(found.notes),
        "requests": source.requests,
    }
    return Outcome(result, files=(TextFile("policy", params["dest"], found.text),) if params["dest"] else ())


def main() -> None:
    run_writer(OPTIONS, work)


if __name__ == "__main__":
    main()
