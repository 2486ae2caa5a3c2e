"""Make this checkout importable as ``ansible_collections.homelab.pve``, in tests and in what they start.

Python, mypy and ansible-playbook follow a symbolic link; ansible-test does not, and gets a copy (see noxfile.py).
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TREE = ROOT / ".nox" / "tree"


def link_tree() -> None:
    """Create ``.nox/tree/ansible_collections/homelab/pve`` as a link to the checkout, unless it is there."""
    link = TREE / "ansible_collections" / "homelab" / "pve"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(ROOT, target_is_directory=True)


link_tree()
if str(TREE) not in sys.path:
    sys.path.insert(0, str(TREE))
