"""The role on hosts with real packet filters: who is let in, who never is, and what a mistake costs."""

from __future__ import annotations

import os
import signal
import subprocess

from ansible_collections.homelab.pve.tests.packets.conftest import Role
from ansible_collections.homelab.pve.tests.packets.world import CONTAINER, HOST, OTHER, World, eventually

UNIT = "homelab-pve-host-firewall.service"
OURS = "find /etc /usr/local /run -iname '*homelab*' -not -path '/run/over/*'"
# What somebody has written there by hand, in ways of his own.
FOREIGN = """# by hand, 2019
*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -i vmbr9  -p tcp --dport 80 -j REDIRECT --to-ports 8080
COMMIT
*filter
:INPUT ACCEPT [12:34]
:mine - [0:0]

-A INPUT -p udp --dport  161 -j mine
-A mine -s 10.0.0.0/8 -j ACCEPT
COMMIT
# the end"""
# proxmox-firewall has a table of its own: an accept there is final for that table, a drop for the packet.
PROXMOX_FIREWALL = """
table inet proxmox-firewall {
  set clients4 { type ipv4_addr; flags interval; }
  set clients6 { type ipv6_addr; flags interval; }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname "lo" accept
    ct state established,related accept
    ip saddr 192.168.40.1 tcp dport 8006 accept
    ip6 saddr fd00:40::1 tcp dport 8006 accept
    ip saddr @clients4 tcp dport 8006 accept
    ip6 saddr @clients6 tcp dport 8006 accept
    tcp dport 8006 counter drop
  }
}
"""


def test_the_container_gets_in_and_nobody_else_does(world: World, role: Role) -> None:
    untouched = world.rules()
    assert world.let_in("admin")
    assert world.kept_out("container")
    assert world.kept_out("other")

    planned = role.shown("--check", "--diff")
    assert planned.returncode == 0, planned.output
    assert "+ iptables -A HOMELAB-PVE -s 192.168.40.82/32 -p tcp -m tcp --dport 8006 -j ACCEPT" in planned.output
    assert planned.changed
    assert world.rules() == untouched
    assert not world.sh(OURS).stdout

    done = role.shown("--diff")
    assert done.returncode == 0, done.output
    assert world.let_in("container")
    assert world.kept_out("other")
    assert world.let_in("admin")
    assert "--on-active=60" in world.read("/run/systemd-run.log")

    again = role(api_clients=CONTAINER, check_address=HOST[1])
    assert again.returncode == 0, again.output
    assert again.changed == []

    world.sh("pve-firewall restart")
    assert world.let_in("container")
    world.sh("iptables -I INPUT -j PVEFW-INPUT; ip6tables -I INPUT -j PVEFW-INPUT")
    assert world.kept_out("container")
    world.sh(f"systemctl start {UNIT}")
    assert world.let_in("container")

    world.boot()
    assert world.let_in("container")
    assert world.kept_out("other")

    gone = role.shown("-e", "host_firewall_state=absent", "-e", '{"host_firewall_check_from": ["localhost"]}')
    assert gone.returncode == 0, gone.output
    assert world.kept_out("container")
    assert world.rules() == untouched
    assert not world.sh(OURS).stdout
    assert role(state="absent", check_from=["admin"]).changed == []


def test_what_is_not_confirmed_is_undone(world: World, role: Role) -> None:
    """A mistake that cuts the container off: seen by the check, and again with nobody left to see it."""
    world.script("apply 8006", *CONTAINER)
    world.sh("rm -r /run/homelab-pve-host-firewall")
    before = world.rules()

    # The container is to confirm, and cannot.
    wrong = role(api_clients=OTHER, confirm_timeout=5)
    assert wrong.returncode
    assert f"https://{HOST[0]}:8006 did not answer container" in wrong.output
    assert "The change is undone" in wrong.output
    assert world.rules() == before
    assert world.let_in("container")
    assert world.kept_out("other")
    assert not world.exists("/run/homelab-pve-host-firewall")

    # The controller dies while it waits for the answer.
    asking = world.folder / "asking"
    role.python("container").write_text(f"#!/bin/sh\ntouch {asking}\nexec sleep infinity\n")
    command = role.command("ansible-playbook", "-i", role.inventory, str(role.home / "playbook.json"))
    with subprocess.Popen(command, env=role.env, stdout=subprocess.DEVNULL, start_new_session=True) as controller:
        assert eventually(asking.exists)
        os.killpg(controller.pid, signal.SIGKILL)
    assert world.kept_out("container")
    assert world.let_in("other")
    assert world.exists("/run/homelab-pve-host-firewall/armed")
    world.let_time_pass()
    assert eventually(lambda: not world.exists("/run/homelab-pve-host-firewall"))
    assert world.rules() == before
    assert world.let_in("container")
    assert world.kept_out("other")

    # Nothing of either has been kept for the host's next start.
    assert not world.sh(OURS).stdout


WRONG = {
    "names nobody": {"api_clients": []},
    "'192.168.40.82/24' has host bits beyond its prefix; say 192.168.40.0/24": {"api_clients": ["192.168.40.82/24"]},
    "'0.0.0.0/0' is everybody": {"api_clients": ["0.0.0.0/0"]},
    "host_firewall_port is 0": {"api_clients": CONTAINER, "port": 0},
    "takes 5 to 3600 seconds": {"api_clients": CONTAINER, "confirm_timeout": 4},
    "a change that nobody confirms is undone": {"api_clients": CONTAINER, "check_from": ["nobody"]},
    "value of host_firewall_persist must be one of": {"api_clients": CONTAINER, "persist": "always"},
}


