"""The form of a suspect's answers, set by its first batch; what comes later in another form counts as missing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forensics.canonical import EncodedList, decimal
from forensics.codec import encode_rows
from forensics.records import AnswerKind, Answers
from forensics.suspects.remote.tables import ByName, WrittenVectors

_WITHOUT_COLUMNS = frozenset({AnswerKind.LABELS, AnswerKind.TEXT})


@dataclass(frozen=True)
class Form:
    """Kind, labels, width and rounding of the first answers.

    Attributes:
        width: columns of a row; 0 for class indices and texts.
    """

    kind: AnswerKind
    labels: tuple[str, ...]
    resolution: str
    width: int

    @classmethod
    def of(cls, answers: Answers, names: Sequence[str] | None = ()) -> "Form":
        """Returns the form of a first batch of answers.

        Args:
            names: class names; they become the form's where answers are single classes that are all among them or
                have numbers only, since a first batch need not show every class. None where any names will do: single
                classes that come by name are then texts.
        """
        if names is None and answers.kind == AnswerKind.LABELS and isinstance(answers, ByName):
            return cls(AnswerKind.TEXT, (), decimal(0.0), 0)
        labels = _unicode(answers.labels)
        if answers.kind == AnswerKind.LABELS and set(labels) <= set(names or ()):
            labels = tuple(names or ())
        width = 0 if answers.kind in _WITHOUT_COLUMNS else answers.values.shape[1]
        return cls(answers.kind, labels, decimal(answers.resolution), width)

    @classmethod
    def recorded(cls, body: Mapping[str, Any], rows: list[Any]) -> "Form":
        """Reads back what a journal holds: the form's event and the rows of the first batch."""
        kind = AnswerKind(body["kind"])
        # A first batch may hold nothing but continuations outside the likeliest tokens; a score has one column anyway.
        least = 1 if kind == AnswerKind.LOG_PROBABILITIES else 0
        width = 0 if kind in _WITHOUT_COLUMNS else max((len(row) for row in rows if row is not None), default=least)
        return cls(kind, tuple(body["labels"]), body["resolution"], width)

    @property
    def body(self) -> dict[str, Any]:
        """As the transcript and `evidence.json` have it."""
        return {"kind": self.kind.value, "labels": list(self.labels), "resolution": self.resolution}

    def rows(self, answers: Answers) -> tuple[list[Any] | EncodedList, str]:
        """Returns a batch's rows in this form, null where missing, and in words what is different, if anything."""
        if isinstance(answers, WrittenVectors) and (self.kind, self.labels) == (AnswerKind.VECTORS, ()):
            if answers.width != self.width:
                return [None] * answers.n, f"{answers.width} columns instead of {self.width}"
            return EncodedList(tuple(row or b"null" for row in answers.encoded)), ""
        if self.kind == AnswerKind.TEXT and answers.kind == AnswerKind.LABELS:
            return self._named(answers)
        if answers.kind != self.kind:
            return [None] * answers.n, f"answers are {answers.kind.value} instead of {self.kind.value}"
        labels = _unicode(answers.labels)
        if self.kind == AnswerKind.LABELS:
            return [self._index(row, labels) for row in encode_rows(answers)], ""
        if labels != self.labels:
            if self.kind in _WITHOUT_COLUMNS or sorted(labels) != sorted(self.labels):
                return [None] * answers.n, "other labels"
            order = [labels.index(label) for label in self.labels]
            answers = Answers(self.kind, answers.values[:, order], answers.missing, self.labels)
        if self.kind == AnswerKind.TEXT:
            rows = [None if row is None else _unicode((row,))[0] for row in encode_rows(answers)]
            return rows, ""
        if self.kind not in _WITHOUT_COLUMNS:
            width = answers.values.shape[1]
            if width != self.width:
                return [None] * answers.n, f"{width} columns instead of {self.width}"
            missing = answers.missing | ~np.isfinite(answers.values).all(axis=1)
            answers = Answers(self.kind, answers.values, missing, self.labels)
        return encode_rows(answers), ""

    def _named(self, answers: Answers) -> tuple[list[Any], str]:
        """Single classes by their names, and what is different where they have none."""
        labels = _unicode(answers.labels)
        if not labels and not answers.missing.all():
            return [None] * answers.n, "answers are numbers of classes instead of names"
        return [None if row is None else labels[row] for row in encode_rows(answers)], ""

    def _index(self, row: int | None, labels: tuple[str, ...]) -> int | None:
        """A class's place in the form's labels; a bare number is that place."""
        if row is None or not labels:
            return row if row is None or row < len(self.labels) or not self.labels else None
        return self.labels.index(labels[row]) if labels[row] in self.labels else None


def is_sound(answers: Answers, count: int) -> bool:
    """Whether answers are one a probe, in the shape of their kind: an adapter may be somebody else's."""
    if isinstance(answers, WrittenVectors):
        return answers.n == count
    if answers.missing.shape != (count,) or len(answers.values) != count:
        return False
    return answers.values.ndim == (1 if answers.kind in _WITHOUT_COLUMNS else 2)


def plain(rows: list[Any] | EncodedList) -> list[Any]:
    """Returns a batch's rows as plain values."""
    return rows.values if isinstance(rows, EncodedList) else rows


def count_differing(then: list[Any], again: list[Any], tolerance: float) -> int:
    """Counts rows that differ: numbers by more than `tolerance`, all else at all; also one missing, one not."""
    return sum(_differ(one, other, tolerance) for one, other in zip(then, again, strict=True))


def _differ(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        gaps = np.abs(np.array(one, dtype=np.float64) - np.array(other, dtype=np.float64))
        return bool((gaps > tolerance).any())
    return bool(one != other)


def _unicode(texts: Iterable[str]) -> tuple[str, ...]:
    """Texts of a stranger, who may have escaped half a character: such halves have no bytes, and become `?`."""
    return tuple(text.encode("utf-8", "replace").decode("utf-8") for text in texts)
