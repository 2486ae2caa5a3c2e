"""Log-ins: one for many, a code never twice, and tickets in files that nobody else can read or replace."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import (
    AuthenticationError,
    OptionError,
    ParameterError,
    PveError,
    TransportError,
    error_from_answer,
)
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.client.tickets import (
    GOOD_FOR,
    LIFETIME,
    RENEW_AFTER,
    LogIn,
    TicketCache,
    cached_tickets,
    challenge_kinds,
    forget_ticket,
)
from ansible_collections.homelab.pve.tests.unit.client.servers import Clock
from ansible_collections.homelab.pve.tests.unit.test_secret_file import AS_ROOT, NOBODY, killed_at, mode_of

PASSWORD, CODE, CSRF = "correct horse", "totp:123456", "65A00000:csrf"
OPTIONS = ConnectionOptions("pve.example.org", user="joe@pve", password=PASSWORD)


def half(**kinds: Any) -> str:
    return f"PVE:!tfa!{json.dumps(kinds, separators=(',', ':')).replace(':', '%3A')}:65A00000::half"


class Pve:
    """What PVE says to POST /access/ticket. ``asks`` are the second factors that it wants, ``code`` the good one."""

    def __init__(self, **asks: Any) -> None:
        self.asks = asks
        self.code = CODE
        self.good: set[str] = set()
        self.asked: list[dict[str, Any]] = []
        self.fails: PveError | None = None

    def __call__(self, params: Mapping[str, object], *, repeatable: bool) -> Mapping[str, Any]:
        second = "tfa-challenge" in params
        # What says which code is sent may not be sent twice; everything else may.
        assert repeatable != second
        self.asked.append(dict(params))
        if self.fails and second:
            raise self.fails
        if params["password"] in self.good:
            return self._ticket()
        if params["password"] != (self.code if second else PASSWORD):
            raise error_from_answer("POST", "/access/ticket", 401, "authentication failure", b"")
        if second:
            self.code = ""
        elif self.asks:
            return {"ticket": half(**self.asks), "CSRFPreventionToken": CSRF, "NeedTFA": 1}
        return self._ticket()

    def _ticket(self) -> dict[str, Any]:
        text = f"PVE:joe@pve:{len(self.asked):08X}::signature"
        self.good.add(text)
        return {"ticket": text, "CSRFPreventionToken": CSRF}

    @property
    def kinds(self) -> str:
        """What was asked: by password, by Code, by Ticket."""
        return "".join(
            "C" if "tfa-challenge" in each else "P" if each["password"] == PASSWORD else "T" for each in self.asked
        )


class World:
    """Processes that share a folder, and a clock."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.clock = Clock()
        self.options = dataclasses.replace(OPTIONS, ticket_cache=str(folder), **options)
        self.warnings: list[str] = []

    def log_in(self, **options: Any) -> LogIn:
        changed = dataclasses.replace(self.options, **options)
        # Processes have the wall in common, and each has a clock of its own.
        return LogIn(changed, lambda: self.clock.now + 5000, self.warnings, wall=lambda: self.clock.now)

    @property
    def file(self) -> Path:
        return Path(TicketCache(self.options).path)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "cache" / "tickets")


@pytest.fixture
def coded(tmp_path: Path) -> World:
    return World(tmp_path / "tickets", second_factor=CODE)


# One for all.


def test_who_comes_later_uses_the_ticket(coded: World) -> None:
    pve = Pve(totp=True)
    first = coded.log_in()
    ticket = first.ticket(pve)
    assert first.made
    for more in ({}, {"password": None, "second_factor": None}):
        other = coded.log_in(**more)
        found = other.ticket(pve)
        assert (found.text, found.csrf, other.made) == (ticket.text, CSRF, False)
    assert pve.kinds == "PC"
    assert pve.asked[0] == {"username": "joe@pve", "password": PASSWORD, "new-format": True}
    challenge = half(totp=True)
    assert pve.asked[1] == {"username": "joe@pve", "password": CODE, "tfa-challenge": challenge, "new-format": True}


