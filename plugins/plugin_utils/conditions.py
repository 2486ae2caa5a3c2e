"""Filters of an inventory: which hosts are in it, by conditions on their variables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean

from ..module_utils.client.errors import OptionError
from .expressions import Memory, Variables, parsed

INCLUDE, EXCLUDE = "include", "exclude"
# What can come out of a template: before ansible-core 2.19, Python's own errors too.
FAILURES = (AnsibleError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
_EXAMPLE = "A filter is one of include and exclude, with a condition: - exclude: pve_template"


@dataclass(frozen=True)
class Rule:
    """One filter. ``names`` are the variables that its condition speaks of."""

    number: int
    verb: str
    condition: Any
    names: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"filters[{self.number}], {self.verb}: {self.condition}"


def read(filters: Sequence[Any]) -> tuple[Rule, ...]:
    """Return the filters as rules. Raises OptionError for what is none."""
    return tuple(_rule(number, given) for number, given in enumerate(filters))


def _rule(number: int, given: Any) -> Rule:
    if not isinstance(given, Mapping) or len(given) != 1 or not set(given) <= {INCLUDE, EXCLUDE}:
        raise OptionError(f"filters[{number}] is no filter.", _EXAMPLE)
    ((verb, condition),) = given.items()
    if isinstance(condition, bool):
        return Rule(number, verb, condition, ())
    if not isinstance(condition, str) or not condition.strip():
        raise OptionError(f"filters[{number}], {verb}: the condition is neither a text nor true or false.", _EXAMPLE)
    try:
        names = parsed(str(condition)).names
    except jinja2.TemplateSyntaxError as error:
        hint = "Write it as in `when`, without braces."
        raise OptionError(f"filters[{number}], {verb}: {condition!r} is no condition: {error.message}.", hint) from None
    return Rule(number, verb, condition, names)


class Filters:
    """Rules at work: the first that fits decides, and a host that none fits is in.

    ``failed`` has, for each rule, the hosts for which its condition could not be evaluated, and why.
    """

    def __init__(self, rules: Sequence[Rule], templar: Any, later: Collection[str], memory: Memory) -> None:
        self._rules = rules
        self._templar = templar
        self._later = frozenset(later)
        self._memory = memory
        self.failed: dict[Rule, dict[str, str]] = {}

    def takes(self, host: str, variables: Variables, *, asked: bool) -> bool | None:
        """Tell whether a host is in; None where that takes facts that it was not ``asked`` for."""
        for rule in self._rules:
            if not asked and self._later.intersection(rule.names):
                return None
            if self._holds(rule, host, variables):
                return rule.verb == INCLUDE
        return True

    def _holds(self, rule: Rule, host: str, variables: Variables) -> bool:
        if isinstance(rule.condition, bool):
            return rule.condition
        found, problem = self._memory.recall("filter", rule.condition, variables, lambda: self._try(rule, variables))
        if problem:
            self.failed.setdefault(rule, {})[host] = problem
        return found

    def _try(self, rule: Rule, variables: Variables) -> tuple[bool, str]:
        try:
            return holds(self._templar, rule.condition, variables), ""
        except FAILURES as error:
            return False, one_line(error)


def holds(templar: Any, condition: str, variables: Variables) -> bool:
    """Evaluate a condition as ``when`` does. Raises one of FAILURES."""
    templar.available_variables = variables
    if hasattr(templar, "evaluate_conditional"):
        return bool(templar.evaluate_conditional(condition))
    # Before ansible-core 2.19.
    found = templar.template(f"{{% if {condition} %}}True{{% else %}}False{{% endif %}}")
    return bool(boolean(found))  # type: ignore[no-untyped-call]  # Ansible has no types


def one_line(error: BaseException) -> str:
    """Return what an error says, on one line."""
    return " ".join(str(error).split())
