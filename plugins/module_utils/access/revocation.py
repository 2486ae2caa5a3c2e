"""Revoking a token, or a user with all of his tokens: what goes, what it could do, and the proof that it is dead.

One call comes first that ends everything: the deletion of the token or the user, or the user's being disabled. Nothing
that is only convenient stands in its way: a secret file that cannot be read costs the proof by log-in, no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from ..client.errors import ApiError, OptionError, PveError
from ..client.http import Client
from ..client.options import PVESH
from ..reconcile import Change, Plan
from ..secret_file import read_secret
from ..wording import some_of
from .births import TRIED_AT_ONCE
from .document import Document, TokenSpec, UserSpec, check_tokenid, check_userid
from .explain import Explainer
from .model import ROOT, AccessState, is_token, owner_of
from .observe import View, observe, tokens_from, user_is_usable, users_from
from .permissions import Evaluator
from .plan import plan_access
from .releases import READS_MORE, privileges, reading_privileges
from .shown import user_fields

# How it is proved that something is dead: PVE refuses its secret, lists it no more, or lists the user as disabled.
LOGIN, LISTED, DISABLED = "login", "list", "disabled"
MOST_PATHS = 5


@dataclass(frozen=True)
class Wanted:
    """What is to be revoked: a token or a user by its id. With ``keep_user``, a user is disabled and not deleted.

    ``secret_files`` has the files of secrets by token, as far as they are known. ``declared`` is what a policy says.
    """

    subject: str
    keep_user: bool = False
    secret_files: Mapping[str, str] = field(default_factory=dict)
    declared: Document = field(default_factory=Document)
    allow_lockout: bool = False

    @classmethod
    def of(cls, params: Mapping[str, Any], declared: Document) -> Wanted:
        """Read the module's options. Raises OptionError."""
        token, user = params["tokenid"], params["userid"]
        if token is None:
            subject = check_userid(user, "userid")
            if params["secret_file"]:
                raise OptionError("secret_file: it is for one token, and a user is named.", "Give pve_access instead.")
        else:
            subject = check_tokenid(token, "tokenid")
            if params["keep_user"]:
                raise OptionError("keep_user: revoking a token leaves its user alone anyway.", "Leave it out.")
        ending = [spec for spec in declared.tokens if subject in (spec.tokenid, owner_of(spec.tokenid))]
        files = {spec.tokenid: spec.secret_file for spec in ending if spec.secret_file}
        if params["secret_file"]:
            files[subject] = params["secret_file"]
        return cls(subject, params["keep_user"], files, declared, params["allow_lockout"])

    @property
    def owner(self) -> str:
        return owner_of(self.subject)


