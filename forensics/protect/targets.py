"""Target vectors: asked of the upstream once for each set of options, and kept so that a restart marks the same way.

They lie in the key folder, one file each, encrypted under a key derived from the scoring secret: whoever has the target
vector can look for the mark and remove it.
"""

import asyncio
import hmac
import logging
import secrets
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

Ask = Callable[[], Awaitable[Vector]]

_log = logging.getLogger("forensics.protect")


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
        most: how many sets of options are kept; the least recently used goes first.
    """

    def __init__(self, folder: Path, secret: bytes, marks: Marks, most: int = 256) -> None:
        self._folder, self._marks, self._most = folder, marks, most
        self._name_key = hkdf_expand(secret, b"protect/target names")
        self._cipher = AESGCM(hkdf_expand(secret, b"protect/targets"))
        self._ready: OrderedDict[str, Towards] = OrderedDict()
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
        return found

    async def fetch(self, key: str, ask: Ask) -> Towards:
        """Returns the marker of a set of options; of concurrent callers one asks, and all share what it gets.

        Raises:
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
        self._path(key).unlink(missing_ok=True)

    def _forget_task(self, key: str, task: asyncio.Task[Towards]) -> None:
        self._asking.pop(key, None)
        if not task.cancelled():
            task.exception()

    async def _obtain(self, key: str, ask: Ask) -> Towards:
        path = self._path(key)
        vector = await asyncio.to_thread(self._load, path)
        if vector is None:
            vector = await asyncio.to_thread(self._keep, path, await ask())
        made = Towards(self._marks.marker(vector), len(vector))
        self._ready[key] = made
        while len(self._ready) > self._most:
            self._ready.popitem(last=False)
        return made

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
            kept = sorted(self._folder.glob("*.target"), key=lambda file: file.stat().st_mtime)
            for old in kept[: max(0, len(kept) + 1 - self._most)]:
                old.unlink(missing_ok=True)
            nonce = secrets.token_bytes(_NONCE)
            sealed = self._cipher.encrypt(nonce, vector.astype("<f4").tobytes(), path.name.encode())
            replace_file(path, nonce + sealed)
            return vector
