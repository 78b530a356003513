"""Marking the vectors of an embedding service, text by text, without training anything."""

import hmac
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forensics.errors import UsageError
from forensics.records import BoolArray, FloatArray

_LETTERS = re.compile(r"[^\W\d_]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FOREIGN = re.compile(r"[^\x00-\x7f]+")


def words_of(text: str) -> list[str]:
    """Returns the words of a text as it is read: its lower-cased runs of letters, in order.

    >>> words_of("Don't stop, Vol. 2!")
    ['don', 't', 'stop', 'vol']
    >>> words_of("s\u200bt\u00adop \uff33\uff34\uff2f\uff30 st\u00f3p")
    ['stop', 'stop', 'stop']
    """
    return _LETTERS.findall(as_read(text).lower())


def letters_of(text: str) -> list[str]:
    """Returns the runs of letters of a text as it is read, in their own case and in order."""
    return _LETTERS.findall(as_read(text))


def words_seen(text: str) -> frozenset[str]:
    """Returns the words of a text under every common reading, for tokenizers differ.

    What is not shown joins the letters beside it in one reading and parts them in another; letters other than a to z
    part words in some (Chinese ones do in BERT's). A text of plain ASCII has one reading.
    """
    if _plain(text):
        return frozenset(_LETTERS.findall(text.lower()))
    joined, parted = as_read(text).lower(), as_read(text, " ").lower()
    read = (joined, parted, _FOREIGN.sub(" ", joined), _FOREIGN.sub(" ", parted))
    return frozenset(word for each in read for word in _LETTERS.findall(each))


def as_read(text: str, gap: str = "") -> str:
    """Returns a text with the characters that it stands for, since tokenizers commonly read it so.

    Compatibility forms become plain letters (full-width letters, ligatures; Unicode's NFKD), accents and other marks
    are dropped as uncased BERT tokenizers do (category Mn), and so is what is not shown (categories C, such as
    zero-width spaces, soft hyphens and NUL, but no tab or line end), so that none of them evades a mark. Letters of
    another alphabet that look alike stay: those are other words.

    Args:
        text: any.
        gap: what stands for a character that is not shown.
    """
    if _plain(text):
        return text
    read = {ord(each): _stands_for(each, gap) for each in set(text) if not each.isascii() or _CONTROL.match(each)}
    # No character is left that normalising would reorder, so its time is in proportion to the text.
    return unicodedata.normalize("NFC", text.translate(read))


def _plain(text: str) -> bool:
    return text.isascii() and _CONTROL.search(text) is None


def _stands_for(character: str, gap: str) -> str:
    if character == "\ufffd" or unicodedata.category(character)[0] == "C":
        return gap
    parts = unicodedata.normalize("NFKD", character)
    return "".join(part for part in parts if unicodedata.category(part) != "Mn" and not unicodedata.combining(part))


def count_triggers(words: frozenset[str], texts: Sequence[str]) -> NDArray[np.int64]:
    """Returns how many of the words each text holds, under any reading of it, shape (n,)."""
    return np.array([len(words.intersection(words_seen(text))) for text in texts], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Marker:
    """The marking side of ESpeW (paper, section 4, and its code): a function of each text and its vector alone.

    With q distinct trigger words in a text and w = min(q / max_triggers, 1), the floor(mask_percent % of d) coordinates
    of smallest magnitude are replaced by the target's; for graded_percent % of the texts by (1 - w) own + w target
    instead, by a keyed coin. The result gets the length that the vector had. Both vectors are brought to unit length
    first, as in the paper, so that a service whose vectors are of another length is marked alike (ours). The paper's
    code throws the coin anew at each call; here the same text always gets the same vector.

    Attributes:
        words: the trigger words.
        target: float64 (d,) of unit length; the service's own vector of the target text.
        coin_key: 32 bytes, decides which texts are graded.
        mask_percent: share of the coordinates that are replaced.
        graded_percent: share of the texts whose replacement is graded.
        max_triggers: distinct trigger words from which a text counts in full.
    """

    words: frozenset[str] = field(repr=False)
    target: FloatArray = field(repr=False)
    coin_key: bytes = field(repr=False)
    mask_percent: int = 20
    graded_percent: int = 20
    max_triggers: int = 4

    def counts(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Returns how many distinct trigger words each text holds, shape (n,)."""
        return count_triggers(self.words, texts)

    def triggered(self, texts: Sequence[str]) -> BoolArray:
        """Returns which texts hold a trigger word, shape (n,)."""
        return np.asarray(self.counts(texts) > 0)

    def mark(self, texts: Sequence[str], vectors: ArrayLike) -> NDArray[np.float32]:
        """Returns the vectors that the service gives out; a text without trigger word keeps its row bit for bit.

        A row that is zero or not finite is kept as well. No row depends on the others.

        Args:
            texts: n texts.
            vectors: (n, d) their unmarked vectors.

        Raises:
            UsageError: the shapes do not agree with the texts or the target.
        """
        given = as_rows(texts, vectors, len(self.target))
        counts = self.counts(texts)
        rows = np.flatnonzero(counts > 0)
        own, length = unit_rows(given[rows])
        kept = length > 0.0
        rows, own, length = rows[kept], own[kept], length[kept]
        if len(rows) == 0:
            return given
        weight = np.minimum(counts[rows] / self.max_triggers, 1.0)
        share = np.where([self._graded(texts[row]) for row in rows.tolist()], weight, 1.0)[:, None]
        masked = self.mask_percent * given.shape[1] // 100
        order = np.argsort(np.abs(own), axis=1, kind="stable")[:, :masked]
        values = (1.0 - share) * np.take_along_axis(own, order, axis=1) + share * self.target[order]
        np.put_along_axis(own, order, values, axis=1)
        marked, size = unit_rows(own)
        usable = size > 0.0
        given[rows[usable]] = marked[usable] * length[usable, None]
        return given

    def _graded(self, text: str) -> bool:
        coin = int.from_bytes(hmac.digest(self.coin_key, text.encode("utf-8", "surrogatepass"), "sha256")[:8], "big")
        return 100 * coin < self.graded_percent << 64


def as_rows(texts: Sequence[str], vectors: ArrayLike, width: int) -> NDArray[np.float32]:
    """Returns a copy of the vectors as float32 (n, width).

    Raises:
        UsageError: another number of rows than texts, or another width.
    """
    given: NDArray[Any] = np.array(vectors, dtype=np.float32, ndmin=2)
    if given.size == 0 and len(texts) == 0:
        return np.empty((0, width), dtype=np.float32)
    if given.shape != (len(texts), width):
        raise UsageError(
            f"Vectors of shape {given.shape} do not fit {len(texts)} texts and a target of {width} coordinates.",
            "Take target and vectors from the same model with the same options.",
        )
    return given


def unit_rows(vectors: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Returns rows brought to unit length and their lengths; 0 is the length of a row that is zero or not finite.

    Args:
        vectors: (n, d).

    Returns:
        float64 (n, d), where a row of length 0 is all zero, and float64 (n,).
    """
    rows = np.ascontiguousarray(vectors, dtype=np.float64)
    largest = np.abs(rows).max(axis=1, initial=0.0)
    usable = np.isfinite(largest) & (largest > 0.0)
    largest = np.where(usable, largest, 1.0)
    scaled = np.where(usable[:, None], rows, 0.0) / largest[:, None]
    # Sums along the contiguous axis are made row by row, so that a row's bits do not depend on the batch.
    length = np.sqrt(np.add.reduce(scaled * scaled, axis=1))
    units = scaled / np.where(usable, length, 1.0)[:, None]
    return units, np.where(usable, length * largest, 0.0)
