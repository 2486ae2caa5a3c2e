"""The modules about people and their secrets that only read: their documentation is true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.pve.plugins.modules import pve_card, pve_verification
from ansible_collections.homelab.pve.tests.integration.modules.world import SECRET, Json, Module, succeeded
from ansible_collections.homelab.pve.tests.simulator import Simulator

MODULES = {"pve_card": pve_card, "pve_verification": pve_verification}
CONNECTION = ("host", "ca_path", "token_id", "token_file")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run_and_return_what_is_documented(
    name: str, world: Simulator, run: Module, ansible: Any, tmp_path: Path
) -> None:
    before = world.export()
    keys: set[str] = set()
    for task in yaml.safe_load(MODULES[name].EXAMPLES):
        own = {key: value for key, value in task[f"homelab.pve.{name}"].items() if key not in CONNECTION}
        if "dest" in own:
            own["dest"] = str(tmp_path / "cards")
        if name == "pve_verification":
            # The token that is there, as the example's own would be.
            rights = {"role": "PVEAuditor", "path": "/vms/100", "secret_file": f"{ansible.home}/.ci"}
            own["pve_access"] = {"readers": [{"token": "ann@pve!ci", **rights}]}
        result: Json = succeeded(run(name, own))
        assert SECRET not in str(result)
        keys |= result.keys() - {"changed", "diff", "invocation"}
    documented = yaml.safe_load(MODULES[name].RETURN)
    assert keys == documented.keys()
    for key in ("cards", "verified"):
        for row in result.get(key, ()):
            assert row.keys() == documented[key]["contains"].keys()
    assert world.export() == before
    assert {request["method"] for request in world.requests()} == {"GET"}
