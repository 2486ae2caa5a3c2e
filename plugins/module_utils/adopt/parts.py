"""What half of a policy is written with: its document, comments on places in it, and what had to be left out."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .yaml_text import Place

# Ansible works out what stands between these when it reads a policy file; nobody's comment is to be worked out.
_TEMPLATES = ("{{", "{%", "{#")


@dataclass
class Part:
    """``comments`` are lines ahead of what stands in a place of ``document``; ``notes`` are sentences.

    ``assertions`` are what the policy has to say besides, each as a row of a policy file.
    """

    document: dict[str, Any] = field(default_factory=dict)
    comments: dict[Place, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    assertions: list[dict[str, Any]] = field(default_factory=list)

    def say(self, place: Place, *lines: str) -> None:
        """Add lines to the comment on a place."""
        self.comments.setdefault(place, []).extend(lines)

    def note(self, said: str) -> None:
        """Write down, once, what the document does not say."""
        if said not in self.notes:
            self.notes.append(said)

    def below(self, key: str) -> Mapping[Place, list[str]]:
        """Return the comments for a document in which this one stands under a key."""
        return {(key, *place): lines for place, lines in self.comments.items()}


def is_harmless(text: str) -> bool:
    """Tell whether Ansible takes a text for what it is, and for no template."""
    return not any(mark in text for mark in _TEMPLATES) and not text.startswith("#jinja2:")


def pattern_of(name: str) -> str:
    """Return the shell pattern that matches a name, and that Ansible takes for no template."""
    return glob.escape(name).replace("{", "?")
