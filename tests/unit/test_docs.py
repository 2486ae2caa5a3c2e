"""What the documentation shows is true: documents parse, links lead somewhere, commands are ones that a test runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("ansible", reason="documents are checked as Ansible checks them")

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.homelab.pve.plugins.module_utils.access import spec
from ansible_collections.homelab.pve.plugins.module_utils.access.document import parse_document

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "roles").glob("*/README.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)")


def blocks(page: Path, language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(page.read_text()) if name == language]


def policies() -> list[Any]:
    """Return every YAML block and example that holds a policy."""
    found = []
    for page in PAGES:
        for number, text in enumerate(blocks(page, "yaml"), 1):
            content = yaml.safe_load(text)
            if isinstance(content, dict) and "pve_access" in content:
                found.append(pytest.param(content["pve_access"], id=f"{page.relative_to(ROOT)}-{number}"))
    for example in sorted((ROOT / "examples").glob("*.yml")):
        content = yaml.safe_load(example.read_text())
        if isinstance(content, dict) and "pve_access" in content:
            found.append(pytest.param(content["pve_access"], id=example.name))
    return found


@pytest.mark.parametrize("policy", policies())
def test_policies_are_what_the_module_takes(policy: dict[str, Any]) -> None:
    result = ArgumentSpecValidator(spec.DOCUMENT).validate(policy)
    assert not result.error_messages
    assert parse_document(result.validated_parameters).whole


def test_there_are_policies_to_look_at() -> None:
    assert len(policies()) >= 3


# Commands that readers are told to give, and what runs them.
RUN = {
    "ansible-playbook homelab.pve.site ": "tests/integration/test_site.py",
    "ansible-playbook -i inventory.ini api-clients.yml": "tests/packets/test_role.py",
    "make demo": "tests/integration/test_site.py",
    "make live ": "tests/live/test_live.py",
    "ansible-galaxy collection install homelab.pve": "noxfile.py",  # the session archive, from the built file
    "pip install requests": "noxfile.py",  # every environment has it
    "export PVE_": "tests/integration/test_site.py",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_are_run_by_a_test(page: Path) -> None:
    for command in re.findall(r"^\$ (.*)$", page.read_text(), re.MULTILINE):
        runner = next((file for start, file in RUN.items() if command.startswith(start)), None)
        assert runner, f"{page.name} shows {command!r}, which nothing runs"
        assert (ROOT / runner).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