def test_of_many_at_once_one_logs_in(coded: World) -> None:
    pve, found = Pve(totp=True), []
    threads = [threading.Thread(target=lambda: found.append(coded.log_in().ticket(pve).text)) for unused in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pve.kinds == "PC"
    assert len(found) == 10
    assert len(set(found)) == 1


def test_a_ticket_is_made_of_the_old_one_after_an_hour(coded: World) -> None:
    pve = Pve(totp=True)
    early = coded.log_in()
    early.ticket(pve)
    coded.clock.now += RENEW_AFTER + 1
    late = coded.log_in(password=None, second_factor=None)
    new = late.ticket(pve)
    assert pve.kinds == "PCT"
    # The one that has been at work all the time finds it, too.
    assert early.ticket(pve).text == new.text
    assert late.end(new) == coded.clock.now + LIFETIME


def test_while_another_renews_it_the_old_one_is_good(coded: World) -> None:
    pve = Pve(totp=True)
    old = coded.log_in().ticket(pve)
    coded.clock.now += RENEW_AFTER + 1
    with TicketCache(coded.options).locked(wait=True):
        assert coded.log_in().ticket(pve).text == old.text
    assert pve.kinds == "PC"


@pytest.mark.parametrize("later", [GOOD_FOR + 1, 10 * LIFETIME])
def test_a_ticket_that_is_over_is_not_used(world: World, later: float) -> None:
    pve = Pve()
    world.log_in().ticket(pve)
    world.clock.now += later
    world.log_in().ticket(pve)
    assert pve.kinds == "PP"


def test_a_clock_that_was_put_back_makes_no_ticket_young(coded: World) -> None:
    pve = Pve(totp=True)
    coded.log_in().ticket(pve)
    coded.clock.now -= 10 * LIFETIME
    coded.log_in().ticket(pve)
    assert pve.kinds == "PCT"


def test_without_a_password_somebody_else_has_to_log_in(world: World) -> None:
    pve = Pve()
    with pytest.raises(PveError, match=r"no ticket of joe@pve at https://pve.example.org:8006") as caught:
        world.log_in(password=None).ticket(pve)
    assert "pve_login" in caught.value.hint
    assert not pve.asked


def test_what_pve_refuses_is_forgotten(world: World) -> None:
    pve = Pve()
    own = world.log_in()
    old = own.ticket(pve)
    # Whoever has just got it from PVE has nothing better to try.
    assert not own.over(old)
    other = world.log_in()
    assert other.over(other.ticket(pve))
    new = other.ticket(pve)
    assert (pve.kinds, other.made) == ("PP", True)
    assert world.log_in(password=None).ticket(pve).text == new.text != old.text
    last = world.log_in(password=None)
    assert last.over(last.ticket(pve))
    with pytest.raises(PveError, match="no ticket"):
        last.ticket(pve)
    assert new.text not in world.file.read_text()


def test_a_ticket_that_cannot_be_renewed_is_forgotten(world: World) -> None:
    pve = Pve()
    world.log_in().ticket(pve)
    pve.good.clear()
    world.clock.now += RENEW_AFTER + 1
    for unused in range(2):
        with pytest.raises(PveError, match="no ticket"):
            world.log_in(password=None).ticket(pve)
    assert pve.kinds == "PT"
    world.log_in().ticket(pve)


def test_another_thread_that_was_faster_is_believed(world: World) -> None:
    pve = Pve()
    world.log_in().ticket(pve)
    shared = world.log_in()
    old = shared.ticket(pve)
    for unused in range(2):
        assert shared.over(old)
        new = shared.ticket(pve)
    assert not shared.over(new)
    assert pve.kinds == "PP"


def test_another_process_that_was_faster_is_believed(world: World) -> None:
    pve = Pve()
    world.log_in().ticket(pve)
    slow, fast = world.log_in(), world.log_in()
    for each in (slow, fast):
        assert each.over(each.ticket(pve))
    assert slow.ticket(pve).text == fast.ticket(pve).text
    assert pve.kinds == "PP"


def test_a_ticket_that_is_given_is_used_as_it_is() -> None:
    text = "PVE:joe@pve:65A00000::signature"
    log_in = LogIn(ConnectionOptions("pve", user="joe@pve", ticket=text, csrf_token=CSRF), Clock().read, [])
    ticket = log_in.ticket(Pve())
    assert (ticket.text, ticket.csrf, log_in.over(ticket)) == (text, CSRF, False)
    error = error_from_answer("GET", "/version", 401, "No", b"")
    assert isinstance(error, AuthenticationError)
    log_in.explain(error)
    assert "two hours" in error.hint
    assert "pve_login" in error.hint


# Second factors.


@pytest.mark.parametrize("cached", [True, False])
def test_a_wrong_code_is_told_from_a_wrong_password_and_sent_once(coded: World, cached: bool) -> None:
    pve, more = Pve(totp=True), {} if cached else {"ticket_cache": None}
    log_in = coded.log_in(second_factor="totp:000000", **more)
    with pytest.raises(AuthenticationError) as caught:
        log_in.ticket(pve)
    assert "accepted the password, and then refused the second factor" in caught.value.hint
    assert ("ticket_cache" in caught.value.hint) != cached
    # Neither the same process nor another tries it again: PVE counts.
    for again in (log_in, log_in.anew(), *([coded.log_in(second_factor="totp:000000")] if cached else [])):
        with pytest.raises(PveError, match="has been sent to PVE already"):
            again.ticket(pve)
    assert pve.kinds == "PC"
    coded.log_in().ticket(pve)
    assert pve.kinds == "PCPC"


def test_a_wrong_password_uses_no_code_up(coded: World) -> None:
    pve = Pve(totp=True)
    with pytest.raises(AuthenticationError) as caught:
        coded.log_in(password="wrong").ticket(pve)
    assert "Check the password of joe@pve" in caught.value.hint
    coded.log_in().ticket(pve)
    assert pve.kinds == "TPC"


def test_a_code_is_not_sent_again_when_its_answer_is_lost(coded: World) -> None:
    pve = Pve(totp=True)
    pve.fails = TransportError("Cut.", sent=True, timed_out=True)
    with pytest.raises(TransportError, match=r"whether the second factor was accepted is not known") as caught:
        coded.log_in().ticket(pve)
    assert caught.value.sent
    assert caught.value.timed_out
    assert "used up" in caught.value.hint
    with pytest.raises(PveError, match="has been sent"):
        coded.log_in().ticket(pve)
    assert pve.kinds == "PC"


def test_a_code_that_never_got_out_is_good(coded: World) -> None:
    pve = Pve(totp=True)
    pve.fails = TransportError("Nobody listens.", sent=False)
    with pytest.raises(TransportError, match="Nobody listens"):
        coded.log_in().ticket(pve)
    pve.fails = None
    coded.log_in().ticket(pve)
    assert pve.kinds == "PCPC"


def test_a_code_is_used_even_when_its_ticket_is_over(coded: World) -> None:
    pve = Pve(totp=True, recovery=[0])
    coded.log_in().ticket(pve)
    coded.clock.now += LIFETIME
    with pytest.raises(PveError, match="Give another"):
        coded.log_in().ticket(pve)
    pve.code = "recovery:key"
    coded.log_in(second_factor="recovery:key").ticket(pve)
    assert pve.kinds == "PCPC"


@pytest.mark.parametrize(
    ("asks", "factor", "says"),
    [
        ({"totp": True}, None, r"has a second factor \(totp\), so the password alone"),
        ({"old": True}, None, "has a second factor"),
        ({"webauthn": {"publicKey": {}}}, CODE, "no second factor but webauthn, which takes a browser"),
        ({"webauthn": {"publicKey": {}}, "u2f": {"x": 1}}, None, "u2f and webauthn"),
        ({"recovery": [1], "webauthn": {"x": 1}}, CODE, r"but not totp \(recovery, webauthn\)"),
    ],
)
def test_what_a_log_in_lacks_is_told_and_no_code_lost(
    world: World, asks: dict[str, Any], factor: str | None, says: str
) -> None:
    pve = Pve(**asks)
    for unused in range(2):
        with pytest.raises(PveError, match=says) as caught:
            world.log_in(second_factor=factor).ticket(pve)
        assert "token" in caught.value.hint or "Give one" in caught.value.hint
    assert pve.kinds == "PP"


def test_a_code_that_nobody_asked_for_is_told_of(coded: World) -> None:
    coded.log_in().ticket(Pve())
    assert coded.warnings == ["joe@pve has no second factor: the one that is given was not used."]


def test_an_old_release_is_told(coded: World) -> None:
    def ask(params: Mapping[str, object], *, repeatable: bool) -> Mapping[str, Any]:
        body = {"errors": {"new-format": "property is not defined in schema"}}
        raise error_from_answer(
            "POST", "/access/ticket", 400, "Parameter verification failed.", json.dumps(body).encode()
        )

    with pytest.raises(ParameterError) as caught:
        coded.log_in().ticket(ask)
    assert "7.1" in caught.value.hint


@pytest.mark.parametrize(
    ("ticket", "kinds"),
    [
        (half(totp=True, recovery=[0, 1], yubico=False, webauthn=None), {"totp", "recovery"}),
        (f"PVE:!tfa!{quote(json.dumps({'totp': True}))}:65A00000::x", {"totp"}),
        ("PVE:tfa!joe@pve:65A00000::x", set()),
        ("PVE:!tfa!{:65A00000::x", set()),
        ("PVE:!tfa![1]:65A00000::x", set()),
        ("", set()),
    ],
)
def test_a_half_ticket_says_what_it_lacks(ticket: str, kinds: set[str]) -> None:
    assert challenge_kinds(ticket) == kinds


# Files.


def test_nobody_else_can_read_what_is_kept(coded: World) -> None:
    before = os.umask(0)
    try:
        ticket = coded.log_in().ticket(Pve(totp=True))
    finally:
        os.umask(before)
    folder = coded.file.parent
    assert mode_of(folder) == 0o700
    assert {path.name.rpartition(".")[2] for path in folder.iterdir()} == {"ticket", "lock"}
    assert {mode_of(path) for path in folder.iterdir()} == {0o600}
    text = coded.file.read_text()
    assert coded.file.name.startswith("pve.example.org-8006-joe@pve-")
    assert ticket.text in text
    for secret in (PASSWORD, "123456"):
        assert secret not in text
    log_in = coded.log_in()
    log_in.ticket(Pve())
    said = repr(log_in) + repr(ticket) + repr(TicketCache(coded.options).read())
    assert not any(secret in said for secret in (ticket.text, CSRF, PASSWORD, "123456"))


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701, 0o770])
def test_a_folder_that_is_open_to_others_is_refused(world: World, mode: int) -> None:
    world.file.parent.mkdir(parents=True)
    world.file.parent.chmod(mode)
    pve = Pve()
    with pytest.raises(OptionError, match=rf"open to others \(mode {mode:04o}\).*chmod 700"):
        world.log_in().ticket(pve)
    assert not pve.asked


