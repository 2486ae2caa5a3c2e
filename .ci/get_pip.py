"""Stands in for the get-pip script that ansible-test would fetch: the pip that Python brings along serves as well."""

from __future__ import annotations

import subprocess
import sys

sys.exit(subprocess.run([sys.executable, "-m", "ensurepip"], check=False).returncode)
