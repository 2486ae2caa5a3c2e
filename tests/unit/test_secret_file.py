"""Secret files: what is refused, and that no secret is lost at whatever point the writer is killed."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils import secret_file
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError, PveError
from ansible_collections.homelab.pve.plugins.module_utils.secret_file import SecretPlace, read_secret

OLD = "00000000-1111-2222-3333-444444444444"
NEW = "01234567-89ab-cdef-0123-456789abcdef"
MARKER = {"token": "joe@pve!ci", "host": "192.0.2.1", "acl": [{"path": "/", "ugid": "joe@pve!ci"}] * 200}
NOBODY = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user, which takes root")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own = tmp_path / "secrets"
    own.mkdir(mode=0o700)
    return own


def write(path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("content", [NEW, NEW + "\n", NEW + "\r\n"])
def test_a_secret_is_read(folder: Path, content: str) -> None:
    assert read_secret(str(write(folder / "s", content))) == NEW


def test_the_home_folder_is_expanded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    write(folder / "s", NEW)
    assert read_secret("~/s") == NEW
    assert SecretPlace("~/s").path == str(folder / "s")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        (NEW.upper(), "does not hold exactly one"),
        (f" {NEW}\n", "does not hold exactly one"),
        (f"{NEW}\n\n", "does not hold exactly one"),
        (f"{NEW}\n{OLD}\n", "does not hold exactly one"),
        (f"joe@pve!ci={NEW}\n", "does not hold exactly one"),
        (f'"{NEW}"\n', "does not hold exactly one"),
        (b"\xff\xfe" + NEW.encode(), "does not hold exactly one"),
        (NEW + "\n" + "x" * 100_000, "does not hold exactly one"),
    ],
)
def test_what_is_no_secret_is_refused_unquoted(folder: Path, content: str | bytes, problem: str) -> None:
    with pytest.raises(OptionError, match=problem) as caught:
        read_secret(str(write(folder / "s", content)))
    assert NEW not in str(caught.value).lower()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o601])
def test_a_file_open_to_others_is_refused_with_the_command_to_run(folder: Path, mode: int) -> None:
    path = write(folder / "my secret", NEW, mode)
    with pytest.raises(OptionError) as caught:
        read_secret(str(path))
    assert f"chmod 600 '{path}'" in caught.value.hint


def test_a_link_is_not_followed(folder: Path) -> None:
    write(folder / "s", NEW)
    (folder / "link").symlink_to("s")
    with pytest.raises(OptionError, match="is a link"):
        read_secret(str(folder / "link"))


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_only_regular_files_are_read(folder: Path, make: Callable[[Path], None]) -> None:
    make(folder / "s")
    with pytest.raises(OptionError, match="not a regular file"):
        read_secret(str(folder / "s"))
    with pytest.raises(OptionError, match="not a regular file"):
        SecretPlace(str(folder / "s")).check()


def test_a_missing_file_is_named(folder: Path) -> None:
    with pytest.raises(OptionError, match="secrets/s does not exist"):
        read_secret(str(folder / "s"))


@AS_ROOT
def test_files_and_folders_of_others_are_refused(folder: Path) -> None:
    path = write(folder / "s", NEW)
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(OptionError, match="belongs to another user"):
        read_secret(str(path))
    with pytest.raises(OptionError, match="belongs to another user"):
        SecretPlace(str(path)).check()
    os.chown(folder, NOBODY, NOBODY)
    with pytest.raises(OptionError, match=r"folder .* belongs to another user"):
        SecretPlace(str(folder / "other")).check()


@AS_ROOT
def test_a_folder_that_is_not_writable_is_refused_before_anything_is_made() -> None:
    # Not below pytest's own folder: that one is closed to other users.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)

        def check() -> None:
            os.seteuid(NOBODY)
            SecretPlace(f"{folder}/s").check()

        assert "is not writable" in in_child(check)


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777])
def test_a_folder_that_others_can_write_is_refused(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    with pytest.raises(OptionError, match="can be written by others") as caught:
        SecretPlace(str(folder / "s")).check()
    assert f"chmod go-w {folder}" in caught.value.hint


def test_a_folder_that_is_missing_or_a_link_is_refused(folder: Path) -> None:
    with pytest.raises(OptionError, match="is missing") as caught:
        SecretPlace(str(folder / "none" / "s")).check()
    assert f"mkdir -m 700 {folder}/none" in caught.value.hint
    (folder / "link").symlink_to(folder)
    with pytest.raises(OptionError, match="name the folder itself"):
        SecretPlace(str(folder / "link" / "s")).check()
    with pytest.raises(OptionError, match="is a folder"):
        SecretPlace(f"{folder}/")


def test_what_is_no_secret_file_is_not_replaced(folder: Path) -> None:
    write(folder / "s", "x" * 5000)
    with pytest.raises(OptionError, match="too long"):
        SecretPlace(str(folder / "s")).check()
    (folder / "link").symlink_to("elsewhere")
    with pytest.raises(OptionError, match="is a link"):
        SecretPlace(str(folder / "link")).check()


def test_checking_writes_nothing_and_proving_leaves_nothing(folder: Path) -> None:
    place = SecretPlace(str(folder / "s"))
    place.check()
    before = folder.stat().st_mtime_ns
    place.check()
    assert folder.stat().st_mtime_ns == before
    place.prove()
    assert list(folder.iterdir()) == []


def test_a_full_disk_shows_before_there_is_a_secret(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(secret_file.os, "write", full)
    with pytest.raises(PveError, match="No space left on device"):
        SecretPlace(str(folder / "s")).prove()
    assert list(folder.iterdir()) == []


def test_a_secret_is_stored_closed_whatever_the_umask(folder: Path) -> None:
    place = SecretPlace(str(folder / "s"))
    for umask in (0o000, 0o277):
        previous = os.umask(umask)
        try:
            place.store(NEW)
        finally:
            os.umask(previous)
        assert (folder / "s").read_text() == NEW + "\n"
        assert mode_of(folder / "s") == 0o600
    assert place.exists
    assert place.read() == NEW
    assert [path.name for path in folder.iterdir()] == ["s"]


def test_what_was_there_before_is_kept_aside(folder: Path) -> None:
    place = SecretPlace(str(write(folder / "s", "something old\n", 0o644)))
    place.store(NEW)
    assert (folder / "s.previous").read_text() == "something old\n"
    assert mode_of(folder / "s.previous") == 0o600
    place.discard_previous()
    place.discard_previous()
    assert [path.name for path in folder.iterdir()] == ["s"]


def test_only_secrets_are_stored_and_the_error_does_not_quote(folder: Path) -> None:
    with pytest.raises(PveError) as caught:
        SecretPlace(str(folder / "s")).store(NEW.upper())
    assert NEW.upper() not in str(caught.value)


def test_a_secret_is_removed(folder: Path) -> None:
    place = SecretPlace(str(write(folder / "s", NEW)))
    place.remove()
    place.remove()
    assert not place.exists


def test_a_marker_is_written_once(folder: Path) -> None:
    place = SecretPlace(str(folder / "s"))
    assert place.read_marker() is None
    place.write_marker(MARKER)
    assert place.read_marker() == MARKER
    assert mode_of(folder / ".s.pending") == 0o600
    with pytest.raises(PveError, match="is there already"):
        place.write_marker({"token": "other"})
    assert place.read_marker() == MARKER
    place.clear_marker()
    place.clear_marker()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "[1]", b"\xff", "[" * 100000])
def test_a_marker_of_another_hand_is_not_believed(folder: Path, content: str | bytes) -> None:
    write(folder / ".s.pending", content)
    with pytest.raises(OptionError, match="not readable as a marker"):
        SecretPlace(str(folder / "s")).read_marker()
    (folder / ".s.pending").chmod(0o666)
    with pytest.raises(OptionError, match="is open to others"):
        SecretPlace(str(folder / "s")).read_marker()


def test_a_staged_secret_is_put_in_place_or_discarded(folder: Path) -> None:
    place = SecretPlace(str(write(folder / "s", OLD)))
    with pytest.raises(PveError, match="no unfinished secret"):
        place.promote()
    write(folder / ".s.new", NEW + "\n")
    assert place.staged() == NEW
    place.promote()
    assert place.read() == NEW
    assert read_secret(place.previous_path) == OLD
    assert place.staged() is None
    write(folder / ".s.new", OLD + "\n")
    place.discard_staged()
    assert place.staged() is None
    assert place.read() == NEW


def test_storing_does_not_overwrite_a_staged_secret(folder: Path) -> None:
    place = SecretPlace(str(folder / "s"))
    write(folder / ".s.new", OLD + "\n")
    place.store(NEW)
    assert place.read() == NEW
    assert read_secret(place.previous_path) == OLD


def test_a_beginning_without_an_end_is_no_staged_secret(folder: Path) -> None:
    place = SecretPlace(str(folder / "s"))
    write(folder / ".s.new", NEW[:20])
    assert place.staged() is None
    place.store(NEW)
    assert place.read() == NEW


def in_child(action: Callable[[], None]) -> str:
    """Run ``action`` in a process of its own; return what it raised, or the word that it died with."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            action()
            os.write(writing, b"done")
        except PveError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read().decode()
    os.waitpid(child, 0)
    return said or "killed"