class RevocationTask:
    """Observe, plan and perform a revocation. ``now`` is the one clock reading of the task."""

    def __init__(self, client: Client, wanted: Wanted, now: float) -> None:
        self.client = client
        self.wanted = wanted
        self.now = now
        self._performed = False
        self._ends_caller = False
        self._secrets: dict[str, str] | None = None
        self._unread: list[str] = []

    def observe(self) -> View:
        """Read all of access."""
        return observe(self.client, Document(), self.now)

    def plan(self, view: View) -> Plan:
        """Return what there is to do, with what could be done until now. Raises OptionError."""
        wanted = self.wanted
        if wanted.keep_user and wanted.subject == view.caller_user and wanted.subject != ROOT:
            raise OptionError(
                f"{wanted.subject} is who asks, and could not go on once he is disabled.",
                "Let another administrator do it.",
            )
        # Steps are planned in the order of the tokens, and whoever ends himself does so last.
        tokens = dict(sorted(view.state.tokens.items(), key=lambda item: item[0] == view.caller))
        plan = plan_access(replace(view, state=replace(view.state, tokens=tokens)), self._document(view))
        ending = list(self._ending(view.state))
        rights, unknown = powers_of(view, ending)
        result = {
            "user": self._user(view),
            "tokens": sorted(view.state.tokens_of.get(wanted.owner, frozenset()) - set(ending)),
            "rights": rights,
            "proof": [{"subject": subject, "by": by} for subject, by in self._proofs(view).items()],
        }
        # Where there is nothing to end, it matters less.
        unread = self._unread if ending else []
        slips = [] if ending else self._alike(view.state)
        warnings = (*plan.warnings, *unknown, *unread, *self._made_again(), *slips)
        return replace(plan, warnings=warnings, result=result)

    def perform(self, change: Change) -> None:
        """Make one change. What somebody else has deleted meanwhile is gone all the same."""
        self._performed = True
        if change.call is None:
            return
        try:
            self.client.send(change.call.method, change.call.path, change.call.params)
        except ApiError as error:
            if "no such " not in error.text or self._is_listed(change.id):
                raise

    def prove(self, plan: Plan) -> None:
        """See that what a plan ended is dead; a dry run has ended nothing. Raises PveError where it is not."""
        if plan.changed and not self._performed:
            return
        proofs = {row["subject"]: row["by"] for row in plan.result["proof"]}
        try:
            with ThreadPoolExecutor(TRIED_AT_ONCE) as pool:
                tried = [subject for subject, by in proofs.items() if by == LOGIN]
                alive = [subject for subject, works in zip(tried, pool.map(self._logs_in, tried)) if works]
            # A refusal alone proves little: the secret in a file may be another one.
            if self._performed and not self._ends_caller and not alive:
                self._see_the_list(proofs)
        except PveError as error:
            raise PveError(
                f"{self.wanted.subject} is revoked; that it is dead could not be proved: {error.message}",
                f"{error.hint} The same task, run again, only proves it.".strip(),
            ) from None
        if alive:
            raise PveError(
                f"PVE says that {self.wanted.subject} is revoked, and yet lets {', '.join(alive)} log in.",
                "Run again. If it stays so, look whether all nodes have the same /etc/pve (pvecm status).",
            )

    # -- what is meant --------------------------------------------------------------------------------------------

    def _document(self, view: View) -> Document:
        """Return the document that says so, in terms of what is seen.

        Who sees a user sees all of his tokens, be it that he sees no other user.
        """
        wanted, state = self.wanted, view.state
        owner_seen = wanted.owner in state.users
        tokens = tuple(TokenSpec(name, state="absent") for name in self._ending(state) if is_token(name))
        users: tuple[UserSpec, ...] = ()
        if is_token(wanted.subject):
            tokens = tokens if owner_seen else (TokenSpec(wanted.subject, state="absent"),)
        elif wanted.subject != ROOT and not (wanted.keep_user and owner_seen):
            # Be it seen or not: that nobody can tell is an error.
            users, tokens = (UserSpec(wanted.subject, state="absent"),), ()
        elif wanted.subject != ROOT:
            users = (UserSpec(wanted.subject, enable=False),)
        return Document(users=users, tokens=tokens, allow_lockout=wanted.allow_lockout)

    def _ending(self, state: AccessState) -> Iterator[str]:
        """Yield the ids that end, as far as they are there: the user first."""
        subject = self.wanted.subject
        if is_token(subject):
            yield from [subject] if subject in state.tokens else []
            return
        if subject in state.users and subject != ROOT:
            yield subject
        yield from sorted(state.tokens_of.get(subject, ()))

    def _user(self, view: View) -> dict[str, Any] | None:
        user = view.state.users.get(self.wanted.owner)
        if user is None or not self._stays():
            return None
        if self.wanted.keep_user and user.userid != ROOT:
            user = replace(user, enable=False)
        return {"userid": user.userid, **user_fields(user)}

    def _stays(self) -> bool:
        """Tell whether the user is to be there afterwards."""
        return is_token(self.wanted.subject) or self.wanted.keep_user or self.wanted.subject == ROOT

    def _alike(self, state: AccessState) -> Iterator[str]:
        """Name what may be meant where there is nothing of that name: a slip of the pen must not pass for a proof."""
        name = self.wanted.subject
        alike = sorted(one for one in (*state.users, *state.tokens) if _core(one) == _core(name) and one != name)
        if alike:
            yield f"PVE has no {name}, but {some_of(alike)}. Ids are compared letter by letter: is that one meant?"

    def _made_again(self) -> Iterator[str]:
        """Say so where a policy means that what is revoked is there."""
        wanted, declared = self.wanted, self.wanted.declared
        names = [spec.tokenid for spec in declared.tokens if spec.state == "present"]
        users = [spec for spec in declared.users if spec.state == "present" and spec.userid == wanted.subject]
        # A user who is kept may be declared, as long as nobody says that he can log in.
        names += [spec.userid for spec in users if not wanted.keep_user or spec.enable]
        again = [name for name in names if wanted.subject in (name, owner_of(name))]
        if again:
            yield (
                f"The policy still declares {some_of(sorted(set(again)))}: the playbook homelab.pve.site would make it "
                "again. Take it out of the policy."
            )

    # -- the proof ------------------------------------------------------------------------------------------------

    def _proofs(self, view: View) -> dict[str, str]:
        """Return by whom and how it is to be proved."""
        wanted = self.wanted
        found = {wanted.subject: DISABLED if wanted.keep_user and wanted.subject != ROOT else LISTED}
        found.update(dict.fromkeys(self._readable(), LOGIN))
        if wanted.subject in (view.caller, view.caller_user) and not (wanted.subject == ROOT == view.caller):
            self._ends_caller = True
            found[view.caller] = LOGIN  # afterwards he can ask for no list
            found = {subject: by for subject, by in found.items() if by == LOGIN}
        return found

    def _readable(self) -> Mapping[str, str]:
        """Return the secrets that can be tried, by token. The files are read once, while it matters little."""
        if self._secrets is None:
            self._secrets = {}
            if self.client.options.transport == PVESH:
                return self._secrets  # there, root@pam asks, whatever the credentials
            for tokenid, path in self.wanted.secret_files.items():
                if self.wanted.subject not in (tokenid, owner_of(tokenid)):
                    continue
                try:
                    self._secrets[tokenid] = read_secret(path)
                except OptionError as error:
                    self._unread.append(f"That the secret of {tokenid} is dead is not tried with it: {error}")
        return self._secrets

    def _is_listed(self, subject: str) -> bool:
        rows = self.client.get("/access/users", {"full": 1})
        return subject in users_from(rows) or subject in tokens_from(rows)

    def _see_the_list(self, proofs: Mapping[str, str]) -> None:
        if not proofs:
            return
        rows = self.client.get("/access/users", {"full": 1})
        users, tokens = users_from(rows), tokens_from(rows)
        for subject, by in proofs.items():
            user = users.get(subject)
            left = [name for name in tokens if subject in (name, owner_of(name))]
            if left or (user is not None and subject != ROOT and (by == LISTED or user.enable)):
                raise PveError(
                    f"PVE answered that it was done, and still lists {some_of(left or [subject])}.",
                    "Is somebody else at work on it?",
                )

    def _logs_in(self, subject: str) -> bool:
        """Tell whether the secret of a token works, or for the caller his own credentials."""
        secret = self._readable().get(subject)
        with self.client.clone() if secret is None else self.client.with_token(subject, secret) as other:
            return other.logs_in()


