"""The page, as text: it is whole, needs nothing else, and nothing that people wrote gets out of its place."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.access.giving import gives as gives_rights
from ansible_collections.homelab.pve.plugins.module_utils.access.model import Role, Token, User
from ansible_collections.homelab.pve.plugins.module_utils.access.permissions import Evaluator
from ansible_collections.homelab.pve.plugins.module_utils.policy.audit import Audit
from ansible_collections.homelab.pve.plugins.module_utils.policy.catalogue import RULES
from ansible_collections.homelab.pve.plugins.module_utils.policy.document import Hygiene
from ansible_collections.homelab.pve.plugins.module_utils.policy.findings import Judgement
from ansible_collections.homelab.pve.plugins.module_utils.policy.hygiene.admins import judge
from ansible_collections.homelab.pve.plugins.module_utils.policy.hygiene.subjects import Case
from ansible_collections.homelab.pve.plugins.module_utils.reports import render
from ansible_collections.homelab.pve.tests.unit.reports.world import (
    DAY,
    NASTY,
    NOW,
    clean_audit,
    grant,
    hostile,
    large,
    observed,
    ordinary,
    ordinary_state,
    role,
)

VOID = {"meta", "br", "input", "line", "circle"}


class Page(HTMLParser):
    """The elements of a page, what each says, and whether they close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.ids: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self.said: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs
        self.ids += [str(value) for name, value in attrs if name == "id"]
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            attributes, before = self.scripts.pop()
            self.scripts.append((attributes, before + data))
        elif self.open and self.open[-1] == "style":
            self.styles.append(data)
        else:
            self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())


def page(audit: Audit, cluster: str = "pve.example") -> str:
    return render(audit, "html", fail_on="error", cluster=cluster)


@pytest.mark.parametrize("audit", [ordinary, clean_audit, hostile])
def test_it_is_whole_and_loads_nothing(audit: Any) -> None:
    found = Page(page(audit(), NASTY))
    assert not found.open
    assert found.tags["script"] == 2
    assert not {"img", "link", "iframe", "object", "base", "form"} & set(found.tags)
    names = {name for name, unused in found.attributes}
    assert not {name for name in names if name.startswith("on") or name in ("src", "style", "srcset", "action")}
    assert all(str(value).startswith("#") for name, value in found.attributes if name == "href")
    assert len(found.ids) == len(set(found.ids))
    labels = {value for name, value in found.attributes if name == "aria-labelledby"}
    assert labels <= set(found.ids)
    text = page(audit())
    assert "http://" not in text.replace("http-equiv", "")
    assert not re.search("[\x00-\x08\x0b-\x1f\ud800-\udfff\uffff]", text)


def test_its_policy_lets_its_own_script_run_and_no_other() -> None:
    text = page(ordinary())
    found = Page(text)
    (policy,) = (str(value) for name, value in found.attributes if name == "content" and "default-src" in str(value))
    script, style = found.scripts[1][1], found.styles[0]
    for name, content in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_what_people_wrote_is_shown_as_it_is() -> None:
    found = Page(page(hostile(), NASTY))
    assert "</script><script>alert(1)</script><img src=x onerror=alert(2)>" in found.text
    (attributes, data), unused = found.scripts
    assert attributes["type"] == "application/json"
    assert "</" not in data
    assert f"{NASTY}@pve" in [row[0] for row in json.loads(data)["subjects"]]


def test_comments_and_mail_addresses_are_not_in_it() -> None:
    audit = ordinary()
    state = ordinary_state()
    user = replace(state.users["joe@pve"], comment="the-comment", email="mail@example.org", firstname="first-name")
    state = state.put("users", "joe@pve", user)
    state = state.put("tokens", "joe@pve!noted", Token("joe@pve!noted", comment="the-comment"))
    text = page(replace(audit, observed=observed(state)))
    assert not re.search("the-comment|mail@example|first-name", text)


