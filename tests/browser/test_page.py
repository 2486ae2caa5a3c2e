"""The page does what it says: it filters, it knows who may do what and why, and it can be used in every way."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.access.explain import Explainer
from ansible_collections.homelab.pve.plugins.module_utils.access.model import AccessState
from ansible_collections.homelab.pve.plugins.module_utils.access.permissions import TREE_PATHS, Evaluator
from ansible_collections.homelab.pve.plugins.module_utils.policy.audit import Audit
from ansible_collections.homelab.pve.plugins.module_utils.policy.document import Policy
from ansible_collections.homelab.pve.tests.browser.chromium import Browser
from ansible_collections.homelab.pve.tests.browser.conftest import Show
from ansible_collections.homelab.pve.tests.unit.access.strategies import PATHS, states
from ansible_collections.homelab.pve.tests.unit.reports.world import (
    NASTY,
    clean_audit,
    hostile,
    large,
    long_names,
    observed,
    ordinary,
    ordinary_state,
)
from hypothesis import HealthCheck, Phase, given, settings

SHOWN = "document.getElementById('shown').textContent"
ROWS = "[...document.querySelectorAll('#grid tbody tr')].map((row) => row.querySelector('code').textContent)"
COLUMNS = "[...document.querySelectorAll('#grid thead th span')].map((head) => head.textContent)"
PANEL = "document.getElementById('panel').innerText"
FOCUS = "[document.activeElement.dataset.id, document.activeElement.dataset.path]"
VISIBLE = "[...document.querySelectorAll('#findings tbody tr')].filter((row) => !row.hidden).length"


def cell(who: str, path: str) -> str:
    return f'#grid td[data-id="{who}"][data-path="{path}"]'


def text(browser: Browser, selector: str) -> str:
    return str(browser.run(f"document.querySelector({json.dumps(selector)}).textContent"))


def write(browser: Browser, selector: str, what: str) -> None:
    browser.click(selector)
    browser.run("document.activeElement.select()")
    browser.type(what)


# -- rights -----------------------------------------------------------------------------------------------------------


def compare(browser: Browser, state: AccessState, paths: list[str]) -> None:
    """Hold what the page works out against the evaluator and the entries that it goes by, for all ids and paths."""
    asked = [[subject, path] for subject in (*state.users, *state.tokens) for path in paths]
    script = f"{json.dumps(asked)}.map(([id, path]) => [audit.held(id, path), audit.halves(id, path)])"
    evaluator, explainer = Evaluator(state), Explainer(state)
    for (subject, path), (held, halves) in zip(asked, browser.run(script)):
        assert held == evaluator.privileges(subject, path), f"{subject} on {path}"
        told = [
            [(g.entry.role, g.entry.path, g.entry.principal.name, int(g.propagate), g.pool) for g in half]
            for half in explainer.halves(subject, path)
        ]
        assert [sorted(map(tuple, half)) for half in halves] == [sorted(half) for half in told], f"{subject} on {path}"


def test_rights_are_those_of_the_evaluator(show: Show) -> None:
    state = ordinary_state()
    browser = show()
    paths = sorted({*TREE_PATHS, *state.acl_paths, *state.pools_of, "/vms/999", "/nodes/alpha", "/pool/lab/x"})
    compare(browser, state, paths)


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(states())
def test_rights_are_those_of_the_evaluator_in_any_state(show: Show, state: AccessState) -> None:
    compare(show(Audit(Policy(), observed(state), ())), state, sorted({*TREE_PATHS, *PATHS, "/vms/102", "/pool/p2"}))


# -- matrix -----------------------------------------------------------------------------------------------------------


def test_the_matrix_shows_everybody_on_paths_that_matter(show: Show) -> None:
    browser = show()
    state = ordinary_state()
    assert sorted(browser.run(ROWS)) == sorted([*state.users, *state.tokens])
    columns = browser.run(COLUMNS)
    assert columns[: len(TREE_PATHS) - 1] == [path for path in TREE_PATHS if path != "/access/groups"]
    assert set(columns) == {*TREE_PATHS, *state.acl_paths, *state.pools_of}
    assert text(browser, cell("joe@pve", "/vms/100")) == "w23"
    assert text(browser, cell("bob@pve", "/vms/200")) == "·"
    assert text(browser, cell("auditor@pve", "/")) == "r7"
    assert text(browser, cell("ann@pve", "/")).startswith("a")
    assert browser.run("document.querySelectorAll('#grid th.out').length") == 3
    label = browser.run(f"document.querySelector({json.dumps(cell('joe@pve', '/vms'))}).ariaLabel")
    assert label == "joe@pve on /vms: can change things, 10 privileges"


def test_a_click_says_which_entries_give_it(show: Show) -> None:
    browser = show()
    browser.click(cell("joe@pve", "/vms/102"))
    panel = browser.run(PANEL)
    assert panel.startswith("joe@pve on /vms/102")
    assert "PVEVMUser on /vms/102 for the user itself, not below" in panel
    assert "PVEVMAdmin on /pool/lab for group students, by the pool lab" in panel
    browser.click(cell("joe@pve!backup", "/storage/nas"))
    panel = browser.run(PANEL)
    assert "It cannot log in: expired." in panel
    assert "holds what both its user and itself are given" in panel
    assert "PVEAuditor on /storage/nas for the token itself, not below" in panel
    browser.click(cell("labby@pve!spare", "/vms/100"))
    panel = browser.run(PANEL)
    assert "nothing" in panel
    assert "NoAccess on /vms/100 for the token itself" in panel
    browser.click(cell("root@pam!old", "/"))
    assert "root@pam may do everything, without an entry" in browser.run(PANEL)
    browser.click("#panel button")
    assert browser.run("document.getElementById('panel').hidden")


def test_filters_leave_what_was_asked_for(show: Show) -> None:
    browser = show()
    write(browser, "#id", "labby")
    browser.until(f"{ROWS}.length === 3")
    write(browser, "#path", "/vms/31")
    browser.until(f"{COLUMNS}.join() === '/vms/31'")
    assert browser.run(SHOWN) == "3 ids on 1 path"
    assert text(browser, cell("labby@pve!view", "/vms/31")) == "r7"
    write(browser, "#id", "")
    write(browser, "#path", "pool")
    browser.until(f"{COLUMNS}.join() === '/pool,/pool/lab,/pool/prod' && {ROWS}.length === 13")
    browser.click("#some")
    browser.until(f"{ROWS}.length === 9")
    assert "bob@pve" not in browser.run(ROWS)


def test_a_privilege_can_be_looked_for(show: Show) -> None:
    browser = show()
    browser.run(
        "(() => { const found = document.getElementById('privilege');"
        " found.value = [...found.options].find((option) => option.textContent === 'VM.Console').value;"
        " found.dispatchEvent(new Event('change')); })()"
    )
    browser.until(f"document.querySelector({json.dumps(cell('joe@pve', '/vms'))}).textContent === '✓'")
    assert text(browser, cell("auditor@pve", "/vms")) == "·"
    browser.click("#some")
    browser.until(f"!{ROWS}.includes('auditor@pve')")
    assert set(browser.run(ROWS)) == {
        "ann@pve",
        "ann@pve!terraform",
        "bob@pve",
        "joe@pve",
        "joe@pve!backup",
        "root@pam",
        "root@pam!old",
    }


def test_everything_can_be_done_with_the_keyboard(show: Show) -> None:
    browser = show()
    browser.run("document.getElementById('some').focus()")
    browser.press("Tab")
    assert browser.run(FOCUS) == ["ann@pve", "/"]
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft"):
        browser.press(key)
    assert browser.run(FOCUS) == ["ann@pve", "/access"]
    browser.press("ArrowLeft")
    browser.press("ArrowLeft")
    assert browser.run(FOCUS) == ["ann@pve", "/"], "the name of the row is no cell"
    browser.press("End")
    assert browser.run(FOCUS)[1] == browser.run(COLUMNS)[-1]
    browser.press("Home")
    browser.press("Enter")
    assert browser.run("document.activeElement.tagName") == "H3", "what was asked for is read out"
    assert "Administrator on / for group admins" in browser.run(PANEL)
    assert browser.run("document.querySelectorAll('[aria-selected=true]').length") == 1
    browser.press("Tab")
    assert browser.run("document.activeElement.textContent") == "Close"
    browser.press("Escape")
    assert browser.run("document.getElementById('panel').hidden")
    assert browser.run(FOCUS) == ["ann@pve", "/"], "and one is back where one was"
    assert browser.run("document.querySelectorAll('#grid [tabindex=\"0\"]').length") == 1


# -- findings ---------------------------------------------------------------------------------------------------------


def test_findings_are_filtered_by_level_and_text(show: Show) -> None:
    browser = show()
    found = "document.getElementById('found').textContent"
    assert (browser.run(VISIBLE), browser.run(found)) == (4, "4 findings")
    browser.click("#findings input[value=error]")
    assert (browser.run(VISIBLE), browser.run(found)) == (2, "2 of 4 findings")
    browser.click("#findings input[value=error]")
    write(browser, "#find", "Declared ENTRY eve")
    assert browser.run(VISIBLE) == 1
    write(browser, "#find", "no such words")
    assert browser.run(VISIBLE) == 0


def test_why_a_rule_matters_is_a_click_away(show: Show) -> None:
    browser = show()
    folded = "document.querySelector('#rule-drift_missing').closest('details')"
    assert not browser.run(f"{folded}.open")
    browser.click('#findings a[href="#rule-drift_missing"]')
    browser.until(f"{folded}.open")


def test_a_page_without_findings_works_as_well(show: Show) -> None:
    browser = show(clean_audit())
    browser.click(cell("joe@pve", "/vms"))
    assert "joe@pve" in browser.run(PANEL)


# -- looks ------------------------------------------------------------------------------------------------------------


def colours(browser: Browser, selector: str = "body") -> tuple[float, float]:
    """Return how light paper and ink are, from 0 to 255."""
    style = f"getComputedStyle(document.querySelector('{selector}'))"
    told = browser.run(f"[{style}.backgroundColor, {style}.color]")
    paper, ink = (sum(map(int, said.strip("rgb()").split(","))) / 3 for said in told)
    return paper, ink


def test_it_is_dark_at_night_and_light_on_paper(show: Show) -> None:
    browser = show()
    paper, ink = colours(browser)
    assert paper > 240 > 60 > ink
    browser.media("", prefers_color_scheme="dark")
    paper, ink = colours(browser)
    assert paper < 40 < 200 < ink
    browser.media("print", prefers_color_scheme="dark")
    paper, ink = colours(browser)
    assert paper > 240 > 60 > ink


def displayed(browser: Browser, selector: str) -> bool:
    return bool(browser.run(f"document.querySelector('{selector}').getClientRects().length"))


def test_on_paper_there_is_a_table_instead_of_what_can_be_clicked(show: Show, tmp_path: Path) -> None:
    browser = show()
    assert (displayed(browser, "#grid"), displayed(browser, ".still table")) == (True, False)
    browser.media("print")
    assert (displayed(browser, "#grid"), displayed(browser, ".still table")) == (False, True)
    assert not displayed(browser, ".tools")
    assert browser.paper(tmp_path / "audit.pdf") > 10_000


def test_without_scripts_all_but_the_matrix_is_there(show: Show) -> None:
    browser = show(scripts=False)
    # Asking takes no script of the page's own.
    assert displayed(browser, "#findings table")
    assert displayed(browser, ".still table")
    assert not displayed(browser, "#grid")
    assert not displayed(browser, ".tools")


@pytest.mark.parametrize("audit", [ordinary, long_names])
@pytest.mark.parametrize("width", [380, 1400])
def test_nothing_sticks_out_at_the_side(show: Show, width: int, audit: Callable[[], Audit]) -> None:
    browser = show(audit(), width=width, height=800)
    browser.click(cell("joe@pve", "/vms"))
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    browser.media("print")
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")


def test_a_picture_can_be_taken(show: Show, tmp_path: Path) -> None:
    browser = show()
    browser.picture(tmp_path / "audit.png")
    width, height = struct.unpack(">II", (tmp_path / "audit.png").read_bytes()[16:24])
    assert width == 1400
    assert height > 1500


# -- what can go wrong ------------------------------------------------------------------------------------------------


def test_what_people_wrote_does_nothing(show: Show) -> None:
    browser = show(hostile())
    user = f"{NASTY}@pve"
    told: Any = browser.run("JSON.parse(document.getElementById('data').textContent).subjects.map(([id]) => id)")
    assert len(told) == len(hostile().observed.state.users) + len(hostile().observed.state.tokens)
    assert browser.run("document.scripts.length") == 2
    assert browser.run("document.images.length") == 0
    write(browser, "#id", "script alert")
    browser.until(f"{ROWS}.length === 2")
    browser.click("#grid tbody tr td:nth-child(8)")
    assert "alert(1)</script>" in browser.run(PANEL)
    assert user.partition("\r")[0] in browser.run(PANEL)
    browser.run("document.getElementById('find').focus()")
    assert browser.run("document.images.length") == 0


def test_a_thousand_ids_on_a_thousand_paths_stay_usable(show: Show) -> None:
    audit = large()
    browser = show(audit)
    assert browser.run(SHOWN) == "100 of 2000 ids on 24 of 1008 paths"
    browser.click("#more-ids")
    browser.click("#more-paths")
    assert (browser.run(f"{ROWS}.length"), browser.run(f"{COLUMNS}.length")) == (200, 48)
    write(browser, "#id", "person0777")
    browser.until(f"{ROWS}.length === 2")
    write(browser, "#path", "/vms/777")
    browser.until(f"{COLUMNS}.join() === '/vms/777'")
    browser.click(cell("person0777@pve", "/vms/777"))
    assert "for group team-" in browser.run(PANEL)
    state = audit.observed.state
    evaluator = Evaluator(state)
    for subject in ("person0777@pve", "person0777@pve!t777", "person0000@pve!t0"):
        for path in ("/vms/777", "/vms/100", "/pool/pool07", "/"):
            held = browser.run(f"audit.held({json.dumps(subject)}, {json.dumps(path)})")
            assert held == evaluator.privileges(subject, path)


def test_what_goes_wrong_in_a_page_is_seen(running: Browser, tmp_path: Path) -> None:
    page = tmp_path / "wrong.html"
    page.write_text("<img src='gone.png'><script>console.error('said'); setTimeout(() => nowhere(), 0)</script>")
    running.open(page)
    running.until("performance.now() > 50")
    problems = " ".join(running.problems)
    assert all(part in problems for part in ("said", "nowhere is not defined", "ERR_FILE_NOT_FOUND"))
    assert (tmp_path / "gone.png").as_uri() in running.requests
