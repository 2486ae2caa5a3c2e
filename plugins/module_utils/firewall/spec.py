"""The options of the firewall modules, written once: a module's own are a document's suboptions."""

from __future__ import annotations

from typing import Any

from .values import LOG_LEVELS

Spec = dict[str, dict[str, Any]]


def _items(options: Spec) -> dict[str, Any]:
    return {"type": "list", "elements": "dict", "options": options}


STATE: Spec = {"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}
_POLICIES = ["ACCEPT", "DROP", "REJECT"]

RULE: Spec = {
    "key": {"type": "str", "no_log": False},
    "type": {"type": "str", "choices": ["in", "out", "forward", "group"]},
    "action": {"type": "str"},
    "enable": {"type": "bool"},
    "macro": {"type": "str"},
    "source": {"type": "str"},
    "dest": {"type": "str"},
    "proto": {"type": "str"},
    "dport": {"type": "str"},
    "sport": {"type": "str"},
    "icmp_type": {"type": "str"},
    "iface": {"type": "str"},
    "log": {"type": "str"},
    "comment": {"type": "str"},
    **STATE,
}

POSITION: Spec = {
    "position": {"type": "str", "choices": ["top", "bottom", "before", "after"]},
    "anchor": {"type": "str"},
}

RULES: Spec = {
    "rules": _items(RULE),
    **POSITION,
    "exclusive": {"type": "bool", "default": False},
}
# What says something about one rule, and does not go with a list of them.
SINGLE_RULE = tuple(name for name in RULE if name != "state")

ALIAS: Spec = {
    "name": {"type": "str", "required": True},
    "cidr": {"type": "str"},
    "comment": {"type": "str"},
    **STATE,
}

ENTRY: Spec = {
    "cidr": {"type": "str", "required": True},
    "nomatch": {"type": "bool"},
    "comment": {"type": "str"},
    **STATE,
}


IPSET: Spec = {
    "name": {"type": "str", "required": True},
    "comment": {"type": "str"},
    "entries": _items(ENTRY),
    "exclusive": {"type": "bool", "default": False},
    **STATE,
}

GROUP: Spec = {
    "name": {"type": "str", "required": True},
    "comment": {"type": "str"},
    **RULES,
    **STATE,
}

_ENABLE: Spec = {"enable": {"type": "bool"}}
_POLICY_IN_OUT: Spec = {name: {"type": "str", "choices": _POLICIES} for name in ("policy_in", "policy_out")}
_POLICY_FORWARD: Spec = {"policy_forward": {"type": "str", "choices": ["ACCEPT", "DROP"]}}


def _levels(*names: str) -> Spec:
    return {name: {"type": "str", "choices": list(LOG_LEVELS)} for name in names}


def _switches(*names: str) -> Spec:
    return {name: {"type": "bool"} for name in names}


def _numbers(*names: str) -> Spec:
    return {name: {"type": "int"} for name in names}


CLUSTER_OPTIONS: Spec = {
    **_ENABLE,
    **_POLICY_IN_OUT,
    **_POLICY_FORWARD,
    **_switches("ebtables"),
    "log_ratelimit": {"type": "str"},
}
NODE_OPTIONS: Spec = {
    **_ENABLE,
    **_levels("log_level_in", "log_level_out", "log_level_forward", "tcp_flags_log_level", "smurf_log_level"),
    **_switches("nosmurfs", "tcpflags", "ndp", "nf_conntrack_allow_invalid", "log_nf_conntrack", "nftables"),
    **_switches("protection_synflood"),
    **_numbers("protection_synflood_rate", "protection_synflood_burst", "nf_conntrack_max"),
    **_numbers("nf_conntrack_tcp_timeout_established", "nf_conntrack_tcp_timeout_syn_recv"),
    "nf_conntrack_helpers": {"type": "list", "elements": "str"},
}
GUEST_OPTIONS: Spec = {
    **_ENABLE,
    **_POLICY_IN_OUT,
    **_switches("dhcp", "ipfilter", "macfilter", "ndp", "radv"),
    **_levels("log_level_in", "log_level_out"),
}
VNET_OPTIONS: Spec = {**_ENABLE, **_POLICY_FORWARD, **_levels("log_level_forward")}
OPTIONS = {"cluster": CLUSTER_OPTIONS, "node": NODE_OPTIONS, "guest": GUEST_OPTIONS, "vnet": VNET_OPTIONS}


# Every option of every kind of place; which of them a place has, OPTIONS says.
ALL_OPTIONS: Spec = {name: option for options in OPTIONS.values() for name, option in options.items()}
UNSET: Spec = {"unset": {"type": "list", "elements": "str"}, "exclusive": {"type": "bool", "default": False}}


def scope(*kinds: str) -> Spec:
    """Return the options that name a place, of these kinds."""
    names = {"node": "node", "guest": "vmid", "vnet": "vnet", "group": "group"}
    named: Spec = {name: {"type": "int" if name == "vmid" else "str"} for kind, name in names.items() if kind in kinds}
    return {"scope": {"type": "str", "choices": list(kinds), "default": "cluster"}, **named}


GUARD: Spec = {
    "management_source": {"type": "str"},
    "allow_lockout": {"type": "bool", "default": False},
}


def _place(options: Spec, *kinds: str) -> Spec:
    every: Spec = {
        "options": {"type": "dict", "options": options},
        "unset": {"type": "list", "elements": "str"},
        "aliases": _items(ALIAS),
        "ipsets": _items(IPSET),
        "groups": _items(GROUP),
        "rules": _items(RULE),
        **POSITION,
        "exclusive": {"type": "list", "elements": "str", "choices": ["options", *kinds]},
    }
    return {name: every[name] for name in every if name not in ("aliases", "ipsets", "groups") or name in kinds}


CLUSTER: Spec = _place(CLUSTER_OPTIONS, "aliases", "ipsets", "groups", "rules")
NODE: Spec = _place(NODE_OPTIONS, "rules")
GUEST: Spec = _place(GUEST_OPTIONS, "aliases", "ipsets", "rules")
VNET: Spec = _place(VNET_OPTIONS, "rules")

# The mappings are keyed by names that nobody knows beforehand; each of their values is read by the spec named here.
DOCUMENT: Spec = {
    "api_clients": {"type": "list", "elements": "str"},
    "cluster": {"type": "dict", "options": CLUSTER},
    "nodes": {"type": "dict"},
    "guests": {"type": "dict"},
    "vnets": {"type": "dict"},
}
PLACES: dict[str, Spec] = {"nodes": NODE, "guests": GUEST, "vnets": VNET}
