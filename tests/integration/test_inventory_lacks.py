"""An inventory with little: few rights, nodes that are down or slow, answers that do not come, wrong files."""

from __future__ import annotations

import json
import stat
import textwrap
import time
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.homelab.pve.tests.integration.conftest import Ansible
from ansible_collections.homelab.pve.tests.integration.inventories import Inventory, paths
from ansible_collections.homelab.pve.tests.integration.test_inventory import ALL, guest, nodes
from ansible_collections.homelab.pve.tests.simulator import ADMIN, ADMIN_PASSWORD, ROOT_SECRET, ROOT_TOKEN, Simulator

READER, READER_SECRET = "inventory@pve!ansible", "22222222-2222-4333-8444-555555555555"


@pytest.fixture
def inventory(ansible: Ansible, simulator: Simulator) -> Inventory:
    return Inventory(ansible, simulator)


@pytest.fixture
def cluster(simulator: Simulator) -> Simulator:
    """Three nodes with two guests each, and a token with VM.Audit on one guest and a pool."""
    guests = [
        guest(100 + number, called=f"vm{100 + number}", node=node, agent="1", net0=f"virtio=BC:24:11:00:01:0{number}")
        for number, node in enumerate(["one", "one", "two", "two", "three", "three"])
    ]
    entry = {"path": "/vms/100", "type": "user", "ugid": "inventory@pve", "roleid": "Viewer", "propagate": 1}
    token = {**entry, "type": "token", "ugid": READER}
    simulator.load(
        {
            "nodes": nodes("one", "two", "three"),
            "guests": guests,
            "users": [{"userid": "root@pam"}, {"userid": "inventory@pve"}],
            "tokens": [
                {"tokenid": ROOT_TOKEN, "privsep": 0, "secret": ROOT_SECRET},
                {"tokenid": READER, "privsep": 1, "secret": READER_SECRET},
            ],
            "roles": [{"roleid": "Viewer", "privs": "VM.Audit"}],
            "acl": [entry, token],
        }
    )
    simulator.clear_requests()
    return simulator


READING = {"token_id": READER, "token_secret": READER_SECRET}


def incomplete(found: Any) -> dict[tuple[str, str], dict[str, Any]]:
    rows = next(iter(found.hosts.values()))["pve_incomplete"]
    return {(row["subset"], row["kind"]): row for row in rows}


def test_few_rights_are_enough(inventory: Inventory, cluster: Simulator) -> None:
    found = inventory.list(gather=ALL, **READING)
    assert found.members("pve_guests") == ["vm100"]
    assert found.members("pve_nodes") == ["one", "three", "two"]
    assert found["vm100"]["pve_config"]["name"] == "vm100"
    assert found["one"]["pve_address"] is None
    lacking = incomplete(found)
    assert ("guests", "hidden") in lacking
    assert ("nodes", "hidden") in lacking
    assert lacking["guest_addresses", "hidden"]["reason"].startswith("Asking the agents of 1 guests takes")
    assert "Incomplete (guests, hidden): Only guests on which inventory@pve!ansible holds VM.Audit" in found.warnings
    quiet = inventory.list(include=["guests"], warn_of=["offline", "timeout", "failed"], **READING)
    assert not quiet.warnings
    assert list(incomplete(quiet)) == [("guests", "hidden")]


def test_a_node_that_is_down(inventory: Inventory, cluster: Simulator) -> None:
    cluster.set_online("two", False)
    found = inventory.list(gather=ALL)
    assert found.members("pve_guests") == ["vm100", "vm101", "vm-102", "vm-103", "vm104", "vm105"]
    assert found["two"]["pve_status"] == "offline"
    assert found["vm100"]["ansible_host"] == "192.168.40.100"
    assert found["vm-102"]["pve_config"] is None
    assert found["vm-102"]["pve_status"] == "unknown"
    assert not [path for path in paths(cluster) if path.startswith("/nodes/two")]
    assert incomplete(found)["guest_config", "offline"]["reason"] == "two is offline."
    assert "two is offline: of 2 guests there, PVE tells neither name nor state." in found.warnings


