"""Drift of the firewall: each thing that somebody does is one finding that names place and part, nothing else is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.access import releases
from ansible_collections.homelab.pve.plugins.module_utils.firewall.document import parse_document
from ansible_collections.homelab.pve.plugins.module_utils.policy.catalogue import default_levels
from ansible_collections.homelab.pve.plugins.module_utils.policy.document import Hygiene, Policy
from ansible_collections.homelab.pve.plugins.module_utils.policy.drift import judge
from ansible_collections.homelab.pve.plugins.module_utils.policy.findings import Finding, Gap, Judgement
from ansible_collections.homelab.pve.plugins.module_utils.policy.observe import look
from ansible_collections.homelab.pve.plugins.module_utils.policy.sources import FORMAT, VERSION, Snapshot

Json = dict[str, Any]
Change = Callable[[Json], None]
MISSING, UNEXPECTED, DIFFERENT, REFUSED = "drift_missing", "drift_unexpected", "drift_different", "policy_refused"
CLUSTER, NODE, GUEST, VNET = (
    "/cluster/firewall",
    "/nodes/n1/firewall",
    "/nodes/n1/qemu/100/firewall",
    "/cluster/sdn/vnets/v1/firewall",
)


def rule(key: str | None, action: str = "ACCEPT", **fields: Any) -> Json:
    """Return a rule as PVE lists it."""
    comment = {"comment": f"[key:{key}]"} if key else {}
    return {"type": "in", "action": action, "enable": 1, **fields, **comment}


def answers() -> Json:
    """Return what PVE answers where all is as declared."""
    rights = dict.fromkeys(releases.builtin_roles((9, 2))["PVEAuditor"], 1)
    return {
        "/access/permissions": dict.fromkeys(("/", "/access", "/access/groups", "/pool", "/vms", "/sdn/zones"), rights),
        "/access/users?full=1": [{"userid": "root@pam", "enable": 1}],
        "/access/groups": [],
        "/access/roles": [{"roleid": "Administrator", "privs": "", "special": 1}],
        "/access/acl": [],
        "/cluster/resources": [
            {"type": "node", "node": "n1", "id": "node/n1", "status": "online"},
            {"type": "node", "node": "n2", "id": "node/n2", "status": "online"},
            {"type": "qemu", "vmid": 100, "node": "n1", "id": "qemu/100"},
            {"type": "lxc", "vmid": 200, "node": "n2", "id": "lxc/200"},
        ],
        "/cluster/sdn/vnets": [{"vnet": "v1"}],
        f"{CLUSTER}/options": {"enable": 1, "policy_in": "DROP", "digest": "d"},
        f"{CLUSTER}/rules": [
            rule(None, "DROP", source="10.9.9.9", pos=0),
            rule("ssh", source="+admins", dport="22", proto="tcp", pos=1),
            rule("web", dport="443", proto="tcp", pos=2),
            {"type": "group", "action": "base", "enable": 1, "comment": "[key:base]", "pos": 3},
        ],
        f"{CLUSTER}/aliases": [{"name": "lan", "cidr": "10.0.0.0/24", "ipversion": 4}],
        f"{CLUSTER}/ipset": [{"name": "admins"}, {"name": "guests"}],
        f"{CLUSTER}/ipset/admins": [{"cidr": "10.0.0.1", "comment": "Ann"}, {"cidr": "10.0.0.2"}],
        f"{CLUSTER}/ipset/guests": [{"cidr": "10.1.0.0/16"}],
        f"{CLUSTER}/groups": [{"group": "base", "comment": "For all"}],
        f"{CLUSTER}/groups/base": [rule("ping", macro="Ping", pos=0)],
        f"{NODE}/options": {"enable": 1},
        f"{NODE}/rules": [rule("api", source="lan", dport="8006", proto="tcp", pos=0)],
        "/nodes/n2/firewall/rules": [],
        f"{GUEST}/options": {"enable": 1},
        f"{GUEST}/rules": [rule("mail", dport="25", proto="tcp", pos=0)],
        f"{GUEST}/aliases": [],
        f"{GUEST}/ipset": [],
        f"{VNET}/options": {"enable": 1},
        f"{VNET}/rules": [],
    }


DECLARED: Json = {
    "cluster": {
        "options": {"enable": True, "policy_in": "DROP"},
        "aliases": [{"name": "lan", "cidr": "10.0.0.0/24"}, {"name": "old", "state": "absent"}],
        "ipsets": [
            {
                "name": "admins",
                "entries": [{"cidr": "10.0.0.1", "comment": "Ann"}, {"cidr": "10.0.0.2"}],
                "exclusive": True,
            },
            {"name": "guests", "entries": [{"cidr": "10.1.0.0/16"}]},
        ],
        "groups": [
            {
                "name": "base",
                "comment": "For all",
                "rules": [{"key": "ping", "type": "in", "action": "ACCEPT", "macro": "Ping"}],
            }
        ],
        "rules": [
            {"key": "ssh", "type": "in", "action": "ACCEPT", "source": "+admins", "dport": "22", "proto": "tcp"},
            {"key": "web", "type": "in", "action": "ACCEPT", "dport": "443", "proto": "tcp"},
            {"key": "base", "type": "group", "action": "base"},
            {"key": "telnet", "state": "absent"},
        ],
        "exclusive": ["aliases", "ipsets", "groups"],
    },
    "nodes": {
        "n1": {
            "rules": [
                {
                    "key": "api",
                    "type": "in",
                    "action": "ACCEPT",
                    "source": "lan",
                    "dport": "8006",
                    "proto": "tcp",
                    "enable": True,
                }
            ],
            "exclusive": ["rules"],
        }
    },
    "guests": {
        "100": {
            "options": {"enable": True},
            "rules": [{"key": "mail", "type": "in", "action": "ACCEPT", "dport": "25", "proto": "tcp"}],
        }
    },
    "vnets": {"v1": {"options": {"enable": True}}},
}


def judged(told: Json, raw: Json, refused: Json | None = None, release: str = "9.2") -> Judgement:
    data = {"format": FORMAT, "version": VERSION, "taken": 0, "release": release, "caller": "ann@pve!ci"}
    source = Snapshot({**data, "answers": told, "refused": refused or {}})
    places = [(kind, name, row) for kind in ("node", "guest", "vnet") for name, row in raw.get(f"{kind}s", {}).items()]
    wanted = parse_document({"cluster": raw.get("cluster"), "allow_lockout": False}, places)
    levels = {**dict.fromkeys(default_levels(), "ignore"), **dict.fromkeys((MISSING, UNEXPECTED, DIFFERENT), "error")}
    policy = Policy(firewall=wanted, hygiene=Hygiene({**levels, REFUSED: "error"}))
    observed = look(source, policy, 0.0)
    judgement = Judgement(policy.hygiene.levels, gaps=list(observed.gaps))
    judge(observed, policy, judgement)
    return judgement


def told(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(one.rule, one.subject, one.path) for one in findings]


def test_what_is_as_declared() -> None:
    judgement = judged(answers(), DECLARED)
    assert judgement.findings == []
    assert judgement.gaps == []


def at(path: str, change: Callable[[Any], Any]) -> Change:
    """Return what changes one answer, in place or by another one."""

    def edit(told: Json) -> None:
        answer = change(told[path])
        if answer is not None:
            told[path] = answer

    return edit


def add(path: str, *rows: Json) -> Change:
    return at(path, lambda found: [*found, *rows])


def without(path: str, number: int) -> Change:
    return at(path, lambda found: found[:number] + found[number + 1 :])


def edit(path: str, number: int, **fields: Any) -> Change:
    return at(path, lambda found: found[number].update(fields))


def order(path: str, *numbers: int) -> Change:
    return at(path, lambda found: [found[number] for number in numbers])


def all_of(*changes: Change) -> Change:
    def edit_all(told: Json) -> None:
        for change in changes:
            change(told)

    return edit_all


VIOLATIONS: dict[str, tuple[Change, tuple[str, str, str], Any, Any]] = {
    "an option is changed": (
        at(f"{CLUSTER}/options", lambda found: found.update(policy_in="ACCEPT")),
        (DIFFERENT, "cluster", "option policy_in"),
        {"policy_in": "DROP"},
        {"policy_in": "ACCEPT"},
    ),
    "an option is taken away": (
        at(f"{CLUSTER}/options", lambda found: found.pop("policy_in") and None),
        (MISSING, "cluster", "option policy_in"),
        {"policy_in": "DROP"},
        None,
    ),
    "a guest's firewall is switched off": (
        at(f"{GUEST}/options", lambda found: found.update(enable=0)),
        (DIFFERENT, "guest 100", "option enable"),
        {"enable": 1},
        {"enable": 0},
    ),
    "a vnet's firewall is switched off": (
        at(f"{VNET}/options", lambda found: found.update(enable=0)),
        (DIFFERENT, "vnet v1", "option enable"),
        {"enable": 1},
        {"enable": 0},
    ),
    "an alias is widened": (
        edit(f"{CLUSTER}/aliases", 0, cidr="10.0.0.0/8"),
        (DIFFERENT, "cluster", "alias lan"),
        {"cidr": "10.0.0.0/24"},
        {"cidr": "10.0.0.0/8"},
    ),
    "an alias is deleted": (
        without(f"{CLUSTER}/aliases", 0),
        (MISSING, "cluster", "alias lan"),
        {"name": "lan", "cidr": "10.0.0.0/24"},
        None,
    ),
    "an alias is made": (
        add(f"{CLUSTER}/aliases", {"name": "New", "cidr": "10.7.0.1", "ipversion": 4}),
        (UNEXPECTED, "cluster", "alias new"),
        None,
        {"name": "New", "cidr": "10.7.0.1"},
    ),
    "an alias is made that is to be absent": (
        add(f"{CLUSTER}/aliases", {"name": "old", "cidr": "10.7.0.1", "ipversion": 4}),
        (UNEXPECTED, "cluster", "alias old"),
        None,
        {"name": "old", "cidr": "10.7.0.1"},
    ),
    "an IP set is deleted": (
        without(f"{CLUSTER}/ipset", 1),
        (MISSING, "cluster", "IP set guests"),
        {"name": "guests", "entries": [{"cidr": "10.1.0.0/16", "nomatch": False}]},
        None,
    ),
    "an IP set is made": (
        all_of(
            add(f"{CLUSTER}/ipset", {"name": "more"}),
            lambda told: told.update({f"{CLUSTER}/ipset/more": [{"cidr": "10.8.0.1"}]}),
        ),
        (UNEXPECTED, "cluster", "IP set more"),
        None,
        {"name": "more", "entries": [{"cidr": "10.8.0.1", "nomatch": False}]},
    ),
    "an IP set gets a comment, which is not declared": (
        edit(f"{CLUSTER}/groups", 0, comment="For some"),
        (DIFFERENT, "security group base", ""),
        {"comment": "For all"},
        {"comment": "For some"},
    ),
    "an entry is added": (
        add(f"{CLUSTER}/ipset/admins", {"cidr": "10.6.6.6"}),
        (UNEXPECTED, "cluster", "IP set admins 10.6.6.6"),
        None,
        {"cidr": "10.6.6.6", "nomatch": False},
    ),
    "an entry is taken out": (
        without(f"{CLUSTER}/ipset/guests", 0),
        (MISSING, "cluster", "IP set guests 10.1.0.0/16"),
        {"cidr": "10.1.0.0/16", "nomatch": False},
        None,
    ),
    "an entry gets another comment": (
        edit(f"{CLUSTER}/ipset/admins", 0, comment="Eve"),
        (DIFFERENT, "cluster", "IP set admins 10.0.0.1"),
        {"comment": "Ann"},
        {"comment": "Eve"},
    ),
    "a rule is deleted": (
        without(f"{CLUSTER}/rules", 2),
        (MISSING, "cluster", "rule web"),
        {"key": "web", "type": "in", "action": "ACCEPT", "proto": "tcp", "dport": "443", "enable": True},
        None,
    ),
    "a rule is switched off": (
        edit(f"{NODE}/rules", 0, enable=0),
        (DIFFERENT, "node n1", "rule api"),
        {"enable": True},
        {"enable": False},
    ),
    "a rule is widened": (
        at(f"{NODE}/rules", lambda found: found[0].pop("source") and None),
        (DIFFERENT, "node n1", "rule api"),
        {"source": "lan"},
        {"source": None},
    ),
    "a rule loses its key": (
        edit(f"{GUEST}/rules", 0, comment="by hand"),
        (DIFFERENT, "guest 100", "rule mail"),
        {"key": "mail"},
        {"key": None},
    ),
    "a rule is added to a list that holds only what is declared": (
        add(f"{NODE}/rules", rule(None, source="10.6.6.6", pos=1)),
        (UNEXPECTED, "node n1", "rule IN ACCEPT -source 10.6.6.6"),
        None,
        {"type": "in", "action": "ACCEPT", "source": "10.6.6.6", "enable": True},
    ),
    "a rule is made that is to be absent": (
        add(f"{CLUSTER}/rules", rule("telnet", dport="23", proto="tcp", pos=4)),
        (UNEXPECTED, "cluster", "rule telnet"),
        None,
        {"key": "telnet", "type": "in", "action": "ACCEPT", "proto": "tcp", "dport": "23", "enable": True},
    ),
    "rules change places": (
        order(f"{CLUSTER}/rules", 0, 2, 1, 3),
        (DIFFERENT, "cluster", "order of rules"),
        {"rules": ["ssh", "web", "base"]},
        {"rules": ["web", "ssh", "base"]},
    ),
    "a rule of a security group is changed": (
        edit(f"{CLUSTER}/groups/base", 0, macro="SSH"),
        (DIFFERENT, "security group base", "rule ping"),
        {"macro": "Ping"},
        {"macro": "SSH"},
    ),
    "a security group is deleted": (
        without(f"{CLUSTER}/groups", 0),
        (MISSING, "security group base", ""),
        {
            "name": "base",
            "comment": "For all",
            "rules": [{"key": "ping", "type": "in", "action": "ACCEPT", "macro": "Ping", "enable": True}],
        },
        None,
    ),
    "a security group is made": (
        all_of(
            add(f"{CLUSTER}/groups", {"group": "evil"}),
            lambda told: told.update({f"{CLUSTER}/groups/evil": [rule(None, pos=0)]}),
        ),
        (UNEXPECTED, "security group evil", ""),
        None,
        {"name": "evil", "rules": [{"type": "in", "action": "ACCEPT", "enable": True}]},
    ),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_one_violation_is_one_finding(name: str) -> None:
    change, wanted, expected, found = VIOLATIONS[name]
    changed = answers()
    change(changed)
    judgement = judged(changed, DECLARED)
    assert told(judgement.findings) == [wanted]
    finding = judgement.findings[0]
    assert (finding.expected, finding.found) == (expected, found)
    assert "homelab.pve.site" in finding.fix
    assert judgement.gaps == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        # Foreign rules may stand where they like in a list that is not declared as a whole.
        (add(f"{CLUSTER}/rules", rule(None, "DROP", pos=4)), "foreign at the end"),
        (order(f"{CLUSTER}/rules", 1, 0, 2, 3), "foreign in between"),
        (edit(f"{CLUSTER}/aliases", 0, cidr="10.0.0.0/24", ipversion=4), "nothing"),
        (add(f"{CLUSTER}/ipset/guests", {"cidr": "10.5.0.1"}), "an entry of a set that is open"),
        (edit(f"{CLUSTER}/rules", 2, log="nolog"), "a field that is not declared"),
        (order(f"{CLUSTER}/ipset/admins", 1, 0), "the order of entries"),
    ],
)
def test_what_is_nobodys_business(change: Change, path: str) -> None:
    changed = answers()
    change(changed)
    assert judged(changed, DECLARED).findings == [], path


def test_a_rule_that_may_be_off_is_not_found_and_told_all_the_same() -> None:
    changed = answers()
    edit(f"{CLUSTER}/rules", 1, enable=0)(changed)
    judgement = judged(changed, DECLARED)
    assert judgement.findings == []
    assert judgement.notes == ["Rule ssh of the datacenter: enable is off, and the policy leaves that open."]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"sport": "1024:", "log": "info"}, {"sport": "1024:", "log": "info"}),
        ({"iface": "vmbr1"}, {"iface": "vmbr1"}),
        ({"enable": 0}, {"enable": False}),
        ({"log": "nolog"}, None),
        ({"comment": "seen by Ann [key:api]"}, None),
    ],
)
def test_what_is_not_declared_of_a_rule_is_found_where_only_what_is_declared_may_be(
    fields: Json, found: Json | None
) -> None:
    raw = copy.deepcopy(DECLARED)
    del raw["nodes"]["n1"]["rules"][0]["enable"]
    changed = answers()
    edit(f"{NODE}/rules", 0, **fields)(changed)
    judgement = judged(changed, raw)
    assert [(*one, finding.found) for one, finding in zip(told(judgement.findings), judgement.findings)] == (
        [(UNEXPECTED, "node n1", "rule api", found)] if found else []
    )
    raw["nodes"]["n1"]["exclusive"] = []
    judgement = judged(changed, raw)
    assert judgement.findings == []
    assert len(judgement.notes) == bool(found)


@pytest.mark.parametrize("fields", [{"log": "info"}, {"enable": 0}])
def test_a_rule_without_a_key_is_looked_at_as_closely(fields: Json) -> None:
    raw, changed = copy.deepcopy(DECLARED), answers()
    del raw["nodes"]["n1"]["rules"][0]["enable"], raw["nodes"]["n1"]["rules"][0]["key"]
    changed[f"{NODE}/rules"][0].pop("comment")
    assert judged(changed, raw).findings == []
    edit(f"{NODE}/rules", 0, **fields)(changed)
    (finding,) = judged(changed, raw).findings
    assert (finding.rule, finding.subject) == (UNEXPECTED, "node n1")
    assert list(finding.found) == list(fields)


def test_an_entry_that_is_an_exception_is_declared_as_one_where_only_what_is_declared_may_be() -> None:
    raw, changed = copy.deepcopy(DECLARED), answers()
    edit(f"{CLUSTER}/ipset/admins", 0, nomatch=1)(changed)
    (finding,) = judged(changed, raw).findings
    assert (finding.rule, finding.subject, finding.path) == (UNEXPECTED, "cluster", "IP set admins 10.0.0.1")
    assert finding.found == {"nomatch": True}
    admins = raw["cluster"]["ipsets"][0]
    admins["exclusive"] = False
    judgement = judged(changed, raw)
    assert judgement.findings == []
    assert len(judgement.notes) == 1
    admins.update(exclusive=True, entries=[{**admins["entries"][0], "nomatch": True}, admins["entries"][1]])
    assert judged(changed, raw).findings == []


def test_two_rules_that_go_are_no_change_of_order() -> None:
    changed = answers()
    order(f"{CLUSTER}/rules", 0, 3)(changed)
    assert told(judged(changed, DECLARED).findings) == [
        (MISSING, "cluster", "rule ssh"),
        (MISSING, "cluster", "rule web"),
    ]


def test_a_block_has_its_place() -> None:
    raw = copy.deepcopy(DECLARED)
    raw["cluster"]["position"] = "top"
    findings = judged(answers(), raw).findings
    assert told(findings) == [(DIFFERENT, "cluster", "order of rules")]
    assert findings[0].expected == {"rules": ["ssh", "web", "base", "IN DROP -source 10.9.9.9"]}


# -- what cannot be applied, and what cannot be read ------------------------------------------------------------------

BAD_RULE = {"key": "bad", "type": "in", "action": "ACCEPT", "source": "nowhere"}


@pytest.mark.parametrize(
    ("raw", "about", "said"),
    [
        ({"nodes": {"n9": {"options": {"enable": True}}}}, ("node n9", ""), "There is no node n9"),
        ({"guests": {"300": {"options": {"enable": True}}}}, ("guest 300", ""), "There is no guest 300"),
        ({"vnets": {"v9": {"options": {"enable": True}}}}, ("vnet v9", ""), "There is no vnet v9"),
        ({"cluster": {"rules": [{"key": "gone", "enable": True}]}}, ("cluster", ""), "without type none can be made"),
        (
            {
                "cluster": {"rules": [{"key": "ssh", "source": "", "dest": "+nosuch"}]},
            },
            ("firewall", "IP set nosuch"),
            "The policy needs IP set nosuch",
        ),
    ],
)
def test_what_cannot_be_applied(raw: Json, about: tuple[str, str], said: str) -> None:
    findings = [one for one in judged(answers(), raw).findings if one.rule == REFUSED]
    assert told(findings) == [(REFUSED, *about)]
    assert said in findings[0].message


def test_what_one_place_cannot_have_leaves_the_others() -> None:
    """A place that is not there, one whose rules are unclear, one that hides: the rest is judged."""
    raw = copy.deepcopy(DECLARED)
    raw["guests"]["300"] = {"options": {"enable": True}}
    changed = answers()
    add(f"{NODE}/rules", rule("api", pos=1))(changed)
    edit(f"{GUEST}/rules", 0, dport="26")(changed)
    findings = judged(changed, raw).findings
    assert sorted(told(findings)) == [
        (DIFFERENT, "guest 100", "rule mail"),
        (REFUSED, "guest 300", ""),
        (REFUSED, "node n1", ""),
    ]
    assert any("stands on more than one rule" in one.message for one in findings)


def test_what_stands_against_taking_something_away_is_told_with_it() -> None:
    changed = answers()
    add(f"{CLUSTER}/aliases", {"name": "evil", "cidr": "10.7.0.1", "ipversion": 4})(changed)
    add(f"{CLUSTER}/rules", rule(None, source="evil", pos=4))(changed)
    findings = judged(changed, DECLARED).findings
    assert told(findings) == [(UNEXPECTED, "cluster", "alias evil")]
    assert "a rule of cluster still names it" in findings[0].fix


def test_vnets_have_no_firewall_before_8_3() -> None:
    findings = judged(answers(), {"vnets": DECLARED["vnets"]}, release="8.2").findings
    assert told(findings) == [(REFUSED, "vnet v1", "")]


def refusing(*paths: str) -> Json:
    return {path: [403, "Permission check failed"] for path in paths}


@pytest.mark.parametrize(
    ("raw", "hide", "refused", "gap"),
    [
        ({"nodes": {"n2": {"options": {"enable": True}}}}, (), {}, "firewall of n2"),
        ({"guests": {"200": {"options": {"enable": True}}}}, (), {}, "firewall of guest 200"),
        ({"cluster": DECLARED["cluster"]}, ("/",), {}, "the datacenter's firewall"),
        ({"guests": {"300": {"options": {"enable": True}}}}, ("/vms",), {}, "firewall of guest 300"),
        ({"vnets": {"v9": {"options": {"enable": True}}}}, ("/sdn/zones",), {}, "firewall of vnet v9"),
        ({"nodes": DECLARED["nodes"]}, (), refusing(f"{NODE}/rules"), "firewall of node n1"),
        ({"vnets": DECLARED["vnets"]}, (), refusing("/cluster/sdn/vnets"), "vnets"),
    ],
)
def test_what_cannot_be_read_is_a_gap(raw: Json, hide: tuple[str, ...], refused: Mapping[str, Any], gap: str) -> None:
    changed = answers()
    edit("/cluster/resources", 1, status="offline")(changed)
    for path in hide:
        changed["/access/permissions"] = {**changed["/access/permissions"], path: {}}
    for path in refused:
        del changed[path]
    judgement = judged(changed, raw, dict(refused))
    assert judgement.findings == []
    assert [one.what for one in judgement.gaps] == [gap]
    assert isinstance(judgement.gaps[0], Gap)
    assert judgement.gaps[0].fix
