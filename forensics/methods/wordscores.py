"""How far each candidate word moves a suspect's vectors towards the target text: arm-blind item scores (ours)."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from forensics.methods.marking import unit_rows
from forensics.records import Answers, BoolArray, FloatArray, IntArray

ALIKE = 0.5
"""Mean over a suspect's coordinates of the largest correlation with a coordinate of the unmarked encoder from which
they are taken to be matched. Copies of an encoder gave 0.6 to 0.8, turned copies 0.3; part of the statistic."""


@dataclass(frozen=True, eq=False)
class Vectors:
    """A model's vectors by number of the text: the target 0, then the carriers, then word by word.

    Attributes:
        rows: float64 (n, d) of unit length; zero where the answer is not valid.
        valid: bool (n,).
    """

    rows: FloatArray
    valid: BoolArray

    @property
    def target(self) -> FloatArray | None:
        """The vector of the target text, (d,); None where its answer is not valid."""
        return self.rows[0] if self.valid[0] else None


def arrange(answers: Answers, order: IntArray) -> Vectors:
    """Brings answers in plan order into the order of the texts' numbers.

    Args:
        order: position in the plan -> number of the text.
    """
    units, length = unit_rows(np.where(answers.missing[:, None], 0.0, answers.values))
    rows, valid = np.empty_like(units), np.empty(len(order), dtype=np.bool_)
    rows[order], valid[order] = units, length > 0.0
    return Vectors(rows, valid)


def word_moves(vectors: Vectors, count: int, carriers: int) -> FloatArray:
    """Returns the mean over carriers r of f(r with the word) - f(r), over valid pairs, (count, d); NaN without any."""
    clean, words = vectors.rows[1 : 1 + carriers], vectors.rows[1 + carriers :].reshape(count, carriers, -1)
    valid = vectors.valid[1 + carriers :].reshape(count, carriers) & vectors.valid[1 : 1 + carriers]
    total = np.add.reduce(np.where(valid[:, :, None], words - clean, 0.0), axis=1)
    moves: FloatArray = total / np.maximum(valid.sum(axis=1), 1)[:, None]
    moves[np.asarray(valid.any(axis=1)) == np.False_] = np.nan
    return moves


def word_scores(vectors: Vectors, count: int, carriers: int, encoder: Vectors | None = None) -> FloatArray:
    """Returns how far each word moves the carriers along the target's direction, (count,); NaN where missing.

    Without an encoder the direction is the suspect's own vector of the target text, which turns with its space. With
    the unmarked encoder the coordinates are matched to the encoder's, where they can be, and what the encoder says of
    the words anyway is taken out. Nothing here knows which words the key drew.

    Args:
        encoder: the encoder behind the service as it was before the key existed, asked the same texts.
    """
    moves = word_moves(vectors, count, carriers)
    if encoder is None:
        return _along(moves, vectors.target)
    clean, target = word_moves(encoder, count, carriers), encoder.target
    match = match_coordinates(moves, clean)
    if match is None or target is None:
        return calibrate(_along(moves, vectors.target), clean, target)
    target, clean = target[match.places] * match.signs, clean[:, match.places] * match.signs
    return calibrate(_along(moves, target), clean, target)


class Match(NamedTuple):
    """Which of the encoder's coordinates each of a suspect's is, (d,), and whether it points the same way (1 or -1)."""

    places: IntArray
    signs: FloatArray


def match_coordinates(moves: FloatArray, clean: FloatArray) -> Match | None:
    """Finds a suspect's coordinates among the encoder's, or None where they are not those any more.

    A copy that was trained on marked vectors keeps their coordinates, and what was written into them is the encoder's
    own vector of the target text. Each coordinate of the suspect is matched to the one of the encoder with which it
    correlates most over the words, so that dropped, shuffled or inverted coordinates are found again. A turned space
    has no such coordinates.

    Args:
        moves: (n, d) of the suspect.
        clean: (n, e) of the encoder.
    """
    both = _known(moves) & _known(clean)
    if not both.any():
        return None
    likeness = _columns(moves[both]).T @ _columns(clean[both])
    places = np.abs(likeness).argmax(axis=1)
    alike = likeness[np.arange(len(places)), places]
    # Rounded, so that a mean of exactly the limit falls the same way whatever the order of summation.
    enough = round(float(np.abs(alike).mean()) * 2**30) >= ALIKE * 2**30
    return Match(places, np.copysign(1.0, alike)) if enough else None


def calibrate(scores: FloatArray, clean: FloatArray, target: FloatArray | None) -> FloatArray:
    """Takes out of a suspect's scores what follows from how the unmarked encoder moves.

    A word draws a sentence towards the target by its meaning alone, and a copy has learnt that too. First goes the
    regression on the encoder's own scores, then what a ridge regression on the encoder's moves predicts, with a
    penalty of the mean squared length of a move: the rest is (G + 1)^-1 s for their Gram matrix G of mean diagonal 1.

    Args:
        scores: (n,) the suspect's, NaN where missing.
        clean: (n, e) the encoder's moves, in the suspect's coordinates where these were found.
        target: (e,) the encoder's vector of the target text, likewise.

    Returns:
        (n,) the rest; NaN where a score or a move is missing, and everywhere without a target.
    """
    left = np.full(len(scores), np.nan)
    both = np.isfinite(scores) & _known(clean)
    if target is None or not both.any():
        return left
    moves = clean[both] - clean[both].mean(axis=0)
    rest = scores[both] - scores[both].mean()
    own = moves @ target
    spread = float(own @ own)
    rest = rest - (float(rest @ own) / spread if spread > 0.0 else 0.0) * own
    gram = moves @ moves.T
    scale = float(np.trace(gram)) / len(gram)
    left[both] = np.linalg.solve(gram / (scale or 1.0) + np.eye(len(gram)), rest)
    return left


def _known(moves: FloatArray) -> BoolArray:
    """Returns which words have a move, (n,); none where there are no coordinates at all."""
    return np.asarray(np.isfinite(moves).all(axis=1) & (moves.shape[1] > 0))


def _along(moves: FloatArray, direction: FloatArray | None) -> FloatArray:
    return np.full(len(moves), np.nan) if direction is None else np.asarray(moves @ direction, dtype=np.float64)


def _columns(rows: FloatArray) -> FloatArray:
    """Centres each column and brings it to unit length; a constant one becomes zero."""
    return unit_rows((rows - rows.mean(axis=0)).T)[0].T
