"""What the doctor says: checks, and the diagnoses that they can come to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Callable

from ..access.model import is_token
from ..wording import one_line
from . import mends

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
CLIENT, HOST = "client", "host"

# What can be wrong, in the order in which it has to be mended: nothing further down can work before. Of several that
# are found, the first is the likely cause: what names the cause stands before what only shows its effect.
DIAGNOSES: Mapping[str, str] = {
    # What the consumer was told.
    "option_wrong": "An option cannot mean anything.",
    "library_missing": "The machine lacks what it takes to talk to PVE.",
    "no_credentials": "There is nothing to log in with.",
    "token_id_not_whole": "The token id is not whole: it reads user@realm!name.",
    "separator_wrong": "Token id and secret are joined by something other than one '='.",
    "header_malformed": "PVE does not recognise the header with the token.",
    "secret_file_missing": "The file with the secret is not there.",
    "secret_file_unusable": "The file with the secret is open to others, somebody else's, or no file.",
    "secret_file_content": "The file does not hold the bare secret.",
    "secret_malformed": "The secret cannot be one of PVE's.",
    # The way to the host.
    "name_unknown": "The name of the host is not known.",
    "proxy_unreachable": "The proxy cannot be reached.",
    "proxy_refuses": "The proxy does not let the connection through.",
    "no_route": "There is no way to the host's network.",
    "api_down": "pveproxy does not run.",
    "listens_elsewhere": "pveproxy does not listen on the address or port that is asked.",
    "packet_filter": "The host's packet filter does not let the client in.",
    "firewall_rule": "PVE's firewall does not let the client in.",
    "firewall_not_applied": "PVE's firewall lets the client in, what the kernel holds does not.",
    "client_not_allowed": "pveproxy itself turns the client away (ALLOW_FROM, DENY_FROM).",
    "wrong_port": "PVE answers on another port than the one that is asked.",
    "port_refused": "The host answers, and nothing listens on the port.",
    "port_rejected": "Somebody on the way rejects packets to the port.",
    "port_filtered": "The host answers, but packets to the port are dropped.",
    "host_silent": "Nothing at all comes back from the host.",
    # The handshake.
    "plain_http": "The port speaks HTTP without TLS.",
    "not_tls": "The port speaks something other than TLS.",
    "tls_version": "The two sides have no version or cipher of TLS in common.",
    "connection_cut": "The connection is cut during the TLS handshake.",
    "fingerprint_changed": "The certificate is not the one that was pinned.",
    "certificate_expired": "The certificate has expired.",
    "certificate_not_yet": "The certificate is not valid yet.",
    "certificate_untrusted": "The certificate is of a CA that is not trusted here.",
    "certificate_name": "The certificate is for other names.",
    "certificate_invalid": "The certificate does not verify.",
    # Who answers.
    "pbs_server": "It is a Proxmox Backup Server.",
    "proxy_answers": "A web proxy answers, and not PVE.",
    "not_pve": "What answers is not PVE.",
    "clock_differs": "The clocks of client and host differ.",
    # The log-in.
    "release_too_old": "The release knows no API tokens.",
    "header_not_recognised": "PVE saw no token in what it was sent.",
    "user_unknown": "The user does not exist.",
    "user_disabled": "The user is disabled.",
    "user_expired": "The user has expired.",
    "token_unknown": "The token does not exist.",
    "token_expired": "The token has expired.",
    "secret_wrong": "The secret is not that of the token.",
    "token_refused": "PVE refuses the token, and does not say why.",
    "password_refused": "PVE refuses user and password, and does not say why.",
    "second_factor": "The user has a second factor.",
    # What stands behind the API.
    "quorum_lost": "The cluster has no quorum.",
    "daemon_down": "pvedaemon does not answer.",
    "node_down": "A node is down.",
    # Rights.
    "acl_path_wrong": "PVE has no such ACL path.",
    "no_access": "NoAccess blocks it.",
    "token_without_acl": "The token has privilege separation and no ACL entry of its own there.",
    "user_without_acl": "The token has its ACL entry, and its user has none there.",
    "no_rights": "The token logs in, and may see nothing.",
    # The question.
    "type_refused": "PVE has no such type of resources.",
    "parameter_refused": "PVE does not take a parameter.",
    "api_path_unknown": "This release has no such call.",
    "node_unknown": "The cluster has no such node.",
    "guest_not_there": "The node has no such guest.",
    "object_unknown": "There is nothing of that name.",
    "not_for_tokens": "The call is for root@pam, or for a log-in with a password.",
    "right_missing": "A right is missing.",
    "application_starved": "The application does not get all that it asks for.",
    "pveum_syntax": "pveum of this release takes other words.",
    "call_failed": "The call fails.",
}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    ``status`` is passed, failed or skipped; ``said`` the evidence, or why it was skipped; ``mend`` what to do about a
    failure, a command or a task; ``diagnosis`` a key of ``DIAGNOSES``, empty unless it failed.
    """

    status: str
    said: str
    diagnosis: str = ""
    mend: str = ""
    name: str = ""
    side: str = CLIENT

    @property
    def cause(self) -> str:
        return DIAGNOSES.get(self.diagnosis, "")

    def __str__(self) -> str:
        cause = f"{self.cause} " if self.cause else ""
        mend = f" To mend it: {self.mend}" if self.mend else ""
        return f"{self.status:8}{self.side:7}{self.name}: {cause}{self.said}{mend}"

    def as_data(self) -> dict[str, str]:
        return {
            "name": self.name,
            "side": self.side,
            "status": self.status,
            "said": self.said,
            "diagnosis": self.diagnosis,
            "cause": self.cause,
            "mend": self.mend,
        }

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> Check:
        """Read what ``as_data`` gave. Raises KeyError."""
        parts = ("status", "said", "diagnosis", "mend", "name", "side")
        return cls(**{part: str(data[part]) for part in parts})


