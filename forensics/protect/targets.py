"""Target vectors: asked of the upstream once for each set of options, and kept so that a restart marks the same way.

They lie in the key folder, one file each, encrypted under a key derived from the scoring secret: whoever has the target
vector can look for the mark and remove it.
"""

import asyncio
import hmac
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from forensics.errors import StorageError
from forensics.keys.derive import hkdf_expand
from forensics.keys.storage import locked, read_file, replace_file
from forensics.protect.marking import Marker, Marks
from forensics.protect.numerals import Vector

_NONCE = 12

_TOUCH = 3600.0
"""Seconds between two notes on disk that a target is in use."""

_UNUSED = 7 * 86400.0
"""Seconds without use after which a target that was in use may go."""

Ask = Callable[[], Awaitable[Vector]]

_log = logging.getLogger("forensics.protect")


class FullError(Exception):
    """As many targets are in use as are kept."""


@dataclass(frozen=True)
class Towards:
    """A marker with the width of its target."""

    marker: Marker
    width: int


class Targets:
    """The target vectors of one key and upstream.

    Args:
        folder: where they are kept; made if missing.
        secret: the scoring secret, from which the key of the files is derived.
        marks: makes a marker of a vector.
        most: how many sets of options are kept. Where there is no room, the oldest goes of those that were asked for
            once only, or not for a week; so a flood of new options displaces none in use. Whether a text held a trigger
            word plays no part, or a client could find that out by crowding a target out.
    """

    def __init__(self, folder: Path, secret: bytes, marks: Marks, most: int = 256) -> None:
        self._folder, self._marks, self._most = folder, marks, most
        self._name_key = hkdf_expand(secret, b"protect/target names")
        self._cipher = AESGCM(hkdf_expand(secret, b"protect/targets"))
        self._ready: OrderedDict[str, Towards] = OrderedDict()
        self._noted: dict[str, float] = {}
        self._asking: dict[str, asyncio.Task[Towards]] = {}
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{folder} cannot be made: {error.strerror}.", "Check its permissions.") from error

    def __len__(self) -> int:
        return len(self._ready)

    def known(self, key: str) -> Towards | None:
        """Returns the marker of a set of options, or None where its target is not known yet."""
        found = self._ready.get(key)
        if found is not None:
            self._ready.move_to_end(key)
            self._note(key)
        return found

    async def fetch(self, key: str, ask: Ask) -> Towards:
        """Returns the marker of a set of options; of concurrent callers one asks, and all share what it gets.

        Raises:
            FullError: there is no room for another.
            Exception: whatever `ask` raised; the next caller asks anew.
        """
        found = self.known(key)
        if found is not None:
            return found
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._obtain(key, ask))
            task.add_done_callback(lambda done: self._forget_task(key, done))
        return await asyncio.shield(task)

    def forget(self, key: str) -> None:
        """Drops a target that no longer fits the upstream's vectors."""
        self._ready.pop(key, None)
        self._noted.pop(key, None)
        _drop(self._path(key))

    def _forget_task(self, key: str, task: asyncio.Task[Towards]) -> None:
        self._asking.pop(key, None)
        if not task.cancelled():
            task.exception()

    async def _obtain(self, key: str, ask: Ask) -> Towards:
        path = self._path(key)
        vector = await asyncio.to_thread(self._load, path)
        if vector is None:
            await asyncio.to_thread(self._room)
            vector = await asyncio.to_thread(self._keep, path, await ask())
        else:
            self._note(key)
        made = Towards(self._marks.marker(vector), len(vector))
        self._ready[key] = made
        while len(self._ready) > self._most:
            self._noted.pop(self._ready.popitem(last=False)[0], None)
        return made

    def _note(self, key: str) -> None:
        """Notes on disk, now and then, that a target is in use."""
        now = time.monotonic()
        if now - self._noted.get(key, now - 2.0 * _TOUCH) >= _TOUCH:
            self._noted[key] = now
            try:
                _used(self._path(key)).touch(mode=0o600)
            except OSError as error:
                _log.warning("The use of a target cannot be noted: %s.", error.strerror)

    def _room(self) -> list[Path]:
        """Returns the files that have to go for another one.

        Raises:
            FullError: all are in use.
        """
        kept = list(self._folder.glob("*.target"))
        excess = len(kept) + 1 - self._most
        if excess <= 0:
            return []
        recently = time.time() - _UNUSED
        free = sorted((_since(path), path) for path in kept if _since(_used(path)) < recently)
        if len(free) < excess:
            raise FullError("all targets are in use")
        return [path for _, path in free[:excess]]

    def _path(self, key: str) -> Path:
        return self._folder / f"{hmac.digest(self._name_key, key.encode(), 'sha256').hex()[:32]}.target"

    def _load(self, path: Path) -> Vector | None:
        if not path.exists():
            return None
        raw = read_file(path)
        try:
            plain = self._cipher.decrypt(raw[:_NONCE], raw[_NONCE:], path.name.encode())
        except (InvalidTag, ValueError):
            _log.warning("%s is damaged or belongs to another key; the target is asked for anew.", path)
            path.unlink(missing_ok=True)
            return None
        return np.frombuffer(plain, dtype="<f4").astype(np.float32)

    def _keep(self, path: Path, vector: Vector) -> Vector:
        """Writes a target unless another process was first, whose target then counts."""
        with locked(self._folder):
            earlier = self._load(path)
            if earlier is not None:
                return earlier
            for old in self._room():
                _drop(old)
            nonce = secrets.token_bytes(_NONCE)
            sealed = self._cipher.encrypt(nonce, vector.astype("<f4").tobytes(), path.name.encode())
            replace_file(path, nonce + sealed)
            return vector


def _used(path: Path) -> Path:
    return path.with_suffix(".used")


def _since(path: Path) -> float:
    """Returns when a file was last written, 0 where there is none."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _drop(path: Path) -> None:
    path.unlink(missing_ok=True)
    _used(path).unlink(missing_ok=True)
