"""How the names of groups, IP sets and aliases may look, and which scopes can stand before them in each release."""

from __future__ import annotations

import re
from functools import cache

from ansible_collections.homelab.pve.plugins.module_utils.access.releases import Release

NAME = r"[A-Za-z][A-Za-z0-9\-_]+"
IS_NAME = re.compile(rf"{NAME}$")
MAX_GROUP_NAME = 18
SCOPES_SINCE = (8, 0)
FORWARD_SINCE = (8, 3)  # with it came firewalls of vnets and the IP sets of SDN


@cache
def alias_reference(release: Release) -> re.Pattern[str]:
    """Return the pattern of an alias with or without its scope: groups 1 and 2."""
    scopes = "dc/|guest/" if release >= SCOPES_SINCE else "(?!)"
    return re.compile(rf"({scopes})?({NAME})$")


@cache
def set_reference(release: Release) -> re.Pattern[str]:
    """Return the pattern of ``+name`` with or without a scope: groups 1 and 2."""
    scopes = "(?!)" if release < SCOPES_SINCE else "dc/|guest/|sdn/" if release >= FORWARD_SINCE else "dc/|guest/"
    return re.compile(rf"\+({scopes})?({NAME})$")
