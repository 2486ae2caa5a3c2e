"""Random access states and documents, small enough that everything meets everything."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.homelab.pve.plugins.module_utils.access import releases
from ansible_collections.homelab.pve.plugins.module_utils.access.document import (
    AclSpec,
    Document,
    GroupSpec,
    PoolSpec,
    RoleSpec,
    Scope,
    TokenSpec,
    UserSpec,
)
from ansible_collections.homelab.pve.plugins.module_utils.access.model import (
    AccessState,
    Entry,
    Group,
    Pool,
    Principal,
    Realm,
    Role,
    Token,
    User,
)
from ansible_collections.homelab.pve.plugins.module_utils.access.observe import View
from ansible_collections.homelab.pve.plugins.module_utils.access.permissions import Evaluator
from hypothesis import strategies as st

CALLER = "root@pam!admin"
USERS = ("ann@pve", "bob@pve", "eve@pam")
TOKENS = ("ann@pve!t1", "ann@pve!t2", "bob@pve!t1")
GROUPS = ("g1", "g2")
ROLES = ("r1", "r2", "r3")
GIVEN = (*ROLES, "NoAccess", "PVEAuditor")
PRIVS = ("VM.Audit", "VM.Console", "VM.PowerMgmt", "Sys.Audit")
PATHS = ("/", "/vms", "/vms/100", "/storage/local", "/pool", "/pool/p1")
POOLS = ("p1", "p2")
COMMENTS = ("", "a comment", "müller: 50 % = half; & more")

some = st.sets
privileges = st.frozensets(st.sampled_from(PRIVS), max_size=3)


def principals(names: AccessState) -> list[Principal]:
    """Return everyone in a state whom an ACL entry can name; PVE forgets entries of root@pam."""
    return [
        *(Principal("user", name) for name in sorted(names.users) if name != "root@pam"),
        *(Principal("group", name) for name in sorted(names.groups)),
        *(Principal("token", name) for name in sorted(names.tokens) if name != CALLER),
    ]


@st.composite
def states(draw: st.DrawFn) -> AccessState:
    """Draw a state that PVE 9.2 could be in. The caller is a token of root@pam without privilege separation."""
    builtin = releases.builtin_roles((9, 2))
    roles = {name: Role(name, builtin[name], True) for name in ("Administrator", "NoAccess", "PVEAuditor")}
    for name in draw(some(st.sampled_from(ROLES))):
        roles[name] = Role(name, draw(privileges))
    groups = {name: Group(name, draw(st.sampled_from(COMMENTS))) for name in draw(some(st.sampled_from(GROUPS)))}
    users = {"root@pam": User("root@pam", email="root@example.org")}
    for name in draw(some(st.sampled_from(USERS))):
        member = draw(st.frozensets(st.sampled_from(sorted(groups)))) if groups else frozenset()
        users[name] = User(name, draw(st.booleans()), groups=member, comment=draw(st.sampled_from(COMMENTS)))
    tokens = {CALLER: Token(CALLER, privsep=False)}
    for name in draw(some(st.sampled_from(TOKENS))):
        if name.partition("!")[0] in users:
            tokens[name] = Token(name, draw(st.booleans()))
    state = AccessState(
        users,
        groups,
        roles,
        tokens,
        realms={"pam": Realm("pam", "pam"), "pve": Realm("pve", "pve")},
        pools=draw(pools()),
    )
    for who in principals(state):
        for path in draw(some(st.sampled_from(PATHS), max_size=3)):
            for role in draw(some(st.sampled_from(sorted(set(GIVEN) & set(roles))), max_size=2)):
                state = state.grant({Entry(path, who, role): draw(st.booleans())})
    return state


@st.composite
def pools(draw: st.DrawFn) -> dict[str, Pool]:
    found = {name: Pool(name) for name in draw(some(st.sampled_from(POOLS)))}
    if found:
        for vmid in draw(some(st.sampled_from((100, 102)))):
            name = draw(st.sampled_from(sorted(found)))
            found[name] = replace(found[name], vms=found[name].vms | {vmid})
        for name in draw(some(st.sampled_from(sorted(found)))):
            found[name] = replace(found[name], storage=frozenset({"local"}))
    return found


presence = st.sampled_from(("present", "present", "present", "absent"))
maybe_comment = st.none() | st.sampled_from(COMMENTS)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Draw a document. It may speak of things that are not there: the plan then says so, and is not applied."""
    names = AccessState(
        dict.fromkeys(USERS, User("")), dict.fromkeys(GROUPS, Group("")), {}, dict.fromkeys(TOKENS, Token(""))
    )
    document = Document(
        roles=tuple(
            RoleSpec(n, draw(st.none() | privileges), state=draw(presence)) for n in draw(some(st.sampled_from(ROLES)))
        ),
        groups=tuple(GroupSpec(n, draw(maybe_comment), draw(presence)) for n in draw(some(st.sampled_from(GROUPS)))),
        users=tuple(
            UserSpec(
                name,
                enable=draw(st.none() | st.booleans()),
                groups=draw(st.none() | st.frozensets(st.sampled_from(GROUPS))),
                comment=draw(maybe_comment),
                state=draw(presence),
            )
            for name in draw(some(st.sampled_from(USERS)))
        ),
        tokens=tuple(
            TokenSpec(
                name,
                draw(st.none() | st.booleans()),
                comment=draw(maybe_comment),
                return_secret=True,
                state=draw(presence),
            )
            for name in draw(some(st.sampled_from(TOKENS)))
        ),
        acls=tuple(
            AclSpec(
                (draw(st.sampled_from(PATHS)),),
                tuple(draw(st.lists(st.sampled_from(principals(names)), min_size=1, max_size=3, unique=True))),
                tuple(draw(st.lists(st.sampled_from(GIVEN), min_size=1, max_size=2, unique=True))),
                draw(st.none() | st.booleans()),
                state=draw(presence),
            )
            for unused in range(draw(st.integers(0, 4)))
        ),
        pools=tuple(
            PoolSpec(
                name,
                draw(maybe_comment),
                vms=draw(st.none() | st.frozensets(st.sampled_from((100, 102)))),
                storage=draw(st.none() | st.frozensets(st.just("local"))),
                allow_move=True,
            )
            for name in draw(some(st.sampled_from(POOLS), max_size=1))
        ),
        exclusive=draw(st.sampled_from(((), (), (Scope("acls", ("*",)),), (Scope("tokens", ("*@pve",)),)))),
        allow_narrowing=True,
        allow_missing=True,
    )
    return document


def view_of(state: AccessState, caller: str = CALLER) -> View:
    """Return what a caller who sees everything would observe."""
    return View(
        state,
        (9, 2),
        caller,
        Evaluator(state).tree(caller),
        frozenset({"users", "groups", "roles", "acl", "pools", "guests"}),
        guests=frozenset({100, 102}),
        now=1_800_000_000.0,
    )
