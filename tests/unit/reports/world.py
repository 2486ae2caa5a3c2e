"""Audits to be reported: an ordinary one, one in which people wrote nasty things, and a large one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.homelab.pve.plugins.module_utils.access import releases
from ansible_collections.homelab.pve.plugins.module_utils.access.model import (
    AccessState,
    Entry,
    Group,
    Pool,
    Principal,
    Role,
    Token,
    User,
)
from ansible_collections.homelab.pve.plugins.module_utils.access.observe import View
from ansible_collections.homelab.pve.plugins.module_utils.access.whatif import rights_between
from ansible_collections.homelab.pve.plugins.module_utils.firewall.model import Entry as SetEntry
from ansible_collections.homelab.pve.plugins.module_utils.firewall.model import IpSet, Rule, Ruleset
from ansible_collections.homelab.pve.plugins.module_utils.firewall.observe import View as FirewallView
from ansible_collections.homelab.pve.plugins.module_utils.firewall.scope import DATACENTER, NODE, Scope
from ansible_collections.homelab.pve.plugins.module_utils.policy.assertions import Outcome
from ansible_collections.homelab.pve.plugins.module_utils.policy.audit import Audit
from ansible_collections.homelab.pve.plugins.module_utils.policy.document import Assertion, Policy
from ansible_collections.homelab.pve.plugins.module_utils.policy.findings import Finding, Gap
from ansible_collections.homelab.pve.plugins.module_utils.policy.observe import Observed, Place
from ansible_collections.homelab.pve.plugins.module_utils.policy.sources import FORMAT, VERSION, Snapshot

NOW = 1_800_000_000.0
DAY = 24 * 60 * 60
CALLER = "auditor@pve!ci"
SEEN = frozenset({"users", "groups", "roles", "acl", "pools", "members", "guests"})
NASTY = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\r\n|`*_[x](javascript:1) https://evil.example"
    "\x00\x1b[31m\ud800\uffffäß漢 ]]>&amp; --> @everybody"
)
HELD = Assertion("labby@pve!view", "/vms", "read_only", below=True)
BROKEN = Assertion("joe@pve", "/vms/100", "never", frozenset({"VM.Console"}), below=True)


def role(name: str) -> Role:
    return Role(name, releases.builtin_roles((9, 2))[name], True)


def grant(state: AccessState, who: str, path: str, name: str, propagate: bool = True) -> AccessState:
    kind = "token" if "!" in who else "user" if "@" in who else "group"
    return state.grant({Entry(path, Principal(kind, who), name): propagate})


def ordinary_state() -> AccessState:
    """Return users, tokens, groups and pools as a small cluster has them."""
    names = ("Administrator", "NoAccess", "PVEAuditor", "PVEVMUser", "PVEVMAdmin", "PVEPoolUser", "PVEUserAdmin")
    state = AccessState(
        users={
            "root@pam": User("root@pam"),
            "ann@pve": User("ann@pve", groups=frozenset({"admins"})),
            "auditor@pve": User("auditor@pve"),
            "bob@pve": User("bob@pve", enable=False, groups=frozenset({"ops"})),
            "eve@pve": User("eve@pve", expire=int(NOW) - 5),
            "joe@pve": User("joe@pve", groups=frozenset({"ops", "students"})),
            "labby@pve": User("labby@pve"),
        },
        groups={name: Group(name) for name in ("admins", "ops", "students", "empty")},
        roles={name: role(name) for name in names} | {"look": Role("look", frozenset({"VM.Audit"}))},
        tokens={
            token.tokenid: token
            for token in (
                Token("root@pam!old", privsep=False),
                Token("ann@pve!terraform", privsep=False, expire=int(NOW) + 9 * DAY),
                Token(CALLER, expire=int(NOW) + 90 * DAY),
                Token("joe@pve!backup", expire=int(NOW) - 20 * DAY),
                Token("labby@pve!view", expire=int(NOW) + 200 * DAY),
                Token("labby@pve!spare"),
            )
        },
        pools={
            "lab": Pool("lab", vms=frozenset({100, 102}), storage=frozenset({"nas"})),
            "prod": Pool("prod", vms=frozenset({200}), storage=frozenset({"nas"})),
        },
    )
    for who, path, name, *flag in (
        ("admins", "/", "Administrator"),
        ("admins", "/access", "PVEUserAdmin"),
        ("auditor@pve", "/", "PVEAuditor"),
        (CALLER, "/", "PVEAuditor"),
        ("ops", "/vms", "PVEVMUser"),
        ("ops", "/vms/200", "NoAccess"),
        ("students", "/vms", "look"),
        ("students", "/pool/lab", "PVEVMAdmin"),
        ("joe@pve", "/pool/prod", "look"),
        ("joe@pve", "/vms/102", "PVEVMUser", False),
        ("joe@pve", "/nodes", "gone"),
        ("joe@pve!backup", "/vms", "PVEVMUser"),
        ("joe@pve!backup", "/storage/nas", "PVEAuditor", False),
        ("labby@pve", "/", "PVEAuditor"),
        ("labby@pve!view", "/vms", "PVEAuditor"),
        ("labby@pve!view", "/nodes", "PVEAuditor"),
        ("labby@pve!spare", "/vms/100", "NoAccess"),
        ("labby@pve!spare", "/pool/lab", "PVEAuditor"),
        ("ghost@pve", "/vms", "Administrator"),
        ("eve@pve", "/storage", "PVEAuditor"),
    ):
        state = grant(state, who, path, name, *flag)
    return state


def firewall() -> dict[Scope, Place]:
    """Return a firewall that lets a network in, and two of three nodes: one is switched off."""
    cluster = Ruleset(
        options={"enable": 1},
        rules=(
            Rule("in", "ACCEPT", source="10.0.0.0/24", proto="tcp", dport="22"),
            Rule("in", "DROP", source="192.168.40.66"),
        ),
        ipsets={"management": IpSet("management", entries=(SetEntry("192.168.40.0/24"),))},
    )
    nodes = {"alpha": Ruleset(), "beta": Ruleset(), "gamma": Ruleset(options={"enable": 0})}
    scopes = {DATACENTER: cluster, **{Scope(NODE, name): rules for name, rules in nodes.items()}}
    return {scope: Place(scope, rules) for scope, rules in scopes.items()}


def observed(state: AccessState, places: dict[Scope, Place] | None = None, caller: str = CALLER) -> Observed:
    data: dict[str, Any] = {"format": FORMAT, "version": VERSION, "taken": int(NOW), "release": "9.2"}
    source = Snapshot({**data, "caller": caller, "answers": {}, "refused": {}})
    view = View(state, (9, 2), caller, {}, SEEN, now=NOW)
    rows = [{"type": "node", "node": name, "status": "online"} for name in ("alpha", "beta", "gamma", "delta")]
    return Observed(view, FirewallView(source), NOW, tuple(rows), places=places or {})


def ordinary() -> Audit:
    """Return an audit with something of everything."""
    state = ordinary_state()
    seen = observed(state, firewall())
    findings = (
        Finding(
            "assertion",
            "error",
            "joe@pve",
            "/vms/100",
            "joe@pve holds VM.Console on /vms/100, against the assertion 'joe@pve on /vms/100: never VM.Console'.",
            expected=str(BROKEN),
            found=["VM.Audit", "VM.Console"],
            fix="Take the ACL entry away, or correct the assertion.",
        ),
        Finding(
            "drift_unexpected",
            "error",
            "user eve@pve",
            "/storage",
            "There is an ACL entry that nobody declared.",
            found={"role": "PVEAuditor"},
            fix="Declare it, or take it away.",
        ),
        Finding(
            "drift_missing",
            "warn",
            "group empty",
            "/pool/prod",
            "The entry is declared and not there.",
            expected={"role": "PVEPoolUser"},
            fix="Apply the policy.",
        ),
        Finding("exception_unused", "info", "token x@pve!y", "", "The exception covers nothing.", fix="Take it out."),
    )
    excepted = (
        replace(
            findings[1],
            subject="token root@pam!old",
            path="/",
            level="warn",
            message="A token without an end.",
            excepted="Goes with the old backup server in March.",
        ),
    )
    after = grant(state, "labby@pve!view", "/storage", "PVEAuditor").revoke(
        frozenset({Entry("/pool/lab", Principal("group", "students"), "PVEVMAdmin")})
    )
    return Audit(
        Policy(assertions=(HELD, BROKEN)),
        seen,
        findings,
        excepted,
        (Gap("firewall of delta", "The node is offline.", "Audit again when it is back."),),
        ("labby@pve!view also reads logs: Sys.Syslog on /nodes",),
        (Outcome(HELD, ("labby@pve!view",), True, True), Outcome(BROKEN, ("joe@pve",), False, None, ("A note.",))),
        after,
        rights_between(seen.access, state, after),
        7,
    )


def clean_audit() -> Audit:
    """Return an audit that found nothing."""
    return replace(
        ordinary(),
        findings=(),
        excepted=(),
        gaps=(),
        notes=(),
        outcomes=(Outcome(HELD, ("labby@pve!view",), True, True),),
        after=None,
        rights=None,
    )


def hostile() -> Audit:
    """Return an audit in which everything that people can write is nasty."""
    state = ordinary_state()
    user = f"{NASTY}@pve"
    state = state.put("users", user, User(user, comment=NASTY, groups=frozenset({NASTY})))
    state = state.put("groups", NASTY, Group(NASTY, NASTY)).put("roles", NASTY, Role(NASTY, frozenset({"VM.Audit"})))
    token = f"{user}!{NASTY.replace('@', '')}"
    state = state.put("tokens", token, Token(token, expire=int(NOW) + DAY, comment=NASTY))
    state = state.grant({Entry("/vms", Principal("user", user), NASTY): True})
    state = state.grant({Entry("/vms", Principal("group", NASTY), NASTY): True})
    findings = tuple(
        Finding(rule, level, NASTY, NASTY, NASTY, expected={NASTY: NASTY}, found=[NASTY], fix=NASTY)
        for rule, level in (("drift_missing", "error"), ("drift_different", "warn"), ("exception_over", "info"))
    )
    after = state.put("users", user, User(user, enable=False))
    seen = observed(state, firewall(), NASTY)
    nasty = Assertion(NASTY, NASTY, "never", frozenset({NASTY}))
    return Audit(
        Policy(assertions=(nasty,)),
        seen,
        findings,
        (replace(findings[0], excepted=NASTY),),
        (Gap(NASTY, NASTY, NASTY),),
        (NASTY,),
        (Outcome(nasty, (NASTY,), False, None, (NASTY,)),),
        after,
        rights_between(seen.access, state, after),
    )


def long_names() -> Audit:
    """Return an audit of names as long as anybody can make them."""
    user = f"{'u' * 200}@pve"
    token = f"{user}!{'t' * 120}"
    state = ordinary_state()
    state = grant(state.put("users", user, User(user)), user, "/vms", "PVEVMUser")
    state = state.put("tokens", token, Token(token, privsep=False, expire=int(NOW) + 30 * DAY))
    finding = Finding("expiring", "error", f"token {token}", "/" + "x" * 300, f"The token {token}.", fix="y" * 300)
    after = grant(state, token, "/storage", "PVEAuditor")
    seen = observed(state, firewall(), token)
    return replace(
        ordinary(),
        observed=seen,
        findings=(finding,),
        excepted=(replace(finding, excepted="z" * 300),),
        gaps=(Gap("g" * 300, "r" * 300, "f" * 300),),
        notes=("n" * 300,),
        after=after,
        rights=rights_between(seen.access, state, after),
    )


def large(users: int = 1000, tokens: int = 1000, entries: int = 5000, guests: int = 1000) -> Audit:
    """Return an audit of a large cluster: a thousand ids of each kind, a thousand paths, thousands of entries."""
    builtin = releases.builtin_roles((9, 2))
    groups = [f"team-{number:02}" for number in range(40)]
    names = [f"person{number:04}@pve" for number in range(users)]
    state = AccessState(
        users={
            name: User(name, groups=frozenset({groups[number % 40], groups[number % 7]}))
            for number, name in enumerate(names)
        },
        groups={name: Group(name) for name in groups},
        roles={name: Role(name, privs, True) for name, privs in builtin.items()},
        pools={
            f"pool{number:02}": Pool(f"pool{number:02}", vms=frozenset(range(100 + number, 100 + guests, 50)))
            for number in range(50)
        },
    )
    made = {f"{names[number % users]}!t{number}": number for number in range(tokens)}
    state = replace(
        state,
        tokens={
            name: Token(name, privsep=number % 3 > 0, expire=int(NOW) + (number % 500 - 50) * DAY if number % 4 else 0)
            for name, number in made.items()
        },
    )
    roles = ("PVEAuditor", "PVEVMUser", "PVEVMAdmin", "PVEAdmin")
    ids = [*(Principal("user", name) for name in names), *(Principal("token", name) for name in made)]
    ids += [Principal("group", name) for name in groups]
    chosen = {
        Entry(f"/vms/{100 + number * 7 % guests}", ids[number % len(ids)], roles[number % 4]): number % 5 > 0
        for number in range(entries - 40)
    }
    chosen |= {Entry("/", Principal("group", name), "PVEAuditor"): True for name in groups}
    findings = tuple(
        Finding(
            "drift_unexpected",
            ("info", "warn", "error")[number % 3],
            f"user {names[number % users]}",
            f"/vms/{100 + number}",
            "There is an ACL entry that nobody declared.",
            fix="Declare it, or take it away.",
        )
        for number in range(3000)
    )
    return Audit(Policy(), observed(state.grant(chosen), firewall()), findings)
