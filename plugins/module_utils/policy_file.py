"""What an audit is about, out of options: a policy file, each key put to the spec that it has, and a snapshot file."""

from __future__ import annotations

from .access.document import parse_document
from .access.spec import DOCUMENT as ACCESS
from .client.errors import OptionError
from .documents import Params, checked, whole_firewall
from .firewall.spec import DOCUMENT as FIREWALL
from .local_files import read_text
from .policy.document import Policy, parse_policy
from .policy.sources import Snapshot, read_snapshot
from .policy.spec import HYGIENE

_DAY = 24 * 60 * 60


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


def stored_cluster(path: str, now: float) -> Snapshot:
    """Read a snapshot file. Raises OptionError, also where its time cannot be right: all is judged as of then."""
    snapshot = read_snapshot(read_text(path, "snapshot"))
    if not 0 < snapshot.taken < now + _DAY:
        raise OptionError("The snapshot is damaged: it was not taken yet, or never.", "Take a new one.")
    return snapshot
