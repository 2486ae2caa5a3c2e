"""Put the collection community.proxmox under .nox/peer: out of the package that has it among a hundred others.

Installed, that package is half a gigabyte; the collection is one megabyte of it. Run as a program it only does this.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements" / "peer.txt"
PEER = ROOT / ".nox" / "peer"
COLLECTION = "ansible_collections/community/proxmox/"


def collections() -> Path:
    """Return the folder for ANSIBLE_COLLECTIONS_PATH; what it needs from the package index is fetched once."""
    stamp = PEER / "taken.txt"
    if not stamp.exists() or stamp.read_text() != REQUIREMENTS.read_text():
        with tempfile.TemporaryDirectory() as folder:
            # The package asks for a newer Python than the collection does.
            pip = (sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--python-version", "3.13")
            subprocess.run([*pip, "--only-binary=:all:", "-d", folder, "-r", str(REQUIREMENTS)], check=True)
            (package,) = Path(folder).glob("*.whl")
            with zipfile.ZipFile(package) as archive:
                archive.extractall(PEER, [name for name in archive.namelist() if name.startswith(COLLECTION)])
        stamp.write_text(REQUIREMENTS.read_text())
    return PEER


if __name__ == "__main__":
    print(collections())
