"""The inventory: hosts, variables, groups, filters and requests, seen through ansible-inventory."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.pve.plugins.inventory import pve
from ansible_collections.homelab.pve.tests.integration.conftest import Ansible
from ansible_collections.homelab.pve.tests.integration.inventories import Inventory, paths, plain
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN, Simulator

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "inventory.md"
ALL = ["guest_config", "guest_addresses", "snapshots", "guest_status"]
NET = "virtio=BC:24:11:00:01:00,bridge=vmbr0"
CHEAP = ["/access/permissions", "/cluster/resources", "/cluster/status"]


@pytest.fixture
def inventory(ansible: Ansible, simulator: Simulator) -> Inventory:
    return Inventory(ansible, simulator)


def guest(vmid: int, kind: str = "qemu", node: str = "one", **given: Any) -> dict[str, Any]:
    """Return a guest for the simulator; what is no field of its own goes into its configuration."""
    fields = {name: given.pop(name) for name in ("status", "addresses", "snapshots", "ha", "lock") if name in given}
    name = {"name" if kind == "qemu" else "hostname": given.pop("called")} if "called" in given else {}
    return {"vmid": vmid, "type": kind, "node": node, "config": {**name, **given}, **fields}


def nodes(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "ip": f"192.168.40.{number}"} for number, name in enumerate(names, 2)]


@pytest.fixture
def cluster(simulator: Simulator) -> Simulator:
    """Two nodes; guests with pools inside of pools, equal names, templates and addresses of their own."""
    simulator.load(
        {
            "nodes": nodes("one", "two"),
            "guests": [
                guest(100, called="web", tags="prod;web", agent="1", onboot="1", net0=NET),
                guest(101, called="web", node="two", tags="prod", status="stopped", ostype="win11", memory="4096"),
                guest(102, "lxc", called="dns", net0="name=eth0,ip=10.9.0.2/24,hwaddr=BC:24:11:00:01:02"),
                guest(103, called="golden", template="1", status="stopped"),
                guest(
                    104,
                    called="two",
                    node="two",
                    status="stopped",
                    ipconfig0="ip=10.9.0.4/24",
                    net0="virtio=BC:24:11:00:01:04",
                ),
            ],
            "users": [{"userid": "root@pam"}],
            "tokens": [{"tokenid": ROOT_TOKEN, "privsep": 0, "secret": ROOT_SECRET}],
            "pools": [
                {"poolid": "prod", "vms": [100]},
                {"poolid": "prod/eu", "vms": [101]},
            ],
        }
    )
    simulator.clear_requests()
    return simulator


def test_guests_and_nodes(inventory: Inventory, cluster: Simulator) -> None:
    found = inventory.list()
    assert sorted(found.hosts) == ["dns", "golden", "one", "two", "two-104", "web-100", "web-101"]
    assert found.members("pve_guests") == ["web-100", "web-101", "dns", "golden", "two-104"]
    assert found.members("pve_nodes") == ["one", "two"]
    assert found["one"]["ansible_host"] == found["one"]["pve_address"] == "192.168.40.2"
    assert "ansible_host" not in found["web-100"]
    assert sorted(paths(cluster)) == CHEAP
    assert not found.warnings
    assert found["web-100"]["pve_incomplete"] == []


def test_variables_are_typed(inventory: Inventory, cluster: Simulator) -> None:
    web = inventory.list()["web-101"]
    assert {name: web[f"pve_{name}"] for name in ("vmid", "name", "type", "node", "status", "template", "tags")} == {
        "vmid": 101,
        "name": "web",
        "type": "qemu",
        "node": "two",
        "status": "stopped",
        "template": False,
        "tags": ["prod"],
    }
    assert (web["pve_pool"], web["pve_pools"], web["pve_maxmem"]) == ("prod/eu", ["prod", "prod/eu"], 4096 << 20)


def test_groups_by_what_costs_nothing(inventory: Inventory, cluster: Simulator) -> None:
    found = inventory.list()
    assert found.groups["pve_pool_prod"] == {"children": ["pve_pool_prod_eu"], "hosts": ["web-100"]}
    assert found.members("pve_pool_prod_eu") == ["web-101"]
    assert found.members("pve_tag_prod") == ["web-100", "web-101"]
    assert found.members("pve_node_two") == ["web-101", "two-104"]
    assert found.members("pve_type_lxc") == ["dns"]
    assert found.members("pve_status_running") == ["web-100", "dns"]


def test_groups_as_asked_for(inventory: Inventory, cluster: Simulator) -> None:
    found = inventory.list(group_by=["ostype"], group_prefix="", gather=["guest_config"], include=["guests"])
    assert found.groups["all"]["children"] == ["ungrouped", "guests", "ostype_win11"]
    assert found.members("ostype_win11") == ["web-101"]


def test_what_was_not_asked_for_is_not_asked(inventory: Inventory, cluster: Simulator) -> None:
    assert sorted(inventory.list(include=["nodes"]).hosts) == ["one", "two"]
    assert sorted(paths(cluster)) == CHEAP
    cluster.clear_requests()
    assert "one" not in inventory.list(include=["guests"]).hosts
    assert sorted(paths(cluster)) == CHEAP[:2]


def test_gathered_facts(inventory: Inventory, cluster: Simulator) -> None:
    found = inventory.list(gather=ALL)
    web = found["web-100"]
    assert web["ansible_host"] == web["pve_address"] == "192.168.40.100"
    assert (web["pve_agent"], web["pve_ostype"], web["pve_networks"][0]["bridge"]) == (True, None, "vmbr0")
    assert [each["source"] for each in web["pve_addresses"]] == ["agent"]
    assert found["two-104"]["ansible_host"] == "10.9.0.4"
    assert found["web-101"]["pve_address"] is None
    assert found["web-101"]["pve_guest_status"]["status"] == "stopped"
    assert found["web-101"]["pve_snapshots"] == []
    assert found["one"]["pve_config"] == {}
    asked = paths(cluster)
    assert (
        len(asked) == len(set(asked)) == 3 + 1 + 5 + 5 + 3 + 2
    )  # version; configs, snapshots, lists of guests, addresses
    assert [path for path in asked if "agent" in path] == ["/nodes/one/qemu/100/agent/network-get-interfaces"]


def test_addresses_of_the_configuration_cost_nothing_more(inventory: Inventory, cluster: Simulator) -> None:
    found = inventory.list(gather=["guest_config"])
    assert (found["two-104"]["ansible_host"], found["dns"]["ansible_host"]) == ("10.9.0.4", "10.9.0.2")
    assert "pve_addresses" not in found["dns"]


def test_the_preferred_network(inventory: Inventory, cluster: Simulator) -> None:
    rows = [("172.17.0.1", "docker0"), ("10.1.0.5", "eth0"), ("192.168.40.77", "eth1")]
    several = [
        {"name": name, "hardware-address": "BC:24:11:00:01:00", "ip-addresses": [{"ip-address": ip, "prefix": 24}]}
        for ip, name in rows
    ]
    cluster.load({"guests": [guest(100, called="web", agent="1", addresses=several)]})
    asked = {"gather": ["guest_addresses"], "include": ["guests"]}
    assert inventory.list(**asked)["web"]["ansible_host"] == "172.17.0.1"
    preferred = ["2001:db8::/32", "192.168.40.0/24", "10.0.0.0/8"]
    assert inventory.list(**asked, prefer_networks=preferred)["web"]["ansible_host"] == "192.168.40.77"


def test_constructed(inventory: Inventory, cluster: Simulator) -> None:
    found = inventory.list(
        compose={
            "ansible_host": "pve_name ~ '.example.org'",
            "size": "pve_maxmem // 2**20",
            "broken": "pve_nothing + 1",
        },
        groups={"large": "size >= 4096", "all_of_them": True, "broken": "pve_nothing.x"},
        keyed_groups=[{"key": "pve_tags", "prefix": "tag"}, {"key": "pve_type", "parent_group": "kinds"}],
    )
    assert found["web-101"]["ansible_host"] == "web.example.org"
    assert found["one"]["ansible_host"] == "one.example.org"
    assert found["web-101"]["size"] == 4096
    assert "broken" not in found["web-101"]
    assert "web-101" in found.members("large")
    assert "web-100" not in found.members("large")
    assert len(found.members("all_of_them")) == 7
    assert found.members("tag_prod") == ["web-100", "web-101"]
    assert found.groups["kinds"]["children"] == ["_node", "_qemu", "_lxc"]


def test_lookups_and_chance_are_worked_out_for_each_host(inventory: Inventory, cluster: Simulator) -> None:
    found = inventory.list(
        compose={"one": "(10 ** 12) | random", "own": "lookup('vars', 'pve_vmid')", "same": "pve_vmid"}
    )
    assert len({each["one"] for each in found.hosts.values()}) == len(found.hosts)
    assert all(each["own"] == each["same"] for name, each in found.hosts.items())


def test_strict(inventory: Inventory, cluster: Simulator) -> None:
    assert "Could not set x for host" in inventory.problem(strict=True, compose={"x": "pve_nothing"})
    assert "Could not add host one to group x" in inventory.problem(strict=True, groups={"x": "pve_nothing"})
    assert "pve_nothing" in inventory.problem(strict=True, filters=[{"exclude": "pve_nothing"}])


def test_extra_variables(inventory: Inventory, cluster: Simulator) -> None:
    extra = ("-e", "stage=prod")
    asked: dict[str, Any] = {"compose": {"staged": "stage in pve_tags"}, "filters": [{"include": "stage in pve_tags"}]}
    found = inventory.list(*extra, use_extra_vars=True, **asked, include=["guests"])
    assert found["web-100"]["staged"] is True
    found = inventory.list(*extra, **asked, include=["guests"])
    assert "staged" not in found["web-100"]
    assert "it cannot be evaluated for web-100, web-101" in found.warnings


FILTERS: list[tuple[list[dict[str, Any]], list[str]]] = [
    ([], ["dns", "golden", "two-104", "web-100", "web-101"]),
    ([{"exclude": "pve_template"}], ["dns", "two-104", "web-100", "web-101"]),
    ([{"include": "pve_status == 'running'"}, {"exclude": True}], ["dns", "web-100"]),
    ([{"exclude": "'web' in pve_tags"}, {"include": "'prod' in pve_tags"}, {"exclude": True}], ["web-101"]),
    ([{"include": True}, {"exclude": True}], ["dns", "golden", "two-104", "web-100", "web-101"]),
    ([{"include": "inventory_hostname is match('web')"}, {"exclude": True}], ["web-100", "web-101"]),
    ([{"include": "'prod' in pve_pools"}, {"exclude": True}], ["web-100", "web-101"]),
    ([{"exclude": "pve_maxmem > 4 * 1024 ** 3 - 1"}], ["dns", "golden", "two-104", "web-100"]),
]


def test_filters(inventory: Inventory, cluster: Simulator) -> None:
    """Each in a source of its own, all of them in one run."""
    sources: list[str] = []
    for number, (filters, unused) in enumerate(FILTERS):
        given = {"filters": filters, "include": ["guests"], "group_prefix": f"f{number}_"}
        sources += ["-i", str(inventory.write(given, f"{number}.pve.yml"))]
    done = inventory.ansible.run("ansible-inventory", *sources, "--list")
    groups = json.loads(done.stdout)
    assert not done.stderr
    for number, (unused, left) in enumerate(FILTERS):
        assert sorted(groups[f"f{number}_guests"]["hosts"]) == left


def test_who_is_filtered_out_is_not_asked(inventory: Inventory, cluster: Simulator) -> None:
    """The base variables decide where they can; conditions on more are evaluated when more is known."""
    filters = [
        {"exclude": "pve_type == 'node' or pve_template or 'web' in pve_tags"},
        {"include": "pve_ostype | default('') == 'win11'"},
        {"exclude": True},
    ]
    found = inventory.list(gather=["guest_config"], filters=filters)
    assert list(found.hosts) == ["web-101"]
    configs = [path for path in paths(cluster) if path.endswith("/config")]
    assert sorted(configs) == ["/nodes/one/lxc/102/config", "/nodes/two/qemu/101/config", "/nodes/two/qemu/104/config"]


def test_a_condition_that_fails_says_so_once(inventory: Inventory, cluster: Simulator) -> None:
    found = inventory.list(filters=[{"exclude": "pve_pool.startswith('prod')"}])
    assert sorted(found.hosts) == ["dns", "golden", "one", "two", "two-104"]
    assert found.warnings.count("it cannot be evaluated for") == 1
    assert "one, two, dns, golden, two-104" in found.warnings


INJECTION = "{{ lookup('pipe', 'touch MARK') }}"


def test_values_are_never_templates(ansible: Ansible, inventory: Inventory, simulator: Simulator) -> None:
    mark = ansible.home / "owned"
    text = INJECTION.replace("MARK", str(mark))
    shot = [{"name": "snap", "snaptime": 1, "description": text}]
    simulator.load({"guests": [guest(100, node="ugreen", called=text, tags=text, description=text, snapshots=shot)]})
    options: dict[str, Any] = {
        "gather": ALL,
        "descriptions": True,
        "compose": {"copied": "pve_name", "joined": "'x ' ~ pve_config.description"},
        "groups": {"named": "pve_name != ''"},
        "keyed_groups": [{"key": "pve_name"}],
        "filters": [{"include": "pve_config.description != 'x'"}],
        "group_by": ["tag", "node"],
    }
    path = inventory.write(options)
    shown = [{"ansible.builtin.debug": {"msg": "{{ [item, hostvars[inventory_hostname][item]] }}"}, "loop": []}]
    shown[0]["loop"] = ["pve_name", "pve_config", "pve_snapshots", "pve_tags", "copied", "joined"]
    run = ansible.playbook([{"hosts": "pve_guests", "gather_facts": False, "tasks": shown}], "-i", str(path))
    assert not run.returncode, run.output
    assert run.stdout.count("lookup('pipe'") >= 5
    assert not mark.exists()


@pytest.mark.parametrize("release", ["8.4", "7.4"])
def test_older_releases(ansible: Ansible, release: str) -> None:
    with Simulator(release, auth_delay=0, nodes=2, guests=8) as simulator:
        found = Inventory(ansible, simulator).list(gather=ALL)
        assert len(found.members("pve_guests")) == 10
        assert found["vm100"]["ansible_host"] == "192.168.40.100"
        assert found["ct102"]["ansible_host"] == "192.168.40.102"
        assert paths(simulator)


def test_one_host_and_the_graph(inventory: Inventory, cluster: Simulator) -> None:
    path = inventory.write({})
    one = json.loads(inventory.run(path, "--host", "dns").stdout)
    assert one["pve_vmid"] == 102
    graph = inventory.run(path, "--graph", "pve_pool_prod").stdout
    assert graph.splitlines() == ["@pve_pool_prod:", "  |--@pve_pool_prod_eu:", "  |  |--web-101", "  |--web-100"]


def test_two_inventories(ansible: Ansible, inventory: Inventory, cluster: Simulator) -> None:
    """Each tells what it lacks; together they hold what both have."""
    cluster.set_online("two", False)
    one, two = (inventory.write({"group_prefix": prefix}, f"{prefix}.pve.yml") for prefix in ("a_", "b_"))
    done = ansible.run("ansible-inventory", "-i", str(one), "-i", str(two), "--list")
    found = json.loads(done.stdout, object_hook=plain)
    assert found["a_guests"]["hosts"] == found["b_guests"]["hosts"]
    sources = [row["source"] for row in found["_meta"]["hostvars"]["dns"]["pve_incomplete"]]
    assert sorted(set(sources)) == ["a_.pve.yml", "b_.pve.yml"]


def test_files_of_other_names_are_left_alone(inventory: Inventory, cluster: Simulator) -> None:
    inventory.write({}, "lab.yml")
    done = inventory.run(inventory.ansible.home / "lab.yml", "--list")
    assert "pve_guests" not in done.stdout
    assert inventory.list() is not None


def documented() -> dict[str, tuple[str, str]]:
    """Return the variables of the guide: name, and what its type and place are."""
    rows = re.findall(r"^\| `(pve_\w+|ansible_host)` \| ([\w ]+) \| ([\w ,]+) \|", DOCS.read_text(), re.MULTILINE)
    return {name: (kind, place) for name, kind, place in rows}


KINDS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "whole number": (int,),
    "number": (float, int),
    "yes or no": (bool,),
    "list": (list,),
    "mapping": (dict,),
}


def test_the_guide_names_all_variables(inventory: Inventory, simulator: Simulator) -> None:
    found = inventory.list(gather=ALL)
    table = documented()
    seen = {name for each in found.hosts.values() for name in each}
    assert seen == set(table)
    own = {"inventory_file", "inventory_dir"}
    for host, place in (("vm100", "guests"), ("ugreen", "nodes")):
        variables = found[host]
        for name, (kind, places) in table.items():
            if places in ("all", place) or places not in ("guests", "nodes"):
                assert variables[name] is None or isinstance(variables[name], KINDS[kind]), name
        assert not set(variables) - set(table) - own
    bare = inventory.list()
    base = {name for name, (unused, place) in table.items() if place in ("all", "guests", "nodes")}
    assert {name for each in bare.hosts.values() for name in each} == base


EXAMPLES = list(yaml.safe_load_all(pve.EXAMPLES))
BLOCKS = [
    yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
]


def test_what_is_shown_can_be_used(ansible: Ansible, inventory: Inventory, cluster: Simulator) -> None:
    """Every example of the documentation and of the guide is a source that works; all of them in one run."""
    assert len(EXAMPLES) == 4
    assert len(BLOCKS) == 5
    sources: list[str] = []
    for number, example in enumerate([*EXAMPLES, *BLOCKS]):
        options = {name: value for name, value in example.items() if name not in ("host", "token_id", "token_file")}
        prefix = {"group_prefix": f"e{number}_"}
        sources += ["-i", str(inventory.write({**options, **prefix}, f"{number}.pve.yml"))]
    done = ansible.run("ansible-inventory", *sources, "--list", env={"MY_SECRET": ROOT_SECRET})
    assert not done.stderr
    groups = json.loads(done.stdout)
    for number, example in enumerate([*EXAMPLES, *BLOCKS]):
        assert "web-100" in groups[f"e{number}_guests"]["hosts"], example


def test_commands_of_the_guide_work(ansible: Ansible, inventory: Inventory, simulator: Simulator) -> None:
    commands = re.findall(r"^\$ (.*)$", DOCS.read_text(), re.MULTILINE)
    inventory.write(BLOCKS[0])
    ran = 0
    for command in commands:
        program, *arguments = command.split()
        if program == "ansible-inventory":
            done = ansible.run(program, *arguments)
            assert (done.returncode, done.stderr) == (0, "")
            assert "vm100" in done.stdout or "192.168.40.100" in done.stdout
            ran += 1
        elif program == "mkdir":
            subprocess.run(["sh", "-c", command], env=ansible.env, check=True)
            assert (ansible.home / ".cache" / "pve-inventory").stat().st_mode & 0o777 == 0o700
            ran += 1
        else:
            assert program == "export"
    assert ran == 4
