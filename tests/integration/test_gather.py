"""The playbook gather: what it writes down, for whom, and that nobody's names break the pages."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.pve.tests.pvesh import transport
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, Simulator

from .conftest import Ansible, Run

ROOT = Path(__file__).resolve().parents[2]
WRITE, TELL = "Write the facts and the pages", "Tell what was gathered"
NAMES = ("facts.json", "index.html", "index.md")
# What somebody may have typed in somewhere.
NASTY = (
    "<script>alert(1)</script>",
    "a|b\nc",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 6 }}{% raw %}",
    "[x](https://example.org) `*_y_* \\",
    "&lt; ünï",
)

Json = dict[str, Any]


class Page(HTMLParser):
    """An HTML page: its tables as lists of rows, by their headings, and its tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._heading = ""
        self._into: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "h2":
            self._into = [""]
        elif tag == "tr":
            self.tables.setdefault(self._heading, []).append([])
        elif tag in ("td", "th"):
            self._into = self.tables[self._heading][-1]
            self._into.append("")
        elif tag == "small":
            self._heading = self._into[-1].strip() if self._into else ""
            self._into = None

    def handle_endtag(self, tag: str) -> None:
        if tag == "h2" and self._into:
            self._heading = self._into[-1].strip()
        if tag in ("h2", "td", "th"):
            self._into = None

    def handle_data(self, data: str) -> None:
        if self._into:
            self._into[-1] += data

    def column(self, table: str, name: str) -> list[str]:
        head, *rows = self.tables[table]
        return [row[head.index(name)] for row in rows]


class Gather:
    """The playbook, as somebody at a shell runs it."""

    def __init__(self, ansible: Ansible, simulator: Simulator) -> None:
        self.ansible = ansible
        self.folder = ansible.home / "pve-facts"
        self.simulator = simulator
        self.env = transport.environment(simulator)

    def run(self, *arguments: str, env: Json | None = None, **variables: Any) -> Run:
        run = self.ansible.playbook(
            "homelab.pve.gather", *arguments, variables=variables, env={**self.env, **(env or {})}
        )
        assert run.returncode == 0, run.output
        return run

    @property
    def facts(self) -> Json:
        found: Json = json.loads((self.folder / "facts.json").read_text())
        return found

    @property
    def page(self) -> Page:
        return Page((self.folder / "index.html").read_text())

    @property
    def markdown(self) -> str:
        return (self.folder / "index.md").read_text()


@pytest.fixture
def gather(ansible: Ansible, simulator: Simulator) -> Gather:
    return Gather(ansible, simulator)


def populate(simulator: Simulator) -> None:
    """Put what is nasty wherever it fits, and a second node that is down."""
    state = simulator.export()
    state["nodes"] = [state["nodes"][0], {"name": "second", "ip": "192.168.40.3", "online": False}]
    state["guests"] += [
        {**state["guests"][0], "vmid": 200 + number, "config": {**state["guests"][0]["config"], "name": text}}
        for number, text in enumerate(NASTY)
    ]
    state["guests"].append({**state["guests"][0], "vmid": 300, "node": "second"})
    state["users"] += [
        {"userid": f"user{number}@pve", "comment": text, "lastname": text} for number, text in enumerate(NASTY)
    ]
    state["tokens"] += [
        {"tokenid": "user0@pve!old", "comment": NASTY[0], "expire": 1577836800},
        {"tokenid": "user0@pve!new", "expire": 4102444800, "privsep": 0},
    ]
    state["pools"] += [{"poolid": "lab", "comment": NASTY[2], "vms": [100]}]
    simulator.load(state)


def rows_of(markdown: str, title: str) -> list[list[str]]:
    """Return the cells of a section's table, with what was escaped as it was."""
    section = re.split(r"^## ", markdown, flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(title)]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert {len(row) for row in cells} == {len(cells[0])}, "every row has the columns of the head"
    return [[re.sub(r"\\(.)", r"\1", cell) for cell in row] for row in cells]


