"""The simulator's own permission code: rule by rule, against recorded answers, and apart from the client's."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp")

from ansible_collections.homelab.pve.tests import simulator
from ansible_collections.homelab.pve.tests.contract.replay import PERMISSIONS, default_folder
from ansible_collections.homelab.pve.tests.simulator.effective import Effective, Held, split_subject
from ansible_collections.homelab.pve.tests.simulator.userconfig import UserConfig

RELEASE = (9, 2)
JOE, TOKEN = "joe@pve", "joe@pve!ci"


def effective(acl: list[tuple[str, str, str, int]], privsep: int = 1, **pools: list[int]) -> Effective:
    """Return the rights of joe, of the groups a and b, with entries of (who, path, role, propagate)."""

    def kind(who: str) -> str:
        return "group" if who.startswith("@") else "token" if "!" in who else "user"

    config = UserConfig.load(
        {
            "users": [{"userid": JOE, "groups": ["a", "b"]}],
            "tokens": [{"tokenid": TOKEN, "privsep": privsep}],
            "groups": [{"groupid": "a"}, {"groupid": "b"}, {"groupid": "others"}],
            "roles": [{"roleid": "Look", "privs": ["VM.Audit"]}, {"roleid": "Empty"}],
            "pools": [{"poolid": poolid, "vms": vms, "storage": ["disk"]} for poolid, vms in pools.items()],
            "acl": [
                {
                    "path": path,
                    "type": kind(who),
                    "ugid": who.lstrip("@"),
                    "roleid": role,
                    "propagate": flag,
                }
                for who, path, role, flag in acl
            ],
        }
    )
    config.settle(RELEASE)
    return Effective(config, RELEASE)


POOL_USER, LOOK, CLONE = {"Pool.Audit": 1}, {"VM.Audit": 1}, {"VM.Audit": 1, "VM.Clone": 1}


@pytest.mark.parametrize(
    ("acl", "expected"),
    [
        pytest.param([], {}, id="nothing"),
        pytest.param([(JOE, "/", "Look", 1)], LOOK, id="from above"),
        pytest.param([(JOE, "/vms", "Look", 0)], {}, id="not propagated"),
        pytest.param([(JOE, "/vms/100", "Look", 0)], {"VM.Audit": 0}, id="at the path, flag 0"),
        pytest.param([(JOE, "/", "PVETemplateUser", 1), (JOE, "/vms", "PVEPoolUser", 1)], POOL_USER, id="replaced"),
        pytest.param([(JOE, "/", "Look", 1), (JOE, "/vms", "NoAccess", 0)], LOOK, id="flag 0 on the way hides nothing"),
        pytest.param([(JOE, "/", "Look", 1), (JOE, "/vms", "NoAccess", 1)], {}, id="blocked"),
        pytest.param([(JOE, "/", "NoAccess", 1), (JOE, "/vms", "Look", 1)], LOOK, id="brought back"),
        pytest.param([(JOE, "/vms", "NoAccess", 1), (JOE, "/vms", "Look", 1)], {}, id="NoAccess wins at its node"),
        pytest.param([(JOE, "/", "Look", 1), (JOE, "/vms", "Empty", 1)], {}, id="an empty role replaces too"),
        pytest.param([("@a", "/", "Look", 1)], LOOK, id="by a group"),
        pytest.param([("@others", "/", "Look", 1)], {}, id="by a group of others"),
        pytest.param([("@a", "/", "Look", 1), ("@b", "/", "PVETemplateUser", 1)], CLONE, id="groups add up"),
        pytest.param([("@a", "/", "PVEPoolUser", 1), (JOE, "/", "Look", 1)], LOOK, id="the user before his groups"),
        pytest.param([("@a", "/vms", "Look", 1), (JOE, "/vms", "PVEPoolUser", 0)], LOOK, id="unless it does not count"),
        pytest.param([(JOE, "/", "PVEPoolUser", 1), ("@a", "/vms", "Look", 1)], LOOK, id="a deeper group"),
        pytest.param([(TOKEN, "/", "Look", 1)], {}, id="a token's entry is not its user's"),
    ],
)
def test_rules(acl: list[tuple[str, str, str, int]], expected: Held) -> None:
    assert effective(acl).privileges(JOE, "/vms/100") == expected


@pytest.mark.parametrize(
    ("acl", "expected"),
    [
        pytest.param([("@a", "/pool/web", "Look", 1)], {"VM.Audit": 0}, id="never propagated"),
        pytest.param(
            [(JOE, "/", "Look", 1), (JOE, "/pool/web", "PVEPoolUser", 1)], {"Pool.Audit": 0} | LOOK, id="added"
        ),
        pytest.param([(JOE, "/", "NoAccess", 1), (JOE, "/pool", "Look", 1)], {}, id="blocked by the member"),
        pytest.param([(JOE, "/", "Look", 1), (JOE, "/pool", "NoAccess", 1)], {}, id="blocked by the pool"),
    ],
)
def test_pools(acl: list[tuple[str, str, str, int]], expected: Held) -> None:
    rights = effective(acl, web=[100])
    assert rights.privileges(JOE, "/vms/100") == rights.privileges(JOE, "/storage/disk") == expected
    assert rights.privileges(JOE, "/vms/100/") == effective(acl).privileges(JOE, "/vms/100")


def test_a_storage_is_in_any_number_of_pools() -> None:
    rights = effective([(JOE, "/pool/web", "Look", 1), (JOE, "/pool/db", "NoAccess", 0)], web=[100], db=[101])
    assert rights.privileges(JOE, "/vms/100") == {"VM.Audit": 0}
    assert rights.privileges(JOE, "/storage/disk") == {}


def test_tokens() -> None:
    acl = [("@a", "/", "PVETemplateUser", 0), (TOKEN, "/", "Look", 1), (TOKEN, "/", "PVEPoolUser", 1)]
    assert effective(acl).privileges(TOKEN, "/") == {"VM.Audit": 0}
    assert effective(acl, privsep=0).privileges(TOKEN, "/") == {"VM.Audit": 0, "VM.Clone": 0}
    assert effective(acl).privileges("joe@pve!other", "/") == {}


def test_paths_are_taken_as_they_are_spelt() -> None:
    rights = effective([(JOE, "/", "Look", 1), (JOE, "/access", "PVEPoolUser", 1)])
    assert rights.privileges(JOE, "vms") == {}
    assert rights.privileges(JOE, "access") == rights.privileges(JOE, "//access//groups/") == POOL_USER


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("joe@pve", ("joe@pve", None)),
        ("joe@pve!ci", ("joe@pve", "ci")),
        ("joe!x@pve", ("joe!x@pve", None)),
        ("joe!x@pve!ci", ("joe!x@pve", "ci")),
    ],
)
def test_subjects(subject: str, expected: tuple[str, str | None]) -> None:
    assert split_subject(subject) == expected


def test_recorded_answers() -> None:
    """All that PVE's own code answered."""
    file = default_folder() / PERMISSIONS
    if not file.is_file():
        pytest.skip("contract: SKIPPED (no recordings here)")
    wrong = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        case: dict[str, Any] = json.loads(line)
        config = UserConfig.load(case["state"])
        config.settle(RELEASE)
        rights = Effective(config, RELEASE)
        for query in case["queries"]:
            got = rights.privileges(query["subject"], query["path"])
            if got != query["expected"]:
                wrong.append((number, query, got))
    assert not wrong, wrong[:3]


def test_the_server_shares_no_permission_code_with_the_client() -> None:
    """Where a test compares the two, each has to have worked it out for itself."""
    borrowed = []
    for file in Path(simulator.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            for name in names:
                theirs = name.partition("module_utils.access.")[2].partition(".")[0]
                if theirs not in ("", "model", "paths", "releases"):
                    borrowed.append(f"{file.name}: {name}")
    assert not borrowed
