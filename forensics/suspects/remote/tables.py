"""Rows of a body as answers: one width or label list for all; what does not fit it is missing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from forensics.canonical import decimals, through_decimals
from forensics.records import AnswerKind, Answers, BoolArray, FloatArray
from forensics.suspects.remote.parsing import Row, Written, number, text

MAX_LABELS = 1 << 17
MAX_LABEL = 256
_DIGITS = 4

Scores: TypeAlias = Mapping[str, float]


class WrittenVectors(Answers):
    """Vectors whose numbers are kept as a body has them, and read only when `values` is looked at.

    Attributes:
        width: usual number of columns.
        rows: the numbers' texts, a row a probe; None where missing.
    """

    def __init__(self, width: int, rows: Sequence[Written | None]) -> None:
        """Takes the rows; all are `width` long, and none has an infinite value."""
        missing = np.array([row is None for row in rows], dtype=np.bool_)
        for name, value in (("kind", AnswerKind.VECTORS), ("missing", missing), ("labels", ()), ("resolution", 0.0)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "width", width)
        object.__setattr__(self, "rows", tuple(rows))

    width: int
    rows: tuple[Written | None, ...]

    @cached_property
    def values(self) -> FloatArray:
        """The numbers (n, width) as float64; a missing row is NaN."""
        values = np.full((len(self.rows), self.width), np.nan)
        for index, row in enumerate(self.rows):
            if row is not None:
                values[index] = row.values
        return values

    @property
    def encoded(self) -> list[bytes | None]:
        """Each row's canonical JSON, a list of decimal strings."""
        return [None if row is None else b'["' + row.texts + b'"]' for row in self.rows]


def vectors(rows: Sequence[Row | None], kind: AnswerKind = AnswerKind.VECTORS, names: Sequence[str] = ()) -> Answers:
    """Returns rows of numbers as answers, recorded as shortest float32 decimals, or as the texts that they came as.

    Args:
        rows: one a probe; None, rows of another than the usual width and rows with values that are not finite (or, for
            probabilities, outside 0 to 1) are missing.
        kind: what the numbers are; every kind but vectors gets column names.
        names: of the columns, in their order; numbers are taken where none are given.
    """
    usual = Counter(len(row) for row in rows if row is not None)
    width = len(names) or min(usual, key=lambda each: (-usual[each], each), default=0)
    if kind is AnswerKind.VECTORS and not names and any(isinstance(row, Written) for row in rows):
        return WrittenVectors(
            width, [_as_written(row) if row is not None and len(row) == width else None for row in rows]
        )
    values = np.full((len(rows), width), np.nan)
    for index, row in enumerate(rows):
        if row is not None and len(row) == width:
            values[index] = row.values if isinstance(row, Written) else row
    labels = tuple(names) or (tuple(map(str, range(width))) if kind is not AnswerKind.VECTORS else ())
    return _finished(kind, values, labels)


def _as_written(row: Row) -> Written | None:
    """A row's texts: its own, else the shortest float32 decimals; None where a value is not finite."""
    if isinstance(row, Written):
        return row
    with np.errstate(over="ignore", invalid="ignore"):
        values = through_decimals(row)
    return Written('","'.join(decimals(values)).encode(), len(row)) if np.isfinite(values).all() else None


@dataclass(frozen=True, eq=False)
class ByName(Answers):
    """Answers whose classes come with names and in no order: their columns or numbers follow the names."""


def scores(rows: Sequence[Scores | None], kind: AnswerKind = AnswerKind.PROBABILITIES) -> ByName:
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
    found = _finished(kind, values, labels)
    return ByName(found.kind, found.values, found.missing, found.labels, found.resolution)


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
    form = ByName if known and not names else Answers
    return form(AnswerKind.LABELS, values, values < 0, known)


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
