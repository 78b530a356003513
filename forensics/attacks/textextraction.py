"""Extraction of a text classifier by a thief who only asks: an encoder with a fresh head learns its answers (ours)."""

from collections.abc import Sequence

import numpy as np
from scipy.special import softmax

from forensics.attacks.extraction import ANSWERS, given, take_out
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
    return given(softmax(logits, axis=1), answers)


def word_means(encoder: TextEncoder, texts: Sequence[str], width: int = 32) -> FloatArray:
    """Returns texts as an adaptive thief sees them who knows of keyed soft labels, (n, width).

    He has neither the owner's table nor his model: for each text he takes the mean of the public encoder's input
    vectors of its tokens, and of all texts the first principal coordinates.

    Raises:
        UsageError: the encoder's vectors have fewer coordinates, or none are asked for.
    """
    table = encoder.model.get_input_embeddings().weight.detach().double().numpy()
    if not 1 <= width <= table.shape[1]:
        raise UsageError(
            f"{width} coordinates cannot be regressed on.", f"Use 1 to {table.shape[1]}; the method has 32."
        )
    means = np.stack([table[ids].mean(axis=0) for ids in encoder.prepare(texts)])
    centred = means - means.mean(axis=0)
    return np.asarray(centred @ np.linalg.svd(centred, full_matrices=False)[2][:width].T)


def extract_texts(
    teacher: TextClassifier,
    texts: Sequence[str],
    start: TextEncoder,
    settings: Settings,
    *,
    answers: str = "soft",
    regress_out: int = 0,
    seed: int = 0,
    head: Head = "library",
    progress: Progress = silent,
) -> Migrated:
    """Returns a student that learnt the teacher's answers to the thief's own texts.

    Args:
        teacher: is only asked.
        start: encoder from which the student begins, such as a public one; it is not changed.
        answers: in what form they are given, one of `extraction.ANSWERS`.
        regress_out: take out of the answers what so many coordinates of the words predict; 0 takes out nothing.

    Raises:
        UsageError: as for `ask_texts`, `word_means` and `migrate`.
    """
    shares = ask_texts(teacher, texts, answers)
    if regress_out:
        shares = take_out(word_means(start, texts, regress_out), shares)
    task = Task(list(texts), shares.argmax(axis=1), teacher.labels)
    return migrate(start, task, settings, seed=seed, head=head, answers=shares, progress=progress)
