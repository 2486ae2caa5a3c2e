"""The rules of an audit: what each looks for, how much it matters unless the policy says otherwise, and what it reads.

A rule's id is what policies and exceptions name it by. ``needs`` are the parts of a cluster that it takes beside the
lists of access, so that nothing is read for rules that are ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .findings import ERROR, IGNORE, INFO, WARN

DRIFT, ASSERTION, HYGIENE = "drift", "assertion", "hygiene"
# Parts of a cluster: realms, second factors, the firewall of the datacenter, of nodes, of guests, certificates.
REALMS, FACTORS, FIREWALL, NODES, GUESTS, CERTIFICATES = (
    "realms",
    "factors",
    "firewall",
    "nodes",
    "guests",
    "certificates",
)


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


def needed(levels: Mapping[str, str], rules: Iterable[Rule] = ()) -> frozenset[str]:
    """Return the parts of a cluster that the rules which are not ignored take."""
    found: set[str] = set()
    for rule in rules or RULES.values():
        if levels[rule.rule] != IGNORE:
            found |= rule.needs
    return frozenset(found)


def default_levels() -> dict[str, str]:
    """Return the level of each rule where the policy says nothing."""
    return {rule.rule: rule.level for rule in RULES.values()}
