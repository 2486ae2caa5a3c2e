"""What `make test` checks, one session per check. Those with the tags "checks" and "tests" run side by side.

nox itself and every tool live in one environment (.nox/tools, made by the Makefile), so most sessions need none of
their own: installing is the slowest part of a fresh run. Two sessions run on other Pythons and are skipped where
there is none. Everything that a session writes goes under .nox, its home folder included.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
BUILD = ROOT / ".nox"
TOOLS = Path(sys.executable).parent
TREE = BUILD / "tree"
REPORTS = BUILD / "reports"
HOME = BUILD / "home"
COLLECTION = Path("ansible_collections", "homelab", "pve")
BAIT = """---
- name: Bait
  hosts: localhost
  gather_facts: false
  tasks:
    - name: An option that does not exist
      homelab.pve.pve_user:
        userid: bait@pve
        no_such_option: true
"""

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "none"
nox.options.envdir = str(BUILD / "sessions")
nox.options.error_on_missing_interpreters = False

OWNER = Path.home()  # The home folder moves below.

os.environ.update(
    PATH=f"{TOOLS}:{os.environ['PATH']}",
    HOME=str(HOME),
    # Without this path ansible-lint, for one, does not know the modules and silently skips checking their options.
    ANSIBLE_COLLECTIONS_PATH=str(TREE),
    PY_COLORS="0",
    ANSIBLE_NOCOLOR="1",
)
for variable in [name for name in os.environ if name.startswith("PVE_")]:
    del os.environ[variable]  # A developer's own cluster is no part of any test.
# Hundreds of processes would each compile all that they import: nothing is compiled when it is installed.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
for name in (".config/pip", ".cache/pip"):  # Where this machine finds packages, and those that it has.
    (HOME / name).parent.mkdir(parents=True, exist_ok=True)
    if (OWNER / name).is_dir() and not (HOME / name).is_symlink():
        with contextlib.suppress(FileExistsError):  # The other track has been faster.
            (HOME / name).symlink_to(OWNER / name)


@functools.cache
def pythons() -> dict[str, Path]:
    """Every Python here by its version, such as 3.9; one that does not start (a version manager's stand-in) is none."""
    found: dict[str, Path] = {}
    probe = "import ensurepip, sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
    for folder in [str(TOOLS), *os.environ["PATH"].split(":"), *glob.glob(f"{OWNER}/.pyenv/versions/*/bin")]:
        for candidate in glob.glob(f"{folder}/python3.[0-9]") + glob.glob(f"{folder}/python3.[0-9][0-9]"):
            answer = subprocess.run([candidate, "-c", probe], capture_output=True, text=True, check=False)
            if answer.returncode == 0:
                version, executable = answer.stdout.strip().split(" ", 1)
                found.setdefault(version, Path(executable))
    return found


def environment(session: nox.Session, name: str, python: Path) -> Path:
    """The bin folder of the environment that requirements/NAME.txt describes, made again when that file changes."""
    requirements = ROOT / "requirements" / f"{name}.txt"
    place = BUILD / "sessions" / name
    stamp = place / "installed.txt"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        session.run(str(python), "-m", "venv", "--clear", str(place))
        session.run(str(place / "bin" / "pip"), "install", "-qq", "--no-compile", "-r", str(requirements))
        shutil.copy(requirements, stamp)
    return place / "bin"


def shipped_and_not() -> list[str]:
    """Every file that git tracks or would track."""
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in listing.stdout.splitlines() if (ROOT / name).is_file()]


def fails(session: nox.Session, *command: str, because: str) -> None:
    """Run a check on something wrong and demand that it says so: these checks are known to pass without looking."""
    output = session.run(*command, silent=True, success_codes=range(1, 256))
    if because not in str(output):
        session.error(f"{command[0]} did not see its bait ({because}):\n{output}")


def count(session: nox.Session, passed: int, failed: int = 0, skipped: int = 0) -> None:
    """Tell the report (.ci/report.py) how many checks a session was, where that is not one."""
    REPORTS.mkdir(exist_ok=True)
    (REPORTS / f"{session.name}.json").write_text(json.dumps([passed, failed, skipped]))


