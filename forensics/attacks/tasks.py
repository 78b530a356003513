"""A thief's labelled data; texts come from anything that the `datasets` library reads from disk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.errors import UsageError
from forensics.training.data import ImageData, read_rows

_RETRY = "Give a folder saved by datasets (save_to_disk), or one with Parquet, CSV or JSON lines files."
_TEXTS, _LABELS = ("text", "sentence", "content"), ("label", "labels", "target")


@dataclass(frozen=True, eq=False)
class Task:
    """Labelled inputs in memory.

    Attributes:
        inputs: texts, or uint8 (height, width, channels) images.
        labels: (n,) class numbers.
        names: class names; none where the inputs have no labels, so that `labels` are all 0.
    """

    inputs: list[Any]
    labels: NDArray[np.int64]
    names: tuple[str, ...]

    @classmethod
    def of_images(cls, data: ImageData) -> "Task":
        """Takes labelled images."""
        return cls(list(data.images), data.labels, data.names)


def load_texts(folder: Path) -> Task:
    """Reads texts, and their labels where there are some, from disk.

    Args:
        folder: what `Dataset.save_to_disk` wrote, or a folder that `load_dataset` reads.

    Raises:
        UsageError: not a data set, without a text column, or with labels that are no class numbers or names.
    """
    found = read_rows(folder, _RETRY)
    name = next((column for column in _TEXTS if column in found.column_names), None)
    if name is None or not all(isinstance(text, str) for text in found[name]):
        raise UsageError(f"{folder} has no column 'text' of texts; it has {', '.join(found.column_names)}.", _RETRY)
    texts = list(found[name])
    label = next((column for column in _LABELS if column in found.column_names), None)
    if label is None:
        return Task(texts, np.zeros(len(texts), dtype=np.int64), ())
    labels, names = list(found[label]), tuple(getattr(found.features[label], "names", ()))
    if all(isinstance(each, str) for each in labels):
        names = tuple(sorted(set(labels)))
        labels = [names.index(each) for each in labels]
    if not all(isinstance(each, int) and each >= 0 for each in labels):
        raise UsageError(f"The labels of {folder} are no class numbers or names.", "Check its label column.")
    numbers = np.asarray(labels, dtype=np.int64)
    return Task(texts, numbers, names or tuple(str(each) for each in range(int(numbers.max()) + 1)))
