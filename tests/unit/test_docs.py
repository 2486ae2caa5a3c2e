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
from ansible_collections.homelab.pve.plugins.module_utils.documents import whole_firewall
from ansible_collections.homelab.pve.plugins.module_utils.firewall import spec as firewall_spec

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "roles").glob("*/README.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)")


def blocks(page: Path, language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(page.read_text()) if name == language]


def policies(key: str) -> list[Any]:
    """Return what every YAML block and example says under the key of a policy."""
    texts = {
        f"{page.relative_to(ROOT)}-{number}": text
        for page in PAGES
        for number, text in enumerate(blocks(page, "yaml"), 1)
    }
    texts |= {example.name: example.read_text() for example in sorted((ROOT / "examples").glob("*.yml"))}
    contents = {name: yaml.safe_load(text) for name, text in texts.items()}
    return [
        pytest.param(content[key], id=name)
        for name, content in contents.items()
        if isinstance(content, dict) and key in content
    ]


@pytest.mark.parametrize("policy", policies("pve_access"))
def test_policies_are_what_the_module_takes(policy: dict[str, Any]) -> None:
    result = ArgumentSpecValidator(spec.DOCUMENT).validate(policy)
    assert not result.error_messages
    assert parse_document(result.validated_parameters).whole


@pytest.mark.parametrize("policy", policies("pve_firewall"))
def test_firewalls_are_what_the_module_takes(policy: dict[str, Any]) -> None:
    result = ArgumentSpecValidator({**firewall_spec.DOCUMENT, **firewall_spec.GUARD}).validate(policy)
    assert not result.error_messages
    assert whole_firewall(result.validated_parameters).places


@pytest.mark.parametrize("key", ["pve_access", "pve_firewall"])
def test_there_are_policies_to_look_at(key: str) -> None:
    assert len(policies(key)) >= 3


@pytest.mark.parametrize(
    ("role", "option", "module"),
    [
        ("access", "access_policy", spec.DOCUMENT),
        ("firewall", "firewall_policy", firewall_spec.DOCUMENT),
    ],
)
def test_a_policy_of_a_role_is_what_its_module_takes(role: str, option: str, module: dict[str, Any]) -> None:
    told = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())
    found = told["argument_specs"]["main"]["options"][option]["options"]
    assert shape(found) == shape(module)


def shape(options: dict[str, Any]) -> dict[str, Any]:
    """Return what Ansible checks of options."""
    parts = ("type", "elements", "choices", "default", "required")
    return {
        name: {
            **{part: option[part] for part in parts if option.get(part) not in (None, False)},
            **({"options": shape(option["options"])} if "options" in option else {}),
        }
        for name, option in options.items()
    }


# Commands that readers are told to give, and what runs them.
RUN = {
    "ansible-playbook homelab.pve.audit ": "tests/integration/test_audit.py",
    "ansible localhost -m homelab.pve.pve_snapshot ": "tests/integration/test_audit.py",
    "ansible localhost -m homelab.pve.pve_info ": "tests/integration/test_info.py",
    "ansible-inventory -i lab.pve.yml ": "tests/integration/test_inventory.py",
    "mkdir -p -m 700 ~/.cache/pve-inventory": "tests/integration/test_inventory.py",
    "ansible-playbook homelab.pve.site ": "tests/integration/test_site.py",
    "ansible-playbook homelab.pve.gather": "tests/integration/test_gather.py",
    "ansible-playbook homelab.pve.adopt ": "tests/integration/test_adopt.py",
    "ansible-playbook homelab.pve.rotate ": "tests/integration/test_rotation.py",
    "ansible-playbook homelab.pve.bootstrap ": "tests/integration/test_bootstrap.py",
    "ansible-playbook homelab.pve.doctor ": "tests/integration/test_doctor.py",
    "ansible-playbook homelab.pve.revoke ": "tests/integration/test_revoke.py",
    "ansible-playbook homelab.pve.verify ": "tests/integration/test_verify.py",
    "ansible-playbook homelab.pve.cards ": "tests/integration/test_cards.py",
    "ansible-playbook -i inventory.ini api-clients.yml": "tests/packets/test_role.py",
    "ansible-playbook login.yml": "tests/integration/test_login.py",
    "make demo": "tests/integration/test_site.py",
    "make live ": "tests/live/test_live.py",
    "ansible-galaxy collection install homelab.pve": "noxfile.py",  # the session archive, from the built file
    "pip install requests": "noxfile.py",  # every environment has it
    "export PVE_": "tests/integration/test_site.py",
    "echo 'plugin: homelab.pve.pve' ": "tests/integration/test_site.py",
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
