"""Replay recorded conversations: ``python -m ansible_collections.homelab.pve.tests.contract --only 'access-*'``.

Exit status 0 when everything matches, 1 when anything differs, 2 when there is nothing to replay.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .replay import (
    PERMISSIONS,
    REACH,
    UnusableFolder,
    check_permissions,
    check_reach,
    default_folder,
    replay,
    scenarios,
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="contract", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--dir", type=Path, default=default_folder(), help="folder of scenarios (default: %(default)s)")
    parser.add_argument("--only", default="*", help="scenarios whose name matches this pattern")
    parser.add_argument("--show", type=int, default=40, help="differences to print")
    options = parser.parse_args()
    try:
        counts = replay(scenarios(options.dir, options.only or "*"))
    except UnusableFolder as error:
        print(f"contract: {error}", file=sys.stderr)
        return 2
    questions = options.dir / PERMISSIONS
    permissions = check_permissions(questions) if questions.is_file() else None
    packets = options.dir / REACH
    reach = check_reach(packets) if packets.is_file() else None
    differing = [line for count in counts.values() for line in count.found]
    differing += permissions.found if permissions else []
    hints = reach.found if reach else []
    wrong = reach.wrong if reach else []
    for line in (differing + hints)[: options.show]:
        print(line)
    for theme, count in counts.items():
        print(f"{theme}: {count}")
    print(f"steps: {sum(c.matching for c in counts.values())}/{sum(c.total for c in counts.values())}")
    print(f"permissions: {permissions or '0/0'}")
    print(f"reach: {reach or '0/0'}")
    return 1 if differing or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