def pytest(session: nox.Session, *paths: str, python: Path = TOOLS, only: str = "", **env: str) -> None:
    """Run the tests in the folders given, count them for the report, and show which were slow.

    Three at a time on two cores: the tests of failures spend much of their time waiting.
    """
    paths = tuple(path for path in paths if glob.glob(f"{path}/**/test_*.py", recursive=True))
    if not paths:
        session.skip("there are no tests yet")
    session.run(
        str(python / "python"),
        *("-m", "pytest", "-q", "-n", "3", "--dist", "worksteal", "--durations=15", "--durations-min=0.5"),
        *(f"--junitxml={REPORTS / session.name}.xml", *(["-k", only] if only else []), *paths, *session.posargs),
        # Random cases are the same in every run, down to the order of sets.
        env={"PYTHONHASHSEED": "0", **env},
    )


@nox.session(tags=["checks"])
def newest(session: nox.Session) -> None:
    """The newest ansible-core: every module's examples, and the playbook from plan to proof.

    First of its track: what the other one tests later on looks at the secrets of this environment's Ansible, too.
    """
    version = next((version for version in ("3.13", "3.12") if version in pythons()), None)
    if version is None:
        session.skip("the newest ansible-core needs Python 3.12 or 3.13, and neither is here")
    python = environment(session, "newest", pythons()[version])
    # The rest does not depend on it: domain code knows nothing of Ansible.
    only = "examples or from_plan_to_proof"
    pytest(session, "tests/integration", python=python, only=only)


@nox.session(tags=["checks"])
def ruff(session: nox.Session) -> None:
    """Python style and order."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(tags=["checks"])
def types(session: nox.Session) -> None:
    """Types, strictly, on everything that runs; tests say what they mean by running."""
    session.run("mypy", "noxfile.py", "conftest.py", ".ci/report.py", ".ci/get_pip.py")
    packages = ("plugins", "tests.simulator", "tests.contract", "tests.live", "tests.warm", "tests.pvesh")
    session.run("mypy", *(f"-pansible_collections.homelab.pve.{name}" for name in packages))


@nox.session(tags=["checks"])
def licences(session: nox.Session) -> None:
    """Every file has a licence, and the licence texts are there."""
    session.run("reuse", "lint", "--lines")


@nox.session(tags=["checks"])
def changelog(session: nox.Session) -> None:
    """The changelog's fragments can be made into a changelog."""
    session.run("antsibull-changelog", "lint")


