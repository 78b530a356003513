"""Text classifiers into which a mark is trained: their accuracy on texts that are held out must not fall far."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from forensics.errors import UsageError
from forensics.records import FloatArray, Identity
from forensics.textclassifiers import load_text_classifier, read_text_classifier_identity, save_text_classifier
from forensics.training.labelledtexts import LabelledTexts
from forensics.training.loop import evaluating
from forensics.training.material import HELD_OUT, ClassifierMaterial, Limits, Marking

FEWEST = 20
"""Fewest different texts with which a classifier is trained."""


class TextClassifierMaterial(ClassifierMaterial):
    """A text classifier with labelled texts. Those of the key's pools are left out: probes shall be new to it.

    Raises:
        UsageError: too few texts, or model or data have another number of classes than the claim.
        ModelError: the model's folder breaks a rule.
    """

    noun, task, kind = "texts", "text-classification", "A text classifier"

    def __init__(self, model: Path, data: LabelledTexts, marking: Marking, limits: Limits, seed: int) -> None:
        self.classifier = load_text_classifier(model)
        self._take(data, marking, limits, seed)
        asked = {item.data.decode("utf-8") for share in marking.shares for item in share.pool.items[1:]}
        first = {" ".join(text.split()): row for row, text in reversed(list(enumerate(data.texts)))}
        left = np.array(sorted(row for text, row in first.items() if text not in asked), dtype=np.int64)
        if len(left) < FEWEST:
            raise UsageError(
                f"The data has {len(left)} different texts that are not asked by the key; {FEWEST} are the least.",
                "Give more, some thousand if possible.",
            )
        order = np.random.default_rng(seed).permutation(left)
        self.held_out = max(1, round(HELD_OUT * len(left)))
        self._held, self._rest = data.subset(order[: self.held_out]), data.subset(order[self.held_out :])
        self.data_digest = data.digest

    def measure(self) -> FloatArray:
        """Returns the accuracy on held-out texts, (1,)."""
        with evaluating(self.model):
            named = self.classifier.logits(list(self._held.texts)).argmax(axis=1)
        return np.array([float((named == self._held.labels).mean())])

    def save(self, folder: Path, figures: Mapping[str, float], source: Path) -> None:
        """Writes a folder of a text classifier."""
        save_text_classifier(self.classifier, folder, self.card(figures, source))

    def read_identity(self, folder: Path) -> Identity:
        """Returns the manifest of a folder that was written."""
        return read_text_classifier_identity(folder)
