"""The certificates that nodes show to browsers and programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...wording import DAY, day, days
from ..observe import Rows
from .subjects import Case

# The one that the web server shows where it is there, and the one that it shows else.
_CUSTOM, _OWN = "pveproxy-ssl.pem", "pve-ssl.pem"
_INTERNAL = "Proxmox Virtual Environment"


def judge(case: Case) -> None:
    """Find certificates that nobody can trust, or that are about to expire."""
    for node, rows in sorted(case.observed.certificates.items()):
        shown = _shown(rows)
        if shown is not None:
            _trust(case, node, shown)
        for row in rows:
            _expiry(case, node, row)


def _shown(rows: Rows) -> Mapping[str, Any] | None:
    by_name = {row.get("filename"): row for row in rows}
    return by_name.get(_CUSTOM) or by_name.get(_OWN)


def _trust(case: Case, node: str, row: Mapping[str, Any]) -> None:
    issuer = str(row.get("issuer") or "")
    if row.get("filename") == _CUSTOM and _INTERNAL not in issuer and issuer != str(row.get("subject") or ""):
        return
    case.judgement.find(
        "certificates_untrusted",
        f"node {node}",
        str(row.get("filename")),
        f"Nobody but this cluster vouches for the certificate that {node} shows.",
        expected="a certificate of an authority that clients know",
        found=issuer,
        fix="Order one with ACME (`pvenode acme cert order`), or upload one of an authority of your own "
        "(`pvenode cert set`).",
    )


def _expiry(case: Case, node: str, row: Mapping[str, Any]) -> None:
    end = int(row.get("notafter") or 0)
    if not end or end > case.now + case.hygiene.expiring_days * DAY:
        return
    name = str(row.get("filename"))
    said = f"expired on {day(end)}" if end <= case.now else f"expires on {day(end)}, in {days(end - case.now)}"
    case.judgement.find(
        "certificates_expiring",
        f"node {node}",
        name,
        f"The certificate {name} of {node} {said}.",
        expected=f"more than {case.hygiene.expiring_days} days",
        found={"notafter": end},
        fix="Renew it: with ACME `pvenode acme cert renew`, the cluster's own with `pvecm updatecerts --force`; and "
        "have that done by itself.",
    )
