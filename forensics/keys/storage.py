"""Files and folders that appear whole: a kill at any moment leaves the old state or the new."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from forensics.errors import KeyFolderError, StorageError

_LARGEST_FILE = 4 << 30


def create_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Writes a new folder, readable by its owner alone: first beside its place, then renamed.

    Args:
        path: must not exist.
        files: content by relative path.

    Raises:
        KeyFolderError: the path exists.
        StorageError: it cannot be written; nothing is left behind.
    """
    refuse_overwrite(path)
    with _storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
        try:
            for name, data in files.items():
                target = draft / name
                target.parent.mkdir(mode=0o700, exist_ok=True)
                _write(target, data)
            _sync(draft)
            refuse_overwrite(path)
            draft.rename(path)
            _sync(path.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def refuse_overwrite(path: Path) -> None:
    """Raises KeyFolderError where something of that name exists."""
    if os.path.lexists(path):
        raise KeyFolderError(f"{path} exists already.", "Choose another name; a key is never overwritten.")


def replace_file(path: Path, data: bytes) -> None:
    """Writes a file beside its place, then renames it over the old one.

    Raises:
        StorageError: it cannot be written; the old file is unchanged.
    """
    with _storing(path):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        draft = path.with_name(f".{path.name}.partial")
        try:
            draft.unlink(missing_ok=True)
            _write(draft, data)
            draft.replace(path)
            _sync(path.parent)
        finally:
            draft.unlink(missing_ok=True)


def read_file(path: Path) -> bytes:
    """Reads a regular file of a key folder.

    Raises:
        KeyFolderError: it is missing or cannot be read.
    """
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_FILE:
            raise KeyFolderError(f"{path} is missing or no ordinary file.", "Restore the key folder from a copy.")
        return path.read_bytes()
    except OSError as error:
        raise KeyFolderError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds other processes off a folder until the block ends.

    Raises:
        StorageError: the folder cannot be opened.
    """
    with _storing(folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def _storing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}.", "Check the disk and its permissions."
        ) from error


def _write(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