def passed(said: str) -> Check:
    """Return that something is as it should be."""
    return Check(PASSED, said)


def failed(diagnosis: str, said: str, mend: str) -> Check:
    """Return what is wrong. Raises KeyError for a diagnosis that there is not."""
    unused = DIAGNOSES[diagnosis]
    return Check(FAILED, said, diagnosis, mend)


def skipped(why: str) -> Check:
    """Return that something could not be looked at, or did not have to."""
    return Check(SKIPPED, why)


class Steps:
    """Checks in their order. A step that needs another one is skipped unless that one passed."""

    def __init__(self, side: str = CLIENT) -> None:
        self.side = side
        self.checks: list[Check] = []

    def take(self, name: str, look: Callable[[], Check], *, needs: Sequence[str] = ()) -> bool:
        """Take a step, and return whether it passed."""
        missing = next((need for need in needs if not self.passed(need)), None)
        found = skipped(f"It needs the check {missing}, which has not passed.") if missing else look()
        self.checks.append(replace(found, name=name, side=self.side))
        return found.status == PASSED

    def passed(self, name: str) -> bool:
        return any(check.name == name and check.status == PASSED for check in self.checks)


@dataclass(frozen=True)
class Report:
    """All checks of both sides."""

    checks: tuple[Check, ...]
    known: Mapping[str, Any] = field(default_factory=dict)

    @property
    def failures(self) -> tuple[Check, ...]:
        """What failed, the likely cause first."""
        order = list(DIAGNOSES)
        return tuple(
            sorted((one for one in self.checks if one.status == FAILED), key=lambda c: order.index(c.diagnosis))
        )

    @property
    def healthy(self) -> bool:
        """Whether nothing failed, and something passed."""
        return not self.failures and any(check.status == PASSED for check in self.checks)

    def as_data(self) -> dict[str, Any]:
        return {
            **self.known,
            "healthy": self.healthy,
            "diagnoses": list(dict.fromkeys(check.diagnosis for check in self.failures)),
            "summary": self.summary(),
            "checks": [check.as_data() for check in self.checks],
            "lines": [str(check) for check in self.checks],
        }

    def summary(self) -> str:
        """Say what is wrong and how it is mended, the likely cause first; empty where nothing is."""
        if not self.failures:
            return "" if self.healthy else "Nothing could be checked."
        first, *others = self.failures
        more = "".join(f" Also: {one.cause}" for one in others)
        return f"{first.cause} {one_line(first.said)} To mend it: {first.mend}{more}"


def put_together(*sides: Iterable[Check], subject: str = "", known: Mapping[str, Any] | None = None) -> Report:
    """Return one report of what several sides found about a subject."""
    checks = tuple(check for side in sides for check in side)
    in_order = {check.name for check in checks if check.side == HOST and check.status == PASSED}
    if is_token(subject) and {"user", "token"} <= in_order:
        checks = tuple(_known_cause(check, subject) for check in checks)
    return Report(checks, known or {})


