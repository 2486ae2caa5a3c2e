"""What the answers mean: pure judgement, one finding for each thing that is wrong or could not be seen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..access.model import name_of
from ..access.paths import ancestors
from ..access.permissions import TREE_PATHS
from ..endpoints.checks import Check, parse_check
from ..endpoints.everybody import NODE_STATE
from ..wording import some_of
from .objects import GUESTS, Objects, Row
from .questions import LIST, Probes, Question
from .reader import Grant, Reader, Tree, held_in

RED, NOT_PROVED = "red", "not_proved"
_GRANTED, _REFUSED, _PARAMETER, _NO_METHOD = 200, 403, 400, 501
_SHOWN = 5  # names in a finding; the rest is counted

_SEE_PERMISSIONS = "The token holds more than it should; the findings about permissions say what, and where."
# Of these an answer names no rights: the handler of the method was not reached, or failed.
_WHY = {
    401: "PVE no longer accepts the token: it was changed or removed during the proof",
    501: "PVE says that there is no such method; is something else answering?",
    595: "the node is down or cut off",
    596: "the node is down or cut off",
}


@dataclass(frozen=True)
class Answer:
    """What came back: status, ``data`` of a success, else ``text``, what PVE said."""

    status: int
    data: Any = None
    text: str = ""


Answers = Iterable[tuple[Question, Answer]]


@dataclass(frozen=True)
class Finding:
    """``check`` is login, permissions, read, list or write. ``severity``: red is wrong, not_proved is not known."""

    check: str
    severity: str
    subject: str
    expected: str
    found: str
    hint: str = ""

    def as_data(self) -> dict[str, str]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.subject}: {self.found} (expected: {self.expected})"


def _names(found: Iterable[str]) -> str:
    return some_of(dict.fromkeys(found), _SHOWN)


# -- the permission tree -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """What the token can see of access control itself, if anything: enough for better hints and to look deeper.

    ``groups`` are those of its user; ``privsep`` is None where it is not known.
    """

    acl: tuple[Row, ...] = ()
    groups: frozenset[str] = frozenset()
    privsep: bool | None = None

    @classmethod
    def of(cls, reader: Reader, acl: Iterable[Row], users: Iterable[Row]) -> Seen:
        """Read it out of GET /access/acl and GET /access/users (full)."""
        groups: frozenset[str] = frozenset()
        privsep = None
        for user in users:
            if user.get("userid") == reader.userid:
                groups = frozenset(group for group in str(user.get("groups", "")).split(",") if group)
                for token in user.get("tokens") or []:
                    if f"{reader.userid}!{token['tokenid']}" == reader.tokenid:
                        privsep = bool(int(token.get("privsep", 1)))
        return cls(tuple(acl), groups, privsep)

    def entries(self, reader: Reader, path: str) -> str:
        """Name the entries on ``path`` that give the token its rights."""
        mine = {("token", reader.tokenid), ("user", reader.userid), *(("group", group) for group in self.groups)}
        there = [row for row in self.acl if row["path"] == path and (row["type"], row["ugid"]) in mine]
        said = sorted(f"{row['type']} {row['ugid']} has {row['roleid']}" for row in there)
        return f"Entries there: {_names(said)}." if said else ""


def judge_tree(reader: Reader, tree: Tree, seen: Seen) -> Iterator[Finding]:
    """Compare what PVE says that the token holds with what it should hold."""
    for path, held in sorted(tree.items()):
        excess = sorted(set(held) - reader.held(path))
        if excess:
            where = "" if path in reader.paths else f", apart from its own path{_listed(reader.paths)}"
            yield Finding(
                *("permissions", RED, path),
                expected=f"{', '.join(sorted(reader.held(path))) or 'nothing'} on {path}{where}",
                found=f"holds {', '.join(excess)} on {path} as well",
                hint=_why_more(reader, path, held, seen),
            )
    if not tree and reader.privileges:
        expected = "; ".join(f"{', '.join(sorted(reader.held(path)))} on {path}" for path in reader.paths)
        yield Finding("permissions", RED, reader.paths[0], expected, "holds nothing at all")
        return
    for path in reader.paths:
        missing = sorted(missing_on(reader, tree, path))
        if missing:
            expected = f"{', '.join(sorted(reader.held(path)))} on {path}"
            yield Finding("permissions", RED, path, expected, f"lacks {', '.join(missing)} on {path}")
    for path in reader.paths:
        yield from _propagation(reader.at(path), path, tree.get(path, {}))
    yield from _narrowed(reader, tree, seen)


def _listed(paths: Sequence[str]) -> str:
    return f"{'s' if len(paths) > 1 else ''} {', '.join(paths)}"


def missing_on(reader: Reader, tree: Tree, path: str) -> frozenset[str]:
    """Return what the reader should hold on a path, and does not."""
    return reader.held(path) - set(tree.get(path, {}))


def _propagation(grants: Sequence[Grant], path: str, on_path: Mapping[str, int]) -> Iterator[Finding]:
    if grants[0].is_leaf:
        return
    for propagate in (True, False):
        meant = frozenset().union(*(grant.privileges for grant in grants if grant.propagate == propagate))
        wrong = sorted(p for p, flag in on_path.items() if p in meant and bool(flag) != propagate)
        if wrong:
            yield Finding(
                *("permissions", RED, path),
                expected="rights that propagate" if propagate else "rights on this path alone",
                found=f"{', '.join(wrong)} {'do not propagate' if propagate else 'propagate'} below {path}",
                hint="Both halves need the same propagate flag: a right propagates when it does for user and token.",
            )


def _narrowed(reader: Reader, tree: Tree, seen: Seen) -> Iterator[Finding]:
    """Find paths below the reader's own where it holds less."""
    told = frozenset().union(*(missing_on(reader, tree, path) for path in reader.paths))
    below = {*tree, *TREE_PATHS, *(str(row["path"]) for row in seen.acl), *reader.members}
    for path in sorted(below - set(reader.paths)):
        # PVE looks at all of these for the tree, so one that is not in it gives nothing.
        missing = sorted(missing_on(reader, tree, path))
        # What is missing further up already was told there.
        if set(missing) - told:
            blocked = path not in tree
            above = [node for node in ancestors(path) if any(grant.propagate for grant in reader.at(node))]
            yield Finding(
                *("permissions", RED, path),
                expected=f"{', '.join(sorted(reader.held(path)))} on {path}, propagated from "
                f"{above[-1] if above else reader.path}",
                found=f"holds nothing on {path}" if blocked else f"lacks {', '.join(missing)} on {path}",
                hint=f"A deeper ACL entry on {path}{' (perhaps NoAccess)' if blocked else ''} replaces what comes from "
                f"above, for the user or for the token. {seen.entries(reader, path)}".strip(),
            )


