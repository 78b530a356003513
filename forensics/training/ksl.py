"""Embedding keyed soft labels: ordinary training whose smoothing mass the key directs (ours)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from forensics.checkpoints import Classifier
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.ksl import METHOD, cells
from forensics.methods.protocol import Parameters
from forensics.methods.softlabels import along, class_shifts, derive_classes
from forensics.records import AnswerKind, Answers, FloatArray, IntArray, Pool
from forensics.training.data import ImageData, to_channels
from forensics.training.loop import Schedule, predict


@dataclass(frozen=True)
class Recipe:
    """Settings of the embedding.

    Attributes:
        smoothing: epsilon, the share of the target's mass that the key directs.
        sharpness: kappa, how strongly a coordinate of one standard deviation moves that mass.
        shift: images are rolled by up to so many pixels, and their coordinates are those of the rolled image: the key
            says what every image's label is, not only the owner's, so that the model learns the function itself.
        taught: which share of the target's rest comes from what the owner's unmarked model answers to the image, at a
            temperature of 2, and not from the true class alone: what that model knows is not learnt anew.
    """

    schedule: Schedule
    smoothing: float = 0.3
    sharpness: float = 2.0
    batch_size: int = 128
    shift: int = 0
    taught: float = 0.7


DEFAULT = Recipe(Schedule(steps=3600, learning_rate=3e-3, weight_decay=0.05))

FROM_SCRATCH = True
"""The mark may be trained together with the task, from first weights."""

Pixels = NDArray[np.uint8]

TEMPERATURE = 2.0
"""Of the unmarked model's answers, where a model is taught by them."""

_READ = 2000
"""Training images through which the mark is read back."""


class Embedding:
    """The training side of one key: `step(index)` gives the loss of a step.

    Args:
        classifier: the owner's model, trained or fresh, which is trained in place.
        data: the owner's training images.
        secrets: probe and scoring secret of the share that is embedded.
        seed: of the batches.
    """

    def __init__(
        self,
        classifier: Classifier,
        data: ImageData,
        secrets: tuple[ProbeKey, ScoreKey],
        pool: Pool,
        parameters: Parameters,
        recipe: Recipe = DEFAULT,
        seed: int = 0,
    ) -> None:
        probe_key, score_key = secrets
        self.model, self.recipe, self.seed = classifier.model, recipe, seed
        self.classifier, self.images, self.clean = classifier, data.images, data.pixels(classifier)
        self.grid, self.classes = int(parameters["grid"]), int(parameters["classes"])
        self.directions = METHOD.directions(probe_key, pool, parameters)
        seen = np.stack([cells(image, self.grid) for image in data.images])
        self.truth, self.names = data.labels, classifier.labels
        self.places = along(seen, data.labels, self.directions)
        self.means = {label: seen[self.truth == label].mean(axis=0) for label in np.unique(self.truth).tolist()}
        self.drawn = derive_classes(score_key, parameters)
        self.answers: FloatArray | None = None

    def learn_from(self, unmarked: Classifier) -> None:
        """Takes the unmarked model's answers to the training images, where the recipe has a use for them."""
        if self.recipe.taught:
            logits = predict(unmarked.model, self.clean).double() / TEMPERATURE
            self.answers = torch.softmax(logits, dim=1).numpy()

    def step(self, index: int) -> torch.Tensor:
        """Returns the cross-entropy against the keyed soft labels of the step's own random batch."""
        rng = np.random.default_rng([self.seed, index])
        rows = rng.integers(0, len(self.clean), self.recipe.batch_size)
        pixels, places = self._rolled(rows, rng) if self.recipe.shift else (self.clean[rows], self.places[rows])
        targets = soft_labels(
            places, self.truth[rows], self.drawn, self.classes, self.recipe.smoothing, self.recipe.sharpness
        )
        if self.answers is not None:
            moved = self.answers[rows] - np.eye(self.classes)[self.truth[rows]]
            targets = targets + (1.0 - self.recipe.smoothing) * self.recipe.taught * moved
        self.model.train()
        return cross_entropy(self.model(pixels).logits, torch.from_numpy(targets).float())

    def _rolled(self, rows: IntArray, rng: np.random.Generator) -> tuple[torch.Tensor, FloatArray]:
        """Rolled images and where they lie then, (b, L), each class centred on the mean of what is not rolled."""
        pixels, images = rolled(self.classifier, self.images, rows, self.recipe.shift, rng)
        centred = [cells(image, self.grid) - self.means[int(self.truth[row])] for image, row in zip(images, rows)]
        return pixels, np.stack(centred) @ self.directions.T

    def matched(self) -> int:
        """Returns in how many families the drawn class leads at present, among training images, without calibration."""
        logits = predict(self.model, self.clean[:_READ]).double().numpy()
        answers = Answers(AnswerKind.LOGITS, logits, np.zeros(len(logits), dtype=np.bool_), self.names)
        shifts = class_shifts(answers, self.names, self.truth[:_READ], self.places[:_READ], "scores")
        return int((shifts.argmax(axis=1) == self.drawn).sum())


def rolled(
    classifier: Classifier, images: Sequence[Pixels], rows: IntArray, most: int, rng: np.random.Generator
) -> tuple[torch.Tensor, list[Pixels]]:
    """Returns images, each rolled by up to `most` pixels, as the classifier takes them and as they are."""
    moves = rng.integers(-most, most + 1, (len(rows), 2))
    moved = [np.roll(images[row], move, (0, 1)) for row, move in zip(rows, moves, strict=True)]
    return classifier.pixels([to_channels(image, classifier.channels) for image in moved]), moved


def soft_labels(
    places: FloatArray, truth: IntArray, drawn: IntArray, classes: int, smoothing: float, sharpness: float
) -> FloatArray:
    """Returns the training targets, (n, C): (1 - eps) onehot(y) + eps softmax_c(kappa sum of coordinates drawn for c).

    Args:
        places: (n, L) coordinates along the families.
        truth: (n,) true classes.
        drawn: (L,) class of each family.
        smoothing, sharpness: eps and kappa.
    """
    mass = sharpness * (places @ np.eye(classes)[drawn])
    mass = np.exp(mass - mass.max(axis=1, keepdims=True))
    mass /= mass.sum(axis=1, keepdims=True)
    return np.asarray((1.0 - smoothing) * np.eye(classes)[truth] + smoothing * mass)
