"""Model extraction by a thief who only asks: a student learns a classifier's answers (ours).

The thief sees answers to images of his own. He knows no key, no pool and no training data of the owner's; his students
start from first weights of their own, and his way of training is not the owner's.
"""

import copy
import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from forensics.attacks.queries import QUERIES, draw_queries
from forensics.attacks.students import STUDENTS, Average, fresh_model
from forensics.checkpoints import Classifier
from forensics.errors import UsageError
from forensics.imagefiles import channels_last
from forensics.progress import Progress, silent
from forensics.records import FloatArray, Identity
from forensics.training.data import to_channels

ANSWERS = ("soft", "top3", "hard", "rounded", "tempered")

FIXED = ("clean", "shifted")
"""Queries that are asked once, each image as it is; the others are drawn anew for every step."""

MOST_CELLS = 32
"""Cells a side that an adaptive thief regresses on at the most."""

_ROWS = 256
_FLOOR = 1e-6


@dataclass(frozen=True)
class Theft:
    """What a thief asks, what he is answered, and what he trains.

    Attributes:
        queries: `clean` (his images), `mixed` (pairs of them mixed, mirrored, shifted, with noise), `filtered` (half of
            them through fresh random filters), `noise` (no images at all), `shifted` (images of another task, as they
            are).
        answers: `soft` (probabilities), `top3` (the three largest, the rest spread evenly), `hard` (the class alone),
            `rounded` (two decimals), `tempered` (probabilities to the power 1/2, normalised).
        student: `same` (the teacher's architecture), `smaller` (half its widths), `cnn`, `mlp`, `vit`.
        seed: of first weights, queries and batches.

    Raises:
        UsageError: one of them is not known, or nothing would be learnt.
    """

    queries: str = "clean"
    answers: str = "soft"
    student: str = "same"
    steps: int = 1250
    batch: int = 64
    learning_rate: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses what is not known."""
        for what, choices in (("queries", QUERIES), ("answers", ANSWERS), ("student", STUDENTS)):
            if getattr(self, what) not in choices:
                raise UsageError(
                    f"There is no '{getattr(self, what)}' for {what}.", f"Choose one of: {', '.join(choices)}."
                )
        if self.steps < 1 or self.batch < 2 or not 0.0 < self.learning_rate < math.inf:
            raise UsageError(
                "A theft needs a step or more, batches of two or more and a rate above 0.", "Change its settings."
            )


def extract(
    teacher: Classifier, images: Sequence[NDArray[np.uint8]], theft: Theft = Theft(), progress: Progress = silent
) -> Classifier:
    """Returns a student that learnt the teacher's answers, in memory.

    Args:
        teacher: is only asked; it sees the queries through its own preprocessing, and so does the student.
        images: uint8 (height, width, channels), all of one size; for `noise` only their size counts.

    Raises:
        UsageError: fewer than two images, images of unlike sizes, or a student that cannot be made from the teacher.
    """
    shown = _stacked(images, teacher.channels)
    if theft.queries in FIXED:
        return learn(teacher, list(shown), ask(teacher, list(shown), theft.answers), theft, progress)
    rng = np.random.default_rng([theft.seed, 1])

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        while True:
            pixels = teacher.pixels(list(draw_queries(theft.queries, shown, theft.batch, rng)))
            yield pixels, _tensor(given(_probabilities(teacher, pixels), theft.answers))

    return _train(_student(teacher, shown, theft), batches(), theft, progress)


def ask(teacher: Classifier, images: Sequence[NDArray[np.uint8]], answers: str = "soft") -> FloatArray:
    """Returns the teacher's answers to images, (n, classes), rows that sum to 1.

    Args:
        images: uint8 (height, width, channels).
        answers: in what form they are given, one of `ANSWERS`.
    """
    parts = [
        _probabilities(
            teacher, teacher.pixels([to_channels(image, teacher.channels) for image in images[start:][:_ROWS]])
        )
        for start in range(0, len(images), _ROWS)
    ]
    return given(np.concatenate(parts), answers)


def learn(
    teacher: Classifier,
    images: Sequence[NDArray[np.uint8]],
    answers: FloatArray,
    theft: Theft,
    progress: Progress = silent,
) -> Classifier:
    """Returns a student that learnt these answers to these images, in memory.

    Args:
        teacher: whose architecture and preprocessing the student takes; it is not asked.
        images: uint8 (height, width, channels), all of one size.
        answers: (n, classes), rows that sum to 1.
        theft: its queries and answers do not matter here.

    Raises:
        UsageError: as for `extract`.
    """
    shown = _stacked(images, teacher.channels)
    pixels = torch.cat([teacher.pixels(list(shown[start : start + _ROWS])) for start in range(0, len(shown), _ROWS)])
    wanted, rng = _tensor(answers), np.random.default_rng([theft.seed, 1])

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        size = min(theft.batch, len(shown))
        while True:
            order = torch.from_numpy(rng.permutation(len(shown)))
            for start in range(0, len(shown) - size + 1, size):
                rows = order[start : start + size]
                yield pixels[rows], wanted[rows]

    return _train(_student(teacher, shown, theft), batches(), theft, progress)


def average(first: Classifier, second: Classifier) -> Classifier:
    """Returns a model in memory that answers the mean of two models' probabilities.

    Args:
        first: whose preprocessing both are used with.

    Raises:
        UsageError: the models differ in their classes or channels.
    """
    if (first.labels, first.channels) != (second.labels, second.channels):
        raise UsageError("The two models differ in their classes or channels.", "Average models of one task.")
    return dataclasses.replace(first, model=Average(first.model, second.model).eval(), identity=_in_memory("average"))


def given(probabilities: FloatArray, answers: str) -> FloatArray:
    """Returns what a service that answers in that form gives for its probabilities, (n, classes); rows sum to 1."""
    classes = probabilities.shape[1]
    if answers == "soft":
        return probabilities
    if answers == "hard":
        return np.asarray(np.eye(classes)[probabilities.argmax(axis=1)])
    if answers == "top3":
        shown = np.zeros(probabilities.shape, dtype=np.bool_)
        np.put_along_axis(shown, np.argsort(-probabilities, axis=1, kind="stable")[:, :3], True, axis=1)
        rest = np.where(shown, 0.0, probabilities).sum(axis=1, keepdims=True)
        return np.asarray(np.where(shown, probabilities, rest / max(1, classes - 3)))
    if answers == "rounded":
        # Of very many classes every share may round to 0; then only the largest is told.
        changed = np.maximum(np.round(probabilities, 2), 1e-9 * probabilities)
    else:
        changed = np.sqrt(probabilities)
    return np.asarray(changed / changed.sum(axis=1, keepdims=True))


def regress_out(images: Sequence[NDArray[np.uint8]], answers: FloatArray, cells: int = 7) -> FloatArray:
    """Takes out of answers what the brightness of cells predicts, as a thief would who knows of keyed soft labels.

    For the images of each top class, the logarithm of every answer is regressed on the mean brightness of all cells
    (least squares with a small ridge); what is predicted beyond the class's mean is subtracted, and the rest is
    normalised again.

    Args:
        images: uint8 (height, width, channels), all of one size.
        answers: (n, classes) probabilities for them.
        cells: as many by as many cells.

    Returns:
        (n, classes), rows that sum to 1.

    Raises:
        UsageError: fewer than two images, images of unlike sizes, or no or too many cells.
    """
    grey = torch.from_numpy(_stacked(images, 1)[:, None, :, :, 0].astype(np.float64))
    most = min(MOST_CELLS, *grey.shape[2:])
    if not 1 <= cells <= most:
        raise UsageError(f"{cells} by {cells} cells cannot be regressed on.", f"Use 1 to {most}; the method has 7.")
    return take_out(torch.nn.functional.adaptive_avg_pool2d(grey, cells).flatten(1).numpy() / 255.0, answers)


def take_out(seen: FloatArray, answers: FloatArray) -> FloatArray:
    """Takes out of the answers of each top class what is predicted by how their inputs are seen; see `regress_out`.

    Args:
        seen: (n, d) of the inputs.
        answers: (n, classes).
    """
    logits, top = np.log(answers + _FLOOR), answers.argmax(axis=1)
    for label in np.unique(top):
        own = top == label
        known = seen[own] - seen[own].mean(axis=0)
        told = logits[own] - logits[own].mean(axis=0)
        ridge = 1e-3 * np.trace(known.T @ known) / known.shape[1] + 1e-9
        logits[own] -= known @ np.linalg.solve(known.T @ known + ridge * np.eye(known.shape[1]), known.T @ told)
    logits = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(logits / logits.sum(axis=1, keepdims=True))


def _train(
    student: Classifier, batches: Iterator[tuple[torch.Tensor, torch.Tensor]], theft: Theft, progress: Progress
) -> Classifier:
    """Trains in place by cross-entropy against answers: AdamW, the rate falling to 0 like a cosine."""
    model = student.model
    optimiser = torch.optim.AdamW(model.parameters(), lr=theft.learning_rate, fused=True)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, theft.steps)
    steps = progress("Extracting", theft.steps)
    with steps as advance, torch.random.fork_rng(devices=[]), channels_last(model):
        torch.manual_seed(theft.seed)
        for _ in range(theft.steps):
            pixels, wanted = next(batches)
            model.train()
            loss = torch.nn.functional.cross_entropy(model(pixel_values=pixels).logits, wanted)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            falling.step()
            advance(1)
    model.eval()
    return student


def _student(teacher: Classifier, shown: NDArray[np.uint8], theft: Theft) -> Classifier:
    channels, height, width = teacher.pixels([shown[0]]).shape[1:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(theft.seed)
        model = fresh_model(theft.student, teacher.model, (channels, height, width), teacher.labels)
    return dataclasses.replace(
        teacher,
        model=model,
        processor=copy.deepcopy(teacher.processor),
        identity=_in_memory(f"{theft.student} student"),
    )


def _probabilities(teacher: Classifier, pixels: torch.Tensor) -> FloatArray:
    teacher.model.eval()
    with torch.inference_mode():
        logits = teacher.model(pixel_values=pixels).logits.double()
    return np.asarray(torch.softmax(logits, dim=1).numpy())


def _stacked(images: Sequence[NDArray[np.uint8]], channels: int) -> NDArray[np.uint8]:
    if len(images) < 2 or len({image.shape for image in images}) != 1:
        raise UsageError(
            "Extraction needs two images or more, all of one size.", "Bring the thief's images to one size first."
        )
    return np.stack([to_channels(image, channels) for image in images])


def _tensor(values: FloatArray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def _in_memory(name: str) -> Identity:
    return Identity("memory", name, "")
