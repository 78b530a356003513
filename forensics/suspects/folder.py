"""A local Transformers image classifier as a suspect."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forensics.checkpoints import Classifier, load_classifier
from forensics.records import AnswerKind, Answers, Probe
from forensics.suspects.media import numbers, take_images


class FolderSuspect:
    """Answers with logits, computed in float32 and recorded as shortest decimals."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self.identity = classifier.identity

    @classmethod
    def load(cls, folder: Path) -> "FolderSuspect":
        """Loads the folder under the rules of `checkpoints`.

        Raises:
            ModelError: the folder breaks one of them.
        """
        return cls(load_classifier(folder))

    def answer(self, probes: Sequence[Probe]) -> Answers:
        """Returns logits (n, classes); rows that are not finite are missing, and all of a batch the model fails on.

        Raises:
            UsageError: the probes are no images, or ask for scores.
        """
        images = take_images(probes, self.classifier.channels, "an image classifier")
        labels = self.classifier.labels
        nothing = np.full((len(probes), len(labels)), np.nan, dtype=np.float32)
        try:
            rows = self._logits(images)
        except Exception:  # noqa: BLE001 - whatever a hostile model does with an input, it has not answered it
            rows = nothing
        return numbers(AnswerKind.LOGITS, rows if rows.shape == nothing.shape else nothing, labels)

    def _logits(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        import torch

        pixels = self.classifier.batch(images)
        with torch.inference_mode():
            logits: NDArray[np.float32] = self.classifier.model(pixels).logits.float().numpy()
        return logits
