"""Stored secrets, verified: each one logs in, and has exactly the rights that the policy means it to have.

What is meant is worked out as when the policy is applied. What is there, PVE says to the token itself. One request for
each token, besides the look at access that all of them share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from ..access.births import TRIED_AT_ONCE
from ..access.document import Document, TokenSpec
from ..access.explain import Explainer
from ..access.ghosts import purge
from ..access.model import AccessState, Entry, Principal, is_over, owner_of
from ..access.observe import View, observe, pools_matter, rights_from, user_is_usable
from ..access.paths import ancestors
from ..access.permissions import TREE_PATHS, Evaluator, Privileges, entry_paths, sources
from ..access.refusals import POLICY, Target
from ..access.target import make_target
from ..client.errors import AuthenticationError, OptionError, PveError
from ..client.http import Client
from ..client.options import PVESH
from ..secret_file import read_secret
from ..wording import DAY, day, some_of
from .reader import Grant, Tree

# How many tokens the failure of a task names.
MOST_NAMED = 10


@dataclass(frozen=True)
class Difference:
    """What a token holds on a path and should not (``more``), or the other way round (``less``).

    ``flags`` are privileges that it holds as it should, but not below the path, or also there. ``because`` names the
    ACL entries that make the difference, or whatever else does.
    """

    path: str
    more: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    because: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "more": list(self.more),
            "less": list(self.less),
            "flags": list(self.flags),
            "because": list(self.because),
            "text": str(self),
        }

    def __str__(self) -> str:
        said = [
            *([f"holds {', '.join(self.more)} besides"] if self.more else []),
            *([f"lacks {', '.join(self.less)}"] if self.less else []),
            *([f"has another propagate flag for {', '.join(self.flags)}"] if self.flags else []),
        ]
        because = f" ({'; '.join(self.because)})" if self.because else ""
        return f"{' and '.join(said)} on {self.path}{because}"


@dataclass(frozen=True)
class Verdict:
    """What came of one token: ``reasons`` say why it is not as it should be; without any, it is.

    ``expires`` is the end of the token or its user, whichever is earlier, 0 for never or where it is not known.
    """

    tokenid: str
    secret_file: str
    reasons: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    expires: int = 0
    soon: bool = False

    @property
    def good(self) -> bool:
        return not (self.reasons or self.differences)

    def as_data(self) -> dict[str, Any]:
        """Return it as module results show it."""
        found: dict[str, Any] = {"tokenid": self.tokenid, "secret_file": self.secret_file, "expires": self.expires}
        if self.good:
            return {**found, "expires_soon": self.soon}
        differences = [difference.as_data() for difference in self.differences]
        return {**found, "reasons": self.told(), "differences": differences}

    def told(self) -> list[str]:
        """Return everything that is wrong, as sentences."""
        return [*self.reasons, *map(str, self.differences)]


@dataclass(frozen=True)
class Verification:
    """What came of all tokens. ``not_tried`` have no file; ``requests`` is how many requests it took."""

    verdicts: tuple[Verdict, ...]
    not_tried: tuple[str, ...]
    requests: int

    def as_data(self) -> dict[str, Any]:
        """Return the module's result."""
        return {
            "verified": [one.as_data() for one in self.verdicts if one.good],
            "not_verified": [one.as_data() for one in self.verdicts if not one.good],
            "not_tried": list(self.not_tried),
            "requests": self.requests,
        }

    def failure(self) -> str:
        """Say what is wrong with whom, nothing where nothing is."""
        bad = [f"{one.tokenid}: {some_of(one.told(), 3, between='; ')}" for one in self.verdicts if not one.good]
        if not bad:
            return ""
        return f"Not verified, {len(bad)} of {len(self.verdicts)}. {some_of(bad, MOST_NAMED, between=' ')}"


def verify(client: Client, document: Document, now: float, *, expiring_days: int, rights: bool = True) -> Verification:
    """Verify the secrets of all tokens that a policy keeps in files.

    The caller has to see all of access; without ``rights``, he need not, and it is tried only whether they log in.
    Raises OptionError and PveError where nothing can be verified.
    """
    if client.options.transport == PVESH:
        raise OptionError(
            "Over pvesh, root@pam asks whatever the credentials, so no secret can be tried.", "Use transport: https."
        )
    declared = [spec for spec in document.tokens if spec.state == "present"]
    stored = [spec for spec in declared if spec.secret_file]
    if not stored:
        raise OptionError(
            "The policy keeps no secret in a file, so there is nothing to verify.",
            "Give readers or tokens a secret_file.",
        )
    view = _view(client, document, now) if rights else None
    comparison = Comparison(view) if view else None
    target = _target(view, document) if view else None
    look = _Look(client, now, expiring_days, view)
    with ThreadPoolExecutor(TRIED_AT_ONCE) as pool:
        answers = list(pool.map(look.at, stored))
    verdicts = [
        replace(
            verdict,
            differences=tuple(comparison.differences(verdict.tokenid, tree, meant_for(target, verdict.tokenid))),
        )
        if comparison and target and tree is not None
        else verdict
        for verdict, tree, unused in answers
    ]
    return Verification(
        tuple(verdicts),
        tuple(spec.tokenid for spec in declared if not spec.secret_file),
        client.requests_sent + sum(sent for *unused, sent in answers),
    )


