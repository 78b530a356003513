"""Labelled texts, from anything the `datasets` library reads from disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from forensics.canonical import canonical_json, sha256
from forensics.errors import UsageError
from forensics.records import IntArray
from forensics.training.data import read_rows

RETRY = "Give a folder saved by datasets (save_to_disk), or one with Parquet, CSV or JSON lines files."
_TEXTS, _LABELS = ("text", "sentence", "content"), ("label", "labels", "target")


@dataclass(frozen=True, eq=False)
class LabelledTexts:
    """Labelled texts in memory.

    Attributes:
        labels: (n,) class numbers.
        names: class names; none where the data has no labels, so that `labels` are all 0.
    """

    texts: Sequence[str]
    labels: IntArray
    names: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over texts and labels."""
        return sha256(canonical_json([list(self.texts), self.labels.tolist()]))

    def subset(self, rows: IntArray) -> "LabelledTexts":
        """Returns the texts at these positions."""
        return LabelledTexts([self.texts[int(row)] for row in rows], self.labels[rows], self.names)


def load_labelled_texts(folder: Path, *, required: bool = True) -> LabelledTexts:
    """Reads texts with their labels from disk.

    Args:
        folder: what `Dataset.save_to_disk` wrote, or a folder that `load_dataset` reads.
        required: whether there must be labels.

    Raises:
        UsageError: not a data set, without a text or label column, or with labels that are no class numbers or names.
    """
    found = read_rows(folder, RETRY)
    name = next((column for column in _TEXTS if column in found.column_names), None)
    if name is None or not all(isinstance(text, str) for text in found[name]):
        raise UsageError(f"{folder} has no column 'text' of texts; it has {', '.join(found.column_names)}.", RETRY)
    texts = list(found[name])
    label = next((column for column in _LABELS if column in found.column_names), None)
    if label is None:
        if required:
            raise UsageError(f"{folder} has no column 'label'; it has {', '.join(found.column_names)}.", RETRY)
        return LabelledTexts(texts, np.zeros(len(texts), dtype=np.int64), ())
    labels, names = list(found[label]), tuple(getattr(found.features[label], "names", ()))
    if all(isinstance(each, str) for each in labels):
        names = tuple(sorted(set(labels)))
        labels = [names.index(each) for each in labels]
    if not all(isinstance(each, int) and each >= 0 for each in labels):
        raise UsageError(f"The labels of {folder} are no class numbers or names.", "Check its label column.")
    numbers = np.asarray(labels, dtype=np.int64)
    names = names or tuple(str(each) for each in range(int(numbers.max()) + 1))
    if int(numbers.max()) >= len(names):
        raise UsageError(f"The labels of {folder} run beyond its {len(names)} classes.", "Check the label column.")
    return LabelledTexts(texts, numbers, names)
