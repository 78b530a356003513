"""A local Transformers image classifier as a suspect."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from forensics.canonical import through_decimals
from forensics.checkpoints import Classifier, load_classifier
from forensics.errors import UsageError
from forensics.images import decode_image
from forensics.records import AnswerKind, Answers, Probe


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
        """Returns logits (n, classes); rows that are not finite are missing."""
        import torch

        if any(probe.media_type != "image/png" or probe.operation != "answer" for probe in probes):
            raise UsageError("The probes are not images.", "An image classifier can only answer image probes.")
        labels = self.classifier.labels
        images = [decode_image(probe.data, self.classifier.channels) for probe in probes]
        with torch.inference_mode():
            logits = self.classifier.model(self.classifier.pixels(images)).logits
        values = through_decimals(logits.float().numpy())
        if values.shape != (len(probes), len(labels)):
            values = np.full((len(probes), len(labels)), np.nan)
        missing = ~np.isfinite(values).all(axis=1)
        values[missing] = np.nan
        return Answers(AnswerKind.LOGITS, values, missing, labels)