def _view(client: Client, document: Document, now: float) -> View:
    view = observe(client, document, now)
    unseen = view.unseen(*(["pools"] if pools_matter(view.state) else []))
    if unseen:
        raise PveError(
            f"{unseen}. So what the policy means cannot be told.",
            "Use a token with PVEAuditor on /, or say rights: false to see only whether the secrets log in.",
        )
    return view


def _target(view: View, document: Document) -> Target:
    """Return what the policy means, as when it is applied to what is there. Raises OptionError."""
    # Where secrets are kept is for those who apply it.
    tokens = tuple(replace(spec, return_secret=True) for spec in document.tokens)
    wanted = replace(document, tokens=tokens, allow_missing=True, allow_narrowing=True)
    if wanted.purge_ghosts:
        view = replace(view, state=purge(view.state, view.complete).after)
    target = make_target(view, wanted, judging=True)
    wrong = [problem for problem in target.problems if problem.cause == POLICY]
    if wrong:
        raise OptionError(f"The policy cannot be meant as it stands: {some_of(map(str, wrong), between=' ')}")
    return target


def meant_for(target: Target, tokenid: str) -> AccessState:
    """Return the state in which a token has just the rights that a policy gives it.

    Applying a policy leaves alone what it does not speak of; but what nobody declared is none of a token's rights. So
    other entries of the token do not count, nor those of its user, as far as the policy gives the rights to both
    halves. Where it leaves a half to others, that is as it is.
    """
    state, asked_for = target.state, target.declared | target.for_owners
    token, owner = Principal("token", tokenid), Principal("user", owner_of(tokenid))
    if not state.tokens[tokenid].privsep:
        # It can do what its user can, so what is declared of him is declared of it.
        its = {*sources(state, owner.name)}
        own = {entry for entry in target.declared if entry.principal in its}
        return state.revoke(frozenset(_entries_of(state, its) - asked_for)) if own else state
    own = {entry for entry in target.declared if entry.principal == token}
    if not own:
        return state
    halves = {token}
    for_owner = {entry._replace(principal=owner): bool(state.propagate(entry)) for entry in own}
    if for_owner.keys() <= asked_for:
        halves |= {*sources(state, tokenid)}
        # Applying it leaves these out where the user has it otherwise.
        state = state.grant({entry: flag for entry, flag in for_owner.items() if entry not in target.declared})
    return state.revoke(frozenset(_entries_of(state, halves) - asked_for))


def _entries_of(state: AccessState, principals: Iterable[Principal]) -> set[Entry]:
    return {
        Entry(path, whose, role)
        for whose in principals
        for path, roles in state.acl.get(whose, {}).items()
        for role in roles
    }


class _Look:
    """Looks at one secret after the other; for several threads."""

    def __init__(self, client: Client, now: float, expiring_days: int, view: View | None) -> None:
        self.client = client
        self.now = now
        self.expiring_days = expiring_days
        self.view = view

    def at(self, spec: TokenSpec) -> tuple[Verdict, Tree | None, int]:
        """Return what can be said of a token, what it holds by PVE's word, and how many requests that took."""
        found = Verdict(spec.tokenid, spec.secret_file or "")
        try:
            secret = read_secret(found.secret_file)
        except OptionError as error:
            return replace(found, reasons=(str(error),)), None, 0
        if self.view is not None:
            found = self._with_end(found, self.view.state)
            why = _why_dead(self.view, spec.tokenid)
            if why:  # PVE would take three seconds to say no
                return replace(found, reasons=(why,)), None, 0
        with self.client.with_token(spec.tokenid, secret) as other:
            try:
                answer = other.get("/access/permissions" if self.view else "/version")
            except AuthenticationError as error:
                return replace(found, reasons=(self._refused(found, error),)), None, other.requests_sent
            return found, rights_from(answer) if self.view else None, other.requests_sent

    def _refused(self, found: Verdict, error: AuthenticationError) -> str:
        if self.view is None:
            return f"PVE refuses the secret in {found.secret_file} ({error.status} {error.text}). {error.hint}"
        return (
            f"PVE refuses the secret in {found.secret_file}, and yet the token is there and may log in: the secret is "
            "another one. With renew: when_lost and verify_secret: always, the policy gets a new one."
        )

    def _with_end(self, found: Verdict, state: AccessState) -> Verdict:
        end = state.end_of(found.tokenid) or 0
        return replace(found, expires=end, soon=0 < end < self.now + self.expiring_days * DAY)


