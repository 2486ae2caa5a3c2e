"""What the rules of hygiene share: whom they speak of, and in which words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from ...access.model import ADMINISTRATOR, ROOT, AccessState, Principal, Token, User, is_token, owner_of
from ...access.observe import user_is_usable
from ...access.permissions import Privileges
from ...access.releases import READS_MORE, privileges, reading_privileges
from ..document import Hygiene
from ..findings import Judgement
from ..observe import Observed

Roles = Mapping[str, bool]


@dataclass(frozen=True)
class Case:
    """What is judged, by which numbers, and where it is written down."""

    observed: Observed
    hygiene: Hygiene
    judgement: Judgement

    @property
    def state(self) -> AccessState:
        return self.observed.state

    @property
    def now(self) -> float:
        return self.observed.now

    def usable(self, subject: str) -> bool:
        """Tell whether a user or token can log in."""
        return user_is_usable(self.state, subject, self.now)

    def users(self) -> Iterator[User]:
        """Yield the users who can log in."""
        return (user for user in self.state.users.values() if self.usable(user.userid))

    def tokens(self) -> Iterator[Token]:
        """Yield the tokens that can log in."""
        return (token for token in self.state.tokens.values() if self.usable(token.tokenid))

    @property
    def knows_rights(self) -> bool:
        """Whether all ACL entries were seen. Else nobody knows what anybody holds, and the audit says so already."""
        return "acl" in self.observed.access.complete

    def held(self, subject: str, path: str) -> Privileges:
        """Return what somebody holds on a path."""
        return self.observed.evaluator.privileges(subject, path)

    @cached_property
    def every_privilege(self) -> frozenset[str]:
        """All privileges that there are, as PVE itself names them."""
        role = self.state.roles.get(ADMINISTRATOR)
        return role.privs if role else privileges(self.observed.access.release)

    def writing(self, names: Iterable[str]) -> frozenset[str]:
        """Return those privileges with which something can be changed."""
        return frozenset(names) - reading_privileges(self.observed.access.release) - READS_MORE

    @cached_property
    def writers(self) -> frozenset[str]:
        """The users who can log in and change something somewhere, root@pam among them."""
        return frozenset(user.userid for user in self.users() if self._writes(user.userid))

    def _writes(self, userid: str) -> bool:
        if userid == ROOT:
            return True
        return self.knows_rights and any(
            self.writing(held) for held in self.observed.evaluator.effective(userid).values()
        )


def called(subject: str) -> str:
    """Name a user or a token as findings do."""
    return f"token {subject}" if is_token(subject) else f"user {subject}"


def of_root(token: Token) -> bool:
    """Tell whether a token is one of root@pam."""
    return owner_of(token.tokenid) == ROOT


def whose(principal: Principal) -> str:
    """Name a principal as findings do."""
    return f"{principal.kind} {principal.name}"


def entries_text(paths: Mapping[str, Roles]) -> list[str]:
    """Say ACL entries as in ``PVEAuditor on /vms``, in order."""
    return sorted(f"{role} on {path}" for path, roles in paths.items() for role in roles)
