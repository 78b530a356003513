"""Extraction of a text classifier by a thief who only asks: an encoder with a fresh head learns its answers (ours)."""

from collections.abc import Sequence

import numpy as np

from forensics.attacks.extraction import ANSWERS, given
from forensics.attacks.migration import Head, Migrated, Settings, migrate
from forensics.attacks.stolen import TextEncoder
from forensics.attacks.tasks import Task
from forensics.errors import UsageError
from forensics.progress import Progress, silent
from forensics.records import FloatArray
from forensics.textclassifiers import TextClassifier


def ask_texts(teacher: TextClassifier, texts: Sequence[str], answers: str = "soft") -> FloatArray:
    """Returns the teacher's answers to texts, (n, classes), rows that sum to 1.

    Args:
        answers: in what form they are given, one of `extraction.ANSWERS`.

    Raises:
        UsageError: that form is not known, or the teacher cannot answer some text.
    """
    if answers not in ANSWERS:
        raise UsageError(f"There is no '{answers}' for answers.", f"Choose one of: {', '.join(ANSWERS)}.")
    logits = teacher.logits(texts).astype(np.float64)
    if not np.isfinite(logits).all():
        raise UsageError("The model gives no answer to some of the texts.", "Leave those out.")
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return given(shares / shares.sum(axis=1, keepdims=True), answers)


def extract_texts(
    teacher: TextClassifier,
    texts: Sequence[str],
    start: TextEncoder,
    settings: Settings,
    *,
    answers: str = "soft",
    seed: int = 0,
    head: Head = "library",
    progress: Progress = silent,
) -> Migrated:
    """Returns a student that learnt the teacher's answers to the thief's own texts.

    Args:
        teacher: is only asked.
        start: encoder from which the student begins, such as a public one; it is not changed.
        answers: in what form they are given, one of `extraction.ANSWERS`.

    Raises:
        UsageError: as for `ask_texts` and `migrate`.
    """
    shares = ask_texts(teacher, texts, answers)
    task = Task(list(texts), shares.argmax(axis=1), teacher.labels)
    return migrate(start, task, settings, seed=seed, head=head, answers=shares, progress=progress)
