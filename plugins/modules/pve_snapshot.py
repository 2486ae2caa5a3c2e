#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keep what Proxmox VE says about access and its firewall in a file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pve_snapshot
short_description: Keep what Proxmox VE says about access and its firewall in a file
version_added: 0.1.0
description:
  - Asks everything that M(homelab.pve.pve_policy) and M(homelab.pve.pve_export) can want to know, and writes the
    answers down, so that these can work where there is no way to the cluster, in CI for example.
  - A snapshot holds no secrets. It tells who may do what and what the firewall lets through; it is written for its
    owner alone.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.writes_files
  - homelab.pve.attributes.action_group
notes:
  - A token with the role V(PVEAuditor) on V(/) sees everything.
  - A file that says the same, but for the time, is left as it is.
options:
  dest:
    description:
      - The file to write, on the machine that the module runs on. A new one gets the mode V(0600); one that is there
        keeps its own.
    type: path
    required: true
  guests:
    description:
      - Whether to ask for the firewall and the network devices of every guest, with about six requests each.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Keep a snapshot for CI
  homelab.pve.pve_snapshot:
    host: 192.168.40.60
    ca_path: ~/pve-root-ca.pem
    token_id: claude-reader@pam!claude-token
    token_file: ~/.proxmox-api-token
    dest: snapshot.json
"""

RETURN = r"""
path:
  description: The file.
  returned: success
  type: str
  sample: snapshot.json
written:
  description: The file, if it was written or would be in check mode; an empty list if it holds the same already.
  returned: success
  type: list
  elements: str
  sample: [snapshot.json]
requests:
  description: How many requests it took.
  returned: success
  type: int
  sample: 41
incomplete:
  description: What could not be seen, and so cannot be judged from the snapshot.
  returned: success
  type: list
  elements: dict
  contains:
    what:
      description: What it is about.
      type: str
      sample: the datacenter's firewall
    reason:
      description: Why it could not be seen.
      type: str
      sample: joe@pve!ci may not read it.
    fix:
      description: What would make it visible.
      type: str
      sample: Give it Sys.Audit on /.
  sample: []
"""

import time
from pathlib import Path

from ansible_collections.homelab.pve.plugins.module_utils.adopt.snapshot import snapshot_text
from ansible_collections.homelab.pve.plugins.module_utils.local_files import read_text
from ansible_collections.homelab.pve.plugins.module_utils.module import Connect, Outcome, Params, TextFile, run_writer
from ansible_collections.homelab.pve.plugins.module_utils.policy.observe import survey
from ansible_collections.homelab.pve.plugins.module_utils.policy.sources import Recorder

OPTIONS = {
    "dest": {"type": "path", "required": True},
    "guests": {"type": "bool", "default": True},
}


def work(params: Params, ask: Connect) -> Outcome:
    """Ask everything, and write it down."""
    now = time.time()
    recorder = Recorder(ask().read_only())
    observed = survey(recorder, now, guests=params["guests"])
    before = read_text(params["dest"], "dest") if Path(params["dest"]).is_file() else None
    text = snapshot_text(recorder, now, before)
    result = {
        "path": params["dest"],
        "requests": recorder.requests,
        "incomplete": [gap.as_data() for gap in observed.gaps],
    }
    return Outcome(result, files=(TextFile("snapshot", params["dest"], text, 0o600),))


def main() -> None:
    run_writer(OPTIONS, work)


if __name__ == "__main__":
    main()
