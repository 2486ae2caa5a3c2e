"""Somebody else edits the same firewall between a task's reads and writes: both have their way, and nothing is lost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import is_digest_conflict
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.firewall import task as firewall_task
from ansible_collections.homelab.pve.plugins.module_utils.firewall.comments import Comment, is_bridge
from ansible_collections.homelab.pve.plugins.module_utils.firewall.wanted import Document
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import ROUNDS, ApplyError
from ansible_collections.homelab.pve.tests.integration.firewall_runs import (
    NODE,
    Json,
    Run,
    a_document,
    a_list,
    options_for,
)
from ansible_collections.homelab.pve.tests.simulator import Simulator
from ansible_collections.homelab.pve.tests.simulator.handlers import firewall_files, firewall_rules

BASE = "/cluster/firewall"
RULES = f"{BASE}/rules"


def rule(action: str, port: int, comment: str, **more: Any) -> Json:
    return {"type": "in", "action": action, "proto": "tcp", "dport": str(port), "comment": comment, **more}


FIREWALL: Json = {
    "cluster": {
        "options": {"enable": 1, "policy_in": "DROP"},
        "aliases": [{"name": "ours", "cidr": "10.1.0.0/16"}, {"name": "theirs", "cidr": "10.2.0.0/16"}],
        "ipsets": [
            {"name": "ours", "entries": [{"cidr": "10.1.0.1"}, {"cidr": "10.1.0.2"}]},
            {"name": "theirs", "entries": [{"cidr": "10.2.0.1"}]},
        ],
        "groups": [{"group": "ours", "rules": [rule("ACCEPT", 1, "[key:in-group]"), rule("DROP", 2, "Theirs")]}],
        "rules": [
            rule("ACCEPT", 1001, "[key:one]"),
            rule("ACCEPT", 2001, "Theirs 1"),
            rule("ACCEPT", 1002, "[key:two]"),
            rule("DROP", 2002, "Theirs 2"),
            rule("REJECT", 1003, "[key:three]"),
            rule("ACCEPT", 2003, "Theirs 3"),
        ],
    },
    "nodes": {NODE: {"rules": [rule("ACCEPT", 3001, "Theirs")]}},
}


def declared(key: str, action: str, port: int, **more: Any) -> Json:
    return {"key": key, "type": "in", "action": action, "proto": "tcp", "dport": str(port), **more}


DOCUMENTS: dict[str, Callable[[], Document]] = {
    "rules reordered, changed, made and removed": lambda: a_list(
        [
            declared("two", "ACCEPT", 1012),
            declared("new", "DROP", 1004),
            declared("one", "ACCEPT", 1001, comment="Changed"),
            {"key": "three", "state": "absent"},
        ],
        {"scope": "cluster"},
    ),
    "rules made at the top": lambda: a_list(
        [declared("new", "ACCEPT", 1004), declared("cut", "DROP", 1005), declared("more", "ACCEPT", 1006)],
        {"scope": "cluster"},
        position="top",
    ),
    "everything": lambda: a_document(
        cluster={
            "options": {"policy_in": "REJECT"},
            "aliases": [{"name": "ours", "cidr": "10.3.0.0/16"}, {"name": "more", "cidr": "10.4.0.0/16"}],
            "ipsets": [
                {"name": "ours", "entries": [{"cidr": "10.1.0.3"}, {"cidr": "10.1.0.2", "state": "absent"}]},
                {"name": "more", "entries": [{"cidr": "10.4.0.1"}]},
            ],
            "groups": [{"name": "ours", "comment": "Ours", "rules": [declared("in-group", "DROP", 1)]}],
            "rules": [declared("one", "ACCEPT", 1001, source="more"), {"key": "two", "state": "absent"}],
        }
    ),
}


class Other:
    """Somebody else, with a client of his own."""

    def __init__(self, simulator: Simulator) -> None:
        self.client = Client(options_for(simulator))

    def at(self, comment: str) -> str:
        position = next(row["pos"] for row in self.client.get(RULES) if row.get("comment") == comment)
        return f"{RULES}/{position}"

    def own(self) -> Json:
        """Return everything that the tasks do not speak of."""
        return {
            "rules": [self.bare(row) for row in self.client.get(RULES) if self.is_foreign(row)],
            "group": [self.bare(row) for row in self.client.get(f"{BASE}/groups/ours") if self.is_foreign(row)],
            "node": [self.bare(row) for row in self.client.get(f"/nodes/{NODE}/firewall/rules")],
            "aliases": [self.bare(row) for row in self.client.get(f"{BASE}/aliases") if "their" in row["name"]],
            "set": [self.bare(row) for row in self.client.get(f"{BASE}/ipset/theirs")],
            "in our set": [
                self.bare(row) for row in self.client.get(f"{BASE}/ipset/ours") if row["cidr"].startswith("10.2")
            ],
            "ebtables": self.client.get(f"{BASE}/options").get("ebtables"),
        }

    @staticmethod
    def is_foreign(row: Json) -> bool:
        return not Comment.parse(row.get("comment")).key and not is_bridge(row.get("comment"))

    @staticmethod
    def bare(row: Json) -> Json:
        return {name: value for name, value in row.items() if name not in ("pos", "digest")}

    # -- his edits -----------------------------------------------------------------------------------------------------

    def inserts(self) -> None:
        self.client.send("POST", RULES, {**rule("DROP", 4000, "Inserted"), "enable": 1})

    def deletes(self) -> None:
        self.client.send("DELETE", self.at("Theirs 1"))

    def changes(self) -> None:
        self.client.send("PUT", self.at("Theirs 2"), {"dport": "2222", "log": "info"})

    def moves(self) -> None:
        self.client.send("PUT", self.at("Theirs 3"), {"moveto": 0})

    def changes_the_group(self) -> None:
        self.client.send("POST", f"{BASE}/groups/ours", {**rule("ACCEPT", 4001, "Inserted"), "enable": 1})

    def changes_the_node(self) -> None:
        self.client.send("PUT", f"/nodes/{NODE}/firewall/rules/0", {"dport": "3333"})

    def changes_an_alias(self) -> None:
        self.client.send("PUT", f"{BASE}/aliases/theirs", {"cidr": "10.9.0.0/16", "comment": "Moved"})

    def makes_an_alias(self) -> None:
        self.client.send("POST", f"{BASE}/aliases", {"name": "also_theirs", "cidr": "10.2.2.0/24"})

    def changes_a_set(self) -> None:
        self.client.send("POST", f"{BASE}/ipset/theirs", {"cidr": "10.2.0.9", "nomatch": 1})

    def adds_to_our_set(self) -> None:
        self.client.send("POST", f"{BASE}/ipset/ours", {"cidr": "10.2.0.7"})

    def sets_an_option(self) -> None:
        self.client.send("PUT", f"{BASE}/options", {"ebtables": 0})


TO_RULES = ("inserts", "deletes", "changes", "moves")
TO_OTHERS = ("the_group", "the_node", "an_alias", "a_set")
EDITS = (*TO_RULES, *(f"changes_{what}" for what in TO_OTHERS), "makes_an_alias", "adds_to_our_set", "sets_an_option")


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with Simulator(auth_delay=0) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Simulator:
    running.reset()
    running.load({"firewall": FIREWALL})
    return running


@pytest.fixture
def other(simulator: Simulator) -> Iterator[Other]:
    somebody = Other(simulator)
    yield somebody
    somebody.client.close()


def before_write(nth: Callable[[int], bool], act: Callable[[], None]) -> Callable[[str, str], None]:
    """Return what acts ahead of those writes whose number, from 1, fits."""
    numbers = itertools.count(1)

    def before(method: str, path: str) -> None:
        if method != "GET" and nth(next(numbers)):
            act()

    return before


@pytest.mark.parametrize(
    ("document", "edit"),
    [
        *((name, edit) for name in DOCUMENTS if name != "everything" for edit in TO_RULES),
        *(("everything", edit) for edit in EDITS if edit not in TO_RULES[1:]),
    ],
)
def test_an_edit_before_any_write(simulator: Simulator, other: Other, document: str, edit: str) -> None:
    wanted = DOCUMENTS[document]()

    def act(left: list[Json]) -> None:
        getattr(other, edit)()
        left.append(other.own())

    for nth in itertools.count(1):
        simulator.load({"firewall": FIREWALL})
        left: list[Json] = []
        run = Run(simulator, wanted, before=before_write(lambda number, nth=nth: number == nth, partial(act, left)))
        run()
        if not left:
            break
        assert other.own() == left[0], f"before write {nth}: {run.seen}"
        assert run.views <= ROUNDS
        again = Run(simulator, wanted)
        assert [str(change) for change in again().changes] == [], f"before write {nth}: {run.seen}"
    assert nth > 3


def test_what_is_not_declared_of_our_own_rules_stays(simulator: Simulator, other: Other) -> None:
    wanted = DOCUMENTS["rules reordered, changed, made and removed"]()

    def act(acted: list[bool]) -> None:
        acted.append(True)
        row = next(row for row in other.client.get(RULES) if "[key:two]" in row.get("comment", ""))
        other.client.send("PUT", f"{RULES}/{row['pos']}", {"log": "warning"})

    for nth in itertools.count(1):
        simulator.load({"firewall": FIREWALL})
        acted: list[bool] = []
        Run(simulator, wanted, before=before_write(lambda number, nth=nth: number == nth, partial(act, acted)))()
        if not acted:
            break
        (row,) = (row for row in other.client.get(RULES) if "[key:two]" in row.get("comment", ""))
        assert (row["log"], row["dport"]) == ("warning", "1012")
        assert Run(simulator, wanted)().changes == ()
    assert nth > 3


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_conflict_that_does_not_end_is_told_and_loses_nothing(
    simulator: Simulator, other: Other, document: str
) -> None:
    wanted = DOCUMENTS[document]()
    numbers = itertools.count(1)

    def act() -> None:
        for base in (RULES, f"{BASE}/groups/ours"):
            other.client.send("POST", base, {**rule("ACCEPT", 5000, f"Inserted {next(numbers)}"), "enable": 1})

    run = Run(simulator, wanted, before=before_write(lambda number: True, act))
    with pytest.raises(ApplyError) as caught:
        run()
    assert is_digest_conflict(caught.value.cause)
    assert "Somebody else" in str(caught.value)
    assert "run again" in str(caught.value)
    assert run.views == ROUNDS
    inserted = [row["comment"] for row in other.own()["rules"] if row["comment"].startswith("Inserted")]
    assert len(inserted) == (next(numbers) - 1) // 2
    kept = [row["comment"] for row in other.own()["rules"] if row["comment"].startswith("Theirs")]
    assert kept == ["Theirs 1", "Theirs 2", "Theirs 3"]
    # Once the other one is done, so is the task.
    left = other.own()
    Run(simulator, wanted)()
    assert other.own() == left
    assert Run(simulator, wanted)().changes == ()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_digest_that_was_worked_out_wrongly_costs_one_look(
    simulator: Simulator, document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = DOCUMENTS[document]()
    usual = Run(simulator, wanted)
    usual()
    simulator.load({"firewall": FIREWALL})
    real = firewall_task.list_digest
    numbers = itertools.count(1)
    monkeypatch.setattr(firewall_task, "list_digest", lambda rows: "0" * 40 if next(numbers) == 1 else real(rows))
    run = Run(simulator, wanted)
    run()
    assert run.views == 1
    assert len(run.seen) == len(usual.seen) + 2, "the refused call and one look, no more"
    assert Run(simulator, wanted)().changes == ()


def test_what_a_later_release_adds_to_rules_costs_one_look(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts in the digest, and nobody here knows what it will be for a new rule."""
    with_digest, digest_of = firewall_rules.with_digest, firewall_files.digest_of

    def of_later(rows: list[Json]) -> list[Json]:
        return [{**row, "weight": len(row["dport"])} if "dport" in row else row for row in rows]

    monkeypatch.setattr(firewall_rules, "with_digest", lambda rows: with_digest(of_later(rows)))
    monkeypatch.setattr(firewall_files, "digest_of", lambda rows: digest_of(of_later(rows)))
    # Without a new rule, everything is known from the first look.
    for name, looks in (("rules made at the top", 2), ("rules removed", 1)):
        wanted = DOCUMENTS[name]() if name in DOCUMENTS else gone("one", "two", "three")
        simulator.load({"firewall": FIREWALL})
        run = Run(simulator, wanted)
        run()
        assert run.views == 1
        assert sum(line.endswith(RULES) for line in run.seen if line.startswith("GET")) == looks, run.seen
        assert Run(simulator, wanted)().changes == ()


