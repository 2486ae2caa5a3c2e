"""The firewall beyond the recordings: vnets, older releases, a try of a minute, what is loaded and exported."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

pytest.importorskip("aiohttp")

from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN
from ansible_collections.homelab.pve.tests.simulator.api import Api, Request
from ansible_collections.homelab.pve.tests.simulator.firewall.addresses import without_host_bits
from ansible_collections.homelab.pve.tests.simulator.state import Size, State

CLUSTER = "/cluster/firewall"
GUEST = "/nodes/ugreen/qemu/100/firewall"
VNET = "/cluster/sdn/vnets/v1/firewall"
NOTHING = "da39a3ee5e6b4b0d3255bfef95601890afd80709"


class Client:
    """Calls without a network in between."""

    def __init__(self, release: tuple[int, int] = (9, 2)) -> None:
        self.state = State(release, Size())
        self.api = Api(self.state)

    def call(self, method: str, where: str, token: str = f"{ROOT_TOKEN}={ROOT_SECRET}", /, **form: Any) -> Any:
        """Return the data of an answer, or its errors, or its status and reason."""
        text = urlencode(form)
        target = "/api2/json" + where
        body = text.encode() if method in ("POST", "PUT") else b""
        if not body and text:
            target += "?" + text
        headers = {"Authorization": f"PVEAPIToken={token}", "Content-Type": "application/x-www-form-urlencoded"}
        answer = self.api.answer(Request(method, target, headers, body))
        found = json.loads(answer.body) if answer.body else {}
        if answer.status == 200:
            return found["data"]
        return found.get("errors") or f"{answer.status} {answer.reason}"

    def rules(self, path: str) -> list[dict[str, Any]]:
        return [{k: v for k, v in row.items() if k not in ("digest", "pos")} for row in self.call("GET", path)]


@pytest.fixture
def pve() -> Client:
    return Client()


# -- vnets ----------------------------------------------------------------------------------------------------


def test_an_unknown_vnet(pve: Client) -> None:
    for method, path, form in (
        ("GET", "/rules", {}),
        ("PUT", "/options", {"enable": 1}),
        ("POST", "/rules", {"type": "in", "action": "DROP"}),
    ):
        assert pve.call(method, VNET + path, **form).startswith("500 invalid vnet specified at ")


def test_rules_and_options_of_a_vnet(pve: Client) -> None:
    pve.state.load({"vnets": [{"vnet": "v1", "zone": "z"}]})
    refused = pve.call("POST", VNET + "/rules", type="in", action="ACCEPT")
    assert refused == {"type": "invalid rule type 'in' for rule_env 'vnet'"}
    refused = pve.call("POST", VNET + "/rules", type="forward", action="ACCEPT", iface="net0")
    assert refused == {"type": "parameter -i not allowed for this rule type"}
    assert pve.call("POST", VNET + "/rules", type="forward", action="DROP", source="+sdn/v1-all", enable=1) is None
    assert pve.rules(VNET + "/rules") == [{"type": "forward", "action": "DROP", "source": "+sdn/v1-all", "enable": 1}]
    pve.call("PUT", VNET + "/options", enable=1, policy_forward="DROP", log_level_forward="info")
    options = pve.call("GET", VNET + "/options")
    assert (options["enable"], options["policy_forward"], options["log_level_forward"]) == (1, "DROP", "info")
    assert {row["name"] for row in pve.call("GET", CLUSTER + "/refs") if row["scope"] == "sdn"} == {
        "v1-all",
        "v1-dhcp",
        "v1-gateway",
        "v1-no-gateway",
    }


def test_rights_on_a_vnet(pve: Client) -> None:
    pve.state.load({"vnets": [{"vnet": "v1", "zone": "z"}]})
    pve.call("POST", "/access/users", userid="net@pve")
    token = "net@pve!tk=" + pve.call("POST", "/access/users/net@pve/token/tk", privsep=0)["value"]
    missing = "403 Permission check failed (/sdn/zones/z/v1, SDN.Audit|SDN.Allocate)"
    assert pve.call("GET", VNET + "/rules", token) == missing
    pve.call("PUT", "/access/acl", path="/sdn/zones/z", roles="PVEAuditor", users="net@pve")
    assert pve.call("GET", VNET + "/rules", token) == []
    missing = "403 Permission check failed (/sdn/zones/z/v1, SDN.Allocate)"
    assert pve.call("PUT", VNET + "/options", token, enable=1) == missing
    assert pve.call("GET", VNET, token) == "403 Permission check failed (user != root@pam)"


# -- time -----------------------------------------------------------------------------------------------------


def test_more_than_1_enables_for_a_minute(pve: Client) -> None:
    now = 1_800_000_000.5
    pve.state.firewall.clock = lambda: now
    pve.call("PUT", CLUSTER + "/options", enable=2)
    assert pve.call("GET", CLUSTER + "/options")["enable"] == 1_800_000_000
    now += 60
    assert pve.call("GET", CLUSTER + "/options")["enable"] == 0


# -- files ----------------------------------------------------------------------------------------------------


def test_a_file_that_becomes_empty_goes_away(pve: Client) -> None:
    pristine = json.dumps(pve.state.export())
    pve.call("POST", GUEST + "/rules", type="in", action="ACCEPT")
    assert pve.state.export()["firewall"]["guests"] == {"100": "[RULES]\n\n|IN ACCEPT\n\n"}
    pve.call("DELETE", GUEST + "/rules/0")
    assert json.dumps(pve.state.export()) == pristine
    assert pve.call("GET", GUEST + "/options") == {"digest": NOTHING}


def test_a_rule_of_two_families_by_its_aliases_is_dropped_in_reading(pve: Client) -> None:
    for name in ("one", "two"):
        pve.call("POST", CLUSTER + "/aliases", name=name, cidr="198.51.100.1")
    pve.call("POST", CLUSTER + "/rules", type="in", action="ACCEPT", source="one", dest="two")
    pve.call("PUT", CLUSTER + "/aliases/two", cidr="2001:db8::1")
    assert pve.rules(CLUSTER + "/rules") == []


def test_a_poisoned_file_stops_a_rename_half_way(pve: Client) -> None:
    pve.call("POST", CLUSTER + "/groups", group="old")
    pve.state.load({"firewall": {"guests": {"100": "[RULES]\n\nGROUP old\nodd one\n"}}})
    assert pve.call("POST", CLUSTER + "/groups", group="new", rename="old").startswith("500 unknown rule type 'odd'")
    assert [row["group"] for row in pve.call("GET", CLUSTER + "/groups")] == ["new", "old"]
    assert pve.rules(GUEST + "/rules")[0] == {"type": "group", "action": "old", "enable": 1}


@pytest.mark.parametrize(
    ("given", "cleaned"),
    [
        ("198.51.100.77/24", "198.51.100.0/24"),
        ("198.51.100.77", "198.51.100.77"),
        ("2001:DB8:0:0:1::5/64", "2001:db8::/64"),
        ("0:0:1:0:0:2:3:4/128", "0:0:1::2:3:4/128"),
        ("2001:DB8::5", "2001:DB8::5"),
    ],
)
def test_host_bits(given: str, cleaned: str) -> None:
    assert without_host_bits(given) == cleaned


# -- export and load ------------------------------------------------------------------------------------------


def test_export_is_what_load_takes() -> None:
    first, second = Client(), Client()
    first.state.load({"vnets": [{"vnet": "v1", "zone": "z"}]})
    first.call("POST", CLUSTER + "/rules", type="in", action="ACCEPT", comment="à")
    first.call("POST", "/nodes/ugreen/firewall/rules", type="out", action="DROP", macro="dns")
    first.call("PUT", VNET + "/options", enable=0)
    first.call("POST", GUEST + "/ipset", name="set", comment="é")
    second.call("POST", "/nodes/ugreen/lxc/102/firewall/rules", type="in", action="DROP")
    text = json.dumps(first.state.export())
    second.state.load(json.loads(text))
    assert json.dumps(second.state.export()) == text


def test_load_of_objects(pve: Client) -> None:
    content = {
        "options": {"enable": 1, "digest": "x"},
        "aliases": [{"name": "Web", "cidr": "198.51.100.1", "ipversion": 4}],
        "ipsets": [{"name": "set", "comment": "c", "entries": [{"cidr": "web", "nomatch": 1}, {"cidr": "web"}]}],
        "groups": [{"group": "gg", "rules": [{"type": "in", "action": "ACCEPT", "dport": "22"}]}],
        "rules": [{"pos": 0, "type": "in", "action": "DROP", "source": "gone", "enable": 0, "errors": {}}],
    }
    pve.state.load({"firewall": {"nodes": {"ugreen": "[OPTIONS]\nenable: 1\n"}}})
    pve.state.load({"firewall": {"cluster": content}})
    assert pve.call("GET", "/nodes/ugreen/firewall/options")["enable"] == 1
    assert pve.call("GET", CLUSTER + "/options")["enable"] == 1
    assert pve.call("GET", CLUSTER + "/aliases/web") == {"name": "Web", "cidr": "198.51.100.1", "ipversion": 4}
    entries = pve.call("GET", CLUSTER + "/ipset/set")
    assert [entry.get("errors") for entry in entries] == [None, {"cidr": "duplicate ipset entry for 'web'"}]
    group = pve.rules(CLUSTER + "/groups/gg")[0]
    assert (group["enable"], sorted(group["errors"])) == (1, ["dport", "proto"])
    assert pve.rules(CLUSTER + "/rules")[0]["errors"] == {"source": "no such alias 'gone'"}
    pve.state.reset()
    assert pve.state.export()["firewall"] == {"cluster": None, "nodes": {}, "guests": {}, "vnets": {}}


def test_load_refuses_a_rule_that_no_file_can_hold(pve: Client) -> None:
    with pytest.raises(ValueError, match="unknown rule type 'odd'"):
        pve.state.load({"firewall": {"cluster": {"rules": [{"type": "odd", "action": "one"}]}}})


# -- releases -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", [(7, 4), (8, 4), (9, 2)])
def test_what_came_when(release: tuple[int, int]) -> None:
    pve = Client(release)
    since_8 = release >= (8, 0)
    forward = pve.call("POST", CLUSTER + "/rules", type="forward", action="DROP")
    if since_8:
        assert forward is None
    else:
        assert forward == {"type": "value 'forward' does not have a value in the enumeration 'in, out, group'"}
        assert "policy_forward" in pve.call("PUT", CLUSTER + "/options", policy_forward="DROP")
        assert pve.call("PUT", CLUSTER + "/options", delete="policy_forward") == {
            "delete": "no such option 'policy_forward'"
        }
    pve.call("POST", CLUSTER + "/aliases", name="web", cidr="198.51.100.1")
    scoped = pve.call("POST", CLUSTER + "/rules", type="in", action="ACCEPT", source="dc/web")
    assert scoped == (None if since_8 else {"source": "invalid format - invalid IP address: Invalid chars in IP dc\n"})
    scope = {"scope": "dc"} if since_8 else {}
    assert pve.call("GET", CLUSTER + "/refs") == [{"type": "alias", "name": "web", "ref": "web", **scope}]
    digest = pve.call("PUT", CLUSTER + "/options", enable=1, digest="0" * 50)
    assert isinstance(digest, str) == since_8
    assert isinstance(pve.call("GET", VNET + "/rules"), str)
