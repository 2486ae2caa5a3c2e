"""The state that is meant while it is worked out, and everything that speaks against it.

Problems are collected, not raised: whoever asks wants to see all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..client.errors import OptionError
from .model import AccessState, Entry
from .observe import View

# What a refusal comes from: what the document says, what is there now, or a list that the caller does not see in full.
POLICY, STATE, UNSEEN = "policy", "state", "unseen"
# What a refusal is about that speaks of all entries at a path.
ENTRIES = "ACL entries"


class Refusal(OptionError):
    """A reason not to do what a document says. ``about`` is what it speaks of, such as ``role Ops``; maybe at a path.

    ``cause`` is one of POLICY, STATE and UNSEEN; ``unseen`` is the kind of list that is not seen in full.
    """

    def __init__(self, message: str, hint: str, about: str, path: str, cause: str, unseen: str = "") -> None:
        super().__init__(message, hint)
        self.about = about
        self.path = path
        self.cause = cause
        self.unseen = unseen


@dataclass
class Target:
    """The state that is meant, and what was noticed on the way to it."""

    base: AccessState  # the observed state, with what an earlier task would have made
    state: AccessState
    # Nothing is applied: things are judged (see ``target.make_target``).
    judging: bool = False
    assumed: list[str] = field(default_factory=list)
    problems: list[Refusal] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    # The ACL entries that the document asks for.
    declared: set[Entry] = field(default_factory=set)
    # Entries of owners that ``grant_user`` asked for; not all of them have to be there.
    for_owners: set[Entry] = field(default_factory=set)
    # Entries under which hiding inherited rights is meant.
    may_hide: set[Entry] = field(default_factory=set)

    def refuse(
        self, message: str, hint: str = "", *, about: str = "", path: str = "", cause: str = POLICY, unseen: str = ""
    ) -> None:
        """Note a reason not to do any of it (see ``Refusal``). All of them are told at once."""
        self.problems.append(Refusal(message, hint, about, path, cause, unseen))

    def refused(self, about: str) -> bool:
        """Tell whether something was refused already, so that what follows from it need not be told."""
        return any(one.about == about for one in self.problems)


def must_be_seen(target: Target, view: View, kind: str, what: str) -> bool:
    """Refuse to make or delete something on the word of a list that may not be whole."""
    if kind in view.complete:
        return True
    needed = {
        "users": "User.Modify or Sys.Audit on /access/groups",
        "groups": "Group.Allocate or Sys.Audit on /access/groups, propagated",
        "acl": "Sys.Audit on /access",
        "pools": "Pool.Audit on /pool, propagated",
    }[kind]
    target.refuse(
        f"Whether {what} exists cannot be known: {view.caller} does not see all {kind}, and PVE does not say so.",
        f"Give it {needed}.",
        about=what,
        cause=UNSEEN,
        unseen=kind,
    )
    return False


def refuse_missing_guests(
    target: Target, view: View, vmids: Iterable[int], what: str, about: str, *, allowed: bool
) -> None:
    """Refuse guests that do not exist, where the caller would have seen them."""
    if allowed or view.guests is None or "guests" not in view.complete:
        return
    for vmid in vmids:
        if vmid not in view.guests:
            target.refuse(
                f"{what}: there is no guest {vmid}; PVE would accept it all the same.",
                "allow_missing: true grants access before the guest is made." if about == ENTRIES else "",
                about=about,
                path=f"/vms/{vmid}" if about == ENTRIES else "",
            )
