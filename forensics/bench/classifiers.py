"""What the benches of image classifiers share: a key's questions put to a model in memory, and the row of a score."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from forensics.bench.keys import BenchKey
from forensics.bench.results import Row
from forensics.checkpoints import Classifier
from forensics.codec import join_answers
from forensics.records import AnswerKind, Answers
from forensics.suspects.folder import FolderSuspect


def suspect_answers(classifier: Classifier, made: BenchKey) -> Answers:
    """Puts a key's whole plan to a model."""
    suspect, probes, size = FolderSuspect(classifier), made.plan.probes, made.plan.batch_size
    return join_answers([suspect.answer(probes[start : start + size]) for start in range(0, len(probes), size)])


def labels_only(answers: Answers) -> Answers:
    """Returns what a service that names only the top label would have answered."""
    top = np.argmax(answers.values, axis=1).astype(np.int64)
    return dataclasses.replace(answers, kind=AnswerKind.LABELS, values=top)


def rounded(answers: Answers, digits: int) -> Answers:
    """Returns what a service that rounds its probabilities would have answered.

    Args:
        answers: logits or probabilities.
        digits: decimals that are left.
    """
    values = answers.values
    if answers.kind is AnswerKind.LOGITS:
        values = np.exp(values - values.max(axis=1, keepdims=True))
        values = values / values.sum(axis=1, keepdims=True)
    return dataclasses.replace(
        answers, kind=AnswerKind.PROBABILITIES, values=np.round(values, digits), resolution=10.0**-digits
    )


def scored_row(
    made: BenchKey,
    suspect: str,
    attack: str,
    answers: Answers,
    clean: Answers,
    facts: Mapping[str, Any],
    *,
    innocent: bool,
    quick: bool,
) -> Row:
    """Scores answers and returns the row that the tables are made of.

    Args:
        clean: answers of the model that the claim names.
        facts: further entries of the row.
    """
    measurement, verdict = made.score(answers, clean)
    return {
        **made.figures(measurement, verdict),
        "suspect": suspect,
        "attack": attack,
        "innocent": innocent,
        "raw_matched": int(measurement.context["raw_matched"]),
        "published_p": measurement.published[0].p_value,
        **facts,
        "quick": quick,
    }
