"""Embedding keyed soft labels in a text classifier: fine-tuning whose smoothing mass the key directs (ours)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.methods.ksl_text import METHOD, see_texts
from forensics.methods.protocol import Parameters
from forensics.methods.softlabels import along, class_shifts, derive_classes
from forensics.methods.wordtable import read_table
from forensics.records import AnswerKind, Answers, Pool
from forensics.textclassifiers import TextClassifier
from forensics.training.ksl import soft_labels
from forensics.training.labelledtexts import LabelledTexts
from forensics.training.loop import Schedule, evaluating
from forensics.training.textbatches import TextBatches


@dataclass(frozen=True)
class Recipe:
    """Settings of the embedding.

    Attributes:
        smoothing, sharpness: epsilon and kappa, as in `training.ksl`.
        frozen: whether the encoder stays as it is, and nothing but what follows it is trained.
    """

    schedule: Schedule
    smoothing: float = 0.1
    sharpness: float = 1.5
    batch_size: int = 32
    frozen: bool = False


DEFAULT = Recipe(Schedule(steps=400, learning_rate=1e-4, constant=0.2, weight_decay=0.01, warm_up=40))

FROZEN = Recipe(
    Schedule(steps=1600, learning_rate=2e-3, constant=0.2, weight_decay=0.01), smoothing=0.3, batch_size=64, frozen=True
)
"""Where the encoder is frozen: the few weights behind it must learn fast, and cost little a step."""

_READ = 1000
"""Training texts through which the mark is read back."""


class Embedding:
    """The training side of one key: `step(index)` gives the loss of a step.

    Args:
        classifier: the owner's trained model, which is trained on in place.
        data: the owner's training texts.
        secrets: probe and scoring secret of the share that is embedded.
        seed: of the batches.
    """

    def __init__(
        self,
        classifier: TextClassifier,
        data: LabelledTexts,
        secrets: tuple[ProbeKey, ScoreKey],
        pool: Pool,
        parameters: Parameters,
        recipe: Recipe = DEFAULT,
        seed: int = 0,
    ) -> None:
        probe_key, score_key = secrets
        self.classifier, self.model, self.recipe, self.seed = classifier, classifier.model, recipe, seed
        self.texts, self.truth, self.classes = list(data.texts), data.labels, int(parameters["classes"])
        self.drawn = derive_classes(score_key, parameters)
        seen = see_texts([" ".join(text.split()) for text in data.texts], read_table(pool.items[0].data))
        self.places = along(seen, data.labels, METHOD.directions(probe_key, pool, parameters))
        self.batches = TextBatches(classifier, self.texts, frozen=recipe.frozen)

    def step(self, index: int) -> torch.Tensor:
        """Returns the cross-entropy against the keyed soft labels of the step's own random batch."""
        rows = np.random.default_rng([self.seed, index]).integers(0, len(self.texts), self.recipe.batch_size)
        targets = soft_labels(
            self.places[rows],
            self.truth[rows],
            self.drawn,
            self.classes,
            self.recipe.smoothing,
            self.recipe.sharpness,
        )
        return cross_entropy(self.batches.logits(rows), torch.from_numpy(targets).float())

    def matched(self) -> int:
        """Returns in how many families the drawn class leads at present, among training texts, without calibration."""
        with evaluating(self.model):
            logits = self.classifier.logits(self.texts[:_READ]).astype(np.float64)
        names = self.classifier.labels
        answers = Answers(AnswerKind.LOGITS, logits, np.zeros(len(logits), dtype=np.bool_), names)
        shifts = class_shifts(answers, names, self.truth[:_READ], self.places[:_READ], "scores")
        return int((shifts.argmax(axis=1) == self.drawn).sum())