def _why_dead(view: View, tokenid: str) -> str:
    """Return why a token cannot log in, by what is seen of it; nothing where it can."""
    if user_is_usable(view.state, tokenid, view.now):
        return ""
    user, token = view.state.users.get(owner_of(tokenid)), view.state.tokens.get(tokenid)
    if user is None or token is None:
        return f"PVE has no {'user ' + owner_of(tokenid) if user is None else 'such token'}: homelab.pve.site makes it."
    if not user.enable:
        return f"its user {user.userid} is disabled"
    expired, end = (f"its user {user.userid}", user.expire) if is_over(user.expire, view.now) else ("it", token.expire)
    return f"{expired} has expired on {day(end)}"


class Comparison:
    """What tokens hold, as PVE tells it, against what is meant. ``view`` is what explains what they hold."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._why_more = Explainer(view.state)
        # The paths that PVE looks at for every tree: one that is not in it gives nothing.
        self._looked = {*TREE_PATHS, *view.state.acl_paths, *view.state.pools_of}

    def differences(self, tokenid: str, tree: Tree, meant: AccessState) -> Iterator[Difference]:
        """Yield the differences, from the root down. What holds below a path just as on it is told once."""
        expectation = Evaluator(meant)
        why_less = Explainer(meant, expectation)
        paths = {*TREE_PATHS, *tree, *entry_paths(self.view.state, tokenid), *entry_paths(meant, tokenid)}
        paths |= {path for path in meant.pools_of if expectation.privileges(tokenid, path)}
        seen: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        for path in sorted(paths):
            expected, found = expectation.privileges(tokenid, path), self._held(tree, path)
            more, less = tuple(sorted(found.keys() - expected.keys())), tuple(sorted(expected.keys() - found.keys()))
            both = found.keys() & expected.keys()
            flags = tuple(sorted(name for name in both if bool(found[name]) != bool(expected[name])))
            if Grant(path, frozenset()).is_leaf:
                flags = ()  # there is nothing below it
            above = next((at for at in reversed([*ancestors(path)][:-1]) if at in seen), None)
            seen[path] = (more, less)
            if flags or ((more or less) and (above is None or seen[above] != (more, less))):
                because = tuple(dict.fromkeys(self._because(tokenid, path, more, less, why_less)))
                yield Difference(path, more, less, flags, because)

    def _held(self, tree: Tree, path: str) -> Privileges:
        if path in tree or path in self._looked:
            return tree.get(path, {})
        for above in reversed([*ancestors(path)][:-1]):
            if above in tree or above in self._looked:
                return {name: 1 for name, flag in tree.get(above, {}).items() if flag}
        return {}

    def _because(
        self, tokenid: str, path: str, more: Iterable[str], less: Iterable[str], why_less: Explainer
    ) -> Iterator[str]:
        now, then = self.view.state, why_less.state
        was, will = now.tokens.get(tokenid), then.tokens.get(tokenid)
        if was and will and was.privsep != will.privsep:
            yield "it has no privilege separation" if will.privsep else "it has privilege separation, and should not"
            return
        yield from self._entries(self._why_more, tokenid, path, more, then, "{}")
        yield from self._entries(why_less, tokenid, path, less, now, "missing: {}")
        if less:
            # What stands on the path itself hides what comes from above.
            for half in self._why_more.halves(tokenid, path):
                yield from (f"hidden by {grant}" for grant in half if not _has(then, grant.entry))

    def _entries(
        self, why: Explainer, tokenid: str, path: str, names: Iterable[str], other: AccessState, form: str
    ) -> Iterator[str]:
        """Yield what gives privileges on the one side, and is not on the other: entries, or what their roles hold."""
        grants = why.explain(tokenid, path)
        for name in names:
            for grant in grants.get(name, ()):
                role = grant.entry.role
                if not _has(other, grant.entry):
                    yield form.format(grant)
                elif role in other.roles and name not in other.roles[role].privs:
                    yield f"role {role} is not as the policy means it"


def _has(state: AccessState, entry: Entry) -> bool:
    return state.propagate(entry) is not None
