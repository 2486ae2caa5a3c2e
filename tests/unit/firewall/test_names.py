"""The tables of names, spot by spot."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.firewall import names
from ansible_collections.homelab.pve.plugins.module_utils.firewall.matching import ports


def test_macros():
    assert len(names.MACROS) == 86
    assert names.MACROS["SSH"] == ({"proto": "tcp", "dport": "22"},)
    assert names.MACROS["GRE"] == ({"proto": "47"},)
    assert names.MACROS["IPsec"] == ({"proto": "udp", "dport": "500", "sport": "500"}, {"proto": "50"})
    assert names.MACROS["SMB"][0] == {"proto": "udp", "dport": "135,445"}
    assert len(names.MACROS["NeighborDiscovery"]) == 4
    assert names.MACROS_IPV6["Ping"] == ({"proto": "icmpv6", "dport": "echo-request"},)
    assert set(names.MACROS) >= names.IPV6_ONLY_MACROS | set(names.MACROS_IPV6)


def test_every_macro_is_made_of_known_names():
    numbers = {str(number) for number in names.PROTOCOLS.values()}
    for rules in (*names.MACROS.values(), *names.MACROS_IPV6.values()):
        for rule in rules:
            assert rule["proto"] in names.PROTOCOLS or rule["proto"] in numbers
            for field in ("dport", "sport"):
                if field in rule and rule[field] not in names.ICMP_TYPES | names.ICMPV6_TYPES:
                    assert ports(rule[field], names.PROTOCOLS[rule["proto"]])


@pytest.mark.parametrize(("name", "known"), [("ssh", "SSH"), ("SPICEPROXY", "SPICEproxy"), ("nope", None), ("", None)])
def test_letter_case_of_macros(name, known):
    assert names.canonical_macro(name) == known


def test_protocols_and_services():
    assert names.PROTOCOLS["tcp"] == 6
    assert names.PROTOCOLS["icmpv6"] == names.PROTOCOLS["ipv6-icmp"] == 58
    assert names.SERVICES["ssh"] == {"tcp": 22}
    assert names.SERVICES["domain"] == {"tcp": 53, "udp": 53}
    assert "www" not in names.SERVICES, "PVE takes no aliases of services"
    assert all(port < 65536 for service in names.SERVICES.values() for port in service.values())


def test_types_of_icmp():
    assert "echo-request" in names.ICMP_TYPES & names.ICMPV6_TYPES
    assert "packet-too-big" in names.ICMPV6_TYPES - names.ICMP_TYPES