def test_links_are_refused(world: World, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    world.file.parent.parent.mkdir()
    world.file.parent.symlink_to(elsewhere)
    with pytest.raises(OptionError, match="Links are not followed"):
        world.log_in().ticket(Pve())
    world.file.parent.unlink()
    world.file.parent.mkdir(mode=0o700)
    (elsewhere / "file").touch(mode=0o600)
    world.file.symlink_to(elsewhere / "file")
    with pytest.raises(OptionError, match="is a link"):
        world.log_in().ticket(Pve())
    world.file.unlink()
    (world.file.parent / f".{world.file.stem}.lock").symlink_to(elsewhere / "made")
    with pytest.raises(PveError):
        world.log_in().ticket(Pve())
    assert os.listdir(elsewhere) == ["file"]


def test_a_file_that_is_open_to_others_is_refused(world: World) -> None:
    pve = Pve()
    world.log_in().ticket(pve)
    world.file.chmod(0o640)
    with pytest.raises(OptionError, match=r"open to others \(mode 0640\).*chmod 600"):
        world.log_in().ticket(pve)
    assert pve.kinds == "P"


@AS_ROOT
def test_what_belongs_to_somebody_else_is_refused(world: World) -> None:
    world.log_in().ticket(Pve())
    os.chown(world.file, NOBODY, NOBODY)
    with pytest.raises(OptionError, match="belongs to another user"):
        world.log_in().ticket(Pve())
    os.chown(world.file, 0, 0)
    os.chown(world.file.parent, NOBODY, NOBODY)
    with pytest.raises(OptionError, match="belongs to another user"):
        world.log_in().ticket(Pve())


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\x00", b"[]", b"[" * 100_000, b"null", b'{"key": 1}', b"{}"],
    ids=lambda content: content[:8],
)
def test_what_is_no_ticket_counts_as_none(world: World, content: bytes) -> None:
    pve = Pve()
    world.log_in().ticket(pve)
    world.file.write_bytes(content)
    world.log_in().ticket(pve)
    assert pve.kinds == "PP"


@pytest.mark.parametrize(
    ("name", "value"),
    [("ticket", "PVE:x\r\nEvil: 1"), ("ticket", 7), ("ticket", ""), ("csrf", None), ("since", "now"), ("key", {})],
)
def test_a_file_with_something_wrong_in_it_counts_as_none(world: World, name: str, value: Any) -> None:
    pve = Pve()
    world.log_in().ticket(pve)
    world.file.write_text(json.dumps({**json.loads(world.file.read_text()), name: value}))
    world.log_in().ticket(pve)
    assert pve.kinds == "PP"


@pytest.mark.parametrize(
    "other",
    [
        {"host": "pve2.example.org"},
        {"port": 8007},
        {"user": "ann@pve"},
        {"fingerprint": "AA:BB"},
        {"ca_path": "/ca.pem"},
        {"validate_certs": False},
    ],
    ids=str,
)
def test_a_ticket_goes_to_nobody_else(world: World, other: dict[str, Any]) -> None:
    pve = Pve()
    world.log_in().ticket(pve)
    changed = dataclasses.replace(world.options, **other)
    path = Path(TicketCache(changed).path)
    assert path != world.file
    # Not even when it is put there.
    path.write_bytes(world.file.read_bytes())
    path.chmod(0o600)
    assert TicketCache(changed).read().ticket is None


def test_names_are_harmless(tmp_path: Path) -> None:
    options = dataclasses.replace(OPTIONS, host="2001:db8::1", user="../ö$(x)" + "y" * 300 + "@pve", ticket_cache="/c")
    path = TicketCache(options).path
    assert os.path.dirname(path) == "/c"
    assert os.path.basename(path).startswith("2001_db8__1-8006-..____x_yyy")
    assert len(os.path.basename(path)) < 130


def test_a_run_that_is_killed_leaves_a_whole_file_and_no_lock(coded: World) -> None:
    """At every step of a log-in over what is there already, the next one finds the old or the new, and goes on."""
    step, seen, pve = 0, set(), Pve(totp=True, recovery=[0])

    def again(code: str = "recovery:key") -> None:
        pve.code = code
        coded.log_in(second_factor=code).ticket(pve)

    while True:
        step += 1
        coded.file.unlink(missing_ok=True)
        again(CODE)
        coded.clock.now += LIFETIME
        if not killed_at(step, again):
            break
        content = json.loads(coded.file.read_text())
        assert mode_of(coded.file) == 0o600
        noted = content["used"] == coded.log_in(second_factor="recovery:key")._mark()
        seen.add((content["ticket"] is not None, noted))
        if noted and not content["ticket"]:
            with pytest.raises(PveError, match="has been sent"):
                again()
        again("recovery:next" if noted else "recovery:key")
        assert coded.log_in(password=None, second_factor=None).ticket(pve)
    assert step > 15
    # The old one, which is over; nothing; a code that is about to be sent; the new one.
    assert len(seen) == 4


def test_tickets_can_be_removed(world: World) -> None:
    world.log_in().ticket(Pve())
    pve = Pve()
    world.log_in(fingerprint="AA:BB").ticket(pve)
    folder = world.file.parent
    (folder / "mine.ticket").touch()
    (folder / "other-0123456789ab.ticket").touch(mode=0o600)
    (folder / f".{world.file.stem}.new").touch(mode=0o600)
    found = cached_tickets(str(folder))
    assert {(each.host, each.port, each.user) for each in found} == {
        ("pve.example.org", 8006, "joe@pve"),
        (None, None, None),
    }
    assert len(found) == 3
    for each in found:
        forget_ticket(each.path)
    assert os.listdir(folder) == ["mine.ticket"]
    assert cached_tickets(str(folder / "missing")) == []
    # Who waited for the lock that went with it gets another one.
    world.log_in().ticket(pve)
