"""Answers and identities as plain JSON values: decimal strings for numbers, null for what is missing."""

from collections import Counter
from typing import Any

import numpy as np

from forensics.canonical import decimal
from forensics.records import AnswerKind, Answers, Identity


def encode_rows(answers: Answers) -> list[Any]:
    """Returns one JSON value per probe: a list of decimal strings, a class index, a text, or null where missing."""
    if answers.kind == AnswerKind.LABELS:
        return [None if gone else int(value) for value, gone in zip(answers.values, answers.missing, strict=True)]
    if answers.kind == AnswerKind.TEXT:
        return [None if gone else str(value) for value, gone in zip(answers.values, answers.missing, strict=True)]
    rows = answers.values.tolist()
    return [None if gone else list(map(repr, row)) for row, gone in zip(rows, answers.missing.tolist(), strict=True)]


def encode_answers(answers: Answers) -> dict[str, Any]:
    """Returns answers in the form of `evidence.json`."""
    return {
        "kind": answers.kind.value,
        "labels": list(answers.labels),
        "resolution": decimal(answers.resolution),
        "values": encode_rows(answers),
    }


def decode_answers(body: dict[str, Any]) -> Answers:
    """Reads answers back; rows that are null, of another width or not finite count as missing.

    Raises:
        ValueError: the kind is unknown or a value is not a number.
    """
    kind = AnswerKind(body["kind"])
    rows: list[Any] = list(body["values"])
    labels, resolution = tuple(body["labels"]), float(body["resolution"])
    if kind == AnswerKind.TEXT:
        texts = np.array(["" if row is None else _text(row) for row in rows], dtype=np.object_)
        return Answers(kind, texts, np.array([row is None for row in rows], dtype=np.bool_), labels, resolution)
    if kind == AnswerKind.LABELS:
        indices = np.array([-1 if row is None else int(row) for row in rows], dtype=np.int64)
        return Answers(kind, indices, indices < 0, labels, resolution)
    width = len(labels) or _usual_width(rows)
    values = np.full((len(rows), width), np.nan)
    for index, row in enumerate(rows):
        if row is not None and len(row) == width:
            values[index] = [float(text) for text in row]
    missing = ~np.isfinite(values).all(axis=1) if width else np.ones(len(rows), dtype=np.bool_)
    values[missing] = np.nan
    return Answers(kind, values, missing, labels, resolution)


def _usual_width(rows: list[Any]) -> int:
    """Returns the width that most rows have, the smaller one in a tie: a single long row must not void the others."""
    counts = Counter(len(row) for row in rows if row is not None)
    return min(counts, key=lambda width: (-counts[width], width), default=0)


def _text(row: Any) -> str:
    if not isinstance(row, str):
        raise ValueError("a text answer is no text")
    return row


def join_answers(parts: list[Answers]) -> Answers:
    """Joins the answers of consecutive batches of one suspect."""
    first = parts[0]
    values = np.concatenate([part.values for part in parts])
    missing = np.concatenate([part.missing for part in parts])
    return Answers(first.kind, values, missing, first.labels, first.resolution)


def encode_identity(identity: Identity) -> dict[str, Any]:
    """Returns an identity in the form of `evidence.json`."""
    return {
        "kind": identity.kind,
        "name": identity.name,
        "digest": identity.digest,
        "facts": dict(identity.facts),
        "files": {path: [digest, size] for path, (digest, size) in identity.files.items()},
    }


def decode_identity(body: dict[str, Any]) -> Identity:
    """Reads an identity back."""
    files = {path: (str(digest), int(size)) for path, (digest, size) in body["files"].items()}
    return Identity(body["kind"], body["name"], body["digest"], dict(body["facts"]), files)
