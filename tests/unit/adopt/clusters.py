"""Clusters to adopt: simulated ones, asked without a network in between, and random things to put into them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from ansible_collections.homelab.pve.plugins.module_utils.access import spec as access_spec
from ansible_collections.homelab.pve.plugins.module_utils.access.document import parse_document
from ansible_collections.homelab.pve.plugins.module_utils.access.model import AccessState
from ansible_collections.homelab.pve.plugins.module_utils.access.observe import observe
from ansible_collections.homelab.pve.plugins.module_utils.access.plan import plan_access
from ansible_collections.homelab.pve.plugins.module_utils.adopt.adopt import Adopted, adopt
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import BY_STATUS, ApiError
from ansible_collections.homelab.pve.plugins.module_utils.documents import checked, whole_firewall
from ansible_collections.homelab.pve.plugins.module_utils.facts.ask import Ask
from ansible_collections.homelab.pve.plugins.module_utils.firewall import spec as firewall_spec
from ansible_collections.homelab.pve.plugins.module_utils.firewall.model import Ruleset
from ansible_collections.homelab.pve.plugins.module_utils.firewall.observe import View
from ansible_collections.homelab.pve.plugins.module_utils.firewall.plan import plan_firewall
from ansible_collections.homelab.pve.plugins.module_utils.policy.observe import survey
from ansible_collections.homelab.pve.plugins.module_utils.reconcile import Change
from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN
from ansible_collections.homelab.pve.tests.simulator.api import Api, Request
from ansible_collections.homelab.pve.tests.simulator.state import Size, State

NOW = 1_800_000_000.0
Json = dict[str, Any]


class Pve:
    """A cluster, as a source of answers. It takes no writes."""

    local_address = "192.168.40.82"
    requests = 0

    def __init__(
        self, state: Mapping[str, Any], release: tuple[int, int] = (9, 2), token: tuple[str, str] | None = None
    ) -> None:
        self.release = release
        self.state = State(release, Size())
        self.state.load(state)
        self.identity, self.secret = token or (ROOT_TOKEN, ROOT_SECRET)
        self.api = Api(self.state)

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        target = f"/api2/json{path}" + (f"?{urlencode(params)}" if params else "")
        headers = {"Authorization": f"PVEAPIToken={self.identity}={self.secret}"}
        answer = self.api.answer(Request("GET", target, headers, b""))
        if answer.status != 200:
            raise BY_STATUS.get(answer.status, ApiError)(
                "GET", path, answer.status, reason=answer.reason, text=answer.reason
            )
        return json.loads(answer.body)["data"]

    def prefetch(self, asks: Iterable[Ask]) -> None:
        """Every question is asked when somebody needs the answer."""


def adopted(pve: Pve, **options: Any) -> Adopted:
    return adopt(survey(pve, NOW), **options)


def changes(pve: Pve, document: Mapping[str, Any]) -> list[Change]:
    """Return what applying a policy would change, in the firewall and in access."""
    found: list[Change] = []
    told = json.loads(json.dumps(document))
    if "pve_firewall" in told:
        options = {**firewall_spec.DOCUMENT, **firewall_spec.GUARD}
        firewall = whole_firewall(checked(told["pve_firewall"], options, "pve_firewall"))
        plan, unused = plan_firewall(View(pve), firewall)
        assert not plan.assumed
        found += plan.changes
    if "pve_access" in told:
        access = parse_document(checked(told["pve_access"], access_spec.DOCUMENT, "pve_access"))
        plan = plan_access(observe(pve, access, NOW), access)
        assert not plan.assumed
        found += plan.changes
    return found


def access(state: AccessState) -> Json:
    """Return a state of access as the simulator takes it."""
    return {
        "users": [
            {
                "userid": user.userid,
                "enable": int(user.enable),
                "expire": user.expire,
                "groups": sorted(user.groups),
                **{name: getattr(user, name) for name in ("firstname", "lastname", "email", "comment")},
            }
            for user in state.users.values()
        ],
        "groups": [{"groupid": group.groupid, "comment": group.comment} for group in state.groups.values()],
        "roles": [
            {"roleid": role.roleid, "privs": sorted(role.privs)} for role in state.roles.values() if not role.special
        ],
        "tokens": [
            {
                "tokenid": token.tokenid,
                "privsep": int(token.privsep),
                "expire": token.expire,
                "comment": token.comment,
                "secret": ROOT_SECRET,
            }
            for token in state.tokens.values()
        ],
        "acl": [
            {
                "path": entry.path,
                "type": entry.principal.kind,
                "ugid": entry.principal.name,
                "roleid": entry.role,
                "propagate": int(propagate),
            }
            for entry, propagate in state.entries()
        ],
        "pools": [
            {"poolid": pool.poolid, "comment": pool.comment, "vms": sorted(pool.vms), "storage": sorted(pool.storage)}
            for pool in state.pools.values()
        ],
    }


def ruleset(held: Ruleset) -> Json:
    """Return what a place of the firewall holds as the simulator takes it."""
    found: Json = {"options": dict(held.options), "rules": [rule.to_api() for rule in held.rules]}
    if held.aliases:
        found["aliases"] = [
            {"name": alias.name, "cidr": alias.cidr, **({"comment": alias.comment} if alias.comment else {})}
            for alias in held.aliases.values()
        ]
    if held.ipsets:
        found["ipsets"] = [
            {
                "name": one.name,
                "entries": [
                    {"cidr": entry.cidr, **({"nomatch": 1} if entry.nomatch else {})} for entry in one.entries or ()
                ],
            }
            for one in held.ipsets.values()
        ]
    if held.groups:
        found["groups"] = [
            {"group": group.name, "rules": [rule.to_api() for rule in group.rules or ()]}
            for group in held.groups.values()
        ]
    return found
