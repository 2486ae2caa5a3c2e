"""Each module starts from the payload that Ansible makes of it, and from nothing else.

The other tests run modules from the files of this checkout. What a payload lacks would be missed only here.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from .conftest import TREE

NAMES = sorted(path.stem for path in (TREE.parents[1] / "plugins" / "modules").glob("*.py"))


def test_every_module_starts_from_its_payload(ansible: Any) -> None:
    """Without options it says what it lacks, or has nothing to do: by then all that it imports was there."""
    interpreter = ("-e", f"ansible_python_interpreter={sys.executable}")
    tasks = [{"name": name, f"homelab.pve.{name}": {}, "ignore_errors": True} for name in NAMES]
    done = ansible.playbook([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}], *interpreter)
    assert done.returncode == 0, done.output
    assert [task["task"] for task in done.tasks] == NAMES
    for task in done.tasks:
        # What a module says itself begins otherwise.
        assert not re.match("Task failed|MODULE FAILURE|The module failed", task["result"].get("msg", ""))
