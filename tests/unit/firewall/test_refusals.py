"""What is refused before anything is sent: each refusal names the field that it is about, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("ansible", reason="options are read as Ansible reads them")

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError, PveError
from ansible_collections.homelab.pve.plugins.module_utils.documents import whole_firewall
from ansible_collections.homelab.pve.plugins.module_utils.firewall import document, spec
from ansible_collections.homelab.pve.plugins.module_utils.firewall.observe import View
from ansible_collections.homelab.pve.plugins.module_utils.firewall.plan import plan_firewall
from ansible_collections.homelab.pve.plugins.module_utils.firewall.wanted import Document
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import Plan, reconcile
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN
from ansible_collections.homelab.pve.tests.simulator.api import Api, Request
from ansible_collections.homelab.pve.tests.simulator.state import Size, State

Json = dict[str, Any]

READERS: dict[str, tuple[spec.Spec, Any]] = {
    "rule": (
        {**spec.scope("cluster", "node", "guest", "group", "vnet"), **spec.RULES, **spec.RULE},
        document.rules_document,
    ),
    "alias": ({**spec.scope("cluster", "guest"), **spec.ALIAS}, document.alias_document),
    "ipset": ({**spec.scope("cluster", "guest"), **spec.IPSET}, document.set_document),
    "group": (spec.GROUP, document.group_document),
    "options": (
        {**spec.scope("cluster", "node", "guest", "vnet"), **spec.ALL_OPTIONS, **spec.UNSET},
        document.options_document,
    ),
    "firewall": (spec.DOCUMENT, whole_firewall),
}
FIREWALL = {
    "cluster": {
        "aliases": [{"name": "lan", "cidr": "192.168.40.0/24"}, {"name": "lan6", "cidr": "fd00::/64"}],
        "ipsets": [{"name": "web", "entries": [{"cidr": "10.0.0.1"}]}],
        "groups": [{"group": "web", "rules": [{"type": "in", "action": "ACCEPT", "source": "lan6"}]}],
        "rules": [
            {"type": "in", "action": "ACCEPT", "source": "lan", "comment": "[key:api]"},
            {"type": "in", "action": "ACCEPT", "dest": "+web", "comment": "[key:twice]"},
            {"type": "group", "action": "web", "comment": "[key:twice]"},
        ],
    }
}


class Pve:
    """A cluster to read from, without a network in between. It takes no writes."""

    local_address = "192.168.40.82"
    identity = ROOT_TOKEN

    def __init__(self, release: tuple[int, int] = (9, 2)) -> None:
        self.release = release
        self.state = State(release, Size())
        self.state.load({"firewall": FIREWALL, "vnets": [{"vnet": "v1", "zone": "z"}] if release >= (8, 3) else []})
        self.api = Api(self.state)

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        target = f"/api2/json{path}" + (f"?{urlencode(params)}" if params else "")
        headers = {"Authorization": f"PVEAPIToken={ROOT_TOKEN}={ROOT_SECRET}"}
        answer = self.api.answer(Request("GET", target, headers, b""))
        if answer.status != 200:
            raise PveError(f"{answer.status} {answer.reason}")
        return json.loads(answer.body)["data"]


@pytest.fixture
def pve() -> Pve:
    return Pve()


def read(module: str, options: Json) -> Document:
    """Read options as the module does. Raises OptionError."""
    own, reader = READERS[module]
    checked = ArgumentSpecValidator({**own, **spec.GUARD}).validate(options)
    assert not checked.error_messages
    found: Document = reader(checked.validated_parameters)
    return found


def planned(pve: Pve, module: str, options: Json) -> Plan:
    wanted = read(module, options)
    view = View(pve)
    return plan_firewall(view, wanted)[0]


def rule(**fields: Any) -> Json:
    return {"type": "in", "action": "ACCEPT", **fields}


def rules(*listed: Json, **more: Any) -> Json:
    return {"rules": list(listed), **more}


# Options, the field that the refusal names, and what it says. None of these needs the server.
ALONE: list[tuple[str, Json, str, str]] = [
    # ports
    ("rule", rule(proto="tcp", dport="0"), "dport", "port 0 is not from 1 to 65535"),
    ("rule", rule(proto="tcp", dport="65536"), "dport", "port 65536"),
    ("rule", rule(proto="tcp", dport="80-90"), "dport", "ranges take a colon"),
    ("rule", rule(proto="tcp", dport="90:80"), "dport", "runs backwards"),
    ("rule", rule(proto="tcp", dport="80,"), "dport", "no list of ports"),
    ("rule", rule(proto="tcp", dport="80, 443"), "dport", "no port"),
    ("rule", rule(proto="tcp", dport="nosuchservice"), "dport", "no service that PVE knows"),
    ("rule", rule(proto="tcp", sport=",".join(str(n) for n in range(1, 17))), "sport", "more than 15 ports"),
    ("rule", rule(proto="tcp", dport=",".join(f"{n}:{n + 1}" for n in range(1, 9))), "dport", "counts for two"),
    # protocols, macros, ICMP, log levels, interfaces
    ("rule", rule(proto="TCP"), "proto", "say tcp"),
    ("rule", rule(proto="999"), "proto", "no protocol that PVE knows"),
    ("rule", rule(proto="0"), "proto", "does not keep protocol 0"),
    ("rule", rule(macro="SSSH"), "macro", "there is no macro 'SSSH'"),
    ("rule", rule(proto="icmp", icmp_type="8"), "icmp_type", "a number goes into dport"),
    ("rule", rule(log="verbose"), "log", "none of emerg"),
    ("rule", rule(iface="-"), "iface", "no name of a network interface"),
    ("rule", rule(iface="vmbr0", scope="guest", vmid=100), "iface", "no interface of a guest"),
    # addresses
    ("rule", rule(source="10.0.0.1/24"), "source", "host bits beyond its prefix; say 10.0.0.0/24"),
    ("rule", rule(source="10.1"), "source", "no address"),
    ("rule", rule(source="10.0.0.1, 10.0.0.2"), "source", "no blanks in a list"),
    ("rule", rule(source="10.0.0.1,::1"), "source", "do not mix"),
    ("rule", rule(source="10.0.0.9-10.0.0.1"), "source", "runs backwards"),
    ("rule", rule(source="10.0.0.1-10.0.0.2,10.0.0.4"), "source", "a range stands alone"),
    ("rule", rule(source="10.0.0.1-::1"), "source", "from one family to the other"),
    ("rule", rule(source="fe80::1%eth0"), "source", "has a zone"),
    ("rule", rule(source="10.0.0.1,lan"), "source", "'lan' is no address"),
    ("rule", rule(source="+1web"), "source", "no name of an IP set"),
    ("rule", rule(source=",".join(f"10.0.{n}.1" for n in range(60))), "source", "longer than 512"),
    # what cannot be emptied, and what is no rule at all
    ("rule", rule(key="api", type="in", action=""), "action", "cannot be empty"),
    ("rule", {"action": "ACCEPT"}, "rules[0]", "takes type and action at least"),
    ("rule", {}, "Nothing is declared", "Give rules"),
    # comments and keys
    ("rule", rule(comment="one\ntwo"), "comment", "line break"),
    ("rule", rule(comment="one\n", key="k"), "comment", "line break"),
    ("rule", rule(comment="\u2028"), "comment", "line break"),
    ("rule", rule(comment="voil\u00e0"), "comment", "lose the last byte"),
    ("rule", rule(comment="0"), "comment", "no comment at all"),
    ("rule", rule(comment="-"), "comment", "no comment at all"),
    ("rule", rule(comment="mine [key:api]"), "comment", "give that as key"),
    ("rule", rule(comment="mine [pending]"), "comment", "uses itself"),
    ("rule", rule(key="two words"), "key", "1 to 32 letters"),
    ("rule", rule(key="k" * 33), "key", "1 to 32 letters"),
    ("alias", {"name": "a1", "cidr": "10.0.0.1", "comment": "two\nlines"}, "aliases[a1] comment", "line break"),
    ("ipset", {"name": "s1", "comment": "0"}, "ipsets[s1] comment", "no comment at all"),
    ("ipset", {"name": "s1", "entries": [{"cidr": "::1", "comment": "\u0420"}]}, "entries[::1] comment", "last byte"),
    ("group", {"name": "g1", "comment": "-"}, "groups[g1] comment", "no comment at all"),
    ("group", {"name": "g1", "rules": [rule(comment="a\rb")]}, "groups[g1] rules[0] comment", "line break"),
    # names
    ("alias", {"name": "1a", "cidr": "10.0.0.1"}, "aliases[1a] name", "a letter, then"),
    ("alias", {"name": "a", "cidr": "10.0.0.1"}, "aliases[a] name", "a letter, then"),
    ("ipset", {"name": "Web"}, "ipsets[Web] name", "say web"),
    ("group", {"name": "Web"}, "groups[Web] name", "say web"),
    ("group", {"name": "w" * 19}, "name", "1 to 17"),
    ("rule", rule(scope="group", group="Web"), "group", "say web"),
    ("rule", rule(scope="node", node="no/de"), "node", "no name of a node"),
    ("rule", rule(scope="guest", vmid=99), "vmid", "from 100 on"),
    ("options", {"scope": "vnet", "vnet": "V1"}, "vnet", "no name of a vnet"),
    # aliases and entries
    ("alias", {"name": "a1", "cidr": "10.0.0.1-10.0.0.9"}, "aliases[a1] cidr", "no address"),
    ("alias", {"name": "a1", "cidr": "lan"}, "aliases[a1] cidr", "no address"),
    (
        "ipset",
        {"name": "s1", "entries": [{"cidr": "10.0.0.5/24"}]},
        "ipsets[s1] entries[10.0.0.5/24] cidr",
        "host bits",
    ),
    ("ipset", {"name": "s1", "entries": [{"cidr": "0.0.0.0/0"}]}, "entries[0.0.0.0/0] cidr", "both halves"),
    ("ipset", {"name": "s1", "entries": [{"cidr": "+web"}]}, "entries[+web] cidr", "no address"),
    ("ipset", {"name": "s1", "entries": [{"cidr": "::1"}, {"cidr": "0::1/128"}]}, "entries[::1]", "more than once"),
    # duplicates
    ("rule", rules(rule(key="k"), rule(key="k", proto="tcp")), "rules[k]", "more than once"),
    ("firewall", {"cluster": {"ipsets": [{"name": "s1"}, {"name": "s1"}]}}, "cluster ipsets[s1]", "more than once"),
    (
        "firewall",
        {"cluster": {"aliases": [{"name": "A1", "cidr": "::1"}, {"name": "a1", "cidr": "::2"}]}},
        "cluster aliases[a1]",
        "more than once",
    ),
    # where rules stand
    ("rule", rules(rule(key="k"), position="before"), "anchor", "these need it"),
    ("rule", rules(rule(key="k"), position="top", anchor="api"), "anchor", "goes with position: before"),
    ("rule", rules(rule(key="k"), position="after", anchor="k"), "anchor", "one of the rules"),
    ("rule", rules(rule(key="k"), position="after", anchor="no key"), "anchor", "no key"),
    ("firewall", {"cluster": {"position": "top"}}, "cluster position", "needs rules"),
    # places
    ("rule", rule(scope="guest"), "scope", "guest needs vmid"),
    ("rule", rule(vmid=100), "vmid", "does not go with scope: cluster"),
    ("options", {"scope": "node", "node": "ugreen", "policy_in": "DROP"}, "policy_in", "no option of a node"),
    ("options", {"scope": "guest", "vmid": 100, "unset": ["nftables"]}, "nftables", "no option of a guest"),
    ("options", {"unset": ["nosuch"]}, "nosuch", "no option of a cluster"),
    ("firewall", {"guests": {"100": {"groups": []}}}, "guests[100]", "groups"),
    ("firewall", {"nodes": {"ugreen": {"options": {"dhcp": True}}}}, "nodes[ugreen]", "dhcp"),
    ("firewall", {"nodes": {"ugreen": ["rules"]}}, "nodes[ugreen]", "no mapping"),
    ("firewall", {"guests": {"100": {"rules": [rule(proto="TCP")]}}}, "guests[100] rules[0] proto", "tcp"),
    ("firewall", {"guests": {"web": {"unset": []}}}, "guests[web]", "'web' is no number of a guest"),
    # options
    ("options", {"policy_in": "DROP", "unset": ["policy_in"]}, "unset", "policy_in is given a value, too"),
    ("options", {"log_ratelimit": "rate=1/second"}, "log_ratelimit", "needs enable"),
    ("options", {"log_ratelimit": "enable=1,rate=1/week"}, "log_ratelimit", "rate is a number by"),
    ("options", {"scope": "node", "node": "ugreen", "nf_conntrack_max": 1}, "nf_conntrack_max", "less than 32768"),
    (
        "options",
        {"scope": "node", "node": "ugreen", "nf_conntrack_tcp_timeout_syn_recv": 61},
        "nf_conntrack_tcp_timeout_syn_recv",
        "more than 60",
    ),
    ("options", {"scope": "node", "node": "ugreen", "nf_conntrack_helpers": ["ssh"]}, "nf_conntrack_helpers", "'ssh'"),
    ("options", {"scope": "node", "node": "ugreen", "protection_synflood_rate": -5}, "protection_synflood_rate", "-5"),
    # who has to get in
    ("firewall", {"api_clients": ["192.168.40.82/24"]}, "api_clients", "host bits"),
    ("firewall", {"api_clients": ["workstation"]}, "api_clients", "no address"),
    ("rule", rule(management_source="lan"), "management_source", "no address"),
]


@pytest.mark.parametrize(("module", "options", "field", "words"), ALONE)
def test_without_a_server(module: str, options: Json, field: str, words: str) -> None:
    with pytest.raises(OptionError) as refused:
        read(module, options)
    said = str(refused.value)
    assert field in said.partition(": ")[0] or said.startswith(field), said
    assert words in said


# Options, the field or place that the refusal names, and what it says. These take a look at the server.
LOOKED_AT: list[tuple[str, Json, str, str]] = [
    # a rule as a whole
    ("rule", rule(dport="22"), "proto", "dport needs a protocol"),
    ("rule", rule(proto="gre", dport="22"), "dport", "'gre' has no ports"),
    ("rule", rule(proto="icmp", sport="8"), "sport", "has no ports"),
    ("rule", rule(proto="icmp", icmp_type="echo-request", dport="8"), "icmp_type", "without dport"),
    ("rule", rule(proto="icmp", dport="80:90"), "dport", "no type of icmp"),
    ("rule", rule(proto="icmp", icmp_type="packet-too-big"), "icmp_type", "no type of icmp"),
    ("rule", rule(icmp_type="echo-request"), "proto", "icmp_type needs proto icmp"),
    ("rule", rule(macro="SSH", proto="udp"), "proto", "the macro SSH sets it to tcp"),
    ("rule", rule(source="10.0.0.1", dest="::1"), "dest", "do not mix"),
    ("rule", rule(source="::1", proto="icmp"), "source", "do not mix"),
    ("rule", rule(source="lan", dest="lan6"), "dest", "nor do aliases"),
    ("rule", rule(key="api", dest="::1"), "dest", "nor do aliases"),
    ("rule", rule(action="accept"), "action", "none of ACCEPT, DROP, REJECT"),
    ("rule", rule(action="web"), "action", "none of ACCEPT, DROP, REJECT"),
    ("rule", rule(source="+WEB"), "source", "say +web"),
    ("rule", rule(type="forward", action="REJECT"), "action", "forward rules take ACCEPT and DROP"),
    # what a place has
    ("rule", rule(type="forward", scope="guest", vmid=100), "type", "not for a guest, which has in, out, group"),
    ("rule", rule(scope="vnet", vnet="v1"), "type", "not for a vnet"),
    ("rule", {"type": "group", "action": "web", "scope": "group", "group": "web"}, "type", "not for a group"),
    ("rule", rule(scope="group", group="web", iface="vmbr0"), "iface", "the rules of a group have none"),
    ("rule", {"type": "group", "action": "web", "proto": "tcp"}, "proto", "calls a group"),
    # which rule is meant
    ("rule", {"key": "new", "dport": "22"}, "rules[new]", "without type none can be made"),
    ("rule", {"key": "new", "type": "in"}, "rules[new]", "without action none can be made"),
    ("rule", {"key": "twice", "enable": False}, "rules[twice]", "on more than one rule, at positions 1 and 2"),
    ("rule", rules(rule(key="k"), position="after", anchor="api", exclusive=True), "anchor", "api is to go"),
    # places that are not there
    ("rule", rule(scope="guest", vmid=999), "There is no guest 999", "VM.Audit on /vms/999"),
    ("options", {"scope": "guest", "vmid": 999, "enable": True}, "There is no guest 999", "keep them for whoever"),
    ("rule", rule(scope="node", node="nosuch"), "There is no node nosuch", "The nodes are ugreen"),
    # objects
    ("alias", {"name": "a1"}, "aliases[a1] cidr", "there is no such alias yet"),
    ("alias", {"name": "lan", "state": "absent"}, "alias lan", "a rule of cluster still names it (api)"),
    ("alias", {"name": "LAN6", "state": "absent"}, "alias lan6", "a rule of group web still names it"),
    ("ipset", {"name": "web", "state": "absent"}, "IP set web", "still names it (twice)"),
    ("group", {"name": "web", "state": "absent"}, "security group web", "a rule of cluster still names it"),
]


@pytest.mark.parametrize(("module", "options", "field", "words"), LOOKED_AT)
def test_with_a_look_at_the_server(module: str, options: Json, field: str, words: str, pve: Pve) -> None:
    with pytest.raises(OptionError) as refused:
        planned(pve, module, options)
    said = str(refused.value)
    assert field in said.partition(": ")[0] or said.startswith(field), said
    assert words in said


@pytest.mark.parametrize(
    ("release", "module", "options", "field"),
    [
        ((8, 0), "rule", rule(key="k", type="forward"), "rules[k]"),
        ((8, 0), "rule", rule(key="k", source="+sdn/v1-all"), "rules[k] source"),
        ((7, 4), "rule", rule(key="k", source="dc/lan"), "rules[k] source"),
        ((8, 0), "options", {"policy_forward": "DROP"}, "options policy_forward"),
        ((8, 0), "options", {"scope": "node", "node": "ugreen", "nftables": True}, "options nftables"),
        ((8, 0), "options", {"scope": "vnet", "vnet": "v1", "enable": True}, "vnet v1"),
    ],
)
def test_what_came_later(release: tuple[int, int], module: str, options: Json, field: str) -> None:
    with pytest.raises(OptionError) as refused:
        planned(Pve(release), module, options)
    assert field in str(refused.value)
    assert "is there from PVE 8." in str(refused.value)
    assert "and this is {}.{}".format(*release) in str(refused.value)


@pytest.mark.parametrize(
    ("module", "options", "assumed"),
    [
        ("rule", rule(source="nosuch"), ["alias nosuch"]),
        ("rule", rule(source="+nosuch"), ["IP set nosuch"]),
        ("rule", rule(source="guest/lan", scope="guest", vmid=100), ["alias guest/lan"]),
        ("rule", {"type": "group", "action": "nosuch"}, ["security group nosuch"]),
        ("rule", rule(scope="group", group="nosuch"), ["security group nosuch"]),
        ("rule", rules(rule(key="k"), position="after", anchor="nosuch"), ["rule nosuch of cluster"]),
        ("ipset", {"name": "s1", "entries": [{"cidr": "nosuch"}]}, ["alias nosuch"]),
    ],
)
def test_what_an_earlier_task_may_make(module: str, options: Json, assumed: list[str], pve: Pve) -> None:
    """Check mode takes it for granted, and a real run refuses it before it sends anything."""
    assert list(planned(pve, module, options).assumed) == assumed

    def perform(change: Any) -> None:
        raise AssertionError(f"{change} was sent")

    with pytest.raises(PveError, match="do not exist") as refused:
        reconcile(lambda: pve, lambda where: planned(where, module, options), perform, dry_run=False)
    assert all(name in str(refused.value) for name in assumed)


def test_everything_is_told_at_once() -> None:
    with pytest.raises(OptionError) as refused:
        read(
            "firewall",
            {
                "api_clients": ["nobody"],
                "cluster": {"rules": [rule(proto="TCP"), rule(key="a b")], "ipsets": [{"name": "Web"}]},
                "guests": {"100": {"rules": [rule(iface="eth0")]}, "web": {"unset": []}},
            },
        )
    said = str(refused.value)
    assert said.startswith("6 things speak against this, and nothing was done: ")
    for field in (
        "api_clients",
        "cluster rules[0] proto",
        "cluster rules[a b] key",
        "guests[100] rules[0] iface",
        "guests[web]",
    ):
        assert f"{field}: " in said


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("rule", rule(comment="voil\u00e0", key="k")),
        ("rule", rule(comment="0", key="k")),
        ("rule", rule(macro="ssh", proto="tcp", dport="22")),
        ("rule", rule(proto="6", dport="http,https,8000:8100")),
        ("rule", rule(proto="icmp", dport="8")),
        ("rule", rule(source="LAN", dest="10.0.0.1-10.0.0.9")),
        ("rule", rule(key="api", source="", comment="", log="")),
        ("rule", rule(source="dc/lan", dest="+dc/web", scope="guest", vmid=100)),
        ("rule", rule(type="forward", action="DROP", source="+sdn/v1-all", scope="vnet", vnet="v1")),
        ("alias", {"name": "Mixed", "cidr": "10.0.0.1/24"}),
        ("ipset", {"name": "s1", "entries": [{"cidr": "LAN"}, {"cidr": "dc/lan"}, {"cidr": "2001:DB8::/64"}]}),
        ("options", {"log_ratelimit": "1,rate=1/hour,burst=9"}),
        ("options", {"log_ratelimit": "enable=0"}),
    ],
)
def test_what_is_not_refused(module: str, options: Json, pve: Pve) -> None:
    assert planned(pve, module, options).changed
