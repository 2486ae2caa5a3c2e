"""A cluster that remembers every secret it gave out, and Ansible as a program of which everything is kept."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("ansible")

from aiohttp import web
from ansible_collections.homelab.pve.tests.faults.cluster import Cluster, Struck
from ansible_collections.homelab.pve.tests.faults.runner import Runner
from ansible_collections.homelab.pve.tests.leaks.scan import Channels
from ansible_collections.homelab.pve.tests.simulator import second_factors

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TREE = ROOT / ".nox" / "tree"
SECONDS = 240  # until a program counts as hung
INTERVAL = 0.02  # between two looks at the processes

# In debug mode Ansible shows the arguments of every task, whatever is secret among them, and warns of it in its
# documentation; no module can help that. All else that it shows then is looked at.
ARGUMENTS = re.compile(rb"^ *\d+ [0-9.]+: done with _execute_module \(.*$", re.MULTILINE)

Json = dict[str, Any]

ADMIN, ROOT_TOKEN, CODED = "admin@pve", "root@pam!admin", "kim@pve"
# The canaries that are there from the start. The passwords have characters that are encoded in every way.
TOKEN_SECRET = "ca4a47e1-0000-4000-8000-5ec4e7000001"
WRONG_SECRET = "ca4a47e1-0000-4000-8000-5ec4e7000002"
ADMIN_PASSWORD = 'Kanari/enVogel+1 & "süß"'
USER_PASSWORD = "Gelber?Piep=matz%2 <\\>"
CODED_PASSWORD = "Zeisig & Stieglitz: 2/2+1=2"
# Six digits would turn up by chance: what shows codes here shows others.
CODE, WRONG_CODE, RECOVERY_KEY = "Fink/enschlag+1 4", "Fink/enschlag+2 4", "Mei-sen ring=3/4"


class _Echo(Struck):
    """Answers one request with all that was in it, as a careless server in between may do."""

    echo_at = 0
    status = 500
    form = "json"

    async def handler(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.count + 1 != self.echo_at:
            return await super().handler(request)
        self.count += 1
        body = (await request.read()).decode()
        seen = " | ".join([f"{request.method} {request.raw_path}", *map(": ".join, request.headers.items()), body])
        if self.form == "json":
            answer = json.dumps({"data": None, "message": seen + "\n", "errors": {"body": body, "all": seen}})
            return web.Response(status=self.status, reason="No", text=answer, content_type="application/json")
        reason = seen.encode().decode("latin-1") if self.form == "reason" else "No"
        return web.Response(status=self.status, reason=reason, text=seen if self.form == "text" else "")


class Canaries(Cluster):
    """The simulator with canaries for credentials. ``secrets`` names all that it knows and gives out."""

    def __init__(self) -> None:
        super().__init__("9.2")
        self.struck = self.echo = _Echo(self._server.state, self._server.timing)
        self.struck.aim()
        self._server = self.struck
        self._remember()
        self.renew()

    def _remember(self) -> None:
        state, authenticator = self.struck.state, self.struck.authenticator
        new_secret, new_ticket, half_ticket = state.new_secret, authenticator.new_ticket, authenticator.half_ticket

        def secret(tokenid: str) -> str:
            self.secrets[f"new secret {len(self.secrets)}"] = value = new_secret(tokenid)
            return value

        def ticket(userid: str) -> tuple[str, str]:
            text, csrf = new_ticket(userid)
            self.secrets[f"ticket {len(self.secrets)}"] = text
            self.secrets[f"CSRF token {len(self.secrets)}"] = csrf
            return text, csrf

        def half(userid: str, asked: Mapping[str, Any] | None) -> tuple[str, str]:
            text, csrf = half_ticket(userid, asked)
            self.secrets[f"half ticket {len(self.secrets)}"] = text
            return text, csrf

        state.new_secret = secret
        authenticator.new_ticket, authenticator.half_ticket = ticket, half

    def renew(self) -> None:
        """Be as at the start, with nothing given out."""
        self.reset()
        joe = {"userid": "joe@pve", "password": "nobody knows"}
        entries = [{"id": kind, "type": kind, "created": 1, "description": ""} for kind in ("totp", "recovery")]
        state = self.export()
        self.load(
            {
                **state,
                "users": [*state["users"], joe, {"userid": CODED}],
                "acl": [*state["acl"], {"path": "/", "type": "user", "ugid": CODED, "roleid": "Administrator"}],
                "tfa": [{"userid": CODED, "entries": entries}],
                "factors": {CODED: {"totp": CODE, "recovery": [RECOVERY_KEY]}},
                "tokens": [*state["tokens"], {"tokenid": "joe@pve!lost"}],
                "secrets": {ROOT_TOKEN: TOKEN_SECRET},
                "passwords": {ADMIN: ADMIN_PASSWORD, "joe@pve": "nobody knows", CODED: CODED_PASSWORD},
            }
        )
        self.secrets = {
            "token secret": TOKEN_SECRET,
            "wrong secret": WRONG_SECRET,
            "password": ADMIN_PASSWORD,
            "user password": USER_PASSWORD,
            "password beside a code": CODED_PASSWORD,
            "code": CODE,
            "wrong code": WRONG_CODE,
            "recovery key": RECOVERY_KEY,
        }

    @property
    def place(self) -> Json:
        return {"host": self.host, "port": self.door, "ca_path": self.ca_file}

    @property
    def with_token(self) -> Json:
        return {**self.place, "token_id": ROOT_TOKEN, "token_secret": TOKEN_SECRET}

    @property
    def with_password(self) -> Json:
        return {**self.place, "user": ADMIN, "password": ADMIN_PASSWORD}

    @property
    def with_code(self) -> Json:
        factor = {"second_factor": f"totp:{CODE}", "ticket_cache": "~/secrets"}
        return {**self.place, "user": CODED, "password": CODED_PASSWORD, **factor}

    @property
    def with_ticket(self) -> Json:
        ticket, csrf = self.struck.authenticator.new_ticket(ADMIN)
        return {**self.place, "ticket": ticket, "csrf_token": csrf}


@pytest.fixture(scope="session")
def running_canaries() -> Iterator[Canaries]:
    with pytest.MonkeyPatch.context() as patched, Canaries() as canaries:
        patched.setattr(second_factors, "totp", lambda secret, unused: secret)
        yield canaries


@pytest.fixture
def canaries(running_canaries: Canaries) -> Canaries:
    running_canaries.open()
    running_canaries.echo.echo_at = 0
    running_canaries.renew()
    return running_canaries


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name: Ansible 2.21 makes a socket deep below it, whose path has 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="leaks-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    folder.chmod(0o700)
    return folder


@pytest.fixture(scope="session")
def runner(home: Path) -> Iterator[Runner]:
    runner = Runner(home)
    yield runner
    runner.close()


class _Processes:
    """What can be read of all processes, again and again until the end."""

    def __init__(self) -> None:
        self.cmdlines: set[bytes] = set()
        self.environs: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Processes:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(INTERVAL):
            for folder in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    self.cmdlines.add((folder / "cmdline").read_bytes())
                    self.environs.add((folder / "environ").read_bytes())


class Ansible:
    """One ansible-playbook, in folders of its own; ``run`` returns all that is left of it."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program = program
        self.folder = folder
        for name in ("home", "tmp", "input", "out"):
            (folder / name).mkdir(mode=0o700)
        self.home = folder / "home"
        self.tasks: list[Json] = []

    def run(self, tasks: Sequence[Json], variables: Mapping[str, Any], *, debug: bool = True) -> Channels:
        """Run tasks as loudly as Ansible can. Variables come from a file, where a user would have them, too."""
        given, out = self.folder / "input", self.folder / "out"
        play = {"hosts": "localhost", "gather_facts": False, "tasks": list(tasks)}
        (given / "playbook.json").write_text(json.dumps([play]))
        (given / "variables.json").write_text(json.dumps(variables))
        (given / "ansible.cfg").touch()
        (out / "syslog").touch()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PVE_", "ANSIBLE_", "XDG_"))}
        env = {
            **kept,
            "HOME": str(self.home),
            "TMPDIR": str(self.folder / "tmp"),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(HERE / "site"),
            "LEAKS_SYSLOG": str(out / "syslog"),
            "TEST_RESULTS": str(out / "results"),
            "ANSIBLE_CONFIG": str(given / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(TREE),
            "ANSIBLE_LIBRARY": str(HERE / "library"),
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests" / "integration" / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "results",
            "ANSIBLE_CONNECTION_PLUGINS": str(ROOT / "tests" / "integration" / "connections"),
            "ANSIBLE_LOG_PATH": str(out / "log"),
            "ANSIBLE_DEBUG": "1" if debug else "0",
            "ANSIBLE_DISPLAY_TRACEBACK": "always",
            "ANSIBLE_INJECT_INVOCATION": "1",
            "ANSIBLE_KEEP_REMOTE_FILES": "0",
            "ANSIBLE_PIPELINING": "0",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PYTHON_INTERPRETER": str(self.program.with_name("python")),
        }
        arguments = ["-vvvv", "--diff", "-i", "localhost,", "-c", "local", "-e", f"@{given / 'variables.json'}"]
        with _Processes() as processes:
            done = subprocess.run(
                [str(self.program), *arguments, str(given / "playbook.json")],
                cwd=self.folder / "tmp",
                env=env,
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        assert b"PLAY RECAP" in done.stdout, (done.stdout + done.stderr).decode()[-5000:]
        results = (out / "results").read_bytes()
        self.tasks = [json.loads(line) for line in results.splitlines()]
        return {
            "output": ARGUMENTS.sub(b"", done.stdout + done.stderr),
            "log": (out / "log").read_bytes(),
            "results": results,
            "system log": (out / "syslog").read_bytes(),
            "command lines": b"\n".join(processes.cmdlines),
            "environments": b"\n".join(processes.environs),
            "files": b"\n".join(self._left()),
        }

    def _left(self) -> Iterator[bytes]:
        for top in (self.home, self.home.with_name("elsewhere"), self.folder / "tmp"):
            for path in sorted(top.rglob("*")):
                yield str(path.relative_to(self.folder)).encode()
                if path.is_file() and path.parent != self.home / "secrets":
                    yield path.read_bytes()


def _version(program: Path) -> tuple[int, ...]:
    told = subprocess.run(
        [str(program), "--version"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    found = re.search(r"\[core (\d+)\.(\d+)", told.stdout)
    return (int(found[1]), int(found[2])) if found else ()


def programs() -> dict[str, Path]:
    """Return the ansible-playbook of the Python that runs the tests, and the oldest and the newest there are here."""
    own = Path(sys.executable).with_name("ansible-playbook")
    others = [*ROOT.glob(".nox/*/bin/ansible-playbook"), *ROOT.glob(".nox/sessions/*/bin/ansible-playbook")]
    by_version = {_version(program): program for program in [*sorted(others), own] if program.exists()}
    by_version.pop((), None)
    return {".".join(map(str, version)): by_version[version] for version in sorted(by_version)}
