"""The page about least privilege says what the code works out."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.access.releases import NEWEST
from ansible_collections.homelab.pve.plugins.module_utils.least.applications import (
    APPLICATIONS,
    Application,
    rights_of,
)

PAGE = Path(__file__).resolve().parents[3] / "docs" / "least_privilege.md"


def row(application: Application) -> str:
    """Return an application's row of the table."""
    rights = [
        f"`{entry.path}`{'' if entry.propagate else ' alone'}: {', '.join(sorted(entry.privileges))}"
        for entry in rights_of(application.name, NEWEST).entries
    ]
    source = application.source
    link = f"[{application.version}]({source})" if source.startswith("https:") else f"{application.version}, {source}"
    return f"| `{application.name}` | {application.title} ({link}) | {'<br>'.join(rights)} |"


@pytest.mark.parametrize("name", [one.name for one in APPLICATIONS])
def test_the_table_has_the_rights_that_are_worked_out(name: str) -> None:
    (application,) = [one for one in APPLICATIONS if one.name == name]
    text = PAGE.read_text(encoding="utf-8")
    assert row(application) in text.splitlines()
    assert not application.without or f"- `{name}`: {application.without}" in " ".join(text.split())


def test_the_table_has_no_others() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert rows == [row(application) for application in APPLICATIONS]