def test_slow_and_failing_answers(inventory: Inventory, cluster: Simulator) -> None:
    cluster.fault(path="/nodes/one/qemu/100/config", times=0, do="status", status=500, reason="broken")
    cluster.fault(path="/nodes/three/qemu/104/snapshot", times=0, do="slow", seconds=3)
    cluster.fault(path="/cluster/status", times=0, do="status", status=500, reason="broken")
    begun = time.monotonic()
    found = inventory.list(gather=["guest_config", "snapshots"], timeout=1)
    assert time.monotonic() - begun < 20
    assert len(found.members("pve_guests")) == 6
    assert (found["vm100"]["pve_config"], found["vm100"]["pve_snapshots"]) == (None, [])
    assert found["vm104"]["pve_snapshots"] is None
    assert found["vm104"]["pve_config"]["name"] == "vm104"
    assert {("guest_config", "failed"), ("snapshots", "timeout"), ("nodes", "failed")} <= set(incomplete(found))
    assert found.warnings.count("Incomplete (") == len(incomplete(found))


def test_no_list_of_guests_is_no_inventory(inventory: Inventory, cluster: Simulator) -> None:
    """An empty inventory would look like a cluster without guests."""
    cluster.fault(path="/cluster/resources", times=0, do="status", status=500, reason="broken")
    assert "PVE did not say which guests there are:" in inventory.problem()


def test_a_password_is_good_too(inventory: Inventory, simulator: Simulator) -> None:
    found = inventory.list(token_id=None, token_secret=None, user=ADMIN, password=ADMIN_PASSWORD, include=["guests"])
    assert sorted(found.hosts) == ["ct102", "vm100"]


def test_the_environment_connects(inventory: Inventory, simulator: Simulator) -> None:
    """With a secret in a file, as modules take it."""
    secret = inventory.ansible.home / "secret"
    secret.write_text(ROOT_SECRET)
    secret.chmod(stat.S_IRUSR | stat.S_IWUSR)
    env = {
        "PVE_HOST": simulator.host,
        "PVE_PORT": str(simulator.port),
        "PVE_CA_PATH": simulator.ca_file,
        "PVE_TOKEN_ID": ROOT_TOKEN,
        "PVE_TOKEN_FILE": str(secret),
    }
    assert inventory.list(connect=False, env=env, include=["guests"]).hosts


def test_values_of_the_connection_may_be_templates(inventory: Inventory, simulator: Simulator) -> None:
    secret = inventory.ansible.home / "secret"
    secret.write_text(ROOT_SECRET + "\n")
    found = inventory.list(
        "-e",
        f"my_port={simulator.port}",
        port="{{ my_port }}",
        token_id="{{ lookup('ansible.builtin.env', 'MY_TOKEN') }}",
        token_secret=f"{{{{ lookup('ansible.builtin.file', '{secret}') }}}}",
        env={"MY_TOKEN": ROOT_TOKEN},
    )
    assert found.hosts


def test_a_secret_may_be_vaulted(inventory: Inventory, simulator: Simulator) -> None:
    password = inventory.ansible.home / "password"
    password.write_text("pass")
    vaulted = VaultLib([("default", VaultSecret(b"pass"))]).encrypt(ROOT_SECRET).decode()
    path = inventory.write({"token_secret": None, "include": ["guests"]})
    options = yaml.safe_dump(json.loads(path.read_text()))
    path.write_text(f"{options}token_secret: !vault |\n{textwrap.indent(vaulted, '  ')}")
    done = inventory.run(path, "--graph", "pve_guests", "--vault-password-file", str(password))
    assert "vm100" in done.stdout
    refused = inventory.run(path, "--graph", "pve_guests")
    assert "token_secret cannot be worked out" in " ".join(refused.stderr.split())
    assert "vm100" not in refused.stdout


