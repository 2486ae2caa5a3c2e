"""Readers for an application: what the document says, and what becomes of it in each release."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.access.document import Document, parse_document
from ansible_collections.homelab.pve.plugins.module_utils.access.releases import NEWEST, Release, privileges
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError
from ansible_collections.homelab.pve.plugins.module_utils.least.applications import APPLICATIONS, rights_of

READER = {"token": "labby@pve!phone", "application": "labby", "secret_file": "labby"}


def document(*readers: dict[str, Any], **more: Any) -> Document:
    return parse_document({"readers": [{**READER, **reader} for reader in readers or [{}]], **more})


def given(found: Document, tokenid: str) -> set[tuple[str, frozenset[str], bool | None]]:
    """Return what a document gives to a token and its user: (path, privileges, propagate)."""
    roles = {role.roleid: role.privs for role in found.roles}
    mine = [acl for acl in found.acls if [who.name for who in acl.principals] == [tokenid]]
    assert all(acl.grant_user for acl in mine)
    return {
        (path, roles[role] or frozenset(), acl.propagate) for acl in mine for path in acl.paths for role in acl.roles
    }


@pytest.mark.parametrize("release", [(6, 2), (7, 4), (8, 0), (8, 4), (9, 2), (10, 0)])
@pytest.mark.parametrize("name", [one.name for one in APPLICATIONS])
def test_a_reader_gets_the_rights_of_its_application(name: str, release: Release) -> None:
    found = document({"application": name})
    assert found.acls == ()
    resolved = found.for_release(release)
    entries = rights_of(name, release).entries
    assert given(resolved, READER["token"]) == {(one.path, one.privileges, one.propagate) for one in entries}
    known = privileges(min(release, NEWEST))
    assert all(role.privs is not None and role.privs <= known for role in resolved.roles)
    assert resolved.for_release(release) == resolved


def test_two_readers_of_one_application_share_its_roles() -> None:
    found = document({}, {"token": "labby@pve!tablet", "secret_file": "tablet"}).for_release(NEWEST)
    assert len({role.roleid for role in found.roles}) == len(found.roles)
    assert given(found, "labby@pve!phone") == given(found, "labby@pve!tablet") != set()


def test_a_role_of_an_application_may_be_declared_as_what_it_is() -> None:
    role = {"roleid": "app-labby-vms", "privs": ["VM.Audit"]}
    besides = document(roles=[role]).for_release(NEWEST)
    assert set(besides.roles) == set(document().for_release(NEWEST).roles)
    assert len(besides.roles) == len(set(besides.roles))
    with pytest.raises(OptionError, match="role of the application labby"):
        document(roles=[{**role, "privs": ["VM.Audit", "VM.Console"]}]).for_release(NEWEST)


@pytest.mark.parametrize(
    ("reader", "says"),
    [
        ({"role": "PVEAuditor"}, "no place for role"),
        ({"role": "PVEAuditor", "path": "/"}, "no place for role and path"),
        ({"propagate": False}, "no place for propagate"),
        ({"logs": True}, "no place for logs"),
        ({"application": "Laby"}, "Did you mean labby"),
        ({"application": None}, "role and path missing"),
        ({"application": None, "role": "PVEAuditor"}, "path missing"),
    ],
)
def test_a_reader_has_a_role_on_a_path_or_an_application(reader: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError, match=says) as refused:
        document({}, {"token": "other@pve!token", "secret_file": "other", **reader})
    assert str(refused.value).startswith("readers, entry 2: ")