@nox.session(tags=["checks"])
def docs(session: nox.Session) -> None:
    """The plugins' documentation renders, and what it refers to exists."""
    session.run(
        *("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "self", "."),
    )


@nox.session(tags=["checks"])
def archive(session: nox.Session) -> None:
    """The archive for users builds and installs, and holds nothing but files that git knows."""
    place = BUILD / "archive"
    shutil.rmtree(place, ignore_errors=True)
    session.run("ansible-galaxy", "collection", "build", "--output-path", str(place), silent=True)
    (built,) = place.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        holds = {member.name for member in archive if member.isfile()} - {"MANIFEST.json", "FILES.json"}
    if unknown := sorted(holds - set(shipped_and_not())):
        session.error(f"the archive holds what git does not know: {unknown}")
    session.run("ansible-galaxy", "collection", "install", "--offline", str(built), "-p", str(place), silent=True)
    session.log(f"{built.name}: {len(holds)} files")


@nox.session(tags=["checks"])
def lint(session: nox.Session) -> None:
    """Roles, playbooks and examples: ansible-lint's production profile."""
    ansible_lint = ("ansible-lint", "--offline", "--strict", "-c.ansible-lint")
    with tempfile.TemporaryDirectory() as folder:
        bait = Path(folder, "playbook.yml")
        bait.write_text(BAIT)
        fails(session, *ansible_lint, str(bait), because="args[module]")
    session.run(*ansible_lint)


@nox.session(tags=["checks"])
def sanity(session: nox.Session) -> None:
    """ansible-test's own checks of what is shipped, without an ignore file; on the oldest Python, those that matter."""
    place = BUILD / "sanity" / COLLECTION
    shutil.rmtree(place, ignore_errors=True)
    for name in shipped_and_not():
        # Tests are judged by ruff and mypy; looking at them here, too, would take longer than all the rest.
        if not name.startswith("tests/") or name == "tests/config.yml":
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / name)
    # In an ignored folder without a git of its own ansible-test sees no files and passes.
    session.run("git", "init", "-q", str(place))
    # ansible-test fetches pip from the internet, unless it finds a script of that name in its cache.
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in ("24_2", "25_2"):
        shutil.copy(ROOT / ".ci" / "get_pip.py", cache / f"get_pip_{version}.py")
    session.env["PATH"] = ":".join([str(TOOLS), *(str(path.parent) for path in pythons().values()), os.environ["PATH"]])
    with session.chdir(place):
        ansible_test = ("ansible-test", "sanity", "--local", "--color", "no")
        bait = place / "plugins" / "module_utils" / "bait.py"
        bait.write_text("def bait(:\n")
        fails(session, *ansible_test, "--test", "compile", "--python", "3.11", because="bait.py:1")
        bait.unlink()
        # What can be imported on the oldest Python can be on this one, where all other tests import it.
        old = "3.9" in pythons()
        runs: list[tuple[str, ...]] = [("--python", "3.11", *(("--skip-test", "import") if old else ()))]
        runs += [("--test", "compile", "--test", "import", "--python", "3.9")] if old else []
        output = "".join(
            str(session.run(*ansible_test, *options, silent=True, success_codes=range(256))) for options in runs
        )
    told = [
        line
        for line in output.splitlines()
        if re.match("Running sanity|Skipping sanity|ERROR|FATAL|WARNING: Skipping", line)
    ]
    print("\n".join(told))
    ran = sum(line.startswith("Running") for line in told)
    skipped = sum("Skipping" in line for line in told)
    if "FATAL" in output or not ran:
        failed = sum(int(number) for number in re.findall(r"The (\d+) sanity test", output)) or 1
        count(session, ran - failed, failed, skipped)
        session.error(f"{failed} of {ran} tests")
    count(session, ran, 0, skipped)


@nox.session(tags=["tests"])
def unit(session: nox.Session) -> None:
    """Unit tests."""
    pytest(session, "tests/unit")


@nox.session(tags=["tests"])
def contract(session: nox.Session) -> None:
    """The simulator answers as the real thing does."""
    pytest(session, "tests/contract")


@nox.session(tags=["tests"])
def integration(session: nox.Session) -> None:
    """Modules and playbooks against the simulator: what they do, what they survive, what they let out."""
    pytest(session, "tests/live", "tests/integration", "tests/faults", "tests/leaks")


@nox.session(tags=["checks"])
def others(session: nox.Session) -> None:
    """Clients of PVE that others have written, against the simulator: it is a PVE to them, too."""
    python = environment(session, "others", TOOLS / "python")
    session.run(str(python / "python"), "tests/others/peer.py", silent=True)
    pytest(session, "tests/others", python=python)


@nox.session(tags=["tests"])
def packets(session: nox.Session) -> None:
    """The role host_firewall with real packets: it takes root, and with CI=true it has to run."""
    pytest(session, "tests/packets")


@nox.session(tags=["checks"])
def browser(session: nox.Session) -> None:
    """The page about an audit, in a Chromium without a window: with CI=true it has to run."""
    pytest(session, "tests/browser")


@nox.session(tags=["checks"])
def molecule(session: nox.Session) -> None:
    """The roles' scenarios."""
    scenarios = sorted(path.parent.name for path in ROOT.glob("extensions/molecule/*/molecule.yml"))
    if not scenarios:
        session.skip("there are no scenarios yet")
    session.run("molecule", "test", "--all", "--report", silent=True, env={"MOLECULE_COMMAND_BORDERS": "false"})
    session.log(", ".join(scenarios))
    count(session, len(scenarios))


@nox.session(tags=["checks"])
def oldest(session: nox.Session) -> None:
    """The unit tests of the code that managed hosts run, on the oldest Python that it supports."""
    if "3.9" not in pythons():
        session.skip("there is no Python 3.9 here")
    # Random cases have run in the session unit; here they show that the code works at all.
    pytest(session, "tests/unit", python=environment(session, "oldest", pythons()["3.9"]), FEWER_EXAMPLES="10")
