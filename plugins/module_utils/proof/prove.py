"""The proof of one reader, with the reader's own credentials: ask, then judge. It changes nothing on the server."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..access.model import is_token
from ..access.paths import is_valid, meant, normalise
from ..access.releases import NEWEST, Release, builtin_roles, privileges
from ..client.errors import ApiError, AuthenticationError, OptionError
from ..client.http import Client, ReadOnly
from ..endpoints.checks import Check
from ..endpoints.writes import MEASURED
from ..least.applications import calls_of, rights_of
from .judge import (
    RED,
    Answer,
    Counts,
    Finding,
    Seen,
    half_hint,
    judge_lists,
    judge_object,
    judge_reads,
    judge_tree,
    judge_writes,
    missing_on,
    of_kind,
    rows_of,
)
from .objects import Objects, Row, find_objects
from .questions import GUARD, LIST, READ, WRITE, Question, plan_endpoints, plan_lists, plan_probes, plan_reads
from .reader import Grant, Reader, Tree

IN_FLIGHT = 8
LOGS = "Sys.Syslog"
_AUDIT = "Sys.Audit"


@dataclass(frozen=True)
class Claim:
    """What the policy says of a reader: ``role`` or ``privileges``, and ``logs`` for Sys.Syslog on top, on ``path``.

    Or else the least rights of an ``application``, on whatever paths these are.
    """

    path: str | None = None
    role: str | None = None
    privileges: frozenset[str] | None = None
    propagate: bool = True
    logs: bool = False
    application: str | None = None

    @property
    def about(self) -> str:
        """Where the rights are, or what for."""
        return f"for {self.application}" if self.application else f"on {self.path}"


@dataclass(frozen=True)
class Proof:
    """The outcome. ``requests`` counts every request that was sent for it."""

    tokenid: str
    claim: Claim
    grants: tuple[Grant, ...]
    findings: tuple[Finding, ...]
    counts: Counts
    requests: int

    @property
    def path(self) -> str | None:
        """The one path that it is about, in its normal form."""
        return None if self.claim.application else self.grants[0].path

    @property
    def privileges(self) -> tuple[str, ...]:
        return tuple(sorted(frozenset().union(*(grant.privileges for grant in self.grants))))

    @property
    def proved(self) -> bool:
        return not self.findings

    def as_data(self) -> dict[str, Any]:
        """Return the module's result."""
        return {
            "proved": self.proved,
            "tokenid": self.tokenid,
            "application": self.claim.application,
            "path": self.path,
            "privileges": list(self.privileges),
            "grants": [
                {"path": grant.path, "privileges": sorted(grant.privileges), "propagate": grant.propagate}
                for grant in self.grants
            ],
            "findings": [finding.as_data() for finding in self.findings],
            "counts": asdict(self.counts),
            "requests": self.requests,
        }

    def summary(self) -> str:
        """Say in one line what is wrong, or that nothing is."""
        about = f"on {self.path}" if self.path else self.claim.about
        if self.proved:
            return f"{self.tokenid} is proved {about}."
        red = sum(finding.severity == RED for finding in self.findings)
        first = self.findings[0]
        counted = f"{red} wrong, {len(self.findings) - red} not known"
        return f"{self.tokenid} is not proved {about} ({counted}). First, {first}. {first.hint}".strip()


def prove(client: Client, claim: Claim) -> Proof:
    """Prove the token that ``client`` has. Raises OptionError for a claim that makes no sense, TransportError."""
    if not is_token(client.identity):
        raise OptionError(
            f"The credentials are those of the user {client.identity}, not of an API token.",
            "Give token_id and token_file of the reader.",
        )
    reader = client.read_only()
    try:
        release = client.release
    except AuthenticationError as error:
        return _no_login(client, claim, error)
    claimed = _reader(reader, claim, release)
    # With and without the path: only the first form names all paths, only the second one is sure to look at this one.
    tree: dict[str, dict[str, int]] = dict(reader.get("/access/permissions") or {})
    for path in claimed.paths:
        on_path = (reader.get("/access/permissions", {"path": path}) or {}).get(path, {})
        if on_path:
            tree[path] = on_path
    resources: list[Row] = reader.get("/cluster/resources")
    claimed = replace(claimed, members=_members(reader, claimed, release, resources))
    objects = find_objects(claimed, resources)
    return _Run(client, claim, claimed, release, tree, resources, objects).prove()


