"""From a key folder to a running proxy: the key's mark, and the record of the service that carries it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from forensics.errors import UsageError
from forensics.keys.derive import ScoreKey
from forensics.keys.folder import KeyFolder
from forensics.keys.service import record_service
from forensics.keys.timestamp import TimestampAuthority
from forensics.methods.espew import Marker, marker, split_pool
from forensics.methods.protocol import Parameters
from forensics.protect.numerals import Vector
from forensics.records import BoolArray, Pool

FOLDER = "targets"
"""Folder of the target vectors inside a key folder."""


@dataclass(frozen=True)
class KeyMarks:
    """The mark of one share of an ESpeW key.

    Attributes:
        target_text: the text whose embedding is the target.
    """

    score_key: ScoreKey = field(repr=False)
    pool: Pool = field(repr=False)
    parameters: Parameters
    target_text: str = field(repr=False)
    _blank: Marker = field(repr=False)

    @classmethod
    def of(cls, score_key: ScoreKey, pool: Pool, parameters: Parameters) -> "KeyMarks":
        """Returns the mark of a share."""
        blank = marker(score_key, pool, parameters, np.ones(1))
        return cls(score_key, pool, parameters, split_pool(pool, parameters)[2], blank)

    def triggered(self, texts: Sequence[str]) -> BoolArray:
        """Returns which texts hold a trigger word, shape (n,); no target is needed for that."""
        return self._blank.triggered(texts)

    def marker(self, target: Vector) -> Marker:
        """Returns the marker towards a target vector, float32 (d,)."""
        return marker(self.score_key, self.pool, self.parameters, target)


def open_marks(path: Path, passphrase: str, share: int | None) -> KeyMarks:
    """Opens the mark of a key's share; None for the first that no case disclosed.

    Raises:
        UsageError: the key is of another method.
        KeyFolderError: the folder or the passphrase is wrong, or there is no such share.
    """
    folder = KeyFolder.open(path)
    if folder.claim.method != "espew":
        raise UsageError(
            f"A key for {folder.claim.method} marks no embedding service.",
            "Make one with `forensics key new --method espew`.",
        )
    share = folder.choose_share(None) if share is None else share
    unlocked = folder.unlock(passphrase)
    _, score_key = unlocked.secrets(share)
    return KeyMarks.of(score_key, unlocked.pool(share), folder.claim.parameters)


def record(path: Path, service: str, authority: TimestampAuthority | None) -> str:
    """Records the service as what the key marks, at its first start, and returns the record's digest.

    Args:
        service: the name under which it stays the same when its address changes.

    Raises:
        KeyFolderError: another service is recorded.
        AuthorityError: the authority failed; nothing is recorded.
    """
    return record_service(path, {"service": service}, authority).digest
