"""What an audit found, for machines and for people: one text for each kind of reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..client.errors import OptionError
from ..policy.audit import Audit
from .junit import render as junit
from .markdown import render as markdown
from .page import render as html
from .plain import render as plain
from .report import Report
from .sarif import render as sarif

_RENDERERS: Mapping[str, Callable[[Report], str]] = {
    "junit": junit,
    "sarif": sarif,
    "markdown": markdown,
    "json": plain,
    "html": html,
}
KINDS = tuple(_RENDERERS)


def render(audit: Audit, kind: str, *, fail_on: str, cluster: str, policy_file: str | None = None) -> str:
    """Return a report as text, the same one for the same audit.

    ``kind`` is one of ``KINDS``, ``fail_on`` the level from which findings count as failures (or "never"),
    ``cluster`` what the report calls the cluster, and ``policy_file`` where the policy is kept, for reports that
    point into files; it is not read. Raises OptionError for a kind that there is not.
    """
    if kind not in _RENDERERS:
        raise OptionError(f"There is no report of the kind {kind!r}.", f"The kinds are {', '.join(KINDS)}.")
    return _RENDERERS[kind](Report(audit, fail_on, cluster, policy_file or ""))
