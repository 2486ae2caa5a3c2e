"""Connection cards: what they say is true, what they hand out works, and no secret is where nobody asked for it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.pve.plugins.module_utils.cards.card import server_of
from ansible_collections.homelab.pve.plugins.module_utils.cards.deck import Wanted, as_data, deal
from ansible_collections.homelab.pve.plugins.module_utils.cards.formats import FORMATS
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.least.applications import APPLICATIONS
from ansible_collections.homelab.pve.tests.integration.conftest import Ansible, connection
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN, Simulator

Json = dict[str, Any]
SECRET = "0b1f0000-0000-4000-8000-000000000001"
# PVE decodes the id in the header; without care, it would end at the semicolon.
HOSTILE = "it's&$(id)\"%41@pve!phone"
END = 1_900_000_000


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with Simulator(auth_delay=0) as simulator:
        state = simulator.export()
        state["users"] += [{"userid": HOSTILE.partition("!")[0]}, {"userid": "joe@pve", "expire": END}]
        state["tokens"] += [{"tokenid": HOSTILE, "privsep": 1}, {"tokenid": "joe@pve!ci", "expire": END + 1}]
        state["secrets"] |= {HOSTILE: SECRET, "joe@pve!ci": SECRET}
        simulator.load(state)
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Simulator:
    running.clear_requests()
    return running


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "a 'secret' `id`"
    file.touch(mode=0o600)
    file.write_text(SECRET + "\n")
    return file


def reader(token: str = "joe@pve!ci", **more: Any) -> Json:
    return {"token": token, **({"role": "PVEAuditor", "path": "/vms/100"} if "application" not in more else {}), **more}


def dealt(simulator: Simulator, *readers: Json, formats: list[str] | None = None, **connected: Any) -> list[Json]:
    trust = connected or {"ca_path": simulator.ca_file}
    options = {"host": simulator.host, "port": simulator.port, "token_id": ROOT_TOKEN, "token_secret": ROOT_SECRET}
    wanted = Wanted(readers, formats)
    with Client(ConnectionOptions.from_params({**options, **trust}, {})) as client:
        return as_data(deal(client, wanted, 1_800_000_000.0), wanted)


def test_a_card_says_what_is_so(simulator: Simulator, secret: Path) -> None:
    (card,) = dealt(simulator, reader(secret_file=str(secret)))
    assert card["server"] == f"https://127.0.0.1:{simulator.port}"
    assert card["fingerprint"] == simulator.fingerprint
    assert (card["trust"], card["expires"], card["purpose"]) == ("ca", END, "PVEAuditor on /vms/100")
    assert card["endpoints"] == [
        "GET /version",
        "GET /cluster/resources",
        "GET /nodes/{node}/{qemu|lxc}/100/status/current",
        "GET /nodes/{node}/{qemu|lxc}/100/config",
    ]
    assert card["more_endpoints"] > 5
    assert sorted(card["formats"]) == ["curl", "environment", "variables"]
    assert len(simulator.requests()) <= 7


def test_what_is_not_there_yet_is_not_known(simulator: Simulator) -> None:
    (card,) = dealt(simulator, reader("new@pve!one", logs=True, path="/", role="PVEAuditor"))
    assert card["expires"] is None
    assert card["secret_file"] is None
    assert "GET /nodes/{node}/syslog" in card["endpoints"]
    assert "Secret:      in no file" in card["text"]


@pytest.mark.parametrize("name", [one.name for one in APPLICATIONS])
def test_a_reader_of_an_application_gets_its_own_format(simulator: Simulator, name: str) -> None:
    (card,) = dealt(simulator, reader(application=name))
    assert any(name in FORMATS[each].applications for each in card["formats"])
    assert card["endpoints"]
    assert card["more_endpoints"] == 0


@pytest.mark.parametrize("trust", ["ca", "pin", "unchecked"])
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_curl_line_logs_in(simulator: Simulator, secret: Path, trust: str) -> None:
    how = {
        "ca": {"ca_path": simulator.ca_file},
        "pin": {"fingerprint": simulator.fingerprint},
        "unchecked": {"validate_certs": False},
    }[trust]
    (card,) = dealt(simulator, reader(HOSTILE, secret_file=str(secret)), formats=["curl"], **how)
    assert card["trust"] == trust
    assert card["fingerprint"] == simulator.fingerprint
    line = card["formats"]["curl"]
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    if trust == "unchecked":  # it does not turn off what nobody has checked
        assert done.returncode == 60
        return
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"]["release"] == simulator.release
    if trust == "pin":
        wrong = line.replace("sha256//", "sha256//A")
        assert subprocess.run(["sh", "-c", wrong], capture_output=True, check=False).returncode == 90


def test_what_nobody_can_trust_has_no_fingerprint(simulator: Simulator) -> None:
    # The CAs of the system do not know that of the simulator.
    options = ConnectionOptions(simulator.host, simulator.port, token_id=ROOT_TOKEN, token_secret=ROOT_SECRET)
    server = server_of(options)
    assert (server.trust, server.fingerprint, server.pin) == ("system", "", "")


# -- the module and the playbook --------------------------------------------------------------------------------------


def run(ansible: Ansible, simulator: Simulator, **options: Any) -> Json:
    result = ansible.module("pve_card", {**connection(simulator), **options})
    assert SECRET not in json.dumps(result)
    return result


def test_secrets_are_in_closed_files_alone(
    ansible: Ansible, simulator: Simulator, secret: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cards"
    policy = {"readers": [reader(secret_file=str(secret)), reader(HOSTILE)]}
    wanted = {"pve_access": policy, "only": ["joe@pve!ci"], "formats": ["prometheus-pve-exporter"]}
    shown = {**wanted, "dest": str(folder), "show_secret": True}
    assert "never in a result" in run(ansible, simulator, **{**shown, "dest": None})["msg"]
    assert "mkdir -p -m 700" in run(ansible, simulator, **shown)["msg"]
    folder.mkdir(mode=0o755)
    assert "is open to others (mode 0755)" in run(ansible, simulator, **shown)["msg"]
    folder.chmod(0o700)
    (folder / "joe@pve+ci.txt").touch(mode=0o644)
    assert "joe@pve+ci.txt" in run(ansible, simulator, **shown)["msg"]
    (folder / "joe@pve+ci.txt").unlink()

    assert run(ansible, simulator, **wanted)["changed"] is False
    bare = run(ansible, simulator, **wanted, dest=str(folder))
    assert bare["written"] == [str(folder / "joe@pve+ci.txt"), str(folder / "joe@pve+ci.pve.yml")]
    assert not any(SECRET in file.read_text() for file in folder.iterdir())
    full = run(ansible, simulator, **shown)
    assert full["written"] == bare["written"]
    assert all(SECRET in file.read_text() for file in folder.iterdir())
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    assert yaml.safe_load((folder / "joe@pve+ci.pve.yml").read_text())["default"]["token_value"] == SECRET
    again = run(ansible, simulator, **shown)
    assert not again["changed"]
    assert not again.get("warnings")
    (tmp_path / ".git").mkdir()
    assert "is in the Git checkout" in str(run(ansible, simulator, **shown)["warnings"])
    assert not run(ansible, simulator, **wanted, dest=str(folder)).get("warnings")
    assert "no reader nobody@pve!x" in run(ansible, simulator, **{**wanted, "only": ["nobody@pve!x"]})["msg"]


def test_the_playbook(ansible: Ansible, simulator: Simulator, secret: Path) -> None:
    readers = [reader(secret_file=str(secret)), reader("labby@pve!phone", application="labby")]
    (ansible.home / "policy.json").write_text(json.dumps({"pve_access": {"readers": readers}}))
    env = {
        **{"PVE_HOST": simulator.host, "PVE_PORT": str(simulator.port), "PVE_CA_PATH": simulator.ca_file},
        **{"PVE_TOKEN_ID": ROOT_TOKEN, "PVE_TOKEN_SECRET": ROOT_SECRET},
    }
    variables = {"policy": "policy.json", "dest": "cards", "show_secret": "true"}
    done = ansible.playbook("homelab.pve.cards", "-vvv", "--diff", variables=variables, env=env)
    assert done.returncode == 0, done.output
    for told in ("Connection card of joe@pve!ci", "Ignore certificate errors: false", "Written: "):
        assert told in done.output
    for each in (SECRET, ROOT_SECRET):
        assert each not in done.output
    folder = ansible.home / "cards"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    assert SECRET in (folder / "joe@pve+ci.txt").read_text()
    assert sorted(file.name for file in folder.iterdir())[:2] == ["joe@pve+ci.curl.sh", "joe@pve+ci.env.sh"]


def test_the_site_tells_cards_of_new_readers_alone(ansible: Ansible, simulator: Simulator) -> None:
    readers = [reader(secret_file="~/joe", token="joe@pve!new"), reader()]
    (ansible.home / "policy.json").write_text(json.dumps({"pve_access": {"readers": readers}}))
    env = {
        **{"PVE_HOST": simulator.host, "PVE_PORT": str(simulator.port), "PVE_CA_PATH": simulator.ca_file},
        **{"PVE_TOKEN_ID": ROOT_TOKEN, "PVE_TOKEN_SECRET": ROOT_SECRET},
    }
    done = ansible.playbook("homelab.pve.site", variables={"policy": "policy.json", "prove": "none"}, env=env)
    assert done.returncode == 0, done.output
    told = "\n".join(done.result("Tell what was done")["msg"])
    assert "Connection card of joe@pve!new" in told
    assert f"in the file {ansible.home}/joe" in told
    assert told.count("Connection card") == 1
    assert (ansible.home / "joe").read_text().strip() not in done.output