STEPS = ("open", "fchmod", "write", "fsync", "close", "rename", "unlink", "link")


def killed_at(step: int, action: Callable[[], None]) -> bool:
    """Run ``action`` in a child that dies at its ``step``-th call of the system; a write then is half done.

    Returns whether it got that far.
    """

    def run() -> None:
        count = 0

        def dying(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
            def wrapped(*arguments: Any, **keywords: Any) -> Any:
                nonlocal count
                count += 1
                if count == step:
                    if name == "write":
                        call(arguments[0], arguments[1][: len(arguments[1]) // 2])
                    os._exit(0)
                return call(*arguments, **keywords)

            return wrapped

        originals = {name: getattr(os, name) for name in STEPS}
        for name, call in originals.items():
            setattr(os, name, dying(name, call))
        try:
            action()
        finally:
            for name, call in originals.items():
                setattr(os, name, call)

    said = in_child(run)
    assert said in ("done", "killed"), said
    return said == "killed"


@pytest.mark.parametrize("old", [None, OLD])
def test_storing_can_be_killed_at_every_step(folder: Path, old: str | None) -> None:
    step, seen = 0, set()
    while True:
        step += 1
        for path in folder.iterdir():
            path.unlink()
        if old:
            write(folder / "s", old + "\n")
        place = SecretPlace(str(folder / "s"))
        if not killed_at(step, lambda place=place: place.store(NEW)):
            break
        stands = place.read() if place.exists else None
        assert stands in (old, NEW)
        assert all(mode_of(path) == 0o600 for path in folder.iterdir())
        seen.add((stands == NEW, place.staged() == NEW))
        # The next run finishes what it finds, or asks for a new secret; either way the old one is kept.
        place.promote() if place.staged() else place.store(NEW)
        assert place.read() == NEW
        if old:
            assert read_secret(place.previous_path) == OLD
        assert {path.name for path in folder.iterdir()} <= {"s", "s.previous", ".s.tmp"}
    assert step > 10
    assert seen == {(False, False), (False, True), (True, False)}


def test_a_marker_is_whole_or_absent_whenever_its_writer_is_killed(folder: Path) -> None:
    step, seen = 0, set()
    place = SecretPlace(str(folder / "s"))
    while killed_at(step := step + 1, lambda: place.write_marker(MARKER)):
        marker = place.read_marker()
        assert marker in (None, MARKER)
        seen.add(marker is None)
        place.clear_marker()
        place.write_marker(MARKER)
        assert place.read_marker() == MARKER
        place.clear_marker()
    assert seen == {True, False}


def test_two_runs_at_once_do_not_disturb_each_other(folder: Path) -> None:
    place = SecretPlace(str(folder / "s"))
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            try:
                for unused in range(20):
                    place.store(f"{number:08d}-0000-0000-0000-000000000000")
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert place.read().endswith("-0000-0000-0000-000000000000")


def test_notes_stand_beside_the_secret_and_are_closed(folder: Path) -> None:
    place = SecretPlace(str(folder / "s"))
    assert place.noted("born") is None
    place.note("born", {"since": 1})
    place.note("born", {"since": 2})
    assert place.noted("born") == {"since": 2}
    assert mode_of(folder / ".s.born") == 0o600
    assert sorted(path.name for path in folder.iterdir()) == [".s.born"]
    place.forget("born")
    place.forget("born")
    assert place.noted("born") is None


@pytest.mark.parametrize("content", ["", "[1", "[]", b"\xff", '{"a":' * 100000])
def test_what_is_no_note_is_none(folder: Path, content: str | bytes) -> None:
    write(folder / ".s.born", content)
    assert SecretPlace(str(folder / "s")).noted("born") is None
