import errno
import os
from pathlib import Path

import pytest

from forensics.errors import CaseError, StorageError
from forensics.evidence import storage
from forensics.evidence.storage import create_folder, is_plain_name, read_folder, recover_folder, replace_folder

OLD = {"bagit.txt": b"old", "data/evidence.json": b"1", "data/only-old.txt": b"x"}
NEW = {"bagit.txt": b"new", "data/evidence.json": b"2", "data/pool/0000.png": b"\x00"}
CALLS = ("mkdir", "fsync", "rename", "unlink", "rmdir", "open")


class Killed(BaseException):
    """Stands for SIGKILL: nothing may run after it, so no handler for ordinary errors may catch it."""


def kill_at(monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
    """Lets `moment` calls to the operating system through and dies instead of the next, as all later ones do."""
    calls = iter(range(1 << 20))

    def dying(name: str):
        original = getattr(os, name)

        def call(*arguments, **options):
            if next(calls) >= moment:
                raise Killed
            return original(*arguments, **options)

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, dying(name))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    create_folder(tmp_path / "deep" / "CASE", OLD)
    assert read_folder(tmp_path / "deep" / "CASE") == OLD
    replace_folder(tmp_path / "deep" / "CASE", NEW)
    assert read_folder(tmp_path / "deep" / "CASE") == NEW
    assert [entry.name for entry in (tmp_path / "deep").iterdir()] == ["CASE"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "nowhere").mkdir()
    for name in ("file", "folder", "dangling"):
        with pytest.raises(CaseError, match="exists already"):
            create_folder(tmp_path / name, NEW)


def test_what_is_not_there_cannot_be_replaced(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="is no folder"):
        replace_folder(tmp_path / "CASE", NEW)


def run_killed(path: Path, action, moment: int) -> bool:
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, moment)
        try:
            action(path, NEW)
        except Killed:
            return True
    return False


def test_a_kill_at_any_call_of_a_replacement_leaves_old_or_new(tmp_path: Path) -> None:
    seen = set()
    for moment in range(200):
        path = tmp_path / f"{moment}" / "CASE"
        create_folder(path, OLD)
        killed = run_killed(path, replace_folder, moment)
        recover_folder(path)
        content = read_folder(path)
        assert content in (OLD, NEW)
        assert [entry.name for entry in path.parent.iterdir()] == ["CASE"]
        seen.add(content == NEW)
        if not killed:
            break
    assert not killed
    assert seen == {True, False}
    assert moment > 20


def test_a_kill_during_recovery_is_recovered_too(tmp_path: Path) -> None:
    for moment in range(8, 60):
        for second in range(8):
            path = tmp_path / f"{moment}-{second}" / "CASE"
            create_folder(path, OLD)
            if not run_killed(path, replace_folder, moment):
                return
            run_killed(path, lambda place, _: recover_folder(place), second)
            recover_folder(path)
            assert read_folder(path) in (OLD, NEW)
            assert [entry.name for entry in path.parent.iterdir()] == ["CASE"]


def test_a_kill_at_any_call_of_a_first_writing_leaves_nothing_or_all(tmp_path: Path) -> None:
    for moment in range(200):
        path = tmp_path / f"{moment}" / "CASE"
        killed = run_killed(path, create_folder, moment)
        recover_folder(path)
        assert not path.exists() or read_folder(path) == NEW
        if not path.exists():
            create_folder(path, NEW)
        assert [entry.name for entry in path.parent.iterdir()] == ["CASE"]
        if not killed:
            break
    assert not killed
    assert moment > 10


@pytest.mark.parametrize(
    ("number", "message"), [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "disk is full"), (errno.EROFS, "cannot be")]
)
@pytest.mark.parametrize("call", ["fsync", "mkdir", "rename"])
def test_a_failing_disk_leaves_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, message: str, call: str
) -> None:
    path = tmp_path / "CASE"
    create_folder(path, OLD)

    def failing(*arguments, **options):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(StorageError, match=message):
            replace_folder(path, NEW)
        with pytest.raises(StorageError, match=message):
            create_folder(tmp_path / "OTHER", NEW)
    assert [entry.name for entry in tmp_path.iterdir()] == ["CASE"]
    assert read_folder(path) == OLD


def test_a_file_system_without_locks_is_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    monkeypatch.setattr(storage.fcntl, "flock", refuse)
    create_folder(tmp_path / "CASE", OLD)
    replace_folder(tmp_path / "CASE", NEW)
    assert read_folder(tmp_path / "CASE") == NEW


def test_a_disk_that_fails_between_the_renames_is_recovered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "CASE"
    create_folder(path, OLD)
    original, calls = os.rename, iter(range(9))

    def failing(source, target, **options):
        if next(calls) == 1:
            raise OSError(errno.EIO, "Input/output error")
        return original(source, target, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", failing)
        with pytest.raises(StorageError):
            replace_folder(path, NEW)
    recover_folder(path)
    assert read_folder(path) == NEW


@pytest.mark.parametrize(
    "name", ["../x", "/x", "a//b", "a/", "", ".hidden", "-rf", "a/.b", "ä", "a\nb", "a b", "a/" * 7 + "a"]
)
def test_odd_names_are_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    assert not is_plain_name(name)
    with pytest.raises(CaseError, match="named"):
        create_folder(tmp_path / "CASE", {name: b""})
    assert list(tmp_path.iterdir()) == []


def odd_folder(path: Path, kind: str) -> None:
    create_folder(path, OLD)
    match kind:
        case "link":
            (path / "data" / "link").symlink_to("/etc/passwd")
        case "folder link":
            (path / "data" / "link").symlink_to(path)
        case "pipe":
            os.mkfifo(path / "data" / "pipe")
        case "empty folder":
            (path / "data" / "empty").mkdir()
        case "hidden":
            (path / "data" / ".hidden").write_bytes(b"")
        case "not utf-8":
            (path / os.fsdecode(b"\xff\xfe")).write_bytes(b"")
        case "huge":
            with (path / "data" / "huge").open("wb") as stream:
                stream.truncate(1 << 43)
        case "deep":
            (path / "/".join("a" * 20)).mkdir(parents=True)


@pytest.mark.parametrize("kind", ["link", "folder link", "pipe", "empty folder", "hidden", "not utf-8", "huge", "deep"])
def test_what_no_case_holds_is_refused_when_read(tmp_path: Path, kind: str) -> None:
    odd_folder(tmp_path / "CASE", kind)
    with pytest.raises(CaseError):
        read_folder(tmp_path / "CASE")


def test_too_many_or_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_folder(tmp_path / "CASE", OLD)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "COUNT_LIMIT", 2)
        with pytest.raises(CaseError, match="more than 2"):
            read_folder(tmp_path / "CASE")
    monkeypatch.setattr(storage, "TOTAL_LIMIT", 4)
    with pytest.raises(CaseError, match="larger than"):
        read_folder(tmp_path / "CASE")


def test_a_missing_folder_or_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for name in ("file", "nothing"):
        with pytest.raises(CaseError, match="cannot be read"):
            read_folder(tmp_path / name)
