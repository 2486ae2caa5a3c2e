"""What docs/modules.md says of requests, counted by the server, on a new cluster and with little to do."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from ansible_collections.homelab.pve.tests.integration.modules.world import Json, succeeded
from ansible_collections.homelab.pve.tests.simulator import Simulator
from ansible_collections.homelab.pve.tests.simulator.state import ADMIN, ADMIN_PASSWORD

LOGIN = {"user": ADMIN, "password": ADMIN_PASSWORD, "token_id": None, "token_secret": None}


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("pve_user", {"userid": ADMIN}, {"GET": 6}),
        ("pve_user", {"userid": "new@pve"}, {"GET": 7, "POST": 1}),
        ("pve_user", {"userid": ADMIN, **LOGIN}, {"GET": 6, "POST": 1}),
        (
            "pve_user",
            {"userid": ADMIN, "user_password": ADMIN_PASSWORD, "update_password": "always", **LOGIN},
            {"GET": 7, "POST": 2},
        ),
        ("pve_group", {"groupid": "new"}, {"GET": 6, "POST": 1}),
        ("pve_role", {"roleid": "new", "privs": ["VM.Audit"]}, {"GET": 6, "POST": 1}),
        ("pve_token", {"tokenid": f"{ADMIN}!new", "secret_file": "~/.new"}, {"GET": 7, "POST": 1}),
        ("pve_acl", {"path": "/access", "role": "Administrator", "users": ADMIN}, {"GET": 6, "PUT": 1}),
        # He has an entry on /, which reaches guests by their pools whatever stands on /vms.
        ("pve_acl", {"path": "/vms", "role": "Administrator", "users": ADMIN}, {"GET": 7, "PUT": 1}),
        ("pve_acl", {"path": "/vms/100", "role": "Administrator", "users": ADMIN}, {"GET": 7, "PUT": 1}),
        ("pve_pool", {"poolid": "new"}, {"GET": 7, "POST": 1}),
        ("pve_pool", {"poolid": "new", "vms": [100]}, {"GET": 8, "POST": 1, "PUT": 1}),
        ("pve_fw_alias", {"name": "new", "cidr": "::1"}, {"GET": 2, "POST": 1}),
        ("pve_fw_ipset", {"name": "new", "entries": [{"cidr": "::1"}]}, {"GET": 2, "POST": 2}),
        ("pve_fw_options", {"policy_in": "REJECT"}, {"GET": 1, "PUT": 1}),
        ("pve_fw_options", {"scope": "guest", "vmid": 100, "enable": True}, {"GET": 2, "PUT": 1}),
        ("pve_fw_options", {"scope": "node", "node": "ugreen", "ndp": True}, {"GET": 3, "PUT": 1}),
        ("pve_fw_group", {"name": "new", "rules": [{"type": "in", "action": "DROP"}]}, {"GET": 2, "POST": 2, "PUT": 1}),
        # The host itself, which these come from, gets in whatever the rules say.
        ("pve_fw_rule", {"type": "in", "action": "ACCEPT"}, {"GET": 1, "POST": 1}),
        (
            "pve_fw_rule",
            {"type": "in", "action": "DROP", "management_source": "192.168.40.82"},
            {"GET": 2, "POST": 1, "PUT": 1},
        ),
        ("pve_fw_rule", {"scope": "guest", "vmid": 100, "type": "in", "action": "ACCEPT"}, {"GET": 2, "POST": 1}),
        ("pve_firewall", {}, {}),
        # The firewall is on in the end.
        (
            "pve_firewall",
            {"cluster": {"options": {"enable": True}}, "management_source": "192.168.40.82"},
            {"GET": 1 + 7, "PUT": 1},
        ),
    ],
)
def test_requests_of_a_task(
    name: str, options: Json, expected: dict[str, int], simulator: Simulator, ansible: Any, connected: Json
) -> None:
    succeeded(ansible.module(name, {**connected, **options}))
    assert Counter(request["method"] for request in simulator.requests()) == expected


def test_a_secret_that_is_verified_takes_one_more(simulator: Simulator, ansible: Any, connected: Json) -> None:
    options = {**connected, "tokenid": f"{ADMIN}!new", "secret_file": "~/.new"}
    succeeded(ansible.module("pve_token", options))
    simulator.clear_requests()
    succeeded(ansible.module("pve_token", {**options, "verify_secret": "always"}))
    assert Counter(request["method"] for request in simulator.requests()) == {"GET": 7}
