"""The script that the role brings to a host, with both back ends of iptables: what it puts, and what it puts back."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.pve.tests.packets.conftest import MakeWorld
from ansible_collections.homelab.pve.tests.packets.world import World, eventually

CONTAINER = ("192.168.40.82/32", "fd00:40::82/128")
OTHER = "192.168.40.99/32"
CLUSTER = "/etc/pve/firewall/cluster.fw"
PLACE = "/run/homelab-pve-host-firewall"
OTHERS = """[OPTIONS]

enable: 1

[RULES]

IN SSH(ACCEPT) -source 192.168.40.1 -log nolog # C:\\way & more [key:ssh]
"""
OURS = "IN ACCEPT -source 192.168.40.82 -p tcp -dport 8006 -log nolog # API clients [key:homelab-host-api-v4]\n"


@pytest.fixture(params=["legacy", "nft"])
def world(make_world: MakeWorld, request: pytest.FixtureRequest) -> World:
    return make_world(request.param)


def test_the_first_place_whatever_comes(world: World) -> None:
    untouched = world.rules()
    world.script("apply 8006", *CONTAINER)
    assert world.let_in("container")
    assert world.kept_out("other")
    assert "differences: []" in world.script("status 8006", *CONTAINER).stdout
    # Others push in, jump there as well, write into the chain that is not theirs.
    world.sh("iptables -I INPUT -j PVEFW-INPUT; iptables -A INPUT -j HOMELAB-PVE; iptables -I HOMELAB-PVE -j DROP")
    world.sh("ip6tables -D INPUT -j HOMELAB-PVE")
    assert world.kept_out("container")
    found = world.script("status 8006", *CONTAINER).stdout
    for line in ("- iptables -A HOMELAB-PVE -j DROP", "- iptables -I INPUT 2 -j", "+ iptables -I INPUT 1 -j"):
        assert line in found
    assert found.count("'- iptables -I INPUT") == 2
    world.script("apply 8006", *CONTAINER)
    assert world.let_in("container")
    world.sh("iptables -D INPUT -j PVEFW-INPUT")
    assert world.rules().count("-A INPUT -j HOMELAB-PVE") == 2  # one for each family
    # A family that has no clients any more keeps nothing.
    world.script("apply 8006", OTHER)
    assert world.rules().count("-A INPUT -j HOMELAB-PVE") == 1
    world.script("apply 8006")
    assert world.rules() == untouched


def test_undone_to_the_rule(world: World) -> None:
    world.script("apply 8006", *CONTAINER)
    world.sh("iptables -I INPUT -s 10.9.9.9 -j DROP; iptables -I INPUT -s 10.9.9.8 -j DROP")
    world.sh("ip6tables -I HOMELAB-PVE -s fd00:99::/64 -j DROP")
    world.write(CLUSTER, OTHERS.replace("[RULES]\n\n", f"[RULES]\n{OURS}\n"))
    before, cluster = world.rules(), world.read(CLUSTER)
    assert "-I INPUT 3 -j HOMELAB-PVE" in world.script("status 8006").stdout

    world.script("arm 60")
    world.script("apply 8006", OTHER)
    world.write(CLUSTER, OTHERS.replace("enable: 1", "enable: 0"))
    assert world.kept_out("container")
    # The next run finds it unconfirmed. What it would go back to is what was before the first one.
    assert "unconfirmed: true" in world.script("status 8006").stdout
    world.script("arm 60")
    world.script("apply 8006")
    world.let_time_pass()
    assert eventually(lambda: not world.exists(PLACE))
    assert world.rules() == before
    # What others wrote there meanwhile stays.
    assert world.read(CLUSTER) == cluster.replace("enable: 1", "enable: 0")
    late = world.script("confirm", check=False)
    assert late.returncode
    assert "Too late" in late.stderr


def test_confirmed_once_and_for_all(world: World) -> None:
    world.write(CLUSTER, OTHERS)
    world.script("arm 60")
    world.script("apply 8006", *CONTAINER)
    world.script("confirm")
    confirmed = world.rules()
    assert not world.sh("ls -A /run/timers").stdout
    world.let_time_pass()
    world.script("undo")
    assert world.rules() == confirmed
    assert world.read(CLUSTER) == OTHERS
    assert world.let_in("container")


def test_an_undo_that_fails_is_tried_again(world: World) -> None:
    world.script("apply 8006", *CONTAINER)
    before = world.rules()
    world.script("arm 60")
    world.script("apply 8006")
    world.sh("cd /usr/local/sbin && mv iptables-restore away && ln -s /bin/false iptables-restore")
    assert world.script("undo", check=False).returncode
    assert world.kept_out("container")
    world.sh("cd /usr/local/sbin && mv away iptables-restore")
    world.let_time_pass()
    assert eventually(lambda: not world.exists(PLACE))
    assert world.rules() == before
    assert world.let_in("container")


def test_nothing_is_changed_where_nothing_can_be_undone(world: World) -> None:
    world.sh("touch /run/no-systemd")
    untouched = world.rules()
    refused = world.script("arm 60", check=False)
    assert refused.returncode
    assert "The undo cannot be scheduled, so nothing is changed." in refused.stderr
    assert world.rules() == untouched
    assert not world.exists(f"{PLACE}/armed")
