"""A thief's labelled data; texts come from anything that the `datasets` library reads from disk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.training.data import ImageData
from forensics.training.labelledtexts import load_labelled_texts


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

    Raises:
        UsageError: as for `load_labelled_texts`.
    """
    found = load_labelled_texts(folder, required=False)
    return Task(list(found.texts), found.labels, found.names)