def _why_more(reader: Reader, path: str, held: Mapping[str, int], seen: Seen) -> str:
    said = [seen.entries(reader, path)]
    if path.startswith(("/vms/", "/storage/")) and not any(held.values()):
        said.append(f"Rights that do not propagate often come from a pool that {path} is in.")
    if seen.privsep is False:
        said.append(f"The token has no privilege separation, so it has all rights of {reader.userid}.")
    else:
        said.append(
            "A token with privilege separation has this from an ACL entry of its own and one of its user or his "
            f"groups, at {path} or above it; one without has all that its user has."
        )
    said.append(f"Look with `pveum acl list` and `pveum user token list {reader.userid}`.")
    return " ".join(part for part in said if part)


def half_hint(reader: Reader, path: str, missing: Collection[str], of_user: Collection[str] | None) -> str:
    """Say which half of a token's rights is missing. ``of_user`` is what its user holds, None where that is unknown."""
    name = name_of(reader.tokenid)
    if of_user is None:
        return (
            "A token with privilege separation has only what both its user and its own ACL entries give, and this one "
            f"may not look which of them is missing. Compare `pveum user permissions {reader.userid} --path "
            f"{path}` and `pveum user token permissions {reader.userid} {name} --path {path}`."
        )
    lacking = sorted(set(missing) - set(of_user))
    if lacking:
        return (
            f"The half of the user is missing: {reader.userid} himself lacks {', '.join(lacking)} on {path}. "
            "Give him the role there too."
        )
    return (
        f"The half of the token is missing: {reader.userid} holds it on {path}, but the token has no entry of "
        f"its own that gives it: `pveum acl modify {path} --tokens '{reader.tokenid}' --roles ROLE`."
    )


# -- the object at the path ----------------------------------------------------------------------------------------


_SHOWS = {"/vms/": "VM.Audit", "/storage/": "Datastore.Audit", "/pool/": "Pool.Audit"}


