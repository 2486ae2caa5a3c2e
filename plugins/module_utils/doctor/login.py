"""Whether PVE takes the credentials, and which release it is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..access.model import is_token, owner_of
from ..access.releases import Release
from ..client.errors import ApiError, AuthenticationError, OptionError, PveError
from ..client.http import Client
from . import mends
from .report import Check, failed, meant_by, passed

_FACTOR = "second factor"
_DAMAGED = ("separator_wrong", "token_id_not_whole")


@dataclass(frozen=True)
class Asker:
    """Who asks, and through what: ``proxy`` names a web proxy in between, empty if none gave itself away."""

    identity: str
    proxy: str = ""


def log_in(client: Client, asker: Asker) -> Check:
    """Ask the one question that everybody may ask who can log in."""
    try:
        unused = client.version
    except AuthenticationError as error:
        return failed_call(error) if _FACTOR in error.hint else refusal(error.text, asker)
    except OptionError as error:
        return failed("library_missing", error.message, error.hint)
    except PveError as error:
        return failed_call(error)
    return passed(f"{asker.identity} logs in.")


def failed_call(error: PveError) -> Check:
    """Return a failure that none of the known causes explains."""
    second = _FACTOR in error.message or _FACTOR in error.hint
    mend = error.hint or "On the host: journalctl -u pveproxy -u pvedaemon."
    return failed("second_factor" if second else "call_failed", error.message, mend)


def refusal(text: str, asker: Asker) -> Check:
    """Say what a 401 means. Before 9.1.5 its text names the cause."""
    said = f"PVE says: {text.strip() or 'nothing'}"
    if not is_token(asker.identity):
        mend = f"Is the password right? {mends.enable_user(asker.identity)} The log (pvedaemon) on the node says more."
        return failed("password_refused", f"{said}.", mend)
    causes = meant_by(text)
    cause = causes[0] if len(causes) == 1 else "token_refused"
    if causes[:1] == ("header_not_recognised",):
        through = f" {asker.proxy} stands in between, and does not pass it on." if asker.proxy else ""
        said = f"{said}. The header Authorization was sent.{through}"
        mend = (
            "Go past a proxy in between, or let it pass Authorization on. PVE before 6.2 knows no tokens: pveversion "
            "on the host tells which it is."
        )
        return failed("header_not_recognised", said, mend)
    mend = _mend(cause, asker.identity)
    if cause == "token_refused":
        said = f"{said}. From here it cannot be told why, since 9.1.5 gives one text to all causes."
    return failed(cause, said if said.endswith(".") else f"{said}.", mend)


def _mend(cause: str, tokenid: str) -> str:
    owner = owner_of(tokenid)
    known = {
        "user_unknown": mends.make_user(owner),
        "user_disabled": mends.enable_user(owner),
        "user_expired": mends.prolong_user(owner),
        "token_unknown": mends.make_token(tokenid),
        "token_expired": mends.prolong_token(tokenid),
        # Only older releases say so.
        "secret_wrong": mends.renew_secret(tokenid, old=True),
        **dict.fromkeys(_DAMAGED, "Something in between changes the header: look for a web proxy."),
    }
    everything = (
        f"Run pve_doctor with side: host on a node, or with admin_token_id: it sees whether {owner} and the token are "
        f"there, enabled and not expired. If they are, the secret is wrong. {mends.renew_secret(tokenid)}"
    )
    return known.get(cause, everything)


def judge_release(version: str, release: Release, identity: str) -> Check:
    """Say whether the release has API tokens."""
    if release >= mends.TOKENS_SINCE:
        return passed(f"It is PVE {version}.")
    mend = "Upgrade the host to 6.2 or later; until then only user and password log in."
    return failed("release_too_old", f"It is PVE {version}; tokens came with 6.2.", mend)


def judge_daemon(client: Client) -> Check:
    """Ask the node that is talked to for something that pveproxy hands on to pvedaemon."""
    try:
        client.get("/nodes/localhost/lxc")
    except ApiError as error:
        if error.status in (595, 596):
            mend = "On the host: systemctl status pvedaemon; systemctl restart pvedaemon; journalctl -u pvedaemon."
            said = f"pveproxy answers, and gets {error.status} {error.reason} from behind."
            return failed("daemon_down", said, mend)
        return failed_call(error)
    except PveError as error:
        return failed_call(error)
    return passed("pvedaemon answers.")


def judge_nodes(client: Client) -> Check:
    """Look which nodes of the cluster are there."""
    try:
        rows = client.get("/nodes") or []
    except PveError as error:
        return failed_call(error)
    down = sorted(str(row["node"]) for row in rows if row.get("status") == "offline")
    if down:
        mend = f"Start it, or look at its network (pvecm status; systemctl status corosync on {down[0]})."
        said = f"{', '.join(down)}: offline. Calls to it end with 595 or 596, after up to 30 seconds."
        return failed("node_down", said, mend)
    unknown = sorted(str(row["node"]) for row in rows if row.get("status") not in ("online", "offline"))
    also = f" No figures come from {', '.join(unknown)}." if unknown else ""
    return passed(f"{len(rows)} node{'s are' if len(rows) != 1 else ' is'} there.{also}")


_NAMES = re.compile(r"Permission check failed \((?P<path>/[^,]*), (?P<privileges>[^)]*)\)")


def denied(text: str) -> tuple[str, str]:
    """Return path and privileges that a 403 names; empty where it names none."""
    found = _NAMES.search(text)
    return (found["path"], found["privileges"]) if found else ("", "")
