"""Replay of a folder of scenarios, and of permission cases, with a count for each theme."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.client import HTTPException
from pathlib import Path
from typing import Any

from ansible_collections.homelab.pve.plugins.module_utils.access.permissions import Evaluator
from ansible_collections.homelab.pve.plugins.module_utils.firewall.model import (
    Alias,
    Entry,
    Group,
    IpSet,
    Rule,
    Ruleset,
)
from ansible_collections.homelab.pve.plugins.module_utils.firewall.reach import Packet, Reach
from ansible_collections.homelab.pve.tests.simulator import Simulator
from ansible_collections.homelab.pve.tests.simulator.userconfig import UserConfig

from .client import Conversation
from .compare import canonical, differences, text

RECORDED_RELEASE = "9.2"
PERMISSIONS = "permissions.jsonl"
REACH = "reach.jsonl"
# Verdicts that did not come from PVE's own simulator alone are hints: so many in 100 of them have to match.
EXTENDED, EXTENDED_MATCHING = "extended", 99


class UnusableFolder(Exception):
    """There is nothing to replay, or what there is cannot be read."""


def default_folder() -> Path:
    """Return where the recordings are expected: in the shared folder beside the checkout, or where SHARED points."""
    checkout = Path(__file__).resolve().parents[2]
    shared = Path(os.environ.get("SHARED") or checkout.parent / "shared")
    return shared / "contract" / "scenarios"


@dataclass
class Count:
    """How many of how many match, and what differs."""

    matching: int = 0
    total: int = 0
    found: list[str] = field(default_factory=list)

    def add(self, problems: list[str]) -> None:
        self.total += 1
        self.matching += not problems
        self.found += problems

    def __str__(self) -> str:
        return f"{self.matching}/{self.total}"


def scenarios(folder: Path, only: str = "*") -> list[Path]:
    """Return the scenario files whose name matches. Raises UnusableFolder when there are none."""
    if not folder.is_dir():
        raise UnusableFolder(f"{folder} is no folder")
    files = sorted(path for path in folder.glob("*.json") if _named(path, only))
    if not files:
        raise UnusableFolder(f"{folder} holds no scenario that matches {only}")
    return files


def _named(path: Path, only: str) -> bool:
    return fnmatchcase(path.stem, only) or fnmatchcase(path.name, only)


def replay(files: list[Path]) -> dict[str, Count]:
    """Replay scenarios, each from the pristine state, and return a count for each theme (the name's first word)."""
    counts: dict[str, Count] = {}
    with Simulator(RECORDED_RELEASE, auth_delay=0) as simulator:
        for file in files:
            simulator.reset()
            count = counts.setdefault(file.stem.partition("-")[0], Count())
            for problems in _replay_one(simulator, file):
                count.add(problems)
    return counts


def _replay_one(simulator: Simulator, file: Path) -> Iterator[list[str]]:
    try:
        scenario = json.loads(file.read_text(encoding="utf-8"))
        steps = scenario["steps"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnusableFolder(f"{file}: {type(error).__name__}: {error}") from error
    conversation = Conversation(simulator.host, simulator.port, simulator.ca_file)
    try:
        for number, step in enumerate(steps, 1):
            label = f"{file.stem}#{number} {step['method']} {step['path']}"
            ignored = {*scenario.get("ignore", []), *step.get("ignore", [])}
            try:
                problems = _check(step["response"], conversation.run(step), ignored)
            except (OSError, HTTPException, RuntimeError, KeyError) as error:  # a broken server is a difference, too
                conversation.close()
                problems = [f"{type(error).__name__}: {error}"]
            yield [f"{label}: {problem}" for problem in problems]
    finally:
        conversation.close()


def _check(expected: dict[str, Any], actual: dict[str, Any], ignored: set[str]) -> list[str]:
    problems = []
    if expected["status"] != actual["status"]:
        problems.append(
            f"status: expected {expected['status']} {expected['reason']!r}, got {actual['status']} {actual['reason']!r}"
        )
    elif text(expected["reason"].rstrip()) != text(actual["reason"].rstrip()):
        problems.append(f"reason: expected {expected['reason']!r}, got {actual['reason']!r}")
    body = canonical(actual["body"], ignored)
    return problems + differences(canonical(expected["body"], ignored), body, "body")


def check_permissions(file: Path) -> Count:
    """Put every recorded question to the evaluator, on the configuration that it was asked in."""
    count = Count()
    release = (9, 2)
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        case = json.loads(line)
        config = UserConfig.load(case["state"])
        config.settle(release)
        evaluator = Evaluator(config.access_state(release))
        for query in case["queries"]:
            got = evaluator.privileges(query["subject"], query["path"])
            label = f"{file.name}:{number} {query['subject']} {query['path']}"
            count.add([f"{label}: {line}" for line in differences(query["expected"], got, "privileges")])
    return count


@dataclass
class ReachCount(Count):
    """A count of verdicts. ``found`` tells all that differ; ``wrong`` those that have to be mended."""

    extended: Count = field(default_factory=Count)

    @property
    def wrong(self) -> list[str]:
        tolerated = self.extended.matching * 100 >= self.extended.total * EXTENDED_MATCHING
        return [line for line in self.found if not (tolerated and line in self.extended.found)]


def check_reach(file: Path) -> ReachCount:
    """Ask for the verdict on every recorded packet, with the firewall that it met."""
    count = ReachCount()
    for case in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
        state = case["state"]
        reach = Reach(_ruleset(state["cluster"]), _ruleset(state["node"]), state["local_network"])
        for query in case["queries"]:
            packet = Packet(**{name: query[name] for name in Packet.__dataclass_fields__})
            verdict = reach.verdict(packet)
            problems = []
            if verdict.action != query["expected"]:
                label = f"{file.name} {case['id']} ({query['via']}) {packet}"
                problems = [f"{label}: expected {query['expected']}, got {verdict.action} by {verdict.by}"]
            count.add(problems)
            if query["via"] == EXTENDED:
                count.extended.add(problems)
    return count


def _ruleset(state: dict[str, Any]) -> Ruleset:
    def rules(rows: list[dict[str, Any]]) -> tuple[Rule, ...]:
        return tuple(Rule.from_api(row) for row in rows)

    ipsets = {
        row["name"]: IpSet(row["name"], entries=tuple(Entry.from_api(entry) for entry in row["entries"]))
        for row in state.get("ipsets", [])
    }
    return Ruleset(
        options=state["options"],
        rules=rules(state["rules"]),
        aliases={row["name"].lower(): Alias.from_api(row) for row in state.get("aliases", [])},
        ipsets=ipsets,
        groups={row["group"]: Group(row["group"], rules=rules(row["rules"])) for row in state.get("groups", [])},
    )
