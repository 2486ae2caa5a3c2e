"""The rules of an audit: what each looks for, how much it matters unless the policy says otherwise, and what it reads.

A rule's id is what policies and exceptions name it by. ``needs`` are the parts of a cluster that it takes beside the
lists of access, so that nothing is read for rules that are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .findings import ERROR, IGNORE, INFO, WARN

DRIFT, ASSERTION, HYGIENE = "drift", "assertion", "hygiene"
# Parts of a cluster: realms, second factors, the firewall of the datacenter, of nodes, of guests and of vnets, the
# network interfaces of guests, certificates.
REALMS, FACTORS, FIREWALL, NODES, GUESTS, VNETS, INTERFACES, CERTIFICATES = (
    "realms",
    "factors",
    "firewall",
    "nodes",
    "guests",
    "vnets",
    "interfaces",
    "certificates",
)
PARTS = frozenset((REALMS, FACTORS, FIREWALL, NODES, GUESTS, VNETS, INTERFACES, CERTIFICATES))


@dataclass(frozen=True)
class Rule:
    """``title`` says in a few words what is wrong where it finds something, ``why`` in a sentence why that matters."""

    rule: str
    family: str
    level: str
    title: str
    why: str
    needs: frozenset[str] = frozenset()


def _rule(rule: str, family: str, level: str, title: str, why: str, *needs: str) -> Rule:
    return Rule(rule, family, level, title, why, frozenset(needs))


RULES: Mapping[str, Rule] = {
    rule.rule: rule
    for rule in (
        _rule(
            "drift_missing",
            DRIFT,
            ERROR,
            "Declared, and not there",
            "Somebody relies on what the policy grants, or on what a firewall rule keeps out.",
        ),
        _rule(
            "drift_unexpected",
            DRIFT,
            ERROR,
            "There, and not declared where only declared things may be",
            "What nobody has declared, nobody has reviewed.",
        ),
        _rule(
            "drift_different",
            DRIFT,
            ERROR,
            "There, and other than declared",
            "Somebody has changed by hand what the policy says otherwise.",
        ),
        _rule(
            "policy_refused",
            DRIFT,
            ERROR,
            "The policy says what cannot be applied",
            "As long as it does, nothing of the policy is applied, and what drifts stays as it is.",
        ),
        _rule(
            "assertion",
            ASSERTION,
            ERROR,
            "An assertion about effective rights does not hold",
            "What an id can really do is not what the policy promises.",
        ),
        _rule(
            "assertion_unmatched",
            ASSERTION,
            WARN,
            "An assertion speaks of nobody",
            "It cannot fail, and so proves nothing; its subject may be misspelt.",
        ),
        _rule(
            "assertion_unconfirmed",
            ASSERTION,
            ERROR,
            "PVE itself answers other rights than were worked out",
            "One of the two is wrong, or somebody changed rights while they were read.",
        ),
        _rule(
            "privsep",
            HYGIENE,
            ERROR,
            "A token without privilege separation",
            "It can do all that its user can, whatever it is meant for, and gains whatever the user gains.",
        ),
        _rule(
            "root_tokens",
            HYGIENE,
            ERROR,
            "A token of root@pam",
            "Whoever gets hold of it is a step away from everything, and nothing tells whose it is.",
        ),
        _rule(
            "require_expiry",
            HYGIENE,
            WARN,
            "A token that never expires",
            "A secret that leaks unnoticed works for ever.",
        ),
        _rule(
            "long_expiry",
            HYGIENE,
            INFO,
            "A token that expires in more than a year",
            "Secrets that are not renewed each year are forgotten, and so is where they lie.",
        ),
        _rule(
            "expired",
            HYGIENE,
            WARN,
            "A token or user that has expired",
            "Whatever used it has stopped working, or nobody needs it any more.",
        ),
        _rule(
            "expiring",
            HYGIENE,
            WARN,
            "A token or user that is about to expire",
            "Whatever uses it is about to stop working.",
        ),
        _rule(
            "rotation_unfinished",
            HYGIENE,
            WARN,
            "A token that stands in for one whose secret is being renewed",
            "As long as it is there, two secrets have the rights of one.",
        ),
        _rule(
            "powerless_tokens",
            HYGIENE,
            INFO,
            "A token that may do nothing at all",
            "It logs in and finds everything empty, which looks like an empty cluster and not like an error.",
        ),
        _rule(
            "unused_tokens",
            HYGIENE,
            WARN,
            "A token that was not used for long",
            "What nobody uses, nobody misses when it is stolen.",
        ),
        _rule(
            "administrators",
            HYGIENE,
            INFO,
            "Administrator, or all privileges",
            "Each of them can do everything: they are to be few, and known.",
        ),
        _rule(
            "many_administrators",
            HYGIENE,
            WARN,
            "More than three people who can do everything",
            "Everything is as safe as the least careful of them.",
        ),
        _rule(
            "as_good_as_admin",
            HYGIENE,
            WARN,
            "Can become administrator",
            "These rights look small, and are enough to get all others.",
        ),
        _rule(
            "disabled_users",
            HYGIENE,
            WARN,
            "A disabled user with tokens or ACL entries",
            "All of it works again the moment somebody enables the user.",
        ),
        _rule(
            "no_second_factor",
            HYGIENE,
            WARN,
            "Somebody who can change things logs in with a password alone",
            "A password that leaks elsewhere is tried here, and is all it takes.",
            REALMS,
            FACTORS,
        ),
        _rule(
            "legacy_factors",
            HYGIENE,
            INFO,
            "A second factor of the old kind",
            "It is part of the user's settings, where others can read it, and works only while the realm asks for it.",
            REALMS,
            FACTORS,
        ),
        _rule(
            "locked_factors",
            HYGIENE,
            WARN,
            "Second factors that are locked after wrong codes",
            "Somebody who knows the password is guessing the codes, or the user cannot log in.",
        ),
        _rule(
            "realms_without_factor",
            HYGIENE,
            IGNORE,
            "A realm that does not ask for a second factor",
            "Each user decides alone whether to have one.",
            REALMS,
        ),
        _rule(
            "shared_accounts",
            HYGIENE,
            INFO,
            "An account that seems to be shared",
            "What it did, nobody did; and its password does not change when one of them leaves.",
        ),
        _rule(
            "pam_users",
            HYGIENE,
            IGNORE,
            "A user of the realm pam other than root",
            "His password is that of an account of the operating system, often with a shell on the nodes.",
        ),
        _rule(
            "root_used",
            HYGIENE,
            INFO,
            "root@pam was used",
            "root@pam is for emergencies; what is done with it, nobody did.",
        ),
        _rule(
            "ghosts",
            HYGIENE,
            WARN,
            "ACL entries of a user or group that is gone",
            "They come back to life for whoever gets that name next.",
        ),
        _rule(
            "gone_guests",
            HYGIENE,
            WARN,
            "ACL entries on a guest that is gone",
            "They hold for the next guest of that number, whatever it is.",
        ),
        _rule(
            "gone_storages",
            HYGIENE,
            WARN,
            "ACL entries on a storage that is gone",
            "They hold for the next storage of that name.",
        ),
        _rule(
            "gone_pools",
            HYGIENE,
            WARN,
            "ACL entries on a pool that is gone",
            "They hold for the next pool of that name.",
        ),
        _rule(
            "gone_nodes",
            HYGIENE,
            WARN,
            "ACL entries on a node that is gone",
            "They hold for the next node of that name.",
        ),
        _rule(
            "gone_groups",
            HYGIENE,
            WARN,
            "ACL entries on the path of a group that is gone",
            "They hold over the members of the next group of that name.",
        ),
        _rule(
            "gone_realms",
            HYGIENE,
            WARN,
            "A user, or ACL entries, of a realm that is gone",
            "He cannot log in, but his tokens work; and whoever makes a realm of that name decides who he is.",
            REALMS,
        ),
        _rule(
            "gone_roles",
            HYGIENE,
            WARN,
            "ACL entries with a role that is gone",
            "They come back to life with the next role of that name.",
        ),
        _rule(
            "broad_roles",
            HYGIENE,
            WARN,
            "A role that grants more than its name says",
            "People give it to others for its name.",
        ),
        _rule(
            "confusing_roles",
            HYGIENE,
            WARN,
            "A role with nearly the name of a built-in one",
            "One is given where the other is meant.",
        ),
        _rule(
            "unused_roles",
            HYGIENE,
            INFO,
            "A role that nobody has",
            "It is one more thing to read, and to take for something else.",
        ),
        _rule(
            "unused_groups",
            HYGIENE,
            INFO,
            "A group without members, or without rights",
            "Whoever is put into it later gets what nobody remembers, or nothing.",
        ),
        _rule(
            "firewall_off",
            HYGIENE,
            ERROR,
            "A firewall that is switched off",
            "None of its rules has an effect.",
            FIREWALL,
            NODES,
        ),
        _rule(
            "policy_in",
            HYGIENE,
            ERROR,
            "What no rule speaks of is let in",
            "Whatever listens tomorrow is open to everybody, without anybody having decided it.",
            FIREWALL,
        ),
        _rule(
            "api_open",
            HYGIENE,
            ERROR,
            "The API (port 8006) is open to everybody",
            "One password or token is then all that it takes, from anywhere.",
            FIREWALL,
            NODES,
        ),
        _rule(
            "ssh_open",
            HYGIENE,
            ERROR,
            "SSH (port 22) is open to everybody",
            "One password or key is then all that it takes to be on the node itself, from anywhere.",
            FIREWALL,
            NODES,
        ),
        _rule(
            "faulty_rules",
            HYGIENE,
            WARN,
            "A firewall rule or entry without effect",
            "PVE lists it and passes it over: what it lets in or keeps out is not what it says.",
            FIREWALL,
            NODES,
        ),
        _rule(
            "no_rules",
            HYGIENE,
            INFO,
            "A firewall without any rule",
            "Who gets in is what PVE makes of the network, and nobody's decision.",
            FIREWALL,
            NODES,
        ),
        _rule(
            "policy_forward",
            HYGIENE,
            IGNORE,
            "What no rule speaks of is passed on between guests and networks",
            "Whoever takes over one guest reaches the others.",
            FIREWALL,
            NODES,
        ),
        _rule(
            "firewall_logging",
            HYGIENE,
            IGNORE,
            "A node that does not log what its firewall drops",
            "Nobody sees who is knocking.",
            FIREWALL,
            NODES,
        ),
        _rule(
            "guest_interfaces",
            HYGIENE,
            IGNORE,
            "A guest's network interface that passes its firewall by",
            "The guest's rules do not hold for it.",
            FIREWALL,
            GUESTS,
            INTERFACES,
        ),
        _rule(
            "vnet_firewall",
            HYGIENE,
            IGNORE,
            "A vnet that passes everything on",
            "Guests in it reach each other, and the vnets next to it.",
            FIREWALL,
            VNETS,
        ),
        _rule(
            "certificates_untrusted",
            HYGIENE,
            IGNORE,
            "A certificate that only this cluster vouches for",
            "People learn to click warnings away, and programs not to verify at all.",
            CERTIFICATES,
        ),
        _rule(
            "certificates_expiring",
            HYGIENE,
            IGNORE,
            "A certificate that has expired or is about to",
            "Clients that verify it stop working; those that do not verify it go unnoticed.",
            CERTIFICATES,
        ),
        _rule(
            "exception_over",
            HYGIENE,
            WARN,
            "An exception is over, and what it excepted is still there",
            "It was to be put right by then.",
        ),
        _rule(
            "exception_unused",
            HYGIENE,
            INFO,
            "An exception covers nothing",
            "It would hide what comes up under its name later.",
        ),
    )
}


def needed(levels: Mapping[str, str]) -> frozenset[str]:
    """Return the parts of a cluster that the rules which are not ignored take."""
    return frozenset(part for rule in RULES.values() if levels[rule.rule] != IGNORE for part in rule.needs)


def default_levels() -> dict[str, str]:
    """Return the level of each rule where the policy says nothing."""
    return {rule.rule: rule.level for rule in RULES.values()}
