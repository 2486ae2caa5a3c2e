"""What the collection keeps in a rule's comment: its key, and marks of work that is not finished.

A comment is ``TEXT [pending] [key:NAME]``. PVE trims comments, and takes the last byte off one that ends in A0; a
closing bracket at the end is touched by neither.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

KEY = re.compile(r"[A-Za-z0-9._-]{1,32}\Z")
_KEY_MARK = re.compile(r"\s*\[key:([A-Za-z0-9._-]{1,32})\]\s*\Z")
# Made switched off, to be switched on: a run that ends before that is finished by the next one.
_PENDING = re.compile(r"\s*\[pending\]\s*\Z")
# A copy that bridges a gap while others change; whoever finds one takes it away.
BRIDGE = "[homelab.pve: for the time of a change]"


@dataclass(frozen=True)
class Comment:
    """The parts of a comment. ``text`` is what people wrote; empty where there is none."""

    text: str = ""
    key: str | None = None
    pending: bool = False

    @classmethod
    def parse(cls, written: str | None) -> Comment:
        text, key, pending = written or "", None, False
        found = _KEY_MARK.search(text)
        if found:
            text, key = text[: found.start()], found.group(1)
        found = _PENDING.search(text)
        if found:
            text, pending = text[: found.start()], True
        return cls(text, key, pending)

    def __str__(self) -> str:
        marks = ["[pending]"] if self.pending else []
        marks += [f"[key:{self.key}]"] if self.key else []
        return " ".join(([self.text] if self.text else []) + marks)


def is_bridge(written: str | None) -> bool:
    """Tell whether a comment is that of a copy which bridges a gap."""
    return written == BRIDGE


def key_of(written: str | None) -> str | None:
    """Return the key in a comment, if there is one."""
    return Comment.parse(written).key


def comment_problem(text: str, *, last: bool) -> str | None:
    """Say why PVE would not keep this text as it is. ``last`` says that nothing follows it in the comment."""
    if any(ord(character) < 32 or character in "\x7f\x85\u2028\u2029" for character in text):
        return "has a line break or another control character; PVE would write it into its file as a line of its own"
    if _KEY_MARK.search(text):
        return "ends in a key; give that as key"
    if _PENDING.search(text) or BRIDGE in text:
        return "holds a mark that the collection uses itself"
    if last and text in ("0", "-"):
        return f"is {text!r}, which PVE takes for no comment at all"
    if last and text and text.encode("utf-8")[-1] == 0xA0:
        return f"ends in {text[-1]!r}, of which PVE would lose the last byte; end it in another character"
    return None
