"""Markdown is short, says what counts, and is not moved by what people wrote."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.access.whatif import rights_between
from ansible_collections.homelab.pve.plugins.module_utils.policy.audit import Audit
from ansible_collections.homelab.pve.plugins.module_utils.reports import render
from ansible_collections.homelab.pve.plugins.module_utils.reports.markdown import code, text
from ansible_collections.homelab.pve.tests.unit.reports.world import NASTY, clean_audit, grant, hostile, large, ordinary


def told(audit: Audit, fail_on: str = "error", cluster: str = "pve.example") -> str:
    return render(audit, "markdown", fail_on=fail_on, cluster=cluster)


def test_the_first_lines_say_how_it_ended() -> None:
    assert told(ordinary()).startswith("## ❌ Audit of `pve.example`: fail\n")
    assert "2 errors, 1 warning, 1 note, 1 exception, 1 gap." in told(ordinary())
    assert told(ordinary(), "never").startswith("## ⚠️ Audit of `pve.example`: incomplete\n")
    assert told(clean_audit()).startswith("## ✅ Audit of `pve.example`: pass\n")
    assert "No findings." in told(clean_audit())
    assert "**2 findings have to be put right.** 2 errors" in told(ordinary())
    assert "**Nothing that was found makes the audit fail.** 2 errors" in told(replace(ordinary(), gaps=()), "never")
    assert "**Everything is as the policy says.** No findings" in told(clean_audit())


def test_all_parts_are_there() -> None:
    shown = told(ordinary())
    for part in (
        "Take the ACL entry away, or correct the assertion.",
        "**firewall of delta**: The node is offline.",
        "1 of 2 assertions on effective rights held.",
        "### Who would gain by applying the policy",
        "labby@pve!view gains",
        "### Who would lose by applying the policy",
        "* TCP 8006 of `gamma`",
        "1 finding excepted",
    ):
        assert part in shown


def test_who_would_gain_and_lose_comes_first() -> None:
    shown = told(ordinary())
    assert "**By applying the policy, 1 id would gain rights and 1 id would lose rights.**" in shown
    assert shown.index("### Who would gain") < shown.index("### Who would lose") < shown.index("### To be put right")
    audit = ordinary()
    after = grant(audit.observed.state, "joe@pve", "/nodes", "Administrator")
    audit = replace(audit, rights=rights_between(audit.observed.access, audit.observed.state, after))
    assert "* joe@pve gains all privileges on /nodes and below\n" in told(audit)
    after = grant(audit.observed.state, "joe@pve", "/access", "PVEUserAdmin")
    audit = replace(audit, rights=rights_between(audit.observed.access, audit.observed.state, after))
    assert "* joe@pve gains User.Modify, Group.Allocate, Realm.AllocateUser on /access and below\n" in told(audit)


def test_no_text_looks_like_another() -> None:
    for said in ("joe\u202eevp@", "j\u200boe", "j\u2066oe", "a\u2028b"):
        assert text(said) in ("joe\ufffdevp@", "j\ufffdoe", "a\ufffdb")


def test_it_fits_into_a_comment() -> None:
    audit = large(users=50, tokens=50, entries=200, guests=50)
    assert "And 950 more findings." in told(audit)
    assert "And 1950 more findings." in told(audit)
    long = replace(audit, findings=tuple(replace(one, message=NASTY * 20, fix=NASTY * 20) for one in audit.findings))
    assert len(told(long)) < 65_000
    assert told(long).endswith("There is more, which does not fit here.\n")
    others = replace(long, findings=tuple(replace(one, level="info") for one in long.findings))
    assert told(others).endswith("\n\n</details>\n\nThere is more, which does not fit here.\n")


@pytest.mark.parametrize("said", ["a`b", "`", "``", "`a``b`", "a|b", ""])
def test_code_is_what_it_says(said: str) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    shown = markdown_it.MarkdownIt("commonmark").render(f"x {code(said)} y")
    assert shown == (f"<p>x <code>{said}</code> y</p>\n" if said else "<p>x  y</p>\n")


@pytest.mark.parametrize("said", ["*a* _b_ ![c](d) ~e~ <f> &amp; `g` # | \\", "joe@pve!ci on /vms", "2027-01-31"])
def test_text_is_what_it_says(said: str) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    shown = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).render(f"x {text(said)}")
    escaped = said.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert shown == f"<p>x {escaped}</p>\n"


@pytest.mark.parametrize(
    "said", ["1. x", "2) x", "- y", "+ y", "* y", "# z", "> q", "---", "===", "[a]: b", "    code"]
)
def test_text_at_the_beginning_of_a_line_is_what_it_says(said: str) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    shown = markdown_it.MarkdownIt("commonmark").render(f"* {text(said)}")
    assert shown == f"<ul>\n<li>{said.strip().replace('>', '&gt;')}</li>\n</ul>\n"


def test_names_call_nobody_and_addresses_are_no_links() -> None:
    assert "@everybody" not in text("cc @everybody")
    assert "https://evil" not in text("see https://evil.example")
    assert text("joe@pve") == "joe@pve"


def test_what_people_wrote_does_nothing() -> None:
    markdown_it = pytest.importorskip("markdown_it")
    parser = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = parser.parse(told(hostile(), cluster=NASTY))
    inline = [child for token in tokens for child in token.children or ()]
    assert not {"link_open", "image", "em_open"} & {child.type for child in inline}
    assert {child.content for child in inline if child.type == "html_inline"} <= {"<br>", "<!-- -->"}
    blocks = {token.content.strip() for token in tokens if token.type == "html_block"}
    titles = ("1 finding excepted", "2 findings that the audit does not fail on")
    assert blocks == {*(f"<details><summary>{title}</summary>" for title in titles), "</details>"}
    rows = [token for token in tokens if token.type == "tr_open"]
    cells = [token for token in tokens if token.type in ("td_open", "th_open")]
    assert (len(rows), len(cells)) == (5, 15)


def test_what_is_not_known_about_rights_is_said() -> None:
    audit = ordinary()
    view = replace(audit.observed.access, complete=frozenset({"users"}))
    rights = rights_between(view, view.state, view.state)
    for kind in ("markdown", "html"):
        shown = render(replace(audit, rights=rights), kind, fail_on="error", cluster="pve.example")
        assert "does not see all of: groups, acl" in shown
