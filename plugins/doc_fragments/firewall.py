"""What several firewall modules say in the same words. Suboptions cannot come from here."""

from __future__ import annotations


class ModuleDocFragment:
    # For every module that could cut somebody off from the host.
    DOCUMENTATION = r"""
notes:
  - PVE puts into force what it was told within seconds, and only where the firewall is switched on.
  - Every call that can carries the digest of what was read. Where somebody else changed the same list or the same
    options meanwhile, PVE refuses the call; the plan is then made again, up to 3 times in all.
  - What PVE would take without keeping it as it is, such as a line break in a comment, is refused before anything is
    sent.
options:
  management_source:
    description:
      - Address or network from which the host is managed.
      - A plan after which, or in the middle of which, it no longer reaches the API (TCP port 8006) or SSH (22) of the
        host, but does so now, is refused.
      - If it is left out, it is the address from which this task talks to the host. Say it where that is another one in
        the eyes of the host, because addresses are translated on the way.
    type: str
  allow_lockout:
    description:
      - Whether the task may cut off who reaches the host now, or go on where that cannot be told, because the caller
        may not read the rules of the datacenter or the node.
    type: bool
    default: false
"""

    # For modules about aliases and IP sets.
    OBJECTS = r"""
options:
  scope:
    description: Where it is, in the datacenter or in one guest.
    type: str
    choices: [cluster, guest]
    default: cluster
  vmid:
    description: Number of the guest, with O(scope=guest). Its node and type are looked up; it has to exist.
    type: int
"""

    # For modules about one list of rules.
    LIST = r"""
notes:
  - Rules that are not declared are never moved, and stay unless O(exclusive=true).
  - New rules land on top in PVE and are moved from there. Those that drop or reject are made switched off, marked
    C([pending]) in their comment, and switched on last; so are calls of groups, where that can matter. Where no order
    of the changes would do, a copy of a rule bridges the gap for a moment. A run that is cut short is finished by the
    next one.
options:
  position:
    description:
      - Where the declared rules stand, as one block in the order declared.
      - If it is left out, rules that are there stay where they are, as long as they are in the order declared. A new
        one goes right behind the one declared before it; the first goes ahead of the declared ones, or on top where
        there are none.
    type: str
    choices: [top, bottom, before, after]
  anchor:
    description:
      - Key of the rule that O(position=before) and O(position=after) speak of. It is none of the declared ones.
    type: str
  exclusive:
    description: Whether every rule goes that is not declared. With no rules declared, the list becomes empty.
    type: bool
    default: false
"""
