"""Clients of the API by family: one spelling, nobody twice, nobody by mistake."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("ansible", reason="a filter is Ansible's")

from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.pve.plugins.filter.clients_by_family import FilterModule

clients_by_family = FilterModule().filters()["clients_by_family"]


def test_one_spelling_for_each() -> None:
    clients = ["192.168.40.82", "FD00:0040::0082", "10.0.0.0/8", "192.168.40.82/32", "fd00:40::/64", "fd00:40::82/128"]
    assert clients_by_family(clients) == {
        "ipv4": ["192.168.40.82/32", "10.0.0.0/8"],
        "ipv6": ["fd00:40::82/128", "fd00:40::/64"],
    }
    assert clients_by_family([]) == {"ipv4": [], "ipv6": []}


@pytest.mark.parametrize(
    ("client", "why"),
    [
        ("192.168.40.80-192.168.40.90", "is a range or a name"),
        ("my-container", "is a range or a name"),
        ("container", "is no address"),
        ("+management", "is no address"),
        ("192.168.40.82/24", "say 192.168.40.0/24"),
        ("192.168.40.82,192.168.40.83", "is no address"),
        ("192.168.40.82; reboot", "is no address"),
        ("fe80::1%eth0", "zone"),
        ("0.0.0.0/0", "is everybody"),
        ("::/0", "is everybody"),
        ("::ffff:192.168.40.82", "say 192.168.40.82"),
        ("", "is no address"),
        (82, "put it in quotes"),
        (None, "put it in quotes"),
    ],
)
def test_refused(client: Any, why: str) -> None:
    with pytest.raises(AnsibleFilterError, match=why):
        clients_by_family(["192.168.40.1", client])


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(AnsibleFilterError, match=r"everybody; .* say 10.0.0.0/8"):
        clients_by_family(["0.0.0.0/0", "10.0.0.1/8"])


@pytest.mark.parametrize("clients", ["192.168.40.82", {"container": "192.168.40.82"}, None])
def test_a_list_it_has_to_be(clients: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="are a list"):
        clients_by_family(clients)
