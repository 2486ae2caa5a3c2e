"""Text from elsewhere, marked so that Ansible never takes it for a template."""

from __future__ import annotations

from typing import Any

import ansible.template

# Since ansible-core 2.19, only what is marked as trusted is a template: text of PVE needs no mark.
_UNTRUSTED_BY_DEFAULT = hasattr(ansible.template, "trust_as_template")


def as_text(data: Any) -> Any:
    """Return plain data so that no text in it is ever templated."""
    if _UNTRUSTED_BY_DEFAULT:
        return data
    # Deprecated where it is not needed.
    from ansible.utils.unsafe_proxy import wrap_var

    return wrap_var(data)  # type: ignore[no-untyped-call]  # Ansible has no types
