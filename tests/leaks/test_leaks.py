"""No secret is to be found in anything that a run leaves behind."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.pve.tests.faults.runner import Runner
from ansible_collections.homelab.pve.tests.leaks.conftest import (
    ADMIN_PASSWORD,
    RECOVERY_KEY,
    ROOT_TOKEN,
    TOKEN_SECRET,
    USER_PASSWORD,
    WRONG_CODE,
    WRONG_SECRET,
    Ansible,
    Canaries,
    Json,
    programs,
)
from ansible_collections.homelab.pve.tests.leaks.scan import Finding, find, shown, spellings

PROGRAMS = programs()
VERSIONS = list(dict.fromkeys([next(iter(PROGRAMS)), next(reversed(PROGRAMS))]))


def task(name: str, module: str, options: Mapping[str, Any], **keywords: Any) -> Json:
    return {"name": name, f"homelab.pve.{module}": dict(options), "ignore_errors": True, **keywords}


def readers(*names: str) -> list[Json]:
    return [
        {"token": f"reader@pam!{name}", "role": "PVEAuditor", "path": "/vms", "secret_file": f"~/secrets/{name}"}
        for name in names
    ]


TOKEN = {key: "{{ token." + key + " }}" for key in ("host", "port", "ca_path", "token_id", "token_secret")}
TICKET = {key: "{{ ticket." + key + " }}" for key in ("host", "port", "ca_path", "user", "password")}
CODED = {key: "{{ coded." + key + " }}" for key in ("host", "port", "ca_path", "user", "password")}
FACTOR = {"second_factor": "{{ coded.second_factor }}", "ticket_cache": "~/secrets"}
RECOVERY = {"second_factor": "recovery:{{ key }}"}
HANDED_ON = {key: "{{ handed_on." + key + " }}" for key in ("host", "port", "ca_path", "ticket", "csrf_token")}
ONE = {"tokenid": "joe@pve!one", "secret_file": "~/secrets/one.secret"}
FAR = {"tokenid": "joe@pve!far", "secret_file": "~/secrets/far"}
ELSEWHERE = {
    "ansible_connection": "elsewhere",
    "ansible_remote_tmp": "{{ lookup('ansible.builtin.env', 'HOME') | dirname }}/elsewhere/tmp",
}
ROTATED = {"tokenid": ONE["tokenid"], "secret_file": ONE["secret_file"]}
LOST = {"tokenid": "joe@pve!lost", "secret_file": "~/secrets/lost", "renew": "when_lost"}
WORKS: list[Json] = [
    task("create", "pve_token", {**TOKEN, **ONE}),
    task("again", "pve_token", {**TOKEN, **ONE, "verify_secret": "always"}),
    task("renew", "pve_token", {**TICKET, **LOST}),
    # What is kept here by way of another machine, and is sent there only to be tried.
    task("elsewhere", "pve_token", {**TOKEN, **FAR}, vars=ELSEWHERE),
    task("elsewhere again", "pve_token", {**TOKEN, **FAR, "verify_secret": "always"}, vars=ELSEWHERE),
    task("return", "pve_token", {**TICKET, "tokenid": "joe@pve!two", "return_secret": True}, no_log=True),
    task("user", "pve_user", {**TICKET, "userid": "new@pve", "user_password": "{{ secret }}"}),
    task(
        "password",
        "pve_user",
        {**TICKET, "userid": "joe@pve", "user_password": "{{ secret }}", "update_password": "always"},
    ),
    task("readers", "pve_access", {**TICKET, "readers": readers("one", "two")}),
    task(
        "users",
        "pve_access",
        {**TOKEN, "users": [{"userid": "bob@pve", "user_password": "{{ secret }}"}], "readers": readers("three")},
    ),
    task(
        "cards",
        "pve_card",
        {**TOKEN, "pve_access": {"readers": readers("one")}, "dest": "~/secrets", "show_secret": True},
    ),
    task("revoke", "pve_revocation", {**TOKEN, "tokenid": "reader@pam!two", "secret_file": "~/secrets/two"}),
    task("rotate", "pve_token", {**TOKEN, **ONE, "rotate": "always"}),
    task("stand in", "pve_rotation", {**TOKEN, **ROTATED, "rotate": "always", "step": "begin"}),
    task("doctor", "pve_doctor", {**TOKEN, "path": "/vms", "fail": False}),
    task("log in", "pve_login", {**CODED, **FACTOR}),
    task("by the cache", "pve_group", {**CODED, **FACTOR, "groupid": "cached"}),
    task("by a ticket", "pve_group", {**HANDED_ON, "groupid": "handed"}),
    task("return a ticket", "pve_login", {**CODED, **RECOVERY}, no_log=True),
]
FAILS: list[Json] = [
    task("visible", "pve_token", {**TOKEN, "tokenid": "joe@pve!three", "return_secret": True}),
    task("no folder", "pve_token", {**TOKEN, "tokenid": "joe@pve!four", "secret_file": "~/missing/four"}),
    task("wrong secret", "pve_token", {**TOKEN, **ONE, "token_secret": "{{ wrong }}"}),
    task("secret in the id", "pve_token", {**TOKEN, **ONE, "token_id": ROOT_TOKEN + ":{{ wrong }}"}),
    task("not a number", "pve_token", {**TICKET, **ONE, "timeout": "soon"}),
    task(
        "password by token",
        "pve_user",
        {**TOKEN, "userid": "joe@pve", "user_password": "{{ secret }}!", "update_password": "always"},
    ),
    task("wrong code", "pve_login", {**CODED, "second_factor": "totp:{{ wrong_code }}", "ticket_cache": "~/codes"}),
    task("visible ticket", "pve_login", {**CODED, **RECOVERY}),
    task("forged ticket", "pve_group", {**HANDED_ON, "ticket": "{{ handed_on.ticket }}x", "groupid": "forged"}),
    task("no ticket", "pve_group", {**HANDED_ON, "ticket": "{{ wrong_code }}", "groupid": "forged"}),
    task("too short", "pve_user", {**TICKET, "userid": "short@nowhere", "user_password": "{{ secret }}"}),
    # The first request, the creation, and the first that the new token makes.
    *(
        task(
            f"exception {nth}",
            "pve_token",
            {**TOKEN, "tokenid": f"joe@pve!e{nth}", "secret_file": f"~/secrets/e{nth}"},
            environment={"LEAKS_RAISE_AT": str(nth)},
        )
        for nth in (1, 7, 8)
    ),
]


# Debug mode prints far more, and takes far longer: the newest one will do.
@pytest.mark.parametrize(
    ("version", "debug"),
    [*((version, False) for version in VERSIONS), (VERSIONS[-1], True)],
    ids=lambda value: {True: "debug", False: "no_log"}.get(value, value),
)
def test_nothing_that_ansible_leaves_holds_a_secret(
    canaries: Canaries, folder: Path, version: str, debug: bool
) -> None:
    ansible = Ansible(PROGRAMS[version], folder)
    (ansible.home / "secrets").mkdir(mode=0o700)
    variables = {
        "token": canaries.with_token,
        "ticket": canaries.with_password,
        "secret": USER_PASSWORD,
        "wrong": WRONG_SECRET,
        "coded": canaries.with_code,
        "key": RECOVERY_KEY,
        "wrong_code": WRONG_CODE,
        "handed_on": canaries.with_ticket,
    }
    # What no_log hides, debug mode shows.
    chosen = [each for each in [*WORKS, *FAILS] if each.get("no_log", False) != debug]
    channels = ansible.run(chosen, variables, debug=debug)
    outcomes = {each["task"]: each["outcome"] for each in ansible.tasks}
    expected = {each["name"]: "ok" if each in WORKS else "ignored" for each in chosen}
    assert outcomes == expected, [each for each in ansible.tasks if expected[each["task"]] != each["outcome"]]
    assert {"new secret", "ticket", "CSRF token"} <= {name.rpartition(" ")[0] for name in canaries.secrets}
    # A task with no_log writes nothing to the system's log.
    assert {name for name, content in channels.items() if not content} == (set() if debug else {"system log"})
    assert find(canaries.secrets, channels) == set(), shown(canaries.secrets, channels)
    for path in [*(ansible.home / "secrets").rglob("*"), *(ansible.home / "codes").glob("**/*")]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert debug == bool(list((ansible.home / "secrets").glob("*.ticket")))


def test_there_is_more_than_one_ansible_to_look_at() -> None:
    if len(VERSIONS) < 2:
        pytest.skip(
            f"ansible-core {VERSIONS[0]} is the only one here: `nox -s newest` makes an environment with another"
        )


# -- the scan itself ------------------------------------------------------------------------------------------------

LEAKS = {
    "result": [("results", "raw"), ("output", "raw"), ("log", "raw")],
    "invocation": [("results", "raw"), ("output", "raw"), ("log", "raw")],
    "percent": [("results", "percent-encoded"), ("output", "percent-encoded"), ("log", "percent-encoded")],
    "base64": [("results", "base64-encoded"), ("output", "base64-encoded"), ("log", "base64-encoded")],
    "diff": [("results", "raw"), ("output", "raw"), ("log", "raw")],
    "warning": [("output", "raw"), ("log", "raw")],
    "failure": [("results", "raw"), ("output", "raw"), ("log", "raw")],
    "traceback": [("output", "raw"), ("log", "raw")],
    "syslog": [("system log", "raw")],
    "home": [("files", "raw")],
    "tmp": [("files", "base64-encoded")],
    "name": [("files", "percent-encoded")],
    "cmdline": [("command lines", "raw")],
    "environ": [("environments", "raw")],
}


@pytest.mark.parametrize("version", VERSIONS[:1])
def test_a_module_that_leaks_is_seen_in_every_channel(folder: Path, version: str) -> None:
    secrets = {way: f"Leck/{way} 1+1" for way in LEAKS}
    tasks = [
        {"name": way, "leaky": {"ways": {way: "{{ secrets." + way + " }}"}}, "ignore_errors": True} for way in LEAKS
    ]
    found = find(secrets, Ansible(PROGRAMS[version], folder).run(tasks, {"secrets": secrets}))
    expected = {Finding(channel, way, how) for way, places in LEAKS.items() for channel, how in places}
    assert expected <= found, sorted(expected - found)
    quiet = {"syslog", "home", "tmp", "name", "cmdline", "environ"}
    assert {each for each in found - expected if each.secret in quiet} == set(), "a way leaks into other channels, too"


@pytest.mark.parametrize("ahead", range(3))
@pytest.mark.parametrize("behind", range(3))
def test_every_alignment_of_base64_is_seen(ahead: int, behind: int) -> None:
    from base64 import b64encode

    text = b64encode(b"?" * ahead + ADMIN_PASSWORD.encode() + b"?" * behind)
    assert find({"secret": ADMIN_PASSWORD}, {"here": b"<" + text + b">"}) == {
        Finding("here", "secret", "base64-encoded")
    }


def test_spellings_of_what_needs_no_encoding_are_told_apart() -> None:
    assert all(TOKEN_SECRET.encode() not in each for each in spellings(TOKEN_SECRET)["percent-encoded"])


# -- trouble at every request ---------------------------------------------------------------------------------------

TROUBLE = [
    ("exception", 0),
    ("text", 200),
    ("json", 500),
    ("json", 400),
    ("json", 401),
    ("text", 500),
    ("reason", 403),
]
RUNS: dict[str, tuple[str, str, Json]] = {
    "pve_token": ("pve_token", "token", ONE),
    "pve_token by environment": ("pve_token", "environment", ONE),
    "pve_user": (
        "pve_user",
        "code",
        {"userid": "joe@pve", "user_password": USER_PASSWORD, "update_password": "always", "comment": "New"},
    ),
    "pve_access": (
        "pve_access",
        "ticket",
        {"users": [{"userid": "bob@pve", "user_password": USER_PASSWORD}], "readers": readers("one", "two")},
    ),
}


@pytest.mark.parametrize(("kind", "status"), TROUBLE)
@pytest.mark.parametrize("name", RUNS)
def test_trouble_at_any_request_tells_no_secret(
    canaries: Canaries, home: Path, runner: Runner, name: str, kind: str, status: int
) -> None:
    module, credentials, options = RUNS[name]
    folder = home / "secrets"
    folder.mkdir(mode=0o700, exist_ok=True)
    connection = {
        "token": canaries.with_token,
        "ticket": canaries.with_password,
        "code": canaries.with_code,
        "environment": canaries.place,
    }
    env = {"PVE_TOKEN_ID": ROOT_TOKEN, "PVE_TOKEN_SECRET": TOKEN_SECRET} if credentials == "environment" else {}
    nth, found = 0, {}
    while True:
        nth += 1
        canaries.open()
        canaries.renew()
        for path in folder.iterdir():
            path.unlink()
        canaries.echo.echo_at, canaries.echo.status, canaries.echo.form = (
            0 if kind == "exception" else nth,
            status,
            kind,
        )
        outcome = runner.run(
            module, {**connection[credentials], **options}, raises_at=nth if kind == "exception" else 0, env=env
        )
        if leaks := find(canaries.secrets, {"said": outcome.said.encode()}):
            found[nth] = (leaks, outcome.said)
        if kind == "exception" and outcome.result is not None:
            assert not outcome.failed, outcome.said
            break
        if kind != "exception" and canaries.struck.count < nth:
            break
    assert nth > 5
    assert not found, "\n".join(f"request {nth}: {leaks}: {said}" for nth, (leaks, said) in found.items())
