"""Thieves of the extraction bench: what each makes of a classifier by asking it, whatever mark that carries or none."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.attacks.extraction import Theft, ask, average, extract, learn, regress_out
from forensics.attacks.finetuning import finetune
from forensics.bench.extractionmodels import QUICK_IMAGES, QUICK_STEPS, control, kept, parts
from forensics.bench.fashion import load_mnist, load_pictures
from forensics.bench.models import clone
from forensics.checkpoints import Classifier
from forensics.training.data import ImageData

FEW = 2_000
"""Queries of a thief with a small budget."""

RATE = 1e-3
"""Learning rate of fine-tuning with true labels."""

Made = Iterator[tuple[str, Classifier]]
"""Names of attacks and what came of them."""


def steal(thief: str, teacher: Classifier, seed: int, quick: bool) -> Made:
    """Gives, one after the other, the models that a thief makes.

    Args:
        thief: one of `THIEVES`.
        teacher: is asked, and never changed.
        seed: of the thief's students.
    """
    return THIEVES[thief](teacher, seed, quick)


def theft(seed: int, quick: bool, **changes: Any) -> Theft:
    """Returns the bench's theft: 1,250 steps of 64 queries."""
    made = Theft(seed=seed, **changes)
    return replace(made, steps=QUICK_STEPS) if quick else made


def truth(student: str, seed: int, quick: bool) -> Classifier:
    """Returns an independent model: a student's architecture that learns the thief's true labels and asks nobody."""
    data = parts(quick).thief
    answers = np.eye(len(data.names))[data.labels]
    return learn(control(100, quick), data.images, answers, theft(seed, quick, student=student))


def _student(teacher: Classifier, seed: int, quick: bool, answers: str) -> Classifier:
    """The thief's usual student; like what is made of it kept in the cache, since several cells use it."""
    made = theft(seed, quick, answers=answers)
    facts = (teacher.identity.digest, made)
    return kept(f"student-{answers}", facts, lambda _: extract(teacher, parts(quick).thief.images, made), quick)


def _tuned(answers: str, epochs: tuple[int, ...]) -> Callable[[Classifier, int, bool], Made]:
    def run(teacher: Classifier, seed: int, quick: bool) -> Made:
        student = _student(teacher, seed, quick, answers)

        def after(count: int, _: object) -> Classifier:
            tuned = clone(student)
            finetune(tuned, parts(quick).thief, count, RATE, seed)
            return tuned

        for count in epochs:
            if count:
                facts = (student.identity.digest, count, RATE, seed)
                tuned = kept(f"tuned-{answers}", facts, partial(after, count), quick)
                yield f"{answers} answers, {count} epochs of true labels", tuned
            else:
                yield f"{answers} answers", student

    return run


def _other(student: str) -> Callable[[Classifier, int, bool], Made]:
    def run(teacher: Classifier, seed: int, quick: bool) -> Made:
        made = theft(seed + 1, quick, student=student)
        stolen = extract(teacher, parts(quick).thief.images, made)
        yield f"soft answers, student {student}", stolen
        if student == "cnn":
            yield "two stolen models averaged", average(_student(teacher, seed, quick, "soft"), stolen)

    return run


def _answers(form: str) -> Callable[[Classifier, int, bool], Made]:
    def run(teacher: Classifier, seed: int, quick: bool) -> Made:
        yield f"{form} answers", extract(teacher, parts(quick).thief.images, theft(seed, quick, answers=form))

    return run


def _elsewhere(teacher: Classifier, seed: int, quick: bool) -> Made:
    asked = theft(seed, quick, queries="shifted")
    yield "queries of other tasks", extract(teacher, list(_other_images(quick)), asked)


def _noise(teacher: Classifier, seed: int, quick: bool) -> Made:
    yield "noise as queries", extract(teacher, parts(quick).thief.images[:2], theft(seed, quick, queries="noise"))


def _few(teacher: Classifier, seed: int, quick: bool) -> Made:
    yield f"{FEW:,} queries", extract(teacher, parts(quick).thief.images[:FEW], theft(seed, quick))


def _second(teacher: Classifier, seed: int, quick: bool) -> Made:
    first = _student(teacher, seed, quick, "soft")
    yield "stolen from the stolen model", extract(first, parts(quick).thief.images, theft(seed + 2, quick))


def _adaptive(teacher: Classifier, seed: int, quick: bool) -> Made:
    images = parts(quick).thief.images
    yield "cells regressed out", learn(teacher, images, regress_out(images, ask(teacher, images)), theft(seed, quick))


THIEVES: Mapping[str, Callable[[Classifier, int, bool], Made]] = {
    "soft": _tuned("soft", (0, 2)),
    "hard": _tuned("hard", (0, 2)),
    "cnn": _other("cnn"),
    "mlp": _other("mlp"),
    "long": _tuned("soft", (10,)),
    "elsewhere": _elsewhere,
    "noise": _noise,
    "few": _few,
    "top3": _answers("top3"),
    "rounded": _answers("rounded"),
    "tempered": _answers("tempered"),
    "second": _second,
    "adaptive": _adaptive,
    "vit": _other("vit"),
}
"""Functions from a teacher, a seed and `quick` to what the thief makes."""


@cache
def _other_images(quick: bool) -> NDArray[np.uint8]:
    """Grey images of 28 x 28 pixels that are no clothes: digits of MNIST, and crops of photographs."""
    found: list[ImageData] = [load_mnist("train"), load_pictures("train", QUICK_IMAGES if quick else 7_000)]
    return np.stack([image for data in found for image in data.images][-QUICK_IMAGES if quick else 0 :])
