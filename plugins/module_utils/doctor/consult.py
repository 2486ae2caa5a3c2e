"""One visit to the doctor, as the module puts it: from raw options to plain data."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from ..client.errors import OptionError, PveError
from ..client.http import Client
from ..client.options import PVESH, TOKENID, USERID, ConnectionOptions, check_token_id
from ..least.applications import application
from .client_side import Question, examine
from .host_reads import HostQuestion, examine_host
from .reach import API_PORT
from .report import CLIENT, DIAGNOSES, HOST, Check, Report, meant_by, put_together

SIDES = (CLIENT, HOST)
_ADMIN = {"admin_token_id": "token_id", "admin_token_secret": "token_secret", "admin_token_file": "token_file"}
_PLACE = ("host", "port", "timeout", "proxy", "ca_path", "fingerprint", "validate_certs")
# What has to be in order before an admin's token is sent anywhere.
_BEFORE_ADMIN = ("certificate", "server")

Params = Mapping[str, Any]


def consult(params: Params, environ: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """Return the result, and why the task fails (empty if it does not).

    Raises OptionError for what cannot be right of the doctor's own options.
    """
    if params.get("application") is not None:
        application(params["application"])
    subject = _subject(params)
    clients = tuple(_address(text) for text in params.get("client_addresses") or ())
    report = _report(params, environ, clients, subject)
    result = report.as_data()
    if params.get("told"):
        result["told_means"] = [{"diagnosis": name, "cause": DIAGNOSES[name]} for name in meant_by(str(params["told"]))]
    return result, report.summary() if params.get("fail", True) else ""


def _report(params: Params, environ: Mapping[str, str], clients: tuple[str, ...], subject: str) -> Report:
    if params.get("checks") is not None:
        return put_together(_checks(params["checks"]), subject=subject)
    as_admin = any(params.get(name) for name in _ADMIN)
    if params.get("side") == HOST and not as_admin:
        return _on_node(params, clients, subject)
    if params.get("side") == HOST:
        # The way to the host is looked at as ever, but nobody logs in ahead of the admin.
        place = Question({name: params.get(name) for name in _PLACE}, _about_place(environ))
        return _as_admin(params, environ, examine(place), clients, subject)
    question = Question(params, environ, params.get("header"), params.get("path"), params.get("application"))
    found = examine(question)
    if not as_admin:
        return found
    subject = _subject(params, str(found.known.get("identity", "")))
    host = _as_admin(params, environ, found, clients or tuple(found.known.get("client_addresses", ())), subject)
    return put_together(found.checks, host.checks, subject=subject, known=found.known)


def _about_place(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what of the environment says where PVE is, and nothing of who asks."""
    names = {f"PVE_{name.upper()}" for name in _PLACE}
    return {name: text for name, text in environ.items() if name in names}


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise OptionError(
            f"client_addresses: {text!r} is no address.", "Give addresses such as 192.168.40.82."
        ) from None


def _checks(rows: Any) -> list[Check]:
    try:
        return [Check.of_data(row) for row in rows]
    except (KeyError, TypeError):
        raise OptionError("checks: these are no checks.", "Give the checks that pve_doctor returned.") from None


def _subject(params: Params, identity: str = "") -> str:
    """Return whom the host's side is asked about; empty where no whole id is known.

    Raises OptionError for a subject that is none. It is not quoted, for there may be a secret in it.
    """
    told = params.get("subject")
    if told:
        if USERID.fullmatch(told):
            return str(told)
        return check_token_id(told, "subject")
    if identity or params.get("side") != HOST:
        return identity
    # A task that was written for the client's side: what cannot be right of it is told there.
    for given in (params.get("token_id"), params.get("user")):
        if given and (TOKENID.fullmatch(given) or USERID.fullmatch(given)):
            return str(given)
    return ""


def _on_node(params: Params, clients: tuple[str, ...], subject: str) -> Report:
    told = {name: params.get(name) for name in ("timeout",) if params.get(name)}
    options = ConnectionOptions.from_params({**told, "transport": PVESH}, {})
    question = HostQuestion(
        subject,
        clients,
        params.get("port") or API_PORT,
        params.get("path"),
        params.get("application"),
        on_node=True,
    )
    with Client(options) as client:
        return examine_host(client, question)


def _as_admin(
    params: Params, environ: Mapping[str, str], found: Report, clients: tuple[str, ...], subject: str
) -> Report:
    passed = {check.name for check in found.checks if check.status == "passed"}
    missing = next((name for name in _BEFORE_ADMIN if name not in passed), None)
    if missing:
        why = f"The admin's token is not sent before the check {missing} has passed."
        return Report((Check("skipped", why, name="admin", side=HOST),))
    given = {name: params.get(name) for name in _PLACE}
    given.update({name: params.get(option) for option, name in _ADMIN.items()})
    try:
        options = ConnectionOptions.from_params(given, _about_place(environ))
        with Client(options) as client:
            unused = client.release
            question = HostQuestion(subject, clients, options.port, params.get("path"), params.get("application"))
            return examine_host(client, question)
    except PveError as error:
        return Report((Check("skipped", f"The admin does not get in: {error}", name="admin", side=HOST),))