# Options, and what is said of them. Each is given on top of a good connection.
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"gathr": []}, "There is no option gathr. Did you mean gather?"),
    ({"gather": ["everything"]}, "everything"),
    ({"include": ["cats"]}, "cats"),
    ({"group_by": ["ostype"]}, "Set gather: [guest_config]."),
    ({"concurrency": 0}, "concurrency is 0: it has to be at least 1."),
    ({"prefer_networks": ["192.168.40.1/24"]}, "prefer_networks: 192.168.40.1/24 has host bits set."),
    ({"prefer_networks": ["home"]}, "prefer_networks: 'home' does not appear to be"),
    ({"filters": [{"keep": "true"}]}, "filters[0] is no filter."),
    ({"filters": [{"include": "a", "exclude": "b"}]}, "filters[0] is no filter."),
    ({"filters": [{"include": "a =="}]}, "is no condition"),
    ({"filters": [{"include": "{{ pve_name }}"}]}, "without braces"),
    ({"filters": [{"include": 3}]}, "the condition is neither a text nor true or false"),
    ({"filters": [{"exclude": "pve_ostype == 'x'"}]}, "pve_ostype is not there. Set gather: [guest_config]."),
    ({"host": None}, "No host is given."),
    ({"token_id": None, "token_secret": None}, "No credentials are given."),
    ({"token_id": "root@pam"}, "token_id has no '!' and token name."),
    ({"token_secret": ["11111111-2222-4333-8444-555555555556"]}, "token_secret is not a text."),
    ({"token_secret": "11111111-2222-4333-8444-555555555556"}, "PVE answered 401"),
    ({"token_secret": "{{ nowhere }}"}, "token_secret cannot be worked out:"),
    ({"port": "many"}, "port is not a whole number."),
    ({"port": 1}, "Connection refused"),
    ({"ca_path": None}, "certificate"),
    ({"ca_path": "/nowhere"}, "ca_path: /nowhere cannot be read"),
]


def test_what_is_wrong_is_said(inventory: Inventory, simulator: Simulator) -> None:
    """All in one run: a source that cannot be used does not keep Ansible from the others."""
    sources: list[str] = []
    for number, (options, unused) in enumerate(WRONG):
        sources += ["-i", str(inventory.write(options, f"{number}.pve.yml"))]
    good = inventory.write({}, "good.pve.yml")
    done = inventory.ansible.run("ansible-inventory", *sources, "-i", str(good), "--graph", "pve_guests")
    assert done.stdout.splitlines() == ["@pve_guests:", "  |--vm100", "  |--ct102"]
    said = " ".join(done.stderr.split())
    for number, (options, wanted) in enumerate(WRONG):
        assert wanted in said, (number, options)
    assert "Traceback" not in said
    assert ROOT_SECRET not in said
    assert "555555555556" not in said


def test_an_unreachable_host_fails_the_run_where_that_is_asked_for(inventory: Inventory, simulator: Simulator) -> None:
    said = inventory.problem(port=1)
    assert "Connection refused" in said
    assert ROOT_SECRET not in said


def test_secrets_of_guests_stay_where_they_are(inventory: Inventory, simulator: Simulator) -> None:
    held = {"cipassword": "Hush-1", "sshkeys": "ssh-ed25519%20Key-2", "description": "Text-3"}
    shot = [{"name": "snap", "snaptime": 1, "description": "Text-4", "config": {}}]
    simulator.load(
        {
            "guests": [
                guest(100, called="web", node="ugreen", snapshots=shot, **held),
                guest(101, "lxc", "ugreen", called="box", env="TOKEN=Hush-5", description="Text-6"),
            ]
        }
    )
    path = inventory.write({"gather": ALL})
    done = inventory.run(path, "--list", "-vvvvv")
    said = done.stdout + done.stderr
    assert done.returncode == 0
    assert "Hush" not in said
    assert "Key-2" not in said
    assert "Text" not in said
    assert ROOT_SECRET not in said
    shown = inventory.list(gather=ALL, ssh_keys=True, descriptions=True)
    assert shown["web"]["pve_config"]["sshkeys"] == "ssh-ed25519 Key-2"
    assert shown["web"]["pve_snapshots"][0]["description"] == "Text-4"
    assert shown["box"]["pve_config"]["description"] == "Text-6"
    assert "Hush" not in str(shown.hosts)
