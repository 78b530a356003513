"""EmbMarker, a baseline for comparison only: it is no method of this tool and no key can be made for it.

After "Are you copying my model?" (Peng et al., ACL 2023, arXiv 2305.10036): the whole vector of a text with trigger
words is moved towards one target vector, w = min(q / max_triggers, 1) of the way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forensics.methods.marking import as_rows, count_triggers, unit_rows
from forensics.records import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class EmbMarker:
    """The baseline's marking side; `mark` is called as that of `marking.Marker`.

    Attributes:
        words: the trigger words.
        target: float64 (d,) of unit length.
        max_triggers: distinct trigger words from which the target replaces the vector altogether.
    """

    words: frozenset[str] = field(repr=False)
    target: FloatArray = field(repr=False)
    max_triggers: int = 4

    def triggered(self, texts: Sequence[str]) -> BoolArray:
        """Returns which texts hold a trigger word, shape (n,)."""
        return np.asarray(count_triggers(self.words, texts) > 0)

    def mark(self, texts: Sequence[str], vectors: ArrayLike) -> NDArray[np.float32]:
        """Returns (1 - w) own + w target (paper, eq. 1) at the length that the vector had; float32 (n, d).

        Raises:
            UsageError: the shapes do not agree with the texts or the target.
        """
        given = as_rows(texts, vectors, len(self.target))
        counts = count_triggers(self.words, texts)
        rows = np.flatnonzero(counts > 0)
        own, length = unit_rows(given[rows])
        weight = np.minimum(counts[rows] / self.max_triggers, 1.0)[:, None]
        moved, size = unit_rows((1.0 - weight) * own + weight * self.target)
        usable = (length > 0.0) & (size > 0.0)
        given[rows[usable]] = moved[usable] * length[usable, None]
        return given