def test_what_is_written_down(gather: Gather) -> None:
    populate(gather.simulator)
    foreseen = gather.run("--check", "--diff", gather_figures=False)
    assert not gather.folder.exists()
    assert foreseen.result(TELL)["msg"][-1] == f"Would be written: {gather.folder}/index.html"
    assert "## Guests" in foreseen.output

    done = gather.run(gather_figures=False)
    assert [result["changed"] for result in done.result(WRITE)["results"]] == [True] * 3
    assert gather.folder.stat().st_mode & 0o777 == 0o700
    files = sorted(gather.folder.iterdir())
    assert [file.name for file in files] == sorted(NAMES)
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert {row["method"] for row in gather.simulator.requests()} == {"GET"}
    assert not any(ROOT_SECRET in file.read_text() for file in files)

    facts, page = gather.facts, gather.page
    assert [row["node"] for row in facts["nodes"]] == ["second", "ugreen"]
    assert facts["guests"][0]["name"] == "vm100"
    assert "uptime" not in facts["guests"][0]
    # The guest on the node that is down has no name, and the pages say why.
    assert page.column("Guests", "id")[-1] == "300"
    assert page.column("Guests", "status")[-1] == "unknown"
    assert any("second is offline" in why for why in page.column("What is missing", "why"))
    assert page.column("What is missing", "why") == [row["reason"] for row in facts["incomplete"]]
    assert any("second is offline" in line for line in done.result(TELL)["msg"])
    assert "192.168.40.100" in page.column("Guests", "addresses")[0]
    assert page.column("Tokens", "expires") == ["never", "2100-01-01", "2020-01-01"]
    assert page.column("Tokens", "usable now") == ["yes", "yes", "no"]
    assert page.column("Pools", "guests") == ["100"]
    assert "Administrator" in page.column("Access control", "role")

    # What is nasty is a text like any other.
    assert page.column("Guests", "name")[2:8] == list(NASTY)
    assert page.column("Users", "comment")[2:] == list(NASTY)
    assert {"script", "img"}.isdisjoint(tag for tag, unused in page.tags)
    links = [value for unused, given in page.tags for name, value in given.items() if name in ("src", "href")]
    assert links
    assert all(str(link).startswith("#") for link in links), "the page needs nothing but itself"
    flat = [re.sub(r"\s+", " ", text) for text in NASTY]
    assert [row[1] for row in rows_of(gather.markdown, "Guests")[4:10]] == flat
    assert [row[6] for row in rows_of(gather.markdown, "Users")[4:]] == flat
    assert "<script" not in gather.markdown.replace("\\<", "")

    # Only what fluctuates is different: nothing to write.
    state = gather.simulator.export()
    gather.simulator.load({"nodes": [{**node, "uptime": 7777} for node in state["nodes"]]})
    again = gather.run(gather_figures=False)
    assert again.changed == []
    assert again.result(TELL)["msg"][-1] == f"As before: {gather.folder}/index.html"


def test_who_sees_little_is_told_so(gather: Gather) -> None:
    state = gather.simulator.export()
    state["users"].append({"userid": "joe@pve"})
    state["tokens"].append({"tokenid": "joe@pve!some", "privsep": 0, "secret": ROOT_SECRET.replace("1", "9")})
    state["acl"].append({"path": "/vms/100", "type": "user", "ugid": "joe@pve", "roleid": "PVEAuditor", "propagate": 1})
    gather.simulator.load(state)
    joe = {"PVE_TOKEN_ID": "joe@pve!some", "PVE_TOKEN_SECRET": ROOT_SECRET.replace("1", "9")}
    gather.folder.mkdir(mode=0o750)

    told = gather.run(env=joe, gather_dir="pve-facts/../pve-facts").result(TELL)["msg"]
    assert gather.folder.stat().st_mode & 0o777 == 0o750, "somebody has chosen that"
    assert "guests: 1" in told
    assert "storage: could not be read" in told
    facts, page = gather.facts, gather.page
    assert [row["vmid"] for row in facts["guests"]] == [100]
    assert facts["storage"] is None
    assert page.column("Guests", "memory") == ["512.0 MiB of 2.0 GiB"]
    assert "Storage" not in page.tables
    missing = set(page.column("What is missing", "what"))
    assert missing >= {"guests", "storage", "users", "acl", "node_status"}
    assert "Could not be read" in gather.markdown
    assert missing == {row[0] for row in rows_of(gather.markdown, "What is missing")[2:]}


def test_every_query_of_the_guide_has_its_place(gather: Gather) -> None:
    """The commands of docs/gather.md, and its table of paths, each with a subset that says what PVE says there."""
    text = (ROOT / "docs" / "gather.md").read_text()
    commands = re.findall(r"^\$ ansible-playbook homelab.pve.gather(.*)$", text, re.MULTILINE)
    assert len(commands) == 2
    rows = re.findall(r"^\| `(/[^`]*)` \| (.*?) \|", text, re.MULTILINE)
    subsets = {path: re.findall(r"`(\w+)`", named) for path, named in rows}
    asked = {name for names in subsets.values() for name in names}
    (gather.ansible.home / "inventory").mkdir()
    gather.run(*commands[1].split(), gather_subsets=sorted(asked))

    facts = json.loads((gather.ansible.home / "inventory" / "pve" / "facts.json").read_text())
    assert facts["incomplete"] == []
    assert {name for name in asked if facts[name] is None} == set()
    seen = {row["path"] for row in gather.simulator.requests()}
    vm, container = facts["guest_status"]
    places: dict[str, tuple[Any, Any]] = {
        "/version": (facts["version"]["release"], gather.simulator.release),
        "/cluster/status": (facts["nodes"][0]["address"], "192.168.40.2"),
        "/nodes": (facts["nodes"][0]["node"], "ugreen"),
        "/nodes/NODE/status": (facts["node_status"][0]["pveversion"].split("/")[0], "pve-manager"),
        "/nodes/NODE/qemu": ((vm["vmid"], vm["type"], vm["cpus"]), (100, "qemu", 2)),
        "/nodes/NODE/lxc": ((container["vmid"], container["type"], container["maxswap"]), (102, "lxc", 512 << 20)),
        "/nodes/NODE/qemu/100/status/current": (
            (vm["status"], vm["qmpstatus"]),
            ("running", "running"),
        ),
        "/nodes/NODE/lxc/102/status/current": ((container["status"], container["name"]), ("running", "ct102")),
        "/cluster/resources?type=vm": ([row["vmid"] for row in facts["guests"]], [100, 102]),
        "/cluster/resources?type=storage": (facts["storage"][0]["nodes"][0]["status"], "available"),
    }
    for path, (found, expected) in places.items():
        assert path in subsets
        assert found == expected, path
    assert "/nodes/ugreen/status" in seen