def test_it_says_what_counts_without_its_script() -> None:
    said = Page(page(ordinary())).text
    for part in (
        "Audit of pve.example fail",
        "There is an ACL entry that nobody declared.",
        "What could not be judged firewall of delta",
        "does not hold",
        "PVEVMAdmin on /pool/lab for group students",
        "Of 6 tokens, 1 has expired, 1 will within 14 days, 2 never will.",
        "built-in access for +management",
        "which is not known here, reaches it too",
        "The firewall of the node was not read.",
        "Goes with the old backup server in March.",
        "What applying the policy would change",
    ):
        assert part in said
    assert "None." in Page(page(clean_audit())).text
    assert "The firewall was not read." in Page(page(replace(ordinary(), observed=observed(ordinary_state())))).text


def test_who_gives_rights_is_told_where_he_does() -> None:
    state = ordinary_state()
    for path, name, gives in (
        ("/", "PVEUserAdmin", True),
        ("/access", "PVEUserAdmin", True),
        ("/access/groups/ops", "PVEUserAdmin", True),
        ("/vms", "PVEUserAdmin", False),
        ("/vms", "Administrator", True),
        ("/access", "Modifier", True),
        ("/nodes", "Modifier", False),
        ("/vms", "PVEAuditor", False),
    ):
        roles = {
            **state.roles,
            "PVEUserAdmin": role("PVEUserAdmin"),
            "Modifier": Role("Modifier", frozenset({"Sys.Modify"})),
        }
        given = grant(replace(state, roles=roles), "eve@pve", path, name)
        held = Evaluator(given).privileges("eve@pve", path)
        assert gives_rights(path, held) is gives, f"{name} on {path}"


def test_it_says_where_rights_may_be_others_than_are_shown() -> None:
    audit = ordinary()
    assert "may not see all" not in page(audit)
    view = replace(audit.observed.access, complete=frozenset({"users", "acl"}))
    said = Page(page(replace(audit, observed=replace(audit.observed, access=view)))).text
    assert "may not see all groups and pools, so ids may hold other rights than are shown here." in said


def test_many_tokens_are_drawn_around_today() -> None:
    state = ordinary_state()
    for number in range(60):
        name = f"joe@pve!t{number:02}"
        state = state.put("tokens", name, Token(name, expire=int(NOW) + (number - 30) * DAY))
    text = page(replace(ordinary(), observed=observed(state)))
    drawn = re.findall(r"<g><title>(\S+):", text)
    assert len(drawn) == 40
    assert drawn[0] == "joe@pve!t20", "those that are over for longest are only listed"
    assert "24 other tokens" in text


def test_a_large_cluster_is_a_small_file() -> None:
    text = page(large())
    assert len(text.encode()) < 2_000_000
    assert "And 2000 more findings." in text


@pytest.mark.parametrize(
    ("path", "privilege"),
    [
        ("/", "User.Modify"),
        ("/access", "User.Modify"),
        ("/access/groups", "User.Modify"),
        ("/access/groups/admins", "User.Modify"),
        ("/", "Permissions.Modify"),
        ("/access", "Permissions.Modify"),
        ("/access/groups/admins", "Permissions.Modify"),
        ("/", "Sys.Modify"),
        ("/access", "Sys.Modify"),
    ],
)
def test_whoever_is_found_as_good_as_an_administrator_gives_rights(path: str, privilege: str) -> None:
    state = ordinary_state()
    state = state.put("roles", "One", Role("One", frozenset({privilege})))
    state = grant(state.put("users", "una@pve", User("una@pve")), "una@pve", path, "One")
    judgement = Judgement({rule.rule: rule.level for rule in RULES.values()})
    judge(Case(observed(state), Hygiene(), judgement))
    (found,) = [one for one in judgement.findings if (one.rule, one.subject) == ("as_good_as_admin", "user una@pve")]
    for at in (path, found.path):
        assert gives_rights(at, Evaluator(state).privileges("una@pve", at))
