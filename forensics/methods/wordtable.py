"""Words with directions in whole numbers: what a method for texts commits, so that every platform sees texts alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from forensics.errors import UsageError
from forensics.records import FloatArray, PoolItem

LARGEST = 127
"""Largest size of a coordinate in the table of word vectors."""


@dataclass(frozen=True, eq=False)
class WordTable:
    """The words to which filtered vectors are snapped.

    Attributes:
        words: lower-case runs of letters, each a token of the owner's tokenizer.
        vectors: float64 (n, d) of whole numbers from -127 to 127.
    """

    words: tuple[str, ...]
    vectors: FloatArray

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """The row of each word."""
        return {word: row for row, word in enumerate(self.words)}

    def rows(self, text: str) -> list[int]:
        """Returns the rows of those words of a text that are in the table, in the text's order."""
        found = (self.numbers.get(piece.strip('.,;:!?"()').lower()) for piece in text.split())
        return [row for row in found if row is not None]

    def item(self) -> PoolItem:
        """Returns the table as the first item of a pool: a line a word, with its coordinates."""
        lines = [
            " ".join([word, *(str(int(value)) for value in row)])
            for word, row in zip(self.words, self.vectors, strict=True)
        ]
        return PoolItem("\n".join(lines).encode("ascii"), "text/plain")


def read_table(data: bytes) -> WordTable:
    """Returns the table that an item of a pool holds.

    Raises:
        UsageError: it holds none.
    """
    try:
        rows = [line.split(" ") for line in data.decode("utf-8").splitlines()]
        vectors = np.array([[int(value) for value in row[1:]] for row in rows], dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise UsageError("The pool holds no word table.", "Make it from a corpus.") from error
    if vectors.ndim != 2 or not vectors.size or np.abs(vectors).max() > LARGEST:
        raise UsageError("The pool's word table is malformed.", "Make the pool again from a corpus.")
    return WordTable(tuple(row[0] for row in rows), vectors)


def make_table(words: Sequence[str], vectors: FloatArray, width: int) -> WordTable:
    """Returns words with their directions among one another in whole numbers.

    The vectors are centred, turned to their principal axes, of which the first are kept, brought to one length and
    rounded; what this gives on another machine does not matter, since the table itself is committed.

    Args:
        vectors: (n, d) of the unmarked model.
    """
    centred = vectors - vectors.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:width]
    turned = centred @ axes.T
    scaled = LARGEST * turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-12)
    return WordTable(tuple(words), np.rint(scaled))
