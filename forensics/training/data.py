"""Images, with labels or without, from anything the `datasets` library reads from disk."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forensics.checkpoints import Classifier
from forensics.errors import UsageError
from forensics.images import encode_png
from forensics.records import IntArray, Pool, PoolItem

if TYPE_CHECKING:
    import torch

_RETRY = "Give a folder saved by datasets (save_to_disk) or an image folder, with an image and a label column."
_UNLABELLED = "Give a folder saved by datasets (save_to_disk) or an image folder, with an image column."
_IMAGES = ("image", "img", "pixels")
_SPLITS = ("train", "training", "all")


@dataclass(frozen=True, eq=False)
class ImageData:
    """Labelled images in memory.

    Attributes:
        images: uint8 (height, width, channels) each.
        labels: (n,) class indices.
        names: class names.
    """

    images: Sequence[NDArray[np.uint8]]
    labels: IntArray
    names: tuple[str, ...]

    def subset(self, rows: IntArray) -> "ImageData":
        """Returns the images at these positions."""
        return ImageData([self.images[int(row)] for row in rows], self.labels[rows], self.names)

    def split(self, share: float, rng: np.random.Generator) -> tuple["ImageData", "ImageData"]:
        """Returns (rest, held out), the held-out part stratified by class and at least one image a class."""
        held: list[int] = []
        for label in np.unique(self.labels):
            rows = rng.permutation(np.flatnonzero(self.labels == label))
            held += rows[: max(1, round(share * len(rows)))].tolist()
        mask = np.zeros(len(self.labels), dtype=np.bool_)
        mask[held] = True
        return self.subset(np.flatnonzero(~mask)), self.subset(np.flatnonzero(mask))

    def pool(self, limit: int | None = None) -> Pool:
        """Returns the first `limit` images, in order, as pool items re-encoded as plain PNG."""
        rows = range(len(self.labels))[:limit]
        return Pool(tuple(PoolItem(encode_png(self.images[row]), "image/png", int(self.labels[row])) for row in rows))

    def pixels(self, classifier: Classifier, batch_size: int = 256) -> "torch.Tensor":
        """Preprocesses everything once; float32 (n, channels, height, width)."""
        import torch

        images = [to_channels(image, classifier.channels) for image in self.images]
        starts = range(0, len(images), batch_size)
        return torch.cat([classifier.pixels(images[start : start + batch_size]) for start in starts])


def load_images(folder: Path, names: Sequence[str] = ()) -> ImageData:
    """Reads a data set from disk.

    Args:
        folder: what `Dataset.save_to_disk` wrote, or a folder that `load_dataset` reads as images or Parquet.
        names: class names to use where the data set has none.

    Raises:
        UsageError: not a data set, or without an image and a label column.
    """
    found = read_rows(folder, _RETRY)
    image = _column(found, _IMAGES, _RETRY)
    label = _column(found, ("label", "labels", "target"), _RETRY)
    classes = tuple(getattr(found.features[label], "names", ())) or tuple(names)
    labels = np.asarray(found[label], dtype=np.int64)
    if not classes:
        classes = tuple(str(index) for index in range(int(labels.max()) + 1))
    if labels.min() < 0 or labels.max() >= len(classes):
        raise UsageError(f"The labels of {folder} run beyond its {len(classes)} classes.", "Check the label column.")
    return ImageData([_to_array(picture) for picture in found[image]], labels, classes)


def load_plain_images(folder: Path) -> NDArray[np.uint8]:
    """Reads the images of a data set from disk, all of one size; labels, where there are any, are not looked at.

    Args:
        folder: as for `load_images`.

    Returns:
        uint8 (n, height, width, channels).

    Raises:
        UsageError: not a data set, without an image column, or the images are of unlike sizes.
    """
    found = read_rows(folder, _UNLABELLED)
    images = [_to_array(picture) for picture in found[_column(found, _IMAGES, _UNLABELLED)]]
    shapes = sorted({image.shape for image in images})
    if len(shapes) > 1:
        shown = " and ".join(f"{width} x {height} ({channels})" for height, width, channels in shapes[:2])
        raise UsageError(
            f"The images of {folder} are of unlike sizes, such as {shown} pixels (channels).",
            "Bring all of them to one size and to grey or RGB first.",
        )
    return np.stack(images)


def save_images(data: ImageData, folder: Path) -> None:
    """Writes a data set that `load_images` and `datasets.load_from_disk` read."""
    from datasets import ClassLabel, Dataset, Features, Image, disable_progress_bars
    from PIL import Image as Pictures

    disable_progress_bars()
    pictures = [Pictures.fromarray(image[:, :, 0] if image.shape[2] == 1 else image) for image in data.images]
    features = Features({"image": Image(), "label": ClassLabel(names=list(data.names))})
    Dataset.from_dict({"image": pictures, "label": data.labels.tolist()}, features=features).save_to_disk(str(folder))


def read_rows(folder: Path, retry: str) -> Any:
    """Returns the rows of a data set on disk, those for training where it has several parts; nothing is fetched.

    Args:
        retry: the next step where there is none.

    Raises:
        UsageError: it is no folder, no data set, or without rows.
    """
    if not folder.is_dir():
        # Whatever is no folder, the library would look for in a public store, under that name.
        problem = "is no folder" if folder.exists() else "does not exist"
        raise UsageError(f"There is no data set at {folder}: it {problem}.", retry)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from datasets import Dataset, DatasetDict, disable_progress_bars, load_dataset, load_from_disk, logging
    from datasets.exceptions import DatasetsError

    disable_progress_bars()
    logging.set_verbosity(logging.CRITICAL)  # what the library logs of a broken file, the error says
    try:
        try:
            found: Any = load_from_disk(str(folder))
        except FileNotFoundError:
            found = load_dataset(str(folder))
    except (OSError, ValueError, KeyError, TypeError, DatasetsError) as error:
        raise UsageError(f"{folder} is no data set that can be read.", retry) from error
    if isinstance(found, DatasetDict):
        split = next((name for name in _SPLITS if name in found), next(iter(found)))
        found = found[split]
    if not isinstance(found, Dataset) or not len(found):
        raise UsageError(f"{folder} holds no rows.", retry)
    return found


def _column(found: Any, choices: tuple[str, ...], retry: str) -> str:
    for name in choices:
        if name in found.column_names:
            return name
    raise UsageError(f"The data set has no column {choices[0]!r}; it has {', '.join(found.column_names)}.", retry)


def _to_array(picture: Any) -> NDArray[np.uint8]:
    if hasattr(picture, "convert"):
        picture = picture.convert("L" if picture.mode in {"1", "L", "I", "I;16", "F"} else "RGB")
    array = np.asarray(picture)
    if array.dtype != np.uint8:
        raise UsageError(f"The images hold {array.dtype} values.", "Store them as 8-bit images.")
    return array if array.ndim == 3 else array[:, :, None]


def to_channels(image: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Returns an image (height, width, 1 or 3) with that many channels, grey or RGB."""
    if image.shape[2] == channels:
        return image
    if image.shape[2] == 1:
        return np.repeat(image, channels, axis=2)
    from PIL import Image

    return np.asarray(Image.fromarray(image).convert("L"), dtype=np.uint8)[:, :, None]
