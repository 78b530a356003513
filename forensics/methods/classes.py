"""What a classifier answers, in the order of the claim's label list: columns, labels, log-probabilities."""

import numpy as np

from forensics.errors import UsageError
from forensics.labels import match_labels
from forensics.methods.protocol import MethodSpec
from forensics.records import AnswerKind, Answers, FloatArray, IntArray

FLOOR = 1e-5
"""Added to probabilities before their logarithm is taken."""


def shared_access(spec: MethodSpec, answers: Answers, *clean: Answers) -> str:
    """Returns what a suspect and the models beside it all give: `scores`, or `labels` where one gives no more.

    Raises:
        UsageError: one of them is no classifier.
    """
    access = "labels" if "labels" in {answers.access, *(each.access for each in clean)} else answers.access
    if access not in spec.deciding:
        raise UsageError("The suspect gives feature vectors, not class scores.", "Examine a classifier.")
    return access


def class_answers(answers: Answers, labels: tuple[str, ...], access: str) -> FloatArray:
    """Returns an answer for each class of the claim, (n, C): its log-probability (floored), or whether it is the top.

    Args:
        access: `scores` or `labels`.
    """
    columns = class_columns(answers, labels)
    if access == "labels":
        return np.asarray(top_classes(answers)[:, None] == columns, dtype=np.float64)
    return np.asarray(np.log(probabilities(answers)[:, columns] + FLOOR))


def class_columns(answers: Answers, labels: tuple[str, ...]) -> IntArray:
    """Maps the claim's label indices to the suspect's columns: by name or number, else by position.

    Raises:
        UsageError: another number of labels.
    """
    theirs = answers.labels
    if len(theirs) != len(labels):
        raise UsageError(
            f"The suspect has {len(theirs)} labels; the claim has {len(labels)}.",
            "Examine a classifier of the claim's label list.",
        )
    matched = match_labels(theirs, labels)
    return np.arange(len(labels), dtype=np.int64) if matched is None else matched


def top_classes(answers: Answers) -> IntArray:
    """Returns the suspect's column of the largest score of each answer, (n,), the first among equals."""
    if answers.kind is AnswerKind.LABELS:
        return np.asarray(answers.values, dtype=np.int64)
    values = np.where(np.isfinite(answers.values), answers.values, -np.inf)
    return np.asarray(np.argmax(values, axis=1), dtype=np.int64)


def probabilities(answers: Answers) -> FloatArray:
    """Returns the suspect's probabilities, (n, C), columns as the suspect has them; missing rows are 0."""
    values = np.where(answers.missing[:, None], 0.0, answers.values)
    if answers.kind is AnswerKind.LOGITS:
        shifted = np.exp(values - values.max(axis=1, keepdims=True))
        values = shifted / shifted.sum(axis=1, keepdims=True)
    elif answers.kind is AnswerKind.LOG_PROBABILITIES:
        values = np.exp(values)
    # A class that a top-k answer leaves out has no probability of its own.
    shares = np.clip(np.nan_to_num(values, nan=0.0), 0.0, 1.0)
    return np.asarray(np.where(answers.missing[:, None], 0.0, shares), dtype=np.float64)
