"""Folders that appear, change and are read as a whole: a kill at any moment leaves the old state or the new."""

import errno
import fcntl
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from forensics.errors import CaseError, StorageError

FILE_LIMIT = 512 << 20
"""Largest file that is read, in bytes."""

TOTAL_LIMIT = 1 << 30
"""Largest sum of files that is read, in bytes."""

COUNT_LIMIT = 100_000
"""Most files and folders that are read."""

_DEPTH_LIMIT = 6
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,5}")
_NO_LOCKS = frozenset({errno.EBADF, errno.ENOLCK, errno.ENOTSUP, errno.EINVAL})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def is_plain_name(name: str) -> bool:
    """Tells whether a relative path uses only ASCII letters, digits and `._-`, no part starting with a dot or dash."""
    return _NAME.fullmatch(name) is not None


def create_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Writes a folder that does not exist yet, atomically.

    Args:
        path: where it shall appear.
        files: content by relative path.

    Raises:
        CaseError: something of that name exists, a file's name is not plain, or a file is larger than is read.
        StorageError: the disk is full or the place cannot be written.
    """
    path = path.resolve()
    _refuse_odd_files(files)
    with _storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.parent):
            _recover(path)
            if os.path.lexists(path):
                raise CaseError(f"{path} exists already.", "Choose another name; nothing is ever overwritten.")
            _build(_draft(path), files)
            _rename(_draft(path), path)


def replace_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Replaces a folder by another, atomically; `recover_folder` puts right what a kill leaves behind.

    Raises:
        CaseError: there is no such folder, a file's name is not plain, or a file is larger than is read.
        StorageError: the disk is full or the place cannot be written; the old folder is unchanged.
    """
    path = path.resolve()
    _refuse_odd_files(files)
    with _storing(path), _locked(path.parent):
        _recover(path)
        if not path.is_dir():
            raise CaseError(f"{path} is no folder.", "Check the name.")
        _build(_draft(path), files)
        _rename(path, _previous(path))
        _rename(_draft(path), path)
        shutil.rmtree(_previous(path))


def recover_folder(path: Path) -> None:
    """Finishes or rolls back a replacement that was interrupted; writes nothing where there was none.

    Raises:
        StorageError: the place cannot be written.
    """
    path = path.resolve()
    if _draft(path).is_dir() or _previous(path).is_dir():
        with _storing(path), _locked(path.parent):
            _recover(path)


def read_folder(path: Path) -> dict[str, bytes]:
    """Reads every file of a folder, within limits, following no link.

    Returns:
        Content by relative path with `/`, sorted by path.

    Raises:
        CaseError: a link, device, empty folder, odd name, or more than the limits allow.
    """
    try:
        return _read_all(path)
    except OSError as error:
        raise CaseError(f"{path} cannot be read: {error.strerror}.", "Check the name and the permissions.") from error


def _read_all(path: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    room = TOTAL_LIMIT
    for count, (name, kind, size) in enumerate(_walk(path, ""), 1):
        if not is_plain_name(name):
            raise CaseError(f"The folder holds a name that no case has: {name!a}.", "Ask for a clean copy.")
        if count > COUNT_LIMIT:
            raise CaseError(f"The folder holds more than {COUNT_LIMIT} entries.", "This is no case.")
        if kind == "empty":
            raise CaseError(f"{name} is an empty folder.", "A case has none; ask for a clean copy.")
        if kind != "file":
            raise CaseError(f"{name} is neither a file nor a folder.", "Links and devices are not followed.")
        if size > min(FILE_LIMIT, room):
            raise _too_large(name)
        files[name] = _read(path / name, min(FILE_LIMIT, room))
        room -= len(files[name])
    return dict(sorted(files.items()))


def _too_large(name: str) -> CaseError:
    limits = f"A file of a case has at most {FILE_LIMIT >> 20} MiB, all together have {TOTAL_LIMIT >> 20} MiB."
    return CaseError(f"{name} is larger than a case may be.", limits)


def _walk(base: Path, prefix: str, depth: int = 0) -> Iterator[tuple[str, str, int]]:
    found = False
    with os.scandir(base) as entries:
        for entry in entries:
            found = True
            name = prefix + entry.name
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode) and depth < _DEPTH_LIMIT:
                yield from _walk(Path(entry.path), f"{name}/", depth + 1)
            else:
                yield name, "file" if stat.S_ISREG(status.st_mode) else "other", status.st_size
    if not found and prefix:
        yield prefix[:-1], "empty", 0


def _read(path: Path, limit: int) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise CaseError(f"{path.name} grew while it was read.", "Check a copy that nobody is writing to.")
    return content


def _draft(path: Path) -> Path:
    return path.with_name(f".forensics-{path.name}.next")


def _previous(path: Path) -> Path:
    return path.with_name(f".forensics-{path.name}.previous")


def _recover(path: Path) -> None:
    """With the folder in place, what lies beside it is a draft or the old state and goes.

    Without it, the kill fell between the two renames: the draft is complete and takes its place.
    """
    draft, old = _draft(path), _previous(path)
    if old.is_dir() and not os.path.lexists(path):
        _rename(draft if draft.is_dir() else old, path)
    for leftover in (draft, old):
        if leftover.is_dir():
            shutil.rmtree(leftover)


def _refuse_odd_files(files: Mapping[str, bytes]) -> None:
    room = TOTAL_LIMIT
    for name, content in files.items():
        if not is_plain_name(name):
            raise CaseError(f"No file in a case may be named {name!a}.", "Use letters, digits, dots and dashes.")
        if len(content) > min(FILE_LIMIT, room):
            raise _too_large(name)
        room -= len(content)


def _build(path: Path, files: Mapping[str, bytes]) -> None:
    path.mkdir()
    folders = {path}
    for name, content in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        folders.update(parent for parent in target.parents if parent.is_relative_to(path))
        with target.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    for folder in (*sorted(folders, reverse=True), path.parent):
        _sync(folder)


def _rename(source: Path, target: Path) -> None:
    source.rename(target)
    _sync(target.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _storing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if os.path.lexists(path) or not _previous(path).is_dir():
            shutil.rmtree(_draft(path), ignore_errors=True)
        raise storage_error(error, path) from error


def storage_error(error: OSError, path: Path) -> StorageError:
    """Returns the error to raise when a place cannot be written."""
    if error.errno in _FULL:
        return StorageError(
            f"The disk is full: {path} was not written.", "Free some space and run the same command again."
        )
    return StorageError(f"{path} cannot be written: {error.strerror}.", "Check the place and its permissions.")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            # Some network file systems lock no folders; renames alone still leave the old state or the new.
            if error.errno not in _NO_LOCKS:
                raise
        yield
    finally:
        os.close(handle)