def _no_login(client: Client, claim: Claim, error: AuthenticationError) -> Proof:
    said = f"PVE answered {error.status} {error.text}".strip()
    finding = Finding("login", RED, client.identity, "the stored secret logs in", said, error.hint)
    grants = (Grant(claim.path, claim.privileges or frozenset(), claim.propagate),) if claim.path else ()
    return Proof(client.identity, claim, grants, (finding,), Counts(), client.requests_sent)


def _reader(reader: ReadOnly, claim: Claim, release: Release) -> Reader:
    if claim.application:
        if claim.path or claim.role or claim.privileges is not None or claim.logs:
            raise OptionError(
                "application: its rights are worked out, so path, role, privileges and logs have no place beside it."
            )
        entries = rights_of(claim.application, release).entries
        grants = tuple(Grant(entry.path, entry.privileges, entry.propagate) for entry in entries)
        return Reader(reader.identity, grants, application=claim.application)
    if claim.path is None:
        raise OptionError("path: missing.", "Say on which path the token has its rights, or for which application.")
    path = normalise(claim.path)
    if path is None or not is_valid(path, release):
        guess = meant(path, release) if path else None
        hint = f"Did you mean {guess}?" if guess else "Paths look like /, /vms/100, /nodes/NAME, /storage/NAME."
        raise OptionError(f"{claim.path!r} is no ACL path of PVE {release[0]}.{release[1]}.", hint)
    held = claim.privileges if claim.role is None else _privileges_of(reader, claim.role, release)
    wanted = frozenset(held or ()) | ({LOGS} if claim.logs else frozenset())
    unknown = sorted(wanted - privileges(release)) if release <= NEWEST else []
    if unknown:
        raise OptionError(
            f"PVE {release[0]}.{release[1]} does not know {', '.join(unknown)}.", "Give privileges of this release."
        )
    return Reader(reader.identity, (Grant(path, wanted, claim.propagate),))


def _privileges_of(reader: ReadOnly, role: str, release: Release) -> Collection[str]:
    """Return what a role gives. Built-in ones are known; of a newer release PVE knows better, and tells everybody."""
    known = builtin_roles(release)
    if role in known and release <= NEWEST:
        return known[role]
    try:
        return [privilege for privilege, held in reader.get(f"/access/roles/{role}").items() if held]
    except ApiError as error:
        raise OptionError(f"The role {role} could not be read: {error.text}", "Check its name.") from None


def _members(
    reader: ReadOnly, claimed: Reader, release: Release, resources: Iterable[Row]
) -> dict[str, frozenset[str]]:
    """Return the paths of what is in the reader's pools, with what it holds there. PVE tells members to everybody
    since 8.1.
    """
    prefix = "/pool/"
    own = [path for path in claimed.paths if path.startswith("/pool")]
    if not own:
        return {}
    pools = {f"{prefix}{row['pool']}" for row in resources if row.get("type") == "pool"} | set(own)
    found: dict[str, frozenset[str]] = {}
    for path in sorted(path for path in pools if path.startswith(prefix) and claimed.held(path)):
        pool = path[len(prefix) :]
        try:
            if release >= (8, 1):
                rows = [row for one in reader.get("/pools", {"poolid": pool}) for row in one["members"]]
            else:
                rows = reader.get(f"/pools/{pool}")["members"]
        except ApiError:
            continue  # There is no such pool, or it may not be seen: the reads find out both.
        for row in rows:
            member = f"/storage/{row['storage']}" if row["type"] == "storage" else f"/vms/{row['vmid']}"
            found[member] = found.get(member, frozenset()) | claimed.held(path)
    return found


