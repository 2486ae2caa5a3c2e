"""Which lists a caller sees in full, by his own permissions."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.access.model import AccessState, Entry, Principal, User
from ansible_collections.homelab.pve.plugins.module_utils.access.observe import complete_lists, pools_matter

AUDITOR = {
    path: {"VM.Audit": 1, "Sys.Audit": 1, "Pool.Audit": 1}
    for path in ("/", "/vms", "/pool", "/access", "/access/groups")
}
EVERYTHING = frozenset({"acl", "groups", "guests", "pools", "roles", "users"})


def test_an_auditor_sees_everything() -> None:
    assert complete_lists(AUDITOR, (9, 2), (), ["/vms"]) == EVERYTHING


@pytest.mark.parametrize(
    ("tree", "path", "hidden"),
    [
        ({**AUDITOR, "/vms/105": {"VM.Console": 1}}, "/vms/105", "guests"),
        (AUDITOR, "/vms/105", "guests"),
        (AUDITOR, "/pool/lab", "pools"),
        (AUDITOR, "/access/groups/ops", "groups"),
    ],
    ids=["something else is held there", "nothing is held there", "a pool", "a group"],
)
def test_what_a_deeper_entry_hides(tree: dict[str, dict[str, int]], path: str, hidden: str) -> None:
    assert complete_lists(tree, (9, 2), (), ["/", path]) == EVERYTHING - {hidden}


def test_guests_of_a_node_that_is_down_may_be_anywhere() -> None:
    assert complete_lists(AUDITOR, (9, 2), ("ugreen-2",)) == EVERYTHING - {"guests"}


def test_what_does_not_reach_down_shows_nothing_below() -> None:
    tree = {**AUDITOR, "/vms": {"VM.Audit": 0}}
    assert complete_lists(tree, (9, 2), ()) == EVERYTHING - {"guests"}


@pytest.mark.parametrize(
    ("entries", "matter"),
    [
        ([("joe@pve", "/"), ("joe@pve", "/nodes")], False),
        ([("joe@pve", "/"), ("eve@pve", "/vms")], False),
        ([("joe@pve", "/"), ("joe@pve", "/vms/100")], True),
        ([("joe@pve", "/"), ("joe@pve", "/storage")], True),
        ([("eve@pve", "/pool/lab")], True),
        ([("gone@pve", "/"), ("gone@pve", "/vms")], False),
    ],
)
def test_pools_matter_where_they_bring_something_back(entries: list[tuple[str, str]], matter: bool) -> None:
    state = AccessState(users={name: User(name) for name in ("joe@pve", "eve@pve")})
    assert (
        pools_matter(state.grant({Entry(path, Principal("user", who), "look"): True for who, path in entries}))
        is matter
    )