def _known_cause(check: Check, tokenid: str) -> Check:
    """Where user and token are in order, a token that is refused has another secret."""
    if check.diagnosis != "token_refused":
        return check
    said = f"PVE refuses {tokenid}, and yet user and token are there, enabled and not expired."
    return replace(check, diagnosis="secret_wrong", said=said, mend=mends.renew_secret(tokenid))


_TEXTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    # What PVE says of a log-in; since 9.1.5 one text for most.
    (r"no ticket", ("header_not_recognised", "header_malformed", "release_too_old")),
    (r"no tokenid specified", ("separator_wrong",)),
    (r"is not a valid token id", ("token_id_not_whole", "separator_wrong")),
    (r"no such user \(", ("user_unknown",)),
    (r"user '[^']*' is disabled", ("user_disabled",)),
    (r"user '[^']*' access expired", ("user_expired",)),
    (r"no such token '", ("token_unknown",)),
    (r"token '[^']*' access expired", ("token_expired",)),
    (r"invalid token value", ("secret_wrong",)),
    (r"invalid pve ticket", ("password_refused",)),
    (r"^authentication failure$", ("password_refused",)),
    # What consumers make of it.
    (
        r"invalid api token|authentication failed|\b401\b|unauthori[sz]ed",
        (
            "separator_wrong",
            "token_id_not_whole",
            "secret_malformed",
            "user_unknown",
            "user_disabled",
            "user_expired",
            "token_unknown",
            "token_expired",
            "secret_wrong",
            "token_refused",
        ),
    ),
    (r"user != root@pam|not available with api token", ("not_for_tokens",)),
    (
        r"access forbidden|permission check failed|\b403\b|forbidden",
        ("token_without_acl", "user_without_acl", "no_rights", "right_missing"),
    ),
    (r"does not have a value in the enumeration", ("type_refused", "parameter_refused")),
    (r"invalid acl path", ("acl_path_wrong",)),
    (r"parameter verification failed|\b400\b", ("type_refused", "parameter_refused")),
    (r"not implemented|\b501\b", ("api_path_unknown",)),
    (r"no command specified|unknown command 'pveum|unknown option: ", ("pveum_syntax",)),
    (r"hostname lookup '", ("node_unknown",)),
    (r"configuration file '[^']*' does not exist", ("guest_not_there",)),
    (r"'[^']*' does not exist", ("object_unknown",)),
    (r"certificate has expired", ("certificate_expired",)),
    (r"not yet valid", ("certificate_not_yet",)),
    (r"hostname mismatch|ip address mismatch|doesn't match|does not match|not valid for", ("certificate_name",)),
    (r"wrong version number|plain http|http request was sent to https", ("plain_http", "not_tls")),
    (
        r"ssl|certificate|tls|self.signed|unable to get local issuer",
        ("certificate_untrusted", "certificate_name", "certificate_expired", "fingerprint_changed"),
    ),
    (r"name or service not known|could not resolve|temporary failure in name", ("name_unknown",)),
    (r"network is unreachable", ("no_route",)),
    (r"no route to host", ("host_silent", "port_rejected", "node_down")),
    (r"\b59[56]\b", ("node_down", "daemon_down")),
    (
        r"connection refused|refused",
        ("api_down", "listens_elsewhere", "packet_filter", "firewall_rule", "wrong_port", "port_refused"),
    ),
    (
        r"timed? ?out|cannot connect|no answer",
        ("packet_filter", "firewall_rule", "firewall_not_applied", "wrong_port", "port_filtered", "host_silent"),
    ),
    (r"connection reset|connection was cut|eof occurred", ("client_not_allowed", "connection_cut")),
    (r"\b50[234]\b|bad gateway|gateway time", ("proxy_answers",)),
)
_COMPILED = tuple((re.compile(pattern, re.IGNORECASE | re.MULTILINE), ids) for pattern, ids in _TEXTS)


def meant_by(text: str) -> tuple[str, ...]:
    """Return the diagnoses that fit what PVE, a command or an application said; none for a text that is not known."""
    return next((ids for pattern, ids in _COMPILED if pattern.search(text.strip())), ())
