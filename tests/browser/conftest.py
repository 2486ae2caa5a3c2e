"""A browser with the page in it. Where there is none, tests are skipped; with CI=true they fail."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.policy.audit import Audit
from ansible_collections.homelab.pve.plugins.module_utils.reports import render
from ansible_collections.homelab.pve.tests.browser.chromium import Browser, executable
from ansible_collections.homelab.pve.tests.unit.reports.world import ordinary

Show = Callable[..., Browser]


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = executable()
    if program is None and os.environ.get("CI") == "true":
        pytest.fail("with CI=true these tests have to run, and this machine lacks Chromium")
    if program is None:
        pytest.skip("this machine lacks Chromium")
    with Browser(program, tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def show(running: Browser, tmp_path: Path) -> Iterator[Show]:
    """Open the page about an audit. Whatever goes wrong in it, and whatever it loads, fails the test."""
    page = tmp_path / "audit.html"

    def opened(audit: Audit | None = None, **how: Any) -> Browser:
        told = render(audit or ordinary(), "html", fail_on="error", cluster="pve.example")
        page.write_text(told, encoding="utf-8")
        running.open(page, **how)
        return running

    yield opened
    running.run("1")
    assert running.problems == []
    assert set(running.requests) <= {page.as_uri()}
    running.media("")