def gone(*keys: str) -> Document:
    return a_list([{"key": key, "state": "absent"} for key in keys], {"scope": "cluster"})


@pytest.mark.parametrize(
    ("path", "params"),
    [
        (f"{BASE}/aliases", {"name": "more", "cidr": "10.4.0.0/16"}),
        (f"{BASE}/ipset", {"name": "more"}),
        (f"{BASE}/ipset/ours", {"cidr": "10.1.0.3"}),
        (f"{BASE}/groups", {"group": "more"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_somebody_else_makes_meanwhile_is_not_made_again(
    simulator: Simulator, other: Other, path: str, params: Json
) -> None:
    """PVE refuses to make it twice, and the next run finds it."""
    wanted = a_document(
        cluster={
            "aliases": [{"name": "more", "cidr": "10.4.0.0/16", "comment": "Declared"}],
            "ipsets": [{"name": "ours", "entries": [{"cidr": "10.1.0.3"}]}, {"name": "more"}],
            "groups": [{"name": "more"}],
        }
    )

    def make() -> None:
        other.client.send("POST", path, params)

    run = Run(simulator, wanted, before=before_write(lambda number: number == 1, make))
    with pytest.raises(ApplyError, match=r"already exists.* run again"):
        run()
    Run(simulator, wanted)()
    assert Run(simulator, wanted)().changes == ()


def test_new_rules_that_somebody_elses_new_rule_came_between(simulator: Simulator, other: Other) -> None:
    """PVE takes no digest for what is made, so the next run puts it in order; nothing is lost until then."""
    rules = [declared("new", "ACCEPT", 1004), declared("more", "ACCEPT", 1006)]
    wanted = a_list(rules, {"scope": "cluster"}, position="top")
    Run(simulator, wanted, before=before_write(lambda number: number == 2, other.inserts))()
    left = other.own()
    assert [row["comment"] for row in other.client.get(RULES)][:3] == ["[key:new]", "Inserted", "[key:more]"]
    Run(simulator, wanted)()
    assert [row["comment"] for row in other.client.get(RULES)][:3] == ["[key:new]", "[key:more]", "Inserted"]
    assert other.own() == left
    assert Run(simulator, wanted)().changes == ()