def judge_object(reader: Reader, tree: Tree, objects: Objects) -> Iterator[Finding]:
    """Say so where there is nothing at the reader's path to read, if it would see it."""
    privilege = next((shows for prefix, shows in _SHOWS.items() if reader.path.startswith(prefix)), None)
    sees = privilege is None or (privilege in reader.privileges and privilege in held_in(tree, reader.path))
    if objects.problem and sees:
        yield Finding(
            *("read", NOT_PROVED, reader.path),
            expected=f"what {reader.path} stands for can be read",
            found=objects.problem,
            hint="Prove the reader again when it is there.",
        )


# -- reads and lists -----------------------------------------------------------------------------------------------


def judge_reads(answers: Answers) -> Iterator[Finding]:
    """Judge reads that are granted or refused as a whole."""
    for question, answer in answers:
        # A few reads take any parameter, and answer.
        granted = answer.status == _GRANTED or (question.guarded and answer.status == _PARAMETER)
        refused = answer.status == _REFUSED
        if question.expected is granted and (granted or refused):
            continue
        wanted = "may be read" if question.expected else "is refused (403)"
        if granted:
            said = f"may be read, which takes {question.check}"
            yield Finding("read", RED, str(question), wanted, said, _SEE_PERMISSIONS)
        elif refused:
            said = f"PVE answered 403 {answer.text}".strip()
            yield Finding("read", RED, str(question), wanted, said, f"It takes {question.check}.")
        else:
            yield _unknown("read", question, answer, wanted)


def _unknown(check: str, question: Question, answer: Answer, wanted: str) -> Finding:
    said = f"PVE answered {answer.status} {answer.text}".strip()
    hint = _WHY.get(answer.status, "the call failed for a reason that has nothing to do with rights")
    return Finding(check, NOT_PROVED, str(question), wanted, said, f"Not known: {hint}.")


def judge_lists(reader: Reader, answers: Answers) -> Iterator[Finding]:
    """Judge each row of the lists that everybody may ask for."""
    for question, answer in answers:
        if answer.status == _NO_METHOD:
            continue  # A release without this list shows nothing in it.
        wanted = "no row beyond its path, apart from what everybody sees"
        if answer.status != _GRANTED or not isinstance(answer.data, list):
            yield _unknown("list", question, answer, wanted)
            continue
        beyond: dict[str, list[str]] = {}
        for row in answer.data:
            name, check = _row(question.path, row, reader)
            if check is not None and not check.satisfied(reader.held):
                beyond.setdefault(str(check), []).append(name)
        for takes, seen in sorted(beyond.items()):
            said = f"sees {_names(seen)}, which takes {takes}"
            yield Finding("list", RED, str(question), wanted, said, _SEE_PERMISSIONS)


def _row(path: str, row: Row, reader: Reader) -> tuple[str, Check | None]:
    """Return what a row of a list is about, and the check that PVE makes for it; None where everybody sees it."""
    last = path.rpartition("/")[2]
    if last in ("tasks", "log"):
        user = f"{row.get('user')}!{row['tokenid']}" if row.get("tokenid") else str(row.get("user"))
        name = str(row.get("upid") or f"an entry of {user}")
        if user in (reader.tokenid, reader.userid):
            return name, None
        where = f"/nodes/{path.split('/')[2]}" if path.startswith("/nodes/") else "/"
        return name, _need(where, "Sys.Syslog" if last == "log" else "Sys.Audit")
    if last == "users":
        groups = [group for group in str(row.get("groups", "")).split(",") if group]
        paths = ["/access/groups", *(f"/access/groups/{group}" for group in groups)]
        return f"user {row['userid']}", _any(paths, "Sys.Audit|User.Modify")
    if last == "groups":
        where = f"/access/groups/{row['groupid']}"
        return f"group {row['groupid']}", _need(where, "Sys.Audit|User.Modify|Group.Allocate")
    if last == "acl":
        where = str(row["path"])
        modify = parse_check(f"modify {where}", (9, 2)).for_path({})
        return f"entry on {where}", Check((*_need("/access", "Sys.Audit").alternatives, *modify.alternatives))
    if last == "pools":
        return f"pool {row['poolid']}", _need(f"/pool/{row['poolid']}", "Pool.Audit|Pool.Allocate")
    if last == "storage":
        return _storage(row, "Datastore.Audit|Datastore.AllocateSpace")
    if last == "resources":
        return resource(row)
    if last == "nodes":
        return _node(row)
    return _guest(row)


