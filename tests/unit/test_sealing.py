"""What is sealed for one reader is for nobody else, and what a task tells of its places comes back whole."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from pathlib import Path

import pytest
from ansible_collections.homelab.pve.plugins.module_utils import sealing
from ansible_collections.homelab.pve.plugins.module_utils.carried import Answer, CarriedPlaces, seen_of
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError, PveError
from ansible_collections.homelab.pve.plugins.module_utils.sealing import KeyPair
from ansible_collections.homelab.pve.plugins.module_utils.secret_file import SecretPlace

SECRET = "0b1f0000-0000-4000-8000-000000000001"
MARKER = {"tokenid": "joe@pve!ci", "fields": {}, "was": {}}


def test_the_group_is_the_one_of_rfc_3526() -> None:
    prime = sealing._PRIME
    for number in (prime, (prime - 1) // 2):
        assert all(pow(base, number - 1, number) == 1 for base in (2, 3, 5)), "it is no prime"
    assert prime >> 1984 == prime & (1 << 64) - 1 == (1 << 64) - 1
    assert (prime >> 64) % (1 << 8) == 0x68


def test_only_the_reader_can_read() -> None:
    reader, writer, other = KeyPair(), KeyPair(), KeyPair()
    sealed = writer.seal(SECRET, reader.public, "1")
    assert reader.unseal(sealed, writer.public, "1") == SECRET
    assert SECRET.encode().hex() not in sealed
    assert writer.seal(SECRET, reader.public, "2") != sealed
    for keys, label in ((other, "1"), (reader, "2")):
        with contextlib.suppress(PveError):
            assert keys.unseal(sealed, writer.public, label) != SECRET
    assert SECRET not in repr(reader)


@pytest.mark.parametrize("public", ["0", "1", f"{sealing._PRIME - 1:x}", f"{sealing._PRIME:x}", "no number"])
def test_a_key_that_gives_everything_away_is_refused(public: str) -> None:
    with pytest.raises(PveError, match="changed on its way"):
        KeyPair().unseal("00" * 36, public, "1")


def told(places: CarriedPlaces) -> str:
    text: str = places.told({})["_keeping"]
    return text


class There:
    """One place, and the task's side of it."""

    def __init__(self, folder: Path, written: dict[str, object] | None = None) -> None:
        folder.chmod(0o700)
        self.place = SecretPlace(str(folder / "secret"))
        self.keys = KeyPair()
        seen = {**seen_of(self.place, tried=True), "written": written}
        carried = {"only_plan": False, "public": self.keys.public, "places": {self.place.path: seen}}
        self.task = CarriedPlaces(carried)
        self.carried = self.task.place_at(self.place.path)

    def repeat(self) -> None:
        Answer(told(self.task), self.keys, [self.place.path]).repeat(self.place)


def test_what_a_task_does_is_done_in_the_place(tmp_path: Path) -> None:
    there = There(tmp_path, MARKER)
    assert not there.carried.exists
    there.place.write_marker(MARKER)
    there.carried.write_marker(MARKER)
    there.carried.store(SECRET)
    there.carried.note("born", {"since": 1})
    assert (there.carried.exists, there.carried.read(), there.carried.noted("born")) == (True, SECRET, {"since": 1})
    assert SECRET not in told(there.task)
    there.carried.clear_marker()
    there.repeat()
    assert (there.place.read(), there.place.noted("born")) == (SECRET, {"since": 1})
    assert there.carried.digest() == there.place.digest()
    assert there.place.read_marker() is None
    assert sorted(os.listdir(tmp_path)) == [".secret.born", "secret"]


def test_a_marker_that_was_cleared_and_written_once_more_stays(tmp_path: Path) -> None:
    there = There(tmp_path, MARKER)
    there.place.write_marker(MARKER)
    there.carried.write_marker(MARKER)
    there.carried.clear_marker()
    there.carried.write_marker(MARKER)
    there.repeat()
    there.place.release()
    assert there.place.read_marker() == MARKER


def test_nothing_is_asked_for_that_the_marker_does_not_say(tmp_path: Path) -> None:
    there = There(tmp_path, MARKER)
    for content in ({**MARKER, "fields": {"expire": 1}}, {**MARKER, "was": {"expire": 1}}):
        with pytest.raises(PveError, match="things have changed meanwhile"):
            there.carried.write_marker(content)
    there.carried.write_marker(MARKER)
    # Once more, after an answer was lost: what was before may be another by now.
    there.carried.write_marker({**MARKER, "was": {"expire": 1}}, MARKER)
    assert not Answer(told(There(tmp_path).task), there.keys, [there.place.path]).used_marker(there.place.path)


def test_a_file_that_holds_something_else_is_told_only_where_it_matters(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("no secret\n")
    (tmp_path / "secret").chmod(0o600)
    there = There(tmp_path)
    assert there.carried.exists
    with pytest.raises(OptionError, match="does not hold exactly one token secret"):
        there.carried.read()
    with pytest.raises(OptionError, match="no file that this task was told of"):
        there.task.place_at("/elsewhere")


def packed(**more: object) -> str:
    return base64.b64encode(json.dumps({"markers": None, "public": "a", "steps": [], **more}).encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        *("", "e30=", "?", "bnVsbA==", base64.b64encode(b"[" * 100000).decode()),
        packed(steps=3),
        packed(steps=["store"]),
        packed(steps=[{"action": "store", "path": "/p"}]),
        packed(steps=[{"action": "store", "path": "/p", "sealed": 1}]),
        packed(steps=[{"action": "discard_staged", "path": "/another"}]),
        packed(steps=[{"action": "note", "path": "/p", "kind": "../x", "content": {}}]),
        packed(steps=[{"action": "note", "path": "/p", "kind": "born", "content": "x"}]),
        packed(markers={"/another": {}}),
        packed(markers={"/p": "x"}),
    ],
)
def test_an_answer_that_no_task_gives_is_refused(text: str) -> None:
    with pytest.raises(PveError, match="cannot be read"):
        Answer(text, KeyPair(), ["/p"])


def test_what_is_no_secret_is_not_kept(tmp_path: Path) -> None:
    there = There(tmp_path, MARKER)
    there.carried.store("short")
    with pytest.raises(PveError, match="is no token secret"):
        there.repeat()
    assert not there.place.exists