def test_what_makes_no_sense_is_refused_before_anything_is_touched(world: World, role: Role) -> None:
    untouched = world.rules()
    tasks = [
        {"block": [role.task(**wrong)], "rescue": [{"debug": {"msg": "refused"}}], "name": name}
        for name, wrong in WRONG.items()
    ]
    run = role.playbook([{"hosts": "pve", "gather_facts": False, "tasks": tasks}], "-i", role.inventory)
    assert run.returncode == 0, run.output
    failures = [task["result"]["msg"] for task in run.tasks if task["outcome"] == "failed"]
    assert len(failures) == len(WRONG)
    for reason, failure in zip(WRONG, failures, strict=True):
        assert reason in failure
    assert "Ask the host" not in run.output
    assert world.rules() == untouched


def test_where_proxmox_firewall_filters_an_accept_of_our_own_is_refused(world: World, role: Role) -> None:
    world.sh("pve-firewall stop")
    world.sh("nft -f -", input=PROXMOX_FIREWALL)
    world.script("apply 8006", *CONTAINER)
    # The accept is there, ahead of everything in its table, and does not help.
    assert "-I INPUT 1" in world.script("status 8006").stdout
    assert world.kept_out("container")
    assert world.let_in("admin")
    world.script("apply 8006")
    world.sh("rm -r /run/homelab-pve-host-firewall")
    untouched = world.rules()

    refused = role(api_clients=CONTAINER)
    assert refused.returncode
    assert "the table inet proxmox-firewall is there" in refused.output
    assert "Say host_firewall_persist: cluster_fw." in refused.output

    # It does not filter yet, but is to.
    world.sh("nft delete table inet proxmox-firewall")
    world.write("/etc/pve/local/host.fw", "[OPTIONS]\n\nnftables: 1\n")
    for persist in ("none", "rules_v4"):
        refused = role(api_clients=CONTAINER, persist=persist)
        assert refused.returncode
        assert "nftables: 1 in /etc/pve/local/host.fw" in refused.output
    assert world.rules() == [line for line in untouched if line != "table inet proxmox-firewall"]
    assert not world.sh(OURS).stdout


def test_rules_of_the_cluster_where_proxmox_firewall_filters(world: World, role: Role) -> None:
    world.sh("pve-firewall stop")
    world.sh("nft -f -", input=PROXMOX_FIREWALL)
    role.env |= world.start_cluster()
    world.script("apply 8006", *CONTAINER)  # of an earlier choice
    world.sh("rm -r /run/homelab-pve-host-firewall")
    assert world.kept_out("container")

    done = role(api_clients=CONTAINER, persist="cluster_fw")
    assert done.returncode == 0, done.output
    assert world.let_in("container")
    assert world.kept_out("other")
    assert "HOMELAB-PVE" not in "".join(world.rules())
    again = role(api_clients=CONTAINER, persist="cluster_fw")
    assert again.returncode == 0, again.output
    assert again.changed == []

    wrong = role(api_clients=OTHER, persist="cluster_fw", confirm_timeout=5)
    assert wrong.returncode
    assert "The change is undone" in wrong.output
    assert eventually(lambda: world.knock("container", HOST[0], 1))
    assert world.let_in("container")
    assert world.kept_out("other")

    gone = role(state="absent", check_from=["admin"])
    assert gone.returncode == 0, gone.output
    assert eventually(lambda: not world.knock("container", HOST[0], 0.5))
    assert world.kept_out("container")
    assert "homelab" not in world.read("/etc/pve/firewall/cluster.fw")


def test_files_of_rules_where_something_loads_them(world: World, role: Role) -> None:
    refused = role(api_clients=CONTAINER, persist="rules_v4")
    assert refused.returncode
    assert "Install and enable iptables-persistent" in refused.output
    assert world.kept_out("container")

    world.write("/usr/share/netfilter-persistent/plugins.d/15-ip4tables", "")
    world.write("/etc/systemd/system/netfilter-persistent.service", "[Install]\nWantedBy=multi-user.target\n")
    world.sh("systemctl enable netfilter-persistent.service")
    world.write("/etc/iptables/rules.v4", FOREIGN)
    untouched = world.rules()
    done = role(api_clients=CONTAINER, persist="rules_v4")
    assert done.returncode == 0, done.output
    assert world.let_in("container")
    written = world.read("/etc/iptables/rules.v4")
    assert all(line in written.split("\n") for line in FOREIGN.split("\n"))
    assert "PVEFW" not in written
    again = role(api_clients=CONTAINER, persist="rules_v4")
    assert again.returncode == 0, again.output
    assert again.changed == []

    world.boot()
    assert world.let_in("container")
    assert world.kept_out("other")
    assert "-A mine -s 10.0.0.0/8 -j ACCEPT" in world.rules()

    gone = role(state="absent", check_from=["admin"])
    assert gone.returncode == 0, gone.output
    assert world.kept_out("container")
    assert world.read("/etc/iptables/rules.v4") == FOREIGN
    assert not world.exists("/etc/iptables/rules.v6")
    world.boot()
    assert world.kept_out("container")
    assert [line for line in untouched if line not in world.rules()] == []
