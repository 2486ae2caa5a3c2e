"""Facts about the tree that no other check knows, so that the house stays as docs/architecture.md describes it."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
MODULES = sorted((ROOT / "plugins" / "modules").glob("*.py"))
ROLES = sorted(path for path in (ROOT / "roles").glob("*") if any(path.rglob("*.*")))
# What a user of the collection gets to read or run.
SHIPPED = ("README.md", "docs", "examples", "playbooks", "plugins", "roles", "meta", "changelogs", "galaxy.yml")
DOCUMENTATION = {"DOCUMENTATION", "EXAMPLES", "RETURN"}


def named(paths: list[Path]) -> Any:
    """Parameters whose names are the paths; a tree that has none yet makes no test instead of a failing one."""
    return pytest.mark.parametrize("path", paths, ids=[str(path.relative_to(ROOT)) for path in paths])


def shipped_texts() -> Iterator[Path]:
    for name in SHIPPED:
        place = ROOT / name
        yield from [place] if place.is_file() else place.rglob("*")


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def imports(path: Path) -> Iterator[str]:
    """The full names of everything that a file of the collection imports, relative imports resolved."""
    package = ["ansible_collections", "homelab", "pve", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            yield ".".join([*base, *([node.module] if node.module else [])])


def test_the_action_group_holds_every_module() -> None:
    """The defaults of ``group/homelab.pve.all`` reach a module only if the group names it."""
    if not MODULES:
        pytest.skip("there are no modules yet")
    group = load(ROOT / "meta" / "runtime.yml")["action_groups"]["all"]
    assert group == sorted(path.stem for path in MODULES)


def test_playbooks_hand_on_every_connection_option() -> None:
    options = importlib.import_module("ansible_collections.homelab.pve.plugins.module_utils.client.options").OPTIONS
    assert load(ROOT / "playbooks" / "vars" / "connection.yml")["pve__options"] == [option.name for option in options]


@pytest.mark.parametrize(("folder", "found"), [("plugins/modules", MODULES), ("roles", ROLES), ("plugins", PLUGINS)])
def test_there_is_something_to_test(folder: str, found: list[Path]) -> None:
    """Without subjects the other tests have no cases, and would not be missed."""
    assert bool(found) == any(path.is_file() for path in (ROOT / folder).rglob("*"))


@named(MODULES)
def test_a_module_is_thin(path: Path) -> None:
    """About 70 lines outside of its documentation: what is more belongs where it can be tested without Ansible."""
    tree = ast.parse(path.read_text())
    documented = sum(
        (node.end_lineno or 0) - node.lineno + 1
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in DOCUMENTATION
    )
    assert len(path.read_text().splitlines()) - documented <= 70


def test_check_mode_is_read_once() -> None:
    """A module that decides for itself what check mode means will one day decide wrongly."""
    reads = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in PLUGINS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("check_mode", "_check_mode")
    ]
    assert len(reads) == bool(MODULES), reads


@named(PLUGINS)
def test_nothing_is_caught_wholesale(path: Path) -> None:
    """``except Exception`` turns a bug into a message about the cluster."""
    handlers = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ExceptHandler)]
    everything = re.compile(r"\b(Base)?Exception\b")
    assert not [node.lineno for node in handlers if not node.type or everything.search(ast.unparse(node.type))]


@named([*PLUGINS, *sorted((ROOT / "tests").rglob("*.py")), ROOT / "noxfile.py", ROOT / "conftest.py"])
def test_a_silenced_check_says_what_and_why(path: Path) -> None:
    """``noqa`` and ``type: ignore`` name what they silence; a comment behind or above them says why."""
    silenced = re.compile(r"# (?:noqa|type: ignore)\b(?P<what>: [A-Z0-9, ]+|\[[\w, -]+\])?(?P<why>\s+#\s+\S)?")
    above = ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        found = silenced.search(line)
        assert not found or (found["what"] and (found["why"] or above.startswith("#"))), number
        above = line.strip()


# The skin between Ansible and the domains: modules, and the argument specs that documents are put to.
SKIN = ("module", "documents", "policy_file")


@named([path for path in PLUGINS if path.is_relative_to(ROOT / "plugins" / "module_utils") and path.stem not in SKIN])
def test_domain_code_does_not_know_ansible(path: Path) -> None:
    """The inventory, the reports and the tests use it without Ansible."""
    ours = "ansible_collections.homelab.pve.plugins.module_utils"
    skin = [f"{ours}.{name}" for name in SKIN]
    for name in imports(path):
        assert name.split(".")[0] != "ansible"
        assert not name.startswith("ansible_collections.") or (name.startswith(ours) and name not in skin)


def test_shipped_texts_name_no_place_of_their_makers() -> None:
    """A path of the machine or folder where something was written means nothing to its reader."""
    places = re.compile(r"\.\./shared\b|/work/|/root/|/tmp/bash|\.nox/tools")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in shipped_texts()
        if path.is_file() and path.suffix not in (".pyc", ".gz")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if places.search(line)
    ]
    assert not found


@named(sorted(path for path in shipped_texts() if path.suffix == ".md"))
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", path.read_text())
    assert not [link for link in links if not (path.parent / link).exists()]


@named(ROLES)
def test_a_role_is_documented_as_it_is(path: Path) -> None:
    """Its argument spec, its defaults and its README speak of the same options, with the same default values.

    A default that is a template has no place in the spec, which would take it for a value of the wrong type.
    """
    options = load(path / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    defaults = load(path / "defaults" / "main.yml") or {}
    readme = (path / "README.md").read_text()
    plain = {name: value for name, value in defaults.items() if "{{" not in str(value)}
    assert {name: option["default"] for name, option in options.items() if "default" in option} == plain
    assert not set(defaults) - set(options)
    assert all(option.get("description") for option in options.values())
    assert not [name for name in options if f"`{name}`" not in readme]


def test_the_archive_takes_nothing_that_tools_leave_behind(tmp_path: Path) -> None:
    """Build a copy of the metadata among all sorts of litter: only what a user needs is taken."""
    wanted = ["README.md", "LICENSE", "meta/runtime.yml", "plugins/modules/pve_user.py", "roles/access/README.md"]
    wanted += ["docs/architecture.md", "examples/policy.yml", "changelogs/changelog.yaml"]
    litter = [".nox/tools/x", ".venv/x", ".mypy_cache/x", ".ci/run", "plugins/.cache/x", "plugins/__pycache__/x.pyc"]
    litter += ["__pycache__/conftest.pyc", "old.tar.gz", "docs/_build/x", "tests/unit/test_x.py", "tests/output/x"]
    litter += ["noxfile.py", "Makefile", "requirements/run.txt", "changelogs/fragments/1.yml", "pyproject.toml"]
    litter += ["extensions/molecule/default/molecule.yml", "roles/access/.yamllint"]
    tree = tmp_path / "tree"
    for name in wanted + litter:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    (tree / "galaxy.yml").write_text((ROOT / "galaxy.yml").read_text())
    galaxy = Path(sys.executable).with_name("ansible-galaxy")
    if not galaxy.exists():
        pytest.skip("there is no ansible-galaxy beside this Python")
    subprocess.run([galaxy, "collection", "build", "--output-path", tmp_path], cwd=tree, check=True)
    with tarfile.open(*tmp_path.glob("*.tar.gz")) as archive:
        taken = {member.name for member in archive if not member.isdir()}
    assert taken == {*wanted, "FILES.json", "MANIFEST.json"}
