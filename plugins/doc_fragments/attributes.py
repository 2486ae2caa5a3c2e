"""The attributes of modules: what the words mean, and the combinations that occur."""

from __future__ import annotations


class ModuleDocFragment:
    # For modules that state each support themselves.
    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in C(check_mode) and predict what it would change, without changing anything.
  diff_mode:
    description: Returns what was changed (or would be, in C(check_mode)) when in diff mode.
  idempotent:
    description: Changes nothing, and says so, when run again with the same options.
"""

    # For modules that bring objects into a state.
    CHANGES = r"""
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
"""

    # For modules that only read.
    READS = r"""
attributes:
  check_mode:
    support: full
    details:
      - This module does not change anything.
  diff_mode:
    support: N/A
    details:
      - This module does not change anything.
  idempotent:
    support: full
    details:
      - This module does not change anything.
"""

    # For modules that read PVE, and may write files on the machine that they run on.
    WRITES_FILES = r"""
attributes:
  check_mode:
    support: full
    details:
      - This module does not change anything in PVE, and in check mode writes no files.
  diff_mode:
    support: partial
    details:
      - The size of the files that are written.
  idempotent:
    support: partial
    details:
      - This module does not change anything in PVE. Files that tell the time are written anew each time.
"""

    ACTION_GROUP = r"""
attributes:
  action_group:
    description: Use C(group/homelab.pve.all) in C(module_defaults) to set the connection options for all modules.
    support: full
    membership:
      - homelab.pve.all
"""
