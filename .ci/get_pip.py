"""Stands in for the get-pip script that ansible-test would fetch: the pip that Python brings along does the same."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own, because it sets pip's configuration aside for all that follows it.
subprocess.run([sys.executable, "-m", "ensurepip"], check=True)
wanted = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.run([sys.executable, "-m", "pip", "install", "--upgrade", *wanted], check=False).returncode)
