"""What an audit is about, out of options: a policy file, each key put to the spec that it has, and a snapshot file."""

from __future__ import annotations

from collections.abc import Iterable

from .access.document import parse_document
from .access.expiry import parse_expiry
from .access.spec import DOCUMENT as ACCESS
from .client.errors import OptionError
from .documents import Params, checked, whole_firewall
from .firewall.spec import DOCUMENT as FIREWALL
from .local_files import read_text
from .policy.document import Policy, parse_policy
from .policy.logs import AccessLogs, parse_logs
from .policy.sources import Snapshot, read_snapshot
from .policy.spec import HYGIENE
from .wording import DAY


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


def handed_in(paths: Iterable[str] | None, now: float) -> AccessLogs | None:
    """Read the files of the option ``access_logs``; None where there are none. Raises OptionError."""
    return parse_logs(((path, read_text(path, "access_logs")) for path in paths), now) if paths else None


def oldest_age(value: str | None) -> int | None:
    """Read the option ``snapshot_max_age``, a span of time: return its seconds. Raises OptionError."""
    if value is None:
        return None
    try:
        expiry = parse_expiry(value, "snapshot_max_age")
    except OptionError:
        expiry = None
    if expiry is None or not expiry.span:
        raise OptionError(f"snapshot_max_age: {value!r} is no span of time.", "Write one like 12h, 7d or 4w.")
    return expiry.span


def stored_cluster(path: str, now: float) -> Snapshot:
    """Read a snapshot file. Raises OptionError, also where its time cannot be right: all is judged as of then."""
    snapshot = read_snapshot(read_text(path, "snapshot"))
    if not 0 < snapshot.taken < now + DAY:
        raise OptionError("The snapshot is damaged: it was not taken yet, or never.", "Take a new one.")
    return snapshot
