"""The end of `make test`: what took how long, and one line of counts.

A session counts as its tests, or as the checks that it says it was, or else as one. Exits non-zero when anything
failed or nothing ran.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

REPORTS = Path(__file__).resolve().parents[1] / ".nox" / "reports"


def tests_of(session: str) -> tuple[int, int, int]:
    """Passed, failed and skipped tests of a pytest session."""
    suite = ElementTree.parse(REPORTS / f"{session}.xml").getroot()[0]
    total, failed, errors, skipped = (int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped"))
    return total - failed - errors - skipped, failed + errors, skipped


def main() -> int:
    runs = [json.loads((REPORTS / f"nox-{name}.json").read_text()) for name in ("checks", "tests")]
    sessions = [session for run in runs for session in run["sessions"]]
    passed = failed = skipped = 0
    print("\nDurations, slowest first:")
    for session in sorted(sessions, key=lambda entry: -entry["duration"]):
        name, result = session["name"], session["result"]
        counts: tuple[int, ...] = (int(result == "success"), 0, int(result == "skipped"))
        if (REPORTS / f"{name}.xml").exists():
            counts = tests_of(name)
        elif (REPORTS / f"{name}.json").exists():
            counts = tuple(json.loads((REPORTS / f"{name}.json").read_text()))
        if result not in ("success", "skipped") and not counts[1]:
            counts = (counts[0], 1, counts[2])  # Failed outside of any test: it must not vanish from the sum.
        passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]
        why = f": {session['reason']}" if session.get("reason") else ""
        print(f"{session['duration']:7.1f} s  {name:12} {result}{why}")
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
