#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Gather facts about a Proxmox VE cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pve_info
short_description: Gather facts about a Proxmox VE cluster
version_added: 0.1.0
description:
  - Reads what is there, changes nothing, and says what it could not see.
author:
  - The homelab.pve maintainers (@homelab-pve)
extends_documentation_fragment:
  - homelab.pve.connection
  - homelab.pve.attributes
  - homelab.pve.attributes.reads
  - homelab.pve.attributes.action_group
options:
  gather:
    description:
      - Names of subsets.
    type: list
    elements: str
    default: [base]
  filters:
    description: Which guests and nodes the facts are wanted of. Of each list one has to fit.
    type: dict
    suboptions:
      node:
        description: Nodes, as shell patterns.
        type: list
        elements: str
      vmid:
        description: Numbers of guests.
        type: list
        elements: int
      type:
        description: Types of guests.
        type: list
        elements: str
        choices: [qemu, lxc]
      pool:
        description: Pools; the pools inside of one count, too.
        type: list
        elements: str
      tag:
        description: Tags.
        type: list
        elements: str
      status:
        description: States, such as V(running).
        type: list
        elements: str
      name:
        description: Names, as shell patterns.
        type: list
        elements: str
  concurrency:
    description: How many questions are under way at a time, at most, from V(1) to V(32).
    type: int
    default: 8
  tasks_limit:
    description: How many tasks of each node are listed, at most.
    type: int
    default: 50
  descriptions:
    description: Whether to return descriptions and notes.
    type: bool
    default: false
  ssh_keys:
    description: Whether to return the public SSH keys that cloud-init puts into guests.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: See what there is
  homelab.pve.pve_info:
  register: pve
"""

RETURN = r"""
gathered:
  description: The subsets that were asked for.
  returned: success
  type: list
  elements: str
"""

import time

from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.facts.gather import gather
from ansible_collections.homelab.pve.plugins.module_utils.facts.spec import OPTIONS
from ansible_collections.homelab.pve.plugins.module_utils.facts.wanted import Wanted
from ansible_collections.homelab.pve.plugins.module_utils.module import Params, run_reader


def _gather(params: Params, client: Client) -> tuple[Params, str]:
    wanted = Wanted.from_params(params)
    return gather(client.read_only(), wanted, time.time()), ""


def main() -> None:
    """Run the module."""
    run_reader(OPTIONS, _gather)


if __name__ == "__main__":
    main()
