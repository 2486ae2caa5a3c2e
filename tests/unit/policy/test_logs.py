"""Access logs of PVE's web server: what they tell about who used the API, and from when to when."""

from __future__ import annotations

import calendar

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError
from ansible_collections.homelab.pve.plugins.module_utils.policy.logs import AccessLogs, parse_logs
from ansible_collections.homelab.pve.tests.unit.examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

REQUEST = '"GET /api2/json/version HTTP/1.1" 200 91'


def line(who: str, when: str, request: str = REQUEST) -> str:
    return f"::ffff:192.168.40.82 - {who} [{when}] {request}\n"


def at(*moment: int) -> int:
    return calendar.timegm((*moment, 0, 0, 0, 0, 0)[:9])


def test_who_was_there_last() -> None:
    text = (
        line("joe@pve!ci", "20/11/2026:08:00:01 +0000")
        + line("-", "20/11/2026:09:00:00 +0000", '"GET /api2/json/version HTTP/1.1" 401 -')
        + line("root@pam", "21/11/2026:10:00:00 +0000", '"POST /api2/extjs/access/ticket HTTP/1.1" 200 684')
        + line("joe@pve!ci", "19/11/2026:08:00:01 +0000")
    )
    assert parse_logs([("access.log", text)]) == AccessLogs(
        {"joe@pve!ci": at(2026, 11, 20, 8, 0, 1), "root@pam": at(2026, 11, 21, 10)},
        since=at(2026, 11, 19, 8, 0, 1),
        until=at(2026, 11, 21, 10),
        sources=1,
        lines=4,
        unread=0,
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        pytest.param("21/11/2026:00:30:00 +0100", at(2026, 11, 20, 23, 30), id="east"),
        pytest.param("20/11/2026:20:30:00 -0330", at(2026, 11, 21, 0, 0), id="west, by half an hour"),
        pytest.param("01/Mar/2024:00:00:00 +0000", at(2024, 3, 1), id="the name of a month"),
        pytest.param("29/02/2024:12:00:00 +0000", at(2024, 2, 29, 12), id="a leap day"),
    ],
)
def test_times_are_those_of_their_zones(written: str, meant: int) -> None:
    assert parse_logs([("access.log", line("joe@pve!ci", written))]).last_used == {"joe@pve!ci": meant}


def test_files_of_one_node_belong_together_and_each_node_counts() -> None:
    logs = parse_logs(
        [
            ("logs/pve1/access.log", line("a@pve!one", "20/11/2026:00:00:00 +0000")),
            ("logs/pve1/access.log.2.gz", line("a@pve!one", "01/11/2026:00:00:00 +0000")),
            ("logs/pve2/access.log.1", line("a@pve!two", "15/11/2026:00:00:00 +0000")),
            ("logs/pve2/access.log", line("a@pve!one", "18/11/2026:00:00:00 +0000")),
        ]
    )
    assert logs.sources == 2
    assert (logs.since, logs.until) == (at(2026, 11, 15), at(2026, 11, 18))
    assert logs.last_used == {"a@pve!one": at(2026, 11, 20), "a@pve!two": at(2026, 11, 15)}


def test_files_of_other_names_are_of_nodes_of_their_own() -> None:
    text = line("a@pve!one", "20/11/2026:00:00:00 +0000")
    assert parse_logs([("pve1.log", text), ("pve1.log.1.gz", text), ("pve2.log", text)]).sources == 2


def test_what_cannot_be_read_is_counted() -> None:
    good = line("a@pve!one", "20/11/2026:00:00:00 +0000")
    damaged = ["\0\0\0\n", "a line without anything\n", line("x@pve!y", "31/02/2026:00:00:00 +0000")]
    logs = parse_logs([("access.log", good * 200 + damaged[0] + "\n")])
    assert (logs.lines, logs.unread, logs.doubtful) == (200, 1, False)
    logs = parse_logs([("access.log", good + "".join(damaged))])
    assert (logs.lines, logs.unread, logs.doubtful) == (1, 3, True)
    assert logs.last_used.keys() == {"a@pve!one"}


def test_lines_of_times_to_come_say_nothing() -> None:
    good, ahead = (line("a@pve!one", f"20/11/{year}:00:00:00 +0000") for year in (2026, 2090))
    now = at(2026, 11, 21)
    with pytest.raises(OptionError, match=r"access.log: the lines are of times to come, the last of 2090-11-20"):
        parse_logs([("access.log", ahead)], now)
    logs = parse_logs([("access.log", good + ahead)], now)
    assert (logs.last_used["a@pve!one"], logs.until) == (at(2026, 11, 20), at(2026, 11, 20))
    assert (logs.unread, logs.doubtful) == (1, True)
    # Clocks are never quite the same.
    assert parse_logs([("access.log", good)], at(2026, 11, 19) + 3600 * 23).lines == 1


@pytest.mark.parametrize(
    ("files", "said"),
    [
        pytest.param([], "no line", id="no file"),
        pytest.param([("access.log", "\n")], "no line", id="an empty file"),
        pytest.param(
            [("syslog", "Nov 20 00:00:00 pve1 pvedaemon[1]: starting\n")], "syslog is no access log", id="other"
        ),
        pytest.param(
            [("access.log", line("a@pve!b", "20/11/2026:00:00:00 +0000")), ("x", "?\n")],
            "x is no access log",
            id="one of two",
        ),
    ],
)
def test_what_is_no_access_log_is_refused(files: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        parse_logs(files)


@given(st.lists(st.text(alphabet='-[]/:+0123456789 "\n@!a', max_size=60), max_size=6))
@settings(max_examples=examples(40), deadline=None, derandomize=True)
def test_no_text_breaks_it(texts: list[str]) -> None:
    good = line("a@pve!one", "20/11/2026:00:00:00 +0000")
    logs = parse_logs([("access.log", good + "".join(texts))])
    assert logs.lines >= 1
    assert logs.since <= logs.until
