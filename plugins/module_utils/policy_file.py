"""A policy file out of options, each of its keys put to the spec that it has."""

from __future__ import annotations

from .access.document import parse_document
from .access.spec import DOCUMENT as ACCESS
from .documents import Params, checked, whole_firewall
from .firewall.spec import DOCUMENT as FIREWALL
from .policy.document import Policy, parse_policy
from .policy.spec import HYGIENE


def whole_policy(params: Params) -> Policy:
    """Read the keys of a policy file, ``pve_access`` and so on. Raises OptionError."""
    access, firewall = params.get("pve_access"), params.get("pve_firewall")
    hygiene = checked(params.get("pve_hygiene") or {}, HYGIENE, "pve_hygiene")
    # An audit changes nothing, and so cuts nobody off.
    guard = {"management_source": None, "allow_lockout": False}
    return parse_policy(
        {**params, "pve_hygiene": hygiene},
        None if access is None else parse_document(checked(access, ACCESS, "pve_access")),
        None if firewall is None else whole_firewall({**checked(firewall, FIREWALL, "pve_firewall"), **guard}),
    )
