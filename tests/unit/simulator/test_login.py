"""Tickets, the token against cross-site requests, and which credentials win."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from ansible_collections.homelab.pve.tests.simulator import ADMIN, ADMIN_PASSWORD, Simulator
from ansible_collections.homelab.pve.tests.simulator.api import Request
from ansible_collections.homelab.pve.tests.simulator.second_factors import totp, totp_now

from .conftest import ROOT, Wire

USER = {"userid": "csrf@pve"}


def test_a_write_with_a_ticket_needs_the_csrf_token(wire: Wire) -> None:
    headers = wire.login(ADMIN, ADMIN_PASSWORD)
    without = {name: value for name, value in headers.items() if name == "Cookie"}
    assert wire.call("GET", "/access/acl", headers=without).status == 200
    for token in ({}, {"CSRFPreventionToken": "00000000:x"}):
        answer = wire.call("POST", "/access/users", USER, headers={**without, **token})
        assert (answer.status, answer.reason) == (401, "Permission denied - invalid csrf token")
    assert wire.call("POST", "/access/users", USER, headers=headers).status == 200


def test_a_csrf_token_belongs_to_its_user(wire: Wire) -> None:
    wire.call("POST", "/access/users", {"userid": "other@pve", "password": "otherother"})
    others = wire.login("other@pve", "otherother")["CSRFPreventionToken"]
    mixed = {**wire.login(ADMIN, ADMIN_PASSWORD), "CSRFPreventionToken": others}
    assert wire.call("POST", "/access/users", USER, headers=mixed).status == 401


def test_a_cookie_wins_over_a_token(wire: Wire) -> None:
    stale = {**ROOT, "Cookie": "PVEAuthCookie=PVE:root@pam:00000000::stale"}
    assert wire.call("GET", "/version", headers=stale).status == 401
    assert wire.call("GET", "/version", headers={**ROOT, "Cookie": "PVEAuthCookie="}).status == 200


@pytest.mark.parametrize("change", ["PVE:root@pam", "PVE:nobody@pve"])
def test_a_ticket_cannot_be_turned_into_another_users(wire: Wire, change: str) -> None:
    headers = wire.login(ADMIN, ADMIN_PASSWORD)
    forged = headers["Cookie"].replace(f"PVE:{ADMIN}", change)
    assert wire.call("GET", "/version", headers={"Cookie": forged}).status == 401


@pytest.mark.parametrize(
    ("release", "token", "text"),
    [
        ("7.4", "root@pam!admin:11111111-2222-4333-8444-555555555555", "no tokenid specified"),
        ("7.4", "nobody@pve!x1=y", "no such user ('nobody@pve')"),
        ("8.4", "root@pam!none=y", "no such token 'none' for user 'root@pam'"),
        ("8.4", "root@pam!admin=y", "invalid token value!"),
        ("8.4", "garbage=y", "'garbage' is not a valid token ID - not able to split into user and token parts"),
        ("9.2", "root@pam!admin=y", "Authentication failed!"),
        ("9.2", "nobody@pve!x1=y", "Authentication failed!"),
    ],
)
def test_what_a_401_tells(release: str, token: str, text: str) -> None:
    with Simulator(release, auth_delay=0) as simulator:
        answer = Wire(simulator).call("GET", "/version", headers={"Authorization": f"PVEAPIToken={token}"})
        assert (answer.status, answer.reason) == (401, text)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [("enable", 0, "user 'dis@pve' is disabled"), ("expire", 1000, "user 'dis@pve' access expired")],
)
def test_tokens_of_users_who_may_not_log_in(field: str, value: int, text: str) -> None:
    with Simulator("8.4", auth_delay=0) as simulator:
        simulator.load(
            {
                "users": [{"userid": "dis@pve", field: value}],
                "tokens": [{"tokenid": "dis@pve!tk", "secret": "s", "privsep": 0}],
            }
        )
        answer = Wire(simulator).call("GET", "/version", headers={"Authorization": "PVEAPIToken=dis@pve!tk=s"})
        assert (answer.status, answer.reason) == (401, text)


def test_the_ticket_of_root_opens_every_account(wire: Wire, simulator: Simulator) -> None:
    simulator.load({"passwords": {"root@pam": "rootrootroot"}})
    headers = wire.login("root@pam", "rootrootroot")
    answer = wire.call("DELETE", "/access/users/missing@pve", headers=headers)
    assert answer.status == 200, "root@pam with a ticket is not checked, so a missing user is no error"
    ticket = wire.call("POST", "/access/ticket", {"username": "root@pam", "password": "rootrootroot"}, headers={})
    form = {"username": ADMIN, "password": ticket.data["ticket"]}
    assert wire.call("POST", "/access/ticket", form, headers={}).status == 200


def test_root_only_methods_are_closed_to_its_tokens(wire: Wire, simulator: Simulator) -> None:
    assert wire.call("POST", "/nodes/ugreen/execute").reason == "Permission check failed (user != root@pam)"
    simulator.load({"passwords": {"root@pam": "rootrootroot"}})
    answer = wire.call("POST", "/nodes/ugreen/execute", headers=wire.login("root@pam", "rootrootroot"))
    assert answer.status == 400


def test_realms(wire: Wire) -> None:
    ldap = {"realm": "corp", "type": "ldap", "server1": "ldap.example.org", "base_dn": "dc=example,dc=org"}
    prefix = "add auth server failed: "
    assert wire.call("POST", "/access/domains", ldap).reason == prefix + "missing value for required option 'user_attr'"
    assert wire.call("POST", "/access/domains", {**ldap, "user_attr": "uid", "comment": "c"}).status == 200
    assert wire.call("POST", "/access/domains", {"realm": "corp", "type": "ad"}).reason == (
        prefix + "domain 'corp' already exists"
    )
    assert {"realm": "corp", "type": "ldap", "comment": "c"} in wire.call("GET", "/access/domains").data
    assert wire.call("GET", "/access/domains/corp").data["server1"] == "ldap.example.org"
    assert wire.call("PUT", "/access/domains/corp").reason == "update auth server failed: no options specified"
    wire.call("POST", "/access/users", {"userid": "joe@corp"})
    rows = {row["userid"]: row for row in wire.call("GET", "/access/users").data}
    assert rows["joe@corp"]["realm-type"] == "ldap"
    assert wire.call("DELETE", "/access/domains/corp").status == 200
    assert len(wire.call("GET", "/access/domains").data) == 2


# Second factors.

TOTP = "JBSWY3DPEHPK3PXP"


def joe(release: str = "9.2", *kinds: str, **factors: Any) -> tuple[Simulator, Any]:
    """Return a simulator, not started, with a user who has second factors, and what asks it for tickets."""
    simulator = Simulator(release, auth_delay=0)
    entries = [{"id": kind, "type": kind, "created": 1, "description": ""} for kind in kinds]
    simulator.load(
        {
            "users": [{"userid": "joe@pve", "password": "joejoejoe"}],
            "tfa": [{"userid": "joe@pve", "entries": entries}],
            "factors": {"joe@pve": factors},
        }
    )

    def ask(password: str = "joejoejoe", **more: Any) -> tuple[int, Any]:
        form = urlencode({"username": "joe@pve", "password": password, **more}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = simulator._server.api.answer(Request("POST", "/api2/json/access/ticket", headers, form))
        return answer.status, json.loads(answer.body or b"{}").get("data")

    return simulator, ask


def status_of(simulator: Simulator, ticket: str) -> tuple[int, str]:
    answer = simulator._server.api.answer(
        Request("GET", "/api2/json/version", {"Cookie": f"PVEAuthCookie={quote(ticket, safe='')}"})
    )
    return answer.status, answer.reason


def test_the_codes_are_those_of_the_standard() -> None:
    secret = base64.b32encode(b"12345678901234567890").decode()  # RFC 6238, appendix B, the last six digits
    moments = {59: "287082", 1111111109: "081804", 20000000000: "353130"}
    assert {at: totp(secret, at // 30) for at in moments} == moments


def test_a_code_makes_a_half_ticket_whole_and_works_once() -> None:
    simulator, ask = joe("9.2", "totp", "recovery", totp=TOTP, recovery=["one", "two"])
    status, half = ask()
    assert (status, half["NeedTFA"], "cap" in half) == (200, 1, False)
    assert half["ticket"].startswith('PVE:!tfa!{"totp"%3Atrue,"recovery"%3A[0,1]}:')
    assert status_of(simulator, half["ticket"]) == (401, "Authentication failed!")
    code, challenge = f"totp:{totp_now(TOTP)}", {"tfa-challenge": half["ticket"]}
    assert ask(code, **challenge, otp=code)[0] == 401
    status, whole = ask(code, **challenge)
    assert (status, "NeedTFA" in whole, "cap" in whole) == (200, False, True)
    assert status_of(simulator, whole["ticket"]) == (200, "OK")
    assert ask(code, **challenge)[0] == 401
    assert [ask(f"recovery:{key}", **challenge)[0] for key in ("one", "one", "two")] == [200, 401, 200]
    # The ticket itself passes for a password, and nobody asks for a code then.
    assert "NeedTFA" not in ask(whole["ticket"])[1]


def test_a_half_ticket_is_good_for_its_user_alone() -> None:
    unused, ask = joe("9.2", "totp", totp=TOTP)
    half = ask()[1]["ticket"]
    assert ask(f"totp:{totp_now(TOTP)}", username="admin@pve", **{"tfa-challenge": half})[0] == 401
    assert ask(f"totp:{totp_now(TOTP)}", **{"tfa-challenge": half + "x"})[0] == 401


@pytest.mark.parametrize(("release", "locked"), [("8.4", True), ("7.4", False)])
def test_wrong_codes_lock(release: str, locked: bool) -> None:
    simulator, ask = joe(release, "totp", "recovery", totp=TOTP, recovery=["key"])
    half = {"tfa-challenge": ask(**{"new-format": 1})[1]["ticket"], "new-format": 1}
    for unused in range(8):
        assert ask("totp:wrong", **half)[0] == 401
    (row,) = simulator.export()["tfa"]
    assert bool(row.get("totp-locked")) == locked
    assert ask(f"totp:{totp_now(TOTP)}", **half)[0] == (401 if locked else 200)
    assert ask("recovery:key", **half)[0] == 200
    assert "totp-locked" not in simulator.export()["tfa"][0]


def test_the_older_format_has_a_half_ticket_of_its_own() -> None:
    simulator, ask = joe("7.4", "totp", totp=TOTP)
    half = ask()[1]
    assert half["NeedTFA"] == 1
    assert half["ticket"].startswith("PVE:tfa!joe@pve:")
    assert status_of(simulator, half["ticket"]) == (401, "No ticket")
    assert ask(**{"new-format": 1})[1]["ticket"].startswith("PVE:!tfa!")
