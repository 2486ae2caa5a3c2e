"""What all reports of an audit tell, whatever they look like."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from ..access.giving import GIVING
from ..access.releases import as_text, reading_privileges
from ..access.whatif import RightsChange
from ..firewall.exposure import Exposure, exposure
from ..firewall.model import Ruleset
from ..firewall.scope import DATACENTER
from ..policy.audit import FAIL, INCOMPLETE, Audit
from ..policy.catalogue import RULES, Rule
from ..policy.findings import IGNORE, LEVELS, Finding
from ..policy.observe import PORTS
from ..wording import moment, some_of

# In a sentence; the page and the JSON have all of them.
_MOST_PRIVILEGES = 8
# What neither XML nor a page may hold: control characters, halves of characters, and what is none. Beside them what
# makes a text look like another one: marks that turn the direction of writing, and letters without width.
_NO_TEXT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufffe\uffff]"
)
LEVEL_WORDS = {"error": "error", "warn": "warning", "info": "note"}


@dataclass(frozen=True)
class NodeReach:
    """Who reaches a node, port by port."""

    node: str
    ports: tuple[Exposure, ...]


class Would(NamedTuple):
    """What somebody would gain (or else lose): a sentence, and all privileges where it leaves some of them out."""

    subject: str
    gained: bool
    text: str
    privileges: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """An audit, and what it takes to tell of it."""

    audit: Audit
    fail_on: str
    cluster: str
    policy_file: str = ""

    @property
    def status(self) -> str:
        return self.audit.status(self.fail_on)

    @property
    def time(self) -> str:
        return moment(self.audit.observed.now)

    @property
    def release(self) -> str:
        return as_text(self.audit.observed.access.release)

    @property
    def caller(self) -> str:
        return self.audit.observed.access.caller

    def counts(self, finding: Finding) -> bool:
        """Tell whether the audit fails because of a finding."""
        return self.fail_on in LEVELS and LEVELS.index(finding.level) >= LEVELS.index(self.fail_on)

    @property
    def said(self) -> str:
        """How the audit ended, in a sentence."""
        findings = self.audit.findings
        failing = sum(map(self.counts, findings))
        if self.status == FAIL:
            return f"{plural(failing, 'finding has', 'findings have')} to be put right."
        if self.status == INCOMPLETE:
            return "Nothing that counts was found, but not everything could be seen."
        return "Nothing that was found makes the audit fail." if findings else "Everything is as the policy says."

    @cached_property
    def counted(self) -> dict[str, int]:
        """How many errors, warnings and notes there are, without those of which there are none."""
        counts = self.audit.counts().items()
        return {LEVEL_WORDS[level]: number for level, number in counts if number}

    @cached_property
    def checked(self) -> tuple[Rule, ...]:
        """The rules that were judged: those that the policy does not ignore."""
        levels = self.audit.policy.hygiene.levels
        return tuple(rule for rule in RULES.values() if levels.get(rule.rule, rule.level) != IGNORE)

    @property
    def unseen(self) -> tuple[str, ...]:
        """The lists on which rights depend, and of which something may be left out."""
        access = self.audit.observed.access
        lists = {"users": "users", "groups": "groups", "acl": "ACL entries"}
        if any(path.startswith("/pool") for path in access.state.acl_paths):
            lists["pools"] = "pools"
        return tuple(word for name, word in lists.items() if name not in access.complete)

    @cached_property
    def would(self) -> tuple[Would, ...]:
        """Who would gain or lose what if the policy was applied, those who gain first."""
        rights = self.audit.rights
        changes = sorted(rights.changes, key=lambda change: not change.gained) if rights else ()
        return tuple(self._would(change) for change in changes)

    def _would(self, change: RightsChange) -> Would:
        reading = reading_privileges(self.audit.observed.access.release)
        # What gives rights is told first, what only reads last.
        names = sorted(change.privileges, key=lambda name: (name not in GIVING, name in reading, name))
        everything = self.audit.rights.everything if self.audit.rights else frozenset()
        if everything.issubset(names):
            return Would(change.subject, change.gained, change.text(everything))
        told = replace(change, privileges=(some_of(names, _MOST_PRIVILEGES),)).text()
        return Would(change.subject, change.gained, told, tuple(names) if len(names) > _MOST_PRIVILEGES else ())

    def would_of(self, *, gained: bool) -> tuple[Would, ...]:
        """Return those of ``would`` that gain something, or lose it."""
        return tuple(one for one in self.would if one.gained is gained)

    @property
    def would_said(self) -> str:
        """How many would gain and lose rights, in a few words; empty where nobody would."""
        words = {True: "gain", False: "lose"}
        numbers = {gained: len({one.subject for one in self.would_of(gained=gained)}) for gained in words}
        return " and ".join(
            f"{plural(number, 'id')} would {words[gained]} rights" for gained, number in numbers.items() if number
        )

    @property
    def would_unknown(self) -> str:
        """Why it is not known who would gain or lose what; empty where it is, or where nothing would be applied."""
        return self.audit.rights.unknown if self.audit.rights else ""

    @cached_property
    def reach(self) -> tuple[NodeReach, ...]:
        """Who reaches each node; nothing where the datacenter's firewall was not read."""
        cluster = self.audit.observed.places.get(DATACENTER)
        if cluster is None:
            return ()
        if cluster.on:
            otherwise = tuple(Exposure(port, unknown="The firewall of the node was not read.") for port in PORTS)
        else:
            # Then nodes are not asked: nothing depends on them.
            otherwise = tuple(exposure(cluster.rules, Ruleset(), port) for port in PORTS)
        exposed = self.audit.observed.exposed
        return tuple(
            NodeReach(node, exposed.get(node, otherwise)) for node in sorted(self.audit.observed.names("node"))
        )


def clean(text: Any) -> str:
    """Return a text with line ends as they are here, and without what no text may hold."""
    return _NO_TEXT.sub("\ufffd", str(text).replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: Any) -> str:
    """Return a text in one line."""
    return " ".join(clean(text).split())


def about(finding: Finding) -> str:
    """Return whom and what a finding is about."""
    return " ".join(part for part in (finding.subject, finding.path) if part)


def plural(number: int, word: str, many: str = "") -> str:
    """Return a number with its word: ``1 finding``, ``2 findings``."""
    return f"{number} {word if number == 1 else many or word + 's'}"
