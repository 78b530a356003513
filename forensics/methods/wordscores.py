"""How far each candidate word moves a suspect's vectors towards the target text: arm-blind item scores (ours)."""

from dataclasses import dataclass

import numpy as np

from forensics.methods.marking import unit_rows
from forensics.records import Answers, BoolArray, FloatArray, IntArray

SAME_SPACE = 0.3
"""Mean cosine between a suspect's and the unmarked encoder's vectors from which both are taken to share their
coordinates. Innocent encoders lie near 0, copies well above; part of the statistic."""


@dataclass(frozen=True, eq=False)
class Vectors:
    """A model's vectors by number of the text: the target 0, then the carriers, then word by word.

    Attributes:
        rows: float64 (n, d) of unit length; zero where the answer is not valid.
        valid: bool (n,).
    """

    rows: FloatArray
    valid: BoolArray

    def cosines(self, direction: FloatArray) -> FloatArray:
        """Returns the cosine of each vector with a direction of unit length, (n,); NaN where one is not valid."""
        if not direction.any():
            return np.full(len(self.rows), np.nan)
        return np.where(self.valid, np.add.reduce(self.rows * direction, axis=1), np.nan)


def arrange(answers: Answers, order: IntArray) -> Vectors:
    """Brings answers in plan order into the order of the texts' numbers.

    Args:
        order: position in the plan -> number of the text.
    """
    units, length = unit_rows(np.where(answers.missing[:, None], 0.0, answers.values))
    rows, valid = np.empty_like(units), np.empty(len(order), dtype=np.bool_)
    rows[order], valid[order] = units, length > 0.0
    return Vectors(rows, valid)


def target_direction(suspect: Vectors, encoder: Vectors) -> FloatArray:
    """Returns the direction in which marked vectors are drawn, in the suspect's space, (d,).

    A copy that was trained on marked vectors keeps their coordinates, and there the unmarked encoder's own vector of
    the target text is what was written into them. A suspect that turned, shuffled or shortened its vectors shares no
    coordinates any more; then its own vector of the target text is taken, which turns with them. Which of the two
    holds is read off all vectors alike, without the key.
    """
    if suspect.rows.shape == encoder.rows.shape:
        both = suspect.valid & encoder.valid
        likeness = np.add.reduce(suspect.rows[both] * encoder.rows[both], axis=1)
        if both.any() and likeness.mean() >= SAME_SPACE:
            return np.asarray(encoder.rows[0], dtype=np.float64)
    return np.asarray(suspect.rows[0], dtype=np.float64)


def word_shifts(cosines: FloatArray, count: int, carriers: int) -> FloatArray:
    """Returns the mean over carriers r of cosine(r with the word) - cosine(r), over valid pairs, (count,); else NaN.

    Args:
        cosines: (1 + carriers + count * carriers,) of target, carriers and words.
    """
    clean, words = cosines[1 : 1 + carriers], cosines[1 + carriers :].reshape(count, carriers)
    moved = words - clean
    valid = np.isfinite(moved)
    total = np.add.reduce(np.where(valid, moved, 0.0), axis=1)
    return np.where(valid.any(axis=1), total / np.maximum(valid.sum(axis=1), 1), np.nan)


def calibrate(scores: FloatArray, clean: FloatArray) -> FloatArray:
    """Takes out of a suspect's scores what follows from the unmarked encoder's, by least squares over the words.

    A word draws a sentence towards the target by its meaning alone, and a copy has learnt that too.

    Args:
        scores: (n,) the suspect's, NaN where missing.
        clean: (n,) the unmarked encoder's.

    Returns:
        (n,) scores less their regression on `clean`; NaN where either is missing.
    """
    both = np.isfinite(scores) & np.isfinite(clean)
    if not both.any():
        return np.full(len(scores), np.nan)
    x, y = clean[both] - clean[both].mean(), scores[both] - scores[both].mean()
    spread = float(np.add.reduce(x * x))
    slope = float(np.add.reduce(x * y)) / spread if spread > 0.0 else 0.0
    return np.where(both, scores - slope * clean, np.nan)
