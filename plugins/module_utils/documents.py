"""Whole documents out of options: what Ansible's specs cannot say of them is put to specs here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError

from .client.errors import OptionError
from .firewall.document import parse_document as parse_firewall
from .firewall.spec import PLACES
from .firewall.wanted import Document as FirewallDocument

Params = Mapping[str, Any]


def whole_firewall(params: Params) -> FirewallDocument:
    """Read a ``pve_firewall`` document. Raises OptionError.

    Its mappings are keyed by nodes, guests and vnets, which Ansible's own specs have no way to say: each value is put
    to the spec of its kind here.
    """
    places = []
    for listing, spec in PLACES.items():
        for name, raw in (params.get(listing) or {}).items():
            places.append((listing[:-1], name, checked(raw, spec, f"{listing}[{name}]")))
    return parse_firewall(params, places)


def checked(raw: Any, spec: dict[str, Any], where: str) -> Params:
    """Put a mapping to an argument spec of its own. Raises OptionError."""
    if not isinstance(raw, Mapping):
        raise OptionError(f"{where}: is no mapping.")
    found = ArgumentSpecValidator(spec).validate(dict(raw))  # type: ignore[no-untyped-call]  # Ansible has no types
    if found.error_messages:
        raise OptionError(f"{where}: {'; '.join(_told(error) for error in found.errors)}.")
    validated: Params = found.validated_parameters
    return validated


def _told(error: Exception) -> str:
    said = str(error).rstrip(".")
    # Ansible's own modules put the first words of that sentence before it.
    return f"unknown: {said}" if isinstance(error, UnsupportedError) else said
