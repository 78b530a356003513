"""Rows of a body as answers: one width or label list for all; what does not fit it is missing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from forensics.canonical import through_decimals
from forensics.records import AnswerKind, Answers, BoolArray, FloatArray
from forensics.suspects.remote.parsing import number, text

MAX_LABELS = 1 << 17
MAX_LABEL = 256
_DIGITS = 4

Scores: TypeAlias = Mapping[str, float]


def vectors(
    rows: Sequence[FloatArray | None], kind: AnswerKind = AnswerKind.VECTORS, names: Sequence[str] = ()
) -> Answers:
    """Returns rows of numbers as answers, recorded as shortest float32 decimals.

    Args:
        rows: one a probe; None, rows of another than the usual width and rows with values that are not finite (or, for
            probabilities, outside 0 to 1) are missing.
        kind: what the numbers are; every kind but vectors gets column names.
        names: of the columns, in their order; numbers are taken where none are given.
    """
    usual = Counter(len(row) for row in rows if row is not None)
    width = len(names) or min(usual, key=lambda each: (-usual[each], each), default=0)
    values = np.full((len(rows), width), np.nan)
    for index, row in enumerate(rows):
        if row is not None and len(row) == width:
            values[index] = row
    labels = tuple(names) or (tuple(map(str, range(width))) if kind is not AnswerKind.VECTORS else ())
    return _finished(kind, values, labels)


def scores(rows: Sequence[Scores | None], kind: AnswerKind = AnswerKind.PROBABILITIES) -> Answers:
    """Returns named scores as answers; the labels are those that most rows have, columns are sorted by name.

    Args:
        rows: one a probe; a row with other labels is missing, for a column that is not there is not zero.
        kind: probabilities or logits.
    """
    usual = Counter(tuple(sorted(row)) for row in rows if row)
    labels = min(usual, key=lambda each: (-usual[each], each), default=())
    values = np.full((len(rows), len(labels)), np.nan)
    for index, row in enumerate(rows):
        if row and row.keys() == set(labels):
            values[index] = [row[label] for label in labels]
    return _finished(kind, values, labels)


def named_scores(value: Any) -> Scores | None:
    """Reads `[{"label": ..., "score": ...}, ...]`; None where it is something else or names a label twice."""
    if not isinstance(value, list) or not 0 < len(value) <= MAX_LABELS:
        return None
    read: dict[str, float] = {}
    for entry in value:
        label = text(entry.get("label"), MAX_LABEL) if isinstance(entry, dict) else None
        if label is None or label in read:
            return None
        read[label] = number(entry.get("score"))
    return read


def texts(rows: Sequence[str | None]) -> Answers:
    """Returns generated texts as answers."""
    missing = np.array([row is None for row in rows], dtype=np.bool_)
    return Answers(AnswerKind.TEXT, np.array([row or "" for row in rows], dtype=np.object_), missing)


def classes(rows: Sequence[str | int | None], names: Sequence[str] = ()) -> Answers:
    """Returns classes as answers: indices into names, or the numbers as they are where nothing names them.

    Args:
        rows: a class's name or number a probe; what is not among the names, or no number, is missing.
        names: all class names, in the order of the classes' numbers; those that occur, sorted, where none are given.
    """
    known = tuple(names) or tuple(sorted({row for row in rows if isinstance(row, str)}))
    position = {name: index for index, name in enumerate(known)}
    numbers = len(names) or (0 if known else MAX_LABELS)
    found = [_index(row, position, numbers) for row in rows]
    values = np.array(found, dtype=np.int64)
    return Answers(AnswerKind.LABELS, values, values < 0, known)


def log_probabilities(values: Sequence[float]) -> Answers:
    """Returns summed log-probabilities (n, 1) as answers; those that are not finite or above zero are missing."""
    column = np.array(values, dtype=np.float64).reshape(len(values), 1)
    column[~(column <= 1e-3)] = np.nan
    return _finished(AnswerKind.LOG_PROBABILITIES, np.minimum(column, 0.0), ())


def _index(row: str | int | None, position: Mapping[str, int], numbers: int) -> int:
    if isinstance(row, int):
        return row if 0 <= row < numbers else -1
    return -1 if row is None else position.get(row, -1)


def _finished(kind: AnswerKind, values: FloatArray, labels: tuple[str, ...]) -> Answers:
    if values.shape[1]:
        with np.errstate(over="ignore", invalid="ignore"):
            values = through_decimals(values)
    valid = np.isfinite(values)
    if kind is AnswerKind.PROBABILITIES:
        valid &= (values >= 0.0) & (values <= 1.0 + 1e-6)
    missing: BoolArray = np.logical_not(valid.all(axis=1)) if values.shape[1] else np.ones(len(values), dtype=np.bool_)
    values[missing] = np.nan
    return Answers(kind, values, missing, labels, _resolution(kind, values))


def _resolution(kind: AnswerKind, values: FloatArray) -> float:
    """Returns the unit that probabilities were rounded to (0.1 to 0.0001), 0 where they were not."""
    known = values[np.isfinite(values)]
    if kind is not AnswerKind.PROBABILITIES or not ((known > 0.0) & (known < 1.0)).any():
        return 0.0
    for digits in range(1, _DIGITS + 1):
        scaled = known * 10.0**digits
        if np.abs(scaled - np.round(scaled)).max() < 1e-6:
            return float(10.0**-digits)
    return 0.0
