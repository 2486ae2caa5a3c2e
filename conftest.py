"""Make this checkout importable as ``ansible_collections.homelab.pve``, in tests and in the Ansible that they start.

Python, mypy and ansible-playbook follow a symbolic link; ansible-test does not, and gets a copy (see noxfile.py).
Run as a program it only makes the link.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TREE = ROOT / ".nox" / "tree"


def link_tree() -> None:
    """Make ``.nox/tree/ansible_collections/homelab/pve`` a link to this checkout."""
    link = TREE / "ansible_collections" / "homelab" / "pve"
    if link.is_symlink() and link.readlink() == ROOT:
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    # Test workers start at the same time, and a moved checkout leaves a link to its old place: replace in one step.
    new = link.with_name(f"pve.{os.getpid()}")
    new.symlink_to(ROOT, target_is_directory=True)
    new.replace(link)


def pytest_configure() -> None:
    from hypothesis import settings

    # A shared machine stalls now and then; a property that holds slowly still holds.
    settings.register_profile("steady", deadline=None, print_blob=True)
    settings.load_profile("steady")


link_tree()
if __name__ != "__main__":
    sys.path.insert(0, str(TREE))
    os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(TREE)
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(ROOT / ".nox" / "cache" / "hypothesis"))