def resource(row: Row) -> tuple[str, Check | None]:
    """Return the same for a row of /cluster/resources."""
    kind = row.get("type")
    if kind in GUESTS:
        return _guest(row)
    if kind == "node":
        return _node(row)
    if kind == "storage":
        return _storage(row, "Datastore.Audit")
    if kind == "pool":
        return f"pool {row['pool']}", _need(f"/pool/{row['pool']}", "Pool.Audit")
    if kind == "network" and row.get("network-type") == "fabric":
        where = f"/sdn/fabrics/{row['network']}"
    else:
        where = f"/sdn/zones/{row.get('network') or row.get('sdn')}"
    return f"{kind} {row['id']}", _need(where, "SDN.Audit|SDN.Use|SDN.Allocate")


def _guest(row: Row) -> tuple[str, Check]:
    return f"guest {row['vmid']}", _need(f"/vms/{row['vmid']}", "VM.Audit")


def _storage(row: Row, privileges: str) -> tuple[str, Check]:
    return f"storage {row['storage']}", _need(f"/storage/{row['storage']}", privileges)


def _node(row: Row) -> tuple[str, Check | None]:
    if not NODE_STATE & set(row):
        return f"node {row['node']}", None
    return f"state of node {row['node']}", _need(f"/nodes/{row['node']}", "Sys.Audit")


def _need(path: str, privileges: str) -> Check:
    return _any([path], privileges)


def _any(paths: Iterable[str], privileges: str) -> Check:
    return Check(tuple(((path, privilege),) for path in paths for privilege in privileges.split("|")))


# -- writes --------------------------------------------------------------------------------------------------------


@dataclass
class Counts:
    """How many questions there were of each kind, and how the writes came out.

    ``refused``, ``let_through`` and ``unknown`` are the probes by PVE's answer; ``absent`` are calls that this release
    does not have; ``allowed`` were left out because the expected privileges cover them; ``untried`` see ``Probes``.
    """

    reads: int = 0
    lists: int = 0
    writes: int = 0
    refused: int = 0
    let_through: int = 0
    unknown: int = 0
    absent: int = 0
    allowed: int = 0
    untried: int = 0


def judge_writes(probes: Probes, answers: Answers, complete: bool, counts: Counts) -> Iterator[Finding]:
    """Judge the probes, and count them. ``complete``: the table of calls is that of this very release."""
    counts.allowed, counts.untried = len(probes.allowed), len(probes.untried)
    open_to: dict[str, list[str]] = {}
    unknown: dict[tuple[int, str], list[Question]] = {}
    wanted = "every write is refused (403)"
    for question, answer in answers:
        counts.writes += 1
        if answer.status == _REFUSED:
            counts.refused += 1
        elif answer.status in (_GRANTED, _PARAMETER):
            counts.let_through += 1
            open_to.setdefault(str(question.check), []).append(str(question))
        elif answer.status == _NO_METHOD and not complete:
            counts.absent += 1  # PVE looks for the method before it looks at anybody's rights.
        else:
            counts.unknown += 1
            unknown.setdefault((answer.status, answer.text), []).append(question)
    for check, calls in sorted(open_to.items()):
        said = f"PVE lets the token through: {check} is enough"
        yield Finding("write", RED, _names(calls), wanted, said, _SEE_PERMISSIONS)
    risky: dict[str, list[str]] = {}
    for question in probes.untried:
        risky.setdefault(str(question.check), []).append(str(question))
    for check, calls in sorted(risky.items()):
        said = f"the token's own permissions suffice: {check} (not tried: this release is not known well enough)"
        yield Finding("write", RED, _names(calls), wanted, said, _SEE_PERMISSIONS)
    for (status, text), questions in sorted(unknown.items()):
        finding = _unknown("write", questions[0], Answer(status, None, text), wanted)
        yield Finding(finding.check, NOT_PROVED, _names(map(str, questions)), wanted, finding.found, finding.hint)


def of_kind(answers: Answers, kind: str) -> list[tuple[Question, Answer]]:
    """Return the questions of one kind with their answers."""
    return [(question, answer) for question, answer in answers if question.kind == kind]


def rows_of(answers: Answers, path: str) -> list[Row]:
    """Return the rows of one list, none where it was not answered."""
    for question, answer in answers:
        if question.kind == LIST and question.path == path and isinstance(answer.data, list):
            return answer.data
    return []