def _core(name: str) -> str:
    """Return what two ids that are mistaken for one another have in common: all but realm and case."""
    user, bang, token = name.partition("!")
    return f"{user.rpartition('@')[0]}{bang}{token}".lower()


# -- what it could do -------------------------------------------------------------------------------------------------


def powers_of(view: View, subjects: Iterable[str]) -> tuple[list[dict[str, Any]] | None, list[str]]:
    """Return what users and tokens can do as things are, with the ACL entries that it comes from, as plain data.

    Where the caller does not see all that decides about it, it is None, with a sentence that says so.
    """
    unseen = view.unseen()
    if unseen:
        return None, [f"What could be done cannot be told: {unseen}."]
    evaluator = Evaluator(view.state)
    explainer = Explainer(view.state, evaluator)
    return [_powers(view, evaluator, explainer, subject) for subject in subjects], []


def _powers(view: View, evaluator: Evaluator, explainer: Explainer, subject: str) -> dict[str, Any]:
    reading = reading_privileges(view.release) | READS_MORE
    alike: dict[tuple[Any, ...], list[str]] = {}
    for path, held in evaluator.effective(subject).items():
        grants = [grant for some in explainer.explain(subject, path).values() for grant in some]
        write = tuple(sorted(name for name in held if name not in reading))
        read = tuple(sorted(name for name in held if name in reading))
        alike.setdefault((write, read, any(held.values()), tuple(sorted({str(g) for g in grants}))), []).append(path)
    rows = [
        {"paths": paths, "below": below, "write": list(write), "read": list(read), "by": list(entries)}
        for (write, read, below, entries), paths in alike.items()
    ]
    usable = user_is_usable(view.state, subject, view.now)
    lines = [line for row in rows for line in _lines(row, privileges(view.release))] or ["could do nothing"]
    if not usable:
        lines.append("could not log in: disabled or expired")
    return {"subject": subject, "usable": usable, "rows": rows, "text": lines}


def _lines(row: Mapping[str, Any], everything: frozenset[str]) -> Iterator[str]:
    places = f"{some_of(row['paths'], MOST_PATHS)}{' and below' if row['below'] else ''}"
    if {*row["write"], *row["read"]} == everything:
        yield f"could do everything on {places} ({'; '.join(row['by'])})"
        return
    for verb in ("write", "read"):
        if row[verb]:
            yield f"could {verb} on {places}: {', '.join(row[verb])} ({'; '.join(row['by'])})"