@dataclass
class _Run:
    """One proof on its way, once it is known what the token holds and what there is."""

    client: Client
    claim: Claim
    reader: Reader
    release: Release
    tree: Tree
    resources: list[Row]
    objects: Objects

    def prove(self) -> Proof:
        reads = plan_reads(self.reader, self.objects, self.release)
        lists = plan_lists(self.objects)
        reads += self._of_application([*reads, *lists])
        probes = plan_probes(self.reader, self.objects, self.tree, self.release)
        with _Pool(self.client) as pool:
            answers = pool.ask([*reads, *lists, *probes.ask])
        sent = pool.requests_sent
        shown = Question(LIST, "GET", "/cluster/resources", Check(()))
        in_lists = [(shown, Answer(200, self.resources)), *of_kind(answers, LIST)]
        seen = Seen.of(self.reader, rows_of(answers, "/access/acl"), rows_of(answers, "/access/users"))
        counts = Counts(reads=len(reads), lists=len(in_lists))
        findings = [
            *judge_tree(self.reader, self.tree, seen),
            *judge_object(self.reader, self.tree, self.objects),
            *judge_reads(of_kind(answers, READ)),
            *judge_lists(self.reader, in_lists),
            *judge_writes(probes, of_kind(answers, WRITE), self.release == MEASURED, counts),
        ]
        findings = self._with_halves(findings)
        return Proof(
            self.reader.tokenid,
            self.claim,
            self.reader.grants,
            tuple(findings),
            counts,
            self.client.requests_sent + sent,
        )

    def _of_application(self, asked: Iterable[Question]) -> list[Question]:
        if self.reader.application is None:
            return []
        endpoints = calls_of(self.reader.application, min(self.release, NEWEST)).endpoints.values()
        return plan_endpoints(self.reader, endpoints, self.objects, self.release, asked)

    def _with_halves(self, findings: Iterable[Finding]) -> list[Finding]:
        """Complete findings about missing rights by which half is missing, where the token may know."""
        return [
            replace(finding, hint=self._half(finding.subject))
            if (finding.check, finding.hint) == ("permissions", "")
            else finding
            for finding in findings
        ]

    def _half(self, path: str) -> str:
        of_user: Collection[str] | None = None
        if _AUDIT in self.tree.get("/access", {}):
            asked = {"userid": self.reader.userid, "path": path}
            of_user = (self.client.get("/access/permissions", asked) or {}).get(path, {})
        return half_hint(self.reader, path, missing_on(self.reader, self.tree, path), of_user)


class _Pool:
    """Asks many questions, at most ``IN_FLIGHT`` at a time, each thread with a client of its own.

    Every probe goes through ``_answer``, which is the one place that adds the parameter that makes it fail.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._own = threading.local()
        self._clones: list[Client] = []
        self._lock = threading.Lock()

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_exception: object) -> None:
        for clone in self._clones:
            clone.close()

    @property
    def requests_sent(self) -> int:
        return sum(clone.requests_sent for clone in self._clones)

    def ask(self, questions: list[Question]) -> list[tuple[Question, Answer]]:
        """Return the answers in the order of the questions. Raises TransportError."""
        executor = ThreadPoolExecutor(max_workers=IN_FLIGHT)
        try:
            return list(zip(questions, executor.map(self._answer, questions)))
        finally:
            executor.shutdown(cancel_futures=True)

    def _answer(self, question: Question) -> Answer:
        client = self._clone()
        params = {**question.params, **(GUARD if question.guarded else {})}
        try:
            if question.method == "GET":
                return Answer(200, client.get(question.path, params))
            if not question.guarded:
                raise AssertionError(f"{question} would not be a probe")
            return Answer(200, client.send(question.method, question.path, params))
        except ApiError as error:
            return Answer(error.status, None, " ".join(error.text.split()))

    def _clone(self) -> Client:
        if not hasattr(self._own, "client"):
            clone = self._client.clone()
            with self._lock:
                self._clones.append(clone)
            self._own.client = clone
        client: Client = self._own.client
        return client
