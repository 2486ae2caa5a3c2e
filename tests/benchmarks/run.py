"""Requests, seconds and memory on simulated clusters: run by ``make bench``. Nothing is judged.

One table for each theme; with its name behind the program (``make bench ONLY=facts``) that one alone.
"""

from __future__ import annotations

import argparse
import sys

from ansible_collections.homelab.pve.tests.benchmarks import access, facts, firewall, policy

THEMES = {"access": access.run, "firewall": firewall.run, "facts": facts.run, "policy": policy.run}


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("theme", nargs="*", choices=[*THEMES, []], help="this table alone; default: all")
    for theme in parser.parse_args().theme or THEMES:
        print(f"\n== {theme}")
        THEMES[theme]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
