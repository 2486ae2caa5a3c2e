"""Expressions of an inventory file, worked out once for all hosts that are alike in what they speak of.

Ansible takes about half a millisecond for an expression, which is a long time for ten thousand hosts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import jinja2
from jinja2 import nodes
from jinja2.parser import Parser

T = TypeVar("T")
N = TypeVar("N", bound=nodes.Node)
Variables = Mapping[str, Any]

_PARSER = jinja2.Environment()
# Filters of Ansible that always make the same of the same. Those of Jinja do, except for one.
_OF_ANSIBLE = frozenset(
    ["bool", "combine", "flatten", "regex_escape", "regex_findall", "regex_replace", "regex_search", "split", "ternary"]
)
_STEADY = (_OF_ANSIBLE | frozenset(_PARSER.filters)) - {"random"}
_TEMPLATE = ("{{", "{%")


@dataclass(frozen=True)
class Expression:
    """``names`` are the variables that it speaks of. It is ``steady`` if nothing else can make a difference."""

    names: tuple[str, ...]
    steady: bool


@cache
def parsed(text: str) -> Expression:
    """Take an expression apart. Raises jinja2.TemplateSyntaxError.

    Filters that only Ansible knows are no concern here: the tree is never compiled.
    """
    parser = Parser(_PARSER, text, state="variable")
    expression = parser.parse_expression()
    if not parser.stream.eos:
        raise jinja2.TemplateSyntaxError("there is more behind the expression", 1)
    calls = any(isinstance(call.node, nodes.Name) for call in _within(expression, nodes.Call))
    filters = all(used.name in _STEADY for used in _within(expression, nodes.Filter))
    names = {name.name for name in _within(expression, nodes.Name)}
    return Expression(tuple(sorted(names)), filters and not calls)


def _within(expression: nodes.Expr, kind: type[N]) -> Iterator[N]:
    if isinstance(expression, kind):
        yield expression
    yield from expression.find_all(kind)


class Memory:
    """What came out of expressions."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], Any] = {}

    def recall(self, kind: str, text: Any, variables: Variables, work_out: Callable[[], T]) -> T:
        """Return what ``work_out`` gives, or gave for a host with the same values."""
        values = _values(text, variables)
        if values is None:
            return work_out()
        key = (kind, text, values)
        if key not in self._known:
            self._known[key] = work_out()
        found: T = self._known[key]
        return found


def _values(text: Any, variables: Variables) -> str | None:
    """Return the values that an expression speaks of; None where they may not be all that counts."""
    if not isinstance(text, str):
        return None
    try:
        expression = parsed(str(text))
    except jinja2.TemplateSyntaxError:
        return None
    if not expression.steady:
        return None
    values = repr([variables.get(name, jinja2.Undefined) for name in expression.names])
    # A value may be a template itself, which speaks of others.
    return None if any(sign in values for sign in _TEMPLATE) else values
