"""A local Transformers text classifier as a suspect."""

from collections.abc import Sequence
from pathlib import Path

from forensics.records import AnswerKind, Answers, Probe
from forensics.suspects.media import numbers, take_texts
from forensics.textclassifiers import TextClassifier, load_text_classifier


class TextClassifierSuspect:
    """Answers with logits, computed in float32 and recorded as shortest decimals."""

    def __init__(self, classifier: TextClassifier) -> None:
        self.classifier = classifier
        self.identity = classifier.identity

    @classmethod
    def load(cls, folder: Path) -> "TextClassifierSuspect":
        """Loads the folder under the rules of `textclassifiers`.

        Raises:
            ModelError: the folder breaks one of them.
        """
        return cls(load_text_classifier(folder))

    def answer(self, probes: Sequence[Probe]) -> Answers:
        """Returns logits (n, classes); rows that are not finite are missing, and all of a batch the model fails on.

        Texts of like length are run together; the more probes a call has, the less is padded.

        Raises:
            UsageError: the probes are no texts, or ask for scores.
        """
        rows = self.classifier.logits(take_texts(probes, "a text classifier"))
        return numbers(AnswerKind.LOGITS, rows, self.classifier.labels)
